//! The lanes of a task: every action that answers is one, and all lanes run at once. In a lane the Jobs run one after
//! the other, and what comes after a failed one is not run; with `parallel: true` they run at once. A Job whose next try
//! waits keeps its lane waiting, and no other.

use serde_json::Value;

use super::step::{Flow, Machine};
use crate::{
    api::{Timestamp as ApiTime, execution::JobStatus, jobconfig::JobAction, shipyard::Task},
    core::{
        jobs::{matching, targets::CONFLICT},
        payload,
    },
};

/// Whether a Job was recorded and its end is not known.
pub(super) fn is_live(job: &JobStatus) -> bool {
    matches!(job.state.as_str(), "Starting" | "Running")
}

/// Whether the Job's next try waits for its time.
pub(super) fn is_waiting(job: &JobStatus) -> bool {
    job.state == "Waiting"
}

fn is_pending(job: &JobStatus) -> bool {
    job.state == "Pending"
}

fn same_lane(a: &JobStatus, b: &JobStatus) -> bool {
    a.config == b.config && a.action == b.action
}

impl Machine<'_> {
    /// Starts what may start now. The task ends when every lane has come to its end.
    pub(super) fn go_on(&mut self, index: usize) -> Flow {
        let spec = self.task_spec(index);
        loop {
            let turn = self.startable(index);
            for at in &turn {
                self.start_job(index, *at, &spec);
            }
            // One that was skipped makes room for the next.
            let waiting = self.jobs_of(index).iter().any(is_waiting);
            let tried = turn.is_empty() && waiting && self.start_tries(index, &spec);
            if (turn.is_empty() && !tried) || !self.reads.is_empty() {
                break;
            }
        }
        let jobs = self.jobs_of(index);
        if jobs.iter().any(is_live) {
            self.show_jobs(index);
            Flow::Rest
        } else if jobs.iter().any(is_waiting) {
            Flow::Rest
        } else {
            self.finish_jobs(index)
        }
    }

    /// The Jobs whose turn it is, by their indexes: at most one of a lane, if its Jobs don't run at once.
    fn startable(&self, index: usize) -> Vec<usize> {
        let jobs = self.jobs_of(index);
        let waits = |at: usize| {
            let mut earlier = jobs[..at].iter().filter(|e| same_lane(e, &jobs[at]));
            !self.at_once(&jobs[at]) && earlier.any(|e| is_live(e) || is_pending(e) || is_waiting(e))
        };
        (0..jobs.len())
            .filter(|at| is_pending(&jobs[*at]) && !waits(*at))
            .collect()
    }

    /// A Job failed: what comes after it in its lane is not run, unless it says otherwise.
    pub(super) fn close_lane(&mut self, index: usize, failed: usize) {
        let Some(job) = self.job_status(index, failed).cloned() else {
            return;
        };
        if self.at_once(&job) || (self.goes_on_after(&job) && job.reason != CONFLICT) {
            return;
        }
        let jobs = self.task_mut(index).into_iter().flat_map(|t| &mut t.jobs);
        for later in jobs.filter(|j| same_lane(j, &job) && is_pending(j)) {
            "Skipped".clone_into(&mut later.state);
        }
    }

    /// Whether never more than one Job of the task runs.
    pub(super) fn one_by_one(&self, index: usize) -> bool {
        let jobs = self.jobs_of(index);
        jobs.iter().all(|j| same_lane(j, &jobs[0]) && !self.at_once(j))
    }

    /// The event as a Job sees it: with what the Jobs before it in its lane added. What others add comes when all have
    /// ended, so nothing depends on who is faster, and the Job is the same at every look. Without its data if nobody
    /// reads that.
    pub(super) fn event_for(&self, index: usize, spec: &Task, job: &JobStatus, data: bool) -> Value {
        if !data {
            return self.event(index, spec, false);
        }
        let earlier = |e: &&JobStatus| !self.at_once(job) && same_lane(e, job) && e.task < job.task;
        let jobs = self.jobs_of(index).iter().filter(earlier);
        let mut added = jobs.filter_map(|e| e.data.as_ref()).peekable();
        if added.peek().is_none() {
            return self.event(index, spec, true);
        }
        let mut merged = self.s.payload.clone().unwrap_or_default();
        added.for_each(|data| payload::merge(&mut merged, data));
        self.event_with(index, spec, Some(&merged))
    }

    /// Says what runs, and looks again when the first of them is overdue.
    fn show_jobs(&mut self, index: usize) {
        let live: Vec<JobStatus> = self
            .jobs_of(index)
            .iter()
            .filter(|j| is_live(j))
            .cloned()
            .collect();
        let blocked = live.iter().find(|j| !j.message.is_empty());
        let running = live.iter().filter(|j| j.state == "Running").count();
        let deadline = live.iter().filter_map(|j| j.deadline.as_ref()).map(|d| d.0).min();
        let jobs = self.jobs_of(index);
        let tries = jobs.iter().filter_map(|j| j.wait_until.as_ref());
        let next_try = tries.map(|until| until.0).filter(|at| *at > self.now).min();
        let said = match (blocked, live.as_slice()) {
            (Some(job), _) => format!("Job {} can't start: {}", job.name, job.message),
            (None, [job]) if running == 1 => format!("Job {} runs", job.name),
            (None, [job]) => format!("Job {} starts", job.name),
            (None, all) if running == all.len() => format!("{running} Jobs run"),
            (None, all) => format!("{} Jobs start, {running} run", all.len() - running),
        };
        self.s.message = format!("{}: {said}", self.s.task);
        self.s.waits_for.clear();
        if let Some(job) = blocked {
            self.s.reason.clone_from(&job.reason);
            self.wait_for(format!("Job {}: {}", job.name, job.reason));
        }
        if let Some(task) = self.task_mut(index) {
            let state = if running > 0 { "Running" } else { "Starting" };
            state.clone_into(&mut task.state);
            task.reason = blocked.map(|j| j.reason.clone()).unwrap_or_default();
            task.message = blocked.map(|j| j.message.clone()).unwrap_or_default();
            task.deadline = deadline.map(ApiTime).or(task.deadline.take());
            task.wait_until = None;
        }
        if let Some(at) = next_try {
            self.look_again(at);
        }
        // A Job that has yet to be created is not overdue.
        if let Some(deadline) = deadline.filter(|at| *at > self.now) {
            self.look_again(deadline);
        }
    }

    pub(super) fn is_silent(&self, job: &JobStatus) -> bool {
        self.action_of(job).is_some_and(|a| a.silent == Some(true))
    }

    /// Whether the Jobs of this one's lane run at once.
    fn at_once(&self, job: &JobStatus) -> bool {
        self.action_of(job).is_some_and(|a| a.parallel == Some(true))
    }

    /// `continueOnFailure`: when the Job fails, that is only worth a warning.
    pub(super) fn goes_on_after(&self, job: &JobStatus) -> bool {
        self.task_of(job)
            .is_some_and(|t| t.continue_on_failure == Some(true))
    }

    pub(super) fn action_of(&self, job: &JobStatus) -> Option<&JobAction> {
        let configs = &self.s.plan.as_ref()?.job_configs;
        matching::recorded(configs, &job.config, job.action).map(|m| m.action)
    }

    pub(super) fn jobs_of(&self, index: usize) -> &[JobStatus] {
        self.task_status(index).map_or(&[], |t| &t.jobs)
    }
}
