//! C: what executors say together. F: when a task has ended. And the S rows of executors that report by themselves: real
//! controllers, in virtual time.

use coxswain::{
    api::{SequenceExecution, SequenceExecutionStatus},
    testing::{Operator, World},
};
use rstest::rstest;
use serde_json::{Value, json};

use super::*;
use crate::scenarios::{mins, secs, start};

const STAGES: &str = "  - name: dev
    sequences:
    - name: delivery
      tasks: [{name: task1, executor: External}, {name: task2, executor: External}]
    - name: rollback
      triggeredOn: [{event: dev.delivery.finished, selector: {match: {result: fail}}}]
      tasks: [{name: rollback, executor: External}]";

/// A run whose first task waits for what executors say.
struct Waiting {
    world: World,
    _operator: Operator,
}

impl Waiting {
    async fn begin(world: World) -> Self {
        world.apply(&shipyard(STAGES).to_string());
        let operator = start(&world, "operator");
        world.sleep(secs(5)).await;
        let spec = json!({"project": "shop", "stage": "dev", "service": "cart", "sequence": "delivery"});
        world.apply(&ours("SequenceExecution", "v2", spec).to_string());
        let waiting = Self {
            world,
            _operator: operator,
        };
        waiting
            .until("task1 waits", |s| task_of(s, 0).0 == "Waiting")
            .await;
        waiting
    }

    fn status(&self) -> SequenceExecutionStatus {
        let run: SequenceExecution = self.world.get("v2").unwrap();
        run.status.unwrap_or_default()
    }

    /// Waits for at most two minutes.
    async fn until(&self, what: &str, is_so: impl Fn(&SequenceExecutionStatus) -> bool) {
        self.world
            .wait_until(what, mins(2), |_| is_so(&self.status()))
            .await;
    }

    fn say(&self, execution: &str, source: &str, type_: &str, more: Value) {
        let mut spec =
            json!({"execution": execution, "task": "task1", "attempt": 1, "source": source, "type": type_});
        spec.as_object_mut().unwrap().extend(object(more));
        let name = format!("{source}-{type_}").to_lowercase();
        self.world.apply(&ours("TaskResult", &name, spec).to_string());
    }

    fn begins(&self, source: &str) {
        self.say("v2", source, "Started", json!({}));
    }

    fn ends(&self, source: &str, more: Value) {
        self.say("v2", source, "Finished", more);
    }

    /// The runs that follow.
    fn followers(&self) -> Vec<String> {
        let mut runs = self.world.list::<SequenceExecution>();
        runs.retain(|run| run.metadata.name.as_deref() != Some("v2"));
        runs.into_iter().map(|run| run.spec.sequence).collect()
    }
}

/// State, result and status of a task.
fn task_of(status: &SequenceExecutionStatus, index: usize) -> (String, String, String) {
    let task = status
        .attempts
        .last()
        .and_then(|attempt| attempt.tasks.get(index));
    let task = task.cloned().unwrap_or_default();
    (
        task.state,
        task.result.unwrap_or_default(),
        task.status.unwrap_or_default(),
    )
}

#[rstest]
#[case::c1_as_v1(&[json!({"result": "pass", "status": "succeeded", "data": {"a": 1}})], ("pass", "succeeded"), json!({"a": 1}))]
#[case::c2_as_v1(&[json!({"result": "pass", "status": "succeeded", "data": {"a": 1}}), json!({"result": "pass", "status": "succeeded", "data": {"b": 2}})],
    ("pass", "succeeded"), json!({"a": 1, "b": 2}))]
#[case::c3_as_v1(&[json!({"result": "pass", "status": "succeeded", "data": {"a": 1}}), json!({"result": "fail", "status": "succeeded", "data": {"b": 2}})],
    ("fail", "succeeded"), json!({"a": 1, "b": 2}))]
#[case::c4_as_v1(&[json!({"result": "pass", "data": {"a": 1}}), json!({"result": "warning", "data": {"b": 2}})],
    ("warning", "succeeded"), json!({"a": 1, "b": 2}))]
#[case::c5_as_v1(&[json!({"result": "pass", "status": "succeeded", "data": {"a": 1}}), json!({"result": "fail", "status": "errored", "data": {"b": 2}})],
    ("fail", "errored"), json!({"a": 1, "b": 2}))]
#[case::c7_as_v1(&[json!({"result": "pass", "status": "succeeded", "data": {"a": 1}}), json!({"result": "unknown result", "status": "succeeded", "data": {"b": 2}})],
    ("fail", "succeeded"), json!({"a": 1, "b": 2}))]
#[case::c9_as_v1(&[json!({}), json!({"status": "errored"})], ("fail", "errored"), json!({}))]
fn what_executors_say_together(#[case] said: &[Value], #[case] expected: (&str, &str), #[case] data: Value) {
    World::run(async |world: World| {
        let waiting = Waiting::begin(world).await;
        for (n, _) in said.iter().enumerate() {
            waiting.begins(&format!("e{n}"));
        }
        for (n, more) in said.iter().enumerate() {
            waiting.ends(&format!("e{n}"), more.clone());
        }
        waiting
            .until("task1 has ended", |s| task_of(s, 0).0 == "Done")
            .await;
        let status = waiting.status();
        let (_, result, of) = task_of(&status, 0);
        assert_eq!((result.as_str(), of.as_str()), expected);
        let mut payload = json!({"result": expected.0, "status": expected.1});
        payload.as_object_mut().unwrap().extend(object(data));
        assert_eq!(json!(status.payload), payload);
    });
}

/// v1 counted; here it is by who says it.
#[rstest]
#[case::f1_as_v1(0, 0, false)]
#[case::f2_as_v1(1, 0, false)]
#[case::f3_as_v1(2, 1, false)]
#[case::f4_as_v1(2, 2, true)]
fn a_task_has_ended_when_all_that_began_have(
    #[case] began: usize,
    #[case] ended: usize,
    #[case] expected: bool,
) {
    World::run(async |world: World| {
        let waiting = Waiting::begin(world).await;
        (0..began).for_each(|n| waiting.begins(&format!("e{n}")));
        waiting.world.sleep(secs(5)).await;
        (0..ended).for_each(|n| waiting.ends(&format!("e{n}"), json!({})));
        waiting.world.sleep(secs(5)).await;
        assert_eq!(task_of(&waiting.status(), 0).0 == "Done", expected);
    });
}

/// v1 waited for the late beginning; here what has ended had begun.
#[test]
fn s2_by_design() {
    World::run(async |world: World| {
        let waiting = Waiting::begin(world).await;
        waiting.ends("e0", json!({"result": "pass"}));
        waiting
            .until("task2 waits", |s| task_of(s, 1).0 == "Waiting")
            .await;
        waiting.world.sleep(secs(2)).await;
        waiting.begins("e0");
        waiting.world.sleep(secs(2)).await;
        assert_eq!(
            task_of(&waiting.status(), 0).0,
            "Done",
            "the late beginning changes nothing"
        );
    });
}

#[test]
fn s4a_as_v1() {
    World::run(async |world: World| {
        let waiting = Waiting::begin(world).await;
        ["a", "b"].iter().for_each(|source| waiting.begins(source));
        waiting.ends("a", json!({"result": "fail"}));
        waiting.world.sleep(secs(5)).await;
        assert_eq!(task_of(&waiting.status(), 0).0, "Running", "both are waited for");
        waiting.ends("b", json!({"result": "pass"}));
        waiting.until("the end", |s| s.done).await;
        let status = waiting.status();
        assert_eq!(
            (status.phase.as_str(), status.result.as_deref()),
            ("Failed", Some("fail"))
        );
        assert_eq!(waiting.followers(), ["rollback"]);
    });
}

/// v1 answered with an error. A TaskResult is an object, which may come before its run; nothing is done for it.
#[test]
fn s6_by_design() {
    World::run(async |world: World| {
        let waiting = Waiting::begin(world).await;
        waiting.world.sleep(secs(5)).await;
        let (before, status) = (waiting.world.server.writes().len(), waiting.status());
        waiting.say("v9", "e0", "Finished", json!({"result": "pass"}));
        waiting.world.sleep(secs(5)).await;
        assert_eq!(waiting.world.server.writes().len(), before, "nothing is written");
        assert_eq!(waiting.status(), status);
    });
}

/// Nobody begins within a minute: the task has failed, so unlike v1 what is to follow a failure does.
#[test]
fn s10_by_design() {
    World::run(async |world: World| {
        let waiting = Waiting::begin(world).await;
        let since = waiting.world.now();
        waiting.until("the end", |s| s.done).await;
        assert_eq!(waiting.world.now().duration_since(since).as_secs(), 60);
        let status = waiting.status();
        assert_eq!(
            (status.phase.as_str(), status.reason.as_str()),
            ("Failed", "TimedOut")
        );
        assert_eq!(task_of(&status, 0).1, "fail");
        assert_eq!(task_of(&status, 0).2, "errored");
        assert_eq!(waiting.followers(), ["rollback"]);
    });
}

#[test]
fn s19_as_v1() {
    World::run(async |world: World| {
        let waiting = Waiting::begin(world).await;
        waiting.begins("e0");
        waiting.ends(
            "e0",
            json!({"result": "random result", "status": "random status"}),
        );
        waiting.until("the end", |s| s.done).await;
        let status = waiting.status();
        assert_eq!(status.phase, "Failed");
        assert_eq!(
            task_of(&status, 0),
            ("Done".into(), "fail".into(), "errored".into())
        );
        assert_eq!(task_of(&status, 1).0, "Skipped", "task2 is not triggered");
    });
}
