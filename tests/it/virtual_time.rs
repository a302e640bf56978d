//! Time in a world: it stands still while anybody works, and jumps when all wait.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use coxswain::testing::{Seat, World};
use futures::StreamExt;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api,
    api::{Patch, PatchParams},
    runtime::{Controller, controller::Action, watcher},
};
use serde_json::json;

const HOUR: Duration = Duration::from_secs(3600);

/// A controller that looks every hour.
async fn hourly(seat: Seat, looks: Arc<AtomicUsize>) {
    let maps: Api<ConfigMap> = Api::namespaced(seat.client.clone(), "demo");
    let reconcile = |_: Arc<ConfigMap>, looks: Arc<AtomicUsize>| async move {
        looks.fetch_add(1, Ordering::SeqCst);
        Ok::<_, std::convert::Infallible>(Action::requeue(HOUR))
    };
    Controller::new(maps, watcher::Config::default())
        .run(reconcile, |_, never, _| match *never {}, looks)
        .for_each(|_| std::future::ready(()))
        .await;
}

#[test]
fn ten_hours_of_hourly_looks_take_no_time() {
    let real = std::time::Instant::now();
    let looks = Arc::new(AtomicUsize::new(0));
    World::run(async |world: World| {
        world.apply("{apiVersion: v1, kind: ConfigMap, metadata: {name: a}}");
        let counted = looks.clone();
        let operator = world.start("operator", |seat| hourly(seat, counted));
        world.sleep(HOUR * 10 + Duration::from_secs(1)).await;
        operator.crash();
    });
    assert_eq!(
        looks.load(Ordering::SeqCst),
        11,
        "one at the start, then one an hour"
    );
    assert!(real.elapsed() < Duration::from_secs(5), "{:?}", real.elapsed());
}

#[test]
fn who_crashed_does_nothing_more() {
    World::run(async |world: World| {
        world.apply("{apiVersion: v1, kind: ConfigMap, metadata: {name: a}, data: {n: '0'}}");
        // This one is no operator, and writes what that may not.
        let rule = "rules: [{apiGroups: [''], resources: [configmaps], verbs: [patch]}]";
        world.server.grant(None, rule);
        let operator = world.start("operator", |seat: Seat| async move {
            // Not even what it left behind may go on.
            tokio::spawn(async move {
                let maps: Api<ConfigMap> = Api::namespaced(seat.client.clone(), "demo");
                for n in 1.. {
                    let patch = Patch::Merge(json!({"data": {"n": n.to_string()}}));
                    maps.patch("a", &PatchParams::default(), &patch).await.unwrap();
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            });
            std::future::pending().await
        });
        let number = |w: &World| {
            w.get::<ConfigMap>("a").unwrap().data.unwrap()["n"]
                .parse::<u32>()
                .unwrap()
        };
        world
            .wait_until("counting", Duration::from_secs(10), |w| number(w) == 3)
            .await;
        operator.crash();
        world.sleep(HOUR).await;
        assert_eq!(number(&world), 3);
        assert_eq!(world.server.writes().len(), 3);
    });
}

#[test]
fn a_wait_that_is_in_vain_says_what_there_is() {
    World::run(async |world: World| {
        let why = world
            .try_wait("raining", Duration::from_secs(5), |_| false)
            .await
            .unwrap_err();
        assert_eq!(why, "after 5s: not yet raining");
        assert!(
            world.describe().contains("It is 2026-01-05T09:00:05"),
            "{}",
            world.describe()
        );
    });
}
