//! A version goes through the stages: the gate is asked of a real Prometheus, people answer with their own rights.

use std::{collections::BTreeMap, time::Duration};

use coxswain::{
    api::{Approval, Delivery, SequenceExecution},
    core::labels,
};
use k8s_openapi::api::core::v1::Pod;
use kube::{ResourceExt, api::ListParams};

use super::harness::{Cluster, kubectl, refused};

/// Two stages whose Jobs do nothing; the service `good` answers in 0.1 s, the service `slow` in 2 s.
const SHOP: &str = include_str!("delivery.yaml");

async fn open(cluster: &Cluster, namespace: &str) {
    cluster.fresh_namespace(namespace).await;
    kubectl(&["apply", "-n", namespace, "-f", "-"], SHOP);
}

fn deliver(namespace: &str, service: &str) {
    let delivery = format!(
        "{{apiVersion: coxswain.dev/v1alpha1, kind: Delivery, metadata: {{name: {service}}}, spec: {{project: shop, \
         service: {service}, image: 'shop:2'}}}}"
    );
    kubectl(&["apply", "-n", namespace, "-f", "-"], &delivery);
}

async fn runs(cluster: &Cluster, namespace: &str) -> Vec<SequenceExecution> {
    let api = cluster.api::<SequenceExecution>(namespace);
    api.list(&ListParams::default()).await.unwrap().items
}

fn phase(delivery: &Delivery) -> &str {
    delivery.status.as_ref().map_or("", |s| s.phase.as_str())
}

#[tokio::test]
#[ignore = "needs a cluster (make test-cluster)"]
async fn a_good_version_is_approved_by_one_with_the_right_and_reaches_production() {
    let (cluster, namespace) = (Cluster::connect().await, "delivery-good");
    open(&cluster, namespace).await;
    for (user, role) in [
        ("ann", "coxswain-approver"),
        ("eve", "coxswain-editor"),
        ("sam", "coxswain-viewer"),
    ] {
        let role = format!("--clusterrole={role}");
        let user = format!("--user={user}");
        kubectl(
            &["create", "rolebinding", "-n", namespace, &user[7..], &role, &user],
            "",
        );
    }
    deliver(namespace, "good");
    let within = Duration::from_secs(240);
    cluster
        .wait::<Delivery>(namespace, "good", within, "a question", |d| phase(d) == "Waiting")
        .await;
    let put = |a: &Approval| a.status.as_ref().is_some_and(|s| s.phase == "Pending");
    let asked = cluster
        .api::<Approval>(namespace)
        .list(&ListParams::default())
        .await
        .unwrap();
    let name = asked.items[0].name_any();
    let asked = cluster
        .wait::<Approval>(namespace, &name, Duration::from_secs(20), "the question", put)
        .await;
    assert_eq!(
        (asked.spec.image.as_deref(), asked.spec.result.as_deref()),
        (Some("shop:2"), Some("pass"))
    );
    let enforced = asked
        .status
        .as_ref()
        .unwrap()
        .conditions
        .iter()
        .find(|c| c.type_ == "Enforced");
    assert_eq!(enforced.unwrap().status, "True", "{enforced:?}");
    cluster.kill_operator().await;
    let answer = |by: &str| {
        format!(r#"[{{"op":"add","path":"/spec/answers","value":[{{"by":"{by}","choice":"Approve"}}]}}]"#)
    };
    let patch = |user: &str, by: &str| -> Vec<String> {
        [
            "patch",
            "approval",
            &name,
            "-n",
            namespace,
            "--as",
            user,
            "--type",
            "json",
            "-p",
            &answer(by),
        ]
        .map(str::to_owned)
        .into()
    };
    assert!(refused(&patch("sam", "sam")).contains("forbidden"), "a viewer");
    assert!(refused(&patch("eve", "eve")).contains("forbidden"), "an editor");
    let forged = refused(&patch("ann", "eve"));
    assert!(forged.contains("by"), "in another's name: {forged}");
    let words = patch("ann", "ann");
    kubectl(&words.iter().map(String::as_str).collect::<Vec<_>>(), "");
    let end = cluster
        .wait::<Delivery>(namespace, "good", within, "the end", |d| phase(d) == "Delivered")
        .await;
    let status = end.status.unwrap();
    let there: Vec<_> = status
        .stages
        .iter()
        .map(|s| (s.stage.as_str(), s.image.as_deref(), s.result.as_deref()))
        .collect();
    let both = [
        ("qa", Some("shop:2"), Some("pass")),
        ("production", Some("shop:2"), Some("pass")),
    ];
    assert_eq!(there, both);
    let settled = cluster
        .api::<Approval>(namespace)
        .get(&name)
        .await
        .unwrap()
        .status
        .unwrap();
    assert_eq!(
        (settled.phase.as_str(), settled.decided_by.as_deref()),
        ("Approved", Some("ann"))
    );
    println!(
        "{}",
        kubectl(
            &[
                "get",
                "deliveries,sequenceexecutions,approvals",
                "-n",
                namespace,
                "-o",
                "wide"
            ],
            ""
        )
    );
    println!(
        "{}",
        kubectl(&["describe", "approval", "-n", namespace, &name], "")
    );
}

#[tokio::test]
#[ignore = "needs a cluster (make test-cluster)"]
async fn a_slow_version_stops_at_the_first_gate() {
    let (cluster, namespace) = (Cluster::connect().await, "delivery-slow");
    open(&cluster, namespace).await;
    deliver(namespace, "slow");
    let end = cluster
        .wait::<Delivery>(namespace, "slow", Duration::from_secs(240), "the end", |d| {
            phase(d) == "Failed"
        })
        .await;
    let status = end.status.unwrap();
    assert_eq!(status.stages[0].result.as_deref(), Some("fail"));
    let stages: Vec<_> = runs(&cluster, namespace)
        .await
        .into_iter()
        .map(|r| r.spec.stage)
        .collect();
    assert_eq!(stages, ["qa"], "nothing went on to production");
    println!(
        "{}",
        kubectl(
            &[
                "get",
                "deliveries,sequenceexecutions",
                "-n",
                namespace,
                "-o",
                "wide"
            ],
            ""
        )
    );
}

#[tokio::test]
#[ignore = "needs a cluster (make test-cluster)"]
async fn fifty_runs_of_ten_services_in_a_burst_never_have_two_jobs_in_one_place() {
    let (cluster, namespace) = (Cluster::connect().await, "delivery-burst");
    open(&cluster, namespace).await;
    let all: Vec<String> = (0..50)
        .map(|i| {
            format!(
                "{{apiVersion: coxswain.dev/v1alpha1, kind: SequenceExecution, metadata: {{name: run-{i}}}, spec: \
                 {{project: shop, stage: qa, service: service-{}, sequence: quick}}}}",
                i % 10
            )
        })
        .collect();
    kubectl(&["create", "-n", namespace, "-f", "-"], &all.join("\n---\n"));
    let done = |r: &SequenceExecution| r.status.as_ref().is_some_and(|s| s.done);
    for i in 0..50 {
        let name = format!("run-{i}");
        let run = cluster
            .wait::<SequenceExecution>(namespace, &name, Duration::from_secs(300), "the end", done)
            .await;
        assert_eq!(run.status.unwrap().phase, "Succeeded", "{name}");
    }
    let pods = cluster
        .api::<Pod>(namespace)
        .list(&ListParams::default())
        .await
        .unwrap()
        .items;
    assert_eq!(pods.len(), 50);
    let mut places: BTreeMap<String, Vec<_>> = BTreeMap::new();
    for pod in &pods {
        let ran = ran(pod).expect("a container that ended");
        places
            .entry(pod.labels()[labels::SERVICE].clone())
            .or_default()
            .push(ran);
    }
    for (service, mut ran) in places {
        ran.sort();
        for pair in ran.windows(2) {
            assert!(
                pair[0].1 <= pair[1].0,
                "two containers of {service} ran at once: {pair:?}"
            );
        }
    }
}

/// When the pod's container ran.
fn ran(pod: &Pod) -> Option<(jiff::Timestamp, jiff::Timestamp)> {
    let statuses = pod.status.as_ref()?.container_statuses.as_ref()?;
    let ended = statuses.first()?.state.as_ref()?.terminated.as_ref()?;
    Some((ended.started_at.as_ref()?.0, ended.finished_at.as_ref()?.0))
}
