//! `coxswain run`: the operator.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context as _;
use kube::{Client, Config};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    sync::watch,
};
use tokio_util::sync::CancellationToken;

use crate::{
    controllers::{self, Context, Options},
    core::jobs::images::AllowedImages,
    facts::{clock::Clock, metrics::Prometheus},
    server,
};

/// Runs the operator until it is told to stop.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where /healthz and /readyz are served.
    #[arg(long, env = "COXSWAIN_HEALTH_ADDRESS", default_value = "0.0.0.0:8081")]
    health_address: SocketAddr,
    /// The namespace that the operator runs in; the ConfigMap coxswain-hold in it holds everything back, and a
    /// MetricsProvider in it may be the default for all.
    #[arg(long, env = "POD_NAMESPACE", default_value = "coxswain-system")]
    namespace: String,
    /// The images that Jobs may use: patterns, separated by commas, such as ghcr.io/shop/*. Default: all. A namespace may
    /// narrow them by its annotation coxswain.dev/allowed-images.
    #[arg(
        long,
        env = "COXSWAIN_ALLOWED_IMAGES",
        default_value = "",
        hide_default_value = true
    )]
    allowed_images: AllowedImages,
    /// The operator's own image: Jobs whose files come from a source of Flux fetch them with it.
    #[arg(long, env = "COXSWAIN_IMAGE", value_name = "IMAGE")]
    image: Option<String>,
}

/// Runs until SIGTERM or SIGINT.
pub async fn run(args: Args) -> anyhow::Result<()> {
    let mut config = Config::infer()
        .await
        .context("finding a cluster: set KUBECONFIG, or run in a pod")?;
    config.connect_timeout = Some(Duration::from_secs(10));
    // Every request has a deadline of its own and is tried again by its reconciliation; hidden retries would only
    // prolong it.
    config.default_retry = false;
    let client = Client::try_from(config).context("making a client for the cluster")?;
    let shutdown = CancellationToken::new();
    stop_on_signals(shutdown.clone())?;
    let (ready, is_ready) = watch::channel(false);
    let listener = TcpListener::bind(args.health_address)
        .await
        .with_context(|| format!("listening on {} for health checks", args.health_address))?;
    let health = tokio::spawn(server::serve(listener, is_ready, shutdown.clone()));
    let context = Context::new(client, Clock::System);
    let options = Options {
        own_namespace: args.namespace,
        allowed_images: args.allowed_images,
        image: args.image,
        ready,
    };
    let metrics = Arc::new(Prometheus::new(context.client.clone()));
    let ended = controllers::run(context, metrics, &options, shutdown.clone()).await;
    shutdown.cancel();
    health
        .await
        .context("the health server")?
        .context("the health server")?;
    Ok(ended?)
}

fn stop_on_signals(shutdown: CancellationToken) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("listening for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("listening for SIGINT")?;
    tokio::spawn(async move {
        tokio::select! { _ = terminate.recv() => (), _ = interrupt.recv() => () }
        tracing::info!("told to stop; what is being decided is finished first");
        shutdown.cancel();
    });
    Ok(())
}
