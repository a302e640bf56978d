//! P: what the next task sees. N: which task is next. T: which sequence is next. And pauses.

use std::collections::BTreeMap;

use coxswain::{
    api::{
        SequenceExecution, SequenceExecutionSpec, SequenceExecutionStatus,
        execution::{Control, Desired},
        shipyard::Task,
    },
    core::{
        definitions::pinned,
        payload::{after_task, for_task},
        queue::Grant,
        sequence::{Facts, step},
    },
};
use rstest::rstest;
use serde_json::{Value, json};

use super::*;

fn spec() -> SequenceExecutionSpec {
    SequenceExecutionSpec {
        project: "shop".to_owned(),
        stage: "dev".to_owned(),
        service: "cart".to_owned(),
        sequence: "delivery".to_owned(),
        ..SequenceExecutionSpec::default()
    }
}

/// A result and a status are there only after a task, and a task's properties are its own: they never reach the next.
#[rstest]
#[case::p1_as_v1(json!({"mytask": {"deploymentstrategy": ""}}), None, "mytask", json!({"deploymentstrategy": "direct"}),
    json!({"mytask": {"deploymentstrategy": "direct"}}))]
#[case::p2_as_v1(json!({"configurationChange": {"image": "1.0"}}), None, "mytask", json!({"foo": "bar"}),
    json!({"configurationChange": {"image": "1.0"}, "mytask": {"foo": "bar"}}))]
#[case::p3_as_v1(json!({"configurationChange": {"image": "1.0"}}), Some(json!({"mytask": {"bar": "foo"}})), "my-second-task", json!({"foo": "bar"}),
    json!({"configurationChange": {"image": "1.0"}, "mytask": {"bar": "foo"}, "my-second-task": {"foo": "bar"}, "result": "pass", "status": "succeeded"}))]
fn what_the_next_task_sees(
    #[case] trigger: Value,
    #[case] completed: Option<Value>,
    #[case] next: &str,
    #[case] properties: Value,
    #[case] expected: Value,
) {
    let mut payload = object(trigger);
    if let Some(data) = completed {
        after_task(&mut payload, &object(data), "pass", "succeeded").unwrap();
    }
    let task = Task {
        name: next.to_owned(),
        properties: Some(object(properties)),
        ..Task::default()
    };
    let mut all = json!({"project": "shop", "stage": "dev", "service": "cart"});
    all.as_object_mut().unwrap().extend(object(expected));
    assert_eq!(Value::Object(for_task(&spec(), &payload, &task)), all);
}

#[rstest]
#[case::n1_as_v1("deployment: [fail]", &["deployment"], None)]
#[case::n3_as_v1("", &["deployment"], Some("evaluation"))]
#[case::n4_as_v1("", &[], Some("deployment"))]
#[case::n5_as_v1("", &["deployment", "evaluation"], None)]
fn which_task_is_next(#[case] answers: &str, #[case] previous: &[&str], #[case] next: Option<&str>) {
    let definitions = definitions(&[shipyard(
        "  - {name: dev, sequences: [{name: delivery, tasks: [{name: deployment}, {name: evaluation, properties: {timeframe: 2m}}]}]}",
    )]);
    let report = simulated(&definitions, &event("dev", "delivery", json!({})), answers);
    let ran = ran(&report);
    assert_eq!(ran[..previous.len()], *previous);
    assert_eq!(ran.get(previous.len()).copied(), next);
}

/// A look at a run of `dev.delivery` with one task, for which this is wanted now.
pub fn look(
    run: &mut SequenceExecution,
    task: &str,
    control: Control,
    grant: &Grant,
) -> SequenceExecutionStatus {
    let definitions = definitions(&[shipyard(&format!(
        "  - {{name: dev, sequences: [{{name: delivery, tasks: [{{name: {task}, executor: External}}]}}]}}"
    ))]);
    run.spec.control = Some(control);
    let facts = Facts {
        run: Some(pinned::run(run, &definitions.snapshot)),
        attempt: Some(pinned::attempt(run, &definitions.snapshot, &[task])),
        grant: Some(grant.clone()),
        ..Facts::default()
    };
    let now = "2026-01-01T00:00:00Z".parse().unwrap();
    let status = step(run, &facts, now).status;
    run.status = Some(status.clone());
    status
}

fn only(desired: Desired) -> Control {
    Control {
        desired,
        ..Control::default()
    }
}

pub fn run() -> SequenceExecution {
    let mut run = SequenceExecution::new("v2", spec());
    run.metadata.uid = Some("uid".to_owned());
    run.metadata.creation_timestamp = Some(serde_json::from_value(json!("2026-01-01T00:00:00Z")).unwrap());
    run
}

/// The state of a run whose next task this is.
#[rstest]
#[case::approval_as_v1("approval", Desired::Run, ("Waiting", "Approval"))]
#[case::another_task_as_v1("deployment", Desired::Run, ("Running", "Outside"))]
#[case::paused_stays_paused_as_v1("deployment", Desired::Pause, ("Paused", "Paused"))]
fn the_state_by_the_next_task(#[case] task: &str, #[case] desired: Desired, #[case] expected: (&str, &str)) {
    let status = look(&mut run(), task, only(desired), &Grant::Held);
    assert_eq!((status.phase.as_str(), status.reason.as_str()), expected);
}

/// What is wanted is a level, so v1's refusals are no errors here: nothing changes.
#[rstest]
#[case::pause_of_a_started_one_as_v1(&[Desired::Run, Desired::Pause], Grant::Held, "Running")]
#[case::pause_of_one_that_waits_as_v1(&[Desired::Run, Desired::Pause], Grant::Queued { behind: "v1".to_owned() }, "Paused")]
#[case::resume_of_one_that_is_not_paused_by_design(&[Desired::Run, Desired::Run], Grant::Held, "Running")]
#[case::resume_goes_on_as_v1(&[Desired::Pause, Desired::Run], Grant::Held, "Running")]
#[case::resume_restores_what_was_as_v1(&[Desired::Run, Desired::Pause, Desired::Run], Grant::Queued { behind: "v1".to_owned() }, "Queued")]
fn pause_and_resume(#[case] wishes: &[Desired], #[case] grant: Grant, #[case] phase: &str) {
    let mut run = run();
    for desired in wishes {
        look(&mut run, "deployment", only(*desired), &grant);
    }
    // A task that has begun ends before the run pauses.
    assert_eq!(run.status.unwrap().phase, phase);
}

#[test]
fn pause_of_a_finished_one_by_design() {
    let mut run = run();
    let end = look(&mut run, "deployment", only(Desired::Abort), &Grant::Held);
    assert_eq!((end.phase.as_str(), end.done), ("Aborted", true));
    let paused = look(&mut run, "deployment", only(Desired::Pause), &Grant::Held);
    assert_eq!(paused, end);
}

/// Sequences of other stages, and their rules on the end of `dev.delivery`; null: a rule without a selector; none: no
/// rule.
fn with_rules(rules: &Value) -> Value {
    let mut stages: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
    for (name, rules) in rules.as_object().unwrap() {
        let (stage, sequence) = name.split_once('.').unwrap();
        let rules = rules.as_array().unwrap().iter();
        let rules: Vec<Value> = rules
            .map(|keys| match keys {
                Value::Null => json!({"event": "dev.delivery.finished"}),
                keys => json!({"event": "dev.delivery.finished", "selector": {"match": keys}}),
            })
            .collect();
        let sequence = json!({"name": sequence, "triggeredOn": rules, "tasks": [{"name": "release"}]});
        stages.entry(stage).or_default().push(sequence);
    }
    let mut all = vec![json!({"name": "dev", "sequences": [
        {"name": "delivery", "tasks": [{"name": "deployment"}, {"name": "je-test"}, {"name": "evaluation", "properties": {"timeframe": "2m"}}]}]})];
    all.extend(
        stages
            .iter()
            .map(|(name, sequences)| json!({"name": name, "sequences": sequences})),
    );
    ours("Shipyard", "shop", json!({ "stages": all }))
}

#[rstest]
#[case::t1_as_v1("", json!({"hardening.delivery": [null], "hardening.delivery-2": []}), &["hardening.delivery"])]
#[case::t3_as_v1("evaluation: [fail]", json!({"hardening.delivery": [null], "hardening.delivery-2": [{"evaluation.result": "fail"}],
    "production.delivery": [null], "production.delivery-2": [{"deployment.result": "fail"}]}), &["hardening.delivery-2"])]
#[case::t4_as_v1("evaluation: [warning]", json!({"hardening.delivery": [null]}), &["hardening.delivery"])]
#[case::t6_as_v1("je-test: [fail]", json!({"hardening.delivery": [{"evaluation.result": "fail"}]}), &[])]
// `failed` reads as `fail`: Keptn's documentation wrote it so.
#[case::t7_by_design("evaluation: [fail]", json!({"hardening.delivery": [{"evaluation.result": "failed"}]}), &["hardening.delivery"])]
// A task that errored has failed, whatever its result says.
#[case::t9_by_design("je-test: [errored]", json!({"hardening.delivery": [null]}), &[])]
fn which_sequence_is_next(#[case] answers: &str, #[case] rules: Value, #[case] fires: &[&str]) {
    let definitions = definitions(&[with_rules(&rules)]);
    let report = simulated(&definitions, &event("dev", "delivery", json!({})), answers);
    assert_eq!(runs(&report)[1..], *fires);
}

/// T8: v1 never fired such a rule, and said nothing.
#[test]
fn t8_by_design() {
    let refused = unchecked(&[with_rules(&json!({"hardening.delivery": [{}]}))]).complaints();
    assert_eq!(
        refused,
        [
            "Shipyard shop: Invalid: spec.stages[1].sequences[0].triggeredOn[0].selector.match: has no condition; \
          add one, or remove the selector to fire on pass and warning"
        ]
    );
}
