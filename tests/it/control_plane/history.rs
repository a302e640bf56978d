//! A service with a long past: brakes are counted from what a real API server gives in pages.

use std::{sync::Arc, time::Duration};

use coxswain::{
    api::{ProblemEvent, SequenceExecution, Timestamp, execution::SequenceExecutionStatus},
    controllers::{self, Context, Options},
    facts::{clock::Clock, metrics::Prometheus},
};
use futures::{StreamExt, stream};
use k8s_openapi::api::core::v1::Namespace;
use kube::{
    Api, Client, ResourceExt,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams},
    core::DynamicObject,
    runtime::wait::await_condition,
};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// More than one page.
const RUNS: usize = 520;
/// The one that acted lately; its name sorts after all others.
const LATEST: &str = "z-acted-lately";

fn object(kind: &str, name: &str, spec: Value) -> Value {
    json!({"apiVersion": "coxswain.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec})
}

/// A run that has ended; with a time, one that acted and ended then.
async fn ended(runs: &Api<SequenceExecution>, name: &str, acted: Option<jiff::Timestamp>) {
    let spec =
        json!({"project": "shop", "stage": "production", "service": "cart", "sequence": "remediation"});
    let run = serde_json::from_value(object("SequenceExecution", name, spec)).unwrap();
    let mut run = runs.create(&PostParams::default(), &run).await.unwrap();
    run.status = Some(SequenceExecutionStatus {
        done: true,
        phase: "Succeeded".to_owned(),
        actions_started: acted.into_iter().map(Timestamp).collect(),
        finished_at: acted.map(Timestamp),
        ..SequenceExecutionStatus::default()
    });
    runs.replace_status(name, &PostParams::default(), &run)
        .await
        .unwrap();
}

#[tokio::test]
#[ignore = "needs a cluster (KUBECONFIG) with the CRDs"]
async fn a_cooldown_is_found_among_hundreds_of_runs_and_the_old_ones_go() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = Client::try_default().await.unwrap();
    let namespace = format!("history-{}", std::process::id());
    let namespaces = Api::<Namespace>::all(client.clone());
    let wanted = serde_json::from_value(json!({"metadata": {"name": namespace}})).unwrap();
    namespaces.create(&PostParams::default(), &wanted).await.unwrap();

    let runs = Api::<SequenceExecution>::namespaced(client.clone(), &namespace);
    let old = stream::iter(0..RUNS).map(|n| {
        let runs = runs.clone();
        async move { ended(&runs, &format!("old-{n}"), None).await }
    });
    old.buffer_unordered(32).collect::<Vec<_>>().await;
    ended(&runs, LATEST, Some(jiff::Timestamp::now())).await;

    let tasks = json!([{"name": "get-action"}, {"name": "action"}]);
    let stages = json!([{"name": "production", "sequences": [{"name": "remediation", "tasks": tasks}]}]);
    let actions = json!([{"problemType": "slow", "actionsOnOpen": [{"action": "scale"}]}]);
    let place = json!({"project": "shop", "stage": "production", "service": "cart", "problem": {"problemTitle": "slow"}});
    for definition in [
        object("Shipyard", "shop", json!({"stages": stages})),
        object(
            "Remediation",
            "shop",
            json!({"project": "shop", "remediations": actions}),
        ),
        object("ProblemEvent", "slow", place),
    ] {
        let kind = definition["kind"].as_str().unwrap().to_owned();
        let definition: DynamicObject = serde_json::from_value(definition).unwrap();
        let resource = kube::core::ApiResource {
            group: "coxswain.dev".to_owned(),
            version: "v1alpha1".to_owned(),
            api_version: "coxswain.dev/v1alpha1".to_owned(),
            plural: format!("{}s", kind.to_lowercase()),
            kind,
        };
        let api = Api::<DynamicObject>::namespaced_with(client.clone(), &namespace, &resource);
        api.create(&PostParams::default(), &definition).await.unwrap();
    }

    let shutdown = CancellationToken::new();
    let (context, told) = (Context::new(client.clone(), Clock::System), shutdown.clone());
    let operator = tokio::spawn(async move {
        let options = Options {
            own_namespace: "coxswain-system".to_owned(),
            allowed_images: Default::default(),
            image: Some("coxswain:test".to_owned()),
            ready: watch::channel(false).0,
        };
        controllers::run(context, Arc::new(Prometheus::default()), &options, told).await
    });
    let problems = Api::<ProblemEvent>::namespaced(client.clone(), &namespace);
    let started = |p: Option<&ProblemEvent>| {
        p.is_some_and(|p| p.status.as_ref().is_some_and(|s| s.execution.is_some()))
    };
    let problem = bounded(await_condition(problems, "slow", started)).await.unwrap();
    let run = problem.status.unwrap().execution.unwrap();
    let said = |r: Option<&SequenceExecution>| {
        r.is_some_and(|r| r.status.as_ref().is_some_and(|s| !s.phase.is_empty()))
    };
    let run = bounded(await_condition(runs.clone(), &run, said)).await.unwrap();
    let status = run.status.clone().unwrap();
    assert_eq!(
        (status.phase.as_str(), status.reason.as_str()),
        ("Waiting", "Cooldown")
    );
    assert!(
        status.message.ends_with(&format!("after {LATEST}")),
        "{}",
        status.message
    );
    assert_ne!(run.name_any(), LATEST);

    let abort = Patch::Merge(json!({"spec": {"control": {"desired": "Abort"}}}));
    runs.patch(&run.name_any(), &PatchParams::default(), &abort)
        .await
        .unwrap();
    // The newest ten, and the one whose action still counts.
    let names = async || -> Vec<String> {
        let all = runs.list_metadata(&ListParams::default()).await.unwrap();
        all.items.iter().map(ResourceExt::name_any).collect()
    };
    let gone = async {
        while names().await.len() > 11 {
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(120), gone)
        .await
        .expect("old runs are deleted");
    let left = names().await;
    assert!(
        left.contains(&LATEST.to_owned()) && left.contains(&run.name_any()),
        "{left:?}"
    );
    assert!(left.len() >= 10, "{left:?}");

    shutdown.cancel();
    bounded(operator).await.unwrap();
    namespaces
        .delete(&namespace, &DeleteParams::default())
        .await
        .unwrap();
}

async fn bounded<T, E: std::fmt::Debug>(wait: impl Future<Output = Result<T, E>>) -> T {
    let waited = tokio::time::timeout(Duration::from_secs(60), wait).await;
    waited.expect("within a minute").unwrap()
}
