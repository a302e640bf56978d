//! What has become of a Job.

use jiff::Timestamp;
use k8s_openapi::api::{
    batch::v1::Job,
    core::v1::{ContainerStateTerminated, Pod},
};

use super::{
    brief, fetch, pods,
    result::{self, Outcome},
    tail,
    tries::TRIES_MAX,
};
use crate::{
    api::{Duration, execution::JobStatus},
    core::labels,
};

/// How long after its record a Job may still be created.
const CREATE_SECS: i64 = 300;
/// How long an ended container's Job may take to end too.
const LINGER_SECS: i64 = 60;
const LINGER: Duration = Duration::from_secs(60);
/// How long a finished Job's pod may take to be seen.
const POD_GRACE_SECS: i64 = 5;

/// How much of what a failed init container says is shown.
const INIT_SHOWN_MAX: usize = 600;

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
    /// The value that the Job's annotation must have: [`super::build::key`].
    pub key: &'a str,
    /// The Job of that name, whoever owns it. None is taken as "there is none": read it live when the cache has none.
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

/// What has become of a Job. Exit code 0 is believed from the pod at once; every other end waits for the Job's condition,
/// and takes the exit code and the message from the pod.
pub fn observe(facts: &JobFacts) -> Observation {
    match facts.job {
        Some(job) if is_recorded(facts, job) => with_job(facts, job),
        Some(job) if facts.recorded.uid.is_none() => Observation::NameTaken { message: taken(job) },
        // Another Job of that name: ours is gone.
        _ => without_job(facts),
    }
}

/// Whether a Job may be taken for the one of this key: after a create that found one of the same name.
pub fn is_ours(job: &Job, key: &str) -> bool {
    let uid = key.split('/').next().unwrap_or_default();
    let owners = job.metadata.owner_references.iter().flatten();
    let annotations = job.metadata.annotations.as_ref();
    annotations
        .and_then(|annotations| annotations.get(labels::KEY))
        .is_some_and(|found| found == key)
        && owners
            .into_iter()
            .any(|owner| owner.controller == Some(true) && owner.uid == uid)
}

/// Whether a Job whose verdict is known is still not finished a minute after its container ended, kept alive by an
/// injected sidecar: then it is to be deleted.
pub fn lingers(job: &Job, finished_at: Timestamp, patience: Duration, now: Timestamp) -> bool {
    end_of(job).is_none()
        && job.metadata.deletion_timestamp.is_none()
        && now.duration_since(finished_at) >= patience.signed()
}

/// Whether the Job controller says that it has ended.
pub fn has_ended(job: &Job) -> bool {
    end_of(job).is_some()
}

/// Whether the Job of a run that has ended lingers, by what its pods say: nobody else looks at it any more.
pub fn is_forsaken(job: &Job, pods: &[Pod], now: Timestamp) -> bool {
    let uid = job.metadata.uid.as_deref().unwrap_or_default();
    let ended = pods::of_job(pods, uid).and_then(pods::terminated);
    let finished_at = ended.and_then(|ended| ended.finished_at.as_ref());
    finished_at.is_some_and(|at| lingers(job, at.0, LINGER, now))
}

/// When [`observe`] may say something else although nothing has changed but the time; none when it will not.
pub fn look_again(facts: &JobFacts) -> Option<Timestamp> {
    let mut times = Vec::new();
    match facts.job {
        None => times.extend(
            facts
                .recorded
                .recorded_at
                .as_ref()
                .map(|at| after(at.0, CREATE_SECS)),
        ),
        Some(job) => {
            times.push(after(waiting_since(facts, job), pods::SLOW_START_SECS));
            times.extend(end_of(job).map(|end| after(end.at(facts.now), POD_GRACE_SECS)));
            let uid = job.metadata.uid.as_deref().unwrap_or_default();
            let ended = pods::of_job(facts.pods, uid).and_then(pods::terminated);
            times.extend(
                ended
                    .and_then(|e| e.finished_at.as_ref())
                    .map(|at| after(at.0, LINGER_SECS)),
            );
        }
    }
    times.into_iter().filter(|time| *time > facts.now).min()
}

fn is_recorded(facts: &JobFacts, job: &Job) -> bool {
    match &facts.recorded.uid {
        Some(uid) => job.metadata.uid.as_ref() == Some(uid),
        None => is_ours(job, facts.key),
    }
}

fn taken(job: &Job) -> String {
    let name = job.metadata.name.as_deref().unwrap_or_default();
    format!("a Job {name} exists already, and it is not this run's: delete it, then start the run again")
}

fn without_job(facts: &JobFacts) -> Observation {
    let name = &facts.recorded.name;
    let Some(uid) = &facts.recorded.uid else {
        let recorded_at = facts.recorded.recorded_at.as_ref().map_or(facts.now, |at| at.0);
        if facts.now < after(recorded_at, CREATE_SECS) {
            return Observation::Create;
        }
        let minutes = CREATE_SECS / 60;
        let message = format!(
            "the Job {name} was to be created more than {minutes} minutes ago and is not there: it may have run"
        );
        return again(facts, false, "JobMissing", message);
    };
    if let Some(pod) = pods::of_job(facts.pods, uid) {
        match pods::terminated(pod) {
            Some(ended) if ended.exit_code == 0 && !pods::was_interrupted(pod, ended) => {
                return ended_as(ended, facts.now);
            }
            // Nothing else may run in this place while the container still does.
            None => {
                if let Some(started_at) = pods::running_since(pod) {
                    return Observation::Running { started_at };
                }
            }
            Some(_) => {}
        }
    }
    again(
        facts,
        false,
        "JobDeleted",
        format!("the Job {name} was deleted before its end was known"),
    )
}

fn with_job(facts: &JobFacts, job: &Job) -> Observation {
    let pod = pods::of_job(facts.pods, job.metadata.uid.as_deref().unwrap_or_default());
    let container = pod.and_then(|pod| Some((pod, pods::terminated(pod)?)));
    if let Some((pod, ended)) = container
        && ended.exit_code == 0
        && !pods::was_interrupted(pod, ended)
    {
        return ended_as(ended, facts.now);
    }
    match (end_of(job), container) {
        (Some(End::Complete(_)), Some((_, ended))) => ended_as(ended, facts.now),
        (Some(end @ End::Complete(at)), None) => {
            // The pods' watch may lag behind the Job's.
            if still_coming(facts, end) {
                return live(facts, job, pod);
            }
            let message = "succeeded; the pod was gone before its message could be read";
            let outcome = Outcome {
                message: message.to_owned(),
                ..Outcome::default()
            };
            ended(outcome, None, at.unwrap_or(facts.now))
        }
        (Some(end @ End::Failed { .. }), _) => failed(facts, job, pod, end),
        (None, Some((pod, ended))) => ended_alone(facts, job, pod, ended),
        (None, None) => live(facts, job, pod),
    }
}

/// The container has ended, and the Job has not yet.
fn ended_alone(facts: &JobFacts, job: &Job, pod: &Pod, container: &ContainerStateTerminated) -> Observation {
    // A pod that is taken away is gone by the time the Job says that it failed, and nobody could tell then why.
    if container.exit_code != 0
        && let Some(observation) = interrupted(facts, pod)
    {
        return observation;
    }
    if facts.now >= after(finished_at(container, facts.now), LINGER_SECS) {
        // A sidecar keeps the Job from ending.
        return interrupted(facts, pod).unwrap_or_else(|| ended_as(container, facts.now));
    }
    live(facts, job, Some(pod))
}

/// A Job that has not ended.
fn live(facts: &JobFacts, job: &Job, pod: Option<&Pod>) -> Observation {
    if let Some(started_at) = pod.and_then(pods::running_since) {
        return Observation::Running { started_at };
    }
    if let Some(ended) = pod.and_then(pods::terminated) {
        let started = ended.started_at.as_ref().map(|time| time.0);
        return Observation::Running {
            started_at: started.unwrap_or(facts.now),
        };
    }
    let blocked = pods::blocked_by(job, pod, facts.warnings, waiting_since(facts, job), facts.now);
    Observation::Waiting { blocked }
}

fn failed(facts: &JobFacts, job: &Job, pod: Option<&Pod>, end: End) -> Observation {
    let End::Failed { reason, message, at } = end else {
        return live(facts, job, pod);
    };
    let at = at.unwrap_or(facts.now);
    let container = pod.and_then(pods::terminated);
    if reason == "DeadlineExceeded" {
        let outcome = Outcome {
            exit_code: container.map(|ended| ended.exit_code),
            ..Outcome::errored(reason, overdue(facts, job, pod))
        };
        let started_at = container
            .and_then(|ended| ended.started_at.as_ref())
            .map(|time| time.0);
        return ended(outcome, started_at, at);
    }
    if let Some(observation) = pod.and_then(|pod| interrupted(facts, pod)) {
        return observation;
    }
    if let Some(container) = container {
        return ended_as(container, facts.now);
    }
    if let Some((name, init)) = pod.and_then(pods::failed_init) {
        return ended(init_failed(name, init), None, finished_at(init, facts.now));
    }
    if still_coming(facts, end) {
        return live(facts, job, pod);
    }
    let why = match pod {
        Some(pod) if pods::phase_is(pod, "Failed") => "its pod failed before its container ran",
        _ => "its pod was gone before its exit code could be read",
    };
    let message = format!("the Job failed, and {why} ({reason}: {message})");
    ended(Outcome::errored("JobFailed", message), None, at)
}

/// The container never ran, because an init container before it failed: ours, which fetches files, or an injected one.
fn init_failed(name: &str, init: &ContainerStateTerminated) -> Outcome {
    let says = init.message.as_deref().unwrap_or_default();
    let says = match init.reason.as_deref() {
        Some("OOMKilled") => "it went over its memory limit".to_owned(),
        _ if says.trim().is_empty() => format!("exit code {}", init.exit_code),
        _ => tail(says, INIT_SHOWN_MAX),
    };
    let message = if name == fetch::INIT {
        format!("its files could not be fetched: {says}")
    } else {
        format!("its init container {name} failed: {says}")
    };
    Outcome::errored("InitFailed", message)
}

fn overdue(facts: &JobFacts, job: &Job, pod: Option<&Pod>) -> String {
    let seconds = job
        .spec
        .as_ref()
        .and_then(|spec| spec.active_deadline_seconds)
        .unwrap_or_default();
    let limit = Duration::from_secs(u64::try_from(seconds).unwrap_or_default());
    let ran = facts.recorded.started_at.is_some() || pod.is_some_and(|pod| !pods::never_ran(pod));
    if ran {
        return format!("did not end within {limit} and was stopped; timeout sets the limit");
    }
    let why = pod.and_then(|pod| pods::blocked_by(job, Some(pod), facts.warnings, facts.now, facts.now));
    let why = why.map_or_else(|| facts.recorded.message.clone(), |blocked| blocked.message);
    match why.as_str() {
        "" => format!("its container did not start within {limit}"),
        why => format!("its container did not start within {limit}: {why}"),
    }
}

/// What a pod that was taken away means: certainly nothing ran, or nobody knows.
fn interrupted(facts: &JobFacts, pod: &Pod) -> Option<Observation> {
    let disruption = pods::disruption(pod).or_else(|| {
        let deleted = pod.metadata.deletion_timestamp.is_some()
            && pods::terminated(pod).is_none_or(|ended| pods::was_interrupted(pod, ended));
        let blocked = || Blocked {
            reason: "PodDeleted".to_owned(),
            message: "the pod was deleted".to_owned(),
        };
        deleted.then(blocked)
    })?;
    let never_ran = pods::never_ran(pod);
    let when = if never_ran {
        "before its container started"
    } else {
        "while its container ran"
    };
    let message = format!(
        "the pod was lost {when} ({}: {})",
        disruption.reason, disruption.message
    );
    Some(again(facts, never_ran, &disruption.reason, message))
}

/// A new try, if nothing ran or the task may run again; within bounds. Tries that failed are counted elsewhere.
fn again(facts: &JobFacts, nothing_ran: bool, reason: &str, message: String) -> Observation {
    let failed = i32::try_from(facts.recorded.tried.len()).unwrap_or(i32::MAX);
    let (reason, tries) = (reason.to_owned(), facts.recorded.try_.saturating_sub(failed));
    if (nothing_ran || facts.idempotent) && tries < TRIES_MAX {
        return Observation::Retry { reason, message };
    }
    if nothing_ran {
        let message = format!("{message}; {tries} tries were made");
        return ended(Outcome::errored(&reason, message), None, facts.now);
    }
    Observation::Lost { message }
}

fn ended_as(container: &ContainerStateTerminated, now: Timestamp) -> Observation {
    let message = container.message.as_deref().unwrap_or_default();
    let code = container.exit_code;
    let outcome = match container.reason.as_deref() {
        Some(reason @ ("StartError" | "ContainerCannotRun" | "CreateContainerError")) => {
            let message = format!("the container can't be started: {}", brief(message, 300));
            Outcome {
                exit_code: Some(code),
                ..Outcome::errored(reason, message)
            }
        }
        Some("OOMKilled") if code != 0 => {
            let limit =
                "the container went over its memory limit and was killed; resources.limits.memory sets it";
            Outcome {
                exit_code: Some(code),
                ..Outcome::errored("OOMKilled", limit)
            }
        }
        _ => result::read(code, message),
    };
    let started_at = container.started_at.as_ref().map(|time| time.0);
    ended(outcome, started_at, finished_at(container, now))
}

fn ended(outcome: Outcome, started_at: Option<Timestamp>, finished_at: Timestamp) -> Observation {
    Observation::Ended(Box::new(Ended {
        outcome,
        started_at,
        finished_at,
    }))
}

fn finished_at(container: &ContainerStateTerminated, now: Timestamp) -> Timestamp {
    container.finished_at.as_ref().map_or(now, |time| time.0)
}

/// How a Job ended, by its own conditions.
#[derive(Clone, Copy)]
enum End<'a> {
    Complete(Option<Timestamp>),
    Failed {
        reason: &'a str,
        message: &'a str,
        at: Option<Timestamp>,
    },
}

impl End<'_> {
    fn at(self, now: Timestamp) -> Timestamp {
        match self {
            Self::Complete(at) | Self::Failed { at, .. } => at.unwrap_or(now),
        }
    }
}

/// The criteria and targets come before their conditions, and decide the same.
fn end_of(job: &Job) -> Option<End<'_>> {
    let conditions = job.status.as_ref()?.conditions.as_ref()?;
    conditions
        .iter()
        .filter(|condition| condition.status == "True")
        .find_map(|condition| {
            let at = condition.last_transition_time.as_ref().map(|time| time.0);
            match condition.type_.as_str() {
                "Complete" | "SuccessCriteriaMet" => Some(End::Complete(at)),
                "Failed" | "FailureTarget" => Some(End::Failed {
                    reason: condition.reason.as_deref().unwrap_or("Failed"),
                    message: condition.message.as_deref().unwrap_or_default(),
                    at,
                }),
                _ => None,
            }
        })
}

/// Whether the pod's last state may still be on its way.
fn still_coming(facts: &JobFacts, end: End) -> bool {
    facts.now < after(end.at(facts.now), POD_GRACE_SECS) && end.at(facts.now) != facts.now
}

fn waiting_since(facts: &JobFacts, job: &Job) -> Timestamp {
    let started = job.status.as_ref().and_then(|status| status.start_time.as_ref());
    let started = started
        .or(job.metadata.creation_timestamp.as_ref())
        .map(|time| time.0);
    started
        .or(facts.recorded.recorded_at.as_ref().map(|time| time.0))
        .unwrap_or(facts.now)
}

fn after(time: Timestamp, seconds: i64) -> Timestamp {
    time.checked_add(jiff::SignedDuration::from_secs(seconds))
        .unwrap_or(Timestamp::MAX)
}
