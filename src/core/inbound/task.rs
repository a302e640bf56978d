//! What outside executors say of tasks, and people of questions: which run's task it is.

use crate::{
    api::{
        Approval, SequenceExecution, TaskResult, TaskResultSpec, approval::Choice, common::Object,
        taskresult::TaskResultType,
    },
    core::{Invalid, definitions::nearest::hint, event, place::Place, sequence::context_of},
};

/// `sh.keptn.event.<task>.started` or `.finished`: what an outside executor says.
#[derive(Clone, Debug, PartialEq)]
pub struct Said {
    /// The TaskResult's name; it follows from the event.
    pub name: String,
    /// The task.
    pub task: String,
    /// Where it runs.
    pub place: Place,
    /// The event that it answers.
    pub triggered_id: String,
    /// Who says it.
    pub source: String,
    /// Began, or ended.
    pub type_: TaskResultType,
    /// pass, warning or fail.
    pub result: Option<String>,
    /// succeeded, errored, aborted or unknown.
    pub status: Option<String>,
    /// One line for people.
    pub message: Option<String>,
    /// What is merged into the payload.
    pub data: Option<Object>,
}

impl Said {
    /// The TaskResult, if one of these runs, of the place and alive, waits for it; with the run's context.
    ///
    /// # Errors
    /// That none does, and what to do.
    pub fn of(&self, runs: &[SequenceExecution]) -> Result<(TaskResult, String), Invalid> {
        let found = runs
            .iter()
            .find_map(|run| self.task_of(run).map(|(n, task)| (run, n, task)));
        let Some((run, attempt, task)) = found else {
            let message = format!(
                "is {:?}: no run of {} that goes on has a task with this event's id; send the id of the .triggered event, and answer before the task's deadline",
                self.triggered_id, self.place
            );
            return Err(Invalid::new("triggeredid", message));
        };
        if task != self.task {
            let message = format!(
                "is of task {:?}, but triggeredid is of task {task:?}; make them the same",
                self.task
            );
            return Err(Invalid::new("type", message));
        }
        let spec = TaskResultSpec {
            execution: run.metadata.name.clone().unwrap_or_default(),
            task: task.to_owned(),
            attempt,
            source: self.source.clone(),
            type_: self.type_,
            result: self.result.clone(),
            status: self.status.clone(),
            message: self.message.clone(),
            data: self.data.clone(),
        };
        let mut result = TaskResult::new(&self.name, spec);
        result.metadata.namespace.clone_from(&run.metadata.namespace);
        Ok((result, context_of(run)))
    }

    /// The attempt and the task of this run that the answered event started.
    fn task_of<'a>(&self, run: &'a SequenceExecution) -> Option<(i32, &'a str)> {
        let uid = run.metadata.uid.as_deref().unwrap_or_default();
        let attempts = run.status.iter().flat_map(|s| &s.attempts);
        attempts.into_iter().find_map(|attempt| {
            let mut tasks = attempt.tasks.iter().enumerate();
            let (_, task) = tasks.find(|(i, _)| event::id(uid, attempt.number, *i) == self.triggered_id)?;
            Some((attempt.number, task.name.as_str()))
        })
    }
}

/// `sh.keptn.event.approval.started` or `.finished`: what somebody says to a question.
#[derive(Clone, Debug, PartialEq)]
pub struct Answered {
    /// Where it was put.
    pub place: Place,
    /// The event of the task that put it.
    pub triggered_id: String,
    /// Yes or no; None where somebody only begins to think.
    pub choice: Option<Choice>,
    /// Why.
    pub reason: Option<String>,
}

impl Answered {
    /// The question, out of the open ones.
    ///
    /// # Errors
    /// That there is none, and what to do.
    pub fn of<'a>(&self, open: &'a [Approval]) -> Result<&'a Approval, Invalid> {
        let asks = |approval: &&Approval| {
            let uid = approval.spec.execution.uid.as_deref().unwrap_or_default();
            let task = usize::try_from(approval.spec.task).unwrap_or_default();
            event::id(uid, approval.spec.attempt, task) == self.triggered_id
        };
        open.iter().find(asks).ok_or_else(|| {
            let names = open.iter().filter_map(|a| a.metadata.name.as_deref());
            let message = format!(
                "is {:?}: no open Approval is of the task with this event's id{}",
                self.triggered_id,
                hint("", names)
            );
            Invalid::new("triggeredid", message)
        })
    }
}
