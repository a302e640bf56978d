//! How the loop goes when the world behaves.

use std::collections::BTreeSet;

use coxswain::{
    api::{ProblemEvent, SequenceExecution, condition_is, problem::ProblemState},
    testing::World,
};
use k8s_openapi::api::core::v1::Event;

use super::*;

#[test]
fn the_first_action_heals() {
    World::run(async |world: World| {
        let shop = Shop::open(world, "restart").await;
        shop.problem("slow-1");
        let status = shop.ended("slow-1", mins(5)).await;
        assert_eq!(end(&status), ("Succeeded", "Healed"));
        assert_eq!(
            (status.attempt, status.result.as_deref()),
            (Some(1), Some("pass"))
        );
        assert_eq!(tried(&status), ["restart"]);
        assert!(condition_is(&status.conditions, "Succeeded", "True"));
        assert!(condition_is(&status.conditions, "Ready", "True"));
        assert_eq!(
            jobs_created(&shop.world).len(),
            2,
            "one for action, one for je-test"
        );
        shop.world.sleep(secs(5)).await;
        assert_eq!(shop.problem_status("slow-1").phase, "Healed");
        let story: Vec<String> = shop
            .world
            .list::<Event>()
            .into_iter()
            .filter_map(|e| e.reason)
            .collect();
        assert!(story.contains(&"Started".to_owned()), "{story:?}");
    });
}

#[test]
fn one_attempt_takes_at_most_fourteen_writes() {
    World::run(async |world: World| {
        let shop = Shop::open(world, "restart").await;
        let before = writes(&shop.world).len();
        shop.problem("slow-1");
        shop.ended("slow-1", mins(5)).await;
        shop.world.sleep(mins(1)).await;
        let made = writes(&shop.world).split_off(before);
        let labels: Vec<String> = made
            .iter()
            .map(|w| format!("{} {:?}", w.call.label(), w.code))
            .collect();
        assert!(made.len() <= 14, "{} writes:\n{}", made.len(), labels.join("\n"));
        assert!(
            made.iter().all(|w| w.code.is_some_and(|c| c < 300)),
            "none in vain:\n{}",
            labels.join("\n")
        );
    });
}

#[test]
fn the_second_action_heals_after_a_wait() {
    World::run(async |world: World| {
        let shop = Shop::open(world, "scale").await;
        shop.problem("slow-1");
        let waiting = shop
            .until("slow-1", "waiting", mins(5), |s| s.reason == "RetryAfter")
            .await;
        assert_eq!(waiting.phase, "Waiting");
        let status = shop.ended("slow-1", mins(10)).await;
        assert_eq!(end(&status), ("Succeeded", "Healed"));
        assert_eq!(tried(&status), ["restart", "scale"]);
        let first_end = status.attempts[0].finished_at.as_ref().unwrap().0;
        let second_start = status.attempts[1].started_at.as_ref().unwrap().0;
        let wait = second_start.duration_since(first_end);
        assert!((120..122).contains(&wait.as_secs()), "waited {wait:?}");
        assert_eq!(status.attempts[0].result.as_deref(), Some("fail"));
        assert_eq!(jobs_created(&shop.world).len(), 4);
    });
}

#[test]
fn when_no_action_is_left_nobody_waits() {
    World::run(async |world: World| {
        let shop = Shop::open(world, "nothing").await;
        shop.problem("slow-1");
        let status = shop.ended("slow-1", mins(10)).await;
        assert_eq!(end(&status), ("Exhausted", "NoActionLeft"));
        assert_eq!(tried(&status), ["restart", "scale"]);
        assert_eq!(
            status.attempts.len(),
            3,
            "the attempt that finds nothing is counted"
        );
        let second_end = status.attempts[1].finished_at.as_ref().unwrap().0;
        let over = status.finished_at.as_ref().unwrap().0.duration_since(second_end);
        assert!(over.as_secs() < 1, "ended {over:?} after the second attempt");
        assert!(condition_is(&status.conditions, "Succeeded", "False"));
        shop.world.sleep(secs(5)).await;
        assert_eq!(shop.problem_status("slow-1").phase, "Exhausted");
    });
}

#[test]
fn a_failed_action_escalates_without_a_test() {
    World::run(async |world: World| {
        let shop = Shop::open(world, "scale").await;
        let metrics = shop.world.metrics.clone();
        shop.world.player.script(move |job| {
            let metrics = metrics.clone();
            match mentions(job, "action-restart") {
                true => Play::exits(3).saying("no rights to restart"),
                false => Play::exits(0).and_then(move |_, _| metrics.are(0.1)),
            }
        });
        shop.problem("slow-1");
        let status = shop.ended("slow-1", mins(10)).await;
        assert_eq!(end(&status), ("Succeeded", "Healed"));
        let first = &status.attempts[0].tasks;
        assert_eq!(first[1].result.as_deref(), Some("fail"));
        assert!(
            first[1].message.contains("exited with 3: no rights to restart"),
            "{}",
            first[1].message
        );
        assert_eq!(first[2].state, "Skipped");
        assert_eq!(jobs_created(&shop.world).len(), 3);
    });
}

#[test]
fn resolved_while_it_runs_stops_before_the_next_action() {
    World::run(async |world: World| {
        let shop = Shop::open(world, "nothing").await;
        shop.problem("slow-1");
        shop.task("slow-1", "action", "Running", mins(1)).await;
        shop.world
            .edit::<ProblemEvent>("slow-1", |p| p.spec.state = ProblemState::Resolved);
        let status = shop.ended("slow-1", mins(10)).await;
        assert_eq!(end(&status), ("Resolved", "Resolved"));
        assert_eq!(tried(&status), ["restart"]);
        assert!(condition_is(&status.conditions, "Succeeded", "True"));
        shop.world.sleep(secs(5)).await;
        assert_eq!(shop.problem_status("slow-1").phase, "Resolved");
    });
}

#[test]
fn resolved_while_it_waits_ends_at_once() {
    World::run(async |world: World| {
        let shop = Shop::open(world, "nothing").await;
        shop.problem("slow-1");
        shop.until("slow-1", "waiting", mins(5), |s| s.reason == "RetryAfter")
            .await;
        shop.world
            .edit::<ProblemEvent>("slow-1", |p| p.spec.state = ProblemState::Resolved);
        let status = shop.ended("slow-1", secs(2)).await;
        assert_eq!(end(&status), ("Resolved", "Resolved"));
    });
}

#[test]
fn resolved_while_queued_means_no_job_at_all() {
    World::run(async |world: World| {
        let shop = Shop::open(world, "scale").await;
        shop.problem("first");
        shop.task("first", "action", "Running", mins(1)).await;
        shop.world.apply(&problem("second", "errors"));
        shop.until("second", "queued", secs(5), |s| s.phase == "Queued")
            .await;
        let before = jobs_created(&shop.world).len();
        shop.world
            .edit::<ProblemEvent>("second", |p| p.spec.state = ProblemState::Resolved);
        let status = shop.ended("second", secs(2)).await;
        assert_eq!(status.phase, "Resolved");
        assert_eq!(recorded_jobs(&status).len(), 0);
        assert_eq!(jobs_created(&shop.world).len(), before);
    });
}

#[test]
fn one_service_is_healed_by_one_run_at_a_time() {
    World::run(async |world: World| {
        let shop = Shop::open(world, "scale").await;
        shop.problem("first");
        shop.world.apply(&problem("second", "errors"));
        let done = |r: &SequenceExecution| r.status.as_ref().is_some_and(|s| s.done);
        let working = |w: &World| {
            let jobs = w.list::<Job>();
            let unfinished = |j: &&Job| j.status.as_ref().is_none_or(|s| s.conditions.is_none());
            let runs: BTreeSet<String> = jobs
                .iter()
                .filter(unfinished)
                .map(|j| j.labels()["coxswain.dev/execution"].clone())
                .collect();
            runs.len()
        };
        let mut most = 0;
        shop.world
            .wait_until("both over", hours(1), |w| {
                most = most.max(working(w));
                let runs = w.list::<SequenceExecution>();
                runs.len() == 2 && runs.iter().all(done)
            })
            .await;
        assert_eq!(most, 1);
        let first = status(&shop.world, "first");
        let second = status(&shop.world, "second");
        assert!(
            first.finished_at.unwrap() <= second.started_at.unwrap(),
            "the older goes first"
        );
    });
}

#[test]
fn the_same_problem_again_joins_the_open_one() {
    World::run(async |world: World| {
        let shop = Shop::open(world, "restart").await;
        shop.problem("first");
        shop.world.sleep(secs(2)).await;
        shop.problem("again");
        shop.ended("first", mins(5)).await;
        shop.world.sleep(mins(5)).await;
        assert!(
            shop.problem_status("again").message.contains("first"),
            "{:?}",
            shop.problem_status("again")
        );
        assert_eq!(shop.world.list::<SequenceExecution>().len(), 1);
    });
}

#[test]
fn when_all_is_over_nothing_is_written() {
    World::run(async |world: World| {
        let shop = Shop::open(world, "restart").await;
        shop.problem("slow-1");
        shop.ended("slow-1", mins(5)).await;
        shop.world
            .edit::<ProblemEvent>("slow-1", |p| p.spec.state = ProblemState::Resolved);
        shop.world.sleep(mins(15)).await;
        let before = shop.world.server.writes().len();
        shop.world.sleep(hours(24)).await;
        let made = shop.world.server.writes().split_off(before);
        assert!(
            made.is_empty(),
            "{:?}",
            made.iter().map(|w| w.call.label()).collect::<Vec<_>>()
        );
    });
}

#[test]
fn an_operator_that_is_stopped_in_order_goes_on_where_it_was() {
    World::run(async |world: World| {
        let shop = Shop::open(world, "restart").await;
        shop.problem("slow-1");
        shop.task("slow-1", "je-test", "Running", mins(1)).await;
        shop.operator.stop().await;
        let world = shop.world;
        world.sleep(secs(30)).await;
        let shop = Shop {
            operator: start(&world, "operator-2"),
            world,
        };
        let status = shop.ended("slow-1", mins(5)).await;
        assert_eq!(end(&status), ("Succeeded", "Healed"));
        assert_eq!(jobs_created(&shop.world).len(), 2);
    });
}
