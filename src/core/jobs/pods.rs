//! What a Job's pods tell about its container.

use jiff::Timestamp;
use k8s_openapi::api::{
    batch::v1::Job,
    core::v1::{ContainerState, ContainerStateTerminated, ContainerStatus, Pod, PodCondition},
};

use super::{
    brief,
    build::CONTAINER,
    observe::{Blocked, EventLine},
};

/// How long a container may take to be created before people are told that it does.
pub(super) const SLOW_START_SECS: i64 = 30;
const SHOWN_MAX: usize = 300;
/// What a kubelet says of a container that it can't start.
const CANT_START: [&str; 13] = [
    "ErrImagePull",
    "ImagePullBackOff",
    "InvalidImageName",
    "ErrImageNeverPull",
    "ImageInspectError",
    "RegistryUnavailable",
    "SignatureValidationFailed",
    "CreateContainerConfigError",
    "CreateContainerError",
    "PreCreateHookError",
    "PreStartHookError",
    "RunContainerError",
    "CrashLoopBackOff",
];
/// Events that say why a pod stays without a container.
const TELLING_EVENTS: [&str; 6] = [
    "FailedMount",
    "FailedAttachVolume",
    "FailedCreatePodSandBox",
    "FailedMapVolume",
    "NetworkNotReady",
    "FailedScheduling",
];

/// The newest of the pods that this Job controls.
pub(super) fn of_job<'a>(pods: &'a [Pod], job_uid: &str) -> Option<&'a Pod> {
    pods.iter()
        .filter(|pod| {
            let owners = pod.metadata.owner_references.iter().flatten();
            owners
                .filter(|owner| owner.controller == Some(true))
                .any(|owner| owner.uid == job_uid)
        })
        .max_by_key(|pod| pod.metadata.creation_timestamp.as_ref().map(|time| time.0))
}

/// The status of the container that does the work.
fn container(pod: &Pod) -> Option<&ContainerStatus> {
    let statuses = pod.status.as_ref()?.container_statuses.as_ref()?;
    statuses.iter().find(|status| status.name == CONTAINER)
}

fn state(pod: &Pod) -> Option<&ContainerState> {
    container(pod)?.state.as_ref()
}

/// How the container ended, if it ran and ended.
pub(super) fn terminated(pod: &Pod) -> Option<&ContainerStateTerminated> {
    let ended = state(pod)?.terminated.as_ref()?;
    // A kubelet that terminates a pod says this of containers that it never created.
    let never_ran = ended.reason.as_deref() == Some("ContainerStatusUnknown") && !was_created(pod);
    (!never_ran).then_some(ended)
}

/// The init container that failed, if one did: its name, and how it ended.
pub(super) fn failed_init(pod: &Pod) -> Option<(&str, &ContainerStateTerminated)> {
    let statuses = pod.status.as_ref()?.init_container_statuses.as_ref()?;
    statuses.iter().find_map(|status| {
        let ended = status.state.as_ref()?.terminated.as_ref()?;
        (ended.exit_code != 0).then_some((status.name.as_str(), ended))
    })
}

/// When the container started, if it runs.
pub(super) fn running_since(pod: &Pod) -> Option<Timestamp> {
    let running = state(pod)?.running.as_ref()?;
    let pod_start = pod.status.as_ref().and_then(|status| status.start_time.as_ref());
    running
        .started_at
        .as_ref()
        .or(pod_start)
        .or(pod.metadata.creation_timestamp.as_ref())
        .map(|time| time.0)
}

fn was_created(pod: &Pod) -> bool {
    let id = container(pod).and_then(|status| status.container_id.as_deref());
    id.is_some_and(|id| !id.is_empty())
}

/// Whether the container has certainly never run.
pub(super) fn never_ran(pod: &Pod) -> bool {
    let state = state(pod);
    let ran = state.is_some_and(|s| s.running.is_some())
        || terminated(pod).is_some()
        || container(pod).is_some_and(|s| s.last_state.as_ref().is_some_and(|l| l.terminated.is_some()))
        || was_created(pod);
    !ran
}

/// Whether the container was told to stop before it ended, so that even exit code 0 may not mean that it did its work.
pub(super) fn was_interrupted(pod: &Pod, ended: &ContainerStateTerminated) -> bool {
    let Some(gone_by) = pod.metadata.deletion_timestamp.as_ref() else {
        return false;
    };
    // The deletion's timestamp is when its grace period is over.
    let grace =
        jiff::SignedDuration::from_secs(pod.metadata.deletion_grace_period_seconds.unwrap_or_default());
    let asked_at = gone_by.0.checked_sub(grace).unwrap_or(gone_by.0);
    ended
        .finished_at
        .as_ref()
        .is_none_or(|finished| finished.0 >= asked_at)
}

/// Why Kubernetes itself took the pod away, if it did: eviction, preemption, a node that is drained, full or gone.
pub(super) fn disruption(pod: &Pod) -> Option<Blocked> {
    if let Some(disrupted) = condition(pod, "DisruptionTarget", "True") {
        let reason = disrupted.reason.as_deref().unwrap_or("DisruptionTarget");
        return Some(blocked(
            reason,
            disrupted
                .message
                .as_deref()
                .unwrap_or("the pod was taken off its node"),
        ));
    }
    let status = pod.status.as_ref()?;
    let reason = status
        .reason
        .as_deref()
        .filter(|reason| *reason != "DeadlineExceeded" && !reason.is_empty())?;
    Some(blocked(
        reason,
        status
            .message
            .as_deref()
            .unwrap_or("the pod was taken off its node"),
    ))
}

pub(super) fn phase_is(pod: &Pod, phase: &str) -> bool {
    pod.status.as_ref().and_then(|status| status.phase.as_deref()) == Some(phase)
}

fn condition<'a>(pod: &'a Pod, type_: &str, value: &str) -> Option<&'a PodCondition> {
    let conditions = pod.status.as_ref()?.conditions.as_ref()?;
    conditions
        .iter()
        .find(|condition| condition.type_ == type_ && condition.status == value)
}

/// What keeps the container of a Job from starting, if something does.
pub(super) fn blocked_by(
    job: &Job,
    pod: Option<&Pod>,
    warnings: &[EventLine],
    since: Timestamp,
    now: Timestamp,
) -> Option<Blocked> {
    let waited = now.duration_since(since).as_secs();
    if is_suspended(job) {
        let remedy = "its spec.suspend is true; the Job starts when that is set to false";
        return Some(blocked("Suspended", &format!("the Job is suspended: {remedy}")));
    }
    let Some(pod) = pod else {
        if let Some(event) = warnings.iter().find(|event| event.reason == "FailedCreate") {
            return Some(blocked(
                &event.reason,
                &format!("the Job's pod can't be created: {}", event.message),
            ));
        }
        return (waited >= SLOW_START_SECS).then(|| {
            blocked(
                "NoPod",
                &format!("no pod has been created for {waited}s; kubectl describe job says why"),
            )
        });
    };
    if let Some(problem) = cant_start(pod) {
        return Some(problem);
    }
    if let Some(unscheduled) = condition(pod, "PodScheduled", "False") {
        let reason = unscheduled.reason.as_deref().unwrap_or("Unschedulable");
        let why = unscheduled.message.as_deref().unwrap_or("no node takes the pod");
        return Some(blocked(reason, &format!("no node takes the pod: {why}")));
    }
    if let Some(event) = warnings
        .iter()
        .find(|event| TELLING_EVENTS.contains(&event.reason.as_str()))
    {
        return Some(blocked(&event.reason, &event.message));
    }
    (waited >= SLOW_START_SECS).then(|| {
        let name = pod.metadata.name.as_deref().unwrap_or("the pod");
        blocked(
            "SlowStart",
            &format!("the container has not started for {waited}s; kubectl describe pod {name} says why"),
        )
    })
}

/// The first container, injected ones included, that a kubelet can't start.
fn cant_start(pod: &Pod) -> Option<Blocked> {
    let status = pod.status.as_ref()?;
    let statuses = status
        .init_container_statuses
        .iter()
        .chain(&status.container_statuses)
        .flatten();
    statuses.into_iter().find_map(|status| {
        let waiting = status.state.as_ref()?.waiting.as_ref()?;
        let reason = waiting
            .reason
            .as_deref()
            .filter(|reason| CANT_START.contains(reason))?;
        let why = waiting.message.as_deref().unwrap_or(reason);
        let what = if reason.contains("Image") {
            format!("the image {} can't be used: {why}", status.image)
        } else {
            format!("the container {} can't be started: {why}", status.name)
        };
        Some(blocked(reason, &what))
    })
}

fn is_suspended(job: &Job) -> bool {
    job.spec.as_ref().is_some_and(|spec| spec.suspend == Some(true))
}

fn blocked(reason: &str, message: &str) -> Blocked {
    Blocked {
        reason: reason.to_owned(),
        message: brief(message, SHOWN_MAX),
    }
}
