//! The operator in a list of namespaces, with Roles in them and no right of the whole cluster.

use coxswain::testing::world::OPERATORS;
use k8s_openapi::api::core::v1::Namespace;
use serde::Deserialize as _;
use serde_json::Value;

use super::*;

const ROLE: &str = include_str!("../../../config/rbac/namespaced/role.yaml");
const OWN_ROLE: &str = include_str!("../../../config/rbac/hold_role.yaml");

/// The same shop in a namespace.
fn open_in(world: &World, namespace: &str, yaml: &str) {
    for document in serde_yaml::Deserializer::from_str(yaml) {
        let mut object = Value::deserialize(document).unwrap();
        object["metadata"]["namespace"] = namespace.into();
        world.server.apply_value(object).unwrap();
    }
}

/// Three namespaces with a sick shop each; the operator works in two of them, and has its rights there.
fn open(world: &World) -> Operator {
    world.server.revoke();
    world.server.grant(Some(OPERATORS), OWN_ROLE);
    for namespace in ["demo", "other"] {
        world.server.grant(Some(namespace), ROLE);
    }
    start_in(world, "demo,other")
}

fn start_in(world: &World, namespaces: &str) -> Operator {
    for namespace in ["demo", "other", "third"] {
        world.apply(&format!(
            "{{apiVersion: v1, kind: Namespace, metadata: {{name: {namespace}}}}}"
        ));
        open_in(world, namespace, SHOP);
    }
    world.metrics.are(1.2);
    heals(world, "restart");
    let namespaces = namespaces.parse().unwrap();
    world.start("operator", |seat| {
        coxswain_in(namespaces, seat, world.metrics.clone())
    })
}

fn runs_in(world: &World, namespace: &str) -> Vec<SequenceExecution> {
    world.server.list(namespace)
}

fn hold(world: &World, held: bool) {
    let namespace = world.server.edit::<Namespace>("", "demo", |namespace| {
        let labels = namespace.labels_mut();
        match held {
            true => labels.insert("coxswain.dev/hold".to_owned(), "true".to_owned()),
            false => labels.remove("coxswain.dev/hold"),
        };
    });
    namespace.expect("the namespace is there");
}

#[test]
fn roles_in_the_listed_namespaces_are_enough() {
    World::run(async |world: World| {
        let _operator = open(&world);
        world.sleep(secs(5)).await;
        for namespace in ["demo", "other", "third"] {
            open_in(&world, namespace, &problem("slow-1", "slow"));
        }
        let over = |w: &World| {
            let ended = |namespace| {
                let runs = runs_in(w, namespace);
                runs.len() == 1 && runs[0].status.as_ref().is_some_and(|s| s.phase == "Succeeded")
            };
            ended("demo") && ended("other")
        };
        world.wait_until("both shops are healed", mins(30), over).await;
        // Whatever is counted and deleted once a day is, too.
        world.sleep(hours(25)).await;
        assert!(runs_in(&world, "third").is_empty(), "it is not on the list");
        let log = world.server.log();
        let asked = log.iter().filter(|logged| logged.call.index > 0);
        for logged in asked {
            let call = &logged.call;
            assert_ne!(logged.code, Some(403), "{}", call.label());
            let own = call.resource == "namespaces" && !call.name.is_empty();
            assert!(
                own || call.namespace.is_some(),
                "of the whole cluster: {}",
                call.label()
            );
            assert_ne!(call.namespace.as_deref(), Some("third"), "{}", call.label());
        }
    });
}

#[test]
fn the_label_of_a_namespace_holds_it_there_too() {
    World::run(async |world: World| {
        let _operator = open(&world);
        world.sleep(secs(5)).await;
        hold(&world, true);
        for namespace in ["demo", "other"] {
            open_in(&world, namespace, &problem("slow-1", "slow"));
        }
        let is_held =
            |w: &World| run_of(w, "slow-1").is_some_and(|r| r.status.is_some_and(|s| s.phase == "Held"));
        world.wait_until("held", secs(30), is_held).await;
        let message = status(&world, "slow-1").message;
        assert!(
            message.contains("the label coxswain.dev/hold=true of namespace demo"),
            "{message}"
        );
        let goes_on = |w: &World| {
            runs_in(w, "other")
                .iter()
                .any(|r| r.status.as_ref().is_some_and(|s| s.done))
        };
        world.wait_until("the other goes on", mins(10), goes_on).await;
        assert!(is_held(&world) && jobs(&world).is_empty());

        hold(&world, false);
        let lifted = world.now();
        let started = |w: &World| !jobs_created(w).is_empty() && !jobs(w).is_empty();
        world.wait_until("it goes on", secs(30), started).await;
        let waited = world.now().duration_since(lifted);
        assert!(waited <= jiff::SignedDuration::from_secs(20), "{waited:?}");
        over(&world, "slow-1").await;
    });
}

#[test]
fn while_a_namespace_can_t_be_read_nothing_is_decided_anywhere() {
    World::run(async |world: World| {
        world.server.revoke();
        world.server.grant(Some(OPERATORS), OWN_ROLE);
        world.server.grant(Some("demo"), ROLE);
        let _operator = start_in(&world, "demo,other");
        open_in(&world, "demo", &problem("slow-1", "slow"));
        world.sleep(mins(5)).await;
        assert!(runs_in(&world, "demo").is_empty());
        world.server.grant(Some("other"), ROLE);
        over(&world, "slow-1").await;
    });
}

#[test]
fn a_namespace_whose_watches_expire_loses_nothing_of_the_others() {
    World::run(async |world: World| {
        let _operator = open(&world);
        world.sleep(secs(5)).await;
        open_in(&world, "demo", &problem("slow-1", "slow"));
        for resource in [
            "jobs.batch",
            "pods",
            "sequenceexecutions.coxswain.dev",
            "problemevents.coxswain.dev",
        ] {
            world.sleep(secs(7)).await;
            world.server.expire_watches(resource);
        }
        over(&world, "slow-1").await;
        assert_eq!(status(&world, "slow-1").phase, "Succeeded");
        assert_eq!(status(&world, "slow-1").attempts.len(), 1);
    });
}
