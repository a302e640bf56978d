//! What the tests of this room have in common.

use std::collections::BTreeMap;

use kube::api::ObjectMeta;

use crate::api::{
    Evaluation, EvaluationSpec,
    common::Timestamp,
    evaluation::Window,
    slo::{CriteriaSet, Objective, SloBody, TotalScore},
};

/// A point in time.
pub(super) fn at(text: &str) -> jiff::Timestamp {
    text.parse().unwrap()
}

/// An Evaluation of two minutes of the tutorial's service.
pub(super) fn evaluation(objective: Option<SloBody>) -> Evaluation {
    let window = Window {
        start: Timestamp(at("2026-01-31T12:00:00Z")),
        end: Timestamp(at("2026-01-31T12:02:00Z")),
    };
    Evaluation {
        metadata: ObjectMeta {
            name: Some("web-1".to_owned()),
            namespace: Some("prod".to_owned()),
            uid: Some("u-web-1".to_owned()),
            generation: Some(1),
            ..ObjectMeta::default()
        },
        spec: EvaluationSpec {
            project: "shop".to_owned(),
            stage: "production".to_owned(),
            service: "web".to_owned(),
            execution: None,
            attempt: None,
            window: Some(window),
            timeframe: None,
            invalidated: None,
            objective_name: objective.as_ref().map(|_| "web".to_owned()),
            objective,
            indicators: BTreeMap::new(),
            labels: BTreeMap::new(),
            deployment: None,
            grace: None,
        },
        status: None,
    }
}

/// One entry of `pass` or `warning` for each list of criteria.
pub(super) fn any_of(sets: &[&[&str]]) -> Option<Vec<CriteriaSet>> {
    let set = |criteria: &&[&str]| CriteriaSet {
        criteria: criteria.iter().map(|&c| c.to_owned()).collect(),
    };
    (!sets.is_empty()).then(|| sets.iter().map(set).collect())
}

/// An objective with these criteria.
pub(super) fn objective(sli: &str, pass: &[&[&str]], warning: &[&[&str]]) -> Objective {
    Objective {
        sli: sli.to_owned(),
        pass: any_of(pass),
        warning: any_of(warning),
        ..Objective::default()
    }
}

/// A body with these objectives that passes at 90% and warns at 75%.
pub(super) fn body(objectives: Vec<Objective>) -> SloBody {
    SloBody {
        objectives,
        total_score: Some(TotalScore {
            pass: "90%".to_owned(),
            warning: Some("75%".to_owned()),
        }),
        ..SloBody::default()
    }
}
