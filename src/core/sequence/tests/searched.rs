//! What the exhaustive search (`tests/it/model`) found.

use super::*;

/// A run whose action's Job hangs, and has a minute.
fn hanging() -> World {
    let script: Script = |task, _| if task == "action" { -1 } else { 0 };
    let mut world = World::new(&["scale"], script, |_| Some("pass"));
    if let Some(Ok(found)) = world.facts.run.as_mut() {
        found.sequence.tasks[1].timeout = Some(crate::api::Duration::from_secs(60));
    }
    while world.created.is_empty() {
        world.turn();
    }
    world
}

/// What is decided now, with the Jobs and pods of the world; a crash follows, so nothing is written.
fn decided(world: &World) -> Decision {
    let mut facts = world.facts.clone();
    facts.jobs.clone_from(&world.jobs);
    facts.pods.clone_from(&world.pods);
    step(&world.run, &facts, world.now)
}

#[test]
fn a_job_that_was_deleted_for_its_deadline_is_not_created_again_after_a_crash() {
    let mut world = hanging();
    world.now = world
        .now
        .checked_add(jiff::SignedDuration::from_secs(61))
        .unwrap();
    let name = world.created[0].clone();
    assert!(matches!(decided(&world).first.as_slice(), [Effect::DeleteJob { name: n, .. }] if *n == name));
    world.jobs.clear();
    let after = world.turn();
    assert!(after.then.is_empty(), "{:?}", after.then);
    assert_eq!(world.status().attempts[0].tasks[1].reason, "TimedOut");
}

#[test]
fn the_uid_of_an_evicted_job_is_on_record_before_it_is_deleted() {
    let mut world = hanging();
    let name = world.created[0].clone();
    let uid = world.jobs[&name].metadata.uid.clone();
    let mut pod: Pod = serde_json::from_value(json!({
        "metadata": {"name": "x", "namespace": "shop",
                     "ownerReferences": [{"apiVersion": "batch/v1", "kind": "Job", "name": name, "uid": uid, "controller": true}]},
        "status": {"phase": "Failed", "conditions": [{"type": "DisruptionTarget", "status": "True"}]},
    }))
    .unwrap();
    pod.metadata.labels = world.jobs[&name].metadata.labels.clone();
    world.pods = vec![pod];
    let failed =
        json!({"conditions": [{"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded"}]});
    world.jobs.get_mut(&name).unwrap().status = Some(serde_json::from_value(failed).unwrap());
    let first = world.turn();
    assert!(first.first.is_empty() && first.then.is_empty());
    assert_eq!(first.status.attempts[0].tasks[1].jobs[0].uid, uid);
    assert_eq!(first.again, Some(world.now), "at once");
    let second = decided(&world);
    assert!(matches!(second.first.as_slice(), [Effect::DeleteJob { .. }]));
    assert!(matches!(second.then.as_slice(), [Effect::CreateJob(_)]));
    // A crash after the deletion: it is not created a second time.
    world.jobs.clear();
    world.pods.clear();
    assert!(world.turn().then.is_empty());
    assert_eq!(world.status().attempts[0].tasks[1].state, "Lost");
}
