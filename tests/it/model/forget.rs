//! States that differ only in what decides nothing any more are one.

use coxswain::api::{SequenceExecution, SequenceExecutionStatus, Timestamp as ApiTime};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::{
    operator::Operator,
    shipyards::at,
    state::{Id, Run, State},
};

/// What decides nothing any more makes no difference between states.
pub fn forget(operator: &mut Operator, s: &mut State) {
    for job in &mut s.jobs {
        let run = &s.runs[job.run];
        let attempt = run.status().and_then(|s| s.attempts.last());
        let mut recorded = attempt.iter().flat_map(|a| &a.tasks).flat_map(|t| &t.jobs);
        let waited_for =
            recorded.any(|j| j.name == *job.name && matches!(j.state.as_str(), "Starting" | "Running"));
        if !waited_for && !job.lives() && run.flight.is_none() && run.old.is_none() {
            (job.pod_seen, job.job_seen) = (true, true);
            (job.started_at, job.ended_at) = (0, 0);
        }
    }
    let runs = &s.runs;
    s.evaluations.retain(|e| {
        let newest = runs[e.run]
            .status()
            .and_then(|s| s.attempts.last())
            .map(|a| a.number);
        runs[e.run].flight.is_some() || runs[e.run].old.is_some() || e.object.spec.attempt >= newest
    });
    for r in 0..s.runs.len() {
        let run = &mut s.runs[r];
        if run.flight.is_some() {
            continue;
        }
        if !run.done() && run.aborted.is_none() {
            run.live = operator.summary(&run.live);
        }
        // While an old version may still be looked at, the end is compared with it.
        if !run.done() || run.old.is_some() {
            continue;
        }
        run.live = operator.summary(&run.live);
        (run.again, run.aborted) = (None, None);
        s.jobs.retain(|j| j.run != r);
        s.evaluations.retain(|e| e.run != r);
        s.approvals.retain(|a| a.run != r);
    }
    begin_anew(operator, s);
}

/// Where nothing has begun but what was created just now, the clock begins anew: what comes does not depend on when.
fn begin_anew(operator: &mut Operator, s: &mut State) {
    let fresh = |r: &Run| {
        let created = r.live.metadata.creation_timestamp.as_ref().map(|t| t.0);
        r.status().is_none() && r.flight.is_none() && r.old.is_none() && created == Some(at(s.now))
    };
    let over = |r: &Run| r.done() && r.flight.is_none() && r.old.is_none() && !r.due;
    if s.now == 0 || !s.runs.iter().any(fresh) || !s.runs.iter().all(|r| fresh(r) || over(r)) {
        return;
    }
    s.now = 0;
    for run in s.runs.iter_mut().filter(|r| !r.done()) {
        let mut next = (*run.live).clone();
        next.metadata.creation_timestamp = Some(Time(at(0)));
        run.live = operator.runs.keep(next);
    }
}

impl Operator {
    /// The run without what decides nothing any more, so that states which differ in nothing else are one.
    pub fn summary(&mut self, run: &Id<SequenceExecution>) -> Id<SequenceExecution> {
        if let Some(known) = self.summaries.get(run) {
            return known.clone();
        }
        let mut short = (**run).clone();
        short.status = short.status.take().map(|status| {
            if status.done {
                seen_by_others(status)
            } else {
                still_decides(status)
            }
        });
        let short = self.runs.keep(short);
        self.summaries.insert(run.clone(), short.clone());
        self.summaries.insert(short.clone(), short.clone());
        short
    }
}

/// Of a run that has ended.
fn seen_by_others(status: SequenceExecutionStatus) -> SequenceExecutionStatus {
    SequenceExecutionStatus {
        phase: status.phase,
        done: true,
        finished_at: Some(ApiTime(at(0))),
        triggered: status.triggered,
        ..SequenceExecutionStatus::default()
    }
}

/// Of tasks that have ended the machine reads how, and when; not what was told of it on the way.
fn still_decides(mut status: SequenceExecutionStatus) -> SequenceExecutionStatus {
    let last = status.attempts.len().saturating_sub(1);
    for (i, attempt) in status.attempts.iter_mut().enumerate() {
        let over = i < last;
        if over {
            (attempt.started_at, attempt.finished_at) = (None, Some(ApiTime(at(0))));
        }
        for task in attempt.tasks.iter_mut().filter(|t| t.finished_at.is_some()) {
            (task.started_at, task.wait_until) = (None, None);
            task.message.clear();
            if over {
                task.finished_at = Some(ApiTime(at(0)));
                task.evaluation = None;
                task.jobs.clear();
            }
            for job in &mut task.jobs {
                (job.recorded_at, job.started_at, job.uid) = (None, None, None);
                job.finished_at = Some(ApiTime(at(0)));
                job.message.clear();
                job.tried.clear();
            }
        }
    }
    status
}
