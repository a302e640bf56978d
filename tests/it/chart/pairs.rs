//! Pairwise testing: few rows in which every value of each switch meets every value of each other one.

use std::collections::BTreeSet;

/// Rows of values for switches with so many values each. The first row is all defaults. Greedy: each next row takes, switch
/// by switch, the value that covers most pairs that no row has yet.
pub fn pairs(sizes: &[usize]) -> Vec<Vec<usize>> {
    let mut open = BTreeSet::new();
    for (a, &of_a) in sizes.iter().enumerate() {
        for (b, &of_b) in sizes.iter().enumerate().skip(a + 1) {
            open.extend((0..of_a).flat_map(|x| (0..of_b).map(move |y| (a, x, b, y))));
        }
    }
    let mut rows = vec![vec![0; sizes.len()]];
    close(&mut open, &rows[0]);
    while let Some(&(a, x, b, y)) = open.first() {
        let mut row: Vec<Option<usize>> = vec![None; sizes.len()];
        row[a] = Some(x);
        row[b] = Some(y);
        for at in 0..sizes.len() {
            if row[at].is_none() {
                let gain = |value: &usize| {
                    let met = row
                        .iter()
                        .enumerate()
                        .filter_map(|(other, v)| Some((other, (*v)?)));
                    met.filter(|&(other, v)| open.contains(&pair(at, *value, other, v)))
                        .count()
                };
                row[at] = (0..sizes[at]).rev().max_by_key(gain);
            }
        }
        let row: Vec<usize> = row.into_iter().map(Option::unwrap_or_default).collect();
        close(&mut open, &row);
        rows.push(row);
    }
    rows
}

fn pair(a: usize, x: usize, b: usize, y: usize) -> (usize, usize, usize, usize) {
    if a < b { (a, x, b, y) } else { (b, y, a, x) }
}

fn close(open: &mut BTreeSet<(usize, usize, usize, usize)>, row: &[usize]) {
    open.retain(|&(a, x, b, y)| row[a] != x || row[b] != y);
}

#[test]
fn every_pair_is_in_some_row_and_rows_are_few() {
    let sizes = [3, 2, 4, 3, 2, 2, 3, 2, 5, 3, 3, 3, 2, 2];
    let rows = pairs(&sizes);
    for (a, &of_a) in sizes.iter().enumerate() {
        for (b, &of_b) in sizes.iter().enumerate().skip(a + 1) {
            for (x, y) in (0..of_a).flat_map(|x| (0..of_b).map(move |y| (x, y))) {
                assert!(
                    rows.iter().any(|row| (row[a], row[b]) == (x, y)),
                    "{a}={x} {b}={y}"
                );
            }
        }
    }
    assert!(rows.len() <= 35, "{} rows", rows.len());
}
