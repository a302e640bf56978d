//! get-action and evaluation as Jobs of the operator's own image: the same story as with the built-ins.

use coxswain::{
    api::Evaluation,
    cli::task::Worker,
    core::jobs::result::{self, Outcome},
    facts::clock::Clock,
    testing::{ApiServer, World, world::NAMESPACE},
};

use super::*;

/// Jobs for both built-ins; the evaluation's may take so many seconds.
fn with_jobs(seconds: u32) -> String {
    format!(
        "{SHOP}---
apiVersion: coxswain.dev/v1alpha1
kind: JobConfig
metadata: {{name: built-ins}}
spec:
  project: shop
  actions:
    - name: Choose
      events: [{{name: sh.keptn.event.get-action.triggered}}]
      tasks: [{{name: get-action, image: coxswain}}]
    - name: Evaluate
      events: [{{name: sh.keptn.event.evaluation.triggered}}]
      tasks: [{{name: evaluation, image: coxswain, maxPollDuration: {seconds}}}]
"
    )
}

/// What `coxswain task` does in its container, from what the Job's environment says.
async fn task(server: ApiServer, clock: Clock, job: Job) -> (i32, String) {
    let pod = job.spec.unwrap().template.spec.unwrap();
    let container = pod.containers.into_iter().next().unwrap();
    let env = |name: &str| {
        let of = container.env.iter().flatten().find(|e| e.name == name);
        of.and_then(|e| e.value.clone()).unwrap()
    };
    let worker = Worker {
        client: server.client("job"),
        clock,
        namespace: NAMESPACE.to_owned(),
        execution: env("COXSWAIN_EXECUTION"),
        key: env("COXSWAIN_KEY"),
    };
    let evaluates = job.metadata.name.unwrap().contains("-evaluation-");
    let outcome: Outcome = if evaluates {
        worker.evaluation().await
    } else {
        worker.get_action().await
    };
    (i32::from(outcome.errored), result::report(&outcome).unwrap())
}

/// The shop with both built-ins as Jobs, in which `healer` heals.
async fn open(world: World, healer: &'static str, seconds: u32) -> Shop {
    let shop = Shop::open_with(world, &with_jobs(seconds), healer).await;
    let (metrics, clock) = (shop.world.metrics.clone(), shop.world.clock);
    shop.world.player.script(move |job| {
        let heals = mentions(job, &format!("action-{healer}"));
        let metrics = metrics.clone();
        if mentions(job, "\"image\":\"coxswain\"") {
            return Play::works(move |server, job| task(server, clock, job));
        }
        Play::exits(0).and_then(move |_, _| {
            if heals {
                metrics.are(0.1);
            }
        })
    });
    shop
}

/// What the operator itself does in the same world: actions, and results and scores of the evaluations.
async fn built_in(world: World, healer: &'static str) -> (Vec<String>, Vec<(Option<String>, Option<f64>)>) {
    let shop = Shop::open(world, healer).await;
    shop.problem("slow-1");
    let status = shop.ended("slow-1", mins(15)).await;
    story(&status)
}

fn story(status: &SequenceExecutionStatus) -> (Vec<String>, Vec<(Option<String>, Option<f64>)>) {
    let verdicts = status.attempts.iter().map(|a| (a.result.clone(), a.score));
    (tried(status), verdicts.collect())
}

#[test]
fn with_all_four_tasks_as_jobs_the_second_action_heals() {
    let expected = World::run(async |world: World| built_in(world, "scale").await);
    World::run(async |world: World| {
        let shop = open(world, "scale", 600).await;
        shop.problem("slow-1");
        let status = shop.ended("slow-1", mins(15)).await;
        assert_eq!(end(&status), ("Succeeded", "Healed"), "{}", status.message);
        assert_eq!(story(&status), expected, "as with the built-ins");
        assert_eq!(jobs_created(&shop.world).len(), 8, "four an attempt");
        let evaluations = shop.world.list::<Evaluation>();
        assert_eq!(evaluations.len(), 2);
        let run = run_of(&shop.world, "slow-1").unwrap();
        for (evaluation, attempt) in evaluations.iter().zip(&status.attempts) {
            let spec = &evaluation.spec;
            assert_eq!(spec.execution.as_ref().unwrap().uid, run.metadata.uid);
            assert_eq!(spec.attempt, Some(attempt.number));
            assert_eq!(spec.objective_name.as_deref(), Some("cart"));
            assert_eq!(
                spec.window.as_ref().map(|w| &w.start),
                attempt.tasks[1].finished_at.as_ref(),
                "only what came after the action is measured"
            );
            let name = coxswain::core::names::evaluation_name(
                &run.name_any(),
                run.metadata.uid.as_deref().unwrap(),
                attempt.number,
                3,
                1,
            );
            assert_eq!(
                evaluation.name_any(),
                name,
                "the name that the operator would give it"
            );
        }
    });
}

#[test]
fn when_the_job_finds_no_action_left_the_run_is_exhausted() {
    let expected = World::run(async |world: World| built_in(world, "nothing").await);
    World::run(async |world: World| {
        let shop = open(world, "nothing", 600).await;
        shop.problem("slow-1");
        let status = shop.ended("slow-1", mins(15)).await;
        assert_eq!(end(&status), ("Exhausted", "NoActionLeft"), "{}", status.message);
        assert_eq!(story(&status), expected, "as with the built-ins");
    });
}

#[test]
fn a_job_that_could_not_measure_asks_again_and_does_not_escalate() {
    World::run(async |world: World| {
        let shop = open(world, "restart", 900).await;
        shop.world.metrics.are_unavailable("connection refused");
        shop.world.player.script({
            let clock = shop.world.clock;
            move |job| match mentions(job, "\"image\":\"coxswain\"") {
                true => Play::works(move |server, job| task(server, clock, job)),
                false => Play::exits(0),
            }
        });
        shop.problem("slow-1");
        let status = shop.ended("slow-1", mins(30)).await;
        assert_eq!(
            end(&status),
            ("Inconclusive", "Inconclusive"),
            "{}",
            status.message
        );
        assert!(
            status.message.contains("connection refused"),
            "{}",
            status.message
        );
        assert_eq!(tried(&status), ["restart"], "no further action");
        let asked = shop.world.list::<Evaluation>().len();
        assert!((3..10).contains(&asked), "asked {asked} times");
    });
}

#[test]
fn a_job_that_has_no_time_for_its_window_says_what_to_do() {
    World::run(async |world: World| {
        let shop = open(world, "restart", 30).await;
        shop.problem("slow-1");
        let status = shop.ended("slow-1", mins(15)).await;
        assert_eq!(
            end(&status),
            ("Inconclusive", "DeadlineTooShort"),
            "{}",
            status.message
        );
        assert!(
            status.message.contains("raise maxPollDuration"),
            "{}",
            status.message
        );
        assert!(shop.world.list::<Evaluation>().is_empty());
    });
}
