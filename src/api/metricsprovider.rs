//! `MetricsProvider`: where measurements come from. Only this kind holds URLs.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ConfigStatus, Duration};

/// A server that answers queries. Only administrators should be allowed to write this kind.
#[derive(Clone, CustomResource, Debug, Deserialize, KubeSchema, PartialEq, Serialize)]
#[kube(
    group = "coxswain.dev",
    version = "v1alpha1",
    kind = "MetricsProvider",
    namespaced,
    status = "ConfigStatus",
    shortname = "mp",
    category = "coxswain",
    derive = "PartialEq",
    doc = "Where measurements come from. Only this kind holds URLs; let only administrators write it.",
    printcolumn(name = "URL", type_ = "string", json_path = ".spec.prometheus.url"),
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
pub struct MetricsProviderSpec {
    /// A server with Prometheus' HTTP API.
    pub prometheus: PrometheusProvider,
}

/// A server with Prometheus' HTTP API.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PrometheusProvider {
    /// For example `http://prometheus.monitoring.svc:9090`.
    #[schemars(length(min = 1, max = 2048), regex(pattern = r"^https?://"))]
    pub url: String,
    /// How long one query may take. Default 10s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Duration>,
    /// How many bytes one answer may have. Default 1048576.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1024, max = 67_108_864))]
    pub max_response_bytes: Option<i64>,
}
