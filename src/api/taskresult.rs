//! `TaskResult`: what an outside executor says of a task.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::common::{Object, any_object};

/// What an outside executor says of a task: that it began, or how it ended. Created once, and never changed; it goes with
/// its run.
#[derive(Clone, CustomResource, Debug, Deserialize, KubeSchema, PartialEq, Serialize)]
#[kube(
    group = "coxswain.dev",
    version = "v1alpha1",
    kind = "TaskResult",
    namespaced,
    shortname = "tr",
    category = "coxswain",
    derive = "PartialEq",
    selectable = ".spec.execution",
    doc = "What an outside executor says of a task: that it began, or how it ended.",
    printcolumn(name = "Execution", type_ = "string", json_path = ".spec.execution"),
    printcolumn(name = "Task", type_ = "string", json_path = ".spec.task"),
    printcolumn(name = "Attempt", type_ = "integer", json_path = ".spec.attempt"),
    printcolumn(name = "Source", type_ = "string", json_path = ".spec.source"),
    printcolumn(name = "Type", type_ = "string", json_path = ".spec.type"),
    printcolumn(name = "Result", type_ = "string", json_path = ".spec.result"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self == oldSelf").message("spec is immutable: create another TaskResult"),
    validation = Rule::new("self.type == 'Finished' || (!has(self.result) && !has(self.status) && !has(self.data))").message("result, status and data belong to type Finished")
)]
pub struct TaskResultSpec {
    /// The SequenceExecution whose task it is, by its name.
    #[schemars(length(min = 1, max = 253))]
    pub execution: String,
    /// The task.
    #[schemars(length(min = 1, max = 63))]
    pub task: String,
    /// The attempt, from 1.
    #[schemars(range(min = 1, max = 1000))]
    pub attempt: i32,
    /// Who says it. What began is matched with what ended by this.
    #[schemars(length(min = 1, max = 253))]
    pub source: String,
    /// Started or Finished.
    #[serde(rename = "type")]
    pub type_: TaskResultType,
    /// pass, warning or fail; anything else counts as fail. Default pass.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub result: Option<String>,
    /// succeeded, errored, aborted or unknown. Default succeeded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub status: Option<String>,
    /// One line for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub message: Option<String>,
    /// Merged into the run's payload.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "any_object")]
    pub data: Option<Object>,
}

/// Began, or ended.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, Ord, PartialEq, PartialOrd, Serialize)]
pub enum TaskResultType {
    /// The executor began.
    Started,
    /// The executor ended.
    #[default]
    Finished,
}
