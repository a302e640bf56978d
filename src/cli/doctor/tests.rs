use serde_json::{Value, json};

use super::*;
use crate::{
    api::all_crds,
    cli::doctor::{checks::POLICIES, gather::Unready},
};

fn typed<K: serde::de::DeserializeOwned>(value: Value) -> K {
    serde_json::from_value(value).unwrap()
}

/// As `serde` reads it back, as from an API server.
fn installed() -> Facts {
    let crds = all_crds().iter().map(|crd| typed(json!(crd))).collect();
    let policy = |name: &str| typed(json!({"metadata": {"name": format!("coxswain-{name}")}}));
    let binding = |name: &str| {
        typed(
            json!({"metadata": {"name": name}, "spec": {"policyName": format!("coxswain-{name}"), "validationActions": ["Deny"]}}),
        )
    };
    let image = format!("ghcr.io/coxswain-dev/coxswain:{}", env!("CARGO_PKG_VERSION"));
    Facts {
        operator_namespace: "coxswain-system".to_owned(),
        crds: Ok(crds),
        deployments: Ok(vec![typed(json!({"metadata": {"name": "coxswain"},
            "spec": {"selector": {}, "template": {"spec": {"containers": [{"name": "coxswain", "image": image}]}}},
            "status": {"readyReplicas": 1}}))]),
        missing_rights: Ok(vec![]),
        policies: Ok(POLICIES.map(policy).into()),
        bindings: Ok(POLICIES.map(binding).into()),
        services: Ok(vec![
            typed(json!({"metadata": {"name": "coxswain"}})),
            typed(
                json!({"metadata": {"name": "coxswain-metrics", "labels": {"app.kubernetes.io/component": "metrics"}}}),
            ),
        ]),
        providers: Ok(vec![("shop/prometheus".to_owned(), None)]),
        evaluations: Ok(vec![]),
        unready: vec![],
        held: Ok(vec![]),
        hold: Ok(None),
    }
}

fn told(facts: &Facts) -> String {
    render(&check(facts, "2026-01-01T12:00:00Z".parse().unwrap()), false)
}

#[test]
fn every_policy_that_is_shipped_is_looked_for() {
    let directory = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("config/admission");
    let files = std::fs::read_dir(directory).unwrap();
    let names = files.map(|file| {
        file.unwrap()
            .path()
            .file_stem()
            .unwrap()
            .to_str()
            .unwrap()
            .to_owned()
    });
    let mut policies: Vec<String> = names
        .filter(|name| !["bindings", "kustomization"].contains(&name.as_str()))
        .collect();
    policies.sort();
    assert_eq!(policies, POLICIES);
}

#[test]
fn a_sound_installation_is_ok_throughout() {
    insta::assert_snapshot!(told(&installed()).replace(&all_crds().len().to_string(), "N"), @r"
    ok    N definitions are there, as in this version
    ok    operator coxswain is ready
    ok    the operator has all its rights
    ok    5 admission policies are in force
    ok    events and alerts arrive at Service coxswain
    ok    MetricsProvider shop/prometheus is ready
    ok    nothing is held
    ok    no object says that it is not ready
    ");
}

#[test]
fn what_is_wrong_is_told_with_its_remedy() {
    let mut facts = installed();
    let crds = facts.crds.as_mut().unwrap();
    crds.remove(0);
    crds[0].spec.versions[0].served = false;
    crds[1].spec.versions[0].schema = None;
    let deployment = &mut facts.deployments.as_mut().unwrap()[0];
    deployment.status = None;
    let pod = deployment.spec.as_mut().unwrap().template.spec.as_mut().unwrap();
    pod.containers[0].image = Some("coxswain:v0.0.9".to_owned());
    facts.missing_rights = Ok(vec!["create jobs".to_owned()]);
    facts.policies.as_mut().unwrap().remove(0);
    facts.bindings.as_mut().unwrap()[1]
        .spec
        .as_mut()
        .unwrap()
        .validation_actions = Some(vec!["Audit".to_owned()]);
    facts.services = Ok(vec![]);
    facts.providers = Ok(vec![(
        "shop/prometheus".to_owned(),
        Some("Invalid: spec.prometheus.url".to_owned()),
    )]);
    facts.evaluations = Ok(["2026-01-01T11:30:00.000000Z", "2026-01-01T09:00:00.000000Z"]
        .iter()
        .enumerate()
        .map(|(i, at)| typed(json!({"metadata": {"name": format!("e{i}"), "namespace": "shop"},
            "spec": {"project": "p", "stage": "s", "service": "v"},
            "status": {"phase": "Inconclusive", "done": true, "message": "connection refused", "finishedAt": at}})))
        .collect());
    facts.hold = Ok(Some("freeze".to_owned()));
    facts.held = Ok(vec!["shop".to_owned()]);
    facts.unready = vec![Unready {
        object: "Shipyard shop/shop".to_owned(),
        message: "Invalid: spec.stages".to_owned(),
    }];
    insta::assert_snapshot!(told(&facts));
}

#[test]
fn what_may_not_be_read_is_no_failure() {
    let mut facts = installed();
    let no = || "forbidden".to_owned();
    facts.crds = Err(no());
    facts.deployments = Err(no());
    facts.missing_rights = Err(no());
    facts.policies = Err(no());
    facts.services = Err(no());
    facts.providers = Err(no());
    facts.hold = Err(no());
    let lines = check(&facts, Timestamp::UNIX_EPOCH);
    assert!(lines.iter().all(|l| l.level < Level::Fail), "{lines:?}");
    assert_eq!(
        lines
            .iter()
            .filter(|l| l.what.contains("can't be looked at (forbidden)"))
            .count(),
        7
    );
}

#[test]
fn programs_read_levels_and_remedies() {
    let lines = check(&installed(), Timestamp::UNIX_EPOCH);
    let document = serde_json::to_value(&lines).unwrap();
    assert_eq!(
        document[1],
        json!({"level": "ok", "what": "operator coxswain is ready", "remedy": ""})
    );
}
