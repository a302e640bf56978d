//! Four Jobs of `true`, one after the other, in three ways; and how long the operator takes from one to the next.

use std::time::{Duration, Instant};

use coxswain::api::SequenceExecution;
use futures::TryStreamExt;
use http::Method;
use k8s_openapi::api::{batch::v1::Job, core::v1::Pod};
use kube::{
    ResourceExt,
    api::PostParams,
    runtime::{WatchStreamExt, watcher},
};
use serde_json::{Value, json};

use super::{
    figure, median,
    operator::{self, Process},
    proxy::{Passed, Record},
};
use crate::cluster::harness::{Cluster, done, kubectl};

const NAMESPACE: &str = "bench-sequence";
const ROUNDS: usize = 5;
const PATIENCE: Duration = Duration::from_secs(60);
const TASKS: [&str; 4] = ["one", "two", "three", "four"];

#[tokio::test]
#[ignore = "a measurement (make bench)"]
async fn four_jobs() {
    let cluster = operator::cluster(NAMESPACE).await;
    let (mut complete, mut terminated, mut ours, mut latencies) = (vec![], vec![], vec![], vec![]);
    define();
    let operator = Process::start().await;
    for round in 0..=ROUNDS {
        let by_job = by_hand(&cluster, &format!("complete-{round}"), job_is_complete).await;
        let by_pod = by_hand(&cluster, &format!("terminated-{round}"), container_terminated).await;
        operator.record.clear();
        let by_us = by_coxswain(&cluster, &format!("run-{round}")).await;
        // The first round warms everything up.
        if round > 0 {
            complete.push(by_job);
            terminated.push(by_pod);
            ours.push(by_us);
            latencies.extend(between_jobs(&operator.record));
        }
    }
    let all = |d: &[Duration]| {
        d.iter()
            .map(|d| format!("{:.2}", d.as_secs_f64()))
            .collect::<Vec<_>>()
            .join(", ")
    };
    let row = |d: &[Duration]| format!("{:.2} s (of {})", median(d.to_vec()).as_secs_f64(), all(d));
    figure(
        "four Jobs by hand, each after the Complete condition, median of 5",
        &row(&complete),
    );
    figure(
        "four Jobs by hand, each when the container is seen terminated, median of 5",
        &row(&terminated),
    );
    figure(
        "four Jobs as four tasks of one run, from its creation to its end, median of 5",
        &row(&ours),
    );
    let longest = latencies.iter().max().unwrap().as_secs_f64() * 1e3;
    let middle = median(latencies.clone());
    let told = format!(
        "{:.1} ms (longest {longest:.1} ms, n = {})",
        middle.as_secs_f64() * 1e3,
        latencies.len()
    );
    figure(
        "from the watch event with the terminated container to the next Job's create, median",
        &told,
    );
    assert!(median(ours) < Duration::from_secs(5), "design: under 5 s");
    assert!(middle < Duration::from_millis(50), "design: under 50 ms");
}

async fn by_hand<F: Future<Output = ()>>(
    cluster: &Cluster,
    name: &str,
    ended: impl Fn(Cluster, String) -> F,
) -> Duration {
    let began = Instant::now();
    for task in TASKS {
        let job = format!("{name}-{task}");
        let spec = json!({"backoffLimit": 0, "template": {"spec": {"restartPolicy": "Never", "automountServiceAccountToken": false,
            "containers": [{"name": "task", "image": "busybox:1.36", "command": ["true"]}]}}});
        let object: Job = serde_json::from_value(json!({"metadata": {"name": job}, "spec": spec})).unwrap();
        let jobs = cluster.api::<Job>(NAMESPACE);
        jobs.create(&PostParams::default(), &object).await.unwrap();
        let again = Cluster {
            client: cluster.client.clone(),
        };
        tokio::time::timeout(PATIENCE, ended(again, job))
            .await
            .expect("the Job ends");
    }
    began.elapsed()
}

async fn job_is_complete(cluster: Cluster, job: String) {
    let jobs = cluster.api::<Job>(NAMESPACE);
    kube::runtime::wait::await_condition(jobs, &job, kube::runtime::conditions::is_job_completed())
        .await
        .unwrap();
}

async fn container_terminated(cluster: Cluster, job: String) {
    let pods = cluster.api::<Pod>(NAMESPACE);
    let config = watcher::Config::default().labels(&format!("batch.kubernetes.io/job-name={job}"));
    let mut changes = std::pin::pin!(watcher(pods, config).applied_objects());
    while let Some(pod) = changes.try_next().await.unwrap() {
        let statuses = pod.status.and_then(|s| s.container_statuses).unwrap_or_default();
        let terminated = |s: &k8s_openapi::api::core::v1::ContainerState| s.terminated.is_some();
        if statuses.iter().any(|s| s.state.as_ref().is_some_and(terminated)) {
            return;
        }
    }
}

/// A sequence of four tasks, each a Job of `true`.
fn define() {
    let object = |kind: &str, spec: Value| json!({"apiVersion": "coxswain.dev/v1alpha1", "kind": kind, "metadata": {"name": "bench"}, "spec": spec});
    let tasks: Vec<_> = TASKS.iter().map(|t| json!({"name": t})).collect();
    let action = json!({"name": "true", "events": [{"name": "sh.keptn.event.*.triggered"}],
        "tasks": [{"name": "true", "image": "busybox:1.36", "imagePullPolicy": "IfNotPresent", "cmd": ["true"]}]});
    let list = json!({"apiVersion": "v1", "kind": "List", "items": [
        object("Shipyard", json!({"stages": [{"name": "dev", "sequences": [{"name": "four", "tasks": tasks}]}]})),
        object("JobConfig", json!({"project": "bench", "actions": [action]})),
    ]});
    kubectl(&["apply", "-n", NAMESPACE, "-f", "-"], &list.to_string());
}

async fn by_coxswain(cluster: &Cluster, name: &str) -> Duration {
    let runs = cluster.api::<SequenceExecution>(NAMESPACE);
    let run: SequenceExecution = serde_json::from_value(json!({"metadata": {"name": name},
        "spec": {"project": "bench", "stage": "dev", "service": "cart", "sequence": "four"}}))
    .unwrap();
    let began = Instant::now();
    let run = runs.create(&PostParams::default(), &run).await.unwrap();
    let run: SequenceExecution = cluster
        .wait(NAMESPACE, &run.name_any(), PATIENCE, "the end", done)
        .await;
    let took = began.elapsed();
    assert_eq!(run.status.unwrap().phase, "Succeeded");
    took
}

/// The times from a terminated container to the next Job's create.
fn between_jobs(record: &Record) -> Vec<Duration> {
    let mut found = vec![];
    let mut ended = None;
    for (at, passed) in record.all() {
        match passed {
            Passed::Terminated(_) => ended = Some(at),
            Passed::Write(Method::POST, path, _) if path.ends_with("/jobs") => {
                found.extend(ended.take().map(|before| at.duration_since(before)));
            }
            Passed::Write(..) => {}
        }
    }
    assert_eq!(found.len(), TASKS.len() - 1, "{:?}", record.all());
    found
}
