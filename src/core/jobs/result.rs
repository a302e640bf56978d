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
///
/// A message that is a JSON object may say `result`, `message` and `data`; any other message is text. A non-zero exit
/// code is a failure whatever the message says. A message of exactly [`MESSAGE_MAX`] bytes that does not parse was cut:
/// what it would have said is not known, so it is never a silent pass.
pub fn read(exit_code: i32, message: &str) -> Outcome {
    let said = serde_json::from_str::<Value>(message)
        .ok()
        .and_then(|v| v.as_object().cloned());
    let mut outcome = match said {
        Some(said) => read_object(&said),
        None if exit_code == 0 && message.len() == MESSAGE_MAX => Outcome::errored(
            "MessageCut",
            format!(
                "the termination message has {MESSAGE_MAX} bytes and is no JSON: it was cut; write less, or a reference"
            ),
        ),
        None => Outcome {
            message: message.trim().to_owned(),
            ..Outcome::default()
        },
    };
    outcome.exit_code = Some(exit_code);
    if exit_code != 0 {
        outcome.verdict = Verdict::Fail;
        if outcome.reason.is_empty() {
            outcome.reason = "ExitCode".to_owned();
        }
    }
    outcome
}

fn read_object(said: &Object) -> Outcome {
    let verdict = match said.get("result") {
        None | Some(Value::Null) => Verdict::Pass,
        Some(Value::String(word)) => match word.as_str() {
            "pass" => Verdict::Pass,
            "warning" => Verdict::Warning,
            "fail" => Verdict::Fail,
            other => {
                return Outcome::errored(
                    "UnknownResult",
                    format!("the termination message says result {other:?}; write pass, warning or fail"),
                );
            }
        },
        Some(other) => {
            return Outcome::errored(
                "UnknownResult",
                format!(
                    "the termination message says result {other}; write \"pass\", \"warning\" or \"fail\""
                ),
            );
        }
    };
    let data = match said.get("data") {
        None | Some(Value::Null) => Object::new(),
        Some(Value::Object(data)) => data.clone(),
        Some(_) => {
            return Outcome::errored(
                "InvalidData",
                "the termination message's data is not an object; write {\"name\": value}",
            );
        }
    };
    let message = said
        .get("message")
        .map(|m| m.as_str().map_or_else(|| m.to_string(), str::to_owned));
    let reason = if verdict == Verdict::Fail { "Fail" } else { "" };
    Outcome {
        verdict,
        message: message.unwrap_or_default(),
        data,
        reason: reason.to_owned(),
        ..Outcome::default()
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::nothing_said(0, "", "pass", false)]
    #[case::text(0, "done", "pass", false)]
    #[case::warning(0, r#"{"result":"warning","message":"slow"}"#, "warning", false)]
    #[case::fail(0, r#"{"result":"fail"}"#, "fail", false)]
    #[case::unknown_result(0, r#"{"result":"great"}"#, "fail", true)]
    #[case::result_of_another_type(0, r#"{"result":1}"#, "fail", true)]
    #[case::data_that_is_no_object(0, r#"{"data":[1]}"#, "fail", true)]
    #[case::exit_code_wins(2, r#"{"result":"pass"}"#, "fail", false)]
    #[case::exit_code(1, "no space left", "fail", false)]
    fn ends(#[case] exit: i32, #[case] message: &str, #[case] verdict: &str, #[case] errored: bool) {
        let outcome = read(exit, message);
        assert_eq!((outcome.verdict.as_str(), outcome.errored), (verdict, errored));
        assert_eq!(outcome.exit_code, Some(exit));
    }

    #[test]
    fn data_and_message_are_taken() {
        let outcome = read(0, r#"{"message":"scaled","data":{"replicas":3}}"#);
        assert_eq!(outcome.message, "scaled");
        assert_eq!(outcome.data["replicas"], 3);
    }

    #[test]
    fn a_cut_message_is_never_a_silent_pass() {
        let cut = format!("{{\"data\":{{\"text\":\"{}", "x".repeat(MESSAGE_MAX));
        let outcome = read(0, &cut[..MESSAGE_MAX]);
        assert!(outcome.errored);
        assert_eq!(outcome.reason, "MessageCut");
        assert_eq!(
            read(1, &cut[..MESSAGE_MAX]).reason,
            "ExitCode",
            "the tail of a log is text"
        );
    }
}
