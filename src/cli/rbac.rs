//! `coxswain rbac`: the roles of the operator and of its users, from one table.

use std::{fmt::Write, path::PathBuf};

use crate::{
    api::{GROUP, all_crds},
    core::jobs::files::artifact,
};

use super::files::{self, File};

mod namespaced;

/// Where the roles go.
#[derive(clap::Args, Debug)]
pub(super) struct Args {
    /// Write the files into this directory, instead of printing all
    #[arg(long, value_name = "DIR", conflicts_with = "chart")]
    dir: Option<PathBuf>,
    /// Write the operator's rules and the users' roles into this Helm chart
    #[arg(long, value_name = "DIR")]
    chart: Option<PathBuf>,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    match (&args.dir, &args.chart) {
        (Some(dir), _) => files::write(dir, &files()),
        (None, Some(chart)) => files::write(chart, &chart_files()),
        (None, None) => files::print(&files()),
    }
}

/// What may be done with some resources, and why it must.
#[derive(Clone)]
struct Rule<'a> {
    group: &'a str,
    resources: Vec<&'a str>,
    names: &'a [&'a str],
    verbs: &'a [&'a str],
    why: &'a str,
}

const READ: &[&str] = &["get", "list", "watch"];
/// What a cache needs: it never asks for one object.
const WATCH: &[&str] = &["list", "watch"];
const WRITE: &[&str] = &["create", "update", "patch", "delete"];

/// What users define; Coxswain only reads it.
const DEFINITIONS: [&str; 8] = [
    "shipyards",
    "remediations",
    "jobconfigs",
    "servicelevelobjectives",
    "servicelevelindicators",
    "metricsproviders",
    "alertroutes",
    "eventsinks",
];
/// What happens.
const RUNS: [&str; 6] = [
    "problemevents",
    "sequenceexecutions",
    "evaluations",
    "approvals",
    "deliveries",
    "taskresults",
];
/// The kinds with URLs, whose writer decides where the operator sends requests; and the kind whose writer decides which alerts
/// start what.
const ADMINS: [&str; 3] = ["metricsproviders", "alertroutes", "eventsinks"];
/// Written by the operator, answered by those who may approve.
const QUESTIONS: &str = "approvals";
/// Created once, by who did the task.
const RESULTS: &str = "taskresults";

const STATUSES: [&str; 13] = [
    "shipyards/status",
    "remediations/status",
    "jobconfigs/status",
    "servicelevelobjectives/status",
    "servicelevelindicators/status",
    "metricsproviders/status",
    "problemevents/status",
    "sequenceexecutions/status",
    "evaluations/status",
    "approvals/status",
    "deliveries/status",
    "alertroutes/status",
    "eventsinks/status",
];

fn rule<'a>(group: &'a str, resources: &[&'a str], verbs: &'a [&'a str], why: &'a str) -> Rule<'a> {
    Rule {
        group,
        resources: resources.to_vec(),
        names: &[],
        verbs,
        why,
    }
}

/// What the operator needs in every namespace in which it works. There are no Secrets: they reach Jobs by name only, and
/// those of MetricsProviders and EventSinks are read where an administrator binds [`CREDENTIALS`].
fn operator() -> Vec<Rule<'static>> {
    vec![
        rule(GROUP, &DEFINITIONS, WATCH, "what users define"),
        rule(GROUP, &RUNS, READ, "problems, runs and verdicts"),
        rule(
            GROUP,
            &["sequenceexecutions", "evaluations"],
            &["create", "delete"],
            "runs and evaluations are started, and old ones removed",
        ),
        rule(GROUP, &["approvals"], &["create"], "questions go with their run"),
        rule(
            GROUP,
            &["problemevents"],
            &["create", "delete"],
            "alerts and events open problems; closed ones are removed after a week",
        ),
        rule(
            GROUP,
            &["taskresults"],
            &["create"],
            "what outside executors say in events",
        ),
        rule(
            GROUP,
            &["approvals"],
            &["ask"],
            "the admission policies let only the holder of this verb put a question",
        ),
        rule(
            GROUP,
            &["sequenceexecutions"],
            &["retry"],
            "what people ask to run again is created with spec.retryOf, which needs this verb",
        ),
        rule(
            GROUP,
            &["taskresults", "evaluations"],
            &["update"],
            "a TaskResult is given its run as its owner; of an Evaluation made by hand it is fixed what is measured",
        ),
        rule(
            GROUP,
            &STATUSES,
            &["update"],
            "everything that happens is written into statuses",
        ),
        rule(
            GROUP,
            &[
                "problemevents/finalizers",
                "sequenceexecutions/finalizers",
                "deliveries/finalizers",
            ],
            &["update"],
            "owner references of runs and Jobs, where the API server guards them (OwnerReferencesPermissionEnforcement)",
        ),
        rule(
            "batch",
            &["jobs"],
            &["get", "list", "watch", "create", "delete"],
            "tasks run as Jobs",
        ),
        rule(
            "",
            &["pods"],
            WATCH,
            "a container's end and its message, and why a pod can't start",
        ),
        rule(
            "",
            &["events"],
            &["list", "create"],
            "a run's story in kubectl describe; and why a Job or pod can't start: quota, scheduling, images",
        ),
        rule(
            "",
            &["configmaps"],
            &["get", "list"],
            "tasks' files, those that sources name and those that are found by their labels: keys are pinned, nothing is kept",
        ),
        rule(
            artifact::GROUP,
            &[
                "gitrepositories",
                "ocirepositories",
                "buckets",
                "externalartifacts",
            ],
            &["get"],
            "sources of Flux that tasks' files come from: URL, digest and revision are pinned",
        ),
        rule(
            "",
            &["serviceaccounts"],
            &["get"],
            "whether a service account has opted in",
        ),
        rule("", &["namespaces"], READ, "the label that holds a namespace"),
    ]
}

/// What the operator needs in its own namespace: with a list of namespaces it has nothing else there.
fn own_namespace() -> Vec<Rule<'static>> {
    let hold = rule(
        "",
        &["configmaps"],
        READ,
        "the ConfigMap that holds the whole installation",
    );
    let hold = Rule {
        names: &["coxswain-hold"],
        ..hold
    };
    [vec![hold], namespaced::for_all()].concat()
}

/// The role that nobody has until an administrator binds it in a namespace.
const CREDENTIALS: &str = "metrics-credentials";

/// What the operator may be given in the namespaces of MetricsProviders and EventSinks.
fn credentials() -> Vec<Rule<'static>> {
    vec![rule(
        "",
        &["secrets"],
        &["get"],
        "the Secrets that MetricsProviders and EventSinks name; bind it with a RoleBinding in their namespace, never for the whole cluster",
    )]
}

/// The roles of users: name, the built-in role that it adds to, its rules. None may write a status.
fn user_roles(plurals: &[String]) -> Vec<(&'static str, Option<&'static str>, Vec<Rule<'_>>)> {
    let all: Vec<&str> = plurals.iter().map(String::as_str).collect();
    let everyday: Vec<&str> = all
        .iter()
        .copied()
        .filter(|plural| !ADMINS.contains(plural) && ![QUESTIONS, RESULTS].contains(plural))
        .collect();
    let answers = || {
        rule(
            GROUP,
            &[QUESTIONS],
            &["get", "list", "watch", "update", "patch", "approve"],
            "answer questions: the admission policies let nobody answer without the verb approve",
        )
    };
    vec![
        (
            "viewer",
            Some("view"),
            vec![rule(GROUP, &all, READ, "see everything")],
        ),
        (
            "editor",
            Some("edit"),
            vec![
                rule(
                    GROUP,
                    &everyday,
                    WRITE,
                    "write everything but metricsproviders and eventsinks, which decide where requests go, alertroutes, and what others say",
                ),
                rule(GROUP, &[QUESTIONS], READ, "see questions, but not answer them"),
                rule(
                    GROUP,
                    &[RESULTS],
                    &["get", "list", "watch", "create"],
                    "say how a task ended; it is never changed",
                ),
                rule(
                    GROUP,
                    &["sequenceexecutions"],
                    &["retry", "skip"],
                    "run again what ended, and skip tasks, but neither approvals nor evaluations",
                ),
            ],
        ),
        // Whoever may edit may not approve by that alone: this one is bound by name.
        ("approver", None, vec![answers()]),
        (
            "admin",
            Some("admin"),
            vec![
                rule(
                    GROUP,
                    &ADMINS,
                    WRITE,
                    "decide where requests go, and which alerts start what",
                ),
                answers(),
                rule(
                    GROUP,
                    &[QUESTIONS, RESULTS],
                    &["delete"],
                    "remove what is not needed any more",
                ),
                rule(
                    GROUP,
                    &["sequenceexecutions"],
                    &["retry", "skip", "skip-gate"],
                    "run again what ended, and skip tasks, gates too",
                ),
            ],
        ),
    ]
}

/// The first of the users' roles, from the least to the most, that may do this to a kind's objects: `viewer`.
pub(super) fn role_with(plural: &str, verb: &str) -> Option<&'static str> {
    let plurals = plurals();
    let roles = user_roles(&plurals);
    let allows = |rules: &[Rule]| {
        rules
            .iter()
            .any(|rule| rule.resources.contains(&plural) && rule.verbs.contains(&verb))
    };
    roles
        .iter()
        .find(|(_, _, rules)| allows(rules))
        .map(|(name, ..)| *name)
}

/// What the operator must be allowed in every namespace, or in each of a list: group, resource, verb.
pub(super) fn needed_by_operator(everywhere: bool) -> Vec<(&'static str, String, &'static str)> {
    let each = |rule: Rule<'static>| {
        let pairs = rule.resources.into_iter().flat_map(move |resource| {
            let verbs = rule.verbs.iter();
            verbs.map(move |verb| (rule.group, resource.to_owned(), *verb))
        });
        pairs.collect::<Vec<_>>()
    };
    let rules = if everywhere {
        operator()
    } else {
        namespaced::rules()
    };
    rules.into_iter().flat_map(each).collect()
}

/// The files of `config/rbac`, but for its kustomization.
pub(super) fn files() -> Vec<File> {
    let mut all = vec![
        file("service_account.yaml", &service_account()),
        file(
            "role.yaml",
            &format!(
                "{}rules:\n{}",
                head("ClusterRole", "coxswain", false),
                yaml(&operator())
            ),
        ),
        file("role_binding.yaml", &binding("ClusterRole", "coxswain", false)),
        file(
            "hold_role.yaml",
            &format!(
                "{}rules:\n{}",
                head("Role", "coxswain-hold", true),
                yaml(&own_namespace())
            ),
        ),
        file("hold_role_binding.yaml", &binding("Role", "coxswain-hold", true)),
        file(
            "metrics_credentials_role.yaml",
            &format!(
                "{}rules:\n{}",
                head("ClusterRole", &format!("coxswain-{CREDENTIALS}"), false),
                yaml(&credentials())
            ),
        ),
    ];
    all.extend(namespaced::files());
    let plurals = plurals();
    for (name, built_in, rules) in user_roles(&plurals) {
        let mut head = head("ClusterRole", &format!("coxswain-{name}"), false);
        if let Some(built_in) = built_in {
            // Writing to a String can't fail.
            let _ = writeln!(
                head,
                "    rbac.authorization.k8s.io/aggregate-to-{built_in}: \"true\""
            );
        }
        all.push(file(
            &format!("{name}_role.yaml"),
            &format!("{head}rules:\n{}", yaml(&rules)),
        ));
    }
    all
}

/// The rules that the chart's own templates include.
pub(super) fn chart_files() -> Vec<File> {
    let mut all = vec![
        file("files/operator-rules.yaml", &yaml(&operator())),
        file("files/hold-rules.yaml", &yaml(&own_namespace())),
        file("files/namespaced-rules.yaml", &yaml(&namespaced::rules())),
        file(&format!("files/{CREDENTIALS}-rules.yaml"), &yaml(&credentials())),
    ];
    let plurals = plurals();
    for (name, _, rules) in user_roles(&plurals) {
        all.push(file(&format!("files/{name}-rules.yaml"), &yaml(&rules)));
    }
    all
}

fn plurals() -> Vec<String> {
    all_crds().into_iter().map(|crd| crd.spec.names.plural).collect()
}

fn file(path: &str, content: &str) -> File {
    let content = format!("# Generated by `coxswain rbac`; do not edit.\n{content}");
    File {
        path: path.to_owned(),
        content,
    }
}

fn head(kind: &str, name: &str, namespaced: bool) -> String {
    let namespace = if namespaced {
        "  namespace: coxswain-system\n"
    } else {
        ""
    };
    format!(
        "apiVersion: rbac.authorization.k8s.io/v1\nkind: {kind}\nmetadata:\n  name: {name}\n{namespace}  labels:\n    \
         app.kubernetes.io/name: coxswain\n"
    )
}

fn service_account() -> String {
    "apiVersion: v1\nkind: ServiceAccount\nmetadata:\n  name: coxswain\n  namespace: coxswain-system\n  labels:\n    \
     app.kubernetes.io/name: coxswain\n"
        .to_owned()
}

fn binding(role: &str, name: &str, namespaced: bool) -> String {
    format!(
        "{}roleRef:\n  apiGroup: rbac.authorization.k8s.io\n  kind: {role}\n  name: {name}\nsubjects:\n- kind: \
         ServiceAccount\n  name: coxswain\n  namespace: coxswain-system\n",
        head(&format!("{role}Binding"), name, namespaced)
    )
}

/// The rules as YAML, each with its reason as a comment: written by hand, because the comments are half of it.
fn yaml(rules: &[Rule]) -> String {
    let mut out = String::new();
    for rule in rules {
        // Writing to a String can't fail.
        let _ = write!(
            out,
            "# {}\n- apiGroups: [{:?}]\n  resources:\n",
            rule.why, rule.group
        );
        for resource in &rule.resources {
            let _ = writeln!(out, "  - {resource}");
        }
        if !rule.names.is_empty() {
            let _ = writeln!(out, "  resourceNames: [{}]", rule.names.join(", "));
        }
        let _ = writeln!(out, "  verbs: [{}]", rule.verbs.join(", "));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::rbac::v1::{ClusterRole, PolicyRule};
    use rstest::rstest;
    use std::collections::BTreeSet;

    fn rules_of(file: &str) -> Vec<PolicyRule> {
        let file = files().into_iter().find(|f| f.path == file).unwrap();
        serde_yaml::from_str::<ClusterRole>(&file.content)
            .unwrap()
            .rules
            .unwrap()
    }

    #[test]
    fn the_operator_reads_every_kind_and_writes_every_status() {
        let kinds: BTreeSet<String> = plurals().into_iter().collect();
        let table = |verb: &str, suffix: &str| -> BTreeSet<String> {
            rules_of("role.yaml")
                .iter()
                .filter(|r| r.api_groups.as_ref().unwrap() == &[GROUP] && r.verbs.contains(&verb.to_owned()))
                .flat_map(|r| r.resources.clone().unwrap())
                .filter_map(|r| r.strip_suffix(suffix).map(str::to_owned))
                .filter(|r| !r.contains('/'))
                .collect()
        };
        assert_eq!(table("watch", ""), kinds);
        let with_status: BTreeSet<String> = all_crds()
            .into_iter()
            .filter(|crd| crd.spec.versions[0].subresources.is_some())
            .map(|crd| crd.spec.names.plural)
            .collect();
        assert_eq!(table("update", "/status"), with_status);
    }

    #[rstest]
    #[case("viewer_role.yaml")]
    #[case("editor_role.yaml")]
    #[case("approver_role.yaml")]
    #[case("admin_role.yaml")]
    fn no_user_role_writes_a_status(#[case] file: &str) {
        for rule in rules_of(file) {
            assert!(
                rule.resources
                    .unwrap()
                    .iter()
                    .all(|r| !r.contains('/') && r != "*"),
                "{file}"
            );
        }
    }

    /// The verbs of a role on one resource.
    fn verbs(role: &str, resource: &str) -> BTreeSet<String> {
        rules_of(&format!("{role}_role.yaml"))
            .into_iter()
            .filter(|r| r.resources.as_ref().unwrap().contains(&resource.to_owned()))
            .flat_map(|r| r.verbs)
            .collect()
    }

    #[test]
    fn only_admins_say_where_requests_go() {
        for kind in ADMINS {
            assert!(verbs("editor", kind).is_empty());
            assert!(verbs("admin", kind).contains("update"));
        }
        assert!(verbs("editor", "jobconfigs").contains("update"));
    }

    #[rstest]
    #[case("viewer", QUESTIONS, "get list watch")]
    #[case("editor", QUESTIONS, "get list watch")]
    #[case("approver", QUESTIONS, "approve get list patch update watch")]
    #[case("admin", QUESTIONS, "approve delete get list patch update watch")]
    #[case("editor", RESULTS, "create get list watch")]
    #[case("admin", RESULTS, "delete")]
    #[case("editor", "sequenceexecutions", "create delete patch retry skip update")]
    #[case("admin", "sequenceexecutions", "retry skip skip-gate")]
    #[case("approver", "sequenceexecutions", "")]
    fn who_may_answer_retry_and_skip(#[case] role: &str, #[case] resource: &str, #[case] expected: &str) {
        let expected: BTreeSet<String> = expected.split_whitespace().map(str::to_owned).collect();
        assert_eq!(verbs(role, resource), expected);
    }

    #[test]
    fn nobody_approves_by_being_an_editor_and_nobody_but_the_operator_asks() {
        for file in files() {
            let aggregates = file.content.contains("aggregate-to-");
            let approves = file.content.contains("approve]");
            assert!(
                !approves || !aggregates || file.path == "admin_role.yaml",
                "{}",
                file.path
            );
            assert!(
                !file.content.contains("[ask]")
                    || ["role.yaml", "namespaced/role.yaml"].contains(&file.path.as_str()),
                "{}",
                file.path
            );
        }
    }

    #[test]
    fn no_secrets_no_wildcards() {
        for file in files() {
            let optional = file.path == "metrics_credentials_role.yaml";
            assert!(
                (optional || !file.content.contains("secrets")) && !file.content.contains('*'),
                "{}",
                file.path
            );
        }
    }

    #[test]
    fn nothing_is_bound_to_the_role_that_reads_secrets() {
        let rules = rules_of("metrics_credentials_role.yaml");
        assert_eq!(rules.len(), 1);
        let (resources, verbs) = (rules[0].resources.as_ref().unwrap(), &rules[0].verbs);
        assert_eq!(
            (resources.as_slice(), verbs.as_slice()),
            (["secrets".to_owned()].as_slice(), ["get".to_owned()].as_slice())
        );
        for file in files().iter().chain(&chart_files()) {
            let bound = file.content.contains("roleRef") && file.content.contains(CREDENTIALS);
            assert!(
                !bound && !file.content.contains("aggregate-to-operator"),
                "{}",
                file.path
            );
        }
    }
}
