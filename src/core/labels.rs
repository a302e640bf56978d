//! The labels and annotations that Coxswain sets and reads.

use std::fmt::Write;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use sha2::{Digest, Sha256};

/// Annotation: which Job of which execution this is; see [`crate::core::names::JobKey`].
pub const KEY: &str = "coxswain.dev/key";
/// Annotation of a Job: the keys of the labels that it has no `LABELS_` variable for, because another label has that
/// variable, or because no variable can hold the value.
pub const LEFT_OUT: &str = "coxswain.dev/labels-left-out";
/// Annotation of a service account whose owner lets Jobs use it: `"true"`.
pub const ALLOWED: &str = "coxswain.dev/allowed";
/// Annotation of a namespace: the images that its Jobs may use; see [`crate::core::jobs::images`].
pub const ALLOWED_IMAGES: &str = "coxswain.dev/allowed-images";
/// Annotation of a MetricsProvider in the operator's own namespace: `"true"` makes it the one of all namespaces without
/// one.
pub const DEFAULT_PROVIDER: &str = "coxswain.dev/default-provider";
/// Label: the SequenceExecution's name.
pub const EXECUTION: &str = "coxswain.dev/execution";
/// Label: the flow; everything that one trigger spawned has the same.
pub const CONTEXT: &str = "coxswain.dev/context";
/// Label: the Delivery that began the flow; see [`value`].
pub const DELIVERY: &str = "coxswain.dev/delivery";
/// Annotation of a run that its predecessor in the same place triggered: it goes before all others that wait there.
pub const INHERITS: &str = "coxswain.dev/inherits-place";
/// Label: the project.
pub const PROJECT: &str = "coxswain.dev/project";
/// Label: the stage.
pub const STAGE: &str = "coxswain.dev/stage";
/// Label: the service.
pub const SERVICE: &str = "coxswain.dev/service";
/// Label: the kind of problem on this service; see [`crate::core::names::problem_label`].
pub const PROBLEM: &str = "coxswain.dev/problem";
/// Annotation: what asked for the object, and by which token.
pub const ASKED_BY: &str = "coxswain.dev/asked-by";
/// Annotation of a Delivery that is held because it may have been restored: its own uid lets it start.
pub const CONFIRM: &str = "coxswain.dev/confirm";
/// Label: what Velero sets on everything that it restores.
pub const VELERO_RESTORE: &str = "velero.io/restore-name";
/// Label: the ServiceLevelObjective, or [`NO_OBJECTIVE`]; see [`value`].
pub const OBJECTIVE: &str = "coxswain.dev/objective";
/// The value of [`OBJECTIVE`] when there is none. No object's name has an underscore.
pub const NO_OBJECTIVE: &str = "no_objective";
/// Annotation of a ConfigMap with the label [`PROJECT`]: the directory below `/keptn` that its keys are the files of, such as
/// `charts` or `charts/dev`. Without it they are files of `/keptn` itself.
pub const DIRECTORY: &str = "coxswain.dev/directory";
/// Annotation of such a ConfigMap: a JSON object with the names of files that no key can have, by their keys.
pub const FILE_NAMES: &str = "coxswain.dev/file-names";
/// Annotation of a Job: the revisions of Flux's sources that its files come from.
pub const REVISIONS: &str = "coxswain.dev/revisions";
/// Label: the sequence's task.
pub const TASK: &str = "coxswain.dev/task";
/// Label: the attempt, from 1.
pub const ATTEMPT: &str = "coxswain.dev/attempt";
/// Annotation: asks that the object is looked at now, at a time that names the wish; what Flux and its users set.
pub const RECONCILE: &str = "reconcile.fluxcd.io/requestedAt";
/// Label: who manages the object.
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// The value of [`MANAGED_BY`].
pub const COXSWAIN: &str = "coxswain";

/// The longest value of a label.
const VALUE_MAX: usize = 63;
/// The longest wish to be looked at, in bytes: several times what Flux writes.
const RECONCILE_MAX: usize = 128;

/// Whether Kubernetes takes this as a label's value.
pub fn is_value(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
    let at_end = |c: char| c.is_ascii_alphanumeric();
    text.is_empty()
        || (text.len() <= VALUE_MAX
            && text.bytes().all(inner)
            && text.starts_with(at_end)
            && text.ends_with(at_end))
}

/// The wish that the object is looked at now, to be recorded once that was done. One that is too long for a status is
/// nobody's time, and not heeded.
pub fn asked_to_look(meta: &ObjectMeta) -> Option<&str> {
    let asked = meta.annotations.as_ref()?.get(RECONCILE)?;
    (asked.len() <= RECONCILE_MAX).then_some(asked.as_str())
}

/// An object's name as a label's value. Names may be longer than values: those are cut, with a hash in place of the
/// rest, so that two names never become one value.
pub fn value(name: &str) -> String {
    if name.len() <= VALUE_MAX {
        return name.to_owned();
    }
    let mut hash = String::new();
    for byte in Sha256::digest(name).iter().take(5) {
        let _ = write!(hash, "{byte:02x}");
    }
    let room = VALUE_MAX - hash.len() - 1;
    let end = (0..=room).rev().find(|i| name.is_char_boundary(*i)).unwrap_or(0);
    format!("{}-{hash}", &name[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wish_to_be_looked_at_is_as_long_as_a_time_may_be() {
        let asking = |text: &str| ObjectMeta {
            annotations: Some([(RECONCILE.to_owned(), text.to_owned())].into()),
            ..ObjectMeta::default()
        };
        assert_eq!(asked_to_look(&ObjectMeta::default()), None);
        let time = "2026-01-05T09:00:00.123456789+01:00";
        assert_eq!(asked_to_look(&asking(time)), Some(time));
        assert_eq!(asked_to_look(&asking(&"9".repeat(129))), None);
    }

    #[test]
    fn a_long_name_becomes_a_value_of_its_own() {
        assert_eq!(value("checkout"), "checkout");
        let (a, b) = (
            value(&format!("{}a", "x".repeat(80))),
            value(&format!("{}b", "x".repeat(80))),
        );
        assert_eq!((a.len(), b.len()), (63, 63));
        assert_ne!(a, b);
    }
}
