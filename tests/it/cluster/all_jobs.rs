//! `examples/all-jobs`: all four tasks run as Jobs, two of them of the operator's own image.

use std::time::Duration;

use coxswain::{api::Evaluation, core::labels};
use kube::{ResourceExt, api::ListParams};

use super::harness::{Cluster, done, kubectl, task};

#[tokio::test]
#[ignore = "needs a cluster (make test-cluster)"]
async fn the_sample_runs_all_four_tasks_as_jobs() {
    let cluster = Cluster::connect().await;
    let namespace = "all-jobs";
    cluster.fresh_namespace(namespace).await;
    let example = format!("{}/examples/all-jobs", env!("CARGO_MANIFEST_DIR"));
    kubectl(&["apply", "-n", namespace, "-k", &example], "");
    let problem = format!("{example}/problem.yaml");
    let name = kubectl(&["create", "-n", namespace, "-f", &problem, "-o", "name"], "");
    let problem = name.trim().rsplit('/').next().unwrap();
    let run = cluster
        .wait_run(namespace, problem, Duration::from_secs(120), "the end", done)
        .await;
    let status = run.status.as_ref().unwrap();
    assert_eq!(status.phase, "Succeeded", "{status:#?}");
    assert_eq!(status.attempts.len(), 1);
    assert_eq!(status.attempts[0].action.as_deref(), Some("Scale up"));
    for name in ["get-action", "action", "je-test", "evaluation"] {
        assert_eq!(task(&run, name).jobs.len(), 1, "{name} ran as a Job");
    }
    // The Job asked as the built-in would: an Evaluation of this run, whose verdict is the task's.
    let evaluations = cluster.api::<Evaluation>(namespace);
    let ours = ListParams::default().labels(&format!("{}={}", labels::EXECUTION, run.name_any()));
    let found = evaluations.list(&ours).await.unwrap().items;
    assert_eq!(found.len(), 1, "{found:#?}");
    assert_eq!(
        found[0].status.as_ref().unwrap().result.as_deref(),
        Some("warning")
    );
    assert_eq!(task(&run, "evaluation").result.as_deref(), Some("warning"));
}
