//! The environment of a Job's container.

use k8s_openapi::api::core::v1::{EnvFromSource, EnvVar, SecretEnvSource};
use serde_json::Value;

use super::build::{JobError, JobInput, key};
use crate::{
    api::jobconfig::{EnvVar as Wanted, JobTask},
    core::jsonpath,
};

/// The user's variables, then the scope, the labels and Coxswain's own.
pub(super) fn variables(input: &JobInput, job: &JobTask) -> Result<Vec<EnvVar>, JobError> {
    let mut variables = vec![];
    for wanted in job.env.iter().flatten() {
        match wanted.value_from.as_str() {
            "string" => variables.push(plain(&wanted.name, wanted.value.clone().unwrap_or_default())),
            "event" => variables.push(plain(&wanted.name, inert(&from_event(input, job, wanted)?))),
            // The whole Secret comes by envFrom.
            "secret" => {}
            other => {
                let problem = format!("valueFrom {other:?} is unknown; write event, string or secret");
                return Err(error(job, wanted, problem));
            }
        }
    }
    let spec = &input.execution.spec;
    let scope = [
        ("KEPTN_PROJECT", &spec.project),
        ("KEPTN_STAGE", &spec.stage),
        ("KEPTN_SERVICE", &spec.service),
    ];
    variables.extend(scope.map(|(name, value)| plain(name, inert(value))));
    for (label, value) in &spec.labels {
        variables.push(plain(&format!("LABELS_{}", label_name(label)), inert(value)));
    }
    let execution = input.execution.metadata.name.clone().unwrap_or_default();
    variables.push(plain("COXSWAIN_KEY", key(input).to_string()));
    variables.push(plain("COXSWAIN_EXECUTION", execution));
    variables.push(plain("COXSWAIN_ATTEMPT", input.attempt.to_string()));
    // The root file system is read-only; many tools want to write below their home.
    if !variables.iter().any(|v| v.name == "HOME") {
        variables.push(plain("HOME", "/tmp".to_owned()));
    }
    Ok(variables)
}

/// `valueFrom: secret`: every key of the Secret of that name.
pub(super) fn secrets(job: &JobTask) -> Option<Vec<EnvFromSource>> {
    let secrets: Vec<_> = job
        .env
        .iter()
        .flatten()
        .filter(|wanted| wanted.value_from == "secret")
        .map(|wanted| EnvFromSource {
            secret_ref: Some(SecretEnvSource {
                name: wanted.name.clone(),
                optional: Some(false),
            }),
            ..EnvFromSource::default()
        })
        .collect();
    (!secrets.is_empty()).then_some(secrets)
}

fn from_event(input: &JobInput, job: &JobTask, wanted: &Wanted) -> Result<String, JobError> {
    let path = wanted.value.as_deref().unwrap_or_default();
    let found = jsonpath::lookup(input.event, path).map_err(|e| error(job, wanted, e.to_string()))?;
    let Some(found) = found else {
        return Err(error(
            job,
            wanted,
            format!("{path} finds nothing in the event of task {:?}", input.task.name),
        ));
    };
    match wanted.as_.as_deref() {
        None => Ok(jsonpath::text(&found)),
        Some("json") => Ok(found.to_string()),
        Some("yaml") => yaml(&found).map_err(|problem| error(job, wanted, problem)),
        Some(other) => Err(error(
            job,
            wanted,
            format!("as {other:?} is unknown; write json or yaml"),
        )),
    }
}

fn yaml(value: &Value) -> Result<String, String> {
    serde_yaml::to_string(value).map_err(|e| e.to_string())
}

fn error(job: &JobTask, wanted: &Wanted, problem: String) -> JobError {
    JobError::Env {
        name: wanted.name.clone(),
        job: job.name.clone(),
        problem,
    }
}

fn plain(name: &str, value: String) -> EnvVar {
    EnvVar {
        name: name.to_owned(),
        value: Some(value),
        value_from: None,
    }
}

/// Kubernetes expands `$(NAME)` in values too; a doubled dollar sign stands for itself.
fn inert(value: &str) -> String {
    value.replace('$', "$$")
}

fn label_name(label: &str) -> String {
    label
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() {
                c.to_ascii_uppercase()
            } else {
                '_'
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_event_says_is_never_expanded() {
        assert_eq!(inert("$(SECRET) costs $5"), "$$(SECRET) costs $$5");
    }

    #[test]
    fn label_names_become_variables() {
        assert_eq!(label_name("Problem URL-x.y"), "PROBLEM_URL_X_Y");
    }
}
