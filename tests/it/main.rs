//! The integration tests: one binary.

mod cluster_definitions;
mod generated;
mod house;
