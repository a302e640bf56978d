//! How Jobs end, and what the ends of a task's Jobs come to.

use super::{
    Effect, defaults,
    step::{Flow, Machine},
    tries::after_tries,
};
use crate::{
    api::{
        Duration, Timestamp as ApiTime,
        common::Object,
        execution::{JobStatus, TaskStatus},
        shipyard::Task,
    },
    core::{
        jobs::{
            observe::{self, Ended},
            result::{self, Outcome, Verdict},
            targets::CONFLICT,
            tries,
        },
        payload::{self, TooLarge},
    },
};

/// The longest message in a status.
const MESSAGE_MAX: usize = 512;

impl Machine<'_> {
    pub(super) fn end_job(&mut self, index: usize, at: usize, mut job: JobStatus, ended: Ended) {
        if !self.look_after(index, at, &ended.outcome.message) {
            return;
        }
        job.targets = self
            .job_status(index, at)
            .map(|j| j.targets.clone())
            .unwrap_or_default();
        let silent = self.is_silent(&job);
        let mut outcome = ended.outcome;
        if tries::may_mend(&outcome) {
            if self.try_later(index, at, &outcome.reason, &outcome.message) {
                return;
            }
            outcome.message = after_tries(&job, &outcome.message);
        }
        if !silent && let Err(error) = self.has_room(index, at, &outcome.data) {
            outcome = Outcome {
                exit_code: outcome.exit_code,
                ..Outcome::errored(error.reason(), error.to_string())
            };
        }
        "Done".clone_into(&mut job.state);
        job.result = Some(outcome.verdict.as_str().to_owned());
        job.exit_code = outcome.exit_code;
        job.reason = outcome.reason;
        job.message = clip(&outcome.message, MESSAGE_MAX);
        job.errored = outcome.errored;
        job.started_at = ended.started_at.map(ApiTime).or(job.started_at);
        job.finished_at = Some(ApiTime(ended.finished_at));
        job.data = (!silent && !outcome.data.is_empty()).then_some(outcome.data);
        self.set_job(index, at, job);
        if outcome.verdict == Verdict::Fail {
            self.close_lane(index, at);
        }
        if self.one_by_one(index) {
            self.absorb(index);
        }
        self.look_again(self.after(defaults::LINGER));
    }

    /// The Job could not do its work, or nobody knows what it did.
    pub(super) fn fail_job(&mut self, index: usize, at: usize, reason: &str, message: &str) {
        let now = ApiTime(self.now);
        if let Some(job) = self.task_mut(index).and_then(|t| t.jobs.get_mut(at)) {
            "Done".clone_into(&mut job.state);
            job.result = Some("fail".to_owned());
            job.errored = true;
            reason.clone_into(&mut job.reason);
            message.clone_into(&mut job.message);
            job.finished_at = Some(now);
        }
        self.close_lane(index, at);
    }

    /// Whether the payload can take what this Job adds, besides what the task's other Jobs add.
    fn has_room(&self, index: usize, at: usize, data: &Object) -> Result<(), TooLarge> {
        if data.is_empty() {
            return Ok(());
        }
        let mut merged = self.s.payload.clone().unwrap_or_default();
        for (other, job) in self.jobs_of(index).iter().enumerate() {
            let added = if other == at {
                Some(data)
            } else {
                job.data.as_ref()
            };
            if let Some(added) = added {
                payload::merge(&mut merged, added);
            }
        }
        payload::check_payload(&merged)
    }

    /// Merges what the task's Jobs add into the payload: in the order of the actions, whichever ended first.
    pub(super) fn absorb(&mut self, index: usize) {
        let task = self.task_spec(index).name;
        let jobs = self.task_mut(index).into_iter().flat_map(|t| &mut t.jobs);
        let said: Vec<Outcome> = jobs
            .filter_map(|job| {
                let data = job.data.take()?;
                let verdict = verdict_of(job);
                Some(Outcome {
                    verdict,
                    data,
                    ..Outcome::default()
                })
            })
            .collect();
        for outcome in said {
            self.take_said(&outcome, &task);
            let merged = self.s.payload.get_or_insert_default();
            payload::merge(merged, &outcome.data);
        }
    }

    /// All Jobs ended (v1's CompleteCurrentTask): the worst result counts, and one that errored is enough; silent actions
    /// decide nothing.
    pub(super) fn finish_jobs(&mut self, index: usize) -> Flow {
        self.absorb(index);
        let Some(task) = self.task_status(index).cloned() else {
            return Flow::Rest;
        };
        let ended = |j: &&JobStatus| matches!(j.state.as_str(), "Done" | "Lost");
        let counted = task.jobs.iter().filter(ended);
        let counted: Vec<&JobStatus> = counted.filter(|j| !self.is_silent(j)).collect();
        // Another owner's change comes first: it explains what else went wrong.
        let badness = |j: &JobStatus| match (j.errored, verdict_of(j)) {
            (errored, verdict) if j.reason == CONFLICT => (true, errored, verdict),
            (_, Verdict::Fail) if self.goes_on_after(j) => (false, false, Verdict::Warning),
            (errored, verdict) => (false, errored, verdict),
        };
        let lost = counted
            .iter()
            .any(|j| j.state == "Lost" && badness(j).2 == Verdict::Fail);
        let Some(worst) = counted.iter().map(|j| badness(j)).max() else {
            let message = nothing_counted(&task);
            return self.finish_task(
                index,
                Outcome {
                    message,
                    ..Outcome::default()
                },
            );
        };
        let mut told = counted.iter().filter(|j| badness(j) == worst);
        let first = told.next();
        let mut message = first.map(|j| said(j)).unwrap_or_default();
        // Of what is well the first is enough.
        for other in told.filter(|j| verdict_of(j) == Verdict::Fail) {
            message = format!("{message}; {}", said(other));
        }
        let (_, errored, verdict) = worst;
        if verdict == Verdict::Warning && first.is_some_and(|j| verdict_of(j) == Verdict::Fail) {
            message = format!("failed, and the rest was done all the same (continueOnFailure): {message}");
        }
        let outcome = Outcome {
            verdict,
            errored,
            reason: first.map(|j| j.reason.clone()).unwrap_or_default(),
            message: clip(&message, MESSAGE_MAX),
            data: ran(&task, &self.task_spec(index)),
            ..Outcome::default()
        };
        if lost && let Some(task) = self.task_mut(index) {
            "Lost".clone_into(&mut task.state);
        }
        self.finish_task(index, outcome)
    }

    /// Deletes Jobs that an injected sidecar keeps alive this long after our container ended.
    pub(super) fn sweep_lingering(&mut self, after: Duration) {
        let Some(attempt) = self.s.attempts.last() else {
            return;
        };
        let jobs = || attempt.tasks.iter().flat_map(|t| &t.jobs);
        let done = jobs()
            .filter(|j| j.state == "Done")
            .filter_map(|j| Some((&j.name, j.finished_at.as_ref()?.0, after)));
        // Of a try that failed nothing may be left when the next one starts.
        let tried = jobs()
            .flat_map(|j| &j.tried)
            .map(|t| (&t.name, self.now, Duration::default()));
        let swept: Vec<_> = done
            .chain(tried)
            .filter_map(|(name, ended, after)| {
                let job = self.facts.jobs.get(name)?;
                observe::lingers(job, ended, after, self.now).then(|| Effect::DeleteJob {
                    name: name.clone(),
                    uid: job.metadata.uid.clone(),
                })
            })
            .collect();
        self.first.extend(swept);
    }
}

fn verdict_of(job: &JobStatus) -> Verdict {
    match job.result.as_deref() {
        Some("pass") => Verdict::Pass,
        Some("warning") => Verdict::Warning,
        _ => Verdict::Fail,
    }
}

/// What a Job said, with its name. What the operator says of one has it already, unless there never was a Job.
pub(super) fn said(job: &JobStatus) -> String {
    match job.message.as_str() {
        "" => format!("Job {}", job.name),
        message if job.name.is_empty() || message.contains(&job.name) => message.to_owned(),
        message => format!("Job {}: {message}", job.name),
    }
}

/// Why a task passes although none of its Jobs counts.
fn nothing_counted(task: &TaskStatus) -> String {
    let skipped = task
        .jobs
        .iter()
        .find(|j| j.state == "Skipped" && !j.message.is_empty());
    match skipped {
        Some(job) => format!(
            "nothing had to be done: {:?} was skipped, {}",
            job.title, job.message
        ),
        None => "only silent actions answered".to_owned(),
    }
}

/// When the Jobs of a test ran.
fn ran(task: &TaskStatus, spec: &Task) -> Object {
    let started = task
        .jobs
        .iter()
        .filter_map(|j| j.started_at.as_ref())
        .map(|at| at.0)
        .min();
    let ended = task
        .jobs
        .iter()
        .filter_map(|j| j.finished_at.as_ref())
        .map(|at| at.0)
        .max();
    match (started, ended) {
        (Some(started), Some(ended)) => result::test_times(spec, started, ended),
        _ => Object::new(),
    }
}

/// Messages in a status are for reading; the whole is in the Job's log.
pub(super) fn clip(message: &str, max: usize) -> String {
    if message.len() <= max {
        return message.to_owned();
    }
    format!("{}…", &message[..message.floor_char_boundary(max)])
}
