//! An evaluation in the cluster: an Evaluation of its own, which belongs to no run.

use std::{collections::BTreeMap, sync::Arc};

use anyhow::{Context as _, bail};
use jiff::Timestamp;
use kube::{Api, Client, ResourceExt, api::ListParams, runtime::wait::await_condition};

use crate::{
    api::{Duration, Evaluation, evaluation::Window, execution::PinnedGate},
    cli::{
        cluster::{Cluster, Object},
        program,
        trouble::write_failed,
    },
    core::{
        definitions::{self, Snapshot},
        evaluation,
        place::Place,
    },
    effects::{Created, Effects},
};

/// What is to be evaluated.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Where.
    pub place: Place,
    /// When.
    pub window: Window,
    /// Values for `$LABEL.<key>`.
    pub labels: BTreeMap<String, String>,
}

/// Creates an Evaluation with the objectives and queries that apply there now.
pub async fn create(cluster: &Cluster, wanted: &Wanted, now: Timestamp) -> anyhow::Result<Evaluation> {
    let namespace = &cluster.namespace;
    let snapshot = snapshot(cluster).await?;
    let found = definitions::pinned::gate(&snapshot, &wanted.place)
        .map_err(|missing| anyhow::anyhow!("{}; mend it in namespace {namespace}", missing.message))?;
    let gate = found.map(|(_, gate)| gate).unwrap_or_default();
    let object = object(namespace, wanted, &gate, now);
    let created = Effects::new(cluster.client.clone()).create(&object).await;
    match created.map_err(|error| write_failed::<Evaluation>("create", namespace, error))? {
        Created::New(created) => Ok(created),
        Created::Existed(other) => bail!(
            "Evaluation {namespace}/{} exists: somebody evaluates at the same moment; try again",
            other.name_any()
        ),
    }
}

/// The object that asks for it.
pub fn object(namespace: &str, wanted: &Wanted, gate: &PinnedGate, now: Timestamp) -> Evaluation {
    let place = &wanted.place;
    // To the millisecond: two at once would be somebody's mistake, and the second is told.
    let stamp: String = format!("{now:.3}").chars().filter(char::is_ascii_digit).collect();
    evaluation::new_evaluation(evaluation::Request {
        namespace,
        name: &format!("{}-{stamp}", place.service()),
        project: place.project(),
        stage: place.stage(),
        service: place.service(),
        execution: None,
        sequence: None,
        attempt: None,
        window: wanted.window.clone(),
        gate,
        labels: &wanted.labels,
        deployment: wanted.labels.get("deployment").map(String::as_str),
        grace: None,
    })
}

/// What is defined there, as far as a gate needs it.
async fn snapshot(cluster: &Cluster) -> anyhow::Result<Snapshot> {
    Ok(Snapshot {
        objectives: list(cluster).await?,
        indicators: list(cluster).await?,
        // Not everybody may see URLs. Without a name the operator takes the only provider that there is.
        providers: list(cluster).await.unwrap_or_default(),
        ..Snapshot::default()
    })
}

async fn list<K: Object>(cluster: &Cluster) -> anyhow::Result<Vec<Arc<K>>> {
    let found = cluster.list::<K>(false, &ListParams::default()).await?;
    Ok(found.into_iter().map(Arc::new).collect())
}

/// The Evaluation with its verdict, which is waited for at most so long.
pub async fn verdict(
    cluster: &Cluster,
    created: &Evaluation,
    patience: Duration,
) -> anyhow::Result<Evaluation> {
    let ended = tokio::time::timeout(patience.0, ended(&cluster.client, created)).await;
    let (namespace, name) = (&cluster.namespace, created.name_any());
    ended.with_context(|| {
        format!(
            "Evaluation {namespace}/{name} had no verdict within {patience}; it goes on: see {} get evaluations -n \
             {namespace} {name}",
            program()
        )
    })?
}

/// The Evaluation when it has ended, however long that takes.
pub async fn ended(client: &Client, evaluation: &Evaluation) -> anyhow::Result<Evaluation> {
    let namespace = evaluation.namespace().unwrap_or_default();
    let name = evaluation.name_any();
    let api = Api::<Evaluation>::namespaced(client.clone(), &namespace);
    let done = |found: Option<&Evaluation>| {
        found.is_none_or(|e| e.status.as_ref().is_some_and(|status| status.done))
    };
    let found = await_condition(api, &name, done)
        .await
        .with_context(|| format!("watching Evaluation {namespace}/{name}"))?;
    found.with_context(|| format!("Evaluation {namespace}/{name} was deleted before it had a verdict"))
}
