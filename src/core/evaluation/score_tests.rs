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

/// As [`super::judge`], where no value is indispensable.
fn judge(gate: &Gate, values: &BTreeMap<String, Measured>, history: &[Past]) -> Verdict {
    super::judge(gate, values, history).unwrap()
}

/// Earlier results of the indicator `rt`, newest first; all passed.
fn earlier(values: &[f64]) -> Vec<Past> {
    let past = |(i, value): (usize, &f64)| Past {
        name: format!("e{i}"),
        result: Outcome::Pass,
        sequence: None,
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
#[case::c01_as_v1("avg", &["<=+10%"], 10.0, &[10.0, 10.0], true, &[(11.0, false)])]
#[case::c02_as_v1("avg", &["<=+10%"], 11.01, &[10.0, 10.0], false, &[(11.0, true)])]
#[case::c03_as_v1("avg", &["<+0%"], 10.0, &[10.0, 10.0], false, &[(10.0, true)])]
#[case::c04_as_v1("avg", &[">+0%"], 10.0, &[10.0, 10.0], false, &[(10.0, true)])]
#[case::c05_as_v1("avg", &["=+1"], 11.0, &[10.0, 10.0], true, &[(11.0, false)])]
#[case::c06_as_v1("avg", &["=-1"], 9.0, &[10.0, 10.0], true, &[(9.0, false)])]
#[case::c07_as_v1("p50", &["<=+10%"], 10.0, &[10.0, 10.0], true, &[(11.0, false)])]
#[case::c08_as_v1("avg", &["<=10"], 10.0, NONE, true, &[(10.0, false)])]
#[case::c09_as_v1("avg", &["<=+10%", "<=10.0"], 10.0, &[10.0, 10.0], true, &[(11.0, false), (10.0, false)])]
#[case::c10_as_v1("avg", &["<=+10%", "<=10.0"], 11.0, &[10.0, 10.0], false, &[(11.0, false), (10.0, true)])]
#[case::c13_as_v1("avg", &["<=+20%"], 100.0, NONE, true, &[(0.0, false)])]
#[case::c14_as_v1("avg", &["<=+20%", "<500"], 1011.07, NONE, false, &[(0.0, false), (500.0, true)])]
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
#[case::c21_as_v1(Some(10.0), "pass", 1.0, &[(15.0, false), (11.0, false)], &[(20.0, false), (11.5, false)])]
#[case::c22_as_v1(Some(16.0), "warning", 0.5, &[(15.0, true), (11.0, true)], &[(20.0, false), (11.5, true)])]
#[case::c23_as_v1(None, "fail", 0.0, &[(15.0, true), (10.0, true)], &[(20.0, true), (10.0, true)])]
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
#[case::c27_as_v1(1.0, 1.0, false, Outcome::Pass, 100.0)]
#[case::c28_as_v1(1.0, 2.0, true, Outcome::Fail, 50.0)]
#[case::c29_as_v1(1.506, 2.0, false, Outcome::Warning, 75.3)]
#[case::c31_as_v1(0.0, 0.0, false, Outcome::Pass, 100.0)]
#[case::c33_as_v1(75.0, 100.0, false, Outcome::Warning, 75.0)]
#[case::c36_as_v1(3.0, 4.0, false, Outcome::Warning, 75.0)]
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
fn c36_as_v1_weights_count() {
    let mut heavy = objective("a", &[&["<1"]], &[]);
    heavy.weight = Some(3);
    let gate = parse(&body(vec![heavy, objective("b", &[&["<1"]], &[])])).unwrap();
    let verdict = judge(&gate, &measured(&[("a", 0.0), ("b", 2.0)]), &[]);
    assert_eq!((verdict.result, verdict.score), (Outcome::Warning, Some(75.0)));
    assert_eq!(verdict.message, "warning: 75 of 100; b 2 >= 1");
}

#[test]
fn c39_as_v1_no_objectives_fail() {
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
fn c40_as_v1_the_tutorial(
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
fn c40_as_v1_the_tutorial_without_any_value() {
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
        sequence: None,
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
        sequences: vec![],
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
        sequence: None,
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

fn from(name: &str, sequence: Option<&str>, value: f64) -> Past {
    Past {
        name: name.to_owned(),
        result: Outcome::Pass,
        sequence: sequence.map(str::to_owned),
        values: BTreeMap::from([("rt".to_owned(), value)]),
    }
}

/// v1 compared with evaluations of any sequence, and could do nothing else.
#[rstest]
#[case::as_v1(&[], &["alone", "heal", "deliver"], 20.0)]
#[case::by_design_one(&["delivery"], &["deliver"], 30.0)]
#[case::by_design_two(&["delivery", "remediation"], &["heal", "deliver"], 25.0)]
fn sequences_narrow_what_is_compared_with(
    #[case] sequences: &[&str],
    #[case] names: &[&str],
    #[case] average: f64,
) {
    let history = [
        from("alone", None, 10.0),
        from("heal", Some("remediation"), 20.0),
        from("deliver", Some("delivery"), 30.0),
    ];
    let mut written = body(vec![objective("rt", &[&["<=+0%"]], &[])]);
    written.comparison = Some(slo::Comparison {
        compare_with: Some("several_results".to_owned()),
        sequences: sequences.iter().map(|&s| s.to_owned()).collect(),
        ..slo::Comparison::default()
    });
    let verdict = judge(&parse(&written).unwrap(), &measured(&[("rt", 1.0)]), &history);
    assert_eq!(verdict.compared_with, names);
    assert!(close(verdict.indicators[0].compared_value.unwrap(), average));
}

#[test]
fn sequences_that_never_evaluated_leave_no_baseline() {
    let mut written = body(vec![objective("rt", &[&["<=+0%"]], &[])]);
    written.comparison = Some(slo::Comparison {
        sequences: vec!["delivery".to_owned()],
        ..slo::Comparison::default()
    });
    let history = [from("alone", None, 10.0)];
    let verdict = judge(&parse(&written).unwrap(), &measured(&[("rt", 99.0)]), &history);
    assert!(verdict.no_baseline && verdict.compared_with.is_empty());
}

/// A heavy objective that is good, and one of weight 1 without a value.
fn with_policy(policy: &str, key_sli: bool) -> Gate {
    let mut lost = objective("lost", &[&["<1"]], &[]);
    lost.missing = Some(policy.to_owned());
    lost.key_sli = key_sli;
    let mut good = objective("good", &[&["<1"]], &[]);
    good.weight = Some(4);
    parse(&body(vec![good, lost])).unwrap()
}

#[rstest]
#[case::as_v1("fail", "fail", 80.0, Outcome::Warning, "warning: 80 of 100; lost: 3 series")]
#[case::by_design_warn(
    "warn",
    "warning",
    90.0,
    Outcome::Pass,
    "pass: 90 of 100; lost: 3 series (warning)"
)]
#[case::by_design_ignore(
    "ignore",
    "info",
    100.0,
    Outcome::Pass,
    "pass: 100 of 100; ignored without a value: lost"
)]
fn a_missing_value_follows_the_policy(
    #[case] policy: &str,
    #[case] status: &str,
    #[case] score: f64,
    #[case] result: Outcome,
    #[case] message: &str,
) {
    let mut values = measured(&[("good", 0.0)]);
    values.insert("lost".to_owned(), Measured::Missing("3 series".to_owned()));
    let verdict = judge(&with_policy(policy, false), &values, &[]);
    assert_eq!(verdict.indicators[1].status, status);
    assert_eq!((verdict.score, verdict.result), (Some(score), result));
    assert_eq!(verdict.message, message);
    let as_key = judge(&with_policy(policy, true), &values, &[]);
    assert_eq!(
        as_key.result == Outcome::Fail,
        policy == "fail",
        "{}",
        as_key.message
    );
}

#[rstest]
#[case("fail")]
#[case("warn")]
#[case("ignore")]
#[case("inconclusive")]
fn a_policy_means_nothing_where_there_is_a_value(#[case] policy: &str) {
    let values = measured(&[("good", 0.0), ("lost", 5.0)]);
    let verdict = judge(&with_policy(policy, false), &values, &[]);
    assert_eq!((verdict.score, verdict.result), (Some(80.0), Outcome::Warning));
}

#[test]
fn without_an_indispensable_value_there_is_no_verdict() {
    let values = measured(&[("good", 0.0)]);
    let open = super::judge(&with_policy("inconclusive", false), &values, &[]).unwrap_err();
    let expected = ("lost".to_owned(), "no value received".to_owned());
    assert_eq!(open, Unmeasured(vec![expected]));
}

#[test]
fn a_gate_that_ignores_everything_has_verified_nothing() {
    let mut lost = objective("lost", &[&["<1"]], &[]);
    lost.missing = Some("ignore".to_owned());
    let gate = parse(&body(vec![lost, objective("shown", &[], &[])])).unwrap();
    let verdict = judge(&gate, &measured(&[("shown", 1.0)]), &[]);
    assert_eq!(
        (verdict.result, verdict.reason, verdict.score),
        (Outcome::Warning, "Unverified", None)
    );
    assert!(
        verdict.message.ends_with("; lost: no value received"),
        "{}",
        verdict.message
    );
    assert_eq!(verdict.indicators.len(), 2);
}

#[test]
fn without_an_objective_nothing_was_verified() {
    let verdict = unverified();
    assert_eq!(
        (verdict.result, verdict.reason, verdict.score),
        (Outcome::Warning, "Unverified", None)
    );
}
