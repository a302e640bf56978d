//! Writes: the one place that changes anything in the cluster.
//!
//! Every write is idempotent by the object's name or guarded by its resourceVersion, so a decision can be carried out
//! again after a crash.

pub mod events;
pub mod outlet;

use std::{fmt::Debug, sync::Arc, time::Duration};

use kube::{
    Api, Client, Resource, ResourceExt,
    api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions, PropagationPolicy},
    core::NamespaceResourceScope,
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::{core::labels::COXSWAIN, telemetry::Telemetry};

/// No single request may take longer.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(20);

/// Why a write did not happen, or may not have.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The API server said no, or could not be reached.
    #[error("{verb} {kind} {name}: {source}")]
    Api {
        /// `create`, `write status of`, `delete`.
        verb: &'static str,
        /// The object's kind.
        kind: String,
        /// The object's namespace and name.
        name: String,
        /// What the client says.
        source: Box<kube::Error>,
    },
    /// No answer came in time; the write may have taken effect.
    #[error("{verb} {kind} {name}: the API server did not answer within {REQUEST_TIMEOUT:?}")]
    Timeout {
        /// `create`, `write status of`, `delete`.
        verb: &'static str,
        /// The object's kind.
        kind: String,
        /// The object's namespace and name.
        name: String,
    },
}

impl Error {
    /// Another hand changed the object since it was read: read it again and decide anew.
    pub fn is_conflict(&self) -> bool {
        matches!(self, Self::Api { source, .. } if matches!(source.as_ref(), kube::Error::Api(s) if s.is_conflict()))
    }

    /// The object is gone.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Api { source, .. } if matches!(source.as_ref(), kube::Error::Api(s) if s.is_not_found()))
    }

    /// What came of it, in a word: a label of `coxswain_api_writes_total`.
    fn outcome(&self) -> &'static str {
        match self {
            Self::Timeout { .. } => "timeout",
            Self::Api { source, .. } if matches!(source.as_ref(), kube::Error::Api(s) if s.is_already_exists()) => {
                "exists"
            }
            _ if self.is_conflict() => "conflict",
            _ if self.is_not_found() => "not_found",
            _ if self.refusal().is_some() => "refused",
            Self::Api { .. } => "failed",
        }
    }

    /// The API server's answer, when it refused the write for good: invalid, forbidden, or a quota.
    pub fn refusal(&self) -> Option<&kube::core::Status> {
        match self {
            Self::Api { source, .. } => match source.as_ref() {
                kube::Error::Api(s) if s.is_invalid() || s.is_forbidden() || s.code == 400 => Some(s),
                _ => None,
            },
            Self::Timeout { .. } => None,
        }
    }
}

/// What came of a create.
#[derive(Debug)]
pub enum Created<K> {
    /// It was created now.
    New(K),
    /// An object of that name was there before: this is it, read live. Whether it is ours is the caller's to judge.
    Existed(K),
}

/// The writing side of a client.
#[derive(Clone)]
pub struct Effects {
    client: Client,
    /// Tells the story of a run as Kubernetes Events.
    pub events: events::Events,
    /// Sends what leaves the cluster.
    pub outlet: Arc<dyn outlet::Outlet>,
    /// Counts what is written.
    pub telemetry: Arc<Telemetry>,
}

impl Effects {
    /// Effects through this client; Events are published by a task of their own.
    pub fn new(client: Client) -> Self {
        let telemetry = Arc::new(Telemetry::new());
        let events = events::Events::start(client.clone(), telemetry.clone());
        let outlet = Arc::new(outlet::Http::new(client.clone()));
        Self {
            client,
            events,
            outlet,
            telemetry,
        }
    }

    /// Writes `object.status`, if nobody changed the object since its resourceVersion.
    pub async fn write_status<K>(&self, object: &K) -> Result<K, Error>
    where
        K: Resource<Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned + Serialize,
        K::DynamicType: Default,
    {
        let api = self.api::<K>(object);
        let name = object.name_any();
        self.counted(
            "write status of",
            object,
            api.replace_status(&name, &params(), object),
        )
        .await
    }

    /// Creates `object`; a name that is taken is not an error but an answer.
    pub async fn create<K>(&self, object: &K) -> Result<Created<K>, Error>
    where
        K: Resource<Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned + Serialize,
        K::DynamicType: Default,
    {
        let api = self.api::<K>(object);
        let created = self
            .counted("create", object, api.create(&params(), object))
            .await;
        match created {
            Err(Error::Api { ref source, .. }) if matches!(source.as_ref(), kube::Error::Api(s) if s.is_already_exists()) =>
            {
                let name = object.name_any();
                bounded("create", object, api.get(&name))
                    .await
                    .map(Created::Existed)
            }
            other => other.map(Created::New),
        }
    }

    /// Deletes the object of this uid, with its dependents in the background. One that is gone is fine.
    pub async fn delete<K>(&self, namespace: &str, name: &str, uid: Option<&str>) -> Result<(), Error>
    where
        K: Resource<Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned,
        K::DynamicType: Default,
    {
        self.remove::<K>(namespace, name, uid, PropagationPolicy::Background)
            .await
    }

    /// Deletes the object of this uid; its dependents stay, without an owner. One that is gone is fine.
    pub async fn delete_alone<K>(&self, namespace: &str, name: &str, uid: &str) -> Result<(), Error>
    where
        K: Resource<Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned,
        K::DynamicType: Default,
    {
        self.remove::<K>(namespace, name, Some(uid), PropagationPolicy::Orphan)
            .await
    }

    async fn remove<K>(
        &self,
        namespace: &str,
        name: &str,
        uid: Option<&str>,
        policy: PropagationPolicy,
    ) -> Result<(), Error>
    where
        K: Resource<Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned,
        K::DynamicType: Default,
    {
        let api = Api::<K>::namespaced(self.client.clone(), namespace);
        let params = DeleteParams {
            propagation_policy: Some(policy),
            preconditions: uid.map(|uid| Preconditions {
                uid: Some(uid.to_owned()),
                resource_version: None,
            }),
            ..DeleteParams::default()
        };
        let kind = K::kind(&K::DynamicType::default()).into_owned();
        let label = format!("{namespace}/{name}");
        let started = Instant::now();
        let done = match tokio::time::timeout(REQUEST_TIMEOUT, api.delete(name, &params)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(source)) => Err(Error::Api {
                verb: "delete",
                kind,
                name: label,
                source: Box::new(source),
            }),
            Err(_) => Err(Error::Timeout {
                verb: "delete",
                kind,
                name: label,
            }),
        };
        self.note::<K, _>("delete", started, &done);
        match done {
            Err(error) if error.is_not_found() || error.is_conflict() => Ok(()),
            done => done,
        }
    }

    /// Changes what a merge patch says, if nobody changed the object since its resourceVersion.
    pub async fn amend<K>(&self, object: &K, mut patch: Value) -> Result<K, Error>
    where
        K: Resource<Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned + Serialize,
        K::DynamicType: Default,
    {
        patch["metadata"]["resourceVersion"] = json!(object.resource_version());
        let (api, name) = (self.api::<K>(object), object.name_any());
        let params = PatchParams {
            field_manager: params().field_manager,
            ..PatchParams::default()
        };
        self.counted("patch", object, api.patch(&name, &params, &Patch::Merge(patch)))
            .await
    }

    /// Writes the object's metadata, if nobody changed it since its resourceVersion.
    pub async fn write_metadata<K>(&self, object: &K) -> Result<K, Error>
    where
        K: Resource<Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned + Serialize,
        K::DynamicType: Default,
    {
        let (api, name) = (self.api::<K>(object), object.name_any());
        self.counted("write", object, api.replace(&name, &params(), object))
            .await
    }

    /// Writes the object, but for its status, in the name of this user, if nobody changed it since its resourceVersion. The
    /// operator needs the right to impersonate that user.
    pub async fn write_as<K>(&self, user: &str, object: &K) -> Result<K, Error>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
            + Clone
            + Debug
            + DeserializeOwned
            + Serialize,
    {
        let wrong = |source: kube::Error| Error::Api {
            verb: "write",
            kind: K::kind(&()).into_owned(),
            name: object.name_any(),
            source: Box::new(source),
        };
        let path = K::url_path(&(), object.namespace().as_deref());
        let body = serde_json::to_vec(object).map_err(|e| wrong(kube::Error::SerdeError(e)))?;
        let request = kube::core::Request::new(path).replace(&object.name_any(), &params(), body);
        let mut request = request.map_err(|e| wrong(kube::Error::BuildRequest(e)))?;
        let name = user.parse().map_err(|_| {
            let io = std::io::Error::other(format!("{user:?} is no user's name"));
            wrong(kube::Error::ReadEvents(io))
        })?;
        request.headers_mut().insert("Impersonate-User", name);
        self.counted("write", object, self.client.request(request)).await
    }

    /// Asks the API server whether it would create this object; nothing is created.
    pub async fn try_create<K>(&self, object: &K) -> Result<(), Error>
    where
        K: Resource<Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned + Serialize,
        K::DynamicType: Default,
    {
        let params = PostParams {
            dry_run: true,
            ..params()
        };
        let api = self.api::<K>(object);
        self.counted("try to create", object, api.create(&params, object))
            .await
            .map(drop)
    }

    /// Server-side apply: the fields that `object` has become so, whoever had them before; others stay.
    pub async fn apply<K>(&self, object: &K, manager: &str) -> Result<K, Error>
    where
        K: Resource<Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned + Serialize,
        K::DynamicType: Default,
    {
        let params = PatchParams::apply(manager).force();
        let (api, name) = (self.api::<K>(object), object.name_any());
        self.counted("apply", object, api.patch(&name, &params, &Patch::Apply(object)))
            .await
    }

    /// Merges `patch` into the object; with a `metadata.resourceVersion` in it, if nobody changed the object since.
    pub async fn merge<K>(&self, object: &K, patch: &serde_json::Value) -> Result<K, Error>
    where
        K: Resource<Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned,
        K::DynamicType: Default,
    {
        let params = PatchParams {
            field_manager: Some(COXSWAIN.to_owned()),
            ..PatchParams::default()
        };
        let api = Api::<K>::namespaced(self.client.clone(), &object.namespace().unwrap_or_default());
        let name = object.name_any();
        self.counted("change", object, api.patch(&name, &params, &Patch::Merge(patch)))
            .await
    }

    /// As [`bounded`], and counted.
    async fn counted<K, T>(
        &self,
        verb: &'static str,
        object: &K,
        request: impl Future<Output = kube::Result<T>>,
    ) -> Result<T, Error>
    where
        K: Resource,
        K::DynamicType: Default,
    {
        let started = Instant::now();
        let done = bounded(verb, object, request).await;
        self.note::<K, _>(verb, started, &done);
        done
    }

    fn note<K, T>(&self, verb: &'static str, started: Instant, done: &Result<T, Error>)
    where
        K: Resource,
        K::DynamicType: Default,
    {
        let verb = match verb {
            "write status of" => "update_status",
            "write" => "update",
            "change" => "patch",
            "try to create" => "dry_run",
            same => same,
        };
        let kind = K::kind(&K::DynamicType::default()).into_owned().into();
        let outcome = done.as_ref().map_or_else(Error::outcome, |_| "ok");
        self.telemetry.written(verb, kind, outcome, started.elapsed());
    }

    fn api<K>(&self, object: &K) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.client.clone(), &object.namespace().unwrap_or_default())
    }
}

/// Who wrote it, as `managedFields` shows.
fn params() -> PostParams {
    PostParams {
        field_manager: Some(COXSWAIN.to_owned()),
        ..PostParams::default()
    }
}

async fn bounded<K, T>(
    verb: &'static str,
    object: &K,
    request: impl Future<Output = kube::Result<T>>,
) -> Result<T, Error>
where
    K: Resource,
    K::DynamicType: Default,
{
    let kind = || K::kind(&K::DynamicType::default()).into_owned();
    let name = || format!("{}/{}", object.namespace().unwrap_or_default(), object.name_any());
    match tokio::time::timeout(REQUEST_TIMEOUT, request).await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(source)) => Err(Error::Api {
            verb,
            kind: kind(),
            name: name(),
            source: Box::new(source),
        }),
        Err(_) => Err(Error::Timeout {
            verb,
            kind: kind(),
            name: name(),
        }),
    }
}
