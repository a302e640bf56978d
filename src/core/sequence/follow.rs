//! What a run's end triggers: the runs of other sequences, in the same flow and with the whole payload.
//!
//! An end that triggers something is recorded first, with the names of what it triggers; these are created, and then the
//! run ends. So a crash in between loses none and makes none twice.

use super::{
    Effect, defaults,
    finish::phases,
    step::{Flow, Machine},
};
use crate::{
    api::{
        SequenceExecution, SequenceExecutionSpec,
        common::SourceRef,
        execution::{FollowUp, Follower, RunOutcome, TaskStatus},
    },
    core::{
        labels, names,
        note::Note,
        selector::{self, End},
    },
};

/// The flow that a run is part of: what its trigger named, else its own uid.
pub fn context_of(execution: &SequenceExecution) -> String {
    let own = || execution.metadata.uid.clone().unwrap_or_default();
    execution.spec.context.clone().unwrap_or_else(own)
}

impl Machine<'_> {
    /// Records the end and starts what it triggers. False: it triggers nothing.
    pub(super) fn triggers(&mut self, phase: &'static str, reason: &str, message: &str) -> bool {
        let fired = self.fired(phase);
        if fired.is_empty() {
            return false;
        }
        let depth = self.execution.spec.depth.unwrap_or(0);
        if depth >= defaults::DEPTH {
            let names: Vec<_> = fired.iter().map(Follower::to_string).collect();
            let text = format!(
                "{} would follow, but {depth} runs came before this one in its flow: the shipyard's triggeredOn rules go round in a circle",
                names.join(", ")
            );
            self.stall("ChainTooLong", &text);
            self.tell(Note::warning("ChainTooLong", text));
            return false;
        }
        let uid = self.execution.metadata.uid.clone().unwrap_or_default();
        let service = &self.execution.spec.service;
        self.s.triggered = fired
            .iter()
            .map(|f| FollowUp {
                name: names::follow_up_name(service, &f.stage, &f.sequence, &uid),
                stage: f.stage.clone(),
                sequence: f.sequence.clone(),
            })
            .collect();
        self.s.triggered.dedup();
        self.s.outcome = Some(RunOutcome {
            phase: phase.to_owned(),
            reason: reason.to_owned(),
            message: message.to_owned(),
        });
        self.rest(phases::RUNNING, "Triggers", message);
        self.create_follow_ups();
        true
    }

    /// The end is recorded: creates what it triggers, until that is known to be there.
    pub(super) fn follow_on(&mut self, outcome: &RunOutcome) {
        let mut refused = self.facts.refused.clone();
        refused.retain(|name, _| self.s.triggered.iter().any(|f| f.name == *name));
        for (name, why) in refused {
            let text = format!("the API server refused SequenceExecution {name}, which should follow: {why}");
            self.s.triggered.retain(|f| f.name != name);
            self.stall("FollowUpRefused", &text);
            self.tell(Note::warning("FollowUpRefused", text));
        }
        if !self.facts.followed && !self.s.triggered.is_empty() {
            self.wants_place = true;
            return self.create_follow_ups();
        }
        for follow_up in self.s.triggered.clone() {
            let FollowUp {
                name,
                stage,
                sequence,
            } = follow_up;
            let text = format!("started {sequence} of stage {stage}: SequenceExecution {name}");
            self.tell(Note::normal("Triggered", text));
        }
        self.s.outcome = None;
        let phase = phases::ENDED
            .into_iter()
            .find(|p| *p == outcome.phase)
            .unwrap_or(phases::FAILED);
        self.end(phase, &outcome.reason, &outcome.message);
    }

    fn create_follow_ups(&mut self) {
        self.wants_place = true;
        for follow_up in &self.s.triggered {
            let run = self.follow_up(follow_up);
            self.then.push(Effect::CreateExecution(Box::new(run)));
        }
        self.look_again(self.now);
    }

    /// The rules of other sequences that fire on this end.
    fn fired(&self, phase: &str) -> Vec<Follower> {
        let Some(end) = self.end_of(phase) else {
            return vec![];
        };
        let followers = self.s.plan.iter().flat_map(|p| &p.followers);
        let mut fired: Vec<Follower> = vec![];
        for follower in followers.filter(|f| selector::fires(&f.rule, &end)) {
            let same = |f: &Follower| (&f.stage, &f.sequence) == (&follower.stage, &follower.sequence);
            if !fired.iter().any(same) {
                fired.push(follower.clone());
            }
        }
        fired
    }

    /// The end as other sequences' rules see it; None when it fires nothing: the run was stopped, or nothing ran.
    fn end_of(&self, phase: &str) -> Option<End> {
        let result = match phase {
            phases::SUCCEEDED => self.s.result.clone()?,
            phases::FAILED | phases::EXHAUSTED => "fail".to_owned(),
            // It says nothing about the service, so neither pass nor fail matches; `<task>.status: errored` does.
            phases::INCONCLUSIVE => INCONCLUSIVE.to_owned(),
            _ => return None,
        };
        let attempt = self.s.attempts.last()?;
        let ran = attempt.tasks.iter().filter(|t| t.result.is_some());
        let mut tasks: std::collections::BTreeMap<_, _> = ran
            .map(|t| {
                let status = t.status.clone().unwrap_or_else(|| "succeeded".to_owned());
                (t.name.clone(), (t.result.clone().unwrap_or_default(), status))
            })
            .collect();
        let errored = |t: &&TaskStatus| t.status.as_deref() == Some("errored");
        if phase == phases::INCONCLUSIVE
            && let Some(asked) = attempt.tasks.iter().rfind(errored)
        {
            let unknown = (INCONCLUSIVE.to_owned(), "errored".to_owned());
            tasks.insert(asked.name.clone(), unknown);
        }
        Some(End {
            event: self.own_end(),
            result,
            tasks,
            unreached: None,
            payload: self.s.payload.clone().unwrap_or_default(),
        })
    }

    /// `<stage>.<sequence>.finished` of this run.
    pub(super) fn own_end(&self) -> String {
        let spec = &self.execution.spec;
        format!("{}.{}.finished", spec.stage, spec.sequence)
    }

    fn follow_up(&self, follow_up: &FollowUp) -> SequenceExecution {
        let (spec, meta) = (&self.execution.spec, &self.execution.metadata);
        let context = context_of(self.execution);
        let mut run = SequenceExecution::new(
            &follow_up.name,
            SequenceExecutionSpec {
                project: spec.project.clone(),
                stage: follow_up.stage.clone(),
                service: spec.service.clone(),
                sequence: follow_up.sequence.clone(),
                context: Some(context.clone()),
                triggered_by: Some(SourceRef {
                    kind: "SequenceExecution".to_owned(),
                    name: meta.name.clone().unwrap_or_default(),
                    uid: meta.uid.clone(),
                }),
                labels: spec.labels.clone(),
                data: self.s.payload.clone(),
                requested_by: spec.requested_by.clone(),
                depth: Some(spec.depth.unwrap_or(0) + 1),
                ..SequenceExecutionSpec::default()
            },
        );
        run.metadata.namespace.clone_from(&meta.namespace);
        let inherited = meta.labels.iter().flatten();
        let inherited = inherited.filter(|(key, _)| *key == labels::DELIVERY);
        let mut set: std::collections::BTreeMap<String, String> = inherited
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        for (key, value) in [
            (labels::PROJECT, &spec.project),
            (labels::STAGE, &follow_up.stage),
            (labels::SERVICE, &spec.service),
            (labels::CONTEXT, &context),
        ] {
            set.insert(key.to_owned(), value.clone());
        }
        run.metadata.labels = Some(set);
        if follow_up.stage == spec.stage {
            let heir = (labels::INHERITS.to_owned(), "true".to_owned());
            run.metadata.annotations = Some([heir].into());
        }
        run
    }

    /// Something that has to be mended by hand does not show in the outcome: a condition says it.
    fn stall(&mut self, reason: &str, message: &str) {
        let generation = self.execution.metadata.generation;
        super::finish::set(
            &mut self.s,
            self.now,
            generation,
            "Stalled",
            "True",
            reason,
            message,
        );
    }

    /// After a finish nothing more is done in this step.
    pub(super) fn finished(&mut self, phase: &'static str, reason: &str, message: &str) -> Flow {
        self.finish(phase, reason, message);
        Flow::Rest
    }
}

/// What a selector reads as the result of a run that could not measure.
const INCONCLUSIVE: &str = "inconclusive";
