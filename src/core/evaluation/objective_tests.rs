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
            aggregate: aggregated
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
fn an_unknown_comparison_is_refused(#[case] body: SloBody, #[case] field: &str, #[case] remedy: &str) {
    let mistake = only_mistake(&body);
    assert_eq!(mistake.path, format!("spec.comparison.{field}"));
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
#[case(Aggregate::Avg, &[5.0, 15.0], Some(10.0))]
#[case(Aggregate::P50, &[10.0, 9.0, 8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0, 1.0, 0.0], Some(5.0))]
#[case(Aggregate::P90, &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0], Some(9.8))]
#[case(Aggregate::P95, &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0], Some(10.0))]
#[case(Aggregate::P50, &[7.0], Some(7.0))]
#[case(Aggregate::P90, &[7.0], Some(7.0))]
#[case(Aggregate::Avg, &[], None)]
#[case(Aggregate::P95, &[], None)]
fn aggregates(#[case] aggregate: Aggregate, #[case] values: &[f64], #[case] expected: Option<f64>) {
    match (aggregate.of(values), expected) {
        (Some(got), Some(expected)) => assert!((got - expected).abs() < 1e-9, "{got}"),
        (got, expected) => assert_eq!(got, expected),
    }
}
