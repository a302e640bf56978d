//! A run's payload: what was handed in at its start, and what each task adds.

use serde::Serialize;
use serde_json::{Value, json};
use thiserror::Error;

use crate::api::{SequenceExecutionSpec, common::Object, shipyard::Task};

/// The most bytes, as JSON, of an execution's `spec.data`.
pub const DATA_MAX: usize = 16 * 1024;
/// The most bytes, as JSON, of an execution's `status.payload`.
pub const PAYLOAD_MAX: usize = 32 * 1024;
/// The most bytes, as JSON, of an execution's `status.plan`.
pub const PLAN_MAX: usize = 32 * 1024;

/// Something that is too large to be kept in an execution.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub enum TooLarge {
    /// `spec.data`.
    #[error(
        "spec.data has {0} bytes, at most {DATA_MAX} are allowed: keep large values elsewhere and pass a link"
    )]
    Data(usize),
    /// `status.payload`.
    #[error(
        "the payload would have {0} bytes, at most {PAYLOAD_MAX} are allowed: let the task report less data, or a link to it"
    )]
    Payload(usize),
    /// `status.plan`.
    #[error(
        "what this run needs of its JobConfigs, Remediation and objectives has {0} bytes, at most {PLAN_MAX} are allowed: \
         split the JobConfig by service, or move scripts to ConfigMaps named in its sources"
    )]
    Plan(usize),
}

impl TooLarge {
    /// The reason, in a word.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Data(_) => "DataTooLarge",
            Self::Payload(_) => "PayloadTooLarge",
            Self::Plan(_) => "PlanTooLarge",
        }
    }
}

/// Refuses an execution's `spec.data` that is too large. What `follows` another run carries all of that one's payload.
pub fn check_data(data: &Object, follows: bool) -> Result<(), TooLarge> {
    let size = size(data);
    if size > if follows { PAYLOAD_MAX } else { DATA_MAX } {
        Err(TooLarge::Data(size))
    } else {
        Ok(())
    }
}

/// Refuses a payload that is too large.
pub fn check_payload(payload: &Object) -> Result<(), TooLarge> {
    let size = size(payload);
    if size > PAYLOAD_MAX {
        Err(TooLarge::Payload(size))
    } else {
        Ok(())
    }
}

/// Refuses a plan that is too large.
pub fn check_plan(plan: &impl Serialize) -> Result<(), TooLarge> {
    let size = size(plan);
    if size > PLAN_MAX {
        Err(TooLarge::Plan(size))
    } else {
        Ok(())
    }
}

/// How many bytes a value has as JSON without spaces.
pub fn size(value: &impl Serialize) -> usize {
    struct Count(usize);
    impl std::io::Write for Count {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut count = Count(0);
    // What can't be written as JSON (a map with keys that aren't strings) has no size that would be small enough.
    if serde_json::to_writer(&mut count, value).is_err() {
        return usize::MAX;
    }
    count.0
}

/// Merges a newer object into an older one: objects merge, and otherwise the newer value wins, whatever its type.
/// Lists are replaced, so they don't grow with each attempt, and a null replaces what was there.
pub fn merge(old: &mut Object, newer: &Object) {
    for (key, value) in newer {
        match (old.get_mut(key), value) {
            (Some(Value::Object(old)), Value::Object(newer)) => merge(old, newer),
            _ => {
                old.insert(key.clone(), value.clone());
            }
        }
    }
}

/// Brings the payload to what it is after a task has ended: its data is merged in, and `result` and `status` are the
/// task's. A message is not carried on: it spoke of that task. If that is too large the payload stays as it was.
pub fn after_task(payload: &mut Object, data: &Object, result: &str, status: &str) -> Result<(), TooLarge> {
    // What changes is remembered, and not the whole, which may be large.
    let touched = data
        .keys()
        .map(String::as_str)
        .chain(["message", "result", "status"]);
    let before: Vec<(String, Option<Value>)> = touched
        .map(|key| (key.to_owned(), payload.get(key).cloned()))
        .collect();
    merge(payload, data);
    payload.remove("message");
    payload.insert("result".to_owned(), json!(result));
    payload.insert("status".to_owned(), json!(status));
    check_payload(payload).inspect_err(|_| {
        for (key, value) in before {
            match value {
                Some(value) => payload.insert(key, value),
                None => payload.remove(&key),
            };
        }
    })
}

/// The data of a task's event: the payload so far, where the run is (nothing overrides that), its labels, and the
/// task's properties under the task's name, which win over what the payload has there.
pub fn for_task(spec: &SequenceExecutionSpec, payload: &Object, task: &Task) -> Object {
    let mut data = payload.clone();
    for (key, value) in [
        ("project", &spec.project),
        ("stage", &spec.stage),
        ("service", &spec.service),
    ] {
        data.insert(key.to_owned(), json!(value));
    }
    if !spec.labels.is_empty() {
        let mut labels: Object = spec.labels.iter().map(|(k, v)| (k.clone(), json!(v))).collect();
        if let Some(Value::Object(newer)) = data.get("labels") {
            merge(&mut labels, newer);
        }
        data.insert("labels".to_owned(), Value::Object(labels));
    }
    if let Some(message) = data.get_mut("message") {
        *message = json!("");
    }
    if let Some(properties) = &task.properties {
        let own = Object::from_iter([(task.name.clone(), Value::Object(properties.clone()))]);
        merge(&mut data, &own);
    }
    data
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    fn object(value: Value) -> Object {
        match value {
            Value::Object(object) => object,
            other => panic!("{other} is no object"),
        }
    }

    fn merged(old: Value, newer: Value) -> Value {
        let mut old = object(old);
        merge(&mut old, &object(newer));
        Value::Object(old)
    }

    /// What Keptn's own tests tell of merges is in tests/it/keptn/merge.rs.
    #[rstest]
    #[case::nested(json!({"a": {"x": 1}}), json!({"a": {"y": 2}}), json!({"a": {"x": 1, "y": 2}}))]
    #[case::missing_keeps(json!({"s": "x"}), json!({}), json!({"s": "x"}))]
    fn the_newer_value_wins(#[case] old: Value, #[case] newer: Value, #[case] expected: Value) {
        assert_eq!(merged(old, newer), expected);
    }

    fn spec() -> SequenceExecutionSpec {
        SequenceExecutionSpec {
            project: "fulltour".into(),
            stage: "production".into(),
            service: "helloservice".into(),
            sequence: "remediation".into(),
            labels: [("team".to_owned(), "blue".to_owned())].into(),
            ..SequenceExecutionSpec::default()
        }
    }

    fn task(name: &str, properties: Value) -> Task {
        Task {
            name: name.into(),
            properties: Some(object(properties)),
            ..Task::default()
        }
    }

    #[test]
    fn a_task_sees_the_payload_its_place_and_its_own_properties() {
        let payload =
            json!({"project": "forged", "message": "done", "je-test": {"rate": 1, "kept": true}, "n": 1});
        let data = for_task(
            &spec(),
            &object(payload),
            &task("je-test", json!({"rate": 5, "users": 2})),
        );
        assert_eq!(
            Value::Object(data),
            json!({
                "project": "fulltour", "stage": "production", "service": "helloservice", "message": "", "n": 1,
                "labels": {"team": "blue"}, "je-test": {"rate": 5, "kept": true, "users": 2},
            })
        );
    }

    #[test]
    fn too_large_is_said_with_the_size_and_the_remedy() {
        let fits = object(json!({"x": "y".repeat(DATA_MAX - r#"{"x":""}"#.len())}));
        assert_eq!(check_data(&fits, false), Ok(()));
        let large = object(json!({"x": "y".repeat(PAYLOAD_MAX)}));
        let error = check_data(&large, false).unwrap_err();
        assert_eq!(
            error.to_string(),
            "spec.data has 32776 bytes, at most 16384 are allowed: keep large values elsewhere and pass a link"
        );
        let before = object(json!({"x": 1, "message": "m", "result": "warning"}));
        let mut payload = before.clone();
        let error = after_task(&mut payload, &large, "pass", "succeeded").unwrap_err();
        assert_eq!(error.reason(), "PayloadTooLarge");
        assert_eq!(payload, before, "it stays as it was");
        assert_eq!(check_plan(&large).unwrap_err().reason(), "PlanTooLarge");
    }

    fn json_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            "[a-c]{0,2}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
                proptest::collection::btree_map("[a-c]", inner, 0..3)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    fn json_object() -> impl Strategy<Value = Object> {
        proptest::collection::btree_map("[a-c]", json_value(), 0..4).prop_map(|map| map.into_iter().collect())
    }

    /// Objects in which a key never holds an object in one and something else in another.
    fn shaped() -> impl Strategy<Value = Object> {
        let leaves = || proptest::collection::btree_map("[a-c]", any::<i8>().prop_map(Value::from), 0..3);
        (leaves(), leaves()).prop_map(|(flat, nested)| {
            let mut object: Object = flat.into_iter().collect();
            object.insert("nested".into(), Value::Object(nested.into_iter().collect()));
            object
        })
    }

    proptest! {
        #[test]
        fn merging_again_changes_nothing(a in json_object(), b in json_object()) {
            let mut once = a;
            merge(&mut once, &b);
            let mut twice = once.clone();
            merge(&mut twice, &b);
            prop_assert_eq!(twice, once);
        }

        #[test]
        fn every_plain_value_of_the_newer_is_in_the_result(a in json_object(), b in json_object()) {
            let mut merged = a;
            merge(&mut merged, &b);
            for (key, value) in b.iter().filter(|(_, v)| !v.is_object()) {
                prop_assert_eq!(&merged[key], value);
            }
        }

        #[test]
        fn what_agrees_in_shape_may_be_merged_in_any_grouping(a in shaped(), b in shaped(), c in shaped()) {
            let mut left = a.clone();
            merge(&mut left, &b);
            merge(&mut left, &c);
            let mut newer = b;
            merge(&mut newer, &c);
            let mut right = a;
            merge(&mut right, &newer);
            prop_assert_eq!(left, right);
        }

        #[test]
        fn the_size_is_that_of_the_json(a in json_object()) {
            prop_assert_eq!(size(&a), serde_json::to_string(&a).unwrap().len());
        }
    }
}
