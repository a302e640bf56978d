//! What a table says of each kind.

use jiff::Timestamp;

use crate::{
    api::{Approval, Delivery, Evaluation, ProblemEvent, SequenceExecution},
    cli::{
        cluster::Object,
        paint::{Cell, DIM, Head, PLAIN, between, cell, number, phase_colour, result_colour},
    },
};

/// A kind that is listed.
pub trait Row: Object {
    /// The columns between the name and the age.
    const HEADS: &'static [Head];
    /// Whether the API server selects by project, stage and service.
    const SELECTABLE_PLACE: bool = false;
    /// Project, stage and service.
    fn place(&self) -> (&str, &str, &str);
    /// The phase; empty when the operator has not looked at it yet.
    fn phase(&self) -> &str;
    /// Whether it has ended.
    fn ended(&self) -> bool;
    /// One line for people.
    fn message(&self) -> &str;
    /// The cells under [`Row::HEADS`].
    fn cells(&self, now: Timestamp) -> Vec<Cell>;
}

fn phase(phase: &str) -> Cell {
    if phase.is_empty() {
        cell(DIM, "Pending")
    } else {
        cell(phase_colour(phase), phase)
    }
}

fn result(result: Option<&str>) -> Cell {
    let result = result.unwrap_or_default();
    cell(result_colour(result), result)
}

fn score(score: Option<f64>) -> Cell {
    cell(PLAIN, score.map(number).unwrap_or_default())
}

fn plain(text: &str) -> Cell {
    cell(PLAIN, text)
}

/// Place, phase and end of a kind that has fields for them; a trait can't reach into fields.
macro_rules! in_its_fields {
    () => {
        fn place(&self) -> (&str, &str, &str) {
            (&self.spec.project, &self.spec.stage, &self.spec.service)
        }
        fn phase(&self) -> &str {
            self.status.as_ref().map_or("", |s| &s.phase)
        }
        fn ended(&self) -> bool {
            self.status.as_ref().is_some_and(|s| s.done)
        }
    };
}

impl Row for SequenceExecution {
    const HEADS: &'static [Head] = &[
        ("PROJECT", false),
        ("STAGE", false),
        ("SERVICE", false),
        ("SEQUENCE", false),
        ("PHASE", false),
        ("TASK", false),
        ("ATTEMPT", true),
        ("RESULT", false),
        ("SCORE", true),
        ("WAITS FOR", false),
    ];
    const SELECTABLE_PLACE: bool = true;

    in_its_fields!();

    fn message(&self) -> &str {
        self.status.as_ref().map_or("", |s| &s.message)
    }
    fn cells(&self, _: Timestamp) -> Vec<Cell> {
        let status = self.status.clone().unwrap_or_default();
        let spec = &self.spec;
        vec![
            plain(&spec.project),
            plain(&spec.stage),
            plain(&spec.service),
            plain(&spec.sequence),
            phase(&status.phase),
            plain(&status.task),
            plain(&status.attempt.map(|n| n.to_string()).unwrap_or_default()),
            result(status.result.as_deref()),
            score(status.score),
            plain(&status.waits_for),
        ]
    }
}

impl Row for ProblemEvent {
    const HEADS: &'static [Head] = &[
        ("PROJECT", false),
        ("STAGE", false),
        ("SERVICE", false),
        ("PROBLEM", false),
        ("PHASE", false),
        ("RUNS", true),
        ("RUN", false),
    ];

    in_its_fields!();

    fn message(&self) -> &str {
        self.status.as_ref().map_or("", |s| &s.message)
    }
    fn cells(&self, _: Timestamp) -> Vec<Cell> {
        let status = self.status.clone().unwrap_or_default();
        let spec = &self.spec;
        vec![
            plain(&spec.project),
            plain(&spec.stage),
            plain(&spec.service),
            plain(&spec.problem.problem_title),
            phase(&status.phase),
            plain(&status.runs.to_string()),
            plain(
                status
                    .execution
                    .as_deref()
                    .or(status.joined.as_deref())
                    .unwrap_or_default(),
            ),
        ]
    }
}

impl Row for Approval {
    const HEADS: &'static [Head] = &[
        ("PROJECT", false),
        ("STAGE", false),
        ("SERVICE", false),
        ("IMAGE", false),
        ("RESULT", false),
        ("SCORE", true),
        ("PHASE", false),
        ("BY", false),
        ("EXPIRES IN", false),
    ];

    in_its_fields!();

    fn message(&self) -> &str {
        &self.spec.question
    }
    fn cells(&self, now: Timestamp) -> Vec<Cell> {
        let status = self.status.clone().unwrap_or_default();
        let spec = &self.spec;
        let expires = if status.done {
            String::new()
        } else {
            between(now, spec.expires_at.0)
        };
        vec![
            plain(&spec.project),
            plain(&spec.stage),
            plain(&spec.service),
            plain(spec.image.as_deref().unwrap_or_default()),
            result(spec.result.as_deref()),
            score(spec.score),
            phase(&status.phase),
            plain(status.decided_by.as_deref().unwrap_or_default()),
            plain(&expires),
        ]
    }
}

impl Row for Evaluation {
    const HEADS: &'static [Head] = &[
        ("PROJECT", false),
        ("STAGE", false),
        ("SERVICE", false),
        ("PHASE", false),
        ("RESULT", false),
        ("SCORE", true),
        ("RUN", false),
    ];

    in_its_fields!();

    fn message(&self) -> &str {
        self.status.as_ref().map_or("", |s| &s.message)
    }
    fn cells(&self, _: Timestamp) -> Vec<Cell> {
        let status = self.status.clone().unwrap_or_default();
        let spec = &self.spec;
        vec![
            plain(&spec.project),
            plain(&spec.stage),
            plain(&spec.service),
            phase(&status.phase),
            result(status.result.as_deref()),
            score(status.score),
            plain(
                spec.execution
                    .as_ref()
                    .map(|run| run.name.as_str())
                    .unwrap_or_default(),
            ),
        ]
    }
}

impl Row for Delivery {
    const HEADS: &'static [Head] = &[
        ("PROJECT", false),
        ("SERVICE", false),
        ("IMAGE", false),
        ("PHASE", false),
        ("STAGE", false),
        ("RUN", false),
    ];

    fn place(&self) -> (&str, &str, &str) {
        let stage = self.status.as_ref().map_or("", |s| &s.stage);
        (&self.spec.project, stage, &self.spec.service)
    }
    fn phase(&self) -> &str {
        self.status.as_ref().map_or("", |s| &s.phase)
    }
    fn ended(&self) -> bool {
        matches!(self.phase(), "Delivered" | "Failed" | "Aborted")
    }
    fn message(&self) -> &str {
        self.status.as_ref().map_or("", |s| &s.message)
    }
    fn cells(&self, _: Timestamp) -> Vec<Cell> {
        let status = self.status.clone().unwrap_or_default();
        vec![
            plain(&self.spec.project),
            plain(&self.spec.service),
            plain(self.spec.image.as_deref().unwrap_or_default()),
            phase(&status.phase),
            plain(&status.stage),
            plain(status.execution.as_deref().unwrap_or_default()),
        ]
    }
}
