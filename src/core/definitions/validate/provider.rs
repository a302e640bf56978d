//! What is wrong with a MetricsProvider.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use url::{Host, Url};

use crate::{api::MetricsProvider, core::Invalid};

/// Where clouds answer with credentials, besides the link-local addresses.
const METADATA_NAMES: [&str; 3] = ["metadata", "metadata.google.internal", "instance-data"];
const METADATA_V4: Ipv4Addr = Ipv4Addr::new(100, 100, 100, 200);
const METADATA_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x0254);

/// What is wrong with a MetricsProvider; empty when all is well.
pub fn metrics_provider(object: &MetricsProvider) -> Vec<Invalid> {
    let prometheus = &object.spec.prometheus;
    let mut wrong = Vec::new();
    if let Err(message) = check(&prometheus.url) {
        wrong.push(Invalid::new("spec.prometheus.url", message));
    }
    if prometheus.timeout.is_some_and(|t| t.0.is_zero()) {
        wrong.push(Invalid::new(
            "spec.prometheus.timeout",
            "is no time at all; write one such as 10s",
        ));
    }
    wrong
}

/// The parser is the one that the query's HTTP client uses: an address in disguise (decimal, hexadecimal, mapped into
/// IPv6) is seen as what it is.
fn check(text: &str) -> Result<(), String> {
    const EXAMPLE: &str = "write one such as http://prometheus.monitoring.svc:9090";
    let url = Url::parse(text).map_err(|error| format!("{text:?} is not a URL ({error}); {EXAMPLE}"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(format!("{text:?} is neither http nor https; {EXAMPLE}"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        // The text itself is left out: it may hold a password.
        return Err(
            "holds a user name or password, which anybody who reads this object can see; remove them"
                .to_owned(),
        );
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(format!(
            "{text:?} has a query or fragment; end it before '?' or '#'"
        ));
    }
    let forbidden = match url.host() {
        Some(Host::Ipv4(ip)) => is_metadata(IpAddr::V4(ip)),
        Some(Host::Ipv6(ip)) => is_metadata(IpAddr::V6(ip)),
        Some(Host::Domain(name)) => {
            METADATA_NAMES.contains(&name.trim_end_matches('.').to_ascii_lowercase().as_str())
        }
        None => return Err(format!("{text:?} names no host; {EXAMPLE}")),
    };
    if forbidden {
        return Err(format!(
            "{text:?} is a link-local or cloud metadata address, which is never asked; {EXAMPLE}"
        ));
    }
    Ok(())
}

fn is_metadata(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_link_local() || ip == METADATA_V4,
        IpAddr::V6(ip) => match ip.to_ipv4_mapped() {
            Some(v4) => is_metadata(IpAddr::V4(v4)),
            None => ip.is_unicast_link_local() || ip == METADATA_V6,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{MetricsProviderSpec, metricsprovider::PrometheusProvider};
    use rstest::rstest;

    fn problems(url: &str) -> Vec<Invalid> {
        let prometheus = PrometheusProvider {
            url: url.to_owned(),
            ..PrometheusProvider::default()
        };
        metrics_provider(&MetricsProvider::new(
            "prometheus",
            MetricsProviderSpec { prometheus },
        ))
    }

    #[rstest]
    #[case("http://prometheus.monitoring.svc:9090")]
    #[case("https://metrics.example.com/prometheus/")]
    #[case("http://127.0.0.1:9090")]
    #[case("http://10.96.0.7:9090")]
    #[case("http://[fd00::7]:9090")]
    fn accepts(#[case] url: &str) {
        assert_eq!(problems(url), []);
    }

    #[rstest]
    #[case("prometheus:9090", "neither http nor https")]
    #[case("http://", "is not a URL")]
    #[case("ftp://prometheus", "neither http nor https")]
    #[case("http://admin:secret@prometheus", "holds a user name or password")]
    #[case("http://prometheus/?x=1", "has a query")]
    #[case("http://169.254.169.254/", "metadata address")]
    #[case("http://2852039166/", "metadata address")]
    #[case("http://0xa9fea9fe/", "metadata address")]
    #[case("http://[::ffff:169.254.169.254]/", "metadata address")]
    #[case("http://[fe80::1]/", "metadata address")]
    #[case("http://[fd00:ec2::254]/", "metadata address")]
    #[case("http://Metadata.Google.internal./", "metadata address")]
    #[case("http://100.100.100.200/", "metadata address")]
    fn refuses(#[case] url: &str, #[case] says: &str) {
        let wrong = problems(url);
        assert_eq!(wrong.len(), 1, "{wrong:?}");
        assert!(
            wrong[0].to_string().starts_with("spec.prometheus.url: ") && wrong[0].message.contains(says),
            "{}",
            wrong[0]
        );
        assert!(!wrong[0].message.contains("secret"));
    }
}
