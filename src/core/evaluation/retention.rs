//! Earlier Evaluations: which are compared with, and which are kept.

use std::cmp::Reverse;

use jiff::Timestamp;
use kube::ResourceExt;

use super::score::{Outcome, Past};
use crate::api::Evaluation;

/// So many are kept, whatever came of them.
const KEPT: usize = 20;
/// So many that passed are kept beyond those.
const KEPT_PASSED: usize = 10;

/// What `evaluation` may be compared with: the older ones of `siblings` that have a result, newest first.
pub fn history(evaluation: &Evaluation, siblings: &[Evaluation]) -> Vec<Past> {
    let own = age(evaluation);
    let mut older: Vec<&Evaluation> = siblings
        .iter()
        .filter(|e| is_other(e, evaluation) && age(e).0 <= own.0 && !of_same_attempt(e, evaluation))
        .filter(|e| e.spec.invalidated.is_none())
        .collect();
    older.sort_by_key(|e| Reverse(age(e)));
    older.into_iter().filter_map(past).collect()
}

/// The ended Evaluations that may be deleted, out of all that belong to one gate, as (name, uid).
pub fn surplus(siblings: &[Evaluation]) -> Vec<(String, String)> {
    let mut ended: Vec<&Evaluation> = siblings
        .iter()
        .filter(|e| e.status.as_ref().is_some_and(|s| s.done))
        .collect();
    ended.sort_by_key(|e| Reverse(age(e)));
    let mut passed = 0;
    ended
        .into_iter()
        .skip(KEPT)
        .filter(|e| {
            passed += usize::from(outcome(e) == Some(Outcome::Pass));
            outcome(e) != Some(Outcome::Pass) || passed > KEPT_PASSED
        })
        .map(|e| (e.name_any(), e.uid().unwrap_or_default()))
        .collect()
}

fn is_other(one: &Evaluation, other: &Evaluation) -> bool {
    one.metadata.name != other.metadata.name || one.metadata.uid != other.metadata.uid
}

/// A gate that must hold is evaluated again and again: what it measured a minute ago is no baseline, or a slow drift
/// would never be seen.
fn of_same_attempt(one: &Evaluation, other: &Evaluation) -> bool {
    let by = |e: &Evaluation| Some((e.spec.execution.as_ref()?.uid.clone()?, e.spec.attempt?));
    by(one).is_some_and(|by_one| by(other) == Some(by_one))
}

/// Creation times have whole seconds; the name decides between equal ones, so that the order is always the same.
fn age(evaluation: &Evaluation) -> (Option<Timestamp>, &str) {
    let created = evaluation.metadata.creation_timestamp.as_ref().map(|t| t.0);
    (created, evaluation.metadata.name.as_deref().unwrap_or_default())
}

fn outcome(evaluation: &Evaluation) -> Option<Outcome> {
    let status = evaluation.status.as_ref().filter(|s| s.done)?;
    Outcome::read(status.result.as_deref()?)
}

fn past(evaluation: &Evaluation) -> Option<Past> {
    let result = outcome(evaluation)?;
    let indicators = &evaluation.status.as_ref()?.indicators;
    let values = indicators
        .iter()
        .filter_map(|i| Some((i.name.clone(), i.value?)))
        .collect();
    Some(Past {
        name: evaluation.name_any(),
        result,
        values,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{EvaluationStatus, common::Time, evaluation::IndicatorResult};
    use crate::core::evaluation::testing::evaluation;

    /// One that was created `minute` minutes into the day, with this result; an empty one has not ended.
    fn made(minute: i64, result: &str) -> Evaluation {
        let mut evaluation = evaluation(None);
        evaluation.metadata.name = Some(format!("e{minute}"));
        evaluation.metadata.uid = Some(format!("u{minute}"));
        let created = Timestamp::from_second(minute * 60).unwrap();
        evaluation.metadata.creation_timestamp = Some(Time(created));
        evaluation.status = Some(EvaluationStatus {
            done: !result.is_empty(),
            result: Some(result.to_owned()).filter(|r| !r.is_empty() && r != "none"),
            indicators: vec![IndicatorResult {
                name: "rt".to_owned(),
                value: Some(f64::from(i32::try_from(minute).unwrap())),
                ..IndicatorResult::default()
            }],
            ..EvaluationStatus::default()
        });
        evaluation
    }

    fn names(surplus: &[(String, String)]) -> Vec<&str> {
        surplus.iter().map(|(name, _)| name.as_str()).collect()
    }

    #[test]
    fn history_is_what_is_older_and_has_a_result_newest_first() {
        let own = made(5, "");
        let siblings = [
            made(1, "pass"),
            made(3, "fail"),
            made(4, "none"),
            made(2, ""),
            own.clone(),
            made(6, "pass"),
        ];
        let past = history(&own, &siblings);
        let names: Vec<&str> = past.iter().map(|p| p.name.as_str()).collect();
        assert_eq!(names, ["e3", "e1"]);
        assert!((past[0].values["rt"] - 3.0).abs() < f64::EPSILON);
    }

    #[test]
    fn twenty_are_kept() {
        let siblings: Vec<Evaluation> = (0..20).map(|m| made(m, "fail")).collect();
        assert!(surplus(&siblings).is_empty());
        let siblings: Vec<Evaluation> = (0..23).map(|m| made(m, "fail")).collect();
        assert_eq!(names(&surplus(&siblings)), ["e2", "e1", "e0"]);
    }

    #[test]
    fn ten_that_passed_are_kept_beyond_the_twenty() {
        let old = (0..12).map(|m| made(m, "pass"));
        let middle = (12..15).map(|m| made(m, "warning"));
        let new = (15..35).map(|m| made(m, "fail"));
        let siblings: Vec<Evaluation> = new.chain(old).chain(middle).collect();
        assert_eq!(names(&surplus(&siblings)), ["e14", "e13", "e12", "e1", "e0"]);
    }

    #[test]
    fn one_that_has_not_ended_is_never_surplus() {
        let mut siblings: Vec<Evaluation> = (1..40).map(|m| made(m, "fail")).collect();
        siblings.push(made(0, ""));
        assert!(!names(&surplus(&siblings)).contains(&"e0"));
    }
}
