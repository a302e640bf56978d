//! The world around the state machine: who is looked at next, and what time it is then.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{
    Answers, BEGINNING, Definitions, Report, Step, TaskReport,
    approve::Question,
    changes,
    play::{Asked, Judged, Played},
    report::ExecutionReport,
};
use crate::{
    api::{
        Evaluation, SequenceExecution, SequenceExecutionStatus,
        common::{Object, Time},
    },
    core::{
        Invalid,
        queue::{Arbiter, PlaceKey},
        sequence::{self, Decision},
    },
};

/// A simulation stops when so many runs were created: what triggers itself never ends.
pub const EXECUTIONS_MAX: usize = 1_000;
/// A simulation stops after so many steps of the engine.
pub const STEPS_MAX: usize = 10_000;

/// What the engine says when a chain of runs ends because it is too long.
const CHAIN_TOO_LONG: &str = "ChainTooLong";

/// Plays what this run, and every run that it triggers, would do. An error is a mistake in the answers that only shows
/// now.
pub fn run(
    definitions: &Definitions,
    first: SequenceExecution,
    answers: &Answers,
) -> Result<Report, Invalid> {
    let said = first.metadata.creation_timestamp.as_ref().map(|t| t.0);
    let now = said.or_else(|| BEGINNING.parse().ok()).unwrap_or_default();
    let mut world = World {
        definitions,
        answers,
        now,
        used: BTreeMap::new(),
        runs: vec![],
        arbiter: Arbiter::default(),
        evaluations: vec![],
        steps: vec![],
        looks: 0,
        stopped: None,
    };
    world.add(first);
    world.play_out()?;
    Ok(world.report())
}

/// Everything there is.
pub(super) struct World<'a> {
    pub(super) definitions: &'a Definitions,
    pub(super) answers: &'a Answers,
    pub(super) now: Timestamp,
    /// How many answers were given, by key.
    pub(super) used: BTreeMap<String, usize>,
    pub(super) runs: Vec<Run>,
    pub(super) arbiter: Arbiter,
    /// Evaluations that have ended: what relative criteria compare with.
    pub(super) evaluations: Vec<Evaluation>,
    steps: Vec<Step>,
    looks: usize,
    stopped: Option<String>,
}

/// One run, and what it waits for.
pub(super) struct Run {
    pub(super) object: SequenceExecution,
    pub(super) label: String,
    /// When it is looked at again.
    pub(super) next: Option<Timestamp>,
    pub(super) jobs: Vec<Played>,
    pub(super) evaluation: Option<Judged>,
    pub(super) question: Option<Question>,
    /// Whether what its end triggers was created.
    pub(super) followed: bool,
    triggered_by: Option<String>,
    /// What each task was answered, by attempt and index.
    pub(super) asked: BTreeMap<(i32, usize), Asked>,
    pub(super) tasks: BTreeMap<(i32, usize), TaskReport>,
}

impl Run {
    pub(super) fn status(&self) -> SequenceExecutionStatus {
        self.object.status.clone().unwrap_or_default()
    }

    fn done(&self) -> bool {
        self.object.status.as_ref().is_some_and(|s| s.done)
    }
}

impl World<'_> {
    /// A new run, looked at now.
    pub(super) fn add(&mut self, mut object: SequenceExecution) {
        let number = self.runs.len() + 1;
        object.metadata.uid = Some(format!("00000000-0000-4000-8000-{number:012}"));
        object.metadata.generation = Some(1);
        object.metadata.creation_timestamp = Some(Time(self.now));
        let name = format!("{}.{}", object.spec.stage, object.spec.sequence);
        let before = self.runs.iter().filter(|r| {
            r.object.spec.stage == object.spec.stage && r.object.spec.sequence == object.spec.sequence
        });
        let label = match before.count() {
            0 => name,
            n => format!("{name}#{}", n + 1),
        };
        let triggered_by = self.triggered_by(&object);
        let text = match &triggered_by {
            Some(by) => format!("triggered by {by}"),
            None => "begins".to_owned(),
        };
        self.runs.push(Run {
            object,
            label,
            next: Some(self.now),
            jobs: vec![],
            evaluation: None,
            question: None,
            followed: false,
            triggered_by,
            asked: BTreeMap::new(),
            tasks: BTreeMap::new(),
        });
        self.tell(number - 1, 0, "", text, vec![]);
    }

    fn play_out(&mut self) -> Result<(), Invalid> {
        while let Some(index) = self.next() {
            if self.looks >= STEPS_MAX {
                self.stopped = Some(format!(
                    "stopped after {STEPS_MAX} steps: this does not end by itself"
                ));
                return Ok(());
            }
            if self.runs.len() > EXECUTIONS_MAX {
                self.stopped = Some(format!(
                    "stopped after {EXECUTIONS_MAX} executions: a chain of triggeredOn goes round in a circle"
                ));
                return Ok(());
            }
            self.looks += 1;
            self.now = self.now.max(self.runs[index].next.unwrap_or(self.now));
            self.look(index)?;
        }
        let waiting = self.runs.iter().find(|r| !r.done());
        let waits = waiting.map(|r| {
            let status = r.status();
            format!(
                "{} waits for something that does not happen here: {}",
                r.label, status.message
            )
        });
        self.stopped = self.stopped.take().or(waits);
        Ok(())
    }

    /// What triggered a run, for people.
    fn triggered_by(&self, run: &SequenceExecution) -> Option<String> {
        let by = run.spec.triggered_by.as_ref()?;
        let parent = self
            .runs
            .iter()
            .find(|r| by.kind == "SequenceExecution" && r.object.metadata.name.as_ref() == Some(&by.name));
        Some(match (parent, by.kind.as_str()) {
            (Some(parent), _) => {
                let spec = &parent.object.spec;
                format!("{}.{}.finished", spec.stage, spec.sequence)
            }
            (None, "Event") => by.name.clone(),
            (None, kind) => format!("{kind} {}", by.name),
        })
    }

    /// Who is looked at next.
    fn next(&self) -> Option<usize> {
        let live = self.runs.iter().enumerate().filter(|(_, r)| !r.done());
        live.filter_map(|(index, r)| Some((r.next?, index)))
            .min()
            .map(|(_, index)| index)
    }

    /// One look of the engine at one run.
    fn look(&mut self, index: usize) -> Result<(), Invalid> {
        let facts = self.facts(index);
        let decision = sequence::step(&self.runs[index].object, &facts, self.now);
        let Decision {
            first,
            status,
            then,
            notes,
            again,
            wants_place,
            reads: _,
        } = decision;
        let done = status.done;
        let before = self.runs[index].object.status.take().unwrap_or_default();
        self.record(index, &before, &status);
        self.runs[index].object.status = Some(status);
        for effect in first.into_iter().chain(then) {
            self.carry_out(index, effect)?;
        }
        if !wants_place {
            self.release(index);
        }
        for note in notes.iter().filter(|n| n.reason == CHAIN_TOO_LONG) {
            self.stopped = Some(format!("stopped: {}", note.text));
        }
        if done {
            self.tell_end(index);
        }
        let run = &mut self.runs[index];
        let events = [
            again,
            run.jobs
                .iter()
                .map(|j| j.ends_at)
                .filter(|at| *at > self.now)
                .min(),
            run.evaluation
                .as_ref()
                .map(|e| e.ends_at)
                .filter(|at| *at > self.now),
            run.question
                .as_ref()
                .map(|q| q.ends_at)
                .filter(|at| *at > self.now),
        ];
        run.next = events.into_iter().flatten().min();
        Ok(())
    }

    /// The place is free: whoever waits for it looks again.
    fn release(&mut self, index: usize) {
        let object = &self.runs[index].object;
        let place = PlaceKey::of(object);
        let uid = object.metadata.uid.clone().unwrap_or_default();
        if !self.arbiter.release(&place, &uid) {
            return;
        }
        let now = self.now;
        for other in &mut self.runs {
            if PlaceKey::of(&other.object) == place && sequence::waits(&other.object) {
                other.next = Some(now);
            }
        }
    }

    pub(super) fn tell(
        &mut self,
        index: usize,
        attempt: i32,
        task: &str,
        text: String,
        details: Vec<String>,
    ) {
        self.steps.push(Step {
            at: self.now,
            execution: self.runs[index].label.clone(),
            attempt,
            task: task.to_owned(),
            text,
            details,
        });
    }

    fn tell_end(&mut self, index: usize) {
        let status = self.runs[index].status();
        let result = status.result.map_or_else(String::new, |r| format!(", {r}"));
        self.tell(
            index,
            0,
            "",
            format!("{}{result}: {}", status.phase, status.message),
            vec![],
        );
    }

    /// What the look changed: tasks that began, waited or ended, and the payload.
    fn record(&mut self, index: usize, before: &SequenceExecutionStatus, after: &SequenceExecutionStatus) {
        let mut ended = vec![];
        let run = &mut self.runs[index];
        for attempt in &after.attempts {
            for (position, task) in attempt.tasks.iter().enumerate() {
                let key = (attempt.number, position);
                if task.started_at.is_none() && task.result.is_none() {
                    continue;
                }
                let entry = run.tasks.entry(key).or_default();
                let was_over = entry.result.is_some();
                if was_over {
                    continue;
                }
                let asked = run.asked.get(&key);
                let says = asked.filter(|a| a.assumed_job).map(|a| a.answer.message.clone());
                *entry = TaskReport {
                    attempt: attempt.number,
                    name: task.name.clone(),
                    result: task.result.clone(),
                    status: task.status.clone(),
                    source: asked.map_or("decided", |a| a.source).to_owned(),
                    reason: task.reason.clone(),
                    message: says.unwrap_or_else(|| task.message.clone()),
                    started_at: task.started_at.as_ref().map(|t| t.0),
                    finished_at: task.finished_at.as_ref().map(|t| t.0),
                    jobs: std::mem::take(&mut entry.jobs),
                };
                if entry.result.is_some() {
                    ended.push(key);
                }
            }
        }
        let empty = Object::new();
        let given = run.object.spec.data.as_ref();
        let mut payload = changes::between(
            before.payload.as_ref().or(given).unwrap_or(&empty),
            after.payload.as_ref().unwrap_or(&empty),
        );
        for (n, key) in ended.iter().enumerate() {
            let details = if n == 0 {
                std::mem::take(&mut payload)
            } else {
                vec![]
            };
            self.tell_task(index, *key, details);
        }
        if ended.is_empty() && !payload.is_empty() {
            self.tell(index, 0, "", "payload".to_owned(), payload);
        }
        self.tell_waits(index, before, after);
    }

    fn tell_task(&mut self, index: usize, key: (i32, usize), payload: Vec<String>) {
        let Some(task) = self.runs[index].tasks.get(&key) else {
            return;
        };
        let result = task.result.as_deref().unwrap_or_default();
        let errored = if task.status.as_deref() == Some("errored") {
            ", errored"
        } else {
            ""
        };
        let message = match (task.reason.as_str(), task.message.as_str()) {
            (_, "") => String::new(),
            ("", message) => format!(": {message}"),
            (reason, message) => format!(": {reason}: {message}"),
        };
        let text = format!("{result}{errored} ({}){message}", task.source);
        let name = task.name.clone();
        self.tell(index, key.0, &name, text, payload);
    }

    /// Waits that people see: for the place, for the next attempt, for a window.
    fn tell_waits(
        &mut self,
        index: usize,
        before: &SequenceExecutionStatus,
        after: &SequenceExecutionStatus,
    ) {
        let waits = matches!(after.phase.as_str(), "Queued" | "Waiting" | "Paused" | "Held");
        if waits && before.message != after.message {
            self.tell(
                index,
                after.attempt.unwrap_or_default(),
                "",
                format!("{}: {}", after.phase, after.message),
                vec![],
            );
        }
    }

    fn report(self) -> Report {
        let unused = self.answers.left(&self.used);
        let executions = self.runs.into_iter().map(execution).collect();
        Report {
            executions,
            stopped: self.stopped,
            steps: self.steps,
            unused,
        }
    }
}

fn execution(run: Run) -> ExecutionReport {
    let status = run.status();
    let spec = &run.object.spec;
    ExecutionReport {
        name: run.object.metadata.name.clone().unwrap_or_default(),
        stage: spec.stage.clone(),
        service: spec.service.clone(),
        sequence: spec.sequence.clone(),
        attempts: status.attempt.unwrap_or_default(),
        phase: status.phase,
        result: status.result,
        reason: status.reason,
        message: status.message,
        created_at: run.object.metadata.creation_timestamp.as_ref().map(|t| t.0),
        finished_at: status.finished_at.map(|t| t.0),
        triggered_by: run.triggered_by,
        tasks: run.tasks.into_values().collect(),
    }
}
