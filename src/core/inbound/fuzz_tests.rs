//! Many odd requests for what reads CloudEvents.

use std::collections::BTreeMap;

use proptest::{prelude::*, test_runner::TestCaseError};
use serde_json::{Value, json};

use super::{Ask, ask, cloudevent, context};
use crate::core::{
    fuzzing::{BY_HAND, run},
    names::is_dns_label,
};

const ALWAYS: u32 = 2_000;

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z]{1,8}",
        "[A-Za-z0-9_.%:-]{0,30}",
        any::<String>(),
        "[é\u{1F600}]{0,400}"
    ]
}

fn types() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "(sh[.]keptn[.]event[.])?[a-z]{1,4}[.]([a-z]{1,4}[.])?(triggered|started|finished)",
        2 => "sh[.]keptn[.]event[.](s[.])?(evaluation|approval|heal)[.](triggered|started|finished|invalidated)",
        1 => text(),
    ]
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        text().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(|n| json!(n)),
        any::<bool>().prop_map(Value::from),
        Just(Value::Null),
        Just(json!("2026-01-01T00:00:00")),
        Just(json!("5m")),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            proptest::collection::btree_map(
                prop_oneof![Just("start".to_owned()), Just("problemTitle".to_owned()), text()],
                inner,
                0..3
            )
            .prop_map(|m| json!(m)),
        ]
    })
}

fn events() -> impl Strategy<Value = Value> {
    let names = prop_oneof![
        Just("problem"),
        Just("labels"),
        Just("evaluation"),
        Just("result"),
        Just("status"),
        Just("message"),
        Just("x"),
    ];
    let data = proptest::collection::btree_map(names, value(), 0..6);
    let place = prop_oneof![4 => Just(true), 1 => Just(false)];
    (
        types(),
        proptest::option::of(text()),
        text(),
        proptest::option::of(text()),
        data,
        place,
        value(),
    )
        .prop_map(|(type_, id, source, context, data, placed, odd)| {
            let mut data = json!(data);
            if placed {
                let stage = type_.split('.').nth(3).unwrap_or("s").to_owned();
                for (name, value) in [("project", "p"), ("stage", stage.as_str()), ("service", "v")] {
                    data[name] = value.into();
                }
            }
            json!({"specversion": "1.0", "type": type_, "id": id, "source": source, "shkeptncontext": context,
                "triggeredid": context, "data": data, "odd": odd})
        })
}

/// What came over the wire: the headers and the body.
type Request = (BTreeMap<String, String>, Vec<u8>);

fn requests() -> impl Strategy<Value = Request> {
    let headers = |content: &str| BTreeMap::from([("content-type".to_owned(), content.to_owned())]);
    let binary = events().prop_map(move |event| {
        let mut found = headers("application/json");
        for (name, value) in event.as_object().unwrap() {
            if let Some(text) = value.as_str() {
                found.insert(format!("ce-{name}"), text.to_owned());
            }
        }
        (found, event["data"].to_string().into_bytes())
    });
    let content = || {
        prop_oneof![
            Just("application/cloudevents+json"),
            Just("application/cloudevents-batch+json"),
            Just("application/json"),
            Just("text/plain"),
            Just(""),
        ]
    };
    prop_oneof![
        4 => (content(), events()).prop_map(move |(c, e)| (headers(c), e.to_string().into_bytes())),
        2 => (content(), proptest::collection::vec(events(), 0..4)).prop_map(move |(c, e)| (headers(c), json!(e).to_string().into_bytes())),
        3 => binary,
        1 => (content(), proptest::collection::vec(any::<u8>(), 0..100)).prop_map(move |(c, b)| (headers(c), b)),
        1 => (content(), value()).prop_map(move |(c, v)| (headers(c), v.to_string().into_bytes())),
    ]
}

/// A request is refused with the field and the remedy, or each event is, or asks for something that can be stored; and the
/// same request asks for the same.
fn an_event_is_refused_or_asks((headers, body): Request) -> Result<(), TestCaseError> {
    let read = || cloudevent::read(|name| headers.get(name).map(String::as_str), &body);
    let received = match read() {
        Ok(received) => received,
        Err(wrong) => {
            prop_assert!(
                !wrong.is_empty() && wrong.iter().all(|w| !w.path.is_empty() && !w.message.is_empty())
            );
            return Ok(());
        }
    };
    for event in &received.events {
        let asked = ask(event, "fresh");
        prop_assert_eq!(&asked, &ask(event, "fresh"));
        let (asked, flow) = match asked {
            Ok(asked) => asked,
            Err(wrong) => {
                prop_assert!(!wrong.path.is_empty());
                continue;
            }
        };
        prop_assert!(context::is_uuid(&flow));
        let name = match &asked {
            Ask::Problem(o) => o.metadata.name.clone(),
            Ask::Run(o) => o.metadata.name.clone(),
            Ask::Evaluation(o) => o.metadata.name.clone(),
            Ask::Task(said) => Some(said.name.clone()),
            Ask::Answer(_) => continue,
        };
        let name = name.unwrap_or_default();
        prop_assert!(is_dns_label(&name) && name.len() <= 52, "{}", name);
        prop_assert!(is_dns_label(asked.project()));
    }
    Ok(())
}

#[test]
fn events_are_refused_or_ask() {
    run(ALWAYS, requests(), an_event_is_refused_or_asks);
}

#[test]
#[ignore = "a million inputs: by hand (make fuzz)"]
fn a_million_events_are_refused_or_ask() {
    run(BY_HAND, requests(), an_event_is_refused_or_asks);
}
