//! Events and alerts over HTTP, against a real API server: how long one takes, and what two thousand at once cost.

use std::time::{Duration, Instant};

use coxswain::api::{ProblemEvent, SequenceExecution};
use futures::{StreamExt, stream};
use kube::api::ListParams;
use serde_json::{Value, json};

use super::{
    figure,
    operator::{self, Process},
};
use crate::cluster::harness::{Cluster, kubectl};

const NAMESPACE: &str = "bench-inbound";
const TOKEN: &str = "a-token-of-this-measurement";
/// So many events, one after the other.
const EVENTS: usize = 500;
/// So many alerts at once.
const ALERTS: usize = 2000;
const SERVICES: usize = 50;
const CONNECTIONS: usize = 64;
/// So often an alert is sent again.
const ROUNDS: usize = 100;

#[tokio::test]
#[ignore = "a measurement (make bench)"]
async fn events_and_alerts() {
    let cluster = operator::cluster(NAMESPACE).await;
    // What is stored is measured here, not what is done about it.
    kubectl(&["label", "namespace", NAMESPACE, "coxswain.dev/hold=true"], "");
    let stage = json!({"name": "production", "sequences": [{"name": "remediation", "tasks": [{"name": "get-action"}]}]});
    let shipyard = json!({"apiVersion": "coxswain.dev/v1alpha1", "kind": "Shipyard", "metadata": {"name": "shop"},
        "spec": {"stages": [stage]}});
    kubectl(&["apply", "-n", NAMESPACE, "-f", "-"], &shipyard.to_string());
    let tokens = std::env::temp_dir().join(format!("coxswain-bench-tokens-{}", std::process::id()));
    std::fs::create_dir_all(&tokens).unwrap();
    std::fs::write(
        tokens.join("bench"),
        format!("{{token: {TOKEN}, namespace: {NAMESPACE}}}"),
    )
    .unwrap();
    let free = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .to_string();
    let operator = Process::start_with(&[
        ("COXSWAIN_LISTEN", &free),
        ("COXSWAIN_TOKENS", tokens.to_str().unwrap()),
    ])
    .await;
    let url = format!("http://{free}");
    single_events(&cluster, &url).await;
    burst(&cluster, &url, &operator).await;
    std::fs::remove_dir_all(tokens).unwrap();
}

fn client() -> reqwest::Client {
    reqwest::Client::builder()
        .timeout(Duration::from_secs(30))
        .build()
        .unwrap()
}

async fn post(client: &reqwest::Client, url: &str, body: &Value) -> u16 {
    let request = client.post(url).bearer_auth(TOKEN).json(body);
    request.send().await.unwrap().status().as_u16()
}

/// One event after the other, each of another service.
async fn single_events(cluster: &Cluster, url: &str) {
    let (client, url) = (client(), format!("{url}/v1/event"));
    let mut times = Vec::new();
    for number in 0..EVENTS {
        let event = json!({"specversion": "1.0", "id": format!("e{number}"), "source": "bench",
            "type": "sh.keptn.event.production.remediation.triggered",
            "data": {"project": "shop", "stage": "production", "service": format!("service-{number}")}});
        let begun = Instant::now();
        let code = post(&client, &url, &event).await;
        times.push(begun.elapsed());
        assert_eq!(code, 200);
        // Well below the limit of requests a second, which is not what is measured.
        tokio::time::sleep(Duration::from_millis(15)).await;
    }
    let runs = cluster
        .api::<SequenceExecution>(NAMESPACE)
        .list_metadata(&ListParams::default())
        .await
        .unwrap();
    assert_eq!(runs.items.len(), EVENTS);
    times.sort();
    let (median, last) = (times[EVENTS / 2], times[EVENTS * 99 / 100]);
    let row = format!(
        "median {:.1} ms, 99th percentile {:.1} ms (of {EVENTS})",
        ms(median),
        ms(last)
    );
    figure("one event over HTTP, until it is stored and answered", &row);
    assert!(last < Duration::from_millis(50), "the aim is under 50 ms");
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// Every alert alone, over many connections; what is refused is sent again, as Alertmanager does.
async fn burst(cluster: &Cluster, url: &str, operator: &Process) {
    let (client, url) = (client(), format!("{url}/alertmanager"));
    let begun = Instant::now();
    let sent: Vec<usize> = stream::iter(0..ALERTS)
        .map(|number| {
            let (client, url) = (client.clone(), url.clone());
            async move {
                let labels = json!({"alertname": "slow", "project": "shop", "stage": "production",
                    "service": format!("alerting-{}", number % SERVICES), "pod": format!("pod-{number}")});
                let alert = json!({"status": "firing", "labels": labels, "startsAt": "2026-01-05T09:00:00Z",
                    "fingerprint": format!("f{number}"), "annotations": {"description": "what to know of it. ".repeat(20)}});
                let message = json!({"version": "4", "status": "firing", "alerts": [alert]});
                for round in 1..=ROUNDS {
                    match post(&client, &url, &message).await {
                        200 => return round,
                        429 | 503 => tokio::time::sleep(Duration::from_secs(1)).await,
                        code => panic!("{code}: Alertmanager would never send it again"),
                    }
                }
                panic!("alert {number} was never taken")
            }
        })
        .buffer_unordered(CONNECTIONS)
        .collect()
        .await;
    let took = begun.elapsed();
    let problems = cluster
        .api::<ProblemEvent>(NAMESPACE)
        .list(&ListParams::default())
        .await
        .unwrap()
        .items;
    let stored = |p: &ProblemEvent| {
        p.status
            .as_ref()
            .map_or(0, |s| s.alerts.len() + s.more_alerts.len())
    };
    assert_eq!(
        (problems.iter().map(stored).sum::<usize>(), problems.len()),
        (ALERTS, SERVICES)
    );
    let again = sent.iter().filter(|rounds| **rounds > 1).count();
    let row = format!(
        "all stored in {:.1} s, {again} of them sent more than once; at most {:.1} MiB resident",
        took.as_secs_f64(),
        operator.peak()
    );
    figure(
        &format!("{ALERTS} alerts at once, each in a message of its own, over {CONNECTIONS} connections"),
        &row,
    );
    assert!(operator.peak() < 100.0, "the aim is under 100 MiB");
}
