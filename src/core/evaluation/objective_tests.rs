use proptest::prelude::*;
use rstest::rstest;

use super::*;
use crate::{
    api::slo::TotalScore,
    core::evaluation::testing::{any_of, body, objective},
};

fn compared(compare_with: &str, number: Option<i32>, include: &str, aggregate: &str) -> SloBody {
    let some = |text: &str| (text != "-").then(|| text.to_owned());
    SloBody {
        comparison: Some(slo::Comparison {
            compare_with: some(compare_with),
            include_result_with_score: some(include),
            number_of_comparison_results: number,
            aggregate_function: some(aggregate),
            sequences: vec![],
        }),
        ..body(vec![])
    }
}

fn only_mistake(body: &SloBody) -> Invalid {
    let mut mistakes = parse(body).unwrap_err();
    assert_eq!(mistakes.len(), 1, "{mistakes:?}");
    mistakes.remove(0)
}

#[test]
fn without_a_comparison_the_last_result_counts() {
    let gate = parse(&body(vec![])).unwrap();
    let expected = Comparison {
        results: 1,
        include: Include::All,
        aggregate: Aggregate::Avg,
        sequences: vec![],
    };
    assert_eq!(gate.comparison, expected);
}

#[rstest]
#[case("single_result", Some(7), "pass", "p50", 1, Include::Pass, Aggregate::P50)]
#[case(
    "several_results",
    Some(7),
    "pass_or_warn",
    "p90",
    7,
    Include::PassOrWarn,
    Aggregate::P90
)]
#[case("several_results", None, "all", "p95", 3, Include::All, Aggregate::P95)]
#[case("several_results", Some(0), "-", "-", 3, Include::All, Aggregate::Avg)]
#[case("-", None, "", "avg", 3, Include::All, Aggregate::Avg)]
#[case("-", Some(7), "", "", 3, Include::All, Aggregate::Avg)]
fn a_comparison_has_v1s_defaults(
    #[case] compare_with: &str,
    #[case] number: Option<i32>,
    #[case] include: &str,
    #[case] aggregate: &str,
    #[case] results: usize,
    #[case] included: Include,
    #[case] aggregated: Aggregate,
) {
    let gate = parse(&compared(compare_with, number, include, aggregate)).unwrap();
    assert_eq!(
        gate.comparison,
        Comparison {
            results,
            include: included,
            aggregate: aggregated,
            sequences: vec![],
        }
    );
}

#[rstest]
#[case(compared("several", None, "all", "avg"), "compare_with", "several_results")]
#[case(
    compared("single_result", None, "passed", "avg"),
    "include_result_with_score",
    "pass_or_warn"
)]
#[case(compared("single_result", None, "all", "p99"), "aggregate_function", "p95")]
#[case(compared("several_results", Some(-1), "all", "avg"), "number_of_comparison_results", "negative")]
#[case(of_sequences(&["delivery", " "]), "sequences[1]", "name a sequence")]
fn an_unknown_comparison_is_refused(#[case] body: SloBody, #[case] field: &str, #[case] remedy: &str) {
    let mistake = only_mistake(&body);
    assert_eq!(mistake.path, format!("spec.comparison.{field}"));
    assert!(mistake.message.contains(remedy), "{mistake}");
}

fn of_sequences(names: &[&str]) -> SloBody {
    let mut body = compared("single_result", None, "all", "avg");
    if let Some(comparison) = &mut body.comparison {
        comparison.sequences = names.iter().map(|&n| n.to_owned()).collect();
    }
    body
}

fn with_missing(policy: Option<&str>, pass: &[&[&str]]) -> SloBody {
    let mut one = objective("rt", pass, &[]);
    one.missing = policy.map(str::to_owned);
    body(vec![one])
}

#[rstest]
#[case(None, OnMissing::Fail)]
#[case(Some(""), OnMissing::Fail)]
#[case(Some("fail"), OnMissing::Fail)]
#[case(Some("warn"), OnMissing::Warn)]
#[case(Some("ignore"), OnMissing::Ignore)]
#[case(Some("inconclusive"), OnMissing::Inconclusive)]
fn what_a_missing_value_means(#[case] written: Option<&str>, #[case] policy: OnMissing) {
    let gate = parse(&with_missing(written, &[&["<1"]])).unwrap();
    assert_eq!(gate.objectives[0].missing, policy);
}

#[rstest]
#[case(Some("warning"), true, "write fail, warn, ignore or inconclusive")]
#[case(Some("ignore"), false, "remove missing, or add pass")]
#[case(Some("fail"), false, "remove missing, or add pass")]
fn a_policy_without_effect_is_refused(
    #[case] written: Option<&str>,
    #[case] counts: bool,
    #[case] remedy: &str,
) {
    let pass: &[&[&str]] = if counts { &[&["<1"]] } else { &[] };
    let mistake = only_mistake(&with_missing(written, pass));
    assert_eq!(mistake.path, "spec.objectives[0].missing");
    assert!(mistake.message.contains(remedy), "{mistake}");
}

#[rstest]
#[case(None, Some(1))]
#[case(Some(0), Some(1))]
#[case(Some(5), Some(5))]
#[case(Some(-1), None)]
#[case(Some(1_000_001), None)]
fn weights(#[case] written: Option<i64>, #[case] weight: Option<i64>) {
    let mut one = objective("rt", &[&["<1"]], &[]);
    one.weight = written;
    let parsed = parse(&body(vec![one])).ok().map(|gate| gate.objectives[0].weight);
    assert_eq!(parsed, weight);
}

#[rstest]
#[case("90%", Some("75%"), Some((90.0, Some(75.0))))]
#[case("90", Some(" 75.5 % "), Some((90.0, Some(75.5))))]
#[case("90", None, Some((90.0, None)))]
#[case("90", Some(""), Some((90.0, None)))]
#[case("ninety", Some("75"), None)]
#[case("", Some("75"), None)]
#[case("101", None, None)]
#[case("-1", None, None)]
#[case("NaN", None, None)]
#[case("90", Some("x"), None)]
fn total_scores(
    #[case] pass: &str,
    #[case] warning: Option<&str>,
    #[case] expected: Option<(f64, Option<f64>)>,
) {
    let score = TotalScore {
        pass: pass.to_owned(),
        warning: warning.map(str::to_owned),
    };
    let body = SloBody {
        total_score: Some(score),
        ..SloBody::default()
    };
    let parsed = parse(&body);
    assert_eq!(
        parsed.as_ref().ok().map(|gate| (gate.pass, gate.warning)),
        expected
    );
    if let Err(mistakes) = parsed {
        assert!(mistakes[0].path.starts_with("spec.total_score."), "{mistakes:?}");
    }
}

#[test]
fn a_missing_total_score_is_refused() {
    let mistake = only_mistake(&SloBody::default());
    assert_eq!(mistake.path, "spec.total_score.pass");
    assert!(mistake.message.contains("no target score"), "{mistake}");
}

#[test]
fn all_mistakes_are_told_at_once_each_with_its_path() {
    let mut empty_set = objective("b", &[&["<1"]], &[]);
    empty_set.warning = any_of(&[&["<1"], &[]]);
    let broken = SloBody {
        total_score: None,
        ..body(vec![
            objective("a", &[&["<1", "<=5ms"]], &[]),
            empty_set,
            objective("a", &[], &[&["!=1"]]),
            objective("", &[], &[]),
        ])
    };
    let paths: Vec<String> = parse(&broken).unwrap_err().into_iter().map(|m| m.path).collect();
    assert_eq!(
        paths,
        [
            "spec.objectives[0].pass[0].criteria[1]",
            "spec.objectives[1].warning[1].criteria",
            "spec.objectives[2].warning[0].criteria[0]",
            "spec.objectives[3].sli",
            "spec.objectives[2].sli",
            "spec.total_score.pass",
        ]
    );
    assert!(
        parse_at("spec.objective", &broken).unwrap_err()[0]
            .path
            .starts_with("spec.objective.objectives[0]")
    );
}

#[rstest]
#[case::as_v1_avg(Aggregate::Avg, &[5.0, 15.0], Some(10.0))]
#[case::as_v1_p50(Aggregate::P50, &[10.0, 9.0, 8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0, 1.0, 0.0], Some(5.0))]
#[case::as_v1_p90(Aggregate::P90, &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0], Some(9.8))]
#[case::as_v1_p95(Aggregate::P95, &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0], Some(10.0))]
#[case::as_v1_p50_of_one(Aggregate::P50, &[7.0], Some(7.0))]
#[case::as_v1_p90_of_one(Aggregate::P90, &[7.0], Some(7.0))]
#[case::as_v1_avg_of_none(Aggregate::Avg, &[], None)]
#[case::as_v1_p95_of_none(Aggregate::P95, &[], None)]
fn aggregates(#[case] aggregate: Aggregate, #[case] values: &[f64], #[case] expected: Option<f64>) {
    match (aggregate.of(values), expected) {
        (Some(got), Some(expected)) => assert!((got - expected).abs() < 1e-9, "{got}"),
        (got, expected) => assert_eq!(got, expected),
    }
}

proptest! {
    #[test]
    fn an_aggregate_lies_between_the_least_and_the_greatest(
        values in prop::collection::vec(-1e6..1e6f64, 1..30), turn in 0..30usize,
    ) {
        let least = values.iter().copied().fold(f64::INFINITY, f64::min);
        let greatest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let mut turned = values.clone();
        turned.rotate_left(turn % values.len());
        let mut ordered = Vec::new();
        for aggregate in [Aggregate::P50, Aggregate::P90, Aggregate::P95, Aggregate::Avg] {
            let came = aggregate.of(&values).unwrap();
            prop_assert!((least - 1e-6..=greatest + 1e-6).contains(&came), "{:?} {}", aggregate, came);
            prop_assert!((came - aggregate.of(&turned).unwrap()).abs() < 1e-6, "the order matters");
            ordered.push(came);
        }
        prop_assert!(ordered[0] <= ordered[1] && ordered[1] <= ordered[2], "{:?}", ordered);
    }
}
