//! `EventSink`: where it is told what Coxswain does.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    ConfigStatus, Duration, HasConfigStatus, Timestamp,
    common::{Object, any_object},
    metricsprovider::{Auth, Header, SecretValue, Tls},
};

/// Where it is told what happens to the runs of this namespace; in the operator's own namespace, to those of all. Every task
/// and sequence as CloudEvents in Keptn's types; with `notify`, only runs that end badly, in a message for people. Only
/// administrators should be allowed to write this kind: it says where the operator sends requests.
#[derive(Clone, CustomResource, Debug, Default, Deserialize, KubeSchema, PartialEq, Serialize)]
#[kube(
    group = "coxswain.dev",
    version = "v1alpha1",
    kind = "EventSink",
    namespaced,
    status = "EventSinkStatus",
    shortname = "es",
    category = "coxswain",
    derive = "PartialEq",
    doc = "Where it is told what Coxswain does. Let only administrators write it: it says where requests go.",
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].status"
    ),
    printcolumn(
        name = "Delivering",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Delivering\")].status"
    ),
    printcolumn(name = "Delivered", type_ = "integer", json_path = ".status.delivered"),
    printcolumn(name = "Undelivered", type_ = "integer", json_path = ".status.undelivered"),
    printcolumn(name = "Waiting", type_ = "integer", json_path = ".status.waiting"),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Delivering\")].message",
        priority = 1
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct EventSinkSpec {
    /// The server that takes them, by POST.
    pub http: SinkServer,
    /// Which runs it is told of. Default: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<SinkFilter>,
    /// Messages for people, about runs that end badly, in place of events. Default: events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notify: Option<Notify>,
    /// For how long what the server does not take is sent again, later each time; then it is counted as undelivered.
    /// Default 1h, at most 24h.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_for: Option<Duration>,
}

/// A server that takes what is posted to it.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SinkServer {
    /// For example `https://events.example.com/hooks/coxswain`; or `urlFrom`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 2048), regex(pattern = r"^https?://"))]
    pub url: Option<String>,
    /// Where the URL stands, when it is a secret itself, as those of Slack's webhooks are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url_from: Option<SecretValue>,
    /// How long one request may take. Default 10s, at most 1m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Duration>,
    /// Who the operator is to the server. Default nobody in particular.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<Auth>,
    /// How the server proves who it is, and how the operator does; for https.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
    /// Further headers of every request.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    pub headers: Vec<Header>,
    /// Lets the server be on the operator's own machine (127.0.0.0/8, ::1). Default false: what listens there is rarely
    /// meant for others.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub allow_loopback: bool,
}

/// Which runs, and which events of them: those that every list has, where it is not empty.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SinkFilter {
    /// Of these projects.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50), inner(length(min = 1, max = 63)))]
    pub projects: Vec<String>,
    /// In these stages.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50), inner(length(min = 1, max = 63)))]
    pub stages: Vec<String>,
    /// Of these services.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 200), inner(length(min = 1, max = 63)))]
    pub services: Vec<String>,
    /// Of these sequences.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50), inner(length(min = 1, max = 63)))]
    pub sequences: Vec<String>,
    /// Events of these types, such as `sh.keptn.event.evaluation.finished` or `*.finished`; `*` stands for anything.
    /// Not with `notify`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50), inner(length(min = 1, max = 253)))]
    pub types: Vec<String>,
}

/// Messages for people.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Notify {
    /// The phases of a run that people are told of, each once: one in which it ends, or Held. Default: Exhausted,
    /// Inconclusive, Held.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20), inner(length(min = 1, max = 63)))]
    pub phases: Vec<String>,
    /// The body of the request: any JSON object, in whose texts `{{name}}` stands for a value: namespace, run, project,
    /// stage, service, sequence, phase, reason, message, problem, context, attempts, score, tried, commands, text. Default: what
    /// Slack, Mattermost and others like them take, `{"text": ...}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "any_object")]
    pub template: Option<Object>,
}

/// What came of telling.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EventSinkStatus {
    /// `Ready`: whether it is in force. `Delivering`: False while the server does not take what is sent.
    #[serde(flatten)]
    pub config: ConfigStatus,
    /// How many the server took.
    #[serde(default)]
    pub delivered: i64,
    /// How many it never took: it refused them, or was away for longer than `retryFor`.
    #[serde(default)]
    pub undelivered: i64,
    /// The last one that it never took.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_undelivered: Option<Undelivered>,
    /// How many runs it has yet to be told of.
    #[serde(default)]
    pub waiting: i64,
    /// It was told everything of the runs that had ended by then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub told_through: Option<Timestamp>,
    /// How far it was told of the others: of each run, by its uid, the last event.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub told: Vec<ToldRun>,
}

impl HasConfigStatus for EventSinkStatus {
    fn config(&self) -> &ConfigStatus {
        &self.config
    }
    fn config_mut(&mut self) -> &mut ConfigStatus {
        &mut self.config
    }
}

/// Something that a server never took.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Undelivered {
    /// The event's id.
    pub id: String,
    /// Its type, or the run's phase.
    #[serde(rename = "type")]
    pub type_: String,
    /// The run, with its namespace.
    pub run: String,
    /// Why not.
    pub message: String,
    /// When it was given up.
    pub at: Timestamp,
}

/// How far a sink was told of a run.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ToldRun {
    /// The run's uid.
    pub uid: String,
    /// The last of its events that was seen to: `begun.started`, `2.1.finished` (attempt 2, task 1), `ended`.
    pub through: String,
    /// When the run ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
}
