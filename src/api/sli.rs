//! `ServiceLevelIndicator`: how indicators are measured.

use std::{borrow::Cow, collections::BTreeMap};

use kube::{CustomResource, KubeSchema};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{ConfigStatus, Duration, LocalRef, Scope};

/// Indicator -> query: the body of a Keptn v1 sli.yaml, as it is, with its scope and provider. Names merge project ->
/// stage -> service. Where one value takes more than a query, an object stands in the query's place.
#[derive(Clone, CustomResource, Debug, Deserialize, KubeSchema, PartialEq, Serialize)]
#[kube(
    group = "coxswain.dev",
    version = "v1alpha1",
    kind = "ServiceLevelIndicator",
    namespaced,
    status = "ConfigStatus",
    shortname = "sli",
    category = "coxswain",
    derive = "PartialEq",
    doc = "How indicators are measured: a query for each name.",
    printcolumn(name = "Project", type_ = "string", json_path = ".spec.project"),
    printcolumn(name = "Stage", type_ = "string", json_path = ".spec.stage"),
    printcolumn(name = "Service", type_ = "string", json_path = ".spec.service"),
    printcolumn(name = "Provider", type_ = "string", json_path = ".spec.provider.name"),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].status"
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].reason"
    ),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].message",
        priority = 1
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
pub struct ServiceLevelIndicatorSpec {
    /// What it applies to.
    #[serde(flatten)]
    pub scope: Scope,
    /// The MetricsProvider that answers. It may be left out when the namespace has exactly one, or has none and the
    /// installation has a default one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<LocalRef>,
    /// Any version; v1 never looked at it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub spec_version: Option<String>,
    /// The queries, by indicator: text, or an object with `query`, `reduce` and `range`.
    #[schemars(extend("maxProperties" = 100))]
    pub indicators: BTreeMap<String, Indicator>,
}

/// How one indicator is measured: a query as v1 wrote it, or an object with the fields of [`Measure`]. It is kept as it was
/// written, so that a mistake in one does not hide the others; `core::evaluation::indicator` reads it.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Indicator(pub Value);

/// How one indicator is measured.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct Measure {
    /// The query, with placeholders.
    #[schemars(length(max = 8192))]
    pub query: String,
    /// What one series is made of several with. Without it several series are no answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reduce: Option<SeriesReducer>,
    /// Asks for the values over the whole window, in steps, and what one is made of them with. Without it the query is
    /// evaluated once, at the window's end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range: Option<RangeQuery>,
}

/// What one series is made of several with, as PromQL's operator of that name does.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SeriesReducer {
    /// Their sum.
    Sum,
    /// Their average.
    Avg,
    /// The highest.
    Max,
    /// The lowest.
    Min,
}

/// A range query: over the whole window, in steps.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, Ord, PartialEq, PartialOrd, Serialize)]
pub struct RangeQuery {
    /// What one value is made of those over time with.
    pub reduce: TimeReducer,
    /// The time between two values. Default 15s, or a thousandth of the window where that is longer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<Duration>,
}

/// What one value is made of those over time with.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum TimeReducer {
    /// Their average.
    Avg,
    /// The highest.
    Max,
    /// The lowest.
    Min,
    /// Their sum.
    Sum,
    /// The last.
    Last,
}

impl JsonSchema for Indicator {
    fn schema_name() -> Cow<'static, str> {
        "Indicator".into()
    }

    fn inline_schema() -> bool {
        true
    }

    /// A schema has no way to say "text or this object" but to say nothing about the type: the API server checks the
    /// fields that it finds, and keeps those that it doesn't know, which the controller then names.
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let measure = generator.root_schema_for::<Measure>();
        let mut schema = json_schema!({ "x-kubernetes-preserve-unknown-fields": true, "maxLength": 8192 });
        if let Some(fields) = measure.get("properties") {
            schema.insert("properties".to_owned(), fields.clone());
        }
        schema
    }
}
