//! HTTP: is the operator alive, is it ready, and how does it do? And what comes in: events and alerts.

mod alerts;
pub mod answer;
pub mod app;
mod events;
mod keys;
mod limits;
pub mod listen;
pub mod tokens;

pub use app::{Caches, Settings, router};

use std::sync::Arc;

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use tokio::{net::TcpListener, sync::watch};
use tokio_util::sync::CancellationToken;

use crate::telemetry::{CONTENT_TYPE, Telemetry};

/// Answers `/healthz` (the process serves), `/readyz` (every cache was filled) and `/metrics`.
pub fn health(ready: watch::Receiver<bool>, telemetry: Arc<Telemetry>) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz).with_state(ready))
        .route("/metrics", get(metrics).with_state(telemetry))
}

/// Serves [`health`] until `shutdown` is cancelled.
pub async fn serve(
    listener: TcpListener,
    health: Router,
    shutdown: CancellationToken,
) -> std::io::Result<()> {
    axum::serve(listener, health)
        .with_graceful_shutdown(shutdown.cancelled_owned())
        .await
}

async fn readyz(State(ready): State<watch::Receiver<bool>>) -> (StatusCode, &'static str) {
    if *ready.borrow() {
        (StatusCode::OK, "ok\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "the caches are being filled\n")
    }
}

async fn metrics(State(telemetry): State<Arc<Telemetry>>) -> Response {
    match telemetry.text() {
        Ok(text) => ([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}
