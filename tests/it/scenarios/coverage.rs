//! Statuses of definitions that speak of each other: who answers what, and what nobody does.

use coxswain::{
    api::{HasConfigStatus, JobConfig, JobConfigStatus, Shipyard, ShipyardStatus, condition_is},
    testing::World,
};

use super::*;

/// The shop's documents of these kinds.
fn only(kinds: &[&str]) -> String {
    let wanted = |document: &&str| {
        kinds
            .iter()
            .any(|kind| document.contains(&format!("kind: {kind}\n")))
    };
    SHOP.split("---\n")
        .filter(wanted)
        .collect::<Vec<_>>()
        .join("---\n")
}

fn shipyard(world: &World) -> ShipyardStatus {
    world.get::<Shipyard>("shop").unwrap().status.unwrap_or_default()
}

fn job_config(world: &World) -> JobConfigStatus {
    world.get::<JobConfig>("cart").unwrap().status.unwrap_or_default()
}

#[test]
fn a_new_job_config_updates_its_shipyard() {
    World::run(async |world: World| {
        world.apply(&only(&["Shipyard", "Remediation"]));
        start(&world, "operator");
        world.sleep(secs(2)).await;
        let status = shipyard(&world);
        assert!(condition_is(&status.config().conditions, "Ready", "True"));
        assert_eq!(
            status.unanswered,
            ["production.remediation.action", "production.remediation.je-test"]
        );
        assert_eq!(status.unanswered_count, 2);

        world.apply(&only(&["JobConfig"]));
        world.sleep(secs(2)).await;
        assert_eq!(
            (shipyard(&world).unanswered, shipyard(&world).unanswered_count),
            (vec![], 0)
        );
        let status = job_config(&world);
        assert_eq!(
            status.answers,
            ["production.remediation.action", "production.remediation.je-test"]
        );
        assert_eq!((status.answers_count, status.unused), (2, vec![]));

        let before = writes(&world).len();
        world.sleep(hours(1)).await;
        assert_eq!(
            writes(&world).len(),
            before,
            "nothing is written when nothing changes"
        );
    });
}

#[test]
fn an_action_that_no_remediation_has_any_more_is_unused() {
    World::run(async |world: World| {
        world.apply(&only(&["Shipyard", "Remediation", "JobConfig"]));
        start(&world, "operator");
        world.sleep(secs(2)).await;
        assert_eq!(job_config(&world).unused_count, 0);

        world.apply(&only(&["Remediation"]).replace("scale", "scale-out"));
        world.sleep(secs(2)).await;
        let status = job_config(&world);
        assert_eq!(
            status.unused,
            [r#"Scale: no Remediation has the action "scale"; did you mean "scale-out"?"#]
        );
        assert_eq!(status.unused_count, 1);
        assert!(
            condition_is(&status.config().conditions, "Ready", "True"),
            "it is in force all the same"
        );
    });
}

#[test]
fn a_job_config_that_is_not_valid_answers_nothing() {
    World::run(async |world: World| {
        let broken = only(&["JobConfig"]).replace(
            "image: locust",
            "image: locust, workingDir: /x, retries: 5, env: [{name: KEPTN_STAGE, valueFrom: string}]",
        );
        world.apply(&format!("{}---\n{broken}", only(&["Shipyard"])));
        start(&world, "operator");
        world.sleep(secs(2)).await;
        let status = job_config(&world);
        assert!(condition_is(&status.config().conditions, "Ready", "False"));
        assert_eq!((status.answers_count, shipyard(&world).unanswered_count), (0, 2));
    });
}
