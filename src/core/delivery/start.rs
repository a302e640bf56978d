//! Whether a change of the spec starts a flow now.

use super::{
    Health, Step,
    flow::Flow,
    phase,
    run::{self, context_begins},
};
use crate::{
    api::Duration,
    core::{
        definitions::{self, lookup::Missing},
        labels,
        note::Note,
        sequence::defaults,
    },
};

/// How long until a create that was refused is tried again: quotas are freed, policies mended.
const REFUSED: Duration = Duration::from_secs(60);

impl Step<'_> {
    /// This generation has no flow on record: it starts one, or says why not.
    pub(super) fn start(&mut self) {
        // The operator died between the two: the run was created, and the status does not say so.
        let is_there = !Flow::of(&self.context, &self.facts.runs).is_empty();
        if is_there {
            self.begin();
            return self.follow();
        }
        if self.is_held() {
            return;
        }
        if let Some(why) = self.doubt() {
            return self.hold(&why);
        }
        if let Some((reason, message)) = self.facts.refused.clone() {
            self.again = self.now.checked_add(REFUSED.signed()).ok();
            return self.stall(reason, &message);
        }
        match self.first_stage() {
            Err(missing) => self.stall(missing.reason, &missing.message),
            Ok(stage) => {
                self.create = Some(Box::new(run::first(self.delivery, &stage)));
                self.s.stage = stage;
                self.begin();
            }
        }
    }

    /// The stage to begin with, if it has the sequence.
    fn first_stage(&self) -> Result<String, Missing> {
        let spec = &self.delivery.spec;
        let shipyards = &self.facts.shipyards;
        let stage = spec.stage.clone().unwrap_or_else(|| {
            let shipyard = shipyards
                .iter()
                .find(|s| s.metadata.name.as_ref() == Some(&spec.project));
            let first = shipyard.and_then(|s| s.spec.stages.first());
            first.map_or_else(String::new, |stage| stage.name.clone())
        });
        let sequence = run::sequence_name(self.delivery);
        definitions::sequence(shipyards, &spec.project, &stage, sequence).map(|_| stage)
    }

    /// Puts the flow on record.
    fn begin(&mut self) {
        if let Some(old) = self.s.context.take().filter(|old| *old != self.context) {
            self.s.earlier.push(old);
        }
        let name = run::first_name(self.delivery);
        self.s.context = Some(self.context.clone());
        self.s.started_generation = self.delivery.metadata.generation;
        self.s.execution = Some(name.clone());
        let message = format!("stage {}: SequenceExecution {name} starts", self.s.stage);
        self.rest(
            phase::DELIVERING,
            phase::DELIVERING,
            &message,
            Health::Reconciling,
            "Unknown",
        );
        self.notes.push(Note::normal(
            "RunStarted",
            format!("started SequenceExecution {name}"),
        ));
    }

    fn stall(&mut self, reason: &'static str, message: &str) {
        let message = format!("nothing starts: {message}");
        self.rest(phase::FAILED, reason, &message, Health::Stalled, "Unknown");
        self.notes.push(Note::warning(reason, message));
    }

    /// Whether this generation is held already, and not yet confirmed.
    fn is_held(&self) -> bool {
        self.s.phase == phase::HELD
            && self.s.started_generation.is_none()
            && self.s.observed_generation == self.delivery.metadata.generation
            && !self.is_confirmed()
    }

    fn is_confirmed(&self) -> bool {
        let meta = &self.delivery.metadata;
        let confirmed = meta.annotations.as_ref().and_then(|a| a.get(labels::CONFIRM));
        confirmed.is_some() && confirmed == meta.uid.as_ref()
    }

    /// The status speaks of another object: it was restored with this one, which has a uid of its own.
    fn is_status_foreign(&self) -> bool {
        let own = context_begins(self.delivery);
        self.s
            .context
            .as_ref()
            .is_some_and(|context| !context.starts_with(&own))
    }

    /// Why this object may be an old one that came back, rather than a wish of today. One that was looked at before is
    /// none: every later change of its spec is a wish of today.
    fn doubt(&self) -> Option<String> {
        let meta = &self.delivery.metadata;
        if self.is_confirmed() {
            return None;
        }
        if self.is_status_foreign() {
            return Some("its status is that of an earlier object".to_owned());
        }
        if self.s.observed_generation.is_some() {
            return None;
        }
        let own = context_begins(self.delivery);
        if self.facts.traces.iter().any(|trace| trace.starts_with(&own)) {
            return None;
        }
        if let Some(by) = meta.labels.as_ref().and_then(|l| l.get(labels::VELERO_RESTORE)) {
            return Some(format!("it was restored by {by:?}"));
        }
        if !self.facts.traces.is_empty() {
            return Some("there are runs of an earlier Delivery of this name".to_owned());
        }
        if meta.generation.is_some_and(|generation| generation > 1) {
            return Some("its spec was changed before, and its status is gone".to_owned());
        }
        let created = meta.creation_timestamp.as_ref()?.0;
        let late = created.checked_add(defaults::QUEUED.signed()).ok()?;
        (self.now >= late).then(|| {
            format!(
                "it was created more than {} ago, and nothing was done about it",
                defaults::QUEUED
            )
        })
    }

    /// Nothing starts before somebody has confirmed it. What is in the stages stays: it is still there.
    fn hold(&mut self, why: &str) {
        self.s.context = None;
        self.s.execution = None;
        self.s.started_generation = None;
        let meta = &self.delivery.metadata;
        let name = meta.name.clone().unwrap_or_default();
        let uid = meta.uid.clone().unwrap_or_default();
        let namespace = meta.namespace.clone().unwrap_or_default();
        let message = format!(
            "it may have been restored from a backup: {why}. To deliver it: kubectl annotate delivery {name} {}={uid} \
             -n {namespace}",
            labels::CONFIRM
        );
        self.rest(phase::HELD, "Unconfirmed", &message, Health::Stalled, "Unknown");
        self.notes.push(Note::warning("Held", message));
    }
}
