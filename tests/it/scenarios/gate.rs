//! Gates by hand, and gates that must hold.

use coxswain::api::{Evaluation, ServiceLevelObjective, Shipyard, evaluation::Invalidated};

use super::*;

fn evaluation(name: &str, more: &str) -> String {
    format!(
        "
apiVersion: coxswain.dev/v1alpha1
kind: Evaluation
metadata: {{name: {name}}}
spec: {{project: shop, stage: production, service: cart{more}}}
"
    )
}

/// Waits for the verdict.
async fn judged(world: &World, name: &str) -> Evaluation {
    let done = |w: &World| {
        let found = w.get::<Evaluation>(name);
        found.and_then(|e| e.status).is_some_and(|s| s.done)
    };
    world
        .wait_until(&format!("{name}'s verdict"), mins(20), done)
        .await;
    world.get(name).unwrap()
}

fn message(evaluation: &Evaluation) -> String {
    evaluation.status.as_ref().unwrap().message.clone()
}

#[test]
fn an_evaluation_by_hand_is_judged_by_what_is_in_force_and_says_what_that_was() {
    World::run(async |world: World| {
        let shop = Shop::open(world, "scale").await;
        let world = &shop.world;
        world.apply(&evaluation("sick", ", timeframe: 10m"));
        let sick = judged(world, "sick").await;
        assert_eq!(message(&sick), "fail: 0 of 100; response_time 1.2 > 0.4 (key)");
        let window = sick.spec.window.clone().unwrap();
        assert_eq!(window.end.0, sick.creation_timestamp().unwrap().0);
        assert_eq!(window.end.0.duration_since(window.start.0).as_mins(), 10);
        assert_eq!(sick.spec.objective_name.as_deref(), Some("cart"));
        assert_eq!(sick.spec.indicators.keys().collect::<Vec<_>>(), ["response_time"]);
        // Edits come too late for it.
        world.metrics.are(0.1);
        let window = ", window: {start: '2026-01-01T00:00:00Z', end: '2026-01-01T00:02:00Z'}";
        world.apply(&evaluation("fixed", window));
        let fixed = judged(world, "fixed").await;
        assert_eq!(message(&fixed), "pass: 100 of 100");
        let (query, at) = world.metrics.asked().pop().unwrap();
        assert_eq!(query, "avg(rt{service=\"cart\"}[120s])");
        assert_eq!(at.to_string(), "2026-01-01T00:02:00Z");
        world.apply(&evaluation("short", ""));
        let short = judged(world, "short").await.spec.window.unwrap();
        assert_eq!(
            short.end.0.duration_since(short.start.0).as_mins(),
            5,
            "v1's default"
        );
    });
}

#[test]
fn where_nothing_is_in_force_or_it_can_t_be_read_an_evaluation_by_hand_says_so() {
    World::run(async |world: World| {
        let shop = Shop::open(world, "scale").await;
        let world = &shop.world;
        world.edit::<ServiceLevelObjective>("cart", |slo| {
            slo.spec.body.objectives[0].pass.as_mut().unwrap()[0].criteria = vec!["fast".to_owned()];
        });
        world.sleep(secs(2)).await;
        world.apply(&evaluation("unreadable", ""));
        let unreadable = judged(world, "unreadable").await;
        let status = unreadable.status.clone().unwrap();
        assert_eq!(
            (status.phase.as_str(), status.reason.as_str()),
            ("Inconclusive", "DefinitionInvalid")
        );
        assert!(
            status.message.contains("ServiceLevelObjective cart"),
            "{}",
            status.message
        );
        let elsewhere = evaluation("elsewhere", "").replace("project: shop", "project: other");
        world.apply(&elsewhere);
        let elsewhere = judged(world, "elsewhere").await.status.unwrap();
        assert_eq!(
            (elsewhere.result.as_deref(), elsewhere.reason.as_str()),
            (Some("warning"), "Unverified")
        );
    });
}

#[test]
fn what_is_invalidated_is_no_baseline() {
    World::run(async |world: World| {
        let relative = SHOP.replace("\"<=0.4\"", "\"<=+10%\"");
        let shop = Shop::open_with(world, &relative, "scale").await;
        let world = &shop.world;
        world.metrics.are(0.1);
        world.apply(&evaluation("good", ""));
        judged(world, "good").await;
        world.sleep(mins(1)).await;
        world.metrics.are(9.0);
        world.apply(&evaluation("outage", ""));
        let outage = judged(world, "outage").await.status.unwrap();
        assert_eq!(
            (outage.result.as_deref(), outage.compared_with),
            (Some("fail"), vec!["good".to_owned()])
        );
        world.edit::<Evaluation>("outage", |e| {
            e.spec.invalidated = Some(Invalidated {
                reason: "the network was down".to_owned(),
                by: "ann".to_owned(),
            });
        });
        world.sleep(mins(1)).await;
        world.metrics.are(0.105);
        world.apply(&evaluation("after", ""));
        let after = judged(world, "after").await.status.unwrap();
        assert_eq!(
            (after.result.as_deref(), after.compared_with),
            (Some("pass"), vec!["good".to_owned()])
        );
    });
}

fn must_hold(world: &World) {
    world.edit::<Shipyard>("shop", |shipyard| {
        let tasks = &mut shipyard.spec.stages[0].sequences[0].tasks;
        let gate = tasks.iter_mut().find(|t| t.name == "evaluation").unwrap();
        let properties = gate.properties.get_or_insert_default();
        properties.insert("timeframe".to_owned(), "1m".into());
        properties.insert("mustHoldFor".to_owned(), "5m".into());
    });
}

#[test]
fn a_service_that_is_healthy_for_a_moment_only_is_not_healed() {
    World::run(async |world: World| {
        let shop = Shop::open(world, "restart").await;
        let world = &shop.world;
        must_hold(world);
        world.sleep(secs(2)).await;
        shop.problem("flaps");
        let holds = |s: &SequenceExecutionStatus| s.message.contains("must hold until");
        let first = shop
            .until("flaps", "the first good verdict", mins(20), holds)
            .await;
        let asked = find_task(&first, "evaluation")
            .unwrap()
            .evaluation
            .clone()
            .unwrap();
        let (since, until) = (asked.good_since.unwrap().0, asked.hold_until.unwrap().0);
        assert_eq!(until.duration_since(since).as_mins(), 5);
        let attempt = first.attempt;
        // It is sick again, and the next action is tried.
        world.metrics.are(1.2);
        heals(world, "scale");
        let next = |s: &SequenceExecutionStatus| s.attempt > attempt;
        let second = shop.until("flaps", "the next attempt", mins(20), next).await;
        let gate = second.attempts[second.attempts.len() - 2].tasks.last().unwrap();
        assert_eq!(gate.result.as_deref(), Some("fail"));
        let end = shop.ended("flaps", hours(1)).await;
        assert_eq!(end.phase, "Succeeded");
        let gate = find_task(&end, "evaluation").unwrap();
        let asked = gate.evaluation.clone().unwrap();
        assert_eq!(asked.try_, 6, "each minute, from the first good one on");
        assert!(
            gate.message.contains("5m after it was good for the first time"),
            "{}",
            gate.message
        );
    });
}
