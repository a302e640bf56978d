//! `ProblemEvent`: something is wrong with a service.

use std::collections::BTreeMap;

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Condition, Timestamp,
    common::{Object, any_object, labels},
};

/// Something is wrong with a service; creating one starts the stage's remediation sequence. `spec` is the `data` block
/// of Keptn v1's problem event, as it is.
#[derive(Clone, CustomResource, Debug, Deserialize, KubeSchema, PartialEq, Serialize)]
#[kube(
    group = "coxswain.dev",
    version = "v1alpha1",
    kind = "ProblemEvent",
    namespaced,
    status = "ProblemEventStatus",
    shortname = "pe",
    category = "coxswain",
    derive = "PartialEq",
    selectable = ".status.done",
    doc = "Something is wrong with a service; creating one starts the stage's remediation sequence.",
    validation = Rule::new("size(self.metadata.name) <= 52").message("a ProblemEvent's name may have at most 52 characters"),
    printcolumn(name = "Project", type_ = "string", json_path = ".spec.project"),
    printcolumn(name = "Stage", type_ = "string", json_path = ".spec.stage"),
    printcolumn(name = "Service", type_ = "string", json_path = ".spec.service"),
    printcolumn(name = "Problem", type_ = "string", json_path = ".spec.problem.problemTitle"),
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "Firing", type_ = "integer", json_path = ".status.firing"),
    printcolumn(name = "Run", type_ = "string", json_path = ".status.execution"),
    printcolumn(name = "Message", type_ = "string", json_path = ".status.message", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.project == oldSelf.project && self.stage == oldSelf.stage && self.service == oldSelf.service && self.problem == oldSelf.problem && has(self.labels) == has(oldSelf.labels) && (!has(self.labels) || self.labels == oldSelf.labels) && has(self.data) == has(oldSelf.data) && (!has(self.data) || self.data == oldSelf.data) && has(self.sequence) == has(oldSelf.sequence) && (!has(self.sequence) || self.sequence == oldSelf.sequence) && has(self.context) == has(oldSelf.context) && (!has(self.context) || self.context == oldSelf.context)").message("spec is immutable but for spec.state: create another ProblemEvent")
)]
pub struct ProblemEventSpec {
    /// The project.
    #[schemars(
        length(min = 1, max = 43),
        regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")
    )]
    pub project: String,
    /// The stage.
    #[schemars(
        length(min = 1, max = 43),
        regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")
    )]
    pub stage: String,
    /// The service.
    #[schemars(
        length(min = 1, max = 43),
        regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")
    )]
    pub service: String,
    /// What is wrong.
    pub problem: Problem,
    /// Labels that travel with the run.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "labels")]
    pub labels: BTreeMap<String, String>,
    /// Further data for the run, merged into its payload.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "any_object")]
    pub data: Option<Object>,
    /// The sequence to run. Default `remediation`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub sequence: Option<String>,
    /// The flow that the problem and its runs are part of; v1's shkeptncontext. Default: the problem's own uid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(max = 63),
        regex(pattern = r"^[A-Za-z0-9]([-_.A-Za-z0-9]*[A-Za-z0-9])?$")
    )]
    pub context: Option<String>,
    /// `Resolved` says that the problem is over: the run stops before its next action.
    #[serde(default)]
    pub state: ProblemState,
}

/// Whether the problem goes on.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum ProblemState {
    /// It goes on.
    #[default]
    Open,
    /// It is over.
    Resolved,
}

/// What is wrong; v1's `data.problem`. Further fields are kept.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-preserve-unknown-fields" = true))]
pub struct Problem {
    /// The problem's title: compared with `problemType` of the Remediation, after the root cause.
    #[schemars(length(min = 1, max = 253))]
    pub problem_title: String,
    /// The root cause, compared first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub root_cause: Option<String>,
    /// Whatever else the sender said.
    #[serde(flatten)]
    #[schemars(skip)]
    pub more: Object,
}

/// How the problem stands.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ProblemEventStatus {
    /// Open, Healing, Held; ended: Healed, Resolved, Exhausted, Expired.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub phase: String,
    /// True exactly for ended phases.
    #[serde(default)]
    pub done: bool,
    /// One line for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// The newest run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub execution: Option<String>,
    /// The older open problem of the same type on the same service that this one joined: it ends as that one does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub joined: Option<String>,
    /// How many runs there were.
    #[serde(default)]
    pub runs: i32,
    /// After a run that succeeded, while alerts still fire: when they are believed, and the next run starts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recheck_at: Option<Timestamp>,
    /// The alerts that told of the problem, newest first; at most 50.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alerts: Vec<AlertStatus>,
    /// The fingerprints of further alerts that fire; at most 2000.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub more_alerts: Vec<String>,
    /// How many alerts fire, of those that are known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub firing: Option<i32>,
    /// How many alerts came that are in neither list any more; their end is not waited for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alerts_dropped: Option<i32>,
    /// How many alerts Alertmanager left out of its last message (its `max_alerts`); nothing is known of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alerts_truncated: Option<i32>,
    /// When the problem ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Timestamp>,
    /// The generation that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `Ready`, and `Succeeded`: whether the problem was healed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}

/// One alert.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AlertStatus {
    /// What tells it from others: Alertmanager's hash of its labels.
    pub fingerprint: String,
    /// Its name.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// What people read of it: its summary.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub summary: String,
    /// Since when it fires, or fired.
    pub starts_at: Timestamp,
    /// When it was resolved; absent while it fires.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolved_at: Option<Timestamp>,
}
