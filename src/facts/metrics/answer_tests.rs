use rstest::rstest;
use serde_json::json;

use super::*;
use crate::api::{Duration, sli::TimeReducer};

fn at(second: i64) -> jiff::Timestamp {
    jiff::Timestamp::from_second(second).unwrap()
}

fn instant() -> Question {
    Question::instant("q", at(60))
}

fn over(reduce: TimeReducer) -> Question {
    Question {
        start: at(0),
        range: Some(RangeQuery {
            reduce,
            step: Some(Duration::from_secs(30)),
        }),
        ..instant()
    }
}

fn understood(status: u16, body: &[u8]) -> Result<Sample, QueryError> {
    understand(status, body, &instant(), PartialResponse::Refuse).map(|answer| answer.sample)
}

/// What an answer with this data comes to.
fn answered(data: &Value, question: &Question) -> Sample {
    let body = json!({"status": "success", "data": data}).to_string();
    understand(200, body.as_bytes(), question, PartialResponse::Refuse)
        .unwrap()
        .sample
}

fn vector(series: &[(&str, &str)]) -> String {
    let result: Vec<_> = series
        .iter()
        .map(|(instance, value)| json!({"metric": {"instance": instance, "a": "b"}, "value": [1.5, value]}))
        .collect();
    json!({"status": "success", "data": {"resultType": "vector", "result": result}}).to_string()
}

#[rstest]
#[case(&[("x", "0.25")], Sample::Value(0.25))]
#[case(&[("x", "-1e3")], Sample::Value(-1000.0))]
#[case(&[("x", "NaN")], Sample::Missing("the query gives NaN, not a finite number".to_owned()))]
#[case(&[("x", "+Inf")], Sample::Missing("the query gives inf, not a finite number".to_owned()))]
#[case(&[], Sample::Missing("the query gives no values".to_owned()))]
#[case(&[("x", "1"), ("y", "2")], Sample::Missing(
    r#"the query gives 2 series where one is needed: {a="b", instance="x"}, {a="b", instance="y"}; aggregate them in the query, or set the indicator's reduce"#.to_owned()
))]
fn vectors(#[case] series: &[(&str, &str)], #[case] expected: Sample) {
    assert_eq!(understood(200, vector(series).as_bytes()), Ok(expected));
}

#[test]
fn of_many_series_the_first_are_shown() {
    let names: Vec<String> = (0..100).map(|i| format!("i{i}")).collect();
    let series: Vec<(&str, &str)> = names.iter().map(|n| (n.as_str(), "1")).collect();
    let Ok(Sample::Missing(why)) = understood(200, vector(&series).as_bytes()) else {
        panic!()
    };
    assert!(
        why.contains("100 series") && why.contains("i2") && !why.contains("i3"),
        "{why}"
    );
}

#[rstest]
#[case(json!({"resultType": "scalar", "result": [1, "7"]}), Sample::Value(7.0))]
#[case(json!({"resultType": "string", "result": [1, "7"]}), Sample::Missing("the query gives a text, not a number".to_owned()))]
#[case(json!({"resultType": "matrix", "result": []}), Sample::Missing(
    "the query gives a range of values; make one of them, for example with avg_over_time, or set the indicator's range".to_owned()))]
#[case(json!({"resultType": "vector", "result": [{"metric": {}, "histogram": [1, {}]}]}), Sample::Missing(
    "the query gives a native histogram; make a number of it, for example with histogram_quantile".to_owned()))]
fn other_data(#[case] data: Value, #[case] expected: Sample) {
    let body = json!({"status": "success", "data": data}).to_string();
    assert_eq!(understood(200, body.as_bytes()), Ok(expected));
}

#[rstest]
#[case(400, "bad_data", "bad_data", true)]
#[case(422, "execution", "execution: the reason", false)]
#[case(503, "timeout", "timeout: the reason", false)]
#[case(503, "unavailable", "HTTP 503", false)]
#[case(429, "too_many_requests", "HTTP 429", false)]
#[case(401, "", "credentials", false)]
#[case(403, "", "credentials", false)]
#[case(200, "internal", "internal: the reason", false)]
fn errors(#[case] status: u16, #[case] kind: &str, #[case] shown: &str, #[case] bad_query: bool) {
    let body = json!({"status": "error", "errorType": kind, "error": "the reason"}).to_string();
    match understood(status, body.as_bytes()) {
        Err(QueryError::BadQuery(why)) => assert!(bad_query && why == "the reason", "{why}"),
        Err(QueryError::Unavailable(why)) => assert!(!bad_query && why.contains(shown), "{why}"),
        Ok(sample) => panic!("{sample:?}"),
    }
}

#[rstest]
#[case(200, "<html>\n  hello", r#"not that of Prometheus' HTTP API: "<html> hello""#)]
#[case(200, "", "an empty answer")]
#[case(200, "{}", "not that of Prometheus")]
#[case(404, "404 page not found", "HTTP 404: \"404 page not found\"")]
#[case(400, "Client sent an HTTP request to an HTTPS server.", "HTTP 400")]
#[case(502, "Bad Gateway", "HTTP 502")]
#[case(
    200,
    r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1,"x"]}]}}"#,
    "can't be read"
)]
#[case(200, r#"{"status":"success"}"#, "can't be read")]
fn garbage_is_no_answer(#[case] status: u16, #[case] body: &str, #[case] shown: &str) {
    let Err(QueryError::Unavailable(why)) = understood(status, body.as_bytes()) else {
        panic!()
    };
    assert!(why.contains(shown), "{why}");
}

#[rstest]
#[case(SeriesReducer::Sum, 7.0)]
#[case(SeriesReducer::Avg, 3.5)]
#[case(SeriesReducer::Max, 5.0)]
#[case(SeriesReducer::Min, 2.0)]
fn several_series_become_one_where_the_indicator_says_how(#[case] reduce: SeriesReducer, #[case] value: f64) {
    let series = |name: &str, value: &str| json!({"metric": {"instance": name}, "value": [1.5, value]});
    let data = json!({"resultType": "vector", "result": [series("a", "2"), series("b", "5")]});
    let question = Question {
        reduce: Some(reduce),
        ..instant()
    };
    assert_eq!(answered(&data, &question), Sample::Value(value));
    let none = json!({"resultType": "vector", "result": []});
    assert_eq!(answered(&none, &question), nothing());
}

fn matrix(series: &[(&str, &[(u32, &str)])]) -> Value {
    let result: Vec<_> = series
        .iter()
        .map(|(name, values)| json!({"metric": {"instance": name}, "values": values}))
        .collect();
    json!({"resultType": "matrix", "result": result})
}

#[rstest]
#[case(TimeReducer::Avg, 3.0)]
#[case(TimeReducer::Max, 6.0)]
#[case(TimeReducer::Min, 1.0)]
#[case(TimeReducer::Sum, 9.0)]
#[case(TimeReducer::Last, 2.0)]
fn the_values_of_a_range_become_one(#[case] reduce: TimeReducer, #[case] value: f64) {
    let data = matrix(&[("a", &[(0, "1"), (30, "6"), (60, "2")])]);
    assert_eq!(answered(&data, &over(reduce)), Sample::Value(value));
}

/// At each time first: the highest of the sums, which is not the sum of the highest.
#[test]
fn series_are_reduced_before_times() {
    let data = matrix(&[
        ("a", &[(0, "1"), (30, "6"), (60, "2")]),
        ("b", &[(30, "1"), (60, "6")]),
    ]);
    let mut question = over(TimeReducer::Max);
    let Sample::Missing(why) = answered(&data, &question) else {
        panic!()
    };
    assert!(
        why.contains(r#"2 series where one is needed: {instance="a"}, {instance="b"}; "#),
        "{why}"
    );
    question.reduce = Some(SeriesReducer::Sum);
    assert_eq!(answered(&data, &question), Sample::Value(8.0));
}

#[rstest]
#[case(json!([]), "no values")]
#[case(json!([{"metric": {}, "values": [[0, "1"], [30, "NaN"]]}]), "gives NaN")]
#[case(json!([{"metric": {}, "histograms": [[0, {}]]}]), "native histogram")]
fn a_range_without_one_finite_number(#[case] result: Value, #[case] says: &str) {
    let data = json!({"resultType": "matrix", "result": result});
    let Sample::Missing(why) = answered(&data, &over(TimeReducer::Avg)) else {
        panic!()
    };
    assert!(why.contains(says), "{why}");
}

fn remarked(more: Value, partial: PartialResponse) -> Result<Answer, QueryError> {
    let mut body = json!({"status": "success", "data": {"resultType": "scalar", "result": [1, "7"]}});
    body.as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    understand(200, body.to_string().as_bytes(), &instant(), partial)
}

#[rstest]
#[case::thanos_store(
    "receive series from Addr: 10.89.16.155:10901 LabelSets: {} Mint: 1 Maxt: 2: rpc error: code = Aborted"
)]
#[case::thanos_slow_store(
    "failed to receive any data in 5s from Addr: 10.0.0.7:10901: context deadline exceeded"
)]
#[case::thanos_no_store("No StoreAPIs matched for this query")]
#[case::cortex("Query result may contain partial data.")]
#[case::remote_read(
    "remote_read: Post \"http://old:9090/api/v1/read\": dial tcp 10.0.0.1:9090: connect: connection refused"
)]
fn a_partial_answer_is_none_unless_it_is_accepted(#[case] warning: &str) {
    let more = json!({"warnings": [warning]});
    let Err(QueryError::Unavailable(why)) = remarked(more.clone(), PartialResponse::Refuse) else {
        panic!()
    };
    assert!(
        why.starts_with("the answer is partial: ")
            && why.contains(&warning[..20])
            && why.contains("partialResponse: Accept"),
        "{why}"
    );
    let answer = remarked(more, PartialResponse::Accept).unwrap();
    assert_eq!(
        (answer.sample, answer.warnings),
        (Sample::Value(7.0), vec![warning.to_owned()])
    );
}

#[rstest]
#[case("PromQL warning: quantile value should be between 0 and 1, got 90 (1:7)")]
#[case("PromQL warning: encountered a mix of histograms and floats for metric name \"errors_failed\"")]
#[case("results truncated due to limit")]
fn other_warnings_are_only_kept(#[case] warning: &str) {
    let answer = remarked(json!({"warnings": [warning]}), PartialResponse::Refuse).unwrap();
    assert_eq!(answer.warnings, [warning]);
}

#[test]
fn infos_are_kept_and_never_partial() {
    let more = json!({"warnings": null, "infos": ["PromQL info: metric might not be a counter: \"store_errors\"", "store"]});
    let answer = remarked(more, PartialResponse::Refuse).unwrap();
    assert_eq!(answer.warnings.len(), 2);
}

#[test]
fn victoria_metrics_says_is_partial() {
    assert!(remarked(json!({"isPartial": true}), PartialResponse::Refuse).is_err());
    let answer = remarked(json!({"isPartial": true}), PartialResponse::Accept).unwrap();
    assert_eq!(answer.warnings, ["the server says isPartial"]);
    assert!(remarked(json!({"isPartial": false}), PartialResponse::Refuse).is_ok());
}

#[test]
fn of_many_and_long_warnings_some_are_kept() {
    let mut warnings: Vec<String> = (0..9).map(|i| format!("{i}{}", "ä".repeat(500))).collect();
    warnings.insert(0, warnings[0].clone());
    let kept = remarked(json!({"warnings": warnings}), PartialResponse::Refuse)
        .unwrap()
        .warnings;
    let starts: Vec<_> = kept.iter().map(|w| (&w[..1], w.chars().count())).collect();
    assert_eq!(
        starts,
        [("0", 256), ("1", 256), ("2", 256), ("3", 256), ("4", 256)]
    );
}
