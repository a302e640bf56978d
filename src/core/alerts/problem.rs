//! The ProblemEvent that an alert opens.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::{
    api::{
        ProblemEvent, ProblemEventSpec,
        common::Object,
        problem::{Problem, ProblemState},
    },
    core::{labels, names},
};

use super::{Alert, route::Mapped};

/// What a ProblemEvent takes of labels and annotations: so many, so many bytes of each value, and so many of all; a run
/// begins with at most 16 KiB.
const ENTRIES: usize = 50;
const VALUE_MAX: usize = 1024;
const ALL_MAX: usize = 4096;

/// The value of the label by which the problems of one kind on one service are found.
pub fn label(of: &Mapped) -> String {
    names::problem_label(
        of.place.project(),
        of.place.stage(),
        of.place.service(),
        &of.title,
        of.root_cause.as_deref(),
    )
}

/// Whether this is a problem of that kind on that service.
pub fn is_same(problem: &ProblemEvent, of: &Mapped) -> bool {
    let spec = &problem.spec;
    (spec.project.as_str(), spec.stage.as_str(), spec.service.as_str())
        == (of.place.project(), of.place.stage(), of.place.service())
        && (&spec.problem.problem_title, &spec.problem.root_cause) == (&of.title, &of.root_cause)
}

/// The ProblemEvent that an alert opens after the problem of uid `after` was closed. Its name follows from that, so that
/// of two that open it at once one finds the other's.
pub fn open(of: &Mapped, namespace: &str, after: &str, alert: &Alert) -> ProblemEvent {
    let label = label(of);
    let spec = ProblemEventSpec {
        project: of.place.project().to_owned(),
        stage: of.place.stage().to_owned(),
        service: of.place.service().to_owned(),
        problem: Problem {
            problem_title: of.title.clone(),
            root_cause: of.root_cause.clone(),
            more: details(alert),
        },
        labels: some(&alert.labels),
        data: deployment(alert),
        sequence: of.sequence.clone(),
        context: None,
        state: ProblemState::Open,
    };
    let name = names::problem_name(of.place.service(), &of.title, &label, after);
    let mut problem = ProblemEvent::new(&name, spec);
    problem.metadata.namespace = Some(namespace.to_owned());
    problem.metadata.labels = Some(BTreeMap::from([
        (labels::PROBLEM.to_owned(), label),
        (labels::PROJECT.to_owned(), of.place.project().to_owned()),
        (labels::STAGE.to_owned(), of.place.stage().to_owned()),
        (labels::SERVICE.to_owned(), of.place.service().to_owned()),
    ]));
    problem
}

/// What v1's bridge wrote into `data.problem`, and the whole alert besides.
fn details(alert: &Alert) -> Object {
    let mut more = Object::new();
    let mut say = |name: &str, value: Value| {
        more.insert(name.to_owned(), value);
    };
    say("State", "OPEN".into());
    let details = alert
        .annotation("descriptions")
        .or_else(|| alert.annotation("description"));
    if let Some(text) = details {
        say("ProblemDetails", json!({"problemDetails": cut(text)}));
    }
    if !alert.generator_url.is_empty() {
        say("ProblemURL", cut(&alert.generator_url).into());
    }
    if let Some(pod) = alert.label("pod_name").or_else(|| alert.label("pod")) {
        say("ImpactedEntity", cut(pod).into());
    }
    say(
        "alert",
        json!({"labels": some(&alert.labels), "annotations": some(&alert.annotations)}),
    );
    more
}

/// v1's bridge let queries know the deployment.
fn deployment(alert: &Alert) -> Option<Object> {
    let name = alert.label("deployment")?;
    json!({"deployment": {"deploymentNames": [cut(name)]}})
        .as_object()
        .cloned()
}

fn some(all: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let mut room = ALL_MAX;
    let entries = all.iter().map(|(name, value)| (cut(name), cut(value)));
    entries
        .take(ENTRIES)
        .take_while(|(name, value)| {
            let size = name.len() + value.len();
            let fits = size <= room;
            room = room.saturating_sub(size);
            fits
        })
        .collect()
}

fn cut(text: &str) -> String {
    let end = (0..=VALUE_MAX.min(text.len()))
        .rev()
        .find(|i| text.is_char_boundary(*i));
    text[..end.unwrap_or(0)].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{api::alertroute::AlertRouteSpec, core::alerts::route};

    fn alert() -> Alert {
        serde_json::from_value(json!({
            "status": "firing", "startsAt": "2026-01-05T09:00:00Z", "generatorURL": "http://prometheus/graph?g0",
            "labels": {"alertname": "Slow", "project": "shop", "stage": "qa", "service": "cart", "pod": "cart-1", "deployment": "canary"},
            "annotations": {"summary": "p95 of cart-1 is 1.2 s", "description": "look at the dashboard"},
        }))
        .unwrap()
    }

    #[test]
    fn an_alert_becomes_a_problem_with_all_that_it_said() {
        let of = route::map(&AlertRouteSpec::default(), &alert()).unwrap();
        let opened = open(&of, "demo", "", &alert());
        insta::assert_yaml_snapshot!(opened, @r#"
        apiVersion: coxswain.dev/v1alpha1
        kind: ProblemEvent
        metadata:
          labels:
            coxswain.dev/problem: hpq4xtz3lf
            coxswain.dev/project: shop
            coxswain.dev/service: cart
            coxswain.dev/stage: qa
          name: cart-slow-war6pilxvc
          namespace: demo
        spec:
          project: shop
          stage: qa
          service: cart
          problem:
            problemTitle: Slow
            ImpactedEntity: cart-1
            ProblemDetails:
              problemDetails: look at the dashboard
            ProblemURL: "http://prometheus/graph?g0"
            State: OPEN
            alert:
              annotations:
                description: look at the dashboard
                summary: p95 of cart-1 is 1.2 s
              labels:
                alertname: Slow
                deployment: canary
                pod: cart-1
                project: shop
                service: cart
                stage: qa
          labels:
            alertname: Slow
            deployment: canary
            pod: cart-1
            project: shop
            service: cart
            stage: qa
          data:
            deployment:
              deploymentNames:
                - canary
          state: Open
        "#);
    }

    #[test]
    fn the_name_follows_from_the_problem_and_the_one_before() {
        let of = route::map(&AlertRouteSpec::default(), &alert()).unwrap();
        let name = |after: &str| open(&of, "demo", after, &alert()).metadata.name;
        assert_eq!(name("u1"), name("u1"));
        assert_ne!(name("u1"), name(""));
        assert!(is_same(&open(&of, "demo", "", &alert()), &of));
    }
}
