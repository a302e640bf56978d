//! Stories of one Delivery, told by the pure step: a small world keeps what it creates.

mod held;

use rstest::rstest;
use serde_json::{Value, json};

use super::*;
use crate::{
    api::{condition_is, delivery::DeliveryStage},
    core::labels,
};

const START: i64 = 1_800_000_000;
const UID: &str = "0a1b2c3d-0000-4000-8000-000000000001";

/// What the API server has.
struct World {
    delivery: Delivery,
    facts: Facts,
    now: Timestamp,
    started: Vec<String>,
    told: Vec<String>,
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn shipyard(stages: &[&str]) -> Arc<Shipyard> {
    let tasks = json!([{"name": "deployment"}]);
    let stages: Vec<Value> = stages
        .iter()
        .map(|stage| {
            json!({"name": stage, "sequences": [
                {"name": "delivery", "tasks": tasks}, {"name": "rollback", "tasks": tasks},
            ]})
        })
        .collect();
    let shipyard = json!({"metadata": {"name": "shop", "namespace": "demo"}, "spec": {"stages": stages}});
    Arc::new(serde_json::from_value(shipyard).unwrap())
}

impl World {
    fn new() -> Self {
        let delivery = json!({
            "metadata": {"name": "cart", "namespace": "demo", "uid": UID, "generation": 1,
                         "creationTimestamp": at(START).to_string()},
            "spec": {"project": "shop", "service": "cart", "image": "cart:1", "values": {"replicas": 2},
                     "labels": {"team": "blue"}, "requestedBy": "ann"},
        });
        Self {
            delivery: serde_json::from_value(delivery).unwrap(),
            facts: Facts {
                shipyards: vec![shipyard(&["staging", "production"])],
                ..Facts::default()
            },
            now: at(START),
            started: vec![],
            told: vec![],
        }
    }

    /// Decides, carries out, and writes the status.
    fn step(&mut self) -> &DeliveryStatus {
        let decision = step(&self.delivery, &self.facts, self.now);
        if let Some(run) = decision.create {
            self.create(*run);
        }
        self.told
            .extend(decision.notes.iter().map(|note| note.reason.to_owned()));
        self.delivery.status = Some(decision.status);
        let again = step(&self.delivery, &self.facts, self.now);
        assert!(again.create.is_none(), "decided twice");
        self.delivery.status.as_ref().unwrap()
    }

    fn create(&mut self, mut run: SequenceExecution) {
        let name = run.metadata.name.clone().unwrap();
        assert!(!self.started.contains(&name), "{name} was created twice");
        run.metadata.creation_timestamp = Some(Time(self.now));
        self.started.push(name);
        self.facts.runs.push(run);
    }

    fn deliver(&mut self, image: &str) {
        self.delivery.spec.image = Some(image.to_owned());
        *self.delivery.metadata.generation.as_mut().unwrap() += 1;
    }

    fn newest(&mut self) -> &mut SequenceExecution {
        self.facts.runs.last_mut().unwrap()
    }

    /// The newest run has this status.
    fn run_is(&mut self, phase: &str, done: bool, rest: Value) {
        let mut status = rest;
        status["phase"] = json!(phase);
        status["done"] = json!(done);
        if done {
            let finished = crate::api::Timestamp(self.now);
            status["finishedAt"] = serde_json::to_value(finished).unwrap();
        }
        self.newest().status = Some(serde_json::from_value(status).unwrap());
    }

    /// The newest run ends, and starts another one.
    fn run_triggers(&mut self, phase: &str, stage: &str, sequence: &str) {
        let name = format!("{stage}-{sequence}-{}", self.facts.runs.len());
        self.run_is(
            phase,
            true,
            json!({"triggered": [{"name": name, "stage": stage, "sequence": sequence}]}),
        );
        self.follow_up(&name, stage, sequence);
    }

    fn follow_up(&mut self, name: &str, stage: &str, sequence: &str) {
        let mut run = self.newest().clone();
        run.metadata.name = Some(name.to_owned());
        run.spec.stage = stage.to_owned();
        run.spec.sequence = sequence.to_owned();
        run.spec.depth = Some(run.spec.depth.unwrap_or_default() + 1);
        run.status = None;
        self.create(run);
    }

    fn later(&mut self, seconds: i64) {
        self.now = self
            .now
            .checked_add(jiff::SignedDuration::from_secs(seconds))
            .unwrap();
    }

    fn stage(&self, name: &str) -> DeliveryStage {
        let status = self.delivery.status.clone().unwrap();
        status.stages.into_iter().find(|s| s.stage == name).unwrap()
    }
}

fn is(status: &DeliveryStatus, type_: &str, value: &str) -> bool {
    condition_is(&status.conditions, type_, value)
}

#[test]
fn a_new_delivery_starts_at_once_with_everything_that_it_says() {
    let mut world = World::new();
    let status = world.step().clone();
    assert_eq!(
        (status.phase.as_str(), status.stage.as_str()),
        ("Delivering", "staging")
    );
    assert_eq!(status.started_generation, Some(1));
    assert!(is(&status, "Reconciling", "True") && is(&status, "Ready", "False"));
    assert!(is(&status, "Succeeded", "Unknown"));
    let run = world.newest().clone();
    assert_eq!(status.execution, run.metadata.name);
    let labels = run.metadata.labels.unwrap();
    assert_eq!(labels[labels::CONTEXT], format!("{UID}-1"));
    assert_eq!(labels[labels::DELIVERY], "cart");
    assert!(
        run.metadata.owner_references.is_none(),
        "the history outlives the Delivery"
    );
    let spec = serde_json::to_value(run.spec).unwrap();
    assert_eq!(
        spec,
        json!({
            "project": "shop", "stage": "staging", "service": "cart", "sequence": "delivery",
            "context": format!("{UID}-1"), "labels": {"team": "blue"}, "requestedBy": "ann",
            "triggeredBy": {"kind": "Delivery", "name": "cart", "uid": UID},
            "data": {"configurationChange": {"values": {"image": "cart:1", "replicas": 2}}},
        })
    );
}

#[test]
fn a_then_b_then_a_are_three_deliveries() {
    let mut world = World::new();
    for (image, runs) in [("cart:1", 1), ("cart:2", 2), ("cart:1", 3)] {
        if runs > 1 {
            world.deliver(image);
        }
        for _ in 0..3 {
            world.step();
        }
        assert_eq!(world.facts.runs.len(), runs);
        world.later(10);
        world.run_is("Succeeded", true, json!({"result": "pass"}));
        let status = world.step().clone();
        assert_eq!(
            (status.phase.as_str(), status.observed_generation),
            ("Delivered", Some(i64::try_from(runs).unwrap()))
        );
        assert_eq!(world.stage("staging").image.as_deref(), Some(image));
        assert!(is(&status, "Ready", "True") && is(&status, "Succeeded", "True"));
        assert!(!is(&status, "Reconciling", "True"));
    }
}

#[test]
fn labels_and_annotations_start_nothing() {
    let mut world = World::new();
    world.step();
    world.run_is("Succeeded", true, json!({}));
    world.step();
    world.delivery.metadata.annotations = Some([("a".to_owned(), "b".to_owned())].into());
    let before = world.delivery.status.clone();
    world.later(86_400);
    assert_eq!(Some(world.step().clone()), before);
    assert_eq!(world.facts.runs.len(), 1);
}

#[test]
fn a_crash_between_run_and_status_starts_no_second_one() {
    let mut world = World::new();
    world.step();
    world.delivery.status = None;
    world.facts.traces = vec![context(&world.delivery)];
    world.later(7200);
    let status = world.step().clone();
    assert_eq!(
        (status.phase.as_str(), status.started_generation),
        ("Delivering", Some(1))
    );
    assert_eq!(world.facts.runs.len(), 1);
    // The spec was changed before the status was written: this very Delivery has a run, so it is none that was restored.
    world.delivery.status = None;
    world.deliver("cart:2");
    assert_eq!(world.step().started_generation, Some(2));
    assert_eq!(world.facts.runs.len(), 2);
}

#[test]
fn both_stages_bring_a_delivery_to_its_end() {
    let mut world = World::new();
    world.step();
    world.run_is("Running", false, json!({}));
    assert_eq!(world.step().phase, "Delivering");
    world.later(30);
    world.run_triggers("Succeeded", "production", "delivery");
    let status = world.step().clone();
    assert_eq!(
        (status.phase.as_str(), status.stage.as_str()),
        ("Delivering", "production")
    );
    assert_eq!(world.stage("staging").image.as_deref(), Some("cart:1"));
    assert_eq!(world.stage("production").image, None);
    world.run_is(
        "Waiting",
        false,
        json!({"reason": "Approval", "message": "waits for Approval cart-1"}),
    );
    let status = world.step().clone();
    assert_eq!(
        (status.phase.as_str(), status.message.as_str()),
        ("Waiting", "stage production: waits for Approval cart-1")
    );
    world.later(30);
    world.run_is("Succeeded", true, json!({"result": "warning", "score": 80.0}));
    let status = world.step().clone();
    assert_eq!(status.phase, "Delivered");
    assert_eq!(status.message, "cart:1 is in staging, production");
    let production = world.stage("production");
    assert_eq!(
        (production.result.as_deref(), production.score),
        (Some("warning"), Some(80.0))
    );
    assert_eq!(production.since.unwrap().0, world.now);
}

#[test]
fn a_gate_that_fails_in_the_second_stage_leaves_the_earlier_image_there() {
    let mut world = World::new();
    world.step();
    world.run_triggers("Succeeded", "production", "delivery");
    world.later(30);
    world.run_is("Succeeded", true, json!({}));
    world.step();
    let since = world.stage("production").since;
    world.deliver("cart:2");
    world.step();
    world.later(30);
    world.run_triggers("Succeeded", "production", "delivery");
    world.step();
    world.later(30);
    world.run_is(
        "Failed",
        true,
        json!({"result": "fail", "score": 20.0, "reason": "Failed", "message": "evaluation: fail: 20 of 100"}),
    );
    let status = world.step().clone();
    assert_eq!(
        (status.phase.as_str(), status.stage.as_str()),
        ("Failed", "production")
    );
    assert!(
        status
            .message
            .ends_with("ended Failed: evaluation: fail: 20 of 100"),
        "{}",
        status.message
    );
    assert!(is(&status, "Ready", "True") && is(&status, "Succeeded", "False"));
    assert!(!is(&status, "Stalled", "True"));
    let (staging, production) = (world.stage("staging"), world.stage("production"));
    assert_eq!(staging.image.as_deref(), Some("cart:2"));
    assert_eq!(production.image.as_deref(), Some("cart:1"));
    assert_eq!(
        (production.since, production.phase.as_str(), production.score),
        (since, "Failed", Some(20.0))
    );
    assert!(world.told.contains(&"Failed".to_owned()), "{:?}", world.told);
}

#[test]
fn a_rollback_is_waited_for_and_changes_no_stage() {
    let mut world = World::new();
    world.step();
    world.run_triggers("Failed", "staging", "rollback");
    assert_eq!(world.step().phase, "Delivering");
    world.later(30);
    world.run_is("Succeeded", true, json!({}));
    assert_eq!(world.step().phase, "Failed", "the version is not there");
    assert_eq!(world.stage("staging").image, None);
    assert_eq!(world.stage("staging").phase, "Failed");
}

#[test]
fn a_retry_takes_the_place_of_the_run_that_failed() {
    let mut world = World::new();
    world.step();
    world.run_is("Failed", true, json!({}));
    let failed = world.step().execution.clone().unwrap();
    let first = world.newest();
    first.status.as_mut().unwrap().retried = Some(crate::api::execution::Retried {
        id: "1".to_owned(),
        execution: Some("again".to_owned()),
        ..Default::default()
    });
    world.follow_up("again", "staging", "delivery");
    world.newest().spec.retry_of = Some(crate::api::execution::RetryOf {
        name: failed,
        ..Default::default()
    });
    assert_eq!(world.step().phase, "Delivering");
    world.run_is("Succeeded", true, json!({}));
    assert_eq!(world.step().phase, "Delivered");
}

#[test]
fn what_a_run_triggers_is_waited_for_and_missed_when_it_is_deleted() {
    let mut world = World::new();
    world.step();
    world.run_is(
        "Succeeded",
        true,
        json!({"triggered": [{"name": "gone", "stage": "production", "sequence": "delivery"}]}),
    );
    assert_eq!(world.step().phase, "Delivering");
    let again = step(&world.delivery, &world.facts, world.now).again.unwrap();
    world.now = again;
    let status = world.step().clone();
    assert_eq!(status.phase, "Failed");
    assert!(
        status.message.starts_with("its run gone was deleted"),
        "{}",
        status.message
    );
}

#[rstest]
#[case("Succeeded", "Delivered")]
#[case("Failed", "Failed")]
#[case("Aborted", "Aborted")]
#[case("TimedOut", "Failed")]
#[case("Superseded", "Failed")]
fn the_end_stays_when_the_history_is_removed(#[case] run: &str, #[case] phase: &str) {
    let mut world = World::new();
    world.step();
    world.run_is(run, true, json!({}));
    let before = world.step().clone();
    assert_eq!(before.phase, phase);
    world.facts.runs.clear();
    assert_eq!(*world.step(), before);
}

#[test]
fn a_live_run_that_is_deleted_ends_the_delivery() {
    let mut world = World::new();
    world.step();
    world.facts.runs.clear();
    let status = world.step().clone();
    assert_eq!(status.phase, "Failed");
    assert!(
        status.message.contains("was deleted by hand"),
        "{}",
        status.message
    );
}

#[test]
fn an_older_flow_is_followed_to_its_end() {
    let mut world = World::new();
    world.step();
    world.run_triggers("Succeeded", "production", "delivery");
    world.step();
    let older = world.facts.runs.len() - 1;
    world.later(10);
    world.deliver("cart:2");
    assert_eq!(world.step().earlier, [format!("{UID}-1")]);
    world.run_is("Running", false, json!({}));
    world.facts.runs[older].status = Some(
        serde_json::from_value(
            json!({"phase": "Succeeded", "done": true, "finishedAt": "2027-01-15T08:00:30.000000Z"}),
        )
        .unwrap(),
    );
    let status = world.step().clone();
    assert_eq!(world.stage("production").image.as_deref(), Some("cart:1"));
    assert!(status.earlier.is_empty(), "{:?}", status.earlier);
    assert_eq!(
        (status.phase.as_str(), status.stage.as_str()),
        ("Delivering", "staging")
    );
    assert_eq!(contexts(&world.delivery), [format!("{UID}-2")]);
}

#[rstest]
#[case::project("shpo", None, "ShipyardNotFound", "did you mean \"shop\"?")]
#[case::stage("shop", Some("stagin"), "StageNotFound", "did you mean \"staging\"?")]
fn what_is_unknown_starts_nothing_until_it_is_there(
    #[case] project: &str,
    #[case] stage: Option<&str>,
    #[case] reason: &str,
    #[case] says: &str,
) {
    let mut world = World::new();
    project.clone_into(&mut world.delivery.spec.project);
    world.delivery.spec.stage = stage.map(str::to_owned);
    let status = world.step().clone();
    assert_eq!(world.facts.runs.len(), 0);
    assert_eq!(
        (status.phase.as_str(), status.started_generation),
        ("Failed", None)
    );
    assert!(status.message.contains(says), "{}", status.message);
    assert!(is(&status, "Ready", "False") && is(&status, "Stalled", "True"));
    assert!(status.conditions.iter().all(|c| c.reason == reason));
    let mut there = shipyard(&["staging", "stagin"]).as_ref().clone();
    there.metadata.name = Some(project.to_owned());
    world.facts.shipyards = vec![Arc::new(there)];
    world.later(3 * 86_400);
    let status = world.step().clone();
    assert_eq!(status.phase, "Delivering");
    assert!(!is(&status, "Stalled", "True"));
    assert_eq!(world.facts.runs.len(), 1);
}

#[test]
fn an_unknown_sequence_names_the_nearest() {
    let mut world = World::new();
    world.delivery.spec.sequence = Some("deliver".to_owned());
    let status = world.step();
    assert!(
        status.message.contains("did you mean \"delivery\"?"),
        "{}",
        status.message
    );
}

#[test]
fn a_refused_run_is_tried_again_later() {
    let mut world = World::new();
    world.facts.refused = Some(("RunRefused", "exceeded quota".to_owned()));
    let decision = step(&world.delivery, &world.facts, world.now);
    assert!(decision.create.is_none() && decision.again.is_some());
    assert!(is(&decision.status, "Stalled", "True"));
    world.delivery.status = Some(decision.status);
    world.facts.refused = None;
    assert_eq!(world.step().phase, "Delivering");
}

#[test]
fn a_chain_that_broke_is_no_delivery() {
    let mut world = World::new();
    world.step();
    world.run_is(
        "Succeeded",
        true,
        json!({"conditions": [{"type": "Stalled", "status": "True", "reason": "FollowUpRefused",
               "message": "the API server refused it", "lastTransitionTime": "2027-01-15T08:00:00Z"}]}),
    );
    let status = world.step().clone();
    assert_eq!(status.phase, "Failed");
    assert!(
        status.message.ends_with("the API server refused it"),
        "{}",
        status.message
    );
    assert!(is(&status, "Stalled", "True") && is(&status, "Succeeded", "False"));
    assert_eq!(world.stage("staging").image.as_deref(), Some("cart:1"));
}

#[test]
fn a_run_that_could_not_be_started_breaks_the_delivery() {
    let mut world = World::new();
    world.step();
    world.run_is(
        "Failed",
        true,
        json!({"reason": "DefinitionInvalid", "conditions": [{"type": "Stalled", "status": "True", "reason": "X",
               "message": "", "lastTransitionTime": "2027-01-15T08:00:00Z"}]}),
    );
    let status = world.step().clone();
    assert!(is(&status, "Stalled", "True") && is(&status, "Ready", "False"));
    assert!(is(&status, "Succeeded", "False"));
}
