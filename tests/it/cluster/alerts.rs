//! The whole loop with a real Prometheus and a real Alertmanager: a rule on the service's own metric fires, the loop heals, the
//! alert ends, and so does the problem. Rules and configuration are those of examples/alertmanager.

use std::{collections::BTreeSet, fs, time::Duration};

use coxswain::api::{ProblemEvent, SequenceExecution};
use kube::{Api, ResourceExt, api::ListParams, runtime::watcher};
use serde_json::{Value, json};

use futures::{StreamExt, TryStreamExt};

use super::{
    harness::{Cluster, OPERATOR, kubectl, refused},
    tutorial::{QUIET, directory, set_up},
};

const PROJECT: &str = "fulltour";
const ALERTMANAGER: &str = "/api/v1/namespaces/monitoring/services/alertmanager:9093/proxy";

fn file(path: &str) -> String {
    fs::read_to_string(format!("{}/{path}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

/// The tutorial's Prometheus, with rules and an Alertmanager to tell.
fn prometheus() -> String {
    let mut config: Value =
        serde_yaml::from_str(&file("examples/tutorial/prometheus/prometheus.yml")).unwrap();
    config["global"]["evaluation_interval"] = json!("5s");
    config["rule_files"] = json!(["rules.yml"]);
    config["alerting"] = json!({"alertmanagers": [{"static_configs": [{"targets": ["alertmanager:9093"]}]}]});
    serde_yaml::to_string(&config).unwrap()
}

/// Alertmanager and Prometheus are there, and may send alerts to Coxswain.
fn install() {
    let token = "a-token-of-this-test-that-is-long-enough";
    let object = |kind: &str, namespace: &str, name: &str, data: Value| {
        let field = if kind == "Secret" { "stringData" } else { "data" };
        json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "namespace": namespace}, field: data})
    };
    let list = json!({"apiVersion": "v1", "kind": "List", "items": [
        object("Secret", OPERATOR, "coxswain-tokens", json!({"alertmanager": format!("{{token: {token}, namespace: {PROJECT}}}")})),
        object("Secret", "monitoring", "coxswain", json!({"token": token})),
        object("ConfigMap", "monitoring", "alerting", json!({
            "alertmanager.yml": file("examples/alertmanager/alertmanager.yml"),
            "rules.yml": file("examples/alertmanager/rules.yml"),
            "prometheus.yml": prometheus(),
        })),
    ]});
    kubectl(&["apply", "-f", "-"], &list.to_string());
    kubectl(&["apply", "-f", "-"], &file("tests/it/cluster/alertmanager.yaml"));
    for deployment in ["deployment/alertmanager", "deployment/prometheus-rules"] {
        kubectl(
            &[
                "-n",
                "monitoring",
                "rollout",
                "status",
                deployment,
                "--timeout=2m",
            ],
            "",
        );
    }
}

/// How often Alertmanager has posted to Coxswain.
fn posted() -> f64 {
    let text = kubectl(&["get", "--raw", &format!("{ALERTMANAGER}/metrics")], "");
    let counts = text.lines().filter(|l| {
        l.starts_with("alertmanager_notifications_total{") && l.contains(r#"integration="webhook""#)
    });
    counts
        .map(|l| l.rsplit(' ').next().unwrap().parse::<f64>().unwrap())
        .sum()
}

/// The first problem that is as `is_so` says and was not there before.
async fn problem(
    cluster: &Cluster,
    before: &BTreeSet<String>,
    within: Duration,
    what: &str,
    is_so: impl Fn(&ProblemEvent) -> bool,
) -> ProblemEvent {
    let api: Api<ProblemEvent> = cluster.api(PROJECT);
    let changes = watcher(api, watcher::Config::default());
    let changes = kube::runtime::WatchStreamExt::applied_objects(changes);
    let mut found = changes
        .try_filter(|p| std::future::ready(!before.contains(&p.uid().unwrap()) && is_so(p)))
        .boxed_local();
    let first = tokio::time::timeout(within, found.next()).await;
    first
        .unwrap_or_else(|_| panic!("{what} did not come within {within:?}"))
        .unwrap()
        .unwrap()
}

async fn problems(cluster: &Cluster) -> BTreeSet<String> {
    let all = cluster
        .api::<ProblemEvent>(PROJECT)
        .list(&ListParams::default())
        .await
        .unwrap();
    all.items.iter().map(|p| p.uid().unwrap()).collect()
}

/// How many runs a problem has had.
async fn runs(cluster: &Cluster, problem: &ProblemEvent) -> usize {
    let all = cluster
        .api::<SequenceExecution>(PROJECT)
        .list(&ListParams::default())
        .await
        .unwrap();
    let uid = problem.uid();
    let of = |run: &&SequenceExecution| run.spec.triggered_by.as_ref().is_some_and(|by| by.uid == uid);
    all.items.iter().filter(of).count()
}

fn is(problem: &ProblemEvent, title: &str) -> bool {
    problem.spec.problem.problem_title == title
}

#[tokio::test]
#[ignore = "needs a cluster (make test-cluster)"]
async fn an_alert_fires_the_loop_heals_and_the_problem_closes() {
    let _quiet = QUIET.lock().await;
    let cluster = Cluster::connect().await;
    let title = "http_response_time_seconds_main_page_sum";
    let before = problems(&cluster).await;
    set_up("remediation").await;
    kubectl(&["apply", "-k", &directory("")], "");
    // The demo has just healed this service, which would be left alone for five minutes.
    kubectl(
        &[
            "patch",
            "remediation",
            "helloservice",
            "-n",
            PROJECT,
            "--type=merge",
            "-p",
            r#"{"spec": {"cooldown": "1s"}}"#,
        ],
        "",
    );
    install();
    // The rule wants 15 s of it, and the kubelet brings the token into the operator's pod within a minute or so.
    let raised = problem(&cluster, &before, Duration::from_secs(180), "a problem", |p| {
        is(p, title)
    })
    .await;
    assert!(
        raised.spec.labels.contains_key("alertname"),
        "{:?}",
        raised.spec.labels
    );
    let sent = posted();
    let uid = raised.uid();
    let closed = problem(&cluster, &before, Duration::from_secs(300), "its end", |p| {
        p.uid() == uid && p.status.as_ref().is_some_and(|s| s.done)
    })
    .await;
    let status = closed.status.as_ref().unwrap();
    assert!(
        matches!(status.phase.as_str(), "Healed" | "Resolved"),
        "{status:#?}"
    );
    assert!(
        posted() >= sent + 2.0,
        "Alertmanager repeats what fires: {} after {sent}",
        posted()
    );
    assert_eq!(runs(&cluster, &closed).await, 1);
    let more = problems(&cluster).await;
    assert_eq!(more.difference(&before).count(), 1, "one problem");
    let scaled = kubectl(
        &[
            "get",
            "deployment",
            "helloservice",
            "-n",
            "fulltour-production",
            "-o",
            "jsonpath={.spec.replicas}",
        ],
        "",
    );
    assert_eq!(scaled, "2");
    fifty_pods_are_one_problem(&cluster).await;
    kubectl(
        &[
            "-n",
            "monitoring",
            "delete",
            "deployment",
            "alertmanager",
            "prometheus-rules",
        ],
        "",
    );
    kubectl(&["-n", OPERATOR, "delete", "secret", "coxswain-tokens"], "");
    refused(&[
        "get".into(),
        "secret".into(),
        "coxswain-tokens".into(),
        "-n".into(),
        OPERATOR.into(),
    ]);
}

/// Fifty alerts of one name, each of another pod, all at once.
async fn fifty_pods_are_one_problem(cluster: &Cluster) {
    let before = problems(cluster).await;
    let alerts: Vec<Value> = (0..50)
        .map(|pod| {
            json!({"labels": {"alertname": "pods_crash", "project": PROJECT, "stage": "production",
                "service": "helloservice", "pod": format!("helloservice-{pod}")}})
        })
        .collect();
    let path = format!("{ALERTMANAGER}/api/v2/alerts");
    let request = axum::http::Request::post(path)
        .header("content-type", "application/json")
        .body(Value::from(alerts).to_string().into_bytes());
    cluster.client.request_text(request.unwrap()).await.unwrap();
    let all = |p: &ProblemEvent| {
        let known = p.status.as_ref().map_or(0, |s| s.alerts.len());
        is(p, "pods_crash") && known == 50 && p.status.as_ref().is_some_and(|s| s.execution.is_some())
    };
    let raised = problem(
        cluster,
        &before,
        Duration::from_secs(60),
        "a problem of fifty alerts",
        all,
    )
    .await;
    assert_eq!(problems(cluster).await.difference(&before).count(), 1);
    assert_eq!(runs(cluster, &raised).await, 1);
}
