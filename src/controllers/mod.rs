//! One file per kind: what is watched, and facts -> decide -> effects. Thin.

pub mod children;
mod created;
pub mod definitions;
pub mod delivery;
pub mod evaluation;
pub mod execution;
pub mod history;
pub mod problem;
mod questions;
pub mod retry;
pub mod run;
pub mod sinks;
pub mod supervise;
pub mod wake;

pub use run::{Options, run, run_sharing};

use std::sync::Arc;

use futures::stream::BoxStream;
use kube::{
    Client, Resource,
    core::NamespaceResourceScope,
    runtime::watcher::{self, Event},
};

use crate::{
    effects::{Effects, outlet::Outlet},
    facts::{clock::Clock, namespaces::Namespaces},
};

/// What every controller is given.
#[derive(Clone)]
pub struct Context {
    /// For reads; writes go through `effects`.
    pub client: Client,
    /// For writes.
    pub effects: Effects,
    /// What time it is.
    pub clock: Clock,
    /// Where the operator works.
    pub namespaces: Namespaces,
}

impl Context {
    /// A context on this client, for every namespace.
    pub fn new(client: Client, clock: Clock) -> Arc<Self> {
        Self::within(client, clock, Namespaces::All)
    }

    /// A context on this client, for these namespaces.
    pub fn within(client: Client, clock: Clock, namespaces: Namespaces) -> Arc<Self> {
        Arc::new(Self {
            effects: Effects::new(client.clone()),
            client,
            clock,
            namespaces,
        })
    }

    /// A context that sends what leaves the cluster in another way.
    pub fn sending(
        client: Client,
        clock: Clock,
        namespaces: Namespaces,
        outlet: Arc<dyn Outlet>,
    ) -> Arc<Self> {
        let mut effects = Effects::new(client.clone());
        effects.outlet = outlet;
        Arc::new(Self {
            client,
            effects,
            clock,
            namespaces,
        })
    }

    /// Watches a kind wherever the operator works.
    pub fn watch<K>(&self, config: watcher::Config) -> BoxStream<'static, watcher::Result<Event<K>>>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
            + Clone
            + std::fmt::Debug
            + serde::de::DeserializeOwned
            + Send
            + 'static,
    {
        self.namespaces.watch(&self.client, config)
    }
}
