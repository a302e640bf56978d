//! A container's environment: ours first, so that values that users wrote may refer to it, then the task's own.
//!
//! Kubernetes lets `env` win over `envFrom`, and of two variables of one name the later one. So no key of a whole Secret
//! replaces a variable of ours, and no task can have a variable of one of our names.

mod event;
mod labels;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{
    ConfigMapKeySelector, EnvFromSource, EnvVar, EnvVarSource, SecretEnvSource, SecretKeySelector,
};

use super::build::{JobError, JobInput};
use crate::{
    api::jobconfig::{self, JobTask},
    core::{Invalid, definitions::nearest::hint, jsonpath},
};

/// The most bytes of one value.
const VALUE_MAX: usize = 32 * 1024;
/// The most bytes of all variables with their names. The kernel hands a process little more in all.
const ALL_MAX: usize = 128 * 1024;

const KINDS: [&str; 5] = ["event", "string", "secret", "configMap", "execution"];
const FORMS: [&str; 3] = ["json", "yaml", "string"];
const FIELDS: [&str; 11] = [
    "name",
    "namespace",
    "uid",
    "project",
    "stage",
    "service",
    "sequence",
    "task",
    "attempt",
    "try",
    "context",
];

/// What a container finds in its environment.
pub(super) struct Environment {
    /// The variables.
    pub(super) variables: Vec<EnvVar>,
    /// The Secrets that are taken whole.
    pub(super) secrets: Vec<EnvFromSource>,
    /// The keys of the labels that have no variable.
    pub(super) left_out: Vec<String>,
}

/// The environment of a task that [`check_all`] finds nothing wrong with.
///
/// # Errors
/// A value from the event that is missing, can't be passed on, is too large, or doesn't fit its pattern.
pub(super) fn environment(input: &JobInput, task: &JobTask) -> Result<Environment, JobError> {
    let own = task.env.as_deref().unwrap_or_default();
    let mut variables = ours(input, own);
    let left_out = labels::add(&mut variables, &input.event["data"]["labels"]);
    let mut secrets = Vec::new();
    for entry in own {
        if is_whole_secret(entry) {
            secrets.push(EnvFromSource {
                secret_ref: Some(SecretEnvSource {
                    name: entry.name.clone(),
                    optional: None,
                }),
                ..EnvFromSource::default()
            });
        } else {
            variables.push(own_variable(input, entry)?);
        }
    }
    check_size(input, &variables)?;
    Ok(Environment {
        variables,
        secrets,
        left_out,
    })
}

fn ours(input: &JobInput, own: &[jobconfig::EnvVar]) -> Vec<EnvVar> {
    let spec = &input.execution.spec;
    let execution = input.execution.metadata.name.as_deref().unwrap_or_default();
    let mut variables = vec![
        variable("KEPTN_PROJECT", literal(&spec.project)),
        variable("KEPTN_STAGE", literal(&spec.stage)),
        variable("KEPTN_SERVICE", literal(&spec.service)),
        variable("COXSWAIN_KEY", super::build::key(input)),
        variable("COXSWAIN_EXECUTION", execution),
        variable("COXSWAIN_ATTEMPT", input.attempt.to_string()),
    ];
    if !own
        .iter()
        .any(|entry| entry.name == "HOME" && !is_whole_secret(entry))
    {
        // The root file system is read-only and the user has no home; helm, git and others need one to write to.
        variables.push(variable("HOME", "/tmp"));
    }
    variables
}

fn own_variable(input: &JobInput, entry: &jobconfig::EnvVar) -> Result<EnvVar, JobError> {
    let value = entry.value.as_deref().unwrap_or_default();
    let key = entry.key.clone().unwrap_or_default();
    let from = |source: EnvVarSource| EnvVar {
        name: entry.name.clone(),
        value: None,
        value_from: Some(source),
    };
    Ok(match entry.value_from.as_str() {
        "event" => {
            let text = event::text(input, entry)?;
            let is_expanded = entry.expand == Some(true);
            variable(&entry.name, if is_expanded { text } else { literal(&text) })
        }
        "execution" => variable(&entry.name, literal(&field(input, value))),
        "secret" => from(EnvVarSource {
            secret_key_ref: Some(SecretKeySelector {
                name: value.to_owned(),
                key,
                optional: None,
            }),
            ..EnvVarSource::default()
        }),
        "configMap" => from(EnvVarSource {
            config_map_key_ref: Some(ConfigMapKeySelector {
                name: value.to_owned(),
                key,
                optional: None,
            }),
            ..EnvVarSource::default()
        }),
        _ => variable(&entry.name, value),
    })
}

/// A field of the execution, one of [`FIELDS`].
fn field(input: &JobInput, name: &str) -> String {
    let (meta, spec) = (&input.execution.metadata, &input.execution.spec);
    match name {
        "name" => meta.name.clone().unwrap_or_default(),
        "namespace" => meta.namespace.clone().unwrap_or_default(),
        "uid" => meta.uid.clone().unwrap_or_default(),
        "project" => spec.project.clone(),
        "stage" => spec.stage.clone(),
        "service" => spec.service.clone(),
        "sequence" => spec.sequence.clone(),
        "task" => input.task.name.clone(),
        "attempt" => input.attempt.to_string(),
        "try" => input.try_.to_string(),
        "context" => crate::core::sequence::context_of(input.execution),
        _ => String::new(),
    }
}

fn check_size(input: &JobInput, variables: &[EnvVar]) -> Result<(), JobError> {
    let size = |variable: &EnvVar| variable.name.len() + variable.value.as_ref().map_or(0, String::len);
    let total: usize = variables.iter().map(size).sum();
    let largest = variables.iter().max_by_key(|variable| size(variable));
    match largest {
        Some(largest) if total > ALL_MAX => {
            let problem = format!(
                "the environment would have {total} bytes, at most {ALL_MAX} are allowed; the largest variable is {} with {}: \
                 pass less of the event, or a link to it",
                largest.name,
                size(largest)
            );
            Err(JobError::refused(input, "EnvironmentTooLarge", problem))
        }
        _ => Ok(()),
    }
}

/// What is wrong with a task's entries; paths begin with `env`.
pub(super) fn check_all(entries: &[jobconfig::EnvVar]) -> Vec<Invalid> {
    let mut wrong = Vec::new();
    let mut names = BTreeSet::new();
    for (index, entry) in entries.iter().enumerate() {
        let at = |problem: Invalid| Invalid::new(format!("env[{index}].{}", problem.path), problem.message);
        wrong.extend(check(entry).into_iter().map(at));
        if !names.insert((is_whole_secret(entry), &entry.name)) {
            let message = format!(
                "another entry has the name {:?} too: remove one of them",
                entry.name
            );
            wrong.push(at(Invalid::new("name", message)));
        }
    }
    wrong
}

/// What is wrong with one entry; paths are below the entry.
fn check(entry: &jobconfig::EnvVar) -> Vec<Invalid> {
    let kind = entry.value_from.as_str();
    let value = entry.value.as_deref().unwrap_or_default();
    let mut wrong = Vec::new();
    let mut is = |path: &str, message: String| wrong.push(Invalid::new(path, message));
    match kind {
        "event" => {
            if let Err(error) = jsonpath::validate(value) {
                is("value", error.to_string());
            }
            if let Some(other) = entry.as_.as_deref().filter(|form| !FORMS.contains(form)) {
                is(
                    "as",
                    format!("unknown form {other:?}: use json, yaml or string, or leave it out"),
                );
            }
        }
        "string" if value.contains('\0') => {
            is(
                "value",
                "it has a NUL, which no variable can hold: leave it out".to_owned(),
            );
        }
        "execution" if !FIELDS.contains(&value) => {
            is(
                "value",
                format!("an execution has no field {value:?}{}", hint(value, FIELDS)),
            );
        }
        "configMap" | "secret" if !is_whole_secret(entry) => {
            let object = if kind == "secret" { "Secret" } else { "ConfigMap" };
            if !super::files::is_object_name(value) {
                is(
                    "value",
                    format!(
                        "{value:?} can't be the name of a {object}: write the name of the one that has the key"
                    ),
                );
            }
            match entry.key.as_deref() {
                None => is(
                    "key",
                    "it is missing: name the ConfigMap's key that has the value".to_owned(),
                ),
                Some(key) if !is_key(key) => is("key", format!("{key:?} can't be the key of a {object}")),
                Some(_) => {}
            }
        }
        "string" | "execution" | "configMap" | "secret" => {}
        other => is(
            "valueFrom",
            format!("unknown valueFrom {other:?}{}", hint(other, KINDS)),
        ),
    }
    wrong.extend(name_problem(entry).map(|message| Invalid::new("name", message)));
    wrong.extend(only_where_read(entry));
    if let Some(problem) = entry.pattern.as_deref().and_then(event::pattern_problem) {
        wrong.push(Invalid::new("pattern", problem));
    }
    wrong
}

/// Fields that would be passed over. v1's files may have an `as` anywhere: v1 passed over it as well.
fn only_where_read(entry: &jobconfig::EnvVar) -> impl Iterator<Item = Invalid> {
    let kind = entry.value_from.as_str();
    let is_event = kind == "event";
    let has_key = matches!(kind, "secret" | "configMap");
    let known = KINDS.contains(&kind);
    let unread = [
        ("key", entry.key.is_some() && !has_key, "a secret or configMap"),
        ("pattern", entry.pattern.is_some() && !is_event, "an event"),
        ("expand", entry.expand.is_some() && !is_event, "an event"),
    ];
    let unread = unread
        .into_iter()
        .filter(move |(_, is_unread, _)| known && *is_unread);
    unread
        .map(|(field, _, of)| Invalid::new(field, format!("it is only for a value from {of}: leave it out")))
}

fn name_problem(entry: &jobconfig::EnvVar) -> Option<String> {
    let name = entry.name.as_str();
    if is_whole_secret(entry) {
        let is_name = super::files::is_object_name(name);
        return (!is_name).then(|| format!("{name:?} can't be the name of a Secret"));
    }
    if !is_variable(name) {
        let remedy = "use letters, digits, `_`, `-` and `.`, and no digit first";
        return Some(format!("{name:?} can't be the name of a variable: {remedy}"));
    }
    is_reserved(name).then(|| format!("{name} is a variable that Coxswain sets: use another name"))
}

/// v1's users have variables such as `KEPTN_API_TOKEN`, so of those only the three that v1 sets are taken.
fn is_reserved(name: &str) -> bool {
    matches!(name, "KEPTN_PROJECT" | "KEPTN_STAGE" | "KEPTN_SERVICE")
        || name.starts_with("COXSWAIN_")
        || name.starts_with(labels::PREFIX)
}

fn is_whole_secret(entry: &jobconfig::EnvVar) -> bool {
    entry.value_from == "secret" && entry.key.is_none()
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
    is_key(name) && !name.starts_with(|c: char| c.is_ascii_digit()) && name != "." && !name.starts_with("..")
}

/// Whether this can be a key of a ConfigMap or Secret.
fn is_key(key: &str) -> bool {
    let inner = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
    !key.is_empty() && key.len() <= 253 && key.bytes().all(inner)
}
