//! From a URL to what is asked.

use std::collections::BTreeMap;

use http::Method;

use super::kinds;

/// What is done.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Verb {
    /// One object.
    Get,
    /// All objects that fit.
    List,
    /// Changes as they come.
    Watch,
    /// POST.
    Create,
    /// PUT.
    Update,
    /// PATCH.
    Patch,
    /// One object.
    Delete,
    /// All objects that fit.
    DeleteCollection,
}

impl Verb {
    /// Whether it changes anything.
    pub fn is_write(self) -> bool {
        !matches!(self, Self::Get | Self::List | Self::Watch)
    }
}

/// A URL, taken apart.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub(super) verb: Verb,
    /// The table: `jobs.batch`.
    pub(super) resource: String,
    pub(super) version: String,
    pub(super) namespace: Option<String>,
    pub(super) name: Option<String>,
    pub(super) subresource: Option<String>,
    pub(super) params: BTreeMap<String, String>,
}

impl Target {
    pub(super) fn parse(method: &Method, uri: &http::Uri) -> Option<Self> {
        let parts: Vec<String> = uri
            .path()
            .split('/')
            .filter(|p| !p.is_empty())
            .map(decode)
            .collect();
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        let (group, version, rest) = match parts.as_slice() {
            ["api", version, rest @ ..] => ("", *version, rest),
            ["apis", group, version, rest @ ..] => (*group, *version, rest),
            _ => return None,
        };
        let (namespace, rest) = match rest {
            // `namespaces/x` and `namespaces/x/status` are the Namespace itself.
            ["namespaces", ns, plural, more @ ..] if !matches!(*plural, "status" | "finalize") => {
                (Some((*ns).to_owned()), [&[*plural], more].concat())
            }
            other => (None, other.to_vec()),
        };
        let plural = rest.first()?;
        let name = rest.get(1).map(ToString::to_string);
        let params = query(uri.query().unwrap_or_default());
        let watching = params
            .get("watch")
            .is_some_and(|w| matches!(w.as_str(), "true" | "1"));
        let verb = match (method.as_str(), &name) {
            ("GET", None) if watching => Verb::Watch,
            ("GET", None) => Verb::List,
            ("GET", Some(_)) => Verb::Get,
            ("POST", _) => Verb::Create,
            ("PUT", _) => Verb::Update,
            ("PATCH", _) => Verb::Patch,
            ("DELETE", Some(_)) => Verb::Delete,
            ("DELETE", None) => Verb::DeleteCollection,
            _ => return None,
        };
        Some(Self {
            verb,
            resource: kinds::resource(group, plural),
            version: version.to_owned(),
            namespace,
            name,
            subresource: rest.get(2).map(ToString::to_string),
            params,
        })
    }

    pub(super) fn param(&self, key: &str) -> Option<&str> {
        self.params.get(key).map(String::as_str)
    }
}

fn query(text: &str) -> BTreeMap<String, String> {
    let pairs = text.split('&').filter(|p| !p.is_empty());
    pairs
        .map(|p| p.split_once('=').unwrap_or((p, "")))
        .map(|(k, v)| (decode(k), decode(v)))
        .collect()
}

fn decode(text: &str) -> String {
    let mut bytes = text.bytes();
    let mut out = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        match byte {
            b'+' => out.push(b' '),
            b'%' => {
                let hex: Vec<u8> = bytes.by_ref().take(2).collect();
                let code = std::str::from_utf8(&hex)
                    .ok()
                    .and_then(|h| u8::from_str_radix(h, 16).ok());
                out.extend(code);
            }
            other => out.push(other),
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("GET", "/api/v1/namespaces/a", Verb::Get, "namespaces", None, Some("a"), None)]
    #[case(
        "GET",
        "/api/v1/namespaces/a/pods?watch=true",
        Verb::Watch,
        "pods",
        Some("a"),
        None,
        None
    )]
    #[case(
        "GET",
        "/apis/batch/v1/jobs?labelSelector=a%3Db",
        Verb::List,
        "jobs.batch",
        None,
        None,
        None
    )]
    #[case(
        "PUT",
        "/apis/x.y/v1/namespaces/n/zs/q/status",
        Verb::Update,
        "zs.x.y",
        Some("n"),
        Some("q"),
        Some("status")
    )]
    fn takes_urls_apart(
        #[case] method: Method,
        #[case] url: &str,
        #[case] verb: Verb,
        #[case] resource: &str,
        #[case] namespace: Option<&str>,
        #[case] name: Option<&str>,
        #[case] subresource: Option<&str>,
    ) {
        let target = Target::parse(&method, &url.parse().unwrap()).unwrap();
        assert_eq!((target.verb, target.resource.as_str()), (verb, resource));
        assert_eq!(
            (target.namespace.as_deref(), target.name.as_deref()),
            (namespace, name)
        );
        assert_eq!(target.subresource.as_deref(), subresource);
    }
}
