//! How one Job and its pod go through their life.

use std::time::Duration;

use k8s_openapi::{
    api::{
        batch::v1::{Job, JobCondition, JobStatus},
        core::v1::{
            ContainerState, ContainerStateRunning, ContainerStateTerminated, ContainerStateWaiting,
            ContainerStatus, Event, ObjectReference, Pod, PodCondition, PodStatus,
        },
    },
    apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference, Time},
};
use kube::{Resource, ResourceExt};
use tokio::time::Instant;

use super::{Play, Pod as Life};
use crate::testing::ApiServer;

/// The real Job controller holds pods by this finalizer until it has counted them.
const TRACKING: &str = "batch.kubernetes.io/job-tracking";
const POD_AFTER: Duration = Duration::from_millis(50);
const GRACE: Duration = Duration::from_secs(1);

/// Why waiting ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Woken {
    Time,
    /// The Job is gone, or about to be.
    JobGone,
    PodDeleted,
    Deadline,
}

/// How the container ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum End {
    Exited(i32),
    JobGone,
    Evicted,
    Deadline,
}

/// One Job and its pod.
pub(super) struct Stage {
    server: ApiServer,
    namespace: String,
    job: String,
    uid: String,
    pod: String,
    deadline: Option<Instant>,
}

impl Stage {
    pub(super) fn new(server: ApiServer, job: &Job) -> Self {
        let uid = job.uid().unwrap_or_default();
        let limit = job.spec.as_ref().and_then(|s| s.active_deadline_seconds);
        let limit = limit.and_then(|s| u64::try_from(s).ok()).map(Duration::from_secs);
        let tail = &uid[uid.len().saturating_sub(5)..];
        Self {
            server,
            namespace: job.namespace().unwrap_or_default(),
            job: job.name_any(),
            pod: format!("{}-{tail}", job.name_any()),
            uid,
            deadline: limit.map(|l| Instant::now() + l),
        }
    }

    pub(super) async fn perform(self, job: Job, play: Play) {
        if let Some(end) = self.live(&job, &play).await {
            self.conclude(&job, &play, end).await;
        }
    }

    /// From the Job's creation to its container's end; `None` when nothing is left to be said.
    async fn live(&self, job: &Job, play: &Play) -> Option<End> {
        if self.pause(Some(POD_AFTER)).await == Woken::JobGone {
            return None;
        }
        self.tell_job(|status, now| {
            status.start_time = Some(now);
            status.active = Some(1);
            status.ready = Some(0);
        });
        if let Life::Refused(why) = &play.pod {
            self.refuse(job, why);
            return match self.pause(None).await {
                Woken::Deadline => Some(End::Deadline),
                _ => None,
            };
        }
        self.create_pod(job);
        match &play.pod {
            Life::Waits(reason, message) => {
                self.tell_pod(|status| hold(status, reason, message));
                return self.interrupted(self.pause(None).await).await;
            }
            Life::Unschedulable(message) => {
                self.tell_pod(|status| {
                    status.conditions =
                        Some(vec![condition("PodScheduled", "False", "Unschedulable", message)]);
                    status.container_statuses = None;
                });
                return self.interrupted(self.pause(None).await).await;
            }
            _ => {}
        }
        let woken = self
            .pause(Some(play.starts_after.saturating_sub(POD_AFTER)))
            .await;
        if woken != Woken::Time {
            return self.interrupted(woken).await;
        }
        if matches!(play.pod, Life::EvictedBeforeStart) {
            self.tell_pod(|status| evict(status, None));
            return Some(End::Evicted);
        }
        let started = self.now();
        self.tell_pod(|status| run(status, &started));
        self.tell_job(|status, _| status.ready = Some(1));
        let mut end = (play.exit_code, play.message.clone());
        let woken = match &play.work {
            None => self.pause(play.runs).await,
            Some(program) => tokio::select! {
                (code, message) = program(self.server.clone(), job.clone()) => {
                    end = (code, Some(message));
                    Woken::Time
                }
                woken = self.pause(None) => woken,
            },
        };
        if woken != Woken::Time {
            return self.interrupted(woken).await;
        }
        let (exit_code, message) = end;
        let now = self.now();
        if matches!(play.pod, Life::EvictedWhileRunning) {
            self.tell_pod(|status| evict(status, Some((&started, &now))));
            return Some(End::Evicted);
        }
        if let Some(deed) = &play.on_end {
            deed(&self.server, job);
        }
        self.tell_pod(|status| stop(status, exit_code, message.as_deref(), &now, play.sidecar));
        if !play.sidecar {
            return Some(End::Exited(exit_code));
        }
        self.interrupted(self.pause(None).await).await
    }

    /// Somebody deleted the Job or its pod, or the Job's own deadline passed: the container is killed.
    async fn interrupted(&self, woken: Woken) -> Option<End> {
        if woken != Woken::JobGone {
            tokio::time::sleep(GRACE).await;
        }
        let now = self.now();
        self.tell_pod(|status| {
            if status.phase.as_deref() == Some("Running") {
                stop(status, 137, None, &now, false);
            }
            status.phase = Some("Failed".to_owned());
        });
        match woken {
            Woken::Time | Woken::JobGone => Some(End::JobGone),
            Woken::PodDeleted => Some(End::Exited(137)),
            Woken::Deadline => Some(End::Deadline),
        }
    }

    /// What the Job controller does when the pod has ended.
    async fn conclude(&self, job: &Job, play: &Play, end: End) {
        if end == End::JobGone {
            self.let_pod_go();
            return;
        }
        let Some(delay) = play.job_after else { return };
        if end != End::Deadline && self.pause_for_job(delay).await {
            self.let_pod_go();
            return;
        }
        let (early, late, reason, message) = match end {
            End::Exited(0) => (
                "SuccessCriteriaMet",
                "Complete",
                "CompletionsReached",
                "Reached expected number of succeeded pods",
            ),
            End::Deadline => (
                "FailureTarget",
                "Failed",
                "DeadlineExceeded",
                "Job was active longer than specified deadline",
            ),
            _ => (
                "FailureTarget",
                "Failed",
                "BackoffLimitExceeded",
                "Job has reached the specified backoff limit",
            ),
        };
        let succeeded = end == End::Exited(0);
        self.tell_job(|status, now| {
            add_condition(status, early, reason, message, &now);
            status.active = None;
            status.ready = Some(0);
            if succeeded {
                status.succeeded = Some(1)
            } else {
                status.failed = Some(1)
            }
        });
        self.let_pod_go();
        if end == End::Deadline {
            self.server.delete::<Pod>(&self.namespace, &self.pod);
        }
        tokio::time::sleep(POD_AFTER).await;
        self.tell_job(|status, now| {
            add_condition(status, late, reason, message, &now);
            if succeeded {
                status.completion_time = Some(now);
            }
        });
        self.expire(job).await;
    }

    /// TTL after finishing.
    async fn expire(&self, job: &Job) {
        let ttl = job.spec.as_ref().and_then(|s| s.ttl_seconds_after_finished);
        let Some(ttl) = ttl.and_then(|s| u64::try_from(s).ok()) else {
            return;
        };
        tokio::time::sleep(Duration::from_secs(ttl)).await;
        if self.live_job().is_some() {
            self.server
                .delete_with::<Job>(&self.namespace, &self.job, "Foreground");
        }
    }

    /// Waits, but not longer than the Job, the pod or the Job's deadline last.
    async fn pause(&self, length: Option<Duration>) -> Woken {
        let end = length.map(|l| Instant::now() + l);
        let mut changed = self.server.changed();
        loop {
            changed.borrow_and_update();
            if self.live_job().is_none() {
                return Woken::JobGone;
            }
            let pod = self.server.get::<Pod>(&self.namespace, &self.pod);
            if pod.is_some_and(|p| p.metadata.deletion_timestamp.is_some()) {
                return Woken::PodDeleted;
            }
            let now = Instant::now();
            if self.deadline.is_some_and(|d| now >= d) {
                return Woken::Deadline;
            }
            if end.is_some_and(|e| now >= e) {
                return Woken::Time;
            }
            let next = [end, self.deadline].into_iter().flatten().min();
            tokio::select! {
                _ = changed.changed() => {}
                () = sleep_until(next) => {}
            }
        }
    }

    /// Waits, but not longer than the Job lasts; says whether it is gone.
    async fn pause_for_job(&self, length: Duration) -> bool {
        let end = Instant::now() + length;
        let mut changed = self.server.changed();
        while Instant::now() < end {
            changed.borrow_and_update();
            if self.live_job().is_none() {
                return true;
            }
            tokio::select! {
                _ = changed.changed() => {}
                () = tokio::time::sleep_until(end) => {}
            }
        }
        self.live_job().is_none()
    }

    fn live_job(&self) -> Option<Job> {
        let job = self.server.get::<Job>(&self.namespace, &self.job)?;
        let ours = job.uid().as_deref() == Some(&self.uid) && job.metadata.deletion_timestamp.is_none();
        ours.then_some(job)
    }

    fn now(&self) -> Time {
        Time(self.server.now())
    }

    fn tell_job(&self, change: impl FnOnce(&mut JobStatus, Time)) {
        if self.live_job().is_some() {
            let now = self.now();
            let told = self.server.edit_status::<Job>(&self.namespace, &self.job, |job| {
                change(job.status.get_or_insert_default(), now);
            });
            drop(told);
        }
    }

    fn tell_pod(&self, change: impl FnOnce(&mut PodStatus)) {
        let told = self.server.edit_status::<Pod>(&self.namespace, &self.pod, |pod| {
            change(pod.status.get_or_insert_default());
        });
        drop(told);
    }

    fn let_pod_go(&self) {
        let freed = self.server.edit::<Pod>(&self.namespace, &self.pod, |pod| {
            pod.metadata
                .finalizers
                .get_or_insert_default()
                .retain(|f| f != TRACKING);
        });
        drop(freed);
    }

    fn create_pod(&self, job: &Job) {
        let template = job.spec.as_ref().map(|s| s.template.clone()).unwrap_or_default();
        let meta = template.metadata.unwrap_or_default();
        let spec = template.spec.unwrap_or_default();
        let waiting = ContainerState {
            waiting: Some(ContainerStateWaiting {
                reason: Some("ContainerCreating".to_owned()),
                message: None,
            }),
            ..ContainerState::default()
        };
        let containers = spec.containers.iter().map(|c| ContainerStatus {
            name: c.name.clone(),
            image: c.image.clone().unwrap_or_default(),
            state: Some(waiting.clone()),
            ..ContainerStatus::default()
        });
        let status = PodStatus {
            phase: Some("Pending".to_owned()),
            conditions: Some(vec![condition("PodScheduled", "True", "", "")]),
            container_statuses: Some(containers.collect()),
            ..PodStatus::default()
        };
        let pod = Pod {
            metadata: ObjectMeta {
                name: Some(self.pod.clone()),
                namespace: Some(self.namespace.clone()),
                labels: meta.labels,
                annotations: meta.annotations,
                finalizers: Some(vec![TRACKING.to_owned()]),
                owner_references: Some(vec![OwnerReference {
                    api_version: "batch/v1".to_owned(),
                    kind: "Job".to_owned(),
                    name: self.job.clone(),
                    uid: self.uid.clone(),
                    controller: Some(true),
                    block_owner_deletion: Some(true),
                }]),
                ..ObjectMeta::default()
            },
            spec: Some(spec),
            status: Some(status),
        };
        self.server.create(&pod).expect("the pod can be created");
    }

    /// The Job controller says why it has no pod, as an Event of the Job: nothing else tells.
    fn refuse(&self, job: &Job, why: &str) {
        let now = self.now();
        let event = Event {
            metadata: ObjectMeta {
                name: Some(format!("{}.failedcreate", self.job)),
                namespace: Some(self.namespace.clone()),
                ..ObjectMeta::default()
            },
            involved_object: ObjectReference {
                api_version: Some("batch/v1".to_owned()),
                kind: Some(Job::kind(&()).into_owned()),
                name: Some(self.job.clone()),
                namespace: Some(self.namespace.clone()),
                uid: job.uid(),
                ..ObjectReference::default()
            },
            reason: Some("FailedCreate".to_owned()),
            message: Some(format!("Error creating: {why}")),
            type_: Some("Warning".to_owned()),
            first_timestamp: Some(now.clone()),
            last_timestamp: Some(now),
            count: Some(1),
            ..Event::default()
        };
        self.server.create(&event).expect("the event can be created");
    }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

fn condition(type_: &str, status: &str, reason: &str, message: &str) -> PodCondition {
    let text = |t: &str| Some(t.to_owned()).filter(|t| !t.is_empty());
    PodCondition {
        type_: type_.to_owned(),
        status: status.to_owned(),
        reason: text(reason),
        message: text(message),
        ..PodCondition::default()
    }
}

fn add_condition(status: &mut JobStatus, type_: &str, reason: &str, message: &str, now: &Time) {
    status.conditions.get_or_insert_default().push(JobCondition {
        type_: type_.to_owned(),
        status: "True".to_owned(),
        reason: Some(reason.to_owned()),
        message: Some(message.to_owned()),
        last_probe_time: Some(now.clone()),
        last_transition_time: Some(now.clone()),
    });
}

fn hold(status: &mut PodStatus, reason: &str, message: &str) {
    for container in status.container_statuses.iter_mut().flatten() {
        container.state = Some(ContainerState {
            waiting: Some(ContainerStateWaiting {
                reason: Some(reason.to_owned()),
                message: Some(message.to_owned()),
            }),
            ..ContainerState::default()
        });
    }
}

fn run(status: &mut PodStatus, started: &Time) {
    status.phase = Some("Running".to_owned());
    status.start_time = Some(started.clone());
    for container in status.container_statuses.iter_mut().flatten() {
        container.ready = true;
        container.started = Some(true);
        container.state = Some(ContainerState {
            running: Some(ContainerStateRunning {
                started_at: Some(started.clone()),
            }),
            ..ContainerState::default()
        });
    }
}

/// All containers end, or all that the Job knows of while an injected one goes on.
fn stop(status: &mut PodStatus, exit_code: i32, message: Option<&str>, now: &Time, sidecar: bool) {
    let reason = if exit_code == 0 { "Completed" } else { "Error" };
    for container in status.container_statuses.iter_mut().flatten() {
        let running = container.state.as_ref().and_then(|s| s.running.as_ref());
        let started_at = running.and_then(|r| r.started_at.clone());
        container.ready = false;
        container.started = Some(false);
        container.state = Some(ContainerState {
            terminated: Some(ContainerStateTerminated {
                exit_code,
                reason: Some(reason.to_owned()),
                message: message.map(str::to_owned),
                started_at,
                finished_at: Some(now.clone()),
                ..ContainerStateTerminated::default()
            }),
            ..ContainerState::default()
        });
    }
    if !sidecar {
        status.phase = Some(if exit_code == 0 { "Succeeded" } else { "Failed" }.to_owned());
    }
}

/// An eviction; of a container that never started, nothing is told.
fn evict(status: &mut PodStatus, ran: Option<(&Time, &Time)>) {
    match ran {
        Some((_, now)) => stop(status, 137, None, now, false),
        None => status.container_statuses = None,
    }
    status.phase = Some("Failed".to_owned());
    status.reason = Some("Evicted".to_owned());
    status.message = Some("The node was low on resource: memory.".to_owned());
    status.conditions.get_or_insert_default().push(condition(
        "DisruptionTarget",
        "True",
        "TerminationByKubelet",
        "The node was low on resource: memory.",
    ));
}
