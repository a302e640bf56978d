//! The Evaluation of a task: everything that it measures is fixed before the first query.

use std::collections::BTreeMap;

use jiff::Timestamp;
use kube::api::ObjectMeta;

use crate::{
    api::{
        Duration, Evaluation, EvaluationSpec, Timestamp as ApiTime, common::SourceRef, evaluation::Window,
        execution::PinnedGate,
    },
    core::labels,
};

/// What an Evaluation is created for.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// The namespace.
    pub namespace: &'a str,
    /// The Evaluation's name; it tells the execution, attempt, task and try, so that a second create finds the first.
    pub name: &'a str,
    /// The project.
    pub project: &'a str,
    /// The stage.
    pub stage: &'a str,
    /// The service.
    pub service: &'a str,
    /// The run that asks.
    pub execution: Option<SourceRef>,
    /// Its sequence.
    pub sequence: Option<&'a str>,
    /// Its attempt.
    pub attempt: Option<i32>,
    /// What is measured: [`super::WindowPlan::window`].
    pub window: Window,
    /// The objective and queries. One whose `error` is set can't be asked: the task ends without an Evaluation.
    pub gate: &'a PinnedGate,
    /// The run's labels.
    pub labels: &'a BTreeMap<String, String>,
    /// The value for `$DEPLOYMENT`: the first of the payload's `deployment.deploymentNames`.
    pub deployment: Option<&'a str>,
    /// How long a provider that can't be asked is asked again.
    pub grace: Option<Duration>,
}

/// The Evaluation, ready to be created. It has no owner: verdicts outlive their run, as the history that later ones
/// are compared with.
pub fn new_evaluation(request: Request<'_>) -> Evaluation {
    let spec = EvaluationSpec {
        project: request.project.to_owned(),
        stage: request.stage.to_owned(),
        service: request.service.to_owned(),
        execution: request.execution,
        sequence: request.sequence.map(str::to_owned),
        attempt: request.attempt,
        window: Some(request.window),
        timeframe: None,
        objective_name: request.gate.objective_name.clone(),
        objective: request.gate.objective.clone(),
        indicators: request.gate.indicators.clone(),
        labels: request.labels.clone(),
        deployment: request.deployment.map(str::to_owned),
        grace: request.grace,
        invalidated: None,
    };
    let mut set = labels_of(&spec);
    set.insert(labels::MANAGED_BY.to_owned(), labels::COXSWAIN.to_owned());
    if let Some(execution) = &spec.execution {
        set.insert(labels::EXECUTION.to_owned(), labels::value(&execution.name));
    }
    Evaluation {
        metadata: ObjectMeta {
            name: Some(request.name.to_owned()),
            namespace: Some(request.namespace.to_owned()),
            labels: Some(set),
            ..ObjectMeta::default()
        },
        spec,
        status: None,
    }
}

/// What an Evaluation measures that says neither (v1's API default).
const TIMEFRAME: Duration = Duration::from_secs(300);

/// Whether everything that is measured is fixed. It is, from its birth, where a run asked.
pub fn is_complete(evaluation: &Evaluation) -> bool {
    let set = evaluation.metadata.labels.as_ref();
    evaluation.spec.window.is_some() && set.is_some_and(|l| l.contains_key(labels::OBJECTIVE))
}

/// Whether the gate in force for its place is to be copied into it: it has none of its own, and no run decided that there
/// is none.
pub fn wants_gate(evaluation: &Evaluation) -> bool {
    evaluation.spec.objective.is_none() && evaluation.spec.execution.is_none()
}

/// An Evaluation that was created by hand, with what is measured fixed: its window, and, unless it has its own, the gate
/// that is in force for its place. With labels, so that those of one gate find each other.
pub fn complete(evaluation: &Evaluation, gate: &PinnedGate) -> Evaluation {
    let mut complete = evaluation.clone();
    let spec = &mut complete.spec;
    if spec.window.is_none() {
        let end = evaluation
            .metadata
            .creation_timestamp
            .as_ref()
            .map_or(Timestamp::UNIX_EPOCH, |t| t.0);
        let length = spec.timeframe.unwrap_or(TIMEFRAME);
        spec.window = Some(Window {
            start: ApiTime(end.checked_sub(length.signed()).unwrap_or(Timestamp::MIN)),
            end: ApiTime(end),
        });
    }
    if wants_gate(evaluation) {
        spec.objective_name.clone_from(&gate.objective_name);
        spec.objective.clone_from(&gate.objective);
        spec.indicators.clone_from(&gate.indicators);
    }
    let found = labels_of(spec);
    complete.metadata.labels.get_or_insert_default().extend(found);
    complete
}

/// The labels by which the Evaluations of one gate find each other: project, stage, service and objective.
pub fn labels_of(spec: &EvaluationSpec) -> BTreeMap<String, String> {
    let objective = spec
        .objective_name
        .as_deref()
        .map_or_else(|| labels::NO_OBJECTIVE.to_owned(), labels::value);
    [
        (labels::PROJECT, labels::value(&spec.project)),
        (labels::STAGE, labels::value(&spec.stage)),
        (labels::SERVICE, labels::value(&spec.service)),
        (labels::OBJECTIVE, objective),
    ]
    .into_iter()
    .map(|(key, value)| (key.to_owned(), value))
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{common::Timestamp, slo::SloBody};

    fn window() -> Window {
        let at = |s: &str| Timestamp(s.parse().unwrap());
        Window {
            start: at("2026-01-01T00:00:00Z"),
            end: at("2026-01-01T00:02:00Z"),
        }
    }

    fn request<'a>(gate: &'a PinnedGate, labels: &'a BTreeMap<String, String>) -> Request<'a> {
        Request {
            namespace: "prod",
            name: "web-1-abc",
            project: "shop",
            stage: "production",
            service: "web",
            execution: Some(SourceRef {
                kind: "SequenceExecution".to_owned(),
                name: "web-slow-1".to_owned(),
                uid: Some("u1".to_owned()),
            }),
            sequence: Some("remediation"),
            attempt: Some(2),
            window: window(),
            gate,
            labels,
            deployment: Some("canary"),
            grace: None,
        }
    }

    #[test]
    fn an_evaluation_carries_everything_and_can_be_found_by_its_gate() {
        let gate = PinnedGate {
            objective_name: Some("web-slo".to_owned()),
            objective: Some(SloBody::default()),
            ..PinnedGate::default()
        };
        let own = BTreeMap::from([("team".to_owned(), "red".to_owned())]);
        let evaluation = new_evaluation(request(&gate, &own));
        let set = evaluation.metadata.labels.clone().unwrap();
        assert_eq!(set[labels::EXECUTION], "web-slow-1");
        assert_eq!(set[labels::OBJECTIVE], "web-slo");
        for (key, value) in labels_of(&evaluation.spec) {
            assert_eq!(set[&key], value);
        }
        assert_eq!(evaluation.spec.window, Some(window()));
        assert_eq!(evaluation.spec.labels, own);
        assert_eq!(evaluation.spec.sequence.as_deref(), Some("remediation"));
        assert_eq!(evaluation.spec.deployment.as_deref(), Some("canary"));
        assert!(evaluation.metadata.owner_references.is_none());
    }

    #[test]
    fn without_an_objective_it_has_a_history_of_its_own() {
        let (gate, own) = (PinnedGate::default(), BTreeMap::new());
        let evaluation = new_evaluation(request(&gate, &own));
        assert_eq!(
            labels_of(&evaluation.spec)[labels::OBJECTIVE],
            labels::NO_OBJECTIVE
        );
    }
}
