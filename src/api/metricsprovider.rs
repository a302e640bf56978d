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
    /// Who the operator is to the server. Default nobody in particular.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<Auth>,
    /// How the server proves who it is, and how the operator does; for https.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
    /// Further headers of every request, such as `X-Scope-OrgID`: the tenant of Mimir and Cortex.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    pub headers: Vec<Header>,
    /// Lets the server be on the operator's own machine (127.0.0.0/8, ::1). Default false: what listens there is rarely
    /// meant for others.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub allow_loopback: bool,
    /// What an answer without the data of some store or ingester is. Refuse (the default): no answer, as if the server
    /// had been away. Accept: an answer, with a warning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partial_response: Option<PartialResponse>,
}

/// What to do with answers that lack some of the data.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum PartialResponse {
    /// They count as no answer.
    #[default]
    Refuse,
    /// They count; the warning is kept.
    Accept,
}

/// Who the operator is to the server: exactly one of the two.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Auth {
    /// A token, sent as `Authorization: Bearer`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bearer: Option<SecretValue>,
    /// A user name and password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub basic: Option<Basic>,
}

/// A user name and password.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Basic {
    /// The user name; or `usernameFrom`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub username: Option<String>,
    /// Where the user name stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username_from: Option<SecretValue>,
    /// Where the password stands.
    pub password_from: SecretValue,
}

/// How server and operator prove who they are.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Tls {
    /// The certificate authorities, in PEM, that may vouch for the server, in place of the well-known ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_from: Option<CaSource>,
    /// The operator's own certificate and key: a Secret of the type `kubernetes.io/tls`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_cert_from: Option<ClientCert>,
    /// The name in the server's certificate, where it is not the URL's host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub server_name: Option<String>,
}

/// Where certificate authorities stand: exactly one of the two.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CaSource {
    /// In a ConfigMap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_map_ref: Option<KeyRef>,
    /// In a Secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<KeyRef>,
}

/// A Secret with the keys `tls.crt` and `tls.key`.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ClientCert {
    /// The Secret's name.
    #[schemars(length(min = 1, max = 253))]
    pub secret_name: String,
}

/// A header of every request.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Header {
    /// Its name. `Authorization` belongs to `auth`; those of the connection are not ours to set.
    #[schemars(length(min = 1, max = 128), regex(pattern = r"^[A-Za-z0-9_-]+$"))]
    pub name: String,
    /// Its value; or `valueFrom`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub value: Option<String>,
    /// Where its value stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value_from: Option<SecretValue>,
}

/// A value that stands in a Secret.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SecretValue {
    /// The Secret and its key.
    pub secret_ref: KeyRef,
}

/// A key of an object of the same namespace.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct KeyRef {
    /// The object's name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// The key.
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
}
