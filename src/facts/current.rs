//! What a run has pinned, as it is now.

use std::sync::Arc;

use kube::{Resource, ResourceExt};

use crate::{
    api::{SequenceExecution, execution::Pinned},
    core::definitions::Snapshot,
};

/// The definitions that the run has pinned, with the generations that they have now, or without when they are gone.
pub(super) fn current(run: &SequenceExecution, definitions: &Snapshot) -> Vec<Pinned> {
    let plan = run.status.as_ref().and_then(|status| status.plan.as_ref());
    let pinned = plan.map(|plan| plan.pinned.as_slice()).unwrap_or_default();
    let now = |object: &Pinned| {
        let generation = match object.kind.as_str() {
            "Shipyard" => generation(&definitions.shipyards, &object.name),
            "Remediation" => generation(&definitions.remediations, &object.name),
            "JobConfig" => generation(&definitions.job_configs, &object.name),
            "ServiceLevelObjective" => generation(&definitions.objectives, &object.name),
            _ => return None,
        };
        Some(Pinned {
            generation,
            ..object.clone()
        })
    };
    pinned.iter().filter_map(now).collect()
}

fn generation<K: Resource>(objects: &[Arc<K>], name: &str) -> Option<i64> {
    let found = objects.iter().find(|object| object.name_any() == name)?;
    found.meta().generation
}
