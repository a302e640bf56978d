//! What a Job changes, and another owner changes back.

use std::sync::atomic::{AtomicUsize, Ordering};

use coxswain::testing::{ApiServer, Call, Fault, world::NAMESPACE};
use k8s_openapi::{
    api::apps::v1::Deployment,
    apimachinery::pkg::apis::meta::v1::{FieldsV1, ManagedFieldsEntry, Time},
};

use super::*;

const CART: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: cart}
spec:
  replicas: 1
  selector: {matchLabels: {app: cart}}
  template: {metadata: {labels: {app: cart}}, spec: {containers: [{name: cart, image: cart}]}}
";

/// The shop, whose first action names what it changes.
fn shop(kind: &str, name: &str) -> String {
    let plain = "{name: restart, image: kubectl, cmd: [action-restart]}";
    let targets = format!("targets: [{{apiVersion: apps/v1, kind: {kind}, name: {name}}}]");
    let named = plain.replace("[action-restart]", &format!("[action-restart], {targets}"));
    SHOP.replace(plain, &named)
}

/// This manager writes how many replicas the cart has; what others said of that is theirs no more.
fn scale(server: &ApiServer, manager: &str, replicas: i32) {
    let entry = ManagedFieldsEntry {
        manager: Some(manager.to_owned()),
        operation: Some("Update".to_owned()),
        time: Some(Time(server.now())),
        fields_v1: Some(FieldsV1(serde_json::json!({"f:spec": {"f:replicas": {}}}))),
        ..ManagedFieldsEntry::default()
    };
    let scaled = server.edit::<Deployment>(NAMESPACE, "cart", |cart| {
        cart.spec.get_or_insert_default().replicas = Some(replicas);
        cart.metadata.managed_fields = Some(vec![entry]);
    });
    scaled.expect("the cart is there");
}

/// The first action does this to the cluster, and nothing heals.
async fn open(world: World, kind: &str, deed: impl Fn(&ApiServer) + Send + Sync + 'static) -> Shop {
    world.apply(CART);
    // What docs/tasks.md says to bind.
    world.server.grant(
        Some(NAMESPACE),
        "rules: [{apiGroups: [apps], resources: [deployments, replicasets], verbs: [get]}]",
    );
    let shop = Shop::open_with(world, &shop(kind, "cart"), "nothing").await;
    let deed = std::sync::Arc::new(deed);
    shop.world.player.script(move |job| {
        let (acts, deed) = (mentions(job, "action-restart"), deed.clone());
        Play::exits(0).and_then(move |server, _| {
            if acts {
                deed(server);
            }
        })
    });
    shop.problem("slow-1");
    shop
}

fn is_conflict(status: &SequenceExecutionStatus, owner: &str) {
    assert_eq!(end(status), ("Failed", "ConflictWithOwner"), "{}", status.message);
    let expected = format!("Deployment cart was changed back by {owner}");
    assert!(status.message.contains(&expected), "{}", status.message);
    assert_eq!(tried(status), ["restart"], "no other action is tried");
    assert_eq!(status.attempts[0].result.as_deref(), Some("fail"));
}

#[test]
fn argo_cd_changes_it_back_while_the_job_runs() {
    World::run(async |world: World| {
        let deed = |server: &ApiServer| {
            scale(server, "kubectl-scale", 3);
            scale(server, "argocd-controller", 1);
        };
        let shop = open(world, "Deployment", deed).await;
        let status = shop.ended("slow-1", mins(10)).await;
        is_conflict(&status, "argocd-controller");
        assert!(status.message.contains("ignoreDifferences"), "{}", status.message);
        assert_eq!(jobs_created(&shop.world).len(), 1, "nothing is tested");
        over(&shop.world, "slow-1").await;
        assert_eq!(shop.problem_status("slow-1").phase, "Exhausted");
    });
}

#[test]
fn an_autoscaler_changes_it_back_after_the_job() {
    World::run(async |world: World| {
        let shop = open(world, "Deployment", |server| scale(server, "kubectl-scale", 3)).await;
        shop.task("slow-1", "je-test", "Running", mins(2)).await;
        shop.world.sleep(secs(1)).await;
        scale(&shop.world.server, "kube-controller-manager", 1);
        let status = shop.ended("slow-1", mins(10)).await;
        is_conflict(&status, "kube-controller-manager");
        assert!(
            status.message.contains("HorizontalPodAutoscaler"),
            "{}",
            status.message
        );
        let evaluated = find_task(&status, "evaluation").unwrap();
        assert_eq!(evaluated.result.as_deref(), Some("fail"), "the gate was asked");
    });
}

/// A healed service does not hide that what the run did is undone.
#[test]
fn also_when_the_gate_passes() {
    World::run(async |world: World| {
        let metrics = world.metrics.clone();
        let deed = move |server: &ApiServer| {
            metrics.are(0.1);
            scale(server, "kubectl-scale", 3);
        };
        let shop = open(world, "Deployment", deed).await;
        shop.task("slow-1", "je-test", "Running", mins(2)).await;
        scale(&shop.world.server, "kustomize-controller", 1);
        let status = shop.ended("slow-1", mins(10)).await;
        is_conflict(&status, "kustomize-controller");
    });
}

#[test]
fn nobody_changes_it_back() {
    World::run(async |world: World| {
        let metrics = world.metrics.clone();
        let deed = move |server: &ApiServer| {
            metrics.are(0.1);
            scale(server, "kubectl-scale", 3);
        };
        let shop = open(world, "Deployment", deed).await;
        let status = shop.ended("slow-1", mins(10)).await;
        assert_eq!(end(&status), ("Succeeded", "Healed"), "{}", status.message);
        let seen = &find_task(&status, "action").unwrap().jobs[0].targets[0];
        assert!(
            seen.before.is_some() && seen.after.is_some() && seen.before != seen.after,
            "{seen:?}"
        );
        let asked = shop.world.server.log().into_iter();
        let reads = asked.filter(|l| l.call.resource == "deployments.apps").count();
        assert_eq!(reads, 3, "before the Job, after it, and at the attempt's end");
    });
}

/// What a later Job of the attempt changes on purpose, also back to what it was, is nobody else's doing.
#[test]
fn a_later_job_that_names_it_may_change_it_back() {
    World::run(async |world: World| {
        world.apply(CART);
        let targets = "targets: [{apiVersion: apps/v1, kind: Deployment, name: cart}]";
        let definitions =
            shop("Deployment", "cart").replace("cmd: [locust]", &format!("cmd: [locust], {targets}"));
        let shop = Shop::open_with(world, &definitions, "restart").await;
        let metrics = shop.world.metrics.clone();
        shop.world.player.script(move |job| {
            let replicas = if mentions(job, "action-restart") { 3 } else { 1 };
            let metrics = metrics.clone();
            Play::exits(0).and_then(move |server, _| {
                metrics.are(0.1);
                scale(server, "kubectl-scale", replicas);
            })
        });
        shop.problem("slow-1");
        let status = shop.ended("slow-1", mins(10)).await;
        assert_eq!(end(&status), ("Succeeded", "Healed"), "{}", status.message);
    });
}

/// Every action may be told once that its target can't be watched; nothing fails for it.
async fn told_once(shop: &Shop, reason: &str, says: &str) {
    let status = shop.ended("slow-1", mins(20)).await;
    assert_eq!(end(&status), ("Exhausted", "NoActionLeft"), "{}", status.message);
    let seen = &status.attempts[0].tasks[1].jobs[0].targets[0];
    assert_eq!(seen.reason, reason, "{seen:?}");
    assert!(seen.message.contains(says), "{}", seen.message);
    let events = shop.world.list::<k8s_openapi::api::core::v1::Event>();
    let told: Vec<_> = events
        .iter()
        .filter(|e| e.reason.as_deref() == Some("TargetNotWatched"))
        .collect();
    assert_eq!(told.len(), 1, "{told:?}");
}

#[test]
fn without_the_right_to_look_it_is_told_once_and_nothing_fails() {
    World::run(async |world: World| {
        let reads = std::sync::Arc::new(AtomicUsize::new(0));
        let counted = reads.clone();
        world
            .server
            .on_request(move |call: &Call| match call.resource.as_str() {
                "deployments.apps" => {
                    counted.fetch_add(1, Ordering::Relaxed);
                    Fault::Fail(403)
                }
                _ => Fault::Proceed,
            });
        let shop = open(world, "Deployment", |_| ()).await;
        told_once(
            &shop,
            "NotGranted",
            "bind a Role with get on deployments of the group apps",
        )
        .await;
        assert_eq!(reads.load(Ordering::Relaxed), 1, "asked once, before the Job");
    });
}

#[test]
fn a_target_that_is_not_there_is_told_and_ignored() {
    World::run(async |world: World| {
        let shop = open(world, "ReplicaSet", |_| ()).await;
        told_once(
            &shop,
            "TargetMissing",
            "ReplicaSet cart, which targets names, does not exist",
        )
        .await;
    });
}

#[test]
fn a_kind_that_nobody_knows_is_told_and_ignored() {
    World::run(async |world: World| {
        let shop = open(world, "Cart", |_| ()).await;
        told_once(&shop, "KindUnknown", "Cart of apps/v1").await;
    });
}
