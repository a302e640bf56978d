//! Events and alerts in: the real handlers before the real controllers, on the in-memory API server.

mod alerts;
mod burst;
mod docs;
mod events;
mod sockets;

use std::{path::PathBuf, sync::Arc, time::Duration};

use axum::{Router, body::Body, http::Request};
use coxswain::{
    controllers::{self, Context, Options},
    server::{self, Caches, Settings},
    testing::{Operator, World},
};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tokio::sync::{oneshot, watch};
use tower::ServiceExt;

/// A token for everything.
pub const ALL: &str = "0123456789abcdef-all";
/// One for the namespace of the scenarios.
pub const DEMO: &str = "0123456789abcdef-demo";
/// One for another project there.
pub const OTHER: &str = "0123456789abcdef-other";
/// One that answers in a user's name.
pub const BOT: &str = "0123456789abcdef-bot";

/// A directory of tokens, as the kubelet mounts it.
pub struct Tokens(pub PathBuf);

impl Tokens {
    pub fn new(test: &str) -> Self {
        let path = std::env::temp_dir().join(format!("coxswain-{test}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        let tokens = Self(path);
        tokens.write("all", &format!("token: {ALL}\nnamespace: '*'\n"));
        tokens.write("demo", &format!("token: {DEMO}\nnamespace: demo\n"));
        tokens.write(
            "other",
            &format!("token: {OTHER}\nnamespace: demo\nproject: other\n"),
        );
        tokens.write(
            "bot",
            &format!("token: {BOT}\nnamespace: demo\nuser: release-bot\n"),
        );
        tokens
    }

    pub fn write(&self, name: &str, text: &str) {
        std::fs::write(self.0.join(name), text).unwrap();
    }

    pub fn settings(&self) -> Settings {
        Settings {
            tokens: Some(self.0.clone()),
            events: true,
            alerts: true,
            per_second: 1_000_000,
        }
    }
}

impl Drop for Tokens {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Starts an operator with its doors open.
pub async fn open(world: &World, name: &str, settings: Settings) -> (Operator, Router) {
    let (send, routes) = oneshot::channel();
    let metrics = Arc::new(world.metrics.clone());
    let operator = world.start(name, |seat| async move {
        let context = Context::new(seat.client, seat.clock);
        let (ready, is_ready) = watch::channel(false);
        let (caches, shared) = watch::channel(None);
        let _ = send.send(server::router(context.clone(), &settings, shared, is_ready));
        let options = Options {
            own_namespace: "coxswain-system".to_owned(),
            allowed_images: Default::default(),
            image: Some("coxswain:test".to_owned()),
            ready,
        };
        let ended = controllers::run_sharing(
            context,
            metrics,
            &options,
            seat.shutdown,
            |definitions, problems| {
                caches.send_replace(Some(Caches {
                    definitions: definitions.clone(),
                    problems: problems.clone(),
                }));
            },
        );
        ended.await.expect("the operator ends only when it is told");
    });
    let router = routes.await.unwrap();
    world.sleep(Duration::from_secs(5)).await;
    (operator, router)
}

/// Sends a request with a token; the status and the answer.
pub async fn post(router: &Router, path: &str, token: &str, body: impl Into<Body>) -> (u16, Value) {
    post_with(
        router,
        path,
        &[("authorization", &format!("Bearer {token}"))],
        body,
    )
    .await
}

pub async fn post_with(
    router: &Router,
    path: &str,
    headers: &[(&str, &str)],
    body: impl Into<Body>,
) -> (u16, Value) {
    let mut request = Request::post(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = router
        .clone()
        .oneshot(request.body(body.into()).unwrap())
        .await
        .unwrap();
    let code = answer.status().as_u16();
    let retry = answer.headers().contains_key("retry-after");
    assert_eq!(retry, code == 429 || code >= 500, "Retry-After goes with {code}");
    let bytes = answer.into_body().collect().await.unwrap().to_bytes();
    (
        code,
        serde_json::from_slice(&bytes).unwrap_or_else(|_| panic!("no JSON: {bytes:?}")),
    )
}

/// An alert of the shop's cart, since this minute after nine.
pub fn alert(print: &str, minute: u32, resolved: bool) -> Value {
    json!({
        "status": if resolved { "resolved" } else { "firing" }, "fingerprint": print,
        "labels": {"alertname": "slow", "project": "shop", "stage": "production", "service": "cart", "pod": print},
        "annotations": {"summary": format!("{print} is slow")},
        "startsAt": format!("2026-01-05T09:{minute:02}:00Z"),
        "endsAt": if resolved { "2026-01-05T11:00:00Z" } else { "0001-01-01T00:00:00Z" },
    })
}

/// Alertmanager's message with these alerts.
pub fn message(alerts: &[Value]) -> String {
    json!({"version": "4", "status": "firing", "alerts": alerts}).to_string()
}
