//! What a simulation says: a document for programs, and steps for people.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use serde::{Deserialize, Serialize};

/// Everything that would happen.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// The runs, in the order in which they were created.
    pub executions: Vec<ExecutionReport>,
    /// Why the simulation was stopped before everything had ended; absent when everything had.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped: Option<String>,
    /// What happened, for people, in order.
    #[serde(skip)]
    pub steps: Vec<Step>,
    /// Answers that no task asked for, a line each.
    #[serde(skip)]
    pub unused: Vec<String>,
}

/// One run.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ExecutionReport {
    /// Its name.
    pub name: String,
    /// Its stage.
    pub stage: String,
    /// Its service.
    pub service: String,
    /// Its sequence.
    pub sequence: String,
    /// How many attempts it made.
    pub attempts: i32,
    /// How it ended, or where it stood when the simulation was stopped.
    pub phase: String,
    /// pass, warning or fail: of its last task; null when none ran.
    pub result: Option<String>,
    /// Why it ended so, in a word.
    pub reason: String,
    /// Why it ended so, for people.
    pub message: String,
    /// When it was created.
    pub created_at: Option<Timestamp>,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// The tasks that began, in order.
    pub tasks: Vec<TaskReport>,
    /// What triggered it: an event's type, `<stage>.<sequence>.finished`, or an object's kind and name; null when
    /// nothing is known.
    pub triggered_by: Option<String>,
}

/// One task of one attempt.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TaskReport {
    /// The attempt, from 1.
    pub attempt: i32,
    /// The task.
    pub name: String,
    /// pass, warning or fail; null when it did not end.
    pub result: Option<String>,
    /// succeeded or errored; null when it did not end.
    pub status: Option<String>,
    /// decided: the engine came to it; answer: the answers say so; assumed: nothing says anything, so it passed.
    pub source: String,
    /// Why, in a word; empty when all is well.
    pub reason: String,
    /// One line for people.
    pub message: String,
    /// When it began.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// The Jobs that would be created.
    pub jobs: Vec<JobReport>,
}

/// One Job that would be created.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct JobReport {
    /// Its name.
    pub name: String,
    /// The JobConfig that has it.
    pub job_config: String,
    /// The JobConfig's action.
    pub action: String,
    /// The action's task.
    pub task: String,
    /// The image.
    pub image: String,
    /// The command, with its arguments.
    pub command: Vec<String>,
    /// Its variables that have a value, `KEPTN_PROJECT` and the like included.
    pub env: BTreeMap<String, String>,
    /// The whole Job.
    pub manifest: Box<Job>,
}

/// One thing that happened.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Step {
    /// When.
    pub at: Timestamp,
    /// In which run: `<stage>.<sequence>`, and a number when there are several.
    pub execution: String,
    /// In which attempt; 0 outside of one.
    pub attempt: i32,
    /// To which task; empty when it is the whole run.
    pub task: String,
    /// What.
    pub text: String,
    /// More about it, a line each.
    pub details: Vec<String>,
}
