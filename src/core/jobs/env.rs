//! A container's environment: ours first, so that values that users wrote may refer to it, then the task's own.
//!
//! Kubernetes lets `env` win over `envFrom`, and of two variables of one name the later one. So no key of a whole Secret
//! replaces a variable of ours, and no task can have a variable of one of our names.

mod entry;
mod event;
mod labels;
#[cfg(test)]
mod tests;

use k8s_openapi::api::core::v1::{
    ConfigMapKeySelector, EnvFromSource, EnvVar, EnvVarSource, SecretEnvSource, SecretKeySelector,
};

use super::build::{JobError, JobInput};
pub(super) use entry::{Entry, read_all};
use entry::{Field, Origin};

/// The most bytes of one value.
const VALUE_MAX: usize = 32 * 1024;
/// The most bytes of all variables with their names. The kernel hands a process little more in all.
const ALL_MAX: usize = 128 * 1024;

/// What a container finds in its environment.
pub(super) struct Environment {
    /// The variables.
    pub(super) variables: Vec<EnvVar>,
    /// The Secrets that are taken whole.
    pub(super) secrets: Vec<EnvFromSource>,
    /// The keys of the labels that have no variable.
    pub(super) left_out: Vec<String>,
}

/// The environment of a task with these entries.
///
/// # Errors
/// A value from the event that is missing, can't be passed on, is too large, or doesn't fit its pattern.
pub(super) fn environment(input: &JobInput, own: &[Entry]) -> Result<Environment, JobError> {
    let mut variables = ours(input, own);
    let left_out = labels::add(&mut variables, &input.event["data"]["labels"]);
    let mut secrets = Vec::new();
    for Entry { name, origin } in own {
        match origin {
            Origin::Event(value) => variables.push(variable(name, event::text(input, name, value)?)),
            Origin::Execution(field) => variables.push(variable(name, literal(&value_of(input, *field)))),
            Origin::Text(text) => variables.push(variable(name, *text)),
            Origin::Secret { secret, key } => variables.push(from_secret(name, secret, key)),
            Origin::ConfigMap { map, key } => variables.push(from_config_map(name, map, key)),
            Origin::WholeSecret => secrets.push(whole(name)),
        }
    }
    check_size(input, &variables)?;
    Ok(Environment {
        variables,
        secrets,
        left_out,
    })
}

fn ours(input: &JobInput, own: &[Entry]) -> Vec<EnvVar> {
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
        .any(|entry| entry.name == "HOME" && !matches!(entry.origin, Origin::WholeSecret))
    {
        // The root file system is read-only and the user has no home; helm, git and others need one to write to.
        variables.push(variable("HOME", "/tmp"));
    }
    variables
}

fn from_secret(name: &str, secret: &str, key: &str) -> EnvVar {
    let of = SecretKeySelector {
        name: secret.to_owned(),
        key: key.to_owned(),
        optional: None,
    };
    EnvVar {
        name: name.to_owned(),
        value: None,
        value_from: Some(EnvVarSource {
            secret_key_ref: Some(of),
            ..EnvVarSource::default()
        }),
    }
}

fn from_config_map(name: &str, map: &str, key: &str) -> EnvVar {
    let of = ConfigMapKeySelector {
        name: map.to_owned(),
        key: key.to_owned(),
        optional: None,
    };
    EnvVar {
        name: name.to_owned(),
        value: None,
        value_from: Some(EnvVarSource {
            config_map_key_ref: Some(of),
            ..EnvVarSource::default()
        }),
    }
}

fn whole(secret: &str) -> EnvFromSource {
    EnvFromSource {
        secret_ref: Some(SecretEnvSource {
            name: secret.to_owned(),
            optional: None,
        }),
        ..EnvFromSource::default()
    }
}

fn value_of(input: &JobInput, field: Field) -> String {
    let (meta, spec) = (&input.execution.metadata, &input.execution.spec);
    match field {
        Field::Name => meta.name.clone().unwrap_or_default(),
        Field::Namespace => meta.namespace.clone().unwrap_or_default(),
        Field::Uid => meta.uid.clone().unwrap_or_default(),
        Field::Project => spec.project.clone(),
        Field::Stage => spec.stage.clone(),
        Field::Service => spec.service.clone(),
        Field::Sequence => spec.sequence.clone(),
        Field::Task => input.task.name.clone(),
        Field::Attempt => input.attempt.to_string(),
        Field::Try => input.try_.to_string(),
        Field::Context => crate::core::sequence::context_of(input.execution),
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
