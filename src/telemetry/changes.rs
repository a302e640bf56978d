//! What a written status changed, as something to count. Pure: from the status before and the one after.
//!
//! A status is written only from the version that it was decided on, so each change is seen once, whatever is repeated
//! and whenever the operator starts anew.

use jiff::Timestamp;

use super::{
    family::{Value, value},
    labels::{Attempt, Gate, Healing, ProblemEnd, Run, RunEnd, RunKind, Task, Verdict},
};
use crate::{
    api::{
        Evaluation, ProblemEvent, SequenceExecution, SequenceExecutionStatus, Timestamp as ApiTime,
        execution::{AttemptStatus, TaskStatus},
    },
    core::sequence::phases,
};

/// Something that happened once.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// A run was seen for the first time.
    Began(Run),
    /// A run ended.
    Ended(RunEnd),
    /// How long it took from its first task to its end, in seconds.
    RunTook(RunKind, f64),
    /// A task that was started ended, after so many seconds.
    TaskTook(Task, f64),
    /// An attempt that ran an action ended.
    Attempted(Attempt),
    /// A run with actions succeeded in this attempt.
    HealedAfter(Healing, i32),
    /// A problem was closed.
    Closed(ProblemEnd),
    /// A problem healed, so many seconds after it was known.
    HealedIn(Healing, f64),
    /// A gate gave its verdict.
    Judged(Verdict),
    /// With this score, 0 to 100.
    Scored(Gate, f64),
}

/// What a run's new status changed.
pub fn of_run(run: &SequenceExecution, before: &SequenceExecutionStatus) -> Vec<Change> {
    let Some(after) = &run.status else {
        return vec![];
    };
    let mut changes = Vec::new();
    if before.phase.is_empty() && !after.phase.is_empty() {
        changes.push(Change::Began(run_labels(run)));
    }
    for attempt in &after.attempts {
        let earlier = before.attempts.iter().find(|a| a.number == attempt.number);
        of_attempt(run, earlier, attempt, &mut changes);
    }
    if after.done && !before.done {
        of_end(run, after, &mut changes);
    }
    changes
}

fn of_attempt(
    run: &SequenceExecution,
    before: Option<&AttemptStatus>,
    after: &AttemptStatus,
    changes: &mut Vec<Change>,
) {
    let tasks = before.map_or(&[][..], |a| &a.tasks);
    for (index, task) in after.tasks.iter().enumerate() {
        let was_over = tasks.get(index).is_some_and(|t| t.finished_at.is_some());
        if let (false, Some(took)) = (
            was_over,
            seconds(task.started_at.as_ref(), task.finished_at.as_ref()),
        ) {
            changes.push(Change::TaskTook(task_labels(run, task), took));
        }
    }
    let was_over = before.is_some_and(|a| a.finished_at.is_some());
    if let (false, Some(_), Some(action)) = (was_over, &after.finished_at, &after.action) {
        let labels = Attempt {
            project: value(&run.spec.project),
            problem: value(problem_of(run)),
            action: value(action),
            result: Value::Borrowed(known(after.result.as_deref())),
        };
        changes.push(Change::Attempted(labels));
    }
}

fn of_end(run: &SequenceExecution, after: &SequenceExecutionStatus, changes: &mut Vec<Change>) {
    let Run {
        namespace,
        project,
        stage,
        sequence,
    } = run_labels(run);
    if let Some(took) = seconds(after.started_at.as_ref(), after.finished_at.as_ref()) {
        let kind = RunKind {
            project: project.clone(),
            stage: stage.clone(),
            sequence: sequence.clone(),
        };
        changes.push(Change::RunTook(kind, took));
    }
    let phase = value(&after.phase);
    changes.push(Change::Ended(RunEnd {
        namespace,
        project,
        stage,
        sequence,
        phase,
    }));
    if let Some(last) = after.attempts.last()
        && after.phase == phases::SUCCEEDED
        && last.action.is_some()
    {
        let healing = Healing {
            project: value(&run.spec.project),
            problem: value(problem_of(run)),
        };
        changes.push(Change::HealedAfter(healing, last.number));
    }
}

/// What a problem's new status changed. `before` says whether it was closed already.
pub fn of_problem(problem: &ProblemEvent, closed_before: bool) -> Vec<Change> {
    let Some(after) = problem.status.as_ref().filter(|s| s.done && !closed_before) else {
        return vec![];
    };
    let title = &problem.spec.problem.problem_title;
    let mut changes = vec![Change::Closed(ProblemEnd {
        namespace: value(problem.metadata.namespace.as_deref().unwrap_or_default()),
        project: value(&problem.spec.project),
        problem: value(title),
        phase: value(&after.phase),
    })];
    let known = problem.metadata.creation_timestamp.as_ref();
    // One that joined another was not healed itself.
    if let (Some(known), Some(over), true) = (known, &after.finished_at, after.phase == "Healed")
        && after.joined.is_none()
    {
        let healing = Healing {
            project: value(&problem.spec.project),
            problem: value(title),
        };
        changes.push(Change::HealedIn(healing, between(known.0, over.0)));
    }
    changes
}

/// What a verdict counts for; it is written once.
pub fn of_verdict(evaluation: &Evaluation) -> Vec<Change> {
    let Some(status) = evaluation.status.as_ref().filter(|s| s.done) else {
        return vec![];
    };
    let spec = &evaluation.spec;
    let mut changes = vec![Change::Judged(Verdict {
        namespace: value(evaluation.metadata.namespace.as_deref().unwrap_or_default()),
        project: value(&spec.project),
        stage: value(&spec.stage),
        service: value(&spec.service),
        result: Value::Borrowed(match status.result.as_deref() {
            None => "inconclusive",
            result => known(result),
        }),
    })];
    if let Some(score) = status.score {
        let gate = Gate {
            project: value(&spec.project),
            stage: value(&spec.stage),
            service: value(&spec.service),
        };
        changes.push(Change::Scored(gate, score));
    }
    changes
}

/// Since when a run that waits for its place has waited: its birth, or the end of the last thing that it did.
pub fn waits_since(run: &SequenceExecution) -> Option<Timestamp> {
    let born = run.metadata.creation_timestamp.as_ref().map(|t| t.0);
    let attempts = run.status.iter().flat_map(|s| &s.attempts);
    let ends = attempts.flat_map(|a| a.tasks.iter().filter_map(|t| t.finished_at.as_ref()));
    ends.map(|t| t.0).chain(born).max()
}

pub(super) fn run_labels(run: &SequenceExecution) -> Run {
    Run {
        namespace: value(run.metadata.namespace.as_deref().unwrap_or_default()),
        project: value(&run.spec.project),
        stage: value(&run.spec.stage),
        sequence: value(&run.spec.sequence),
    }
}

fn task_labels(run: &SequenceExecution, task: &TaskStatus) -> Task {
    let result = match (task.status.as_deref(), task.result.as_deref()) {
        (Some("errored"), _) => "errored",
        (_, result) => known(result),
    };
    Task {
        project: value(&run.spec.project),
        stage: value(&run.spec.stage),
        task: value(&task.name),
        result: Value::Borrowed(result),
    }
}

/// A result, if it is one.
fn known(result: Option<&str>) -> &'static str {
    let all = ["pass", "warning", "fail"];
    all.into_iter().find(|r| Some(*r) == result).unwrap_or("none")
}

/// What the problem is called that a run was started for.
fn problem_of(run: &SequenceExecution) -> &str {
    let data = run.spec.data.as_ref();
    let problem = data.and_then(|d| d.get("problem"));
    let title = problem.and_then(|p| p.get("problemTitle"));
    title.and_then(|t| t.as_str()).unwrap_or_default()
}

fn seconds(from: Option<&ApiTime>, to: Option<&ApiTime>) -> Option<f64> {
    Some(between(from?.0, to?.0))
}

fn between(from: Timestamp, to: Timestamp) -> f64 {
    to.duration_since(from).as_secs_f64().max(0.0)
}

#[cfg(test)]
#[path = "changes_tests.rs"]
mod tests;
