//! Who holds everything back: the namespace label `coxswain.dev/hold=true`, or the ConfigMap `coxswain-hold` in the
//! operator's own namespace.

use std::{sync::Arc, time::Duration};

use futures::{
    StreamExt,
    future::ready,
    stream::{self, BoxStream},
};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::{
    Api, Client, ResourceExt,
    core::PartialObjectMeta,
    runtime::{
        WatchStreamExt,
        reflector::{self, ObjectRef, Store},
        watcher,
    },
};
use tokio::sync::Notify;

use super::{
    WATCH_TIMEOUT,
    execution::{Error, bounded},
    filled::filled,
    namespaces::Namespaces,
};

/// The label of a namespace in which nothing new starts.
pub const HOLD_LABEL: &str = "coxswain.dev/hold";
/// Why a namespace is held, for people.
pub const HOLD_REASON: &str = "coxswain.dev/hold-reason";
/// The ConfigMap that holds the whole installation; its `reason` is shown.
pub const HOLD_CONFIG_MAP: &str = "coxswain-hold";

/// Where the label of a namespace can't be watched, runs that it holds look again after so long.
const LOOK_AGAIN: Duration = Duration::from_secs(15);

/// The holds in force.
#[derive(Clone)]
pub struct Holds {
    labels: Labels,
    config_maps: Store<ConfigMap>,
    own_namespace: String,
}

/// The labels of namespaces.
#[derive(Clone)]
enum Labels {
    /// The namespaces that are held: they are watched.
    Watched(Store<PartialObjectMeta<Namespace>>),
    /// Roles can't let anybody watch a Namespace, but read their own. So the label is read when something is about to
    /// start; and while it holds something, that is told after [`LOOK_AGAIN`].
    Asked { client: Client, held: Arc<Notify> },
}

impl Holds {
    /// The holds, and the stream that keeps them up to date; each item says that something changed, or may have.
    pub fn watch(
        client: &Client,
        namespaces: &Namespaces,
        own_namespace: &str,
    ) -> (Self, BoxStream<'static, ()>) {
        let (config_maps, writer) = reflector::store();
        let named = watcher::Config::default()
            .fields(&format!("metadata.name={HOLD_CONFIG_MAP}"))
            .timeout(WATCH_TIMEOUT);
        let own = Api::<ConfigMap>::namespaced(client.clone(), own_namespace);
        let maps = watcher(own, named)
            .default_backoff()
            .modify(|o| o.managed_fields_mut().clear())
            .reflect(writer)
            .touched_objects()
            .filter_map(|change| ready(went_well(change)));
        let (labels, labelled) = match namespaces {
            Namespaces::All => watch_labels(client),
            Namespaces::Only(_) => ask_for_labels(client),
        };
        let holds = Self {
            labels,
            config_maps,
            own_namespace: own_namespace.to_owned(),
        };
        (holds, stream::select(maps, labelled).boxed())
    }

    /// Returns once the watches have been read: before that nobody can say that there is no hold.
    pub async fn wait_until_ready(&self) -> bool {
        let labels = match &self.labels {
            Labels::Watched(namespaces) => filled(namespaces).await.is_ok(),
            Labels::Asked { .. } => true,
        };
        labels && filled(&self.config_maps).await.is_ok()
    }

    /// How many hold the whole installation, and how many one namespace; where labels of namespaces are not watched, the
    /// latter are not known and not counted.
    pub fn count(&self) -> (usize, usize) {
        let labelled = match &self.labels {
            Labels::Watched(namespaces) => namespaces.len(),
            Labels::Asked { .. } => 0,
        };
        (self.config_maps.len(), labelled)
    }

    /// Who holds this namespace back, for people.
    pub async fn of(&self, namespace: &str) -> Result<Option<String>, Error> {
        if let Some(map) = self.config_maps.state().first() {
            let reason = map.data.as_ref().and_then(|d| d.get("reason"));
            let reason = reason.map_or_else(String::new, |r| format!(": {r}"));
            return Ok(Some(format!(
                "ConfigMap {}/{HOLD_CONFIG_MAP}{reason}",
                self.own_namespace
            )));
        }
        match &self.labels {
            Labels::Watched(held) => {
                let held = held.get(&ObjectRef::new(namespace));
                Ok(held.map(|held| by_label(namespace, &*held)))
            }
            Labels::Asked { client, held } => {
                let all = Api::<Namespace>::all(client.clone());
                let found =
                    bounded(&format!("Namespace {namespace}"), all.get_metadata_opt(namespace)).await?;
                let labelled = |found: &PartialObjectMeta<Namespace>| {
                    found.labels().get(HOLD_LABEL).is_some_and(|v| v == "true")
                };
                let found = found.filter(labelled);
                if found.is_some() {
                    held.notify_one();
                }
                Ok(found.map(|found| by_label(namespace, &found)))
            }
        }
    }
}

fn by_label(namespace: &str, held: &impl ResourceExt) -> String {
    let reason = held.annotations().get(HOLD_REASON);
    let reason = reason.map_or_else(String::new, |r| format!(": {r}"));
    format!("the label {HOLD_LABEL}=true of namespace {namespace}{reason}")
}

fn watch_labels(client: &Client) -> (Labels, BoxStream<'static, ()>) {
    let (namespaces, writer) = reflector::store();
    let labelled = watcher::Config::default()
        .labels(&format!("{HOLD_LABEL}=true"))
        .timeout(WATCH_TIMEOUT);
    let changes = watcher(Api::<PartialObjectMeta<Namespace>>::all(client.clone()), labelled)
        .default_backoff()
        .modify(|o| o.managed_fields_mut().clear())
        .reflect(writer)
        .touched_objects()
        .filter_map(|change| ready(went_well(change)));
    (Labels::Watched(namespaces), changes.boxed())
}

fn ask_for_labels(client: &Client) -> (Labels, BoxStream<'static, ()>) {
    let held = Arc::new(Notify::new());
    let changes = stream::unfold(held.clone(), async |held| {
        held.notified().await;
        tokio::time::sleep(LOOK_AGAIN).await;
        Some(((), held))
    });
    let client = client.clone();
    (Labels::Asked { client, held }, changes.boxed())
}

fn went_well<K>(change: watcher::Result<K>) -> Option<()> {
    change
        .inspect_err(|error| tracing::warn!(%error, "watching for holds failed; trying again"))
        .map(drop)
        .ok()
}
