//! HTTP: is the operator alive, and is it ready? And what comes in: events and alerts.

mod alerts;
pub mod answer;
pub mod app;
mod events;
mod keys;
mod limits;
pub mod listen;
pub mod tokens;

pub use app::{Caches, Settings, router};

use axum::{Router, extract::State, http::StatusCode, routing::get};
use tokio::{net::TcpListener, sync::watch};
use tokio_util::sync::CancellationToken;

/// Answers `/healthz` (the process serves) and `/readyz` (every cache was filled) until `shutdown` is cancelled.
pub async fn serve(
    listener: TcpListener,
    ready: watch::Receiver<bool>,
    shutdown: CancellationToken,
) -> std::io::Result<()> {
    let routes = Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .with_state(ready);
    axum::serve(listener, routes)
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
