use proptest::prelude::*;
use rstest::rstest;

use super::*;
use crate::{
    api::slo::{self, SloBody},
    core::evaluation::{
        objective::parse,
        testing::{body, objective},
    },
};

const NONE: &[f64] = &[];

/// Earlier results of the indicator `rt`, newest first; all passed.
fn earlier(values: &[f64]) -> Vec<Past> {
    let past = |(i, value): (usize, &f64)| Past {
        name: format!("e{i}"),
        result: Outcome::Pass,
        values: BTreeMap::from([("rt".to_owned(), *value)]),
    };
    values.iter().enumerate().map(past).collect()
}

fn several(aggregate: &str, body: SloBody) -> Gate {
    let comparison = slo::Comparison {
        compare_with: Some("several_results".to_owned()),
        aggregate_function: Some(aggregate.to_owned()),
        ..slo::Comparison::default()
    };
    parse(&SloBody {
        comparison: Some(comparison),
        ..body
    })
    .unwrap()
}

fn measured(values: &[(&str, f64)]) -> BTreeMap<String, Measured> {
    values
        .iter()
        .map(|(sli, value)| ((*sli).to_owned(), Measured::Value(*value)))
        .collect()
}

fn close(got: f64, expected: f64) -> bool {
    (got - expected).abs() < 1e-9
}

/// What each criterion came to, and whether it was violated.
fn targets(targets: &[Target]) -> Vec<(f64, bool)> {
    // Rounded, so that 11.000000000000002 reads as 11.
    targets
        .iter()
        .map(|t| ((t.target_value * 1e9).round() / 1e9, t.violated))
        .collect()
}

#[rstest]
#[case::c01("avg", &["<=+10%"], 10.0, &[10.0, 10.0], true, &[(11.0, false)])]
#[case::c02("avg", &["<=+10%"], 11.01, &[10.0, 10.0], false, &[(11.0, true)])]
#[case::c03("avg", &["<+0%"], 10.0, &[10.0, 10.0], false, &[(10.0, true)])]
#[case::c04("avg", &[">+0%"], 10.0, &[10.0, 10.0], false, &[(10.0, true)])]
#[case::c05("avg", &["=+1"], 11.0, &[10.0, 10.0], true, &[(11.0, false)])]
#[case::c06("avg", &["=-1"], 9.0, &[10.0, 10.0], true, &[(9.0, false)])]
#[case::c07("p50", &["<=+10%"], 10.0, &[10.0, 10.0], true, &[(11.0, false)])]
#[case::c08("avg", &["<=10"], 10.0, NONE, true, &[(10.0, false)])]
#[case::c09("avg", &["<=+10%", "<=10.0"], 10.0, &[10.0, 10.0], true, &[(11.0, false), (10.0, false)])]
#[case::c10("avg", &["<=+10%", "<=10.0"], 11.0, &[10.0, 10.0], false, &[(11.0, false), (10.0, true)])]
#[case::c13("avg", &["<=+20%"], 100.0, NONE, true, &[(0.0, false)])]
#[case::c14("avg", &["<=+20%", "<500"], 1011.07, NONE, false, &[(0.0, false), (500.0, true)])]
fn one_criterion(
    #[case] aggregate: &str,
    #[case] criteria: &[&str],
    #[case] value: f64,
    #[case] previous: &[f64],
    #[case] satisfied: bool,
    #[case] expected: &[(f64, bool)],
) {
    let gate = several(aggregate, body(vec![objective("rt", &[criteria], &[])]));
    let verdict = judge(&gate, &measured(&[("rt", value)]), &earlier(previous));
    assert_eq!(verdict.result == Outcome::Pass, satisfied, "{}", verdict.message);
    assert_eq!(targets(&verdict.indicators[0].pass_targets), expected);
}

#[rstest]
#[case::c21(Some(10.0), "pass", 1.0, &[(15.0, false), (11.0, false)], &[(20.0, false), (11.5, false)])]
#[case::c22(Some(16.0), "warning", 0.5, &[(15.0, true), (11.0, true)], &[(20.0, false), (11.5, true)])]
#[case::c23(None, "fail", 0.0, &[(15.0, true), (10.0, true)], &[(20.0, true), (10.0, true)])]
fn one_objective(
    #[case] value: Option<f64>,
    #[case] status: &str,
    #[case] score: f64,
    #[case] pass: &[(f64, bool)],
    #[case] warning: &[(f64, bool)],
    #[values(false, true)] with_information: bool,
) {
    let mut objectives = vec![objective(
        "rt",
        &[&["<=15.0"], &["<=+10%"]],
        &[&["<=20.0"], &["<=+15%"]],
    )];
    if with_information {
        objectives.push(objective("other", &[], &[&["<1"]]));
    }
    let gate = several("avg", body(objectives));
    let values = value
        .map(|v| measured(&[("rt", v), ("other", 5.0)]))
        .unwrap_or_default();
    let verdict = judge(&gate, &values, &earlier(&[10.0]));
    let indicator = &verdict.indicators[0];
    assert_eq!((indicator.status.as_str(), indicator.score), (status, score));
    assert_eq!(targets(&indicator.pass_targets), pass);
    assert_eq!(targets(&indicator.warning_targets), warning);
    assert_eq!(verdict.score, Some(100.0 * score));
    if with_information {
        assert_eq!(
            (verdict.indicators[1].status.as_str(), verdict.indicators[1].score),
            ("info", 0.0)
        );
    }
}

#[rstest]
#[case::c27(1.0, 1.0, false, Outcome::Pass, 100.0)]
#[case::c28(1.0, 2.0, true, Outcome::Fail, 50.0)]
#[case::c29(1.506, 2.0, false, Outcome::Warning, 75.3)]
#[case::c31(0.0, 0.0, false, Outcome::Pass, 100.0)]
#[case::c33(75.0, 100.0, false, Outcome::Warning, 75.0)]
#[case::c36(3.0, 4.0, false, Outcome::Warning, 75.0)]
#[case::nearly(74.99, 100.0, false, Outcome::Fail, 74.99)]
#[case::exactly(9.0, 10.0, false, Outcome::Pass, 90.0)]
fn totals(
    #[case] reached: f64,
    #[case] max: f64,
    #[case] key_failed: bool,
    #[case] result: Outcome,
    #[case] score: f64,
) {
    let gate = parse(&body(vec![])).unwrap();
    let (got, at) = grade(&gate, reached, max, key_failed);
    assert_eq!(got, result);
    assert!(close(at, score), "{at}");
}

#[test]
fn without_a_warning_score_anything_below_pass_fails() {
    let mut written = body(vec![objective("rt", &[&["<1"]], &[&["<5"]])]);
    written.total_score = Some(slo::TotalScore {
        pass: "90".to_owned(),
        warning: None,
    });
    let verdict = judge(&parse(&written).unwrap(), &measured(&[("rt", 3.0)]), &[]);
    assert_eq!((verdict.result, verdict.score), (Outcome::Fail, Some(50.0)));
}

#[test]
fn c36_weights_count() {
    let mut heavy = objective("a", &[&["<1"]], &[]);
    heavy.weight = Some(3);
    let gate = parse(&body(vec![heavy, objective("b", &[&["<1"]], &[])])).unwrap();
    let verdict = judge(&gate, &measured(&[("a", 0.0), ("b", 2.0)]), &[]);
    assert_eq!((verdict.result, verdict.score), (Outcome::Warning, Some(75.0)));
    assert_eq!(verdict.message, "warning: 75 of 100; b 2 >= 1");
}

#[test]
fn c39_no_objectives_fail() {
    let verdict = judge(&parse(&body(vec![])).unwrap(), &BTreeMap::new(), &[]);
    assert_eq!(
        (verdict.result, verdict.score, verdict.reason),
        (Outcome::Fail, Some(0.0), "NoObjectives")
    );
}

/// The tutorial's objectives.
fn tutorial() -> Gate {
    let mut routines = objective("go_routines", &[&["<=30"]], &[]);
    routines.key_sli = true;
    parse(&body(vec![
        objective("page_time", &[&["<=0.4"]], &[&["<=0.1"]]),
        objective("throughput", &[&[">=-80%"]], &[]),
        routines,
        objective("failing_request", &[&["<10"]], &[]),
    ]))
    .unwrap()
}

#[rstest]
#[case::all_good(
    Some(0.2),
    Some(20.0),
    Some(0.0),
    Outcome::Pass,
    100.0,
    "pass: 100 of 100; no baseline to compare with yet"
)]
#[case::one_series_error(
    Some(0.2),
    Some(20.0),
    None,
    Outcome::Warning,
    75.0,
    "warning: 75 of 100; failing_request: 3 series; no baseline to compare with yet"
)]
#[case::two_bad(
    Some(0.5),
    Some(20.0),
    None,
    Outcome::Fail,
    50.0,
    "fail: 50 of 100; page_time 0.5 > 0.4; failing_request: 3 series"
)]
#[case::key_bad(
    Some(0.2),
    Some(31.0),
    Some(0.0),
    Outcome::Fail,
    75.0,
    "fail: 75 of 100; go_routines 31 > 30 (key)"
)]
fn c40_the_tutorial(
    #[case] page_time: Option<f64>,
    #[case] routines: Option<f64>,
    #[case] failing: Option<f64>,
    #[case] result: Outcome,
    #[case] score: f64,
    #[case] message: &str,
) {
    let mut values = measured(&[("throughput", 5.0)]);
    for (sli, value) in [
        ("page_time", page_time),
        ("go_routines", routines),
        ("failing_request", failing),
    ] {
        let measured = value.map_or_else(|| Measured::Missing("3 series".to_owned()), Measured::Value);
        values.insert(sli.to_owned(), measured);
    }
    let verdict = judge(&tutorial(), &values, &[]);
    assert_eq!((verdict.result, verdict.score), (result, Some(score)));
    assert_eq!(verdict.message, message);
    assert!(verdict.no_baseline);
}

#[test]
fn c40_the_tutorial_without_any_value() {
    let verdict = judge(&tutorial(), &BTreeMap::new(), &[]);
    assert_eq!((verdict.result, verdict.score), (Outcome::Fail, Some(0.0)));
    assert_eq!(verdict.reason, "KeyIndicatorFailed");
    assert_eq!(
        verdict.message,
        "fail: 0 of 100; go_routines: no value received (key); page_time: no value received; \
         throughput: no value received; and 1 more"
    );
    assert!(!verdict.no_baseline, "nothing passed for lack of history");
}

#[rstest]
#[case("pass", 1, &["p"], 10.0)]
#[case("pass_or_warn", 2, &["w", "p"], 15.0)]
#[case("all", 2, &["f", "w"], 25.0)]
#[case("all", 9, &["f", "w", "p"], 20.0)]
fn only_wanted_results_are_compared_with(
    #[case] include: &str,
    #[case] number: i32,
    #[case] names: &[&str],
    #[case] average: f64,
) {
    let past = |name: &str, result, value| Past {
        name: name.to_owned(),
        result,
        values: BTreeMap::from([("rt".to_owned(), value)]),
    };
    let history = [
        past("f", Outcome::Fail, 30.0),
        past("w", Outcome::Warning, 20.0),
        past("p", Outcome::Pass, 10.0),
    ];
    let mut written = body(vec![objective("rt", &[&["<=+0%"]], &[])]);
    written.comparison = Some(slo::Comparison {
        compare_with: Some("several_results".to_owned()),
        include_result_with_score: Some(include.to_owned()),
        number_of_comparison_results: Some(number),
        aggregate_function: None,
    });
    let verdict = judge(&parse(&written).unwrap(), &measured(&[("rt", 100.0)]), &history);
    assert_eq!(verdict.compared_with, names);
    assert!(close(verdict.indicators[0].compared_value.unwrap(), average));
    assert!(!verdict.no_baseline);
    assert!(
        verdict.message.contains(&format!("rt 100 > {average} (<=+0%)")),
        "{}",
        verdict.message
    );
}

#[test]
fn a_past_result_without_the_indicator_is_no_baseline() {
    let history = [Past {
        name: "old".to_owned(),
        result: Outcome::Pass,
        values: BTreeMap::from([("x".to_owned(), 1.0)]),
    }];
    let gate = parse(&body(vec![objective("rt", &[&["<=+0%"]], &[])])).unwrap();
    let verdict = judge(&gate, &measured(&[("rt", 100.0)]), &history);
    assert_eq!(verdict.result, Outcome::Pass);
    assert!(verdict.no_baseline);
}

#[test]
fn a_key_indicator_that_warns_is_fine() {
    let mut key = objective("rt", &[&["<1"]], &[&["<5"]]);
    key.key_sli = true;
    key.weight = Some(1);
    let mut rest = objective("b", &[&["<1"]], &[]);
    rest.weight = Some(9);
    let verdict = judge(
        &parse(&body(vec![key, rest])).unwrap(),
        &measured(&[("rt", 3.0), ("b", 0.0)]),
        &[],
    );
    assert_eq!((verdict.result, verdict.score), (Outcome::Pass, Some(95.0)));
    assert_eq!(verdict.message, "pass: 95 of 100; rt 3 >= 1 (warning)");
}

#[test]
fn without_an_objective_nothing_was_verified() {
    let verdict = unverified();
    assert_eq!(
        (verdict.result, verdict.reason, verdict.score),
        (Outcome::Warning, "Unverified", None)
    );
}

fn any_objective() -> impl Strategy<Value = (slo::Objective, Option<f64>)> {
    let criterion = || prop::sample::select(vec!["<10", "<=+10%", ">=-5", "=5", ">1", "<=(-3)", "<20"]);
    let sets = || prop::collection::vec(prop::collection::vec(criterion(), 1..3), 0..3);
    (
        sets(),
        sets(),
        any::<bool>(),
        0..20i64,
        prop::option::of(-50.0..50.0f64),
    )
        .prop_map(|(pass, warning, key_sli, weight, value)| {
            let set = |criteria: Vec<&str>| slo::CriteriaSet {
                criteria: criteria.into_iter().map(str::to_owned).collect(),
            };
            let objective = slo::Objective {
                key_sli,
                weight: Some(weight),
                pass: Some(pass.into_iter().map(set).collect()),
                warning: Some(warning.into_iter().map(set).collect()),
                ..slo::Objective::default()
            };
            (objective, value)
        })
}

type Case = (Vec<slo::Objective>, BTreeMap<String, Measured>, Vec<Past>);

/// Objectives with names of their own, values for some, and a history.
fn any_case() -> impl Strategy<Value = Case> {
    let history = prop::collection::vec(prop::option::of(-50.0..50.0f64), 0..4);
    (prop::collection::vec(any_objective(), 1..8), history).prop_map(|(drawn, history)| {
        let mut values = BTreeMap::new();
        let mut objectives = Vec::new();
        for (i, (mut objective, value)) in drawn.into_iter().enumerate() {
            objective.sli = format!("s{i}");
            if let Some(value) = value {
                values.insert(objective.sli.clone(), Measured::Value(value));
            }
            objectives.push(objective);
        }
        let past = |(n, value): (usize, Option<f64>)| Past {
            name: format!("e{n}"),
            result: Outcome::Pass,
            values: value
                .map(|v| (0..8).map(|i| (format!("s{i}"), v)).collect())
                .unwrap_or_default(),
        };
        (
            objectives,
            values,
            history.into_iter().enumerate().map(past).collect(),
        )
    })
}

fn judged((objectives, values, history): &Case) -> Verdict {
    judge(&several("avg", body(objectives.clone())), values, history)
}

proptest! {
    #[test]
    fn the_score_is_a_percentage_and_agrees_with_the_result(case in any_case()) {
        let verdict = judged(&case);
        let score = verdict.score.unwrap();
        prop_assert!((0.0..=100.0).contains(&score));
        match verdict.result {
            Outcome::Pass => prop_assert!(score >= 90.0),
            Outcome::Warning => prop_assert!((75.0..90.0).contains(&score)),
            Outcome::Fail => prop_assert!(score < 75.0 || verdict.reason == "KeyIndicatorFailed"),
        }
    }

    #[test]
    fn a_failed_key_indicator_always_fails(case in any_case()) {
        let verdict = judged(&case);
        if verdict.indicators.iter().any(|i| i.key_sli && i.status == "fail") {
            prop_assert_eq!(verdict.result, Outcome::Fail);
        }
    }

    #[test]
    fn order_never_matters(case in any_case(), turn in 0..8usize) {
        let mut turned = case.clone();
        let by = turn % turned.0.len();
        turned.0.rotate_left(by);
        turned.0.reverse();
        let (a, b) = (judged(&case), judged(&turned));
        prop_assert_eq!((a.result, a.score, a.no_baseline), (b.result, b.score, b.no_baseline));
    }

    #[test]
    fn more_weight_on_what_passed_never_lowers_the_score(case in any_case(), which in 0..8usize, more in 1..50i64) {
        let before = judged(&case);
        let passed: Vec<usize> =
            (0..case.0.len()).filter(|i| before.indicators[*i].status == "pass").collect();
        prop_assume!(!passed.is_empty());
        let which = passed[which % passed.len()];
        let mut heavier = case.clone();
        let weight = heavier.0[which].weight.unwrap().max(1);
        heavier.0[which].weight = Some(weight + more);
        prop_assert!(judged(&heavier).score.unwrap() >= before.score.unwrap() - 1e-9);
    }

    #[test]
    fn losing_a_value_never_raises_the_score(case in any_case(), which in 0..8usize) {
        let mut poorer = case.clone();
        poorer.1.remove(&format!("s{which}"));
        let (before, after) = (judged(&case), judged(&poorer));
        prop_assert!(after.score <= before.score);
        prop_assert!(after.result <= before.result);
    }

    #[test]
    fn the_same_facts_give_the_same_verdict(case in any_case()) {
        prop_assert_eq!(judged(&case), judged(&case));
    }
}
