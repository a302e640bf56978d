//! Several Jobs of a task at once: actions are lanes, and what becomes of one lane is no matter to the others.

use rstest::rstest;

use super::*;
use crate::api::execution::{JobStatus, Skip, TaskStatus};

/// An action with these Jobs, by their names.
pub(super) fn action(jobs: &[&str]) -> serde_json::Value {
    let tasks: Vec<_> = jobs
        .iter()
        .map(|job| json!({"name": job, "image": "busybox"}))
        .collect();
    json!({"name": jobs[0], "events": [{"name": "sh.keptn.event.je-test.triggered"}], "tasks": tasks})
}

pub(super) fn with(
    mut object: serde_json::Value,
    field: &str,
    value: serde_json::Value,
) -> serde_json::Value {
    object[field] = value;
    object
}

/// A run of one task, which these actions answer. Its first decision is made; no container ends by itself.
pub(super) fn lanes(actions: &[serde_json::Value]) -> World {
    let mut world = not_begun(actions);
    world.turn();
    world
}

fn not_begun(actions: &[serde_json::Value]) -> World {
    let mut world = World::new(&[], |_, _| -1, |_| Some("pass"));
    if let Some(Ok(found)) = world.facts.run.as_mut() {
        found.sequence =
            serde_json::from_value(json!({"name": "delivery", "tasks": [{"name": "je-test"}]})).unwrap();
        found.remediation = None;
    }
    let configs = &mut world.facts.attempt.as_mut().unwrap().job_configs;
    let config = json!({"name": "jobs", "specificity": 3, "actions": actions});
    *configs = vec![serde_json::from_value(config).unwrap()];
    world
}

impl World {
    pub(super) fn task(&self) -> &TaskStatus {
        &self.status().attempts[0].tasks[0]
    }

    pub(super) fn job(&self, title: &str) -> &JobStatus {
        self.task().jobs.iter().find(|j| j.title == title).unwrap()
    }

    pub(super) fn states(&self) -> Vec<(&str, &str)> {
        let jobs = self.task().jobs.iter();
        jobs.map(|j| (j.title.as_str(), j.state.as_str())).collect()
    }

    /// The Job's container ends, and the operator looks.
    pub(super) fn ends(&mut self, title: &str, code: i32, message: &str) -> Decision {
        let name = self.job(title).name.clone();
        self.container_ends(&name, code, message);
        self.turn()
    }

    pub(super) fn later(&mut self, secs: i64) -> Decision {
        self.now = self
            .now
            .checked_add(jiff::SignedDuration::from_secs(secs))
            .unwrap();
        self.turn()
    }

    pub(super) fn result(&self) -> (&str, &str, &str) {
        let task = self.task();
        (
            task.state.as_str(),
            task.result.as_deref().unwrap_or_default(),
            task.status.as_deref().unwrap_or_default(),
        )
    }

    pub(super) fn payload(&self) -> serde_json::Value {
        serde_json::to_value(&self.status().payload).unwrap()
    }
}

#[test]
fn all_actions_start_in_one_decision_recorded_before_they_are_created() {
    let mut world = not_begun(&[action(&["load"]), action(&["soak"])]);
    let decision = world.turn();
    assert_eq!(decision.then.len(), 2, "{:?}", decision.then);
    assert_eq!(world.states(), [("load", "Starting"), ("soak", "Starting")]);
    assert_eq!((world.writes, world.created.len()), (1, 2));
    let names: Vec<_> = world.task().jobs.iter().map(|j| j.name.clone()).collect();
    assert_eq!(world.created, names, "the names that are on record");
    let asked = needs(&world.run, world.now);
    assert_eq!((asked.jobs, asked.warnings.len()), (names.clone(), 0));
    world.now = world.now.checked_add(jiff::SignedDuration::from_secs(5)).unwrap();
    assert_eq!(
        needs(&world.run, world.now).warnings,
        names,
        "why does neither start?"
    );
    assert_eq!(decision.status.message, "je-test: 2 Jobs start, 0 run");
}

/// As tests/it/keptn/outside.rs tells it of outside executors (S4a), of Jobs.
#[rstest]
#[case::the_failed_one_first("load", "soak")]
#[case::the_failed_one_last("soak", "load")]
fn one_fails_and_the_task_waits_for_the_other(#[case] first: &str, #[case] second: &str) {
    let mut world = lanes(&[action(&["load"]), action(&["soak"])]);
    let end = |world: &mut World, title: &str| match title {
        "load" => world.ends(
            "load",
            1,
            r#"{"message": "too slow", "data": {"load": 1, "last": "load"}}"#,
        ),
        _ => world.ends("soak", 0, r#"{"data": {"soak": 2, "last": "soak"}}"#),
    };
    let decision = end(&mut world, first);
    assert!(!decision.status.done, "waits for {second}");
    assert_eq!(world.task().result, None);
    assert_eq!(world.payload()["last"], json!(null), "not before all have ended");
    end(&mut world, second);
    assert_eq!(world.result(), ("Done", "fail", "errored"));
    assert!(
        world.task().message.ends_with("exited with 1: too slow"),
        "{}",
        world.task().message
    );
    let payload = world.payload();
    assert_eq!((&payload["load"], &payload["soak"]), (&json!(1), &json!(2)));
    assert_eq!(payload["last"], "soak", "merged in the actions' order");
    assert!(
        world.task().jobs.iter().all(|j| j.data.is_none()),
        "it is in the payload now"
    );
    assert!(world.deleted.is_empty());
    assert_eq!(world.status().phase, "Failed");
}

#[rstest]
#[case("pass", "pass", ("pass", "succeeded"))]
#[case("pass", "warning", ("warning", "succeeded"))]
#[case("warning", "fail", ("fail", "succeeded"))]
fn the_worst_result_counts(#[case] one: &str, #[case] other: &str, #[case] both: (&str, &str)) {
    let mut world = lanes(&[action(&["load"]), action(&["soak"])]);
    world.ends("load", 0, &json!({ "result": one }).to_string());
    world.ends("soak", 0, &json!({ "result": other }).to_string());
    assert_eq!(world.result(), ("Done", both.0, both.1));
}

#[test]
fn all_failures_are_told() {
    let mut world = lanes(&[action(&["load"]), action(&["soak"])]);
    world.ends("load", 1, "too slow");
    world.ends("soak", 2, "leaks");
    let message = &world.task().message;
    assert!(
        message.contains("too slow; Job ") && message.ends_with("exited with 2: leaks"),
        "{message}"
    );
}

#[test]
fn in_a_lane_one_comes_after_the_other_and_a_failed_one_ends_it() {
    let mut world = lanes(&[action(&["a1", "a2"]), action(&["b1", "b2", "b3"])]);
    assert_eq!(
        world.states(),
        [
            ("a1", "Starting"),
            ("a2", "Pending"),
            ("b1", "Starting"),
            ("b2", "Pending"),
            ("b3", "Pending")
        ]
    );
    world.ends("b1", 0, "");
    assert_eq!(
        (world.job("b2").state.as_str(), world.job("a2").state.as_str()),
        ("Starting", "Pending")
    );
    world.ends("b2", 1, "");
    assert_eq!(world.job("b3").state, "Skipped");
    world.ends("a1", 0, "");
    assert_eq!(world.job("a2").state, "Starting", "the other lane goes on");
    assert_eq!(world.task().result, None);
    world.ends("a2", 0, "");
    assert_eq!(world.result(), ("Done", "fail", "errored"));
}

#[test]
fn parallel_runs_the_jobs_of_one_action_at_once() {
    let action = with(action(&["a", "b", "c"]), "parallel", json!(true));
    let mut world = lanes(&[action]);
    assert_eq!(world.created.len(), 3);
    world.ends("b", 1, r#"{"data": {"b": 1}}"#);
    assert_eq!(
        world.states(),
        [("a", "Starting"), ("b", "Done"), ("c", "Starting")]
    );
    world.ends("c", 0, r#"{"data": {"c": 1}}"#);
    world.ends("a", 0, r#"{"data": {"a": 1}}"#);
    assert_eq!(world.result(), ("Done", "fail", "errored"));
    let payload = world.payload();
    assert!(
        ["a", "b", "c"].iter().all(|key| payload[key] == json!(1)),
        "{payload}"
    );
}

#[test]
fn a_silent_lane_is_waited_for_and_decides_nothing() {
    let silent = with(action(&["probe", "never"]), "silent", json!(true));
    let mut world = lanes(&[silent, action(&["load"])]);
    world.ends("load", 0, r#"{"data": {"load": 1}}"#);
    assert_eq!(world.task().result, None, "the silent Job still runs");
    world.ends("probe", 1, r#"{"data": {"probe": 1}}"#);
    assert_eq!(world.job("never").state, "Skipped");
    assert_eq!(world.result(), ("Done", "pass", "succeeded"));
    let payload = world.payload();
    assert_eq!((&payload["load"], &payload["probe"]), (&json!(1), &json!(null)));
}

#[test]
fn a_job_sees_what_its_own_lane_added_and_nothing_of_the_others() {
    let env = json!([{"name": "SAID", "value": "$.data.said", "valueFrom": "event"}]);
    let mut reads = action(&["a1", "a2"]);
    reads["tasks"][1]["env"] = env;
    let mut world = lanes(&[reads, action(&["b1"])]);
    world.ends("b1", 0, r#"{"data": {"said": "b"}}"#);
    let decision = world.ends("a1", 0, r#"{"data": {"said": "a"}}"#);
    let Some(Effect::CreateJob(job)) = decision.then.first() else {
        panic!("{:?}", decision.then)
    };
    let pod = job.spec.as_ref().unwrap().template.spec.as_ref().unwrap();
    let said = pod.containers[0]
        .env
        .iter()
        .flatten()
        .find(|e| e.name == "SAID")
        .unwrap();
    assert_eq!(said.value.as_deref(), Some("a"));
}

#[test]
fn an_overdue_job_is_deleted_and_only_its_lane_ends() {
    let mut hasty = action(&["hasty", "never"]);
    hasty["tasks"][0]["maxPollDuration"] = json!(60);
    let mut world = lanes(&[hasty, action(&["load"])]);
    let (until, start) = (world.task().deadline.clone().unwrap(), world.now);
    assert_eq!(until.0.duration_since(start).as_secs(), 60, "the first one's");
    let decision = world.later(61);
    assert_eq!(world.deleted, [world.job("hasty").name.clone()]);
    assert_eq!(
        world.states(),
        [("hasty", "Done"), ("never", "Skipped"), ("load", "Starting")]
    );
    assert!(decision.then.is_empty() && world.task().result.is_none());
    let left = world.task().deadline.clone().unwrap().0.duration_since(start);
    assert!(left.as_secs() > 60, "the other's own deadline");
    world.ends("load", 0, r#"{"data": {"load": 1}}"#);
    assert_eq!(world.result(), ("Done", "fail", "errored"));
    assert_eq!(world.task().reason, "TimedOut");
    assert_eq!(world.payload()["load"], 1);
}

#[test]
fn a_lost_job_ends_only_its_lane() {
    let mut world = lanes(&[action(&["load", "never"]), action(&["soak"])]);
    let name = world.job("load").name.clone();
    world.facts.created = [(name.clone(), format!("uid-{name}"))].into();
    world.jobs.remove(&name);
    let decision = world.later(1);
    assert_eq!(
        world.states(),
        [("load", "Lost"), ("never", "Skipped"), ("soak", "Starting")]
    );
    assert!(!decision.status.done && world.task().result.is_none());
    world.ends("soak", 0, r#"{"data": {"soak": 1}}"#);
    assert_eq!(world.result(), ("Lost", "fail", "errored"));
    assert_eq!(
        (world.task().reason.as_str(), &world.payload()["soak"]),
        ("Lost", &json!(1))
    );
}

#[test]
fn creates_that_are_refused_end_only_their_lanes() {
    let mut world = lanes(&[action(&["load"]), action(&["soak"]), action(&["spike"])]);
    for title in ["load", "soak"] {
        let name = world.job(title).name.clone();
        world.jobs.remove(&name);
        world.facts.refused.insert(name, format!("no {title} here"));
    }
    assert!(world.turn().then.is_empty(), "nothing is created again");
    assert_eq!(
        world.states(),
        [("load", "Done"), ("soak", "Done"), ("spike", "Starting")]
    );
    world.ends("spike", 0, "");
    let task = world.task();
    assert_eq!(
        (world.result(), task.reason.as_str()),
        (("Done", "fail", "errored"), "Refused")
    );
    assert!(
        task.message.contains("no load here; ") && task.message.contains("no soak here"),
        "{}",
        task.message
    );
}

#[test]
fn a_name_that_is_taken_ends_only_its_lane() {
    let mut world = lanes(&[action(&["load"]), action(&["soak"])]);
    let name = world.job("load").name.clone();
    world.jobs.get_mut(&name).unwrap().metadata.owner_references = None;
    world.turn();
    assert_eq!(world.states(), [("load", "Done"), ("soak", "Starting")]);
    world.ends("soak", 0, "");
    assert_eq!(world.task().reason, "NameTaken");
    assert!(world.deleted.is_empty(), "it is not ours");
}

#[test]
fn a_job_that_can_not_be_built_ends_only_its_lane() {
    let mut strange = action(&["strange", "never"]);
    strange["tasks"][0]["serviceAccount"] = json!("root");
    let mut world = not_begun(&[strange, action(&["load"])]);
    world.facts.accounts.insert("root".into(), Account::NotAllowed);
    world.turn();
    assert_eq!(
        world.states(),
        [("strange", "Done"), ("never", "Skipped"), ("load", "Starting")]
    );
    world.ends("load", 0, "");
    let task = world.task();
    assert_eq!(task.reason, "ServiceAccountNotAllowed");
    assert!(
        task.message.starts_with("ServiceAccount root"),
        "{}",
        task.message
    );
}

#[test]
fn an_abort_deletes_all_jobs() {
    let action = with(action(&["a", "b"]), "parallel", json!(true));
    let mut world = lanes(&[action, self::action(&["c"])]);
    world.ends("b", 0, r#"{"data": {"b": 1}}"#);
    world.ask(Desired::Abort);
    let end = world.turn().status;
    assert_eq!(end.phase, "Aborted");
    assert_eq!(
        world.deleted,
        [world.job("a").name.clone(), world.job("c").name.clone()]
    );
    assert_eq!(world.payload()["b"], 1, "what was done was done");
}

#[test]
fn a_skip_deletes_all_jobs() {
    let mut world = lanes(&[action(&["load"]), action(&["soak"])]);
    let skip = Skip {
        task: "je-test".into(),
        attempt: 1,
        by: "ann".into(),
        reason: "seen".into(),
    };
    world.run.spec.control = Some(Control {
        skip: vec![skip],
        ..Control::default()
    });
    let end = world.turn().status;
    assert_eq!(world.deleted, world.created);
    assert_eq!(end.phase, "Succeeded");
}

#[test]
fn after_a_crash_between_the_creates_only_the_missing_jobs_are_created() {
    let mut world = lanes(&[action(&["load"]), action(&["soak"]), action(&["spike"])]);
    let missing = world.created.split_off(1);
    world.jobs.retain(|name, _| !missing.contains(name));
    let before = world.run.status.clone();
    let decision = world.turn();
    assert_eq!(decision.then.len(), 2);
    assert_eq!(world.created[1..], missing, "the same ones");
    assert_eq!(Some(decision.status), before, "all of it was on record");
}

#[test]
fn a_job_whose_pod_was_taken_away_is_tried_anew_while_others_run() {
    let mut world = lanes(&[action(&["load"]), action(&["soak"])]);
    let name = world.job("load").name.clone();
    let pod = json!({
        "metadata": {"name": "gone", "namespace": "shop", "deletionTimestamp": world.now.to_string(),
                     "ownerReferences": [{"apiVersion": "batch/v1", "kind": "Job", "name": name,
                                          "uid": format!("uid-{name}"), "controller": true}]},
        "status": {"phase": "Failed", "reason": "Evicted",
                   "conditions": [{"type": "DisruptionTarget", "status": "True", "reason": "Preempted", "message": "by another"}]},
    });
    world.pods.push(serde_json::from_value(pod).unwrap());
    let failed =
        json!({"conditions": [{"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded"}]});
    world.jobs.get_mut(&name).unwrap().status = Some(serde_json::from_value(failed).unwrap());
    // Its uid is on record before it is deleted.
    world.turn();
    world.turn();
    assert_eq!((world.job("load").try_, world.created.len()), (2, 3));
    assert_eq!(world.states(), [("load", "Starting"), ("soak", "Starting")]);
    world.ends("load", 0, "");
    world.ends("soak", 0, "");
    assert_eq!(world.result(), ("Done", "pass", "succeeded"));
}
