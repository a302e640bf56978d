//! The integration tests: one binary, so that everything is linked once.

#![allow(
    clippy::pedantic,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may panic"
)]

mod bench;
mod chart;
mod cli;
mod cluster;
mod conformance;
mod control_plane;
mod crash;
mod crates;
mod docs;
mod evaluate;
mod faults;
mod generated;
mod gitops;
mod house;
mod import;
mod jobs;
mod keptn;
mod metrics;
mod model;
mod objects;
mod playing;
mod prometheus;
mod release;
mod scenarios;
mod server;
mod simulate;
mod stopping;
mod virtual_time;
