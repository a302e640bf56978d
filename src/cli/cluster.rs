//! Which cluster, as whom, and in which namespace: the same flags for every command, as kubectl has them.

use std::{fmt::Debug, path::PathBuf, time::Duration};

use anyhow::{Context as _, bail};
use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use kube::{
    Api, Client, Config, Resource, ResourceExt,
    api::{ListParams, PostParams},
    config::{KubeConfigOptions, Kubeconfig},
    core::NamespaceResourceScope,
};
use serde::{Serialize, de::DeserializeOwned};

use super::trouble::{self, Doing};
use crate::core::definitions::nearest::hint;

/// No single read takes longer.
const PATIENCE: Duration = Duration::from_secs(20);

/// Which cluster.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Connect {
    /// The namespace. Default: the kubeconfig's.
    #[arg(long, short, value_name = "NAMESPACE")]
    pub namespace: Option<String>,
    /// The context of the kubeconfig to use. Default: its current one.
    #[arg(long, value_name = "CONTEXT")]
    pub context: Option<String>,
    /// The kubeconfig. Default: $KUBECONFIG, then ~/.kube/config, then what a pod has.
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
}

/// A cluster that can be asked.
#[derive(Clone)]
pub struct Cluster {
    /// Its client.
    pub client: Client,
    /// Where, if nothing else is said.
    pub namespace: String,
}

/// What every kind of ours is.
pub trait Object:
    Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + Debug + DeserializeOwned + Serialize
{
}

impl<K> Object for K where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
        + Clone
        + Debug
        + DeserializeOwned
        + Serialize
{
}

impl Connect {
    /// The cluster that is meant. It is not asked anything yet.
    pub async fn open(&self) -> anyhow::Result<Cluster> {
        let mut config = self.config().await?;
        config.connect_timeout = Some(Duration::from_secs(10));
        let namespace = self
            .namespace
            .clone()
            .unwrap_or_else(|| config.default_namespace.clone());
        let client = Client::try_from(config).context("making a client for the cluster")?;
        Ok(Cluster { client, namespace })
    }

    async fn config(&self) -> anyhow::Result<Config> {
        if self.kubeconfig.is_none() && self.context.is_none() {
            // The error's own causes say the same once more.
            return Config::infer().await.map_err(|error| {
                anyhow::anyhow!(
                    "finding a cluster: name a kubeconfig with --kubeconfig or KUBECONFIG, or run in a pod ({error})"
                )
            });
        }
        let read = match &self.kubeconfig {
            Some(path) => Kubeconfig::read_from(path)
                .with_context(|| format!("--kubeconfig: reading {}", path.display())),
            None => {
                Kubeconfig::read().context("reading the kubeconfig: name one with --kubeconfig or KUBECONFIG")
            }
        }?;
        if let Some(wanted) = &self.context {
            let known: Vec<&str> = read.contexts.iter().map(|c| c.name.as_str()).collect();
            if !known.contains(&wanted.as_str()) {
                bail!(
                    "--context: the kubeconfig has no context {wanted:?}{}",
                    hint(wanted, known)
                );
            }
        }
        let options = KubeConfigOptions {
            context: self.context.clone(),
            ..KubeConfigOptions::default()
        };
        Config::from_custom_kubeconfig(read, &options)
            .await
            .context("reading the kubeconfig")
    }
}

impl Cluster {
    /// The objects of a kind in the namespace.
    pub fn api<K: Object>(&self) -> Api<K> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// The object of this name. One that is not there is told with the nearest name that is.
    pub async fn get<K: Object>(&self, name: &str) -> anyhow::Result<K> {
        let doing = Doing::to::<K>("get", &self.namespace);
        let asked = tokio::time::timeout(PATIENCE, self.api::<K>().get(name)).await;
        match asked.map_err(|_| doing.too_late(PATIENCE))? {
            Ok(found) => Ok(found),
            Err(kube::Error::Api(status)) if status.is_not_found() && trouble::names(&status, name) => {
                Err(self.missing::<K>(name).await)
            }
            Err(error) => Err(doing.failed(error)),
        }
    }

    /// The object of this name, if it is there and may be read.
    pub async fn peek<K: Object>(&self, name: &str) -> Option<K> {
        let asked = tokio::time::timeout(PATIENCE, self.api::<K>().get_opt(name)).await;
        asked.ok()?.ok()?
    }

    /// All objects of a kind: of the namespace, or of all namespaces.
    pub async fn list<K: Object>(&self, everywhere: bool, params: &ListParams) -> anyhow::Result<Vec<K>> {
        let (api, place) = if everywhere {
            (Api::<K>::all(self.client.clone()), "")
        } else {
            (self.api::<K>(), self.namespace.as_str())
        };
        let doing = Doing::to::<K>("list", place);
        let mut params = params.clone().limit(500);
        let mut all = Vec::new();
        loop {
            let asked = tokio::time::timeout(PATIENCE, api.list(&params)).await;
            let page = asked
                .map_err(|_| doing.too_late(PATIENCE))?
                .map_err(|error| doing.failed(error))?;
            all.extend(page.items);
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => params = params.continue_token(&token),
                None => return Ok(all),
            }
        }
    }

    async fn missing<K: Object>(&self, name: &str) -> anyhow::Error {
        let kind = K::kind(&());
        let known = self.list::<K>(false, &ListParams::default()).await;
        let known: Vec<String> = known
            .unwrap_or_default()
            .iter()
            .map(ResourceExt::name_any)
            .collect();
        let near = hint(name, known.iter().map(String::as_str));
        let place = &self.namespace;
        if near.is_empty() {
            return anyhow::anyhow!(
                "there is no {kind} {name:?} in namespace {place}, nor any other; name the namespace with -n"
            );
        }
        anyhow::anyhow!("there is no {kind} {name:?} in namespace {place}{near}")
    }

    /// The user's own name, as the API server knows it.
    pub async fn whoami(&self) -> anyhow::Result<String> {
        let api = Api::<SelfSubjectReview>::all(self.client.clone());
        let (params, empty) = (PostParams::default(), SelfSubjectReview::default());
        let asked = tokio::time::timeout(PATIENCE, api.create(&params, &empty)).await;
        let review = asked
            .context("asking the cluster who you are: no answer")?
            .map_err(|error| {
                Doing::new("create", "SelfSubjectReview", "selfsubjectreviews", "").failed(error)
            })?;
        let name = review.status.and_then(|s| s.user_info).and_then(|u| u.username);
        name.context("the cluster does not say who you are; kubectl auth whoami should")
    }
}
