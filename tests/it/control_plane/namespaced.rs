//! The operator in a list of namespaces on a real API server, which lets it do what its Roles say and nothing else.

use std::{sync::Arc, time::Duration};

use coxswain::{
    api::{ProblemEvent, SequenceExecution},
    controllers::{self, Context, Options},
    facts::{clock::Clock, metrics::Prometheus},
};
use k8s_openapi::api::{
    authorization::v1::SelfSubjectAccessReview,
    batch::v1::Job,
    core::v1::{Namespace, Pod},
};
use kube::{
    Api, Client, Config, ResourceExt,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams},
    core::DynamicObject,
    runtime::wait::await_condition,
};
use serde::Deserialize as _;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// A service account that has these Roles and nothing else.
const ACCOUNT: &str = "namespaced";
const PATIENCE: Duration = Duration::from_secs(30);
const SHOP: &str = "
{apiVersion: coxswain.dev/v1alpha1, kind: Shipyard, metadata: {name: shop}, spec: {stages: [{name: production, sequences: [
  {name: remediation, tasks: [{name: get-action}, {name: action}]}]}]}}
---
{apiVersion: coxswain.dev/v1alpha1, kind: Remediation, metadata: {name: shop}, spec: {project: shop, remediations: [
  {problemType: slow, actionsOnOpen: [{action: scale}]}]}}
---
{apiVersion: coxswain.dev/v1alpha1, kind: JobConfig, metadata: {name: shop}, spec: {project: shop, actions: [
  {name: act, events: [{name: sh.keptn.event.action.triggered}], tasks: [{name: act, image: busybox, cmd: ['true']}]}]}}
---
{apiVersion: coxswain.dev/v1alpha1, kind: ProblemEvent, metadata: {name: slow}, spec: {project: shop, stage: production,
  service: cart, problem: {problemTitle: slow}}}
";

struct Cluster {
    root: Client,
    own: String,
}

impl Cluster {
    async fn apply(&self, namespace: &str, object: &Value) {
        let kind = object["kind"].as_str().unwrap();
        let (group, version) = object["apiVersion"]
            .as_str()
            .unwrap()
            .split_once('/')
            .unwrap_or(("", "v1"));
        let gvk = kube::core::GroupVersionKind::gvk(group, version, kind);
        let resource = kube::core::ApiResource::from_gvk(&gvk);
        let api = match kind {
            "Namespace" => Api::<DynamicObject>::all_with(self.root.clone(), &resource),
            _ => Api::namespaced_with(self.root.clone(), namespace, &resource),
        };
        let name = object["metadata"]["name"].as_str().unwrap();
        let params = PatchParams::apply("test").force();
        api.patch(name, &params, &Patch::Apply(object)).await.unwrap();
    }

    async fn namespace(&self, name: &str) {
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        self.apply("", &namespace).await;
    }

    /// Binds a shipped Role to the operator here.
    async fn bind(&self, namespace: &str, role: &str) {
        let mut role: Value = serde_yaml::from_str(role).unwrap();
        role["metadata"]["namespace"] = namespace.into();
        self.apply(namespace, &role).await;
        let group = "rbac.authorization.k8s.io";
        let (name, user) = (&role["metadata"]["name"], self.user());
        self.apply(namespace, &json!({
            "apiVersion": format!("{group}/v1"), "kind": "RoleBinding", "metadata": {"name": name, "namespace": namespace},
            "roleRef": {"apiGroup": group, "kind": "Role", "name": name},
            "subjects": [{"apiGroup": group, "kind": "User", "name": user}],
        }))
        .await;
    }

    fn user(&self) -> String {
        format!("system:serviceaccount:{}:{ACCOUNT}", self.own)
    }

    async fn operator(&self) -> Client {
        let mut config = Config::infer().await.unwrap();
        config.auth_info.impersonate = Some(self.user());
        let groups = ["system:serviceaccounts", "system:authenticated"];
        config.auth_info.impersonate_groups = Some(groups.map(str::to_owned).into());
        Client::try_from(config).unwrap()
    }
}

/// The operator, until the test is over.
fn operate(context: Arc<Context>, own: &str, told: CancellationToken) -> watch::Receiver<bool> {
    let (ready, is_ready) = watch::channel(false);
    let options = Options {
        own_namespace: own.to_owned(),
        allowed_images: Default::default(),
        image: None,
        ready,
    };
    tokio::spawn(
        async move { controllers::run(context, Arc::new(Prometheus::default()), &options, told).await },
    );
    is_ready
}

async fn bounded<T>(what: &str, done: impl Future<Output = T>) -> T {
    let done = tokio::time::timeout(PATIENCE, done).await;
    done.unwrap_or_else(|_| panic!("not in {PATIENCE:?}: {what}"))
}

#[tokio::test]
#[ignore = "needs a cluster (KUBECONFIG) with the CRDs"]
async fn roles_in_two_namespaces_are_enough_and_nothing_else_is_allowed() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let name = |what: &str| format!("only-{what}-{}", std::process::id());
    let cluster = Cluster {
        root: Client::try_default().await.unwrap(),
        own: name("own"),
    };
    let places = ["a", "b", "c"].map(name);
    cluster.namespace(&cluster.own).await;
    cluster
        .bind(&cluster.own, include_str!("../../../config/rbac/hold_role.yaml"))
        .await;
    for place in &places {
        cluster.namespace(place).await;
        for document in serde_yaml::Deserializer::from_str(SHOP) {
            cluster.apply(place, &Value::deserialize(document).unwrap()).await;
        }
    }
    for place in &places[..2] {
        cluster
            .bind(place, include_str!("../../../config/rbac/namespaced/role.yaml"))
            .await;
    }

    let client = cluster.operator().await;
    for (place, verb, resource, allowed) in [
        (None, "list", "pods", false),
        (None, "watch", "namespaces", false),
        (Some(&places[2]), "get", "pods", false),
        (Some(&places[0]), "create", "jobs", true),
    ] {
        let group = if resource == "jobs" { "batch" } else { "" };
        let asked = json!({"metadata": {}, "spec": {"resourceAttributes": {"namespace": place, "verb": verb, "group": group, "resource": resource}}});
        let review: SelfSubjectAccessReview = serde_json::from_value(asked).unwrap();
        let reviews = Api::<SelfSubjectAccessReview>::all(client.clone());
        let answer = reviews.create(&PostParams::default(), &review).await.unwrap();
        assert_eq!(
            answer.status.unwrap().allowed,
            allowed,
            "{verb} {resource} in {place:?}"
        );
    }
    let list = format!("{},{}", places[0], places[1]).parse().unwrap();
    let stop = CancellationToken::new();
    let mut ready = operate(
        Context::within(client, Clock::System, list),
        &cluster.own,
        stop.clone(),
    );
    bounded("ready", ready.wait_for(|ready| *ready)).await.unwrap();
    for place in &places[..2] {
        let jobs = Api::<Job>::namespaced(cluster.root.clone(), place);
        let there = || async { jobs.list(&ListParams::default()).await.unwrap().items.pop() };
        let job = bounded("a Job", async {
            loop {
                match there().await {
                    Some(job) => break job,
                    None => tokio::time::sleep(Duration::from_millis(100)).await,
                }
            }
        })
        .await;
        let runs = Api::<SequenceExecution>::namespaced(cluster.root.clone(), place);
        let run = job.labels()["coxswain.dev/execution"].clone();
        // Its pod is looked at, and its namespace's label.
        let running = |run: Option<&SequenceExecution>| {
            run.and_then(|r| r.status.as_ref())
                .is_some_and(|s| s.phase == "Running")
        };
        bounded("the run goes on", await_condition(runs, &run, running))
            .await
            .unwrap();
    }
    let third = Api::<ProblemEvent>::namespaced(cluster.root.clone(), &places[2]);
    assert!(
        third.get("slow").await.unwrap().status.is_none(),
        "it is not on the list"
    );
    assert!(
        Api::<Pod>::namespaced(cluster.root.clone(), &places[2])
            .list(&ListParams::default())
            .await
            .unwrap()
            .items
            .is_empty()
    );

    stop.cancel();
    for place in places.iter().chain([&cluster.own]) {
        Api::<Namespace>::all(cluster.root.clone())
            .delete(place, &DeleteParams::default())
            .await
            .unwrap();
    }
}
