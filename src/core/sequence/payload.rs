//! What a run's tasks see.

use jiff::Timestamp;
use serde_json::Value;

use crate::{
    api::{SequenceExecution, common::Object, shipyard::Task},
    core::{event, payload},
};

/// The payload as a task sees it: with its scope, labels and properties.
pub(super) fn task_payload(execution: &SequenceExecution, merged: Option<&Object>, task: &Task) -> Object {
    payload::for_task(&execution.spec, merged.unwrap_or(&Object::new()), task)
}

/// What every Job reads of the payload.
pub(super) fn labels_only(merged: Option<&Object>) -> Object {
    let labels = merged.and_then(|p| p.get_key_value("labels"));
    labels
        .map(|(key, value)| (key.clone(), value.clone()))
        .into_iter()
        .collect()
}

/// The event that a task's executors see. It is the same at every look, so that what is built from it is too.
pub(super) fn event(
    execution: &SequenceExecution,
    merged: Option<&Object>,
    task: &Task,
    attempt: i32,
    index: usize,
    started: Timestamp,
) -> Value {
    event::triggered(
        execution,
        attempt,
        index,
        task,
        merged.unwrap_or(&Object::new()),
        started,
    )
}
