//! Quality gates: a value that must be there, and `coxswain evaluate` in the cluster.

use std::collections::BTreeMap;

use coxswain::{
    api::Evaluation,
    cli::evaluate::{
        Report,
        cluster::{self, Time, Wanted},
    },
    core::place::Place,
    facts::metrics::Sample,
    testing::World,
};

use super::{SHOP, Shop, hours, mins, people, secs, start, tried};

fn strict() -> String {
    SHOP.replace("key_sli: true", "key_sli: true, missing: inconclusive")
}

/// The query was answered, without a number: as little known as if nobody had answered.
#[test]
fn a_missing_value_that_must_be_there_never_escalates() {
    World::run(async |world: World| {
        let shop = Shop::open_with(world, &strict(), "nothing").await;
        let silent = |_: &str, _| Ok(Sample::Missing("the query gives no values".to_owned()));
        shop.world.metrics.answer(silent);
        shop.problem("slow-1");
        let status = shop.ended("slow-1", hours(2)).await;
        assert_eq!(
            (status.phase.as_str(), status.reason.as_str()),
            ("Inconclusive", "ValueMissing")
        );
        assert_eq!(tried(&status), ["restart"], "no second action");
        let evaluations = shop.world.list::<Evaluation>();
        assert!(evaluations.len() > 1, "it was evaluated again");
        for evaluation in evaluations {
            assert_eq!(evaluation.spec.sequence.as_deref(), Some("remediation"));
        }
    });
}

#[test]
fn a_missing_value_that_comes_later_is_a_verdict() {
    World::run(async |world: World| {
        let shop = Shop::open_with(world, &strict(), "nothing").await;
        let mut asked = 0;
        shop.world.metrics.answer(move |_, _| {
            asked += 1;
            Ok(if asked < 3 {
                Sample::Missing("the query gives no values".to_owned())
            } else {
                Sample::Value(0.1)
            })
        });
        shop.problem("slow-1");
        let status = shop.ended("slow-1", hours(1)).await;
        assert_eq!(status.phase, "Succeeded");
        assert_eq!(tried(&status), ["restart"]);
        let evaluations = shop.world.list::<Evaluation>();
        assert_eq!(evaluations.len(), 1, "it was asked again, not evaluated again");
    });
}

fn wanted(service: &str) -> Wanted {
    Wanted {
        place: Place::new("shop", "production", service).unwrap(),
        time: Time::UpToNow("5m".parse().unwrap()),
        labels: BTreeMap::from([("build".to_owned(), "42".to_owned())]),
    }
}

async fn evaluated(world: &World, service: &str) -> Evaluation {
    let created = cluster::create(&people(world), &wanted(service), world.now())
        .await
        .unwrap();
    tokio::time::timeout(mins(5), cluster::ended(&world.client, &created))
        .await
        .unwrap()
        .unwrap()
}

#[test]
fn an_evaluation_by_hand_takes_the_objectives_that_apply() {
    World::run(async |world: World| {
        world.apply(SHOP);
        world.metrics.are(0.5);
        let _operator = start(&world, "operator");
        world.sleep(secs(5)).await;
        let ended = evaluated(&world, "cart").await;
        assert_eq!(ended.spec.objective_name.as_deref(), Some("cart"));
        assert_eq!(ended.spec.indicators["response_time"].provider, "prometheus");
        assert_eq!((ended.spec.sequence, ended.spec.execution), (None, None));
        let status = ended.status.clone().unwrap();
        assert_eq!(status.message, "fail: 0 of 100; response_time 0.5 > 0.4 (key)");
        let document: serde_json::Value = serde_json::from_str(
            &Report::new(&evaluated(&world, "cart").await, status)
                .json()
                .unwrap(),
        )
        .unwrap();
        assert_eq!(document["indicators"][0]["passTargets"][0]["violated"], true);
        assert_eq!(world.metrics.asked()[0].0, "avg(rt{service=\"cart\"}[300s])");
    });
}

#[test]
fn an_evaluation_by_hand_without_objectives_is_unverified() {
    World::run(async |world: World| {
        let _operator = start(&world, "operator");
        world.sleep(secs(5)).await;
        let status = evaluated(&world, "cart").await.status.unwrap();
        assert_eq!(
            (status.reason.as_str(), status.result.as_deref()),
            ("Unverified", Some("warning"))
        );
    });
}

#[test]
fn an_objective_with_a_mistake_gives_no_verdict() {
    World::run(async |world: World| {
        world.apply(&SHOP.replace("<=0.4", "<=0.4s"));
        let _operator = start(&world, "operator");
        world.sleep(secs(5)).await;
        let status = evaluated(&world, "cart").await.status.unwrap();
        assert_eq!(
            (status.reason.as_str(), status.result),
            ("DefinitionInvalid", None)
        );
        let says = "ServiceLevelObjective cart is not valid: spec.objectives[0].pass[0]";
        assert!(status.message.contains(says), "{}", status.message);
    });
}

#[test]
fn one_that_is_deleted_has_no_verdict() {
    World::run(async |world: World| {
        world.apply(SHOP);
        let created = cluster::create(&people(&world), &wanted("cart"), world.now())
            .await
            .unwrap();
        let name = created.metadata.name.clone().unwrap();
        let api = kube::Api::<Evaluation>::namespaced(world.client.clone(), "demo");
        api.delete(&name, &kube::api::DeleteParams::default())
            .await
            .unwrap();
        let gone = cluster::ended(&world.client, &created).await.unwrap_err();
        assert!(gone.to_string().contains("was deleted"), "{gone}");
    });
}
