//! What the operator may do: the rules of the roles that it has, read as RBAC reads them. Every request of the operator is
//! judged by them, and what it asked is kept for the test that compares the two.

use std::{
    collections::BTreeSet,
    fs::OpenOptions,
    io::Write as _,
    sync::{Mutex, PoisonError},
};

use k8s_openapi::api::rbac::v1::PolicyRule;
use serde::Deserialize;

use super::{
    refusal::{self, Refusal},
    request::{Target, Verb},
};

/// The file to which every right that was used is appended, a line each: `get pods`, `update jobs.batch/status`.
pub const USED_RIGHTS: &str = "COXSWAIN_TEST_RIGHTS";

/// What a Role and a ClusterRole have in common.
#[derive(Deserialize)]
struct Role {
    rules: Vec<PolicyRule>,
}

/// The rules that are in force for the operator.
#[derive(Clone, Debug, Default)]
pub(super) struct Authority {
    /// Where each rule holds: in a namespace, or everywhere.
    rules: Vec<(Option<String>, PolicyRule)>,
}

impl Authority {
    /// Adds the rules of a Role or ClusterRole, as it is written in YAML, bound in a namespace or everywhere.
    pub(super) fn grant(&mut self, namespace: Option<&str>, role: &str) {
        let role: Role = serde_yaml::from_str(role).expect("a Role or ClusterRole in YAML");
        let bound = role
            .rules
            .into_iter()
            .map(|rule| (namespace.map(str::to_owned), rule));
        self.rules.extend(bound);
    }

    /// Refuses what no rule allows, as Kubernetes words it.
    pub(super) fn check(&self, who: &str, target: &Target) -> Result<(), Refusal> {
        let asked = Asked::of(target);
        note(&asked);
        let allowed = |(namespace, rule): &(Option<String>, PolicyRule)| {
            (namespace.is_none() || *namespace == asked.namespace) && asked.allowed_by(rule)
        };
        if self.rules.iter().any(allowed) {
            return Ok(());
        }
        let (verb, group) = (asked.verb, asked.group);
        let place = match &asked.namespace {
            Some(namespace) => format!("in the namespace \"{namespace}\""),
            None => "at the cluster scope".to_owned(),
        };
        let message = format!(
            "{} is forbidden: User \"{who}\" cannot {verb} resource \"{}\" in API group \"{group}\" {place}",
            target.resource, asked.resource
        );
        Err(refusal::refusal(403, "Forbidden", message))
    }
}

/// What RBAC looks at.
struct Asked<'a> {
    verb: &'static str,
    group: &'a str,
    /// With the subresource: `jobs/status`.
    resource: String,
    namespace: Option<String>,
    name: Option<String>,
}

impl<'a> Asked<'a> {
    fn of(target: &'a Target) -> Self {
        let (plural, group) = target.resource.split_once('.').unwrap_or((&target.resource, ""));
        let resource = match &target.subresource {
            Some(sub) => format!("{plural}/{sub}"),
            None => plural.to_owned(),
        };
        // A list or watch of one name asks for that one.
        let selected = target
            .param("fieldSelector")
            .and_then(|fields| fields.strip_prefix("metadata.name="));
        let name = target.name.clone().or(selected.map(str::to_owned));
        // A Namespace that is named is in itself.
        let namespace = match (&target.namespace, plural) {
            (None, "namespaces") => target.name.clone(),
            (namespace, _) => namespace.clone(),
        };
        Self {
            verb: verb(target.verb),
            group,
            resource,
            namespace,
            name,
        }
    }

    fn allowed_by(&self, rule: &PolicyRule) -> bool {
        let has = |list: &Option<Vec<String>>, wanted: &str| {
            list.iter().flatten().any(|item| item == wanted || item == "*")
        };
        let names = rule.resource_names.as_deref().unwrap_or_default();
        has(&rule.api_groups, self.group)
            && has(&rule.resources, &self.resource)
            && rule.verbs.iter().any(|verb| verb == self.verb || verb == "*")
            && (names.is_empty() || self.name.as_ref().is_some_and(|name| names.contains(name)))
    }
}

fn verb(verb: Verb) -> &'static str {
    match verb {
        Verb::Get => "get",
        Verb::List => "list",
        Verb::Watch => "watch",
        Verb::Create => "create",
        Verb::Update => "update",
        Verb::Patch => "patch",
        Verb::Delete => "delete",
        Verb::DeleteCollection => "deletecollection",
    }
}

/// Appends a right to the file that [`USED_RIGHTS`] names, once a process.
fn note(asked: &Asked) {
    static KNOWN: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    let Some(file) = std::env::var_os(USED_RIGHTS) else {
        return;
    };
    let group = if asked.group.is_empty() {
        "core"
    } else {
        asked.group
    };
    let line = format!("{} {group} {}\n", asked.verb, asked.resource);
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if known.insert(line.clone()) {
        let opened = OpenOptions::new().append(true).create(true).open(&file);
        let written = opened.and_then(|mut file| file.write_all(line.as_bytes()));
        written.unwrap_or_else(|e| panic!("{USED_RIGHTS} {}: {e}", file.display()));
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const PODS: &str = "rules: [{apiGroups: [''], resources: [pods, pods/status], verbs: [get, list]}]";
    const ONE: &str =
        "rules: [{apiGroups: [''], resources: [configmaps], resourceNames: [hold], verbs: [get, list]}]";
    const OWN: &str = "rules: [{apiGroups: [''], resources: [namespaces], verbs: [get, list]}]";

    #[rstest]
    #[case::everywhere(None, PODS, "/api/v1/pods", true)]
    #[case::in_one(None, PODS, "/api/v1/namespaces/a/pods/p", true)]
    #[case::subresource(None, PODS, "/api/v1/namespaces/a/pods/p/status", true)]
    #[case::other_subresource(None, PODS, "/api/v1/namespaces/a/pods/p/log", false)]
    #[case::other_verb(None, PODS, "/api/v1/pods?watch=true", false)]
    #[case::other_group(None, PODS, "/apis/x.y/v1/pods", false)]
    #[case::bound(Some("a"), PODS, "/api/v1/namespaces/a/pods", true)]
    #[case::bound_elsewhere(Some("a"), PODS, "/api/v1/namespaces/b/pods", false)]
    #[case::bound_but_all_asked(Some("a"), PODS, "/api/v1/pods", false)]
    #[case::named(None, ONE, "/api/v1/namespaces/a/configmaps/hold", true)]
    #[case::another_name(None, ONE, "/api/v1/namespaces/a/configmaps/x", false)]
    #[case::no_name(None, ONE, "/api/v1/namespaces/a/configmaps", false)]
    #[case::selected(
        None,
        ONE,
        "/api/v1/namespaces/a/configmaps?fieldSelector=metadata.name%3Dhold",
        true
    )]
    #[case::own_namespace(Some("a"), OWN, "/api/v1/namespaces/a", true)]
    #[case::other_namespace(Some("a"), OWN, "/api/v1/namespaces/b", false)]
    #[case::all_namespaces(Some("a"), OWN, "/api/v1/namespaces", false)]
    fn judges_as_rbac_does(
        #[case] bound: Option<&str>,
        #[case] role: &str,
        #[case] url: &str,
        #[case] allowed: bool,
    ) {
        let mut authority = Authority::default();
        authority.grant(bound, role);
        let target = Target::parse(&http::Method::GET, &url.parse().unwrap()).unwrap();
        let judged = authority.check("operator", &target);
        assert_eq!(judged.is_ok(), allowed, "{judged:?}");
    }
}
