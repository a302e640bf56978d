//! What a server with Prometheus' HTTP API answered.

use std::collections::{BTreeMap, HashMap};

use prometheus_http_query::response::Data;
use serde::Deserialize;
use serde_json::Value;

use super::{Answer, QueryError, Question, Sample};
use crate::{
    api::{
        metricsprovider::PartialResponse,
        sli::{RangeQuery, SeriesReducer},
    },
    core::evaluation::reduce,
};

/// So many series are shown of several.
const SHOWN: usize = 3;
/// What a server says is cut here, in characters.
const TEXT_MAX: usize = 300;
/// So many remarks are kept, of so many characters.
const WARNINGS: usize = 5;
const WARNING_MAX: usize = 256;

/// A warning with one of these words says that a part of the data is not in the answer: a store, an ingester or a remote
/// Prometheus did not do its part. In lower case; see docs/providers.md.
const PARTIAL: [&str; 14] = [
    "partial",
    "incomplete",
    "store",
    "ingester",
    "remote",
    "rpc error",
    "error",
    "fail",
    "unavailable",
    "unreachable",
    "refused",
    "timeout",
    "timed out",
    "deadline",
];
/// Prometheus' remarks on the query itself begin so, whatever words they have.
const ON_THE_QUERY: &str = "PromQL ";

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
    warnings: Option<Vec<String>>,
    #[serde(default)]
    infos: Option<Vec<String>>,
    /// What VictoriaMetrics says in place of a warning.
    #[serde(default, rename = "isPartial")]
    is_partial: bool,
}

impl Envelope {
    fn remarks(&self) -> impl Iterator<Item = &String> {
        self.warnings.iter().chain(&self.infos).flatten()
    }

    /// Which data is not in the answer.
    fn lacks(&self) -> Option<String> {
        let says = |text: &&String| {
            let lower = text.to_lowercase();
            !text.starts_with(ON_THE_QUERY) && PARTIAL.iter().any(|word| lower.contains(word))
        };
        match self.warnings.iter().flatten().find(says) {
            Some(text) => Some(cut(text)),
            None => self.is_partial.then(|| IS_PARTIAL.to_owned()),
        }
    }
}

const IS_PARTIAL: &str = "the server says isPartial";

/// What the answer comes to.
pub(super) fn understand(
    status: u16,
    body: &[u8],
    question: &Question,
    partial: PartialResponse,
) -> Result<Answer, QueryError> {
    let envelope = serde_json::from_slice::<Envelope>(body);
    match (status, envelope) {
        (200..=299, Ok(envelope)) if envelope.status == "success" => success(&envelope, question, partial),
        (_, Ok(envelope)) if envelope.error_type == "bad_data" => {
            Err(QueryError::BadQuery(cut(&envelope.error)))
        }
        // Anything else may pass: also `execution`, under which servers report limits and lost stores.
        (401 | 403, _) => Err(unavailable(format!(
            "HTTP {status}: the server refuses our credentials; spec.prometheus.auth and headers say which those are"
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

fn success(envelope: &Envelope, question: &Question, partial: PartialResponse) -> Result<Answer, QueryError> {
    if partial == PartialResponse::Refuse
        && let Some(lacks) = envelope.lacks()
    {
        return Err(unavailable(format!(
            "the answer is partial: {lacks}; if that is good enough, set spec.prometheus.partialResponse: Accept"
        )));
    }
    let mut warnings: Vec<String> = Vec::new();
    let is_partial = envelope.is_partial.then(|| IS_PARTIAL.to_owned());
    for text in is_partial.iter().chain(envelope.remarks()) {
        let text = cut_to(text, WARNING_MAX - 1);
        // Each store that is away says the same.
        if warnings.len() < WARNINGS && !warnings.contains(&text) {
            warnings.push(text);
        }
    }
    let sample = read(&envelope.data, question)?;
    Ok(Answer { sample, warnings })
}

fn read(data: &Value, question: &Question) -> Result<Sample, QueryError> {
    let kind = data.get("resultType").and_then(Value::as_str).unwrap_or_default();
    match Data::deserialize(data) {
        Ok(data) => Ok(sample(&data, question)),
        Err(_) if kind == "string" => Ok(Sample::Missing("the query gives a text, not a number".to_owned())),
        Err(_) if has_histogram(data) => Ok(Sample::Missing(
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
    let has = |s: &Value| s.get("histogram").or(s.get("histograms")).is_some();
    series.is_some_and(|series| series.iter().any(has))
}

fn sample(data: &Data, question: &Question) -> Sample {
    match (data, &question.range) {
        (Data::Scalar(sample), _) => finite(sample.value()),
        (Data::Matrix(series), Some(range)) => {
            let series: Vec<Series> = series
                .iter()
                .map(|s| Series {
                    labels: s.metric(),
                    values: s.samples().iter().map(|v| (v.timestamp(), v.value())).collect(),
                })
                .collect();
            over_time(&series, question.reduce, *range)
        }
        (Data::Matrix(_), None) => Sample::Missing(
            "the query gives a range of values; make one of them, for example with avg_over_time, or set the \
             indicator's range"
                .to_owned(),
        ),
        (Data::Vector(series), _) => {
            let series: Vec<Series> = series
                .iter()
                .map(|s| Series {
                    labels: s.metric(),
                    values: vec![(s.sample().timestamp(), s.sample().value())],
                })
                .collect();
            match combine(&series, question.reduce) {
                Ok(values) => values.first().map_or_else(nothing, |value| finite(*value)),
                Err(why) => Sample::Missing(why),
            }
        }
    }
}

/// One series of an answer: its labels, and its values with their times.
struct Series<'a> {
    labels: &'a HashMap<String, String>,
    values: Vec<(f64, f64)>,
}

fn over_time(series: &[Series], reduce: Option<SeriesReducer>, range: RangeQuery) -> Sample {
    match combine(series, reduce) {
        Ok(values) if values.is_empty() => nothing(),
        Ok(values) => finite(reduce::over_time(range.reduce, &values)),
        Err(why) => Sample::Missing(why),
    }
}

fn nothing() -> Sample {
    Sample::Missing("the query gives no values".to_owned())
}

/// The values of the one series that there is, or is made of several, in the order of time.
fn combine(series: &[Series], reduce: Option<SeriesReducer>) -> Result<Vec<f64>, String> {
    match (series, reduce) {
        ([], _) => Ok(Vec::new()),
        ([one], _) => Ok(one.values.iter().map(|(_, value)| *value).collect()),
        (several, Some(reducer)) => {
            let mut at: BTreeMap<u64, Vec<f64>> = BTreeMap::new();
            for (time, value) in several.iter().flat_map(|s| &s.values) {
                // The bits of positive numbers have the numbers' own order.
                at.entry(time.max(0.0).to_bits()).or_default().push(*value);
            }
            Ok(at
                .values()
                .map(|values| reduce::series(reducer, values))
                .collect())
        }
        (several, None) => {
            let labels: Vec<_> = several.iter().take(SHOWN).map(|s| labels(s.labels)).collect();
            let more = if several.len() > SHOWN { ", …" } else { "" };
            Err(format!(
                "the query gives {} series where one is needed: {}{more}; aggregate them in the query, or set the \
                 indicator's reduce",
                several.len(),
                cut(&labels.join(", "))
            ))
        }
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
#[path = "answer_tests.rs"]
mod tests;
