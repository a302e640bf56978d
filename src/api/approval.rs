//! `Approval`: one question put to a human, and the answers.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Condition, Timestamp, common::SourceRef};

/// One question put to a human, and the answers. The question never changes; answers are added and never changed or
/// removed.
#[derive(Clone, CustomResource, Debug, Deserialize, KubeSchema, PartialEq, Serialize)]
#[kube(
    group = "coxswain.dev",
    version = "v1alpha1",
    kind = "Approval",
    namespaced,
    status = "ApprovalStatus",
    shortname = "ap",
    category = "coxswain",
    derive = "PartialEq",
    selectable = ".status.done",
    doc = "One question put to a human, and the answers.",
    validation = Rule::new("!has(self.status) || !has(self.status.done) || !self.status.done || self.spec == oldSelf.spec").message("this question is decided; a later answer changes nothing"),
    printcolumn(name = "Project", type_ = "string", json_path = ".spec.project"),
    printcolumn(name = "Stage", type_ = "string", json_path = ".spec.stage"),
    printcolumn(name = "Service", type_ = "string", json_path = ".spec.service"),
    printcolumn(name = "Image", type_ = "string", json_path = ".spec.image"),
    printcolumn(name = "Result", type_ = "string", json_path = ".spec.result"),
    printcolumn(name = "Score", type_ = "number", json_path = ".spec.score"),
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "By", type_ = "string", json_path = ".status.decidedBy"),
    printcolumn(name = "Message", type_ = "string", json_path = ".status.message", priority = 1),
    printcolumn(name = "Expires", type_ = "date", json_path = ".spec.expiresAt", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.question == oldSelf.question && self.project == oldSelf.project && self.stage == oldSelf.stage && self.service == oldSelf.service && self.sequence == oldSelf.sequence && self.execution == oldSelf.execution && self.attempt == oldSelf.attempt && self.task == oldSelf.task && self.expiresAt == oldSelf.expiresAt && self.onExpiry == oldSelf.onExpiry && has(self.image) == has(oldSelf.image) && (!has(self.image) || self.image == oldSelf.image) && has(self.result) == has(oldSelf.result) && (!has(self.result) || self.result == oldSelf.result) && has(self.score) == has(oldSelf.score) && (!has(self.score) || self.score == oldSelf.score) && has(self.evaluation) == has(oldSelf.evaluation) && (!has(self.evaluation) || self.evaluation == oldSelf.evaluation) && has(self.groups) == has(oldSelf.groups) && (!has(self.groups) || self.groups == oldSelf.groups) && has(self.notBy) == has(oldSelf.notBy) && (!has(self.notBy) || self.notBy == oldSelf.notBy)").message("the question never changes; only an answer is added to spec.answers"),
    validation = Rule::new("!has(oldSelf.answers) || (has(self.answers) && oldSelf.answers.all(a, self.answers.exists(b, b == a)))").message("an answer is never changed or removed")
)]
pub struct ApprovalSpec {
    /// The project.
    #[schemars(length(min = 1, max = 43))]
    pub project: String,
    /// The stage that the version would enter.
    #[schemars(length(min = 1, max = 43))]
    pub stage: String,
    /// The service.
    #[schemars(length(min = 1, max = 43))]
    pub service: String,
    /// The sequence that waits.
    #[schemars(length(min = 1, max = 63))]
    pub sequence: String,
    /// The run that waits.
    pub execution: SourceRef,
    /// Its attempt, from 1.
    #[schemars(range(min = 1, max = 1000))]
    pub attempt: i32,
    /// The task, by its index in the sequence.
    #[schemars(range(min = 0, max = 63))]
    pub task: i32,
    /// What is asked, in a sentence.
    #[schemars(length(min = 1, max = 1024))]
    pub question: String,
    /// The image that would be deployed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub image: Option<String>,
    /// How the flow stands: pass or warning; absent when nothing was tested before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub result: Option<String>,
    /// The last evaluation's score, 0 to 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score: Option<f64>,
    /// The last evaluation's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub evaluation: Option<String>,
    /// Only members of one of these groups may answer. Empty: whoever has the verb `approve`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20), inner(length(min = 1, max = 253)))]
    pub groups: Vec<String>,
    /// Who may not answer: the one who asked for the change, where the shipyard says `notRequester: true`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub not_by: Option<String>,
    /// When the question is decided by `onExpiry`.
    pub expires_at: Timestamp,
    /// What the question comes to when nobody answers in time.
    #[serde(default)]
    pub on_expiry: Choice,
    /// The answers; the first decides.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["by"]))]
    pub answers: Vec<Answer>,
}

/// Yes or no.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum Choice {
    /// No: the sequence ends with result fail.
    #[default]
    Decline,
    /// Yes: the sequence goes on.
    Approve,
}

/// What one person says.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    /// The user's own name, as the API server knows it (`kubectl auth whoami`).
    #[schemars(length(min = 1, max = 253))]
    pub by: String,
    /// Approve or Decline.
    pub choice: Choice,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub reason: Option<String>,
}

/// What came of the question.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ApprovalStatus {
    /// Pending; decided: Approved, Declined, Expired (by `onExpiry`), Withdrawn (its run ended before).
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub phase: String,
    /// True exactly for decided questions.
    #[serde(default)]
    pub done: bool,
    /// One line for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// Whose answer decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decided_by: Option<String>,
    /// When.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decided_at: Option<Timestamp>,
    /// The generation that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `Ready`; `Enforced`: False, with the reason `Unenforced`, when the admission policies that keep answers honest
    /// are not in force; and `Succeeded`: whether it was approved.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}
