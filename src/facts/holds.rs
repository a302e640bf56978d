//! Who holds everything back: the namespace label `coxswain.dev/hold=true`, or the ConfigMap `coxswain-hold` in the
//! operator's own namespace.

use futures::{Stream, StreamExt, future::Either, stream};
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

use super::{WATCH_TIMEOUT, filled::filled};

/// The label of a namespace in which nothing new starts.
pub const HOLD_LABEL: &str = "coxswain.dev/hold";
/// Why a namespace is held, for people.
pub const HOLD_REASON: &str = "coxswain.dev/hold-reason";
/// The ConfigMap that holds the whole installation; its `reason` is shown.
pub const HOLD_CONFIG_MAP: &str = "coxswain-hold";

/// The holds in force.
#[derive(Clone)]
pub struct Holds {
    namespaces: Store<PartialObjectMeta<Namespace>>,
    config_maps: Store<ConfigMap>,
    own_namespace: String,
}

impl Holds {
    /// The holds, and the stream that keeps them up to date; each item says that something changed.
    pub fn watch(client: &Client, own_namespace: &str) -> (Self, impl Stream<Item = ()> + Send + 'static) {
        let (namespaces, namespace_writer) = reflector::store();
        let (config_maps, config_map_writer) = reflector::store();
        let labelled = watcher::Config::default()
            .labels(&format!("{HOLD_LABEL}=true"))
            .timeout(WATCH_TIMEOUT);
        let named = watcher::Config::default()
            .fields(&format!("metadata.name={HOLD_CONFIG_MAP}"))
            .timeout(WATCH_TIMEOUT);
        let all = Api::<PartialObjectMeta<Namespace>>::all(client.clone());
        let own = Api::<ConfigMap>::namespaced(client.clone(), own_namespace);
        let changes = stream::select(
            watcher(all, labelled)
                .default_backoff()
                .modify(|o| o.managed_fields_mut().clear())
                .reflect(namespace_writer)
                .touched_objects()
                .map(Either::Left),
            watcher(own, named)
                .default_backoff()
                .modify(|o| o.managed_fields_mut().clear())
                .reflect(config_map_writer)
                .touched_objects()
                .map(Either::Right),
        );
        let changes = changes.filter_map(|change| async move {
            let failed = match change {
                Either::Left(Err(error)) => Some(error),
                Either::Right(Err(error)) => Some(error),
                _ => None,
            };
            if let Some(error) = failed {
                tracing::warn!(%error, "watching for holds failed; trying again");
                return None;
            }
            Some(())
        });
        (
            Self {
                namespaces,
                config_maps,
                own_namespace: own_namespace.to_owned(),
            },
            changes,
        )
    }

    /// Returns once both watches have been read: before that nobody can say that there is no hold.
    pub async fn wait_until_ready(&self) -> bool {
        filled(&self.namespaces).await.is_ok() && filled(&self.config_maps).await.is_ok()
    }

    /// How many hold the whole installation, and how many one namespace.
    pub fn count(&self) -> (usize, usize) {
        (self.config_maps.len(), self.namespaces.len())
    }

    /// Who holds this namespace back, for people.
    pub fn of(&self, namespace: &str) -> Option<String> {
        if let Some(map) = self.config_maps.state().first() {
            let reason = map.data.as_ref().and_then(|d| d.get("reason"));
            let reason = reason.map_or_else(String::new, |r| format!(": {r}"));
            return Some(format!(
                "ConfigMap {}/{HOLD_CONFIG_MAP}{reason}",
                self.own_namespace
            ));
        }
        let held = self.namespaces.get(&ObjectRef::new(namespace))?;
        let reason = held
            .annotations()
            .get(HOLD_REASON)
            .map_or_else(String::new, |r| format!(": {r}"));
        Some(format!(
            "the label {HOLD_LABEL}=true of namespace {namespace}{reason}"
        ))
    }
}
