//! Jobs that are tried anew, skipped, or whose failure is only worth a warning.

use proptest::prelude::*;
use rstest::rstest;

use super::{
    parallel::{action, lanes, with},
    *,
};
use crate::{api::execution::JobStatus, core::jobs::tries::TRIES_MAX};

/// One action with one Job that may be tried three times.
fn tried(extra: &serde_json::Value) -> World {
    let mut action = action(&["load"]);
    let task = action["tasks"][0].as_object_mut().unwrap();
    task.insert("retries".to_owned(), json!(2));
    task.extend(extra.as_object().unwrap().clone());
    lanes(&[action])
}

impl World {
    fn waits(&self) -> (String, String) {
        let status = self.status();
        (status.phase.clone(), status.reason.clone())
    }

    fn only(&self) -> &JobStatus {
        &self.task().jobs[0]
    }

    /// The pod is taken off its node before its container starts.
    fn pod_is_evicted(&mut self, name: &str) {
        self.container_ends(name, 1, "");
        let pod = self.pods.last_mut().unwrap();
        let evicted =
            json!({"phase": "Failed", "conditions": [{"type": "DisruptionTarget", "status": "True"}]});
        pod.status = Some(serde_json::from_value(evicted).unwrap());
    }
}

#[test]
fn a_job_that_errors_is_tried_again_with_a_new_name_after_a_growing_wait() {
    let mut world = tried(&json!({}));
    let first = world.only().name.clone();
    let decision = world.ends("load", 1, "no such host");
    assert_eq!(decision.then, [], "recorded first");
    assert_eq!(world.waits(), ("Waiting".to_owned(), "RetryBackoff".to_owned()));
    let job = world.only();
    assert_eq!(
        (job.state.as_str(), job.try_, job.name.as_str()),
        ("Waiting", 2, "")
    );
    let message =
        "try 1 of 3: Job FIRST: exited with 1: no such host; the next starts at 2027-01-15T08:00:12Z";
    assert_eq!(job.message, message.replace("FIRST", &first));
    assert_eq!(job.tried[0].name, first);
    assert!(decision.again <= job.wait_until.as_ref().map(|at| at.0));
    assert!(decision.wants_place, "the place is kept meanwhile");

    let writes = world.writes;
    world.later(9);
    assert_eq!(
        (world.writes, world.created.len()),
        (writes, 1),
        "nothing is written while it waits"
    );
    world.later(1);
    assert_eq!((world.writes, world.created.len()), (writes + 1, 2));
    let second = world.only().name.clone();
    assert_ne!(first, second);
    assert_eq!(world.only().message, "");

    world.ends("load", 1, "no such host");
    world.later(19);
    assert_eq!(world.created.len(), 2);
    world.later(1);
    world.ends("load", 1, "no route");
    assert_eq!(world.result(), ("Done", "fail", "errored"));
    let message = &world.task().message;
    assert!(
        message.ends_with("exited with 1: no route; all 3 tries failed"),
        "{message}"
    );
    assert_eq!(
        (world.created.len(), world.deleted.len()),
        (3, 0),
        "the Jobs are left for their logs"
    );
    assert!(
        world
            .told
            .iter()
            .any(|t| t.starts_with("JobRetried: je-test: try 2 of 3: Job ")),
        "{:?}",
        world.told
    );
}

#[test]
fn what_a_failed_try_reported_is_not_merged() {
    let mut world = tried(&json!({}));
    world.ends("load", 1, r#"{"data": {"from": "first", "first": 1}}"#);
    world.later(10);
    world.ends("load", 0, r#"{"data": {"from": "second"}}"#);
    assert_eq!(world.result(), ("Done", "pass", "succeeded"));
    let payload = world.payload();
    assert_eq!(
        (&payload["from"], &payload["first"]),
        (&json!("second"), &json!(null))
    );
}

#[rstest]
#[case::a_verdict(0, r#"{"result":"fail","message":"too slow"}"#, "ReportedFail")]
#[case::unreadable(0, r#"{"result":"perhaps"}"#, "BadReport")]
fn work_that_was_done_is_not_done_again(#[case] code: i32, #[case] message: &str, #[case] reason: &str) {
    let mut world = tried(&json!({}));
    world.ends("load", code, message);
    assert_eq!(world.task().reason, reason);
    assert_eq!(world.created.len(), 1);
}

#[test]
fn each_try_has_its_own_time() {
    let mut world = tried(&json!({"timeout": "30s", "maxPollDuration": 500}));
    world.later(30);
    assert_eq!(world.deleted.len(), 1, "the first was stopped");
    assert_eq!(world.only().tried[0].reason, "TimedOut");
    world.jobs.clear();
    world.later(10);
    assert_eq!(
        world.only().deadline.as_ref().map(|at| at.0),
        Some(world.now + jiff::SignedDuration::from_secs(30))
    );
}

#[test]
fn a_try_that_waits_ends_with_the_run() {
    let mut world = tried(&json!({}));
    world.ends("load", 1, "");
    world.run.spec.control = Some(Control {
        desired: Desired::Abort,
        ..Control::default()
    });
    world.turn();
    assert_eq!(world.waits().0, "Aborted");
    world.later(60);
    assert_eq!(world.created.len(), 1);
}

#[test]
fn a_pause_gives_the_place_up_and_the_try_asks_for_it_again() {
    let mut world = tried(&json!({}));
    world.ends("load", 1, "");
    world.run.spec.control = Some(Control {
        desired: Desired::Pause,
        ..Control::default()
    });
    let decision = world.turn();
    assert_eq!(
        (world.waits().0.as_str(), decision.wants_place),
        ("Paused", false)
    );
    world.later(60);
    assert_eq!(world.created.len(), 1);
    world.run.spec.control = None;
    world.facts.grant = Some(Grant::Queued {
        behind: "other".to_owned(),
    });
    world.turn();
    assert_eq!((world.waits().0.as_str(), world.created.len()), ("Queued", 1));
    world.facts.grant = Some(Grant::Held);
    world.turn();
    assert_eq!((world.waits().0.as_str(), world.created.len()), ("Running", 2));
}

#[test]
fn a_hold_keeps_a_try_back_when_its_time_has_come() {
    let mut world = tried(&json!({}));
    world.ends("load", 1, "");
    world.facts.hold = Some("ann".to_owned());
    world.later(5);
    assert_eq!(world.waits().0, "Waiting");
    world.later(5);
    assert_eq!((world.waits().0.as_str(), world.created.len()), ("Held", 1));
    world.facts.hold = None;
    world.turn();
    assert_eq!((world.waits().0.as_str(), world.created.len()), ("Running", 2));
}

#[test]
fn another_action_goes_on_while_one_waits() {
    let mut load = action(&["load", "more"]);
    load["tasks"][0]["retries"] = json!(1);
    let mut world = lanes(&[load, action(&["soak", "spike"])]);
    world.ends("load", 1, "");
    let expected = [
        ("load", "Waiting"),
        ("more", "Pending"),
        ("soak", "Starting"),
        ("spike", "Pending"),
    ];
    assert_eq!(world.states(), expected);
    world.ends("soak", 0, "");
    world.later(10);
    let expected = [
        ("load", "Starting"),
        ("more", "Pending"),
        ("soak", "Done"),
        ("spike", "Starting"),
    ];
    assert_eq!(world.states(), expected);
    world.ends("load", 0, "");
    let expected = [
        ("load", "Done"),
        ("more", "Starting"),
        ("soak", "Done"),
        ("spike", "Starting"),
    ];
    assert_eq!(world.states(), expected);
}

#[rstest]
#[case::of_the_shipyard(None, Some(true), true)]
#[case::the_job_says_no(Some(false), Some(true), false)]
#[case::the_job_says_yes(Some(true), None, true)]
fn the_jobs_own_word_on_running_again_counts(
    #[case] own: Option<bool>,
    #[case] task: Option<bool>,
    #[case] again: bool,
) {
    let mut world = tried(&json!({"idempotent": own}));
    if let Some(sequence) = world
        .run
        .status
        .as_mut()
        .and_then(|s| s.plan.as_mut()?.sequence.as_mut())
    {
        sequence.tasks[0].idempotent = task;
    }
    let name = world.only().name.clone();
    world.turn();
    world.run.status.as_mut().unwrap().attempts[0].tasks[0].jobs[0].uid = Some("uid".to_owned());
    world.jobs.remove(&name);
    world.turn();
    assert_eq!(
        (world.created.len(), world.only().state == "Lost"),
        if again { (2, false) } else { (1, true) }
    );
}

/// Its conditions are judged when its turn comes, on what the Jobs before it reported.
#[test]
fn a_job_whose_conditions_do_not_hold_is_skipped_and_the_next_goes_on() {
    let mut many = action(&["look", "mend", "clean"]);
    many["tasks"][1]["when"] = json!([{"property": "$.data.broken", "match": "true"}]);
    many["tasks"][2]["when"] = json!([{"property": "$.data.broken", "match": "false"}]);
    let mut world = lanes(&[many]);
    world.ends("look", 0, r#"{"data": {"broken": false}}"#);
    assert_eq!(
        world.states(),
        [("look", "Done"), ("mend", "Skipped"), ("clean", "Starting")]
    );
    assert_eq!(
        world.job("mend").message,
        r#"when: $.data.broken must be "true", it is false"#
    );
    world.ends("clean", 0, "");
    assert_eq!(world.result(), ("Done", "pass", "succeeded"));
}

#[test]
fn a_task_with_nothing_to_do_passes_and_says_why() {
    let mut one = action(&["load"]);
    one["tasks"][0]["when"] = json!([{"property": "$.data.kind", "match": "soak"}]);
    let world = lanes(&[one]);
    assert_eq!(
        (world.result(), world.created.len()),
        (("Done", "pass", "succeeded"), 0)
    );
    let expected =
        r#"nothing had to be done: "load" was skipped, when: $.data.kind must be "soak", there is nothing"#;
    assert_eq!(world.task().message, expected);
}

#[rstest]
#[case::in_order(false)]
#[case::at_once(true)]
fn a_failure_that_may_be_is_a_warning(#[case] parallel: bool) {
    let mut many = with(action(&["notify", "load"]), "parallel", json!(parallel));
    many["tasks"][0]["continueOnFailure"] = json!(true);
    let mut world = lanes(&[many]);
    world.ends("notify", 1, "no such channel");
    world.ends("load", 0, "");
    assert_eq!(world.result(), ("Done", "warning", "succeeded"));
    let message = &world.task().message;
    assert!(
        message.contains("continueOnFailure") && message.ends_with("no such channel"),
        "{message}"
    );
    assert_eq!(
        world.job("notify").result.as_deref(),
        Some("fail"),
        "its own result stays"
    );
}

#[test]
fn a_failure_that_may_not_be_still_counts() {
    let mut many = action(&["notify", "load"]);
    many["tasks"][0]["continueOnFailure"] = json!(true);
    let mut world = lanes(&[many]);
    world.ends("notify", 1, "");
    world.ends("load", 2, "");
    assert_eq!(
        (world.result(), world.task().reason.as_str()),
        (("Done", "fail", "errored"), "ExitCode")
    );
}

proptest! {
    /// However its tries end, there are never more Jobs than retries, one, and those whose pods were lost.
    #[test]
    fn tries_are_bounded(ends in proptest::collection::vec(0..3_u8, 0..20), retries in 0..5_i32) {
        let mut world = tried(&json!({"retries": retries, "retryBackoff": "1s"}));
        for end in ends {
            if world.status().done || world.only().name.is_empty() {
                break;
            }
            let name = world.only().name.clone();
            match end {
                0 => world.container_ends(&name, 1, ""),
                1 => world.pod_is_evicted(&name),
                _ => {
                    let overdue = world.only().deadline.as_ref().map_or(world.now, |at| at.0);
                    world.now = world.now.max(overdue);
                }
            }
            world.turn();
            world.later(301);
        }
        let made = i32::try_from(world.created.len()).unwrap();
        prop_assert!(made <= retries + TRIES_MAX, "{made}");
        let mut names = world.created.clone();
        names.sort();
        names.dedup();
        prop_assert_eq!(names.len(), world.created.len(), "each has its own name");
    }
}
