use rstest::rstest;

use super::*;
use crate::{
    api::{condition_is, evaluation::IndicatorQuery},
    core::evaluation::testing::{at, body, evaluation, objective},
};

fn started() -> Timestamp {
    at("2026-01-31T12:02:00Z")
}

fn ended() -> Timestamp {
    at("2026-01-31T12:02:01Z")
}

fn asks(query: &str) -> Evaluation {
    let mut evaluation = evaluation(Some(body(vec![
        objective("rt", &[&["<=400"]], &[]),
        objective("unknown", &[&["<1"]], &[]),
    ])));
    let query = IndicatorQuery {
        query: query.to_owned(),
        provider: "prom".to_owned(),
        ..IndicatorQuery::default()
    };
    evaluation.spec.indicators.insert("rt".to_owned(), query);
    evaluation
}

fn end(evaluation: &Evaluation, finding: &Finding) -> EvaluationStatus {
    decide(evaluation, finding, &[], started(), ended())
}

fn unavailable() -> Trouble {
    Trouble::ProviderUnavailable {
        indicator: "rt".to_owned(),
        why: "MetricsProvider prom (prom:9090): connection refused".to_owned(),
        tries: 9,
        over: Duration::from_secs(60),
    }
}

#[test]
fn asks_each_indicator_that_has_a_query() {
    let Asking::Queries { queries, missing, .. } = ask(&asks("x{s='$SERVICE'}")) else {
        panic!()
    };
    let expected = Query {
        provider: "prom".to_owned(),
        query: "x{s='web'}".to_owned(),
        reduce: None,
        range: None,
    };
    assert_eq!(queries, BTreeMap::from([("rt".to_owned(), expected)]));
    assert!(matches!(&missing["unknown"], Measured::Missing(why) if why.contains("ServiceLevelIndicator")));
}

#[test]
fn a_verdict_ends_it() {
    let evaluation = asks("x");
    let Asking::Queries {
        gate,
        missing: mut values,
        ..
    } = ask(&evaluation)
    else {
        panic!()
    };
    values.insert("rt".to_owned(), Measured::Value(412.0));
    let status = end(
        &evaluation,
        &Finding::Measured {
            gate,
            values,
            warnings: BTreeMap::new(),
        },
    );
    assert_eq!(
        (status.phase.as_str(), status.result.as_deref(), status.score),
        ("Failed", Some("fail"), Some(0.0))
    );
    assert!(
        status
            .message
            .starts_with("fail: 0 of 100; rt 412 > 400; unknown: no Service"),
        "{}",
        status.message
    );
    assert!(status.done && status.observed_generation == Some(1));
    assert!(condition_is(&status.conditions, "Ready", "True"));
    assert!(condition_is(&status.conditions, "Succeeded", "False"));
    assert_eq!(read(Some(&status)), Reading::Verdict(Outcome::Fail, Some(0.0)));
}

#[test]
fn without_an_objective_it_succeeds_with_a_warning() {
    let evaluation = evaluation(None);
    let Asking::Nothing(finding) = ask(&evaluation) else {
        panic!()
    };
    let status = end(&evaluation, &finding);
    assert_eq!(
        (status.phase.as_str(), status.reason.as_str()),
        ("Succeeded", "Unverified")
    );
    assert!(condition_is(&status.conditions, "Succeeded", "True"));
    assert_eq!(read(Some(&status)), Reading::Verdict(Outcome::Warning, None));
}

#[test]
fn a_criterion_that_does_not_parse_is_told_with_its_path() {
    let evaluation = evaluation(Some(body(vec![objective("rt", &[&["<5ms"]], &[])])));
    let Asking::Nothing(finding) = ask(&evaluation) else {
        panic!()
    };
    let status = end(&evaluation, &finding);
    assert_eq!(
        (status.phase.as_str(), status.reason.as_str()),
        ("Inconclusive", "InvalidObjective")
    );
    assert!(
        status
            .message
            .contains("spec.objective.objectives[0].pass[0].criteria[0]"),
        "{}",
        status.message
    );
    assert!(condition_is(&status.conditions, "Stalled", "True"));
    assert!(condition_is(&status.conditions, "Ready", "False"));
    assert_eq!(
        read(Some(&status)),
        Reading::Inconclusive {
            worth_retrying: false
        }
    );
}

#[test]
fn a_placeholder_without_a_value_is_told() {
    let Asking::Nothing(Finding::Trouble(trouble)) = ask(&asks("x{s='$LABEL.build'}")) else {
        panic!()
    };
    assert_eq!(trouble.reason(), "InvalidQuery");
    assert!(
        trouble.to_string().contains("the run has no label \"build\""),
        "{trouble}"
    );
}

#[test]
fn a_provider_that_can_not_be_asked_is_no_verdict() {
    let status = end(&asks("x"), &Finding::Trouble(unavailable()));
    assert_eq!(
        (status.phase.as_str(), &status.result, status.score),
        ("Inconclusive", &None, None)
    );
    assert_eq!(
        status.message,
        "inconclusive: could not measure rt: MetricsProvider prom (prom:9090): connection refused \
         (asked 9 times over 1m)"
    );
    assert!(condition_is(&status.conditions, "Ready", "True"));
    assert!(condition_is(&status.conditions, "Succeeded", "False"));
    assert!(!status.conditions.iter().any(|c| c.type_ == "Stalled"));
    assert_eq!(
        read(Some(&status)),
        Reading::Inconclusive { worth_retrying: true }
    );
}

#[test]
fn what_has_not_ended_is_pending() {
    assert_eq!(read(None), Reading::Pending);
    assert_eq!(read(Some(&EvaluationStatus::default())), Reading::Pending);
}

#[test]
fn the_same_finding_gives_the_same_status_again() {
    let mut evaluation = asks("x");
    let first = end(&evaluation, &Finding::Trouble(unavailable()));
    evaluation.status = Some(first.clone());
    assert_eq!(end(&evaluation, &Finding::Trouble(unavailable())), first);
}

#[test]
fn what_a_provider_remarks_is_kept_in_bounds() {
    let evaluation = asks("x");
    let Asking::Queries {
        gate, mut missing, ..
    } = ask(&evaluation)
    else {
        panic!()
    };
    missing.insert("rt".to_owned(), Measured::Value(300.0));
    let mut said = vec!["PromQL info: metric might not be a counter".to_owned()];
    said.extend((0..6).map(|i| format!("{i} {}", "ä".repeat(300))));
    let finding = Finding::Measured {
        gate,
        values: missing,
        warnings: BTreeMap::from([("rt".to_owned(), said)]),
    };
    let status = end(&evaluation, &finding);
    let kept = &status.indicators[0].warnings;
    let lengths: Vec<usize> = kept.iter().map(|text| text.chars().count()).collect();
    assert_eq!(lengths, [42, 256, 256, 256, 256]);
    assert!(status.indicators[1].warnings.is_empty());
    let message = &status.message;
    assert!(
        message.contains("; warning about rt: 0 ää") && message.ends_with("ä… (and 3 more)"),
        "{message}"
    );
    assert!(message.chars().count() < 500, "{message}");
}

#[rstest]
#[case::named("prom", &["prom", "other"], &[], Ok(Chosen::Own("prom")))]
#[case::the_only_one("", &["prom"], &["all"], Ok(Chosen::Own("prom")))]
#[case::the_default("", &[], &["all"], Ok(Chosen::Default("all")))]
#[case::none("", &[], &[], Err("no MetricsProvider; create one, or mark one of the operator's namespace"))]
#[case::several_defaults("", &[], &["a", "b"], Err("2 of the operator's namespace are marked as the default for all (a, b)"))]
#[case::a_name_is_never_replaced("prom", &[], &["prom"], Err("no MetricsProvider prom; create one"))]
#[case::several("", &["a", "b"], &["all"], Err("set its spec.provider.name"))]
#[case::another("prom", &["a", "b"], &["all"], Err("there is a, b"))]
fn which_provider_answers(
    #[case] named: &str,
    #[case] existing: &[&str],
    #[case] defaults: &[&str],
    #[case] expected: Result<Chosen<'_>, &str>,
) {
    let set = |names: &[&str]| names.iter().map(|&n| n.to_owned()).collect();
    let (existing, defaults) = (set(existing), set(defaults));
    match (choose_provider(named, &existing, &defaults), expected) {
        (Ok(got), Ok(expected)) => assert_eq!(got, expected),
        (Err(got), Err(expected)) => assert!(got.contains(expected), "{got}"),
        (got, expected) => panic!("{got:?} instead of {expected:?}"),
    }
}

#[rstest]
#[case(None, 60)]
#[case(Some(0), 0)]
#[case(Some(5), 5)]
#[case(Some(86_400), 600)]
fn grace_is_bounded(#[case] written: Option<u64>, #[case] secs: u64) {
    let mut evaluation = evaluation(None);
    evaluation.spec.grace = written.map(Duration::from_secs);
    assert_eq!(grace(&evaluation), Duration::from_secs(secs));
}

#[rstest]
#[case(0, 1, Some(1))]
#[case(1, 2, Some(2))]
#[case(3, 3, Some(4))]
#[case(7, 4, Some(8))]
#[case(15, 5, Some(10))]
#[case(55, 9, Some(5))]
#[case(60, 10, None)]
#[case(75, 10, None)]
fn waits_double_and_end_with_the_grace(#[case] since: i64, #[case] tries: u32, #[case] wait: Option<u64>) {
    let now = started() + jiff::SignedDuration::from_secs(since);
    let grace = Duration::from_secs(60);
    assert_eq!(
        ask_again(started(), tries, grace, now),
        wait.map(Duration::from_secs)
    );
}

#[test]
fn without_grace_nobody_is_asked_again() {
    assert_eq!(ask_again(started(), 1, Duration::from_secs(0), started()), None);
}
