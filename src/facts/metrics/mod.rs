//! Measurements: one question, one number.

mod answer;
pub mod prometheus;

use futures::future::BoxFuture;
use jiff::Timestamp;

use crate::api::MetricsProvider;

pub use prometheus::Prometheus;

/// Where measurements come from. Tests replace it.
pub trait MetricsSource: Send + Sync {
    /// Asks `provider` once what `query` comes to at `at`. It ends within the provider's timeout.
    fn query<'a>(
        &'a self,
        provider: &'a MetricsProvider,
        query: &'a str,
        at: Timestamp,
    ) -> BoxFuture<'a, Result<Sample, QueryError>>;
}

/// What the answer came to.
#[derive(Clone, Debug, PartialEq)]
pub enum Sample {
    /// One finite number.
    Value(f64),
    /// The question was answered, but not with one finite number; this is what came instead.
    Missing(String),
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
