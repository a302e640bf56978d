//! How a server is reached: by which address, with which certificates, as whom.

use std::net::{IpAddr, SocketAddr};

use base64::{Engine, prelude::BASE64_STANDARD};
use reqwest::{
    Certificate, Client, ClientBuilder, Identity, Url,
    dns::{Addrs, Name, Resolve, Resolving},
    header::{AUTHORIZATION, HOST, HeaderMap, HeaderName, HeaderValue},
    redirect,
};
use url::Host;

use super::{
    CONNECT_TIMEOUT, cause,
    credentials::{CERTIFICATE, Found, Kind, PRIVATE_KEY},
};
use crate::{
    api::metricsprovider::{Auth, Header, KeyRef, Tls},
    core::{
        address::{Refusal, refusal},
        endpoint::Endpoint,
    },
};

/// A client for this endpoint, and the URL to send to. The secrets in the client are marked as such: it can be shown.
pub(super) fn build(endpoint: &Endpoint, found: &Found) -> Result<(Client, Url), String> {
    // reqwest panics without one; when main has installed it, this does nothing.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut url = url(endpoint, found)?;
    let host = match url.host() {
        Some(Host::Ipv4(ip)) => checked(IpAddr::V4(ip), endpoint.into())?.to_string(),
        Some(Host::Ipv6(ip)) => checked(IpAddr::V6(ip), endpoint.into())?.to_string(),
        Some(Host::Domain(name)) => name.to_owned(),
        None => return Err(format!("{}.url names no host", endpoint.path)),
    };
    let mut headers = headers(&endpoint.headers, found)?;
    if let Some(auth) = &endpoint.auth {
        headers.insert(AUTHORIZATION, authorization(auth, endpoint.path, found)?);
    }
    let mut builder = Client::builder()
        .user_agent(concat!("coxswain/", env!("CARGO_PKG_VERSION")))
        // Only the object says who is asked: neither a server nor the environment does.
        .redirect(redirect::Policy::none())
        .no_proxy()
        .dns_resolver(Checked {
            host,
            allow: endpoint.into(),
        })
        .connect_timeout(CONNECT_TIMEOUT)
        .pool_max_idle_per_host(4);
    if url.scheme() == "http" {
        // Without TLS no certificates are needed, and an image may have none.
        builder = builder.tls_certs_only([]);
    } else if let Some(tls) = &endpoint.tls {
        builder = secured(builder, tls, endpoint.path, found)?;
        if let Some(name) = &tls.server_name {
            // The connection goes to the URL's host, which the resolver knows; the certificate is asked of the other
            // name. The request is still the URL's: in HTTP/2 it could not differ from the connection.
            headers.insert(HOST, host_header(&url, endpoint.path)?);
            builder = builder.http1_only();
            url.set_host(Some(name))
                .map_err(|e| format!("{}.tls.serverName: {e}", endpoint.path))?;
        }
    }
    let client = builder
        .default_headers(headers)
        .build()
        .map_err(|e| format!("no HTTP client could be made: {}", cause(&e)))?;
    Ok((client, url))
}

fn url(endpoint: &Endpoint, found: &Found) -> Result<Url, String> {
    match (&endpoint.url, &endpoint.url_from) {
        // What else could be wrong with it was said of its object.
        (Some(url), _) => url
            .parse()
            .map_err(|e| format!("{}.url is not a URL: {e}", endpoint.path)),
        (None, Some(from)) => {
            let text = found.text(from)?;
            let shown = found.shown(Kind::Secret, &from.secret_ref);
            endpoint.check(text).map_err(|e| format!("{shown}: {e}"))
        }
        (None, None) => Err(format!("{} names no server", endpoint.path)),
    }
}

/// Looks a host's addresses up and lets only those pass that may be asked: at each connection, so that no name can lead
/// elsewhere later. Whatever name is asked for, it is the endpoint's one host that is meant.
struct Checked {
    host: String,
    allow: Allowed,
}

/// Whether a server may be on the operator's own machine, and the field that says so.
#[derive(Clone, Copy)]
struct Allowed {
    loopback: bool,
    path: &'static str,
}

impl From<&Endpoint> for Allowed {
    fn from(endpoint: &Endpoint) -> Self {
        Self {
            loopback: endpoint.allow_loopback,
            path: endpoint.path,
        }
    }
}

impl Resolve for Checked {
    fn resolve(&self, _: Name) -> Resolving {
        let (host, allow) = (self.host.clone(), self.allow);
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((host.as_str(), 0)).await?.collect();
            // One bad address among good ones is no accident.
            for address in &found {
                checked(address.ip(), allow).map_err(|why| format!("{host} leads to {why}"))?;
            }
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

fn checked(ip: IpAddr, allow: Allowed) -> Result<IpAddr, String> {
    match refusal(ip, allow.loopback) {
        None => Ok(ip),
        Some(refused @ Refusal::Loopback) => Err(format!(
            "{ip}, {refused}, or set {}.allowLoopback: true",
            allow.path
        )),
        Some(refused) => Err(format!("{ip}, {refused}")),
    }
}

fn headers(wanted: &[Header], found: &Found) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    for header in wanted {
        let name: HeaderName = header
            .name
            .parse()
            .map_err(|_| format!("{:?} is no header's name", header.name))?;
        let value = match (&header.value_from, &header.value) {
            (Some(from), _) => secret_header(found.text(from)?)
                .ok_or_else(|| unsendable(&found.shown(Kind::Secret, &from.secret_ref)))?,
            (None, value) => HeaderValue::from_str(value.as_deref().unwrap_or_default())
                .map_err(|_| unsendable(&format!("the value of {}", header.name)))?,
        };
        headers.insert(name, value);
    }
    Ok(headers)
}

fn authorization(auth: &Auth, path: &str, found: &Found) -> Result<HeaderValue, String> {
    let (value, from) = match (&auth.bearer, &auth.basic) {
        (Some(from), _) => (format!("Bearer {}", found.text(from)?), from),
        (None, Some(basic)) => {
            let name = match (&basic.username_from, &basic.username) {
                (Some(from), _) => found.text(from)?,
                (None, name) => name.as_deref().unwrap_or_default(),
            };
            let both = format!("{name}:{}", found.text(&basic.password_from)?);
            (
                format!("Basic {}", BASE64_STANDARD.encode(both)),
                &basic.password_from,
            )
        }
        (None, None) => return Err(format!("{path}.auth is empty")),
    };
    secret_header(&value).ok_or_else(|| unsendable(&found.shown(Kind::Secret, &from.secret_ref)))
}

fn secret_header(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

fn unsendable(what: &str) -> String {
    format!("{what} can't be sent in a header: it has a line break or another control character; remove it")
}

/// The URL's host as a browser would send it.
fn host_header(url: &Url, path: &str) -> Result<HeaderValue, String> {
    let host = url.host_str().unwrap_or_default();
    let text = url
        .port()
        .map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
    HeaderValue::from_str(&text).map_err(|e| format!("{path}.url: {e}"))
}

fn secured(
    mut builder: ClientBuilder,
    tls: &Tls,
    path: &str,
    found: &Found,
) -> Result<ClientBuilder, String> {
    if let Some(ca) = &tls.ca_from {
        let (kind, at) = match (&ca.config_map_ref, &ca.secret_ref) {
            (Some(at), _) => (Kind::ConfigMap, at),
            (None, Some(at)) => (Kind::Secret, at),
            (None, None) => return Err(format!("{path}.tls.caFrom is empty")),
        };
        let certificates = Certificate::from_pem_bundle(found.bytes(kind, at)?).unwrap_or_default();
        if certificates.is_empty() {
            return Err(format!(
                "{} holds no certificate in PEM (-----BEGIN CERTIFICATE-----); write the authority's into it",
                found.shown(kind, at)
            ));
        }
        builder = builder.tls_certs_only(certificates);
    }
    if let Some(own) = &tls.client_cert_from {
        let key = |key: &str| KeyRef {
            name: own.secret_name.clone(),
            key: key.to_owned(),
        };
        let mut pem = found.bytes(Kind::Secret, &key(CERTIFICATE))?.to_vec();
        pem.push(b'\n');
        pem.extend_from_slice(found.bytes(Kind::Secret, &key(PRIVATE_KEY))?);
        let identity = Identity::from_pem(&pem).map_err(|_| {
            format!(
                "{} and {PRIVATE_KEY} are no certificate and key in PEM; make the Secret with kubectl create secret tls",
                found.shown(Kind::Secret, &key(CERTIFICATE))
            )
        })?;
        builder = builder.identity(identity);
    }
    Ok(builder)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("169.254.169.254", true, false)]
    #[case("fe80::1", true, false)]
    #[case("127.0.0.1", false, false)]
    #[case("127.0.0.1", true, true)]
    #[case("localhost", false, false)]
    #[case("localhost", true, true)]
    #[case("10.0.0.1", false, true)]
    #[tokio::test]
    async fn what_a_host_leads_to_is_looked_at(
        #[case] host: &str,
        #[case] allow_loopback: bool,
        #[case] fine: bool,
    ) {
        let checked = Checked {
            host: host.to_owned(),
            allow: Allowed {
                loopback: allow_loopback,
                path: "spec.prometheus",
            },
        };
        // The name that the connection asks for says nothing.
        let found = checked.resolve("prometheus.example.com".parse().unwrap()).await;
        assert_eq!(found.is_ok(), fine);
    }
}
