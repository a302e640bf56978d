//! What belongs to a run and wakes it: its Jobs, their pods, its Evaluations.

use futures::{Stream, StreamExt, stream};
use k8s_openapi::api::{
    batch::v1::Job,
    core::v1::{Pod, PodTemplateSpec},
};
use kube::{
    ResourceExt,
    core::PartialObjectMeta,
    runtime::{
        WatchStreamExt,
        reflector::{self, ObjectRef, Store},
        watcher,
    },
};

use super::Context;
use crate::{
    api::{Approval, Evaluation, SequenceExecution, TaskResult},
    core::labels,
    facts::{WATCH_TIMEOUT, guarded::Guarded},
};

/// An Evaluation that has its verdict, or is gone, leaves the selection: its run looks at it.
pub(super) fn evaluation_changes(
    context: &Context,
) -> impl Stream<Item = ObjectRef<Guarded<SequenceExecution>>> + Send + 'static {
    let config = watcher::Config::default()
        .fields("status.done!=true")
        .timeout(WATCH_TIMEOUT);
    context
        .watch::<PartialObjectMeta<Evaluation>>(config)
        .filter_map(|event| async move {
            match event {
                Ok(watcher::Event::Delete(gone)) => owner_by_label(&gone),
                _ => None,
            }
        })
}

/// An open question that was answered, or is gone.
pub(super) fn approval_changes(
    context: &Context,
) -> impl Stream<Item = ObjectRef<Guarded<SequenceExecution>>> + Send + 'static {
    let config = watcher::Config::default()
        .fields("status.done!=true")
        .timeout(WATCH_TIMEOUT);
    context
        .watch::<PartialObjectMeta<Approval>>(config)
        .filter_map(|event| async move {
            match event {
                Ok(watcher::Event::Apply(changed) | watcher::Event::Delete(changed)) => {
                    owner_by_label(&changed)
                }
                _ => None,
            }
        })
}

/// What outside executors say: each TaskResult names its run. After a (re)list every run that one names is looked at.
pub(super) fn result_changes(
    context: &Context,
) -> impl Stream<Item = ObjectRef<Guarded<SequenceExecution>>> + Send + 'static {
    let config = watcher::Config::default().timeout(WATCH_TIMEOUT);
    context
        .watch::<TaskResult>(config)
        .filter_map(|event| async move {
            match event {
                Ok(watcher::Event::Apply(said) | watcher::Event::InitApply(said)) => {
                    let namespace = said.namespace()?;
                    Some(ObjectRef::new(&said.spec.execution).within(&namespace))
                }
                _ => None,
            }
        })
}

/// The watches of Jobs and their pods, with the caches that they fill.
pub fn watch_jobs(
    context: &Context,
) -> (
    Store<Job>,
    Store<Pod>,
    futures::stream::BoxStream<'static, ObjectRef<Guarded<SequenceExecution>>>,
) {
    let ours = format!("{}={}", labels::MANAGED_BY, labels::COXSWAIN);
    let config = watcher::Config::default().labels(&ours).timeout(WATCH_TIMEOUT);
    let (jobs, job_writer) = reflector::store();
    let (pods, pod_writer) = reflector::store();
    let job_stream = context
        .watch::<Job>(config.clone())
        .modify(|job| {
            job.managed_fields_mut().clear();
            // Only metadata and status are looked at again.
            if let Some(spec) = job.spec.as_mut() {
                spec.template = PodTemplateSpec::default();
            }
        })
        .reflect(job_writer)
        .touched_objects()
        .filter_map(|job| async move { job.ok().as_ref().and_then(owner_by_label) });
    let pod_stream = context
        .watch::<Pod>(config)
        .modify(|pod| {
            pod.managed_fields_mut().clear();
            pod.spec = None;
        })
        .reflect(pod_writer)
        .touched_objects()
        .filter_map(|pod| async move { pod.ok().as_ref().and_then(owner_by_label) });
    (jobs, pods, stream::select(job_stream, pod_stream).boxed())
}

fn owner_by_label<K: ResourceExt>(object: &K) -> Option<ObjectRef<Guarded<SequenceExecution>>> {
    let name = object.labels().get(labels::EXECUTION)?;
    Some(ObjectRef::new(name).within(&object.namespace()?))
}
