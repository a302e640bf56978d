//! The operator's rights where it works in a list of namespaces: Roles, and nothing of the whole cluster.

use super::{File, GROUP, Rule, WATCH, file, operator, rule, yaml};

/// What it needs in each namespace of the list: the same as everywhere, but of Namespaces only its own can be read, which is
/// all that a Role can allow.
pub(super) fn rules() -> Vec<Rule<'static>> {
    let each = |one: Rule<'static>| {
        if one.resources == ["namespaces"] {
            rule(
                "",
                &["namespaces"],
                &["get"],
                "the namespace itself: whether it is held, and which images it allows",
            )
        } else {
            one
        }
    };
    operator().into_iter().map(each).collect()
}

/// What it needs in its own namespace, be that in the list or not, for what is there for all namespaces.
pub(super) fn for_all() -> Vec<Rule<'static>> {
    vec![
        rule(
            GROUP,
            &["metricsproviders", "eventsinks"],
            WATCH,
            "the default MetricsProvider and the EventSinks for all, also where the operator works in other namespaces only",
        ),
        rule(
            GROUP,
            &["metricsproviders/status", "eventsinks/status"],
            &["update"],
            "whether they can be used, and what was delivered",
        ),
        rule("", &["events"], &["create"], "and why they can't"),
        rule("", &["configmaps"], &["get"], "their certificate authorities"),
    ]
}

/// The files of `config/rbac/namespaced`, for `kubectl apply -n NAMESPACE -k`, but for its kustomization.
pub(super) fn files() -> Vec<File> {
    let head = |kind: &str| {
        format!(
            "apiVersion: rbac.authorization.k8s.io/v1\nkind: {kind}\nmetadata:\n  name: coxswain\n  labels:\n    \
             app.kubernetes.io/name: coxswain\n"
        )
    };
    let binding = "roleRef:\n  apiGroup: rbac.authorization.k8s.io\n  kind: Role\n  name: coxswain\nsubjects:\n- kind: \
                   ServiceAccount\n  name: coxswain\n  namespace: coxswain-system\n";
    vec![
        file(
            "namespaced/role.yaml",
            &format!("{}rules:\n{}", head("Role"), yaml(&rules())),
        ),
        file(
            "namespaced/role_binding.yaml",
            &format!("{}{binding}", head("RoleBinding")),
        ),
    ]
}
