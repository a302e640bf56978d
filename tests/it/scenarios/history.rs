//! What becomes of runs and problems that have ended, and of edits of what is pinned.

use coxswain::{
    api::{Delivery, JobConfig, ProblemEvent, Remediation, SequenceExecution, Shipyard},
    testing::{Verb, World},
};

use super::*;

const DAY: u64 = 24;

/// A problem that is healed, and a quarter of an hour until the next.
async fn healed(shop: &Shop, name: &str) {
    shop.world.metrics.are(1.2);
    shop.problem(name);
    let status = shop.ended(name, mins(10)).await;
    assert_eq!(status.phase, "Succeeded", "{name}");
    shop.world.sleep(mins(15)).await;
}

/// The problems whose runs are there, by name.
fn remembered(world: &World) -> Vec<String> {
    let runs = world.list::<SequenceExecution>();
    let mut problems: Vec<String> = runs
        .into_iter()
        .map(|run| run.spec.triggered_by.expect("a problem").name)
        .collect();
    problems.sort();
    problems
}

fn deletions(world: &World, resource: &str) -> usize {
    let deletes = |w: &&Logged| w.call.verb == Verb::Delete && w.call.resource == resource;
    writes(world).iter().filter(deletes).count()
}

/// What the shipyard says of the sequence's history.
async fn age(shop: &Shop, age: &str) {
    shop.world.edit::<Shipyard>("shop", |shipyard| {
        shipyard.spec.stages[0].sequences[0].history_age = Some(serde_json::from_value(age.into()).unwrap());
    });
    shop.world.sleep(secs(2)).await;
}

/// How many runs it keeps.
async fn limit(shop: &Shop, limit: i32) {
    shop.world.edit::<Shipyard>("shop", |shipyard| {
        shipyard.spec.stages[0].sequences[0].history_limit = Some(limit);
    });
    shop.world.sleep(secs(2)).await;
}

/// A run that somebody starts by hand.
fn by_hand(name: &str, metadata: &str, more: &str) -> String {
    format!(
        "
apiVersion: coxswain.dev/v1alpha1
kind: SequenceExecution
metadata: {{name: {name}{metadata}}}
spec: {{project: shop, stage: production, service: cart, sequence: check{more}}}
"
    )
}

/// A sequence whose runs end at once: nothing answers its task.
async fn check(shop: &Shop, limit: i32) {
    shop.world.edit::<Shipyard>("shop", |shipyard| {
        let sequence =
            serde_json::json!({"name": "check", "historyLimit": limit, "tasks": [{"name": "look"}]});
        let sequences = &mut shipyard.spec.stages[0].sequences;
        sequences.push(serde_json::from_value(sequence).unwrap());
    });
    shop.world.sleep(secs(2)).await;
}

async fn checked(shop: &Shop, name: &str, metadata: &str, more: &str) {
    shop.world.apply(&by_hand(name, metadata, more));
    let ended = |w: &World| {
        w.get::<SequenceExecution>(name)
            .is_none_or(|r| r.status.is_some_and(|s| s.done))
    };
    shop.world.wait_until(name, mins(1), ended).await;
    shop.world.sleep(secs(30)).await;
}

fn runs(world: &World) -> Vec<String> {
    let runs = world.list::<SequenceExecution>();
    runs.iter().map(ResourceExt::name_any).collect()
}

#[test]
fn ten_runs_and_the_newest_failed_one_are_kept() {
    World::run(async |world: World| {
        let shop = Shop::open(world, "nothing").await;
        shop.problem("hopeless");
        assert_eq!(shop.ended("hopeless", mins(30)).await.phase, "Exhausted");
        shop.world.sleep(mins(15)).await;
        heals(&shop.world, "restart");
        for n in 1..=15 {
            healed(&shop, &format!("slow-{n:02}")).await;
        }
        let newest = (6..=15).map(|n| format!("slow-{n:02}"));
        let kept: Vec<String> = ["hopeless".to_owned()].into_iter().chain(newest).collect();
        assert_eq!(remembered(&shop.world), kept);
        assert_eq!(deletions(&shop.world, "sequenceexecutions.coxswain.dev"), 5);
        assert_eq!(
            shop.world.list::<ProblemEvent>().len(),
            16,
            "no problem is a week old"
        );
    });
}

#[test]
fn old_runs_go_but_the_newest_and_closed_problems_go_without_their_runs() {
    World::run(async |world: World| {
        let shop = Shop::open(world, "nothing").await;
        age(&shop, "48h").await;
        shop.problem("hopeless");
        assert_eq!(shop.ended("hopeless", mins(30)).await.phase, "Exhausted");
        shop.world.sleep(mins(15)).await;
        heals(&shop.world, "restart");
        healed(&shop, "slow-1").await;
        healed(&shop, "slow-2").await;
        shop.world.sleep(hours(DAY)).await;
        assert_eq!(remembered(&shop.world).len(), 3);

        shop.world.sleep(hours(2 * DAY)).await;
        assert_eq!(remembered(&shop.world), ["hopeless", "slow-2"]);
        assert_eq!(shop.world.list::<ProblemEvent>().len(), 3);

        shop.world.sleep(hours(5 * DAY)).await;
        assert!(shop.world.list::<ProblemEvent>().is_empty(), "they are gone");
        assert_eq!(
            remembered(&shop.world),
            ["hopeless", "slow-2"],
            "their runs are not"
        );
        let owned = |run: &SequenceExecution| !run.owner_references().is_empty();
        assert!(!shop.world.list::<SequenceExecution>().iter().any(owned));
        let before = shop.world.server.writes().len();
        shop.world.sleep(hours(DAY + 1)).await;
        assert_eq!(shop.world.server.writes().len(), before, "that is all");
    });
}

#[test]
fn what_ended_while_the_operator_was_away_is_found_at_its_start() {
    World::run(async |world: World| {
        let shop = Shop::open(world, "restart").await;
        for n in 1..=4 {
            healed(&shop, &format!("slow-{n}")).await;
        }
        shop.operator.crash();
        shop.world.edit::<Shipyard>("shop", |shipyard| {
            shipyard.spec.stages[0].sequences[0].history_limit = Some(2);
        });
        shop.world.sleep(hours(8 * DAY)).await;
        assert_eq!(
            (runs(&shop.world).len(), deletions(&shop.world, "jobs.batch")),
            (4, 0)
        );
        let _again = start(&shop.world, "operator-2");
        shop.world.sleep(mins(2)).await;
        assert_eq!(remembered(&shop.world), ["slow-3", "slow-4"]);
        assert!(shop.world.list::<ProblemEvent>().is_empty());
    });
}

#[test]
fn a_short_history_does_not_refill_a_budget() {
    World::run(async |world: World| {
        let shop = Shop::open(world, "restart").await;
        limit(&shop, 0).await;
        shop.world.edit::<Remediation>("cart", |remediation| {
            let mut json = serde_json::to_value(&*remediation).unwrap();
            json["spec"]["budget"] = serde_json::json!({"actions": 3, "per": "24h"});
            *remediation = serde_json::from_value(json).unwrap();
        });
        shop.world.sleep(secs(2)).await;
        for n in 1..=3 {
            healed(&shop, &format!("slow-{n}")).await;
        }
        assert_eq!(remembered(&shop.world).len(), 3, "they count against the budget");
        shop.world.metrics.are(1.2);
        shop.problem("slow-4");
        let status = shop.ended("slow-4", mins(30)).await;
        assert_eq!(end(&status), ("Exhausted", "BudgetSpent"));
        shop.world.sleep(hours(2 * DAY)).await;
        assert_eq!(remembered(&shop.world), ["slow-4"]);
    });
}

#[test]
fn a_run_stays_while_its_flow_goes_on_and_when_somebody_wants_it() {
    World::run(async |world: World| {
        let shop = Shop::open(world, "restart").await;
        check(&shop, 0).await;
        let paused = ", context: flow, control: {desired: Pause}";
        shop.world.apply(&by_hand("live", "", paused));
        checked(&shop, "a-flow", "", ", context: flow").await;
        checked(
            &shop,
            "b-kept",
            ", annotations: {coxswain.dev/keep: \"true\"}",
            "",
        )
        .await;
        let flux = ", labels: {kustomize.toolkit.fluxcd.io/name: shop}";
        checked(&shop, "c-flux", flux, "").await;
        checked(&shop, "d-old", "", "").await;
        checked(&shop, "e-new", "", "").await;
        assert_eq!(runs(&shop.world), ["a-flow", "b-kept", "c-flux", "e-new", "live"]);

        shop.world.edit::<SequenceExecution>("live", |run| {
            run.spec.control.as_mut().unwrap().desired = coxswain::api::execution::Desired::Abort;
        });
        shop.world.sleep(mins(1)).await;
        // e-new is the newest that failed; aborted is not failed.
        assert_eq!(runs(&shop.world), ["b-kept", "c-flux", "e-new", "live"]);
    });
}

#[test]
fn a_run_that_a_delivery_shows_stays() {
    World::run(async |world: World| {
        let shop = Shop::open(world, "restart").await;
        check(&shop, 0).await;
        shop.world.apply(
            "
apiVersion: coxswain.dev/v1alpha1
kind: Delivery
metadata: {name: cart}
spec: {project: shop, service: cart, stage: production, sequence: check, image: cart:1}
",
        );
        shop.world.sleep(secs(30)).await;
        let delivered = runs(&shop.world);
        assert_eq!(delivered.len(), 1, "{delivered:?}");
        checked(&shop, "y-old", "", "").await;
        checked(&shop, "z-new", "", "").await;
        assert_eq!(runs(&shop.world), [delivered[0].as_str(), "z-new"]);

        shop.world.server.delete::<Delivery>("demo", "cart");
        checked(&shop, "z-newer", "", "").await;
        assert_eq!(runs(&shop.world), ["z-newer"]);
    });
}

#[test]
fn many_are_deleted_in_several_passes() {
    World::run(async |world: World| {
        world.apply(SHOP);
        for n in 0..215 {
            let run = by_hand(&format!("r{n:03}"), ", namespace: demo", "");
            let mut run: SequenceExecution = serde_yaml::from_str(&run).unwrap();
            let ended = format!("2026-01-05T08:{:02}:{:02}.000000Z", n / 60, n % 60);
            let status = serde_json::json!({"done": true, "phase": "Succeeded", "finishedAt": ended});
            run.status = serde_json::from_value(status).unwrap();
            world.server.create(&run).unwrap();
        }
        let _operator = start(&world, "operator");
        world.sleep(secs(65)).await;
        assert_eq!(runs(&world).len(), 15, "so many at a time");
        world.sleep(secs(20)).await;
        let newest: Vec<String> = (205..215).map(|n| format!("r{n}")).collect();
        assert_eq!(runs(&world), newest, "the sequence is unknown, so ten are kept");
    });
}

/// A run during which `edit` is done, with the number of its status writes.
fn told(edit: impl AsyncFn(&Shop)) -> (SequenceExecutionStatus, usize) {
    World::run(async |world: World| {
        let shop = Shop::open(world, "scale").await;
        shop.problem("slow-1");
        shop.until("slow-1", "waiting", mins(5), |s| s.reason == "RetryAfter")
            .await;
        edit(&shop).await;
        let status = shop.ended("slow-1", mins(10)).await;
        let of_runs = |w: &&Logged| w.call.resource.starts_with("sequenceexecutions");
        (status, writes(&shop.world).iter().filter(of_runs).count())
    })
}

#[test]
fn an_edit_of_what_is_pinned_is_named_without_a_write_of_its_own() {
    let (plain, writes) = told(async |_| ());
    assert!(plain.definition_changed.is_empty());
    let (edited, as_many) = told(async |shop| {
        limit(shop, 7).await;
        shop.world.edit::<JobConfig>("cart", |jobs| {
            jobs.spec.actions[0].tasks[0].image = "another".to_owned();
        });
        shop.world.server.delete::<Remediation>("demo", "cart");
        shop.world.sleep(secs(10)).await;
        let unchanged = status(&shop.world, "slow-1");
        assert!(
            unchanged.definition_changed.is_empty(),
            "nothing else was to be written"
        );
    });
    let named = [
        "Shipyard shop: generation 2, pinned 1",
        "Remediation cart: deleted, pinned generation 1",
    ];
    assert_eq!(
        edited.definition_changed, named,
        "the JobConfig was pinned anew with the second attempt"
    );
    assert_eq!(edited.phase, plain.phase);
    assert_eq!(writes, as_many);
}
