//! Remediations: one action after the other, until the service is healthy.

use super::*;

#[test]
fn one_action_heals() {
    let mut world = World::new(&["scale"], all_well, |_| Some("pass"));
    let end = world.play_out();
    assert_eq!((end.phase.as_str(), end.reason.as_str()), ("Succeeded", "Healed"));
    assert_eq!(world.created.len(), 2, "one Job for the action, one for the test");
    assert_eq!(end.attempts[0].action.as_deref(), Some("scale"));
    let states: Vec<_> = end.attempts[0]
        .tasks
        .iter()
        .map(|t| (t.name.as_str(), t.state.as_str()))
        .collect();
    assert_eq!(
        states,
        [
            ("get-action", "Done"),
            ("action", "Done"),
            ("je-test", "Done"),
            ("evaluation", "Done")
        ]
    );
    assert!(condition_is(&end.conditions, "Succeeded", "True"));
    assert!(condition_is(&end.conditions, "Ready", "True"));
    assert!(
        !end.conditions.iter().any(|c| c.type_ == "Reconciling"),
        "gone when all is well"
    );
    assert!(world.writes <= 5, "{} status writes", world.writes);
    assert!(end.plan.unwrap().sequence.is_none(), "bodies do not stay");
}

#[test]
fn the_gate_looks_only_at_what_came_after_the_action() {
    let mut world = World::new(&["scale"], all_well, |_| Some("pass"));
    let end = world.play_out();
    let task = &end.attempts[0].tasks[3];
    let window = task.evaluation.as_ref().unwrap().window.as_ref().unwrap();
    assert_eq!(Some(&window.start), end.attempts[0].tasks[1].finished_at.as_ref());
    assert_eq!(
        window.end.0.duration_since(window.start.0).as_secs(),
        60,
        "never shorter than a minute"
    );
}

#[test]
fn the_second_action_is_tried_after_two_minutes() {
    let gate: Gate = |attempt| Some(if attempt == 1 { "fail" } else { "pass" });
    let mut world = World::new(&["scale", "restart"], all_well, gate);
    let end = world.play_out();
    assert_eq!(end.phase, "Succeeded");
    let actions: Vec<_> = end.attempts.iter().map(|a| a.action.clone().unwrap()).collect();
    assert_eq!(actions, ["scale", "restart"]);
    let (first, second) = (&end.attempts[0], &end.attempts[1]);
    let waited = second
        .started_at
        .as_ref()
        .unwrap()
        .0
        .duration_since(first.finished_at.as_ref().unwrap().0);
    assert_eq!(waited.as_secs(), 120);
}

#[test]
fn every_action_is_tried_once_then_it_is_exhausted_at_once() {
    let mut world = World::new(&["a", "b", "c"], all_well, |_| Some("fail"));
    let end = world.play_out();
    assert_eq!(
        (end.phase.as_str(), end.reason.as_str()),
        ("Exhausted", "NoActionLeft")
    );
    let actions: Vec<_> = end.attempts.iter().map(|a| a.action.clone()).collect();
    assert_eq!(
        actions,
        [Some("a".into()), Some("b".into()), Some("c".into()), None]
    );
    assert_eq!(end.attempt, Some(4));
    let last = &end.attempts[3];
    assert_eq!(
        last.started_at, end.attempts[2].finished_at,
        "nobody waits before somebody is paged"
    );
    assert_eq!(last.tasks.len(), 1);
    assert!(condition_is(&end.conditions, "Succeeded", "False"));
    assert!(
        condition_is(&end.conditions, "Ready", "True"),
        "a failed gate is a result, not a broken object"
    );
}

#[test]
fn a_failed_action_escalates() {
    let script: Script = |task, attempt| i32::from(task == "action" && attempt == 1);
    let mut world = World::new(&["a", "b"], script, |_| Some("pass"));
    let end = world.play_out();
    assert_eq!(end.phase, "Succeeded");
    assert_eq!(end.attempts[0].tasks[1].result.as_deref(), Some("fail"));
    assert_eq!(
        end.attempts[0].tasks[2].state, "Skipped",
        "the test was not reached"
    );
    assert_eq!(end.attempts[1].action.as_deref(), Some("b"));
}

#[test]
fn with_stop_a_failed_action_ends_the_run() {
    let script: Script = |task, _| i32::from(task == "action");
    let mut world = World::new(&["a", "b"], script, |_| Some("pass"));
    let Some(Ok(definitions)) = &mut world.facts.run else {
        panic!()
    };
    definitions.remediation.as_mut().unwrap().spec.on_action_failure =
        crate::api::remediation::OnActionFailure::Stop;
    let end = world.play_out();
    assert_eq!(end.phase, "Failed");
    assert_eq!(end.attempts.len(), 1);
}

#[test]
fn could_not_measure_is_not_still_sick() {
    let mut world = World::new(&["a", "b"], all_well, |_| None);
    let end = world.play_out();
    assert_eq!(
        (end.phase.as_str(), end.reason.as_str()),
        ("Inconclusive", "ProviderUnavailable")
    );
    assert_eq!(world.created.len(), 2, "no further action is tried");
    assert_eq!(end.attempts.len(), 1);
    let took = end
        .finished_at
        .unwrap()
        .0
        .duration_since(end.started_at.unwrap().0)
        .as_secs();
    assert!(
        (1800..2100).contains(&took),
        "gives up after half an hour, not {took}s"
    );
}

#[test]
fn measuring_again_after_an_outage_goes_on_without_another_action() {
    let mut world = World::new(&["a", "b"], all_well, |_| None);
    while world
        .status_or_default()
        .attempts
        .first()
        .is_none_or(|a| a.tasks[3].reason.is_empty())
    {
        let decision = world.turn();
        if decision.then.is_empty() {
            world.now = decision.again.unwrap_or(world.now).max(world.now);
        }
    }
    world.gate = |_| Some("pass");
    let end = world.play_out();
    assert_eq!(end.phase, "Succeeded");
    assert_eq!(world.created.len(), 2);
}

/// A gate of one minute that must hold for 150 s.
fn must_hold(gate: Gate) -> World {
    let mut world = World::new(&["a", "b"], all_well, gate);
    if let Some(Ok(found)) = world.facts.run.as_mut() {
        let task = found
            .sequence
            .tasks
            .iter_mut()
            .find(|t| t.name == "evaluation")
            .unwrap();
        let properties = json!({"timeframe": "1m", "mustHoldFor": "150s"});
        task.properties = serde_json::from_value(properties).unwrap();
    }
    world
}

#[test]
fn a_gate_that_must_hold_is_looked_at_until_it_was_good_for_that_long() {
    let mut world = must_hold(|_| Some("pass"));
    let end = world.play_out();
    assert_eq!(end.phase, "Succeeded");
    let task = end.attempts[0].tasks.last().unwrap();
    // After 0, 60, 120 and 150 seconds.
    let asked = task.evaluation.clone().unwrap();
    assert_eq!(asked.try_, 4);
    let (since, last) = (asked.good_since.unwrap().0, asked.window.unwrap().end.0);
    assert_eq!(last.duration_since(since).as_secs(), 150);
    assert!(
        task.message
            .contains("2m30s after it was good for the first time"),
        "{}",
        task.message
    );
}

#[test]
fn a_gate_that_does_not_hold_escalates() {
    // The first verdict of the first attempt is good, the second is not.
    let mut world = must_hold(|_| Some("pass"));
    let held = |s: &SequenceExecutionStatus| s.message.contains("must hold");
    let holding = world.play_until(held);
    assert_eq!(holding.waits_for, "gate, good until 2027-01-15T08:03:32Z");
    let shown = holding.message;
    assert!(
        shown.starts_with(
            "evaluation: good since 2027-01-15T08:01:02Z (pass); must hold until 2027-01-15T08:03:32Z"
        ),
        "{shown}"
    );
    world.gate = |attempt| if attempt == 1 { Some("fail") } else { Some("pass") };
    let end = world.play_out();
    assert_eq!((end.phase.as_str(), end.attempts.len()), ("Succeeded", 2));
    assert_eq!(end.waits_for, "");
    let task = end.attempts[0].tasks.last().unwrap();
    assert_eq!(task.result.as_deref(), Some("fail"));
    assert!(
        task.message.contains("1m after it was good for the first time"),
        "{}",
        task.message
    );
}
