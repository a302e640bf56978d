//! The state machine of an execution: facts and `now` in, a decision out.
//!
//! A decision is the complete new status, what to delete before it is written, what to create after it was, and when to
//! look again. Everything that is created is derived from the status, so a crash between the two is made good by
//! deciding again.

mod ask;
pub mod asked;
mod attempt;
mod changed;
mod files;
mod finish;
pub mod follow;
mod gate;
mod job_ends;
mod jobs;
mod lanes;
mod outside;
pub mod own;
mod payload;
pub mod retry;
mod skip;
mod step;
mod targets;
mod task;
#[cfg(test)]
mod tests;
mod tries;

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::{batch::v1::Job, core::v1::Pod};

pub use finish::phases;
pub use follow::context_of;
pub use step::step;

use super::{
    definitions::Missing,
    jobs::{observe::EventLine, targets::Look},
    note::Note,
    queue::Grant,
};
use crate::api::{
    Approval, Evaluation, Remediation, SequenceExecution, SequenceExecutionStatus, TaskResult,
    execution::{Follower, Pinned, PinnedGate, PinnedJobConfig},
    jobconfig::Target,
    shipyard::{Concurrency, Sequence},
};

/// The waits and limits that hold where nothing else is said.
pub mod defaults {
    use crate::api::Duration;

    /// Between attempts: Keptn's tutorial retries every two minutes.
    pub const RETRY_AFTER: Duration = Duration::from_secs(120);
    /// Attempts of one execution.
    pub const MAX_ATTEMPTS: i32 = 100;
    /// A question to a human.
    pub const APPROVAL: Duration = Duration::from_secs(24 * 3600);
    /// An outside executor says that it began within this time.
    pub const STARTED: Duration = Duration::from_secs(60);
    /// A Job task.
    pub const TASK_TIMEOUT: Duration = Duration::from_secs(600);
    /// An execution, pauses not counted.
    pub const DEADLINE: Duration = Duration::from_secs(24 * 3600);
    /// Waiting for a place, or for a hold to end. An operator that was away must not replay old runs.
    pub const QUEUED: Duration = Duration::from_secs(3600);
    /// Paused.
    pub const PAUSED: Duration = Duration::from_secs(7 * 24 * 3600);
    /// After the end of its window an Evaluation has its verdict within this time, or it could not be measured.
    pub const VERDICT: Duration = Duration::from_secs(900);
    /// Nothing could be measured.
    pub const INCONCLUSIVE: Duration = Duration::from_secs(1800);
    /// The first wait after an evaluation that could not measure; it doubles up to `INCONCLUSIVE_STEP_MAX`.
    pub const INCONCLUSIVE_STEP: Duration = Duration::from_secs(30);
    /// The longest wait between two evaluations that could not measure.
    pub const INCONCLUSIVE_STEP_MAX: Duration = Duration::from_secs(600);
    /// A Job whose creation was recorded this long ago and which does not exist may have run.
    pub const STARTING: Duration = Duration::from_secs(300);
    /// After its container ended a Job has finished within this time, or something else keeps it alive.
    pub const LINGER: Duration = Duration::from_secs(60);
    /// How many runs may come before one in its chain of `triggeredOn`: 20 stages with a few sequences each.
    pub const DEPTH: i32 = 50;
    /// How many attempts stand in the status in full.
    pub const ATTEMPTS_KEPT: usize = 10;
}

/// What is known of the world when a decision is made.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// The arbiter's answer; None when it was not asked because the run already has, or does not want, its place.
    pub grant: Option<Grant>,
    /// Who or what holds everything back.
    pub hold: Option<String>,
    /// Whether the problem that started this run is over.
    pub resolved: bool,
    /// What the definitions say, for a run that is not pinned yet.
    pub run: Option<Result<RunDefinitions, Missing>>,
    /// What the definitions say, for an attempt that starts.
    pub attempt: Option<AttemptDefinitions>,
    /// What is pinned, as it is now; without a generation it is gone. What is not listed is not known of.
    pub current: Vec<Pinned>,
    /// What other runs did on this service lately; None when it was not asked for.
    pub history: Option<History>,
    /// The run's Jobs, by name. Those that may run were read live when the cache did not have them.
    pub jobs: BTreeMap<String, Job>,
    /// The uids of Jobs that this process created; the status learns them with its next write.
    pub created: BTreeMap<String, String>,
    /// The event names of every JobConfig that applies, for the nearest one to a task that nobody answers.
    pub events: Vec<String>,
    /// The run's pods.
    pub pods: Vec<Pod>,
    /// Warnings about Jobs and their pods, by the Job's name.
    pub warnings: BTreeMap<String, Vec<EventLine>>,
    /// The service accounts that pinned Jobs name.
    pub accounts: BTreeMap<String, Account>,
    /// Creates that the API server refused for good: the object's name, and why.
    pub refused: BTreeMap<String, String>,
    /// The Evaluation that the current task waits for.
    pub evaluation: Option<Evaluation>,
    /// The question that the current task put, read live; None when it is not there.
    pub approval: Option<Approval>,
    /// Whether the admission policies keep answers honest; asked only for a question that was just put.
    pub enforced: Option<bool>,
    /// What outside executors said of this run, in the order in which they said it.
    pub results: Vec<TaskResult>,
    /// A newer run of the same sequence for the same place.
    pub newer: Option<String>,
    /// Whether every run in `status.triggered` was created.
    pub followed: bool,
    /// What Jobs change, looked at because an earlier decision of this look asked for it.
    pub targets: BTreeMap<Target, Look>,
}

/// What a run starts from.
#[derive(Clone, Debug, Default)]
pub struct RunDefinitions {
    /// The sequence.
    pub sequence: Sequence,
    /// The Remediation that applies to the place, if any.
    pub remediation: Option<Remediation>,
    /// The rules of other sequences on this one's end.
    pub followers: Vec<Follower>,
    /// The objects these came from.
    pub pinned: Vec<Pinned>,
}

/// What an attempt starts from.
#[derive(Clone, Debug, Default)]
pub struct AttemptDefinitions {
    /// What answers the sequence's tasks.
    pub job_configs: Vec<PinnedJobConfig>,
    /// What evaluations ask for.
    pub gate: PinnedGate,
    /// The objects these came from.
    pub pinned: Vec<Pinned>,
}

/// What other runs did on the same service of the same stage.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// When their actions started.
    pub actions: Vec<Timestamp>,
    /// When the last run that acted ended, and its name.
    pub last: Option<(Timestamp, String)>,
}

/// Whether a service account's owner agreed to its use.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Account {
    /// It does not exist.
    Missing,
    /// It lacks the annotation.
    NotAllowed,
    /// It has it.
    Allowed,
}

/// What to change in the cluster besides the status.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Create this Job.
    CreateJob(Box<Job>),
    /// Delete the Job of this name and uid.
    DeleteJob {
        /// Its name.
        name: String,
        /// Its uid, when it is known.
        uid: Option<String>,
    },
    /// Create this Evaluation.
    CreateEvaluation(Box<Evaluation>),
    /// Create this question.
    CreateApproval(Box<Approval>),
    /// Write this question's status, if nobody changed it since it was read.
    SettleApproval(Box<Approval>),
    /// Give this TaskResult its run as its owner.
    AdoptResult(Box<TaskResult>),
    /// Create this run, which follows this one's end.
    CreateExecution(Box<SequenceExecution>),
}

/// What to do.
#[derive(Clone, Debug, Default)]
pub struct Decision {
    /// Deletions, carried out before the status is written: what asks for them (an abort, a deadline) is already on
    /// record, so a crash in between is made good by deciding again.
    pub first: Vec<Effect>,
    /// The complete new status.
    pub status: SequenceExecutionStatus,
    /// Creations, carried out after the status was written.
    pub then: Vec<Effect>,
    /// What to tell people.
    pub notes: Vec<Note>,
    /// When to look again if nothing happens before.
    pub again: Option<Timestamp>,
    /// Whether the run wants its place: it keeps it, or waits for it.
    pub wants_place: bool,
    /// What has to be looked at first: this decision is not carried out, and another one is made that knows.
    pub reads: Vec<Target>,
}

/// What has to be found out before `step` can decide.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Needs {
    /// `Facts::run`.
    pub run: bool,
    /// `Facts::attempt`.
    pub attempt: bool,
    /// The arbiter's answer.
    pub place: bool,
    /// `Facts::history`: something may be started that counts against a budget.
    pub history: bool,
    /// These Jobs, live when the cache does not have them.
    pub jobs: Vec<String>,
    /// This Evaluation.
    pub evaluation: Option<String>,
    /// This Approval.
    pub approval: Option<String>,
    /// What outside executors said.
    pub results: bool,
    /// Warnings about the Jobs of these names: their containers have not started for a while.
    pub warnings: Vec<String>,
}

/// What `step` will want to know about this execution at `now`.
pub fn needs(execution: &SequenceExecution, now: Timestamp) -> Needs {
    let empty = SequenceExecutionStatus::default();
    let status = execution.status.as_ref().unwrap_or(&empty);
    if status.done || status.outcome.is_some() {
        return Needs::default();
    }
    let current = task::current(status);
    let live: Vec<_> = current
        .into_iter()
        .flat_map(|t| &t.jobs)
        .filter(|j| lanes::is_live(j))
        .collect();
    let slow = |at: Option<&crate::api::Timestamp>| {
        at.is_some_and(|at| now.duration_since(at.0) >= jiff::SignedDuration::from_secs(4))
    };
    Needs {
        run: status.plan.is_none(),
        attempt: status.attempts.last().is_none_or(|a| a.finished_at.is_some())
            && status.next_attempt_at.as_ref().is_none_or(|at| at.0 <= now),
        place: !matches!(status.place.as_deref(), Some("Held")),
        history: current.is_none_or(|t| !task::is_active(t)) || task::next_changes(status),
        jobs: live.iter().map(|j| j.name.clone()).collect(),
        evaluation: current
            .and_then(|t| t.evaluation.as_ref())
            .map(|e| e.name.clone()),
        approval: current.and_then(|t| t.approval.as_ref()).map(|a| a.name.clone()),
        results: current.is_some_and(task::is_outside),
        warnings: live
            .iter()
            .filter(|j| j.started_at.is_none() && slow(j.recorded_at.as_ref()))
            .map(|j| j.name.clone())
            .collect(),
    }
}

pub use task::{APPROVAL, EVALUATION, GET_ACTION, asks_for_action};

/// Who goes first: the sequence's own priority, else remediation before delivery.
pub fn priority(sequence: &Sequence) -> i32 {
    sequence
        .priority
        .unwrap_or(if asks_for_action(sequence) { 100 } else { 0 })
}

/// Whether the run is meant to go on now: neither paused, nor aborted, nor waiting for a time to come.
pub fn goes_on(execution: &SequenceExecution) -> bool {
    execution
        .spec
        .control
        .as_ref()
        .is_none_or(|c| c.desired == crate::api::execution::Desired::Run)
}

/// Whether the run waits for its place: new, or queued.
pub fn waits(run: &SequenceExecution) -> bool {
    run.status
        .as_ref()
        .is_none_or(|s| s.phase.is_empty() || s.phase == phases::QUEUED)
}

/// Whether a newer run of its sequence replaces the run as long as it waits.
pub fn is_replaced(run: &SequenceExecution) -> bool {
    let plan = run.status.as_ref().and_then(|s| s.plan.as_ref());
    let sequence = plan.and_then(|p| p.sequence.as_ref());
    sequence.is_some_and(|s| s.concurrency == Some(Concurrency::Replace))
}
