//! `coxswain run`: the operator.

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use anyhow::Context as _;
use kube::{Client, Config, runtime::reflector::Store};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    sync::watch,
};
use tokio_util::sync::CancellationToken;

use crate::{
    api::ProblemEvent,
    controllers::{self, Context, Options},
    core::jobs::images::AllowedImages,
    facts::{
        clock::Clock, guarded::Guarded, metrics::Prometheus, namespaces::Namespaces, stores::Definitions,
    },
    server::{
        self, Caches, Settings,
        listen::{self, Tls},
    },
};

/// Runs the operator until it is told to stop.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where /healthz, /readyz and /metrics are served.
    #[arg(long, env = "COXSWAIN_HEALTH_ADDRESS", default_value = "0.0.0.0:8081")]
    health_address: SocketAddr,
    /// The namespace that the operator runs in; the ConfigMap coxswain-hold in it holds everything back, and a
    /// MetricsProvider in it may be the default for all.
    #[arg(long, env = "POD_NAMESPACE", default_value = "coxswain-system")]
    namespace: String,
    /// Work in these namespaces only, separated by commas, and ask nothing of others: then Roles in them are enough.
    /// Default: all namespaces. Each of them must be there, and be readable, before anything starts.
    #[arg(
        long,
        env = "COXSWAIN_WATCH_NAMESPACES",
        value_name = "NAMESPACE,...",
        default_value = "",
        hide_default_value = true
    )]
    watch_namespaces: Namespaces,
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
    /// What comes in over HTTP.
    #[command(flatten)]
    inbound: Inbound,
}

/// Where events and alerts come in.
#[derive(Debug, clap::Args)]
struct Inbound {
    /// Where /v1/event and /alertmanager are served; empty: nowhere
    #[arg(
        long,
        env = "COXSWAIN_LISTEN",
        value_name = "ADDRESS",
        default_value = "0.0.0.0:8080"
    )]
    listen: String,
    /// The directory with tls.crt and tls.key, which may change at any time; without it, plain HTTP is spoken
    #[arg(long, env = "COXSWAIN_TLS", value_name = "DIR")]
    tls: Option<PathBuf>,
    /// The directory with the tokens, one file each, which may change at any time
    #[arg(
        long,
        env = "COXSWAIN_TOKENS",
        value_name = "DIR",
        default_value = "/etc/coxswain/tokens"
    )]
    tokens: PathBuf,
    /// Let everybody in who reaches the port: never outside a test
    #[arg(long)]
    insecure_no_auth: bool,
    /// Do not serve /v1/event
    #[arg(long)]
    no_events: bool,
    /// Do not serve /alertmanager
    #[arg(long)]
    no_alerts: bool,
    /// So many requests a second of each client to each route; five times as many at once after a rest
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    requests_per_second: u32,
}

impl Inbound {
    /// Starts to listen; what is served comes later.
    async fn bind(&self) -> anyhow::Result<Option<(TcpListener, Option<Arc<Tls>>)>> {
        if self.listen.is_empty() || (self.no_events && self.no_alerts) {
            return Ok(None);
        }
        let listener = TcpListener::bind(&self.listen)
            .await
            .with_context(|| format!("listening on {} for events and alerts (--listen)", self.listen))?;
        let tls = self.tls.clone().map(Tls::new).transpose();
        let tls = tls.map_err(|e| anyhow::anyhow!("--tls {e}"))?;
        Ok(Some((listener, tls.map(Arc::new))))
    }

    fn settings(&self) -> Settings {
        if self.insecure_no_auth {
            tracing::warn!(
                "--insecure-no-auth: whoever reaches {} may start every sequence",
                self.listen
            );
        }
        Settings {
            tokens: (!self.insecure_no_auth).then(|| self.tokens.clone()),
            events: !self.no_events,
            alerts: !self.no_alerts,
            per_second: self.requests_per_second,
        }
    }
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
    let context = Context::within(client, Clock::System, args.watch_namespaces);
    let routes = server::health(is_ready.clone(), context.effects.telemetry.clone());
    let health = tokio::spawn(server::serve(listener, routes, shutdown.clone()));
    let (caches, shared) = watch::channel(None);
    let inbound = args.inbound.bind().await?.map(|(listener, tls)| {
        let router = server::router(context.clone(), &args.inbound.settings(), shared, is_ready);
        let serving = listen::serve(listener, tls, router, listen::CONNECTIONS, shutdown.clone());
        tokio::spawn(serving)
    });
    let options = Options {
        own_namespace: args.namespace,
        allowed_images: args.allowed_images,
        image: args.image,
        ready,
    };
    let metrics = Arc::new(Prometheus::new(context.client.clone()));
    let share = |definitions: &Definitions, problems: &Store<Guarded<ProblemEvent>>| {
        caches.send_replace(Some(Caches {
            definitions: definitions.clone(),
            problems: problems.clone(),
        }));
    };
    let ended = controllers::run_sharing(context, metrics, &options, shutdown.clone(), share).await;
    shutdown.cancel();
    if let Some(inbound) = inbound {
        inbound.await.context("the server of events and alerts")?;
    }
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
