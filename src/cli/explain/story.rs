//! What happened so far, a line each.

use jiff::Timestamp;

use crate::{
    api::{SequenceExecution, execution::AttemptStatus},
    cli::paint::{between, number},
};

/// How many attempts before the newest are told.
const TOLD: usize = 4;

/// What started the run, its earlier attempts, and the tasks of the newest.
pub(super) fn so_far(run: &SequenceExecution, now: Timestamp) -> Vec<String> {
    let mut lines = Vec::new();
    lines.extend(began(run, now));
    let status = run.status.clone().unwrap_or_default();
    let attempts = &status.attempts;
    let earlier = attempts.len().saturating_sub(1);
    let hidden = status.earlier_attempts.len() + earlier.saturating_sub(TOLD);
    if hidden > 0 {
        lines.push(format!("{hidden} earlier attempts"));
    }
    lines.extend(
        attempts[..earlier]
            .iter()
            .skip(earlier.saturating_sub(TOLD))
            .map(attempt_line),
    );
    if let Some(newest) = attempts.last() {
        lines.extend(tasks(newest, attempts.len() > 1 || newest.number > 1));
    }
    lines.extend(
        status
            .definition_changed
            .iter()
            .map(|changed| format!("edited since: {changed}")),
    );
    lines
}

fn began(run: &SequenceExecution, now: Timestamp) -> Option<String> {
    let created = run.metadata.creation_timestamp.as_ref()?;
    let ago = between(created.0, now);
    let by = match (&run.spec.retry_of, &run.spec.triggered_by) {
        (Some(of), _) => format!("repeats run {}", of.name),
        (None, Some(by)) if by.kind == "SequenceExecution" => format!("follows run {}", by.name),
        (None, Some(by)) => format!("started by {} {}", by.kind, by.name),
        (None, None) => "started by hand".to_owned(),
    };
    let who = run
        .spec
        .requested_by
        .as_ref()
        .map(|who| format!(", asked for by {who}"));
    Some(format!("{by} {ago} ago{}", who.unwrap_or_default()))
}

fn attempt_line(attempt: &AttemptStatus) -> String {
    let action = attempt
        .action
        .as_ref()
        .map(|a| format!(": {a}"))
        .unwrap_or_default();
    let result = attempt.result.as_deref().unwrap_or("no result");
    let score = attempt
        .score
        .map(|s| format!(", score {}", number(s)))
        .unwrap_or_default();
    let failed = attempt.tasks.iter().find(|t| {
        t.state == "Lost" || t.result.as_deref() == Some("fail") || t.status.as_deref() == Some("errored")
    });
    let why = failed
        .map(|t| format!(" ({}: {})", t.name, t.message))
        .unwrap_or_default();
    format!("attempt {}{action}: {result}{score}{why}", attempt.number)
}

fn tasks(attempt: &AttemptStatus, numbered: bool) -> Vec<String> {
    let mut lines = Vec::new();
    if numbered {
        let action = attempt
            .action
            .as_ref()
            .map(|a| format!(": {a}"))
            .unwrap_or_default();
        lines.push(format!("attempt {}{action}", attempt.number));
    }
    let indent = if numbered { "  " } else { "" };
    let widest = attempt
        .tasks
        .iter()
        .map(|t| t.name.chars().count())
        .max()
        .unwrap_or(0);
    for task in attempt.tasks.iter().filter(|t| t.state != "Pending") {
        let how = match (task.state.as_str(), task.result.as_deref()) {
            ("Done", Some(result)) => result,
            (state, _) => state,
        };
        let took = match (&task.started_at, &task.finished_at) {
            (Some(from), Some(to)) => between(from.0, to.0),
            _ => String::new(),
        };
        lines.push(format!(
            "{indent}{:<widest$}  {how:<8}  {took:>6}  {}",
            task.name, task.message
        ));
    }
    lines
}
