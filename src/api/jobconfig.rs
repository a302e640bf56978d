//! `JobConfig`: which Jobs answer which event.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ConfigStatus, HasConfigStatus, Scope};

pub use super::jobtask::*;

/// Event -> Jobs. `actions` is the body of a Keptn v1 job/config.yaml, as it is.
#[derive(Clone, CustomResource, Debug, Deserialize, KubeSchema, PartialEq, Serialize)]
#[kube(
    group = "coxswain.dev",
    version = "v1alpha1",
    kind = "JobConfig",
    namespaced,
    status = "JobConfigStatus",
    shortname = "jc",
    category = "coxswain",
    derive = "PartialEq",
    doc = "Which Jobs answer which event.",
    printcolumn(name = "Project", type_ = "string", json_path = ".spec.project"),
    printcolumn(name = "Stage", type_ = "string", json_path = ".spec.stage"),
    printcolumn(name = "Service", type_ = "string", json_path = ".spec.service"),
    printcolumn(name = "Answers", type_ = "integer", json_path = ".status.answersCount"),
    printcolumn(name = "Unused", type_ = "integer", json_path = ".status.unusedCount"),
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
pub struct JobConfigSpec {
    /// What it applies to.
    #[serde(flatten)]
    pub scope: Scope,
    /// `v2`, as v1's files say; it may be left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16))]
    pub api_version: Option<String>,
    /// What answers which event.
    #[schemars(length(max = 50))]
    pub actions: Vec<JobAction>,
    /// Where each path of the tasks' `files` comes from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50))]
    pub sources: Vec<Source>,
}

/// What a JobConfig does for its project.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct JobConfigStatus {
    /// Whether it is in force.
    #[serde(flatten)]
    pub config: ConfigStatus,
    /// The tasks that it has an action for, as `<stage>.<sequence>.<task>`; at most 100 of them. An action's conditions
    /// may still not hold, and a more specific JobConfig may go before it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub answers: Vec<String>,
    /// How many tasks it has an action for.
    #[serde(default)]
    pub answers_count: i32,
    /// The actions that nothing can trigger, each with the reason.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unused: Vec<String>,
    /// How many actions nothing can trigger.
    #[serde(default)]
    pub unused_count: i32,
}

impl HasConfigStatus for JobConfigStatus {
    fn config(&self) -> &ConfigStatus {
        &self.config
    }
    fn config_mut(&mut self) -> &mut ConfigStatus {
        &mut self.config
    }
}

/// Jobs that run when one of the events fits, at once with those of other actions that fit.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct JobAction {
    /// A name for people.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// The Jobs run, but their outcome decides nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub silent: Option<bool>,
    /// Its Jobs run all at once instead of one after the other. Default false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parallel: Option<bool>,
    /// Any of them fits.
    #[schemars(length(min = 1, max = 20))]
    pub events: Vec<EventFilter>,
    /// The Jobs.
    #[schemars(length(min = 1, max = 20))]
    pub tasks: Vec<JobTask>,
}

/// Which events fit.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EventFilter {
    /// The event's type, such as `sh.keptn.event.action.triggered`; `*` stands for anything.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// A further condition on the event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jsonpath: Option<Condition>,
    /// Further conditions; all of them, and `jsonpath`, must hold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10))]
    pub conditions: Vec<Condition>,
}

/// What a value in the event must be, or must not be. Exactly one of `match` and `notMatch` is set.
#[derive(Clone, Debug, Default, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.match) != has(self.notMatch)").message("set either match or notMatch")
)]
pub struct Condition {
    /// A JSONPath on the whole event: `$.data.action.action`.
    #[schemars(length(min = 1, max = 1024))]
    pub property: String,
    /// The value that it must have. Numbers and booleans are compared in JSON's own spelling.
    #[serde(default, rename = "match", skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub match_: Option<String>,
    /// The value that it must not have; one that is missing has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub not_match: Option<String>,
}

/// Where a file, or every file of a directory, comes from. Exactly one of `configMap`, `secret` and
/// `sourceRef` is set.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Source {
    /// A path under `/keptn`, such as `locust/basic.py` or `charts`.
    #[schemars(length(min = 1, max = 512))]
    pub path: String,
    /// A ConfigMap: with `key` one file, without it a directory with a file for every key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_map: Option<ConfigMapSource>,
    /// A Secret. Coxswain does not read Secrets, so its keys must be named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<SecretSource>,
    /// A source of Flux, whose newest artifact is fetched, checked and unpacked before the container starts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_ref: Option<SourceArtifact>,
}

/// A source of Flux in the same namespace; `.status.artifact` says where its content is.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SourceArtifact {
    /// `GitRepository`, `OCIRepository`, `Bucket` or `ExternalArtifact`.
    #[schemars(length(min = 1, max = 63))]
    pub kind: String,
    /// The source's name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// The file or directory in the artifact that `path` stands for. Default: all of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub path: Option<String>,
}

/// A ConfigMap of the same namespace.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ConfigMapSource {
    /// The ConfigMap's name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// The one key that `path` stands for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub key: Option<String>,
}

/// A Secret of the same namespace. Exactly one of `key` and `items` is set.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SecretSource {
    /// The Secret's name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// The one key that `path` stands for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub key: Option<String>,
    /// The keys, and the path of each below the source's `path`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 50))]
    pub items: Option<Vec<KeyPath>>,
}

/// A key and the file it becomes.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct KeyPath {
    /// The key.
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
    /// The file's path below the source's.
    #[schemars(length(min = 1, max = 512))]
    pub path: String,
}
