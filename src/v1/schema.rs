//! Is a value what the definition of its kind asks for? The same schema as the API server's, so what is read here is
//! accepted there; but every mistake is told, with its path and the nearest known name.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use regex::Regex;
use serde_json::Value;

use super::Error;
use crate::{
    api::Duration,
    core::{definitions::nearest::hint, invalid::kind},
};

/// No more mistakes of one file are told.
const MOST: usize = 50;

/// The schema of a kind's `spec`.
pub(super) fn spec_of(crd: CustomResourceDefinition) -> JSONSchemaProps {
    crd.spec
        .versions
        .into_iter()
        .next()
        .and_then(|version| version.schema?.open_api_v3_schema?.properties?.remove("spec"))
        .unwrap_or_default()
}

/// An object with these fields.
pub(super) fn object(fields: Vec<(&str, JSONSchemaProps)>, required: &[&str]) -> JSONSchemaProps {
    JSONSchemaProps {
        type_: Some("object".to_owned()),
        properties: Some(fields.into_iter().map(|(n, s)| (n.to_owned(), s)).collect()),
        required: Some(required.iter().map(|n| (*n).to_owned()).collect()),
        ..JSONSchemaProps::default()
    }
}

/// Any text.
pub(super) fn text() -> JSONSchemaProps {
    JSONSchemaProps {
        type_: Some("string".to_owned()),
        ..JSONSchemaProps::default()
    }
}

/// Whatever the user likes.
pub(super) fn anything() -> JSONSchemaProps {
    JSONSchemaProps {
        x_kubernetes_preserve_unknown_fields: Some(true),
        ..JSONSchemaProps::default()
    }
}

/// The path of a field: `spec.stages`, or `env["a.b"]` for a name that is no word.
pub(super) fn join(path: &str, name: &str) -> String {
    let word = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
    if name.is_empty() || !name.chars().all(word) {
        format!("{path}[{name:?}]")
    } else if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}.{name}")
    }
}

/// Checks a value, and makes it what the schema says: text of numbers where text is wanted (`texts` has it as it was
/// written), and no `null`s, which Keptn took for fields that are not there.
pub(super) fn check(file: &str, value: &mut Value, texts: &Value, schema: &JSONSchemaProps) -> Vec<Error> {
    let mut check = Check {
        file,
        wrong: Vec::new(),
    };
    check.value(value, texts, schema, "");
    check.wrong.truncate(MOST);
    check.wrong
}

struct Check<'a> {
    file: &'a str,
    wrong: Vec<Error>,
}

impl Check<'_> {
    fn say(&mut self, path: &str, message: impl Into<String>) {
        self.wrong.push(Error::value(self.file, path, message));
    }

    fn value(&mut self, value: &mut Value, texts: &Value, schema: &JSONSchemaProps, path: &str) {
        match schema.type_.as_deref() {
            Some("object") => self.object(value, texts, schema, path),
            Some("array") => self.list(value, texts, schema, path),
            Some("string") => self.text(value, texts, schema, path),
            Some("integer") => self.integer(value, schema, path),
            Some("boolean") if !value.is_boolean() => {
                self.say(
                    path,
                    format!("{} is neither true nor false; write one", shown(value)),
                );
            }
            _ => {}
        }
    }

    fn object(&mut self, value: &mut Value, texts: &Value, schema: &JSONSchemaProps, path: &str) {
        let Value::Object(fields) = value else {
            return self.say(
                path,
                format!("is {}; write fields, as `name: value`", kind(value)),
            );
        };
        let open = schema.x_kubernetes_preserve_unknown_fields == Some(true);
        let known = schema.properties.as_ref();
        if !open {
            fields.retain(|_, item| !item.is_null());
        }
        if let Some(max) = schema.max_properties.filter(|max| too_many(fields.len(), *max)) {
            return self.say(path, format!("has {} entries; leave at most {max}", fields.len()));
        }
        for (name, item) in fields.iter_mut() {
            let below = join(path, name);
            let text = texts.get(name).unwrap_or(&Value::Null);
            match (
                known.and_then(|known| known.get(name)),
                &schema.additional_properties,
            ) {
                (Some(field), _) => self.value(item, text, field, &below),
                (None, Some(JSONSchemaPropsOrBool::Schema(other))) => self.value(item, text, other, &below),
                (None, _) if open => {}
                (None, _) => self.wrong.push(Error::Unknown {
                    file: self.file.to_owned(),
                    path: below,
                    hint: hint(name, known.into_iter().flat_map(|k| k.keys().map(String::as_str))),
                }),
            }
        }
        for name in schema.required.iter().flatten() {
            if !fields.contains_key(name) {
                self.wrong.push(Error::Missing {
                    file: self.file.to_owned(),
                    path: join(path, name),
                });
            }
        }
    }

    fn list(&mut self, value: &mut Value, texts: &Value, schema: &JSONSchemaProps, path: &str) {
        let Value::Array(items) = value else {
            return self.say(
                path,
                format!("is {}; write a list, each line with a `-`", kind(value)),
            );
        };
        if let Some(max) = schema.max_items.filter(|max| too_many(items.len(), *max)) {
            return self.say(path, format!("has {} entries; leave at most {max}", items.len()));
        }
        if items.is_empty() && schema.min_items.is_some_and(|min| min > 0) {
            self.say(path, "is empty; write at least one entry");
        }
        let Some(JSONSchemaPropsOrArray::Schema(each)) = &schema.items else {
            return;
        };
        for (index, item) in items.iter_mut().enumerate() {
            let below = format!("{path}[{index}]");
            if item.is_null() {
                self.say(&below, "is an empty entry; remove it");
            } else {
                self.value(item, texts.get(index).unwrap_or(&Value::Null), each, &below);
            }
        }
    }

    fn text(&mut self, value: &mut Value, texts: &Value, schema: &JSONSchemaProps, path: &str) {
        let written = match (&*value, texts) {
            (Value::String(text), _) => text.clone(),
            (Value::Number(_) | Value::Bool(_), Value::String(text)) => text.clone(),
            (Value::Bool(b), _) => b.to_string(),
            (Value::Number(n), _) if !n.is_f64() => n.to_string(),
            (Value::Number(n), _) => {
                return self.say(path, format!("{n} must be text; write it in quotes"));
            }
            (other, _) => return self.say(path, format!("is {}; write text", kind(other))),
        };
        let length = written.chars().count();
        if let Some(max) = schema.max_length.filter(|max| too_many(length, *max)) {
            self.say(path, format!("has {length} characters; leave at most {max}"));
        } else if written.is_empty() && schema.min_length.is_some_and(|min| min > 0) {
            self.say(path, "is empty; write something, or remove the field");
        } else if let Some(message) = misfit(&written, schema) {
            self.say(path, message);
        }
        *value = Value::String(written);
    }

    fn integer(&mut self, value: &Value, schema: &JSONSchemaProps, path: &str) {
        let Some(number) = value.as_i64() else {
            return self.say(path, format!("{} is no whole number; write one", shown(value)));
        };
        #[expect(clippy::cast_precision_loss, reason = "the limits of the schemas are small")]
        let number = number as f64;
        let (least, most) = (schema.minimum, schema.maximum);
        let narrow = schema.format.as_deref() == Some("int32");
        if least.is_some_and(|least| number < least)
            || most.is_some_and(|most| number > most)
            || (narrow && number.abs() > f64::from(i32::MAX))
        {
            let limit = |limit: Option<f64>, or: f64| limit.unwrap_or(or).to_string();
            let (least, most) = (
                limit(least, f64::from(i32::MIN)),
                limit(most, f64::from(i32::MAX)),
            );
            self.say(
                path,
                format!(
                    "{} is out of range; write one from {least} to {most}",
                    shown(value)
                ),
            );
        }
    }
}

/// Why a text is not one that the schema allows.
fn misfit(text: &str, schema: &JSONSchemaProps) -> Option<String> {
    if let Some(allowed) = &schema.enum_ {
        let allowed: Vec<&str> = allowed.iter().filter_map(|json| json.0.as_str()).collect();
        if !allowed.contains(&text) {
            let hint = hint(text, allowed.iter().copied());
            return Some(format!("{text:?} is not possible{hint}"));
        }
    }
    let pattern = schema.pattern.as_ref()?;
    if Regex::new(pattern).is_ok_and(|regex| regex.is_match(text)) {
        return None;
    }
    // Every pattern with units is that of a length of time, which has a message of its own.
    if pattern.contains("(ns|us")
        && let Err(message) = text.parse::<Duration>()
    {
        return Some(format!("{message}; write one"));
    }
    Some(format!("{text:?} is not possible; it must fit {pattern}"))
}

fn too_many(count: usize, max: i64) -> bool {
    i64::try_from(count).is_ok_and(|count| count > max)
}

/// A value as it may stand in a message.
fn shown(value: &Value) -> String {
    match value {
        Value::Array(_) | Value::Object(_) => kind(value).to_owned(),
        other => other.to_string(),
    }
}
