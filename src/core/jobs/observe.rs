//! What has become of a Job.

use jiff::Timestamp;
use k8s_openapi::api::{batch::v1::Job, core::v1::Pod};

use super::result::Outcome;
use crate::api::execution::JobStatus;

/// How many Jobs are created for one key when each is lost before its container starts, or when the task is
/// idempotent.
pub const TRIES_MAX: i32 = 3;

/// A Warning event about the Job or one of its pods.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct EventLine {
    /// Such as `FailedMount` or `FailedCreate`.
    pub reason: String,
    /// What it says.
    pub message: String,
}

/// What is known about one recorded Job.
#[derive(Clone, Copy, Debug)]
pub struct JobFacts<'a> {
    /// What the execution's status says.
    pub recorded: &'a JobStatus,
    /// The Job, if there is one of that name.
    pub job: Option<&'a Job>,
    /// Pods that may be the Job's; those of others are passed over.
    pub pods: &'a [Pod],
    /// Warning events about the Job and its pods, newest first; they are only read while nothing runs.
    pub warnings: &'a [EventLine],
    /// Whether the task may run again when it is not known whether it ran.
    pub idempotent: bool,
    /// The time.
    pub now: Timestamp,
}

/// What has become of a Job.
#[derive(Clone, Debug, PartialEq)]
pub enum Observation {
    /// The record says `Starting` and there is no Job: create it (again).
    Create,
    /// A Job of that name exists, but it is not the recorded one.
    NameTaken {
        /// Whose it is, for people.
        message: String,
    },
    /// The container has not started.
    Waiting {
        /// What keeps it from starting, if something does.
        blocked: Option<Blocked>,
    },
    /// The container runs.
    Running {
        /// Since when.
        started_at: Timestamp,
    },
    /// The Job has ended.
    Ended(Box<Ended>),
    /// It is certain that nothing ran, or the task may run again: start the next try.
    Retry {
        /// Why, in a word.
        reason: String,
        /// One line for people.
        message: String,
    },
    /// It may have run, and nobody knows how it ended.
    Lost {
        /// One line for people.
        message: String,
    },
}

/// How a Job ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Ended {
    /// With what result.
    pub outcome: Outcome,
    /// When its container started, if it did.
    pub started_at: Option<Timestamp>,
    /// When its container, or else the Job, ended.
    pub finished_at: Timestamp,
}

/// Why a container does not start.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Blocked {
    /// In a word, such as `ImagePullBackOff`.
    pub reason: String,
    /// One line for people.
    pub message: String,
}

/// What has become of a Job.
pub fn observe(facts: &JobFacts) -> Observation {
    todo!()
}

/// Whether a Job whose verdict is known still runs a minute later, kept alive by an injected sidecar: then it is to
/// be deleted.
pub fn lingers(job: &Job, finished_at: Timestamp, now: Timestamp) -> bool {
    todo!()
}
