//! `JobConfig`: which Jobs answer which event.

use std::collections::BTreeMap;

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ConfigStatus, Scope, common::any_object};

/// Event -> Jobs. `actions` is the body of a Keptn v1 job/config.yaml, as it is.
#[derive(Clone, CustomResource, Debug, Deserialize, KubeSchema, PartialEq, Serialize)]
#[kube(
    group = "coxswain.dev",
    version = "v1alpha1",
    kind = "JobConfig",
    namespaced,
    status = "ConfigStatus",
    shortname = "jc",
    category = "coxswain",
    derive = "PartialEq",
    doc = "Which Jobs answer which event.",
    printcolumn(name = "Project", type_ = "string", json_path = ".spec.project"),
    printcolumn(name = "Stage", type_ = "string", json_path = ".spec.stage"),
    printcolumn(name = "Service", type_ = "string", json_path = ".spec.service"),
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
    pub jsonpath: Option<JsonPathMatch>,
}

/// A value in the event that must be equal.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct JsonPathMatch {
    /// A JSONPath on the whole event: `$.data.action.action`.
    #[schemars(length(min = 1, max = 1024))]
    pub property: String,
    /// The value. Numbers and booleans are compared in JSON's own spelling.
    #[schemars(length(max = 1024))]
    #[serde(rename = "match")]
    pub match_: String,
}

/// One Job.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct JobTask {
    /// A name for people.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Files and directories to mount under `/keptn`; `sources` says where each comes from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 50), inner(length(max = 512)))]
    pub files: Option<Vec<String>>,
    /// The container's image.
    #[schemars(length(min = 1, max = 1024))]
    pub image: String,
    /// `Always`, `IfNotPresent` or `Never`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_pull_policy: Option<ImagePullPolicy>,
    /// The container's command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 100), inner(length(max = 32768)))]
    pub cmd: Option<Vec<String>>,
    /// The command's arguments. `$(NAME)` is expanded by Kubernetes from the container's environment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 100), inner(length(max = 32768)))]
    pub args: Option<Vec<String>>,
    /// Environment variables.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 100))]
    pub env: Option<Vec<EnvVar>>,
    /// The container's resources; they replace the defaults.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,
    /// The container's working directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub working_dir: Option<String>,
    /// How long the Job may take, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 604_800))]
    pub max_poll_duration: Option<i64>,
    /// Only the JobConfig's own namespace is accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub namespace: Option<String>,
    /// How long the finished Job is kept, in seconds; at least 600. Default 21600.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 2_592_000))]
    pub ttl_seconds_after_finished: Option<i32>,
    /// Fields of the container's security context that replace the defaults, one by one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "any_object")]
    pub security_context: Option<serde_json::Map<String, serde_json::Value>>,
    /// A service account that is annotated `coxswain.dev/allowed: "true"`. Without one no token is mounted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub service_account: Option<String>,
    /// Annotations of the pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("maxProperties" = 50, "additionalProperties" = { "type": "string", "maxLength": 4096 }))]
    pub annotations: Option<BTreeMap<String, String>>,
}

/// When the image is pulled.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum ImagePullPolicy {
    /// At every start.
    Always,
    /// When the node does not have it.
    IfNotPresent,
    /// The node must have it.
    Never,
}

/// One environment variable, or a whole Secret of them.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EnvVar {
    /// The variable's name; with `valueFrom: secret`, the Secret's.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// The value; with `valueFrom: event`, a JSONPath on the event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub value: Option<String>,
    /// `event`, `string` or `secret`.
    #[schemars(length(min = 1, max = 16))]
    pub value_from: String,
    /// `json` or `yaml`: how a value from the event is written.
    #[serde(default, rename = "as", skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 8))]
    pub as_: Option<String>,
}

/// Limits and requests of the container.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Resources {
    /// At most so much.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<ResourceAmounts>,
    /// At least so much.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests: Option<ResourceAmounts>,
}

/// Amounts, as Kubernetes quantities.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ResourceAmounts {
    /// For example `500m`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub cpu: Option<String>,
    /// For example `128Mi`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub memory: Option<String>,
}

/// Where a file, or every file of a directory, comes from. Exactly one of `configMap` and `secret` is set.
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
