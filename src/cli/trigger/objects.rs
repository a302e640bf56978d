//! What the flags of `coxswain trigger` say, as objects.

use std::collections::BTreeMap;

use kube::api::ObjectMeta;
use serde_json::{Value, json};

use crate::{
    api::{
        Delivery, DeliverySpec, ProblemEvent, ProblemEventSpec, SequenceExecution, SequenceExecutionSpec,
        common::Object, problem::Problem,
    },
    core::{names, place::Place},
};

/// `a.b=c`, as v1 took values: a path into an object, and a text.
pub(super) fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() && key.split('.').all(|part| !part.is_empty()) => {
            Ok((key.to_owned(), value.to_owned()))
        }
        _ => Err(format!("{text:?} is no value; write key=value or a.b=value")),
    }
}

/// `key=value`.
pub(super) fn label(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err(format!("{text:?} is no label; write key=value, such as build=42")),
    }
}

/// The values as one object. Values are texts, as in v1.
pub(super) fn nested(flag: &str, pairs: &[(String, String)]) -> anyhow::Result<Option<Object>> {
    let mut all = Value::Object(Object::new());
    for (key, value) in pairs {
        let path: Vec<&str> = key.split('.').collect();
        let mut at = &mut all;
        for part in &path[..path.len() - 1] {
            let Some(object) = at.as_object_mut() else {
                anyhow::bail!(
                    "--{flag}: {key}: one of the values before it is a text; give each a key of its own"
                );
            };
            at = object.entry((*part).to_owned()).or_insert_with(|| json!({}));
        }
        match (at.as_object_mut(), path.last()) {
            (Some(object), Some(last)) => object.insert((*last).to_owned(), json!(value)),
            _ => anyhow::bail!(
                "--{flag}: {key}: one of the values before it is a text; give each a key of its own"
            ),
        };
    }
    Ok(all.as_object().cloned().filter(|all| !all.is_empty()))
}

/// Where: the names must be such that a project, stage or service can have them.
pub(super) fn place(project: &str, stage: &str, service: &str) -> anyhow::Result<Place> {
    Place::new(project, stage, service)
        .map_err(|e| anyhow::anyhow!("{}: {}", e.path.replacen("spec.", "--", 1), e.message))
}

fn named(parts: &[&str], namespace: Option<&str>) -> ObjectMeta {
    ObjectMeta {
        generate_name: Some(names::generated(parts)),
        namespace: namespace.map(str::to_owned),
        ..ObjectMeta::default()
    }
}

/// A delivery.
pub(super) fn delivery(spec: DeliverySpec, namespace: Option<&str>) -> Delivery {
    let mut object = Delivery::new("", spec);
    object.metadata = named(&[&object.spec.service], namespace);
    object
}

/// A problem.
pub(super) fn problem(
    place: &Place,
    title: &str,
    root_cause: Option<&str>,
    sequence: Option<&str>,
    labels: BTreeMap<String, String>,
    namespace: Option<&str>,
) -> ProblemEvent {
    let spec = ProblemEventSpec {
        project: place.project().to_owned(),
        stage: place.stage().to_owned(),
        service: place.service().to_owned(),
        problem: Problem {
            problem_title: title.to_owned(),
            root_cause: root_cause.map(str::to_owned),
            ..Problem::default()
        },
        labels,
        data: None,
        sequence: sequence.map(str::to_owned),
        context: None,
        state: crate::api::problem::ProblemState::Open,
    };
    let mut object = ProblemEvent::new("", spec);
    object.metadata = named(&[place.service(), title], namespace);
    object
}

/// A run.
pub(super) fn run(
    place: &Place,
    sequence: &str,
    data: Option<Object>,
    labels: BTreeMap<String, String>,
    namespace: Option<&str>,
) -> SequenceExecution {
    let spec = SequenceExecutionSpec {
        project: place.project().to_owned(),
        stage: place.stage().to_owned(),
        service: place.service().to_owned(),
        sequence: sequence.to_owned(),
        labels,
        data,
        ..SequenceExecutionSpec::default()
    };
    let mut object = SequenceExecution::new("", spec);
    object.metadata = named(&[place.service(), sequence], namespace);
    object
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn pairs(texts: &[&str]) -> Vec<(String, String)> {
        texts.iter().map(|t| pair(t).unwrap()).collect()
    }

    #[test]
    fn values_are_paths_into_one_object() {
        let all = nested("values", &pairs(&["replicaCount=2", "a.b.c=x=y", "a.b.d="])).unwrap();
        assert_eq!(
            json!(all),
            json!({"replicaCount": "2", "a": {"b": {"c": "x=y", "d": ""}}})
        );
        assert_eq!(nested("values", &[]).unwrap(), None);
    }

    #[test]
    fn a_value_is_not_a_text_and_an_object() {
        let told = nested("data", &pairs(&["a=1", "a.b=2"])).unwrap_err().to_string();
        assert!(told.starts_with("--data: a.b: "), "{told}");
    }

    #[rstest]
    #[case("a")]
    #[case("=b")]
    #[case("a..b=c")]
    fn no_values(#[case] text: &str) {
        assert!(pair(text).unwrap_err().contains("write key=value"));
    }
}
