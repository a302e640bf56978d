//! Many odd files for the readers: Keptn's own with a part exchanged, and broken texts.

use proptest::{
    prelude::*,
    sample::{Index, select},
    test_runner::TestCaseError,
};
use serde_json::{Value, json};

use super::*;
use crate::core::{
    definitions::validate,
    fuzzing::{BY_HAND, run},
};

const ALWAYS: u32 = 500;

const FILES: [(Kind, &str); 6] = [
    (
        Kind::Shipyard,
        include_str!("../../examples/tutorial/v1/shipyard.yaml"),
    ),
    (
        Kind::Remediation,
        include_str!("../../examples/tutorial/v1/remediation.yaml"),
    ),
    (
        Kind::JobConfig,
        include_str!("../../examples/tutorial/v1/job/config.yaml"),
    ),
    (
        Kind::Objective,
        "{spec_version: '1.0', comparison: {compare_with: single_result, aggregate_function: avg}, objectives: [{sli: a, \
         pass: [{criteria: ['<=+10%', <600]}], warning: [{criteria: [<=800]}], weight: 2, key_sli: true}], \
         total_score: {pass: 90%, warning: 75%}}",
    ),
    (
        Kind::Indicator,
        "{spec_version: '1.0', indicators: {a: up, b: 1.50, c: {query: up, reduce: sum}}}",
    ),
    (
        Kind::Event,
        "{specversion: '1.0', type: sh.keptn.event.s.delivery.triggered, source: x, id: i, data: {project: p, stage: s, \
         service: v, labels: {a: b}}}",
    ),
];

/// A file, and what is done to it.
#[derive(Clone, Debug)]
struct Odd {
    kind: Kind,
    bytes: Vec<u8>,
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(|number| json!(number)),
        select(vec![
            "",
            "5m",
            "~",
            "<<",
            "*",
            "$.data.x",
            "0x1",
            "2026-01-01",
            "fail",
            "test"
        ])
        .prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 10, 3, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            proptest::collection::btree_map("[a-z]{1,5}|name|tasks|<<", inner, 0..3).prop_map(|m| json!(m)),
        ]
    })
}

/// The number of a value's parts, itself apart.
fn parts(value: &Value) -> usize {
    let below = |value: &Value| 1 + parts(value);
    match value {
        Value::Object(fields) => fields.values().map(below).sum(),
        Value::Array(items) => items.iter().map(below).sum(),
        _ => 0,
    }
}

/// Puts another value in place of one of the parts.
fn exchange(value: &mut Value, at: &mut usize, new: &Value) {
    let below = |part: &mut Value| {
        if *at == 0 {
            *part = new.clone();
        }
        *at = at.wrapping_sub(1);
        exchange(part, at, new);
    };
    match value {
        Value::Object(fields) => fields.values_mut().for_each(below),
        Value::Array(items) => items.iter_mut().for_each(below),
        _ => {}
    }
}

fn files() -> impl Strategy<Value = Odd> {
    let exchanged = (
        select(FILES.to_vec()),
        proptest::collection::vec((any::<Index>(), value()), 1..3),
    );
    let exchanged = exchanged.prop_map(|((kind, text), changes)| {
        let mut file: Value = serde_yaml::from_str(text).unwrap();
        for (at, new) in changes {
            let mut at = at.index(parts(&file).max(1));
            exchange(&mut file, &mut at, &new);
        }
        (kind, serde_yaml::to_string(&file).unwrap().into_bytes())
    });
    let broken = (
        select(FILES.to_vec()),
        any::<Index>(),
        "[\\[\\]{}:,&*!|>'\"#%@` \n\t-]{1,3}|\\PC{1,3}|<<: ",
    );
    let broken = broken.prop_map(|((kind, text), at, noise)| {
        let at = text.floor_char_boundary(at.index(text.len()));
        (
            kind,
            format!("{}{noise}{}", &text[..at], &text[at..]).into_bytes(),
        )
    });
    let noise = (
        select(FILES.to_vec()),
        proptest::collection::vec(any::<u8>(), 0..200),
    );
    prop_oneof![
        6 => exchanged,
        3 => broken,
        1 => noise.prop_map(|((kind, _), noise)| (kind, noise)),
    ]
    .prop_map(|(kind, bytes)| Odd { kind, bytes })
}

/// A file is refused with what is wrong with it, or what is read of it can be checked; twice the same.
fn a_file_is_refused_or_read(odd: Odd) -> Result<(), TestCaseError> {
    let Odd { kind, bytes } = odd;
    let scope = Scope {
        project: "p".to_owned(),
        stage: Some("s".to_owned()),
        service: Some("v".to_owned()),
    };
    let read = || match kind {
        Kind::Shipyard => {
            shipyard("f", &bytes).map(|spec| (json!(spec), validate::shipyard(&Shipyard::new("n", spec))))
        }
        Kind::Remediation => remediation("f", &bytes, &scope)
            .map(|spec| (json!(spec), validate::remediation(&Remediation::new("n", spec)))),
        Kind::JobConfig => job_config("f", &bytes, &scope)
            .map(|spec| (json!(spec), validate::job_config(&JobConfig::new("n", spec)))),
        Kind::Objective => objective("f", &bytes, &scope).map(|spec| {
            (
                json!(spec),
                validate::objective(&ServiceLevelObjective::new("n", spec)),
            )
        }),
        Kind::Indicator => indicator("f", &bytes, &scope).map(|spec| {
            (
                json!(spec),
                validate::indicator(&ServiceLevelIndicator::new("n", spec)),
            )
        }),
        Kind::Event => event("f", &bytes).map(|event| (json!(event.data), vec![])),
    };
    let first = read();
    prop_assert_eq!(&first, &read());
    match first {
        Ok((_, wrong)) => {
            prop_assert!(
                wrong.iter().all(|w| !w.path.is_empty() && !w.message.is_empty()),
                "{:?}",
                wrong
            );
        }
        Err(errors) => {
            prop_assert!(!errors.0.is_empty());
            let told = errors.to_string();
            prop_assert!(
                told.lines().next().is_some_and(|line| line.contains('f')),
                "{}",
                told
            );
        }
    }
    Ok(())
}

#[test]
fn files_are_refused_or_read() {
    run(ALWAYS, files(), a_file_is_refused_or_read);
}

#[test]
#[ignore = "a million inputs: by hand (make fuzz)"]
fn a_million_files_are_refused_or_read() {
    run(BY_HAND, files(), a_file_is_refused_or_read);
}
