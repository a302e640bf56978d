//! Deliveries: what follows an end, questions, outside executors, skipped tasks, retries.

use rstest::rstest;

use super::*;
use crate::{
    api::{
        approval::{Answer, Choice},
        execution::{FollowUp, Retry, RetryFrom, Skip},
        shipyard::{Concurrency, Executor, Task, Trigger},
    },
    core::sequence::retry,
};

/// A run of `qa.delivery` with these tasks, each answered by a Job unless it is built in.
fn delivery(tasks: serde_json::Value, script: Script, gate: Gate) -> World {
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

/// keptn-cases.md T1-T9, and what the design decided where it says so.
#[rstest]
#[case::t1_plain_on_pass(all_well, Some("pass"), json!(null), true)]
#[case::t4_plain_on_warning(all_well, Some("warning"), json!(null), true)]
#[case::plain_not_on_fail(all_well, Some("fail"), json!(null), false)]
#[case::t3_the_last_task(all_well, Some("fail"), json!({"match": {"evaluation.result": "fail"}}), true)]
#[case::result(all_well, Some("fail"), json!({"match": {"result": "fail"}}), true)]
#[case::t7_failed_reads_as_fail_by_design(all_well, Some("fail"), json!({"match": {"evaluation.result": "failed"}}), true)]
#[case::t8_empty(all_well, Some("pass"), json!({"match": {}}), false)]
#[case::all_must_match_by_design(all_well, Some("fail"), json!({"match": {"result": "fail", "je-test.result": "fail"}}), false)]
#[case::any_task_by_design(all_well, Some("pass"), json!({"match": {"je-test.result": "pass"}}), true)]
#[case::data_by_design(all_well, Some("pass"), json!({"match": {"$.data.configurationChange.values.image": "cart:2"}}), true)]
#[case::t6_an_earlier_task_failed(test_fails, Some("fail"), json!({"match": {"evaluation.result": "fail"}}), false)]
#[case::t9_errored_is_no_success_by_design(test_fails, Some("pass"), json!(null), false)]
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
        Some("warning") => |_| Some("warning"),
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

fn approving(properties: serde_json::Value) -> World {
    delivery(
        json!([{"name": "approval", "properties": properties}, {"name": "je-deployment"}]),
        all_well,
        |_| Some("pass"),
    )
}

fn carry(world: &mut World, result: &str) {
    world
        .run
        .spec
        .data
        .as_mut()
        .unwrap()
        .insert("result".to_owned(), json!(result));
}

/// keptn-v1.md section 4.
#[rstest]
#[case("pass", json!({"pass": "automatic"}), "Succeeded")]
#[case("warning", json!({"warning": "automatic"}), "Succeeded")]
#[case("fail", json!({"pass": "automatic", "warning": "automatic"}), "Failed")]
#[case("pass", json!({"pass": "manual"}), "Waiting")]
#[case("warning", json!({"pass": "automatic"}), "Waiting")]
fn approvals_by_strategy(#[case] carried: &str, #[case] strategy: serde_json::Value, #[case] phase: &str) {
    let mut world = approving(strategy);
    carry(&mut world, carried);
    for _ in 0..8 {
        world.turn();
    }
    assert_eq!(world.status().phase, phase, "{}", world.status().message);
    assert_eq!(world.approval.is_some(), phase == "Waiting");
}

fn answer(world: &mut World, by: &str, choice: Choice) {
    let asked = world.approval.as_mut().unwrap();
    asked.spec.answers.push(Answer {
        by: by.to_owned(),
        choice,
        reason: Some("looks good".to_owned()),
    });
}

#[test]
fn a_question_says_what_is_asked_gives_the_place_up_and_goes_on_with_the_answer() {
    let mut world = approving(json!({"pass": "manual", "groups": ["sre"], "notRequester": true}));
    carry(&mut world, "pass");
    for _ in 0..4 {
        world.turn();
    }
    let (status, asked) = (world.status().clone(), world.approval.clone().unwrap());
    assert_eq!(
        (status.phase.as_str(), status.place.as_deref()),
        ("Waiting", Some("Released"))
    );
    assert_eq!(
        (asked.spec.image.as_deref(), asked.spec.result.as_deref()),
        (Some("cart:2"), Some("pass"))
    );
    assert_eq!(
        (asked.spec.groups.as_slice(), asked.spec.not_by.as_deref()),
        (&["sre".to_owned()][..], Some("ann"))
    );
    assert_eq!(asked.status.unwrap().phase, "Pending");
    answer(&mut world, "ann", Choice::Approve);
    assert!(
        !world.turn().status.done && world.created.is_empty(),
        "the requester's own answer does not count"
    );
    world.now = world
        .now
        .checked_add(jiff::SignedDuration::from_hours(20))
        .unwrap();
    answer(&mut world, "bob", Choice::Approve);
    let end = world.play_out();
    assert_eq!((end.phase.as_str(), world.created.len()), ("Succeeded", 1));
    assert_eq!(end.attempts[0].tasks[0].message, "approved by bob: looks good");
    let settled = world.approval.unwrap().status.unwrap();
    assert_eq!(
        (settled.phase.as_str(), settled.decided_by.as_deref()),
        ("Approved", Some("bob"))
    );
    assert_eq!(
        end.approval_seconds,
        Some(20 * 3600),
        "not counted against the deadline"
    );
}

#[test]
fn a_declined_question_fails_the_run() {
    let mut world = approving(json!({}));
    (0..4).for_each(|_| drop(world.turn()));
    answer(&mut world, "bob", Choice::Decline);
    let end = world.play_out();
    assert_eq!((end.phase.as_str(), end.reason.as_str()), ("Failed", "Declined"));
    assert!(world.created.is_empty());
}

#[test]
fn nobody_answers() {
    let mut world = approving(json!({"expires": "2h"}));
    let end = world.play_out();
    assert_eq!((end.phase.as_str(), end.reason.as_str()), ("Failed", "Expired"));
    assert_eq!(end.approval_seconds, Some(2 * 3600));
}

#[test]
fn a_deleted_question_is_declined_and_one_that_a_crash_lost_is_put_again() {
    let mut world = approving(json!({}));
    world.turn();
    world.approval = None;
    let again = world.turn();
    assert!(
        matches!(again.then.as_slice(), [Effect::CreateApproval(_)]),
        "it was never known to be there"
    );
    (0..3).for_each(|_| drop(world.turn()));
    world.approval = None;
    let end = world.play_out();
    assert_eq!((end.phase.as_str(), end.reason.as_str()), ("Failed", "Deleted"));
}

#[test]
fn an_aborted_run_takes_its_question_back() {
    let mut world = approving(json!({}));
    (0..4).for_each(|_| drop(world.turn()));
    world.run.spec.control = Some(Control {
        desired: Desired::Abort,
        ..Control::default()
    });
    let end = world.play_out();
    assert_eq!(end.phase, "Aborted");
    assert_eq!(world.approval.unwrap().status.unwrap().phase, "Withdrawn");
}

fn outside() -> World {
    delivery(
        json!([{"name": "notify", "executor": "External"}]),
        all_well,
        |_| None,
    )
}

fn say(world: &mut World, source: &str, type_: &str, more: serde_json::Value) {
    let mut spec =
        json!({"execution": "v2", "task": "notify", "attempt": 1, "source": source, "type": type_});
    spec.as_object_mut()
        .unwrap()
        .extend(more.as_object().cloned().unwrap());
    let name = format!("{source}-{type_}").to_lowercase();
    let said: TaskResult = serde_json::from_value(json!({"metadata": {"name": name}, "spec": spec})).unwrap();
    world.results.push(said);
}

/// keptn-cases.md C1-C9: each executor also says that it began.
#[rstest]
#[case::c1(&[("pass", "succeeded")], "Succeeded", "pass")]
#[case::c2(&[("pass", "succeeded"), ("pass", "succeeded")], "Succeeded", "pass")]
#[case::c3(&[("pass", "succeeded"), ("fail", "succeeded")], "Failed", "fail")]
#[case::c4(&[("pass", "succeeded"), ("warning", "succeeded")], "Succeeded", "warning")]
#[case::c5(&[("pass", "succeeded"), ("fail", "errored")], "Failed", "fail")]
#[case::c7(&[("pass", "succeeded"), ("unknown result", "succeeded")], "Failed", "fail")]
#[case::c9(&[("pass", "succeeded"), ("pass", "errored")], "Failed", "fail")]
fn what_executors_say_together(#[case] said: &[(&str, &str)], #[case] phase: &str, #[case] result: &str) {
    let mut world = outside();
    world.turn();
    for (i, _) in said.iter().enumerate() {
        say(&mut world, &format!("e{i}"), "Started", json!({}));
    }
    for (i, (result, status)) in said.iter().enumerate() {
        let more = json!({"result": result, "status": status, "data": {format!("e{i}"): i}});
        say(&mut world, &format!("e{i}"), "Finished", more);
    }
    let end = world.play_out();
    assert_eq!((end.phase.as_str(), end.result.as_deref()), (phase, Some(result)));
    let payload = end.payload.unwrap();
    assert!(
        (0..said.len()).all(|i| payload[&format!("e{i}")] == json!(i)),
        "all data is merged"
    );
}

/// keptn-cases.md F1-F4, by who says it instead of by counting.
#[test]
fn a_task_ends_when_all_that_began_have_ended() {
    let mut world = outside();
    world.turn();
    say(&mut world, "a", "Started", json!({}));
    say(&mut world, "b", "Started", json!({}));
    say(&mut world, "a", "Finished", json!({"result": "pass"}));
    let half = world.turn().status;
    assert!(!half.done && half.message.ends_with("of b"), "{}", half.message);
    // What was heard stays, also when the objects are gone.
    world.results.clear();
    say(&mut world, "b", "Finished", json!({"result": "pass"}));
    assert_eq!(world.play_out().phase, "Succeeded");
}

#[test]
fn a_late_beginning_is_no_obstacle() {
    // keptn-cases.md S2: the end arrives before the beginning; here it implies it.
    let mut world = outside();
    world.turn();
    say(&mut world, "a", "Finished", json!({}));
    assert_eq!(world.play_out().phase, "Succeeded");
}

#[rstest]
#[case::s10_nobody_begins(false, 60)]
#[case::it_never_ends(true, 600)]
fn outside_executors_have_a_deadline(#[case] begins: bool, #[case] seconds: i64) {
    let mut world = outside();
    world.turn();
    if begins {
        say(&mut world, "a", "Started", json!({}));
    }
    let start = world.now;
    let end = world.play_out();
    assert_eq!((end.phase.as_str(), end.reason.as_str()), ("Failed", "TimedOut"));
    assert_eq!(world.now.duration_since(start).as_secs(), seconds);
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

#[test]
fn a_task_twice_in_a_sequence_runs_twice() {
    // keptn-cases.md S9.
    let tasks = json!([{"name": "je-deployment"}, {"name": "je-deployment"}]);
    let mut world = delivery(tasks, all_well, |_| None);
    assert_eq!(world.play_out().phase, "Succeeded");
    assert_eq!(world.created.len(), 2);
}

#[test]
fn a_task_for_outside_executors_has_that_in_its_spec() {
    let task: Task = serde_json::from_value(json!({"name": "notify", "executor": "External"})).unwrap();
    assert_eq!(task.executor, Some(Executor::External));
}
