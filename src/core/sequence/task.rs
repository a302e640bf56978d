//! One task: who answers it, and how its outcome is recorded.

use serde_json::Value;

use super::{
    finish::phases,
    payload,
    step::{Flow, Machine},
};
use crate::{
    api::{
        SequenceExecutionStatus, Timestamp as ApiTime,
        common::Object,
        execution::{AttemptStatus, PinnedJobConfig, TaskStatus},
        remediation::Mode,
        shipyard::{Executor, Sequence, Task},
    },
    core::{
        jobs::{
            matching::{self, Matched},
            result::{Outcome, Verdict},
        },
        note::Note,
        payload::after_task,
        remediation::{brakes, get_action},
    },
};

/// The task that asks for a remediation action.
pub const GET_ACTION: &str = "get-action";
/// The task that asks for a verdict.
pub const EVALUATION: &str = "evaluation";

/// The task that asks a human.
pub const APPROVAL: &str = "approval";

/// Why a task ends that nobody answers.
pub(super) const NO_EXECUTOR: &str = "NoExecutor";
/// Why a task ends whose JobConfig is not valid.
pub(super) const INVALID_EXECUTOR: &str = "JobConfigInvalid";

/// The current task: the first of the newest attempt that has not ended.
pub(super) fn current(status: &SequenceExecutionStatus) -> Option<&TaskStatus> {
    let attempt = status.attempts.last().filter(|a| a.finished_at.is_none())?;
    attempt.tasks.get(position(attempt)?)
}

/// The index of the first task that has not ended; None when all have, or one failed.
pub(super) fn position(attempt: &AttemptStatus) -> Option<usize> {
    let failed = |t: &TaskStatus| {
        t.state == "Lost" || t.result.as_deref() == Some("fail") || t.status.as_deref() == Some("errored")
    };
    let index = attempt
        .tasks
        .iter()
        .position(|t| !matches!(t.state.as_str(), "Done" | "Skipped"))?;
    (!attempt.tasks[..=index].iter().any(failed)).then_some(index)
}

/// Whether the task after the current one changes the service.
pub(super) fn next_changes(status: &SequenceExecutionStatus) -> bool {
    let sequence = status.plan.as_ref().and_then(|p| p.sequence.as_ref());
    let next = status.attempts.last().and_then(position).map(|index| index + 1);
    let task = next.and_then(|index| sequence?.tasks.get(index));
    task.is_some_and(changes)
}

/// Whether something of the task runs or is waited for.
pub(super) fn is_active(task: &TaskStatus) -> bool {
    matches!(task.state.as_str(), "Starting" | "Running")
        || (task.state == "Waiting"
            && (task.evaluation.is_some()
                || task.approval.is_some()
                || task.deadline.is_some()
                || !task.jobs.is_empty()))
}

/// Whether the task is in the hands of an outside executor.
pub(super) fn is_outside(task: &TaskStatus) -> bool {
    is_active(task) && task.jobs.is_empty() && task.evaluation.is_none() && task.approval.is_none()
}

/// Whether the sequence asks for remediation actions.
pub fn asks_for_action(sequence: &Sequence) -> bool {
    sequence.tasks.iter().any(|t| t.name == GET_ACTION)
}

/// Whether the task changes the service, so that measurements from before its end say nothing.
pub(super) fn changes(task: &Task) -> bool {
    const WORDS: [&str; 6] = ["action", "deployment", "deploy", "release", "rollback", "scale"];
    if let Some(said) = task.changes {
        return said;
    }
    // get-action ends in "action" but only decides.
    task.name != GET_ACTION
        && WORDS.iter().any(|word| {
            task.name == *word
                || task
                    .name
                    .strip_suffix(word)
                    .is_some_and(|rest| rest.ends_with(['-', '_']))
        })
}

impl Machine<'_> {
    pub(super) fn before_task(&mut self, index: usize) -> Flow {
        let spec = self.task_spec(index);
        self.wants_place = true;
        if let Some(skip) = self.skip_of(&spec.name) {
            let task = self.task_status(index).cloned().unwrap_or_default();
            return self.skip_task(index, &task, &skip);
        }
        if self.facts.resolved && changes(&spec) {
            self.finish(
                phases::RESOLVED,
                "Resolved",
                "the problem was resolved before the next action",
            );
            return Flow::Rest;
        }
        if let Some(rest) = self.delay(index, &spec) {
            return rest;
        }
        if changes(&spec) && self.lacks_history() {
            return Flow::Rest;
        }
        if !self.may_start() {
            return Flow::Rest;
        }
        self.start_task(index, &spec)
    }

    /// `triggeredAfter`: the service's place is given up meanwhile.
    fn delay(&mut self, index: usize, spec: &Task) -> Option<Flow> {
        let wait = spec
            .triggered_after
            .filter(|w| *w > crate::api::Duration::default())?;
        let until = match self.task_status(index).and_then(|t| t.wait_until.clone()) {
            Some(until) => until.0,
            None => self.after(wait),
        };
        if self.now >= until {
            return None;
        }
        if let Some(task) = self.task_mut(index) {
            "Waiting".clone_into(&mut task.state);
            task.wait_until = Some(ApiTime(until));
        }
        self.give_place_up();
        let message = format!("{} starts at {until:.0} (triggeredAfter {wait})", spec.name);
        self.s.task.clone_from(&spec.name);
        self.rest(phases::WAITING, "TriggeredAfter", &message);
        self.wait_for(format!("{until:.0}"));
        self.look_again(until);
        Some(Flow::Rest)
    }

    fn start_task(&mut self, index: usize, spec: &Task) -> Flow {
        let number = self.attempt_number();
        let now = ApiTime(self.now);
        self.s.task.clone_from(&spec.name);
        self.rest(
            phases::RUNNING,
            "Running",
            &format!("attempt {number}: {}", spec.name),
        );
        if let Some(task) = self.task_mut(index) {
            "Running".clone_into(&mut task.state);
            task.started_at = Some(now);
            task.wait_until = None;
        }
        // A copy, because the machine changes below; it is small and this happens once a task.
        let configs = self
            .s
            .plan
            .as_ref()
            .map(|p| p.job_configs.clone())
            .unwrap_or_default();
        let event = self.event(index, spec, matching::reads_data(&configs));
        // Observe decides and evaluates, and never creates a Job: the built-ins do it in place of Jobs.
        let matches = if self.observes() && matches!(spec.name.as_str(), GET_ACTION | EVALUATION) {
            vec![]
        } else {
            match matching::matching(&configs, &event) {
                Ok(matches) => matches,
                Err(invalid) => {
                    return self.finish_task(index, Outcome::errored(INVALID_EXECUTOR, invalid));
                }
            }
        };
        if !matches.is_empty() {
            if let Some(message) = self.over_budget(spec) {
                self.finish(phases::EXHAUSTED, "BudgetSpent", &message);
                return Flow::Rest;
            }
            if self.observes() {
                return self.observe_only(index, spec, &matches);
            }
            if changes(spec)
                && let Some((reason, message)) = self.unanswerable_later(index, &configs)
            {
                return self.finish_task(index, Outcome::errored(reason, message));
            }
            if changes(spec) && self.remediation().is_some() {
                self.s.actions_started.push(ApiTime(self.now));
            }
            return self.start_jobs(index, &matches);
        }
        match spec.name.as_str() {
            GET_ACTION => self.get_action(index),
            EVALUATION => self.start_evaluation(index),
            APPROVAL => self.start_approval(index),
            _ if spec.executor == Some(Executor::External) => self.start_outside(index),
            _ => {
                let message = matching::no_executor(&configs, &self.facts.events, &event);
                self.finish_task(index, Outcome::errored(NO_EXECUTOR, message))
            }
        }
    }

    /// Why a later task of the attempt can't be answered, if that is certain already. Nothing is done to a service that
    /// can't be tested or judged afterwards.
    fn unanswerable_later(
        &self,
        index: usize,
        configs: &[PinnedJobConfig],
    ) -> Option<(&'static str, String)> {
        let sequence = self.sequence()?;
        let data = matching::reads_data(configs);
        let mut later = sequence.tasks.iter().enumerate().skip(index + 1);
        later.find_map(|(index, spec)| {
            let event = self.event(index, spec, data);
            let built_in = matches!(spec.name.as_str(), GET_ACTION | EVALUATION | APPROVAL)
                || spec.executor == Some(Executor::External);
            let told = |why: &str| format!("nothing was done, because {} could not follow: {why}", spec.name);
            match matching::matching(configs, &event) {
                Err(invalid) => Some((INVALID_EXECUTOR, told(invalid))),
                Ok(_) if built_in || matching::may_match(configs, &event) => None,
                Ok(_) => {
                    let why = matching::no_executor(configs, &self.facts.events, &event);
                    Some((NO_EXECUTOR, told(&why)))
                }
            }
        })
    }

    fn get_action(&mut self, index: usize) -> Flow {
        let payload = self.s.payload.clone().unwrap_or_default();
        let Some(pinned) = self.remediation() else {
            return Flow::Rest;
        };
        let outcome = get_action::outcome(pinned, &payload);
        self.take_said(&outcome, GET_ACTION);
        self.finish_task(index, outcome)
    }

    /// What the columns of a run show of a task's answer: the chosen action, or the score.
    pub(super) fn take_said(&mut self, outcome: &Outcome, task: &str) {
        match task {
            GET_ACTION if outcome.verdict != Verdict::Fail => {
                let chosen = get_action::chosen(&outcome.data);
                if let Some(attempt) = self.attempt() {
                    attempt.action = chosen.or(attempt.action.take());
                }
            }
            EVALUATION => {
                let said = outcome.data.get(EVALUATION).and_then(|e| e.get("score"));
                if let Some(score) = said.and_then(Value::as_f64) {
                    self.s.score = Some(score);
                    if let Some(attempt) = self.attempt() {
                        attempt.score = Some(score);
                    }
                }
            }
            _ => {}
        }
    }

    fn observes(&self) -> bool {
        self.remediation().is_some_and(|r| r.mode == Mode::Observe)
    }

    /// `mode: Observe`: says what would run, and creates nothing.
    fn observe_only(&mut self, index: usize, spec: &Task, matches: &[Matched]) -> Flow {
        let would: Vec<String> = matches
            .iter()
            .map(|m| format!("{:?} of JobConfig {}", m.action.name, m.config.name))
            .collect();
        let message = format!("would run {} (mode: Observe)", would.join(", "));
        self.tell(Note::normal("WouldRun", format!("{}: {message}", spec.name)));
        let now = ApiTime(self.now);
        if let Some(task) = self.task_mut(index) {
            "Skipped".clone_into(&mut task.state);
            task.result = Some("pass".to_owned());
            task.status = Some("succeeded".to_owned());
            "Observed".clone_into(&mut task.reason);
            task.message = message;
            task.finished_at = Some(now);
        }
        Flow::Go
    }

    /// Whether another action would be one too many.
    fn over_budget(&self, spec: &Task) -> Option<String> {
        let remediation = self.remediation()?;
        if !changes(spec) || remediation.mode == Mode::Observe {
            return None;
        }
        let own = self.s.actions_started.iter().map(|at| at.0);
        let others = self.facts.history.iter().flat_map(|h| h.actions.iter().copied());
        let started: Vec<_> = own.chain(others).collect();
        brakes::may_act(remediation.budget, &started, self.now).err()
    }

    /// The event that the task's executors see; without its data, which may be large, where nobody reads that.
    pub(super) fn event(&self, index: usize, spec: &Task, data: bool) -> Value {
        let whole = self.s.payload.as_ref();
        let short = (!data).then(|| payload::labels_only(whole));
        self.event_with(index, spec, short.as_ref().or(whole))
    }

    /// The event, with this payload.
    pub(super) fn event_with(&self, index: usize, spec: &Task, merged: Option<&Object>) -> Value {
        let number = self.attempt_number();
        let started = self
            .task_status(index)
            .and_then(|t| t.started_at.as_ref())
            .map_or(self.now, |t| t.0);
        payload::event(self.execution, merged, spec, number, index, started)
    }

    /// Goes on with a task that has begun.
    pub(super) fn progress(&mut self, index: usize) -> Flow {
        self.wants_place = true;
        let Some(task) = self.task_status(index).cloned() else {
            return Flow::Rest;
        };
        self.s.task.clone_from(&task.name);
        phases::RUNNING.clone_into(&mut self.s.phase);
        "Running".clone_into(&mut self.s.reason);
        if let Some(skip) = self.skip_of(&task.name) {
            return self.skip_task(index, &task, &skip);
        }
        if let Some(asked) = &task.approval {
            self.progress_approval(index, asked)
        } else if task.evaluation.is_some() {
            self.progress_evaluation(index, &task)
        } else if task.jobs.is_empty() {
            self.progress_outside(index)
        } else {
            self.progress_jobs(index, &task.jobs)
        }
    }

    /// Records how the task ended.
    pub(super) fn finish_task(&mut self, index: usize, outcome: Outcome) -> Flow {
        let mut outcome = outcome;
        let payload = self.s.payload.get_or_insert_default();
        let (result, status) = (outcome.verdict.as_str(), outcome.status());
        if let Err(error) = after_task(payload, &outcome.data, result, status) {
            outcome = Outcome::errored(error.reason(), error.to_string());
        }
        let now = ApiTime(self.now);
        let result = outcome.verdict.as_str();
        let name = self.task_spec(index).name;
        if let Some(task) = self.task_mut(index) {
            if task.state != "Lost" {
                "Done".clone_into(&mut task.state);
            }
            task.result = Some(result.to_owned());
            task.status = Some(outcome.status().to_owned());
            task.reason.clone_from(&outcome.reason);
            task.message.clone_from(&outcome.message);
            task.finished_at = Some(now);
            task.deadline = None;
        }
        self.s.result = Some(result.to_owned());
        self.s.waits_for.clear();
        let told = if outcome.message.is_empty() {
            result.to_owned()
        } else {
            outcome.message.clone()
        };
        let note = match (name.as_str(), result, outcome.errored) {
            (GET_ACTION, "pass", false) => Note::normal("ActionChosen", told),
            (EVALUATION, "pass" | "warning", false) => Note::normal("Evaluated", told),
            (EVALUATION, _, false) => Note::warning("Evaluated", told),
            (_, "pass" | "warning", false) => Note::normal("TaskSucceeded", format!("{name}: {told}")),
            _ => Note::warning("TaskFailed", format!("{name}: {told}")),
        };
        self.tell(note);
        Flow::Go
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("action", true)]
    #[case("je-deployment", true)]
    #[case("deploy", true)]
    #[case("auto_rollback", true)]
    #[case("get-action", false)]
    #[case("je-test", false)]
    #[case("evaluation", false)]
    #[case("reaction", false)]
    fn which_tasks_change_the_service(#[case] name: &str, #[case] expected: bool) {
        assert_eq!(
            changes(&Task {
                name: name.into(),
                ..Task::default()
            }),
            expected
        );
    }

    #[test]
    fn the_shipyard_has_the_last_word_on_what_changes_the_service() {
        let task = Task {
            name: "action".into(),
            changes: Some(false),
            ..Task::default()
        };
        assert!(!changes(&task));
    }
}
