//! Servers outside the cluster's API: how they are reached, as whom, and what is read for that.

mod connect;
mod credentials;

use std::{error::Error as _, time::Duration};

use reqwest::{Client, Url};
use tokio::time::Instant;

use crate::core::endpoint::Endpoint;

use self::credentials::Versions;

/// However long a request may take.
const CONNECT_TIMEOUT: Duration = Duration::from_mins(2);
/// What was read of a Secret or ConfigMap counts for so long: requests that follow each other read it once.
const FRESH: Duration = Duration::from_secs(5);

/// The client for one endpoint, kept as long as the endpoint and what it names stay the same.
#[derive(Default)]
pub struct Connection {
    ready: Option<Ready>,
}

struct Ready {
    endpoint: Endpoint,
    versions: Versions,
    read_at: Instant,
    client: Client,
    url: Url,
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The client knows secrets.
        f.debug_struct("Connection").finish_non_exhaustive()
    }
}

impl Connection {
    /// The client for this endpoint, and the URL to send to. Without a cluster, one that names Secrets can't be reached.
    ///
    /// # Errors
    /// What can't be read or used, and the remedy.
    pub async fn to(
        &mut self,
        cluster: Option<&kube::Client>,
        namespace: &str,
        endpoint: Endpoint,
    ) -> Result<(Client, Url), String> {
        let same = self.ready.take().filter(|ready| ready.endpoint == endpoint);
        let ready = match same {
            Some(ready) if credentials::needs(&endpoint).is_empty() || ready.read_at.elapsed() < FRESH => {
                ready
            }
            same => {
                let found = credentials::read(cluster, namespace, &endpoint).await?;
                let (versions, read_at) = (found.versions(), Instant::now());
                if let Some(ready) = same.filter(|ready| ready.versions == versions) {
                    Ready { read_at, ..ready }
                } else {
                    let (client, url) = connect::build(&endpoint, &found)?;
                    Ready {
                        endpoint,
                        versions,
                        read_at,
                        client,
                        url,
                    }
                }
            }
        };
        let known = (ready.client.clone(), ready.url.clone());
        self.ready = Some(ready);
        Ok(known)
    }
}

#[cfg(test)]
impl Connection {
    /// As if what was read had been read so long ago that it counts no more.
    pub(crate) fn grow_old(&mut self) {
        if let Some(ready) = &mut self.ready {
            ready.read_at = ready.read_at.checked_sub(FRESH).unwrap();
        }
    }
}

/// A URL's host and port: the rest may hold secrets.
pub fn host(url: &Url) -> String {
    let host = url.host_str().unwrap_or("?");
    url.port_or_known_default()
        .map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// The cause, and which field mends it where one does.
pub fn remedied(error: &reqwest::Error, path: &str) -> String {
    let cause = cause(error);
    let remedies = [
        (
            "UnknownIssuer",
            format!("name the certificate authority of the server in {path}.tls.caFrom"),
        ),
        (
            "BadSignature",
            format!("name the certificate authority of the server in {path}.tls.caFrom"),
        ),
        (
            "not valid for name",
            format!("{path}.tls.serverName says which name its certificate has"),
        ),
        (
            "NotValidForName",
            format!("{path}.tls.serverName says which name its certificate has"),
        ),
        (
            "CertificateRequired",
            format!("the server wants the operator's certificate: name it in {path}.tls.clientCertFrom"),
        ),
    ];
    match remedies.into_iter().find(|(word, _)| cause.contains(word)) {
        Some((_, remedy)) => format!("{cause}; {remedy}"),
        None => cause,
    }
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
