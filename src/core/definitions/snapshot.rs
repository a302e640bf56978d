//! The definitions of one namespace at one time.

use std::sync::Arc;

use crate::api::{
    JobConfig, MetricsProvider, Remediation, ServiceLevelIndicator, ServiceLevelObjective, Shipyard,
};

/// The definitions of one namespace at one time.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// Projects.
    pub shipyards: Vec<Arc<Shipyard>>,
    /// Actions for problems.
    pub remediations: Vec<Arc<Remediation>>,
    /// Jobs for events.
    pub job_configs: Vec<Arc<JobConfig>>,
    /// Quality gates.
    pub objectives: Vec<Arc<ServiceLevelObjective>>,
    /// Queries.
    pub indicators: Vec<Arc<ServiceLevelIndicator>>,
    /// Where queries are answered.
    pub providers: Vec<Arc<MetricsProvider>>,
}

impl Snapshot {
    /// The event names of every JobConfig.
    pub fn events(&self) -> Vec<String> {
        self.job_configs
            .iter()
            .flat_map(|config| config.spec.actions.iter().flat_map(|a| &a.events))
            .map(|event| event.name.clone())
            .collect()
    }
}
