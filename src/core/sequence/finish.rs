//! Ends: phases, conditions, and what stays of a run.

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::{Effect, lanes::is_live, step::Machine, task};
use crate::{
    api::{
        Condition, Duration, SequenceExecutionStatus, Timestamp as ApiTime,
        common::{Time, set_condition},
        execution::Plan,
    },
    core::note::Note,
};

/// The phases of an execution.
pub mod phases {
    #![allow(missing_docs)]
    pub const QUEUED: &str = "Queued";
    pub const RUNNING: &str = "Running";
    pub const WAITING: &str = "Waiting";
    pub const PAUSED: &str = "Paused";
    pub const HELD: &str = "Held";
    pub const SUCCEEDED: &str = "Succeeded";
    pub const FAILED: &str = "Failed";
    pub const EXHAUSTED: &str = "Exhausted";
    pub const INCONCLUSIVE: &str = "Inconclusive";
    pub const TIMED_OUT: &str = "TimedOut";
    pub const ABORTED: &str = "Aborted";
    pub const RESOLVED: &str = "Resolved";
    pub const EXPIRED: &str = "Expired";
    pub const SUPERSEDED: &str = "Superseded";
    /// Those in which a run has ended.
    pub const ENDED: [&str; 9] = [
        SUCCEEDED,
        FAILED,
        EXHAUSTED,
        INCONCLUSIVE,
        TIMED_OUT,
        ABORTED,
        RESOLVED,
        EXPIRED,
        SUPERSEDED,
    ];
}

/// When the run ends nobody looks again: a Job whose container ended this long ago, and which the Job controller does
/// not call finished, is kept alive by a sidecar.
const SETTLED: Duration = Duration::from_secs(10);

impl Machine<'_> {
    /// Ends the run, when what its end triggers was created.
    pub(super) fn finish(&mut self, phase: &'static str, reason: &str, message: &str) {
        self.close_attempt(reason);
        if !self.triggers(phase, reason, message) {
            self.end(phase, reason, message);
        }
    }

    /// No task of the attempt goes on.
    fn close_attempt(&mut self, reason: &str) {
        let now = ApiTime(self.now);
        if let Some(attempt) = self.attempt()
            && attempt.finished_at.is_none()
        {
            attempt.finished_at = Some(now.clone());
            for task in &mut attempt.tasks {
                match task.state.as_str() {
                    "Done" | "Skipped" | "Lost" => {}
                    "Pending" => "Skipped".clone_into(&mut task.state),
                    _ => {
                        "Done".clone_into(&mut task.state);
                        task.status.get_or_insert_with(|| "errored".to_owned());
                        reason.clone_into(&mut task.reason);
                        task.finished_at = Some(now.clone());
                    }
                }
            }
        }
    }

    /// Ends the run.
    pub(super) fn end(&mut self, phase: &'static str, reason: &str, message: &str) {
        let now = ApiTime(self.now);
        self.sweep_lingering(SETTLED);
        self.rest(phase, reason, message);
        self.s.done = true;
        self.s.finished_at = Some(now);
        self.s.next_attempt_at = None;
        self.s.paused_at = None;
        if self.s.place.is_some() {
            self.s.place = Some("Released".to_owned());
        }
        self.wants_place = false;
        self.again = None;
        if let Some(plan) = self.s.plan.take() {
            self.s.plan = Some(names_only(plan));
        }
        let good = matches!(phase, phases::SUCCEEDED | phases::RESOLVED);
        let text = format!("{phase}: {message}");
        self.tell(if good {
            Note::normal("Finished", text)
        } else {
            Note::warning("Finished", text)
        });
    }

    /// Ends a run whose definitions are not there or can't be used: somebody has to mend something.
    pub(super) fn refuse(&mut self, reason: &str, message: &str) -> super::step::Flow {
        self.close_attempt(reason);
        self.end(phases::FAILED, reason, message);
        let generation = self.execution.metadata.generation;
        set(
            &mut self.s,
            self.now,
            generation,
            "Stalled",
            "True",
            reason,
            message,
        );
        super::step::Flow::Rest
    }

    /// Ends the run in the middle, with its Jobs.
    pub(super) fn end_early(&mut self, phase: &'static str, reason: &str, message: &str) {
        self.delete_live_jobs();
        if let Some(index) = self.s.attempts.last().and_then(task::position) {
            self.absorb(index);
        }
        if let Some(task) = task::current(&self.s).cloned() {
            self.withdraw_question(&task, message);
        }
        self.close_attempt(reason);
        self.end(phase, reason, message);
    }

    /// Deletes the Jobs that may still run.
    pub(super) fn delete_live_jobs(&mut self) {
        let Some(current) = task::current(&self.s) else {
            return;
        };
        let live = current.jobs.iter().filter(|j| is_live(j));
        let deletions: Vec<_> = live
            .map(|job| Effect::DeleteJob {
                name: job.name.clone(),
                uid: job.uid.clone().or_else(|| {
                    self.facts
                        .jobs
                        .get(&job.name)
                        .and_then(|j| j.metadata.uid.clone())
                }),
            })
            .collect();
        self.first.extend(deletions);
    }
}

/// Of what was pinned only names, generations and hashes stay.
fn names_only(plan: Plan) -> Plan {
    let hash = |bytes: Vec<u8>| {
        Sha256::digest(bytes)
            .iter()
            .take(8)
            .map(|byte| format!("{byte:02x}"))
            .collect::<String>()
    };
    let mut pinned = plan.pinned;
    for object in &mut pinned {
        let body = match object.kind.as_str() {
            "Shipyard" => serde_json::to_vec(&plan.sequence),
            "Remediation" => serde_json::to_vec(&plan.remediation),
            "JobConfig" => serde_json::to_vec(&plan.job_configs.iter().find(|c| c.name == object.name)),
            "ServiceLevelObjective" => serde_json::to_vec(&plan.gate),
            _ => continue,
        };
        object.hash = body.ok().map(hash);
    }
    Plan {
        pinned,
        ..Plan::default()
    }
}

/// Brings the conditions in line with the phase. `Stalled` is set by whoever finds the reason; it stays.
pub(super) fn conditions(s: &mut SequenceExecutionStatus, now: Timestamp) {
    let generation = s.observed_generation;
    let (phase, reason, message) = (s.phase.clone(), s.reason.clone(), s.message.clone());
    let stalled = s
        .conditions
        .iter()
        .any(|c| c.type_ == "Stalled" && c.status == "True");
    if !s.done {
        let reason = if phase.is_empty() {
            "Pending".to_owned()
        } else {
            phase
        };
        set(
            s,
            now,
            generation,
            "Ready",
            "False",
            &reason,
            "the run has not ended",
        );
        set(
            s,
            now,
            generation,
            "Reconciling",
            "True",
            &reason,
            "the run has not ended",
        );
        set(
            s,
            now,
            generation,
            "Succeeded",
            "Unknown",
            &reason,
            "the run has not ended",
        );
        return;
    }
    s.conditions.retain(|c| c.type_ != "Reconciling");
    let ready = if stalled { "False" } else { "True" };
    set(s, now, generation, "Ready", ready, &reason, &message);
    let succeeded = if matches!(phase.as_str(), phases::SUCCEEDED | phases::RESOLVED) {
        "True"
    } else {
        "False"
    };
    set(s, now, generation, "Succeeded", succeeded, &reason, &message);
}

pub(super) fn set(
    s: &mut SequenceExecutionStatus,
    now: Timestamp,
    generation: Option<i64>,
    type_: &str,
    status: &str,
    reason: &str,
    message: &str,
) {
    set_condition(
        &mut s.conditions,
        Condition {
            type_: type_.to_owned(),
            status: status.to_owned(),
            reason: reason.to_owned(),
            message: message.to_owned(),
            last_transition_time: Time(now),
            observed_generation: generation,
        },
    );
}
