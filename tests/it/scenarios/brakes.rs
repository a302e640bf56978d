//! What people do to stop, slow down and hold the loop.

use coxswain::{
    api::{
        Remediation,
        execution::{Control, Desired, SequenceExecution},
    },
    testing::World,
};
use k8s_openapi::api::core::v1::Namespace;

use super::*;

fn desire(world: &World, problem: &str, desired: Desired) {
    let name = run_of(world, problem).unwrap().name_any();
    world.edit::<SequenceExecution>(&name, |run| {
        run.spec.control = Some(Control {
            desired,
            ..Control::default()
        })
    });
}

#[test]
fn abort_deletes_the_job_and_wins() {
    World::run(async |world: World| {
        let shop = Shop::open(world, "restart").await;
        shop.world.player.script(|_| Play::hangs());
        shop.problem("slow-1");
        shop.task("slow-1", "action", "Running", mins(1)).await;
        desire(&shop.world, "slow-1", Desired::Abort);
        let status = shop.ended("slow-1", secs(2)).await;
        assert_eq!(end(&status), ("Aborted", "Aborted"));
        shop.world.sleep(secs(2)).await;
        assert!(jobs(&shop.world).is_empty(), "the Job is gone");
        let before = shop.world.server.writes().len();
        desire(&shop.world, "slow-1", Desired::Run);
        shop.world.sleep(mins(10)).await;
        assert_eq!(self::status(&shop.world, "slow-1").phase, "Aborted");
        assert_eq!(shop.world.server.writes().len(), before);
    });
}

#[test]
fn abort_while_it_waits_ends_at_once() {
    World::run(async |world: World| {
        let shop = Shop::open(world, "nothing").await;
        shop.problem("slow-1");
        shop.until("slow-1", "waiting", mins(5), |s| s.reason == "RetryAfter")
            .await;
        desire(&shop.world, "slow-1", Desired::Abort);
        assert_eq!(shop.ended("slow-1", secs(2)).await.phase, "Aborted");
    });
}

#[test]
fn pause_ends_the_task_and_resume_goes_on() {
    World::run(async |world: World| {
        let shop = Shop::open(world, "restart").await;
        shop.problem("slow-1");
        shop.task("slow-1", "action", "Running", mins(1)).await;
        desire(&shop.world, "slow-1", Desired::Pause);
        let paused = shop
            .until("slow-1", "paused", secs(30), |s| s.phase == "Paused")
            .await;
        assert_eq!(
            find_task(&paused, "action").unwrap().state,
            "Done",
            "the current task ends first"
        );
        shop.world.sleep(hours(30)).await;
        assert_eq!(
            status(&shop.world, "slow-1").phase,
            "Paused",
            "the deadline of 24 h does not count pauses"
        );
        assert_eq!(jobs_created(&shop.world).len(), 1);
        desire(&shop.world, "slow-1", Desired::Run);
        let status = shop.ended("slow-1", mins(5)).await;
        assert_eq!(end(&status), ("Succeeded", "Healed"));
        assert_eq!(jobs_created(&shop.world).len(), 2);
    });
}

#[test]
fn a_paused_run_gives_its_place_up_and_does_not_stay_for_ever() {
    World::run(async |world: World| {
        let shop = Shop::open(world, "restart").await;
        shop.problem("first");
        shop.task("first", "action", "Running", mins(1)).await;
        desire(&shop.world, "first", Desired::Pause);
        shop.until("first", "paused", secs(30), |s| s.phase == "Paused")
            .await;
        shop.world.apply(&problem("second", "errors"));
        assert_eq!(shop.ended("second", mins(5)).await.phase, "Succeeded");
        let status = shop.ended("first", hours(7 * 24)).await;
        assert_eq!(end(&status), ("Aborted", "PausedTooLong"));
    });
}

#[test]
fn a_held_namespace_starts_nothing_new() {
    World::run(async |world: World| {
        let shop = Shop::open(world, "restart").await;
        shop.problem("slow-1");
        shop.task("slow-1", "action", "Running", mins(1)).await;
        let hold = |held: bool| {
            shop.world.server.edit::<Namespace>("", "demo", |ns| match held {
                true => drop(
                    ns.labels_mut()
                        .insert("coxswain.dev/hold".to_owned(), "true".to_owned()),
                ),
                false => drop(ns.labels_mut().remove("coxswain.dev/hold")),
            });
        };
        hold(true);
        let held = shop
            .until("slow-1", "held", secs(30), |s| s.phase == "Held")
            .await;
        assert_eq!(
            find_task(&held, "action").unwrap().result.as_deref(),
            Some("pass"),
            "running Jobs end"
        );
        assert!(held.message.contains("demo"), "it says by whom: {}", held.message);
        shop.world.sleep(mins(20)).await;
        assert_eq!(jobs_created(&shop.world).len(), 1);
        hold(false);
        let status = shop.ended("slow-1", mins(5)).await;
        assert_eq!(end(&status), ("Succeeded", "Healed"));
    });
}

#[test]
fn an_installation_on_hold_starts_no_run() {
    World::run(async |world: World| {
        world.apply("{apiVersion: v1, kind: Namespace, metadata: {name: coxswain-system}}");
        world.apply(
            "{apiVersion: v1, kind: ConfigMap, metadata: {name: coxswain-hold, namespace: coxswain-system}, data: {by: ops}}",
        );
        let shop = Shop::open(world, "restart").await;
        shop.problem("slow-1");
        let held = shop.until("slow-1", "held", secs(5), |s| s.phase == "Held").await;
        assert!(held.message.contains("coxswain-hold"), "{}", held.message);
        shop.world.sleep(mins(10)).await;
        assert_eq!(shop.problem_status("slow-1").phase, "Held");
        assert!(jobs_created(&shop.world).is_empty());
        let server = &shop.world.server;
        server.delete::<k8s_openapi::api::core::v1::ConfigMap>("coxswain-system", "coxswain-hold");
        assert_eq!(shop.ended("slow-1", mins(5)).await.phase, "Succeeded");
    });
}

#[test]
fn a_run_that_is_held_too_long_expires() {
    World::run(async |world: World| {
        let shop = Shop::open(world, "restart").await;
        shop.world.server.edit::<Namespace>("", "demo", |ns| {
            ns.labels_mut()
                .insert("coxswain.dev/hold".to_owned(), "true".to_owned());
        });
        shop.problem("slow-1");
        let status = shop.ended("slow-1", hours(1) + mins(5)).await;
        assert_eq!(status.phase, "Expired");
        assert!(jobs_created(&shop.world).is_empty());
        shop.world.sleep(secs(5)).await;
        assert_eq!(shop.problem_status("slow-1").phase, "Expired");
    });
}

fn remediation(shop: &Shop, field: &str, value: serde_json::Value) {
    shop.world.edit::<Remediation>("cart", |remediation| {
        let mut json = serde_json::to_value(&*remediation).unwrap();
        json["spec"][field] = value;
        *remediation = serde_json::from_value(json).unwrap();
    });
}

#[test]
fn an_observer_creates_no_job() {
    World::run(async |world: World| {
        let shop = Shop::open(world, "restart").await;
        remediation(&shop, "mode", "Observe".into());
        shop.world.sleep(secs(2)).await;
        shop.problem("slow-1");
        let status = shop.ended("slow-1", hours(1)).await;
        assert!(jobs_created(&shop.world).is_empty());
        assert_eq!(tried(&status), ["restart", "scale"], "{status:?}");
        assert!(
            status.attempts[0].tasks[1].message.contains("would"),
            "it says what it would run: {}",
            status.attempts[0].tasks[1].message
        );
        assert_ne!(status.phase, "Succeeded", "nothing was healed");
    });
}

#[test]
fn a_spent_budget_exhausts_also_after_a_restart() {
    World::run(async |world: World| {
        let shop = Shop::open(world, "nothing").await;
        remediation(&shop, "budget", serde_json::json!({"actions": 3, "per": "1h"}));
        remediation(&shop, "cooldown", "0s".into());
        shop.world.sleep(secs(2)).await;
        shop.problem("first");
        shop.ended("first", mins(30)).await;
        shop.world
            .wait_until("closed", mins(1), |_| shop.problem_status("first").done)
            .await;
        shop.operator.crash();
        let world = shop.world;
        let shop = Shop {
            operator: start(&world, "operator-2"),
            world,
        };
        shop.problem("second");
        let status = shop.ended("second", mins(30)).await;
        assert_eq!(end(&status), ("Exhausted", "BudgetSpent"));
        assert_eq!(
            status.actions_started.len(),
            1,
            "two of three were spent by the first run"
        );
        assert!(status.message.contains('3'), "{}", status.message);
    });
}

#[test]
fn a_service_cools_down_between_runs() {
    World::run(async |world: World| {
        let shop = Shop::open(world, "restart").await;
        shop.problem("first");
        let first = shop.ended("first", mins(5)).await;
        shop.world.apply(&problem("second", "errors"));
        let waiting = shop
            .until("second", "cooling", secs(5), |s| s.reason == "Cooldown")
            .await;
        assert_eq!(waiting.phase, "Waiting");
        // A hold is said first, because it does not end by itself.
        let label = |ns: &mut Namespace| {
            ns.labels_mut()
                .insert("coxswain.dev/hold".to_owned(), "true".to_owned())
        };
        shop.world
            .server
            .edit::<Namespace>("", "demo", |ns| drop(label(ns)));
        shop.until("second", "held", secs(5), |s| s.phase == "Held").await;
        shop.world
            .server
            .edit::<Namespace>("", "demo", |ns| ns.labels_mut().clear());
        shop.until("second", "cooling again", secs(5), |s| s.reason == "Cooldown")
            .await;
        let second = shop.ended("second", mins(15)).await;
        let pause = second
            .started_at
            .unwrap()
            .0
            .duration_since(first.finished_at.unwrap().0);
        assert!((300..310).contains(&pause.as_secs()), "{pause:?}");
    });
}
