//! The Job player does what Job controller and kubelet do.

use std::time::Duration;

use coxswain::testing::{Play, World};
use k8s_openapi::api::{
    batch::v1::Job,
    core::v1::{Event, Pod},
};
use kube::ResourceExt;
use rstest::rstest;

const JOB: &str = r"
apiVersion: batch/v1
kind: Job
metadata: {name: work}
spec:
  backoffLimit: 0
  ttlSecondsAfterFinished: 600
  template:
    spec: {restartPolicy: Never, containers: [{name: task, image: tool}]}
";

fn conditions(world: &World) -> Vec<String> {
    let status = world
        .get::<Job>("work")
        .and_then(|j| j.status)
        .unwrap_or_default();
    status
        .conditions
        .unwrap_or_default()
        .iter()
        .map(|c| format!("{}:{}", c.type_, c.reason.as_deref().unwrap()))
        .collect()
}

fn pod(world: &World) -> Option<Pod> {
    world.list::<Pod>().pop()
}

/// The container's state in a word, its exit code and message.
fn container(world: &World) -> Option<(String, Option<i32>, Option<String>)> {
    let state = pod(world)?.status?.container_statuses?.pop()?.state?;
    if let Some(ended) = state.terminated {
        return Some(("terminated".to_owned(), Some(ended.exit_code), ended.message));
    }
    match state.waiting {
        Some(waiting) => Some((waiting.reason?, None, waiting.message)),
        None => Some(("running".to_owned(), None, None)),
    }
}

fn phase(world: &World) -> String {
    pod(world).and_then(|p| p.status?.phase).unwrap_or_default()
}

#[rstest]
#[case(Play::exits(0), "Succeeded", &["SuccessCriteriaMet:CompletionsReached", "Complete:CompletionsReached"])]
#[case(Play::exits(3), "Failed", &["FailureTarget:BackoffLimitExceeded", "Failed:BackoffLimitExceeded"])]
#[case(Play::evicted_before_start(), "Failed", &["FailureTarget:BackoffLimitExceeded", "Failed:BackoffLimitExceeded"])]
#[case(Play::hangs(), "Running", &[])]
#[case(Play::never_starts("ErrImagePull", "no such image"), "Pending", &[])]
#[case(Play::unschedulable("0/1 nodes are available"), "Pending", &[])]
#[case(Play::exits(0).with_sidecar(), "Running", &[])]
#[case(Play::exits(0).job_never_tells(), "Succeeded", &[])]
#[case(Play::no_pod("exceeded quota"), "", &[])]
fn a_job_goes_its_way(#[case] play: Play, #[case] ends: &str, #[case] told: &[&str]) {
    World::run(async |world: World| {
        world.player.script(move |_| play.clone());
        world.apply(JOB);
        world.sleep(Duration::from_secs(60)).await;
        assert_eq!(phase(&world), ends);
        assert_eq!(conditions(&world), told);
    });
}

#[test]
fn the_pod_tells_a_second_before_the_job() {
    World::run(async |world: World| {
        world.player.script(|_| Play::exits(7).saying("it broke"));
        world.apply(JOB);
        let start = world.now();
        world
            .wait_until("running", Duration::from_secs(5), |w| phase(w) == "Running")
            .await;
        world
            .wait_until("terminated", Duration::from_secs(5), |w| {
                container(w) == Some(("terminated".to_owned(), Some(7), Some("it broke".to_owned())))
            })
            .await;
        let ended = world.now();
        assert_eq!(ended.duration_since(start).as_millis(), 2500);
        world
            .wait_until("failing", Duration::from_secs(5), |w| !conditions(w).is_empty())
            .await;
        assert_eq!(world.now().duration_since(ended).as_millis(), 1000);
        let owner = pod(&world).unwrap().owner_references()[0].clone();
        assert_eq!((owner.kind.as_str(), owner.controller), ("Job", Some(true)));
        assert_eq!(
            pod(&world).unwrap().labels()["batch.kubernetes.io/job-name"],
            "work"
        );
        world.sleep(Duration::from_secs(610)).await;
        assert!(
            world.get::<Job>("work").is_none() && pod(&world).is_none(),
            "both expire"
        );
    });
}

#[test]
fn a_deleted_job_takes_its_pod_with_it() {
    World::run(async |world: World| {
        world.player.script(|_| Play::hangs());
        world.apply(JOB);
        world
            .wait_until("running", Duration::from_secs(5), |w| phase(w) == "Running")
            .await;
        assert!(world.server.delete::<Job>("demo", "work"));
        world
            .wait_until("gone", Duration::from_secs(5), |w| pod(w).is_none())
            .await;
        assert!(world.get::<Job>("work").is_none());
    });
}

#[test]
fn a_deleted_pod_fails_its_job() {
    World::run(async |world: World| {
        world.player.script(|_| Play::hangs());
        world.apply(JOB);
        world
            .wait_until("running", Duration::from_secs(5), |w| phase(w) == "Running")
            .await;
        let name = pod(&world).unwrap().name_any();
        world.server.delete::<Pod>("demo", &name);
        world
            .wait_until("killed", Duration::from_secs(5), |w| {
                container(w).is_some_and(|c| c.1 == Some(137))
            })
            .await;
        world
            .wait_until("failed", Duration::from_secs(5), |w| conditions(w).len() == 2)
            .await;
        assert!(pod(&world).is_none());
    });
}

#[test]
fn a_jobs_own_deadline_ends_it() {
    World::run(async |world: World| {
        world.player.script(|_| Play::hangs());
        world.apply(&JOB.replace("backoffLimit: 0", "backoffLimit: 0\n  activeDeadlineSeconds: 10"));
        world
            .wait_until("failed", Duration::from_secs(15), |w| conditions(w).len() == 2)
            .await;
        assert_eq!(conditions(&world)[1], "Failed:DeadlineExceeded");
    });
}

#[test]
fn a_job_without_pods_says_why_in_an_event() {
    World::run(async |world: World| {
        world
            .player
            .script(|_| Play::no_pod("pods \"work\" is forbidden: exceeded quota: small"));
        world.apply(JOB);
        world.sleep(Duration::from_secs(5)).await;
        let event = world.list::<Event>().pop().unwrap();
        assert_eq!(
            (event.reason.as_deref(), event.involved_object.name.as_deref()),
            (Some("FailedCreate"), Some("work"))
        );
        assert!(event.message.unwrap().contains("exceeded quota"));
    });
}
