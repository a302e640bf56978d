//! A metrics provider that says what the story wants.

use std::sync::{Arc, Mutex};

use futures::future::BoxFuture;
use jiff::Timestamp;

use crate::{
    api::MetricsProvider,
    facts::metrics::{Answer, MetricsSource, QueryError, Question, Sample},
};

/// Answers a query, asked at a time.
type Oracle = Box<dyn FnMut(&str, Timestamp) -> Result<Sample, QueryError> + Send>;

/// Measurements as the story has them; clones are the same one.
#[derive(Clone)]
pub struct Metrics {
    shared: Arc<Mutex<Shared>>,
}

struct Shared {
    oracle: Oracle,
    asked: Vec<(String, Timestamp)>,
}

impl Default for Metrics {
    fn default() -> Self {
        let oracle: Oracle = Box::new(|_, _| Ok(Sample::Value(0.0)));
        Self {
            shared: Arc::new(Mutex::new(Shared {
                oracle,
                asked: Vec::new(),
            })),
        }
    }
}

impl Metrics {
    /// From now on, queries are answered so.
    pub fn answer(&self, oracle: impl FnMut(&str, Timestamp) -> Result<Sample, QueryError> + Send + 'static) {
        self.shared.lock().expect("nobody panics while answering").oracle = Box::new(oracle);
    }

    /// From now on, every query comes to this.
    pub fn are(&self, value: f64) {
        self.answer(move |_, _| Ok(Sample::Value(value)));
    }

    /// From now on, nobody can be asked.
    pub fn are_unavailable(&self, why: &str) {
        let why = why.to_owned();
        self.answer(move |_, _| Err(QueryError::Unavailable(why.clone())));
    }

    /// What was asked so far, in order.
    pub fn asked(&self) -> Vec<(String, Timestamp)> {
        self.shared
            .lock()
            .expect("nobody panics while answering")
            .asked
            .clone()
    }
}

impl MetricsSource for Metrics {
    fn query<'a>(
        &'a self,
        _: &'a MetricsProvider,
        question: &'a Question,
    ) -> BoxFuture<'a, Result<Answer, QueryError>> {
        Box::pin(async move {
            let mut shared = self.shared.lock().expect("nobody panics while answering");
            let (query, at) = (question.query.as_str(), question.end);
            shared.asked.push((query.to_owned(), at));
            (shared.oracle)(query, at).map(Answer::from)
        })
    }
}
