//! Attempts: how a run starts, goes on after a failed attempt, and what its end comes to.

use jiff::Timestamp;

use super::{
    RunDefinitions, defaults,
    finish::phases,
    step::{Flow, Machine},
    task,
};
use crate::{
    api::{
        Timestamp as ApiTime,
        execution::{AttemptStatus, Plan, RetryOf, TaskStatus},
        remediation::OnActionFailure,
        shipyard::Concurrency,
    },
    core::{
        definitions::Missing,
        jobs::{result, targets::CONFLICT},
        note::Note,
        payload,
        remediation::{brakes, get_action},
        selector::{self, End},
    },
};

impl Machine<'_> {
    pub(super) fn before_first_attempt(&mut self) -> Flow {
        let data = self.execution.spec.data.clone().unwrap_or_default();
        let triggered = self.execution.spec.triggered_by.as_ref();
        let follows = triggered.is_some_and(|by| by.kind == "SequenceExecution")
            || self.execution.spec.retry_of.is_some();
        if let Err(error) = payload::check_data(&data, follows) {
            return self.refuse(error.reason(), &error.to_string());
        }
        if self.facts.resolved {
            self.finish(
                phases::RESOLVED,
                "Resolved",
                "the problem was resolved before anything was done",
            );
            return Flow::Rest;
        }
        if self.expired() {
            let message = format!(
                "waited longer than {} to start; what was true then may not be now",
                defaults::QUEUED
            );
            self.finish(phases::EXPIRED, "QueuedTooLong", &message);
            return Flow::Rest;
        }
        if self.s.plan.is_none() {
            match &self.facts.run {
                Some(Ok(definitions)) => {
                    if self.pin_run(definitions) == Flow::Rest {
                        return Flow::Rest;
                    }
                }
                Some(Err(Missing { reason, message })) => return self.refuse(reason, message),
                None => {
                    self.look_again(self.now);
                    return Flow::Rest;
                }
            }
        }
        let replaces = self.sequence().and_then(|s| s.concurrency) == Some(Concurrency::Replace);
        if let Some(newer) = self.facts.newer.clone().filter(|_| replaces) {
            let message = format!("{newer} came while this run waited (concurrency: Replace)");
            return self.finished(phases::SUPERSEDED, "Replaced", &message);
        }
        if self.lacks_history() {
            return Flow::Rest;
        }
        // A hold is said first: it does not end by itself.
        if self.facts.hold.is_none()
            && let Some((until, last)) = self.cooling()
        {
            let message = format!("cools down until {until:.0} after {last}");
            self.rest(phases::WAITING, "Cooldown", &message);
            self.wait_for(format!("{until:.0}"));
            self.look_again(until);
            return Flow::Rest;
        }
        if !self.may_start() {
            if self.s.paused_at.is_none() && !self.s.done {
                self.look_again(self.expiry());
            }
            return Flow::Rest;
        }
        self.start_attempt()
    }

    pub(super) fn before_next_attempt(&mut self) -> Flow {
        self.wants_place = true;
        if self.facts.resolved {
            self.finish(
                phases::RESOLVED,
                "Resolved",
                "the problem was resolved; no further action is tried",
            );
            return Flow::Rest;
        }
        if let Some(at) = self.s.next_attempt_at.as_ref().map(|at| at.0)
            && self.now < at
            && self.desired() == crate::api::execution::Desired::Run
        {
            let message = format!("attempt {} starts at {at:.0}", self.attempt_number() + 1);
            self.rest(phases::WAITING, "RetryAfter", &message);
            self.wait_for(format!("{at:.0}"));
            self.look_again(at);
            return Flow::Rest;
        }
        if !self.may_start() {
            return Flow::Rest;
        }
        self.start_attempt()
    }

    fn pin_run(&mut self, definitions: &RunDefinitions) -> Flow {
        let spec = &self.execution.spec;
        let place = format!("{}/{}/{}", spec.project, spec.stage, spec.service);
        let payload = spec.data.clone().unwrap_or_default();
        let remediation = task::asks_for_action(&definitions.sequence)
            .then(|| get_action::pin(definitions.remediation.as_ref(), &payload, &place));
        let plan = Plan {
            pinned: definitions.pinned.clone(),
            sequence: Some(definitions.sequence.clone()),
            remediation,
            followers: definitions.followers.clone(),
            ..Plan::default()
        };
        if let Err(error) = payload::check_plan(&plan) {
            return self.refuse(error.reason(), &error.to_string());
        }
        self.s.plan = Some(plan);
        self.s.payload = Some(payload);
        Flow::Go
    }

    fn start_attempt(&mut self) -> Flow {
        let Some(definitions) = &self.facts.attempt else {
            self.look_again(self.now);
            return Flow::Rest;
        };
        // Nothing is done to a service whose gate can't be asked afterwards.
        if !definitions.gate.error.is_empty() {
            return self.refuse("InvalidObjective", &definitions.gate.error);
        }
        let mut plan = self.s.plan.clone().unwrap_or_default();
        plan.job_configs.clone_from(&definitions.job_configs);
        plan.gate = Some(definitions.gate.clone());
        plan.pinned
            .retain(|p| matches!(p.kind.as_str(), "Shipyard" | "Remediation"));
        plan.pinned.extend(definitions.pinned.iter().cloned());
        if let Err(error) = payload::check_plan(&plan) {
            return self.refuse(error.reason(), &error.to_string());
        }
        let tasks = plan.sequence.iter().flat_map(|s| &s.tasks).map(|t| TaskStatus {
            name: t.name.clone(),
            state: "Pending".to_owned(),
            ..TaskStatus::default()
        });
        let mut attempt = AttemptStatus {
            number: self.attempt_number() + 1,
            started_at: Some(ApiTime(self.now)),
            tasks: tasks.collect(),
            ..AttemptStatus::default()
        };
        let number = attempt.number;
        if number == 1
            && let Some(retry) = &self.execution.spec.retry_of
            && let Err(message) = begin_at(&mut attempt, retry)
        {
            return self.refuse("RetryMismatch", &message);
        }
        self.s.plan = Some(plan);
        self.s.attempts.push(attempt);
        self.s.attempt = Some(number);
        self.s.next_attempt_at = None;
        self.s.started_at.get_or_insert(ApiTime(self.now));
        self.forget_old_attempts();
        if number == 1 {
            let text = format!(
                "runs {} of stage {}",
                self.execution.spec.sequence, self.execution.spec.stage
            );
            self.tell(Note::normal("Started", text));
        } else {
            self.tell(Note::normal("AttemptStarted", format!("attempt {number} starts")));
        }
        Flow::Go
    }

    /// Keeps the last attempts in full, and a line of each older one.
    fn forget_old_attempts(&mut self) {
        while self.s.attempts.len() > defaults::ATTEMPTS_KEPT {
            let old = self.s.attempts.remove(0);
            self.s.earlier_attempts.push(format!(
                "{}: {} {}",
                old.number,
                old.action.as_deref().unwrap_or("-"),
                old.result.as_deref().unwrap_or("-")
            ));
        }
        while self.s.earlier_attempts.len() > defaults::ATTEMPTS_KEPT * 10 {
            self.s.earlier_attempts.remove(0);
        }
    }

    /// All tasks ended, or one failed: what does the attempt come to?
    pub(super) fn end_attempt(&mut self) -> Flow {
        let now = ApiTime(self.now);
        let conflict = match self.conflict_at_end() {
            Ok(conflict) => conflict,
            Err(rest) => return rest,
        };
        let Some(attempt) = self.attempt() else {
            return Flow::Rest;
        };
        let last = attempt
            .tasks
            .iter()
            .rev()
            .find(|t| t.result.is_some())
            .cloned()
            .unwrap_or_default();
        let result = last.result.clone().unwrap_or_else(|| "pass".to_owned());
        attempt.result = Some(result.clone());
        attempt.finished_at = Some(now);
        for unreached in attempt.tasks.iter_mut().filter(|t| t.state == "Pending") {
            "Skipped".clone_into(&mut unreached.state);
        }
        self.s.result = Some(result.clone());
        // Another action would be changed back too.
        if let Some(message) = conflict {
            if let Some(attempt) = self.attempt() {
                attempt.result = Some("fail".to_owned());
            }
            self.s.result = Some("fail".to_owned());
            self.tell(Note::warning(CONFLICT, message.clone()));
            self.finish(phases::FAILED, CONFLICT, &message);
            return Flow::Rest;
        }
        if last.reason == CONFLICT {
            self.conclude(true, &last);
            return Flow::Rest;
        }
        if last.name == task::GET_ACTION && result == "fail" {
            return self.no_action(&last);
        }
        if did_not_measure(&last) {
            self.finish(phases::INCONCLUSIVE, &last.reason, &last.message);
            return Flow::Rest;
        }
        // A task that nobody can answer is a mistake in the configuration: another action would not mend it.
        if matches!(last.reason.as_str(), task::NO_EXECUTOR | task::INVALID_EXECUTOR) {
            let message = format!("{}: {}", last.name, last.message);
            return self.refuse(&last.reason, &message);
        }
        let failed = result == "fail" || last.status.as_deref() == Some("errored");
        if !self.retries(&result) {
            self.conclude(failed, &last);
            return Flow::Rest;
        }
        self.schedule_retry(&last)
    }

    fn no_action(&mut self, last: &TaskStatus) -> Flow {
        match last.reason.as_str() {
            get_action::NO_ACTION_LEFT => {
                self.finish(phases::EXHAUSTED, get_action::NO_ACTION_LEFT, &last.message)
            }
            // A Job that could not do its work is no broken definition.
            _ if last.status.as_deref() == Some("errored") && !last.jobs.is_empty() => {
                self.conclude(true, last)
            }
            reason => return self.refuse(reason, &last.message),
        }
        Flow::Rest
    }

    fn conclude(&mut self, failed: bool, last: &TaskStatus) {
        let what = if last.message.is_empty() {
            last.name.clone()
        } else {
            format!("{}: {}", last.name, last.message)
        };
        if !failed {
            return match self.acted() {
                Some(action) => {
                    let message = format!("healed by {action} in attempt {}; {what}", self.attempt_number());
                    self.finish(phases::SUCCEEDED, "Healed", &message);
                }
                None => self.finish(phases::SUCCEEDED, "Succeeded", &what),
            };
        }
        let reason = if last.reason.is_empty() {
            "TaskFailed"
        } else {
            &last.reason
        };
        self.finish(phases::FAILED, reason, &what);
    }

    /// The action of this attempt, if one really ran.
    fn acted(&self) -> Option<String> {
        let attempt = self.s.attempts.last()?;
        let mut jobs = attempt.tasks.iter().flat_map(|t| &t.jobs);
        let ran = jobs.any(|j| j.state != "Skipped");
        attempt.action.clone().filter(|_| ran)
    }

    /// Whether a rule fires on the sequence's own end.
    fn retries(&self, result: &str) -> bool {
        let Some(sequence) = self.sequence() else {
            return false;
        };
        let Some(attempt) = self.s.attempts.last() else {
            return false;
        };
        let escalates = self
            .remediation()
            .is_some_and(|r| r.on_action_failure == OnActionFailure::Escalate);
        let failed = result == "fail"
            || attempt
                .tasks
                .iter()
                .any(|t| t.status.as_deref() == Some("errored"));
        let ran = attempt
            .tasks
            .iter()
            .filter(|t| t.state != "Pending" && t.result.is_some());
        let end = End {
            event: self.own_end(),
            result: result.to_owned(),
            tasks: ran
                .map(|t| {
                    let status = t.status.clone().unwrap_or_else(|| "succeeded".to_owned());
                    (t.name.clone(), (t.result.clone().unwrap_or_default(), status))
                })
                .collect(),
            // A failed action escalates too: what it kept from being asked reads as failed.
            unreached: (escalates && failed).then(|| "fail".to_owned()),
            payload: self.s.payload.clone().unwrap_or_default(),
        };
        sequence
            .triggered_on
            .iter()
            .any(|trigger| selector::fires(trigger, &end))
    }

    fn schedule_retry(&mut self, last: &TaskStatus) -> Flow {
        let sequence = self.sequence().cloned().unwrap_or_default();
        let limit = sequence.max_attempts.unwrap_or(defaults::MAX_ATTEMPTS);
        if self.attempt_number() >= limit {
            let message = format!(
                "{limit} attempts were made; the last: {}: {}",
                last.name, last.message
            );
            self.finish(phases::EXHAUSTED, "MaxAttempts", &message);
            return Flow::Rest;
        }
        if self.facts.resolved {
            self.finish(
                phases::RESOLVED,
                "Resolved",
                "the problem was resolved; no further action is tried",
            );
            return Flow::Rest;
        }
        let by_job = self.action_by_job();
        let nothing_left = self.remediation().is_some_and(|r| {
            // A Job may know actions that no Remediation has.
            let payload = self.s.payload.clone().unwrap_or_default();
            let unknown = by_job && r.actions.is_empty();
            !unknown && !get_action::any_left(r, &payload)
        });
        // Nobody waits before somebody is paged.
        let wait = if nothing_left {
            crate::api::Duration::default()
        } else {
            sequence.retry_after.unwrap_or(defaults::RETRY_AFTER)
        };
        let at = self.after(wait);
        self.s.next_attempt_at = Some(ApiTime(at));
        if !nothing_left {
            let number = self.attempt_number();
            let text = format!(
                "attempt {number} did not heal it ({}: {}); the next starts at {at:.0}",
                last.name, last.message
            );
            self.tell(Note::warning("RetryScheduled", text));
        }
        if nothing_left && !self.action_by_job() {
            self.exhaust()
        } else {
            Flow::Go
        }
    }

    /// Whether a Job answered get-action. Then only it knows whether there is another action; the next attempt asks it.
    fn action_by_job(&self) -> bool {
        let attempt = self.s.attempts.last();
        attempt.is_some_and(|a| {
            a.tasks
                .iter()
                .any(|t| t.name == task::GET_ACTION && !t.jobs.is_empty())
        })
    }

    /// The attempt that finds no action left: it starts at once, is counted, and ends the run.
    fn exhaust(&mut self) -> Flow {
        let number = self.attempt_number() + 1;
        let tasks = self.sequence().map(|s| s.tasks.clone()).unwrap_or_default();
        let message = match self
            .remediation()
            .map(|r| get_action::next(r, self.s.payload.as_ref().unwrap_or(&serde_json::Map::new())))
        {
            Some(get_action::Choice::None { message, .. }) => message,
            _ => "no action is left".to_owned(),
        };
        let now = ApiTime(self.now);
        let asked = tasks
            .first()
            .filter(|t| t.name == task::GET_ACTION)
            .map(|t| TaskStatus {
                name: t.name.clone(),
                state: "Done".to_owned(),
                result: Some("fail".to_owned()),
                status: Some("succeeded".to_owned()),
                reason: "NoActionLeft".to_owned(),
                message: message.clone(),
                started_at: Some(now.clone()),
                finished_at: Some(now.clone()),
                ..TaskStatus::default()
            });
        self.s.attempts.push(AttemptStatus {
            number,
            result: Some("fail".to_owned()),
            started_at: Some(now.clone()),
            finished_at: Some(now),
            tasks: asked.into_iter().collect(),
            ..AttemptStatus::default()
        });
        self.s.attempt = Some(number);
        self.s.next_attempt_at = None;
        self.forget_old_attempts();
        self.finish(phases::EXHAUSTED, "NoActionLeft", &message);
        Flow::Rest
    }

    /// Until when the service is left alone, and the run after which.
    fn cooling(&self) -> Option<(Timestamp, String)> {
        let cooldown = self.remediation()?.cooldown;
        let (ended, name) = self.facts.history.as_ref()?.last.as_ref()?;
        let until = brakes::cooling_until(cooldown, *ended, self.now)?;
        Some((until, name.clone()))
    }

    /// Whether brakes would have to be counted from what is not known; then it is asked for, at once.
    pub(super) fn lacks_history(&mut self) -> bool {
        let lacks = self.remediation().is_some() && self.facts.history.is_none();
        if lacks {
            self.look_again(self.now);
        }
        lacks
    }

    fn expiry(&self) -> Timestamp {
        let created = self
            .execution
            .metadata
            .creation_timestamp
            .as_ref()
            .map_or(self.now, |t| t.0);
        created
            .checked_add(defaults::QUEUED.signed())
            .unwrap_or(Timestamp::MAX)
    }

    /// A paused run may wait longer: it has a limit of its own.
    fn expired(&self) -> bool {
        self.s.paused_at.is_none() && self.s.paused_seconds.is_none() && self.now >= self.expiry()
    }
}

/// A run that repeats another from its failed task does not repeat the tasks before it.
fn begin_at(attempt: &mut AttemptStatus, retry: &RetryOf) -> Result<(), String> {
    let index = usize::try_from(retry.task).unwrap_or_default();
    let found = attempt.tasks.get(index).map(|t| t.name.clone());
    if retry.task_name.is_some() && found != retry.task_name {
        return Err(format!(
            "task {} of the sequence is no longer {}: run it again from its start",
            index + 1,
            retry.task_name.clone().unwrap_or_default()
        ));
    }
    for task in attempt.tasks.iter_mut().take(index) {
        "Skipped".clone_into(&mut task.state);
        task.result = Some("pass".to_owned());
        task.status = Some("succeeded".to_owned());
        "Repeated".clone_into(&mut task.reason);
        task.message = format!("ended in {}", retry.name);
        task.finished_at.clone_from(&attempt.started_at);
    }
    Ok(())
}

/// Whether this is an evaluation that could not be made: that says nothing about the service, so no action follows from
/// it. A Job's exit code alone is a verdict.
fn did_not_measure(last: &TaskStatus) -> bool {
    last.name == task::EVALUATION
        && last.status.as_deref() == Some("errored")
        && last.reason != result::EXIT_CODE
}
