//! What the alerts and the dashboard name exists, and moves: the real controllers and the server, in virtual time.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    sync::Arc,
    time::Duration,
};

use axum::{Router, body::Body, http::Request};
use coxswain::{
    api::ProblemEvent,
    controllers::{self, Context, Options},
    core::outbound::position::Position,
    effects::outlet::SendError,
    facts::namespaces::Namespaces,
    server::{self, Caches},
    telemetry::{CONTENT_TYPE, Described, Telemetry},
    testing::{Call, Fault, Operator, Play, Verb, World},
};
use http_body_util::BodyExt;
use k8s_openapi::api::core::v1::Namespace;
use kube::ResourceExt;
use promql_parser::{
    label::MatchOp,
    parser::{self, Expr, LabelModifier, VectorSelector},
};
use serde_json::{Value, json};
use tokio::sync::{oneshot, watch};
use tower::ServiceExt;

use crate::{
    scenarios::{SHOP, heals, hours, jobs_created, mins, problem, run_of, secs},
    server::{ALL, Tokens, alert, message, post},
};

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

fn alerts() -> Vec<Value> {
    let file: Value = serde_yaml::from_str(&read("config/prometheus/alerts.yaml")).unwrap();
    let groups = file["groups"].as_array().unwrap();
    groups
        .iter()
        .flat_map(|g| g["rules"].as_array().unwrap().clone())
        .collect()
}

/// The queries of the dashboard, by the title of their panel. Grafana's own variables are filled in.
fn panels() -> Vec<(String, String)> {
    let dashboard: Value = serde_json::from_str(&read("config/prometheus/dashboard.json")).unwrap();
    let mut found = Vec::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        for target in panel["targets"].as_array().into_iter().flatten() {
            let query = target["expr"].as_str().unwrap();
            let filled = query.replace("$__rate_interval", "5m").replace("$__range", "6h");
            let filled = filled.replace("$namespace", ".*").replace("$project", ".*");
            assert!(!filled.contains('$'), "{query}");
            found.push((panel["title"].as_str().unwrap().to_owned(), filled));
        }
    }
    assert!(found.len() > 30);
    found
}

/// Every query of alerts and dashboard, with where it stands.
fn queries() -> Vec<(String, Expr)> {
    let rules = alerts().into_iter().map(|rule| {
        let name = rule["alert"].as_str().unwrap().to_owned();
        (name, rule["expr"].as_str().unwrap().to_owned())
    });
    let parse = |(of, query): (String, String)| {
        let parsed = parser::parse(&query).unwrap_or_else(|e| panic!("{of}: {query}: {e}"));
        (of, parsed)
    };
    rules.chain(panels()).map(parse).collect()
}

/// Calls `visit` with every expression within this one.
fn walk(expr: &Expr, visit: &mut impl FnMut(&Expr)) {
    visit(expr);
    match expr {
        Expr::Aggregate(a) => walk(&a.expr, visit),
        Expr::Unary(u) => walk(&u.expr, visit),
        Expr::Binary(b) => {
            walk(&b.lhs, visit);
            walk(&b.rhs, visit);
        }
        Expr::Paren(p) => walk(&p.expr, visit),
        Expr::Subquery(s) => walk(&s.expr, visit),
        Expr::MatrixSelector(m) => walk(&Expr::VectorSelector(m.vs.clone()), visit),
        Expr::Call(call) => call.args.args.iter().for_each(|arg| walk(arg, visit)),
        Expr::VectorSelector(_) | Expr::NumberLiteral(_) | Expr::StringLiteral(_) | Expr::Extension(_) => {}
    }
}

fn selectors(expr: &Expr) -> Vec<VectorSelector> {
    let mut found = Vec::new();
    walk(expr, &mut |e| {
        if let Expr::VectorSelector(selector) = e {
            found.push(selector.clone());
        }
    });
    found
}

fn name_of(selector: &VectorSelector) -> String {
    selector.name.clone().expect("every selector names a metric")
}

/// The metric that a series' name belongs to.
fn described<'a>(all: &'a [Described], series: &str) -> Option<&'a Described> {
    let histogram = ["_bucket", "_sum", "_count"]
        .iter()
        .find_map(|s| series.strip_suffix(s));
    all.iter()
        .find(|d| d.name == series || (d.kind == "histogram" && histogram == Some(d.name)))
}

#[test]
fn what_is_named_exists_with_these_labels() {
    let all = Telemetry::new().described();
    for (of, query) in queries() {
        let mut known = BTreeSet::from(["instance", "le"]);
        for selector in selectors(&query) {
            let name = name_of(&selector);
            let metric = described(&all, &name).unwrap_or_else(|| panic!("{of}: there is no {name}"));
            assert!(
                metric.kind != "histogram" || metric.name != name,
                "{of}: {name} has no samples of its own"
            );
            known.extend(metric.labels);
            for matcher in &selector.matchers.matchers {
                assert!(
                    metric.labels.contains(&matcher.name.as_str()),
                    "{of}: {name} has no label {}",
                    matcher.name
                );
            }
        }
        walk(&query, &mut |expr| {
            if let Expr::Aggregate(aggregate) = expr
                && let Some(LabelModifier::Include(by)) = &aggregate.modifier
            {
                for label in &by.labels {
                    assert!(known.contains(label.as_str()), "{of}: by ({label})");
                }
            }
        });
    }
}

/// What the texts of an alert show is what its query keeps.
#[test]
fn alerts_say_what_to_do() {
    let page = read("docs/metrics.md");
    for rule in alerts() {
        let name = rule["alert"].as_str().unwrap();
        assert!(
            matches!(
                rule["labels"]["severity"].as_str(),
                Some("critical" | "warning" | "info")
            ),
            "{name}"
        );
        for text in ["summary", "description"] {
            let text = rule["annotations"][text].as_str().unwrap();
            assert!(!text.is_empty(), "{name}");
            let query = rule["expr"].as_str().unwrap();
            for shown in text.split("$labels.").skip(1) {
                let label: String = shown.chars().take_while(char::is_ascii_lowercase).collect();
                let kept = query
                    .split("by (")
                    .nth(1)
                    .and_then(|by| by.split(')').next())
                    .unwrap_or_default();
                assert!(
                    kept.split(", ").any(|l| l == label),
                    "{name}: {query} does not keep {label}"
                );
            }
        }
        let runbook = rule["annotations"]["runbook_url"].as_str().unwrap();
        let anchor = name.to_lowercase();
        assert!(
            runbook.ends_with(&format!("/docs/metrics.md#{anchor}")),
            "{runbook}"
        );
        assert!(
            page.contains(&format!("\n### {name}\n\n")),
            "docs/metrics.md says nothing of {name}"
        );
    }
    for heading in page.lines().filter_map(|l| l.strip_prefix("### ")) {
        assert!(
            alerts().iter().any(|rule| rule["alert"] == heading),
            "there is no alert {heading}"
        );
    }
}

#[test]
fn the_page_and_the_copies_are_up_to_date() {
    let page = read("docs/metrics.md");
    assert_eq!(
        coxswain::cli::metrics::renew(&page).unwrap(),
        page,
        "run make generate"
    );
    for file in ["alerts.yaml", "dashboard.json"] {
        let (ours, copy) = (
            format!("config/prometheus/{file}"),
            format!("charts/coxswain/monitoring/{file}"),
        );
        assert_eq!(read(&ours), read(&copy), "run make generate");
    }
    let rules: Value = serde_yaml::from_str(&read("config/prometheus/alerts.yaml")).unwrap();
    let object: Value = serde_yaml::from_str(&read("config/prometheus/prometheusrule.yaml")).unwrap();
    assert_eq!(
        (&object["kind"], &object["spec"]),
        (&json!("PrometheusRule"), &rules),
        "run make generate"
    );
}

/// The series of a scrape and their values.
type Scrape = BTreeMap<(String, BTreeMap<String, String>), f64>;

fn parse(text: &str) -> Scrape {
    let mut found = Scrape::new();
    for line in text.lines().filter(|l| !l.starts_with('#')) {
        let (series, value) = line.rsplit_once(' ').unwrap();
        let parsed = parser::parse(series).unwrap_or_else(|e| panic!("{line}: {e}"));
        let Expr::VectorSelector(selector) = parsed else {
            panic!("{line} is no series");
        };
        let labels = selector
            .matchers
            .matchers
            .iter()
            .map(|m| (m.name.clone(), m.value.clone()));
        let new = found.insert((name_of(&selector), labels.collect()), value.parse().unwrap());
        assert!(new.is_none(), "{series} is there twice");
    }
    found
}

/// An operator with both its ports, and what was scraped of it so far.
struct Watched {
    world: World,
    operator: Operator,
    inbound: Router,
    health: Router,
    scrapes: Vec<Scrape>,
    _tokens: Tokens,
}

impl Watched {
    /// The shop, whose cart is slow until an action called `healer` has run.
    async fn open(world: World, healer: &'static str, test: &str) -> Self {
        world.apply(SHOP);
        world.metrics.are(1.2);
        heals(&world, healer);
        Self::start(world, test).await
    }

    /// An operator for what there is.
    async fn start(world: World, test: &str) -> Self {
        let tokens = Tokens::new(test);
        let (settings, metrics) = (tokens.settings(), Arc::new(world.metrics.clone()));
        let post = Arc::new(world.post.clone());
        let (send, routes) = oneshot::channel();
        let operator = world.start("operator", |seat| async move {
            let context = Context::sending(seat.client, seat.clock, Namespaces::All, post);
            let (ready, is_ready) = watch::channel(false);
            let (caches, shared) = watch::channel(None);
            let telemetry = context.effects.telemetry.clone();
            let _ = send.send((
                server::router(context.clone(), &settings, shared, is_ready.clone()),
                server::health(is_ready, telemetry),
            ));
            let options = Options {
                own_namespace: "coxswain-system".to_owned(),
                allowed_images: Default::default(),
                image: None,
                ready,
            };
            let share = |definitions: &_, problems: &_| {
                let (definitions, problems) = (Clone::clone(definitions), Clone::clone(problems));
                caches.send_replace(Some(Caches {
                    definitions,
                    problems,
                }));
            };
            let ended = controllers::run_sharing(context, metrics, &options, seat.shutdown, share).await;
            ended.expect("the operator ends only when it is told");
        });
        let (inbound, health) = routes.await.unwrap();
        let mut watched = Self {
            world,
            operator,
            inbound,
            health,
            scrapes: Vec::new(),
            _tokens: tokens,
        };
        watched.scrape().await;
        watched.world.sleep(secs(5)).await;
        watched.scrape().await;
        watched
    }

    async fn get(&self, path: &str) -> (u16, String, String) {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let answer = self.health.clone().oneshot(request).await.unwrap();
        let code = answer.status().as_u16();
        let kind = answer.headers()["content-type"].to_str().unwrap().to_owned();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        (code, kind, String::from_utf8(body.to_vec()).unwrap())
    }

    async fn scrape(&mut self) {
        let (code, kind, text) = self.get("/metrics").await;
        assert_eq!((code, kind.as_str()), (200, CONTENT_TYPE));
        self.scrapes.push(parse(&text));
    }

    /// Lets the time pass, scraping every half minute.
    async fn watch(&mut self, mut left: Duration, until: impl Fn(&World) -> bool) {
        while !until(&self.world) {
            left = left
                .checked_sub(secs(30))
                .unwrap_or_else(|| panic!("in time:\n{}", self.world.describe()));
            self.world.sleep(secs(30)).await;
            self.scrape().await;
        }
        self.world.sleep(secs(5)).await;
        self.scrape().await;
    }

    async fn closed(&mut self, problem: &str, deadline: Duration) -> String {
        let done = |w: &World| phase_of(w, problem).is_some();
        self.watch(deadline, done).await;
        phase_of(&self.world, problem).unwrap()
    }

    /// The sum of the series of this name that have these labels, now.
    fn now(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let fits =
            |of: &BTreeMap<String, String>| labels.iter().all(|(k, v)| of.get(*k).is_some_and(|is| is == v));
        let last = self.scrapes.last().unwrap();
        last.iter()
            .filter(|((n, of), _)| n == name && fits(of))
            .map(|(_, value)| value)
            .sum()
    }
}

/// The phase in which a problem was closed.
fn phase_of(world: &World, problem: &str) -> Option<String> {
    let status = world.get::<ProblemEvent>(problem)?.status?;
    status.done.then_some(status.phase)
}

/// Healed by the second action; another problem of the cart waits meanwhile.
fn healing() -> Vec<Scrape> {
    World::run(async |world: World| {
        let mut shop = Watched::open(world, "scale", "metrics-healing").await;
        assert_eq!(shop.get("/readyz").await.0, 200);
        shop.world.apply(&problem("slow-1", "slow"));
        shop.world.sleep(secs(1)).await;
        shop.world.apply(&problem("errors-1", "errors"));
        shop.world.sleep(secs(1)).await;
        shop.scrape().await;
        assert_eq!(shop.now("coxswain_queue_length", &[]), 1.0);
        assert_eq!(shop.now("coxswain_executions", &[("phase", "Queued")]), 1.0);
        assert_eq!(shop.closed("slow-1", mins(20)).await, "Healed");
        assert_eq!(shop.closed("errors-1", mins(20)).await, "Healed");
        let slow = [("problem", "slow")];
        assert_eq!(shop.now("coxswain_attempts_until_healed_sum", &slow), 2.0);
        assert_eq!(shop.now("coxswain_time_to_heal_seconds_count", &slow), 1.0);
        let attempts = |action, result| {
            shop.now(
                "coxswain_remediation_attempts_total",
                &[("problem", "slow"), ("action", action), ("result", result)],
            )
        };
        assert_eq!(
            (attempts("restart", "fail"), attempts("scale", "pass")),
            (1.0, 1.0)
        );
        assert_eq!(
            shop.now(
                "coxswain_executions_ended_total",
                &[("phase", "Succeeded"), ("namespace", "demo")]
            ),
            2.0
        );
        // The action and the test of three attempts.
        let ran = |task| shop.now("coxswain_task_duration_seconds_count", &[("task", task)]);
        assert_eq!(
            (ran("action"), ran("je-test"), ran("evaluation")),
            (3.0, 3.0, 3.0)
        );
        assert_eq!(shop.now("coxswain_gate_score_count", &[("service", "cart")]), 3.0);
        let created = [("verb", "create"), ("kind", "Job"), ("outcome", "ok")];
        assert_eq!(
            shop.now("coxswain_api_writes_total", &created),
            jobs_created(&shop.world).len() as f64
        );
        assert_eq!(
            (
                shop.now("coxswain_problems", &[]),
                shop.now("coxswain_executions", &[])
            ),
            (0.0, 0.0)
        );
        shop.scrapes
    })
}

const SINK: &str = "
apiVersion: coxswain.dev/v1alpha1
kind: EventSink
metadata: {name: events}
spec: {http: {url: 'http://events'}}
";

/// Nothing helps; what runs fails; and a hold keeps another run waiting until it expires.
fn in_vain() -> Vec<Scrape> {
    World::run(async |world: World| {
        world.apply(SINK);
        world.post.takes(|_, letter| match letter.position {
            Position::Ended => Err(SendError::Refused("HTTP 400".to_owned())),
            _ => Ok(()),
        });
        let mut shop = Watched::open(world, "nothing", "metrics-vain").await;
        shop.world.apply(&problem("slow-1", "slow"));
        assert_eq!(shop.closed("slow-1", mins(30)).await, "Exhausted");
        assert_eq!(
            shop.now("coxswain_executions_ended_total", &[("phase", "Exhausted")]),
            1.0
        );
        let sent = |outcome| shop.now("coxswain_sink_letters_total", &[("outcome", outcome)]);
        assert_eq!((sent("delivered"), sent("undelivered")), (29.0, 1.0));
        shop.world.player.script(|_| Play::exits(1));
        shop.world.apply(&problem("errors-1", "errors"));
        shop.closed("errors-1", mins(30)).await;
        let actions = |result| {
            shop.now(
                "coxswain_task_duration_seconds_count",
                &[("task", "action"), ("result", result)],
            )
        };
        assert!(actions("fail") + actions("errored") >= 1.0);
        hold(&shop.world, true);
        shop.world.apply(&problem("slow-2", "slow"));
        shop.world.sleep(secs(5)).await;
        shop.scrape().await;
        assert_eq!(shop.now("coxswain_executions", &[("phase", "Held")]), 1.0);
        assert_eq!(shop.now("coxswain_holds", &[("scope", "namespace")]), 1.0);
        assert_eq!(shop.closed("slow-2", hours(2)).await, "Expired");
        hold(&shop.world, false);
        shop.watch(mins(1), |_| true).await;
        assert_eq!(shop.now("coxswain_holds", &[]), 0.0);
        shop.scrapes
    })
}

fn hold(world: &World, is: bool) {
    world.server.edit::<Namespace>("", "demo", |namespace| {
        let labels = namespace.labels_mut();
        match is {
            true => drop(labels.insert("coxswain.dev/hold".to_owned(), "true".to_owned())),
            false => drop(labels.remove("coxswain.dev/hold")),
        }
    });
}

/// The provider is not there.
fn unmeasured() -> Vec<Scrape> {
    World::run(async |world: World| {
        let mut shop = Watched::open(world, "nothing", "metrics-unmeasured").await;
        shop.world.metrics.are_unavailable("connection refused");
        shop.world.apply(&problem("slow-1", "slow"));
        assert_eq!(shop.closed("slow-1", hours(2)).await, "Exhausted");
        assert_eq!(
            shop.now("coxswain_executions_ended_total", &[("phase", "Inconclusive")]),
            1.0
        );
        assert!(shop.now("coxswain_evaluations_total", &[("result", "inconclusive")]) > 2.0);
        assert!(
            shop.now(
                "coxswain_gate_query_duration_seconds_count",
                &[("outcome", "unavailable")]
            ) > 2.0
        );
        shop.scrapes
    })
}

/// Senders that are wrong, unknown, or right; and an API server that takes nothing for a while.
fn trouble() -> Vec<Scrape> {
    World::run(async |world: World| {
        let mut shop = Watched::open(world, "restart", "metrics-trouble").await;
        let strange = json!({"status": "firing", "fingerprint": "b", "labels": {"alertname": "odd"},
                             "annotations": {}, "startsAt": "2026-01-05T09:00:00Z", "endsAt": "0001-01-01T00:00:00Z"});
        let sent = message(&[alert("a", 0, false), strange]);
        assert_eq!(
            post(&shop.inbound, "/alertmanager", "wrong", sent.clone())
                .await
                .0,
            401
        );
        assert_eq!(post(&shop.inbound, "/alertmanager", ALL, "no JSON").await.0, 400);
        assert_eq!(post(&shop.inbound, "/v1/event", ALL, "no JSON").await.0, 400);
        shop.world
            .server
            .on_request(|call: &Call| match (call.resource.as_str(), call.verb) {
                ("problemevents.coxswain.dev", Verb::Create) => Fault::Fail(500),
                ("events", Verb::Create) => Fault::Fail(500),
                _ => Fault::Proceed,
            });
        let demo = "/alertmanager?namespace=demo";
        assert_eq!(post(&shop.inbound, demo, ALL, sent.clone()).await.0, 503);
        shop.world
            .server
            .on_request(|call: &Call| match (call.resource.as_str(), call.verb) {
                ("sequenceexecutions.coxswain.dev", Verb::Update) => Fault::Fail(500),
                ("events", Verb::Create) => Fault::Fail(500),
                _ => Fault::Proceed,
            });
        assert_eq!(post(&shop.inbound, demo, ALL, sent).await.0, 200);
        shop.watch(mins(2), |w| w.server.writes().len() > 6).await;
        let stored = |outcome| shop.now("coxswain_http_requests_total", &[("outcome", outcome)]);
        assert_eq!(
            (
                stored("stored"),
                stored("forbidden"),
                stored("refused"),
                stored("unavailable")
            ),
            (1.0, 1.0, 2.0, 1.0)
        );
        let alerts = |outcome| shop.now("coxswain_alerts_total", &[("outcome", outcome)]);
        assert_eq!((alerts("mapped"), alerts("unmapped")), (1.0, 1.0));
        let failed = [("kind", "SequenceExecution"), ("reason", "write")];
        assert!(shop.now("coxswain_reconcile_errors_total", &failed) >= 1.0);
        assert!(shop.now("coxswain_events_dropped_total", &[]) >= 1.0);
        shop.world.server.calm();
        let found = shop.world.list::<ProblemEvent>()[0].name_any();
        shop.watch(mins(20), |w| {
            run_of(w, &found).is_some_and(|r| r.status.is_some_and(|s| s.done))
        })
        .await;
        shop.scrapes
    })
}

/// Somebody makes up problems: this alone is told to the metrics directly.
fn flood() -> Vec<Scrape> {
    let telemetry = Telemetry::new();
    let scrape = || parse(&telemetry.text().unwrap());
    let before = scrape();
    for n in 0..1100 {
        let closed: ProblemEvent = serde_json::from_value(json!({
            "metadata": {"name": format!("p{n}"), "namespace": "demo"},
            "spec": {"project": "shop", "stage": "s", "service": "v", "problem": {"problemTitle": format!("pod {n}")}},
            "status": {"phase": "Exhausted", "done": true},
        }))
        .unwrap();
        telemetry.problem_written(&closed, false);
    }
    vec![before, scrape()]
}

/// Whether a series that the selector selects has had two values. One that was not there was 0.
fn moves(selector: &VectorSelector, scrapes: &[Scrape]) -> bool {
    let name = name_of(selector);
    let fits = |labels: &BTreeMap<String, String>| {
        selector.matchers.matchers.iter().all(|m| {
            let value = labels.get(&m.name).map_or("", String::as_str);
            match &m.op {
                MatchOp::Equal => value == m.value,
                MatchOp::NotEqual => value != m.value,
                MatchOp::Re(re) => re.is_match(value),
                MatchOp::NotRe(re) => !re.is_match(value),
            }
        })
    };
    let mut values: BTreeMap<&BTreeMap<String, String>, BTreeSet<u64>> = BTreeMap::new();
    for ((_, labels), value) in scrapes
        .iter()
        .flatten()
        .filter(|((n, l), _)| *n == name && fits(l))
    {
        values.entry(labels).or_default().insert(value.to_bits());
    }
    let always = |labels| {
        scrapes
            .iter()
            .all(|s| s.contains_key(&(name.clone(), Clone::clone(labels))))
    };
    values
        .iter()
        .any(|(labels, values)| values.len() > 1 || (!always(*labels) && !values.contains(&0)))
}

#[test]
fn what_is_named_moves() {
    let stories = [healing, in_vain, unmeasured, trouble, flood].map(std::thread::spawn);
    let stories = stories.map(std::thread::JoinHandle::join).map(Result::unwrap);
    let mut still = BTreeSet::new();
    // These say what there is, and need not change.
    let constant = |name: &str| name == "coxswain_build_info" || name.starts_with("process_");
    let moved = |selector: &VectorSelector| {
        let name = name_of(selector);
        let there = |s: &Scrape| s.iter().any(|((n, _), value)| *n == name && *value > 0.0);
        stories.iter().any(|scrapes| match constant(&name) {
            true => scrapes.iter().any(there),
            false => moves(selector, scrapes),
        })
    };
    for (of, query) in queries() {
        for selector in selectors(&query).iter().filter(|s| !moved(s)) {
            still.insert(format!("{of}: {selector}"));
        }
    }
    // Also what the page lists, and neither alerts nor dashboard name.
    for Described { name, kind, .. } in Telemetry::new().described() {
        let name = if kind == "histogram" {
            format!("{name}_count")
        } else {
            name.to_owned()
        };
        let Ok(Expr::VectorSelector(selector)) = parser::parse(&name) else {
            panic!("{name} is no name");
        };
        if !moved(&selector) {
            still.insert(name);
        }
    }
    assert!(still.is_empty(), "these never move: {still:#?}");
}

/// What was counted is not counted again by the next operator; and it sees what stands.
#[test]
fn a_restart_counts_nothing_twice() {
    World::run(async |world: World| {
        let mut shop = Watched::open(world, "scale", "metrics-restart").await;
        shop.world.apply(&problem("slow-1", "slow"));
        shop.watch(mins(20), |w| {
            run_of(w, "slow-1").is_some_and(|r| r.status.is_some_and(|s| s.attempt == Some(2)))
        })
        .await;
        let counted =
            |shop: &Watched, task| shop.now("coxswain_task_duration_seconds_count", &[("task", task)]);
        let before = (counted(&shop, "action"), counted(&shop, "evaluation"));
        let world = shop.world.clone();
        shop.operator.crash();
        let mut next = Watched::start(world, "metrics-restarted").await;
        assert_eq!(
            next.now("coxswain_executions_started_total", &[]),
            0.0,
            "it began before"
        );
        assert_eq!(next.now("coxswain_problems", &[("phase", "Healing")]), 1.0);
        assert_eq!(next.closed("slow-1", mins(20)).await, "Healed");
        let after = (counted(&next, "action"), counted(&next, "evaluation"));
        assert_eq!((before.0 + after.0, before.1 + after.1), (2.0, 2.0));
        assert_eq!(next.now("coxswain_executions_ended_total", &[]), 1.0);
    });
}
