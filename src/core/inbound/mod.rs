//! Events that come in: what a CloudEvent in Keptn's types asks for.

pub mod ask;
pub mod cloudevent;
pub mod context;
#[cfg(test)]
mod fuzz_tests;
pub mod task;

use serde_json::Value;

use crate::api::{ProblemEventSpec, common::Object};

pub use ask::{Ask, ask};
pub use cloudevent::CloudEvent;

/// The problem that an event's `data` tells of, as a ProblemEvent's spec: `problem`, `labels`, and the rest as data. None
/// where it tells of none.
///
/// # Errors
/// A `problem` or `labels` that a ProblemEvent can't have.
pub fn problem(data: &Object, sequence: Option<&str>) -> Option<Result<ProblemEventSpec, serde_json::Error>> {
    let mut rest = data.clone();
    let problem = rest.remove("problem")?;
    let mut spec = Object::new();
    for name in ["project", "stage", "service", "labels"] {
        if let Some(value) = rest.remove(name).filter(|value| !value.is_null()) {
            spec.insert(name.to_owned(), value);
        }
    }
    spec.insert("problem".to_owned(), problem);
    if !rest.is_empty() {
        spec.insert("data".to_owned(), Value::Object(rest));
    }
    if let Some(sequence) = sequence {
        spec.insert("sequence".to_owned(), sequence.into());
    }
    Some(serde_json::from_value(Value::Object(spec)))
}
