//! Why a Job can't be made.

use thiserror::Error;

use super::build::{JobInput, title};
use crate::core::Invalid;

/// Why a Job can't be made; the task ends errored before anything starts.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub enum JobError {
    /// A value that a variable is made from is not in the event.
    #[error(
        "JobConfig {config}, {job:?}: the variable {variable} is made from {path}, but there is {found}: \
         let an earlier task or the trigger provide it"
    )]
    MissingValue {
        /// The JobConfig.
        config: String,
        /// The action's task.
        job: String,
        /// The variable.
        variable: String,
        /// The JSON path.
        path: String,
        /// `nothing` or `null`.
        found: String,
    },
    /// A file that the task asks for is not there.
    #[error("JobConfig {config}, {job:?}: {problem}")]
    Files {
        /// The JobConfig.
        config: String,
        /// The action's task.
        job: String,
        /// What is missing, and the nearest known path.
        problem: String,
    },
    /// A source of Flux that files come from can't be used.
    #[error("JobConfig {config}, {job:?}: {problem}")]
    Source {
        /// The JobConfig.
        config: String,
        /// The action's task.
        job: String,
        /// The source, and what it says.
        problem: String,
    },
    /// The action's task is not as it should be.
    #[error("JobConfig {config}, {job:?}: {problem}")]
    Invalid {
        /// The JobConfig.
        config: String,
        /// The action's task.
        job: String,
        /// The field and the remedy.
        problem: String,
    },
    /// A value of the event that a variable is made from is refused, or all of them together are.
    #[error("JobConfig {config}, {job:?}: {problem}")]
    Refused {
        /// The JobConfig.
        config: String,
        /// The action's task.
        job: String,
        /// Why, in a word: `PatternMismatch`, `ValueRefused`, `ValueTooLarge`, `EnvironmentTooLarge`.
        reason: &'static str,
        /// The variable, what is wrong with its value, and the remedy.
        problem: String,
    },
    /// The indexes name no task of the JobConfig.
    #[error("JobConfig {config} has no action {action} with a task {job}: start the run again")]
    NoSuchJob {
        /// The JobConfig.
        config: String,
        /// The action's index.
        action: usize,
        /// The task's index.
        job: usize,
    },
}

impl JobError {
    /// The reason, in a word.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::MissingValue { .. } => "MissingValue",
            Self::Files { .. } => "MissingFile",
            Self::Source { .. } => "SourceNotReady",
            Self::Invalid { .. } => "InvalidJobConfig",
            Self::Refused { reason, .. } => reason,
            Self::NoSuchJob { .. } => "NoSuchJob",
        }
    }

    pub(super) fn missing_value(input: &JobInput, variable: &str, path: &str, found: &str) -> Self {
        Self::MissingValue {
            config: input.config.name.clone(),
            job: title(input),
            variable: variable.to_owned(),
            path: path.to_owned(),
            found: found.to_owned(),
        }
    }

    pub(super) fn refused(input: &JobInput, reason: &'static str, problem: String) -> Self {
        Self::Refused {
            config: input.config.name.clone(),
            job: title(input),
            reason,
            problem,
        }
    }

    pub(super) fn source(input: &JobInput, problem: String) -> Self {
        Self::Source {
            config: input.config.name.clone(),
            job: title(input),
            problem,
        }
    }

    pub(super) fn invalid(input: &JobInput, problem: &Invalid) -> Self {
        Self::Invalid {
            config: input.config.name.clone(),
            job: title(input),
            problem: problem.to_string(),
        }
    }
}
