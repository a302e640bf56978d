//! How Jobs end, and what the ends of a task's Jobs come to.

use super::{
    Effect, defaults,
    step::{Flow, Machine},
};
use crate::{
    api::{
        Duration, Timestamp as ApiTime,
        common::Object,
        execution::{JobStatus, TaskStatus},
    },
    core::{
        jobs::{
            matching,
            observe::{self, Ended},
            result::{self, Outcome, Verdict},
        },
        payload,
    },
};

impl Machine<'_> {
    pub(super) fn end_job(&mut self, index: usize, at: usize, mut job: JobStatus, ended: Ended) -> Flow {
        let spec = self.task_spec(index);
        let Ended {
            outcome,
            started_at,
            finished_at,
        } = ended;
        let silent = self.is_silent(&job);
        "Done".clone_into(&mut job.state);
        job.result = Some(outcome.verdict.as_str().to_owned());
        job.exit_code = outcome.exit_code;
        job.reason.clone_from(&outcome.reason);
        job.message = clip(&outcome.message);
        job.errored = outcome.errored;
        job.started_at = started_at.map(ApiTime).or(job.started_at);
        job.finished_at = Some(ApiTime(finished_at));
        let (config, action) = (job.config.clone(), job.action);
        let Some(task) = self.task_mut(index) else {
            return Flow::Rest;
        };
        if let Some(slot) = task.jobs.get_mut(at) {
            *slot = job;
        }
        if outcome.verdict == Verdict::Fail {
            // What comes after a failed Job of an action is not run; other actions go on.
            for later in task
                .jobs
                .iter_mut()
                .filter(|j| j.config == config && j.action == action && j.state == "Pending")
            {
                "Skipped".clone_into(&mut later.state);
            }
        }
        if !silent {
            self.take_said(&outcome, &spec.name);
        }
        if !silent && !outcome.data.is_empty() {
            let mut merged = self.s.payload.clone().unwrap_or_default();
            payload::merge(&mut merged, &outcome.data);
            match payload::check_payload(&merged) {
                Ok(()) => self.s.payload = Some(merged),
                Err(error) => {
                    return self.finish_task(index, Outcome::errored(error.reason(), error.to_string()));
                }
            }
        }
        self.look_again(self.after(defaults::LINGER));
        self.start_next_job(index, &spec)
    }

    fn is_silent(&self, job: &JobStatus) -> bool {
        let configs = self
            .s
            .plan
            .as_ref()
            .map(|p| p.job_configs.as_slice())
            .unwrap_or_default();
        matching::recorded(configs, &job.config, job.action).is_some_and(|m| m.action.silent == Some(true))
    }

    /// All Jobs ended: the worst result counts, silent actions apart.
    pub(super) fn finish_jobs(&mut self, index: usize) -> Flow {
        let Some(task) = self.task_status(index).cloned() else {
            return Flow::Rest;
        };
        let counted: Vec<&JobStatus> = task
            .jobs
            .iter()
            .filter(|j| j.state == "Done" && !self.is_silent(j))
            .collect();
        let rank = |j: &&&JobStatus| match j.result.as_deref() {
            Some("pass") => 0,
            Some("warning") => 1,
            _ if j.errored => 3,
            _ => 2,
        };
        let Some(told) = counted.iter().rev().max_by_key(rank) else {
            let message = "only silent actions answered".to_owned();
            return self.finish_task(
                index,
                Outcome {
                    message,
                    ..Outcome::default()
                },
            );
        };
        let said = if told.message.is_empty() {
            String::new()
        } else {
            format!(": {}", told.message)
        };
        let message = format!("Job {}{said}", told.name);
        let outcome = Outcome {
            verdict: match told.result.as_deref() {
                Some("pass") => Verdict::Pass,
                Some("warning") => Verdict::Warning,
                _ => Verdict::Fail,
            },
            errored: counted.iter().any(|j| j.errored),
            reason: told.reason.clone(),
            message: clip(&message),
            data: ran(&task),
            ..Outcome::default()
        };
        self.finish_task(index, outcome)
    }

    /// Deletes Jobs that an injected sidecar keeps alive this long after our container ended.
    pub(super) fn sweep_lingering(&mut self, after: Duration) {
        let Some(attempt) = self.s.attempts.last() else {
            return;
        };
        let done = attempt
            .tasks
            .iter()
            .flat_map(|t| &t.jobs)
            .filter(|j| j.state == "Done");
        let swept: Vec<_> = done
            .filter_map(|j| {
                let job = self.facts.jobs.get(&j.name)?;
                observe::lingers(job, j.finished_at.as_ref()?.0, after, self.now).then(|| Effect::DeleteJob {
                    name: j.name.clone(),
                    uid: job.metadata.uid.clone(),
                })
            })
            .collect();
        self.first.extend(swept);
    }
}

/// When the task's Jobs ran, where v1 says so.
fn ran(task: &TaskStatus) -> Object {
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
        (Some(started), Some(ended)) => result::test_times(&task.name, started, ended),
        _ => Object::new(),
    }
}

/// Messages in a status are for reading; the whole is in the Job's log.
fn clip(message: &str) -> String {
    const MAX: usize = 512;
    if message.len() <= MAX {
        return message.to_owned();
    }
    let end = (0..=MAX)
        .rev()
        .find(|i| message.is_char_boundary(*i))
        .unwrap_or(0);
    format!("{}…", &message[..end])
}
