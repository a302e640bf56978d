//! What the API server says when it does not do something, for people: what is missing, and what to do.

use std::time::Duration;

use kube::{Resource, core::Status};

use super::{cluster::Object, rbac};
use crate::api::GROUP;

/// What is being done, for messages.
#[derive(Clone, Debug)]
pub struct Doing {
    verb: &'static str,
    kind: String,
    plural: String,
    /// Empty: in all namespaces, or of the cluster.
    namespace: String,
}

impl Doing {
    /// This, to objects of a kind.
    pub fn to<K: Object>(verb: &'static str, namespace: &str) -> Self {
        Self::new(verb, &<K as Resource>::kind(&()), &K::plural(&()), namespace)
    }

    /// This, to objects of a kind.
    pub fn new(verb: &'static str, kind: &str, plural: &str, namespace: &str) -> Self {
        Self {
            verb,
            kind: kind.to_owned(),
            plural: plural.to_owned(),
            namespace: namespace.to_owned(),
        }
    }

    /// No answer came.
    pub fn too_late(&self, patience: Duration) -> anyhow::Error {
        anyhow::anyhow!(
            "{} {}: the API server did not answer within {patience:?}; see kubectl cluster-info, and try again",
            self.verb,
            self.plural
        )
    }

    /// It failed.
    pub fn failed(&self, error: kube::Error) -> anyhow::Error {
        match error {
            kube::Error::Api(status) => anyhow::anyhow!(self.refused(&status)),
            other => anyhow::anyhow!(
                "can't reach the cluster to {} {}: {}; see kubectl cluster-info, or choose another cluster with \
                 --context or --kubeconfig",
                self.verb,
                self.plural,
                chain(&other)
            ),
        }
    }

    /// What a refusal means.
    fn refused(&self, status: &Status) -> String {
        let Self {
            verb,
            kind,
            plural,
            namespace,
        } = self;
        match status.code {
            401 => {
                "the cluster does not know who you are: log in again, and see kubectl auth whoami".to_owned()
            }
            // A policy says itself what is missing.
            403 if status.message.contains("cannot ") => {
                let place = if namespace.is_empty() {
                    "in all namespaces".to_owned()
                } else {
                    format!("in namespace {namespace}")
                };
                let remedy = match rbac::role_with(plural, verb) {
                    Some(role) if namespace.is_empty() => format!(
                        "the ClusterRole coxswain-{role} has the right, bound for the whole cluster; or name a namespace \
                         with -n"
                    ),
                    Some(role) => format!(
                        "the ClusterRole coxswain-{role} has the right: an administrator may bind it with kubectl create \
                         rolebinding NAME --clusterrole=coxswain-{role} --user=YOU -n {namespace}"
                    ),
                    None => "ask an administrator of the cluster".to_owned(),
                };
                format!("you may not {verb} {plural} {place}: {remedy}")
            }
            404 if not_installed(status) => format!(
                "this cluster does not know {kind}s: install Coxswain (docs: Install), or its definitions alone with \
                 coxswain crds | kubectl apply --server-side -f -"
            ),
            404 => format!("{verb} {kind}: {}; name the namespace with -n", status.message),
            409 => format!(
                "{verb} {kind}: somebody changed it at the same moment ({}); try again",
                status.message
            ),
            _ => format!("{verb} {kind}: {}", plain(&status.message)),
        }
    }
}

/// Whether it is the resource that is unknown, not an object.
fn not_installed(status: &Status) -> bool {
    status.message.contains("404 page not found")
        || status.message.contains("could not find the requested resource")
        || status.message.contains("no matches for kind")
}

/// Whether an answer speaks of the object of this name.
pub(super) fn names(status: &Status, name: &str) -> bool {
    status.message.contains(&format!("{name:?}"))
}

/// The API server's sentence without what it wraps around a rule's own message.
fn plain(message: &str) -> &str {
    let marked = message.split_once(" denied request: ").map(|(_, said)| said);
    marked.unwrap_or(message)
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut said = error.to_string();
    let mut inner = error.source();
    while let Some(cause) = inner {
        let text = cause.to_string();
        if !said.contains(&text) {
            said = format!("{said}: {text}");
        }
        inner = cause.source();
    }
    said
}

/// What a write that failed means. Messages of rules and policies, which say what to do, are shown as they are.
pub(super) fn write_failed<K: Object>(
    verb: &'static str,
    namespace: &str,
    error: crate::effects::Error,
) -> anyhow::Error {
    match error {
        crate::effects::Error::Api { source, .. } => Doing::to::<K>(verb, namespace).failed(*source),
        late @ crate::effects::Error::Timeout { .. } => {
            anyhow::anyhow!("{late}; it may have taken effect: look before you try again")
        }
    }
}

/// `sequenceexecution.coxswain.dev/NAME`, as kubectl prints names.
pub(super) fn named<K: Object>(object: &K) -> String {
    let name = object.meta().name.as_deref().unwrap_or_default();
    format!("{}.{GROUP}/{name}", K::kind(&()).to_lowercase())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::api::{Approval, MetricsProvider, SequenceExecution};

    fn said(doing: &Doing, code: u16, message: &str) -> String {
        let status = Status {
            code,
            message: message.to_owned(),
            ..Status::default()
        };
        doing.failed(kube::Error::Api(Box::new(status))).to_string()
    }

    #[test]
    fn a_missing_right_names_the_role_that_has_it() {
        let message =
            "approvals.coxswain.dev \"a\" is forbidden: User \"jane\" cannot patch resource \"approvals\"";
        let told = said(&Doing::to::<Approval>("patch", "shop"), 403, message);
        assert_eq!(
            told,
            "you may not patch approvals in namespace shop: the ClusterRole coxswain-approver has the right: an \
             administrator may bind it with kubectl create rolebinding NAME --clusterrole=coxswain-approver --user=YOU -n \
             shop"
        );
        let told = said(&Doing::to::<SequenceExecution>("list", ""), 403, message);
        assert!(
            told.contains("in all namespaces: the ClusterRole coxswain-viewer"),
            "{told}"
        );
        let told = said(&Doing::to::<MetricsProvider>("create", "shop"), 403, message);
        assert!(told.contains("--clusterrole=coxswain-admin"), "{told}");
    }

    #[rstest]
    #[case(401, "Unauthorized", "log in again")]
    #[case(
        404,
        "the server could not find the requested resource",
        "coxswain crds | kubectl apply"
    )]
    #[case(
        404,
        "namespaces \"x\" not found",
        "namespaces \"x\" not found; name the namespace"
    )]
    #[case(409, "the object has been modified", "try again")]
    #[case(
        403,
        "approvals.coxswain.dev \"a\" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'p' denied request: write by: jane",
        "patch SequenceExecution: write by: jane"
    )]
    #[case(422, "spec is immutable", "patch SequenceExecution: spec is immutable")]
    fn refusals_say_what_to_do(#[case] code: u16, #[case] message: &str, #[case] says: &str) {
        let told = said(&Doing::to::<SequenceExecution>("patch", "shop"), code, message);
        assert!(told.contains(says), "{told}");
    }
}
