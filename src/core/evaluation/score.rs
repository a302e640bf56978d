//! From measured values to a verdict: Keptn v1's scoring.

use std::collections::BTreeMap;

use super::{
    message,
    objective::{AllOf, Comparison, Gate, Include, Objective, OnMissing},
};
use crate::api::evaluation::{IndicatorResult, Target};

/// How a gate, or a task, came out.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Outcome {
    /// Not good enough.
    Fail,
    /// Good enough, but somebody should look.
    Warning,
    /// Good.
    Pass,
}

impl Outcome {
    /// As statuses say it: `pass`, `warning`, `fail`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Fail => "fail",
            Self::Warning => "warning",
            Self::Pass => "pass",
        }
    }

    /// Reads `pass`, `warning` or `fail`.
    pub fn read(text: &str) -> Option<Self> {
        [Self::Fail, Self::Warning, Self::Pass]
            .into_iter()
            .find(|o| o.as_str() == text)
    }
}

/// What measuring one indicator came to.
#[derive(Clone, Debug, PartialEq)]
pub enum Measured {
    /// One finite number.
    Value(f64),
    /// There was an answer, or no way to ask, but no number; why.
    Missing(String),
}

/// An earlier verdict.
#[derive(Clone, Debug, PartialEq)]
pub struct Past {
    /// The Evaluation's name.
    pub name: String,
    /// How it came out.
    pub result: Outcome,
    /// The sequence of the run that asked for it.
    pub sequence: Option<String>,
    /// What was measured then.
    pub values: BTreeMap<String, f64>,
}

/// No verdict: indicators without which nothing is to be concluded have no value. Each with the reason.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Unmeasured(pub Vec<(String, String)>);

/// How the gate came out.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// pass, warning or fail.
    pub result: Outcome,
    /// 0 to 100; absent when nothing was asked for.
    pub score: Option<f64>,
    /// Why, in a word.
    pub reason: &'static str,
    /// One line for people: `fail: 62.5 of 100; response_time_p95 412 > 400`.
    pub message: String,
    /// Every objective, in the order in which they were written.
    pub indicators: Vec<IndicatorResult>,
    /// The earlier Evaluations that were compared with, newest first.
    pub compared_with: Vec<String>,
    /// Whether a relative criterion held only because there was nothing to compare with.
    pub no_baseline: bool,
}

/// The verdict where no ServiceLevelObjective applies. Keptn v1 passed with score 0; that reads as if it had looked.
pub fn unverified() -> Verdict {
    Verdict {
        result: Outcome::Warning,
        score: None,
        reason: "Unverified",
        message: "warning: nothing was verified, because no ServiceLevelObjective applies; \
                  create one for this project, stage or service"
            .to_owned(),
        indicators: Vec::new(),
        compared_with: Vec::new(),
        no_baseline: false,
    }
}

/// Judges what was measured. `history` is newest first; indicators that are not in `values` count as missing.
pub fn judge(
    gate: &Gate,
    values: &BTreeMap<String, Measured>,
    history: &[Past],
) -> Result<Verdict, Unmeasured> {
    let open = unmeasured(gate, values);
    if !open.is_empty() {
        return Err(Unmeasured(open));
    }
    if gate.objectives.is_empty() {
        return Ok(Verdict {
            result: Outcome::Fail,
            score: Some(0.0),
            reason: "NoObjectives",
            message:
                "fail: 0 of 100; the ServiceLevelObjective has no objectives; add one under spec.objectives"
                    .to_owned(),
            ..unverified()
        });
    }
    let earlier = if gate.is_relative() {
        select(&gate.comparison, history)
    } else {
        Vec::new()
    };
    let judged: Vec<Judged> = gate
        .objectives
        .iter()
        .map(|objective| {
            let previous: Vec<f64> = earlier
                .iter()
                .filter_map(|past| past.values.get(&objective.sli).copied())
                .collect();
            let baseline = gate.comparison.aggregate.of(&previous);
            judge_one(objective, values.get(&objective.sli), baseline)
        })
        .collect();
    Ok(total(gate, judged, earlier))
}

/// The indicators without a value whose objective says that nothing is to be concluded then.
pub fn unmeasured(gate: &Gate, values: &BTreeMap<String, Measured>) -> Vec<(String, String)> {
    let strict = gate
        .objectives
        .iter()
        .filter(|o| o.missing == OnMissing::Inconclusive);
    strict
        .filter_map(|o| match values.get(&o.sli) {
            Some(Measured::Value(_)) => None,
            Some(Measured::Missing(why)) => Some((o.sli.clone(), why.clone())),
            None => Some((o.sli.clone(), NOTHING.to_owned())),
        })
        .collect()
}

fn select<'a>(comparison: &Comparison, history: &'a [Past]) -> Vec<&'a Past> {
    let of_sequence = |past: &Past| {
        let named = |sequence: &String| comparison.sequences.contains(sequence);
        comparison.sequences.is_empty() || past.sequence.as_ref().is_some_and(named)
    };
    let wanted = |past: &&Past| match comparison.include {
        Include::Pass => past.result == Outcome::Pass,
        Include::PassOrWarn => past.result >= Outcome::Warning,
        Include::All => true,
    };
    let fitting = history.iter().filter(|past| of_sequence(past)).filter(wanted);
    fitting.take(comparison.results).collect()
}

/// Why there is no value, when nobody says why.
const NOTHING: &str = "no value received";

struct Judged {
    indicator: IndicatorResult,
    weight: f64,
    counts: bool,
    key_failed: bool,
    no_baseline: bool,
}

fn judge_one(objective: &Objective, measured: Option<&Measured>, baseline: Option<f64>) -> Judged {
    let (value, why) = match measured {
        Some(Measured::Value(value)) => (Some(*value), ""),
        Some(Measured::Missing(why)) => (None, why.as_str()),
        None => (None, NOTHING),
    };
    let (passes, pass_targets) = check(&objective.pass, value, baseline);
    let (warns, warning_targets) = check(&objective.warning, value, baseline);
    let weight = weight(objective);
    let ignored = value.is_none() && objective.missing == OnMissing::Ignore;
    let counts = !objective.pass.is_empty() && !ignored;
    let warns = warns || (value.is_none() && objective.missing == OnMissing::Warn);
    let (status, score) = if !counts {
        ("info", 0.0)
    } else if passes {
        ("pass", weight)
    } else if warns {
        ("warning", weight / 2.0)
    } else {
        ("fail", 0.0)
    };
    Judged {
        weight,
        counts,
        key_failed: objective.key_sli && status == "fail",
        no_baseline: counts && value.is_some() && baseline.is_none() && objective.is_relative(),
        indicator: IndicatorResult {
            name: objective.sli.clone(),
            display_name: objective.display_name.clone(),
            value,
            compared_value: baseline.filter(|_| objective.is_relative()),
            status: status.to_owned(),
            score,
            weight: objective.weight,
            key_sli: objective.key_sli,
            pass_targets,
            warning_targets,
            message: why.to_owned(),
            warnings: Vec::new(),
        },
    }
}

#[expect(clippy::cast_precision_loss, reason = "weights are at most a million")]
fn weight(objective: &Objective) -> f64 {
    objective.weight as f64
}

/// Whether any of the sets holds, and what every criterion came to.
fn check(sets: &[AllOf], value: Option<f64>, baseline: Option<f64>) -> (bool, Vec<Target>) {
    let mut targets = Vec::new();
    let mut any = false;
    for set in sets {
        let mut all = true;
        for written in &set.0 {
            let criterion = written.criterion;
            let (target_value, holds) = match (value, baseline) {
                (Some(_), None) if criterion.is_relative() => (0.0, true),
                // Nothing was measured: show what a relative criterion would have started from.
                (None, _) if criterion.is_relative() => (baseline.unwrap_or(0.0), false),
                _ => {
                    let target = criterion.target(baseline.unwrap_or(0.0));
                    (
                        target,
                        value.is_some_and(|value| criterion.operator.holds(value, target)),
                    )
                }
            };
            all &= holds;
            targets.push(Target {
                criteria: written.text.clone(),
                target_value,
                violated: !holds,
            });
        }
        any |= all;
    }
    (any, targets)
}

fn total(gate: &Gate, judged: Vec<Judged>, earlier: Vec<&Past>) -> Verdict {
    let max: f64 = judged.iter().filter(|j| j.counts).map(|j| j.weight).sum();
    let reached: f64 = judged.iter().map(|j| j.indicator.score).sum();
    let only_ignored = max <= 0.0 && gate.objectives.iter().any(|o| !o.pass.is_empty());
    let key_failed = judged.iter().any(|j| j.key_failed);
    let no_baseline = judged.iter().any(|j| j.no_baseline);
    let indicators: Vec<IndicatorResult> = judged.into_iter().map(|j| j.indicator).collect();
    if only_ignored {
        // 100 of nothing would read as if something had been looked at.
        return Verdict {
            message: message::ignored(&indicators),
            indicators,
            ..unverified()
        };
    }
    let (result, score) = grade(gate, reached, max, key_failed);
    Verdict {
        result,
        score: Some(score),
        reason: match result {
            Outcome::Pass => "Passed",
            Outcome::Warning => "Warned",
            Outcome::Fail if key_failed => "KeyIndicatorFailed",
            Outcome::Fail => "ScoreTooLow",
        },
        message: message::verdict(result, score, &indicators, no_baseline),
        indicators,
        compared_with: earlier.into_iter().map(|past| past.name.clone()).collect(),
        no_baseline,
    }
}

/// The result and score of `reached` out of `max`.
fn grade(gate: &Gate, reached: f64, max: f64, key_failed: bool) -> (Outcome, f64) {
    let score = if max > 0.0 { 100.0 * reached / max } else { 100.0 };
    let result = if key_failed {
        Outcome::Fail
    } else if max <= 0.0 || score >= gate.pass {
        Outcome::Pass
    } else if gate.warning.is_some_and(|warning| score >= warning) {
        Outcome::Warning
    } else {
        Outcome::Fail
    };
    (result, score)
}

#[cfg(test)]
#[path = "score_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "score_laws_tests.rs"]
mod laws;
