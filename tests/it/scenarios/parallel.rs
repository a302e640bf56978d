//! Several Jobs of one task at once.

use std::{collections::BTreeMap, rc::Rc};

use coxswain::testing::{Call, Fault, Scenario, Verb};
use futures::FutureExt;

use super::*;
use crate::crash::{Outcome, outcome, survives_everywhere};

/// Besides the shop's own `load`: an action whose Jobs run at once, and a silent one whose second Job is never reached.
const LANES: &str = "---
apiVersion: coxswain.dev/v1alpha1
kind: JobConfig
metadata: {name: more-tests}
spec:
  project: shop
  actions:
    - name: Soak
      parallel: true
      events: [{name: sh.keptn.event.je-test.triggered}]
      tasks:
        - {name: soak, image: busybox, cmd: [run-soak], maxPollDuration: 60}
        - {name: spike, image: busybox, cmd: [run-spike]}
    - name: Probe
      silent: true
      events: [{name: sh.keptn.event.je-test.triggered}]
      tasks:
        - {name: probe, image: busybox, cmd: [run-probe]}
        - {name: never, image: busybox, cmd: [run-never]}
";

/// The first action heals, and the tests take 2, 20, 10 and 2 seconds.
fn plays(world: &World, soak: Play) {
    let metrics = world.metrics.clone();
    world.player.script(move |job| {
        let metrics = metrics.clone();
        match ["action-restart", "run-soak", "run-spike", "run-probe"].map(|cmd| mentions(job, cmd)) {
            [true, ..] => Play::exits(0).and_then(move |_, _| metrics.are(0.1)),
            [_, true, ..] => soak.clone(),
            [_, _, true, _] => Play::exits(0)
                .running(secs(10))
                .saying(r#"{"result":"warning","message":"slow","data":{"spike":1,"last":"spike"}}"#),
            [.., true] => Play::exits(1),
            _ => Play::exits(0).saying(r#"{"data":{"load":1,"last":"load"}}"#),
        }
    });
}

fn soaks() -> Play {
    Play::exits(0)
        .running(secs(20))
        .saying(r#"{"data":{"soak":1,"last":"soak"}}"#)
}

async fn open(world: World, soak: Play) -> Shop {
    let shop = Shop::open_with(world, &format!("{SHOP}{LANES}"), "restart").await;
    plays(&shop.world, soak);
    shop
}

/// The Jobs of the test by their titles.
fn tests(status: &SequenceExecutionStatus) -> BTreeMap<&str, &JobStatus> {
    let jobs = &status.attempts[0].tasks[2].jobs;
    jobs.iter().map(|job| (job.title.as_str(), job)).collect()
}

#[test]
fn all_that_answers_a_task_runs_at_once() {
    World::run(async |world: World| {
        let shop = open(world, soaks()).await;
        shop.problem("slow-1");
        let status = shop.ended("slow-1", mins(10)).await;
        assert_eq!(end(&status), ("Succeeded", "Healed"), "{}", status.message);
        let task = &status.attempts[0].tasks[2];
        assert_eq!(task.result.as_deref(), Some("warning"), "{task:?}");
        assert!(task.message.ends_with("slow"), "{}", task.message);
        let jobs = tests(&status);
        let states: Vec<_> = jobs.iter().map(|(title, j)| (*title, j.state.as_str())).collect();
        assert_eq!(
            states,
            [
                ("load", "Done"),
                ("never", "Skipped"),
                ("probe", "Done"),
                ("soak", "Done"),
                ("spike", "Done")
            ]
        );
        let ran: Vec<_> = ["load", "soak", "spike", "probe"]
            .iter()
            .map(|title| {
                (
                    jobs[title].started_at.clone().unwrap().0,
                    jobs[title].finished_at.clone().unwrap().0,
                )
            })
            .collect();
        let (last_start, first_end) = (
            ran.iter().map(|r| r.0).max().unwrap(),
            ran.iter().map(|r| r.1).min().unwrap(),
        );
        assert!(last_start < first_end, "all four ran at one time: {ran:?}");
        let took = span(task.started_at.as_ref(), task.finished_at.as_ref());
        assert!((20..25).contains(&took), "as long as the longest, not {took}s");
        let payload = serde_json::to_value(&status.payload).unwrap();
        assert_eq!(
            ["load", "soak", "spike"].map(|key| payload[key].as_i64()),
            [Some(1); 3]
        );
        assert_eq!(payload["last"], "spike", "merged in the actions' order");
        let told = writes(&shop.world).into_iter().filter(|w| {
            w.call.resource == "sequenceexecutions.coxswain.dev"
                && w.call.subresource.as_deref() == Some("status")
        });
        // One write records all four tests, and each of them starts and ends; the rest is the other tasks'.
        let told = told.count();
        assert!(told <= 1 + 2 * 4 + 6, "{told} writes of the run's status");
    });
}

/// Waits until the test of the first attempt has ended.
async fn tested(shop: &Shop) -> SequenceExecutionStatus {
    let ended = |s: &SequenceExecutionStatus| {
        let first = s.attempts.first();
        first.is_some_and(|a| a.tasks[2].result.is_some())
    };
    shop.until("slow-1", "the test's end", mins(5), ended).await
}

fn span(from: Option<&coxswain::api::Timestamp>, to: Option<&coxswain::api::Timestamp>) -> i64 {
    to.unwrap().0.duration_since(from.unwrap().0).as_secs()
}

#[test]
fn a_job_that_hangs_is_stopped_and_the_others_go_on() {
    World::run(async |world: World| {
        let shop = open(world, Play::hangs()).await;
        shop.problem("slow-1");
        let status = tested(&shop).await;
        let task = &status.attempts[0].tasks[2];
        assert_eq!(
            (task.result.as_deref(), task.reason.as_str()),
            (Some("fail"), "TimedOut")
        );
        let jobs = tests(&status);
        assert_eq!(jobs["spike"].result.as_deref(), Some("warning"));
        assert!(
            !self::jobs(&shop.world).contains(&jobs["soak"].name),
            "it was deleted"
        );
        assert!(self::jobs(&shop.world).contains(&jobs["spike"].name));
        let took = span(task.started_at.as_ref(), task.finished_at.as_ref());
        assert!((60..70).contains(&took), "{took}s");
    });
}

#[test]
fn creates_that_are_refused_are_told_and_the_others_go_on() {
    World::run(async |world: World| {
        let shop = open(world, soaks()).await;
        let count = std::sync::atomic::AtomicUsize::new(0);
        shop.world.server.on_request(move |call: &Call| {
            let create = call.verb == Verb::Create && call.resource == "jobs.batch";
            // Of the four tests the second and the third, each time.
            if create && call.name.contains("-je-test-") {
                let at = count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                if matches!(at, 1 | 2) {
                    return Fault::Fail(403);
                }
            }
            Fault::Proceed
        });
        shop.problem("slow-1");
        let status = tested(&shop).await;
        let task = &status.attempts[0].tasks[2];
        assert_eq!(task.reason, "Refused", "{}", task.message);
        let jobs = tests(&status);
        let ended = ["load", "soak", "spike", "probe"].map(|title| jobs[title].reason.as_str());
        assert_eq!(ended, ["", "Refused", "Refused", "ExitCode"]);
    });
}

#[test]
fn it_survives_a_crash_at_every_write() {
    let story: Scenario<Outcome> = Scenario {
        setup: Rc::new(|world: &World| {
            world.apply(&format!("{SHOP}{LANES}"));
            world.metrics.are(1.2);
            plays(world, soaks());
            world.apply(&problem("slow-1", "slow"));
        }),
        operator: Rc::new(|seat, world: &World| coxswain(seat, world.metrics.clone()).boxed()),
        story: Rc::new(|world: World| {
            async move {
                over(&world, "slow-1").await;
                world.sleep(secs(120)).await;
            }
            .boxed_local()
        }),
        away: secs(3),
        outcome: Rc::new(outcome),
    };
    survives_everywhere(&story, 30);
}
