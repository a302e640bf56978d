//! What is wrong with a MetricsProvider.

use std::{collections::BTreeSet, net::IpAddr};

use url::{Host, Url};

use crate::{
    api::{
        MetricsProvider,
        metricsprovider::{Auth, Header, PrometheusProvider, Tls},
    },
    core::{
        Invalid,
        address::{Refusal, refusal},
    },
};

/// Where clouds answer with credentials, besides the addresses of [`refusal`].
const METADATA_NAMES: [&str; 3] = ["metadata", "metadata.google.internal", "instance-data"];

/// Headers that belong to the connection, or that each request sets for itself.
const NOT_OURS: [&str; 14] = [
    "connection",
    "content-length",
    "content-type",
    "expect",
    "host",
    "http2-settings",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// What is wrong with a MetricsProvider; empty when all is well.
pub fn metrics_provider(object: &MetricsProvider) -> Vec<Invalid> {
    let prometheus = &object.spec.prometheus;
    let mut wrong = Vec::new();
    if let Err(message) = check(prometheus) {
        wrong.push(Invalid::new("spec.prometheus.url", message));
    }
    if prometheus.timeout.is_some_and(|t| t.0.is_zero()) {
        wrong.push(Invalid::new(
            "spec.prometheus.timeout",
            "is no time at all; write one such as 10s",
        ));
    }
    wrong.extend(prometheus.auth.as_ref().and_then(check_auth));
    if let Some(tls) = &prometheus.tls {
        check_tls(tls, &prometheus.url, &mut wrong);
    }
    check_headers(&prometheus.headers, &mut wrong);
    wrong
}

/// The parser is the one that the query's HTTP client uses: an address in disguise (decimal, hexadecimal, mapped into
/// IPv6) is seen as what it is. What a name leads to is looked at when it is asked.
fn check(prometheus: &PrometheusProvider) -> Result<(), String> {
    const EXAMPLE: &str = "write one such as http://prometheus.monitoring.svc:9090";
    let text = &prometheus.url;
    let url = Url::parse(text).map_err(|error| format!("{text:?} is not a URL ({error}); {EXAMPLE}"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(format!("{text:?} is neither http nor https; {EXAMPLE}"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        // The text itself is left out: it may hold a password.
        return Err(
            "holds a user name or password, which anybody who reads this object can see; move them to a Secret, and \
             name it in spec.prometheus.auth"
                .to_owned(),
        );
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(format!(
            "{text:?} has a query or fragment; end it before '?' or '#'"
        ));
    }
    let refused = match url.host() {
        Some(Host::Ipv4(ip)) => refusal(IpAddr::V4(ip), prometheus.allow_loopback),
        Some(Host::Ipv6(ip)) => refusal(IpAddr::V6(ip), prometheus.allow_loopback),
        Some(Host::Domain(name)) => refused_name(name, prometheus.allow_loopback),
        None => return Err(format!("{text:?} names no host; {EXAMPLE}")),
    };
    match refused {
        Some(refusal @ Refusal::Never(_)) => Err(format!("{text:?} is {refusal}; {EXAMPLE}")),
        Some(refusal) => Err(format!("{text:?} is {refusal}")),
        None => Ok(()),
    }
}

fn refused_name(name: &str, allow_loopback: bool) -> Option<Refusal> {
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    if METADATA_NAMES.contains(&name.as_str()) {
        return Some(Refusal::Never("a link-local or cloud metadata"));
    }
    let loopback = name == "localhost" || name.ends_with(".localhost");
    (loopback && !allow_loopback).then_some(Refusal::Loopback)
}

fn check_auth(auth: &Auth) -> Option<Invalid> {
    const PATH: &str = "spec.prometheus.auth";
    let basic = match (&auth.bearer, &auth.basic) {
        (Some(_), None) => return None,
        (None, Some(basic)) => basic,
        (None, None) => {
            return Some(Invalid::new(
                PATH,
                "is empty; write bearer or basic, or remove it",
            ));
        }
        (Some(_), Some(_)) => {
            return Some(Invalid::new(PATH, "has both bearer and basic; remove one"));
        }
    };
    let path = format!("{PATH}.basic");
    match (&basic.username, &basic.username_from) {
        (Some(_), Some(_)) => Some(Invalid::new(
            path,
            "has both username and usernameFrom; remove one",
        )),
        (None, None) => Some(Invalid::new(path, "names nobody; write username or usernameFrom")),
        (Some(name), None) if name.contains(':') || name.chars().any(char::is_control) => Some(Invalid::new(
            format!("{path}.username"),
            format!("{name:?} can't be sent: it has a colon or control character; remove it"),
        )),
        _ => None,
    }
}

fn check_tls(tls: &Tls, url: &str, wrong: &mut Vec<Invalid>) {
    const PATH: &str = "spec.prometheus.tls";
    if url.starts_with("http:") {
        wrong.push(Invalid::new(
            PATH,
            "has no effect, because the URL begins with http:; write https:, or remove tls",
        ));
    }
    if let Some(ca) = &tls.ca_from {
        let said = match (&ca.config_map_ref, &ca.secret_ref) {
            (None, None) => Some("is empty; write configMapRef or secretRef"),
            (Some(_), Some(_)) => Some("has both configMapRef and secretRef; remove one"),
            _ => None,
        };
        wrong.extend(said.map(|said| Invalid::new(format!("{PATH}.caFrom"), said)));
    }
    if let Some(name) = &tls.server_name
        && !matches!(Host::parse(name), Ok(Host::Domain(read)) if read == name.to_ascii_lowercase())
    {
        let message = format!(
            "{name:?} is no name that a certificate can have; write one such as prometheus.example.com"
        );
        wrong.push(Invalid::new(format!("{PATH}.serverName"), message));
    }
}

fn check_headers(headers: &[Header], wrong: &mut Vec<Invalid>) {
    let mut seen = BTreeSet::new();
    for (index, header) in headers.iter().enumerate() {
        let path = format!("spec.prometheus.headers[{index}]");
        let name = header.name.to_ascii_lowercase();
        let shown = &header.name;
        let token = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        let said = if name.is_empty() || !name.chars().all(token) {
            Some(format!(
                "{shown:?} is no header's name; use letters, digits, '-' and '_'"
            ))
        } else if name == "authorization" {
            Some("Authorization is set by spec.prometheus.auth; write it there".to_owned())
        } else if NOT_OURS.contains(&name.as_str()) {
            Some(format!(
                "{shown} belongs to the connection and can't be set; remove it"
            ))
        } else if !seen.insert(name) {
            Some(format!("{shown} is there twice; remove one"))
        } else {
            None
        };
        wrong.extend(said.map(|said| Invalid::new(format!("{path}.name"), said)));
        match (&header.value, &header.value_from) {
            (None, None) => wrong.push(Invalid::new(path, "has no value; write value or valueFrom")),
            (Some(_), Some(_)) => {
                wrong.push(Invalid::new(path, "has both value and valueFrom; remove one"));
            }
            (Some(value), None) if !value.chars().all(|c| c == ' ' || c.is_ascii_graphic()) => {
                let message =
                    "has a character that a header can't have; use visible ASCII characters and spaces";
                wrong.push(Invalid::new(format!("{path}.value"), message));
            }
            _ => {}
        }
    }
}

#[cfg(test)]
#[path = "provider_tests.rs"]
mod tests;
