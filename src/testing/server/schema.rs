//! What a structural schema does to an object: unknown fields are pruned, defaults are filled in, and what is plainly
//! wrong is refused. Patterns and CEL rules are left to the real API server.

use serde_json::Value;

const PRESERVE: &str = "x-kubernetes-preserve-unknown-fields";

/// Drops every field that the schema does not know. `metadata`, `apiVersion` and `kind` always stay.
pub(super) fn prune(object: &mut Value, schema: &Value) {
    prune_value(object, schema, true);
}

fn prune_value(value: &mut Value, schema: &Value, root: bool) {
    match value {
        Value::Object(map) => {
            let properties = schema.get("properties");
            let additional = schema.get("additionalProperties").filter(|a| a.is_object());
            let preserve = schema.get(PRESERVE) == Some(&Value::Bool(true));
            map.retain(|key, _| {
                (root && matches!(key.as_str(), "metadata" | "apiVersion" | "kind"))
                    || preserve
                    || additional.is_some()
                    || properties.is_some_and(|p| p.get(key).is_some())
            });
            for (key, child) in map.iter_mut() {
                if let Some(schema) = properties.and_then(|p| p.get(key)).or(additional) {
                    prune_value(child, schema, false);
                }
            }
        }
        Value::Array(items) => {
            if let Some(schema) = schema.get("items") {
                items.iter_mut().for_each(|item| prune_value(item, schema, false));
            }
        }
        _ => {}
    }
}

/// Fills in the schema's defaults wherever the parent object is there.
pub(super) fn fill_defaults(value: &mut Value, schema: &Value) {
    match value {
        Value::Object(map) => {
            let properties = schema.get("properties").and_then(Value::as_object);
            for (key, property) in properties.into_iter().flatten() {
                if let Some(default) = property.get("default") {
                    let entry = map.entry(key.clone()).or_insert_with(|| default.clone());
                    if entry.is_null() && property.get("nullable") != Some(&Value::Bool(true)) {
                        *entry = default.clone();
                    }
                }
                if let Some(child) = map.get_mut(key) {
                    fill_defaults(child, property);
                }
            }
            if let Some(schema) = schema.get("additionalProperties").filter(|a| a.is_object()) {
                map.values_mut().for_each(|child| fill_defaults(child, schema));
            }
        }
        Value::Array(items) => {
            if let Some(schema) = schema.get("items") {
                items.iter_mut().for_each(|item| fill_defaults(item, schema));
            }
        }
        _ => {}
    }
}

/// The first thing that is plainly wrong: a type, a missing field, an enum or a length.
pub(super) fn fault(value: &Value, schema: &Value, path: &str) -> Option<String> {
    if value.is_null() {
        let fine = schema.get("nullable") == Some(&Value::Bool(true)) || schema.get("type").is_none();
        return (!fine).then(|| format!("{path}: Invalid value: \"null\": must not be null"));
    }
    if let Some(wrong) = wrong_type(value, schema) {
        return Some(format!("{path}: Invalid value: {value}: must be of type {wrong}"));
    }
    let allowed = schema.get("enum").and_then(Value::as_array);
    if allowed.is_some_and(|a| !a.contains(value)) {
        return Some(format!("{path}: Unsupported value: {value}"));
    }
    let number = |key: &str| {
        schema
            .get(key)
            .and_then(Value::as_u64)
            .and_then(|n| usize::try_from(n).ok())
    };
    let (length, low, high) = match value {
        Value::String(text) => (text.chars().count(), "minLength", "maxLength"),
        Value::Array(items) => (items.len(), "minItems", "maxItems"),
        Value::Object(map) => (map.len(), "minProperties", "maxProperties"),
        _ => (0, "", ""),
    };
    if number(low).is_some_and(|min| length < min) {
        return Some(format!(
            "{path}: Invalid value: {value}: should have at least {:?} ({low})",
            number(low)
        ));
    }
    if number(high).is_some_and(|max| length > max) {
        return Some(format!(
            "{path}: Too long: may not be more than {:?} ({high})",
            number(high)
        ));
    }
    children(value, schema, path)
}

fn children(value: &Value, schema: &Value, path: &str) -> Option<String> {
    match value {
        Value::Object(map) => {
            let required = schema
                .get("required")
                .and_then(Value::as_array)
                .into_iter()
                .flatten();
            let missing = required
                .filter_map(Value::as_str)
                .find(|key| !map.contains_key(*key));
            if let Some(key) = missing {
                return Some(format!("{path}.{key}: Required value"));
            }
            let additional = schema.get("additionalProperties").filter(|a| a.is_object());
            map.iter().find_map(|(key, child)| {
                let property = schema.get("properties").and_then(|p| p.get(key)).or(additional)?;
                fault(child, property, &format!("{path}.{key}"))
            })
        }
        Value::Array(items) => {
            let schema = schema.get("items")?;
            items
                .iter()
                .enumerate()
                .find_map(|(i, item)| fault(item, schema, &format!("{path}[{i}]")))
        }
        _ => None,
    }
}

fn wrong_type<'a>(value: &Value, schema: &'a Value) -> Option<&'a str> {
    let wanted = schema.get("type")?.as_str()?;
    let fits = match wanted {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        _ => true,
    };
    (!fits).then_some(wanted)
}
