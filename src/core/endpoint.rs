//! A server outside, to which requests are sent: as a MetricsProvider or an EventSink describes it.

use std::{collections::BTreeSet, net::IpAddr};

use url::{Host, Url};

use crate::{
    api::metricsprovider::{Auth, Header, PrometheusProvider, SecretValue, Tls},
    core::{
        Invalid,
        address::{Refusal, refusal},
    },
};

/// A server outside, and who the operator is to it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Endpoint {
    /// The kind of object that describes it.
    pub kind: &'static str,
    /// The field in which that object does: `spec.prometheus`.
    pub path: &'static str,
    /// A URL of the sort, for remedies.
    pub example: &'static str,
    /// Where it is; None when a Secret says it.
    pub url: Option<String>,
    /// The Secret that says where it is.
    pub url_from: Option<SecretValue>,
    /// Whether its URL may have a query, as webhooks' URLs do.
    pub query: bool,
    /// Who the operator is.
    pub auth: Option<Auth>,
    /// How both prove it.
    pub tls: Option<Tls>,
    /// Further headers of each request.
    pub headers: Vec<Header>,
    /// Whether it may be on the operator's own machine.
    pub allow_loopback: bool,
}

impl From<&PrometheusProvider> for Endpoint {
    fn from(spec: &PrometheusProvider) -> Self {
        Self {
            kind: "MetricsProvider",
            path: "spec.prometheus",
            example: "http://prometheus.monitoring.svc:9090",
            url: Some(spec.url.clone()),
            url_from: None,
            query: false,
            auth: spec.auth.clone(),
            tls: spec.tls.clone(),
            headers: spec.headers.clone(),
            allow_loopback: spec.allow_loopback,
        }
    }
}

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

impl Endpoint {
    /// What is wrong with it, as far as can be said before anything is read or sent; empty when all is well.
    pub fn mistakes(&self) -> Vec<Invalid> {
        let mut wrong = Vec::new();
        match (&self.url, &self.url_from) {
            (Some(url), None) => {
                if let Err(message) = self.check(url) {
                    wrong.push(self.invalid("url", message));
                }
            }
            (None, Some(_)) => {}
            (None, None) => wrong.push(Invalid::new(self.path, "names no server; write url or urlFrom")),
            (Some(_), Some(_)) => wrong.push(Invalid::new(self.path, "has both url and urlFrom; remove one")),
        }
        wrong.extend(self.auth.as_ref().and_then(|auth| self.check_auth(auth)));
        if let Some(tls) = &self.tls {
            self.check_tls(tls, &mut wrong);
        }
        self.check_headers(&mut wrong);
        wrong
    }

    fn invalid(&self, field: &str, message: impl Into<String>) -> Invalid {
        Invalid::new(format!("{}.{field}", self.path), message)
    }

    /// Reads the URL.
    ///
    /// The parser is the one that the HTTP client uses: an address in disguise (decimal, hexadecimal, mapped into IPv6)
    /// is seen as what it is. What a name leads to is looked at when it is asked.
    ///
    /// # Errors
    /// Why nothing is sent there. A URL that a Secret holds is not shown.
    pub fn check(&self, text: &str) -> Result<Url, String> {
        let example = format!("write one such as {}", self.example);
        let shown = match self.url {
            Some(_) => format!("{text:?}"),
            None => "what the Secret says".to_owned(),
        };
        let url = Url::parse(text).map_err(|error| format!("{shown} is not a URL ({error}); {example}"))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(format!("{shown} is neither http nor https; {example}"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            // The text itself is left out: it may hold a password.
            return Err(format!(
                "holds a user name or password, which anybody who reads this object can see; move them to a Secret, and \
                 name it in {}.auth",
                self.path
            ));
        }
        if (url.query().is_some() && !self.query) || url.fragment().is_some() {
            return Err(if self.query {
                format!("{shown} has a fragment; end it before '#'")
            } else {
                format!("{shown} has a query or fragment; end it before '?' or '#'")
            });
        }
        let refused = match url.host() {
            Some(Host::Ipv4(ip)) => refusal(IpAddr::V4(ip), self.allow_loopback),
            Some(Host::Ipv6(ip)) => refusal(IpAddr::V6(ip), self.allow_loopback),
            Some(Host::Domain(name)) => refused_name(name, self.allow_loopback),
            None => return Err(format!("{shown} names no host; {example}")),
        };
        match refused {
            Some(refusal @ Refusal::Never(_)) => Err(format!("{shown} is {refusal}; {example}")),
            Some(refusal @ Refusal::Loopback) => Err(format!(
                "{shown} is {refusal}, or set {}.allowLoopback: true",
                self.path
            )),
            None => Ok(url),
        }
    }

    fn check_auth(&self, auth: &Auth) -> Option<Invalid> {
        let at = format!("{}.auth", self.path);
        let basic = match (&auth.bearer, &auth.basic) {
            (Some(_), None) => return None,
            (None, Some(basic)) => basic,
            (None, None) => {
                return Some(Invalid::new(at, "is empty; write bearer or basic, or remove it"));
            }
            (Some(_), Some(_)) => {
                return Some(Invalid::new(at, "has both bearer and basic; remove one"));
            }
        };
        let path = format!("{at}.basic");
        match (&basic.username, &basic.username_from) {
            (Some(_), Some(_)) => Some(Invalid::new(
                path,
                "has both username and usernameFrom; remove one",
            )),
            (None, None) => Some(Invalid::new(path, "names nobody; write username or usernameFrom")),
            (Some(name), None) if name.contains(':') || name.chars().any(char::is_control) => {
                Some(Invalid::new(
                    format!("{path}.username"),
                    format!("{name:?} can't be sent: it has a colon or control character; remove it"),
                ))
            }
            _ => None,
        }
    }

    fn check_tls(&self, tls: &Tls, wrong: &mut Vec<Invalid>) {
        let at = format!("{}.tls", self.path);
        if self.url.as_ref().is_some_and(|url| url.starts_with("http:")) {
            wrong.push(Invalid::new(
                at.as_str(),
                "has no effect, because the URL begins with http:; write https:, or remove tls",
            ));
        }
        if let Some(ca) = &tls.ca_from {
            let said = match (&ca.config_map_ref, &ca.secret_ref) {
                (None, None) => Some("is empty; write configMapRef or secretRef"),
                (Some(_), Some(_)) => Some("has both configMapRef and secretRef; remove one"),
                _ => None,
            };
            wrong.extend(said.map(|said| Invalid::new(format!("{at}.caFrom"), said)));
        }
        if let Some(name) = &tls.server_name
            && !matches!(Host::parse(name), Ok(Host::Domain(read)) if read == name.to_ascii_lowercase())
        {
            let message = format!(
                "{name:?} is no name that a certificate can have; write one such as prometheus.example.com"
            );
            wrong.push(Invalid::new(format!("{at}.serverName"), message));
        }
    }

    fn check_headers(&self, wrong: &mut Vec<Invalid>) {
        let mut seen = BTreeSet::new();
        for (index, header) in self.headers.iter().enumerate() {
            let path = format!("{}.headers[{index}]", self.path);
            let name = header.name.to_ascii_lowercase();
            let shown = &header.name;
            let token = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
            let said = if name.is_empty() || !name.chars().all(token) {
                Some(format!(
                    "{shown:?} is no header's name; use letters, digits, '-' and '_'"
                ))
            } else if name == "authorization" {
                Some(format!(
                    "Authorization is set by {}.auth; write it there",
                    self.path
                ))
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
}

fn refused_name(name: &str, allow_loopback: bool) -> Option<Refusal> {
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    if METADATA_NAMES.contains(&name.as_str()) {
        return Some(Refusal::Never("a link-local or cloud metadata"));
    }
    let loopback = name == "localhost" || name.ends_with(".localhost");
    (loopback && !allow_loopback).then_some(Refusal::Loopback)
}
