//! The tutorial, end to end: a service that is really sick, Helm, Locust and Prometheus.

use std::{process::Command, sync::LazyLock, time::Duration};

use coxswain::api::{ProblemEvent, SequenceExecution};
use k8s_openapi::api::apps::v1::Deployment;
use kube::{ResourceExt, api::ListParams};
use tokio::sync::Mutex;

use super::harness::{Cluster, done, kubectl};

/// One at a time: they measure how quick a service is, on a machine that may have two cores.
pub static QUIET: LazyLock<Mutex<()>> = LazyLock::new(Mutex::default);

/// Makes the service of this variant sick.
pub async fn set_up(variant: &str) {
    let root = env!("CARGO_MANIFEST_DIR");
    let setup = format!("{root}/examples/tutorial/setup.sh");
    let kubectl_words = std::env::var("COXSWAIN_TEST_KUBECTL").unwrap_or_else(|_| "kubectl".into());
    let shim = std::env::temp_dir().join(format!("coxswain-kubectl-{}", std::process::id()));
    std::fs::write(&shim, format!("#!/bin/sh\nexec {kubectl_words} \"$@\"\n")).unwrap();
    assert!(
        Command::new("chmod")
            .arg("+x")
            .arg(&shim)
            .status()
            .unwrap()
            .success()
    );
    let variant = variant.to_owned();
    let set_up = tokio::task::spawn_blocking(move || {
        Command::new(setup)
            .arg(variant)
            .env("KUBECTL", &shim)
            .env("KUBECONFIG", std::env::var("COXSWAIN_TEST_KUBECONFIG").unwrap())
            .status()
            .unwrap()
    });
    assert!(set_up.await.unwrap().success(), "setup.sh");
}

/// Makes the service of this variant sick and raises its problem; the problem's name.
async fn raise(variant: &str, directory: &str) -> String {
    set_up(variant).await;
    kubectl(&["apply", "-k", directory], "");
    let name = kubectl(
        &["create", "-f", &format!("{directory}/problem.yaml"), "-o", "name"],
        "",
    );
    name.trim().rsplit('/').next().unwrap().to_owned()
}

fn show(run: &SequenceExecution) {
    use coxswain::cli::tree::{Style, render};
    println!("{}", render(run, jiff::Timestamp::now(), Style::default()));
}

pub fn directory(variant: &str) -> String {
    format!("{}/examples/tutorial/{variant}", env!("CARGO_MANIFEST_DIR"))
}

async fn replicas(cluster: &Cluster, namespace: &str) -> Option<i32> {
    let found = cluster
        .api::<Deployment>(namespace)
        .get("helloservice")
        .await
        .unwrap();
    found.spec.and_then(|s| s.replicas)
}

#[tokio::test]
#[ignore = "needs a cluster (make test-cluster)"]
async fn the_demo_healed_the_tutorials_service_by_scaling() {
    let _quiet = QUIET.lock().await;
    let cluster = Cluster::connect().await;
    let problems = cluster.api::<ProblemEvent>("fulltour");
    let all = problems.list(&ListParams::default()).await.unwrap().items;
    let raised = all.iter().filter(|p| p.name_any().starts_with("slow-main-page-"));
    let newest = raised.max_by_key(|p| p.creation_timestamp());
    let problem = newest.expect("a problem: make demo raises it").name_any();
    let run = cluster
        .wait_run("fulltour", &problem, Duration::from_secs(10), "the end", done)
        .await;
    let status = run.status.clone().unwrap();
    show(&run);
    assert_eq!(status.phase, "Succeeded", "{status:#?}");
    assert_eq!(status.attempts.len(), 1);
    let states: Vec<_> = status.attempts[0]
        .tasks
        .iter()
        .map(|t| (t.name.as_str(), t.result.as_deref().unwrap_or("")))
        .collect();
    assert_eq!(
        states[..3],
        [("get-action", "pass"), ("action", "pass"), ("je-test", "pass")]
    );
    assert_eq!(replicas(&cluster, "fulltour-production").await, Some(2));
    let problem = cluster
        .wait::<ProblemEvent>(
            "fulltour",
            &problem,
            Duration::from_secs(10),
            "the problem's end",
            |p| p.status.as_ref().is_some_and(|s| s.done),
        )
        .await;
    assert_eq!(problem.status.unwrap().phase, "Healed");
    let story = kubectl(
        &[
            "describe",
            "sequenceexecution",
            "-n",
            "fulltour",
            &kube::ResourceExt::name_any(&run),
        ],
        "",
    );
    for word in [
        "Started",
        "ActionChosen",
        "JobStarted",
        "TaskSucceeded",
        "Evaluated",
        "Finished",
    ] {
        assert!(
            story.contains(word),
            "kubectl describe does not tell {word}:\n{story}"
        );
    }
}

#[tokio::test]
#[ignore = "needs a cluster (make test-cluster)"]
async fn the_second_action_heals_though_the_operator_is_killed_three_times() {
    let _quiet = QUIET.lock().await;
    let cluster = Cluster::connect().await;
    let problem = raise("escalation", &directory("escalation")).await;
    let within = Duration::from_secs(240);
    let in_task = |name: &'static str, attempt: usize| {
        move |run: &SequenceExecution| {
            let found = run.status.as_ref().and_then(|s| s.attempts.get(attempt - 1));
            let task = found.and_then(|a| a.tasks.iter().find(|t| t.name == name));
            task.is_some_and(|t| matches!(t.state.as_str(), "Starting" | "Running" | "Waiting"))
        }
    };
    for (task, attempt) in [("action", 1), ("evaluation", 1), ("je-test", 2)] {
        let what = format!("{task} of attempt {attempt}");
        cluster
            .wait_run("escalation", &problem, within, &what, in_task(task, attempt))
            .await;
        cluster.kill_operator().await;
    }
    let run = cluster
        .wait_run("escalation", &problem, within, "the end", done)
        .await;
    let status = run.status.clone().unwrap();
    show(&run);
    assert_eq!(status.phase, "Succeeded", "{status:#?}");
    let results: Vec<_> = status.attempts.iter().map(|a| a.result.as_deref()).collect();
    assert_eq!(results[0], Some("fail"), "the first action was too weak");
    assert_eq!(results.len(), 2, "killing the operator costs no attempt");
    assert_eq!(replicas(&cluster, "escalation-production").await, Some(4));
    let tries: Vec<_> = status
        .attempts
        .iter()
        .flat_map(|a| &a.tasks)
        .flat_map(|t| &t.jobs)
        .map(|j| j.try_)
        .collect();
    assert_eq!(tries, [1, 1, 1, 1], "no second Job for a key");
}

#[tokio::test]
#[ignore = "needs a cluster (make test-cluster)"]
async fn an_action_that_does_nothing_ends_exhausted() {
    let _quiet = QUIET.lock().await;
    let cluster = Cluster::connect().await;
    let problem = raise("control", &directory("control")).await;
    let run = cluster
        .wait_run("control", &problem, Duration::from_secs(300), "the end", done)
        .await;
    let status = run.status.clone().unwrap();
    show(&run);
    assert_eq!(status.phase, "Exhausted", "{status:#?}");
    assert_eq!(
        status.attempts[0].result.as_deref(),
        Some("fail"),
        "the gate says that it is still sick"
    );
}
