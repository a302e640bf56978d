//! An evaluation in the cluster: an Evaluation of its own, which belongs to no run.

use std::{collections::BTreeMap, sync::Arc};

use anyhow::{Context as _, bail};
use jiff::Timestamp;
use kube::{
    Api, Client, ResourceExt, api::ListParams, core::NamespaceResourceScope, runtime::wait::await_condition,
};
use serde::de::DeserializeOwned;

use crate::{
    api::{Evaluation, evaluation::Window, execution::PinnedGate},
    core::{
        definitions::{self, Snapshot},
        evaluation,
        place::Place,
    },
    effects::{Created, Effects},
    facts::READ_TIMEOUT,
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
pub async fn create(
    client: &Client,
    namespace: &str,
    wanted: &Wanted,
    now: Timestamp,
) -> anyhow::Result<Evaluation> {
    let snapshot = snapshot(client, namespace).await?;
    let found = definitions::pinned::gate(&snapshot, &wanted.place)
        .map_err(|missing| anyhow::anyhow!("{}; mend it in namespace {namespace}", missing.message))?;
    let gate = found.map(|(_, gate)| gate).unwrap_or_default();
    let object = object(namespace, wanted, &gate, now);
    match Effects::new(client.clone()).create(&object).await? {
        Created::New(created) => Ok(created),
        Created::Existed(other) => bail!(
            "Evaluation {namespace}/{} exists: somebody evaluates at the same moment; try again",
            other.name_any()
        ),
    }
}

fn object(namespace: &str, wanted: &Wanted, gate: &PinnedGate, now: Timestamp) -> Evaluation {
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
async fn snapshot(client: &Client, namespace: &str) -> anyhow::Result<Snapshot> {
    Ok(Snapshot {
        objectives: list(client, namespace, "ServiceLevelObjectives").await?,
        indicators: list(client, namespace, "ServiceLevelIndicators").await?,
        // Not everybody may see URLs. Without a name the operator takes the only provider that there is.
        providers: match list(client, namespace, "MetricsProviders").await {
            Err(error) if forbidden(&error) => vec![],
            read => read?,
        },
        ..Snapshot::default()
    })
}

async fn list<K>(client: &Client, namespace: &str, what: &str) -> anyhow::Result<Vec<Arc<K>>>
where
    K: kube::Resource<Scope = NamespaceResourceScope, DynamicType = ()>
        + Clone
        + std::fmt::Debug
        + DeserializeOwned,
{
    let api = Api::<K>::namespaced(client.clone(), namespace);
    let found = tokio::time::timeout(READ_TIMEOUT, api.list(&ListParams::default())).await;
    let read = || format!("reading the {what} of namespace {namespace}");
    let found = found.with_context(read)?.with_context(read)?;
    Ok(found.items.into_iter().map(Arc::new).collect())
}

fn forbidden(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(kube::Error::Api(status)) if status.is_forbidden())
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
