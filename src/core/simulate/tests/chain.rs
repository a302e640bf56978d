//! Runs that start others.

use rstest::rstest;
use serde_json::{Value, json};

use super::*;

fn delivery() -> Value {
    json!({"apiVersion": "coxswain.dev/v1alpha1", "kind": "Delivery", "metadata": {"name": "v2"}, "spec": {
        "project": "fulltour", "service": "helloservice", "image": "hello:2"}})
}

fn chain(report: &Report) -> Vec<String> {
    let runs = report.executions.iter();
    runs.map(|e| {
        format!(
            "{}.{} {} by {}",
            e.stage,
            e.sequence,
            e.phase,
            e.triggered_by.as_deref().unwrap_or("-")
        )
    })
    .collect()
}

#[test]
fn a_delivery_goes_through_the_stages() {
    let report = simulate(&tutorial(), &delivery(), "");
    assert_eq!(
        chain(&report),
        [
            "qa.delivery Succeeded by Delivery v2",
            "production.delivery Succeeded by qa.delivery.finished"
        ]
    );
    let approval = &report.executions[1].tasks[0];
    assert_eq!(
        (approval.name.as_str(), approval.source.as_str()),
        ("approval", "decided"),
        "it is automatic"
    );
    let job = &report.executions[1].tasks[1].jobs[0];
    assert_eq!(job.env["IMAGE"], "hello:2");
    let report = simulate(&tutorial(), &delivery(), "qa.je-test: [errored]");
    assert_eq!(chain(&report), ["qa.delivery Failed by Delivery v2"]);
}

#[rstest]
#[case("", &["qa.deliver Succeeded by sh.keptn.event.qa.deliver.triggered", "prod.deliver Succeeded by qa.deliver.finished"])]
#[case("approval: [approve]", &["qa.deliver Succeeded by sh.keptn.event.qa.deliver.triggered", "prod.deliver Succeeded by qa.deliver.finished"])]
#[case("approval: [reject]", &["qa.deliver Succeeded by sh.keptn.event.qa.deliver.triggered", "prod.deliver Failed by qa.deliver.finished", "prod.rollback Succeeded by prod.deliver.finished"])]
#[case("approval: [{takes: 48h}]", &["qa.deliver Succeeded by sh.keptn.event.qa.deliver.triggered", "prod.deliver Failed by qa.deliver.finished", "prod.rollback Succeeded by prod.deliver.finished"])]
#[case("outside: [fail]", &["qa.deliver Failed by sh.keptn.event.qa.deliver.triggered"])]
fn questions_are_answered(#[case] answers: &str, #[case] runs: &[&str]) {
    let yard = json!({"apiVersion": "coxswain.dev/v1alpha1", "kind": "Shipyard", "metadata": {"name": "shop"}, "spec": {"stages": [
        {"name": "qa", "sequences": [{"name": "deliver", "tasks": [{"name": "outside", "executor": "External"}]}]},
        {"name": "prod", "sequences": [
            {"name": "deliver", "triggeredOn": [{"event": "qa.deliver.finished"}], "tasks": [{"name": "approval"}, {"name": "deploy"}]},
            {"name": "rollback", "triggeredOn": [{"event": "prod.deliver.finished", "selector": {"match": {"result": "fail"}}}],
             "tasks": [{"name": "undo"}]}]}]}});
    let definitions = Definitions::read(&[Document {
        origin: "shop.yaml".into(),
        value: yard,
    }])
    .unwrap();
    let event = json!({"type": "sh.keptn.event.qa.deliver.triggered", "data": {"project": "shop", "service": "cart"}});
    let report = simulate(&definitions, &event, answers);
    assert_eq!(chain(&report), runs);
    assert_eq!(report.stopped, None);
}

#[test]
fn a_chain_that_goes_round_in_a_circle_is_stopped_and_says_so() {
    let round = |name: &str, after: &[&str]| {
        let rules: Vec<_> = after
            .iter()
            .map(|a| json!({"event": format!("s.{a}.finished")}))
            .collect();
        json!({"name": name, "triggeredOn": rules, "tasks": [{"name": "t"}]})
    };
    let yard = |sequences: Vec<Value>| {
        let value = json!({"apiVersion": "coxswain.dev/v1alpha1", "kind": "Shipyard", "metadata": {"name": "p"},
            "spec": {"stages": [{"name": "s", "sequences": sequences}]}});
        Definitions::read(&[Document {
            origin: "p.yaml".into(),
            value,
        }])
        .unwrap()
    };
    let event = json!({"type": "sh.keptn.event.s.a.triggered", "data": {"project": "p", "service": "v"}});
    let one = simulate(&yard(vec![round("a", &["b"]), round("b", &["a"])]), &event, "");
    assert!(one.executions.len() < 100, "{}", one.executions.len());
    assert!(one.stopped.unwrap().contains("go round in a circle"));
    let many = simulate(
        &yard(vec![
            round("a", &["b", "c"]),
            round("b", &["a", "c"]),
            round("c", &["a", "b"]),
        ]),
        &event,
        "",
    );
    // Whichever bound is reached first.
    assert!(
        many.executions.len() <= EXECUTIONS_MAX + 2,
        "{}",
        many.executions.len()
    );
    let stopped = many.stopped.unwrap();
    assert!(stopped.starts_with("stopped after 1"), "{stopped}");
}
