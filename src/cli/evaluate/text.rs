//! A verdict as a table, for people.

use std::fmt::Write as _;

use super::report::{Report, Row, Shown};
use crate::cli::paint::{BOLD, Cell, DIM, PLAIN, RED, cell, painted, result_colour as of, table};

/// Every objective in a line, and the verdict below: that is where the reader's eye is when the command has ended.
pub fn render(report: &Report, colour: bool) -> String {
    let mut out = String::new();
    let rows = report.rows();
    if !rows.is_empty() {
        out.push_str(&rows_table(&rows, colour));
        out.push('\n');
    }
    let status = &report.status;
    let word = status.result.as_deref().unwrap_or("inconclusive");
    let rest = status.message.strip_prefix(word).unwrap_or(&status.message);
    let bold = format!("{BOLD};{}", of(word));
    let _ = writeln!(out, "{}{rest}", painted(&bold, word, colour));
    let mut about = vec![];
    if !report.place.is_empty() {
        about.push(report.place.clone());
    }
    if let Some(window) = &report.window {
        about.push(format!("{:.0} to {:.0}", window.start.0, window.end.0));
    }
    match status.compared_with.len() {
        0 => {}
        1 => about.push("compared with 1 earlier result".to_owned()),
        n => about.push(format!("compared with {n} earlier results")),
    }
    if !about.is_empty() {
        let _ = writeln!(out, "{}", painted(DIM, &about.join(", "), colour));
    }
    out
}

/// Columns in which nothing stands are left out.
fn rows_table(rows: &[Row], colour: bool) -> String {
    let heads = [
        ("RESULT", false),
        ("INDICATOR", false),
        ("VALUE", true),
        ("BEFORE", true),
        ("PASS IF", false),
        ("WARNING IF", false),
        ("SCORE", true),
        ("", false),
    ];
    let cells = |row: &Row| {
        vec![
            cell(of(&row.status), &row.status),
            name(row),
            cell(PLAIN, &row.value),
            cell(PLAIN, &row.before),
            criteria(&row.pass),
            criteria(&row.warning),
            cell(PLAIN, &row.score),
            cell(DIM, &row.note),
        ]
    };
    let rows: Vec<Vec<Cell>> = rows.iter().map(cells).collect();
    table(&heads, &rows, false, colour)
}

fn name(row: &Row) -> Cell {
    let mut cell = vec![(PLAIN, row.name.clone())];
    if row.key {
        cell.push((DIM, " (key)".to_owned()));
    }
    cell
}

/// What is violated stands out.
fn criteria(sets: &[Vec<Shown>]) -> Cell {
    let mut cell: Cell = vec![];
    for (i, set) in sets.iter().enumerate() {
        for (j, one) in set.iter().enumerate() {
            match (i, j) {
                (0, 0) => {}
                (_, 0) => cell.push((DIM, " or ".to_owned())),
                _ => cell.push((DIM, " and ".to_owned())),
            }
            cell.push((if one.violated { RED } else { PLAIN }, one.text.clone()));
        }
    }
    cell
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{
        EvaluationStatus,
        evaluation::{IndicatorResult, Target},
    };

    fn report() -> Report {
        let target = |criteria: &str, target_value: f64, violated: bool| Target {
            criteria: criteria.to_owned(),
            target_value,
            violated,
        };
        let slow = IndicatorResult {
            name: "rt".to_owned(),
            value: Some(1_234.567_891),
            compared_value: Some(1000.0),
            status: "fail".to_owned(),
            weight: 2,
            key_sli: true,
            pass_targets: vec![target("<= +10%", 1100.0, true), target("<600", 600.0, true)],
            ..IndicatorResult::default()
        };
        let lost = IndicatorResult {
            name: "a_longer_name".to_owned(),
            status: "info".to_owned(),
            message: "3 series".to_owned(),
            ..IndicatorResult::default()
        };
        Report {
            place: "shop/production/web".to_owned(),
            window: None,
            objectives: vec![],
            status: EvaluationStatus {
                result: Some("fail".to_owned()),
                message: "fail: 0 of 100".to_owned(),
                indicators: vec![slow, lost],
                compared_with: vec!["one".to_owned()],
                ..EvaluationStatus::default()
            },
        }
    }

    const PLAIN_TABLE: &str = "\
RESULT  INDICATOR        VALUE  BEFORE  PASS IF                 SCORE
fail    rt (key)       1234.57    1000  <=+10% (1100) and <600    0/2
info    a_longer_name        -                                         3 series

fail: 0 of 100
shop/production/web, compared with 1 earlier result
";

    #[test]
    fn the_columns_are_aligned() {
        assert_eq!(render(&report(), false), PLAIN_TABLE);
    }

    #[test]
    fn colours_change_nothing_but_the_colour() {
        let coloured = render(&report(), true);
        assert!(coloured.contains("\x1b[31mfail\x1b[0m"), "{coloured}");
        let stripped = regex::Regex::new("\x1b\\[[0-9;]*m")
            .unwrap()
            .replace_all(&coloured, "")
            .into_owned();
        let trimmed: Vec<&str> = stripped.lines().map(str::trim_end).collect();
        assert_eq!(trimmed, PLAIN_TABLE.lines().collect::<Vec<_>>());
    }
}
