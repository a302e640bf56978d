use rstest::rstest;

use super::*;
use crate::api::{MetricsProviderSpec, metricsprovider::PrometheusProvider};

fn mistakes(prometheus: PrometheusProvider) -> Vec<String> {
    let object = MetricsProvider::new("prometheus", MetricsProviderSpec { prometheus });
    metrics_provider(&object)
        .iter()
        .map(ToString::to_string)
        .collect()
}

fn of_url(url: &str, allow_loopback: bool) -> Vec<String> {
    mistakes(PrometheusProvider {
        url: url.to_owned(),
        allow_loopback,
        ..PrometheusProvider::default()
    })
}

/// What is wrong with these fields beside an https URL.
fn of_fields(yaml: &str) -> Vec<String> {
    mistakes(serde_yaml::from_str(&format!("{{url: 'https://prometheus', {yaml}}}")).unwrap())
}

#[rstest]
#[case("http://prometheus.monitoring.svc:9090")]
#[case("https://metrics.example.com/prometheus/")]
#[case("http://10.96.0.7:9090")]
#[case("http://[fd00::7]:9090")]
fn servers(#[case] url: &str) {
    assert!(of_url(url, false).is_empty());
}

#[rstest]
#[case("http://127.0.0.1:9090")]
#[case("http://2130706433")]
#[case("http://[::1]:9090")]
#[case("http://[::ffff:127.0.0.1]")]
#[case("http://Localhost:9090")]
#[case("http://prometheus.localhost.")]
fn the_own_machine_only_where_it_was_allowed(#[case] url: &str) {
    let wrong = of_url(url, false);
    assert!(
        wrong.len() == 1 && wrong[0].contains("set spec.prometheus.allowLoopback: true"),
        "{wrong:?}"
    );
    assert!(of_url(url, true).is_empty());
}

#[rstest]
#[case("prometheus:9090", "neither http nor https")]
#[case("http://", "is not a URL")]
#[case("ftp://prometheus", "neither http nor https")]
#[case("http://admin:secret@prometheus", "name it in spec.prometheus.auth")]
#[case("http://prometheus/?x=1", "has a query")]
#[case("http://169.254.169.254/", "metadata address")]
#[case("http://2852039166/", "metadata address")]
#[case("http://0xa9fea9fe/", "metadata address")]
#[case("http://[::ffff:169.254.169.254]/", "metadata address")]
#[case("http://[fe80::1]/", "metadata address")]
#[case("http://[fd00:ec2::254]/", "metadata address")]
#[case("http://Metadata.Google.internal./", "metadata address")]
#[case("http://100.100.100.200/", "metadata address")]
#[case("http://0.0.0.0:9090/", "unspecified address")]
#[case("http://239.1.1.1/", "multicast or broadcast address")]
fn refuses(#[case] url: &str, #[case] says: &str) {
    let wrong = of_url(url, true);
    assert_eq!(wrong.len(), 1, "{wrong:?}");
    assert!(
        wrong[0].starts_with("spec.prometheus.url: ") && wrong[0].contains(says),
        "{wrong:?}"
    );
    assert!(!wrong[0].contains("secret"));
}

#[rstest]
#[case("auth: {bearer: {secretRef: {name: s, key: k}}}")]
#[case("auth: {basic: {username: u, passwordFrom: {secretRef: {name: s, key: k}}}}")]
#[case(
    "auth: {basic: {usernameFrom: {secretRef: {name: s, key: u}}, passwordFrom: {secretRef: {name: s, key: k}}}}"
)]
#[case(
    "tls: {caFrom: {configMapRef: {name: c, key: ca.crt}}, clientCertFrom: {secretName: s}, serverName: P.example}"
)]
#[case(
    "headers: [{name: X-Scope-OrgID, value: 'team a|team b'}, {name: X-Key, valueFrom: {secretRef: {name: s, key: k}}}]"
)]
fn accepts(#[case] fields: &str) {
    assert_eq!(of_fields(fields), Vec::<String>::new());
}

#[rstest]
#[case("auth: {}", "auth: is empty; write bearer or basic, or remove it")]
#[case(
    "auth: {bearer: {secretRef: {name: s, key: k}}, basic: {username: u, passwordFrom: {secretRef: {name: s, key: k}}}}",
    "auth: has both bearer and basic; remove one"
)]
#[case(
    "auth: {basic: {passwordFrom: {secretRef: {name: s, key: k}}}}",
    "auth.basic: names nobody; write username or usernameFrom"
)]
#[case(
    "auth: {basic: {username: 'a:b', passwordFrom: {secretRef: {name: s, key: k}}}}",
    "auth.basic.username: \"a:b\" can't be sent: it has a colon or control character; remove it"
)]
#[case("tls: {caFrom: {}}", "tls.caFrom: is empty; write configMapRef or secretRef")]
#[case(
    "tls: {caFrom: {configMapRef: {name: c, key: k}, secretRef: {name: c, key: k}}}",
    "tls.caFrom: has both configMapRef and secretRef; remove one"
)]
#[case(
    "tls: {serverName: 10.0.0.1}",
    "tls.serverName: \"10.0.0.1\" is no name that a certificate can have; write one such as prometheus.example.com"
)]
#[case(
    "headers: [{name: authorization, value: x}]",
    "headers[0].name: Authorization is set by spec.prometheus.auth; write it there"
)]
#[case(
    "headers: [{name: Host, value: x}]",
    "headers[0].name: Host belongs to the connection and can't be set; remove it"
)]
#[case(
    "headers: [{name: Transfer-Encoding, value: x}]",
    "headers[0].name: Transfer-Encoding belongs to the connection and can't be set; remove it"
)]
#[case(
    "headers: [{name: 'X Y', value: x}]",
    "headers[0].name: \"X Y\" is no header's name; use letters, digits, '-' and '_'"
)]
#[case(
    "headers: [{name: X-Y, value: x}, {name: x-y, value: z}]",
    "headers[1].name: x-y is there twice; remove one"
)]
#[case("headers: [{name: X}]", "headers[0]: has no value; write value or valueFrom")]
#[case(
    "headers: [{name: X, value: x, valueFrom: {secretRef: {name: s, key: k}}}]",
    "headers[0]: has both value and valueFrom; remove one"
)]
#[case(
    "headers: [{name: X, value: \"a\\r\\nY: b\"}]",
    "headers[0].value: has a character that a header can't have; use visible ASCII characters and spaces"
)]
fn refuses_fields(#[case] fields: &str, #[case] says: &str) {
    assert_eq!(of_fields(fields), [format!("spec.prometheus.{says}")]);
}

#[test]
fn tls_needs_https() {
    let wrong = mistakes(serde_yaml::from_str("{url: 'http://p', tls: {serverName: p.example}}").unwrap());
    assert!(
        wrong.len() == 1 && wrong[0].contains("write https:, or remove tls"),
        "{wrong:?}"
    );
}
