//! What the operator takes when nothing happens: in an empty cluster, and with thousands of runs.

use std::time::Duration;

use coxswain::api::{Evaluation, EvaluationStatus, SequenceExecution, execution::SequenceExecutionStatus};
use futures::{StreamExt, stream};
use kube::{Api, ResourceExt, api::PostParams, runtime::watcher};
use serde_json::json;

use super::{
    figure,
    operator::{self, Process},
};
use crate::cluster::harness::{Cluster, kubectl};

const NAMESPACE: &str = "bench-memory";
const FINISHED: usize = 10_000;
const LIVE: usize = 1_000;
/// The payload repeats a run's data, so a run of this data is an object of 8 KiB.
const DATA: usize = 4 << 10;
/// So many verdicts of one service are kept.
const KEPT: usize = 20;
const AT_ONCE: usize = 48;
/// So long nothing may be written.
const QUIET: Duration = Duration::from_secs(60);

#[tokio::test]
#[ignore = "a measurement (make bench)"]
async fn memory_and_quiet() {
    let cluster = operator::cluster(NAMESPACE).await;
    let operator = Process::start().await;
    quiet("an empty cluster", &operator, 20.0).await;
    drop(operator);

    finished(&cluster).await;
    live(&cluster).await;
    let operator = Process::start().await;
    all_paused(&cluster).await;
    let what = format!("{LIVE} live runs of 8 KiB, {FINISHED} finished ones and {FINISHED} Evaluations");
    quiet(&what, &operator, 64.0).await;
}

/// Watches for a while how nothing happens.
async fn quiet(what: &str, operator: &Process, limit: f64) {
    settled(operator).await;
    operator.record.clear();
    let worked = operator.processor_time();
    tokio::time::sleep(QUIET).await;
    let worked = operator.processor_time() - worked;
    let writes = operator.record.all();
    let resident = operator.resident();
    let row = format!(
        "{resident:.1} MiB resident; in {} s {} writes, {} ms of processor time",
        QUIET.as_secs(),
        writes.len(),
        worked.as_millis()
    );
    figure(&format!("idle with {what}"), &row);
    assert!(writes.is_empty(), "idle means no writes: {writes:?}");
    assert!(resident < limit, "design: under {limit} MiB");
}

/// Waits until the operator has written nothing for five seconds.
async fn settled(operator: &Process) {
    let quiet = async {
        let mut before = usize::MAX;
        loop {
            let now = operator.record.all().len();
            if now == before {
                return;
            }
            before = now;
            tokio::time::sleep(Duration::from_secs(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(300), quiet)
        .await
        .expect("the operator comes to rest within 5 minutes");
}

/// Runs and verdicts of the past.
async fn finished(cluster: &Cluster) {
    let runs = cluster.api::<SequenceExecution>(NAMESPACE);
    let verdicts = cluster.api::<Evaluation>(NAMESPACE);
    let each = stream::iter(0..FINISHED).map(|n| {
        let (runs, verdicts) = (runs.clone(), verdicts.clone());
        async move {
            let mut run = create(&runs, run(&format!("old-{n}"), 64, "Run")).await;
            run.status = Some(SequenceExecutionStatus {
                done: true,
                phase: "Succeeded".to_owned(),
                message: "healed by scale in attempt 1".to_owned(),
                ..SequenceExecutionStatus::default()
            });
            write_status(&runs, &run).await;
            let window = json!({"start": "2026-01-01T00:00:00.000000Z", "end": "2026-01-01T00:01:00.000000Z"});
            let verdict = json!({"metadata": {"name": format!("old-{n}")},
                "spec": {"project": "bench", "stage": "dev", "service": format!("cart-{}", n / KEPT), "window": window}});
            let mut verdict = create(&verdicts, serde_json::from_value(verdict).unwrap()).await;
            verdict.status = Some(EvaluationStatus {
                done: true,
                result: Some("pass".to_owned()),
                ..EvaluationStatus::default()
            });
            write_status(&verdicts, &verdict).await;
        }
    });
    each.buffer_unordered(AT_ONCE).collect::<Vec<_>>().await;
}

/// Runs that wait for somebody to let them go on.
async fn live(cluster: &Cluster) {
    let shipyard = json!({"apiVersion": "coxswain.dev/v1alpha1", "kind": "Shipyard", "metadata": {"name": "bench"},
        "spec": {"stages": [{"name": "dev", "sequences": [{"name": "four", "tasks": [{"name": "one"}]}]}]}});
    kubectl(&["apply", "-n", NAMESPACE, "-f", "-"], &shipyard.to_string());
    let runs = cluster.api::<SequenceExecution>(NAMESPACE);
    let each = stream::iter(0..LIVE).map(|n| create(&runs, run(&format!("live-{n}"), DATA, "Pause")));
    each.buffer_unordered(AT_ONCE).collect::<Vec<_>>().await;
}

fn run(name: &str, data: usize, desired: &str) -> SequenceExecution {
    serde_json::from_value(json!({"metadata": {"name": name}, "spec": {
        "project": "bench", "stage": "dev", "service": name, "sequence": "four",
        "data": {"text": "x".repeat(data)}, "control": {"desired": desired}}}))
    .unwrap()
}

async fn create<K>(api: &Api<K>, object: K) -> K
where
    K: kube::Resource + serde::Serialize + serde::de::DeserializeOwned + Clone + std::fmt::Debug,
{
    api.create(&PostParams::default(), &object).await.unwrap()
}

async fn write_status<K>(api: &Api<K>, object: &K)
where
    K: kube::Resource + serde::Serialize + serde::de::DeserializeOwned + Clone + std::fmt::Debug,
{
    let name = object.name_any();
    api.replace_status(&name, &PostParams::default(), object)
        .await
        .unwrap();
}

/// Waits until every live run shows that the operator has taken it up.
async fn all_paused(cluster: &Cluster) {
    let api = cluster.api::<SequenceExecution>(NAMESPACE);
    let config = watcher::Config::default().fields("status.done!=true");
    let paused = async {
        let mut changes = watcher(api, config).boxed();
        let mut seen = std::collections::HashSet::new();
        while seen.len() < LIVE {
            match changes.next().await.unwrap().unwrap() {
                watcher::Event::Apply(run) | watcher::Event::InitApply(run)
                    if run.status.as_ref().is_some_and(|s| s.phase == "Paused") =>
                {
                    seen.insert(run.name_any());
                }
                _ => {}
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(300), paused)
        .await
        .expect("the operator takes up all runs within 5 minutes");
}
