//! The nearest known name, for messages: most mistakes are typing mistakes.

/// Names longer than this are not compared: the work is bounded by its square.
const LONGEST: usize = 128;
/// How many known names a message lists when none is near.
const LISTED: usize = 5;

/// The known name that `name` most likely meant: the fewest edits away, at most a third of its length, or one that
/// starts with it (or that it starts with). Of equally near ones the first.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let limit = (name.chars().count() / 3).max(1);
    known
        .into_iter()
        .filter(|candidate| *candidate != name)
        .filter_map(|candidate| {
            let part = || shortened(name, candidate).then_some(limit);
            let distance = edits(name, candidate, limit).or_else(part)?;
            Some((distance, candidate))
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// The end of a message about an unknown name: `; did you mean "production"?`, or when none is near a list of the first
/// known ones, or nothing when none is known.
pub fn hint<'a>(name: &str, known: impl IntoIterator<Item = &'a str> + Clone) -> String {
    if let Some(near) = nearest(name, known.clone()) {
        return format!("; did you mean {near:?}?");
    }
    let mut names = known.into_iter();
    let listed: Vec<String> = names.by_ref().take(LISTED).map(|n| format!("{n:?}")).collect();
    match (listed.is_empty(), names.count()) {
        (true, _) => String::new(),
        (false, 0) => format!("; there is {}", listed.join(", ")),
        (false, more) => format!("; there is {} and {more} more", listed.join(", ")),
    }
}

/// Whether one is the other's beginning, and long enough to mean it.
fn shortened(a: &str, b: &str) -> bool {
    let (short, long) = if a.len() <= b.len() { (a, b) } else { (b, a) };
    short.len() >= 2 && long.to_lowercase().starts_with(&short.to_lowercase())
}

/// The number of insertions, deletions, replacements and swaps of neighbours that make `b` of `a`, letter case apart, if
/// it is at most `limit`.
fn edits(a: &str, b: &str, limit: usize) -> Option<usize> {
    let a: Vec<char> = a.to_lowercase().chars().collect();
    let b: Vec<char> = b.to_lowercase().chars().collect();
    if a.len().abs_diff(b.len()) > limit || a.len().max(b.len()) > LONGEST {
        return None;
    }
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.iter().enumerate() {
        let mut row = vec![i + 1; b.len() + 1];
        for (j, cb) in b.iter().enumerate() {
            let replaced = last[j] + usize::from(ca != cb);
            let mut best = replaced.min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *ca == b[j - 1] && a[i - 1] == *cb {
                best = best.min(before_last[j - 1] + 1);
            }
            row[j + 1] = best;
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last.last().copied().filter(|distance| *distance <= limit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    const STAGES: [&str; 4] = ["dev", "qa", "hardening", "production"];

    #[rstest]
    #[case("prod", Some("production"))]
    #[case("producton", Some("production"))]
    #[case("prodcution", Some("production"))]
    #[case("Production", Some("production"))]
    #[case("aq", Some("qa"))]
    #[case("hardning", Some("hardening"))]
    #[case("staging", None)]
    #[case("x", None)]
    #[case("", None)]
    fn finds_what_was_meant(#[case] name: &str, #[case] meant: Option<&str>) {
        assert_eq!(nearest(name, STAGES), meant);
    }

    #[test]
    fn a_typing_mistake_is_nearer_than_a_part() {
        let known = ["image", "imagePullPolicy"];
        assert_eq!(nearest("imagePullPolic", known), Some("imagePullPolicy"));
    }

    #[rstest]
    #[case("prod", "; did you mean \"production\"?")]
    #[case("staging", "; there is \"dev\", \"qa\", \"hardening\", \"production\"")]
    fn says_what_is_known(#[case] name: &str, #[case] says: &str) {
        assert_eq!(hint(name, STAGES), says);
    }

    #[test]
    fn lists_only_a_few() {
        let many = ["aaa", "bbb", "ccc", "ddd", "eee", "fff", "ggg"];
        assert!(hint("zzzz", many).ends_with("\"eee\" and 2 more"));
        assert_eq!(hint("zzzz", []), "");
    }

    proptest! {
        #[test]
        fn one_edit_is_always_found(name in "[a-z]{4,20}", at in 0usize..4) {
            let mut mistyped = name.clone();
            mistyped.remove(at);
            prop_assume!(mistyped != name);
            prop_assert_eq!(nearest(&mistyped, [name.as_str()]), Some(name.as_str()));
        }

        #[test]
        fn distance_is_symmetric(a in "[a-c]{0,8}", b in "[a-c]{0,8}") {
            prop_assert_eq!(edits(&a, &b, 8), edits(&b, &a, 8));
        }
    }
}
