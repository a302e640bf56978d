//! What goes wrong on demand, goes wrong as asked.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use coxswain::testing::{
    Call, Fault, World,
    server::{Deliver, Delivery},
};
use futures::StreamExt;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api, Client, ResourceExt,
    api::{ListParams, PostParams},
    runtime::{WatchStreamExt, watcher},
};
use rstest::rstest;
use serde_json::json;

const MAPS: &str = "configmaps";

fn map(name: &str) -> ConfigMap {
    serde_json::from_value(json!({"metadata": {"name": name}})).unwrap()
}

async fn create(client: &Client, name: &str) -> Option<Result<ConfigMap, u16>> {
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), "demo");
    let params = PostParams::default();
    match tokio::time::timeout(Duration::from_secs(60), maps.create(&params, &map(name))).await {
        Err(_) => None,
        Ok(Ok(created)) => Some(Ok(created)),
        Ok(Err(kube::Error::Api(status))) => Some(Err(status.code)),
        Ok(Err(_)) => Some(Err(0)),
    }
}

#[rstest]
#[case(Fault::Proceed, Some(Ok(())), true, false)]
#[case(Fault::CrashBefore, None, false, true)]
#[case(Fault::CrashAfter, None, true, true)]
#[case(Fault::Fail(503), Some(Err(503)), false, false)]
#[case(Fault::FailAfter(504), Some(Err(504)), true, false)]
#[case(Fault::Unreachable, Some(Err(0)), false, false)]
#[case(Fault::Delay(Duration::from_secs(5)), Some(Ok(())), true, false)]
fn a_write_meets_its_fault(
    #[case] fault: Fault,
    #[case] answer: Option<Result<(), u16>>,
    #[case] there: bool,
    #[case] crashed: bool,
) {
    World::run(async |world: World| {
        world.server.on_request(move |call: &Call| {
            if call.write == Some(2) {
                fault
            } else {
                Fault::Proceed
            }
        });
        let (caller, client) = world.server.operator_client("operator");
        assert!(matches!(create(&client, "first").await, Some(Ok(_))));
        let answered = create(&client, "second").await;
        assert_eq!(answered.map(|a| a.map(|_| ())), answer);
        assert_eq!(world.get::<ConfigMap>("second").is_some(), there);
        assert_eq!(caller.is_dead(), crashed);
        assert_eq!(create(&client, "third").await.is_some(), !crashed);
        assert!(
            create(&world.client, "by-hand").await.is_some(),
            "others are not troubled"
        );
        let second = &world.server.writes()[1];
        assert_eq!((second.call.name.as_str(), second.effective), ("second", there));
    });
}

/// Watches ConfigMaps as the operator, and notes what it hears.
fn listen(client: &Client) -> Arc<Mutex<Vec<String>>> {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let notes = heard.clone();
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), "demo");
    tokio::spawn(async move {
        let mut events = std::pin::pin!(watcher(maps, watcher::Config::default()).default_backoff());
        while let Some(event) = events.next().await {
            let note = match event {
                Ok(watcher::Event::Init) => "list".to_owned(),
                Ok(watcher::Event::InitApply(o)) => format!("found {}", o.name_any()),
                Ok(watcher::Event::InitDone) => continue,
                Ok(watcher::Event::Apply(o)) => format!("applied {}", o.name_any()),
                Ok(watcher::Event::Delete(o)) => format!("deleted {}", o.name_any()),
                Err(_) => "trouble".to_owned(),
            };
            notes.lock().unwrap().push(note);
        }
    });
    heard
}

async fn hear(world: &World, heard: &Arc<Mutex<Vec<String>>>) -> Vec<String> {
    world.sleep(Duration::from_secs(120)).await;
    std::mem::take(&mut *heard.lock().unwrap())
}

#[test]
fn a_watch_falls_silent_and_catches_up() {
    World::run(async |world: World| {
        let (_, client) = world.server.operator_client("operator");
        let heard = listen(&client);
        assert_eq!(hear(&world, &heard).await, ["list"]);
        world.server.freeze(MAPS);
        create(&world.client, "a").await;
        assert_eq!(hear(&world, &heard).await, [""; 0]);
        let maps: Api<ConfigMap> = Api::namespaced(client, "demo");
        let old = maps.list(&ListParams::default().match_any()).await.unwrap();
        assert!(old.items.is_empty(), "a list that accepts old data gets it");
        assert_eq!(maps.list(&ListParams::default()).await.unwrap().items.len(), 1);
        world.server.thaw(MAPS);
        assert_eq!(hear(&world, &heard).await, ["applied a"]);
    });
}

#[test]
fn events_get_lost_and_come_twice() {
    World::run(async |world: World| {
        world
            .server
            .on_delivery(|delivery: &Delivery| match delivery.name.as_str() {
                "lost" => Deliver::Never,
                "twice" => Deliver::Twice,
                _ => Deliver::Once,
            });
        let heard = listen(&world.server.operator_client("operator").1);
        hear(&world, &heard).await;
        for name in ["lost", "twice", "once"] {
            create(&world.client, name).await;
        }
        assert_eq!(
            hear(&world, &heard).await,
            ["applied twice", "applied twice", "applied once"]
        );
    });
}

#[test]
fn gone_means_list_again_and_a_cut_does_not() {
    World::run(async |world: World| {
        let heard = listen(&world.server.operator_client("operator").1);
        create(&world.client, "a").await;
        hear(&world, &heard).await;
        world.server.cut_watches(MAPS);
        create(&world.client, "b").await;
        assert_eq!(hear(&world, &heard).await, ["trouble", "applied b"]);
        world.server.expire_watches(MAPS);
        create(&world.client, "c").await;
        let told = hear(&world, &heard).await;
        assert!(
            told.contains(&"list".to_owned()) && told.contains(&"found c".to_owned()),
            "{told:?}"
        );
    });
}

#[test]
fn a_late_watch_is_late() {
    World::run(async |world: World| {
        let heard = listen(&world.server.operator_client("operator").1);
        hear(&world, &heard).await;
        world.server.delay_watches(Duration::from_secs(200));
        create(&world.client, "a").await;
        assert_eq!(hear(&world, &heard).await, [""; 0]);
        assert_eq!(hear(&world, &heard).await, ["applied a"]);
    });
}
