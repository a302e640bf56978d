//! What a Job's exit code and termination message come to.

use std::time::Duration;

use super::harness::{Cluster, done, one_action, raise, task};

#[tokio::test]
#[ignore = "needs a cluster (make test-cluster)"]
async fn a_job_says_more_by_its_termination_message() {
    let cluster = Cluster::connect().await;
    cluster.fresh_namespace("result-message").await;
    one_action(
        "result-message",
        r#"env: [{name: VALUE, value: "$.data.action.value", valueFrom: event}]
cmd: ["sh", "-c"]
args: ['printf ''{"result":"warning","message":"scaled to %s","data":{"replicas":%s}}'' "$VALUE" "$VALUE" >/dev/termination-log']"#,
    );
    raise("result-message");
    let run = cluster
        .wait_run("result-message", "slow", Duration::from_secs(60), "the end", done)
        .await;
    let status = run.status.clone().unwrap();
    assert_eq!(status.phase, "Succeeded", "a warning is a success: {status:#?}");
    let action = task(&run, "action");
    assert_eq!(action.result.as_deref(), Some("warning"));
    assert!(action.message.contains("scaled to 2"), "{}", action.message);
    assert_eq!(status.payload.unwrap()["replicas"], 2);
}

#[tokio::test]
#[ignore = "needs a cluster (make test-cluster)"]
async fn a_failing_job_fails_the_run_and_shows_its_last_words() {
    let cluster = Cluster::connect().await;
    cluster.fresh_namespace("result-fail").await;
    one_action(
        "result-fail",
        r#"cmd: ["sh", "-c", "echo the disk is full >&2; exit 3"]"#,
    );
    raise("result-fail");
    let run = cluster
        .wait_run("result-fail", "slow", Duration::from_secs(60), "the end", done)
        .await;
    assert_eq!(run.status.as_ref().unwrap().phase, "Failed");
    let action = task(&run, "action");
    assert_eq!(action.jobs[0].exit_code, Some(3));
    assert!(action.message.contains("the disk is full"), "{}", action.message);
}

#[tokio::test]
#[ignore = "needs a cluster (make test-cluster)"]
async fn values_of_an_event_are_not_expanded_or_interpreted() {
    let cluster = Cluster::connect().await;
    cluster.fresh_namespace("result-values").await;
    // `$$(` is Kubernetes' way to write `$(` where it would expand it: in what the user wrote.
    one_action(
        "result-values",
        r#"env: [{name: VALUE, value: "$.data.problem.note", valueFrom: event}]
cmd: ["sh", "-c", "test \"$VALUE\" = '$$(KEPTN_PROJECT) `id` $(id)' && test \"$KEPTN_PROJECT\" = shop"]"#,
    );
    super::harness::kubectl(
        &["apply", "-n", "result-values", "-f", "-"],
        r"
apiVersion: coxswain.dev/v1alpha1
kind: ProblemEvent
metadata: {name: slow}
spec:
  project: shop
  stage: production
  service: cart
  problem: {problemTitle: slow, note: '$(KEPTN_PROJECT) `id` $(id)'}
",
    );
    let run = cluster
        .wait_run("result-values", "slow", Duration::from_secs(60), "the end", done)
        .await;
    assert_eq!(run.status.as_ref().unwrap().phase, "Succeeded", "{run:#?}");
    let managers = run.metadata.managed_fields.iter().flatten();
    assert!(
        managers.clone().all(|m| m.manager.as_deref() == Some("coxswain")),
        "managedFields name who wrote: {managers:?}"
    );
}
