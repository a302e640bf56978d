//! The definitions' controller on a real API server: `cargo test --features testing --test it -- --ignored definitions`
//! with `KUBECONFIG` set and the CRDs applied.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::{
    fmt::Debug,
    time::{Duration, Instant},
};

use coxswain::{
    api::{Evaluation, HasConfigStatus, Remediation, Shipyard},
    controllers::{Context, definitions},
    facts::{clock::Clock, namespaces::Namespaces, stores::Definitions},
};
use k8s_openapi::api::core::v1::{Event, Namespace};
use kube::{
    Api, Client,
    api::{DeleteParams, ListParams, ObjectMeta, PostParams},
    core::object::HasStatus,
};
use serde::de::DeserializeOwned;

async fn ready<K>(api: &Api<K>, name: &str, says: &str) -> Duration
where
    K: Clone + Debug + DeserializeOwned + HasStatus<Status: HasConfigStatus>,
{
    let began = Instant::now();
    loop {
        let object = api.get(name).await.unwrap();
        let condition = object
            .status()
            .and_then(|s| s.config().conditions.iter().find(|c| c.type_ == "Ready").cloned());
        let text = condition
            .map(|c| format!("{} {} {}", c.status, c.reason, c.message))
            .unwrap_or_default();
        if text.contains(says) {
            return began.elapsed();
        }
        assert!(
            began.elapsed() < Duration::from_secs(5),
            "{name}: {text:?} and not {says:?}"
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn object<K: DeserializeOwned>(kind: &str, name: &str, spec: &str) -> K {
    let spec: serde_json::Value = serde_yaml::from_str(spec).unwrap();
    serde_json::from_value(serde_json::json!({
        "apiVersion": "coxswain.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec,
    }))
    .unwrap()
}

#[tokio::test]
#[ignore = "needs a cluster (KUBECONFIG) with the CRDs"]
async fn definitions_say_whether_they_are_in_force() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = Client::try_default().await.unwrap();
    let namespace = format!("definitions-{}", std::process::id());
    let namespaces = Api::<Namespace>::all(client.clone());
    let metadata = ObjectMeta {
        name: Some(namespace.clone()),
        ..ObjectMeta::default()
    };
    namespaces
        .create(
            &PostParams::default(),
            &Namespace {
                metadata,
                ..Namespace::default()
            },
        )
        .await
        .unwrap();
    let (cached, watching) = Definitions::start(&client, &Namespaces::All, &Namespaces::All);
    let context = Context::new(client.clone(), Clock::System);
    let working = tokio::spawn(async move {
        tokio::join!(watching, definitions::run(context, cached));
    });

    let shipyards = Api::<Shipyard>::namespaced(client.clone(), &namespace);
    let created = PostParams::default();
    let good = "stages: [{name: qa}]";
    let bad = "stages: [{name: qa, sequences: [{name: d, triggeredOn: [{event: aq.d.finished}], tasks: [{name: t}]}]}]";
    shipyards
        .create(&created, &object("Shipyard", "good", good))
        .await
        .unwrap();
    let took = ready(&shipyards, "good", "True Valid").await;
    assert!(took < Duration::from_secs(1), "{took:?}");
    shipyards
        .create(&created, &object("Shipyard", "bad", bad))
        .await
        .unwrap();
    let took_bad = ready(&shipyards, "bad", "did you mean \"qa\"?").await;
    assert!(took_bad < Duration::from_secs(1), "{took_bad:?}");

    let remediations = Api::<Remediation>::namespaced(client.clone(), &namespace);
    let healing = "{project: good, remediations: []}";
    remediations
        .create(&created, &object("Remediation", "a-older", healing))
        .await
        .unwrap();
    ready(&remediations, "a-older", "True Valid").await;
    remediations
        .create(&created, &object("Remediation", "b-younger", healing))
        .await
        .unwrap();
    ready(&remediations, "b-younger", "False Ambiguous \"a-older\"").await;
    remediations
        .delete("a-older", &DeleteParams::default())
        .await
        .unwrap();
    let took_twin = ready(&remediations, "b-younger", "True Valid").await;
    assert!(took_twin < Duration::from_secs(1), "{took_twin:?}");
    println!("Valid after {took:?}, Invalid after {took_bad:?}, the younger twin after {took_twin:?}");

    // Nothing more to do: nothing more is written.
    let before = remediations
        .get("b-younger")
        .await
        .unwrap()
        .metadata
        .resource_version;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(
        remediations
            .get("b-younger")
            .await
            .unwrap()
            .metadata
            .resource_version,
        before
    );

    let events = Api::<Event>::namespaced(client.clone(), &namespace)
        .list(&ListParams::default())
        .await
        .unwrap();
    let mut reasons: Vec<_> = events.items.iter().filter_map(|e| e.reason.as_deref()).collect();
    reasons.sort_unstable();
    assert_eq!(reasons, ["Ambiguous", "Invalid"]);

    // What the schema lets pass and no reader can read harms nobody else.
    let evaluations = Api::<kube::core::DynamicObject>::namespaced_with(
        client.clone(),
        &namespace,
        &kube::core::ApiResource::erase::<Evaluation>(&()),
    );
    let unreadable = object::<kube::core::DynamicObject>(
        "Evaluation",
        "odd",
        "{project: p, stage: s, service: v, window: {start: '9999-12-31T23:59:59-14:00', end: '2026-01-01T00:00:00Z'}}",
    );
    evaluations.create(&created, &unreadable).await.unwrap();
    let guarded =
        Api::<coxswain::facts::guarded::Guarded<Evaluation>>::namespaced(client.clone(), &namespace);
    assert!(
        guarded.list(&ListParams::default()).await.unwrap().items[0]
            .readable()
            .is_none()
    );

    working.abort();
    namespaces
        .delete(&namespace, &DeleteParams::default())
        .await
        .unwrap();
}
