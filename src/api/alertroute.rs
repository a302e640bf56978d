//! `AlertRoute`: how an alert's labels say which service has which problem.

use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

use super::ConfigStatus;

/// How Alertmanager's alerts become ProblemEvents of this namespace. Where a namespace has none, an alert's labels `project`,
/// `stage` and `service` say it.
#[derive(Clone, CustomResource, Debug, Default, Deserialize, KubeSchema, PartialEq, Serialize)]
#[kube(
    group = "coxswain.dev",
    version = "v1alpha1",
    kind = "AlertRoute",
    namespaced,
    status = "ConfigStatus",
    shortname = "ar",
    category = "coxswain",
    derive = "PartialEq",
    doc = "How Alertmanager's alerts become ProblemEvents of this namespace.",
    printcolumn(name = "Priority", type_ = "integer", json_path = ".spec.priority"),
    printcolumn(name = "Matchers", type_ = "string", json_path = ".spec.matchers"),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].status"
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
pub struct AlertRouteSpec {
    /// Which alerts it maps: those that all of these fit, in Alertmanager's own syntax, such as `severity="page"` or
    /// `namespace=~"shop-.*"`. Without any: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20), inner(length(min = 1, max = 1024)))]
    pub matchers: Vec<String>,
    /// Of several that fit, the one with the greatest priority maps the alert; then the oldest. Default 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = -1000, max = 1000))]
    pub priority: Option<i32>,
    /// The project. Default: the label `project`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<AlertValue>,
    /// The stage. Default: the label `stage`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage: Option<AlertValue>,
    /// The service. Default: the label `service`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<AlertValue>,
    /// The problem's title, which a Remediation's `problemType` is compared with. Alerts of one title on one service are
    /// one problem. Default: the label `alertname`, else the annotation `summary`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem_title: Option<AlertValue>,
    /// The root cause, compared before the title. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root_cause: Option<AlertValue>,
    /// The sequence that heals. Default `remediation`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub sequence: Option<String>,
}

/// Where a value stands in an alert: the label's, else the annotation's, else the default.
#[derive(Clone, Debug, Default, Deserialize, Eq, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.label) || has(self.annotation) || has(self.default)").message("name a label, an annotation or a default")
)]
pub struct AlertValue {
    /// This label.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub label: Option<String>,
    /// This annotation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub annotation: Option<String>,
    /// This text, where the alert has neither.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub default: Option<String>,
}
