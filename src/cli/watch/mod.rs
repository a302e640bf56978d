//! `coxswain watch`: a run, a problem or a delivery, live.

mod delivery;
mod screen;

use std::{process::ExitCode, time::Duration};

use anyhow::{Context as _, bail};
use futures::{StreamExt, TryStreamExt};
use kube::{
    ResourceExt,
    runtime::{WatchStreamExt, watcher},
};

use super::{
    cluster::{Cluster, Connect},
    program,
    refer::{Ref, What},
    well,
};
use crate::{
    api::{ProblemEvent, SequenceExecution},
    core::sequence::phases,
};
use screen::Screen;

/// Shows a run as a tree of attempts and tasks, live, until it ends. Exit code 0 when it succeeded, 3 when it ended
/// otherwise.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// The run, as NAME or se/NAME; a problem, as pe/NAME: its newest run; or a delivery, as dl/NAME: all its runs.
    #[arg(value_name = "RUN", value_parser = Ref::parse)]
    named: Ref,
    /// How long to watch at most.
    #[arg(long, default_value = "24h", value_name = "DURATION")]
    timeout: crate::api::Duration,
    #[command(flatten)]
    connect: Connect,
}

/// Watches until it ends.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let cluster = args.connect.open().await?;
    until_ended(&cluster, &args.named, args.timeout).await.map(well)
}

/// Shows what is named until it has ended; whether it ended well.
pub async fn until_ended(
    cluster: &Cluster,
    named: &Ref,
    patience: crate::api::Duration,
) -> anyhow::Result<bool> {
    let mut screen = Screen::new();
    let watched = async {
        match named.what {
            None | Some(What::Run) => one_run(cluster, &named.name, &mut screen).await,
            Some(What::Problem) => {
                let run = newest_run(cluster, &named.name).await?;
                one_run(cluster, &run, &mut screen).await
            }
            Some(What::Delivery) => delivery::flow(cluster, &named.name, &mut screen).await,
            Some(What::Approval | What::Evaluation) => {
                let run = super::refer::run(cluster, named).await?;
                one_run(cluster, &run.name_any(), &mut screen).await
            }
        }
    };
    let watched = tokio::time::timeout(patience.0, watched).await;
    watched.with_context(|| {
        format!(
            "it did not end within {patience}, and goes on: see {} explain -n {} {}",
            program(),
            cluster.namespace,
            named.name
        )
    })?
}

async fn one_run(cluster: &Cluster, name: &str, screen: &mut Screen) -> anyhow::Result<bool> {
    // What is not there is told with what is.
    cluster.get::<SequenceExecution>(name).await?;
    let config = watcher::Config::default().fields(&format!("metadata.name={name}"));
    let mut changes = watcher(cluster.api::<SequenceExecution>(), config)
        .default_backoff()
        .boxed();
    let mut tick = tokio::time::interval(Duration::from_secs(1));
    let mut shown: Option<SequenceExecution> = None;
    loop {
        tokio::select! {
            change = changes.try_next() => match change.with_context(|| format!("watching SequenceExecution {name}"))? {
                Some(watcher::Event::Apply(run) | watcher::Event::InitApply(run)) => {
                    screen.run(&run);
                    if let Some(status) = run.status.as_ref().filter(|s| s.done) {
                        return Ok(ended_well(&status.phase));
                    }
                    shown = Some(run);
                }
                Some(watcher::Event::Delete(_)) => bail!("SequenceExecution {name} was deleted; see {} get runs -n {}", program(), cluster.namespace),
                Some(_) => {}
                None => bail!("the watch ended; start it again"),
            },
            _ = tick.tick(), if screen.live => {
                if let Some(run) = &shown { screen.run(run); }
            }
        }
    }
}

/// Whether a run of this phase reached what it was for.
pub(super) fn ended_well(phase: &str) -> bool {
    matches!(phase, phases::SUCCEEDED | phases::RESOLVED)
}

/// The problem's newest run; waits until it has one.
async fn newest_run(cluster: &Cluster, problem: &str) -> anyhow::Result<String> {
    cluster.get::<ProblemEvent>(problem).await?;
    let config = watcher::Config::default().fields(&format!("metadata.name={problem}"));
    let mut changes = watcher(cluster.api::<ProblemEvent>(), config)
        .default_backoff()
        .boxed();
    while let Some(change) = changes.try_next().await.context("watching the ProblemEvent")? {
        let (watcher::Event::Apply(found) | watcher::Event::InitApply(found)) = change else {
            continue;
        };
        let status = found.status.unwrap_or_default();
        match (status.execution, status.joined, status.done) {
            (Some(run), _, _) => return Ok(run),
            (None, Some(older), false) => {
                bail!("ProblemEvent {problem} joined {older}, which is healed for both: watch pe/{older}")
            }
            (None, _, true) => bail!("ProblemEvent {problem} ended without a run: {}", status.message),
            (None, None, false) => {}
        }
    }
    bail!("the watch ended; start it again")
}
