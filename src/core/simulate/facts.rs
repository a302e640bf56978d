//! What the engine is told: the definitions, and what has become of what it created.

use std::collections::BTreeMap;

use super::world::World;
use crate::{
    api::{
        SequenceExecution,
        execution::PinnedJobConfig,
        jobconfig::{EventFilter, JobAction, JobTask, Target},
    },
    core::{
        definitions::{
            lookup::{fits, triggered},
            pinned,
        },
        jobs::{self, targets::Look},
        labels,
        place::Place,
        queue::{Candidate, PlaceKey},
        sequence::{
            self, APPROVAL, Account, AttemptDefinitions, EVALUATION, Facts, GET_ACTION, History, Needs,
            asks_for_action, priority,
        },
    },
};

/// The JobConfig that answers what nothing in the files answers. No object can have this name.
pub(super) const ASSUMED: &str = "(assumed)";
/// What the engine answers itself.
const BUILT_IN: [&str; 3] = [GET_ACTION, EVALUATION, APPROVAL];

impl World<'_> {
    /// The facts for a look at this run, now.
    pub(super) fn facts(&mut self, index: usize) -> Facts {
        let run = &self.runs[index].object;
        let needs = sequence::needs(run, self.now);
        let definitions = &self.definitions.snapshot;
        let mut facts = Facts {
            followed: self.runs[index].followed,
            newer: self.newer(index),
            ..Facts::default()
        };
        if needs.run {
            facts.run = Some(pinned::run(run, definitions));
        }
        let sequence = match &facts.run {
            Some(Ok(found)) => Some(found.sequence.clone()),
            _ => pinned_sequence(run),
        };
        let Some(sequence) = sequence else {
            return facts;
        };
        if needs.attempt {
            let tasks: Vec<&str> = sequence.tasks.iter().map(|t| t.name.as_str()).collect();
            facts.attempt = Some(self.attempt(run, &tasks));
        }
        if needs.history && asks_for_action(&sequence) {
            facts.history = Some(self.history(index));
        }
        facts.accounts = accounts(run, facts.attempt.as_ref());
        facts.targets = targets(run, facts.attempt.as_ref());
        for played in &self.runs[index].jobs {
            let (job, pod) = played.at(self.now);
            facts.jobs.insert(played.name.clone(), job);
            facts.pods.extend(pod);
        }
        facts.evaluation = self.runs[index]
            .evaluation
            .as_ref()
            .map(|judged| judged.at(self.now));
        let asked = self.runs[index].question.as_ref();
        facts.approval = asked.map(|question| question.at(self.now));
        self.ask_for_place(index, &needs, &mut facts);
        facts
    }

    fn attempt(&self, run: &SequenceExecution, tasks: &[&str]) -> AttemptDefinitions {
        let mut found = pinned::attempt(run, &self.definitions.snapshot, tasks);
        let place = Place::new(&run.spec.project, &run.spec.stage, &run.spec.service);
        let labelled = place.map_or_else(|_| vec![], |place| self.definitions.files_of(&place));
        for config in &mut found.job_configs {
            let known = &self.definitions.config_maps;
            config.keys = jobs::assumed_keys(&config.actions, &config.sources, known);
            jobs::lookup::assume(config, &labelled);
        }
        found.job_configs.extend(fallback(&found.job_configs, tasks));
        found
    }

    /// What the other runs of the same place did.
    fn history(&self, index: usize) -> History {
        let own = PlaceKey::of(&self.runs[index].object);
        let mut history = History::default();
        for (other, run) in self.runs.iter().enumerate() {
            let status = run.object.status.as_ref();
            let Some(status) = status.filter(|_| other != index && PlaceKey::of(&run.object) == own) else {
                continue;
            };
            history
                .actions
                .extend(status.actions_started.iter().map(|at| at.0));
            let ended = status
                .finished_at
                .as_ref()
                .filter(|_| !status.actions_started.is_empty());
            if let Some(at) = ended.map(|at| at.0)
                && history.last.as_ref().is_none_or(|(last, _)| at > *last)
            {
                history.last = Some((at, run.object.metadata.name.clone().unwrap_or_default()));
            }
        }
        history
    }

    fn ask_for_place(&mut self, index: usize, needs: &Needs, facts: &mut Facts) {
        let run = &self.runs[index].object;
        if !needs.place || !sequence::goes_on(run) {
            return;
        }
        let place = PlaceKey::of(run);
        let waiting = self.runs.iter().enumerate().filter(|(other, r)| {
            *other != index && PlaceKey::of(&r.object) == place && sequence::waits(&r.object)
        });
        let others: Vec<Candidate> = waiting.map(|(_, r)| self.candidate(&r.object)).collect();
        let own = self.candidate(run);
        facts.grant = Some(self.arbiter.request(&place, &own, &others));
    }

    /// A younger run of the same sequence in the same place, if this one has not begun.
    fn newer(&self, index: usize) -> Option<String> {
        let run = &self.runs[index].object;
        if run.status.as_ref().is_some_and(|s| !s.attempts.is_empty()) {
            return None;
        }
        let place = PlaceKey::of(run);
        let rival = self.runs.iter().skip(index + 1).rfind(|other| {
            let live = !other.object.status.as_ref().is_some_and(|s| s.done);
            live && other.object.spec.sequence == run.spec.sequence && PlaceKey::of(&other.object) == place
        });
        rival?.object.metadata.name.clone()
    }

    fn candidate(&self, run: &SequenceExecution) -> Candidate {
        let sequence = pinned_sequence(run)
            .or_else(|| Some(pinned::run(run, &self.definitions.snapshot).ok()?.sequence));
        Candidate {
            uid: run.metadata.uid.clone().unwrap_or_default(),
            name: run.metadata.name.clone().unwrap_or_default(),
            heir: run
                .metadata
                .annotations
                .iter()
                .any(|a| a.contains_key(labels::INHERITS)),
            priority: sequence.as_ref().map_or(0, priority),
            created: run.metadata.creation_timestamp.as_ref().map_or(self.now, |t| t.0),
        }
    }
}

fn pinned_sequence(run: &SequenceExecution) -> Option<crate::api::shipyard::Sequence> {
    run.status.as_ref()?.plan.as_ref()?.sequence.clone()
}

/// Every task that the pinned JobConfigs have; when an attempt starts, those of that attempt.
fn tasks<'a>(
    run: &'a SequenceExecution,
    attempt: Option<&'a AttemptDefinitions>,
) -> impl Iterator<Item = &'a JobTask> {
    let plan = run.status.as_ref().and_then(|s| s.plan.as_ref());
    let pinned = plan.map(|p| p.job_configs.as_slice());
    let configs = attempt.map(|a| a.job_configs.as_slice()).or(pinned);
    let actions = configs.unwrap_or_default().iter().flat_map(|c| &c.actions);
    actions.flat_map(|a| &a.tasks)
}

/// There is nothing that Jobs could change.
fn targets(run: &SequenceExecution, attempt: Option<&AttemptDefinitions>) -> BTreeMap<Target, Look> {
    let named = tasks(run, attempt).flat_map(|t| &t.targets);
    named.map(|target| (target.clone(), Look::NotLooked)).collect()
}

/// Every account has agreed: whether it really has is a matter of the cluster.
fn accounts(run: &SequenceExecution, attempt: Option<&AttemptDefinitions>) -> BTreeMap<String, Account> {
    tasks(run, attempt)
        .filter_map(|t| t.service_account.clone())
        .map(|name| (name, Account::Allowed))
        .collect()
}

/// What answers the tasks that nothing in the files may answer: less specific than anything that a user can write, so it
/// stands back for whatever does match.
fn fallback(configs: &[PinnedJobConfig], tasks: &[&str]) -> Option<PinnedJobConfig> {
    let answered = |event: &str| {
        let usable = configs.iter().filter(|c| c.invalid.is_empty());
        let mut filters = usable.flat_map(|c| &c.actions).flat_map(|a| &a.events);
        filters.any(|f| f.jsonpath.is_none() && fits(&f.name, event))
    };
    let mut names: Vec<String> = tasks
        .iter()
        .filter(|task| !BUILT_IN.contains(task))
        .map(|task| triggered(task))
        .filter(|event| !answered(event))
        .collect();
    names.sort();
    names.dedup();
    if names.is_empty() {
        return None;
    }
    let event = |name| EventFilter {
        name,
        ..EventFilter::default()
    };
    Some(PinnedJobConfig {
        name: ASSUMED.to_owned(),
        specificity: -1,
        actions: vec![JobAction {
            name: ASSUMED.to_owned(),
            events: names.into_iter().map(event).collect(),
            tasks: vec![JobTask {
                name: ASSUMED.to_owned(),
                image: "assumed".to_owned(),
                ..JobTask::default()
            }],
            ..JobAction::default()
        }],
        ..PinnedJobConfig::default()
    })
}
