//! `ServiceLevelIndicator`: how indicators are measured.

use std::collections::BTreeMap;

use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

use super::{ConfigStatus, LocalRef, Scope};

/// Indicator -> query: the body of a Keptn v1 sli.yaml, as it is, with its scope and provider. Names merge project ->
/// stage -> service.
#[derive(Clone, CustomResource, Debug, Deserialize, KubeSchema, PartialEq, Serialize)]
#[kube(
    group = "coxswain.dev",
    version = "v1alpha1",
    kind = "ServiceLevelIndicator",
    namespaced,
    status = "ConfigStatus",
    shortname = "sli",
    category = "coxswain",
    derive = "PartialEq",
    doc = "How indicators are measured: a query for each name.",
    printcolumn(name = "Project", type_ = "string", json_path = ".spec.project"),
    printcolumn(name = "Stage", type_ = "string", json_path = ".spec.stage"),
    printcolumn(name = "Service", type_ = "string", json_path = ".spec.service"),
    printcolumn(name = "Provider", type_ = "string", json_path = ".spec.provider.name"),
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
pub struct ServiceLevelIndicatorSpec {
    /// What it applies to.
    #[serde(flatten)]
    pub scope: Scope,
    /// The MetricsProvider that answers. It may be left out when the namespace has exactly one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<LocalRef>,
    /// Any version; v1 never looked at it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub spec_version: Option<String>,
    /// The queries, by indicator.
    #[schemars(extend("maxProperties" = 100, "additionalProperties" = { "type": "string", "maxLength": 8192 }))]
    pub indicators: BTreeMap<String, String>,
}
