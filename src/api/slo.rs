//! `ServiceLevelObjective`: when a service is good enough.

use std::collections::BTreeMap;

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ConfigStatus, Scope};

/// What a quality gate asks for: the body of a Keptn v1 slo.yaml, as it is, and its scope.
#[derive(Clone, CustomResource, Debug, Deserialize, KubeSchema, PartialEq, Serialize)]
#[kube(
    group = "coxswain.dev",
    version = "v1alpha1",
    kind = "ServiceLevelObjective",
    namespaced,
    status = "ConfigStatus",
    shortname = "slo",
    category = "coxswain",
    derive = "PartialEq",
    doc = "When a service is good enough: objectives, weights and the total score.",
    printcolumn(name = "Project", type_ = "string", json_path = ".spec.project"),
    printcolumn(name = "Stage", type_ = "string", json_path = ".spec.stage"),
    printcolumn(name = "Service", type_ = "string", json_path = ".spec.service"),
    printcolumn(name = "Pass", type_ = "string", json_path = ".spec.total_score.pass"),
    printcolumn(name = "Warning", type_ = "string", json_path = ".spec.total_score.warning"),
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
pub struct ServiceLevelObjectiveSpec {
    /// What it applies to; the most specific one wins as a whole.
    #[serde(flatten)]
    pub scope: Scope,
    /// The objectives.
    #[serde(flatten)]
    pub body: SloBody,
}

/// The body of a v1 slo.yaml.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct SloBody {
    /// Any version; v1 never looked at it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub spec_version: Option<String>,
    /// Values for `$<key>` in the queries.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("maxProperties" = 50, "additionalProperties" = { "type": "string", "maxLength": 1024 }))]
    pub filter: Option<BTreeMap<String, String>>,
    /// What relative criteria compare with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comparison: Option<Comparison>,
    /// The objectives.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100))]
    pub objectives: Vec<Objective>,
    /// The scores, in percent, from which the whole passes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_score: Option<TotalScore>,
}

/// What relative criteria compare with.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct Comparison {
    /// `single_result` or `several_results`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub compare_with: Option<String>,
    /// `pass`, `pass_or_warn` or `all`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub include_result_with_score: Option<String>,
    /// How many earlier results `several_results` takes. Default 3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 30))]
    pub number_of_comparison_results: Option<i32>,
    /// `avg`, `p50`, `p90` or `p95`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16))]
    pub aggregate_function: Option<String>,
    /// Only Evaluations that runs of these sequences asked for are compared with; without it, all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50), inner(length(min = 1, max = 63)))]
    pub sequences: Vec<String>,
}

/// One indicator and what it must be.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct Objective {
    /// The indicator's name.
    #[schemars(length(min = 1, max = 253))]
    pub sli: String,
    /// A name for people.
    #[serde(default, rename = "displayName", skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub display_name: Option<String>,
    /// Whether a failure here fails the whole.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub key_sli: bool,
    /// How much it counts. Default 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub weight: Option<i64>,
    /// Any of these must hold to pass; without it the objective is informational.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 20))]
    pub pass: Option<Vec<CriteriaSet>>,
    /// Any of these must hold for half the score.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 20))]
    pub warning: Option<Vec<CriteriaSet>>,
    /// What it means when there is no value: `fail` (default), `warn`, `ignore`, or `inconclusive`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16))]
    pub missing: Option<String>,
}

/// Criteria that must all hold.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct CriteriaSet {
    /// Such as `<=0.5`, `<=+10%`, or `>=(-5)` for a threshold below zero.
    #[schemars(length(min = 1, max = 20), inner(length(max = 128)))]
    pub criteria: Vec<String>,
}

/// The scores, in percent, from which the whole passes or passes with a warning; `90%` or `90`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct TotalScore {
    /// At least so much passes.
    #[schemars(length(min = 1, max = 16))]
    pub pass: String,
    /// At least so much passes with a warning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 16))]
    pub warning: Option<String>,
}
