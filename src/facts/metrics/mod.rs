//! Measurements: one question, one number.

mod answer;
pub mod prometheus;

use futures::future::BoxFuture;
use jiff::Timestamp;

use crate::{
    api::{
        MetricsProvider,
        sli::{RangeQuery, SeriesReducer},
    },
    core::evaluation::Measured,
};

pub use prometheus::Prometheus;

/// Where measurements come from. Tests replace it.
pub trait MetricsSource: Send + Sync {
    /// Asks `provider` once what the question comes to. It ends within the provider's timeout.
    fn query<'a>(
        &'a self,
        provider: &'a MetricsProvider,
        question: &'a Question,
    ) -> BoxFuture<'a, Result<Answer, QueryError>>;
}

/// What is asked.
#[derive(Clone, Debug, PartialEq)]
pub struct Question {
    /// The query.
    pub query: String,
    /// Where the time begins that a range query covers.
    pub start: Timestamp,
    /// Where it ends; when an instant query is evaluated.
    pub end: Timestamp,
    /// What one series is made of several with.
    pub reduce: Option<SeriesReducer>,
    /// A range query, and what one value is made of its values with; else an instant query.
    pub range: Option<RangeQuery>,
}

impl Question {
    /// What a query comes to at a time.
    pub fn instant(query: impl Into<String>, at: Timestamp) -> Self {
        Self {
            query: query.into(),
            start: at,
            end: at,
            reduce: None,
            range: None,
        }
    }
}

/// An answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// What it came to.
    pub sample: Sample,
    /// What the provider remarked about it: a few, none of them long.
    pub warnings: Vec<String>,
}

impl From<Sample> for Answer {
    fn from(sample: Sample) -> Self {
        Self {
            sample,
            warnings: Vec::new(),
        }
    }
}

/// What the answer came to.
#[derive(Clone, Debug, PartialEq)]
pub enum Sample {
    /// One finite number.
    Value(f64),
    /// The question was answered, but not with one finite number; this is what came instead.
    Missing(String),
}

impl From<Sample> for Measured {
    fn from(sample: Sample) -> Self {
        match sample {
            Sample::Value(value) => Self::Value(value),
            Sample::Missing(why) => Self::Missing(why),
        }
    }
}

/// Why there was no answer.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum QueryError {
    /// It could not be asked, or the answer can't be relied on. Later it may work: the reason says nothing about the
    /// service that was to be measured.
    #[error("{0}")]
    Unavailable(String),
    /// The query is wrong and stays so: this is what the provider says about it.
    #[error("{0}")]
    BadQuery(String),
}
