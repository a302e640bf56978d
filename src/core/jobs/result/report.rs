//! A report in a termination message.

use serde_json::Value;

use super::{MESSAGE_MAX, Verdict};
use crate::{
    api::common::Object,
    core::{definitions::nearest::hint, jobs::brief},
};

const FIELDS: [&str; 4] = ["result", "reason", "message", "data"];
const RESULTS: [&str; 3] = ["pass", "warning", "fail"];
/// The longest reason: it stands in a status and in an event.
const REASON_MAX: usize = 64;

/// What a Job says of itself.
#[derive(Debug, Default)]
pub(super) struct Report {
    pub(super) verdict: Verdict,
    pub(super) reason: String,
    pub(super) message: String,
    pub(super) data: Object,
}

/// Why a report's result is not known.
pub(super) struct Unreadable {
    /// In a word.
    pub(super) reason: &'static str,
    /// One line for people.
    pub(super) problem: String,
}

impl Unreadable {
    fn bad(problem: impl Into<String>) -> Self {
        Self {
            reason: "BadReport",
            problem: problem.into(),
        }
    }
}

impl Report {
    /// A report, if the message is one. Text that begins like an object was meant to be one: a kubelet also cuts below
    /// 4096 bytes, when a pod has many containers.
    pub(super) fn read(message: &str) -> Result<Option<Self>, Unreadable> {
        let text = message.trim();
        match serde_json::from_str(text) {
            Ok(Value::Object(fields)) => Self::from_fields(fields),
            Ok(_) => Ok(None),
            Err(_) if message.len() == MESSAGE_MAX => Err(Unreadable {
                reason: "ReportCut",
                problem: format!(
                    "the termination message has {MESSAGE_MAX} bytes, so it was cut and its result is not known: write a shorter one"
                ),
            }),
            Err(error) if text.starts_with('{') => Err(Unreadable::bad(format!(
                "the termination message begins like a JSON object but is none ({error}), so its result is not known"
            ))),
            Err(_) => Ok(None),
        }
    }

    fn from_fields(fields: Object) -> Result<Option<Self>, Unreadable> {
        let known = |key: &String| key != "reason" && FIELDS.contains(&key.as_str());
        // An object without our fields, or a log line that just has a message, is text.
        let is_report =
            fields.contains_key("result") || fields.contains_key("data") || fields.keys().all(known);
        if !is_report {
            return Ok(None);
        }
        let mut report = Self::default();
        for (key, value) in fields {
            match (key.as_str(), value) {
                ("result", Value::String(result)) => report.verdict = verdict(&result)?,
                ("result", other) => return Err(unknown_result(&other.to_string())),
                ("reason", Value::String(reason)) if is_word(&reason) => report.reason = reason,
                ("reason", Value::Null) => {}
                ("reason", other) => {
                    let other = brief(&other.to_string(), 50);
                    return Err(Unreadable::bad(format!(
                        "reason in the termination message must be one word such as NoActionLeft, not {other}"
                    )));
                }
                ("message", Value::String(message)) => report.message = message,
                ("message" | "data", Value::Null) => {}
                ("message", other) => report.message = other.to_string(),
                ("data", Value::Object(data)) => report.data = data,
                ("data", other) => {
                    let other = brief(&other.to_string(), 50);
                    return Err(Unreadable::bad(format!(
                        "data in the termination message must be an object, not {other}"
                    )));
                }
                (other, _) => {
                    let hint = hint(other, FIELDS);
                    return Err(Unreadable::bad(format!(
                        "the termination message has an unknown field {other:?}{hint}"
                    )));
                }
            }
        }
        Ok(Some(report))
    }
}

/// Letters and digits, a letter first.
fn is_word(text: &str) -> bool {
    text.len() <= REASON_MAX
        && text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.bytes().all(|b| b.is_ascii_alphanumeric())
}

fn verdict(result: &str) -> Result<Verdict, Unreadable> {
    [Verdict::Pass, Verdict::Warning, Verdict::Fail]
        .into_iter()
        .find(|verdict| verdict.as_str() == result)
        .ok_or_else(|| unknown_result(&format!("{result:?}")))
}

fn unknown_result(result: &str) -> Unreadable {
    Unreadable::bad(format!(
        "the termination message says result {}, use {}",
        brief(result, 50),
        RESULTS.join(", ")
    ))
}
