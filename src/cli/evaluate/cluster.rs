//! An evaluation in the cluster: an Evaluation of its own, which belongs to no run. What it measures by is the operator's
//! business, so nobody needs rights on objectives or providers for it.

use std::collections::BTreeMap;

use anyhow::{Context as _, bail};
use jiff::Timestamp;
use kube::{Api, Client, ResourceExt, api::ObjectMeta, runtime::wait::await_condition};

use crate::{
    api::{Duration, Evaluation, EvaluationSpec, evaluation::Window},
    cli::{cluster::Cluster, program, trouble::write_failed},
    core::place::Place,
    effects::{Created, Effects},
};

/// What is to be evaluated.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Where.
    pub place: Place,
    /// When.
    pub time: Time,
    /// Values for `$LABEL.<key>`.
    pub labels: BTreeMap<String, String>,
}

/// The time that is evaluated.
#[derive(Clone, Debug)]
pub enum Time {
    /// So long, up to the Evaluation's creation by the API server's clock.
    UpToNow(Duration),
    /// This window.
    Window(Window),
}

/// Creates an Evaluation; the operator completes it with the objective and queries that apply there now.
pub async fn create(cluster: &Cluster, wanted: &Wanted, now: Timestamp) -> anyhow::Result<Evaluation> {
    let namespace = &cluster.namespace;
    let object = object(namespace, wanted, now);
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
pub fn object(namespace: &str, wanted: &Wanted, now: Timestamp) -> Evaluation {
    let place = &wanted.place;
    // To the millisecond: two at once would be somebody's mistake, and the second is told.
    let stamp: String = format!("{now:.3}").chars().filter(char::is_ascii_digit).collect();
    let (window, timeframe) = match &wanted.time {
        Time::UpToNow(length) => (None, Some(*length)),
        Time::Window(window) => (Some(window.clone()), None),
    };
    Evaluation {
        metadata: ObjectMeta {
            name: Some(format!("{}-{stamp}", place.service())),
            namespace: Some(namespace.to_owned()),
            ..ObjectMeta::default()
        },
        spec: EvaluationSpec {
            project: place.project().to_owned(),
            stage: place.stage().to_owned(),
            service: place.service().to_owned(),
            window,
            timeframe,
            labels: wanted.labels.clone(),
            deployment: wanted.labels.get("deployment").cloned(),
            ..EvaluationSpec::default()
        },
        status: None,
    }
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
