//! Which kinds the server serves.

use std::{collections::BTreeMap, sync::Arc};

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use serde_json::Value;

/// One kind, as the API server knows it.
#[derive(Clone, Debug)]
pub struct Kind {
    /// The group; empty for core.
    pub group: String,
    /// The version that is served.
    pub version: String,
    /// As in URLs: `jobs`.
    pub plural: String,
    /// As in manifests: `Job`.
    pub kind: String,
    /// Whether its objects live in namespaces.
    pub namespaced: bool,
    /// Whether `status` is written through its own subresource.
    pub status: bool,
    /// Whether it is defined by a CustomResourceDefinition.
    pub custom: bool,
    /// Field selectors besides `metadata.name` and `metadata.namespace`, as dotted paths.
    pub selectable: Vec<String>,
    /// The schema that objects are pruned and defaulted by.
    pub schema: Option<Value>,
}

impl Kind {
    /// `jobs.batch`, `pods`.
    pub fn resource(&self) -> String {
        resource(&self.group, &self.plural)
    }

    /// `batch/v1`, `v1`.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.clone()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }

    /// Whether the server counts generations of it. Of the kinds without a status subresource, those that only hold
    /// data have none.
    pub fn has_generation(&self) -> bool {
        self.status && self.kind != "Namespace"
    }
}

/// `jobs.batch`, `pods`: how the server's tables are keyed.
pub fn resource(group: &str, plural: &str) -> String {
    if group.is_empty() {
        plural.to_owned()
    } else {
        format!("{plural}.{group}")
    }
}

const SELECTABLE_EVENT: &[&str] = &[
    "involvedObject.kind",
    "involvedObject.name",
    "involvedObject.namespace",
    "involvedObject.uid",
    "reason",
    "type",
];
const SELECTABLE_NEW_EVENT: &[&str] = &[
    "regarding.kind",
    "regarding.name",
    "regarding.namespace",
    "regarding.uid",
    "reason",
    "type",
];
const SELECTABLE_POD: &[&str] = &[
    "spec.nodeName",
    "spec.restartPolicy",
    "spec.serviceAccountName",
    "status.phase",
];

/// (group, version, plural, kind, namespaced, status subresource, selectable fields)
type Row = (
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    bool,
    bool,
    &'static [&'static str],
);

const BUILT_IN: &[Row] = &[
    (
        "",
        "v1",
        "namespaces",
        "Namespace",
        false,
        true,
        &["status.phase"],
    ),
    ("", "v1", "nodes", "Node", false, true, &["spec.unschedulable"]),
    ("", "v1", "configmaps", "ConfigMap", true, false, &[]),
    ("", "v1", "secrets", "Secret", true, false, &["type"]),
    ("", "v1", "serviceaccounts", "ServiceAccount", true, false, &[]),
    ("", "v1", "services", "Service", true, true, &[]),
    ("", "v1", "pods", "Pod", true, true, SELECTABLE_POD),
    ("", "v1", "events", "Event", true, false, SELECTABLE_EVENT),
    (
        "events.k8s.io",
        "v1",
        "events",
        "Event",
        true,
        false,
        SELECTABLE_NEW_EVENT,
    ),
    ("batch", "v1", "jobs", "Job", true, true, &["status.successful"]),
    ("apps", "v1", "deployments", "Deployment", true, true, &[]),
    ("apps", "v1", "replicasets", "ReplicaSet", true, true, &[]),
    ("coordination.k8s.io", "v1", "leases", "Lease", true, false, &[]),
    (
        "rbac.authorization.k8s.io",
        "v1",
        "roles",
        "Role",
        true,
        false,
        &[],
    ),
    (
        "rbac.authorization.k8s.io",
        "v1",
        "rolebindings",
        "RoleBinding",
        true,
        false,
        &[],
    ),
];

/// All kinds that a new server knows: the usual built-in ones and Coxswain's.
pub(super) fn known() -> BTreeMap<String, Arc<Kind>> {
    let built_in = BUILT_IN.iter().map(
        |&(group, version, plural, kind, namespaced, status, selectable)| Kind {
            group: group.to_owned(),
            version: version.to_owned(),
            plural: plural.to_owned(),
            kind: kind.to_owned(),
            namespaced,
            status,
            custom: false,
            selectable: selectable.iter().map(ToString::to_string).collect(),
            schema: None,
        },
    );
    let ours = crate::api::all_crds();
    built_in
        .chain(ours.iter().map(custom))
        .map(|k| (k.resource(), Arc::new(k)))
        .collect()
}

/// The kind that a definition defines: its storage version.
pub fn custom(definition: &CustomResourceDefinition) -> Kind {
    let spec = &definition.spec;
    let version = spec
        .versions
        .iter()
        .find(|v| v.storage)
        .expect("a definition has a storage version");
    let fields = version.selectable_fields.iter().flatten();
    let schema = version
        .schema
        .as_ref()
        .and_then(|s| s.open_api_v3_schema.as_ref());
    Kind {
        group: spec.group.clone(),
        version: version.name.clone(),
        plural: spec.names.plural.clone(),
        kind: spec.names.kind.clone(),
        namespaced: spec.scope == "Namespaced",
        status: version.subresources.as_ref().is_some_and(|s| s.status.is_some()),
        custom: true,
        selectable: fields
            .map(|f| f.json_path.trim_start_matches('.').to_owned())
            .collect(),
        schema: schema.map(|s| serde_json::to_value(s).expect("a schema is JSON")),
    }
}
