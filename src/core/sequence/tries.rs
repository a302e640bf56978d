//! Jobs that could not do their work are tried anew, each time with a new Job: the failed try is recorded together with
//! the time of the next one, so a crash in between loses neither, and the wait costs one write.

use super::{
    finish::phases,
    job_ends::{clip, said},
    jobs::next_try,
    lanes::{is_live, is_waiting},
    step::Machine,
    task::changes,
};
use crate::{
    api::{
        Timestamp as ApiTime,
        execution::{Desired, JobStatus, TriedJob},
        jobconfig::JobTask,
        shipyard::Task,
    },
    core::{jobs::tries, note::Note},
};

/// The longest message that is kept of a failed try; the whole is in its Job's log.
const MESSAGE_MAX: usize = 200;

impl Machine<'_> {
    /// A try failed: another one follows, or it was the last.
    pub(super) fn fail_try(&mut self, index: usize, at: usize, reason: &str, message: &str) {
        if self.try_later(index, at, reason, message) {
            return;
        }
        let job = self.job_status(index, at).cloned().unwrap_or_default();
        self.fail_job(index, at, reason, &after_tries(&job, message));
    }

    /// Records why this try failed, and when the next one starts. False: there is no next one.
    pub(super) fn try_later(&mut self, index: usize, at: usize, reason: &str, message: &str) -> bool {
        let Some(job) = self.job_status(index, at).cloned() else {
            return false;
        };
        let Some(task) = self.task_of(&job) else {
            return false;
        };
        let Some(wait) = tries::backoff(task, job.tried.len()) else {
            return false;
        };
        let (number, of) = (job.tried.len() + 1, tries::tries(task));
        let until = self.after(wait);
        let told = said(&JobStatus {
            name: job.name.clone(),
            message: message.to_owned(),
            ..JobStatus::default()
        });
        let told = format!("try {number} of {of}: {told}; the next starts at {until:.0}");
        self.tell(Note::warning("JobRetried", format!("{}: {told}", self.s.task)));
        let failed = TriedJob {
            name: job.name.clone(),
            reason: reason.to_owned(),
            message: clip(message, MESSAGE_MAX),
        };
        let mut next = next_try(job, "Waiting");
        next.tried.push(failed);
        next.wait_until = Some(ApiTime(until));
        reason.clone_into(&mut next.reason);
        next.message = told;
        self.set_job(index, at, next);
        true
    }

    /// Starts the tries whose wait is over, if nothing speaks against it. True: something was started, or given up.
    pub(super) fn start_tries(&mut self, index: usize, spec: &Task) -> bool {
        let waiting = self.jobs_of(index).iter().enumerate();
        let waiting = waiting.filter(|(_, j)| is_waiting(j));
        let due: Vec<usize> = waiting
            .filter(|(_, j)| j.wait_until.as_ref().is_none_or(|until| until.0 <= self.now))
            .map(|(at, _)| at)
            .collect();
        let alone = !self.jobs_of(index).iter().any(is_live);
        let free = if alone {
            self.may_try_alone(index, spec, !due.is_empty())
        } else {
            self.may_try_beside_others(spec)
        };
        if !free || due.is_empty() {
            return false;
        }
        phases::RUNNING.clone_into(&mut self.s.phase);
        "Running".clone_into(&mut self.s.reason);
        if let Some(task) = self.task_mut(index) {
            task.wait_until = None;
        }
        for at in due {
            self.start_job(index, at, spec);
        }
        true
    }

    /// While other Jobs of the task run, the run goes on; only nothing new starts.
    fn may_try_beside_others(&self, spec: &Task) -> bool {
        self.desired() == Desired::Run
            && self.facts.hold.is_none()
            && self.s.place.as_deref() == Some("Held")
            && !self.is_needless(spec)
    }

    /// Nothing of the task runs: a try has to ask for all that every start has to ask for.
    fn may_try_alone(&mut self, index: usize, spec: &Task, due: bool) -> bool {
        if self.is_needless(spec) {
            let message = "the problem was resolved before the next try";
            self.finish(phases::RESOLVED, "Resolved", message);
            return false;
        }
        self.show_wait(index);
        if due || self.desired() != Desired::Run {
            return self.may_start();
        }
        false
    }

    /// Nobody acts on a service that is well again.
    fn is_needless(&self, spec: &Task) -> bool {
        self.facts.resolved && changes(spec)
    }

    /// Says which try is waited for.
    fn show_wait(&mut self, index: usize) {
        let waiting = self.jobs_of(index).iter().filter(|j| is_waiting(j));
        let Some(next) = waiting
            .min_by_key(|j| j.wait_until.as_ref().map(|until| until.0))
            .cloned()
        else {
            return;
        };
        let until = next.wait_until.as_ref().map_or(self.now, |until| until.0);
        let message = format!("{}: {}", self.s.task, next.message);
        self.rest(phases::WAITING, "RetryBackoff", &message);
        self.wait_for(format!("{until:.0}"));
        if until > self.now {
            self.look_again(until);
        }
        if let Some(task) = self.task_mut(index) {
            "Waiting".clone_into(&mut task.state);
            "RetryBackoff".clone_into(&mut task.reason);
            task.message = next.message;
            task.wait_until = next.wait_until;
            task.deadline = None;
        }
    }

    /// The action's task that the Job is made from.
    pub(super) fn task_of(&self, job: &JobStatus) -> Option<&JobTask> {
        let at = usize::try_from(job.task).ok()?;
        self.action_of(job)?.tasks.get(at)
    }
}

/// The message of the last try, with how many there were.
pub(super) fn after_tries(job: &JobStatus, message: &str) -> String {
    match job.tried.len() {
        0 => message.to_owned(),
        before => format!("{message}; all {} tries failed", before + 1),
    }
}
