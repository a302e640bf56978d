//! Jobs of ended runs that an injected sidecar keeps alive. A run deletes such Jobs as long as it goes on; nobody looks at an
//! ended one again.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use k8s_openapi::api::{batch::v1::Job, core::v1::Pod};
use kube::ResourceExt;

use super::Executions;
use crate::core::jobs::observe::{has_ended, is_forsaken};

/// How often they are looked at, while there are any.
const EVERY: Duration = Duration::from_secs(30);

/// Deletes them; never ends.
pub(super) async fn sweep(executions: &Executions) {
    executions.wait_until_ready().await;
    loop {
        let open = open(executions);
        if open.is_empty() {
            // Only a run that ends leaves one.
            executions.over.notified().await;
        } else {
            delete(executions, open).await;
        }
        tokio::time::sleep(EVERY).await;
    }
}

/// The unfinished Jobs of ended runs.
fn open(executions: &Executions) -> Vec<Arc<Job>> {
    let live: BTreeSet<String> = executions
        .live
        .state()
        .iter()
        .filter_map(|run| run.uid())
        .collect();
    let of_ended = |job: &Job| {
        let owners = job.owner_references().iter();
        let mut owners = owners.filter(|owner| owner.controller == Some(true));
        !owners.any(|owner| live.contains(&owner.uid))
    };
    let mut jobs = executions.reader.jobs.state();
    jobs.retain(|job| !has_ended(job) && of_ended(job));
    jobs
}

/// Deletes those that linger. What fails is tried again the next time.
async fn delete(executions: &Executions, mut jobs: Vec<Arc<Job>>) {
    let now = executions.context.clock.now();
    let pods = executions.reader.pods.state();
    let pods: Vec<Pod> = pods.iter().map(|pod| pod.as_ref().clone()).collect();
    jobs.retain(|job| is_forsaken(job, &pods, now));
    for job in jobs {
        let (namespace, name) = (job.namespace().unwrap_or_default(), job.name_any());
        let effects = &executions.context.effects;
        let uid = job.metadata.uid.as_deref();
        match effects.delete::<Job>(&namespace, &name, uid).await {
            Ok(()) => tracing::info!(namespace, name, "deleted the Job: a sidecar kept it alive"),
            Err(error) => tracing::warn!(namespace, name, %error, "could not delete the Job"),
        }
    }
}
