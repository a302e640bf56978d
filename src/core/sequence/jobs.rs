//! Job tasks: which Jobs, and what becomes of each, started exactly once.
//!
//! The status records a Job's name and `Starting` before the Job is created; the name comes from the run, the attempt,
//! the task and the try, so creating it again after a crash finds the one that is there.

use k8s_openapi::api::batch::v1::Job;

use super::{
    Account, Effect, defaults,
    lanes::is_live,
    step::{Flow, Machine},
};
use crate::{
    api::{Duration, Timestamp as ApiTime, execution::JobStatus, shipyard::Task},
    core::{
        jobs::{
            build::{self, JobInput},
            matching::{self, Matched},
            observe::{self, JobFacts, Observation},
            result::Outcome,
            when,
        },
        names::JobKey,
        note::Note,
    },
};

impl Machine<'_> {
    /// Lists the Jobs of every action that answers, and starts those that may start.
    pub(super) fn start_jobs(&mut self, index: usize, matched: &[Matched]) -> Flow {
        let listed = matched.iter().flat_map(|found| {
            found.action.tasks.iter().enumerate().map(|(at, task)| JobStatus {
                config: found.config.name.clone(),
                action: int(found.action_index),
                task: int(at),
                title: task.name.clone(),
                state: "Pending".to_owned(),
                try_: 1,
                ..JobStatus::default()
            })
        });
        let jobs = listed.collect();
        let Some(task) = self.task_mut(index) else {
            return Flow::Rest;
        };
        task.jobs = jobs;
        self.refuse_missing_files(index, matched);
        self.go_on(index)
    }

    /// Records a Job, and then creates it. One that can't be built has failed.
    pub(super) fn start_job(&mut self, index: usize, at: usize, spec: &Task) {
        let Some(mut recorded) = self.job_status(index, at).cloned() else {
            return;
        };
        match self.needless(index, spec, &recorded) {
            Ok(None) => {}
            Ok(Some(unmet)) => return self.skip_job(index, at, recorded, unmet),
            Err(outcome) => return self.fail_job(index, at, &outcome.reason, &outcome.message),
        }
        if !self.look_before(index, at, &mut recorded) {
            return;
        }
        let (job, timeout) = match self.build(index, spec, &recorded) {
            Ok(built) => built,
            Err(outcome) => return self.fail_job(index, at, &outcome.reason, &outcome.message),
        };
        recorded.name = job.metadata.name.clone().unwrap_or_default();
        "Starting".clone_into(&mut recorded.state);
        recorded.reason.clear();
        recorded.message.clear();
        recorded.wait_until = None;
        recorded.recorded_at = Some(ApiTime(self.now));
        recorded.deadline = Some(ApiTime(self.after(timeout)));
        let text = format!("{}: Job {} ({})", spec.name, recorded.name, recorded.title);
        self.tell(Note::normal("JobStarted", text));
        self.set_job(index, at, recorded);
        self.then.push(Effect::CreateJob(Box::new(job)));
    }

    /// Which of the Job's conditions does not hold. They are judged when its turn comes, on what it would see.
    fn needless(&self, index: usize, spec: &Task, recorded: &JobStatus) -> Result<Option<String>, Outcome> {
        let conditions = self.task_of(recorded).map_or(&[][..], |t| &t.when);
        if conditions.is_empty() {
            return Ok(None);
        }
        let event = self.event_for(index, spec, recorded, true);
        when::unmet(conditions, &event).map_err(|e| {
            let message = format!("JobConfig {}, {:?}: when: {e}", recorded.config, recorded.title);
            Outcome::errored("InvalidJobConfig", message)
        })
    }

    /// The Job is not wanted; what comes after it in its lane goes on.
    fn skip_job(&mut self, index: usize, at: usize, mut job: JobStatus, why: String) {
        let text = format!("{}: {} is skipped, {why}", self.s.task, job.title);
        self.tell(Note::normal("JobSkipped", text));
        "Skipped".clone_into(&mut job.state);
        "ConditionNotMet".clone_into(&mut job.reason);
        job.message = why;
        job.wait_until = None;
        self.set_job(index, at, job);
    }

    /// The Job, from the status alone: the same at every look.
    fn build(&self, index: usize, spec: &Task, recorded: &JobStatus) -> Result<(Job, Duration), Outcome> {
        let lost = || Outcome::errored("PlanLost", "the pinned JobConfig is gone from status.plan");
        let configs = &self.s.plan.as_ref().ok_or_else(lost)?.job_configs;
        let found = matching::recorded(configs, &recorded.config, recorded.action).ok_or_else(lost)?;
        let job_index = usize::try_from(recorded.task).unwrap_or_default();
        let task = found.action.tasks.get(job_index).ok_or_else(lost)?;
        if let Some(name) = &task.service_account {
            self.account_allowed(name, &recorded.config)?;
        }
        let input = JobInput {
            execution: self.execution,
            attempt: self.attempt_number(),
            task: spec,
            task_index: index,
            config: found.config,
            action_index: found.action_index,
            key_index: found.index,
            job_index,
            try_: recorded.try_,
            event: &self.event_for(index, spec, recorded, build::reads_data(task)),
        };
        let job = build::build(&input).map_err(|e| Outcome::errored(e.reason(), e.to_string()))?;
        Ok((job, build::timeout(task, spec)))
    }

    /// The key that the recorded Job must carry.
    fn key(&self, index: usize, recorded: &JobStatus) -> String {
        let configs = self
            .s
            .plan
            .as_ref()
            .map(|p| p.job_configs.as_slice())
            .unwrap_or_default();
        let action = matching::recorded(configs, &recorded.config, recorded.action).map_or(0, |m| m.index);
        JobKey {
            execution_uid: self.execution.metadata.uid.as_deref().unwrap_or_default(),
            attempt: self.attempt_number(),
            task: index,
            action,
            job: usize::try_from(recorded.task).unwrap_or_default(),
            try_: recorded.try_,
        }
        .to_string()
    }

    fn account_allowed(&self, name: &str, config: &str) -> Result<(), Outcome> {
        match self.facts.accounts.get(name) {
            Some(Account::Allowed) => Ok(()),
            Some(Account::NotAllowed) => Err(Outcome::errored(
                "ServiceAccountNotAllowed",
                format!(
                    "ServiceAccount {name}, which JobConfig {config} names, has not opted in: its owner may annotate it coxswain.dev/allowed: \"true\""
                ),
            )),
            Some(Account::Missing) | None => Err(Outcome::errored(
                "ServiceAccountMissing",
                format!(
                    "ServiceAccount {name}, which JobConfig {config} names, does not exist in this namespace"
                ),
            )),
        }
    }

    /// Looks at every Job that may run, each on its own, and then at what may come next.
    pub(super) fn progress_jobs(&mut self, index: usize, jobs: &[JobStatus]) -> Flow {
        let spec = self.task_spec(index);
        for (at, recorded) in jobs.iter().enumerate().filter(|(_, j)| is_live(j)) {
            self.look_at(index, at, recorded.clone(), &spec);
        }
        self.go_on(index)
    }

    fn look_at(&mut self, index: usize, at: usize, mut recorded: JobStatus, spec: &Task) {
        let facts = self.facts;
        if let Some(message) = facts.refused.get(&recorded.name) {
            let message = format!("the API server refused Job {}: {message}", recorded.name);
            return self.fail_try(index, at, "Refused", &message);
        }
        let job = facts.jobs.get(&recorded.name);
        if recorded.uid.is_none() {
            recorded.uid = facts.created.get(&recorded.name).cloned();
        }
        let key = self.key(index, &recorded);
        let facts = JobFacts {
            recorded: &recorded,
            key: &key,
            job,
            pods: &facts.pods,
            warnings: facts.warnings.get(&recorded.name).map_or(&[], Vec::as_slice),
            idempotent: self
                .task_of(&recorded)
                .and_then(|t| t.idempotent)
                .or(spec.idempotent)
                == Some(true),
            now: self.now,
        };
        let seen = observe::observe(&facts);
        if let Some(at) = observe::look_again(&facts) {
            self.look_again(at);
        }
        if recorded.uid.is_none() {
            recorded.uid = job.and_then(|j| j.metadata.uid.clone());
        }
        self.take_observation(index, at, recorded, seen, spec);
    }

    fn take_observation(
        &mut self,
        index: usize,
        at: usize,
        mut job: JobStatus,
        seen: Observation,
        spec: &Task,
    ) {
        let task = self.task_status(index);
        let deadline = job.deadline.as_ref().or(task.and_then(|t| t.deadline.as_ref()));
        let late = deadline.is_some_and(|d| self.now >= d.0);
        match seen {
            // It may be missing because it was deleted for that, and a crash came before the record.
            Observation::Create if late => self.overdue(index, at, None),
            Observation::Create => self.create_again(index, at, &job, spec),
            Observation::NameTaken { message } => self.fail_job(index, at, "NameTaken", &message),
            Observation::Waiting { blocked } if late => self.overdue(index, at, blocked.map(|b| b.message)),
            Observation::Running { .. } if late => self.overdue(index, at, None),
            Observation::Waiting { blocked } => {
                let (reason, message) = blocked.map(|b| (b.reason, b.message)).unwrap_or_default();
                self.wait_for_start(index, at, job, reason, message);
            }
            Observation::Running { started_at } => {
                "Running".clone_into(&mut job.state);
                job.started_at = Some(ApiTime(started_at));
                job.reason.clear();
                job.message.clear();
                self.set_job(index, at, job);
            }
            Observation::Ended(ended) => self.end_job(index, at, job, *ended),
            Observation::Retry { reason, message } => self.retry(index, at, job, &reason, &message, spec),
            Observation::Lost { message } => self.lose(index, at, &message),
        }
    }

    /// The Job was recorded and is not there: a crash came between the two.
    fn create_again(&mut self, index: usize, at: usize, recorded: &JobStatus, spec: &Task) {
        match self.build(index, spec, recorded) {
            Ok((job, _)) => {
                self.then.push(Effect::CreateJob(Box::new(job)));
                self.look_again(self.after(defaults::STARTING));
            }
            Err(outcome) => self.fail_job(index, at, &outcome.reason, &outcome.message),
        }
    }

    /// The container has not started: says why, if that is known. That it has not is no reason to write.
    fn wait_for_start(
        &mut self,
        index: usize,
        at: usize,
        mut job: JobStatus,
        reason: String,
        message: String,
    ) {
        // Looks for warnings about the pod a few times; its own changes wake the run as well.
        let since = job.recorded_at.as_ref().map_or(self.now, |t| t.0);
        let waited = self.now.duration_since(since).as_secs();
        let next = [5, 12, 25]
            .into_iter()
            .find(|s| *s > waited)
            .map_or(60, |s| s - waited);
        self.look_again(self.after(Duration::from_secs(u64::try_from(next).unwrap_or(60))));
        // Told once for each reason, not at every look.
        if !message.is_empty() && job.reason != reason {
            let text = format!("{}: Job {} can't start: {message}", self.s.task, job.name);
            self.tell(Note::warning("JobBlocked", text));
        }
        if (&job.reason, &job.message) != (&reason, &message) {
            job.reason = reason;
            job.message = message;
            self.set_job(index, at, job);
        }
    }

    fn overdue(&mut self, index: usize, at: usize, why: Option<String>) {
        let Some(job) = self.job_status(index, at).cloned() else {
            return;
        };
        let uid = job.uid.clone().or_else(|| {
            self.facts
                .jobs
                .get(&job.name)
                .and_then(|j| j.metadata.uid.clone())
        });
        self.first.push(Effect::DeleteJob {
            name: job.name.clone(),
            uid,
        });
        let why = why.map_or_else(String::new, |w| format!("; it could not start: {w}"));
        let message = format!("Job {} did not end in time and was deleted{why}", job.name);
        if !self.look_after(index, at, &message) {
            return;
        }
        self.fail_try(index, at, "TimedOut", &message);
    }

    /// It is certain that nothing ran, or the task may run again: a new try, with a new Job.
    fn retry(&mut self, index: usize, at: usize, job: JobStatus, reason: &str, message: &str, spec: &Task) {
        if self.facts.jobs.contains_key(&job.name) {
            // Deleted before its uid is on record it would look like one that was never created, and be created again.
            let slot = self.task_status(index).and_then(|t| t.jobs.get(at));
            if slot.is_some_and(|slot| slot.uid.is_none()) {
                self.set_job(index, at, job);
                return self.look_again(self.now);
            }
            self.first.push(Effect::DeleteJob {
                name: job.name.clone(),
                uid: job.uid.clone(),
            });
        }
        let text = format!("Job {}: {message}; it is tried anew ({reason})", job.name);
        self.tell(Note::warning("JobRetried", text));
        let next = next_try(job, "Pending");
        self.set_job(index, at, next);
        self.start_job(index, at, spec);
    }

    /// It may have run, and nobody knows how it ended.
    fn lose(&mut self, index: usize, at: usize, message: &str) {
        self.fail_job(index, at, "Lost", message);
        if let Some(job) = self.task_mut(index).and_then(|t| t.jobs.get_mut(at)) {
            "Lost".clone_into(&mut job.state);
        }
    }

    pub(super) fn job_status(&self, index: usize, at: usize) -> Option<&JobStatus> {
        self.task_status(index)?.jobs.get(at)
    }

    pub(super) fn set_job(&mut self, index: usize, at: usize, job: JobStatus) {
        if let Some(slot) = self.task_mut(index).and_then(|t| t.jobs.get_mut(at)) {
            *slot = job;
        }
    }
}

/// The same Job of the action, to be made once more; nothing of the try before stays, but which ones failed.
pub(super) fn next_try(job: JobStatus, state: &str) -> JobStatus {
    JobStatus {
        config: job.config,
        action: job.action,
        task: job.task,
        title: job.title,
        try_: job.try_ + 1,
        state: state.to_owned(),
        tried: job.tried,
        ..JobStatus::default()
    }
}

fn int(index: usize) -> i32 {
    i32::try_from(index).unwrap_or(i32::MAX)
}
