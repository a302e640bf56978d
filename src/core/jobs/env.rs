//! A container's environment, in v1's order.

use k8s_openapi::api::core::v1::{EnvFromSource, EnvVar, SecretEnvSource};
use serde_json::Value;

use super::build::{JobError, JobInput};
use crate::{
    api::jobconfig::{self, JobTask},
    core::{Invalid, definitions::nearest::hint, jsonpath},
};

const KINDS: [&str; 3] = ["event", "string", "secret"];

/// The variables, and the Secrets that are taken whole: the task's own, then `KEPTN_*`, then ours, then `LABELS_*`.
pub(super) fn environment(
    input: &JobInput,
    task: &JobTask,
) -> Result<(Vec<EnvVar>, Vec<EnvFromSource>), JobError> {
    let mut env = Vec::new();
    let mut secrets = Vec::new();
    let own = task.env.as_deref().unwrap_or_default();
    for (index, entry) in own.iter().enumerate() {
        if let Some(problem) = check(entry).into_iter().next() {
            let path = format!("env[{index}].{}", problem.path);
            return Err(JobError::invalid(input, &Invalid::new(path, problem.message)));
        }
        let value = entry.value.as_deref().unwrap_or_default();
        match entry.value_from.as_str() {
            "secret" => secrets.push(EnvFromSource {
                secret_ref: Some(SecretEnvSource {
                    name: entry.name.clone(),
                    optional: None,
                }),
                ..EnvFromSource::default()
            }),
            "event" => env.push(variable(&entry.name, literal(&from_event(input, entry)?))),
            _ => env.push(variable(&entry.name, value)),
        }
    }
    let spec = &input.execution.spec;
    env.push(variable("KEPTN_PROJECT", literal(&spec.project)));
    env.push(variable("KEPTN_STAGE", literal(&spec.stage)));
    env.push(variable("KEPTN_SERVICE", literal(&spec.service)));
    env.push(variable("COXSWAIN_KEY", super::build::key(input)));
    env.push(variable(
        "COXSWAIN_EXECUTION",
        input.execution.metadata.name.as_deref().unwrap_or_default(),
    ));
    env.push(variable("COXSWAIN_ATTEMPT", input.attempt.to_string()));
    if !own
        .iter()
        .any(|entry| entry.name == "HOME" && entry.value_from != "secret")
    {
        // The root file system is read-only and the user has no home; helm, git and others need one to write to.
        env.push(variable("HOME", "/tmp"));
    }
    for (key, value) in input.event["data"]["labels"].as_object().into_iter().flatten() {
        env.push(variable(&label_variable(key), literal(&jsonpath::text(value))));
    }
    Ok((env, secrets))
}

/// What is wrong with one entry; paths are below the entry.
pub(super) fn check(entry: &jobconfig::EnvVar) -> Vec<Invalid> {
    let mut wrong = Vec::new();
    match entry.value_from.as_str() {
        "event" => {
            let path = entry.value.as_deref().unwrap_or_default();
            if let Err(error) = jsonpath::validate(path) {
                wrong.push(Invalid::new("value", error.to_string()));
            }
        }
        "string" | "secret" => {}
        other => {
            wrong.push(Invalid::new(
                "valueFrom",
                format!("unknown valueFrom {other:?}{}", hint(other, KINDS)),
            ));
        }
    }
    if entry.value_from == "secret" {
        if !super::files::is_object_name(&entry.name) {
            wrong.push(Invalid::new(
                "name",
                format!("{:?} can't be the name of a Secret", entry.name),
            ));
        }
    } else if !is_variable(&entry.name) {
        let remedy = "use letters, digits, `_`, `-` and `.`, and no digit first";
        wrong.push(Invalid::new(
            "name",
            format!("{:?} can't be the name of a variable: {remedy}", entry.name),
        ));
    }
    if let Some(other) = entry
        .as_
        .as_deref()
        .filter(|form| !matches!(*form, "json" | "yaml"))
    {
        wrong.push(Invalid::new(
            "as",
            format!("unknown form {other:?}: use json or yaml, or leave it out"),
        ));
    }
    wrong
}

fn from_event(input: &JobInput, entry: &jobconfig::EnvVar) -> Result<String, JobError> {
    let path = entry.value.as_deref().unwrap_or_default();
    let found = jsonpath::lookup(input.event, path)
        .map_err(|error| JobError::invalid(input, &Invalid::new("env", error.to_string())))?;
    match (found, entry.as_.as_deref()) {
        (None, _) => Err(JobError::missing_value(input, &entry.name, path, "nothing")),
        (Some(value), Some("json")) => Ok(value.to_string()),
        (Some(value), Some("yaml")) => serde_yaml::to_string(&value)
            .map_err(|error| JobError::invalid(input, &Invalid::new("env", error.to_string()))),
        (Some(Value::Null), _) => Err(JobError::missing_value(input, &entry.name, path, "null")),
        (Some(value), _) => Ok(jsonpath::text(&value)),
    }
}

/// A value that Kubernetes passes on as it is. It expands `$(NAME)` in values too, and reads `$$` as `$`; only what users
/// wrote themselves may be expanded.
fn literal(value: &str) -> String {
    value.replace('$', "$$")
}

fn variable(name: &str, value: impl Into<String>) -> EnvVar {
    EnvVar {
        name: name.to_owned(),
        value: Some(value.into()),
        value_from: None,
    }
}

fn is_variable(name: &str) -> bool {
    let inner = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
    !name.is_empty() && name.bytes().all(inner) && !name.starts_with(|c: char| c.is_ascii_digit())
}

/// `app-version` -> `LABELS_APP_VERSION`.
fn label_variable(key: &str) -> String {
    let allowed = |c: char| {
        if c.is_ascii_alphanumeric() || c == '.' {
            c.to_ascii_uppercase()
        } else {
            '_'
        }
    };
    format!("LABELS_{}", key.chars().map(allowed).collect::<String>())
}
