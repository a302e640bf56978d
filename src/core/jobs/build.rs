//! From one task of an action to the Kubernetes Job that does it.

use k8s_openapi::api::batch::v1::Job;
use serde_json::Value;
use thiserror::Error;

use crate::api::{
    Duration, SequenceExecution,
    execution::PinnedJobConfig,
    jobconfig::{JobAction, JobTask},
    shipyard::Task,
};

/// The name of the container that does the work.
pub const CONTAINER: &str = "task";

/// What a Job is made from.
#[derive(Clone, Copy, Debug)]
pub struct JobInput<'a> {
    /// The run.
    pub execution: &'a SequenceExecution,
    /// The attempt, from 1.
    pub attempt: i32,
    /// The sequence's task.
    pub task: &'a Task,
    /// The sequence's task, by its index.
    pub task_index: usize,
    /// The JobConfig that answers.
    pub config: &'a PinnedJobConfig,
    /// The action, by its index in `config.actions`.
    pub action_index: usize,
    /// The action's part of the key: [`super::matching::Matched::index`].
    pub key_index: usize,
    /// The action's Job, by its index in its `tasks`.
    pub job_index: usize,
    /// The try, from 1.
    pub try_: i32,
    /// The task's event, from [`crate::core::event::triggered`].
    pub event: &'a Value,
}

/// Why a Job can't be made; the task ends errored before anything starts.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[error("{0}")]
pub struct JobError(String);

impl JobError {
    /// The reason, in a word.
    pub fn reason(&self) -> &'static str {
        todo!()
    }
}

/// The name that [`build`] gives the Job.
pub fn name(input: &JobInput) -> String {
    todo!()
}

/// How long the Job may take: its own `maxPollDuration`, else the sequence's task's `timeout`, else 10m.
pub fn timeout(job: &JobTask, task: &Task) -> Duration {
    todo!()
}

/// The Job.
pub fn build(input: &JobInput) -> Result<Job, JobError> {
    todo!()
}
