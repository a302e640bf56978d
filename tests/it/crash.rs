//! The operator crashes before and after every single write of a run, and comes back: the end is the same, no Job is
//! created twice, no attempt is lost.

use std::{rc::Rc, time::Duration};

use coxswain::{
    api::{Evaluation, ProblemEvent, SequenceExecution},
    testing::{CrashPoint, Play, Scenario, World, crash::Told, player::mentions},
};
use futures::FutureExt;
use k8s_openapi::api::batch::v1::Job;
use kube::ResourceExt;
use rstest::rstest;

use crate::scenarios::{coxswain, jobs_created, over, run_of, secs};

/// What must not depend on crashes.
#[derive(Debug, Eq, PartialEq)]
pub struct Outcome {
    problem: String,
    phase: String,
    reason: String,
    message: String,
    payload: String,
    /// Each attempt: number, action, result.
    attempts: Vec<(i32, Option<String>, Option<String>)>,
    /// Each task: attempt, name, state, result, reason.
    tasks: Vec<(i32, String, String, Option<String>, String)>,
    actions_started: usize,
    /// The names of the Jobs that there are, and that the operator created.
    jobs: Vec<String>,
    created: Vec<String>,
    /// How often containers ran.
    ran: usize,
    evaluations: Vec<(String, Option<String>)>,
    runs: usize,
}

pub fn outcome(world: &World) -> Outcome {
    let run = run_of(world, "slow-1").expect("a run");
    let status = run.status.unwrap_or_default();
    let mut created = jobs_created(world);
    created.sort();
    let mut payload = serde_json::to_value(&status.payload).unwrap();
    for (of, time) in [
        ("evaluation", "timeStart"),
        ("evaluation", "timeEnd"),
        ("test", "start"),
        ("test", "end"),
    ] {
        payload[of].as_object_mut().map(|o| o.remove(time));
    }
    let task = |number: i32| {
        move |t: &coxswain::api::execution::TaskStatus| {
            (
                number,
                t.name.clone(),
                t.state.clone(),
                t.result.clone(),
                t.reason.clone(),
            )
        }
    };
    Outcome {
        problem: world
            .get::<ProblemEvent>("slow-1")
            .and_then(|p| p.status)
            .unwrap_or_default()
            .phase,
        phase: status.phase,
        reason: status.reason,
        message: status.message,
        payload: payload.to_string(),
        attempts: status
            .attempts
            .iter()
            .map(|a| (a.number, a.action.clone(), a.result.clone()))
            .collect(),
        tasks: status
            .attempts
            .iter()
            .flat_map(|a| a.tasks.iter().map(task(a.number)))
            .collect(),
        actions_started: status.actions_started.len(),
        jobs: world.list::<Job>().iter().map(ResourceExt::name_any).collect(),
        ran: created.len(),
        created,
        evaluations: world
            .list::<Evaluation>()
            .iter()
            .map(|e| (e.name_any(), e.status.as_ref().and_then(|s| s.result.clone())))
            .collect(),
        runs: world.list::<SequenceExecution>().len(),
    }
}

/// A tutorial's project and its problem, in the namespace of the stories.
fn tutorial(files: &[&str], project: &str) -> String {
    let all = files
        .join("\n---\n")
        .replace(&format!("namespace: {project}\n"), "namespace: demo\n");
    let problem = crate::scenarios::problem("slow-1", "http_response_time_seconds_main_page_sum");
    let problem = problem.replace("project: shop", &format!("project: {project}"));
    format!(
        "{all}\n---\n{}",
        problem.replace("service: cart", "service: helloservice")
    )
}

macro_rules! example {
    ($directory:literal, $project:literal) => {
        tutorial(
            &[
                include_str!(concat!("../../examples/tutorial/", $directory, "shipyard.yaml")),
                include_str!(concat!(
                    "../../examples/tutorial/",
                    $directory,
                    "remediation.yaml"
                )),
                include_str!(concat!("../../examples/tutorial/", $directory, "jobconfig.yaml")),
                include_str!(concat!("../../examples/tutorial/", $directory, "slo.yaml")),
                include_str!(concat!("../../examples/tutorial/", $directory, "sli.yaml")),
                include_str!(concat!(
                    "../../examples/tutorial/",
                    $directory,
                    "metricsprovider.yaml"
                )),
            ],
            $project,
        )
    };
}

const BESIDES: &str = r#"
apiVersion: v1
kind: ServiceAccount
metadata: {name: jes-deploy-using-helm, annotations: {coxswain.dev/allowed: "true"}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: helloservice-chart}
binaryData: {helloservice.tgz: AAAA}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: helloservice-locust}
data: {basic.py: "", locust.conf: ""}
"#;

/// The service is healed as soon as it has this many replicas.
fn story(definitions: String, enough: u32, away: Duration) -> Scenario<Outcome> {
    Scenario {
        setup: Rc::new(move |world: &World| {
            world.apply(BESIDES);
            world.apply(&definitions);
            measure(world, 1);
            let metrics_of = world.clone();
            world.player.script(move |job| {
                let world = metrics_of.clone();
                let scales = mentions(job, "helm");
                Play::exits(0)
                    .saying(r#"{"message":"done","data":{"said":"so"}}"#)
                    .and_then(move |_, job| {
                        if scales {
                            measure(&world, if replicas(job) >= enough { 2 } else { 1 });
                        }
                    })
            });
        }),
        operator: Rc::new(|seat, world: &World| coxswain(seat, world.metrics.clone()).boxed()),
        story: Rc::new(|world: World| {
            async move {
                over(&world, "slow-1").await;
                world.sleep(secs(120)).await;
            }
            .boxed_local()
        }),
        away,
        outcome: Rc::new(outcome),
    }
}

/// Sick with one replica, well with two.
fn measure(world: &World, replicas: u32) {
    let time = if replicas > 1 { 0.1 } else { 1.2 };
    world.metrics.answer(move |query, _| {
        Ok(coxswain::facts::metrics::Sample::Value(match query {
            q if q.contains("code!=") => 0.0,
            q if q.contains("http_response_time") => time,
            _ => 25.0,
        }))
    });
}

fn replicas(job: &Job) -> u32 {
    let pod = job.spec.as_ref().unwrap().template.spec.as_ref().unwrap();
    let env = pod.containers[0]
        .env
        .iter()
        .flatten()
        .find(|e| e.name == "REPLICA_COUNT");
    env.and_then(|e| e.value.as_ref())
        .expect("REPLICA_COUNT")
        .parse()
        .unwrap()
}

/// Notes what a telling has other than the golden one.
fn compare(golden: &Told<Outcome>, told: &Told<Outcome>, differences: &mut Vec<String>) {
    let mut created = told.outcome.created.clone();
    created.dedup();
    if created != told.outcome.created {
        differences.push(format!(
            "{:?} at {:?}: a Job was created twice: {created:?}",
            told.crashes, told.at
        ));
    } else if told.outcome != golden.outcome {
        let (a, b) = (format!("{:#?}", golden.outcome), format!("{:#?}", told.outcome));
        let lines = a.lines().zip(b.lines()).filter(|(a, b)| a != b).take(4);
        let lines: Vec<_> = lines
            .map(|(a, b)| format!("  expected {}\n  found    {}", a.trim(), b.trim()))
            .collect();
        differences.push(format!(
            "{:?} at {:?}:\n{}",
            told.crashes,
            told.at,
            lines.join("\n")
        ));
    }
}

pub fn survives_everywhere(story: &Scenario<Outcome>, at_least: usize) {
    let mut differences = vec![];
    let tellings = story.crash_everywhere(|golden, told| compare(golden, told, &mut differences));
    assert!(
        differences.is_empty(),
        "{} of {tellings} differ:\n{}",
        differences.len(),
        differences.join("\n")
    );
    assert!(tellings >= at_least, "{tellings}");
}

#[test]
fn the_golden_runs_are_as_the_tutorial_says() {
    let told = story(example!("", "fulltour"), 2, secs(3)).tell(&[]);
    assert_eq!(
        (told.outcome.phase.as_str(), told.outcome.problem.as_str()),
        ("Succeeded", "Healed")
    );
    assert_eq!((told.outcome.attempts.len(), told.outcome.ran), (1, 2));
    let told = story(example!("escalation/", "escalation"), 4, secs(3)).tell(&[]);
    assert_eq!(
        (told.outcome.phase.as_str(), told.outcome.problem.as_str()),
        ("Succeeded", "Healed")
    );
    assert_eq!((told.outcome.attempts.len(), told.outcome.ran), (2, 4));
    let told = story(example!("control/", "control"), 2, secs(3)).tell(&[]);
    assert_eq!(
        (told.outcome.phase.as_str(), told.outcome.problem.as_str()),
        ("Exhausted", "Exhausted")
    );
}

#[rstest]
#[case::at_once(secs(0))]
#[case::soon(secs(3))]
#[case::after_a_minute(secs(70))]
fn the_tutorial_survives_a_crash_at_every_write(#[case] away: Duration) {
    survives_everywhere(&story(example!("", "fulltour"), 2, away), 30);
}

#[test]
fn the_escalation_survives_a_crash_at_every_write() {
    survives_everywhere(&story(example!("escalation/", "escalation"), 4, secs(3)), 60);
}

/// Two crashes: the second one a few writes after the first.
#[test]
fn the_tutorial_survives_two_crashes() {
    let story = story(example!("", "fulltour"), 2, secs(1));
    let golden = story.tell(&[]);
    let mut differences = vec![];
    for first in 1..=golden.writes {
        let second = first + 1 + first % 3;
        let point = |write: usize, after: bool| CrashPoint { write, after };
        let told = story.tell(&[point(first, first % 2 == 0), point(second, first % 3 == 0)]);
        compare(&golden, &told, &mut differences);
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}
