//! One transition of the pure engine: a Job of a sequence of 20 tasks has ended, the next is started.

#![allow(
    missing_docs,
    clippy::pedantic,
    clippy::unwrap_used,
    reason = "a measurement may panic"
)]

use std::hint::black_box;

use coxswain::{
    api::SequenceExecution,
    core::{
        queue::Grant,
        sequence::{AttemptDefinitions, Effect, Facts, RunDefinitions, step},
    },
};
use criterion::{Criterion, criterion_group, criterion_main};
use jiff::Timestamp;
use k8s_openapi::api::{batch::v1::Job, core::v1::Pod};
use serde_json::{Value, json};

const TASKS: usize = 20;
const PAYLOAD: usize = 16 * 1024;

fn now() -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap()
}

/// As much data as a run may be given, in entries of the size that people write.
fn data() -> Value {
    let mut data = serde_json::Map::new();
    for i in 0.. {
        let entry =
            json!({"image": format!("registry.example/shop/cart:{i}"), "replicas": i, "tags": ["a", "b"]});
        data.insert(format!("value{i}"), entry);
        if serde_json::to_string(&data).unwrap().len() > PAYLOAD {
            data.remove(&format!("value{i}"));
            return Value::Object(data);
        }
    }
    unreachable!()
}

fn start() -> (SequenceExecution, Facts) {
    let tasks: Vec<_> = (0..TASKS).map(|i| json!({"name": format!("task{i}")})).collect();
    let actions: Vec<_> = (0..TASKS)
        .map(|i| {
            json!({"name": format!("act{i}"), "events": [{"name": format!("sh.keptn.event.task{i}.triggered")}],
                   "tasks": [{"name": "do", "image": "busybox"}]})
        })
        .collect();
    let run = serde_json::from_value(json!({
        "metadata": {"name": "cart-1", "namespace": "shop", "uid": "uid-1", "generation": 1,
                     "creationTimestamp": now().to_string()},
        "spec": {"project": "shop", "stage": "qa", "service": "cart", "sequence": "delivery", "data": data()},
    }));
    let facts = Facts {
        grant: Some(Grant::Held),
        run: Some(Ok(RunDefinitions {
            sequence: serde_json::from_value(json!({"name": "delivery", "tasks": tasks})).unwrap(),
            ..RunDefinitions::default()
        })),
        attempt: Some(AttemptDefinitions {
            job_configs: vec![
                serde_json::from_value(json!({"name": "jobs", "specificity": 3, "actions": actions}))
                    .unwrap(),
            ],
            ..AttemptDefinitions::default()
        }),
        ..Facts::default()
    };
    (run.unwrap(), facts)
}

/// The Job that is to be created, as it is when its container has ended well.
fn ended(mut job: Job) -> (Job, Pod) {
    let name = job.metadata.name.clone().unwrap();
    job.metadata.uid = Some(format!("uid-{name}"));
    let at = now().to_string();
    let terminated = json!({"exitCode": 0, "startedAt": at, "finishedAt": at});
    let pod = json!({
        "metadata": {"name": format!("{name}-x"), "namespace": "shop", "ownerReferences":
            [{"apiVersion": "batch/v1", "kind": "Job", "name": name, "uid": job.metadata.uid, "controller": true}]},
        "status": {"containerStatuses": [{"name": "task", "image": "", "imageID": "", "ready": false,
            "restartCount": 0, "state": {"terminated": terminated}}]},
    });
    (job, serde_json::from_value(pod).unwrap())
}

/// The run in its middle: ten tasks have ended, the Job of the eleventh just has.
fn middle() -> (SequenceExecution, Facts) {
    let (mut run, mut facts) = start();
    for _ in 0..=TASKS / 2 {
        let decision = step(&run, &facts, now());
        run.status = Some(decision.status);
        for effect in decision.then {
            if let Effect::CreateJob(job) = effect {
                let (job, pod) = ended(*job);
                facts.jobs.insert(job.metadata.name.clone().unwrap(), job);
                facts.pods.push(pod);
            }
        }
    }
    (run, facts)
}

fn transition(criterion: &mut Criterion) {
    let (run, facts) = middle();
    let decision = step(&run, &facts, now());
    let done = decision.status.attempts[0]
        .tasks
        .iter()
        .filter(|t| t.state == "Done")
        .count();
    assert_eq!((done, decision.then.len()), (TASKS / 2 + 1, 1));
    criterion.bench_function("step/20 tasks, 16 KiB", |bencher| {
        bencher.iter(|| step(black_box(&run), black_box(&facts), black_box(now())));
    });
}

criterion_group!(benches, transition);
criterion_main!(benches);
