//! Many odd messages for what reads Alertmanager's.

use proptest::{prelude::*, test_runner::TestCaseError};
use serde_json::{Value, json};

use super::{fold, matcher::Matcher, problem, route, webhook};
use crate::{
    api::{ProblemEventStatus, alertroute::AlertRouteSpec},
    core::fuzzing::{BY_HAND, run},
    core::names::is_dns_label,
};

const ALWAYS: u32 = 2_000;

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z]{0,8}",
        "[A-Za-z0-9_.:-]{0,30}",
        any::<String>(),
        "[é\u{1F600}]{0,400}"
    ]
}

fn odd() -> impl Strategy<Value = Value> {
    prop_oneof![
        4 => text().prop_map(Value::from),
        1 => any::<f64>().prop_map(|n| json!(n)),
        1 => Just(Value::Null),
        1 => Just(json!({"a": []})),
    ]
}

fn alerts() -> impl Strategy<Value = Vec<u8>> {
    let names = prop_oneof![
        Just("project"),
        Just("stage"),
        Just("service"),
        Just("alertname"),
        Just("pod"),
        Just("x")
    ];
    let labels = proptest::collection::btree_map(names, text(), 0..7);
    let time = prop_oneof![
        "20[0-9]{2}-0[1-9]-[0-2][1-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,9})?Z",
        "-?[0-9]{4,6}-01-01T00:00:00Z",
        text(),
    ];
    let alert = (
        prop_oneof![Just("firing"), Just("resolved"), Just("x")],
        labels,
        text(),
        time,
        text(),
        odd(),
    );
    let alert = alert.prop_map(|(status, labels, summary, starts, print, more)| {
        json!({"status": status, "labels": labels, "annotations": {"summary": summary}, "startsAt": starts,
            "endsAt": starts, "fingerprint": print, "generatorURL": summary, "odd": more})
    });
    let whole = proptest::collection::vec(alert, 0..5).prop_map(|alerts| {
        json!({"version": "4", "truncatedAlerts": 1, "alerts": alerts})
            .to_string()
            .into_bytes()
    });
    let whole = whole.boxed();
    prop_oneof![
        8 => whole.clone(),
        1 => proptest::collection::vec(any::<u8>(), 0..200),
        1 => (whole, any::<prop::sample::Index>()).prop_map(|(bytes, at)| bytes[..at.index(bytes.len())].to_vec()),
        1 => odd().prop_map(|value| json!({"alerts": [value]}).to_string().into_bytes()),
    ]
}

/// A body is refused with a remedy, or each of its alerts is refused with one, or is a problem that can be stored.
fn an_alert_is_refused_or_a_problem(body: Vec<u8>) -> Result<(), TestCaseError> {
    let Ok(message) = webhook::read(&body) else {
        return Ok(());
    };
    let mut status = ProblemEventStatus::default();
    for alert in &message.alerts {
        if fold::hear(&mut status, alert) {
            prop_assert!(fold::knows(&status, alert), "what was heard is known");
        }
        let again = status.clone();
        prop_assert!(!fold::hear(&mut status, alert));
        prop_assert_eq!(&again, &status);
        prop_assert!(fold::firing(&status).is_none_or(|n| n <= message.alerts.len()));
        let Ok(of) = route::map(&AlertRouteSpec::default(), alert) else {
            continue;
        };
        let opened = problem::open(&of, "n", "", alert);
        let spec = &opened.spec;
        for name in [&spec.project, &spec.stage, &spec.service] {
            prop_assert!(is_dns_label(name) && name.len() <= 43);
        }
        prop_assert!((1..=253).contains(&spec.problem.problem_title.len()));
        let name = opened.metadata.name.clone().unwrap_or_default();
        prop_assert!(is_dns_label(&name) && name.len() <= 52);
        let size = serde_json::to_string(&opened.spec).unwrap().len();
        prop_assert!(size < 64 * 1024, "{}", size);
    }
    Ok(())
}

#[test]
fn alerts_are_refused_or_problems() {
    run(ALWAYS, alerts(), an_alert_is_refused_or_a_problem);
}

#[test]
#[ignore = "a million inputs: by hand (make fuzz)"]
fn a_million_alerts_are_refused_or_problems() {
    run(BY_HAND, alerts(), an_alert_is_refused_or_a_problem);
}

/// A matcher is refused with the shape that it must have, or it answers, and its negation answers otherwise.
fn a_matcher_is_refused_or_answers(
    (label, sign, value): (String, &'static str, String),
) -> Result<(), TestCaseError> {
    let parse = |sign: &str| Matcher::parse(&format!("{label}{sign}\"{value}\""));
    let opposite = if sign == "=" { "!=" } else { "!~" };
    if let (Ok(yes), Ok(no)) = (parse(sign), parse(opposite)) {
        for labels in [vec![], vec![(label.trim().to_owned(), value.clone())]] {
            let labels = labels.into_iter().collect();
            prop_assert_ne!(yes.fits(&labels), no.fits(&labels));
        }
    }
    Ok(())
}

#[test]
fn matchers_are_refused_or_answer() {
    run(
        ALWAYS,
        (text(), prop_oneof![Just("="), Just("=~")], text()),
        a_matcher_is_refused_or_answers,
    );
}

#[test]
#[ignore = "a million inputs: by hand (make fuzz)"]
fn a_million_matchers_are_refused_or_answer() {
    run(
        BY_HAND,
        (text(), prop_oneof![Just("="), Just("=~")], text()),
        a_matcher_is_refused_or_answers,
    );
}
