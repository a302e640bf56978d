//! What users define: which objects are in force for a place, and what is wrong with those that are not.

pub mod lookup;
pub mod nearest;
pub mod validate;

pub use lookup::{Missing, indicators, job_configs, objective, remediation, sequence};
