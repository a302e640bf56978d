//! Hands that delete things in the middle.

use std::time::Duration;

use coxswain::api::{ProblemEvent, SequenceExecution};
use k8s_openapi::api::{batch::v1::Job, core::v1::Pod};
use kube::{
    ResourceExt,
    api::{DeleteParams, ListParams, Patch, PatchParams},
};
use serde_json::json;

use super::harness::{Cluster, done, one_action, raise, task};

const SLEEP: &str = r#"cmd: ["sleep", "120"]"#;

async fn running(namespace: &str) -> (Cluster, SequenceExecution) {
    let cluster = Cluster::connect().await;
    cluster.fresh_namespace(namespace).await;
    one_action(namespace, SLEEP);
    raise(namespace);
    let run = cluster
        .wait_run(
            namespace,
            "slow",
            Duration::from_secs(60),
            "a running Job",
            |run| {
                run.status.as_ref().is_some_and(|s| {
                    s.attempts
                        .iter()
                        .any(|a| a.tasks.iter().any(|t| t.state == "Running" && !t.jobs.is_empty()))
                })
            },
        )
        .await;
    (cluster, run)
}

#[tokio::test]
#[ignore = "needs a cluster (make test-cluster)"]
async fn a_job_that_is_deleted_is_lost_and_not_run_again() {
    let (cluster, run) = running("hand-job").await;
    let job = &task(&run, "action").jobs[0].name;
    cluster
        .api::<Job>("hand-job")
        .delete(job, &DeleteParams::background())
        .await
        .unwrap();
    let run = cluster
        .wait_run("hand-job", "slow", Duration::from_secs(60), "the end", done)
        .await;
    assert_eq!(run.status.as_ref().unwrap().phase, "Failed", "{run:#?}");
    assert_eq!(task(&run, "action").state, "Lost");
    let left = cluster
        .api::<Job>("hand-job")
        .list(&ListParams::default())
        .await
        .unwrap();
    assert!(left.items.is_empty(), "nothing ran again");
}

#[tokio::test]
#[ignore = "needs a cluster (make test-cluster)"]
async fn a_pod_that_is_deleted_ends_the_task() {
    let (cluster, _) = running("hand-pod").await;
    let pods = cluster.api::<Pod>("hand-pod");
    for pod in pods.list(&ListParams::default()).await.unwrap().items {
        let now = DeleteParams {
            grace_period_seconds: Some(1),
            ..DeleteParams::default()
        };
        pods.delete(&pod.name_any(), &now).await.unwrap();
    }
    let run = cluster
        .wait_run("hand-pod", "slow", Duration::from_secs(90), "the end", done)
        .await;
    assert_eq!(run.status.as_ref().unwrap().phase, "Failed", "{run:#?}");
}

#[tokio::test]
#[ignore = "needs a cluster (make test-cluster)"]
async fn a_run_that_is_deleted_takes_its_job_with_it_and_is_not_started_again() {
    let (cluster, run) = running("hand-run").await;
    let job = task(&run, "action").jobs[0].name.clone();
    cluster
        .api::<SequenceExecution>("hand-run")
        .delete(&run.name_any(), &DeleteParams::background())
        .await
        .unwrap();
    let problem = cluster
        .wait::<ProblemEvent>(
            "hand-run",
            "slow",
            Duration::from_secs(30),
            "the problem's end",
            |p| p.status.as_ref().is_some_and(|s| s.done),
        )
        .await;
    assert_eq!(problem.status.unwrap().phase, "Exhausted");
    let jobs = cluster.api::<Job>("hand-run");
    let gone = tokio::time::timeout(
        Duration::from_secs(30),
        kube::runtime::wait::await_condition(jobs, &job, |job: Option<&Job>| job.is_none()),
    );
    gone.await.expect("the Job goes with its run").unwrap();
}

#[tokio::test]
#[ignore = "needs a cluster (make test-cluster)"]
async fn an_abort_deletes_the_job_within_five_seconds() {
    let (cluster, run) = running("hand-abort").await;
    let runs = cluster.api::<SequenceExecution>("hand-abort");
    let abort = json!({"spec": {"control": {"desired": "Abort"}}});
    runs.patch(&run.name_any(), &PatchParams::default(), &Patch::Merge(abort))
        .await
        .unwrap();
    let job = task(&run, "action").jobs[0].name.clone();
    let jobs = cluster.api::<Job>("hand-abort");
    let deleted = |job: Option<&Job>| job.is_none_or(|j| j.metadata.deletion_timestamp.is_some());
    tokio::time::timeout(
        Duration::from_secs(5),
        kube::runtime::wait::await_condition(jobs, &job, deleted),
    )
    .await
    .expect("deleted within 5 s")
    .unwrap();
    let run = cluster
        .wait_run("hand-abort", "slow", Duration::from_secs(10), "the end", done)
        .await;
    assert_eq!(run.status.as_ref().unwrap().phase, "Aborted");
    // It can't be taken back.
    let go_on = json!({"spec": {"control": {"desired": "Run"}}});
    let refused = runs
        .patch(&run.name_any(), &PatchParams::default(), &Patch::Merge(go_on))
        .await
        .unwrap_err();
    assert!(refused.to_string().contains("can't be taken back"), "{refused}");
}
