//! Says of every definition whether it is in force.
//!
//! The verdict on one object depends on its twins (of two with the same scope the older wins), so what is looked at is
//! always all of one kind in one namespace. What JobConfigs answer and what of a Shipyard nobody answers depends on the other
//! kinds too.

use std::{collections::BTreeSet, fmt::Debug, pin::pin, sync::Arc, time::Duration};

use futures::{StreamExt, stream};
use kube::{
    Resource, ResourceExt,
    core::{NamespaceResourceScope, object::HasStatus},
};
use serde::{Serialize, de::DeserializeOwned};
use tokio::time::{Instant, sleep_until};

use crate::{
    api::{HasConfigStatus, JobConfigStatus, ShipyardStatus},
    core::definitions::{
        Snapshot, coverage,
        verdict::{self, Definition, Verdict},
    },
    core::{labels, note::Note},
    facts::stores::{Cache, Change, Definitions, Kind},
};

use super::Context;

/// So many changes are taken together.
const BATCH: usize = 256;
/// So many statuses are written at once.
const WRITES: usize = 8;
const RETRY_FIRST: Duration = Duration::from_secs(1);
const RETRY_LAST: Duration = Duration::from_mins(1);

/// All of one kind in one namespace.
type Group = (Kind, String);

/// Keeps `Ready` of every definition true to the facts, until it is dropped.
pub async fn run(context: Arc<Context>, definitions: Definitions) {
    let mut changes = pin!(definitions.changes().ready_chunks(BATCH));
    if definitions.wait_until_ready().await.is_err() {
        return;
    }
    let mut dirty: BTreeSet<Group> = affected(&definitions, &Change::All).collect();
    let mut wait = RETRY_FIRST;
    loop {
        let failed = settle_all(&context, &definitions, std::mem::take(&mut dirty)).await;
        wait = if failed.is_empty() {
            RETRY_FIRST
        } else {
            (wait * 2).min(RETRY_LAST)
        };
        let retry = Instant::now() + wait;
        tokio::select! {
            batch = changes.next() => match batch {
                Some(batch) => dirty = batch.iter().flat_map(|change| affected(&definitions, change)).collect(),
                None => return,
            },
            () = sleep_until(retry), if !failed.is_empty() => {}
        }
        // What failed is tried again with whatever comes first: the next change, or the end of the wait.
        dirty.extend(failed);
    }
}

fn affected<'a>(definitions: &'a Definitions, change: &'a Change) -> Box<dyn Iterator<Item = Group> + 'a> {
    let of_kind = |kind: Kind| {
        let namespaces = match kind {
            Kind::Shipyard => definitions.shipyards.namespaces(),
            Kind::Remediation => definitions.remediations.namespaces(),
            Kind::JobConfig => definitions.job_configs.namespaces(),
            Kind::Objective => definitions.objectives.namespaces(),
            Kind::Indicator => definitions.indicators.namespaces(),
            Kind::Provider => definitions.providers.namespaces(),
            Kind::AlertRoute => definitions.alert_routes.namespaces(),
            Kind::EventSink => definitions.event_sinks.namespaces(),
        };
        namespaces.into_iter().map(move |namespace| (kind, namespace))
    };
    match change {
        Change::One { kind, namespace, .. } => {
            let namespace = namespace.clone();
            Box::new(
                concerned(*kind)
                    .iter()
                    .map(move |kind| (*kind, namespace.clone())),
            )
        }
        Change::Kind(kind) => Box::new(concerned(*kind).iter().copied().flat_map(of_kind)),
        Change::All => {
            let all: Vec<Group> = Kind::ALL.into_iter().flat_map(of_kind).collect();
            Box::new(all.into_iter())
        }
    }
}

/// The kinds whose statuses speak of this one.
fn concerned(kind: Kind) -> &'static [Kind] {
    match kind {
        Kind::Shipyard | Kind::JobConfig => &[Kind::Shipyard, Kind::JobConfig],
        Kind::Remediation => &[Kind::Remediation, Kind::JobConfig],
        Kind::Objective => &[Kind::Objective],
        Kind::Indicator => &[Kind::Indicator],
        Kind::Provider => &[Kind::Provider],
        Kind::AlertRoute => &[Kind::AlertRoute],
        Kind::EventSink => &[Kind::EventSink],
    }
}

/// Writes the statuses that are not as they should be, and gives back the groups in which a write failed.
async fn settle_all(context: &Context, definitions: &Definitions, dirty: BTreeSet<Group>) -> Vec<Group> {
    let mut failed = Vec::new();
    for (kind, namespace) in dirty {
        let settled = match kind {
            Kind::Shipyard => {
                let all = related(definitions, &namespace);
                let fill = |shipyard: &_, verdict: &_, status: &mut ShipyardStatus| {
                    let tasks = coverage::unanswered(shipyard, verdict, &all);
                    status.unanswered_count = tasks.count();
                    status.unanswered = tasks.listed();
                };
                settle(context, &definitions.shipyards, &namespace, fill).await
            }
            Kind::Remediation => settle(context, &definitions.remediations, &namespace, nothing_more).await,
            Kind::JobConfig => {
                let all = related(definitions, &namespace);
                let fill = |config: &_, verdict: &_, status: &mut JobConfigStatus| {
                    let tasks = coverage::answers(config, verdict, &all);
                    status.answers_count = tasks.count();
                    status.answers = tasks.listed();
                    let actions = coverage::unused(config, verdict, &all);
                    status.unused_count = actions.count();
                    status.unused = actions.listed();
                };
                settle(context, &definitions.job_configs, &namespace, fill).await
            }
            Kind::Objective => settle(context, &definitions.objectives, &namespace, nothing_more).await,
            Kind::Indicator => settle(context, &definitions.indicators, &namespace, nothing_more).await,
            Kind::Provider => settle(context, &definitions.providers, &namespace, nothing_more).await,
            Kind::AlertRoute => settle(context, &definitions.alert_routes, &namespace, nothing_more).await,
            Kind::EventSink => settle(context, &definitions.event_sinks, &namespace, nothing_more).await,
        };
        if !settled {
            failed.push((kind, namespace));
        }
    }
    failed
}

/// What says which tasks and actions there are, and who answers.
fn related(definitions: &Definitions, namespace: &str) -> Snapshot {
    Snapshot {
        shipyards: definitions.shipyards.of(namespace),
        remediations: definitions.remediations.of(namespace),
        job_configs: definitions.job_configs.of(namespace),
        ..Snapshot::default()
    }
}

fn nothing_more<K, S>(_: &K, _: &Verdict, _: &mut S) {}

/// Whether every status of the group is written, or soon looked at again because its object has changed. `fill` adds what
/// the kind's status has beside the verdict.
async fn settle<K>(
    context: &Context,
    cache: &Cache<K>,
    namespace: &str,
    fill: impl Fn(&K, &Verdict, &mut K::Status),
) -> bool
where
    K: Definition
        + Resource<Scope = NamespaceResourceScope>
        + HasStatus<Status: HasConfigStatus + Clone + Default + PartialEq>
        + Clone
        + Debug
        + DeserializeOwned
        + Serialize
        + 'static,
{
    let objects = cache.of(namespace);
    let verdicts = verdict::judge(&objects);
    let mut writes = Vec::new();
    for (object, verdict) in objects.into_iter().zip(verdicts) {
        let now = context.clock.now();
        let mut status = verdict::status(object.status(), object.meta().generation, &verdict, now);
        fill(&object, &verdict, &mut status);
        if let Some(asked) = labels::asked_to_look(object.meta()) {
            status.config_mut().last_handled_reconcile_at = Some(asked.to_owned());
        }
        if object.status() != Some(&status) {
            writes.push(write(context, object, status, verdict));
        }
    }
    let results: Vec<bool> = stream::iter(writes).buffer_unordered(WRITES).collect().await;
    results.into_iter().all(|written| written)
}

async fn write<K>(context: &Context, object: Arc<K>, status: K::Status, verdict: Verdict) -> bool
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + HasStatus<Status: HasConfigStatus>
        + Clone
        + Debug
        + DeserializeOwned
        + Serialize,
{
    let mut wanted = object.as_ref().clone();
    let told = object.status().is_some_and(|old| old.config() == status.config());
    *wanted.status_mut() = Some(status);
    match context.effects.write_status(&wanted).await {
        Ok(written) => {
            if verdict != Verdict::Valid && !told {
                let note = Note::warning(verdict.reason(), verdict.message());
                context
                    .effects
                    .events
                    .tell(&written, context.clock.now(), vec![note]);
            }
            true
        }
        // The newer object is on its way, or its deletion.
        Err(error) if error.is_conflict() || error.is_not_found() => true,
        Err(error) => {
            let kind = K::kind(&());
            tracing::warn!(%error, %kind, name = object.name_any(), "could not say whether the object is in force");
            false
        }
    }
}
