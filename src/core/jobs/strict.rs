//! Reads the parts of a pod that a JobConfig's schema leaves open: with Kubernetes' own types, and unknown fields refused by
//! name. (The API server would refuse them too, but only when the Job is created.)

use schemars::{JsonSchema, SchemaGenerator};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::core::{Invalid, definitions::nearest::hint, invalid::kind};

/// The schema of one of Kubernetes' types.
pub(super) fn schema<T: JsonSchema>() -> Value {
    SchemaGenerator::default().into_root_schema_for::<T>().to_value()
}

/// An object as the type whose schema this is.
///
/// # Errors
/// Every field that is unknown, missing or of another type; paths begin with `at`.
pub(super) fn read<T: DeserializeOwned>(
    schema: &Value,
    at: &str,
    object: &Map<String, Value>,
) -> Result<T, Vec<Invalid>> {
    let mut wrong = Vec::new();
    fields(schema, schema, at, object, &mut wrong);
    if !wrong.is_empty() {
        return Err(wrong);
    }
    let read = serde_json::from_value(Value::Object(object.clone()));
    read.map_err(|error| vec![Invalid::new(at, format!("it can't be read: {error}"))])
}

fn check(root: &Value, schema: &Value, at: &str, value: &Value, wrong: &mut Vec<Invalid>) {
    let schema = resolved(root, schema);
    match value {
        // Kubernetes reads it as a field that is left out.
        Value::Null => {}
        _ if !is_of_type(schema, value) => {
            let wanted = schema["type"].as_str().unwrap_or_default();
            let message = format!("it is {}, not of type {wanted}", kind(value));
            wrong.push(Invalid::new(at, message));
        }
        Value::Object(object) => fields(root, schema, at, object, wrong),
        Value::Array(list) => {
            for (index, item) in list.iter().enumerate() {
                check(root, &schema["items"], &format!("{at}[{index}]"), item, wrong);
            }
        }
        _ => {}
    }
}

fn fields(root: &Value, schema: &Value, at: &str, object: &Map<String, Value>, wrong: &mut Vec<Invalid>) {
    let schema = resolved(root, schema);
    let Some(known) = schema["properties"].as_object() else {
        // A map: its keys are the user's.
        for (key, value) in object {
            check(
                root,
                &schema["additionalProperties"],
                &format!("{at}.{key}"),
                value,
                wrong,
            );
        }
        return;
    };
    for (key, value) in object {
        if let Some(schema) = known.get(key) {
            check(root, schema, &format!("{at}.{key}"), value, wrong);
        } else {
            let names = known.keys().map(String::as_str);
            let message = format!("there is no such field{}", hint(key, names));
            wrong.push(Invalid::new(format!("{at}.{key}"), message));
        }
    }
    for name in schema["required"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
    {
        if object.get(name).is_none_or(Value::is_null) {
            wrong.push(Invalid::new(format!("{at}.{name}"), "it is missing: add it"));
        }
    }
}

fn resolved<'a>(root: &'a Value, schema: &'a Value) -> &'a Value {
    let reference = schema["$ref"].as_str().and_then(|to| to.strip_prefix('#'));
    reference.and_then(|path| root.pointer(path)).unwrap_or(schema)
}

fn is_of_type(schema: &Value, value: &Value) -> bool {
    match schema["type"].as_str() {
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some("string") => value.is_string(),
        Some("boolean") => value.is_boolean(),
        Some("integer") => value.is_i64() || value.is_u64(),
        Some("number") => value.is_number(),
        // A quantity, or a number or text.
        _ => value.is_string() || value.is_number(),
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::{Affinity, EmptyDirVolumeSource};
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    fn wrong<T: JsonSchema + DeserializeOwned>(object: Value) -> Vec<String> {
        let read = read::<T>(&schema::<T>(), "at", object.as_object().unwrap());
        let wrong = read.err().unwrap_or_default();
        wrong.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_kubernetes_knows_is_read() {
        let affinity = json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms":
            [{"matchExpressions": [{"key": "disk", "operator": "In", "values": ["ssd"]}]}]}},
            "podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 1, "podAffinityTerm":
            {"topologyKey": "zone", "labelSelector": {"matchLabels": {"any key": "x"}}}}]}, "podAffinity": null});
        assert_eq!(wrong::<Affinity>(affinity), [""; 0]);
        for size in [json!("1Gi"), json!(1_000_000), json!(null)] {
            assert_eq!(
                wrong::<EmptyDirVolumeSource>(json!({"sizeLimit": size, "medium": "Memory"})),
                [""; 0]
            );
        }
    }

    #[rstest]
    #[case(json!({"nodeAffinty": {}}), r#"at.nodeAffinty: there is no such field; did you mean "nodeAffinity"?"#)]
    #[case(json!({"nodeAffinity": []}), "at.nodeAffinity: it is a list, not of type object")]
    #[case(
        json!({"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [{}]}}),
        "at.podAffinity.requiredDuringSchedulingIgnoredDuringExecution[0].topologyKey: it is missing: add it"
    )]
    #[case(
        json!({"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": "1", "preference": {}}]}}),
        "at.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].weight: it is text, not of type integer"
    )]
    #[case(
        json!({"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 5_000_000_000_u64, "preference": {}}]}}),
        "at: it can't be read: invalid value: integer `5000000000`, expected i32"
    )]
    fn what_it_does_not_know_is_named(#[case] object: Value, #[case] says: &str) {
        assert_eq!(wrong::<Affinity>(object), [says]);
    }
}
