//! Pods that can't start: the run says why within half a minute.

use std::time::Duration;

use coxswain::api::SequenceExecution;

use super::harness::{Cluster, done, kubectl, one_action, raise, task};

/// Runs one Job that is made like this, and waits until the run says this reason.
async fn says(namespace: &str, job: &str, reasons: &[&str], words: &str) -> SequenceExecution {
    let cluster = Cluster::connect().await;
    cluster.fresh_namespace(namespace).await;
    one_action(namespace, job);
    expect(&cluster, namespace, reasons, words).await
}

async fn expect(cluster: &Cluster, namespace: &str, reasons: &[&str], words: &str) -> SequenceExecution {
    raise(namespace);
    let run = cluster
        .wait_run(
            namespace,
            "slow",
            Duration::from_secs(30),
            &format!("a reason of {reasons:?}"),
            |run| {
                let status = run.status.as_ref();
                let last = status
                    .and_then(|s| s.attempts.last())
                    .map(|a| a.tasks.as_slice())
                    .unwrap_or_default();
                last.iter().any(|t| reasons.contains(&t.reason.as_str()))
            },
        )
        .await;
    let message = &task(&run, "action").message;
    assert!(message.contains(words), "{message:?} does not say {words:?}");
    run
}

fn assert_no_job(run: &SequenceExecution) {
    let jobs = &task(run, "action").jobs;
    assert!(jobs.iter().all(|j| j.uid.is_none()), "no Job was created");
}

#[tokio::test]
#[ignore = "needs a cluster (make test-cluster)"]
async fn an_image_that_does_not_exist() {
    let run = says(
        "blocked-image",
        "image: registry.invalid/none:1",
        &["ErrImagePull", "ImagePullBackOff"],
        "registry.invalid/none:1",
    )
    .await;
    assert!(!done(&run), "it may still be mended: the image can be pushed");
}

#[tokio::test]
#[ignore = "needs a cluster (make test-cluster)"]
async fn a_secret_that_does_not_exist() {
    says(
        "blocked-secret",
        "env: [{name: nobody, valueFrom: secret}]",
        &["CreateContainerConfigError"],
        "nobody",
    )
    .await;
}

#[tokio::test]
#[ignore = "needs a cluster (make test-cluster)"]
async fn more_memory_than_any_node_has() {
    says(
        "blocked-memory",
        "resources: {requests: {memory: 900Gi}}",
        &["Unschedulable"],
        "memory",
    )
    .await;
}

#[tokio::test]
#[ignore = "needs a cluster (make test-cluster)"]
async fn a_quota_that_is_spent() {
    let cluster = Cluster::connect().await;
    cluster.fresh_namespace("blocked-quota").await;
    kubectl(
        &["apply", "-n", "blocked-quota", "-f", "-"],
        "{apiVersion: v1, kind: ResourceQuota, metadata: {name: none}, spec: {hard: {pods: '0'}}}",
    );
    one_action("blocked-quota", "");
    expect(&cluster, "blocked-quota", &["FailedCreate"], "quota").await;
}

#[tokio::test]
#[ignore = "needs a cluster (make test-cluster)"]
async fn a_service_account_that_does_not_exist() {
    let run = says(
        "blocked-account",
        "serviceAccount: nobody",
        &["ServiceAccountMissing"],
        "nobody",
    )
    .await;
    assert_no_job(&run);
}

#[tokio::test]
#[ignore = "needs a cluster (make test-cluster)"]
async fn a_service_account_that_has_not_opted_in() {
    let run = says(
        "blocked-optin",
        "serviceAccount: default",
        &["ServiceAccountNotAllowed"],
        "coxswain.dev/allowed",
    )
    .await;
    assert_no_job(&run);
}

#[tokio::test]
#[ignore = "needs a cluster (make test-cluster)"]
async fn a_job_config_that_is_not_valid() {
    let cluster = Cluster::connect().await;
    cluster.fresh_namespace("blocked-invalid").await;
    one_action("blocked-invalid", "resources: {limits: {memory: 1GB}}");
    raise("blocked-invalid");
    let run = cluster
        .wait_run(
            "blocked-invalid",
            "slow",
            Duration::from_secs(30),
            "the end",
            done,
        )
        .await;
    let status = run.status.as_ref().unwrap();
    assert_eq!(
        (status.phase.as_str(), status.reason.as_str()),
        ("Failed", "JobConfigInvalid")
    );
    let field = "JobConfig shop is not valid: spec.actions[0].tasks[0].resources.limits.memory";
    assert!(status.message.contains(field), "{}", status.message);
}
