//! A verdict, ready to be printed in any form.

use anyhow::Context as _;
use serde::Serialize;

use crate::api::{
    Evaluation, EvaluationStatus,
    evaluation::{IndicatorResult, Target, Window},
    slo::{CriteriaSet, Objective},
};
use crate::core::evaluation::number;

/// A verdict, and what it is about.
#[derive(Clone, Debug)]
pub struct Report {
    /// `shop/production/web`; empty when nothing says it.
    pub place: String,
    /// What was measured; nothing where the values came from a file.
    pub window: Option<Window>,
    /// The objectives as they were written.
    pub objectives: Vec<Objective>,
    /// The verdict.
    pub status: EvaluationStatus,
}

impl Report {
    /// Of an Evaluation that has this status.
    pub fn new(evaluation: &Evaluation, status: EvaluationStatus) -> Self {
        let spec = &evaluation.spec;
        let named = [&spec.project, &spec.stage, &spec.service];
        let place: Vec<&str> = named
            .into_iter()
            .map(String::as_str)
            .filter(|n| !n.is_empty())
            .collect();
        Self {
            place: place.join("/"),
            window: spec.window.clone(),
            objectives: spec
                .objective
                .as_ref()
                .map(|o| o.objectives.clone())
                .unwrap_or_default(),
            status,
        }
    }

    /// Of an Evaluation that has ended.
    pub fn of(evaluation: &Evaluation) -> Self {
        Self::new(evaluation, evaluation.status.clone().unwrap_or_default())
    }

    /// The document for programs.
    pub fn json(&self) -> anyhow::Result<String> {
        let status = &self.status;
        let document = Document {
            result: status.result.as_deref(),
            score: status.score,
            indicators: status.indicators.iter().map(indicator).collect(),
            message: &status.message,
        };
        let text = serde_json::to_string_pretty(&document).context("writing the verdict as JSON")?;
        Ok(format!("{text}\n"))
    }

    /// A line for each objective.
    pub(super) fn rows(&self) -> Vec<Row> {
        self.status.indicators.iter().map(|i| self.row(i)).collect()
    }

    fn row(&self, indicator: &IndicatorResult) -> Row {
        let written = self.objectives.iter().find(|o| o.sli == indicator.name);
        let sets = |sets: Option<&Vec<CriteriaSet>>, targets: &[Target]| {
            let lengths: Vec<usize> = sets.map_or_else(
                || vec![targets.len()],
                |s| s.iter().map(|set| set.criteria.len()).collect(),
            );
            either(&lengths, targets, indicator.compared_value.is_some())
        };
        let counts = indicator.status != "info";
        Row {
            status: indicator.status.clone(),
            name: indicator
                .display_name
                .clone()
                .unwrap_or_else(|| indicator.name.clone()),
            sli: indicator.name.clone(),
            key: indicator.key_sli,
            value: indicator.value.map_or_else(|| "-".to_owned(), number),
            before: indicator.compared_value.map_or_else(String::new, number),
            pass: sets(written.and_then(|o| o.pass.as_ref()), &indicator.pass_targets),
            warning: sets(
                written.and_then(|o| o.warning.as_ref()),
                &indicator.warning_targets,
            ),
            score: if counts {
                format!("{}/{}", number(indicator.score), indicator.weight)
            } else {
                String::new()
            },
            note: indicator.message.clone(),
        }
    }
}

/// One objective, in words.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub status: String,
    pub name: String,
    pub sli: String,
    pub key: bool,
    pub value: String,
    pub before: String,
    pub pass: Vec<Vec<Shown>>,
    pub warning: Vec<Vec<Shown>>,
    pub score: String,
    pub note: String,
}

/// One criterion, as it is shown.
#[derive(Clone, Debug)]
pub(super) struct Shown {
    pub text: String,
    pub violated: bool,
}

/// The targets of a status, which lie in a row there, by the sets that they were written in.
fn either(lengths: &[usize], targets: &[Target], compared: bool) -> Vec<Vec<Shown>> {
    let mut rest = targets.iter();
    lengths
        .iter()
        .map(|length| {
            rest.by_ref()
                .take(*length)
                .map(|target| shown(target, compared))
                .collect::<Vec<_>>()
        })
        .filter(|set| !set.is_empty())
        .collect()
}

fn shown(target: &Target, compared: bool) -> Shown {
    let written = target.criteria.replace(' ', "");
    let relative = written.contains(['+', '-', '%']) && !written.contains('(');
    let text = match (relative, compared) {
        (true, true) => format!("{written} ({})", number(target.target_value)),
        (true, false) => format!("{written} (no baseline)"),
        (false, _) => written,
    };
    Shown {
        text,
        violated: target.violated,
    }
}

/// `<=15 and <10 or <=+10% (11)`.
pub(super) fn sentence(sets: &[Vec<Shown>]) -> String {
    let all = |set: &Vec<Shown>| {
        set.iter()
            .map(|s| s.text.as_str())
            .collect::<Vec<_>>()
            .join(" and ")
    };
    sets.iter().map(all).collect::<Vec<_>>().join(" or ")
}

fn indicator(result: &IndicatorResult) -> Indicator<'_> {
    Indicator {
        name: &result.name,
        value: result.value,
        compared_value: result.compared_value,
        status: &result.status,
        score: result.score,
        weight: result.weight,
        key_sli: result.key_sli,
        pass_targets: &result.pass_targets,
        warning_targets: &result.warning_targets,
    }
}

#[derive(Serialize)]
struct Document<'a> {
    result: Option<&'a str>,
    score: Option<f64>,
    indicators: Vec<Indicator<'a>>,
    message: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Indicator<'a> {
    name: &'a str,
    value: Option<f64>,
    compared_value: Option<f64>,
    status: &'a str,
    score: f64,
    weight: i64,
    key_sli: bool,
    pass_targets: &'a [Target],
    warning_targets: &'a [Target],
}
