//! S: whole sequences, from the event that triggers them to the end of what they trigger.

use coxswain::{
    api::{SequenceExecution, SequenceExecutionSpec, condition_is},
    core::{
        definitions::pinned,
        sequence::{Facts, step},
        simulate::case::{Expect, differences},
    },
};
use rstest::rstest;
use serde_json::json;

use super::*;

/// A delivery through three stages, which is rolled back where it fails first.
pub const SHIPYARD_A: &str = "  - name: dev
    sequences:
    - name: delivery
      tasks: [{name: deployment}, {name: test}, {name: evaluation}, {name: release}]
    - name: rollback
      triggeredOn: [{event: dev.delivery.finished, selector: {match: {result: fail}}}]
      tasks: [{name: rollback}]
  - name: hardening
    sequences:
    - name: delivery
      triggeredOn: [{event: dev.delivery.finished}]
      tasks: [{name: deployment}, {name: test}, {name: evaluation}, {name: release}]
  - name: production
    sequences:
    - name: delivery
      triggeredOn: [{event: hardening.delivery.finished}]
      tasks: [{name: deployment}, {name: release}]";

const ROLLED_BACK: &str = "{stage: dev, sequence: rollback, phase: Succeeded, triggeredBy: dev.delivery.finished, tasks: [{name: rollback}]}";

#[rstest]
#[case::s1_as_v1(
    "evaluation: [warning]",
    "{stage: dev, phase: Succeeded, result: pass, tasks: [{name: deployment}, {name: test}, {name: evaluation, result: warning}, {name: release}]}, \
     {stage: hardening, sequence: delivery, phase: Succeeded, triggeredBy: dev.delivery.finished, tasks: [{name: deployment}]}, \
     {stage: production, sequence: delivery, phase: Succeeded, triggeredBy: hardening.delivery.finished, tasks: [{name: deployment}, {name: release}]}",
    &["deployment", "test", "evaluation", "release"]
)]
#[case::s3_as_v1(
    "dev.deployment: [errored]",
    "{stage: dev, phase: Failed, result: fail, tasks: [{name: deployment, result: fail, status: errored}]}, ROLLED_BACK",
    &["deployment"]
)]
#[case::s4_as_v1(
    "dev.evaluation: [fail]",
    "{stage: dev, phase: Failed, result: fail, tasks: [{name: evaluation, result: fail, status: succeeded}]}, ROLLED_BACK",
    &["deployment", "test", "evaluation"]
)]
#[case::s4b_as_v1(
    "dev.deployment: [fail]",
    "{stage: dev, phase: Failed, result: fail, tasks: [{name: deployment, result: fail, status: succeeded}]}, ROLLED_BACK",
    &["deployment"]
)]
fn a_delivery(#[case] answers: &str, #[case] executions: &str, #[case] tasks: &[&str]) {
    // A Job reports a fail by its message, and an error by its exit code.
    let deploys = job("deployment", "deploy", json!([]));
    let definitions = definitions(&[shipyard(SHIPYARD_A), deploys]);
    let report = simulated(&definitions, &event("dev", "delivery", json!({})), answers);
    let executions = executions.replace("ROLLED_BACK", ROLLED_BACK);
    let expected: Expect = serde_json::from_value(yaml(&format!("executions: [{executions}]"))).unwrap();
    assert_eq!(differences(&expected, &report), Vec::<String>::new());
    assert_eq!(ran(&report), tasks);
}

fn job(task: &str, name: &str, env: Value) -> Value {
    let event = format!("sh.keptn.event.{task}.triggered");
    ours(
        "JobConfig",
        &format!("{task}-{name}"),
        json!({"project": "shop", "actions": [
            {"name": name, "events": [{"name": event}], "tasks": [{"name": name, "image": "i", "env": env}]}]}),
    )
}

/// S1's payload. Lists are replaced by what is newer, so the test sees only the deployment's own addresses, where v1 added
/// them to those of the trigger. The gate measures while the test ran, as in v1.
#[test]
fn s1_what_the_next_tasks_see_by_design() {
    let env = |name: &str, path: &str| json!({"name": name, "value": path, "valueFrom": "event"});
    let reads = json!([
        env("PUBLIC", "$.data.deployment.deploymentURIsPublic"),
        env("LOCAL", "$.data.deployment.deploymentURIsLocal"),
        env("STRATEGY", "$.data.deployment.deploymentstrategy"),
    ]);
    let objective = json!({"project": "shop", "objectives": [{"sli": "latency", "pass": [{"criteria": ["<1"]}]}], "total_score": {"pass": "90%"}});
    let definitions = definitions(&[
        shipyard(SHIPYARD_A),
        job("test", "load", reads),
        ours("ServiceLevelObjective", "slo", objective),
    ]);
    let given = json!({"deployment": {"deploymentURIsPublic": ["a"], "deploymentstrategy": "direct"}});
    let answers =
        "dev.deployment: [{data: {deployment: {deploymentURIsPublic: [b, c], deploymentURIsLocal: [d, e]}}}]
dev.test: [{takes: 5m}]";
    let report = simulated(&definitions, &event("dev", "delivery", given), answers);
    let test = &report.executions[0].tasks[1].jobs[0];
    let seen = ["PUBLIC", "LOCAL", "STRATEGY"].map(|name| test.env[name].as_str());
    assert_eq!(seen, [r#"["b","c"]"#, r#"["d","e"]"#, "direct"]);
    let ran = &report.executions[0].tasks[1];
    let window = format!("of {} to {}", ran.started_at.unwrap(), ran.finished_at.unwrap());
    let gate = report
        .steps
        .iter()
        .find(|step| step.task == "evaluation")
        .unwrap();
    assert!(gate.text.ends_with(&window), "{window}: {}", gate.text);
}

#[test]
fn s9_as_v1() {
    let definitions = definitions(&[shipyard(
        "  - {name: dev, sequences: [{name: delivery, tasks: [{name: deployment}, {name: deployment}, {name: evaluation, properties: {timeframe: 2m}}]}]}",
    )]);
    let report = simulated(
        &definitions,
        &event("dev", "delivery", json!({})),
        "deployment: [pass, warning]",
    );
    let results: Vec<_> = report.executions[0]
        .tasks
        .iter()
        .map(|task| (task.name.as_str(), task.result.as_deref().unwrap()))
        .collect();
    assert_eq!(
        results,
        [
            ("deployment", "pass"),
            ("deployment", "warning"),
            ("evaluation", "pass")
        ]
    );
}

#[test]
fn s11_as_v1() {
    let definitions = definitions(&[
        shipyard(
            "  - {name: dev, sequences: [{name: delivery, tasks: [{name: deployment, triggeredAfter: 10s, timeout: 5s}]}]}",
        ),
        job("deployment", "deploy", json!([])),
    ]);
    let report = simulated(
        &definitions,
        &event("dev", "delivery", json!({})),
        "deployment: [{takes: 4s}]",
    );
    let run = &report.executions[0];
    let created = report
        .steps
        .iter()
        .find(|step| step.text.starts_with("Job "))
        .unwrap();
    let waited = created.at.duration_since(run.created_at.unwrap());
    // The wait is no part of the task's time, which is shorter than it.
    assert_eq!((waited.as_secs(), run.phase.as_str()), (10, "Succeeded"));
}

/// S24: as v1 the run ends at once, and here it says what was meant.
#[rstest]
#[case::s24_stage_as_v1(
    "hardning",
    "delivery",
    "StageNotFound",
    "no stage \"hardning\" in Shipyard shop; did you mean \"hardening\"?"
)]
#[case::s24_sequence_as_v1(
    "dev",
    "delivry",
    "SequenceNotFound",
    "no sequence \"delivry\" in stage dev of Shipyard shop; did you mean \"delivery\"?"
)]
fn of_something_unknown(
    #[case] stage: &str,
    #[case] sequence: &str,
    #[case] reason: &str,
    #[case] says: &str,
) {
    let spec = SequenceExecutionSpec {
        project: "shop".to_owned(),
        stage: stage.to_owned(),
        service: "cart".to_owned(),
        sequence: sequence.to_owned(),
        ..SequenceExecutionSpec::default()
    };
    let run = SequenceExecution::new("v2", spec);
    let facts = Facts {
        run: Some(pinned::run(&run, &definitions(&[shipyard(SHIPYARD_A)]).snapshot)),
        ..Facts::default()
    };
    let decision = step(&run, &facts, "2026-01-01T00:00:00Z".parse().unwrap());
    let end = decision.status;
    assert_eq!(
        (
            end.phase.as_str(),
            end.reason.as_str(),
            end.message.as_str(),
            end.done
        ),
        ("Failed", reason, says, true)
    );
    assert!(condition_is(&end.conditions, "Stalled", "True"));
    assert!(
        decision.first.is_empty() && decision.then.is_empty(),
        "nothing follows"
    );
}
