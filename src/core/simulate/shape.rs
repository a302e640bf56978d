//! Whether an object has the shape that its kind's schema asks for: what the API server would say of it, offline.

use serde_json::Value;

use crate::core::{Invalid, definitions::nearest::hint};

const PRESERVE: &str = "x-kubernetes-preserve-unknown-fields";

/// Fields that the schema does not know, values of another type, and fields that are missing.
pub(super) fn faults(object: &Value, schema: &Value) -> Vec<Invalid> {
    let mut found = vec![];
    for (key, child) in object.as_object().into_iter().flatten() {
        if let Some(schema) = schema.pointer(&format!("/properties/{key}"))
            && !matches!(key.as_str(), "metadata" | "status")
        {
            look(child, schema, key, &mut found);
        } else if !matches!(key.as_str(), "apiVersion" | "kind" | "metadata" | "status") {
            let message = format!("is no field of this kind{}", hint(key, ["metadata", "spec"]));
            found.push(Invalid::new(key, message));
        }
    }
    if object.get("spec").is_none() {
        found.push(Invalid::new("spec", "is missing; add it"));
    }
    found
}

fn look(value: &Value, schema: &Value, path: &str, found: &mut Vec<Invalid>) {
    if value.is_null() {
        return;
    }
    if let Some(wanted) = other_type(value, schema) {
        let message = format!("is {}, and must be of type {wanted}", short(value));
        return found.push(Invalid::new(path, message));
    }
    if let Some(allowed) = schema.get("enum").and_then(Value::as_array)
        && !allowed.contains(value)
    {
        let names: Vec<&str> = allowed.iter().filter_map(Value::as_str).collect();
        let message = format!("is {}; use one of {}", short(value), names.join(", "));
        return found.push(Invalid::new(path, message));
    }
    match value {
        Value::Object(fields) => look_into(fields, schema, path, found),
        Value::Array(items) => {
            let Some(schema) = schema.get("items") else { return };
            for (index, item) in items.iter().enumerate() {
                look(item, schema, &format!("{path}[{index}]"), found);
            }
        }
        _ => {}
    }
}

fn look_into(fields: &crate::api::common::Object, schema: &Value, path: &str, found: &mut Vec<Invalid>) {
    let known = schema.get("properties").and_then(Value::as_object);
    let further = schema.get("additionalProperties").filter(|a| a.is_object());
    let free = schema.get(PRESERVE) == Some(&Value::Bool(true));
    for (key, child) in fields {
        let at = format!("{path}.{key}");
        match known.and_then(|k| k.get(key)).or(further) {
            Some(schema) => look(child, schema, &at, found),
            None if free => {}
            None => {
                let names = known.into_iter().flatten().map(|(name, _)| name.as_str());
                found.push(Invalid::new(at, format!("is no known field{}", hint(key, names))));
            }
        }
    }
    let required = schema.get("required").and_then(Value::as_array);
    for name in required.into_iter().flatten().filter_map(Value::as_str) {
        if fields.get(name).is_none_or(Value::is_null) {
            found.push(Invalid::new(format!("{path}.{name}"), "is missing; add it"));
        }
    }
}

fn other_type<'a>(value: &Value, schema: &'a Value) -> Option<&'a str> {
    let wanted = schema.get("type")?.as_str()?;
    let is = match wanted {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        _ => true,
    };
    (!is).then_some(wanted)
}

/// A value as it stands in a message.
pub(super) fn short(value: &Value) -> String {
    let text = value.to_string();
    if text.chars().count() <= 60 {
        return text;
    }
    format!("{}...", text.chars().take(57).collect::<String>())
}
