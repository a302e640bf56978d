//! What a run and each of its attempts start from, out of the definitions of a namespace.

use std::sync::Arc;

use jiff::Timestamp;
use kube::{Resource, ResourceExt};

use super::{Missing, Snapshot};
use crate::{
    api::{
        SequenceExecution, ServiceLevelObjective,
        execution::{Pinned, PinnedGate},
    },
    core::{
        place::Place,
        remediation::brakes,
        sequence::{AttemptDefinitions, EVALUATION, RunDefinitions, asks_for_action},
    },
};

/// What the run is pinned to at its start.
pub fn run(run: &SequenceExecution, definitions: &Snapshot) -> Result<RunDefinitions, Missing> {
    let spec = &run.spec;
    let place = Place::new(&spec.project, &spec.stage, &spec.service).map_err(|e| Missing {
        reason: "InvalidPlace",
        message: e.to_string(),
    })?;
    let (shipyard, sequence) =
        super::sequence(&definitions.shipyards, &spec.project, &spec.stage, &spec.sequence)?;
    let remediation = if asks_for_action(&sequence) {
        super::remediation(&definitions.remediations, &place)?
    } else {
        None
    };
    let mut pinned = vec![pin("Shipyard", Some(shipyard.as_ref()))];
    pinned.extend(remediation.as_ref().map(|r| pin("Remediation", Some(r.as_ref()))));
    Ok(RunDefinitions {
        sequence: sequence.into_owned(),
        followers: super::followers(&shipyard.spec, &spec.stage, &spec.sequence),
        remediation: remediation.map(Arc::unwrap_or_clone),
        pinned,
    })
}

/// What an attempt with these tasks is pinned to at its start. The keys of ConfigMaps that stand for directories are
/// left out: whoever can read ConfigMaps adds them.
pub fn attempt(run: &SequenceExecution, definitions: &Snapshot, tasks: &[&str]) -> AttemptDefinitions {
    let Ok(place) = Place::new(&run.spec.project, &run.spec.stage, &run.spec.service) else {
        return AttemptDefinitions::default();
    };
    let job_configs = super::job_configs(&definitions.job_configs, &place, tasks);
    let mut pinned: Vec<Pinned> = job_configs
        .iter()
        .map(|config| {
            let mut all = definitions.job_configs.iter();
            let of = all.find(|c| c.name_any() == config.name);
            pin("JobConfig", of.map(AsRef::as_ref))
        })
        .collect();
    let gate = if tasks.contains(&EVALUATION) {
        gate(definitions, &place, &mut pinned)
    } else {
        PinnedGate::default()
    };
    AttemptDefinitions {
        job_configs,
        gate,
        pinned,
    }
}

/// Since when actions count against the budget, and ends against the cooldown; `found` is what a run that is not pinned
/// yet will be pinned to.
pub fn counts_since(
    run: &SequenceExecution,
    found: Option<&Result<RunDefinitions, Missing>>,
    now: Timestamp,
) -> Timestamp {
    let plan = run.status.as_ref().and_then(|s| s.plan.as_ref());
    let pinned = plan
        .and_then(|p| p.remediation.as_ref())
        .map(|r| (r.budget, r.cooldown));
    let found = found.and_then(|found| found.as_ref().ok());
    let found = found
        .and_then(|r| r.remediation.as_ref())
        .map(|r| (r.spec.budget, r.spec.cooldown));
    let (budget, cooldown) = pinned.or(found).unwrap_or_default();
    brakes::counts_since(budget, cooldown, now)
}

/// The gate in force for a place. One that can't be read must not turn into a formality: the error stays with it.
pub fn gate(definitions: &Snapshot, place: &Place, pinned: &mut Vec<Pinned>) -> PinnedGate {
    let read = || -> Result<Option<(Arc<ServiceLevelObjective>, PinnedGate)>, Missing> {
        let Some(objective) = super::objective(&definitions.objectives, place)? else {
            return Ok(None);
        };
        let body = &objective.spec.body;
        let names: Vec<&str> = body.objectives.iter().map(|o| o.sli.as_str()).collect();
        let indicators = super::indicators(&definitions.indicators, &definitions.providers, place, &names)?;
        let gate = PinnedGate {
            objective_name: Some(objective.name_any()),
            objective: Some(body.clone()),
            indicators,
            error: String::new(),
        };
        Ok(Some((objective, gate)))
    };
    match read() {
        Ok(Some((objective, gate))) => {
            pinned.push(pin("ServiceLevelObjective", Some(objective.as_ref())));
            gate
        }
        Ok(None) => PinnedGate::default(),
        Err(invalid) => PinnedGate {
            error: invalid.message,
            ..PinnedGate::default()
        },
    }
}

fn pin<K: Resource>(kind: &str, object: Option<&K>) -> Pinned {
    Pinned {
        kind: kind.to_owned(),
        name: object.map(ResourceExt::name_any).unwrap_or_default(),
        generation: object.and_then(|o| o.meta().generation),
        hash: None,
    }
}
