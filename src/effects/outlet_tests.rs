use std::sync::atomic::{AtomicUsize, Ordering};

use axum::{
    Router,
    body::Bytes,
    http::{HeaderMap, StatusCode, header::LOCATION},
    response::{IntoResponse, Response as Answered},
    routing::post,
};
use rstest::rstest;
use serde_json::{Value, json};

use super::*;
use crate::{core::outbound::position::Position, facts::clock::Clock, testing::ApiServer};

/// What a server was sent.
type Received = Arc<Mutex<Vec<(HeaderMap, Value)>>>;

async fn serve(router: Router) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("http://{address}/hook?key=1")
}

/// A server that keeps what it is sent, and answers so.
async fn server(answer: impl Fn() -> Answered + Clone + Send + Sync + 'static) -> (String, Received) {
    let received = Received::default();
    let kept = received.clone();
    let hook = move |headers: HeaderMap, body: Bytes| {
        let value = serde_json::from_slice(&body).unwrap();
        kept.lock().unwrap().push((headers, value));
        let answer = answer();
        async move { answer }
    };
    (serve(Router::new().route("/hook", post(hook))).await, received)
}

fn sink(http: &Value) -> Sink {
    Sink::parse(&serde_json::from_value(json!({ "http": http })).unwrap()).unwrap()
}

fn letter() -> Letter {
    Letter {
        position: Position::Ended,
        id: "i".to_owned(),
        type_: "sh.keptn.event.qa.delivery.finished".to_owned(),
        content_type: "application/cloudevents+json; charset=utf-8",
        body: json!({"specversion": "1.0", "data": {"message": "ünder"}}),
    }
}

fn cluster() -> ApiServer {
    let server = ApiServer::new(Clock::System);
    for object in [
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "ops"}}),
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "hook", "namespace": "ops"}}),
    ] {
        server.apply_value(object).unwrap();
    }
    server
}

async fn send(cluster: &ApiServer, sink: &Sink) -> Result<(), SendError> {
    let name = SinkName {
        namespace: "ops".to_owned(),
        name: "s".to_owned(),
    };
    Http::new(cluster.client("operator"))
        .send(&name, sink, &letter())
        .await
}

#[tokio::test]
async fn a_letter_arrives_as_it_is() {
    let (url, received) = server(|| StatusCode::ACCEPTED.into_response()).await;
    let sink =
        sink(&json!({"url": url, "allowLoopback": true, "headers": [{"name": "X-Tenant", "value": "shop"}]}));
    send(&cluster(), &sink).await.unwrap();
    let received = received.lock().unwrap();
    let (headers, body) = &received[0];
    assert_eq!((received.len(), body), (1, &letter().body));
    assert_eq!(
        headers["content-type"],
        "application/cloudevents+json; charset=utf-8"
    );
    assert_eq!(headers["x-tenant"], "shop");
}

#[tokio::test]
async fn a_url_and_a_token_may_be_secrets_and_are_never_shown() {
    let (url, received) = server(|| StatusCode::INTERNAL_SERVER_ERROR.into_response()).await;
    let cluster = cluster();
    let encode = |text: &str| {
        use base64::{Engine, prelude::BASE64_STANDARD};
        BASE64_STANDARD.encode(text)
    };
    let data = json!({"url": encode(&format!("{url}\n")), "token": encode("s3cret")});
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "hook", "namespace": "ops"}, "data": data});
    cluster.apply_value(secret).unwrap();
    let from = |key: &str| json!({"secretRef": {"name": "hook", "key": key}});
    let sink =
        sink(&json!({"urlFrom": from("url"), "allowLoopback": true, "auth": {"bearer": from("token")}}));
    let why = send(&cluster, &sink).await.unwrap_err().to_string();
    assert_eq!(received.lock().unwrap()[0].0["authorization"], "Bearer s3cret");
    assert!(
        why.contains("HTTP 500") && !why.contains("hook") && !why.contains("s3cret"),
        "{why}"
    );
}

#[tokio::test]
async fn a_secret_can_lead_nowhere_that_a_url_can_t() {
    let cluster = cluster();
    let data = json!({"url": "aHR0cDovLzE2OS4yNTQuMTY5LjI1NC8="});
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "hook", "namespace": "ops"}, "data": data});
    cluster.apply_value(secret).unwrap();
    let sink = sink(&json!({"urlFrom": {"secretRef": {"name": "hook", "key": "url"}}}));
    let why = send(&cluster, &sink).await.unwrap_err().to_string();
    assert!(
        why.contains("Secret ops/hook") && why.contains("metadata address") && !why.contains("169.254"),
        "{why}"
    );
}

#[rstest]
#[case::taken(StatusCode::OK, None)]
#[case::no_content(StatusCode::NO_CONTENT, None)]
#[case::malformed(StatusCode::BAD_REQUEST, Some(false))]
#[case::too_big(StatusCode::PAYLOAD_TOO_LARGE, Some(false))]
#[case::gone(StatusCode::GONE, Some(false))]
#[case::credentials_may_be_mended(StatusCode::UNAUTHORIZED, Some(true))]
#[case::a_path_may_be_mended(StatusCode::NOT_FOUND, Some(true))]
#[case::too_much(StatusCode::TOO_MANY_REQUESTS, Some(true))]
#[case::down(StatusCode::BAD_GATEWAY, Some(true))]
#[case::redirected(StatusCode::FOUND, Some(true))]
#[tokio::test]
async fn what_an_answer_means(#[case] status: StatusCode, #[case] again: Option<bool>) {
    let (url, _) = server(move || (status, [(LOCATION, "/elsewhere")], "because").into_response()).await;
    let sent = send(&cluster(), &sink(&json!({"url": url, "allowLoopback": true}))).await;
    let told = sent.as_ref().err().map(ToString::to_string).unwrap_or_default();
    let kind = sent.err().map(|e| matches!(e, SendError::Unavailable { .. }));
    assert_eq!(kind, again, "{told}");
    if again == Some(false) {
        assert!(
            told.ends_with(&format!("HTTP {}: because", status.as_u16())),
            "{told}"
        );
    }
}

#[tokio::test]
async fn a_server_says_how_long_to_leave_it_alone() {
    let (url, _) = server(|| (StatusCode::TOO_MANY_REQUESTS, [(RETRY_AFTER, "7")]).into_response()).await;
    let sent = send(&cluster(), &sink(&json!({"url": url, "allowLoopback": true}))).await;
    let Err(SendError::Unavailable { after, .. }) = sent else {
        panic!("{sent:?}")
    };
    assert_eq!(after, Some(Duration::from_secs(7)));
}

#[tokio::test]
async fn a_server_that_does_not_answer_costs_its_timeout() {
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = asked.clone();
    let silent = move || {
        counted.fetch_add(1, Ordering::SeqCst);
        std::future::pending::<()>()
    };
    let url = serve(Router::new().route("/hook", post(silent))).await;
    let sink = sink(&json!({"url": url, "allowLoopback": true, "timeout": "50ms"}));
    let sent = send(&cluster(), &sink).await;
    assert!(
        matches!(&sent, Err(SendError::Unavailable { why, .. }) if why.contains("50ms")),
        "{sent:?}"
    );
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}
