use std::convert::Infallible;

use axum::{
    Router,
    body::Body,
    extract::{RawQuery, Request},
    http::StatusCode,
    response::{IntoResponse, Redirect},
    routing::get,
};
use bytes::Bytes;
use futures::{StreamExt, stream};
use jiff::Timestamp;
use kube::api::ObjectMeta;
use rstest::rstest;

use super::*;
use crate::{
    api::{
        Duration as ApiDuration, MetricsProviderSpec,
        sli::{RangeQuery, TimeReducer},
    },
    facts::metrics::Sample,
};

pub(super) const ONE: &str =
    r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1,"0.25"]}]}}"#;

/// A server on a port of its own; it ends with the test's runtime.
pub(super) async fn serve(router: Router) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("http://{address}")
}

fn answering<A, F>(answer: F) -> Router
where
    A: IntoResponse + 'static,
    F: Fn() -> A + Clone + Send + Sync + 'static,
{
    let handler = move || {
        let answer = answer().into_response();
        async move { answer }
    };
    Router::new().route("/api/v1/query", get(handler.clone()).post(handler))
}

pub(super) fn provider(url: &str) -> MetricsProvider {
    let prometheus = PrometheusProvider {
        url: url.to_owned(),
        timeout: Some(ApiDuration::from_secs(5)),
        allow_loopback: true,
        ..PrometheusProvider::default()
    };
    MetricsProvider {
        metadata: ObjectMeta {
            name: Some("prom".to_owned()),
            namespace: Some("prod".to_owned()),
            generation: Some(1),
            ..ObjectMeta::default()
        },
        spec: MetricsProviderSpec { prometheus },
        status: None,
    }
}

fn time() -> Timestamp {
    "2026-01-31T12:00:00.25Z".parse().unwrap()
}

/// A question at that time.
pub(super) fn question(query: &str) -> Question {
    Question::instant(query, time())
}

async fn ask_once(provider: &MetricsProvider) -> Result<Sample, QueryError> {
    let answer = Prometheus::default().query(provider, &question("up")).await;
    answer.map(|answer| answer.sample)
}

async fn asked(url: &str, query: &str) -> Result<Sample, QueryError> {
    let answer = Prometheus::default()
        .query(&provider(url), &question(query))
        .await;
    answer.map(|answer| answer.sample)
}

async fn trouble(router: Router) -> String {
    match asked(&serve(router).await, "up").await {
        Err(QueryError::Unavailable(why)) => why,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn one_value() {
    let url = serve(answering(|| ONE)).await;
    assert_eq!(asked(&url, "up").await, Ok(Sample::Value(0.25)));
}

#[tokio::test]
async fn the_query_and_its_time_arrive_as_they_were_sent() {
    let echo = |RawQuery(query): RawQuery| async move {
        let query = query.unwrap_or_default();
        let found = query == "query=sum%28x%7Ba%3D%22b+%26c%22%7D%29&time=1769860800.250";
        if found { ONE.to_owned() } else { query }
    };
    let url = serve(Router::new().route("/prefix/api/v1/query", get(echo))).await;
    let answer = asked(&format!("{url}/prefix/"), r#"sum(x{a="b &c"})"#).await;
    assert_eq!(answer, Ok(Sample::Value(0.25)));
}

#[tokio::test]
async fn a_long_query_is_sent_as_a_form() {
    let handler = |request: Request| async move {
        let body = axum::body::to_bytes(request.into_body(), 1 << 20)
            .await
            .unwrap_or_default();
        if body.starts_with(b"query=up+") && body.len() > 3000 {
            ONE
        } else {
            ""
        }
    };
    let url = serve(Router::new().route("/api/v1/query", axum::routing::post(handler))).await;
    assert_eq!(
        asked(&url, &format!("up {}", "#".repeat(3000))).await,
        Ok(Sample::Value(0.25))
    );
}

#[tokio::test]
async fn a_bad_query_is_told_in_prometheus_words() {
    let body = r#"{"status":"error","errorType":"bad_data","error":"parse error: unclosed left brace"}"#;
    let url = serve(answering(move || (StatusCode::BAD_REQUEST, body))).await;
    let expected = QueryError::BadQuery("parse error: unclosed left brace".to_owned());
    assert_eq!(asked(&url, "up{").await, Err(expected));
}

#[rstest]
#[case(StatusCode::SERVICE_UNAVAILABLE, "HTTP 503")]
#[case(StatusCode::UNAUTHORIZED, "credentials")]
#[case(StatusCode::FORBIDDEN, "credentials")]
#[case(StatusCode::TOO_MANY_REQUESTS, "HTTP 429")]
#[tokio::test]
async fn a_server_that_refuses(#[case] status: StatusCode, #[case] shown: &str) {
    let why = trouble(answering(move || (status, "no"))).await;
    assert!(
        why.starts_with("MetricsProvider prom (127.0.0.1:") && why.contains(shown),
        "{why}"
    );
}

#[tokio::test]
async fn nobody_listens() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!(
        "http://user:secret@{}/path?token=secret",
        listener.local_addr().unwrap()
    );
    drop(listener);
    let Err(QueryError::Unavailable(why)) = asked(&url, "up").await else {
        panic!()
    };
    assert!(why.to_lowercase().contains("connection refused"), "{why}");
    assert!(!why.contains("secret"), "{why}");
}

#[tokio::test]
async fn an_answer_that_never_comes_ends_in_time() {
    let hang = || async { std::future::pending::<&str>().await };
    let url = serve(Router::new().route("/api/v1/query", get(hang))).await;
    let mut slow = provider(&url);
    slow.spec.prometheus.timeout = Some(ApiDuration(Duration::from_millis(50)));
    let Err(QueryError::Unavailable(why)) = ask_once(&slow).await else {
        panic!()
    };
    assert!(why.contains("no complete answer within 50ms"), "{why}");
}

#[tokio::test]
async fn an_answer_that_never_ends_ends_in_time() {
    let drip = || async { Body::from_stream(stream::pending::<Result<Bytes, Infallible>>()) };
    let url = serve(Router::new().route("/api/v1/query", get(drip))).await;
    let mut slow = provider(&url);
    slow.spec.prometheus.timeout = Some(ApiDuration(Duration::from_millis(50)));
    let Err(QueryError::Unavailable(why)) = ask_once(&slow).await else {
        panic!()
    };
    assert!(why.contains("no complete answer"), "{why}");
}

#[rstest]
#[case::announced(false)]
#[case::streamed(true)]
#[tokio::test]
async fn ten_megabytes_are_not_read(#[case] streamed: bool) {
    let body = move || {
        if streamed {
            let chunk = Bytes::from(vec![b' '; 64 * 1024]);
            Body::from_stream(stream::iter(
                (0..160).map(move |_| Ok::<_, Infallible>(chunk.clone())),
            ))
        } else {
            Body::from(vec![b' '; 10 * 1024 * 1024])
        }
    };
    let why = trouble(answering(body)).await;
    assert!(
        why.contains("more than 1048576 bytes") && why.contains("maxResponseBytes"),
        "{why}"
    );
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let why = trouble(answering(|| {
        Redirect::temporary("http://169.254.169.254/latest?x=secret")
    }))
    .await;
    assert!(why.contains("redirects to 169.254.169.254:80"), "{why}");
    assert!(!why.contains("secret"), "{why}");
}

#[tokio::test]
async fn garbage() {
    let why = trouble(answering(|| "<html>welcome</html>")).await;
    assert!(why.contains("<html>welcome</html>"), "{why}");
}

#[tokio::test]
async fn a_url_that_is_none() {
    let Err(QueryError::Unavailable(why)) = asked("http://[", "up").await else {
        panic!()
    };
    assert!(why.contains("spec.prometheus.url"), "{why}");
}

#[tokio::test]
async fn a_changed_provider_gets_a_new_client() {
    let (old, new) = (serve(answering(|| "old")).await, serve(answering(|| ONE)).await);
    let prometheus = Prometheus::default();
    let mut provider = provider(&old);
    assert!(prometheus.query(&provider, &question("up")).await.is_err());
    provider.spec.prometheus.url = new;
    let answer = prometheus.query(&provider, &question("up")).await.unwrap();
    assert_eq!(answer.sample, Sample::Value(0.25));
    assert_eq!(prometheus.slots.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_range_is_asked_for_in_steps_that_end_with_the_window() {
    let matrix = r#"{"status":"success","data":{"resultType":"matrix","result":[{"metric":{},"values":[[1,"1"],[2,"3"]]}]}}"#;
    let echo = move |RawQuery(query): RawQuery| async move {
        let query = query.unwrap_or_default();
        let found = query == "query=up&start=1769860710&end=1769860800&step=30";
        if found { matrix.to_owned() } else { query }
    };
    let url = serve(Router::new().route("/api/v1/query_range", get(echo))).await;
    let mut question = question("up");
    question.start = "2026-01-31T11:58:20Z".parse().unwrap();
    question.range = Some(RangeQuery {
        reduce: TimeReducer::Avg,
        step: Some(ApiDuration::from_secs(30)),
    });
    let answer = Prometheus::default().query(&provider(&url), &question).await;
    assert_eq!(answer.unwrap().sample, Sample::Value(2.0));
}

/// Fifty questions to a server that takes its time over each, as an Evaluation with fifty indicators asks them.
#[tokio::test]
async fn many_questions_share_their_connections() {
    let slow = || async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        ONE
    };
    let url = serve(Router::new().route("/api/v1/query", get(slow))).await;
    let (prometheus, provider, question) = (Prometheus::default(), provider(&url), question("up"));
    let began = std::time::Instant::now();
    let answers = stream::iter(0..50).map(|_| prometheus.query(&provider, &question));
    let answers: Vec<_> = answers.buffer_unordered(16).collect().await;
    assert!(answers.len() == 50 && answers.iter().all(Result::is_ok));
    let took = began.elapsed();
    assert!(took < Duration::from_secs(1), "{took:?}");
    assert_eq!(prometheus.slots.lock().unwrap().len(), 1);
}

#[rstest]
#[case::link_local("http://169.254.169.254/", true, "169.254.169.254, a link-local")]
#[case::mapped("http://[::ffff:169.254.169.254]/", true, "a link-local")]
#[case::loopback("http://127.0.0.1:9/", false, "127.0.0.1, a loopback address")]
#[case::by_name("http://localhost:9/", false, "localhost leads to")]
#[tokio::test]
async fn some_addresses_are_not_asked(#[case] url: &str, #[case] allow_loopback: bool, #[case] says: &str) {
    let mut provider = provider(url);
    provider.spec.prometheus.allow_loopback = allow_loopback;
    let Err(QueryError::Unavailable(why)) = ask_once(&provider).await else {
        panic!()
    };
    assert!(why.contains(says), "{why}");
}
