//! On a real cluster with containers and the operator in it; `hack/test.sh cluster` brings both up.

mod alerts;
mod all_jobs;
mod blocked;
mod by_hand;
mod delivery;
mod files;
mod gate;
pub mod harness;
mod helm;
mod jobs;
mod readme;
mod results;
mod sidecar;
mod tutorial;
