//! `SequenceExecution`: one run of one sequence.

use std::collections::BTreeMap;

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Condition, Timestamp,
    common::{Object, SourceRef, any_object, labels},
    evaluation::Window,
};

pub use super::{jobstatus::*, plan::*};

/// One run of one sequence: the trigger and its data in `spec`, everything that happens in `status`.
#[derive(Clone, CustomResource, Debug, Default, Deserialize, KubeSchema, PartialEq, Serialize)]
#[kube(
    group = "coxswain.dev",
    version = "v1alpha1",
    kind = "SequenceExecution",
    namespaced,
    status = "SequenceExecutionStatus",
    shortname = "se",
    category = "coxswain",
    derive = "PartialEq",
    selectable = ".status.done",
    selectable = ".spec.project",
    selectable = ".spec.stage",
    selectable = ".spec.service",
    selectable = ".spec.context",
    selectable = ".spec.control.retry.id",
    doc = "One run of one sequence.",
    validation = Rule::new("!has(self.spec.control) || !has(self.spec.control.retry) || (has(self.status) && has(self.status.done) && self.status.done)").message("spec.control.retry: only a run that has ended can be retried; abort it first, or wait for its end"),
    validation = Rule::new("size(self.metadata.name) <= 52").message("a SequenceExecution's name may have at most 52 characters"),
    printcolumn(name = "Project", type_ = "string", json_path = ".spec.project"),
    printcolumn(name = "Stage", type_ = "string", json_path = ".spec.stage"),
    printcolumn(name = "Service", type_ = "string", json_path = ".spec.service"),
    printcolumn(name = "Sequence", type_ = "string", json_path = ".spec.sequence"),
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "Task", type_ = "string", json_path = ".status.task"),
    printcolumn(name = "Attempt", type_ = "integer", json_path = ".status.attempt"),
    printcolumn(name = "Result", type_ = "string", json_path = ".status.result"),
    printcolumn(name = "Score", type_ = "number", json_path = ".status.score"),
    printcolumn(name = "Waits For", type_ = "string", json_path = ".status.waitsFor"),
    printcolumn(name = "Message", type_ = "string", json_path = ".status.message", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.project == oldSelf.project && self.stage == oldSelf.stage && self.service == oldSelf.service && self.sequence == oldSelf.sequence && has(self.context) == has(oldSelf.context) && (!has(self.context) || self.context == oldSelf.context) && has(self.triggeredBy) == has(oldSelf.triggeredBy) && (!has(self.triggeredBy) || self.triggeredBy == oldSelf.triggeredBy) && has(self.labels) == has(oldSelf.labels) && (!has(self.labels) || self.labels == oldSelf.labels) && has(self.data) == has(oldSelf.data) && (!has(self.data) || self.data == oldSelf.data) && has(self.requestedBy) == has(oldSelf.requestedBy) && (!has(self.requestedBy) || self.requestedBy == oldSelf.requestedBy) && has(self.depth) == has(oldSelf.depth) && (!has(self.depth) || self.depth == oldSelf.depth) && has(self.retryOf) == has(oldSelf.retryOf) && (!has(self.retryOf) || self.retryOf == oldSelf.retryOf)").message("spec is immutable but for spec.control: create another SequenceExecution"),
    validation = Rule::new("!has(oldSelf.control) || oldSelf.control.desired != 'Abort' || (has(self.control) && self.control.desired == 'Abort')").message("an abort can't be taken back: create another SequenceExecution"),
    validation = Rule::new("!has(oldSelf.control) || !has(oldSelf.control.skip) || (has(self.control) && has(self.control.skip) && oldSelf.control.skip.all(a, self.control.skip.exists(b, b == a)))").message("an entry of spec.control.skip is never changed or removed"),
    validation = Rule::new("!has(self.control) || self.control.desired != 'Abort' || !has(self.control.skip) || (has(oldSelf.control) && has(oldSelf.control.skip) && self.control.skip.size() == oldSelf.control.skip.size())").message("spec.control: a run that is aborted skips nothing; leave one of them out")
)]
pub struct SequenceExecutionSpec {
    /// The project: a Shipyard of this namespace.
    #[schemars(
        length(min = 1, max = 43),
        regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")
    )]
    pub project: String,
    /// The stage.
    #[schemars(
        length(min = 1, max = 43),
        regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")
    )]
    pub stage: String,
    /// The service.
    #[schemars(
        length(min = 1, max = 43),
        regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")
    )]
    pub service: String,
    /// The sequence of the stage.
    #[schemars(length(min = 1, max = 63))]
    pub sequence: String,
    /// The flow that this run is part of; v1's shkeptncontext. Default: the run's own uid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(max = 63),
        regex(pattern = r"^[A-Za-z0-9]([-_.A-Za-z0-9]*[A-Za-z0-9])?$")
    )]
    pub context: Option<String>,
    /// What started it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub triggered_by: Option<SourceRef>,
    /// Labels that travel with the run: `LABELS_<KEY>` in Jobs, `$LABEL.<key>` in queries.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "labels")]
    pub labels: BTreeMap<String, String>,
    /// The trigger's data, the beginning of the payload; at most 16 KiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "any_object")]
    pub data: Option<Object>,
    /// Who asked for it, for approvals that somebody else must give. The admission policies let nobody write another's
    /// name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub requested_by: Option<String>,
    /// How many runs came before this one in its chain of `triggeredOn`; at most 50.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 50))]
    pub depth: Option<i32>,
    /// The run that this one repeats.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_of: Option<RetryOf>,
    /// What people ask of the run while it lives. Leave it out of manifests in Git.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub control: Option<Control>,
}

/// What people ask of a run.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Control {
    /// Run, Pause (after the current task) or Abort (at once; it can't be taken back).
    #[serde(default)]
    pub desired: Desired,
    /// Run it again, now that it has ended: a new run, in the same context. Each `id` counts once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,
    /// Tasks that are not to run, because somebody saw to them in another way. Entries are added, never changed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub skip: Vec<Skip>,
}

/// Run an ended run again.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Retry {
    /// Names the wish, so that it counts once: for example the time of day.
    #[schemars(length(min = 1, max = 63))]
    pub id: String,
    /// From where.
    #[serde(default)]
    pub from: RetryFrom,
}

/// From where an ended run is run again.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum RetryFrom {
    /// From its first task, with the data that it was started with.
    #[default]
    Start,
    /// From the task that failed, with the payload of the tasks before it.
    FailedTask,
}

/// One task that is not to run.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Skip {
    /// The attempt, from 1.
    #[schemars(range(min = 1, max = 1000))]
    pub attempt: i32,
    /// The task's name; of several of one name all that have not ended.
    #[schemars(length(min = 1, max = 63))]
    pub task: String,
    /// Why.
    #[schemars(length(min = 1, max = 1024))]
    pub reason: String,
    /// Who says so: the user's own name. The admission policies let nobody write another's.
    #[schemars(length(min = 1, max = 253))]
    pub by: String,
}

/// A run that goes on where another ended.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RetryOf {
    /// The run that ended.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Its uid.
    #[schemars(length(min = 1, max = 63))]
    pub uid: String,
    /// The task that this run begins with, by its index: those before it are not repeated.
    #[serde(default)]
    #[schemars(range(min = 0, max = 63))]
    pub task: i32,
    /// That task's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub task_name: Option<String>,
}

/// Run, pause or abort.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum Desired {
    /// Go on.
    #[default]
    Run,
    /// Stop after the current task.
    Pause,
    /// Stop at once and delete the Job.
    Abort,
}

/// Everything that happened.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SequenceExecutionStatus {
    /// Queued, Running, Waiting, Paused, Held; ended: Succeeded, Failed, Exhausted, Inconclusive, TimedOut, Aborted,
    /// Resolved, Superseded, Expired.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub phase: String,
    /// True exactly for ended phases.
    #[serde(default)]
    pub done: bool,
    /// The current task, or the last one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub task: String,
    /// The current attempt, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<i32>,
    /// pass, warning or fail: of the last task that ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<String>,
    /// The newest evaluation's score, 0 to 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score: Option<f64>,
    /// Why it stands as it does, in a word.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// One line for people: what is being done, waited for, or why it ended.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// What must come before it goes on, in a few words: another run, an Approval, a time, a person.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub waits_for: String,
    /// Time spent waiting for humans, in seconds; it is not counted against the deadline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval_seconds: Option<i64>,
    /// Whether the run holds its service's place in the stage: Queued, Held or Released.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
    /// When the first task started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// When the run ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Timestamp>,
    /// Since when the run is paused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused_at: Option<Timestamp>,
    /// Time spent paused or held, in seconds; it is not counted against the deadline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused_seconds: Option<i64>,
    /// When the next attempt starts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_attempt_at: Option<Timestamp>,
    /// When each remediation action of this run started; budgets are counted from these.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub actions_started: Vec<Timestamp>,
    /// What was pinned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<Plan>,
    /// The merged payload; at most 32 KiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "any_object")]
    pub payload: Option<Object>,
    /// The last ten attempts, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attempts: Vec<AttemptStatus>,
    /// Attempts before those, a line each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub earlier_attempts: Vec<String>,
    /// How the run will end, once the runs that its end triggers were created.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<RunOutcome>,
    /// The runs that its end triggered.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub triggered: Vec<FollowUp>,
    /// The last retry that was asked for and seen to, and the run that came of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retried: Option<Retried>,
    /// Pinned objects that were edited since: this run goes on with what they said before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub definition_changed: Vec<String>,
    /// The newest annotation `reconcile.fluxcd.io/requestedAt` that was seen to, of a run that has not ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_handled_reconcile_at: Option<String>,
    /// The generation that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `Ready`, `Reconciling`, `Stalled` as kstatus has them, and `Succeeded`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}

/// How a run will end.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RunOutcome {
    /// The phase.
    pub phase: String,
    /// Why, in a word.
    pub reason: String,
    /// One line for people.
    pub message: String,
}

/// A run that another's end triggers.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FollowUp {
    /// Its name.
    pub name: String,
    /// Its stage.
    pub stage: String,
    /// Its sequence.
    pub sequence: String,
}

/// A retry that was seen to.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Retried {
    /// The wish.
    pub id: String,
    /// The run that came of it; absent when it was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub execution: Option<String>,
    /// Why it was refused.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
}

/// One attempt.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AttemptStatus {
    /// From 1.
    pub number: i32,
    /// The remediation action that was tried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    /// pass, warning or fail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<String>,
    /// The evaluation's score.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score: Option<f64>,
    /// When it started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Timestamp>,
    /// Its tasks, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tasks: Vec<TaskStatus>,
}

/// One task of an attempt.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TaskStatus {
    /// The task.
    pub name: String,
    /// Pending, Waiting, Starting, Running, Done, Skipped or Lost.
    pub state: String,
    /// pass, warning or fail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<String>,
    /// succeeded or errored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// Why, in a word.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// One line for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// When it started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Timestamp>,
    /// Until when it waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait_until: Option<Timestamp>,
    /// When it must have ended; with Jobs, when the first of those that run must have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Timestamp>,
    /// Its Jobs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub jobs: Vec<JobStatus>,
    /// Its evaluation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evaluation: Option<EvaluationTask>,
    /// The question that it put to a human.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<ApprovalTask>,
    /// What outside executors said.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub executors: Vec<ExecutorStatus>,
}

/// The question of a task.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ApprovalTask {
    /// The Approval's name.
    pub name: String,
    /// Its uid, once it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
}

/// What one outside executor said of a task.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ExecutorStatus {
    /// Who.
    pub source: String,
    /// When it began, if it said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Timestamp>,
    /// pass, warning or fail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<String>,
    /// succeeded, errored, aborted or unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// One line for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// What it adds to the payload, until the task ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "any_object")]
    pub data: Option<Object>,
}

/// The evaluation of a task.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EvaluationTask {
    /// The newest Evaluation.
    pub name: String,
    /// From 1; one that could not measure is followed by another, without an action.
    #[serde(rename = "try")]
    pub try_: i32,
    /// What it measures.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<Window>,
    /// Since when nothing could be measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inconclusive_since: Option<Timestamp>,
    /// Since when the gate has been good, where it must hold (`mustHoldFor`): the end of the first good window.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub good_since: Option<Timestamp>,
    /// Until when it must stay good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold_until: Option<Timestamp>,
}
