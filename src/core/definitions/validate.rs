//! What is wrong with a definition that one element does not show by itself.

use crate::{
    api::{JobConfig, MetricsProvider, Remediation, ServiceLevelIndicator, ServiceLevelObjective, Shipyard},
    core::Invalid,
};

/// What is wrong with a Shipyard; empty when all is well.
pub fn shipyard(_: &Shipyard) -> Vec<Invalid> {
    Vec::new()
}

/// What is wrong with a Remediation; empty when all is well.
pub fn remediation(_: &Remediation) -> Vec<Invalid> {
    Vec::new()
}

/// What is wrong with a JobConfig; empty when all is well.
pub fn job_config(_: &JobConfig) -> Vec<Invalid> {
    Vec::new()
}

/// What is wrong with a ServiceLevelObjective; empty when all is well.
pub fn objective(_: &ServiceLevelObjective) -> Vec<Invalid> {
    Vec::new()
}

/// What is wrong with a ServiceLevelIndicator; empty when all is well.
pub fn indicator(_: &ServiceLevelIndicator) -> Vec<Invalid> {
    Vec::new()
}

/// What is wrong with a MetricsProvider; empty when all is well.
pub fn metrics_provider(_: &MetricsProvider) -> Vec<Invalid> {
    Vec::new()
}
