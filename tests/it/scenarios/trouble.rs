//! Slow, silent, lying and failing API servers; and pods with a life of their own.

use coxswain::testing::{
    Call, Fault, Verb, World,
    server::{Deliver, Delivery},
};
use rstest::rstest;

use super::*;

fn each_job_once(world: &World) {
    let mut created = jobs_created(world);
    created.sort();
    let all = created.clone();
    created.dedup();
    assert_eq!(created, all, "each Job is created once");
}

#[rstest]
#[case(secs(1))]
#[case(secs(10))]
fn late_caches_make_no_second_job(#[case] late: Duration) {
    World::run(async |world: World| {
        let shop = Shop::open(world, "scale").await;
        shop.world.server.delay_watches(late);
        shop.problem("slow-1");
        let status = shop.ended("slow-1", mins(20)).await;
        assert_eq!(end(&status), ("Succeeded", "Healed"));
        assert_eq!(jobs_created(&shop.world).len(), 4);
        each_job_once(&shop.world);
    });
}

#[rstest]
#[case("jobs.batch")]
#[case("pods")]
#[case("sequenceexecutions.coxswain.dev")]
#[case("evaluations.coxswain.dev")]
#[case("problemevents.coxswain.dev")]
fn a_frozen_watch_only_delays(#[case] resource: &'static str) {
    World::run(async |world: World| {
        let shop = Shop::open(world, "scale").await;
        shop.problem("slow-1");
        shop.task("slow-1", "action", "Running", mins(1)).await;
        shop.world.server.freeze(resource);
        shop.world.sleep(mins(3)).await;
        shop.world.server.thaw(resource);
        let status = shop.ended("slow-1", mins(20)).await;
        assert_eq!(end(&status), ("Succeeded", "Healed"));
        assert_eq!(jobs_created(&shop.world).len(), 4);
        each_job_once(&shop.world);
    });
}

#[rstest]
#[case("jobs.batch")]
#[case("pods")]
#[case("sequenceexecutions.coxswain.dev")]
#[case("evaluations.coxswain.dev")]
fn a_watch_that_is_gone_is_listed_again(#[case] resource: &'static str) {
    World::run(async |world: World| {
        let shop = Shop::open(world, "scale").await;
        shop.problem("slow-1");
        for _ in 0..10 {
            shop.world.sleep(secs(1)).await;
            shop.world.server.expire_watches(resource);
            shop.world.sleep(secs(1)).await;
            shop.world.server.cut_watches(resource);
        }
        let status = shop.ended("slow-1", mins(20)).await;
        assert_eq!(end(&status), ("Succeeded", "Healed"));
        each_job_once(&shop.world);
    });
}

#[test]
fn doubled_events_change_nothing() {
    World::run(async |world: World| {
        let shop = Shop::open(world, "scale").await;
        shop.world.server.on_delivery(|_: &Delivery| Deliver::Twice);
        shop.problem("slow-1");
        let status = shop.ended("slow-1", mins(20)).await;
        assert_eq!(end(&status), ("Succeeded", "Healed"));
        each_job_once(&shop.world);
    });
}

/// Hides one event of the story after the other. An API server that is connected loses none, so nothing is read in vain
/// in case it did; but what a run has begun comes to an end all the same.
#[test]
fn no_single_lost_event_stops_a_run() {
    let tell = |hidden: usize| {
        World::run(async |world: World| {
            let shop = Shop::open(world, "restart").await;
            let (noted, notes) = std::sync::mpsc::channel();
            let mut seen = 0;
            shop.world.server.on_delivery(move |delivery: &Delivery| {
                if delivery.what == "ADDED"
                    && !delivery.resource.starts_with("jobs")
                    && !delivery.resource.starts_with("pods")
                {
                    return Deliver::Once;
                }
                seen += 1;
                if seen == hidden {
                    drop(noted.send(format!(
                        "{} {} {}",
                        delivery.what, delivery.resource, delivery.name
                    )));
                    return Deliver::Never;
                }
                Deliver::Once
            });
            shop.problem("slow-1");
            let over = |w: &World| run_of(w, "slow-1").is_some_and(|r| r.status.is_some_and(|s| s.done));
            let ended = shop.world.try_wait("the end", hours(25), over).await;
            let lost = notes.try_iter().next();
            each_job_once(&shop.world);
            lost.map(|lost| {
                let took = shop
                    .world
                    .now()
                    .duration_since("2026-01-05T09:00:00Z".parse().unwrap());
                (lost, ended.is_ok(), took)
            })
        })
    };
    let told: Vec<_> = (1..).map_while(tell).collect();
    let stuck: Vec<_> = told.iter().filter(|(_, ended, _)| !ended).collect();
    for (lost, _, took) in &told {
        println!("without {lost}: {took:?}");
    }
    assert!(told.len() > 10, "there were events to hide");
    assert!(stuck.is_empty(), "{stuck:#?}");
}

/// Each write of the story meets this fault once.
#[rstest]
#[case::refused(Fault::Fail(500))]
#[case::unavailable(Fault::Fail(503))]
#[case::throttled(Fault::Fail(429))]
#[case::conflict(Fault::Fail(409))]
#[case::effective(Fault::FailAfter(504))]
#[case::unreachable(Fault::Unreachable)]
fn no_single_failing_write_stops_the_run(#[case] fault: Fault) {
    let tell = |at: usize| {
        World::run(async |world: World| {
            let shop = Shop::open(world, "scale").await;
            let before = shop.world.server.writes().len();
            shop.world.server.on_request(move |call: &Call| match call.write {
                Some(k) if k == before + at => fault,
                _ => Fault::Proceed,
            });
            shop.problem("slow-1");
            let status = shop.ended("slow-1", mins(20)).await;
            let writes = shop.world.server.writes().split_off(before);
            let met = writes
                .get(at.max(1) - 1)
                .map(|w| w.call.label())
                .unwrap_or_default();
            assert_eq!(
                end(&status),
                ("Succeeded", "Healed"),
                "{fault:?} at write {at}, {met}: {}",
                status.message
            );
            assert_eq!(
                tried(&status),
                ["restart", "scale"],
                "{fault:?} at write {at}, {met}"
            );
            assert_eq!(
                jobs_created(&shop.world).len(),
                4,
                "{fault:?} at write {at}, {met}"
            );
            each_job_once(&shop.world);
            writes.len()
        })
    };
    let writes = tell(0);
    assert!(writes > 20);
    for at in 1..=writes {
        tell(at);
    }
}

#[test]
fn an_api_server_that_is_down_for_minutes_only_delays() {
    World::run(async |world: World| {
        let shop = Shop::open(world, "scale").await;
        shop.problem("slow-1");
        shop.task("slow-1", "action", "Running", mins(1)).await;
        shop.world.server.on_request(|_: &Call| Fault::Unreachable);
        for resource in [
            "jobs.batch",
            "pods",
            "sequenceexecutions.coxswain.dev",
            "evaluations.coxswain.dev",
        ] {
            shop.world.server.cut_watches(resource);
        }
        let before = shop.world.server.log().len();
        shop.world.sleep(mins(5)).await;
        let asked = shop.world.server.log().len() - before;
        assert!(asked < 600, "{asked} requests in five minutes without an answer");
        shop.world.server.calm();
        let status = shop.ended("slow-1", mins(20)).await;
        assert_eq!(end(&status), ("Succeeded", "Healed"));
        each_job_once(&shop.world);
    });
}

#[test]
fn missing_rights_are_told_and_nothing_spins() {
    World::run(async |world: World| {
        let shop = Shop::open(world, "scale").await;
        shop.world
            .server
            .on_request(|call: &Call| match (call.resource.as_str(), call.verb) {
                ("jobs.batch", Verb::Create) => Fault::Fail(403),
                _ => Fault::Proceed,
            });
        shop.problem("slow-1");
        let status = shop.ended("slow-1", hours(2)).await;
        assert!(
            status.attempts[0].tasks[1].message.contains("forbidden"),
            "{}",
            status.attempts[0].tasks[1].message
        );
        assert!(shop.world.server.writes().len() < 80);
    });
}

/// It has decided nothing, so there is nothing to finish: a rollout must not wait for it.
#[rstest]
#[case("jobs.batch")]
#[case("sequenceexecutions.coxswain.dev")]
#[case("evaluations.coxswain.dev")]
#[case("shipyards.coxswain.dev")]
fn an_operator_that_never_got_ready_stops_at_once(#[case] unreadable: &'static str) {
    World::run(async |world: World| {
        world
            .server
            .on_request(move |call: &Call| match (call.resource.as_str(), call.verb) {
                (resource, Verb::List | Verb::Watch) if resource == unreadable => Fault::Fail(404),
                _ => Fault::Proceed,
            });
        world.apply(SHOP);
        world.apply(&problem("slow-1", "slow"));
        let operator = start(&world, "operator");
        world.sleep(secs(10)).await;
        let told = world.now();
        operator.stop().await;
        let took = world.now().duration_since(told);
        assert!(took.as_secs() < 1, "{took}");
    });
}

#[test]
fn a_foreign_job_of_our_name_is_never_adopted() {
    World::run(async |world: World| {
        // Find the name that the Job will have, then take it before the operator does.
        let shop = Shop::open(world, "restart").await;
        let server = shop.world.server.clone();
        shop.world.server.on_request(move |call: &Call| {
            if call.verb == Verb::Create
                && call.resource == "jobs.batch"
                && server.get::<Job>("demo", &call.name).is_none()
            {
                return Fault::Delay(secs(2));
            }
            Fault::Proceed
        });
        shop.problem("slow-1");
        let starting = shop.task("slow-1", "action", "Starting", secs(10)).await;
        let name = starting.jobs[0].name.clone();
        shop.world.player.script(|_| Play::exits(0));
        shop.world.apply(&format!(
            "
apiVersion: batch/v1
kind: Job
metadata: {{name: {name}}}
spec: {{template: {{spec: {{restartPolicy: Never, containers: [{{name: x, image: foreign}}]}}}}}}
"
        ));
        shop.world.server.calm();
        let taken = |s: &SequenceExecutionStatus| s.attempts[0].tasks[1].reason == "NameTaken";
        shop.until("slow-1", "taken", mins(1), taken).await;
        let job = shop.world.get::<Job>(&name).unwrap();
        assert!(mentions(&job, "foreign"), "it stays as it is");
    });
}

#[test]
fn an_eviction_before_the_start_is_tried_anew() {
    World::run(async |world: World| {
        let shop = Shop::open(world, "restart").await;
        let metrics = shop.world.metrics.clone();
        let first = std::sync::atomic::AtomicBool::new(true);
        shop.world.player.script(move |_| {
            if first.swap(false, std::sync::atomic::Ordering::SeqCst) {
                return Play::evicted_before_start();
            }
            let metrics = metrics.clone();
            Play::exits(0).and_then(move |_, _| metrics.are(0.1))
        });
        shop.problem("slow-1");
        let status = shop.ended("slow-1", mins(10)).await;
        assert_eq!(end(&status), ("Succeeded", "Healed"));
        assert_eq!(tried(&status), ["restart"]);
        assert_eq!(status.attempts[0].tasks[1].jobs[0].try_, 2);
        assert_eq!(jobs_created(&shop.world).len(), 3);
    });
}

#[test]
fn an_eviction_in_the_middle_is_not_repeated() {
    World::run(async |world: World| {
        let shop = Shop::open(world, "scale").await;
        let metrics = shop.world.metrics.clone();
        shop.world
            .player
            .script(move |job| match mentions(job, "action-restart") {
                true => Play::evicted_after(secs(3)),
                false => {
                    let metrics = metrics.clone();
                    Play::exits(0).and_then(move |_, _| metrics.are(0.1))
                }
            });
        shop.problem("slow-1");
        let status = shop.ended("slow-1", mins(10)).await;
        assert_eq!(tried(&status), ["restart", "scale"]);
        assert_eq!(status.attempts[0].tasks[1].jobs.len(), 1);
        assert_eq!(
            status.attempts[0].tasks[1].jobs[0].try_, 1,
            "it may have done its work"
        );
    });
}

#[test]
fn an_injected_sidecar_does_not_keep_the_task() {
    World::run(async |world: World| {
        let shop = Shop::open(world, "restart").await;
        let metrics = shop.world.metrics.clone();
        shop.world.player.script(move |_| {
            let metrics = metrics.clone();
            Play::exits(0)
                .with_sidecar()
                .and_then(move |_, _| metrics.are(0.1))
        });
        shop.problem("slow-1");
        let status = shop.ended("slow-1", mins(5)).await;
        assert_eq!(end(&status), ("Succeeded", "Healed"));
        shop.world.sleep(mins(3)).await;
        assert!(
            jobs(&shop.world).is_empty(),
            "Jobs that never end are deleted: {:?}",
            jobs(&shop.world)
        );
    });
}

/// A run that ends with its last Job is not there any more when the minute is over.
#[test]
fn an_injected_sidecar_is_not_left_behind_by_the_end_of_the_run() {
    World::run(async |world: World| {
        let (before, rest) = SHOP.split_once("          triggeredOn:").unwrap();
        let (_, others) = rest.split_once("---\n").unwrap();
        let tasks = "          tasks: [{name: get-action}, {name: action}]\n---\n";
        let shop = Shop::open_with(world, &format!("{before}{tasks}{others}"), "restart").await;
        shop.world.player.script(|_| Play::exits(0).with_sidecar());
        shop.problem("slow-1");
        let status = shop.ended("slow-1", mins(5)).await;
        assert_eq!(status.phase, "Succeeded", "{}", status.message);
        shop.world.sleep(secs(50)).await;
        assert_eq!(jobs(&shop.world).len(), 1, "the sidecar has its minute");
        shop.world.sleep(mins(1)).await;
        assert!(jobs(&shop.world).is_empty(), "{:?}", jobs(&shop.world));
    });
}

#[test]
fn a_job_that_hangs_is_ended_by_its_deadline() {
    World::run(async |world: World| {
        let shop = Shop::open(world, "scale").await;
        let metrics = shop.world.metrics.clone();
        shop.world
            .player
            .script(move |job| match mentions(job, "action-restart") {
                true => Play::hangs(),
                false => {
                    let metrics = metrics.clone();
                    Play::exits(0).and_then(move |_, _| metrics.are(0.1))
                }
            });
        shop.problem("slow-1");
        let status = shop.ended("slow-1", mins(20)).await;
        assert_eq!(tried(&status), ["restart", "scale"]);
        assert_eq!(status.attempts[0].tasks[1].reason, "TimedOut");
        shop.world.sleep(secs(5)).await;
        assert!(
            !shop
                .world
                .list::<Job>()
                .iter()
                .any(|j| mentions(j, "action-restart"))
        );
    });
}

#[test]
fn a_job_that_fails_is_believed_when_the_job_says_so() {
    World::run(async |world: World| {
        let shop = Shop::open(world, "scale").await;
        let metrics = shop.world.metrics.clone();
        shop.world
            .player
            .script(move |job| match mentions(job, "locust") {
                true => Play::exits(1).saying("{\"result\":\"warning\",\"message\":\"12 of 900 failed\"}"),
                false => {
                    let metrics = metrics.clone();
                    Play::exits(0).and_then(move |_, _| metrics.are(0.1))
                }
            });
        shop.problem("slow-1");
        let status = shop.ended("slow-1", mins(20)).await;
        let test = &status.attempts[0].tasks[2];
        assert_eq!(test.jobs[0].exit_code, Some(1), "{test:?}");
        assert!(test.message.contains("12 of 900 failed"), "{}", test.message);
    });
}

#[test]
fn four_jobs_in_a_row_wait_for_no_job_status() {
    World::run(async |world: World| {
        let shop = Shop::open(world, "restart").await;
        let metrics = shop.world.metrics.clone();
        shop.world.player.script(move |_| {
            let metrics = metrics.clone();
            Play::exits(0)
                .job_tells_after(secs(30))
                .and_then(move |_, _| metrics.are(0.1))
        });
        shop.problem("slow-1");
        let status = shop.ended("slow-1", mins(5)).await;
        let action = &status.attempts[0].tasks[1];
        let test = &status.attempts[0].tasks[2];
        let gap = test
            .started_at
            .as_ref()
            .unwrap()
            .0
            .duration_since(action.finished_at.as_ref().unwrap().0);
        assert!(gap.as_millis() < 50, "{gap:?}");
        let created = shop.world.list::<Job>();
        let created = created
            .iter()
            .find(|j| j.name_any() == test.jobs[0].name)
            .unwrap()
            .creation_timestamp();
        let _ = created;
        let took = test
            .finished_at
            .as_ref()
            .unwrap()
            .0
            .duration_since(status.started_at.unwrap().0);
        assert!(took.as_millis() < 6000, "two Jobs of 2.5 s took {took:?}");
    });
}
