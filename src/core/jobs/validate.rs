//! What is wrong with a JobConfig.
use crate::{api::JobConfigSpec, core::Invalid};

/// Everything that is wrong with a JobConfig of this namespace.
pub fn validate(spec: &JobConfigSpec, own_namespace: &str) -> Vec<Invalid> {
    todo!()
}
