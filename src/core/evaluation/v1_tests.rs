//! What becomes of the special cases of Keptn v1's quality gate: `as_v1`, or `by_design` with the reason.

use std::collections::BTreeMap;

use rstest::rstest;

use super::{
    Asking, Finding, Measured, Trouble, ask, decide,
    score::Outcome,
    testing::{any_of, at, body, evaluation, objective},
};
use crate::api::{
    Duration, EvaluationStatus,
    evaluation::{IndicatorQuery, Target},
    slo::{self, SloBody, TotalScore},
};

fn end(objective: Option<SloBody>, finding: Finding, past: &[super::Past]) -> EvaluationStatus {
    let now = at("2026-01-31T12:02:01Z");
    decide(&evaluation(objective), &finding, past, now, now)
}

/// The Evaluation of this objective, when these values came back.
fn judged(objective: SloBody, values: &[(&str, f64)], past: &[super::Past]) -> EvaluationStatus {
    let evaluation = evaluation(Some(objective.clone()));
    let finding = match ask(&evaluation) {
        Asking::Nothing(finding) => finding,
        Asking::Queries { gate, .. } => Finding::Measured {
            warnings: BTreeMap::new(),
            gate,
            values: values
                .iter()
                .map(|(sli, value)| ((*sli).to_owned(), Measured::Value(*value)))
                .collect(),
        },
    };
    end(Some(objective), finding, past)
}

fn one(pass: &[&[&str]], warning: &[&[&str]]) -> SloBody {
    body(vec![objective("rt", pass, warning)])
}

/// Phase, result, score, reason.
type Came<'a> = (&'a str, Option<&'a str>, Option<f64>, &'a str);

fn came(status: &EvaluationStatus) -> Came<'_> {
    (
        &status.phase,
        status.result.as_deref(),
        status.score,
        &status.reason,
    )
}

const INVALID: Came<'_> = ("Inconclusive", None, None, "InvalidObjective");

/// v1: pass with score 0, "no SLO file configured". It reads as if somebody had looked.
#[test]
fn a_by_design_without_an_objective_it_warns() {
    let status = end(None, Finding::NoObjective, &[]);
    assert_eq!(came(&status), ("Succeeded", Some("warning"), None, "Unverified"));
}

/// v1: b pass with score 0; d and e errored, and so failed, which let a remediation go on to its next action for a
/// reason that says nothing about the service.
#[rstest]
#[case::b_by_design_no_provider(
    Trouble::ProviderMissing { indicator: "rt".to_owned(), why: "none".to_owned() }, "ProviderMissing")]
#[case::d_by_design_provider_in_trouble(
    Trouble::ProviderUnavailable { indicator: "rt".to_owned(), why: "down".to_owned(), tries: 2, over: Duration::from_secs(60) },
    "ProviderUnavailable")]
#[case::d_by_design_query_refused(
    Trouble::InvalidQuery { indicator: "rt".to_owned(), why: "parse error".to_owned() }, "InvalidQuery")]
fn what_could_not_be_asked_is_no_verdict(#[case] trouble: Trouble, #[case] reason: &str) {
    let status = end(Some(one(&[&["<1"]], &[])), Finding::Trouble(trouble), &[]);
    assert_eq!(came(&status), ("Inconclusive", None, None, reason));
}

fn totalled(pass: Option<&str>) -> SloBody {
    SloBody {
        total_score: pass.map(|pass| TotalScore {
            pass: pass.to_owned(),
            warning: None,
        }),
        ..one(&[&["<1"]], &[])
    }
}

fn twice() -> SloBody {
    body(vec![
        objective("rt", &[&["<1"]], &[]),
        objective("rt", &[&["<2"]], &[]),
    ])
}

fn without_criteria() -> SloBody {
    let mut empty = objective("rt", &[], &[]);
    empty.pass = any_of(&[&[]]);
    body(vec![empty])
}

fn key(objectives: &[&str]) -> SloBody {
    let keys = objectives.iter().map(|sli| slo::Objective {
        key_sli: true,
        ..objective(sli, &[&["<1"]], &[])
    });
    body(keys.chain([objective("rest", &[&["<1"]], &[])]).collect())
}

#[rstest]
// v1 failed the evaluation: the gate's own mistake counted against the service.
#[case::c_by_design_not_understood(one(&[&["fast"]], &[]), &[("rt", 0.0)], INVALID)]
// v1: fail with score 0, "error with …".
#[case::by_design_broken_pass_criterion(one(&[&["<5ms"]], &[]), &[("rt", 0.0)], INVALID)]
// v1: never satisfied, and nobody was told.
#[case::by_design_broken_warning_criterion(one(&[&["<5"]], &[&["<5ms"]]), &[("rt", 0.0)], INVALID)]
// v1: the second objective found no value left.
#[case::by_design_the_same_indicator_twice(twice(), &[("rt", 0.0)], INVALID)]
// v1: satisfied, but its score was not counted.
#[case::by_design_no_criteria(without_criteria(), &[("rt", 0.0)], INVALID)]
// v1: result fail, status errored, as every mistake in the file.
#[case::h_by_design_no_target_score(totalled(None), &[("rt", 0.0)], INVALID)]
#[case::h_by_design_target_score_is_no_number(totalled(Some("most")), &[("rt", 0.0)], INVALID)]
// v1 took the computed score, but forced the run's result to fail; here the policy for missing values says it.
#[case::f_as_v1_nothing_had_a_value(one(&[&["<1"]], &[]), &[], ("Failed", Some("fail"), Some(0.0), "ScoreTooLow"))]
#[case::g_as_v1_no_objectives(body(vec![]), &[("rt", 0.0)], ("Failed", Some("fail"), Some(0.0), "NoObjectives"))]
#[case::i_as_v1_only_informational(one(&[], &[]), &[("rt", 0.0)], ("Succeeded", Some("pass"), Some(100.0), "Passed"))]
#[case::as_v1_only_warning_criteria(one(&[], &[&["<1"]]), &[("rt", 9.0)], ("Succeeded", Some("pass"), Some(100.0), "Passed"))]
#[case::as_v1_narrower_warning(one(&[&["<5"]], &[&["<1"]]), &[("rt", 9.0)], ("Failed", Some("fail"), Some(0.0), "ScoreTooLow"))]
#[case::as_v1_a_value_nobody_asked_for(one(&[&["<5"]], &[]), &[("rt", 1.0), ("x", 9.0)], ("Succeeded", Some("pass"), Some(100.0), "Passed"))]
#[case::as_v1_key_without_value(key(&["a"]), &[("rest", 0.0)], ("Failed", Some("fail"), Some(50.0), "KeyIndicatorFailed"))]
fn special_outcomes(#[case] objective: SloBody, #[case] values: &[(&str, f64)], #[case] expected: Came<'_>) {
    let status = judged(objective, values, &[]);
    assert_eq!(came(&status), expected, "{}", status.message);
}

/// v1 named the last one only, and nothing where it had no display name.
#[test]
fn by_design_every_failed_key_indicator_is_named() {
    let status = judged(key(&["a", "b"]), &[("a", 7.0), ("b", 8.0), ("rest", 0.0)], &[]);
    assert!(
        status.message.contains("a 7 >= 1 (key); b 8 >= 1 (key)"),
        "{}",
        status.message
    );
}

/// v1's own integration test: without history relative criteria pass with target 0; the next run compares.
#[test]
fn as_v1_the_first_run_is_the_baseline_of_the_second() {
    let gate = || {
        body(vec![
            objective("a", &[&["<=+75%"]], &[&["<=+100%"]]),
            objective("b", &[&[">=-80%"]], &[]),
            objective("c", &[&["<=+75%"]], &[]),
        ])
    };
    // Written as text: these are whole numbers.
    let shown = |targets: &[Target]| targets[0].target_value.to_string();
    let values = [("a", 200.0), ("b", 200.0), ("c", 0.0)];
    let first = judged(gate(), &values, &[]);
    assert_eq!((first.score, first.no_baseline), (Some(100.0), true));
    assert!(first.indicators.iter().all(|i| shown(&i.pass_targets) == "0"));
    let past = super::Past {
        name: "first".to_owned(),
        result: Outcome::Pass,
        sequence: None,
        values: values.iter().map(|(k, v)| ((*k).to_owned(), *v)).collect(),
    };
    let second = judged(gate(), &values, &[past]);
    let of = |i: usize| &second.indicators[i];
    assert_eq!(shown(&of(0).pass_targets), "350");
    assert_eq!(shown(&of(0).warning_targets), "400");
    assert_eq!(shown(&of(1).pass_targets), "40");
    assert_eq!((second.score, second.no_baseline), (Some(100.0), false));
    assert_eq!(second.compared_with, ["first"]);
}

/// A missing value that must be there ends it as a provider that can't be asked does.
#[test]
fn by_design_an_indispensable_value_that_is_missing_is_no_verdict() {
    let strict = |sli: &str| slo::Objective {
        missing: Some("inconclusive".to_owned()),
        ..objective(sli, &[&["<1"]], &[])
    };
    let body = body(vec![
        strict("rt"),
        strict("other"),
        objective("bad", &[&["<1"]], &[]),
    ]);
    let mut asked = evaluation(Some(body));
    let query = |query: &str| IndicatorQuery {
        query: query.to_owned(),
        provider: String::new(),
        ..IndicatorQuery::default()
    };
    asked.spec.indicators = BTreeMap::from([("rt".to_owned(), query("x")), ("bad".to_owned(), query("y"))]);
    let Asking::Queries { gate, missing, .. } = ask(&asked) else {
        panic!("nothing is asked")
    };
    let mut values = missing;
    values.insert(
        "rt".to_owned(),
        Measured::Missing("the query gives no values".to_owned()),
    );
    values.insert("bad".to_owned(), Measured::Value(9.0));
    let now = at("2026-01-31T12:02:01Z");
    let status = decide(
        &asked,
        &Finding::Measured {
            gate,
            values,
            warnings: BTreeMap::new(),
        },
        &[],
        now,
        now,
    );
    assert_eq!(came(&status), ("Inconclusive", None, None, "ValueMissing"));
    assert!(
        status.message.starts_with(
            "inconclusive: no value, and no verdict without one (missing: inconclusive): \
             rt: the query gives no values; other: no ServiceLevelIndicator"
        ),
        "{}",
        status.message
    );
    assert_eq!(
        super::decide::read(Some(&status)),
        super::Reading::Inconclusive { worth_retrying: true }
    );
    assert!(!status.conditions.iter().any(|c| c.type_ == "Stalled"));
}
