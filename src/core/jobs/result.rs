//! What a Job's end means: from an exit code and a termination message to a result.

use serde_json::Value;

use crate::api::common::Object;

/// The longest termination message that a kubelet keeps, in bytes.
pub const MESSAGE_MAX: usize = 4096;

/// A result, the better ones first.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub enum Verdict {
    /// All is well.
    #[default]
    Pass,
    /// Good enough, with a remark.
    Warning,
    /// Not good enough.
    Fail,
}

impl Verdict {
    /// `pass`, `warning` or `fail`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Warning => "warning",
            Self::Fail => "fail",
        }
    }
}

/// How a Job, an action or a task ended.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outcome {
    /// Its result.
    pub verdict: Verdict,
    /// Whether it could not do its work: v1's status `errored`. The verdict is `fail` then.
    pub errored: bool,
    /// Why it failed, in a word; empty otherwise.
    pub reason: String,
    /// One line for people; may be empty.
    pub message: String,
    /// What it adds to the payload.
    pub data: Object,
    /// The container's exit code, if there was one.
    pub exit_code: Option<i32>,
}
impl Outcome {
    /// `succeeded` or `errored`.
    pub fn status(&self) -> &'static str {
        if self.errored { "errored" } else { "succeeded" }
    }
    /// An end without a proper result.
    pub fn errored(reason: &str, message: impl Into<String>) -> Self {
        Self {
            verdict: Verdict::Fail,
            errored: true,
            reason: reason.to_owned(),
            message: message.into(),
            ..Self::default()
        }
    }
}
/// Reads the end of a container.
pub fn read(exit_code: i32, message: &str) -> Outcome {
    todo!()
}
/// One outcome of the outcomes of several Jobs and actions, in the order in which they ended.
pub fn aggregate(outcomes: &[Outcome]) -> Outcome {
    todo!()
}
