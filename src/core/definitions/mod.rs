//! What users define: which objects are in force for a place, and what is wrong with those that are not.

pub mod coverage;
pub mod fit;
pub mod lookup;
#[cfg(test)]
mod lookup_tests;
pub mod nearest;
pub mod pinned;
mod snapshot;
pub mod validate;
pub mod verdict;

pub use lookup::{Missing, followers, indicators, job_configs, objective, remediation, sequence};
pub use snapshot::Snapshot;
