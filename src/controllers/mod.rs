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

use kube::Client;

use crate::{
    effects::{Effects, outlet::Outlet},
    facts::clock::Clock,
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
}

impl Context {
    /// A context on this client.
    pub fn new(client: Client, clock: Clock) -> Arc<Self> {
        Arc::new(Self {
            effects: Effects::new(client.clone()),
            client,
            clock,
        })
    }

    /// A context that sends what leaves the cluster in another way.
    pub fn sending(client: Client, clock: Clock, outlet: Arc<dyn Outlet>) -> Arc<Self> {
        let mut effects = Effects::new(client.clone());
        effects.outlet = outlet;
        Arc::new(Self {
            client,
            effects,
            clock,
        })
    }
}
