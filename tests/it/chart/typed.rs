//! Checks an object against the types of its kind: what a type does not know is lost when it is read and written again.

use k8s_openapi::{
    api::{
        admissionregistration::v1::{ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding},
        apps::v1::Deployment,
        core::v1::{ConfigMap, Service, ServiceAccount},
        networking::v1::NetworkPolicy,
        rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding},
    },
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

/// Whether objects of this kind are in no namespace.
pub fn is_cluster_wide(kind: &str) -> bool {
    kind.starts_with("Cluster")
        || kind.starts_with("ValidatingAdmission")
        || kind == "CustomResourceDefinition"
}

/// Why the object is none of its kind.
pub fn check(object: &Value) -> Result<(), String> {
    match object["kind"].as_str().unwrap_or_default() {
        "ClusterRole" => whole::<ClusterRole>(object),
        "ClusterRoleBinding" => whole::<ClusterRoleBinding>(object),
        "ConfigMap" => whole::<ConfigMap>(object),
        "CustomResourceDefinition" => whole::<CustomResourceDefinition>(object),
        "Deployment" => whole::<Deployment>(object),
        "NetworkPolicy" => whole::<NetworkPolicy>(object),
        "Role" => whole::<Role>(object),
        "RoleBinding" => whole::<RoleBinding>(object),
        "Service" => whole::<Service>(object),
        "ServiceAccount" => whole::<ServiceAccount>(object),
        "ValidatingAdmissionPolicy" => whole::<ValidatingAdmissionPolicy>(object),
        "ValidatingAdmissionPolicyBinding" => whole::<ValidatingAdmissionPolicyBinding>(object),
        other => Err(format!(
            "no test knows the kind {other:?}: add it to tests/it/chart/typed.rs"
        )),
    }
}

fn whole<K: DeserializeOwned + Serialize>(object: &Value) -> Result<(), String> {
    let read: K = serde_json::from_value(object.clone()).map_err(|e| e.to_string())?;
    let kept = serde_json::to_value(read).map_err(|e| e.to_string())?;
    lost("", object, &kept).map_or(Ok(()), |path| Err(format!("{path} is no field of it")))
}

/// The first path of `given` that `kept` lacks. What says nothing may be left out.
fn lost(path: &str, given: &Value, kept: &Value) -> Option<String> {
    match (given, kept) {
        (Value::Object(fields), kept) => fields.iter().find_map(|(key, value)| {
            let path = format!("{path}.{key}");
            match kept.get(key) {
                Some(kept) => lost(&path, value, kept),
                None if is_nothing(value) => None,
                None => Some(path),
            }
        }),
        (Value::Array(items), Value::Array(kept)) if items.len() == kept.len() => {
            let mut both = items.iter().zip(kept).enumerate();
            both.find_map(|(at, (item, kept))| lost(&format!("{path}[{at}]"), item, kept))
        }
        (Value::Array(_), _) => Some(path.to_owned()),
        _ => None,
    }
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.values().all(is_nothing),
        _ => false,
    }
}

#[test]
fn a_field_that_is_not_known_is_named() {
    let object = serde_json::json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a"}, "spec": {"prots": [1]}});
    assert_eq!(check(&object), Err(".spec.prots is no field of it".to_owned()));
}
