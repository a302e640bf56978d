//! A real Prometheus, asked by the real source of measurements; `hack/test.sh prometheus` says where its program is.

use std::{
    fs,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use axum::{Router, routing::get};
use coxswain::{
    api::{
        Evaluation, MetricsProvider, MetricsProviderSpec, ProblemEvent, SequenceExecution,
        metricsprovider::PrometheusProvider,
        sli::{RangeQuery, SeriesReducer, TimeReducer},
    },
    controllers::{self, Context, Options},
    facts::{
        clock::Clock,
        metrics::{MetricsSource, Prometheus, QueryError, Question, Sample},
    },
    telemetry::Telemetry,
    testing::{ApiServer, Metrics, Play, Player, World},
};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::batch::v1::Job;

/// Nothing here takes longer.
const DEADLINE: Duration = Duration::from_secs(60);
/// How often Prometheus is asked whether it has what a test waits for.
const POLL: Duration = Duration::from_millis(100);

/// A Prometheus of its own, on a loopback port; it ends with this, and its data goes.
struct Server {
    directory: PathBuf,
    port: u16,
    child: Option<Child>,
}

impl Server {
    /// Starts one that scrapes `target` every second.
    async fn start(name: &str, target: &str) -> Self {
        let directory = std::env::temp_dir().join(format!("coxswain-{name}-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        let config = format!(
            "global: {{scrape_interval: 1s, scrape_timeout: 1s}}\n\
             scrape_configs: [{{job_name: shop, static_configs: [{{targets: ['{target}']}}]}}]\n"
        );
        fs::write(directory.join("prometheus.yml"), config).unwrap();
        let port = std::net::TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let mut server = Self {
            directory,
            port,
            child: None,
        };
        server.run().await;
        server
    }

    /// Runs the program on the same port and data; waits until it answers.
    async fn run(&mut self) {
        let program = std::env::var("COXSWAIN_TEST_PROMETHEUS").expect("hack/test.sh prometheus sets it");
        let child = Command::new(program)
            .arg(format!(
                "--config.file={}",
                self.directory.join("prometheus.yml").display()
            ))
            .arg(format!(
                "--storage.tsdb.path={}",
                self.directory.join("data").display()
            ))
            .arg(format!("--web.listen-address=127.0.0.1:{}", self.port))
            .args(["--log.level=error"])
            .stdout(Stdio::null())
            .spawn()
            .expect("Prometheus starts");
        self.child = Some(child);
        self.until("vector(1)", |one| one > 0.0).await;
    }

    fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    fn provider(&self) -> MetricsProvider {
        let prometheus = PrometheusProvider {
            url: self.url(),
            allow_loopback: true,
            ..PrometheusProvider::default()
        };
        MetricsProvider::new("prometheus", MetricsProviderSpec { prometheus })
    }

    async fn ask(&self, question: &Question) -> Result<Sample, QueryError> {
        let answer = Prometheus::default().query(&self.provider(), question).await;
        answer.map(|answer| answer.sample)
    }

    /// Waits until a query comes to what it should.
    async fn until(&self, query: &str, is_so: impl Fn(f64) -> bool) {
        eventually(query, async || {
            let answer = self.ask(&Question::instant(query, Timestamp::now())).await;
            matches!(answer, Ok(Sample::Value(value)) if is_so(value))
        })
        .await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
        let _ = fs::remove_dir_all(&self.directory);
    }
}

async fn eventually(what: &str, is_so: impl AsyncFn() -> bool) {
    let began = Instant::now();
    while !is_so().await {
        assert!(began.elapsed() < DEADLINE, "not within {DEADLINE:?}: {what}");
        tokio::time::sleep(POLL).await;
    }
}

/// Something to scrape: gauges, and a counter that begins anew after its fifth scrape, as if its process had.
async fn target() -> String {
    let scrapes = Arc::new(AtomicU32::new(0));
    let metrics = move || {
        let count = scrapes.fetch_add(1, Ordering::SeqCst) + 1;
        let hits = if count <= 5 { count * 10 } else { (count - 5) * 10 };
        std::future::ready(format!(
            "rt{{service=\"cart\"}} 0.3\n\
             pods{{pod=\"a\"}} 2\npods{{pod=\"b\"}} 5\npods{{pod=\"c\"}} 11\n\
             idle 0\nscrapes {count}\nhits_total {hits}\n"
        ))
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let router = Router::new().route("/metrics", get(metrics));
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

fn missing(answer: Result<Sample, QueryError>) -> String {
    match answer {
        Ok(Sample::Missing(why)) => why,
        other => panic!("{other:?}"),
    }
}

/// What the operator tells of itself is read by the real one.
#[tokio::test]
#[ignore = "needs Prometheus: hack/test.sh prometheus"]
async fn the_operator_s_own_metrics() {
    let telemetry = Arc::new(Telemetry::new());
    let closed = serde_json::from_value(serde_json::json!({
        "metadata": {"name": "p", "namespace": "team", "creationTimestamp": "2026-01-01T00:00:00Z"},
        "spec": {"project": "shop", "stage": "s", "service": "v", "problem": {"problemTitle": "a \"b\"\\n"}},
        "status": {"phase": "Healed", "done": true, "finishedAt": "2026-01-01T00:05:00.000000Z"},
    }));
    telemetry.problem_written(&closed.unwrap(), false);
    let (_ready, is_ready) = tokio::sync::watch::channel(false);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let routes = coxswain::server::health(is_ready, telemetry);
    tokio::spawn(async move { axum::serve(listener, routes).await });

    let server = Server::start("own", &address).await;
    server.until("coxswain_ready", |ready| ready == 0.0).await;
    let title = r#"coxswain_problems_closed_total{problem="a \"b\"\\n",phase="Healed"}"#;
    server.until(title, |count| count == 1.0).await;
    server
        .until("coxswain_time_to_heal_seconds_sum", |sum| sum == 300.0)
        .await;
    server
        .until(
            "histogram_quantile(1, coxswain_time_to_heal_seconds_bucket)",
            |q| q == 300.0,
        )
        .await;
    server
        .until("process_resident_memory_bytes", |bytes| bytes > 1e6)
        .await;
    server.until("count(coxswain_build_info)", |one| one == 1.0).await;
    server.until("up", |up| up == 1.0).await;
}

#[tokio::test]
#[ignore = "needs Prometheus: hack/test.sh prometheus"]
async fn every_kind_of_answer() {
    let server = Server::start("answers", &target().await).await;
    server.until("scrapes", |count| count >= 12.0).await;
    let now = Timestamp::now();
    let ask = async |query: &str| server.ask(&Question::instant(query, now)).await;

    assert_eq!(ask("rt{service=\"cart\"}").await, Ok(Sample::Value(0.3)));
    assert_eq!(ask("scalar(rt) * 2").await, Ok(Sample::Value(0.6)));
    let Err(QueryError::BadQuery(why)) = ask("rt{").await else {
        panic!()
    };
    assert!(why.contains("parse error"), "{why}");
    assert_eq!(missing(ask("nothing").await), "the query gives no values");
    assert!(missing(ask("idle / idle").await).contains("gives NaN"));
    assert!(missing(ask("scalar(rt) / idle").await).contains("gives inf"));
    assert!(missing(ask("rt[5s]").await).contains("a range of values"));
    assert!(missing(ask("\"text\"").await).contains("a text"));

    let why = missing(ask("pods").await);
    assert!(
        why.starts_with("the query gives 3 series where one is needed: {__name__=\"pods\", ")
            && why.contains("pod=\"a\"")
            && why.contains("pod=\"b\""),
        "{why}"
    );
    for (reduce, value) in [
        (SeriesReducer::Sum, 18.0),
        (SeriesReducer::Avg, 6.0),
        (SeriesReducer::Max, 11.0),
        (SeriesReducer::Min, 2.0),
    ] {
        let question = Question {
            reduce: Some(reduce),
            ..Question::instant("pods", now)
        };
        assert_eq!(
            server.ask(&question).await,
            Ok(Sample::Value(value)),
            "{reduce:?}"
        );
    }

    // The counter fell once; the rate over the fall is still ten a second.
    assert_eq!(ask("resets(hits_total[1m])").await, Ok(Sample::Value(1.0)));
    let Ok(Sample::Value(rate)) = ask("rate(hits_total[10s])").await else {
        panic!()
    };
    assert!((rate - 10.0).abs() < 2.0, "{rate}");

    let range = |reduce, series| Question {
        start: now - SignedDuration::from_secs(8),
        reduce: series,
        range: Some(RangeQuery {
            reduce,
            step: Some("1s".parse().unwrap()),
        }),
        ..Question::instant("scrapes", now)
    };
    let mut seen = Vec::new();
    for reduce in [
        TimeReducer::Min,
        TimeReducer::Avg,
        TimeReducer::Max,
        TimeReducer::Last,
    ] {
        match server.ask(&range(reduce, None)).await {
            Ok(Sample::Value(value)) => seen.push(value),
            other => panic!("{other:?}"),
        }
    }
    let [least, average, most, last] = seen[..] else {
        panic!()
    };
    assert!(least < average && average < most, "{seen:?}");
    assert!(
        (most - last).abs() < f64::EPSILON && most - least >= 6.0,
        "{seen:?}"
    );
    let pods = Question {
        query: "pods".to_owned(),
        ..range(TimeReducer::Max, Some(SeriesReducer::Sum))
    };
    assert_eq!(server.ask(&pods).await, Ok(Sample::Value(18.0)));
    let unreduced = Question { reduce: None, ..pods };
    assert!(missing(server.ask(&unreduced).await).contains("3 series"));
}

const SHOP: &str = r#"
apiVersion: coxswain.dev/v1alpha1
kind: Shipyard
metadata: {name: shop}
spec:
  stages:
    - name: production
      sequences:
        - name: remediation
          triggeredOn:
            - event: production.remediation.finished
              selector: {match: {evaluation.result: fail}}
          tasks:
            - name: get-action
            - name: action
            - name: evaluation
              properties: {timeframe: 2s, grace: GRACE}
---
apiVersion: coxswain.dev/v1alpha1
kind: Remediation
metadata: {name: cart}
spec:
  project: shop
  remediations:
    - problemType: slow
      actionsOnOpen: [{action: restart}, {action: scale}]
---
apiVersion: coxswain.dev/v1alpha1
kind: JobConfig
metadata: {name: cart}
spec:
  project: shop
  actions:
    - name: Act
      events: [{name: sh.keptn.event.action.triggered}]
      tasks: [{name: act, image: kubectl, cmd: [act]}]
---
apiVersion: coxswain.dev/v1alpha1
kind: ServiceLevelObjective
metadata: {name: cart}
spec:
  project: shop
  objectives:
    - {sli: response_time, pass: [{criteria: ["<=0.4"]}]}
    - {sli: pods, pass: [{criteria: [">=18"]}]}
  total_score: {pass: "90%", warning: "75%"}
---
apiVersion: coxswain.dev/v1alpha1
kind: ServiceLevelIndicator
metadata: {name: cart}
spec:
  project: shop
  indicators:
    response_time: avg(rt{service="$SERVICE"})
    pods: {query: pods, reduce: sum, range: {reduce: max, step: 1s}}
---
apiVersion: coxswain.dev/v1alpha1
kind: MetricsProvider
metadata: {name: prometheus}
spec: {prometheus: {url: URL, allowLoopback: true, timeout: 2s}}
---
apiVersion: coxswain.dev/v1alpha1
kind: ProblemEvent
metadata: {name: slow}
spec: {project: shop, stage: production, service: cart, problem: {problemTitle: slow}}
"#;

/// The whole operator, in real time, with a problem of the cart; Jobs are played, Prometheus is not.
fn operate(server: &Server, grace: &str) -> (World, coxswain::testing::Operator) {
    let api = ApiServer::new(Clock::System);
    // The rights that are shipped, as World::new gives them.
    api.grant(None, include_str!("../../config/rbac/role.yaml"));
    api.grant(
        Some("coxswain-system"),
        include_str!("../../config/rbac/hold_role.yaml"),
    );
    let world = World {
        client: api.client("user"),
        player: Player::start(api.clone()),
        post: coxswain::testing::Post::default(),
        metrics: Metrics::default(),
        clock: Clock::System,
        server: api,
    };
    world.apply("{apiVersion: v1, kind: Namespace, metadata: {name: demo}}");
    world.player.script(|_| Play::exits(0));
    world.apply(&SHOP.replace("URL", &server.url()).replace("GRACE", grace));
    let operator = world.start("operator", |seat| async move {
        let metrics = Arc::new(Prometheus::new(seat.client.clone()));
        let context = Context::new(seat.client, seat.clock);
        let options = Options {
            own_namespace: "coxswain-system".to_owned(),
            allowed_images: Default::default(),
            image: Some("coxswain:test".to_owned()),
            ready: tokio::sync::watch::channel(false).0,
        };
        let ended = controllers::run(context, metrics, &options, seat.shutdown).await;
        ended.expect("the operator ends only when it is told");
    });
    (world, operator)
}

fn evaluations(world: &World) -> Vec<Evaluation> {
    world.list()
}

fn ended(world: &World) -> bool {
    let runs = world.list::<SequenceExecution>();
    runs.len() == 1 && runs[0].status.as_ref().is_some_and(|s| s.done)
}

/// The run's end: phase, attempts, and the actions that were run.
fn outcome(world: &World) -> (String, i32, usize) {
    let status = world.list::<SequenceExecution>()[0].status.clone().unwrap();
    let attempt = status.attempt.unwrap_or_default();
    (status.phase, attempt, world.list::<Job>().len())
}

#[tokio::test]
#[ignore = "needs Prometheus: hack/test.sh prometheus"]
async fn a_prometheus_that_comes_back_within_the_grace_is_a_verdict() {
    let mut server = Server::start("grace", &target().await).await;
    server.until("scrapes", |count| count >= 3.0).await;
    let (world, operator) = operate(&server, "60s");
    world
        .wait_until("an Evaluation", DEADLINE, |w| !evaluations(w).is_empty())
        .await;
    server.stop();
    // It is asked in vain at least once: the controller says so in an Event.
    let in_vain = |w: &World| {
        let events = w.list::<k8s_openapi::api::core::v1::Event>();
        events.iter().any(|e| e.reason.as_deref() == Some("CouldNotAsk"))
    };
    world.wait_until("a question in vain", DEADLINE, in_vain).await;
    server.run().await;
    world.wait_until("the run's end", DEADLINE, ended).await;
    let all = evaluations(&world);
    let status = all[0].status.clone().unwrap();
    assert_eq!(
        (all.len(), status.result.as_deref()),
        (1, Some("pass")),
        "{}",
        world.describe()
    );
    assert_eq!(outcome(&world), ("Succeeded".to_owned(), 1, 1));
    operator.stop().await;
}

#[tokio::test]
#[ignore = "needs Prometheus: hack/test.sh prometheus"]
async fn a_prometheus_that_stays_away_is_no_sick_service() {
    let mut server = Server::start("away", &target().await).await;
    server.until("scrapes", |count| count >= 3.0).await;
    let (world, operator) = operate(&server, "1s");
    world
        .wait_until("an Evaluation", DEADLINE, |w| !evaluations(w).is_empty())
        .await;
    server.stop();
    let judged = |w: &World| {
        evaluations(w)
            .first()
            .and_then(|e| e.status.clone())
            .is_some_and(|s| s.done)
    };
    world
        .wait_until("the first Evaluation's end", DEADLINE, judged)
        .await;
    let status = evaluations(&world)[0].status.clone().unwrap();
    assert_eq!(
        (
            status.phase.as_str(),
            status.result.as_deref(),
            status.reason.as_str()
        ),
        ("Inconclusive", None, "ProviderUnavailable"),
        "{}",
        world.describe()
    );
    assert!(
        status.message.to_lowercase().contains("connection refused"),
        "{}",
        status.message
    );
    // The same attempt asks again, and acts on nothing; then the service is found well.
    server.run().await;
    world.wait_until("the run's end", DEADLINE, ended).await;
    assert_eq!(
        outcome(&world),
        ("Succeeded".to_owned(), 1, 1),
        "{}",
        world.describe()
    );
    assert_eq!(evaluations(&world).len(), 2);
    assert_eq!(world.list::<ProblemEvent>().len(), 1);
    operator.stop().await;
}
