//! What is said of Jobs and pods in the states that Kubernetes leaves them in.

use jiff::Timestamp;
use k8s_openapi::api::{batch::v1::Job, core::v1::Pod};
use rstest::rstest;
use serde_json::{Value, json};

use super::{
    observe::{Blocked, Ended, EventLine, JobFacts, Observation, is_ours, lingers, look_again, observe},
    result::Verdict,
    tries::TRIES_MAX,
};
use crate::api::{self, execution::JobStatus};

const UID: &str = "job-uid";
const KEY: &str = "5f1c/1/1/0/0/1";

/// A time of that day, so many seconds after three o'clock.
fn at(seconds: i64) -> Timestamp {
    let three: Timestamp = "2026-05-04T03:00:00Z".parse().unwrap();
    three
        .checked_add(jiff::SignedDuration::from_secs(seconds))
        .unwrap()
}

fn recorded() -> JobStatus {
    JobStatus {
        name: "j".into(),
        uid: Some(UID.into()),
        try_: 1,
        state: "Starting".into(),
        recorded_at: Some(api::Timestamp(at(0))),
        ..JobStatus::default()
    }
}

/// A Job that was started at three, with these conditions: type, reason, seconds after three.
fn job(conditions: &[(&str, &str, i64)]) -> Job {
    let conditions: Vec<Value> = conditions
        .iter()
        .map(|(type_, reason, seconds)| {
            json!({"type": type_, "status": "True", "reason": reason, "message": "m", "lastTransitionTime": at(*seconds).to_string()})
        })
        .collect();
    serde_json::from_value(json!({
        "metadata": {
            "name": "j", "uid": UID, "annotations": {"coxswain.dev/key": KEY},
            "ownerReferences": [{"apiVersion": "coxswain.dev/v1alpha1", "kind": "SequenceExecution", "name": "e", "uid": "5f1c", "controller": true}],
        },
        "spec": {"activeDeadlineSeconds": 90, "template": {}},
        "status": {"startTime": at(0).to_string(), "conditions": conditions},
    }))
    .unwrap()
}

/// A pod of the Job, changed by this.
fn pod(change: Value) -> Pod {
    let mut pod = json!({
        "metadata": {"name": "j-x", "ownerReferences": [
            {"apiVersion": "batch/v1", "kind": "Job", "name": "j", "uid": UID, "controller": true}]},
        "status": {},
    });
    merge(&mut pod, change);
    serde_json::from_value(pod).unwrap()
}

fn merge(old: &mut Value, newer: Value) {
    match (old, newer) {
        (Value::Object(old), Value::Object(newer)) => {
            for (key, value) in newer {
                merge(old.entry(key).or_insert(Value::Null), value);
            }
        }
        (old, newer) => *old = newer,
    }
}

fn container(state: Value) -> Value {
    json!({"containerStatuses": [
        {"name": "sidecar", "image": "s", "imageID": "", "ready": false, "restartCount": 0, "state": {"terminated": {"exitCode": 9}}},
        {"name": "task", "image": "img:1", "imageID": "", "ready": false, "restartCount": 0, "state": state},
    ]})
}

/// A pod whose container ran from 10 to 20 seconds after three.
fn exited(code: i32, message: &str) -> Pod {
    pod(json!({"status": container(terminated(code, message))}))
}

fn terminated(code: i32, message: &str) -> Value {
    json!({"terminated": {
        "exitCode": code, "message": message, "startedAt": at(10).to_string(), "finishedAt": at(20).to_string(), "containerID": "c://1"}})
}

fn running() -> Value {
    container(json!({"running": {"startedAt": at(10).to_string()}}))
}

fn waiting(reason: &str, message: &str) -> Value {
    container(json!({"waiting": {"reason": reason, "message": message}}))
}

struct World {
    recorded: JobStatus,
    job: Option<Job>,
    pods: Vec<Pod>,
    warnings: Vec<EventLine>,
    idempotent: bool,
    now: i64,
}

impl World {
    fn new(job: Job, pods: Vec<Pod>) -> Self {
        Self {
            recorded: recorded(),
            job: Some(job),
            pods,
            warnings: vec![],
            idempotent: false,
            now: 25,
        }
    }

    fn facts(&self) -> JobFacts<'_> {
        JobFacts {
            recorded: &self.recorded,
            key: KEY,
            job: self.job.as_ref(),
            pods: &self.pods,
            warnings: &self.warnings,
            idempotent: self.idempotent,
            now: at(self.now),
        }
    }

    fn observe(&self) -> Observation {
        observe(&self.facts())
    }

    fn ended(&self) -> Ended {
        match self.observe() {
            Observation::Ended(ended) => *ended,
            other => panic!("{other:?}"),
        }
    }

    fn blocked(&self) -> Blocked {
        match self.observe() {
            Observation::Waiting {
                blocked: Some(blocked),
            } => blocked,
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn exit_code_0_is_believed_before_the_job_says_so() {
    let ended = World::new(
        job(&[]),
        vec![exited(0, r#"{"result":"warning","message":"slow"}"#)],
    )
    .ended();
    assert_eq!(
        (ended.outcome.verdict, ended.outcome.message.as_str()),
        (Verdict::Warning, "slow")
    );
    assert_eq!((ended.started_at, ended.finished_at), (Some(at(10)), at(20)));
}

#[test]
fn any_other_exit_code_waits_for_the_job() {
    let mut world = World::new(job(&[]), vec![exited(3, "no")]);
    assert_eq!(world.observe(), Observation::Running { started_at: at(10) });
    for condition in ["FailureTarget", "Failed"] {
        world.job = Some(job(&[(condition, "BackoffLimitExceeded", 21)]));
        let outcome = world.ended().outcome;
        assert_eq!(
            (outcome.exit_code, outcome.message.as_str()),
            (Some(3), "exited with 3: no")
        );
        assert!(outcome.errored);
    }
}

#[test]
fn a_sidecar_can_t_keep_a_failure_from_being_seen() {
    let mut world = World::new(job(&[]), vec![exited(3, "no")]);
    assert_eq!(look_again(&world.facts()), Some(at(30)));
    world.now = 79;
    assert_eq!(world.observe(), Observation::Running { started_at: at(10) });
    assert_eq!(look_again(&world.facts()), Some(at(80)));
    world.now = 80;
    assert_eq!(world.ended().outcome.exit_code, Some(3));
}

#[test]
fn a_job_that_lingers_after_its_container_is_to_be_deleted() {
    let minute = crate::api::Duration::from_secs(60);
    assert!(!lingers(&job(&[]), at(20), minute, at(79)));
    assert!(lingers(&job(&[]), at(20), minute, at(80)));
    assert!(!lingers(&job(&[("Complete", "", 21)]), at(20), minute, at(80)));
}

#[test]
fn pods_and_containers_of_others_are_not_looked_at() {
    let foreign = pod(json!({
        "metadata": {"ownerReferences": [{"apiVersion": "batch/v1", "kind": "Job", "name": "j", "uid": "other", "controller": true}]},
        "status": container(terminated(0, "")),
    }));
    let not_controlled = pod(json!({
        "metadata": {"ownerReferences": [{"apiVersion": "v1", "kind": "X", "name": "j", "uid": UID}]},
        "status": container(terminated(0, "")),
    }));
    let last_state = json!({"containerStatuses": [{
        "name": "task", "image": "", "imageID": "", "ready": false, "restartCount": 1,
        "lastState": terminated(0, ""), "state": {"running": {"startedAt": at(12).to_string()}}}]});
    let own = pod(json!({"status": last_state}));
    let world = World::new(job(&[]), vec![foreign, not_controlled, own]);
    assert_eq!(world.observe(), Observation::Running { started_at: at(12) });
}

#[test]
fn the_job_decides_when_its_pod_is_gone() {
    let mut world = World::new(job(&[("Complete", "", 24)]), vec![]);
    // The pod's last state may only be late.
    assert_eq!(world.observe(), Observation::Waiting { blocked: None });
    assert_eq!(look_again(&world.facts()), Some(at(29)));
    world.now = 29;
    let ended = world.ended();
    assert_eq!(ended.outcome.verdict, Verdict::Pass);
    assert_eq!(
        ended.outcome.message,
        "succeeded; the pod was gone before its message could be read"
    );
    world.job = Some(job(&[("Failed", "BackoffLimitExceeded", 24)]));
    let outcome = world.ended().outcome;
    assert_eq!(
        (outcome.status(), outcome.reason.as_str()),
        ("errored", "JobFailed")
    );
}

#[test]
fn a_job_that_ran_into_its_deadline() {
    let failed = job(&[("FailureTarget", "DeadlineExceeded", 90)]);
    let deleted =
        json!({"metadata": {"deletionTimestamp": at(120).to_string(), "deletionGracePeriodSeconds": 30}});
    let mut ran = serde_json::to_value(pod(json!({"status": running()}))).unwrap();
    merge(&mut ran, deleted);
    let mut world = World::new(failed, vec![serde_json::from_value(ran).unwrap()]);
    let outcome = world.ended().outcome;
    assert_eq!(outcome.reason, "DeadlineExceeded");
    assert_eq!(
        outcome.message,
        "did not end within 1m30s and was stopped; timeout sets the limit"
    );
    world.pods = vec![pod(
        json!({"status": waiting("ImagePullBackOff", "no such image")}),
    )];
    let message = world.ended().outcome.message;
    assert_eq!(
        message,
        "its container did not start within 1m30s: the image img:1 can't be used: no such image"
    );
}

#[rstest]
#[case::start_error(json!({"exitCode": 128, "reason": "StartError", "message": "exec: \"hlm\": not found"}), "StartError", "the container can't be started: exec: \"hlm\": not found")]
#[case::memory(json!({"exitCode": 137, "reason": "OOMKilled"}), "OOMKilled", "the container went over its memory limit and was killed; resources.limits.memory sets it")]
#[case::error(json!({"exitCode": 1, "reason": "Error", "message": "boom"}), "ExitCode", "exited with 1: boom")]
fn how_a_container_failed(#[case] terminated: Value, #[case] reason: &str, #[case] message: &str) {
    let pod = pod(json!({"status": container(json!({"terminated": terminated}))}));
    let outcome = World::new(job(&[("Failed", "BackoffLimitExceeded", 21)]), vec![pod])
        .ended()
        .outcome;
    assert_eq!(
        (outcome.reason.as_str(), outcome.message.as_str()),
        (reason, message)
    );
    assert!(outcome.exit_code.is_some() && outcome.errored);
}

const FAILED: &[(&str, &str, i64)] = &[("Failed", "BackoffLimitExceeded", 21)];

fn disrupted(state: Value) -> Pod {
    let mut status = state;
    let condition = json!([{"type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI", "message": "drained"}]);
    merge(&mut status, json!({"phase": "Failed", "conditions": condition}));
    pod(json!({"status": status}))
}

#[test]
fn an_eviction_before_the_container_started_is_a_new_try_within_bounds() {
    let unknown = json!({"terminated": {"exitCode": 137, "reason": "ContainerStatusUnknown"}});
    let rejected = pod(json!({"status": {"phase": "Failed", "reason": "OutOfcpu", "message": "no cpu"}}));
    let pods = [
        disrupted(waiting("ContainerCreating", "")),
        disrupted(container(unknown)),
        disrupted(json!({})),
        rejected,
    ];
    for pod in pods {
        let mut world = World::new(job(FAILED), vec![pod]);
        let Observation::Retry { message, .. } = world.observe() else {
            panic!("{:?}", world.observe())
        };
        assert!(
            message.starts_with("the pod was lost before its container started ("),
            "{message}"
        );
        world.recorded.try_ = TRIES_MAX;
        let outcome = world.ended().outcome;
        assert!(
            outcome.errored && outcome.message.ends_with("; 3 tries were made"),
            "{}",
            outcome.message
        );
    }
}

#[test]
fn an_eviction_while_the_container_ran_is_lost_unless_the_task_may_run_again() {
    let killed = container(terminated(137, ""));
    let mut world = World::new(job(FAILED), vec![disrupted(killed)]);
    let Observation::Lost { message } = world.observe() else {
        panic!("{:?}", world.observe())
    };
    assert_eq!(
        message,
        "the pod was lost while its container ran (EvictionByEvictionAPI: drained)"
    );
    world.idempotent = true;
    assert!(matches!(world.observe(), Observation::Retry { .. }));
    world.recorded.try_ = TRIES_MAX;
    assert!(matches!(world.observe(), Observation::Lost { .. }));
}

/// Seen on a real cluster: when the Job says that it failed, the evicted pod is gone.
#[test]
fn an_eviction_is_believed_before_its_pod_is_gone() {
    let mut world = World::new(job(&[]), vec![disrupted(container(terminated(137, "")))]);
    assert!(matches!(world.observe(), Observation::Lost { .. }));
    world.idempotent = true;
    let Observation::Retry { reason, .. } = world.observe() else {
        panic!("{:?}", world.observe())
    };
    assert_eq!(reason, "EvictionByEvictionAPI");
    // What ended well may still be the Job's success.
    let mut world = World::new(job(&[]), vec![disrupted(container(terminated(0, "")))]);
    world.idempotent = true;
    assert!(!matches!(world.observe(), Observation::Retry { .. }));
}

#[test]
fn a_pod_deleted_by_hand_is_not_believed_when_it_stops_with_0() {
    // Asked to go at 15 seconds after three; many programs exit with 0 then.
    let deleted =
        json!({"metadata": {"deletionTimestamp": at(45).to_string(), "deletionGracePeriodSeconds": 30}});
    let stopped = |code| {
        let mut pod = serde_json::to_value(exited(code, "")).unwrap();
        merge(&mut pod, deleted.clone());
        serde_json::from_value::<Pod>(pod).unwrap()
    };
    let mut world = World::new(job(&[]), vec![stopped(0)]);
    assert_eq!(world.observe(), Observation::Running { started_at: at(10) });
    world.job = Some(job(FAILED));
    assert!(matches!(world.observe(), Observation::Lost { .. }));
    world.pods = vec![stopped(143)];
    assert!(matches!(world.observe(), Observation::Lost { .. }));
    // It had ended before it was asked to go.
    let late =
        json!({"metadata": {"deletionTimestamp": at(60).to_string(), "deletionGracePeriodSeconds": 30}});
    let mut pod = serde_json::to_value(exited(0, "")).unwrap();
    merge(&mut pod, late);
    world.pods = vec![serde_json::from_value(pod).unwrap()];
    assert_eq!(world.ended().outcome.verdict, Verdict::Pass);
}

#[test]
fn a_recorded_job_that_is_not_there_is_created_within_five_minutes() {
    let mut world = World::new(job(&[]), vec![]);
    world.job = None;
    world.recorded.uid = None;
    world.now = 299;
    assert_eq!(world.observe(), Observation::Create);
    assert_eq!(look_again(&world.facts()), Some(at(300)));
    world.now = 300;
    let Observation::Lost { message } = world.observe() else {
        panic!("{:?}", world.observe())
    };
    assert!(message.contains("more than 5 minutes ago"), "{message}");
    world.idempotent = true;
    assert!(matches!(world.observe(), Observation::Retry { .. }));
}

#[test]
fn a_job_deleted_by_hand_is_lost_but_not_while_its_container_runs() {
    let mut world = World::new(job(&[]), vec![pod(json!({"status": running()}))]);
    world.job = None;
    assert_eq!(world.observe(), Observation::Running { started_at: at(10) });
    world.pods = vec![];
    let Observation::Lost { message } = world.observe() else {
        panic!("{:?}", world.observe())
    };
    assert_eq!(message, "the Job j was deleted before its end was known");
    world.pods = vec![exited(0, "done")];
    assert_eq!(world.ended().outcome.message, "done");
    // Somebody else's Job has the name now.
    let mut other = job(&[]);
    other.metadata.uid = Some("other".into());
    (world.job, world.pods) = (Some(other), vec![]);
    assert!(matches!(world.observe(), Observation::Lost { .. }));
}

#[test]
fn a_job_of_that_name_is_ours_only_with_our_key_and_owner() {
    assert!(is_ours(&job(&[]), KEY));
    assert!(!is_ours(&job(&[]), "5f1c/1/1/0/0/2"));
    let mut of_other = job(&[]);
    of_other.metadata.owner_references.as_mut().unwrap()[0].uid = "other".into();
    assert!(!is_ours(&of_other, KEY));
    let mut world = World::new(job(&[]), vec![]);
    world.recorded.uid = None;
    assert_eq!(world.observe(), Observation::Waiting { blocked: None });
    world.job = Some(of_other);
    assert!(matches!(world.observe(), Observation::NameTaken { .. }));
}

#[rstest]
#[case::image(pod(json!({"status": waiting("ErrImagePull", "not found")})), "ErrImagePull", "the image img:1 can't be used: not found")]
#[case::secret(pod(json!({"status": waiting("CreateContainerConfigError", "secret \"x\" not found")})), "CreateContainerConfigError", "the container task can't be started: secret \"x\" not found")]
#[case::unschedulable(
    pod(json!({"status": {"conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes"}]}})),
    "Unschedulable",
    "no node takes the pod: 0/3 nodes"
)]
fn a_pod_that_can_t_start_says_why_at_once(#[case] pod: Pod, #[case] reason: &str, #[case] message: &str) {
    let blocked = World::new(job(&[]), vec![pod]).blocked();
    assert_eq!(
        (blocked.reason.as_str(), blocked.message.as_str()),
        (reason, message)
    );
}

#[test]
fn events_tell_what_the_pod_does_not() {
    let event = |reason: &str, message: &str| EventLine {
        reason: reason.into(),
        message: message.into(),
    };
    let creating = pod(json!({"status": waiting("ContainerCreating", "")}));
    let mut world = World::new(job(&[]), vec![creating]);
    assert_eq!(world.observe(), Observation::Waiting { blocked: None });
    world.warnings = vec![event("FailedMount", "configmap \"x\" not found")];
    assert_eq!(world.blocked().message, "configmap \"x\" not found");
    world.pods = vec![];
    world.warnings = vec![event("FailedCreate", "exceeded quota: jobs")];
    assert_eq!(
        world.blocked().message,
        "the Job's pod can't be created: exceeded quota: jobs"
    );
    world.warnings = vec![];
    world.now = 30;
    assert_eq!(world.blocked().reason, "NoPod");
    world.pods = vec![pod(json!({"status": waiting("ContainerCreating", "")}))];
    assert_eq!(world.blocked().reason, "SlowStart");
    let mut suspended = job(&[]);
    suspended.spec.as_mut().unwrap().suspend = Some(true);
    world.job = Some(suspended);
    assert_eq!(world.blocked().reason, "Suspended");
}

/// The pod of a Job whose init container failed; the task's container never ran.
fn init_failed(name: &str, state: Value) -> Ended {
    let mut status = waiting("PodInitializing", "");
    status["phase"] = json!("Failed");
    status["initContainerStatuses"] = json!([
        {"name": name, "image": "i", "imageID": "", "ready": false, "restartCount": 0, "state": {"terminated": state}}]);
    let job = job(&[("Failed", "BackoffLimitExceeded", 24)]);
    World::new(job, vec![pod(json!({"status": status}))]).ended()
}

#[rstest]
#[case("fetch", json!({"exitCode": 1, "message": "coxswain: GitRepository deploy (main): has the digest\n x"}),
    "its files could not be fetched: coxswain: GitRepository deploy (main): has the digest x")]
#[case("fetch", json!({"exitCode": 137, "reason": "OOMKilled", "message": ""}),
    "its files could not be fetched: it went over its memory limit")]
#[case("vault", json!({"exitCode": 3}), "its init container vault failed: exit code 3")]
fn a_failed_init_container_is_told_with_what_it_says(
    #[case] name: &str,
    #[case] state: Value,
    #[case] says: &str,
) {
    let ended = init_failed(name, state);
    assert!(ended.outcome.errored);
    assert_eq!(
        (ended.outcome.reason.as_str(), ended.outcome.message.as_str()),
        ("InitFailed", says)
    );
    assert_eq!(ended.started_at, None);
}
