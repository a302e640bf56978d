//! Where measurements come from, on a real API server: the shape of indicators, and the right to read Secrets.

use coxswain::{
    api::{MetricsProvider, MetricsProviderSpec},
    facts::metrics::{MetricsSource, Prometheus, Question},
};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::users::*;

fn indicators(name: &str, of: Value) -> Value {
    json!({
        "apiVersion": "coxswain.dev/v1alpha1", "kind": "ServiceLevelIndicator", "metadata": {"name": name},
        "spec": {"project": "shop", "indicators": {"rt": of}},
    })
}

#[tokio::test]
#[ignore = "needs a cluster (KUBECONFIG) with the CRDs"]
async fn an_indicator_is_text_or_an_object() {
    let world = World::new("indicators", true).await;
    let editor = world.user(EDITOR).await;
    let object = json!({"query": "up", "reduce": "sum", "range": {"reduce": "max", "step": "15s"}});
    // What nobody knows is kept, so that the controller can name it.
    let unknown = json!({"query": "up", "redcue": "sum"});
    for (name, of) in [("text", json!("up")), ("object", object), ("unknown", unknown)] {
        let made = editor.create(&indicators(name, of.clone())).await.unwrap();
        assert_eq!(made.data["spec"]["indicators"]["rt"], of);
    }
    for (of, says) in [
        (
            json!({"query": "up", "reduce": "p95"}),
            "Unsupported value: \"p95\"",
        ),
        (
            json!({"query": "up", "range": {"step": "15s"}}),
            "range.reduce: Required value",
        ),
        (
            json!({"query": "up", "range": {"reduce": "max", "step": "soon"}}),
            "range.step",
        ),
        (json!("x".repeat(8193)), "rt"),
    ] {
        refused(editor.create(&indicators("wrong", of)).await, says);
    }
    world.end().await;
}

#[tokio::test]
#[ignore = "needs a cluster (KUBECONFIG) with the CRDs"]
async fn secrets_are_read_where_an_administrator_bound_the_role() {
    let world = World::new("credentials", true).await;
    let namespace = world.namespace.clone();
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "own", "namespace": namespace},
        "stringData": {"token": "s3cret"},
    });
    world.apply(&secret).await;
    let prometheus = json!({
        "url": "http://127.0.0.1:1", "allowLoopback": true,
        "auth": {"bearer": {"secretRef": {"name": "own", "key": "token"}}},
    });
    let mut provider = MetricsProvider::new(
        "prometheus",
        MetricsProviderSpec {
            prometheus: serde_json::from_value(prometheus).unwrap(),
        },
    );
    provider.metadata.namespace = Some(namespace.clone());
    let source = Prometheus::new(world.operator().await.client());
    let ask = async || {
        let answer = source
            .query(&provider, &Question::instant("up", Timestamp::now()))
            .await;
        answer.unwrap_err().to_string()
    };
    let says = ask().await;
    let remedy = format!(
        "the operator may not read Secret {namespace}/own, key \"token\"; let it: kubectl create rolebinding \
         coxswain-metrics-credentials -n {namespace} --clusterrole=coxswain-metrics-credentials \
         --serviceaccount=coxswain-system:coxswain"
    );
    assert!(says.ends_with(&remedy), "{says}");
    world
        .bind(OPERATOR, "ClusterRole", "coxswain-metrics-credentials")
        .await;
    until("the Secret is read", || async {
        !ask().await.contains("may not read")
    })
    .await;
    let says = ask().await.to_lowercase();
    assert!(says.contains("connection refused"), "{says}");
    world.end().await;
}
