//! What people and brakes stop: aborts, pauses, holds, budgets; and what can't be run.

use super::*;

#[test]
fn abort_deletes_the_job_and_wins() {
    let script: Script = |_, _| -1;
    let mut world = World::new(&["a"], script, |_| Some("pass"));
    world.turn();
    world.ask(Desired::Abort);
    let end = world.turn().status;
    assert_eq!(end.phase, "Aborted");
    assert_eq!(world.deleted, world.created);
    assert!(end.done);
}

#[test]
fn a_pause_takes_effect_after_the_current_task_and_gives_the_place_up() {
    let mut world = World::new(&["a"], all_well, |_| Some("pass"));
    world.turn();
    world.ask(Desired::Pause);
    let decision = world.turn();
    assert_eq!(decision.status.phase, "Paused");
    assert_eq!(decision.status.attempts[0].tasks[1].state, "Done");
    assert!(!decision.wants_place);
    world.now = world
        .now
        .checked_add(jiff::SignedDuration::from_hours(30))
        .unwrap();
    world.ask(Desired::Run);
    let end = world.play_out();
    assert_eq!(
        end.phase, "Succeeded",
        "a pause does not count against the deadline of 24h"
    );
}

#[test]
fn a_pause_of_more_than_a_week_is_an_abort() {
    let mut world = World::new(&["a"], all_well, |_| Some("pass"));
    world.ask(Desired::Pause);
    let again = world.turn().again.unwrap();
    assert_eq!(again.duration_since(world.now).as_hours(), 7 * 24);
    world.now = again;
    let end = world.turn().status;
    assert_eq!(
        (end.phase.as_str(), end.reason.as_str()),
        ("Aborted", "PausedTooLong")
    );
}

#[test]
fn a_hold_lets_the_running_job_end_and_starts_nothing_new() {
    let mut world = World::new(&["a"], all_well, |_| Some("pass"));
    world.turn();
    world.facts.hold = Some("ConfigMap coxswain-system/coxswain-hold: freeze".into());
    let decision = world.turn();
    assert_eq!(decision.status.phase, "Held");
    assert!(
        decision.status.message.contains("freeze"),
        "{}",
        decision.status.message
    );
    assert_eq!(world.created.len(), 1);
    world.facts.hold = None;
    assert_eq!(world.play_out().phase, "Succeeded");
}

#[test]
fn resolved_while_queued_means_no_job_at_all() {
    let mut world = World::new(&["a"], all_well, |_| Some("pass"));
    world.facts.grant = Some(Grant::Queued {
        behind: "other".into(),
    });
    let queued = world.turn().status;
    assert_eq!(
        (queued.phase.as_str(), queued.waits_for.as_str()),
        ("Queued", "run other")
    );
    world.facts.resolved = true;
    let end = world.turn().status;
    assert_eq!((end.phase.as_str(), end.waits_for.as_str()), ("Resolved", ""));
    assert!(world.created.is_empty());
}

#[test]
fn resolved_while_running_stops_before_the_next_action() {
    let mut world = World::new(&["a", "b"], all_well, |_| Some("fail"));
    world.turn();
    world.facts.resolved = true;
    let end = world.play_out();
    assert_eq!(end.phase, "Resolved");
    assert_eq!(end.attempts.len(), 1);
}

#[test]
fn a_run_that_waited_for_an_hour_expires() {
    let mut world = World::new(&["a"], all_well, |_| Some("pass"));
    world.now = world
        .now
        .checked_add(jiff::SignedDuration::from_secs(3601))
        .unwrap();
    let end = world.turn().status;
    assert_eq!(end.phase, "Expired");
    assert!(world.created.is_empty());
}

#[test]
fn the_budget_counts_other_runs_too() {
    let mut world = World::new(&["a"], all_well, |_| Some("pass"));
    world.history().actions = vec![Timestamp::from_second(START).unwrap(); 6];
    let end = world.turn().status;
    assert_eq!(
        (end.phase.as_str(), end.reason.as_str()),
        ("Exhausted", "BudgetSpent")
    );
    assert!(world.created.is_empty());
}

#[test]
fn a_service_is_left_alone_for_a_while_after_a_run() {
    let mut world = World::new(&["a"], all_well, |_| Some("pass"));
    world.history().last = Some((Timestamp::from_second(START).unwrap(), "earlier".into()));
    let decision = world.turn();
    assert_eq!(
        (decision.status.phase.as_str(), decision.status.reason.as_str()),
        ("Waiting", "Cooldown")
    );
    assert_eq!(decision.again.unwrap().duration_since(world.now).as_secs(), 300);
    assert!(!decision.wants_place);
}

#[test]
fn observe_decides_and_evaluates_but_creates_no_job() {
    let mut world = World::new(&["a"], all_well, |_| Some("pass"));
    let Some(Ok(definitions)) = &mut world.facts.run else {
        panic!()
    };
    definitions.remediation.as_mut().unwrap().spec.mode = crate::api::remediation::Mode::Observe;
    let end = world.play_out();
    assert!(world.created.is_empty());
    assert_eq!(end.attempts[0].tasks[1].reason, "Observed");
    assert!(end.attempts[0].tasks[1].message.contains("would run"));
}

#[test]
fn bad_references_end_stalled() {
    let mut world = World::new(&["a"], all_well, |_| Some("pass"));
    world.facts.run = Some(Err(Missing {
        reason: "StageNotFound",
        message: "no stage \"prod\"".into(),
    }));
    let end = world.turn().status;
    assert_eq!(end.phase, "Failed");
    assert!(condition_is(&end.conditions, "Stalled", "True"));
    assert_eq!(condition(&end, "Stalled").reason, "StageNotFound");
}

#[test]
fn nobody_answers_a_task() {
    let mut world = World::new(&["a"], all_well, |_| Some("pass"));
    world.facts.attempt.as_mut().unwrap().job_configs[0]
        .actions
        .remove(1);
    let end = world.play_out();
    assert_eq!(
        (end.phase.as_str(), end.reason.as_str()),
        ("Failed", "NoExecutor")
    );
    assert!(
        end.message
            .starts_with("action: nothing was done, because je-test could not follow"),
        "{}",
        end.message
    );
    assert!(end.message.contains("sh.keptn.event.je-test.triggered"));
    assert!(world.jobs.is_empty(), "no action before a test that nobody makes");
}

#[test]
fn a_job_of_that_name_that_is_not_ours_is_never_adopted() {
    let script: Script = |_, _| -1;
    let mut world = World::new(&["a"], script, |_| Some("pass"));
    world.turn();
    for job in world.jobs.values_mut() {
        job.metadata.owner_references = None;
    }
    world.turn();
    assert_eq!(world.status().attempts[0].tasks[1].reason, "NameTaken");
}

#[test]
fn a_crash_before_the_create_is_made_good_and_a_late_one_is_lost() {
    let script: Script = |_, _| -1;
    let mut world = World::new(&["a"], script, |_| Some("pass"));
    world.turn();
    let first = world.created.pop().unwrap();
    world.jobs.clear();
    world.turn();
    assert_eq!(world.created, [first], "the same Job again");
    world.jobs.clear();
    world.now = world
        .now
        .checked_add(jiff::SignedDuration::from_secs(301))
        .unwrap();
    world.turn();
    assert_eq!(world.status().attempts[0].tasks[1].state, "Lost");
}
