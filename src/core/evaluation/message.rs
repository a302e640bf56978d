//! The one line that says why a verdict is what it is.

use std::fmt::Write;

use super::{criteria::Criterion, score::Outcome};
use crate::api::evaluation::{IndicatorResult, Target};

/// So many indicators are named; the others are counted.
const NAMED: usize = 3;
/// What a provider said is cut here, in characters.
const WHY_MAX: usize = 160;

/// `fail: 62.5 of 100; response_time_p95 412 > 400`.
pub(super) fn verdict(
    result: Outcome,
    score: f64,
    indicators: &[IndicatorResult],
    no_baseline: bool,
) -> String {
    let mut text = format!("{}: {} of 100", result.as_str(), number(rounded_down(score)));
    let mut blamed: Vec<&IndicatorResult> = indicators
        .iter()
        .filter(|i| i.status == "fail" || i.status == "warning")
        .collect();
    // The worst first: a failed key indicator decides alone.
    blamed.sort_by_key(|i| (i.status != "fail", !i.key_sli));
    for indicator in blamed.iter().take(NAMED) {
        text.push_str("; ");
        text.push_str(&blame(indicator));
    }
    if blamed.len() > NAMED {
        let _ = write!(text, "; and {} more", blamed.len() - NAMED);
    }
    let left_out: Vec<&str> = indicators
        .iter()
        .filter(|i| is_ignored(i))
        .map(|i| i.name.as_str())
        .collect();
    if !left_out.is_empty() {
        let _ = write!(text, "; ignored without a value: {}", names(&left_out));
    }
    if indicators.iter().all(|i| i.status == "info") {
        text.push_str("; all objectives are informational");
    }
    // What passed for lack of history can't be why it failed.
    if no_baseline && result != Outcome::Fail {
        text.push_str("; no baseline to compare with yet");
    }
    text
}

/// Why nothing was verified, when every objective that could count has no value and is ignored for that.
pub(super) fn ignored(indicators: &[IndicatorResult]) -> String {
    let left_out: Vec<&IndicatorResult> = indicators.iter().filter(|i| is_ignored(i)).collect();
    let why: Vec<String> = left_out
        .iter()
        .take(NAMED)
        .map(|i| format!("{}: {}", i.name, cut(&i.message)))
        .collect();
    let more = match left_out.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!("; and {more} more"),
    };
    format!(
        "warning: nothing was verified, because no objective has a value and all of them say missing: ignore; {}{more}",
        why.join("; ")
    )
}

/// Whether an objective was left out for lack of a value, by its policy.
fn is_ignored(indicator: &IndicatorResult) -> bool {
    indicator.status == "info" && indicator.value.is_none() && !indicator.pass_targets.is_empty()
}

/// The first names; the others are counted.
fn names(all: &[&str]) -> String {
    let shown = all.iter().take(NAMED).copied().collect::<Vec<_>>().join(", ");
    match all.len().saturating_sub(NAMED) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

fn blame(indicator: &IndicatorResult) -> String {
    let what = match (
        indicator.value,
        indicator.pass_targets.iter().find(|t| t.violated),
    ) {
        (Some(value), Some(target)) => violation(value, target),
        (Some(value), None) => format!(" {}", number(value)),
        (None, _) => format!(": {}", cut(&indicator.message)),
    };
    let kind = match (indicator.status.as_str(), indicator.key_sli) {
        ("fail", true) => " (key)",
        ("warning", _) => " (warning)",
        _ => "",
    };
    format!("{}{what}{kind}", indicator.name)
}

/// ` 412 > 400`, or ` 412 > 400 (<=+10%)` where the number is not what the user wrote.
fn violation(value: f64, target: &Target) -> String {
    let criterion = target.criteria.parse::<Criterion>().ok();
    let symbol = criterion.map_or("violates", |c| c.operator.violated_symbol());
    let (mut left, mut right) = (number(value), number(target.target_value));
    if left == right {
        (left, right) = (value.to_string(), target.target_value.to_string());
    }
    let written = if criterion.is_some_and(Criterion::is_relative) {
        format!(" ({})", target.criteria.trim())
    } else {
        String::new()
    };
    format!(" {left} {symbol} {right}{written}")
}

/// A number for people: six significant digits, or two decimals where that is more.
pub fn number(value: f64) -> String {
    let shown = if value.abs() >= 1000.0 {
        format!("{value:.2}")
    } else {
        format!("{value:.5e}")
    };
    shown.parse::<f64>().unwrap_or(value).to_string()
}

/// A score as it is shown: two decimals, rounded down, so that a score just below a threshold never reads as if it
/// had reached it.
pub(super) fn rounded_down(score: f64) -> f64 {
    // 75.3 is 75.2999… in binary; what is this close counts as reached.
    (score * 100.0 + 1e-6).floor() / 100.0
}

/// `; warning about rt: store 10.0.0.7 is unavailable (and 2 more)`: the first of all warnings. What Prometheus calls an
/// info is left out here.
pub(super) fn warned(indicators: &[IndicatorResult]) -> String {
    let is_warning = |text: &&String| !text.starts_with("PromQL info");
    let mut all = indicators
        .iter()
        .flat_map(|i| i.warnings.iter().filter(is_warning).map(|text| (&i.name, text)));
    let Some((name, text)) = all.next() else {
        return String::new();
    };
    let more = match all.count() {
        0 => String::new(),
        n => format!(" (and {n} more)"),
    };
    format!("; warning about {name}: {}{more}", cut(text))
}

/// The first [`WHY_MAX`] characters.
pub(super) fn cut(text: &str) -> String {
    cut_to(text, WHY_MAX)
}

/// The first `max` characters, the last of them a mark where that is not all.
pub(super) fn cut_to(text: &str, max: usize) -> String {
    if text.chars().nth(max).is_none() {
        return text.to_owned();
    }
    text.chars().take(max - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(412.0, "412")]
    #[case(0.412_345_678, "0.412346")]
    #[case(1_234_567.0, "1234567")]
    #[case(1_234_567.891, "1234567.89")]
    #[case(-0.5, "-0.5")]
    #[case(0.0, "0")]
    #[case(1e-9, "0.000000001")]
    fn numbers_are_short(#[case] value: f64, #[case] text: &str) {
        assert_eq!(number(value), text);
    }

    #[rstest]
    #[case(200.0 / 3.0, 66.66)]
    #[case(89.999, 89.99)]
    #[case(75.3, 75.3)]
    #[case(100.0, 100.0)]
    #[case(62.5, 62.5)]
    fn scores_are_rounded_down(#[case] score: f64, #[case] shown: f64) {
        assert!((rounded_down(score) - shown).abs() < 1e-12);
    }

    #[test]
    fn a_violation_by_a_hair_is_shown_in_full() {
        let target = Target {
            criteria: "<=0.4".to_owned(),
            target_value: 0.4,
            violated: true,
        };
        assert_eq!(violation(0.400_000_001, &target), " 0.400000001 > 0.4");
    }
}
