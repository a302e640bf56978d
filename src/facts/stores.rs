//! The definitions of the cluster, cached: one watch a kind, for every controller.

use std::{fmt::Debug, sync::Arc};

use futures::{
    FutureExt, Stream, StreamExt,
    future::BoxFuture,
    stream::{self, BoxStream},
};
use kube::{
    Client, Resource, ResourceExt,
    core::NamespaceResourceScope,
    runtime::{
        WatchStreamExt,
        reflector::{self, Store, store::Writer},
        watcher,
    },
};
use serde::de::DeserializeOwned;
use tokio::sync::broadcast::{self, error::RecvError};

use crate::api::{
    AlertRoute, EventSink, JobConfig, MetricsProvider, Remediation, ServiceLevelIndicator,
    ServiceLevelObjective, Shipyard,
};

use super::{WATCH_TIMEOUT, guarded::Guarded, namespaces::Namespaces};
use crate::core::definitions::Snapshot;

pub use super::filled::{Stopped, filled};

/// A reader that is further behind is told to look at everything.
const CHANGES_KEPT: usize = 1024;

/// A kind of definition.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Kind {
    /// `Shipyard`
    Shipyard,
    /// `Remediation`
    Remediation,
    /// `JobConfig`
    JobConfig,
    /// `ServiceLevelObjective`
    Objective,
    /// `ServiceLevelIndicator`
    Indicator,
    /// `MetricsProvider`
    Provider,
    /// `AlertRoute`
    AlertRoute,
    /// `EventSink`
    EventSink,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 8] = [
        Self::Shipyard,
        Self::Remediation,
        Self::JobConfig,
        Self::Objective,
        Self::Indicator,
        Self::Provider,
        Self::AlertRoute,
        Self::EventSink,
    ];
}

/// Something in the caches changed. It is there when this is read.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Change {
    /// Perhaps everything of the kind: a watch has begun anew.
    Kind(Kind),
    /// Perhaps everything: this reader was too slow to be told each.
    All,
    /// One object was created, changed or deleted.
    One {
        /// Its kind.
        kind: Kind,
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
}

/// The objects of one kind.
pub struct Cache<K: Resource + Clone + 'static>
where
    K::DynamicType: Eq + std::hash::Hash + Clone,
{
    store: Store<Guarded<K>>,
}

impl<K> Clone for Cache<K>
where
    K: Resource<DynamicType = ()> + Clone + 'static,
{
    fn clone(&self) -> Self {
        Self {
            store: self.store.clone(),
        }
    }
}

impl<K> Cache<K>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + 'static,
{
    /// The readable objects of a namespace, in no particular order.
    pub fn of(&self, namespace: &str) -> Vec<Arc<K>> {
        self.store
            .state_filter(|object| object.meta().namespace.as_deref() == Some(namespace))
            .iter()
            .filter_map(|object| object.readable())
            .collect()
    }

    /// The object of this name, if there is one that can be read.
    pub fn get(&self, namespace: &str, name: &str) -> Option<Arc<K>> {
        self.store
            .get(&reflector::ObjectRef::new(name).within(namespace))?
            .readable()
    }

    /// Waits until the kind has been listed once. Until then nothing may be concluded from an object's absence.
    pub async fn wait_until_ready(&self) -> Result<(), Stopped> {
        filled(&self.store).await
    }

    /// The namespaces that have an object of this kind, each once.
    pub fn namespaces(&self) -> std::collections::BTreeSet<String> {
        self.store
            .state()
            .iter()
            .filter_map(|object| object.namespace())
            .collect()
    }
}

/// The definitions of the namespaces that are watched.
#[derive(Clone)]
pub struct Definitions {
    /// Projects.
    pub shipyards: Cache<Shipyard>,
    /// Actions for problems.
    pub remediations: Cache<Remediation>,
    /// Jobs for events.
    pub job_configs: Cache<JobConfig>,
    /// Quality gates.
    pub objectives: Cache<ServiceLevelObjective>,
    /// Queries.
    pub indicators: Cache<ServiceLevelIndicator>,
    /// Where queries are answered.
    pub providers: Cache<MetricsProvider>,
    /// Whose problem an alert tells of.
    pub alert_routes: Cache<AlertRoute>,
    /// Who is told what happens.
    pub event_sinks: Cache<EventSink>,
    changes: broadcast::Sender<Change>,
}

impl Definitions {
    /// The caches, and the work that fills them and keeps them up to date until it is dropped.
    ///
    /// MetricsProviders and EventSinks are looked for in `and_own`, which has the operator's own namespace too: those there
    /// may be meant for all.
    pub fn start(
        client: &Client,
        namespaces: &Namespaces,
        and_own: &Namespaces,
    ) -> (Self, BoxFuture<'static, ()>) {
        let (changes, _) = broadcast::channel(CHANGES_KEPT);
        let (shipyards, one) = watch(client, namespaces, Kind::Shipyard, &changes);
        let (remediations, two) = watch(client, namespaces, Kind::Remediation, &changes);
        let (job_configs, three) = watch(client, namespaces, Kind::JobConfig, &changes);
        let (objectives, four) = watch(client, namespaces, Kind::Objective, &changes);
        let (indicators, five) = watch(client, namespaces, Kind::Indicator, &changes);
        let (providers, six) = watch(client, and_own, Kind::Provider, &changes);
        let (alert_routes, seven) = watch(client, namespaces, Kind::AlertRoute, &changes);
        let (event_sinks, eight) = watch(client, and_own, Kind::EventSink, &changes);
        let definitions = Self {
            shipyards,
            remediations,
            job_configs,
            objectives,
            indicators,
            providers,
            alert_routes,
            event_sinks,
            changes,
        };
        let work = futures::future::join_all([one, two, three, four, five, six, seven, eight]).map(|_| ());
        (definitions, work.boxed())
    }

    /// What is defined in a namespace now.
    pub fn of(&self, namespace: &str) -> Snapshot {
        Snapshot {
            shipyards: self.shipyards.of(namespace),
            remediations: self.remediations.of(namespace),
            job_configs: self.job_configs.of(namespace),
            objectives: self.objectives.of(namespace),
            indicators: self.indicators.of(namespace),
            providers: self.providers.of(namespace),
        }
    }

    /// Waits until every kind has been listed once. Until then nothing may be concluded from an object's absence.
    pub async fn wait_until_ready(&self) -> Result<(), Stopped> {
        self.shipyards.wait_until_ready().await?;
        self.remediations.wait_until_ready().await?;
        self.job_configs.wait_until_ready().await?;
        self.objectives.wait_until_ready().await?;
        self.indicators.wait_until_ready().await?;
        self.providers.wait_until_ready().await?;
        self.alert_routes.wait_until_ready().await?;
        self.event_sinks.wait_until_ready().await
    }

    /// Every change from now on. A reader that falls behind is told [`Change::All`] in place of what it missed.
    pub fn changes(&self) -> impl Stream<Item = Change> + Send + 'static {
        stream::unfold(self.changes.subscribe(), |mut receiver| async move {
            match receiver.recv().await {
                Ok(change) => Some((change, receiver)),
                Err(RecvError::Lagged(_)) => Some((Change::All, receiver)),
                Err(RecvError::Closed) => None,
            }
        })
    }
}

fn watch<K>(
    client: &Client,
    namespaces: &Namespaces,
    kind: Kind,
    changes: &broadcast::Sender<Change>,
) -> (Cache<K>, BoxFuture<'static, ()>)
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + Debug
        + DeserializeOwned
        + Send
        + Sync
        + 'static,
{
    let (store, writer) = reflector::store();
    let config = watcher::Config::default().timeout(WATCH_TIMEOUT);
    let events = namespaces.watch(client, config);
    (
        Cache { store },
        keep(events, writer, kind, changes.clone()).boxed(),
    )
}

/// Keeps one store up to date, and says after each change that it is there.
async fn keep<K>(
    events: BoxStream<'static, watcher::Result<watcher::Event<Guarded<K>>>>,
    writer: Writer<Guarded<K>>,
    kind: Kind,
    changes: broadcast::Sender<Change>,
) where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + Debug
        + DeserializeOwned
        + Send
        + Sync
        + 'static,
{
    let events = events
        .modify(|object| object.meta_mut().managed_fields = None)
        .reflect(writer);
    let mut events = std::pin::pin!(events);
    while let Some(event) = events.next().await {
        let change = match event {
            Ok(watcher::Event::InitDone) => Change::Kind(kind),
            Ok(watcher::Event::Apply(object)) => {
                complain(&object);
                one(kind, &object)
            }
            Ok(watcher::Event::Delete(object)) => one(kind, &object),
            Ok(watcher::Event::InitApply(object)) => {
                complain(&object);
                continue;
            }
            Ok(watcher::Event::Init) => continue,
            Err(error) => {
                let kind = K::kind(&());
                tracing::warn!(%error, %kind, "can't watch; trying again. Is the CRD installed, and may Coxswain read it?");
                continue;
            }
        };
        // Nobody listening is fine: the store is what counts.
        let _ = changes.send(change);
    }
}

fn one<K: Resource<DynamicType = ()> + Clone>(kind: Kind, object: &Guarded<K>) -> Change {
    Change::One {
        kind,
        namespace: object.namespace().unwrap_or_default(),
        name: object.name_any(),
    }
}

fn complain<K: Resource<DynamicType = ()> + Clone>(object: &Guarded<K>) {
    if let Err(invalid) = &object.0 {
        let kind = K::kind(&());
        let (namespace, name) = (object.namespace().unwrap_or_default(), object.name_any());
        tracing::warn!(%kind, namespace, name, error = invalid.error, "this object can't be read; it is left out");
    }
}

#[cfg(test)]
mod tests {
    use kube::client::Body;

    use super::*;

    /// An API server without objects: lists are empty, and watches silent.
    fn empty_cluster() -> Client {
        let service = tower::service_fn(async |request: axum::http::Request<Body>| {
            if request
                .uri()
                .query()
                .is_some_and(|query| query.contains("watch=true"))
            {
                std::future::pending::<()>().await;
            }
            let list = r#"{"apiVersion":"v1","kind":"List","metadata":{"resourceVersion":"1"},"items":[]}"#;
            Ok::<_, std::convert::Infallible>(axum::http::Response::new(Body::from(list.as_bytes().to_vec())))
        });
        Client::new(service, "default")
    }

    #[tokio::test(start_paused = true)]
    async fn everybody_who_waits_is_woken() {
        let (definitions, work) = Definitions::start(&empty_cluster(), &Namespaces::All, &Namespaces::All);
        let waiting: Vec<_> = (0..3)
            .map(|_| {
                let definitions = definitions.clone();
                tokio::spawn(async move { definitions.wait_until_ready().await })
            })
            .collect();
        tokio::task::yield_now().await;
        let working = tokio::spawn(work);
        for task in waiting {
            let woken = tokio::time::timeout(std::time::Duration::from_mins(1), task).await;
            assert_eq!(woken.unwrap().unwrap(), Ok(()));
        }
        working.abort();
    }

    #[tokio::test]
    async fn waiting_ends_with_the_work() {
        let (definitions, work) = Definitions::start(&empty_cluster(), &Namespaces::All, &Namespaces::All);
        drop(work);
        assert_eq!(definitions.wait_until_ready().await, Err(Stopped));
    }
}
