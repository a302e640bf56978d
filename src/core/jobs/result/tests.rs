//! What Jobs say, and what is made of it.

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
