//! Coxswain heals and delivers services on Kubernetes by declared sequences.
//!
//! The map of the house; each room may use the ones above it:
//!
//! - [`api`]: what users write and read; no logic.
//! - [`core`]: every decision, pure: facts and `now` in, a decision out. No client, no clock, no async.
//!   [`core::simulate`] is the engine without a cluster.
//! - [`v1`]: readers of Keptn v1's files, strict; bytes in, bodies of our kinds out.
//! - [`facts`]: reads, and the clock.
//! - [`telemetry`]: the operator in numbers: every metric, defined once.
//! - [`effects`]: writes; the one place that changes anything.
//! - [`controllers`]: one file per kind: facts -> decide -> effects.
//! - [`server`]: HTTP: is the operator alive and ready, and how does it do? And events and alerts in.
//! - [`cli`]: one file per command.

pub mod api;
pub mod cli;
pub mod controllers;
pub mod core;
pub mod effects;
pub mod facts;
pub mod server;
pub mod telemetry;
#[cfg(feature = "testing")]
pub mod testing;
pub mod v1;
