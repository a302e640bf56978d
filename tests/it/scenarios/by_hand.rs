//! What other hands do to the loop's objects, and what becomes of operators that were away.

use coxswain::{
    api::{Evaluation, JobConfig, ProblemEvent, Remediation, SequenceExecution, Shipyard},
    testing::{Call, Fault, Verb, World},
};
use k8s_openapi::api::core::v1::Pod;

use super::*;

#[test]
fn a_job_deleted_by_hand_is_lost_and_escalates() {
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
        let task = shop.task("slow-1", "action", "Running", mins(1)).await;
        shop.world.server.delete::<Job>("demo", &task.jobs[0].name);
        shop.until("slow-1", "lost", secs(30), |s| {
            find_task(s, "action").is_some_and(|t| t.state == "Lost")
        })
        .await;
        let status = shop.ended("slow-1", mins(10)).await;
        assert_eq!(end(&status), ("Succeeded", "Healed"));
        assert_eq!(status.attempts[0].tasks[1].reason, "Lost");
        assert_eq!(jobs_created(&shop.world).len(), 3, "it was not created anew");
    });
}

#[test]
fn a_job_deleted_before_its_container_started_is_not_created_twice() {
    World::run(async |world: World| {
        let shop = Shop::open(world, "nothing").await;
        shop.world
            .player
            .script(|_| Play::never_starts("ContainerCreating", ""));
        shop.problem("slow-1");
        shop.world
            .wait_until("created", mins(1), |w| !jobs(w).is_empty())
            .await;
        shop.world.sleep(secs(1)).await;
        let name = jobs(&shop.world)[0].clone();
        shop.world.server.delete::<Job>("demo", &name);
        shop.world.sleep(mins(1)).await;
        let created = jobs_created(&shop.world);
        assert_eq!(created.iter().filter(|n| **n == name).count(), 1, "{created:?}");
    });
}

#[test]
fn a_pod_deleted_by_hand_fails_the_task() {
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
        shop.task("slow-1", "action", "Running", mins(1)).await;
        let pod = shop.world.list::<Pod>()[0].name_any();
        shop.world.server.delete::<Pod>("demo", &pod);
        let status = shop.ended("slow-1", mins(10)).await;
        assert_eq!(end(&status), ("Succeeded", "Healed"));
        assert_eq!(status.attempts[0].tasks[1].result.as_deref(), Some("fail"));
        assert!(!status.attempts[0].tasks[1].message.is_empty());
    });
}

#[test]
fn definitions_deleted_in_the_middle_change_nothing_in_this_attempt() {
    World::run(async |world: World| {
        let shop = Shop::open(world, "restart").await;
        shop.problem("slow-1");
        shop.task("slow-1", "action", "Running", mins(1)).await;
        let server = &shop.world.server;
        assert!(server.delete::<JobConfig>("demo", "cart"));
        assert!(server.delete::<Remediation>("demo", "cart"));
        assert!(server.delete::<Shipyard>("demo", "shop"));
        let status = shop.ended("slow-1", mins(10)).await;
        assert_eq!(end(&status), ("Succeeded", "Healed"));
    });
}

#[test]
fn without_its_jobconfig_the_next_attempt_says_what_is_missing() {
    World::run(async |world: World| {
        let shop = Shop::open(world, "scale").await;
        shop.problem("slow-1");
        shop.until("slow-1", "waiting", mins(5), |s| s.reason == "RetryAfter")
            .await;
        shop.world.server.delete::<JobConfig>("demo", "cart");
        let status = shop.ended("slow-1", mins(10)).await;
        assert!(
            matches!(status.phase.as_str(), "Failed" | "Exhausted"),
            "{}",
            status.phase
        );
        assert!(
            status.message.contains("sh.keptn.event.action.triggered") || status.message.contains("action")
        );
    });
}

#[test]
fn a_mended_jobconfig_takes_effect_with_the_next_attempt() {
    World::run(async |world: World| {
        let shop = Shop::open(world, "scale").await;
        shop.world.player.script(|_| Play::exits(1));
        shop.problem("slow-1");
        shop.until("slow-1", "waiting", mins(5), |s| s.reason == "RetryAfter")
            .await;
        shop.world.edit::<JobConfig>("cart", |config| {
            config.spec.actions[1].tasks[0].image = "mended".to_owned()
        });
        heals(&shop.world, "scale");
        let status = shop.ended("slow-1", mins(10)).await;
        assert_eq!(end(&status), ("Succeeded", "Healed"));
        assert!(shop.world.list::<Job>().iter().any(|j| mentions(j, "mended")));
    });
}

#[test]
fn an_execution_deleted_in_the_middle_takes_its_job_and_frees_the_place() {
    World::run(async |world: World| {
        let shop = Shop::open(world, "restart").await;
        shop.world.player.script(|_| Play::hangs());
        shop.problem("first");
        shop.task("first", "action", "Running", mins(1)).await;
        heals(&shop.world, "restart");
        shop.world.apply(&problem("second", "errors"));
        shop.until("second", "queued", secs(5), |s| s.phase == "Queued")
            .await;
        let name = run_of(&shop.world, "first").unwrap().name_any();
        shop.world.server.delete::<SequenceExecution>("demo", &name);
        let status = shop.ended("second", mins(15)).await;
        assert_eq!(end(&status), ("Succeeded", "Healed"));
        assert!(shop.world.get::<SequenceExecution>(&name).is_none());
        shop.world.sleep(mins(1)).await;
        assert!(
            shop.problem_status("first").done,
            "{:?}",
            shop.problem_status("first")
        );
    });
}

#[test]
fn a_problem_deleted_in_the_middle_takes_everything_with_it() {
    World::run(async |world: World| {
        let shop = Shop::open(world, "restart").await;
        shop.world.player.script(|_| Play::hangs());
        shop.problem("first");
        shop.task("first", "action", "Running", mins(1)).await;
        shop.world.server.delete::<ProblemEvent>("demo", "first");
        shop.world.sleep(secs(10)).await;
        assert!(shop.world.list::<SequenceExecution>().is_empty() && jobs(&shop.world).is_empty());
        let before = shop.world.server.writes().len();
        shop.world.sleep(hours(1)).await;
        assert_eq!(shop.world.server.writes().len(), before);
    });
}

#[test]
fn an_evaluation_deleted_by_hand_is_made_anew_or_inconclusive() {
    World::run(async |world: World| {
        let shop = Shop::open(world, "restart").await;
        shop.world.metrics.are_unavailable("connection refused");
        shop.problem("slow-1");
        shop.world
            .wait_until("an Evaluation", mins(5), |w| !w.list::<Evaluation>().is_empty())
            .await;
        let name = shop.world.list::<Evaluation>()[0].name_any();
        shop.world.server.delete::<Evaluation>("demo", &name);
        shop.world.metrics.are(0.1);
        let status = shop.ended("slow-1", hours(1)).await;
        assert_eq!(tried(&status), ["restart"], "no further action");
        assert_eq!(status.phase, "Succeeded", "{}", status.message);
    });
}

#[test]
fn a_status_written_by_another_hand_makes_nothing_spin() {
    World::run(async |world: World| {
        let shop = Shop::open(world, "restart").await;
        shop.problem("slow-1");
        shop.task("slow-1", "action", "Running", mins(1)).await;
        let name = run_of(&shop.world, "slow-1").unwrap().name_any();
        shop.world
            .server
            .edit_status::<SequenceExecution>("demo", &name, |run| {
                let status = run.status.as_mut().unwrap();
                status.phase = "Dancing".to_owned();
                status.attempts[0].tasks.truncate(2);
                status.plan = None;
            });
        shop.world.apply(&problem("other", "errors"));
        shop.world.sleep(hours(2)).await;
        let writes = writes(&shop.world).len();
        assert!(writes < 60, "{writes} writes");
        let other = status(&shop.world, "other");
        assert!(other.done, "others go on: {} {}", other.phase, other.message);
    });
}

#[test]
fn an_emptied_status_leads_to_no_second_job() {
    World::run(async |world: World| {
        let shop = Shop::open(world, "restart").await;
        shop.problem("slow-1");
        shop.task("slow-1", "action", "Running", mins(1)).await;
        let name = run_of(&shop.world, "slow-1").unwrap().name_any();
        shop.world
            .server
            .edit_status::<SequenceExecution>("demo", &name, |run| run.status = None);
        shop.ended("slow-1", hours(1)).await;
        let mut created = jobs_created(&shop.world);
        created.sort();
        let all = created.len();
        created.dedup();
        assert_eq!(created.len(), all, "each Job once");
    });
}

#[test]
fn an_operator_that_was_away_for_hours_finds_the_verdict_in_time() {
    World::run(async |world: World| {
        let shop = Shop::open(world, "restart").await;
        shop.problem("slow-1");
        shop.task("slow-1", "action", "Running", mins(1)).await;
        shop.operator.crash();
        let world = shop.world;
        // The Job ended long ago and is gone: nobody knows how it ended.
        world.sleep(hours(3)).await;
        for name in jobs(&world) {
            world.server.delete::<Job>("demo", &name);
        }
        world.sleep(secs(1)).await;
        let shop = Shop {
            operator: start(&world, "operator-2"),
            world,
        };
        let status = shop.ended("slow-1", hours(1)).await;
        assert!(status.done);
        let mut created = jobs_created(&shop.world);
        let all = created.len();
        created.sort();
        created.dedup();
        assert_eq!(created.len(), all, "no Job of that name again");
        assert_eq!(
            status.attempts[0].tasks[1].reason, "Lost",
            "{:?}",
            status.attempts[0].tasks[1]
        );
    });
}

#[test]
fn an_operator_that_was_away_reads_what_was_said() {
    World::run(async |world: World| {
        let shop = Shop::open(world, "restart").await;
        let said = "{\"result\":\"warning\",\"message\":\"half of it\"}";
        shop.world.player.script(move |_| Play::exits(0).saying(said));
        shop.problem("slow-1");
        shop.task("slow-1", "action", "Running", mins(1)).await;
        shop.operator.crash();
        let world = shop.world;
        world.metrics.are(0.1);
        world.sleep(mins(5)).await;
        // Its pods come late.
        world
            .server
            .on_request(|call: &Call| match (call.verb, call.resource.as_str()) {
                (Verb::List, "pods") => Fault::Delay(secs(3)),
                _ => Fault::Proceed,
            });
        let shop = Shop {
            operator: start(&world, "operator-2"),
            world,
        };
        let status = shop.ended("slow-1", mins(10)).await;
        let task = &status.attempts[0].tasks[1];
        assert_eq!(task.result.as_deref(), Some("warning"), "{task:?}");
        let ended = task.jobs[0].finished_at.as_ref().unwrap().0;
        let late = ended.duration_since(task.started_at.as_ref().unwrap().0);
        assert!(
            late.as_secs() < 10,
            "it ended {late:?} after its start, whenever that was seen"
        );
    });
}

#[test]
fn a_problem_that_nobody_saw_for_hours_is_not_replayed() {
    World::run(async |world: World| {
        let shop = Shop::open(world, "restart").await;
        shop.operator.crash();
        shop.problem("slow-1");
        let world = shop.world;
        world.sleep(hours(2)).await;
        let shop = Shop {
            operator: start(&world, "operator-2"),
            world,
        };
        shop.world.sleep(mins(1)).await;
        assert_eq!(shop.problem_status("slow-1").phase, "Expired");
        assert!(jobs_created(&shop.world).is_empty());
    });
}

#[test]
fn a_wait_is_kept_over_a_restart() {
    World::run(async |world: World| {
        let shop = Shop::open(world, "scale").await;
        shop.problem("slow-1");
        let waiting = shop
            .until("slow-1", "waiting", mins(5), |s| s.reason == "RetryAfter")
            .await;
        shop.operator.crash();
        let world = shop.world;
        world.sleep(secs(60)).await;
        let shop = Shop {
            operator: start(&world, "operator-2"),
            world,
        };
        let status = shop.ended("slow-1", mins(10)).await;
        let late = status.attempts[1]
            .started_at
            .as_ref()
            .unwrap()
            .0
            .duration_since(waiting.next_attempt_at.unwrap().0);
        assert!((0..2).contains(&late.as_secs()), "{late:?}");
    });
}
