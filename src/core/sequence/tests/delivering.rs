//! Deliveries: what follows an end, skipped tasks, retries.

use rstest::rstest;

use super::*;
use crate::{
    api::{
        execution::{FollowUp, Retry, RetryFrom, Skip},
        shipyard::{Concurrency, Trigger},
    },
    core::sequence::retry,
};

/// A run of `qa.delivery` with these tasks, each answered by a Job unless it is built in.
pub(super) fn delivery(tasks: serde_json::Value, script: Script, gate: Gate) -> World {
    let mut world = World::new(&[], script, gate);
    world.run = serde_json::from_value(json!({
        "metadata": {"name": "v2", "namespace": "shop", "uid": "run-uid", "generation": 1,
                     "labels": {labels::DELIVERY: "cart"},
                     "creationTimestamp": Timestamp::from_second(START).unwrap().to_string()},
        "spec": {"project": "shop", "stage": "qa", "service": "cart", "sequence": "delivery", "requestedBy": "ann",
                 "labels": {"team": "blue"},
                 "data": {"configurationChange": {"values": {"image": "cart:2"}}}},
    }))
    .unwrap();
    let sequence: Sequence = serde_json::from_value(json!({"name": "delivery", "tasks": tasks})).unwrap();
    let mut tasks = sequence.tasks.clone();
    tasks.dedup_by(|a, b| a.name == b.name);
    let actions: Vec<_> = tasks
        .iter()
        .filter(|t| !matches!(t.name.as_str(), "approval" | "evaluation") && t.executor.is_none())
        .map(|t| {
            json!({"name": t.name, "events": [{"name": format!("sh.keptn.event.{}.triggered", t.name)}],
                   "tasks": [{"name": "do", "image": "busybox"}]})
        })
        .collect();
    if let Some(Ok(found)) = world.facts.run.as_mut() {
        found.sequence = sequence;
        found.remediation = None;
    }
    let attempt = world.facts.attempt.as_mut().unwrap();
    attempt.job_configs =
        vec![serde_json::from_value(json!({"name": "jobs", "specificity": 3, "actions": actions})).unwrap()];
    world
}

fn follow(world: &mut World, rules: &[(&str, &str, serde_json::Value)]) {
    let followers = rules.iter().map(|(stage, sequence, selector)| {
        let rule: Trigger =
            serde_json::from_value(json!({"event": "qa.delivery.finished", "selector": selector})).unwrap();
        Follower {
            stage: (*stage).to_owned(),
            sequence: (*sequence).to_owned(),
            rule,
        }
    });
    if let Some(Ok(found)) = world.facts.run.as_mut() {
        found.followers = followers.collect();
    }
}

fn three() -> serde_json::Value {
    json!([{"name": "je-deployment"}, {"name": "je-test"}, {"name": "evaluation", "properties": {"timeframe": "2m"}}])
}

fn names(world: &World) -> Vec<String> {
    let mut names: Vec<_> = world
        .follow_ups
        .values()
        .map(|r| format!("{}.{}", r.spec.stage, r.spec.sequence))
        .collect();
    names.sort();
    names
}

#[test]
fn a_good_version_goes_on_with_the_whole_payload_in_one_flow() {
    let mut world = delivery(three(), all_well, |_| Some("pass"));
    follow(&mut world, &[("production", "delivery", json!(null))]);
    let end = world.play_out();
    assert_eq!(end.phase, "Succeeded");
    assert_eq!(names(&world), ["production.delivery"]);
    let next = world.follow_ups.values().next().unwrap();
    assert_eq!(end.triggered[0].name, next.metadata.name.clone().unwrap());
    assert_eq!(next.spec.context.as_deref(), Some("run-uid"));
    assert_eq!(
        (next.spec.depth, next.spec.requested_by.as_deref()),
        (Some(1), Some("ann"))
    );
    let data = next.spec.data.as_ref().unwrap();
    assert_eq!(data["configurationChange"]["values"]["image"], "cart:2");
    assert_eq!(
        (&data["result"], &data["evaluation"]["result"]),
        (&json!("pass"), &json!("pass"))
    );
    let meta = next.metadata.labels.as_ref().unwrap();
    assert_eq!(
        (meta[labels::CONTEXT].as_str(), meta[labels::DELIVERY].as_str()),
        ("run-uid", "cart")
    );
    assert!(
        next.metadata.annotations.is_none(),
        "another stage is another place"
    );
    assert!(end.outcome.is_none() && end.done);
}

/// Beyond what Keptn's own tests tell, which is in tests/it/keptn/sequences.rs.
#[rstest]
#[case::plain_not_on_fail(all_well, Some("fail"), json!(null), false)]
#[case::result(all_well, Some("fail"), json!({"match": {"result": "fail"}}), true)]
#[case::empty(all_well, Some("pass"), json!({"match": {}}), false)]
#[case::all_must_match(all_well, Some("fail"), json!({"match": {"result": "fail", "je-test.result": "fail"}}), false)]
#[case::any_task(all_well, Some("pass"), json!({"match": {"je-test.result": "pass"}}), true)]
#[case::data(all_well, Some("pass"), json!({"match": {"$.data.configurationChange.values.image": "cart:2"}}), true)]
#[case::could_not_measure_is_not_fail(all_well, None, json!({"match": {"result": "fail"}}), false)]
#[case::could_not_measure_can_be_asked_for(all_well, None, json!({"match": {"evaluation.status": "errored"}}), true)]
fn which_rules_fire(
    #[case] script: Script,
    #[case] gate: Option<&'static str>,
    #[case] selector: serde_json::Value,
    #[case] fires: bool,
) {
    let gate: Gate = match gate {
        Some("pass") => |_| Some("pass"),
        Some(_) => |_| Some("fail"),
        None => |_| None,
    };
    let mut world = delivery(three(), script, gate);
    follow(&mut world, &[("qa", "rollback", selector)]);
    let end = world.play_out();
    assert_eq!(
        !world.follow_ups.is_empty(),
        fires,
        "{}: {}",
        end.phase,
        end.message
    );
}

fn test_fails(task: &str, _: i32) -> i32 {
    i32::from(task == "je-test")
}

#[test]
fn several_follow_one_end_each_once_and_the_same_place_is_inherited() {
    let mut world = delivery(three(), all_well, |_| Some("fail"));
    let fail = json!({"match": {"result": "fail"}});
    let same = json!({"match": {"evaluation.result": "fail"}});
    follow(
        &mut world,
        &[
            ("qa", "rollback", fail.clone()),
            ("qa", "rollback", same),
            ("ops", "page", fail),
        ],
    );
    world.play_out();
    assert_eq!(names(&world), ["ops.page", "qa.rollback"]);
    let rollback = world.follow_ups.values().find(|r| r.spec.stage == "qa").unwrap();
    assert!(
        rollback
            .metadata
            .annotations
            .as_ref()
            .unwrap()
            .contains_key(labels::INHERITS)
    );
}

#[test]
fn an_aborted_run_triggers_nothing() {
    let mut world = delivery(three(), all_well, |_| Some("pass"));
    follow(
        &mut world,
        &[
            ("ops", "page", json!(null)),
            ("ops", "page2", json!({"match": {"result": "fail"}})),
        ],
    );
    world.turn();
    world.run.spec.control = Some(Control {
        desired: Desired::Abort,
        ..Control::default()
    });
    let end = world.play_out();
    assert_eq!((end.phase.as_str(), world.follow_ups.len()), ("Aborted", 0));
}

#[test]
fn an_end_that_was_recorded_before_a_crash_is_made_good() {
    let mut world = delivery(three(), all_well, |_| Some("pass"));
    follow(&mut world, &[("production", "delivery", json!(null))]);
    world.play_until(|status| status.outcome.is_some());
    assert!(!world.status().done, "what follows is created first");
    world.follow_ups.clear();
    world.followed = false;
    let again = world.turn();
    assert!(matches!(again.then.as_slice(), [Effect::CreateExecution(_)]));
    assert_eq!(world.play_out().phase, "Succeeded");
}

#[test]
fn an_endless_chain_stops_and_says_so() {
    let mut world = delivery(three(), all_well, |_| Some("pass"));
    follow(&mut world, &[("production", "delivery", json!(null))]);
    world.run.spec.depth = Some(defaults::DEPTH);
    let end = world.play_out();
    assert_eq!((end.phase.as_str(), world.follow_ups.len()), ("Succeeded", 0));
    let stalled = condition(&end, "Stalled");
    assert_eq!(
        (stalled.reason.as_str(), stalled.status.as_str()),
        ("ChainTooLong", "True")
    );
    assert!(
        stalled.message.contains("production.delivery"),
        "{}",
        stalled.message
    );
}

#[test]
fn a_follow_up_that_the_api_server_refuses_is_said() {
    let mut world = delivery(three(), all_well, |_| Some("pass"));
    follow(&mut world, &[("production", "delivery", json!(null))]);
    world.play_until(|status| status.outcome.is_some());
    let FollowUp { name, .. } = world.status().triggered[0].clone();
    world.followed = false;
    world.facts.refused.insert(name, "exceeded quota".to_owned());
    let end = world.play_out();
    assert_eq!(end.phase, "Succeeded");
    assert!(end.triggered.is_empty());
    assert!(condition(&end, "Stalled").message.contains("exceeded quota"));
}

#[test]
fn a_skipped_task_counts_as_passed_and_its_job_is_deleted() {
    let hangs: Script = |task, _| if task == "je-test" { -1 } else { 0 };
    let mut world = delivery(three(), hangs, |_| Some("pass"));
    while world.created.len() < 2 {
        world.turn();
    }
    world.run.spec.control = Some(Control {
        skip: vec![Skip {
            attempt: 1,
            task: "je-test".to_owned(),
            reason: "tested by hand".to_owned(),
            by: "ann".to_owned(),
        }],
        ..Control::default()
    });
    let end = world.play_out();
    assert_eq!(end.phase, "Succeeded");
    assert_eq!(world.deleted[0], world.created[1]);
    let skipped = &end.attempts[0].tasks[1];
    assert_eq!(
        (skipped.state.as_str(), skipped.message.as_str()),
        ("Skipped", "skipped by ann: tested by hand")
    );
}

#[test]
fn an_ended_run_is_retried_from_its_failed_task_with_its_payload() {
    let mut world = delivery(three(), test_fails, |_| Some("pass"));
    let end = world.play_out();
    assert_eq!(end.phase, "Failed");
    let wish = Retry {
        id: "1".to_owned(),
        from: RetryFrom::FailedTask,
    };
    world.run.spec.control = Some(Control {
        retry: Some(wish.clone()),
        ..Control::default()
    });
    assert_eq!(retry::wanted(&world.run), Some(&wish));
    let mut again = retry::run_of(&world.run, &wish).unwrap();
    assert_eq!(again.spec.data, end.payload);
    assert_eq!(again.spec.retry_of.as_ref().map(|r| r.task), Some(1));
    again.metadata.uid = Some("again".to_owned());
    again.metadata.creation_timestamp = world.run.metadata.creation_timestamp.clone();
    let mut second = delivery(three(), all_well, |_| Some("pass"));
    second.run = again;
    let end = second.play_out();
    assert_eq!(
        (end.phase.as_str(), second.created.len()),
        ("Succeeded", 1),
        "only the test runs again"
    );
    let reasons: Vec<_> = end.attempts[0].tasks.iter().map(|t| t.reason.as_str()).collect();
    assert_eq!(reasons, ["Repeated", "", ""]);
}

#[test]
fn a_wish_counts_once_and_nothing_failed_is_refused() {
    let mut world = delivery(three(), all_well, |_| Some("pass"));
    world.play_out();
    let wish = Retry {
        id: "1".to_owned(),
        from: RetryFrom::FailedTask,
    };
    world.run.spec.control = Some(Control {
        retry: Some(wish.clone()),
        ..Control::default()
    });
    let made = retry::run_of(&world.run, &wish).map(|_| String::new());
    assert!(made.as_ref().unwrap_err().contains("no task of v2 failed"));
    world.run.status.as_mut().unwrap().retried = Some(retry::seen_to(&wish, &made));
    assert_eq!(retry::wanted(&world.run), None);
}

#[test]
fn a_newer_run_replaces_one_that_waits_but_not_one_that_runs() {
    let replace = |world: &mut World| {
        if let Some(Ok(found)) = world.facts.run.as_mut() {
            found.sequence.concurrency = Some(Concurrency::Replace);
        }
    };
    let mut waits = delivery(three(), all_well, |_| Some("pass"));
    replace(&mut waits);
    waits.facts.grant = Some(Grant::Queued { behind: "v1".into() });
    waits.turn();
    waits.facts.newer = Some("v3".to_owned());
    let end = waits.turn().status;
    assert_eq!((end.phase.as_str(), end.done), ("Superseded", true));
    let mut runs = delivery(three(), all_well, |_| Some("pass"));
    replace(&mut runs);
    runs.turn();
    runs.facts.newer = Some("v3".to_owned());
    assert_eq!(runs.play_out().phase, "Succeeded");
}
