//! Jobs that are tried anew, skipped, or may fail.

use std::{
    rc::Rc,
    sync::atomic::{AtomicUsize, Ordering},
};

use coxswain::testing::{Call, Fault, Scenario, Verb};
use futures::FutureExt;

use super::*;
use crate::crash::{Outcome, outcome, survives_everywhere};

/// The shop, whose test has these fields besides.
fn shop(test: &str) -> String {
    let plain = "{name: load, image: locust, cmd: [locust]}";
    SHOP.replace(
        plain,
        &format!("{{name: load, image: locust, cmd: [locust], {test}}}"),
    )
}

/// The first action heals; of the tests the first `bad` ones play this, the others pass.
fn plays(world: &World, bad: usize, play: Play) {
    let (metrics, tests) = (world.metrics.clone(), AtomicUsize::new(0));
    world.player.script(move |job| {
        let metrics = metrics.clone();
        if mentions(job, "action-restart") {
            return Play::exits(0).and_then(move |_, _| metrics.are(0.1));
        }
        match mentions(job, "locust") && tests.fetch_add(1, Ordering::Relaxed) < bad {
            true => play.clone(),
            false => Play::exits(0).saying(r#"{"data":{"load":"passed"}}"#),
        }
    });
}

async fn open(world: World, test: &str, bad: usize, play: Play) -> Shop {
    let shop = Shop::open_with(world, &shop(test), "restart").await;
    plays(&shop.world, bad, play);
    shop.problem("slow-1");
    shop
}

/// The creates of tests that took effect, and how many seconds lie between them.
fn tests(world: &World) -> (usize, Vec<i64>) {
    let creates =
        |w: &Logged| w.effective && w.call.verb == Verb::Create && w.call.name.contains("-je-test-");
    let writes = world.server.writes().into_iter();
    let at: Vec<_> = writes
        .filter(|w| w.call.resource == "jobs.batch" && creates(w))
        .map(|w| w.call.at)
        .collect();
    let gaps = at
        .windows(2)
        .map(|pair| pair[1].duration_since(pair[0]).as_secs());
    (at.len(), gaps.collect())
}

#[test]
fn a_job_that_errors_is_tried_again_after_a_growing_wait() {
    World::run(async |world: World| {
        let bad = Play::exits(1).saying("no such host");
        let shop = open(world, "retries: 3, retryBackoff: 20s", 2, bad).await;
        let waiting = shop.task("slow-1", "je-test", "Waiting", mins(2)).await;
        assert!(
            waiting.message.starts_with("try 1 of 4: Job cart-je-test-"),
            "{}",
            waiting.message
        );
        assert!(
            waiting
                .message
                .contains("exited with 1: no such host; the next starts at"),
            "{}",
            waiting.message
        );
        let run = status(&shop.world, "slow-1");
        assert_eq!(
            (run.phase.as_str(), run.reason.as_str()),
            ("Waiting", "RetryBackoff")
        );
        assert_eq!(run.place.as_deref(), Some("Held"));
        let ended = shop.ended("slow-1", mins(15)).await;
        assert_eq!(end(&ended), ("Succeeded", "Healed"), "{}", ended.message);
        let (made, gaps) = tests(&shop.world);
        assert_eq!(made, 3);
        assert!(
            (22..27).contains(&gaps[0]) && (42..47).contains(&gaps[1]),
            "{gaps:?}"
        );
        let job = &ended.attempts[0].tasks[2].jobs[0];
        let tried: Vec<_> = job.tried.iter().map(|t| t.message.as_str()).collect();
        assert_eq!(tried, ["exited with 1: no such host"; 2]);
        for tried in &job.tried {
            assert!(jobs(&shop.world).contains(&tried.name), "left for its log");
        }
        // Three tries: each is recorded and runs, and two waits.
        let told = writes(&shop.world).into_iter().filter(|w| {
            w.call.resource == "sequenceexecutions.coxswain.dev"
                && w.call.subresource.as_deref() == Some("status")
        });
        let told = told.count();
        assert!(told <= 3 * 2 + 2 + 7, "{told} writes of the run's status");
    });
}

#[test]
fn a_verdict_is_not_asked_for_again() {
    World::run(async |world: World| {
        let bad = Play::exits(0).saying(r#"{"result":"fail","message":"3 errors"}"#);
        let shop = open(world, "retries: 3", 1, bad).await;
        let tested = |s: &SequenceExecutionStatus| s.attempts.len() > 1;
        let status = shop.until("slow-1", "the next attempt", mins(5), tested).await;
        assert_eq!(status.attempts[0].tasks[2].reason, "ReportedFail");
        assert_eq!(status.attempts[0].tasks[2].jobs[0].tried, []);
    });
}

#[test]
fn a_job_that_hangs_is_stopped_at_its_own_timeout_and_tried_again() {
    World::run(async |world: World| {
        let shop = open(
            world,
            "timeout: 30s, maxPollDuration: 600, retries: 1",
            1,
            Play::hangs(),
        )
        .await;
        let ended = shop.ended("slow-1", mins(15)).await;
        assert_eq!(end(&ended), ("Succeeded", "Healed"), "{}", ended.message);
        let job = &ended.attempts[0].tasks[2].jobs[0];
        assert!(
            job.tried[0].reason == "TimedOut" || job.tried[0].reason == "DeadlineExceeded",
            "{job:?}"
        );
        let (made, gaps) = tests(&shop.world);
        assert_eq!(made, 2);
        assert!((40..45).contains(&gaps[0]), "{gaps:?}");
    });
}

#[test]
fn a_create_that_is_refused_is_tried_again() {
    World::run(async |world: World| {
        let refused = AtomicUsize::new(0);
        world.server.on_request(move |call: &Call| {
            let create = call.verb == Verb::Create && call.resource == "jobs.batch";
            match create && call.name.contains("-je-test-") && refused.fetch_add(1, Ordering::Relaxed) == 0 {
                true => Fault::Fail(403),
                false => Fault::Proceed,
            }
        });
        let shop = open(world, "retries: 1", 0, Play::exits(0)).await;
        let ended = shop.ended("slow-1", mins(15)).await;
        assert_eq!(end(&ended), ("Succeeded", "Healed"), "{}", ended.message);
        assert_eq!(ended.attempts[0].tasks[2].jobs[0].tried[0].reason, "Refused");
    });
}

/// A pod that is taken away before its container started costs no retry; one after it did is lost, or run again where that
/// is allowed.
#[test]
fn pods_that_are_taken_away() {
    let tell = |test: &'static str, bad: usize, play: Play| {
        World::run(async |world: World| {
            let shop = open(world, test, bad, play).await;
            let tested = |s: &SequenceExecutionStatus| s.attempts[0].tasks[2].result.is_some();
            let there = |s: &SequenceExecutionStatus| !s.attempts.is_empty() && tested(s);
            let status = shop.until("slow-1", "the test's end", mins(10), there).await;
            let task = status.attempts[0].tasks[2].clone();
            (
                tests(&shop.world).0,
                task.result.unwrap(),
                task.state,
                task.jobs[0].tried.len(),
            )
        })
    };
    let told = |made, result: &str, state: &str, tried| (made, result.to_owned(), state.to_owned(), tried);
    let before = Play::evicted_before_start;
    assert_eq!(tell("retries: 0", 2, before()), told(3, "pass", "Done", 0));
    assert_eq!(tell("retries: 0", 9, before()), told(3, "fail", "Done", 0));
    assert_eq!(tell("retries: 1", 3, before()), told(4, "pass", "Done", 1));
    let after = || Play::evicted_after(secs(1));
    assert_eq!(tell("retries: 3", 1, after()), told(1, "fail", "Lost", 0));
    assert_eq!(tell("idempotent: true", 1, after()), told(2, "pass", "Done", 0));
}

#[test]
fn a_pause_while_a_try_waits_lets_others_go_first() {
    World::run(async |world: World| {
        let shop = open(world, "retries: 1, retryBackoff: 60s", 1, Play::exits(1)).await;
        shop.task("slow-1", "je-test", "Waiting", mins(2)).await;
        let run = run_of(&shop.world, "slow-1").unwrap().name_any();
        let want = |desired: &'static str| {
            let wish = serde_json::json!({"desired": desired});
            shop.world.edit::<SequenceExecution>(&run, move |run| {
                run.spec.control = Some(serde_json::from_value(wish).unwrap());
            });
        };
        want("Pause");
        let paused = |s: &SequenceExecutionStatus| s.phase == "Paused";
        let status = shop.until("slow-1", "the pause", mins(1), paused).await;
        assert_eq!(status.place.as_deref(), Some("Released"));
        shop.world.sleep(mins(5)).await;
        assert_eq!(tests(&shop.world).0, 1);
        want("Run");
        let ended = shop.ended("slow-1", mins(15)).await;
        assert_eq!(end(&ended), ("Succeeded", "Healed"), "{}", ended.message);
        assert_eq!(tests(&shop.world).0, 2);
    });
}

#[test]
fn an_abort_while_a_try_waits_ends_the_run() {
    World::run(async |world: World| {
        let shop = open(world, "retries: 1, retryBackoff: 60s", 1, Play::exits(1)).await;
        shop.task("slow-1", "je-test", "Waiting", mins(2)).await;
        let run = run_of(&shop.world, "slow-1").unwrap().name_any();
        shop.world.edit::<SequenceExecution>(&run, |run| {
            let wish = serde_json::json!({"desired": "Abort"});
            run.spec.control = Some(serde_json::from_value(wish).unwrap());
        });
        let ended = shop.ended("slow-1", secs(10)).await;
        assert_eq!(ended.phase, "Aborted");
        shop.world.sleep(mins(5)).await;
        assert_eq!(tests(&shop.world).0, 1);
    });
}

#[test]
fn a_job_that_is_not_wanted_is_skipped_and_the_run_goes_on() {
    World::run(async |world: World| {
        let test = r#"when: [{property: $.data.problem.problemTitle, match: errors}]"#;
        let shop = open(world, test, 0, Play::exits(0)).await;
        let ended = shop.ended("slow-1", mins(15)).await;
        assert_eq!(end(&ended), ("Succeeded", "Healed"), "{}", ended.message);
        let task = &ended.attempts[0].tasks[2];
        assert_eq!((task.result.as_deref(), tests(&shop.world).0), (Some("pass"), 0));
        let expected = r#"$.data.problem.problemTitle must be "errors", it is "slow""#;
        assert!(task.message.contains(expected), "{}", task.message);
        assert_eq!(task.jobs[0].state, "Skipped");
    });
}

#[test]
fn a_failure_that_may_be_only_warns() {
    World::run(async |world: World| {
        let shop = open(world, "continueOnFailure: true", 1, Play::exits(1)).await;
        let ended = shop.ended("slow-1", mins(15)).await;
        assert_eq!(end(&ended), ("Succeeded", "Healed"), "{}", ended.message);
        let task = &ended.attempts[0].tasks[2];
        assert_eq!(
            (task.result.as_deref(), task.status.as_deref()),
            (Some("warning"), Some("succeeded"))
        );
        assert!(task.message.contains("exited with 1"), "{}", task.message);
    });
}

#[test]
fn tries_survive_a_crash_at_every_write() {
    let story: Scenario<Outcome> = Scenario {
        setup: Rc::new(|world: &World| {
            world.apply(&shop("retries: 2, retryBackoff: 10s"));
            world.metrics.are(1.2);
            plays(world, 2, Play::exits(1));
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
    survives_everywhere(&story, 20);
}
