//! Jobs that are tried again, stopped, evicted, or changed back by somebody.

use std::time::Duration;

use coxswain::api::SequenceExecution;
use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{ConfigMap, Pod},
};
use kube::{
    ResourceExt,
    api::{EvictParams, ListParams, Patch, PatchParams},
};
use serde_json::json;

use super::harness::{Cluster, done, kubectl, one_action, raise, task};

const MINUTE: Duration = Duration::from_secs(60);

async fn ended(cluster: &Cluster, namespace: &str) -> SequenceExecution {
    cluster
        .wait_run(namespace, "slow", 2 * MINUTE, "the end", done)
        .await
}

fn phase(run: &SequenceExecution) -> &str {
    &run.status.as_ref().unwrap().phase
}

#[tokio::test]
#[ignore = "needs a cluster (make test-cluster)"]
async fn a_job_that_fails_is_tried_again() {
    let cluster = Cluster::connect().await;
    cluster.fresh_namespace("jobs-retry").await;
    one_action(
        "jobs-retry",
        r#"{retries: 2, retryBackoff: 1s, env: [{name: TRY, value: try, valueFrom: execution}],
            cmd: [sh, -c, "echo try $TRY >&2; test $TRY = 2"]}"#,
    );
    raise("jobs-retry");
    let run = ended(&cluster, "jobs-retry").await;
    assert_eq!(phase(&run), "Succeeded");
    let job = &task(&run, "action").jobs[0];
    assert_eq!(job.try_, 2);
    let tried = serde_json::to_string(&job.tried).unwrap();
    assert!(tried.contains("try 1"), "{tried}");
}

#[tokio::test]
#[ignore = "needs a cluster (make test-cluster)"]
async fn a_job_that_takes_too_long_is_stopped() {
    let cluster = Cluster::connect().await;
    cluster.fresh_namespace("jobs-late").await;
    one_action("jobs-late", r#"{timeout: 3s, cmd: [sleep, "300"]}"#);
    raise("jobs-late");
    let run = ended(&cluster, "jobs-late").await;
    assert_eq!(phase(&run), "Failed");
    // By Kubernetes, or by the operator: whoever is first.
    let action = task(&run, "action");
    assert!(
        ["DeadlineExceeded", "TimedOut"].contains(&action.reason.as_str()),
        "{action:?}"
    );
    assert!(action.message.contains("did not end"), "{}", action.message);
    let gone = |pods: Vec<Pod>| pods.iter().all(|p| p.metadata.deletion_timestamp.is_some());
    let pods = cluster
        .api::<Pod>("jobs-late")
        .list(&ListParams::default())
        .await
        .unwrap();
    assert!(gone(pods.items), "nothing goes on running");
}

#[tokio::test]
#[ignore = "needs a cluster (make test-cluster)"]
async fn a_job_that_needs_too_much_memory_says_so() {
    let cluster = Cluster::connect().await;
    cluster.fresh_namespace("jobs-memory").await;
    one_action(
        "jobs-memory",
        r#"{resources: {limits: {memory: 32Mi}}, cmd: [sh, -c, "a=xxxxxxxxxxxxxxxx; while :; do a=$a$a; done"]}"#,
    );
    raise("jobs-memory");
    let run = ended(&cluster, "jobs-memory").await;
    let action = task(&run, "action");
    assert_eq!(action.reason, "OOMKilled", "{action:?}");
    assert!(action.message.contains("memory"), "{}", action.message);
}

/// Evicts the pod of the run's Job, as a drained node would.
async fn evict(cluster: &Cluster, namespace: &str, phase: &str) {
    let pods = cluster.api::<Pod>(namespace);
    let list = pods.list(&ListParams::default()).await.unwrap().items;
    let name = list[0].name_any();
    let is = |pod: &Pod| pod.status.as_ref().and_then(|s| s.phase.as_deref()) == Some(phase);
    cluster.wait::<Pod>(namespace, &name, MINUTE, phase, is).await;
    pods.evict(&name, &EvictParams::default()).await.unwrap();
}

async fn job_is(
    cluster: &Cluster,
    namespace: &str,
    what: &str,
    is: impl Fn(&coxswain::api::execution::JobStatus) -> bool,
) {
    let some = |run: &SequenceExecution| {
        let attempts = run.status.iter().flat_map(|s| &s.attempts);
        attempts.flat_map(|a| &a.tasks).flat_map(|t| &t.jobs).any(&is)
    };
    cluster.wait_run(namespace, "slow", MINUTE, what, some).await;
}

#[tokio::test]
#[ignore = "needs a cluster (make test-cluster)"]
async fn a_pod_that_is_evicted_before_it_started_is_no_failure() {
    let cluster = Cluster::connect().await;
    let namespace = "jobs-evict-early";
    cluster.fresh_namespace(namespace).await;
    // It can't start until somebody creates the ConfigMap.
    one_action(
        namespace,
        r#"{env: [{name: WORD, value: words, key: word, valueFrom: configMap}], cmd: [sh, -c, "test $WORD = go"]}"#,
    );
    raise(namespace);
    job_is(&cluster, namespace, "a Job that can't start", |j| {
        !j.reason.is_empty()
    })
    .await;
    evict(&cluster, namespace, "Pending").await;
    job_is(&cluster, namespace, "another try", |j| j.try_ == 2).await;
    kubectl(
        &[
            "create",
            "configmap",
            "words",
            "-n",
            namespace,
            "--from-literal=word=go",
        ],
        "",
    );
    let run = ended(&cluster, namespace).await;
    assert_eq!(phase(&run), "Succeeded", "{run:#?}");
    assert!(cluster.api::<ConfigMap>(namespace).get("words").await.is_ok());
}

/// The end of a run whose pod was evicted while its container ran.
async fn evicted_late(namespace: &str, idempotent: bool) -> SequenceExecution {
    let cluster = Cluster::connect().await;
    cluster.fresh_namespace(namespace).await;
    let job = format!(
        r#"{{idempotent: {idempotent}, env: [{{name: TRY, value: try, valueFrom: execution}}],
             cmd: [sh, -c, "test $TRY != 1 || sleep 300"]}}"#
    );
    one_action(namespace, &job);
    raise(namespace);
    job_is(&cluster, namespace, "a running Job", |j| j.state == "Running").await;
    evict(&cluster, namespace, "Running").await;
    ended(&cluster, namespace).await
}

#[tokio::test]
#[ignore = "needs a cluster (make test-cluster)"]
async fn a_pod_that_is_evicted_later_is_lost() {
    let run = evicted_late("jobs-evict-late", false).await;
    assert_eq!(phase(&run), "Failed");
    assert_eq!(task(&run, "action").jobs[0].try_, 1, "{run:#?}");
}

#[tokio::test]
#[ignore = "needs a cluster (make test-cluster)"]
async fn a_pod_that_is_evicted_later_is_tried_again_where_that_does_no_harm() {
    let run = evicted_late("jobs-evict-again", true).await;
    assert_eq!(phase(&run), "Succeeded", "{run:#?}");
    assert_eq!(task(&run, "action").jobs[0].try_, 2);
}

const TARGET: &str = r#"
apiVersion: apps/v1
kind: Deployment
metadata: {name: cart}
spec:
  replicas: 0
  selector: {matchLabels: {app: cart}}
  template:
    metadata: {labels: {app: cart}}
    spec: {containers: [{name: cart, image: busybox:1.36}]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: coxswain-targets}
rules:
  - {apiGroups: [apps], resources: [deployments], verbs: [get]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: coxswain-targets}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: coxswain-targets}
subjects: [{kind: ServiceAccount, name: coxswain, namespace: coxswain-system}]
"#;

#[tokio::test]
#[ignore = "needs a cluster (make test-cluster)"]
async fn what_another_owner_changes_back_ends_the_run() {
    let cluster = Cluster::connect().await;
    let namespace = "jobs-target";
    cluster.fresh_namespace(namespace).await;
    kubectl(&["apply", "-n", namespace, "-f", "-"], TARGET);
    one_action(
        namespace,
        r#"{targets: [{apiVersion: apps/v1, kind: Deployment, name: cart}],
            cmd: [sh, -c, "while ! test -e /tmp/done; do sleep 0.2; done"]}"#,
    );
    raise(namespace);
    job_is(&cluster, namespace, "a running Job", |j| j.state == "Running").await;
    // The action's work, and what Argo CD makes of it.
    let scale = |replicas: i32| Patch::Merge(json!({"spec": {"replicas": replicas}}));
    let carts = cluster.api::<Deployment>(namespace);
    for (manager, replicas) in [("kubectl", 1), ("argocd-controller", 0)] {
        let params = PatchParams {
            field_manager: Some(manager.to_owned()),
            ..PatchParams::default()
        };
        carts.patch("cart", &params, &scale(replicas)).await.unwrap();
    }
    let pods = cluster
        .api::<Pod>(namespace)
        .list(&ListParams::default().labels("app!=cart"))
        .await
        .unwrap();
    let pod = pods.items[0].name_any();
    kubectl(&["exec", "-n", namespace, &pod, "--", "touch", "/tmp/done"], "");
    let run = ended(&cluster, namespace).await;
    let status = run.status.as_ref().unwrap();
    assert_eq!(
        (status.phase.as_str(), status.reason.as_str()),
        ("Failed", "ConflictWithOwner")
    );
    assert!(status.message.contains("argocd-controller"), "{}", status.message);
}
