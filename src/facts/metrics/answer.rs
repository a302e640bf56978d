//! What a server with Prometheus' HTTP API answered.

use std::collections::{BTreeMap, HashMap};

use prometheus_http_query::response::Data;
use serde::Deserialize;
use serde_json::Value;

use super::{QueryError, Sample};

/// So many series are shown of several.
const SHOWN: usize = 3;
/// What a server says is cut here, in characters.
const TEXT_MAX: usize = 300;

#[derive(Deserialize)]
struct Envelope {
    status: String,
    #[serde(default)]
    data: Value,
    #[serde(default, rename = "errorType")]
    error_type: String,
    #[serde(default)]
    error: String,
    #[serde(default)]
    warnings: Vec<String>,
}

/// What the answer comes to.
pub(super) fn understand(status: u16, body: &[u8]) -> Result<Sample, QueryError> {
    let envelope = serde_json::from_slice::<Envelope>(body);
    match (status, envelope) {
        (200..=299, Ok(envelope)) if envelope.status == "success" => success(&envelope),
        (_, Ok(envelope)) if envelope.error_type == "bad_data" => {
            Err(QueryError::BadQuery(cut(&envelope.error)))
        }
        // Anything else may pass: also `execution`, under which servers report limits and lost stores.
        (401 | 403, _) => Err(unavailable(format!(
            "HTTP {status}: the server refuses our credentials"
        ))),
        (_, Ok(envelope)) => Err(unavailable(format!(
            "HTTP {status}, {}: {}",
            envelope.error_type,
            cut(&envelope.error)
        ))),
        (200..=299, Err(_)) => Err(unavailable(format!(
            "the answer is not that of Prometheus' HTTP API: {}",
            excerpt(body)
        ))),
        (_, Err(_)) => Err(unavailable(format!("HTTP {status}: {}", excerpt(body)))),
    }
}

fn success(envelope: &Envelope) -> Result<Sample, QueryError> {
    // Prometheus' remarks on a query begin so; every other warning is about data that is not in the answer.
    let partial = envelope.warnings.iter().find(|w| !w.starts_with("PromQL "));
    if let Some(warning) = partial {
        return Err(unavailable(format!("the answer is partial: {}", cut(warning))));
    }
    let kind = envelope
        .data
        .get("resultType")
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned();
    match Data::deserialize(&envelope.data) {
        Ok(data) => Ok(sample(&data)),
        Err(_) if kind == "string" => Ok(Sample::Missing("the query gives a text, not a number".to_owned())),
        Err(_) if has_histogram(&envelope.data) => Ok(Sample::Missing(
            "the query gives a native histogram; make a number of it, for example with histogram_quantile"
                .to_owned(),
        )),
        Err(error) => Err(unavailable(format!(
            "the answer can't be read: {}",
            cut(&error.to_string())
        ))),
    }
}

fn has_histogram(data: &Value) -> bool {
    let series = data.get("result").and_then(Value::as_array);
    series.is_some_and(|series| series.iter().any(|s| s.get("histogram").is_some()))
}

fn sample(data: &Data) -> Sample {
    match data {
        Data::Scalar(sample) => finite(sample.value()),
        Data::Matrix(_) => Sample::Missing(
            "the query gives a range of values; make one of them, for example with avg_over_time".to_owned(),
        ),
        Data::Vector(series) => match series.as_slice() {
            [] => Sample::Missing("the query gives no values".to_owned()),
            [one] => finite(one.sample().value()),
            several => {
                let labels: Vec<_> = several.iter().take(SHOWN).map(|s| labels(s.metric())).collect();
                let more = if several.len() > SHOWN { ", …" } else { "" };
                Sample::Missing(format!(
                    "the query gives {} series where one is needed: {}{more}; aggregate them, for example with sum",
                    several.len(),
                    cut(&labels.join(", "))
                ))
            }
        },
    }
}

fn finite(value: f64) -> Sample {
    if value.is_finite() {
        Sample::Value(value)
    } else {
        Sample::Missing(format!("the query gives {value}, not a finite number"))
    }
}

/// `{instance="a", job="b"}`, always in the same order.
fn labels(metric: &HashMap<String, String>) -> String {
    let sorted: BTreeMap<_, _> = metric.iter().collect();
    let pairs: Vec<_> = sorted.into_iter().map(|(k, v)| format!("{k}={v:?}")).collect();
    format!("{{{}}}", pairs.join(", "))
}

fn unavailable(why: String) -> QueryError {
    QueryError::Unavailable(why)
}

fn excerpt(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(&body[..body.len().min(TEXT_MAX)]);
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if text.is_empty() {
        "an empty answer".to_owned()
    } else {
        format!("{:?}", cut_to(&text, 100))
    }
}

fn cut(text: &str) -> String {
    cut_to(text, TEXT_MAX)
}

fn cut_to(text: &str, max: usize) -> String {
    match text.char_indices().nth(max) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::json;

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
        r#"the query gives 2 series where one is needed: {a="b", instance="x"}, {a="b", instance="y"}; aggregate them, for example with sum"#.to_owned()
    ))]
    fn vectors(#[case] series: &[(&str, &str)], #[case] expected: Sample) {
        assert_eq!(understand(200, vector(series).as_bytes()), Ok(expected));
    }

    #[test]
    fn of_many_series_the_first_are_shown() {
        let names: Vec<String> = (0..100).map(|i| format!("i{i}")).collect();
        let series: Vec<(&str, &str)> = names.iter().map(|n| (n.as_str(), "1")).collect();
        let Ok(Sample::Missing(why)) = understand(200, vector(&series).as_bytes()) else {
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
        "the query gives a range of values; make one of them, for example with avg_over_time".to_owned()))]
    #[case(json!({"resultType": "vector", "result": [{"metric": {}, "histogram": [1, {}]}]}), Sample::Missing(
        "the query gives a native histogram; make a number of it, for example with histogram_quantile".to_owned()))]
    fn other_data(#[case] data: Value, #[case] expected: Sample) {
        let body = json!({"status": "success", "data": data}).to_string();
        assert_eq!(understand(200, body.as_bytes()), Ok(expected));
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
        match understand(status, body.as_bytes()) {
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
        let Err(QueryError::Unavailable(why)) = understand(status, body.as_bytes()) else {
            panic!()
        };
        assert!(why.contains(shown), "{why}");
    }

    #[rstest]
    #[case("PromQL warning: quantile value should be between 0 and 1", true)]
    #[case("store 10.0.0.7:10901 is unavailable", false)]
    fn a_partial_answer_is_none(#[case] warning: &str, #[case] fine: bool) {
        let data = json!({"resultType": "scalar", "result": [1, "7"]});
        let body = json!({"status": "success", "data": data, "warnings": [warning]}).to_string();
        assert_eq!(understand(200, body.as_bytes()).is_ok(), fine);
    }
}
