//! What is wrong with a definition that one element does not show by itself. The API server has refused the rest.

mod provider;
mod remediation;
mod shipyard;
#[cfg(test)]
mod shipyard_tests;

use crate::{
    api::{JobConfig, ServiceLevelIndicator, ServiceLevelObjective},
    core::{Invalid, evaluation, jobs},
};

pub use provider::metrics_provider;
pub use remediation::remediation;
pub use shipyard::shipyard;

/// What is wrong with a JobConfig; empty when all is well.
pub fn job_config(object: &JobConfig) -> Vec<Invalid> {
    jobs::validate::validate(
        &object.spec,
        object.metadata.namespace.as_deref().unwrap_or_default(),
    )
}

/// What is wrong with a ServiceLevelObjective; empty when all is well.
pub fn objective(object: &ServiceLevelObjective) -> Vec<Invalid> {
    evaluation::objective::parse(&object.spec.body)
        .err()
        .unwrap_or_default()
}

/// What is wrong with a ServiceLevelIndicator; empty when all is well.
pub fn indicator(sli: &ServiceLevelIndicator) -> Vec<Invalid> {
    sli.spec
        .indicators
        .iter()
        .filter_map(|(name, indicator)| {
            evaluation::indicator::parse(&format!("spec.indicators[{name:?}]"), indicator).err()
        })
        .flatten()
        .collect()
}
