//! The security context of a Job's container: strict by default, as v1's was, and open field by field.

use k8s_openapi::api::core::v1::SecurityContext;
use serde_json::{Value, json};

use super::build::JobError;
use crate::api::jobconfig::JobTask;

/// The fields that a task may set.
const FIELDS: [&str; 9] = [
    "allowPrivilegeEscalation",
    "capabilities",
    "privileged",
    "procMount",
    "readOnlyRootFilesystem",
    "runAsGroup",
    "runAsNonRoot",
    "runAsUser",
    "seccompProfile",
];

/// The defaults, with the task's own fields in their place.
pub(super) fn context(job: &JobTask) -> Result<SecurityContext, JobError> {
    let refused = |field: &str, problem: &str| JobError::Refused {
        field: format!("securityContext.{field}"),
        job: job.name.clone(),
        problem: problem.to_owned(),
    };
    let mut context = json!({
        "runAsUser": 1000,
        "runAsGroup": 2000,
        "runAsNonRoot": true,
        "readOnlyRootFilesystem": true,
        "allowPrivilegeEscalation": false,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    });
    for (field, value) in job.security_context.iter().flatten() {
        match (field.as_str(), value) {
            ("privileged", Value::Bool(true)) => {
                return Err(refused(
                    field,
                    "true is refused: name the capabilities that the task needs",
                ));
            }
            ("procMount", Value::String(mount)) if mount == "Unmasked" => {
                return Err(refused(field, "Unmasked is refused: remove the field"));
            }
            (name, _) if FIELDS.contains(&name) => context[name] = value.clone(),
            _ => {
                return Err(refused(
                    field,
                    &format!("is unknown; known are {}", FIELDS.join(", ")),
                ));
            }
        }
    }
    serde_json::from_value(context).map_err(|e| refused("", &e.to_string()))
}
