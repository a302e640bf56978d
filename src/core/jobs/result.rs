//! What a Job's end means: from an exit code and a termination message to a result.

mod report;
#[cfg(test)]
mod tests;

use serde_json::{Value, json};

use super::{brief, tail};
use crate::{
    api::{common::Object, shipyard::Task},
    core::payload,
};
use report::{Report, Unreadable};

/// The longest termination message that a kubelet keeps, in bytes.
pub const MESSAGE_MAX: usize = 4096;
/// The most bytes of a message that are kept: it is shown in a status and an event.
const SHOWN_MAX: usize = 500;
/// The reason of a failure that nothing but the exit code speaks of.
pub const EXIT_CODE: &str = "ExitCode";

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
    /// Whether it could not do its work, or said so with an exit code: v1's status `errored`. The verdict is `fail` then.
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

/// Reads the end of a container. Its termination message may be a report,
/// `{"result":"pass|warning|fail","reason":"Word","message":"...","data":{...}}` (each field may be missing); otherwise it
/// is text for people. A report that can't be read is never a pass; an exit code other than 0 is a failure whatever the report says.
pub fn read(exit_code: i32, message: &str) -> Outcome {
    let report = Report::read(message);
    let mut outcome = if exit_code == 0 {
        succeeded(message, report)
    } else {
        failed(exit_code, message, report)
    };
    outcome.exit_code = Some(exit_code);
    outcome
}

fn succeeded(message: &str, report: Result<Option<Report>, Unreadable>) -> Outcome {
    match report {
        Ok(Some(report)) => Outcome {
            verdict: report.verdict,
            reason: match report.verdict {
                Verdict::Fail if report.reason.is_empty() => "ReportedFail".to_owned(),
                _ => report.reason,
            },
            message: brief(&report.message, SHOWN_MAX),
            data: report.data,
            ..Outcome::default()
        },
        Ok(None) => Outcome {
            message: brief(message, SHOWN_MAX),
            ..Outcome::default()
        },
        Err(Unreadable { reason, problem }) => Outcome::errored(reason, problem),
    }
}

/// The message of a failed container may be the end of its log, so nothing is wrong with one that is no report.
fn failed(exit_code: i32, message: &str, report: Result<Option<Report>, Unreadable>) -> Outcome {
    let (said, reason, data) = match report {
        Ok(Some(report)) => (brief(&report.message, SHOWN_MAX), report.reason, report.data),
        _ => (tail(message, SHOWN_MAX), String::new(), Object::new()),
    };
    let message = match said.as_str() {
        "" => format!("exited with {exit_code}"),
        said => format!("exited with {exit_code}: {said}"),
    };
    Outcome {
        data,
        ..Outcome::errored(if reason.is_empty() { EXIT_CODE } else { &reason }, message)
    }
}

/// The termination message that [`read`] understands as this outcome; it goes with exit code 0, or 1 when the outcome is
/// errored. An error when it would be cut.
pub fn report(outcome: &Outcome) -> Result<String, String> {
    let mut fields = Object::from_iter([("result".to_owned(), json!(outcome.verdict.as_str()))]);
    if !outcome.reason.is_empty() {
        fields.insert("reason".to_owned(), json!(outcome.reason));
    }
    fields.insert("message".to_owned(), json!(brief(&outcome.message, SHOWN_MAX)));
    if !outcome.data.is_empty() {
        fields.insert("data".to_owned(), Value::Object(outcome.data.clone()));
    }
    let text = Value::Object(fields).to_string();
    if text.len() < MESSAGE_MAX {
        return Ok(text);
    }
    Err(format!(
        "what has to be reported has {} bytes, and a termination message holds {MESSAGE_MAX}: let it be shorter",
        text.len()
    ))
}

/// One outcome of several, in the order in which they ended: the worst result, errored if one is, the data of all merged.
/// The reason and the exit code are those of the first of the worst, the message is of all that are as bad.
pub fn aggregate(outcomes: &[Outcome]) -> Outcome {
    let badness = |outcome: &Outcome| (outcome.errored, outcome.verdict);
    let Some(worst) = outcomes.iter().map(badness).max() else {
        return Outcome::default();
    };
    let as_bad = || outcomes.iter().filter(|outcome| badness(outcome) == worst);
    let mut data = Object::new();
    for outcome in outcomes {
        payload::merge(&mut data, &outcome.data);
    }
    let messages: Vec<&str> = as_bad()
        .map(|outcome| outcome.message.as_str())
        .filter(|m| !m.is_empty())
        .collect();
    let first = as_bad().next();
    Outcome {
        verdict: worst.1,
        errored: worst.0,
        reason: first.map(|outcome| outcome.reason.clone()).unwrap_or_default(),
        message: brief(&messages.join("; "), SHOWN_MAX),
        data,
        exit_code: first.and_then(|outcome| outcome.exit_code),
    }
}

/// What is added for a task that tests: when it ran, so that an evaluation that says nothing else looks at just that time.
/// v1's job executor did this for tasks with the name `test` alone. Nothing for other tasks.
pub fn test_times(task: &Task, start: jiff::Timestamp, end: jiff::Timestamp) -> Object {
    if !is_test(task) {
        return Object::new();
    }
    let times = json!({ "start": start.to_string(), "end": end.to_string() });
    Object::from_iter([("test".to_owned(), times)])
}

/// Whether a task tests the service: its name is `test` or ends in `-test` or `_test`, or it has a `teststrategy`, as v1's
/// shipyards say.
pub fn is_test(task: &Task) -> bool {
    let named = task.name.strip_suffix("test");
    named.is_some_and(|rest| rest.is_empty() || rest.ends_with(['-', '_']))
        || task
            .properties
            .as_ref()
            .is_some_and(|p| p.contains_key("teststrategy"))
}
