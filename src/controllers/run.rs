//! Everything together: the watches, the caches and the controllers, until the shutdown.

use std::sync::Arc;

use futures::{FutureExt, StreamExt};
use kube::runtime::reflector::Store;
use tokio::{sync::watch, task::JoinSet};
use tokio_util::sync::CancellationToken;

use super::{
    Context, children, definitions, delivery, evaluation, execution, history, problem, retry, sinks, wake,
};
use crate::{
    api::{Delivery, Evaluation, ProblemEvent},
    core::{jobs::images::AllowedImages, labels},
    facts::{
        ended::EndedReader, execution::Reader, filled::filled, guarded::Guarded, holds::Holds,
        metrics::MetricsSource, stores::Definitions, targets::Kinds,
    },
};

/// How long reconciliations that run at the shutdown may take to finish.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(20);

/// How the operator is set up.
#[derive(Clone, Debug)]
pub struct Options {
    /// The namespace that the operator runs in: where the ConfigMap `coxswain-hold` and the default MetricsProvider are
    /// looked for.
    pub own_namespace: String,
    /// The images that Jobs may use.
    pub allowed_images: AllowedImages,
    /// The operator's own image, with which Jobs fetch files; None when it is not known.
    pub image: Option<String>,
    /// Set to true when every cache was filled.
    pub ready: watch::Sender<bool>,
}

/// A part of the operator that ended without being asked to.
#[derive(Debug, thiserror::Error)]
#[error("{part} ended unexpectedly{why}; the operator stops, so that it is started afresh")]
pub struct Ended {
    part: &'static str,
    why: String,
}

/// Runs every controller until `shutdown` is cancelled; running reconciliations are finished first. When any part ends
/// by itself, all end: half an operator would be worse than none.
pub async fn run(
    context: Arc<Context>,
    metrics: Arc<dyn MetricsSource>,
    options: &Options,
    shutdown: CancellationToken,
) -> Result<(), Ended> {
    run_sharing(context, metrics, options, shutdown, |_, _| ()).await
}

/// As [`run`]; `share` is given the caches of definitions and of open problems, which are being filled.
pub async fn run_sharing(
    context: Arc<Context>,
    metrics: Arc<dyn MetricsSource>,
    options: &Options,
    shutdown: CancellationToken,
    share: impl FnOnce(&Definitions, &Store<Guarded<ProblemEvent>>),
) -> Result<(), Ended> {
    let client = &context.client;
    let live = &context.effects.telemetry.live;
    let (definitions, definition_watches) = Definitions::start(
        client,
        &context.namespaces,
        &context.namespaces.and(&options.own_namespace),
    );
    let (holds, hold_changes) = Holds::watch(client, &context.namespaces, &options.own_namespace);
    let (wake_runs, woken_runs) = wake::channel();
    let (wake_problems, woken_problems) = wake::channel();
    let (open, problem_stream) = problem::watch(&context, wake_runs.clone(), wake_problems.clone());
    share(&definitions, &open);
    // What /metrics reads; a second operator in one process would have another context.
    let _ = live.clock.set(context.clock);
    let _ = live.ready.set(options.ready.subscribe());
    let _ = live.problems.set(open.clone());
    let _ = live.holds.set(holds.clone());
    let (jobs, pods, job_changes) = children::watch_jobs(&context);
    let (unanswered, evaluation_stream) = evaluation::watch(&context);
    let (deliveries, delivery_stream) = delivery::watch(&context);
    let (listed, runs_listed) = watch::channel(false);
    let reader = Reader {
        client: client.clone(),
        definitions: definitions.clone(),
        jobs,
        pods,
        problems: open.clone(),
        holds,
        allowed_images: options.allowed_images.clone(),
        kinds: Kinds::default(),
        image: options.image.clone().unwrap_or_default(),
    };

    // What feeds the caches goes on until the deciding is over.
    let mut feeds = JoinSet::new();
    let mut deciders = JoinSet::new();
    let told = || shutdown.clone().cancelled_owned();
    spawn(
        &mut feeds,
        "readiness",
        announce(
            reader.clone(),
            runs_listed,
            unanswered.clone(),
            deliveries.clone(),
            options.ready.clone(),
        ),
    );
    spawn(&mut feeds, "the watch of definitions", definition_watches);
    let lifted = wake_runs.clone();
    let holds_watched = hold_changes.for_each(move |()| {
        lifted.wake_all();
        std::future::ready(())
    });
    spawn(&mut feeds, "the watch of holds", holds_watched);
    let defining = definitions::run(context.clone(), definitions.clone());
    spawn(&mut feeds, "the definitions' controller", defining);
    spawn(&mut feeds, "the retries' controller", retry::run(context.clone()));
    let ended = EndedReader {
        client: client.clone(),
        namespaces: context.namespaces.clone(),
        definitions: definitions.clone(),
        problems: open.clone(),
    };
    let outbox = sinks::Outbox::default();
    let telling = sinks::run(
        context.clone(),
        definitions.clone(),
        outbox.clone(),
        options.own_namespace.clone(),
    );
    spawn(&mut feeds, "the sinks' controller", telling);
    let (ends, told_of_ends) = history::channel();
    let historian = history::run(context.clone(), ended, told_of_ends, options.ready.subscribe());
    spawn(&mut feeds, "the history's controller", historian);
    let problems = problem::run(context.clone(), open, problem_stream, woken_problems, told());
    spawn(&mut deciders, "the problems' controller", problems);
    let inputs = execution::Inputs {
        reader,
        wake: wake_runs,
        woken: woken_runs,
        problems: wake_problems,
        ends,
        outbox,
        listed,
        job_changes,
    };
    let executions = execution::run(context.clone(), inputs, told());
    spawn(&mut deciders, "the executions' controller", executions);
    let judged_by = (definitions.clone(), options.own_namespace.clone());
    let watched = (unanswered, evaluation_stream);
    let judging = evaluation::run(context.clone(), metrics, judged_by, watched, shutdown.clone());
    spawn(&mut deciders, "the evaluations' controller", judging);
    let delivering = delivery::run(context.clone(), definitions, deliveries, delivery_stream, told());
    spawn(&mut deciders, "the deliveries' controller", delivering);
    tracing::info!(field_manager = labels::COXSWAIN, "started");

    let ended = tokio::select! {
        ended = feeds.join_next() => ended,
        ended = deciders.join_next() => ended,
        () = shutdown.cancelled() => None,
    };
    if shutdown.is_cancelled() {
        // Before every cache was filled nothing was decided, and controllers wait for their caches also when told to stop.
        if !*options.ready.borrow() {
            return Ok(());
        }
        // What is being decided is finished, within the time that Kubernetes gives.
        let rest = async { while deciders.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(PATIENCE, rest).await;
        return Ok(());
    }
    let (part, why) = match ended {
        Some(Ok(part)) => (part, String::new()),
        Some(Err(error)) => ("a part of the operator", format!(": {error}")),
        None => ("every part of the operator", String::new()),
    };
    Err(Ended { part, why })
}

/// Says when every cache that decides was filled.
async fn announce(
    reader: Reader,
    mut runs_listed: watch::Receiver<bool>,
    unanswered: Store<Guarded<Evaluation>>,
    deliveries: Store<Guarded<Delivery>>,
    ready: watch::Sender<bool>,
) {
    let filled = reader.definitions.wait_until_ready().await.is_ok()
        && runs_listed.wait_for(|listed| *listed).await.is_ok()
        && filled(&reader.problems).await.is_ok()
        && filled(&unanswered).await.is_ok()
        && filled(&deliveries).await.is_ok()
        && filled(&reader.jobs).await.is_ok()
        && filled(&reader.pods).await.is_ok()
        && reader.holds.wait_until_ready().await;
    if filled {
        ready.send_replace(true);
        std::future::pending::<()>().await;
    }
}

fn spawn(
    parts: &mut JoinSet<&'static str>,
    name: &'static str,
    part: impl Future<Output = ()> + Send + 'static,
) {
    parts.spawn(part.map(move |()| name));
}
