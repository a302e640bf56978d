//! Looks at the objects that Jobs change, of whatever kind.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use futures::future::join_all;
use kube::{
    Api, Client,
    api::{ApiResource, DynamicObject},
    core::GroupVersionKind,
    discovery::{self, Scope},
};

use super::execution::{Error, bounded};
use crate::{
    api::jobconfig::Target,
    core::jobs::targets::{Look, Snapshot},
};

/// So many kinds are remembered; a cluster's users name fewer.
const KINDS_MAX: usize = 256;

/// What the API server calls the kinds that targets name. A kind that is not served is asked for anew each time.
#[derive(Clone, Default)]
pub struct Kinds(Arc<Mutex<BTreeMap<(String, String), ApiResource>>>);

impl Kinds {
    /// Looks at all of them. What can't be looked at is told, and never an error: looking is a help, no duty.
    pub async fn look(&self, client: &Client, namespace: &str, targets: &[Target]) -> BTreeMap<Target, Look> {
        let looks = targets.iter().map(|target| async {
            let seen = self.look_at(client, namespace, target).await;
            (target.clone(), seen.unwrap_or_else(|unseen| unseen))
        });
        join_all(looks).await.into_iter().collect()
    }

    async fn look_at(&self, client: &Client, namespace: &str, target: &Target) -> Result<Look, Look> {
        let Target {
            api_version,
            kind,
            name,
        } = target;
        if (api_version.as_str(), kind.as_str()) == ("v1", "Secret") {
            return Err(unseen(
                "NotWatched",
                format!("Secret {name} is not looked at: no Secret is"),
            ));
        }
        let resource = self.resource(client, target).await?;
        let api = Api::<DynamicObject>::namespaced_with(client.clone(), namespace, &resource);
        let what = format!("{kind} {namespace}/{name}");
        match bounded(&what, api.get_opt(name)).await {
            Ok(Some(found)) => {
                let object = serde_json::to_value(&found).unwrap_or_default();
                Ok(Look::Found(Snapshot::of(&object)))
            }
            Ok(None) => Err(unseen(
                "TargetMissing",
                format!(
                    "{kind} {name}, which targets names, does not exist: a change that is undone would not be seen"
                ),
            )),
            Err(error) if is_forbidden(&error) => {
                let group = if resource.group.is_empty() {
                    "\"\""
                } else {
                    &resource.group
                };
                Err(unseen(
                    "NotGranted",
                    format!(
                        "{kind} {name} is not looked at, because Coxswain may not: to have changes seen that another owner \
                         undoes, bind a Role with get on {} of the group {group} to its service account (docs/tasks.md)",
                        resource.plural
                    ),
                ))
            }
            Err(error) => Err(unseen(
                "NotReadable",
                format!("{kind} {name} could not be looked at: {error}"),
            )),
        }
    }

    /// How the API server calls the kind.
    async fn resource(&self, client: &Client, target: &Target) -> Result<ApiResource, Look> {
        let Target {
            api_version, kind, ..
        } = target;
        let key = (api_version.clone(), kind.clone());
        if let Some(known) = self.lock().get(&key) {
            return Ok(known.clone());
        }
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        let gvk = GroupVersionKind::gvk(group, version, kind);
        let asked = bounded(
            &format!("the kinds of {api_version}"),
            discovery::pinned_kind(client, &gvk),
        )
        .await;
        let (resource, capabilities) = asked.map_err(|error| {
            unseen(
                "KindUnknown",
                format!("{kind} of {api_version}, which targets names, is not known: {error}"),
            )
        })?;
        if capabilities.scope != Scope::Namespaced {
            let message = format!(
                "{kind} of {api_version}, which targets names, is in no namespace: only objects of the run's own are looked at"
            );
            return Err(unseen("KindUnknown", message));
        }
        let mut kinds = self.lock();
        if kinds.len() >= KINDS_MAX {
            kinds.clear();
        }
        kinds.insert(key, resource.clone());
        Ok(resource)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<(String, String), ApiResource>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn unseen(reason: &'static str, message: String) -> Look {
    Look::NotSeen { reason, message }
}

fn is_forbidden(error: &Error) -> bool {
    matches!(error, Error::Api { source, .. } if matches!(source.as_ref(), kube::Error::Api(status) if status.is_forbidden()))
}
