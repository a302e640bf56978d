//! What has become of a Job.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::{
    batch::v1::Job,
    core::v1::{ContainerState, ContainerStateTerminated, ContainerStatus, Pod},
};

use super::{
    build::CONTAINER,
    result::{self, Outcome},
};
use crate::{api::execution::JobStatus, core::labels};

/// A Job that was recorded longer ago than this and is not there may have run.
const CREATE_WITHIN: SignedDuration = SignedDuration::from_secs(300);

/// How many Jobs are created for one key when each is lost before its container starts, or when the task is
/// idempotent.
pub const TRIES_MAX: i32 = 3;

/// A Warning event about the Job or one of its pods.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct EventLine {
    /// Such as `FailedMount` or `FailedCreate`.
    pub reason: String,
    /// What it says.
    pub message: String,
}

/// What is known about one recorded Job.
#[derive(Clone, Copy, Debug)]
pub struct JobFacts<'a> {
    /// What the execution's status says.
    pub recorded: &'a JobStatus,
    /// The execution's uid: the Job's owner.
    pub owner_uid: &'a str,
    /// The Job's key.
    pub key: &'a str,
    /// The Job, if there is one of that name.
    pub job: Option<&'a Job>,
    /// Pods that may be the Job's; those of others are passed over.
    pub pods: &'a [Pod],
    /// Warning events about the Job and its pods, newest first; they are only read while nothing runs.
    pub warnings: &'a [EventLine],
    /// Whether the task may run again when it is not known whether it ran.
    pub idempotent: bool,
    /// The time.
    pub now: Timestamp,
}

/// What has become of a Job.
#[derive(Clone, Debug, PartialEq)]
pub enum Observation {
    /// The record says `Starting` and there is no Job: create it (again).
    Create,
    /// A Job of that name exists, but it is not the recorded one.
    NameTaken {
        /// Whose it is, for people.
        message: String,
    },
    /// The container has not started.
    Waiting {
        /// What keeps it from starting, if something does.
        blocked: Option<Blocked>,
    },
    /// The container runs.
    Running {
        /// Since when.
        started_at: Timestamp,
    },
    /// The Job has ended.
    Ended(Box<Ended>),
    /// It is certain that nothing ran, or the task may run again: start the next try.
    Retry {
        /// Why, in a word.
        reason: String,
        /// One line for people.
        message: String,
    },
    /// It may have run, and nobody knows how it ended.
    Lost {
        /// One line for people.
        message: String,
    },
}

/// How a Job ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Ended {
    /// With what result.
    pub outcome: Outcome,
    /// When its container started, if it did.
    pub started_at: Option<Timestamp>,
    /// When its container, or else the Job, ended.
    pub finished_at: Timestamp,
}

/// Why a container does not start.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Blocked {
    /// In a word, such as `ImagePullBackOff`.
    pub reason: String,
    /// One line for people.
    pub message: String,
}

/// What has become of a Job.
///
/// A pod's container tells its end a second or more before the Job does, so exit code 0 is believed from the pod;
/// everything else the Job decides, and the pod then says what the exit code and the last words were.
pub fn observe(facts: &JobFacts) -> Observation {
    let Some(job) = facts.job else {
        return without_job(facts);
    };
    if let Some(message) = foreign(facts, job) {
        return Observation::NameTaken { message };
    }
    let uid = job.metadata.uid.as_deref().unwrap_or_default();
    let pod = newest_pod(facts.pods, uid);
    let container = pod.and_then(container_status);
    let terminated = container.and_then(|c| c.state.as_ref()?.terminated.as_ref());
    if let Some(end) = terminated.filter(|end| end.exit_code == 0) {
        return ended(
            result::read(0, end.message.as_deref().unwrap_or_default()),
            Some(end),
            facts.now,
        );
    }
    match condition(job) {
        Some(("Complete" | "SuccessCriteriaMet", _)) => ended(Outcome::default(), None, facts.now),
        Some((_, why)) => failed(facts, pod, terminated, why),
        None => alive(facts, pod, container),
    }
}

fn without_job(facts: &JobFacts) -> Observation {
    let recorded = facts.recorded;
    let name = &recorded.name;
    if recorded.uid.is_none() {
        let since = recorded.recorded_at.as_ref().map_or(facts.now, |t| t.0);
        if facts.now.duration_since(since) <= CREATE_WITHIN {
            return Observation::Create;
        }
        return lost(
            facts,
            format!("Job {name} was to be created at {since:.0} and is not there; it may have run"),
        );
    }
    // The pod may outlive its Job for a moment, and then it knows the end.
    let uid = recorded.uid.as_deref().unwrap_or_default();
    let status = newest_pod(facts.pods, uid).and_then(container_status);
    if let Some(end) = status
        .and_then(|c| c.state.as_ref()?.terminated.as_ref())
        .filter(|e| e.exit_code == 0)
    {
        return ended(
            result::read(0, end.message.as_deref().unwrap_or_default()),
            Some(end),
            facts.now,
        );
    }
    lost(
        facts,
        format!("Job {name} is gone before its end was seen; somebody deleted it"),
    )
}

fn lost(facts: &JobFacts, message: String) -> Observation {
    if facts.idempotent && facts.recorded.try_ < TRIES_MAX {
        return Observation::Retry {
            reason: "Lost".to_owned(),
            message,
        };
    }
    Observation::Lost { message }
}

/// Whose Job it is, if it is not the recorded one.
fn foreign(facts: &JobFacts, job: &Job) -> Option<String> {
    let owned = job
        .metadata
        .owner_references
        .iter()
        .flatten()
        .any(|o| o.uid == facts.owner_uid && o.controller == Some(true));
    let keyed = job
        .metadata
        .annotations
        .as_ref()
        .and_then(|a| a.get(labels::KEY))
        .is_some_and(|k| k == facts.key);
    let same = facts.recorded.uid.is_none() || facts.recorded.uid == job.metadata.uid;
    if owned && keyed && same {
        return None;
    }
    let name = job.metadata.name.as_deref().unwrap_or_default();
    Some(format!(
        "a Job named {name} exists that this run did not create; it is left alone. Delete it and start another run"
    ))
}

fn newest_pod<'a>(pods: &'a [Pod], job_uid: &str) -> Option<&'a Pod> {
    let ours = |p: &&Pod| {
        p.metadata
            .owner_references
            .iter()
            .flatten()
            .any(|o| o.controller == Some(true) && o.uid == job_uid)
    };
    pods.iter()
        .filter(ours)
        .max_by_key(|p| p.metadata.creation_timestamp.as_ref().map(|t| t.0))
}

fn container_status(pod: &Pod) -> Option<&ContainerStatus> {
    pod.status
        .as_ref()?
        .container_statuses
        .as_ref()?
        .iter()
        .find(|c| c.name == CONTAINER)
}

/// The Job's own word: a condition that ends it, and why.
fn condition(job: &Job) -> Option<(&str, String)> {
    let conditions = job.status.as_ref()?.conditions.as_ref()?;
    let found = conditions.iter().find(|c| {
        c.status == "True"
            && matches!(
                c.type_.as_str(),
                "Complete" | "SuccessCriteriaMet" | "Failed" | "FailureTarget"
            )
    })?;
    let reason = found.reason.clone().unwrap_or_default();
    let message = found.message.clone().unwrap_or_default();
    let why = if message.is_empty() {
        reason
    } else {
        format!("{reason}: {message}")
    };
    Some((found.type_.as_str(), why))
}

/// The Job failed. A pod that was taken away before its container started cost nothing.
fn failed(
    facts: &JobFacts,
    pod: Option<&Pod>,
    end: Option<&ContainerStateTerminated>,
    why: String,
) -> Observation {
    if let Some(end) = end {
        return ended(
            result::read(end.exit_code, end.message.as_deref().unwrap_or_default()),
            Some(end),
            facts.now,
        );
    }
    let started = facts.recorded.started_at.is_some();
    if why.starts_with("DeadlineExceeded") {
        return ended(
            Outcome::errored("TimedOut", format!("the Job took too long ({why})")),
            None,
            facts.now,
        );
    }
    if let Some(pod) = pod
        && let Some(disrupted) = disruption(pod)
    {
        let name = pod.metadata.name.as_deref().unwrap_or_default();
        if !started && container_status(pod).is_none_or(never_ran) && facts.recorded.try_ < TRIES_MAX {
            return Observation::Retry {
                reason: disrupted.clone(),
                message: format!("pod {name} was taken away before its container started ({disrupted})"),
            };
        }
        return lost(
            facts,
            format!("pod {name} was taken away while it ran ({disrupted})"),
        );
    }
    ended(Outcome::errored("JobFailed", why), None, facts.now)
}

fn never_ran(container: &ContainerStatus) -> bool {
    let state = |s: &Option<ContainerState>| {
        s.as_ref()
            .is_some_and(|s| s.running.is_some() || s.terminated.is_some())
    };
    !state(&container.state) && !state(&container.last_state)
}

/// Why the pod was taken away: evicted, preempted, its node lost.
fn disruption(pod: &Pod) -> Option<String> {
    let status = pod.status.as_ref()?;
    let target = status
        .conditions
        .iter()
        .flatten()
        .find(|c| c.type_ == "DisruptionTarget" && c.status == "True");
    target
        .map(|c| c.reason.clone().unwrap_or_else(|| c.type_.clone()))
        .or_else(|| {
            status
                .reason
                .clone()
                .filter(|r| matches!(r.as_str(), "Evicted" | "Preempting" | "NodeLost" | "Shutdown"))
        })
}

fn alive(facts: &JobFacts, pod: Option<&Pod>, container: Option<&ContainerStatus>) -> Observation {
    let running = container.and_then(|c| c.state.as_ref()?.running.as_ref());
    if let Some(running) = running {
        return Observation::Running {
            started_at: running.started_at.as_ref().map_or(facts.now, |t| t.0),
        };
    }
    // It ended with another exit code than 0: the Job says so in a moment.
    if let Some(end) = container.and_then(|c| c.state.as_ref()?.terminated.as_ref()) {
        return Observation::Running {
            started_at: end.started_at.as_ref().map_or(facts.now, |t| t.0),
        };
    }
    Observation::Waiting {
        blocked: blocked(facts, pod, container),
    }
}

/// Waiting for these is nothing to tell anybody.
const USUAL: [&str; 2] = ["ContainerCreating", "PodInitializing"];

fn blocked(facts: &JobFacts, pod: Option<&Pod>, container: Option<&ContainerStatus>) -> Option<Blocked> {
    let waiting = container.and_then(|c| c.state.as_ref()?.waiting.as_ref());
    if let Some(waiting) = waiting
        && let Some(reason) = waiting.reason.as_ref().filter(|r| !USUAL.contains(&r.as_str()))
    {
        let image = container.map(|c| c.image.as_str()).unwrap_or_default();
        let said = waiting.message.as_deref().unwrap_or_default();
        let about = if reason.contains("Image") {
            format!("image {image}: ")
        } else {
            String::new()
        };
        return Some(Blocked {
            reason: reason.clone(),
            message: format!("{reason}: {about}{said}"),
        });
    }
    let conditions = pod.and_then(|p| p.status.as_ref()?.conditions.as_ref());
    let unscheduled = conditions.and_then(|c| {
        c.iter().find(|c| {
            c.type_ == "PodScheduled" && c.status == "False" && c.reason.as_deref() == Some("Unschedulable")
        })
    });
    if let Some(condition) = unscheduled {
        let message = condition.message.as_deref().unwrap_or("no node fits");
        return Some(Blocked {
            reason: "Unschedulable".to_owned(),
            message: format!("Unschedulable: {message}"),
        });
    }
    let newest = facts.warnings.first()?;
    Some(Blocked {
        reason: newest.reason.clone(),
        message: format!("{}: {}", newest.reason, newest.message),
    })
}

fn ended(outcome: Outcome, end: Option<&ContainerStateTerminated>, now: Timestamp) -> Observation {
    Observation::Ended(Box::new(Ended {
        outcome,
        started_at: end.and_then(|e| e.started_at.as_ref()).map(|t| t.0),
        finished_at: now,
    }))
}

/// Whether a Job whose verdict is known still runs a minute later, kept alive by an injected sidecar: then it is to
/// be deleted.
pub fn lingers(job: &Job, finished_at: Timestamp, now: Timestamp) -> bool {
    condition(job).is_none() && now.duration_since(finished_at) >= SignedDuration::from_secs(60)
}
