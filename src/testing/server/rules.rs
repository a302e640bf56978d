//! What the API server does to an object on its way into the storage.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::{
    kinds::Kind,
    refusal::{Refusal, bad_request, conflict, invalid, modified},
    schema,
    store::{Part, Place},
};

/// The string at this path, or the empty one.
pub(super) fn text(object: &Value, path: &[&str]) -> String {
    let found = path.iter().try_fold(object, |value, key| value.get(*key));
    found.and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// The API server keeps metadata's times in whole seconds.
pub(super) fn seconds(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

pub(super) fn bump_generation(meta: &mut Value) {
    if let Some(generation) = meta.get("generation").and_then(Value::as_i64) {
        meta["generation"] = json!(generation + 1);
    }
}

/// Fills in what the server gives every new object.
pub(super) fn prepare_new(
    kind: &Kind,
    namespace: &str,
    object: &mut Value,
    number: u64,
    now: Timestamp,
) -> Result<(), Refusal> {
    let Value::Object(fields) = object else {
        return Err(bad_request("the body is not an object"));
    };
    check_type(kind, fields)?;
    if kind.status {
        fields.remove("status");
    }
    let meta = fields.entry("metadata").or_insert_with(|| json!({}));
    let Value::Object(meta) = meta else {
        return Err(bad_request("metadata is not an object"));
    };
    if meta
        .get("resourceVersion")
        .and_then(Value::as_str)
        .is_some_and(|rv| !rv.is_empty())
    {
        return Err(bad_request(
            "resourceVersion should not be set on objects to be created",
        ));
    }
    let name = meta.get("name").and_then(Value::as_str).unwrap_or_default();
    if name.is_empty() {
        let prefix = meta
            .get("generateName")
            .and_then(Value::as_str)
            .unwrap_or_default();
        if prefix.is_empty() {
            return Err(invalid(kind, "", "name or generateName is required"));
        }
        meta.insert("name".to_owned(), json!(format!("{prefix}{number:05}")));
    }
    if kind.namespaced {
        let named = meta.get("namespace").and_then(Value::as_str).unwrap_or(namespace);
        if named != namespace {
            return Err(bad_request(
                "the namespace of the provided object does not match the namespace sent on the request",
            ));
        }
        meta.insert("namespace".to_owned(), json!(namespace));
    }
    meta.insert(
        "uid".to_owned(),
        json!(format!("00000000-0000-4000-8000-{number:012x}")),
    );
    meta.insert("creationTimestamp".to_owned(), json!(seconds(now)));
    meta.remove("deletionTimestamp");
    meta.remove("managedFields");
    if kind.has_generation() {
        meta.insert("generation".to_owned(), json!(1));
    } else {
        meta.remove("generation");
    }
    tidy_meta(&mut object["metadata"]);
    fill_in(kind, object);
    Ok(())
}

fn is_data(field: &str) -> bool {
    matches!(field, "data" | "binaryData")
}

/// The object that an update leads to: what was asked, but for what an update can't touch.
pub(super) fn merge_update(
    kind: &Kind,
    place: &Place,
    part: Part,
    old: &Value,
    mut asked: Value,
) -> Result<Value, Refusal> {
    let Value::Object(fields) = &mut asked else {
        return Err(bad_request("the body is not an object"));
    };
    check_type(kind, fields)?;
    if kind.kind == "ConfigMap" {
        // Built-in kinds go through types that leave empty maps out.
        fields.retain(|name, value| !is_data(name) || value.as_object().is_none_or(|map| !map.is_empty()));
    }
    let named = |key: &str, expected: &str| {
        let found = text(&Value::Object(fields.clone()), &["metadata", key]);
        found.is_empty() || found == expected
    };
    if !named("name", &place.name) || !named("namespace", &place.namespace) {
        return Err(bad_request(
            "the name or namespace of the object does not match the URL",
        ));
    }
    let uid = text(old, &["metadata", "uid"]);
    if !named("uid", &uid) {
        return Err(conflict(
            kind,
            &place.name,
            &format!("Precondition failed: UID in object meta: {uid}"),
        ));
    }
    let rv = text(&asked, &["metadata", "resourceVersion"]);
    if rv.is_empty() && kind.custom {
        return Err(invalid(
            kind,
            &place.name,
            "metadata.resourceVersion: must be specified for an update",
        ));
    }
    if !rv.is_empty() && rv != text(old, &["metadata", "resourceVersion"]) {
        return Err(modified(kind, &place.name));
    }
    let mut new = match part {
        Part::Status => with_part(old.clone(), "status", &asked),
        Part::Main if kind.status => with_part(asked, "status", old),
        Part::Main => asked,
    };
    for key in [
        "name",
        "namespace",
        "uid",
        "resourceVersion",
        "creationTimestamp",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "generation",
        "generateName",
    ] {
        let meta = new["metadata"]
            .as_object_mut()
            .ok_or_else(|| bad_request("metadata is not an object"))?;
        match old["metadata"].get(key) {
            Some(value) => meta.insert(key.to_owned(), value.clone()),
            None => meta.remove(key),
        };
    }
    // Who wrote what: as the writer says, who plays somebody; a client that says nothing changes nothing.
    let said = new["metadata"]["managedFields"].take();
    tidy_meta(&mut new["metadata"]);
    let managed = match (part, said) {
        (Part::Main, Value::Array(said)) if !said.is_empty() => Value::Array(said),
        _ => old["metadata"]["managedFields"].clone(),
    };
    if !managed.is_null() {
        new["metadata"]["managedFields"] = managed;
    }
    fill_in(kind, &mut new);
    if part == Part::Main && kind.has_generation() && wish(&new) != wish(old) {
        bump_generation(&mut new["metadata"]);
    }
    Ok(new)
}

/// Without what a client writes for "none", so that equal objects compare equal.
fn tidy_meta(meta: &mut Value) {
    if let Some(meta) = meta.as_object_mut() {
        meta.remove("managedFields");
        meta.retain(|_, value| match value {
            Value::Null => false,
            Value::Array(items) => !items.is_empty(),
            Value::Object(map) => !map.is_empty(),
            _ => true,
        });
    }
}

/// `object` with the field `key` as `other` has it.
fn with_part(mut object: Value, key: &str, other: &Value) -> Value {
    if let Some(fields) = object.as_object_mut() {
        match other.get(key) {
            Some(value) => fields.insert(key.to_owned(), value.clone()),
            None => fields.remove(key),
        };
    }
    object
}

/// All but metadata and status: a change here is a new generation.
fn wish(object: &Value) -> Map<String, Value> {
    let mut fields = object.as_object().cloned().unwrap_or_default();
    fields.remove("metadata");
    fields.remove("status");
    fields
}

fn check_type(kind: &Kind, fields: &mut Map<String, Value>) -> Result<(), Refusal> {
    for (key, expected) in [("apiVersion", kind.api_version()), ("kind", kind.kind.clone())] {
        let given = fields.entry(key).or_insert_with(|| json!(expected));
        if *given != expected {
            let why = format!("{key} {given} in the body does not match {expected:?} of the URL");
            return Err(bad_request(why));
        }
    }
    Ok(())
}

fn fill_in(kind: &Kind, object: &mut Value) {
    if let Some(schema) = &kind.schema {
        schema::prune(object, schema);
        schema::fill_defaults(object, schema);
    }
    if kind.kind == "Job" {
        job_defaults(object);
    }
}

/// The part of a Job's defaults that others look at.
fn job_defaults(job: &mut Value) {
    let name = text(job, &["metadata", "name"]);
    let uid = text(job, &["metadata", "uid"]);
    let Some(spec) = job["spec"].as_object_mut() else {
        return;
    };
    for (key, value) in [
        ("parallelism", json!(1)),
        ("completions", json!(1)),
        ("backoffLimit", json!(6)),
        ("suspend", json!(false)),
        ("completionMode", json!("NonIndexed")),
        ("podReplacementPolicy", json!("TerminatingOrFailed")),
    ] {
        spec.entry(key).or_insert(value);
    }
    spec.insert(
        "selector".to_owned(),
        json!({"matchLabels": {"batch.kubernetes.io/controller-uid": uid}}),
    );
    let template = spec.entry("template").or_insert_with(|| json!({}));
    let labels = &mut template["metadata"]["labels"];
    labels["batch.kubernetes.io/controller-uid"] = json!(uid);
    labels["batch.kubernetes.io/job-name"] = json!(name);
    labels["controller-uid"] = json!(uid);
    labels["job-name"] = json!(name);
}

/// Names, labels and the schema.
pub(super) fn check(kind: &Kind, name: &str, object: &Value) -> Result<(), Refusal> {
    let limit = if matches!(kind.kind.as_str(), "Namespace" | "Job" | "Service") {
        63
    } else {
        253
    };
    if !is_dns_name(name) || name.len() > limit {
        let why = format!(
            "metadata.name: Invalid value: {name:?}: a lowercase RFC 1123 subdomain of at most {limit} characters"
        );
        return Err(invalid(kind, name, &why));
    }
    let labels = object["metadata"].get("labels").and_then(Value::as_object);
    for (key, value) in labels.into_iter().flatten() {
        let short = key.rsplit('/').next().unwrap_or_default();
        let fine = value.as_str().is_some_and(|v| v.is_empty() || is_label(v)) && is_label(short);
        if !fine {
            let why = format!("metadata.labels: Invalid value: {key}: {value}: at most 63 of [-_.A-Za-z0-9]");
            return Err(invalid(kind, name, &why));
        }
    }
    if let Some(schema) = &kind.schema
        && let Some(why) = schema::fault(object, schema, "")
    {
        return Err(invalid(kind, name, why.trim_start_matches('.')));
    }
    Ok(())
}

fn is_dns_name(name: &str) -> bool {
    let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    edge(name.chars().next())
        && edge(name.chars().last())
        && name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.')
}

fn is_label(value: &str) -> bool {
    let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    value.len() <= 63
        && edge(value.chars().next())
        && edge(value.chars().last())
        && value
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
}
