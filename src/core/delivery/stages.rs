//! Which version is where.

use super::{Facts, flow::age, image_of, run};
use crate::{
    api::{Delivery, SequenceExecution, Shipyard, Timestamp, delivery::DeliveryStage},
    core::sequence::phases,
};

/// Notes in each stage the newest run of the delivering sequence, and what the last successful one brought there. Runs of
/// other sequences, a rollback for example, are not this Delivery's to judge.
pub(super) fn update(stages: &mut Vec<DeliveryStage>, delivery: &Delivery, facts: &Facts) {
    let delivers = |run: &&SequenceExecution| run.spec.sequence == run::sequence_name(delivery);
    let mut runs: Vec<_> = facts.runs.iter().filter(delivers).collect();
    runs.sort_by_cached_key(|run| age(run));
    for run in runs {
        let known = stages.iter().position(|s| s.stage == run.spec.stage);
        let index = known.unwrap_or_else(|| {
            stages.push(DeliveryStage {
                stage: run.spec.stage.clone(),
                ..DeliveryStage::default()
            });
            stages.len() - 1
        });
        if let Some(stage) = stages.get_mut(index) {
            note(stage, run);
        }
    }
    let project = &delivery.spec.project;
    let shipyard = facts
        .shipyards
        .iter()
        .find(|s| s.metadata.name.as_ref() == Some(project));
    if let Some(shipyard) = shipyard {
        stages.sort_by_key(|stage| position(shipyard, &stage.stage));
    }
}

/// Stages that the shipyard no longer has come last.
fn position(shipyard: &Shipyard, stage: &str) -> usize {
    let stages = &shipyard.spec.stages;
    stages.iter().position(|s| s.name == stage).unwrap_or(usize::MAX)
}

/// A run that failed leaves what was there before: so does the status.
fn note(stage: &mut DeliveryStage, run: &SequenceExecution) {
    let status = run.status.clone().unwrap_or_default();
    stage.execution.clone_from(&run.metadata.name);
    stage.phase.clone_from(&status.phase);
    stage.result = status.result;
    stage.score = status.score;
    let ended = status.finished_at.filter(|_| status.phase == phases::SUCCEEDED);
    let newer = |at: &Timestamp| stage.since.as_ref().is_none_or(|since| at.0 > since.0);
    if let Some(at) = ended.filter(newer) {
        stage.since = Some(at);
        stage.image = image_of(run);
    }
}
