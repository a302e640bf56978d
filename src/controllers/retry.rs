//! Ended runs that are asked to run again.
//!
//! Ended runs are in no cache. Only the metadata of those whose `spec.control.retry` is set is watched.

use std::sync::Arc;

use futures::{StreamExt, future::ready};
use kube::{
    Api, ResourceExt,
    core::PartialObjectMeta,
    runtime::{WatchStreamExt, watcher},
};

use super::Context;
use crate::{
    api::SequenceExecution,
    core::{note::Note, sequence::retry},
    effects::{Created, Error},
    facts::{READ_TIMEOUT, WATCH_TIMEOUT, guarded::Guarded},
};

/// So many are seen to at once.
const CONCURRENCY: usize = 8;
/// A wish that could not be seen to is tried so often; then the next start of the operator, or another wish, sees to it.
const TRIES: u32 = 8;

/// Sees to every wish, until it is dropped.
pub async fn run(context: Arc<Context>) {
    let config = watcher::Config::default()
        .fields("status.done=true,spec.control.retry.id!=")
        .timeout(WATCH_TIMEOUT);
    context
        .watch::<PartialObjectMeta<Guarded<SequenceExecution>>>(config)
        .touched_objects()
        .filter_map(|run| ready(run.ok()))
        .for_each_concurrent(CONCURRENCY, |run| attend(&context, run))
        .await;
}

async fn attend(context: &Context, run: PartialObjectMeta<Guarded<SequenceExecution>>) {
    let (namespace, name) = (run.namespace().unwrap_or_default(), run.name_any());
    let mut wait = std::time::Duration::from_millis(500);
    for _ in 0..TRIES {
        match see_to(context, &namespace, &name).await {
            Ok(()) => return,
            Err(error) => {
                tracing::warn!(%error, namespace, execution = name, "could not run it again; tries anew")
            }
        }
        tokio::time::sleep(wait).await;
        wait *= 2;
    }
}

async fn see_to(context: &Context, namespace: &str, name: &str) -> Result<(), Failure> {
    let api = Api::<SequenceExecution>::namespaced(context.client.clone(), namespace);
    let read = tokio::time::timeout(READ_TIMEOUT, api.get_opt(name));
    let Some(mut run) = read.await.map_err(|_| Failure::Timeout)?.map_err(Box::new)? else {
        return Ok(());
    };
    let Some(wish) = retry::wanted(&run).cloned() else {
        return Ok(());
    };
    let made = match retry::run_of(&run, &wish) {
        Err(why) => Err(why),
        Ok(again) => match context.effects.create(&again).await {
            Ok(Created::New(_)) => Ok(again.name_any()),
            Ok(Created::Existed(found)) if found.spec.retry_of == again.spec.retry_of => Ok(again.name_any()),
            Ok(Created::Existed(_)) => Err(format!(
                "a SequenceExecution {} exists: name another id",
                again.name_any()
            )),
            Err(error) => match error.refusal() {
                Some(status) => Err(format!("the API server refused it: {}", status.message)),
                None => return Err(error.into()),
            },
        },
    };
    let note = match &made {
        Ok(again) => Note::normal("Retried", format!("runs again as SequenceExecution {again}")),
        Err(why) => Note::warning("RetryRefused", why.clone()),
    };
    let status = run.status.get_or_insert_default();
    status.retried = Some(retry::seen_to(&wish, &made));
    status.observed_generation = run.metadata.generation;
    let written = context.effects.write_status(&run).await?;
    let now = context.clock.now();
    tracing::info!(namespace, execution = name, reason = note.reason, "{}", note.text);
    context.effects.events.tell(&written, now, vec![note]);
    Ok(())
}

/// Why a wish could not be seen to now.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("the API server did not answer within {READ_TIMEOUT:?}")]
    Timeout,
    #[error("reading the run: {0}")]
    Read(#[from] Box<kube::Error>),
    #[error(transparent)]
    Write(#[from] Error),
}
