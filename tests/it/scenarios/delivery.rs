//! How a version gets to where it belongs: one flow of runs for each change of a Delivery's spec.

use std::rc::Rc;

use coxswain::{
    api::{
        Approval, Delivery, DeliveryStatus, SequenceExecution,
        approval::{Answer, Choice},
        condition_is,
    },
    testing::{Scenario, World},
};
use futures::FutureExt;
use rstest::rstest;

use super::*;

/// One stage whose cart is deployed and tested.
const ONE_STAGE: &str = include_str!("delivery.yaml");

/// Two stages; somebody has to agree before the second, and what fails there is rolled back.
const TWO_STAGES: &str = "
apiVersion: coxswain.dev/v1alpha1
kind: Shipyard
metadata: {name: shop}
spec:
  stages:
    - name: staging
      sequences:
        - name: delivery
          tasks: [{name: deployment}]
    - name: production
      sequences:
        - name: delivery
          triggeredOn: [{event: staging.delivery.finished}]
          tasks: [{name: approval, properties: {pass: manual}}, {name: deployment}, {name: je-test}]
        - name: rollback
          triggeredOn: [{event: production.delivery.finished, selector: {match: {result: fail}}}]
          tasks: [{name: deployment}]
";

/// Two stages, and nobody is asked.
const AUTOMATIC: &str = "
apiVersion: coxswain.dev/v1alpha1
kind: Shipyard
metadata: {name: shop}
spec:
  stages:
    - name: staging
      sequences: [{name: delivery, tasks: [{name: deployment}]}]
    - name: production
      sequences:
        - {name: delivery, triggeredOn: [{event: staging.delivery.finished}], tasks: [{name: deployment}]}
";

fn delivery(image: &str) -> String {
    format!(
        "
apiVersion: coxswain.dev/v1alpha1
kind: Delivery
metadata: {{name: cart}}
spec: {{project: shop, service: cart, image: \"{image}\"}}
"
    )
}

/// As [`delivery`]'s, now.
fn now(world: &World) -> DeliveryStatus {
    let delivery: Option<Delivery> = world.get("cart");
    delivery.and_then(|d| d.status).unwrap_or_default()
}

/// Waits until the Delivery speaks of its newest spec, and is in this phase.
async fn reaches(world: &World, phase: &str) -> DeliveryStatus {
    let is_so = |w: &World| {
        let generation = w.get::<Delivery>("cart").and_then(|d| d.metadata.generation);
        now(w).phase == phase && now(w).observed_generation == generation
    };
    world.wait_until(phase, hours(2), is_so).await;
    now(world)
}

/// The cart runs the image that was deployed last; a test of `cart:bad` fails.
fn plays(world: &World) {
    world.player.script(|job| match mentions(job, "locust") {
        true if mentions(job, "cart:bad") => Play::exits(1).saying("500 Internal Server Error"),
        _ => Play::exits(0),
    });
}

/// Which images were deployed, in that order.
fn deployed(world: &World) -> Vec<String> {
    let mut jobs = world.list::<Job>();
    jobs.retain(|job| mentions(job, "helm"));
    jobs.sort_by_key(|job| (job.creation_timestamp(), job.name_any()));
    jobs.iter().filter_map(image).collect()
}

fn image(job: &Job) -> Option<String> {
    let pod = job.spec.as_ref()?.template.spec.as_ref()?;
    let env = pod.containers.first()?.env.as_ref()?;
    env.iter().find(|e| e.name == "IMAGE")?.value.clone()
}

fn open(world: &World) -> Operator {
    open_with(world, ONE_STAGE)
}

fn open_with(world: &World, shipyard: &str) -> Operator {
    world.apply(ONE_STAGE);
    world.apply(shipyard);
    plays(world);
    start(world, "operator")
}

#[test]
fn a_version_that_went_away_and_came_back_is_delivered_three_times() {
    World::run(async |world: World| {
        let _operator = open(&world);
        for image in ["cart:1", "cart:2", "cart:1"] {
            world.apply(&delivery(image));
            let status = reaches(&world, "Delivered").await;
            // Applying the same again, and labelling it, is no new wish.
            world.apply(&delivery(image));
            world.edit::<Delivery>("cart", |d| {
                d.metadata.labels = Some([("seen".to_owned(), image.replace(':', "-"))].into());
            });
            world.sleep(mins(10)).await;
            assert_eq!(now(&world), status);
            assert_eq!(
                (status.stages.len(), status.stages[0].image.as_deref()),
                (1, Some(image))
            );
            assert!(condition_is(&status.conditions, "Ready", "True"));
        }
        assert_eq!(deployed(&world), ["cart:1", "cart:2", "cart:1"]);
        let mut runs = world.list::<SequenceExecution>();
        runs.sort_by_key(ResourceExt::creation_timestamp);
        let contexts: Vec<_> = runs.iter().filter_map(|r| r.spec.context.clone()).collect();
        assert!(
            contexts
                .iter()
                .zip(1..)
                .all(|(c, n)| c.ends_with(&format!("-{n}")))
        );
        assert_eq!(contexts.len(), 3);
    });
}

#[test]
fn a_gate_that_fails_is_a_result_and_leaves_what_is_there() {
    World::run(async |world: World| {
        let _operator = open(&world);
        world.apply(&delivery("cart:1"));
        let since = reaches(&world, "Delivered").await.stages[0].since.clone();
        world.edit::<Delivery>("cart", |d| {
            d.spec.image = Some("cart:bad".to_owned());
            d.spec.labels = [("note".to_owned(), "cart:bad".to_owned())].into();
        });
        let status = reaches(&world, "Failed").await;
        assert!(
            condition_is(&status.conditions, "Ready", "True"),
            "{:?}",
            status.conditions
        );
        assert!(condition_is(&status.conditions, "Succeeded", "False"));
        let stage = &status.stages[0];
        assert_eq!((stage.image.as_deref(), &stage.since), (Some("cart:1"), &since));
        assert_eq!(
            (stage.phase.as_str(), stage.result.as_deref()),
            ("Failed", Some("fail"))
        );
    });
}

#[test]
fn a_shipyard_that_comes_later_is_waited_for() {
    World::run(async |world: World| {
        let _operator = start(&world, "operator");
        plays(&world);
        world.apply(&delivery("cart:1"));
        let status = reaches(&world, "Failed").await;
        assert!(
            condition_is(&status.conditions, "Stalled", "True"),
            "{:?}",
            status.conditions
        );
        assert!(
            status.message.contains("no Shipyard \"shop\""),
            "{}",
            status.message
        );
        world.sleep(hours(5)).await;
        assert_eq!(now(&world), status);
        world.apply(ONE_STAGE);
        let status = reaches(&world, "Delivered").await;
        assert!(!condition_is(&status.conditions, "Stalled", "True"));
    });
}

#[test]
fn who_deletes_a_delivery_keeps_its_history_and_is_asked_when_it_comes_back() {
    World::run(async |world: World| {
        let _operator = open(&world);
        world.apply(&delivery("cart:1"));
        reaches(&world, "Delivered").await;
        world.server.delete::<Delivery>("demo", "cart");
        world.sleep(mins(5)).await;
        assert_eq!(world.list::<SequenceExecution>().len(), 1);
        world.apply(&delivery("cart:1"));
        let status = reaches(&world, "Held").await;
        assert!(
            status.message.contains("coxswain.dev/confirm="),
            "{}",
            status.message
        );
        world.sleep(hours(24)).await;
        assert_eq!(world.list::<SequenceExecution>().len(), 1);
        world.edit::<Delivery>("cart", |d| {
            let uid = d.metadata.uid.clone().unwrap();
            d.metadata.annotations = Some([("coxswain.dev/confirm".to_owned(), uid)].into());
        });
        reaches(&world, "Delivered").await;
        assert_eq!(world.list::<SequenceExecution>().len(), 2);
    });
}

#[test]
fn an_operator_that_was_away_for_hours_asks_before_it_delivers() {
    World::run(async |world: World| {
        world.apply(ONE_STAGE);
        plays(&world);
        world.apply(&delivery("cart:1"));
        world.sleep(hours(2)).await;
        let _operator = start(&world, "operator");
        let status = reaches(&world, "Held").await;
        assert!(condition_is(&status.conditions, "Ready", "False"));
        // A newer version is a wish of today.
        world.apply(&delivery("cart:2"));
        reaches(&world, "Delivered").await;
        assert_eq!(deployed(&world), ["cart:2"]);
    });
}

#[test]
fn a_namespace_that_is_held_holds_deliveries() {
    World::run(async |world: World| {
        let _operator = open(&world);
        world.apply(
            "{apiVersion: v1, kind: Namespace, metadata: {name: demo, labels: {coxswain.dev/hold: 'true'}}}",
        );
        world.sleep(secs(1)).await;
        world.apply(&delivery("cart:1"));
        let status = reaches(&world, "Held").await;
        assert!(status.message.contains("held by"), "{}", status.message);
        world.apply(
            "{apiVersion: v1, kind: Namespace, metadata: {name: demo, labels: {coxswain.dev/hold: 'false'}}}",
        );
        reaches(&world, "Delivered").await;
        world.sleep(secs(10)).await;
        let before = world.server.writes().len();
        world.sleep(hours(24)).await;
        assert_eq!(
            world.server.writes().len(),
            before,
            "nothing changes, nothing is written"
        );
    });
}

/// Somebody agrees to whatever is asked.
async fn approve(world: &World) {
    let asked = |w: &World| {
        let open = |a: &Approval| a.spec.answers.is_empty() && a.status.is_some();
        w.list::<Approval>().into_iter().find(open).map(|a| a.name_any())
    };
    world
        .wait_until("somebody is asked", hours(1), |w| asked(w).is_some())
        .await;
    world.edit::<Approval>(&asked(world).unwrap(), |a| {
        a.spec.answers.push(Answer {
            by: "bob".to_owned(),
            choice: Choice::Approve,
            reason: None,
        });
    });
}

/// Each stage and the image that is there.
fn where_is_what(status: &DeliveryStatus) -> Vec<(&str, Option<&str>)> {
    let stages = status.stages.iter();
    stages.map(|s| (s.stage.as_str(), s.image.as_deref())).collect()
}

#[test]
fn a_version_goes_through_the_stages_and_somebody_agrees() {
    World::run(async |world: World| {
        let _operator = open_with(&world, TWO_STAGES);
        world.apply(&delivery("cart:1"));
        let status = reaches(&world, "Waiting").await;
        assert_eq!(
            (status.stage.as_str(), where_is_what(&status)),
            (
                "production",
                vec![("staging", Some("cart:1")), ("production", None)]
            )
        );
        assert!(status.message.contains("Approval"), "{}", status.message);
        assert!(condition_is(&status.conditions, "Reconciling", "True"));
        approve(&world).await;
        let status = reaches(&world, "Delivered").await;
        assert_eq!(status.message, "cart:1 is in staging, production");

        world.edit::<Delivery>("cart", |d| {
            d.spec.image = Some("cart:bad".to_owned());
            d.spec.labels = [("note".to_owned(), "cart:bad".to_owned())].into();
        });
        reaches(&world, "Waiting").await;
        approve(&world).await;
        let status = reaches(&world, "Failed").await;
        assert_eq!(
            where_is_what(&status),
            [("staging", Some("cart:bad")), ("production", Some("cart:1"))]
        );
        assert_eq!(status.stages[1].phase, "Failed");
        let rolled_back = |r: &SequenceExecution| {
            r.spec.sequence == "rollback" && r.status.as_ref().is_some_and(|s| s.phase == "Succeeded")
        };
        assert!(world.list::<SequenceExecution>().iter().any(rolled_back));
        assert!(condition_is(&status.conditions, "Ready", "True"));
        assert!(condition_is(&status.conditions, "Succeeded", "False"));
    });
}

#[test]
fn a_newer_version_starts_while_the_older_waits_for_somebody() {
    World::run(async |world: World| {
        let _operator = open_with(&world, TWO_STAGES);
        world.apply(&delivery("cart:1"));
        reaches(&world, "Waiting").await;
        world.apply(&delivery("cart:2"));
        let both = |w: &World| w.list::<Approval>().len() == 2;
        world.wait_until("both ask", hours(1), both).await;
        assert_eq!(now(&world).earlier.len(), 1);
        approve(&world).await;
        approve(&world).await;
        let over = |w: &World| now(w).phase == "Delivered" && now(w).earlier.is_empty();
        world.wait_until("both are over", hours(1), over).await;
        let status = now(&world);
        let mut ended: Vec<_> = world
            .list::<SequenceExecution>()
            .into_iter()
            .filter(|r| r.spec.stage == "production")
            .collect();
        ended.sort_by_key(|r| r.status.as_ref().and_then(|s| s.finished_at.clone()).map(|t| t.0));
        let last = coxswain::core::delivery::image_of(ended.last().unwrap());
        assert_eq!(
            status.stages[1].image, last,
            "what was brought there last is there"
        );
        assert_eq!(ended.len(), 2);
    });
}

/// What must not depend on crashes.
#[derive(Debug, Eq, PartialEq)]
struct Outcome {
    phase: String,
    message: String,
    started: Option<i64>,
    images: Vec<(String, Option<String>)>,
    deployed: Vec<String>,
    /// How many Jobs there are by the operator's creates, and that no name was created twice.
    jobs: (usize, bool),
    /// Each run: context, stage, phase.
    runs: Vec<(String, String, Option<String>)>,
}

fn outcome(world: &World) -> Outcome {
    let status = now(world);
    // Uids differ from telling to telling, and with them the names of Jobs.
    let created = jobs_created(world);
    let names: std::collections::BTreeSet<&String> = created.iter().collect();
    let uid = world.get::<Delivery>("cart").and_then(|d| d.uid()).unwrap();
    let plain = |text: &str| text.replace(&uid, "UID");
    let mut runs: Vec<_> = world
        .list::<SequenceExecution>()
        .into_iter()
        .map(|r| {
            let context = plain(r.spec.context.as_deref().unwrap_or_default());
            (context, r.spec.stage, r.status.map(|s| s.phase))
        })
        .collect();
    runs.sort();
    Outcome {
        phase: status.phase,
        message: status.message,
        started: status.started_generation,
        images: status.stages.into_iter().map(|s| (s.stage, s.image)).collect(),
        deployed: deployed(world),
        jobs: (names.len(), names.len() == created.len()),
        runs,
    }
}

fn telling(definitions: &'static str, away: Duration) -> Scenario<Outcome> {
    Scenario {
        setup: Rc::new(move |world: &World| {
            world.apply(ONE_STAGE);
            world.apply(definitions);
            plays(world);
            world.apply(&delivery("cart:1"));
        }),
        operator: Rc::new(|seat, world: &World| coxswain(seat, world.metrics.clone()).boxed()),
        story: Rc::new(|world: World| {
            async move {
                reaches(&world, "Delivered").await;
                world.apply(&delivery("cart:2"));
                reaches(&world, "Delivered").await;
                world.sleep(mins(5)).await;
            }
            .boxed_local()
        }),
        away,
        outcome: Rc::new(outcome),
    }
}

fn survives_everywhere(story: &Scenario<Outcome>, at_least: usize) {
    let mut differences = vec![];
    let tellings = story.crash_everywhere(|golden, told| {
        assert_eq!(golden.outcome.phase, "Delivered");
        if golden.outcome != told.outcome {
            differences.push(format!(
                "{:?} at {:?}:\n  {:?}\n  {:?}",
                told.crashes, told.at, golden.outcome, told.outcome
            ));
        }
    });
    assert!(differences.is_empty(), "{}", differences.join("\n"));
    assert!(tellings >= at_least, "{tellings}");
}

/// No version is delivered twice, and none is forgotten.
#[rstest]
#[case::one_stage(ONE_STAGE, secs(70), 30)]
#[case::two_stages(AUTOMATIC, secs(0), 50)]
fn a_delivery_survives_a_crash_at_every_write(
    #[case] shipyard: &'static str,
    #[case] away: Duration,
    #[case] tellings: usize,
) {
    survives_everywhere(&telling(shipyard, away), tellings);
}
