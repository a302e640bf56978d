//! Deliveries that wait for a word: those that may have been restored, and those whose runs are held.

use rstest::rstest;
use serde_json::json;

use super::*;

fn restored(world: &mut World, how: &str) {
    let meta = &mut world.delivery.metadata;
    match how {
        "by Velero" => {
            meta.labels = Some([(labels::VELERO_RESTORE.to_owned(), "nightly".to_owned())].into());
        }
        "over old runs" => world.facts.traces = vec!["another-uid-3".to_owned()],
        "without a status" => meta.generation = Some(4),
        "long ago" => world.now = at(START + 3600),
        _ => {
            world.delivery.status = Some(DeliveryStatus {
                phase: "Delivered".to_owned(),
                context: Some("another-uid-1".to_owned()),
                started_generation: Some(1),
                observed_generation: Some(1),
                ..DeliveryStatus::default()
            });
        }
    }
}

#[rstest]
fn what_may_have_been_restored_waits_for_a_word(
    #[values(
        "by Velero",
        "over old runs",
        "without a status",
        "long ago",
        "with another's status"
    )]
    how: &str,
) {
    let mut world = World::new();
    restored(&mut world, how);
    for _ in 0..3 {
        let status = world.step().clone();
        assert_eq!(status.phase, "Held", "{how}");
        let remedy = format!("kubectl annotate delivery cart coxswain.dev/confirm={UID}");
        assert!(status.message.contains(&remedy), "{}", status.message);
        assert!(is(&status, "Stalled", "True") && is(&status, "Ready", "False"));
        world.later(86_400);
    }
    let mut confirm = |uid: &str| {
        let annotation = (labels::CONFIRM.to_owned(), uid.to_owned());
        world.delivery.metadata.annotations = Some([annotation].into());
        world.step().phase.clone()
    };
    assert_eq!(confirm("another-uid"), "Held");
    assert_eq!(confirm(UID), "Delivering");
    assert_eq!(world.facts.runs.len(), 1);
    assert_eq!(world.told, ["Held", "RunStarted"]);
}

#[test]
fn a_change_of_a_held_delivery_is_a_wish_of_today() {
    let mut world = World::new();
    restored(&mut world, "by Velero");
    world.step();
    world.deliver("cart:2");
    assert_eq!(world.step().phase, "Delivering");
    assert_eq!(world.facts.runs.len(), 1);
}

#[test]
fn a_run_that_is_held_is_shown_so() {
    let mut world = World::new();
    world.step();
    world.run_is(
        "Held",
        false,
        json!({"reason": "Held", "message": "held by namespace demo"}),
    );
    let status = world.step().clone();
    assert_eq!(
        (status.phase.as_str(), status.message.as_str()),
        ("Held", "stage staging: held by namespace demo")
    );
    assert!(is(&status, "Reconciling", "True"));
    world.run_is("Running", false, json!({}));
    assert_eq!(world.step().phase, "Delivering");
}
