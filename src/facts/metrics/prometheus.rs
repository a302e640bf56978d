//! Servers with Prometheus' HTTP API: Prometheus itself, Thanos, Mimir, VictoriaMetrics.

use std::{
    collections::HashMap,
    error::Error as _,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use futures::{FutureExt, future::BoxFuture};
use jiff::Timestamp;
use kube::ResourceExt;
use prometheus_http_query::Client;
use reqwest::{Response, Url, redirect};

use super::{MetricsSource, QueryError, Sample, answer};
use crate::api::{MetricsProvider, metricsprovider::PrometheusProvider};

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
#[derive(Debug, Default)]
pub struct Prometheus {
    clients: Mutex<HashMap<(String, String), Cached>>,
}

struct Cached {
    uid: Option<String>,
    generation: Option<i64>,
    client: Client,
}

impl std::fmt::Debug for Cached {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The client knows its URL, which may hold a password.
        f.debug_struct("Cached")
            .field("generation", &self.generation)
            .finish_non_exhaustive()
    }
}

impl MetricsSource for Prometheus {
    fn query<'a>(
        &'a self,
        provider: &'a MetricsProvider,
        query: &'a str,
        at: Timestamp,
    ) -> BoxFuture<'a, Result<Sample, QueryError>> {
        async move {
            let spec = &provider.spec.prometheus;
            let timeout = spec.timeout.map_or(TIMEOUT, |t| t.0.min(TIMEOUT_MAX));
            let client = self.client(provider).map_err(|why| unavailable(provider, &why))?;
            match tokio::time::timeout(timeout, ask(&client, spec, query, at)).await {
                Ok(Ok(sample)) => Ok(sample),
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
    /// The client of this provider; a new one when the provider was changed.
    fn client(&self, provider: &MetricsProvider) -> Result<Client, String> {
        let key = (provider.namespace().unwrap_or_default(), provider.name_any());
        let (uid, generation) = (provider.uid(), provider.metadata.generation);
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(cached) = clients.get(&key)
            && cached.uid == uid
            && cached.generation == generation
        {
            return Ok(cached.client.clone());
        }
        let client = build(&provider.spec.prometheus)?;
        if clients.len() >= CLIENTS {
            clients.clear();
        }
        clients.insert(
            key,
            Cached {
                uid,
                generation,
                client: client.clone(),
            },
        );
        Ok(client)
    }
}

fn build(spec: &PrometheusProvider) -> Result<Client, String> {
    // reqwest panics without one; when main has installed it, this does nothing.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let url: Url = spec
        .url
        .parse()
        .map_err(|e| format!("spec.prometheus.url is not a URL: {e}"))?;
    let mut builder = reqwest::Client::builder()
        .user_agent(concat!("coxswain/", env!("CARGO_PKG_VERSION")))
        // Only a MetricsProvider says who is asked: neither a server nor the environment does.
        .redirect(redirect::Policy::none())
        .no_proxy()
        .connect_timeout(TIMEOUT_MAX)
        .pool_max_idle_per_host(4);
    if url.scheme() == "http" {
        // Without TLS no certificates are needed, and an image may have none.
        builder = builder.tls_certs_only([]);
    }
    let http = builder
        .build()
        .map_err(|e| format!("no HTTP client could be made: {}", cause(&e)))?;
    // A trailing slash would double the one before `api/v1`.
    Client::from(http, spec.url.trim_end_matches('/')).map_err(|e| format!("spec.prometheus.url: {e}"))
}

/// Sends the query and reads the answer. The library would read a body of any length into memory, so it only sends;
/// the body is read here, up to the cap, and then understood with the library's types.
async fn ask(
    client: &Client,
    spec: &PrometheusProvider,
    query: &str,
    at: Timestamp,
) -> Result<Sample, QueryError> {
    let time = format!("{}.{:03}", at.as_second(), at.subsec_nanosecond() / 1_000_000);
    let question = client.query(query).query("time", time);
    let sent = if query.len() > GET_MAX {
        question.post_raw().await
    } else {
        question.get_raw().await
    };
    let response = sent.map_err(|e| match &e {
        prometheus_http_query::Error::Client(client) => {
            QueryError::Unavailable(client.inner().map_or_else(|| client.to_string(), cause))
        }
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
    answer::understand(status.as_u16(), &body)
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
            .map_err(|e| QueryError::Unavailable(cause(&e)))?;
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

fn host(url: &Url) -> String {
    let host = url.host_str().unwrap_or("?");
    url.port_or_known_default()
        .map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// The innermost cause, which is what people can act on; the outer ones repeat the URL.
fn cause(error: &reqwest::Error) -> String {
    let mut innermost: &dyn std::error::Error = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    if error.source().is_none() {
        return "the request failed".to_owned();
    }
    innermost.to_string()
}

#[cfg(test)]
#[path = "prometheus_tests.rs"]
mod tests;
