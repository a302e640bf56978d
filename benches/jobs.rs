//! The Jobs of one event: found among a JobConfig's 50 actions, and made with every check.

#![allow(
    missing_docs,
    clippy::pedantic,
    clippy::unwrap_used,
    reason = "a measurement may panic"
)]

use std::hint::black_box;

use coxswain::{
    api::{SequenceExecution, execution::PinnedJobConfig, shipyard::Task},
    core::jobs::{
        build::{JobInput, build},
        matching::matching,
    },
};
use criterion::{Criterion, criterion_group, criterion_main};
use k8s_openapi::api::batch::v1::Job;
use serde_json::{Value, json};

const ACTIONS: usize = 50;
const JOBS: usize = 3;

/// As many parts of the schema as people would use at once.
fn task(name: &str) -> Value {
    json!({
        "name": name, "image": "registry.example/tools/deploy:4", "cmd": ["deploy"],
        "args": ["--image", "$(IMAGE)", "--replicas", "$(REPLICAS)"], "files": ["charts", "scripts/run.sh"],
        "env": [
            {"name": "IMAGE", "value": "$.data.image", "valueFrom": "event", "pattern": "[a-z0-9.:/-]+"},
            {"name": "REPLICAS", "value": "$.data.action.value", "valueFrom": "event", "pattern": "[0-9]{1,3}"},
            {"name": "SETTINGS", "value": "$.data.settings", "valueFrom": "event", "as": "yaml"},
            {"name": "URL", "value": "$.data.deployment.uris[0]", "valueFrom": "event"},
            {"name": "PASSWORD", "value": "db", "valueFrom": "secret", "key": "password"},
            {"name": "credentials", "valueFrom": "secret"},
            {"name": "MODE", "value": "careful", "valueFrom": "string"},
            {"name": "RUN", "value": "name", "valueFrom": "execution"},
        ],
        "labels": {"team": "shop"}, "nodeSelector": {"pool": "jobs"},
        "tolerations": [{"key": "pool", "operator": "Exists"}],
        "affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution":
            [{"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"app": "cart"}}}]}},
        "volumes": [{"name": "cache", "persistentVolumeClaim": {"claimName": "cache"}}],
        "volumeMounts": [{"name": "cache", "mountPath": "/cache"}],
    })
}

fn config() -> PinnedJobConfig {
    let actions: Vec<Value> = (0..ACTIONS)
        .map(|i| {
            let tasks: Vec<Value> = (0..JOBS).map(|job| task(&format!("job{job}"))).collect();
            json!({"name": format!("action{i}"), "tasks": tasks, "events": [{"name": "sh.keptn.event.action.triggered",
                "jsonpath": {"property": "$.data.action.action", "match": format!("action{i}")}}]})
        })
        .collect();
    serde_json::from_value(json!({
        "name": "cart", "specificity": 3, "actions": actions,
        "sources": [{"path": "charts", "configMap": {"name": "charts"}}, {"path": "scripts", "configMap": {"name": "scripts"}}],
        "keys": {"charts": ["cart.tgz", "values.yaml"], "scripts": ["run.sh"]},
    }))
    .unwrap()
}

fn render(run: &SequenceExecution, task: &Task, configs: &[PinnedJobConfig], event: &Value) -> Vec<Job> {
    let mut jobs = vec![];
    for found in matching(configs, event).unwrap() {
        for job_index in 0..found.action.tasks.len() {
            let input = JobInput {
                execution: run,
                attempt: 1,
                task,
                task_index: 1,
                config: found.config,
                action_index: found.action_index,
                key_index: found.index,
                job_index,
                try_: 1,
                event,
            };
            jobs.push(build(&input).unwrap());
        }
    }
    jobs
}

fn rendering(criterion: &mut Criterion) {
    let run = serde_json::from_value(json!({
        "metadata": {"name": "slow-1", "namespace": "shop", "uid": "5f1c2d3e-0000-4000-8000-000000000001"},
        "spec": {"project": "shop", "stage": "production", "service": "cart", "sequence": "remediation"},
    }))
    .unwrap();
    let task = Task {
        name: "action".to_owned(),
        ..Task::default()
    };
    let configs = [config()];
    let event = json!({"type": "sh.keptn.event.action.triggered", "id": "1", "data": {
        "project": "shop", "stage": "production", "service": "cart", "labels": {"build": "17", "owner": "ann"},
        "image": "registry.example/shop/cart:1.2.3", "action": {"action": format!("action{}", ACTIONS - 1), "value": "2"},
        "settings": {"replicas": 3, "urls": ["https://a", "https://b"]}, "deployment": {"uris": ["https://cart"]},
    }});
    assert_eq!(render(&run, &task, &configs, &event).len(), JOBS);
    criterion.bench_function("jobs/3 of 50 actions", |bencher| {
        bencher.iter(|| render(black_box(&run), &task, black_box(&configs), black_box(&event)));
    });
}

criterion_group!(benches, rendering);
criterion_main!(benches);
