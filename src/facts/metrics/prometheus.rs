//! Servers with Prometheus' HTTP API: Prometheus itself, Thanos, Mimir, VictoriaMetrics.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures::{FutureExt, future::BoxFuture};
use kube::ResourceExt;
use prometheus_http_query::Client;
use reqwest::{Response, Url};
use tokio::sync;

use super::{Answer, MetricsSource, QueryError, Question, answer};
use crate::{
    api::{MetricsProvider, metricsprovider::PrometheusProvider},
    core::{endpoint::Endpoint, evaluation::reduce},
    facts::outside::{Connection, host, remedied},
};

/// The field that describes the server.
const PATH: &str = "spec.prometheus";
const TIMEOUT: Duration = Duration::from_secs(10);
/// Whatever the provider's timeout says.
const TIMEOUT_MAX: Duration = Duration::from_mins(2);
const MAX_BYTES: usize = 1024 * 1024;
/// A query up to this length goes into the URL, which any proxy before the server lets through; a longer one is sent as
/// a form.
const GET_MAX: usize = 2048;
/// So many clients are kept.
const CLIENTS: usize = 256;
/// Asks servers with Prometheus' HTTP API.
#[derive(Default)]
pub struct Prometheus {
    /// Where Secrets are read; without it, providers that name some can't be asked.
    cluster: Option<kube::Client>,
    slots: Mutex<HashMap<(String, String), Slot>>,
}

/// The connection of one provider. While it is made, the other queries of that provider wait for it.
type Slot = Arc<sync::Mutex<Connection>>;

impl std::fmt::Debug for Prometheus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The clients know secrets.
        f.debug_struct("Prometheus").finish_non_exhaustive()
    }
}

impl MetricsSource for Prometheus {
    fn query<'a>(
        &'a self,
        provider: &'a MetricsProvider,
        question: &'a Question,
    ) -> BoxFuture<'a, Result<Answer, QueryError>> {
        async move {
            let spec = &provider.spec.prometheus;
            let timeout = spec.timeout.map_or(TIMEOUT, |t| t.0.min(TIMEOUT_MAX));
            let answered = async {
                let client = self.client(provider).await.map_err(QueryError::Unavailable)?;
                ask(&client, spec, question).await
            };
            match tokio::time::timeout(timeout, answered).await {
                Ok(Ok(answer)) => Ok(answer),
                Ok(Err(QueryError::Unavailable(why))) => Err(unavailable(provider, &why)),
                Ok(Err(bad)) => Err(bad),
                Err(_) => Err(unavailable(
                    provider,
                    &format!("no complete answer within {timeout:?}"),
                )),
            }
        }
        .boxed()
    }
}

impl Prometheus {
    /// Reads the Secrets that providers name in this cluster.
    pub fn new(cluster: kube::Client) -> Self {
        Self {
            cluster: Some(cluster),
            ..Self::default()
        }
    }

    /// The client of this provider; a new one when the provider or what it names was changed.
    async fn client(&self, provider: &MetricsProvider) -> Result<Client, String> {
        let namespace = provider.namespace().unwrap_or_default();
        let endpoint = Endpoint::from(&provider.spec.prometheus);
        let slot = self.slot((namespace.clone(), provider.name_any()));
        let mut connection = slot.lock().await;
        let (http, url) = connection.to(self.cluster.as_ref(), &namespace, endpoint).await?;
        // A trailing slash would double the one before `api/v1`.
        Client::from(http, url.as_str().trim_end_matches('/'))
            .map_err(|e| format!("spec.prometheus.url: {e}"))
    }

    fn slot(&self, provider: (String, String)) -> Slot {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        if slots.len() >= CLIENTS && !slots.contains_key(&provider) {
            slots.clear();
        }
        slots.entry(provider).or_default().clone()
    }
}

/// Sends the query and reads the answer. The library would read a body of any length into memory, so it only sends;
/// the body is read here, up to the cap, and then understood with the library's types.
async fn ask(client: &Client, spec: &PrometheusProvider, question: &Question) -> Result<Answer, QueryError> {
    let query = &question.query;
    let long = query.len() > GET_MAX;
    let sent = match &question.range {
        None => {
            let at = question.end;
            let time = format!("{}.{:03}", at.as_second(), at.subsec_nanosecond() / 1_000_000);
            let asked = client.query(query).query("time", time);
            if long {
                asked.post_raw().await
            } else {
                asked.get_raw().await
            }
        }
        Some(range) => {
            let steps = reduce::steps(question.start, question.end, range.step);
            let asked = client.query_range(query, steps.first, steps.last, steps.every);
            if long {
                asked.post_raw().await
            } else {
                asked.get_raw().await
            }
        }
    };
    let response = sent.map_err(|e| match &e {
        prometheus_http_query::Error::Client(client) => QueryError::Unavailable(
            client
                .inner()
                .map_or_else(|| client.to_string(), |e| remedied(e, PATH)),
        ),
        other => QueryError::Unavailable(other.to_string()),
    })?;
    let status = response.status();
    if status.is_redirection() {
        return Err(QueryError::Unavailable(redirected(&response)));
    }
    let cap = spec
        .max_response_bytes
        .and_then(|b| usize::try_from(b).ok())
        .unwrap_or(MAX_BYTES);
    let body = read(response, cap).await?;
    answer::understand(
        status.as_u16(),
        &body,
        question,
        spec.partial_response.unwrap_or_default(),
    )
}

async fn read(mut response: Response, cap: usize) -> Result<Vec<u8>, QueryError> {
    let too_long = || {
        QueryError::Unavailable(format!(
            "the answer has more than {cap} bytes; aggregate in the query, or raise spec.prometheus.maxResponseBytes"
        ))
    };
    let announced = response.content_length().unwrap_or(0);
    if announced > cap as u64 {
        return Err(too_long());
    }
    let mut body = Vec::new();
    loop {
        let chunk = response
            .chunk()
            .await
            .map_err(|e| QueryError::Unavailable(remedied(&e, PATH)))?;
        let Some(chunk) = chunk else { return Ok(body) };
        if body.len() + chunk.len() > cap {
            return Err(too_long());
        }
        body.extend_from_slice(&chunk);
    }
}

fn redirected(response: &Response) -> String {
    let to = response
        .headers()
        .get("location")
        .and_then(|l| l.to_str().ok())
        .and_then(|l| response.url().join(l).ok())
        .map_or_else(|| "elsewhere".to_owned(), |url| format!("to {}", host(&url)));
    format!(
        "HTTP {} redirects {to}; redirects are not followed, so write the final address into spec.prometheus.url",
        response.status().as_u16()
    )
}

/// `MetricsProvider prom (prometheus.monitoring.svc:9090): connection refused`. Of the URL only the host is shown: the
/// rest may hold secrets.
fn unavailable(provider: &MetricsProvider, why: &str) -> QueryError {
    let host = provider
        .spec
        .prometheus
        .url
        .parse::<Url>()
        .map_or_else(|_| "?".to_owned(), |url| host(&url));
    QueryError::Unavailable(format!("MetricsProvider {} ({host}): {why}", provider.name_any()))
}

#[cfg(test)]
#[cfg(feature = "testing")]
#[path = "secured_tests.rs"]
mod secured_tests;
#[cfg(test)]
#[path = "prometheus_tests.rs"]
mod tests;
