use proptest::prelude::*;
use rstest::rstest;
use serde_json::json;

use super::*;
use crate::core::evaluation::testing::at;

const NOW: &str = "2026-01-31T12:00:00Z";

fn object(value: Value) -> Object {
    match value {
        Value::Object(object) => object,
        other => panic!("{other} is not an object"),
    }
}

fn planned(properties: Value, payload: Value, changed_at: Option<&str>) -> Result<WindowPlan, Invalid> {
    plan(&object(properties), &object(payload), changed_at.map(at), at(NOW))
}

/// Start, end, and until when the task waits, as times of that day.
fn shown(plan: &WindowPlan) -> (String, String, Option<String>) {
    let time = |t: Timestamp| t.to_string()[11..].trim_end_matches('Z').to_owned();
    (
        time(plan.window.start.0),
        time(plan.window.end.0),
        plan.wait_until.map(time),
    )
}

#[rstest]
#[case::as_v1_start_and_end(json!({"start": "2026-01-31T10:00:00Z", "end": "2026-01-31T10:01:00Z"}), "10:00:00", "10:01:00")]
#[case::as_v1_evaluation_before_test(
    json!({"start": "2026-01-31T10:14:04Z", "end": "2026-01-31T10:15:05Z", "timeframe": ""}), "10:14:04", "10:15:05")]
#[case::as_v1_start_and_timeframe(json!({"start": "2026-01-31T10:00:00Z", "timeframe": "5m"}), "10:00:00", "10:05:00")]
#[case::as_v1_timeframe(json!({"timeframe": "10m"}), "11:50:00", "12:00:00")]
#[case::short_timeframe(json!({"timeframe": "30s"}), "11:59:30", "12:00:00")]
#[case::as_v1_test_only(json!({}), "09:04:05", "09:05:05")]
#[case::nulls_are_nothing(json!({"start": null, "end": "", "timeframe": null}), "09:04:05", "09:05:05")]
#[case::no_offset_is_utc(json!({"start": "2026-01-31T10:00:00", "end": "2026-01-31T10:01:00.000Z"}), "10:00:00", "10:01:00")]
#[case::offset(json!({"start": "2026-01-31T11:00:00+01:00", "timeframe": "5m"}), "10:00:00", "10:05:00")]
fn windows_that_are_over(#[case] properties: Value, #[case] start: &str, #[case] end: &str) {
    let payload = json!({"test": {"start": "2026-01-31T09:04:05Z", "end": "2026-01-31T09:05:05Z"}});
    let plan = planned(properties, payload, None).unwrap();
    assert_eq!(shown(&plan), (start.to_owned(), end.to_owned(), None));
}

#[rstest]
#[case::as_v1_nothing(json!({}), "properties.timeframe", "timeframe")]
#[case::as_v1_start_after_end(json!({"start": "2026-01-31T10:01:00Z", "end": "2026-01-31T10:00:00Z"}), "properties.end", "one minute")]
#[case::less_than_a_minute(json!({"start": "2026-01-31T10:00:00Z", "end": "2026-01-31T10:00:59Z"}), "properties.end", "one minute")]
#[case::as_v1_all_three(json!({"start": "2026-01-31T10:00:00Z", "end": "2026-01-31T10:05:00Z", "timeframe": "5m"}), "properties.timeframe", "remove")]
#[case::as_v1_start_only(json!({"start": "2026-01-31T10:00:00Z"}), "properties.start", "end or timeframe")]
#[case::as_v1_end_only(json!({"end": "2026-01-31T10:00:00Z"}), "properties.end", "add start")]
#[case::as_v1_end_and_timeframe(json!({"end": "2026-01-31T10:00:00Z", "timeframe": "5m"}), "properties.end", "start")]
#[case::as_v1_timeframe_xyz(json!({"timeframe": "xyz"}), "properties.timeframe", "such as 90s")]
#[case::as_v1_timeframe_xym(json!({"timeframe": "xym"}), "properties.timeframe", "such as 90s")]
#[case::timeframe_number(json!({"timeframe": 5}), "properties.timeframe", "in quotes")]
#[case::timeframe_zero(json!({"timeframe": "0s"}), "properties.timeframe", "5m")]
#[case::timeframe_negative(json!({"timeframe": "-5m"}), "properties.timeframe", "negative")]
#[case::timeframe_endless(json!({"timeframe": "999999h"}), "properties.timeframe", "longer")]
#[case::as_v1_start_abc(json!({"start": "abc", "timeframe": "5m"}), "properties.start", "point in time")]
#[case::start_without_time(json!({"start": "2026-01-31", "timeframe": "5m"}), "properties.start", "point in time")]
#[case::as_v1_end_abc(json!({"start": "2026-01-31T10:00:00Z", "end": "abc"}), "properties.end", "point in time")]
#[case::min_window(json!({"timeframe": "2m", "minWindow": "3m"}), "properties.minWindow", "longer")]
#[case::settle(json!({"timeframe": "2m", "settle": "soon"}), "properties.settle", "such as 90s")]
#[case::grace(json!({"timeframe": "2m", "grace": "11m"}), "properties.grace", "longer than 10m")]
fn mistakes(#[case] properties: Value, #[case] path: &str, #[case] remedy: &str) {
    let mistake = planned(properties, json!({}), None).unwrap_err();
    assert_eq!(mistake.path, path);
    assert!(mistake.message.contains(remedy), "{mistake}");
}

#[test]
fn a_test_that_ended_before_it_began_is_refused() {
    let payload = json!({"test": {"start": "2026-01-31T09:05:05Z", "end": "2026-01-31T09:04:05Z"}});
    assert_eq!(
        planned(json!({}), payload, None).unwrap_err().path,
        "payload.test.end"
    );
}

#[rstest]
#[case::long_ago(json!({"timeframe": "2m"}), "11:00:00", "11:58:00", "12:00:00", None)]
#[case::within_the_timeframe(json!({"timeframe": "2m"}), "11:58:30", "11:58:30", "12:00:00", None)]
#[case::just_now(json!({"timeframe": "2m"}), "12:00:00", "12:00:00", "12:01:00", Some("12:01:00"))]
#[case::half_a_minute_ago(json!({"timeframe": "2m"}), "11:59:30", "11:59:30", "12:00:30", Some("12:00:30"))]
#[case::short_timeframe(json!({"timeframe": "20s"}), "12:00:00", "12:00:00", "12:00:20", Some("12:00:20"))]
#[case::min_window(json!({"timeframe": "2m", "minWindow": "90s"}), "12:00:00", "12:00:00", "12:01:30", Some("12:01:30"))]
#[case::settle(json!({"timeframe": "2m", "settle": "30s"}), "12:00:00", "12:00:30", "12:01:30", Some("12:01:30"))]
#[case::settled_long_ago(json!({"timeframe": "2m", "settle": "30s"}), "11:58:00", "11:58:30", "12:00:00", None)]
fn the_window_begins_after_the_change(
    #[case] properties: Value,
    #[case] changed: &str,
    #[case] start: &str,
    #[case] end: &str,
    #[case] wait: Option<&str>,
) {
    let changed = format!("2026-01-31T{changed}Z");
    let plan = planned(properties, json!({}), Some(&changed)).unwrap();
    assert_eq!(
        shown(&plan),
        (start.to_owned(), end.to_owned(), wait.map(str::to_owned))
    );
}

#[test]
fn an_explicit_window_is_never_clipped_but_waited_for() {
    let properties = json!({"start": "2026-01-31T11:59:00Z", "timeframe": "5m", "grace": "5s"});
    let plan = planned(properties, json!({}), Some("2026-01-31T12:00:00Z")).unwrap();
    assert_eq!(
        shown(&plan),
        (
            "11:59:00".to_owned(),
            "12:04:00".to_owned(),
            Some("12:04:00".to_owned())
        )
    );
    assert_eq!(plan.grace, Some(Duration::from_secs(5)));
}

proptest! {
    #[test]
    fn a_recent_window_never_reaches_before_the_change(
        timeframe in 1..7200i64, min_window in prop::option::of(0..7200i64), settle in 0..600i64,
        changed in prop::option::of(-7200..0i64),
    ) {
        let mut properties = json!({"timeframe": format!("{timeframe}s"), "settle": format!("{settle}s")});
        if let Some(min_window) = min_window {
            properties["minWindow"] = json!(format!("{min_window}s"));
        }
        let now = at(NOW);
        let changed = changed.map(|s| now + SignedDuration::from_secs(s));
        let Ok(plan) = plan(&object(properties), &Object::new(), changed, now) else {
            prop_assert!(min_window.is_some_and(|m| m > timeframe));
            return Ok(());
        };
        let (start, end) = (plan.window.start.0, plan.window.end.0);
        let length = end.duration_since(start).as_secs();
        prop_assert!(changed.is_none_or(|c| start >= c + SignedDuration::from_secs(settle)));
        prop_assert!(length <= timeframe);
        prop_assert!(length >= min_window.unwrap_or(timeframe.min(60)));
        prop_assert_eq!(plan.wait_until.unwrap_or(now), end);
        prop_assert!(end >= now);
    }
}
