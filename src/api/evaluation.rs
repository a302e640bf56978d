//! `Evaluation`: one verdict of a quality gate.

use std::collections::BTreeMap;

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Condition, Duration, Timestamp,
    common::{SourceRef, labels},
    sli::{RangeQuery, SeriesReducer},
    slo::SloBody,
};

/// One verdict of a quality gate, with every indicator. Its window, objective and queries are fixed before the first
/// query.
#[derive(Clone, CustomResource, Debug, Default, Deserialize, KubeSchema, PartialEq, Serialize)]
#[kube(
    group = "coxswain.dev",
    version = "v1alpha1",
    kind = "Evaluation",
    namespaced,
    status = "EvaluationStatus",
    shortname = "eval",
    category = "coxswain",
    derive = "PartialEq",
    selectable = ".status.done",
    validation = Rule::new("!has(self.status) || !has(self.status.done) || !self.status.done || (has(self.spec.window) == has(oldSelf.spec.window) && has(self.spec.objective) == has(oldSelf.spec.objective) && has(self.spec.indicators) == has(oldSelf.spec.indicators))").message("this Evaluation has its verdict; only spec.invalidated can be added"),
    doc = "One verdict of a quality gate, with every indicator.",
    printcolumn(name = "Project", type_ = "string", json_path = ".spec.project"),
    printcolumn(name = "Stage", type_ = "string", json_path = ".spec.stage"),
    printcolumn(name = "Service", type_ = "string", json_path = ".spec.service"),
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "Result", type_ = "string", json_path = ".status.result"),
    printcolumn(name = "Score", type_ = "number", json_path = ".status.score"),
    printcolumn(name = "Message", type_ = "string", json_path = ".status.message"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.project == oldSelf.project && self.stage == oldSelf.stage && self.service == oldSelf.service && has(self.execution) == has(oldSelf.execution) && (!has(self.execution) || self.execution == oldSelf.execution) && has(self.sequence) == has(oldSelf.sequence) && (!has(self.sequence) || self.sequence == oldSelf.sequence) && has(self.attempt) == has(oldSelf.attempt) && (!has(self.attempt) || self.attempt == oldSelf.attempt) && has(self.timeframe) == has(oldSelf.timeframe) && (!has(self.timeframe) || self.timeframe == oldSelf.timeframe) && has(self.labels) == has(oldSelf.labels) && (!has(self.labels) || self.labels == oldSelf.labels) && has(self.deployment) == has(oldSelf.deployment) && (!has(self.deployment) || self.deployment == oldSelf.deployment) && has(self.grace) == has(oldSelf.grace) && (!has(self.grace) || self.grace == oldSelf.grace) && (!has(oldSelf.window) || (has(self.window) && self.window == oldSelf.window)) && (!has(oldSelf.objectiveName) || (has(self.objectiveName) && self.objectiveName == oldSelf.objectiveName)) && (!has(oldSelf.objective) || (has(self.objective) && self.objective == oldSelf.objective)) && (!has(oldSelf.indicators) || size(oldSelf.indicators) == 0 || (has(self.indicators) && self.indicators == oldSelf.indicators))").message("spec is immutable but for spec.invalidated: create another Evaluation"),
    validation = Rule::new("(!has(oldSelf.invalidated) || (has(self.invalidated) && self.invalidated == oldSelf.invalidated))").message("spec.invalidated: what was taken out of comparisons stays out"),
    // At its birth: the operator makes a window of a timeframe.
    validation = Rule::new("oldSelf.hasValue() || !has(self.window) || !has(self.timeframe)").optional_old_self(true).message("spec.window says it all: leave spec.timeframe out")
)]
pub struct EvaluationSpec {
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
    /// The run that asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub execution: Option<SourceRef>,
    /// The run's sequence: `comparison.sequences` of later Evaluations may ask for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub sequence: Option<String>,
    /// The run's attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub attempt: Option<i32>,
    /// What is measured: from `start` to `end`. Where it is left out the operator fixes it, by `timeframe`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<Window>,
    /// Instead of a window: this long, up to the object's creation. Default 5m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeframe: Option<Duration>,
    /// The name of the ServiceLevelObjective that `objective` was copied from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub objective_name: Option<String>,
    /// What is asked for. Without one, and without a run that asked, the operator copies what is in force for the place;
    /// where nothing is, the result is `warning`, reason `Unverified`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub objective: Option<SloBody>,
    /// The queries, by indicator.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 100))]
    pub indicators: BTreeMap<String, IndicatorQuery>,
    /// Values for `$LABEL.<key>` in the queries.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "labels")]
    pub labels: BTreeMap<String, String>,
    /// The value for `$DEPLOYMENT` in the queries. Default `primary`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub deployment: Option<String>,
    /// How long a provider that can't be asked is asked again for the same window. Default 60s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grace: Option<Duration>,
    /// Why nothing is to be compared with this verdict.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invalidated: Option<Invalidated>,
}

/// Why a verdict is no baseline for later ones.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Invalidated {
    /// Why.
    #[schemars(length(min = 1, max = 1024))]
    pub reason: String,
    /// Who says so: the user's own name. The admission policies let nobody write another's.
    #[schemars(length(min = 1, max = 253))]
    pub by: String,
}

/// A span of time.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Window {
    /// Its start, such as `2026-01-01T12:00:00Z`.
    #[schemars(regex(
        pattern = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]{1,9})?(Z|[+-][01][0-9]:[0-5][0-9])$"
    ))]
    pub start: Timestamp,
    /// Its end.
    #[schemars(regex(
        pattern = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]{1,9})?(Z|[+-][01][0-9]:[0-5][0-9])$"
    ))]
    pub end: Timestamp,
}

/// How one indicator is measured.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct IndicatorQuery {
    /// The query, with placeholders.
    #[schemars(length(max = 8192))]
    pub query: String,
    /// The MetricsProvider that answers; empty when the namespace's only one does, or the installation's default.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 253))]
    pub provider: String,
    /// What one series is made of several with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reduce: Option<SeriesReducer>,
    /// A range query over the window, in place of one at its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range: Option<RangeQuery>,
}

/// The verdict.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EvaluationStatus {
    /// Running; ended: Succeeded (pass or warning), Failed, Inconclusive (could not measure).
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub phase: String,
    /// True exactly for ended phases.
    #[serde(default)]
    pub done: bool,
    /// pass, warning or fail; absent when it could not be measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<String>,
    /// 0 to 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score: Option<f64>,
    /// Why it came out so, in a word: for example `Unverified`, `ProviderUnavailable`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// One line for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// Every indicator.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub indicators: Vec<IndicatorResult>,
    /// The earlier Evaluations that relative criteria were compared with, newest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub compared_with: Vec<String>,
    /// Set when a relative criterion passed because there was nothing to compare with.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub no_baseline: bool,
    /// When the first query was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// When the verdict was reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Timestamp>,
    /// The generation that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `Ready`, and `Succeeded`: True for pass and warning.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}

/// One indicator's part in the verdict.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct IndicatorResult {
    /// The indicator.
    pub name: String,
    /// The objective's name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// The measured value; absent when there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
    /// What relative criteria compared with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compared_value: Option<f64>,
    /// pass, warning, fail or info.
    pub status: String,
    /// The weight that was reached.
    pub score: f64,
    /// The weight.
    pub weight: i64,
    /// Whether a failure here fails the whole.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub key_sli: bool,
    /// The criteria for pass.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pass_targets: Vec<Target>,
    /// The criteria for warning.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warning_targets: Vec<Target>,
    /// What the provider said, when there is no value.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// What the provider remarked about its answer: at most 5, of at most 256 characters each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// One criterion, what it came to, and whether it was violated.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Target {
    /// The criterion as written.
    pub criteria: String,
    /// The value that it came to.
    pub target_value: f64,
    /// Whether it was violated.
    pub violated: bool,
}
