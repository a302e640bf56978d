//! What leaves the cluster: one request to one sink.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures::{FutureExt, future::BoxFuture};
use reqwest::{Response, StatusCode, header::RETRY_AFTER};
use tokio::sync;

use crate::{
    core::outbound::{Letter, Sink},
    facts::outside::{Connection, host, remedied},
};

/// So many connections are kept.
const CONNECTIONS: usize = 256;
/// So much of an answer is shown.
const SHOWN: usize = 200;
/// However long a server asks to be left alone.
const PATIENCE: Duration = Duration::from_mins(5);

/// Which EventSink.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct SinkName {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// Why a sink did not take what was sent.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum SendError {
    /// It does not want it, and will not later.
    #[error("{0}")]
    Refused(String),
    /// It may later.
    #[error("{why}")]
    Unavailable {
        /// What happened, and the remedy where one is known.
        why: String,
        /// For how long it asks to be left alone.
        after: Option<Duration>,
    },
}

impl SendError {
    fn unavailable(why: impl Into<String>) -> Self {
        Self::Unavailable {
            why: why.into(),
            after: None,
        }
    }
}

/// Sends to sinks. Tests replace it.
pub trait Outlet: Send + Sync {
    /// Sends one letter once. It ends within the sink's timeout.
    fn send<'a>(
        &'a self,
        name: &'a SinkName,
        sink: &'a Sink,
        letter: &'a Letter,
    ) -> BoxFuture<'a, Result<(), SendError>>;
}

/// Sends by HTTP.
pub struct Http {
    /// Where Secrets are read.
    cluster: kube::Client,
    slots: Mutex<HashMap<SinkName, Slot>>,
}

type Slot = Arc<sync::Mutex<Connection>>;

impl Http {
    /// Reads the Secrets that sinks name in this cluster.
    pub fn new(cluster: kube::Client) -> Self {
        Self {
            cluster,
            slots: Mutex::default(),
        }
    }

    fn slot(&self, name: &SinkName) -> Slot {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        if slots.len() >= CONNECTIONS && !slots.contains_key(name) {
            slots.clear();
        }
        slots.entry(name.clone()).or_default().clone()
    }

    async fn post(&self, name: &SinkName, sink: &Sink, letter: &Letter) -> Result<(), SendError> {
        let slot = self.slot(name);
        let connected = {
            let mut connection = slot.lock().await;
            let endpoint = sink.endpoint.clone();
            connection
                .to(Some(&self.cluster), &name.namespace, endpoint)
                .await
        };
        let (client, url) = connected.map_err(SendError::unavailable)?;
        let server = host(&url);
        let request = client
            .post(url)
            .header("content-type", letter.content_type)
            .body(letter.body.to_string());
        let path = sink.endpoint.path;
        let answer = request
            .send()
            .await
            .map_err(|e| SendError::unavailable(format!("{server}: {}", remedied(&e, path))))?;
        judged(answer, &server, path).await
    }
}

impl Outlet for Http {
    fn send<'a>(
        &'a self,
        name: &'a SinkName,
        sink: &'a Sink,
        letter: &'a Letter,
    ) -> BoxFuture<'a, Result<(), SendError>> {
        async move {
            let sent = tokio::time::timeout(sink.timeout, self.post(name, sink, letter)).await;
            let late = || SendError::unavailable(format!("no answer within {:?}", sink.timeout));
            sent.map_err(|_| late())?
        }
        .boxed()
    }
}

/// What the answer means. What a person can mend at the server, or in the sink, is worth sending again.
async fn judged(answer: Response, server: &str, path: &str) -> Result<(), SendError> {
    let status = answer.status();
    if status.is_success() {
        return Ok(());
    }
    let told = format!("{server}: HTTP {}", status.as_u16());
    if status.is_redirection() {
        return Err(SendError::unavailable(format!(
            "{told} redirects; redirects are not followed, so write the final address into {path}.url"
        )));
    }
    let after = answer.headers().get(RETRY_AFTER);
    let after = after.and_then(|value| value.to_str().ok()?.trim().parse().ok());
    let after = after.map(|seconds| Duration::from_secs(seconds).min(PATIENCE));
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::PROXY_AUTHENTICATION_REQUIRED => {
            Err(SendError::unavailable(format!(
                "{told}: the server refuses our credentials; {path}.auth and headers say which those are"
            )))
        }
        StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => Err(SendError::unavailable(format!(
            "{told}: the server takes nothing there; mend the path in {path}.url"
        ))),
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS => {
            Err(SendError::Unavailable { why: told, after })
        }
        _ if status.is_server_error() => Err(SendError::Unavailable { why: told, after }),
        _ => Err(SendError::Refused(format!("{told}{}", said(answer).await))),
    }
}

/// The beginning of what the server says, in one line. It is read no further.
async fn said(mut answer: Response) -> String {
    let mut body = Vec::new();
    while body.len() < SHOWN {
        match answer.chunk().await {
            Ok(Some(chunk)) => body.extend_from_slice(&chunk[..chunk.len().min(SHOWN)]),
            _ => break,
        }
    }
    let text = String::from_utf8_lossy(&body);
    let line: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let line: String = line.chars().filter(|c| !c.is_control()).take(SHOWN).collect();
    if line.is_empty() {
        line
    } else {
        format!(": {line}")
    }
}

#[cfg(test)]
#[cfg(feature = "testing")]
#[path = "outlet_tests.rs"]
mod tests;
