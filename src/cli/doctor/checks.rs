//! What was read -> what is told.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::{
    api::{apps::v1::Deployment, core::v1::Service},
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::ResourceExt;

use super::{Facts, Level, Line};
use crate::{
    api::{VERSION, all_crds},
    cli::version::{image_version, own},
};

/// The policies of config/admission, by the ends of their names: a chart puts its release's name before.
pub(super) const POLICIES: [&str; 5] = ["approvals", "control", "evaluations", "jobconfigs", "requester"];
/// Says what a Service is for, where it is not for events and alerts.
const COMPONENT: &str = "app.kubernetes.io/component";
/// How many objects that are not ready are listed.
const LISTED: usize = 20;
/// Evaluations that ended longer ago say nothing of today.
const LATELY: SignedDuration = SignedDuration::from_hours(1);

/// Every line, in the order in which things depend on each other.
pub fn check(facts: &Facts, now: Timestamp) -> Vec<Line> {
    let mut lines = definitions(facts);
    lines.extend(operator(facts));
    lines.push(rights(facts));
    lines.extend(policies(facts));
    lines.push(service(facts));
    lines.extend(providers(facts, now));
    lines.extend(holds(facts));
    lines.extend(unready(facts));
    lines
}

fn ok(what: impl Into<String>) -> Line {
    Line {
        level: Level::Ok,
        what: what.into(),
        remedy: String::new(),
    }
}

fn warn(what: impl Into<String>, remedy: impl Into<String>) -> Line {
    Line {
        level: Level::Warn,
        what: what.into(),
        remedy: remedy.into(),
    }
}

fn fail(what: impl Into<String>, remedy: impl Into<String>) -> Line {
    Line {
        level: Level::Fail,
        what: what.into(),
        remedy: remedy.into(),
    }
}

fn unknown(what: &str, why: &str) -> Line {
    warn(
        format!("{what} can't be looked at ({why})"),
        "ask an administrator to run this",
    )
}

/// The CustomResourceDefinitions.
fn definitions(facts: &Facts) -> Vec<Line> {
    let found = match &facts.crds {
        Ok(found) => found,
        Err(why) => return vec![unknown("the definitions", why)],
    };
    let apply = "apply the definitions of this version: coxswain crds | kubectl apply --server-side -f -";
    let wanted = all_crds();
    let mut lines = Vec::new();
    for crd in &wanted {
        let name = crd.name_any();
        match found.iter().find(|f| f.name_any() == name) {
            None => lines.push(fail(format!("definition {name} is missing"), apply)),
            Some(found) if !is_served(found) => {
                lines.push(fail(format!("definition {name} does not serve {VERSION}"), apply));
            }
            Some(found) if !is_established(found) => {
                let look = format!("see kubectl describe crd {name}");
                lines.push(fail(format!("definition {name} is not established"), look));
            }
            Some(found) if schema(found) != schema(crd) => {
                let what = format!("definition {name} is not that of this program (version skew)");
                lines.push(warn(what, apply));
            }
            Some(_) => {}
        }
    }
    if lines.is_empty() {
        lines.push(ok(format!(
            "{} definitions are there, as in this version",
            wanted.len()
        )));
    }
    lines
}

fn is_served(crd: &CustomResourceDefinition) -> bool {
    crd.spec.versions.iter().any(|v| v.name == VERSION && v.served)
}

/// Without conditions nothing is known against it.
fn is_established(crd: &CustomResourceDefinition) -> bool {
    let conditions = crd.status.as_ref().and_then(|s| s.conditions.as_ref());
    conditions.is_none_or(|all| all.iter().any(|c| c.type_ == "Established" && c.status == "True"))
}

fn schema(crd: &CustomResourceDefinition) -> Option<serde_json::Value> {
    let version = crd.spec.versions.iter().find(|v| v.name == VERSION)?;
    serde_json::to_value(version.schema.as_ref()?.open_api_v3_schema.as_ref()?).ok()
}

/// The operator's Deployment and its version.
fn operator(facts: &Facts) -> Vec<Line> {
    let namespace = &facts.operator_namespace;
    match &facts.deployments {
        Err(why) => vec![unknown("the operator", why)],
        Ok(all) if all.is_empty() => vec![fail(
            format!("there is no operator in namespace {namespace}"),
            "install it (README, Install), or name its namespace with --operator-namespace",
        )],
        Ok(all) => all.iter().flat_map(|d| deployment(d, namespace)).collect(),
    }
}

fn deployment(found: &Deployment, namespace: &str) -> Vec<Line> {
    let name = found.name_any();
    let status = found.status.clone().unwrap_or_default();
    let wanted = found.spec.as_ref().and_then(|s| s.replicas).unwrap_or(1);
    let ready = status.ready_replicas.unwrap_or(0);
    let mut lines = Vec::new();
    if wanted == 0 {
        let remedy = format!("kubectl scale deployment {name} -n {namespace} --replicas=1");
        lines.push(fail(format!("operator {name} is scaled to none"), remedy));
    } else if ready == 0 {
        let remedy =
            format!("kubectl describe pods -n {namespace}, kubectl logs deployment/{name} -n {namespace}");
        lines.push(fail(format!("operator {name} is not ready"), remedy));
    } else {
        lines.push(ok(format!("operator {name} is ready")));
    }
    let theirs = image_version(found);
    let plain = theirs.trim_start_matches('v');
    if plain != own() {
        lines.push(warn(
            format!("operator {name} is version {theirs}, this program {}", own()),
            "use the same version of both",
        ));
    }
    lines
}

fn rights(facts: &Facts) -> Line {
    match &facts.missing_rights {
        Err(why) => unknown("the operator's rights", why),
        Ok(missing) if missing.is_empty() => ok("the operator has all its rights"),
        Ok(missing) => fail(
            format!("the operator may not {}", missing.join(", ")),
            "apply config/rbac of this version, or bind its ClusterRole coxswain",
        ),
    }
}

/// The policies, each bound so that it denies.
fn policies(facts: &Facts) -> Vec<Line> {
    let (policies, bindings) = match (&facts.policies, &facts.bindings) {
        (Ok(policies), Ok(bindings)) => (policies, bindings),
        (Err(why), _) | (_, Err(why)) => return vec![unknown("the admission policies", why)],
    };
    let apply = "apply config/admission, or set admissionPolicies.enabled in the chart";
    let mut lines = Vec::new();
    for wanted in POLICIES {
        let own = policies
            .iter()
            .find(|p| p.name_any().ends_with(&format!("-{wanted}")));
        let Some(policy) = own else {
            let what = format!("admission policy {wanted} is missing: who approves and skips is not checked");
            lines.push(warn(what, apply));
            continue;
        };
        let denies = |actions: &Vec<String>| actions.iter().any(|a| a == "Deny");
        let bound = bindings.iter().filter_map(|b| b.spec.as_ref()).any(|spec| {
            spec.policy_name.as_deref() == Some(&policy.name_any())
                && spec.validation_actions.as_ref().is_some_and(denies)
        });
        if !bound {
            let what = format!(
                "admission policy {} is not bound, so it refuses nothing",
                policy.name_any()
            );
            lines.push(warn(what, apply));
        }
    }
    if lines.is_empty() {
        lines.push(ok(format!("{} admission policies are in force", POLICIES.len())));
    }
    lines
}

fn service(facts: &Facts) -> Line {
    match &facts.services {
        Err(why) => unknown("the Service for events and alerts", why),
        Ok(all) => {
            // The one for /metrics takes no events.
            let metrics = |s: &&Service| s.labels().get(COMPONENT).is_some_and(|c| c == "metrics");
            let names: Vec<String> = all
                .iter()
                .filter(|s| !metrics(s))
                .map(ResourceExt::name_any)
                .collect();
            if names.is_empty() {
                return warn(
                    "there is no Service for events and alerts, so none arrive over HTTP",
                    "apply config/default, unless nothing is to be sent",
                );
            }
            ok(format!(
                "events and alerts arrive at Service {}",
                names.join(", ")
            ))
        }
    }
}

/// The providers, and whether they could be asked lately.
fn providers(facts: &Facts, now: Timestamp) -> Vec<Line> {
    let mut lines = Vec::new();
    match &facts.providers {
        Err(why) => lines.push(unknown("the MetricsProviders", why)),
        Ok(all) if all.is_empty() => lines.push(warn(
            "there is no MetricsProvider, so no gate can be measured",
            "create one (docs/providers.md), unless gates are not used",
        )),
        Ok(all) => {
            for (name, wrong) in all {
                match wrong {
                    Some(why) => lines.push(fail(
                        format!("MetricsProvider {name} is not ready ({why})"),
                        "mend it: docs/providers.md",
                    )),
                    None => lines.push(ok(format!("MetricsProvider {name} is ready"))),
                }
            }
        }
    }
    lines.extend(blind(facts, now));
    lines
}

/// The newest Evaluation of each namespace that could not measure lately.
fn blind(facts: &Facts, now: Timestamp) -> Vec<Line> {
    let Ok(evaluations) = &facts.evaluations else {
        return vec![];
    };
    let mut lately: Vec<_> = evaluations
        .iter()
        .filter_map(|e| {
            let status = e.status.as_ref().filter(|s| s.phase == "Inconclusive")?;
            let ended = status.finished_at.as_ref()?.0;
            (now.duration_since(ended) < LATELY).then_some((e, status, ended))
        })
        .collect();
    lately.sort_by_key(|(e, _, ended)| (e.namespace(), std::cmp::Reverse(*ended)));
    lately.dedup_by_key(|(e, ..)| e.namespace());
    lately
        .into_iter()
        .map(|(e, status, _)| {
            let place = format!("{}/{}", e.namespace().unwrap_or_default(), e.name_any());
            warn(
                format!("Evaluation {place} could not measure: {}", status.message),
                "is its provider reachable from the operator, and does it answer the query?",
            )
        })
        .collect()
}

fn holds(facts: &Facts) -> Vec<Line> {
    let mut lines = Vec::new();
    match &facts.hold {
        Ok(Some(reason)) => {
            let why = if reason.is_empty() {
                String::new()
            } else {
                format!(" ({reason})")
            };
            lines.push(warn(
                format!("the whole installation is held{why}: nothing new starts"),
                format!(
                    "kubectl delete configmap coxswain-hold -n {}",
                    facts.operator_namespace
                ),
            ));
        }
        Ok(None) => {}
        Err(why) => lines.push(unknown("the ConfigMap coxswain-hold", why)),
    }
    for namespace in facts.held.iter().flatten() {
        lines.push(warn(
            format!("namespace {namespace} is held: nothing new starts in it"),
            format!("kubectl label namespace {namespace} coxswain.dev/hold-"),
        ));
    }
    if lines.is_empty() {
        lines.push(ok("nothing is held"));
    }
    lines
}

fn unready(facts: &Facts) -> Vec<Line> {
    let mut lines: Vec<Line> = facts
        .unready
        .iter()
        .take(LISTED)
        .map(|u| warn(format!("{} is not ready", u.object), u.message.clone()))
        .collect();
    let more = facts.unready.len().saturating_sub(LISTED);
    if more > 0 {
        lines.push(warn(
            format!("{more} more objects are not ready"),
            "kubectl get coxswain -A -o wide shows them",
        ));
    }
    if lines.is_empty() {
        lines.push(ok("no object says that it is not ready"));
    }
    lines
}
