//! What is wrong with a MetricsProvider.

use crate::{
    api::MetricsProvider,
    core::{Invalid, endpoint::Endpoint},
};

/// What is wrong with a MetricsProvider; empty when all is well.
pub fn metrics_provider(object: &MetricsProvider) -> Vec<Invalid> {
    let prometheus = &object.spec.prometheus;
    let mut wrong = Endpoint::from(prometheus).mistakes();
    if prometheus.timeout.is_some_and(|t| t.0.is_zero()) {
        wrong.push(Invalid::new(
            "spec.prometheus.timeout",
            "is no time at all; write one such as 10s",
        ));
    }
    wrong
}

#[cfg(test)]
#[path = "provider_tests.rs"]
mod tests;
