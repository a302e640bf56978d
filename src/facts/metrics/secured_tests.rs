//! Servers that ask who it is, and Secrets that say so.

use std::sync::atomic::{AtomicUsize, Ordering};

use axum::{
    Router,
    extract::Request,
    http::StatusCode,
    response::{IntoResponse, Response as Answered},
    routing::get,
};
use futures::future::join_all;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
};
use rstest::rstest;
use rustls::{
    RootCertStore, ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::WebPkiClientVerifier,
};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use super::{
    tests::{ONE, provider, question, serve},
    *,
};
use crate::{
    facts::{clock::Clock, metrics::Sample},
    testing::{ApiServer, Fault},
};

const NAMESPACE: &str = "prod";

/// An API server with a Secret of these keys.
fn cluster(keys: &[(&str, &str)]) -> ApiServer {
    let server = ApiServer::new(Clock::System);
    let namespace =
        serde_json::json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}});
    server.apply_value(namespace).unwrap();
    apply(&server, "Secret", "own", keys);
    server
}

fn apply(server: &ApiServer, kind: &str, name: &str, keys: &[(&str, &str)]) {
    use base64::{Engine, prelude::BASE64_STANDARD};
    let data: serde_json::Map<String, serde_json::Value> = keys
        .iter()
        .map(|(key, value)| {
            let value = if kind == "Secret" {
                BASE64_STANDARD.encode(value)
            } else {
                (*value).to_owned()
            };
            ((*key).to_owned(), value.into())
        })
        .collect();
    let object = serde_json::json!({
        "apiVersion": "v1", "kind": kind, "metadata": {"name": name, "namespace": NAMESPACE}, "data": data,
    });
    server.apply_value(object).unwrap();
}

/// A provider at this URL with these fields.
fn with(url: &str, fields: &str) -> MetricsProvider {
    let mut provider = provider(url);
    provider.spec.prometheus = serde_yaml::from_str(&format!(
        "{{url: '{url}', allowLoopback: true, timeout: 5s, {fields}}}"
    ))
    .unwrap();
    provider
}

fn source(server: &ApiServer) -> Prometheus {
    Prometheus::new(server.operator_client("operator").1)
}

async fn asked(server: &ApiServer, provider: &MetricsProvider) -> Result<Sample, QueryError> {
    let answer = source(server).query(provider, &question("up")).await;
    answer.map(|answer| answer.sample)
}

async fn trouble(server: &ApiServer, provider: &MetricsProvider) -> String {
    match asked(server, provider).await {
        Err(QueryError::Unavailable(why)) => why,
        other => panic!("{other:?}"),
    }
}

/// A server that answers those who send these headers.
async fn guarded(headers: &[(&'static str, &'static str)]) -> String {
    let wanted = headers.to_vec();
    let handler = move |request: Request| {
        let is = |(name, value): &(&str, &str)| request.headers().get(*name).is_some_and(|v| v == value);
        let fine = wanted.iter().all(is);
        std::future::ready(if fine {
            ONE.into_response()
        } else {
            (StatusCode::UNAUTHORIZED, "no").into_response()
        })
    };
    serve(Router::new().route("/api/v1/query", get(handler))).await
}

#[rstest]
#[case::bearer("auth: {bearer: {secretRef: {name: own, key: token}}}", &[("authorization", "Bearer s3cret")])]
#[case::basic(
    "auth: {basic: {username: ada, passwordFrom: {secretRef: {name: own, key: password}}}}",
    &[("authorization", "Basic YWRhOnDDpHNz")]
)]
#[case::basic_from(
    "auth: {basic: {usernameFrom: {secretRef: {name: own, key: user}}, passwordFrom: {secretRef: {name: own, key: password}}}}",
    &[("authorization", "Basic YWRhOnDDpHNz")]
)]
#[case::tenant(
    "headers: [{name: X-Scope-OrgID, value: team-a}, {name: X-Key, valueFrom: {secretRef: {name: own, key: token}}}]",
    &[("x-scope-orgid", "team-a"), ("x-key", "s3cret")]
)]
#[tokio::test]
async fn who_the_operator_is(#[case] fields: &str, #[case] headers: &[(&'static str, &'static str)]) {
    // Editors leave a newline at the end.
    let server = cluster(&[("token", "s3cret\n"), ("user", "ada"), ("password", "p\u{e4}ss")]);
    let url = guarded(headers).await;
    assert_eq!(asked(&server, &with(&url, fields)).await, Ok(Sample::Value(0.25)));
    let why = trouble(&server, &with(&url, "headers: []")).await;
    assert!(
        why.contains("HTTP 401") && why.contains("spec.prometheus.auth"),
        "{why}"
    );
}

const BEARER: &str = "auth: {bearer: {secretRef: {name: own, key: token}}}";

#[rstest]
#[case::no_key(&[("other", "x")], r#"Secret prod/own, key "token" does not exist (there is other)"#)]
#[case::empty(&[("token", "")], r#"key "token" is empty"#)]
#[case::two_lines(&[("token", "s3cret\nX-Evil: 1")], r#"key "token" can't be sent in a header"#)]
#[tokio::test]
async fn a_secret_that_can_not_be_used_is_told_without_showing_it(
    #[case] keys: &[(&str, &str)],
    #[case] says: &str,
) {
    let server = cluster(keys);
    let why = trouble(&server, &with("http://127.0.0.1:9", BEARER)).await;
    assert!(
        why.starts_with("MetricsProvider prom (127.0.0.1:9): ") && why.contains(says),
        "{why}"
    );
    assert!(!why.contains("s3cret"), "{why}");
}

#[tokio::test]
async fn a_secret_that_is_not_there_is_told() {
    let server = cluster(&[]);
    server.delete::<k8s_openapi::api::core::v1::Secret>(NAMESPACE, "own");
    let why = trouble(&server, &with("http://127.0.0.1:9", BEARER)).await;
    assert!(
        why.contains(r#"Secret prod/own, key "token": the Secret does not exist; create it"#),
        "{why}"
    );
}

#[tokio::test]
async fn a_secret_that_may_not_be_read_is_told_with_the_binding_to_create() {
    let server = cluster(&[("token", "s3cret")]);
    server.on_request(|call| match call.resource.as_str() {
        "secrets" => Fault::Fail(403),
        _ => Fault::Proceed,
    });
    let why = trouble(&server, &with("http://127.0.0.1:9", BEARER)).await;
    let remedy = r#"the operator may not read Secret prod/own, key "token"; let it: kubectl create rolebinding coxswain-metrics-credentials -n prod --clusterrole=coxswain-metrics-credentials --user=operator"#;
    assert!(why.ends_with(remedy), "{why}");
}

#[tokio::test]
async fn without_a_cluster_there_are_no_secrets() {
    let answer = Prometheus::default()
        .query(&with("http://127.0.0.1:9", BEARER), &question("up"))
        .await;
    let Err(QueryError::Unavailable(why)) = answer else {
        panic!()
    };
    assert!(why.contains("can't be read without a cluster"), "{why}");
}

fn reads(server: &ApiServer) -> usize {
    server
        .log()
        .iter()
        .filter(|l| l.call.resource == "secrets" && l.call.caller == "operator")
        .count()
}

#[tokio::test]
async fn the_queries_of_one_evaluation_read_a_secret_once() {
    let server = cluster(&[("token", "s3cret")]);
    let url = guarded(&[("authorization", "Bearer s3cret")]).await;
    let (source, provider, question) = (source(&server), with(&url, BEARER), question("up"));
    let answers = join_all((0..16).map(|_| source.query(&provider, &question))).await;
    assert!(answers.iter().all(Result::is_ok));
    assert_eq!(reads(&server), 1);
}

#[tokio::test]
async fn a_changed_secret_is_used_when_the_old_one_is_not_fresh_any_more() {
    let server = cluster(&[("token", "old")]);
    let url = guarded(&[("authorization", "Bearer new")]).await;
    let (source, provider, question) = (source(&server), with(&url, BEARER), question("up"));
    assert!(source.query(&provider, &question).await.is_err());
    apply(&server, "Secret", "own", &[("token", "new")]);
    age(&source).await;
    assert!(source.query(&provider, &question).await.is_ok());
    assert_eq!(reads(&server), 2);
    // Read again and found unchanged, it serves on.
    age(&source).await;
    assert!(source.query(&provider, &question).await.is_ok());
    assert_eq!(reads(&server), 3);
    // Gone, it does not.
    server.delete::<k8s_openapi::api::core::v1::Secret>(NAMESPACE, "own");
    age(&source).await;
    assert!(source.query(&provider, &question).await.is_err());
}

/// Makes what was read as old as it may be.
async fn age(source: &Prometheus) {
    let slots: Vec<Slot> = source.slots.lock().unwrap().values().cloned().collect();
    for slot in slots {
        slot.lock().await.grow_old();
    }
}

#[tokio::test]
async fn nothing_shows_a_secret() {
    let server = cluster(&[("token", "s3cret")]);
    let (source, provider) = (source(&server), with("http://127.0.0.1:9", BEARER));
    let why = source.query(&provider, &question("up")).await.unwrap_err();
    let client = source.client(&provider).await.unwrap();
    let shown = format!("{source:?} {:?} {why}", client.inner());
    assert!(
        shown.contains("Sensitive") && !shown.contains("s3cret"),
        "{shown}"
    );
}

/// A certificate authority, and what it vouches for.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::new([]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        Self { issuer }
    }

    /// A certificate for this name, and its key, in PEM.
    fn vouch(&self, name: &str) -> (String, String) {
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        (certificate.pem(), key.serialize_pem())
    }

    fn pem(&self) -> String {
        self.issuer.pem()
    }
}

/// A listener that speaks TLS; a connection on which the handshake fails is dropped.
struct Tls(TcpListener, TlsAcceptor);

impl axum::serve::Listener for Tls {
    type Io = TlsStream<TcpStream>;
    type Addr = std::net::SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let (stream, address) = self.0.accept().await.unwrap();
            if let Ok(stream) = self.1.accept(stream).await {
                return (stream, address);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        self.0.local_addr()
    }
}

/// A server with a certificate for `name`, which asks for one of `clients`' if there are any. It answers with the host
/// that it was asked for. Its port.
async fn serve_tls(authority: &Authority, name: &str, clients: Option<&Authority>) -> u16 {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let (certificate, key) = authority.vouch(name);
    let builder = ServerConfig::builder();
    let builder = match clients {
        Some(clients) => {
            let mut roots = RootCertStore::empty();
            roots.add(clients.issuer.der().clone()).unwrap();
            builder.with_client_cert_verifier(WebPkiClientVerifier::builder(roots.into()).build().unwrap())
        }
        None => builder.with_no_client_auth(),
    };
    let config = builder
        .with_single_cert(
            vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()],
            PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap(),
        )
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let listener = Tls(listener, TlsAcceptor::from(std::sync::Arc::new(config)));
    let handler = move |request: Request| {
        let host = request.headers().get("host").cloned();
        let expected = format!("127.0.0.1:{port}");
        let answer: Answered = if host.is_some_and(|host| host == expected.as_str()) {
            ONE.into_response()
        } else {
            (StatusCode::MISDIRECTED_REQUEST, "another host").into_response()
        };
        std::future::ready(answer)
    };
    let router = Router::new().route("/api/v1/query", get(handler));
    tokio::spawn(async move { axum::serve(listener, router).await });
    port
}

const CA: &str = "caFrom: {configMapRef: {name: ca, key: ca.crt}}";

/// What comes of asking a TLS server on `port` with these fields of `tls`, where the ConfigMap `ca` holds `ca`.
async fn asked_tls(server: &ApiServer, port: u16, ca: &str, tls: &str) -> Result<Sample, QueryError> {
    apply(server, "ConfigMap", "ca", &[("ca.crt", ca)]);
    asked(
        server,
        &with(&format!("https://127.0.0.1:{port}"), &format!("tls: {{{tls}}}")),
    )
    .await
}

#[tokio::test]
async fn a_certificate_authority_of_ones_own() {
    let (authority, other) = (Authority::new("ours"), Authority::new("other"));
    let port = serve_tls(&authority, "127.0.0.1", None).await;
    let server = cluster(&[("ca.crt", &authority.pem())]);
    let ask = async |ca: &str, tls: &str| asked_tls(&server, port, ca, tls).await;
    let mine = format!("{}{}", other.pem(), authority.pem());
    assert_eq!(ask(&mine, CA).await, Ok(Sample::Value(0.25)));
    let from_secret = "caFrom: {secretRef: {name: own, key: ca.crt}}";
    assert_eq!(ask("", from_secret).await, Ok(Sample::Value(0.25)));
    for (ca, tls, says) in [
        (other.pem().as_str(), CA, "tls.caFrom"),
        (
            "garbage",
            CA,
            r#"ConfigMap prod/ca, key "ca.crt" holds no certificate in PEM"#,
        ),
        (
            "-----BEGIN CERTIFICATE-----\nZ2FyYmFnZQ==\n-----END CERTIFICATE-----\n",
            CA,
            "no HTTP client could be made",
        ),
    ] {
        let Err(QueryError::Unavailable(why)) = ask(ca, tls).await else {
            panic!()
        };
        assert!(why.contains(says), "{why}");
    }
}

#[tokio::test]
async fn a_certificate_for_another_name() {
    let authority = Authority::new("ours");
    let port = serve_tls(&authority, "prometheus.example", None).await;
    let server = cluster(&[]);
    let ask = async |more: &str| asked_tls(&server, port, &authority.pem(), &format!("{CA}{more}")).await;
    let Err(QueryError::Unavailable(why)) = ask("").await else {
        panic!()
    };
    assert!(why.contains("spec.prometheus.tls.serverName"), "{why}");
    // The server looks at the host, too: it stays the URL's.
    assert_eq!(
        ask(", serverName: prometheus.example").await,
        Ok(Sample::Value(0.25))
    );
    assert!(ask(", serverName: other.example").await.is_err());
}

#[tokio::test]
async fn the_operators_own_certificate() {
    let (authority, clients) = (Authority::new("ours"), Authority::new("clients"));
    let port = serve_tls(&authority, "127.0.0.1", Some(&clients)).await;
    let (certificate, key) = clients.vouch("coxswain");
    let server = cluster(&[("tls.crt", &certificate), ("tls.key", &key)]);
    let ask = async |more: &str| asked_tls(&server, port, &authority.pem(), &format!("{CA}{more}")).await;
    let own = ", clientCertFrom: {secretName: own}";
    assert_eq!(ask(own).await, Ok(Sample::Value(0.25)));
    let Err(QueryError::Unavailable(why)) = ask("").await else {
        panic!()
    };
    assert!(why.contains("spec.prometheus.tls.clientCertFrom"), "{why}");
    apply(&server, "Secret", "own", &[("tls.crt", "x"), ("tls.key", &key)]);
    let Err(QueryError::Unavailable(why)) = ask(own).await else {
        panic!()
    };
    assert!(
        why.contains("kubectl create secret tls") && !why.contains("PRIVATE"),
        "{why}"
    );
}

/// Credentials never follow a redirect, because nothing does.
#[tokio::test]
async fn a_redirect_gets_no_credentials() {
    let caught = std::sync::Arc::new(AtomicUsize::new(0));
    let counter = caught.clone();
    let other = serve(Router::new().fallback(move || {
        counter.fetch_add(1, Ordering::SeqCst);
        std::future::ready(ONE)
    }))
    .await;
    let redirect = move || {
        std::future::ready(axum::response::Redirect::temporary(&format!(
            "{other}/api/v1/query"
        )))
    };
    let url = serve(Router::new().route("/api/v1/query", get(redirect))).await;
    let server = cluster(&[("token", "s3cret")]);
    let why = trouble(&server, &with(&url, BEARER)).await;
    assert!(why.contains("redirects are not followed"), "{why}");
    assert_eq!(caught.load(Ordering::SeqCst), 0);
}
