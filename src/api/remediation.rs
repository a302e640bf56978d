//! `Remediation`: which actions heal which problem.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{ConfigStatus, Duration, Scope, common::any_value};

/// Problem type -> ordered actions. `remediations` is the body of a Keptn v1 remediation.yaml, as it is.
#[derive(Clone, CustomResource, Debug, Deserialize, KubeSchema, PartialEq, Serialize)]
#[kube(
    group = "coxswain.dev",
    version = "v1alpha1",
    kind = "Remediation",
    namespaced,
    status = "ConfigStatus",
    shortname = "rem",
    category = "coxswain",
    derive = "PartialEq",
    doc = "Which actions heal which problem, and how much may be done.",
    printcolumn(name = "Project", type_ = "string", json_path = ".spec.project"),
    printcolumn(name = "Stage", type_ = "string", json_path = ".spec.stage"),
    printcolumn(name = "Service", type_ = "string", json_path = ".spec.service"),
    printcolumn(name = "Mode", type_ = "string", json_path = ".spec.mode"),
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
pub struct RemediationSpec {
    /// What it applies to; the most specific Remediation wins as a whole.
    #[serde(flatten)]
    pub scope: Scope,
    /// `Act` runs the actions; `Observe` decides, records and evaluates, and never creates a Job.
    #[serde(default)]
    pub mode: Mode,
    /// `Escalate`: an action (or test) that fails counts as a failed evaluation, so the next action is tried. `Stop`: it
    /// ends the run.
    #[serde(default)]
    pub on_action_failure: OnActionFailure,
    /// How many actions may run on one service of one stage in a period. Default 6 per 1h.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<Budget>,
    /// How long a service is left alone after a run before the next one acts. Default 5m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cooldown: Option<Duration>,
    /// The problems and their actions.
    #[schemars(length(max = 200))]
    pub remediations: Vec<ProblemActions>,
}

/// Whether actions run.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum Mode {
    /// Run the actions.
    #[default]
    Act,
    /// Only say what would run.
    Observe,
}

/// What a failed action means.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum OnActionFailure {
    /// Try the next action.
    #[default]
    Escalate,
    /// End the run.
    Stop,
}

/// How many actions in how long a time.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Budget {
    /// At most so many actions.
    #[schemars(range(min = 0, max = 1000))]
    pub actions: i32,
    /// In a period of this length that ends now.
    pub per: Duration,
}

/// The actions for one type of problem.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ProblemActions {
    /// Compared, exactly, with the problem's root cause, then with its title; `default` fits any problem.
    #[schemars(length(min = 1, max = 253))]
    pub problem_type: String,
    /// Tried in order, one an attempt. An entry without this field is passed over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 50))]
    pub actions_on_open: Option<Vec<Action>>,
}

/// One thing to try.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Action {
    /// What JobConfigs match as `$.data.action.action`.
    #[schemars(length(min = 1, max = 253))]
    pub action: String,
    /// A name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub name: Option<String>,
    /// A sentence for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub description: Option<String>,
    /// The action's parameter: any value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "any_value")]
    pub value: Option<Value>,
}
