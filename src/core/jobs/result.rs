//! What a Job's end means: from an exit code and a termination message to a result.

use serde_json::{Value, json};

use super::{brief, tail};
use crate::{
    api::{common::Object, shipyard::Task},
    core::{definitions::nearest::hint, payload},
};

/// The longest termination message that a kubelet keeps, in bytes.
pub const MESSAGE_MAX: usize = 4096;
/// The most bytes of a message that are kept: it is shown in a status and an event.
const SHOWN_MAX: usize = 500;
const FIELDS: [&str; 4] = ["result", "reason", "message", "data"];
/// The longest reason: it stands in a status and in an event.
const REASON_MAX: usize = 64;
/// The reason of a failure that nothing but the exit code speaks of.
pub const EXIT_CODE: &str = "ExitCode";
const RESULTS: [&str; 3] = ["pass", "warning", "fail"];

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

#[derive(Debug, Default)]
struct Report {
    verdict: Verdict,
    reason: String,
    message: String,
    data: Object,
}

struct Unreadable {
    reason: &'static str,
    problem: String,
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
    fn read(message: &str) -> Result<Option<Self>, Unreadable> {
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::nothing(0, "", Verdict::Pass, false, "")]
    #[case::text(0, "scaled\n to 2\n", Verdict::Pass, false, "scaled to 2")]
    #[case::warning(
        0,
        r#"{"result":"warning","message":"slow"}"#,
        Verdict::Warning,
        false,
        "slow"
    )]
    #[case::reported_fail(
        0,
        r#" {"result":"fail","message":"3 errors"} "#,
        Verdict::Fail,
        false,
        "3 errors"
    )]
    #[case::only_data(0, r#"{"data":{"uri":"x"}}"#, Verdict::Pass, false, "")]
    #[case::foreign_object(
        0,
        r#"{"level":"info","message":"done"}"#,
        Verdict::Pass,
        false,
        r#"{"level":"info","message":"done"}"#
    )]
    #[case::number(0, "42", Verdict::Pass, false, "42")]
    #[case::unknown_result(
        0,
        r#"{"result":"ok"}"#,
        Verdict::Fail,
        true,
        r#"the termination message says result "ok", use pass, warning, fail"#
    )]
    #[case::result_no_string(
        0,
        r#"{"result":true}"#,
        Verdict::Fail,
        true,
        "the termination message says result true, use pass, warning, fail"
    )]
    #[case::data_no_object(
        0,
        r#"{"result":"pass","data":[1]}"#,
        Verdict::Fail,
        true,
        "data in the termination message must be an object, not [1]"
    )]
    #[case::unknown_field(
        0,
        r#"{"result":"pass","mesage":"x"}"#,
        Verdict::Fail,
        true,
        r#"the termination message has an unknown field "mesage"; did you mean "message"?"#
    )]
    #[case::fails(2, "", Verdict::Fail, true, "exited with 2")]
    #[case::fails_with_text(
        1,
        "Error: no release\n",
        Verdict::Fail,
        true,
        "exited with 1: Error: no release"
    )]
    #[case::exit_code_wins(
        1,
        r#"{"result":"pass","message":"all good"}"#,
        Verdict::Fail,
        true,
        "exited with 1: all good"
    )]
    #[case::log_line(
        1,
        r#"{"level":"error","msg":"no"}"#,
        Verdict::Fail,
        true,
        r#"exited with 1: {"level":"error","msg":"no"}"#
    )]
    fn an_end_means(
        #[case] exit_code: i32,
        #[case] text: &str,
        #[case] verdict: Verdict,
        #[case] errored: bool,
        #[case] message: &str,
    ) {
        let outcome = read(exit_code, text);
        assert_eq!(
            (outcome.verdict, outcome.errored, outcome.message.as_str()),
            (verdict, errored, message)
        );
        assert_eq!(outcome.exit_code, Some(exit_code));
        assert_eq!(outcome.reason.is_empty(), verdict != Verdict::Fail);
    }

    #[test]
    fn data_is_kept_also_of_a_failure() {
        let report = r#"{"data":{"je-test":{"rate":1}}}"#;
        for exit_code in [0, 1] {
            assert_eq!(read(exit_code, report).data["je-test"], json!({"rate": 1}));
        }
    }

    #[test]
    fn a_report_that_was_cut_is_never_a_pass() {
        let whole = format!(r#"{{"result":"fail","message":"{}"}}"#, "x".repeat(5000));
        let cut = read(0, &whole[..MESSAGE_MAX]);
        assert_eq!(
            (cut.verdict, cut.errored, cut.reason.as_str()),
            (Verdict::Fail, true, "ReportCut")
        );
        assert_eq!(read(0, &"x".repeat(MESSAGE_MAX)).reason, "ReportCut");
        assert_eq!(read(0, &whole[..1024]).reason, "BadReport");
        // On failure the message is the end of the log, and being long says nothing.
        assert_eq!(read(3, &"x".repeat(MESSAGE_MAX)).reason, "ExitCode");
    }

    #[test]
    fn a_report_of_exactly_the_limit_is_read() {
        let frame = r#"{"result":"warning","message":""}"#.len();
        let whole = format!(
            r#"{{"result":"warning","message":"{}"}}"#,
            "x".repeat(MESSAGE_MAX - frame)
        );
        assert_eq!(whole.len(), MESSAGE_MAX);
        assert_eq!(read(0, &whole).verdict, Verdict::Warning);
    }

    #[test]
    fn the_end_of_a_long_log_is_shown() {
        let message = read(1, &format!("{} Error: the reason", "noise ".repeat(400))).message;
        assert!(
            message.starts_with("exited with 1: ...") && message.ends_with("Error: the reason"),
            "{message}"
        );
        assert!(message.len() < 520);
    }

    #[rstest]
    #[case(&["pass", "pass"], Verdict::Pass)]
    #[case(&["warning", "pass"], Verdict::Warning)]
    #[case(&["pass", "fail", "warning"], Verdict::Fail)]
    #[case(&[], Verdict::Pass)]
    fn the_worst_result_counts(#[case] results: &[&str], #[case] worst: Verdict) {
        let outcomes: Vec<_> = results
            .iter()
            .map(|r| read(0, &format!(r#"{{"result":"{r}"}}"#)))
            .collect();
        assert_eq!(aggregate(&outcomes).verdict, worst);
    }

    #[test]
    fn an_errored_one_makes_the_whole_errored() {
        let outcomes = [
            read(0, r#"{"result":"fail","message":"bad","data":{"a":1,"l":[1]}}"#),
            read(7, "crashed"),
            read(0, r#"{"data":{"a":2,"b":3,"l":[2]}}"#),
        ];
        let whole = aggregate(&outcomes);
        assert_eq!(
            (whole.verdict, whole.status(), whole.exit_code),
            (Verdict::Fail, "errored", Some(7))
        );
        assert_eq!(
            (whole.reason.as_str(), whole.message.as_str()),
            ("ExitCode", "exited with 7: crashed")
        );
        assert_eq!(Value::Object(whole.data), json!({"a": 2, "b": 3, "l": [2]}));
    }

    #[rstest]
    #[case(0, r#"{"result":"fail","reason":"NoActionLeft"}"#, "NoActionLeft", false)]
    #[case(0, r#"{"result":"warning","reason":"Unverified"}"#, "Unverified", false)]
    #[case(
        1,
        r#"{"reason":"Inconclusive","result":"fail","message":"no answer"}"#,
        "Inconclusive",
        true
    )]
    #[case(1, r#"{"reason":"not a word","result":"fail"}"#, "ExitCode", true)]
    #[case(0, r#"{"reason":"not a word","result":"pass"}"#, "BadReport", true)]
    #[case::a_log_line_is_text(0, r#"{"reason":"not a word","message":"x"}"#, "", false)]
    fn a_job_may_say_why(
        #[case] exit_code: i32,
        #[case] text: &str,
        #[case] reason: &str,
        #[case] errored: bool,
    ) {
        let outcome = read(exit_code, text);
        assert_eq!((outcome.reason.as_str(), outcome.errored), (reason, errored));
    }

    #[rstest]
    #[case(Outcome { data: Object::from_iter([("action".to_owned(), json!({"value": 2}))]), ..Outcome::default() })]
    #[case(Outcome { verdict: Verdict::Fail, reason: "NoActionLeft".into(), message: "all 2 were tried".into(), ..Outcome::default() })]
    fn what_is_reported_is_what_is_read(#[case] outcome: Outcome) {
        let mut read = read(0, &report(&outcome).unwrap());
        read.exit_code = None;
        assert_eq!(read, outcome);
    }

    #[test]
    fn a_report_that_would_be_cut_is_not_made() {
        let data = Object::from_iter([("action".to_owned(), json!("x".repeat(MESSAGE_MAX)))]);
        let outcome = Outcome {
            data,
            ..Outcome::default()
        };
        assert!(report(&outcome).unwrap_err().contains("bytes"));
    }

    #[test]
    fn a_test_says_when_it_ran() {
        let start = jiff::Timestamp::UNIX_EPOCH;
        let test = Task {
            name: "je-test".to_owned(),
            ..Task::default()
        };
        assert_eq!(
            test_times(&test, start, start)["test"],
            json!({"start": "1970-01-01T00:00:00Z", "end": "1970-01-01T00:00:00Z"})
        );
        assert_eq!(test_times(&Task::default(), start, start), Object::new());
    }

    #[rstest]
    #[case("test", false, true)]
    #[case("je-test", false, true)]
    #[case("load_test", false, true)]
    #[case("check", true, true)]
    #[case("latest", false, false)]
    #[case("tests", false, false)]
    #[case("check", false, false)]
    fn which_task_is_a_test(#[case] name: &str, #[case] strategy: bool, #[case] expected: bool) {
        let properties = Object::from_iter([("teststrategy".to_owned(), json!("performance"))]);
        let task = Task {
            name: name.to_owned(),
            properties: strategy.then_some(properties),
            ..Task::default()
        };
        assert_eq!(is_test(&task), expected);
    }

    proptest! {
        #[test]
        fn no_message_makes_it_panic_and_no_failure_passes(exit_code in any::<i32>(), text in r#"[{}:",a-z\PC\n ]{0,60}"#) {
            let outcome = read(exit_code, &text);
            prop_assert!(exit_code == 0 || outcome.verdict == Verdict::Fail);
            prop_assert!(!outcome.errored || outcome.verdict == Verdict::Fail);
        }
    }
}
