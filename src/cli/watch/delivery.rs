//! A delivery, live: the runs of its flow, one tree below the other.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context as _, bail};
use futures::{StreamExt, TryStreamExt};
use jiff::Timestamp;
use kube::{
    ResourceExt,
    runtime::{WatchStreamExt, watcher},
};

use super::screen::Screen;
use crate::{
    api::{Delivery, SequenceExecution},
    cli::cluster::Cluster,
    core::labels,
};

/// What is known so far.
#[derive(Default)]
struct Flow {
    delivery: Option<Delivery>,
    runs: BTreeMap<(Option<Timestamp>, String), SequenceExecution>,
}

impl Flow {
    /// The runs of the newest flow.
    fn runs(&self) -> Vec<SequenceExecution> {
        let status = self.delivery.as_ref().and_then(|d| d.status.as_ref());
        let context = status.and_then(|s| s.context.as_deref());
        let of = |run: &&SequenceExecution| run.spec.context.as_deref() == context;
        self.runs.values().filter(of).cloned().collect()
    }

    /// Whether the flow has ended, and well.
    fn ended(&self) -> Option<bool> {
        let delivery = self.delivery.as_ref()?;
        let status = delivery.status.as_ref()?;
        if status.observed_generation != delivery.metadata.generation {
            return None;
        }
        match status.phase.as_str() {
            "Delivered" => Some(true),
            "Failed" | "Aborted" => Some(false),
            _ => None,
        }
    }

    fn show(&self, screen: &mut Screen) {
        if let Some(delivery) = &self.delivery {
            screen.delivery(delivery, &self.runs(), self.ended().is_some());
        }
    }
}

fn key(run: &SequenceExecution) -> (Option<Timestamp>, String) {
    (run.creation_timestamp().map(|t| t.0), run.name_any())
}

/// Shows it until it has ended; whether it ended well.
pub(super) async fn flow(cluster: &Cluster, name: &str, screen: &mut Screen) -> anyhow::Result<bool> {
    cluster.get::<Delivery>(name).await?;
    let one = watcher::Config::default().fields(&format!("metadata.name={name}"));
    let labelled =
        watcher::Config::default().labels(&format!("{}={}", labels::DELIVERY, labels::value(name)));
    let mut deliveries = watcher(cluster.api::<Delivery>(), one).default_backoff().boxed();
    let mut runs = watcher(cluster.api::<SequenceExecution>(), labelled)
        .default_backoff()
        .boxed();
    let mut tick = tokio::time::interval(Duration::from_secs(1));
    let mut flow = Flow::default();
    loop {
        tokio::select! {
            change = deliveries.try_next() => match change.with_context(|| format!("watching Delivery {name}"))? {
                Some(watcher::Event::Apply(found) | watcher::Event::InitApply(found)) => flow.delivery = Some(found),
                Some(watcher::Event::Delete(_)) => bail!("Delivery {name} was deleted; its runs go on"),
                Some(_) => {}
                None => bail!("the watch ended; start it again"),
            },
            change = runs.try_next() => match change.context("watching the delivery's runs")? {
                Some(watcher::Event::Apply(run) | watcher::Event::InitApply(run)) => {
                    flow.runs.insert(key(&run), run);
                }
                Some(watcher::Event::Delete(run)) => {
                    flow.runs.remove(&key(&run));
                }
                Some(_) => {}
                None => bail!("the watch ended; start it again"),
            },
            _ = tick.tick(), if screen.live => {}
        }
        flow.show(screen);
        if let Some(well) = flow.ended() {
            return Ok(well);
        }
    }
}
