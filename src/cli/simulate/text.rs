//! A simulation, for people.

use std::fmt::Write as _;

use crate::core::simulate::{Report, Step};

/// Every step, and how each run ended.
pub(super) fn render(report: &Report) -> String {
    let mut out = String::new();
    let place = |s: &Step| match (s.attempt, s.task.as_str()) {
        (0, _) => s.execution.clone(),
        (attempt, "") => format!("{} attempt {attempt}", s.execution),
        (attempt, task) => format!("{} attempt {attempt} {task}", s.execution),
    };
    let widest = report
        .steps
        .iter()
        .map(|s| place(s).chars().count())
        .max()
        .unwrap_or(0);
    for step in &report.steps {
        let _ = writeln!(out, "{:.0}  {:<widest$}  {}", step.at, place(step), step.text);
        for detail in &step.details {
            let _ = writeln!(out, "{:20}  {:<widest$}    {detail}", "", "");
        }
    }
    out.push('\n');
    for run in &report.executions {
        let attempts = if run.attempts == 1 {
            "1 attempt".to_owned()
        } else {
            format!("{} attempts", run.attempts)
        };
        let result = run
            .result
            .as_deref()
            .map_or_else(String::new, |r| format!(", {r}"));
        let _ = writeln!(
            out,
            "{}.{} of {}: {}{result}, {attempts}: {}",
            run.stage, run.sequence, run.service, run.phase, run.message
        );
    }
    if let Some(stopped) = &report.stopped {
        let _ = writeln!(out, "{stopped}");
    }
    for unused in &report.unused {
        let _ = writeln!(out, "{unused}");
    }
    out
}
