//! What an evaluation task asks for, whoever carries it out: the operator itself, or a Job of its image.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    defaults, payload,
    task::{self, EVALUATION},
};
use crate::{
    api::{
        Duration, Evaluation, EvaluationStatus, SequenceExecution, SequenceExecutionStatus,
        common::{Object, SourceRef},
        evaluation::Window,
        shipyard::Task,
    },
    core::{
        evaluation::{self, Holding, WindowPlan, window},
        jobs::result::{Outcome, Verdict},
    },
};

/// What the evaluation at this index of the newest attempt measures, if it is asked at `now`. The error names the
/// property that is wrong.
pub fn plan_window(
    execution: &SequenceExecution,
    status: &SequenceExecutionStatus,
    index: usize,
    now: Timestamp,
) -> Result<WindowPlan, String> {
    let payload = payload_of(execution, status, index);
    let properties = payload.get(EVALUATION).and_then(Value::as_object);
    let properties = properties.cloned().unwrap_or_default();
    window::plan(&properties, &payload, changed_at(status, index), now).map_err(|e| e.to_string())
}

/// What a verdict comes to.
#[derive(Debug)]
pub enum Judged {
    /// The task's end.
    End(Outcome),
    /// It is good, and must stay so (`mustHoldFor`): the gate is evaluated again.
    Holds {
        /// Since when it is good: the end of the first good window.
        since: Timestamp,
        /// Until when it must be.
        until: Timestamp,
        /// When the next window ends.
        next: Timestamp,
        /// For people.
        told: String,
    },
}

/// What the verdict on `found` comes to for the task at this index, whose gate has been good since `good_since`.
pub fn judged(
    execution: &SequenceExecution,
    status: &SequenceExecutionStatus,
    index: usize,
    found: &Evaluation,
    good_since: Option<Timestamp>,
) -> Judged {
    let verdict = found.status.clone().unwrap_or_default();
    let mut outcome = outcome(found, &verdict);
    let payload = payload_of(execution, status, index);
    let properties = payload.get(EVALUATION).and_then(Value::as_object);
    let (Some(hold), Some(window)) = (properties.and_then(evaluation::hold), &found.spec.window) else {
        return Judged::End(outcome);
    };
    let good = outcome.verdict != Verdict::Fail && verdict.score.is_some();
    let since = good_since.unwrap_or(window.end.0);
    if good && let Holding::Until { until, next } = evaluation::holding(hold, since, window) {
        let told = format!(
            "evaluation: good since {since:.0} ({}); must hold until {until:.0} (mustHoldFor {}), looks again at {next:.0}",
            verdict.message, hold.length
        );
        return Judged::Holds {
            since,
            until,
            next,
            told,
        };
    }
    if let Some(since) = good_since {
        let seconds = u64::try_from(window.end.0.duration_since(since).as_secs()).unwrap_or(0);
        let held = Duration::from_secs(seconds);
        outcome.message = format!(
            "{}; {held} after it was good for the first time ({since:.0})",
            outcome.message
        );
    }
    Judged::End(outcome)
}

/// When this attempt's last task that changes the service ended.
fn changed_at(status: &SequenceExecutionStatus, before: usize) -> Option<Timestamp> {
    let attempt = status.attempts.last()?;
    let earlier = attempt.tasks.iter().enumerate().take(before);
    earlier
        .filter(|(i, t)| t.state == "Done" && task::changes(&task_spec(status, *i)))
        .filter_map(|(_, t)| t.finished_at.as_ref())
        .map(|at| at.0)
        .max()
}

/// The Evaluation of the task at this index of the newest attempt, from what was pinned at the attempt's start. None
/// when nothing is pinned.
pub fn evaluation(
    execution: &SequenceExecution,
    status: &SequenceExecutionStatus,
    index: usize,
    name: &str,
    window: Window,
) -> Option<Evaluation> {
    let spec = &execution.spec;
    let gate = status.plan.as_ref()?.gate.clone().unwrap_or_default();
    let payload = payload_of(execution, status, index);
    let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
    let deployment = payload
        .get("deployment")
        .and_then(|d| d.get("deploymentNames"))
        .and_then(|names| text(names.get(0)))
        .or_else(|| spec.labels.get("deployment").cloned());
    let grace = payload
        .get(EVALUATION)
        .and_then(|e| text(e.get("grace")))
        .and_then(|g| g.parse().ok());
    Some(evaluation::new_evaluation(evaluation::Request {
        namespace: execution.metadata.namespace.as_deref().unwrap_or_default(),
        name,
        project: &spec.project,
        stage: &spec.stage,
        service: &spec.service,
        execution: Some(SourceRef {
            kind: "SequenceExecution".to_owned(),
            name: execution.metadata.name.clone().unwrap_or_default(),
            uid: execution.metadata.uid.clone(),
        }),
        sequence: Some(&spec.sequence),
        attempt: status.attempts.last().map(|a| a.number),
        window,
        gate: &gate,
        labels: &spec.labels,
        deployment: deployment.as_deref(),
        grace,
    }))
}

/// What a verdict means for the task that waited for it.
pub fn outcome(found: &Evaluation, verdict: &EvaluationStatus) -> Outcome {
    let result = verdict.result.as_deref().unwrap_or("fail");
    let data = json!({ EVALUATION: {
        "result": result,
        "score": verdict.score,
        "timeStart": found.spec.window.as_ref().map(|w| &w.start),
        "timeEnd": found.spec.window.as_ref().map(|w| &w.end),
        "name": found.metadata.name,
    }});
    Outcome {
        verdict: match result {
            "pass" => Verdict::Pass,
            "warning" => Verdict::Warning,
            _ => Verdict::Fail,
        },
        reason: verdict.reason.clone(),
        message: verdict.message.clone(),
        data: data.as_object().cloned().unwrap_or_default(),
        ..Outcome::default()
    }
}

/// Until when a verdict on this window is waited for.
pub fn patience(window: &Window) -> Timestamp {
    let end = window.end.0;
    end.checked_add(defaults::VERDICT.signed())
        .unwrap_or(Timestamp::MAX)
}

/// How long to wait after try `try_` (from 1) could not measure: it doubles, up to a limit.
pub fn pause(try_: i32) -> Duration {
    let doubled = 2_u64.saturating_pow(u32::try_from(try_ - 1).unwrap_or(0).min(10));
    let seconds = defaults::INCONCLUSIVE_STEP.0.as_secs().saturating_mul(doubled);
    Duration::from_secs(seconds).min(defaults::INCONCLUSIVE_STEP_MAX)
}

fn task_spec(status: &SequenceExecutionStatus, index: usize) -> Task {
    let sequence = status.plan.as_ref().and_then(|p| p.sequence.as_ref());
    let task = sequence.and_then(|s| s.tasks.get(index));
    task.cloned().unwrap_or_default()
}

/// The payload as the task sees it.
fn payload_of(execution: &SequenceExecution, status: &SequenceExecutionStatus, index: usize) -> Object {
    payload::task_payload(execution, status.payload.as_ref(), &task_spec(status, index))
}
