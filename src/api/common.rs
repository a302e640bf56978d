//! Pieces that several kinds share.

pub use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, MicroTime as Timestamp, Time};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// What a definition applies to. A reference never leaves its namespace, so the namespace is not part of it.
#[derive(Clone, Debug, Default, Deserialize, Eq, Hash, JsonSchema, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Scope {
    /// The project: the `metadata.name` of a Shipyard in this namespace.
    #[schemars(
        length(min = 1, max = 43),
        regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")
    )]
    pub project: String,
    /// The stage; without it, every stage of the project.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = 43),
        regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")
    )]
    pub stage: Option<String>,
    /// The service; without it, every service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = 43),
        regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")
    )]
    pub service: Option<String>,
}

/// A reference to an object of the same namespace.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LocalRef {
    /// The object's name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

/// The object that started something: its kind, name and uid.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SourceRef {
    /// For example `ProblemEvent`.
    #[schemars(length(min = 1, max = 63))]
    pub kind: String,
    /// The object's name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// The object's uid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub uid: Option<String>,
}

/// The status of a kind that is only configuration: does Coxswain understand it, and is it in force?
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ConfigStatus {
    /// The generation that the conditions speak of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The newest annotation `reconcile.fluxcd.io/requestedAt` that was seen to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_handled_reconcile_at: Option<String>,
    /// `Ready` is False, with the path of the field and the nearest known name, when nothing starts from this object.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}

/// The status of a kind that is configuration, and perhaps more.
pub trait HasConfigStatus {
    /// Does Coxswain understand it, and is it in force?
    fn config(&self) -> &ConfigStatus;
    /// The same, to be changed.
    fn config_mut(&mut self) -> &mut ConfigStatus;
}

impl HasConfigStatus for ConfigStatus {
    fn config(&self) -> &ConfigStatus {
        self
    }
    fn config_mut(&mut self) -> &mut ConfigStatus {
        self
    }
}

/// The schema of a value that users shape as they like: any JSON.
pub fn any_value(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "x-kubernetes-preserve-unknown-fields": true })
}

/// The schema of an object that users shape as they like.
pub fn any_object(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true })
}

/// The schema of a list of objects whose fields another kind's schema has already.
pub fn any_objects(generator: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "array", "items": any_object(generator) })
}

/// The schema of labels that travel with a run. The maximum of each value keeps the rules on them within the API
/// server's budget.
pub fn labels(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "maxProperties": 50,
        "additionalProperties": { "type": "string", "maxLength": 1024 },
    })
}

/// A JSON object, as users write it.
pub type Object = serde_json::Map<String, serde_json::Value>;

/// Whether the condition of this type has this status (`True`, `False`, `Unknown`).
pub fn condition_is(conditions: &[Condition], type_: &str, status: &str) -> bool {
    conditions.iter().any(|c| c.type_ == type_ && c.status == status)
}

/// Sets one condition. The transition time changes only with the status, so that an unchanged condition leaves the
/// object as it was and causes no write.
pub fn set_condition(conditions: &mut Vec<Condition>, mut new: Condition) {
    match conditions.iter_mut().find(|c| c.type_ == new.type_) {
        Some(old) => {
            if old.status == new.status {
                new.last_transition_time = old.last_transition_time.clone();
            }
            *old = new;
        }
        None => conditions.push(new),
    }
}
