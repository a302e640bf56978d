//! S: rows with several runs, and with hands that stop and go on: real controllers, in virtual time.

use coxswain::{
    api::{
        SequenceExecution, SequenceExecutionStatus, Shipyard,
        execution::{Control, Desired},
    },
    testing::{Operator, Play, World},
};
use k8s_openapi::api::batch::v1::Job;
use kube::ResourceExt;
use serde_json::{Value, json};

use super::*;
use crate::scenarios::{end, find_task, jobs_created, mins, secs, start};

const STAGES: &str = "  - name: dev
    sequences:
    - {name: delivery, tasks: [{name: deployment}, {name: test}]}
    - {name: quick, historyLimit: 1000, tasks: [{name: deployment}]}
    - {name: delayed, tasks: [{name: deployment, triggeredAfter: 10s}]}
    - {name: short, deadline: 2m, tasks: [{name: deployment}]}
    - name: rollback
      triggeredOn: [{event: dev.short.finished, selector: {match: {result: fail}}}]
      tasks: [{name: rollback}]";

fn job_config() -> Value {
    let action = |task: &str| {
        json!({"name": task, "events": [{"name": format!("sh.keptn.event.{task}.triggered")}],
               "tasks": [{"name": task, "image": "i", "cmd": [task]}]})
    };
    let actions = ["deployment", "test", "rollback"].map(action);
    ours(
        "JobConfig",
        "jobs",
        json!({"project": "shop", "actions": actions}),
    )
}

/// A shop with an operator, in which every Job does this.
async fn open(world: &World, play: Play) -> Operator {
    world.player.script(move |_| play.clone());
    world.apply(&shipyard(STAGES).to_string());
    world.apply(&job_config().to_string());
    let operator = start(world, "operator");
    world.sleep(secs(5)).await;
    operator
}

fn trigger(world: &World, name: &str, service: &str, sequence: &str) {
    let spec = json!({"project": "shop", "stage": "dev", "service": service, "sequence": sequence});
    world.apply(&ours("SequenceExecution", name, spec).to_string());
}

fn status(world: &World, name: &str) -> SequenceExecutionStatus {
    let run = world.get::<SequenceExecution>(name);
    run.and_then(|run| run.status).unwrap_or_default()
}

async fn until(world: &World, name: &str, what: &str, is_so: fn(&SequenceExecutionStatus) -> bool) {
    let what = format!("{name} {what}");
    world
        .wait_until(&what, mins(15), |w| is_so(&status(w, name)))
        .await;
}

async fn ended(world: &World, name: &str) -> SequenceExecutionStatus {
    until(world, name, "ended", |s| s.done).await;
    status(world, name)
}

fn desire(world: &World, name: &str, desired: Desired) {
    world.edit::<SequenceExecution>(name, |run| {
        run.spec.control = Some(Control {
            desired,
            ..Control::default()
        });
    });
}

fn runs_a_job(status: &SequenceExecutionStatus) -> bool {
    status.phase == "Running" && find_task(status, "deployment").is_some_and(|task| task.state == "Running")
}

#[test]
fn s8_as_v1() {
    World::run(async |world: World| {
        let _operator = open(&world, Play::exits(0).running(mins(1))).await;
        trigger(&world, "a", "cart", "delivery");
        until(&world, "a", "runs", runs_a_job).await;
        trigger(&world, "b", "payment", "delivery");
        trigger(&world, "c", "cart", "delivery");
        until(&world, "b", "runs", runs_a_job).await;
        until(&world, "c", "waits", |s| s.phase == "Queued").await;
        assert!(runs_a_job(&status(&world, "a")), "both at once");
        assert_eq!(
            status(&world, "c").message,
            "waits behind a for service cart in stage dev"
        );
        for name in ["a", "b", "c"] {
            assert_eq!(ended(&world, name).await.phase, "Succeeded");
        }
        let (first, third) = (status(&world, "a"), status(&world, "c"));
        assert!(first.finished_at <= third.started_at, "one after the other");
    });
}

#[test]
fn s12_as_v1() {
    World::run(async |world: World| {
        let _operator = open(&world, Play::exits(0)).await;
        trigger(&world, "a", "cart", "delayed");
        until(&world, "a", "waits", |s| s.reason == "TriggeredAfter").await;
        desire(&world, "a", Desired::Abort);
        assert_eq!(end(&ended(&world, "a").await), ("Aborted", "Aborted"));
        world.sleep(mins(1)).await;
        assert!(jobs_created(&world).is_empty(), "the task is never triggered");
    });
}

#[test]
fn s13_as_v1() {
    World::run(async |world: World| {
        let _operator = open(&world, Play::exits(1).running(mins(1))).await;
        trigger(&world, "a", "cart", "delivery");
        until(&world, "a", "runs", runs_a_job).await;
        trigger(&world, "b", "cart", "delivery");
        until(&world, "b", "waits", |s| s.phase == "Queued").await;
        let first = ended(&world, "a").await;
        assert_eq!(first.phase, "Failed");
        until(&world, "b", "runs", runs_a_job).await;
        assert!(first.finished_at <= status(&world, "b").started_at);
    });
}

/// As v1 a run that timed out gives way to the next one; and nothing follows it, also where something follows a failure.
#[test]
fn s14_as_v1() {
    World::run(async |world: World| {
        let _operator = open(&world, Play::hangs()).await;
        trigger(&world, "a", "cart", "short");
        until(&world, "a", "runs", runs_a_job).await;
        trigger(&world, "b", "cart", "delivery");
        until(&world, "b", "waits", |s| s.phase == "Queued").await;
        let first = ended(&world, "a").await;
        assert_eq!(end(&first), ("TimedOut", "DeadlineExceeded"));
        assert_eq!(first.result, None);
        until(&world, "b", "runs", runs_a_job).await;
        assert_eq!(world.list::<SequenceExecution>().len(), 2, "no rollback");
        let own = |job: &Job| job.name_any() == status(&world, "b").attempts[0].tasks[0].jobs[0].name;
        assert!(world.list::<Job>().iter().all(own), "the first one's Job is gone");
    });
}

#[test]
fn s18_as_v1() {
    World::run(async |world: World| {
        let _operator = open(&world, Play::exits(0).running(mins(1))).await;
        trigger(&world, "a", "cart", "delivery");
        until(&world, "a", "runs", runs_a_job).await;
        desire(&world, "a", Desired::Pause);
        until(&world, "a", "pauses", |s| s.phase == "Paused").await;
        world.sleep(mins(5)).await;
        let paused = status(&world, "a");
        let states: Vec<_> = paused.attempts[0]
            .tasks
            .iter()
            .map(|t| t.state.as_str())
            .collect();
        assert_eq!(states, ["Done", "Pending"]);
        desire(&world, "a", Desired::Run);
        assert_eq!(ended(&world, "a").await.phase, "Succeeded");
        assert_eq!(jobs_created(&world).len(), 2, "each task ran once");
    });
}

/// v1 cleared the queue. Here the run that has begun goes on as it was pinned, and the others end when it is their turn:
/// so whoever recreates the Shipyard by mistake in between loses nothing.
#[test]
fn s23_by_design() {
    World::run(async |world: World| {
        let _operator = open(&world, Play::exits(0).running(mins(1))).await;
        trigger(&world, "a", "cart", "delivery");
        until(&world, "a", "runs", runs_a_job).await;
        assert!(world.server.delete::<Shipyard>("demo", "shop"));
        world.sleep(secs(1)).await;
        trigger(&world, "b", "cart", "delivery");
        let second = ended(&world, "b").await;
        assert_eq!(end(&second), ("Failed", "ShipyardNotFound"));
        assert_eq!(ended(&world, "a").await.phase, "Succeeded");
        assert_eq!(jobs_created(&world).len(), 2);
    });
}

#[test]
fn s25_as_v1() {
    World::run(async |world: World| {
        let _operator = open(&world, Play::exits(0).running(mins(1))).await;
        for name in ["a", "b", "c"] {
            trigger(&world, name, "cart", "delivery");
            world.sleep(secs(2)).await;
        }
        until(&world, "b", "waits", |s| s.phase == "Queued").await;
        desire(&world, "b", Desired::Abort);
        let aborted = ended(&world, "b").await;
        assert_eq!(
            (end(&aborted), aborted.attempts.len()),
            (("Aborted", "Aborted"), 0)
        );
        assert_eq!(
            ended(&world, "c").await.phase,
            "Succeeded",
            "the next one goes on"
        );
        assert_eq!(jobs_created(&world).len(), 4, "two tasks of two runs");
    });
}

/// Not Keptn's: many runs of one service end in the order in which they came, and each is written about as often as one
/// that never waited: whoever ends wakes only who is next. (Five hundred, without a cluster around them: core::queue.)
#[test]
fn a_long_queue_is_worked_off_in_order() {
    const RUNS: usize = 60;
    World::run(async |world: World| {
        let _operator = open(&world, Play::exits(0)).await;
        let began = world.server.writes().len();
        for n in 0..RUNS {
            trigger(&world, &format!("run-{n:03}"), "cart", "quick");
        }
        let live = |run: &SequenceExecution| !run.status.as_ref().is_some_and(|s| s.done);
        for minute in 0.. {
            world.sleep(mins(1)).await;
            if !world.list::<SequenceExecution>().iter().any(live) {
                break;
            }
            assert!(minute < 10, "{}", world.describe());
        }
        let mut runs = world.list::<SequenceExecution>();
        runs.sort_by_key(|run| run.status.clone().unwrap().started_at);
        let order: Vec<String> = runs.iter().map(ResourceExt::name_any).collect();
        let came: Vec<String> = (0..RUNS).map(|n| format!("run-{n:03}")).collect();
        assert_eq!(order, came);
        for run in &runs {
            assert_eq!(run.status.as_ref().unwrap().phase, "Succeeded");
        }
        let mut writes = crate::scenarios::writes(&world);
        writes.retain(|write| write.call.resource.starts_with("sequenceexecutions"));
        // Each minute those that wait say behind whom.
        assert!(writes.len() < RUNS * 8, "{} writes", writes.len());
        assert!(world.server.writes().len() - began < RUNS * 16);
    });
}
