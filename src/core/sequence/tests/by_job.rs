//! Jobs in the place of the built-in get-action and evaluation.

use super::*;

/// The operator's own get-action, in a Job.
fn chooses(status: &SequenceExecutionStatus) -> Outcome {
    let pinned = status.plan.as_ref().unwrap().remediation.as_ref().unwrap();
    get_action::outcome(pinned, status.payload.as_ref().unwrap())
}

/// An evaluation in a Job.
fn scores(result: &str, score: f64) -> Outcome {
    let verdict = if result == "fail" {
        Verdict::Fail
    } else {
        Verdict::Pass
    };
    let data = json!({"evaluation": {"result": result, "score": score}});
    Outcome {
        verdict,
        data: data.as_object().cloned().unwrap(),
        ..Outcome::default()
    }
}

#[test]
fn with_both_built_ins_as_jobs_the_loop_is_the_same() {
    let mut world = World::new(&["a", "b"], all_well, |_| None).with_jobs_for(
        &["get-action", "evaluation"],
        |status, task, attempt| match task {
            "get-action" => Some(chooses(status)),
            "evaluation" if attempt == 1 => Some(scores("fail", 20.0)),
            "evaluation" => Some(scores("pass", 95.0)),
            _ => None,
        },
    );
    let end = world.play_out();
    assert_eq!(
        (end.phase.as_str(), end.reason.as_str()),
        ("Succeeded", "Healed"),
        "{}",
        end.message
    );
    let shown: Vec<_> = end
        .attempts
        .iter()
        .map(|a| (a.action.as_deref(), a.score))
        .collect();
    assert_eq!(shown, [(Some("a"), Some(20.0)), (Some("b"), Some(95.0))]);
    assert_eq!(end.score, Some(95.0));
    assert_eq!(world.created.len(), 8, "four Jobs an attempt");
    assert!(
        world.evaluation.is_none(),
        "the operator evaluates nothing itself"
    );
    let waited = end.attempts[1]
        .started_at
        .as_ref()
        .unwrap()
        .0
        .duration_since(end.attempts[0].finished_at.as_ref().unwrap().0);
    assert_eq!(waited.as_secs(), 120);
}

#[test]
fn when_a_job_finds_no_action_left_the_run_is_exhausted_at_once() {
    let says: Says = |status, task, _| (task == "get-action").then(|| chooses(status));
    let mut world = World::new(&["a", "b"], all_well, |_| Some("fail")).with_jobs_for(&["get-action"], says);
    let end = world.play_out();
    assert_eq!(
        (end.phase.as_str(), end.reason.as_str()),
        ("Exhausted", "NoActionLeft")
    );
    let actions: Vec<_> = end.attempts.iter().map(|a| a.action.as_deref()).collect();
    assert_eq!(actions, [Some("a"), Some("b"), None]);
    let last = &end.attempts[2];
    assert_eq!(
        last.started_at, end.attempts[1].finished_at,
        "nobody waits before somebody is paged"
    );
    assert_eq!(last.tasks[0].jobs.len(), 1, "the Job was asked");
    assert!(end.message.contains("all 2 actions"), "{}", end.message);
}

#[test]
fn a_job_may_know_actions_that_no_remediation_has() {
    let says: Says = |_, task, attempt| {
        let data = json!({"action": {"action": format!("own-{attempt}")}});
        (task == "get-action").then(|| match attempt {
            1 | 2 => Outcome {
                data: data.as_object().cloned().unwrap(),
                ..Outcome::default()
            },
            _ => Outcome {
                verdict: Verdict::Fail,
                reason: "NoActionLeft".into(),
                ..Outcome::default()
            },
        })
    };
    let mut world = World::new(&["a"], all_well, |_| Some("fail")).with_jobs_for(&["get-action"], says);
    let Some(Ok(definitions)) = &mut world.facts.run else {
        panic!()
    };
    definitions.remediation = None;
    let end = world.play_out();
    assert_eq!(
        (end.phase.as_str(), end.reason.as_str()),
        ("Exhausted", "NoActionLeft")
    );
    let actions: Vec<_> = end.attempts.iter().map(|a| a.action.as_deref()).collect();
    assert_eq!(actions, [Some("own-1"), Some("own-2"), None]);
}

#[test]
fn a_get_action_job_that_breaks_ends_the_run() {
    let says: Says =
        |_, task, _| (task == "get-action").then(|| Outcome::errored("GetActionFailed", "no rights"));
    let mut world = World::new(&["a"], all_well, |_| Some("pass")).with_jobs_for(&["get-action"], says);
    let end = world.play_out();
    assert_eq!(
        (end.phase.as_str(), end.reason.as_str()),
        ("Failed", "GetActionFailed")
    );
    assert_eq!(end.attempts.len(), 1);
    assert!(
        condition_is(&end.conditions, "Ready", "True"),
        "no definition is broken"
    );
}

#[test]
fn an_evaluation_job_that_could_not_measure_does_not_escalate() {
    let says: Says =
        |_, task, _| (task == "evaluation").then(|| Outcome::errored("Inconclusive", "nobody answers"));
    let mut world = World::new(&["a", "b"], all_well, |_| None).with_jobs_for(&["evaluation"], says);
    let end = world.play_out();
    assert_eq!(
        (end.phase.as_str(), end.reason.as_str()),
        ("Inconclusive", "Inconclusive")
    );
    assert_eq!(end.attempts.len(), 1, "no further action is tried");
    assert!(end.message.contains("nobody answers"), "{}", end.message);
}

#[test]
fn an_evaluation_job_that_says_no_by_its_exit_code_escalates() {
    let script: Script = |task, attempt| i32::from(task == "evaluation" && attempt == 1);
    let mut world = World::new(&["a", "b"], script, |_| None).with_jobs_for(&["evaluation"], |_, _, _| None);
    let end = world.play_out();
    assert_eq!(end.phase, "Succeeded");
    assert_eq!(end.attempts[1].action.as_deref(), Some("b"));
}

#[test]
fn an_evaluation_job_that_never_ends_says_nothing_about_the_service() {
    let script: Script = |task, _| if task == "evaluation" { -1 } else { 0 };
    let mut world = World::new(&["a", "b"], script, |_| None).with_jobs_for(&["evaluation"], |_, _, _| None);
    let end = world.play_out();
    assert_eq!(
        (end.phase.as_str(), end.reason.as_str()),
        ("Inconclusive", "TimedOut")
    );
    assert!(world.deleted.contains(world.created.last().unwrap()));
    assert_eq!(end.attempts.len(), 1, "no further action is tried");
}

#[test]
fn observe_asks_the_built_ins_in_place_of_their_jobs() {
    let mut world = World::new(&["a"], all_well, |_| Some("pass"))
        .with_jobs_for(&["get-action", "evaluation"], |_, _, _| None);
    let Some(Ok(definitions)) = &mut world.facts.run else {
        panic!()
    };
    definitions.remediation.as_mut().unwrap().spec.mode = crate::api::remediation::Mode::Observe;
    let end = world.play_out();
    assert_eq!(end.phase, "Succeeded");
    assert!(world.created.is_empty());
    assert_eq!(end.attempts[0].action.as_deref(), Some("a"));
    assert_eq!(end.attempts[0].score, Some(50.0));
}
