//! Tasks that wait for others: questions to people, outside executors.

use super::{delivering::delivery, *};
use crate::api::approval::{Answer, Choice};

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
        status.waits_for,
        format!("Approval {}", asked.metadata.name.as_deref().unwrap())
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
fn nobody_is_asked_where_it_is_not_known_who_must_not_answer() {
    let mut world = approving(json!({"notRequester": true}));
    world.run.spec.requested_by = None;
    let end = world.play_out();
    assert_eq!(
        (end.phase.as_str(), end.reason.as_str()),
        ("Failed", "NoRequester")
    );
    assert!(end.message.contains("spec.requestedBy"), "{}", end.message);
    assert!(world.approval.is_none() && world.created.is_empty());
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

/// What executors say together is in tests/it/keptn/outside.rs.
#[test]
fn what_was_heard_stays_when_the_objects_are_gone() {
    let mut world = outside();
    world.turn();
    say(&mut world, "a", "Started", json!({}));
    say(&mut world, "b", "Started", json!({}));
    say(&mut world, "a", "Finished", json!({"result": "pass"}));
    let half = world.turn().status;
    assert!(!half.done && half.message.ends_with("of b"), "{}", half.message);
    world.results.clear();
    say(&mut world, "b", "Finished", json!({"result": "pass"}));
    assert_eq!(world.play_out().phase, "Succeeded");
}

#[test]
fn it_never_ends_and_is_overdue() {
    let mut world = outside();
    world.turn();
    say(&mut world, "a", "Started", json!({}));
    let start = world.now;
    let end = world.play_out();
    assert_eq!((end.phase.as_str(), end.reason.as_str()), ("Failed", "TimedOut"));
    assert_eq!(world.now.duration_since(start).as_secs(), 600);
}
