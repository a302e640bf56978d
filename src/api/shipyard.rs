//! `Shipyard`: a project's stages, sequences and tasks.

use std::collections::BTreeMap;

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    ConfigStatus, Duration, HasConfigStatus,
    common::{Object, any_object},
};

/// A project: stages with sequences of tasks. `metadata.name` is the project's name; `stages` is the body of a Keptn v1
/// shipyard, as it is.
#[derive(Clone, CustomResource, Debug, Deserialize, KubeSchema, PartialEq, Serialize)]
#[kube(
    group = "coxswain.dev",
    version = "v1alpha1",
    kind = "Shipyard",
    namespaced,
    status = "ShipyardStatus",
    shortname = "sy",
    category = "coxswain",
    derive = "PartialEq",
    doc = "A project: its stages, their sequences and the tasks of each.",
    validation = Rule::new("size(self.metadata.name) <= 43").message("a project's name may have at most 43 characters"),
    validation = Rule::new("!self.metadata.name.contains('.')").message("a project's name has no dots"),
    printcolumn(name = "Unanswered", type_ = "integer", json_path = ".status.unansweredCount"),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].status"
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].reason"
    ),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].message",
        priority = 1
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct ShipyardSpec {
    /// The stages, in the order in which a delivery goes through them.
    #[schemars(length(min = 1, max = 20))]
    pub stages: Vec<Stage>,
}

/// Whether a project is in force, and complete.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ShipyardStatus {
    /// Whether it is in force.
    #[serde(flatten)]
    pub config: ConfigStatus,
    /// The tasks, as `<stage>.<sequence>.<task>`, that nobody answers: no JobConfig that is in force, no built-in, nobody
    /// outside. At most 100 of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unanswered: Vec<String>,
    /// How many tasks nobody answers.
    #[serde(default)]
    pub unanswered_count: i32,
}

impl HasConfigStatus for ShipyardStatus {
    fn config(&self) -> &ConfigStatus {
        &self.config
    }
    fn config_mut(&mut self) -> &mut ConfigStatus {
        &mut self.config
    }
}

/// One stage of a project, such as `qa` or `production`.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Stage {
    /// A DNS label.
    #[schemars(length(min = 1, max = 43), regex(pattern = r"^[a-z]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,
    /// What can run in this stage.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50))]
    pub sequences: Vec<Sequence>,
}

/// Tasks that run one after the other.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Sequence {
    /// A name without dots; `<stage>.<name>` is how triggers name it.
    #[schemars(
        length(min = 1, max = 63),
        regex(pattern = r"^[a-zA-Z]([-_a-zA-Z0-9]*[a-zA-Z0-9])?$")
    )]
    pub name: String,
    /// Which sequences' ends start this one. A rule on the sequence's own end is its retry loop.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    pub triggered_on: Vec<Trigger>,
    /// The tasks, in order.
    #[schemars(length(min = 1, max = 64))]
    pub tasks: Vec<Task>,
    /// How long the retry loop waits before its next attempt. Default 2m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<Duration>,
    /// How many attempts one execution may make. Default: as many as there are actions, at most 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub max_attempts: Option<i32>,
    /// How long one execution may take in all, waits for people and pauses not counted. Default 24h.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Duration>,
    /// Who goes first when several wait for one service in one stage; the higher first. Default 100 for sequences that
    /// ask for a remediation action, 0 for others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = -1000, max = 1000))]
    pub priority: Option<i32>,
    /// What a newer run of this sequence means for older ones of the same service: it waits behind them, or it replaces
    /// those that wait. Default Queue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<Concurrency>,
    /// How many ended runs of this sequence are kept for each service; the newest that failed is kept besides. Default
    /// 10.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1000))]
    pub history_limit: Option<i32>,
    /// How long ended runs of this sequence are kept; the newest is kept besides. Default 720h.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub history_age: Option<Duration>,
}

/// What a newer run means for older ones that wait for the same service.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum Concurrency {
    /// It waits behind them.
    #[default]
    Queue,
    /// Those that wait end `Superseded`; one that runs is left to end.
    Replace,
}

/// Who carries a task out.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum Executor {
    /// Something outside that reports by `TaskResult`s.
    External,
}

/// One rule of `triggeredOn`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Trigger {
    /// `<stage>.<sequence>.finished`.
    #[schemars(length(min = 1, max = 200))]
    pub event: String,
    /// Without it: fires when the sequence passed, with or without warning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<Selector>,
}

/// Conditions on the end of the other sequence; all must hold.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Selector {
    /// `result`, `<task>.result`, `<task>.status` or `$.data.<path>`, and the value it must have.
    #[serde(default, rename = "match")]
    #[schemars(extend("maxProperties" = 20, "additionalProperties" = { "type": "string", "maxLength": 253 }))]
    pub match_: BTreeMap<String, String>,
}

/// One task of a sequence.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Task {
    /// A name without dots. `sh.keptn.event.<name>.triggered` is the event that JobConfigs match.
    #[schemars(
        length(min = 1, max = 63),
        regex(pattern = r"^[a-zA-Z]([-_a-zA-Z0-9]*[a-zA-Z0-9])?$")
    )]
    pub name: String,
    /// How long to wait before this task starts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub triggered_after: Option<Duration>,
    /// Merged into the payload under the task's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "any_object")]
    pub properties: Option<Object>,
    /// How long the task may take. Default 10m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Duration>,
    /// Whether the task changes the service, so that measurements from before its end say nothing. Default: by its name
    /// (action, deployment, deploy, release, rollback, scale, or a name that ends in one of them).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changes: Option<bool>,
    /// Whether the task's Jobs may run again when it is not known whether they ran. Default false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotent: Option<bool>,
    /// `External`: the task is carried out by something outside that reports by `TaskResult`s, when no JobConfig and no
    /// built-in answers it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub executor: Option<Executor>,
}
