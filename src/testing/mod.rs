//! The in-memory API server and virtual time: whole scenarios of the real controllers in milliseconds, and crashes at
//! every write. Only tests enable this room; the real API server is tested elsewhere.
//!
//! - [`server`]: what a Kubernetes API server does, as a service under [`kube::Client`], with faults on demand.
//! - [`player`]: Job controller and kubelet, played from a script.
//! - [`metrics`]: measurements as the story has them.
//! - [`outlet`]: sinks that take what the story lets them take.
//! - [`gc`]: the garbage collector.
//! - [`world`]: all of it together with a clock that stands still until everybody waits.
//! - [`crash`]: one story, crashed before and after each of its writes.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "this room is test support: a wrong call should end the test where it is"
)]

pub mod crash;
pub mod gc;
pub mod metrics;
pub mod outlet;
pub mod player;
pub mod server;
pub mod world;

pub use crash::{CrashPoint, Scenario};
pub use metrics::Metrics;
pub use outlet::Post;
pub use player::{Play, Player};
pub use server::{ApiServer, Call, Caller, Fault, Verb};
pub use world::{Operator, Seat, World};
