//! What the tests of this folder are made of.

use serde_json::{Value, json};

use crate::api::jobconfig::JobTask;

/// A task `t` with the image `i` and these fields.
pub(super) fn task(fields: Value) -> JobTask {
    let mut task = json!({"name": "t", "image": "i"});
    task.as_object_mut()
        .unwrap()
        .extend(fields.as_object().unwrap().clone());
    serde_json::from_value(task).unwrap()
}
