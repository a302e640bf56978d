//! Wishes that contradict each other, or that the run's state does not allow. The API server refuses them where it can
//! tell; here is what becomes of them when they are there all the same.

use coxswain::{
    api::execution::Control,
    core::{queue::Grant, sequence::retry},
};
use rstest::rstest;
use serde_json::{Value, json};

use super::sequences::{look, run};

fn control(fields: Value) -> Control {
    serde_json::from_value(fields).unwrap()
}

/// On a run whose only task is in the hands of an executor.
#[rstest]
#[case::abort_wins_over_skip(json!({"desired": "Abort", "skip": [skip(1, "deployment")]}), ("Aborted", "Aborted"), ("Done", "Aborted"))]
#[case::abort_wins_over_retry(json!({"desired": "Abort", "retry": {"id": "1"}}), ("Aborted", "Aborted"), ("Done", "Aborted"))]
#[case::a_pause_waits_for_the_task(json!({"desired": "Pause", "retry": {"id": "1"}}), ("Running", "Outside"), ("Waiting", ""))]
#[case::a_skip_counts_in_a_pause(json!({"desired": "Pause", "skip": [skip(1, "deployment")]}), ("Succeeded", "Succeeded"), ("Skipped", "SkippedByHand"))]
#[case::a_skip_of_another_attempt(json!({"skip": [skip(2, "deployment")]}), ("Running", "Outside"), ("Waiting", ""))]
#[case::a_skip_of_another_task(json!({"skip": [skip(1, "test")]}), ("Running", "Outside"), ("Waiting", ""))]
#[case::a_retry_of_a_live_run(json!({"retry": {"id": "1"}}), ("Running", "Outside"), ("Waiting", ""))]
fn what_wins(#[case] wish: Value, #[case] phase: (&str, &str), #[case] task: (&str, &str)) {
    let mut run = run();
    look(&mut run, "deployment", Control::default(), &Grant::Held);
    let status = look(&mut run, "deployment", control(wish.clone()), &Grant::Held);
    assert_eq!((status.phase.as_str(), status.reason.as_str()), phase);
    let of = &status.attempts[0].tasks[0];
    assert_eq!((of.state.as_str(), of.reason.as_str()), task);
    // Only a run that has ended runs again.
    let wanted = retry::wanted(&run).is_some();
    assert_eq!(wanted, status.done && wish.get("retry").is_some());
}

fn skip(attempt: i32, task: &str) -> Value {
    json!({"attempt": attempt, "task": task, "reason": "done by hand", "by": "ann"})
}
