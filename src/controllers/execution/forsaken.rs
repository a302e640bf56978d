//! Jobs of ended runs that an injected sidecar keeps alive. A run deletes such Jobs as long as it goes on; nobody looks at an
//! ended one again.

use std::{collections::BTreeSet, time::Duration};

use k8s_openapi::api::{batch::v1::Job, core::v1::Pod};
use kube::ResourceExt;

use super::Executions;
use crate::core::jobs::observe::{has_ended, is_forsaken};

/// How often they are looked for, in the caches.
const EVERY: Duration = Duration::from_secs(30);

/// Deletes them, again and again; never ends.
pub(super) async fn sweep(executions: &Executions) {
    executions.wait_until_ready().await;
    loop {
        tokio::time::sleep(EVERY).await;
        for job in forsaken(executions) {
            let (namespace, name) = (job.namespace().unwrap_or_default(), job.name_any());
            let effects = &executions.context.effects;
            // What fails is looked for again.
            match effects
                .delete::<Job>(&namespace, &name, job.metadata.uid.as_deref())
                .await
            {
                Ok(()) => tracing::info!(namespace, name, "deleted the Job: a sidecar kept it alive"),
                Err(error) => tracing::warn!(namespace, name, %error, "could not delete the Job"),
            }
        }
    }
}

fn forsaken(executions: &Executions) -> Vec<Job> {
    let live: BTreeSet<String> = executions
        .live
        .state()
        .iter()
        .filter_map(|run| run.uid())
        .collect();
    let now = executions.context.clock.now();
    let of_ended = |job: &Job| {
        let owners = job.owner_references().iter();
        let mut owners = owners.filter(|owner| owner.controller == Some(true));
        !owners.any(|owner| live.contains(&owner.uid))
    };
    let jobs = executions.reader.jobs.state();
    let mut open: Vec<Job> = jobs
        .iter()
        .filter(|job| !has_ended(job) && of_ended(job))
        .map(|job| job.as_ref().clone())
        .collect();
    if open.is_empty() {
        return open;
    }
    let pods: Vec<Pod> = executions
        .reader
        .pods
        .state()
        .iter()
        .map(|pod| pod.as_ref().clone())
        .collect();
    open.retain(|job| is_forsaken(job, &pods, now));
    open
}
