//! What the operator may do: the rules of the roles that it has, read as RBAC reads them. Every request of the operator is
//! judged by them, and what it asked is kept for the test that compares the two.

use std::{
    collections::{BTreeSet, HashMap},
    ffi::OsString,
    fs::OpenOptions,
    io::Write as _,
    sync::{Mutex, OnceLock, PoisonError},
};

use k8s_openapi::api::rbac::v1::PolicyRule;
use serde::Deserialize;

use super::{
    refusal::{self, Refusal},
    request::{Target, Verb},
};

/// The file to which every right that was used is appended, a line each.
pub const USED_RIGHTS: &str = "COXSWAIN_TEST_RIGHTS";

/// What a Role and a ClusterRole have in common.
#[derive(Deserialize)]
struct Role {
    rules: Vec<PolicyRule>,
}

/// The rules that are in force for the operator.
#[derive(Clone, Debug, Default)]
pub(super) struct Authority {
    /// By right, such as `get core pods`: where it holds.
    rights: HashMap<String, Vec<Grant>>,
}

/// Where a right holds.
#[derive(Clone, Debug)]
struct Grant {
    /// In this namespace; None: everywhere.
    namespace: Option<String>,
    /// For these objects; empty: all.
    names: Vec<String>,
}

impl Authority {
    /// Adds the rules of a Role or ClusterRole, as it is written in YAML, bound in a namespace or everywhere. Shipped roles
    /// have no wildcards, so none are known here.
    pub(super) fn grant(&mut self, namespace: Option<&str>, role: &str) {
        let role: Role = serde_yaml::from_str(role).expect("a Role or ClusterRole in YAML");
        for rule in role.rules {
            let grant = Grant {
                namespace: namespace.map(str::to_owned),
                names: rule.resource_names.unwrap_or_default(),
            };
            let resources = rule.resources.unwrap_or_default();
            for group in rule.api_groups.iter().flatten() {
                for (resource, verb) in resources
                    .iter()
                    .flat_map(|r| rule.verbs.iter().map(move |v| (r, v)))
                {
                    let right = right(verb, group, resource);
                    self.rights.entry(right).or_default().push(grant.clone());
                }
            }
        }
    }

    /// Notes what is asked, and refuses what no rule allows.
    pub(super) fn check(&self, who: &str, target: &Target) -> Result<(), Refusal> {
        self.judge(who, target, note)
    }

    /// Refuses what no rule allows, as Kubernetes words it.
    fn judge(&self, who: &str, target: &Target, note: impl Fn(&str)) -> Result<(), Refusal> {
        let (plural, group) = target.resource.split_once('.').unwrap_or((&target.resource, ""));
        let resource = match &target.subresource {
            Some(sub) => format!("{plural}/{sub}"),
            None => plural.to_owned(),
        };
        let verb = verb(target.verb);
        let right = right(verb, group, &resource);
        note(&right);
        // A list or watch of one name asks for that one; a Namespace that is named is in itself.
        let selected = || target.param("fieldSelector")?.strip_prefix("metadata.name=");
        let name = target.name.as_deref().or_else(selected);
        let namespace = match (&target.namespace, plural) {
            (None, "namespaces") => target.name.as_deref(),
            (namespace, _) => namespace.as_deref(),
        };
        let holds = |grant: &Grant| {
            let here = grant.namespace.is_none() || grant.namespace.as_deref() == namespace;
            let named = name.is_some_and(|name| grant.names.iter().any(|n| n == name));
            here && (grant.names.is_empty() || named)
        };
        if self
            .rights
            .get(&right)
            .is_some_and(|grants| grants.iter().any(holds))
        {
            return Ok(());
        }
        let place = match namespace {
            Some(namespace) => format!("in the namespace \"{namespace}\""),
            None => "at the cluster scope".to_owned(),
        };
        let message = format!(
            "{} is forbidden: User \"{who}\" cannot {verb} resource \"{resource}\" in API group \"{group}\" {place}",
            target.resource
        );
        Err(refusal::refusal(403, "Forbidden", message))
    }
}

/// One right as a text: `get core pods`, `update batch jobs/status`.
fn right(verb: &str, group: &str, resource: &str) -> String {
    let group = if group.is_empty() { "core" } else { group };
    format!("{verb} {group} {resource}")
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
fn note(right: &str) {
    static FILE: OnceLock<Option<OsString>> = OnceLock::new();
    static KNOWN: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    let Some(file) = FILE.get_or_init(|| std::env::var_os(USED_RIGHTS)) else {
        return;
    };
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if !known.contains(right) {
        let opened = OpenOptions::new().append(true).create(true).open(file);
        let written = opened.and_then(|mut file| file.write_all(format!("{right}\n").as_bytes()));
        written.unwrap_or_else(|e| panic!("{USED_RIGHTS} {}: {e}", file.display()));
        known.insert(right.to_owned());
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
        let judged = authority.judge("operator", &target, |_| ());
        assert_eq!(judged.is_ok(), allowed, "{judged:?}");
    }
}
