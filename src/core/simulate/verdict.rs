//! What an Evaluation comes to, by its answer.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::answers::{Answer, Says};
use crate::{
    api::{Evaluation, EvaluationStatus, Timestamp as ApiTime},
    core::{
        Invalid,
        definitions::nearest::hint,
        evaluation::{self, Asking, Finding, Measured},
    },
};

/// The status that the answer gives an Evaluation; `earlier` are what relative criteria compare with. Indicators are
/// really scored.
pub(super) fn status(
    evaluation: &Evaluation,
    answer: &Answer,
    path: &str,
    earlier: &[Evaluation],
    now: Timestamp,
) -> Result<EvaluationStatus, Invalid> {
    let (phase, result, score) = match &answer.says {
        Says::Indicators(values) => return score(evaluation, values, path, earlier, now),
        Says::Pass => ("Succeeded", Some("pass"), Some(100.0)),
        Says::Warning => ("Succeeded", Some("warning"), Some(75.0)),
        Says::Inconclusive => ("Inconclusive", None, None),
        Says::Fail | Says::Errored => ("Failed", Some("fail"), Some(0.0)),
    };
    let score = score_of(answer, score);
    let said = match (result, score) {
        (Some(result), Some(score)) => format!("{result}: {score} of 100"),
        _ => "inconclusive: it could not be measured".to_owned(),
    };
    Ok(EvaluationStatus {
        phase: phase.to_owned(),
        done: true,
        result: result.map(str::to_owned),
        score,
        reason: if result.is_none() {
            "ProviderUnavailable".to_owned()
        } else {
            String::new()
        },
        message: if answer.message.is_empty() {
            said
        } else {
            answer.message.clone()
        },
        started_at: Some(ApiTime(now)),
        finished_at: Some(ApiTime(now)),
        ..EvaluationStatus::default()
    })
}

fn score_of(answer: &Answer, otherwise: Option<f64>) -> Option<f64> {
    otherwise.map(|score| answer.score.unwrap_or(score))
}

fn score(
    evaluation: &Evaluation,
    values: &BTreeMap<String, Option<f64>>,
    path: &str,
    earlier: &[Evaluation],
    now: Timestamp,
) -> Result<EvaluationStatus, Invalid> {
    let Some(objective) = &evaluation.spec.objective else {
        let spec = &evaluation.spec;
        let message = format!(
            "can't be scored: no ServiceLevelObjective applies to {}/{}/{}; add one to the files, or answer pass, warning or fail",
            spec.project, spec.stage, spec.service
        );
        return Err(Invalid::new(path, message));
    };
    let known = objective.objectives.iter().map(|o| o.sli.as_str());
    if let Some(unknown) = values.keys().find(|name| !known.clone().any(|k| k == *name)) {
        let message = format!(
            "ServiceLevelObjective {} has no indicator of this name{}",
            evaluation.spec.objective_name.as_deref().unwrap_or_default(),
            hint(unknown, known)
        );
        return Err(Invalid::new(format!("{path}.indicators.{unknown}"), message));
    }
    let finding = match evaluation::ask(evaluation) {
        Asking::Nothing(finding) => finding,
        Asking::Queries { gate, .. } => {
            let measured = known.map(|name| {
                let value = match values.get(name) {
                    Some(Some(value)) => Measured::Value(*value),
                    Some(None) => Measured::Missing("the answer says that there is no value".to_owned()),
                    None => Measured::Missing("the answer names no value".to_owned()),
                };
                (name.to_owned(), value)
            });
            Finding::Measured {
                values: measured.collect(),
                warnings: BTreeMap::new(),
                gate,
            }
        }
    };
    let history = evaluation::history(evaluation, earlier);
    Ok(evaluation::decide(evaluation, &finding, &history, now, now))
}
