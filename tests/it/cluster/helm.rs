//! The chart's life on a real cluster: installed as it was before its last change, upgraded, given a list of namespaces, and
//! removed, by Helm 3 and by Helm 4.

use std::process::Command;

use coxswain::api::Shipyard;
use k8s_openapi::{
    api::authorization::v1::SubjectAccessReview,
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{
    Api,
    api::{DeleteParams, ListParams, PostParams},
};
use serde_json::json;

use super::harness::{Cluster, OPERATOR};
use crate::chart;

const WATCHED: &str = "helm-watched";

fn helm(program: &str, arguments: &[&str]) {
    let mut command = Command::new(program);
    command.args(arguments).args(["--namespace", OPERATOR]);
    command.env("KUBECONFIG", std::env::var("COXSWAIN_TEST_KUBECONFIG").unwrap());
    let done = command.output().unwrap();
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{program} {arguments:?}: {said}");
}

/// Whether the operator's service account may list pods, in a namespace or everywhere.
async fn may_list_pods(cluster: &Cluster, namespace: &str) -> bool {
    let user = format!("system:serviceaccount:{OPERATOR}:coxswain");
    let asked = json!({"namespace": namespace, "verb": "list", "resource": "pods"});
    let review = json!({"metadata": {}, "spec": {"user": user, "resourceAttributes": asked}});
    let review: SubjectAccessReview = serde_json::from_value(review).unwrap();
    let reviews = Api::<SubjectAccessReview>::all(cluster.client.clone());
    let answer = reviews.create(&PostParams::default(), &review).await.unwrap();
    answer.status.unwrap().allowed
}

#[tokio::test]
#[ignore = "needs a cluster where nothing is installed (make test-readme)"]
async fn the_chart_is_installed_upgraded_and_removed_and_what_users_wrote_stays() {
    let cluster = Cluster::connect().await;
    let chart = chart::chart();
    let chart = chart.to_str().unwrap();
    let before =
        std::env::var("COXSWAIN_TEST_OLD_CHART").expect("COXSWAIN_TEST_OLD_CHART names the chart before");
    cluster.fresh_namespace(WATCHED).await;
    let shipyards = cluster.api::<Shipyard>(WATCHED);
    let list = format!("watchNamespaces={{{WATCHED}}}");
    for program in chart::helms() {
        // --wait returns when the operator is ready: it has read everything that it watches.
        helm(
            &program,
            &[
                "install",
                "coxswain",
                &before,
                "--create-namespace",
                "--wait",
                "--timeout",
                "2m",
            ],
        );
        let shipyard = json!({"metadata": {"name": "shop"}, "spec": {"stages": [{"name": "production", "sequences": [{"name": "remediation", "tasks": [{"name": "get-action"}]}]}]}});
        let shipyard = serde_json::from_value(shipyard).unwrap();
        let written = shipyards.create(&PostParams::default(), &shipyard).await.unwrap();
        helm(
            &program,
            &["upgrade", "coxswain", chart, "--wait", "--timeout", "2m"],
        );
        assert!(may_list_pods(&cluster, "").await);
        helm(
            &program,
            &[
                "upgrade",
                "coxswain",
                chart,
                "--wait",
                "--timeout",
                "2m",
                "--set",
                &list,
            ],
        );
        assert!(may_list_pods(&cluster, WATCHED).await, "with Roles it was ready");
        assert!(!may_list_pods(&cluster, "").await && !may_list_pods(&cluster, "default").await);
        helm(&program, &["uninstall", "coxswain", "--wait"]);
        assert!(!may_list_pods(&cluster, WATCHED).await);
        let kept = shipyards.get("shop").await.unwrap();
        assert_eq!(kept.metadata.uid, written.metadata.uid, "crds.keep");
        shipyards.delete("shop", &DeleteParams::default()).await.unwrap();
    }
    let crds = Api::<CustomResourceDefinition>::all(cluster.client.clone());
    for crd in coxswain::api::all_crds() {
        crds.delete(crd.metadata.name.as_deref().unwrap(), &DeleteParams::default())
            .await
            .unwrap();
    }
    let gone = |left: &[CustomResourceDefinition]| !left.iter().any(|crd| crd.spec.group == "coxswain.dev");
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while !gone(&crds.list(&ListParams::default()).await.unwrap().items) {
        assert!(std::time::Instant::now() < deadline, "the CRDs go");
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
}
