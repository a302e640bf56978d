//! Which object wins.

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{Resource, core::object::HasSpec};
use proptest::prelude::*;
use rstest::rstest;
use serde::de::DeserializeOwned;

use super::lookup::*;
use crate::{
    api::{JobConfig, MetricsProvider, Remediation, ServiceLevelIndicator, Shipyard},
    core::place::Place,
};

fn place() -> Place {
    Place::new("fulltour", "production", "helloservice").unwrap()
}

/// An object of this spec that was created so many seconds after the epoch.
fn made<K>(name: &str, seconds: i64, spec: &str) -> Arc<K>
where
    K: Resource<DynamicType = ()> + HasSpec + DeserializeOwned,
{
    let spec: serde_json::Value = serde_yaml::from_str(spec).unwrap();
    let mut object: K = serde_json::from_value(serde_json::json!({
        "apiVersion": K::api_version(&()), "kind": K::kind(&()), "metadata": {"name": name}, "spec": spec,
    }))
    .unwrap();
    object.meta_mut().creation_timestamp = Some(Time(Timestamp::from_second(seconds).unwrap()));
    Arc::new(object)
}

fn shipyards() -> Vec<Arc<Shipyard>> {
    let tour =
        "stages: [{name: qa}, {name: production, sequences: [{name: remediation, tasks: [{name: action}]}]}]";
    let broken = "stages: [{name: qa}, {name: qa}]";
    vec![made("fulltour", 1, tour), made("broken", 1, broken)]
}

#[test]
fn finds_a_written_sequence() {
    let shipyards = shipyards();
    let (shipyard, found) = sequence(&shipyards, "fulltour", "production", "remediation").unwrap();
    assert_eq!(shipyard.metadata.name.as_deref(), Some("fulltour"));
    assert_eq!(found.tasks[0].name, "action");
}

#[test]
fn every_stage_has_an_evaluation() {
    let shipyards = shipyards();
    let (_, found) = sequence(&shipyards, "fulltour", "qa", "evaluation").unwrap();
    assert_eq!((found.name.as_str(), found.tasks.len()), ("evaluation", 1));
    assert_eq!(found.tasks[0].name, "evaluation");
}

#[rstest]
#[case(
    "fulltuor",
    "qa",
    "evaluation",
    "ShipyardNotFound",
    "no Shipyard \"fulltuor\" in this namespace; did you mean \"fulltour\"?"
)]
#[case(
    "broken",
    "qa",
    "evaluation",
    "DefinitionInvalid",
    "Shipyard broken is not valid: spec.stages[1].name: there is already a stage \"qa\"; rename or remove one"
)]
#[case(
    "fulltour",
    "prod",
    "evaluation",
    "StageNotFound",
    "no stage \"prod\" in Shipyard fulltour; did you mean \"production\"?"
)]
#[case(
    "fulltour",
    "production",
    "remediaton",
    "SequenceNotFound",
    "no sequence \"remediaton\" in stage production of Shipyard fulltour; did you mean \"remediation\"?"
)]
fn says_what_is_missing(
    #[case] project: &str,
    #[case] stage: &str,
    #[case] name: &str,
    #[case] reason: &str,
    #[case] message: &str,
) {
    let shipyards = shipyards();
    let missing = sequence(&shipyards, project, stage, name).unwrap_err();
    assert_eq!((missing.reason, missing.message.as_str()), (reason, message));
}

#[rstest]
#[case("{project: fulltour}", Some(0))]
#[case("{project: fulltour, stage: production}", Some(1))]
#[case("{project: fulltour, service: helloservice}", Some(2))]
#[case("{project: fulltour, stage: production, service: helloservice}", Some(3))]
#[case("{project: other}", None)]
#[case("{project: fulltour, stage: qa}", None)]
#[case("{project: fulltour, stage: production, service: other}", None)]
fn the_narrower_scope_is_the_more_specific(#[case] scope: &str, #[case] expected: Option<i32>) {
    assert_eq!(
        specificity(&serde_yaml::from_str(scope).unwrap(), &place()),
        expected
    );
}

fn healing(name: &str, seconds: i64, scope: &str) -> Arc<Remediation> {
    made(
        name,
        seconds,
        &format!("project: fulltour\nremediations: []\n{scope}"),
    )
}

#[rstest]
#[case::most_specific(vec![healing("p", 1, ""), healing("svc", 9, "service: helloservice"), healing("st", 2, "stage: production")], Some("svc"))]
#[case::older(vec![healing("a", 5, ""), healing("b", 4, "")], Some("b"))]
#[case::name_in_one_second(vec![healing("b", 4, ""), healing("a", 4, "")], Some("a"))]
#[case::an_invalid_twin_is_passed_over(vec![healing("a", 1, "budget: {actions: 1, per: 0s}"), healing("b", 4, "")], Some("b"))]
#[case::an_invalid_less_specific_one_too(vec![healing("a", 1, "budget: {actions: 1, per: 0s}"), healing("b", 4, "stage: production")], Some("b"))]
#[case::elsewhere(vec![healing("a", 1, "stage: qa")], None)]
fn one_remediation_is_in_force(#[case] list: Vec<Arc<Remediation>>, #[case] expected: Option<&str>) {
    let found = remediation(&list, &place()).unwrap();
    assert_eq!(found.as_ref().and_then(|r| r.metadata.name.as_deref()), expected);
}

#[test]
fn an_invalid_remediation_does_not_give_way_to_a_less_specific_one() {
    let list = [
        healing("project", 1, "mode: Act"),
        healing(
            "service",
            2,
            "service: helloservice\nmode: Observe\nbudget: {actions: 1, per: 0s}",
        ),
    ];
    let missing = remediation(&list, &place()).unwrap_err();
    assert_eq!(missing.reason, "DefinitionInvalid");
    assert!(
        missing
            .message
            .starts_with("Remediation service is not valid: spec.budget.per"),
        "{}",
        missing.message
    );
}

fn provider(name: &str, url: &str) -> Arc<MetricsProvider> {
    made(name, 1, &format!("prometheus: {{url: '{url}'}}"))
}

#[test]
fn indicators_merge_from_project_to_service() {
    let slis: Vec<Arc<ServiceLevelIndicator>> = vec![
        made(
            "svc",
            9,
            "{project: fulltour, service: helloservice, provider: {name: own}, indicators: {a: svc}}",
        ),
        made("p", 1, "{project: fulltour, indicators: {a: p, b: p, unused: p}}"),
        made(
            "younger",
            2,
            "{project: fulltour, indicators: {b: younger, c: younger}}",
        ),
    ];
    let found = indicators(&slis, &[provider("only", "http://p")], &place(), &["a", "b", "c"]).unwrap();
    let found: Vec<_> = found
        .iter()
        .map(|(n, q)| (n.as_str(), q.query.as_str(), q.provider.as_str()))
        .collect();
    assert_eq!(found, [("a", "svc", "own"), ("b", "p", "only")]);
}

#[rstest]
#[case::a_needed_name(&["a"], true)]
#[case::a_name_that_nobody_asks_for(&["b"], false)]
fn an_invalid_indicator_is_not_replaced_by_a_less_specific_one(#[case] needed: &[&str], #[case] fails: bool) {
    let slis: Vec<Arc<ServiceLevelIndicator>> = vec![
        made(
            "service",
            2,
            "{project: fulltour, service: helloservice, indicators: {a: ' '}}",
        ),
        made("project", 1, "{project: fulltour, indicators: {a: p, b: p}}"),
    ];
    let found = indicators(&slis, &[provider("only", "http://p")], &place(), needed);
    assert_eq!(found.is_err(), fails, "{found:?}");
}

#[rstest]
#[case::none(vec![], "")]
#[case::one(vec![provider("a", "http://p")], "a")]
#[case::one_that_is_wrong_is_named(vec![provider("a", "gopher://p")], "a")]
#[case::one_usable(vec![provider("a", "http://p"), provider("b", "gopher://p")], "a")]
#[case::two(vec![provider("a", "http://p"), provider("b", "http://q")], "")]
fn an_unnamed_provider_is_the_only_one(#[case] providers: Vec<Arc<MetricsProvider>>, #[case] expected: &str) {
    let slis = vec![made("p", 1, "{project: fulltour, indicators: {a: q}}")];
    assert_eq!(
        indicators(&slis, &providers, &place(), &["a"]).unwrap()["a"].provider,
        expected
    );
}

#[test]
fn job_configs_of_all_scopes_with_the_actions_that_answer() {
    let jobs = |name: &str, seconds, scope: &str, event: &str| -> Arc<JobConfig> {
        let action = |name: &str, event: &str| {
            format!("{{name: {name}, events: [{{name: {event}}}], tasks: [{{name: t, image: i}}]}}")
        };
        let spec = format!(
            "project: fulltour\n{scope}\nsources: [{{path: f, configMap: {{name: c}}}}]\nactions: [{}, {}]",
            action("other", "sh.keptn.event.other.triggered"),
            action("ours", event),
        );
        made(name, seconds, &spec)
    };
    let list = vec![
        jobs("project", 1, "", "sh.keptn.event.*.triggered"),
        jobs(
            "younger",
            3,
            "service: helloservice",
            "sh.keptn.event.action.triggered",
        ),
        jobs(
            "older",
            2,
            "service: helloservice",
            "sh.keptn.event.je-test.triggered",
        ),
        jobs("elsewhere", 1, "stage: qa", "sh.keptn.event.action.triggered"),
        jobs(
            "nothing",
            1,
            "stage: production",
            "sh.keptn.event.rollback.triggered",
        ),
    ];
    let found = job_configs(&list, &place(), &["action", "je-test"]);
    let names: Vec<_> = found
        .iter()
        .map(|c| (c.name.as_str(), c.specificity, c.actions.len()))
        .collect();
    assert_eq!(names, [("older", 2, 1), ("younger", 2, 1), ("project", 0, 1)]);
    assert_eq!(found[0].sources.len(), 1);
}

proptest! {
    /// A name means what the most specific object says of it, in whatever order the objects are found.
    #[test]
    fn indicators_merge_by_name(
        of in prop::collection::vec(prop::collection::btree_map("[a-d]", "[q-z]{1,3}", 0..4), 3), turn in 0..3usize,
    ) {
        let scopes = ["{project: fulltour}", "{project: fulltour, stage: production}",
            "{project: fulltour, stage: production, service: helloservice}"];
        let mut list: Vec<Arc<ServiceLevelIndicator>> = vec![];
        let mut expected = std::collections::BTreeMap::new();
        for (scope, queries) in scopes.iter().zip(&of) {
            let spec = format!("{}, indicators: {}}}", scope.trim_end_matches('}'), serde_json::json!(queries));
            list.push(made(scope, 1, &spec));
            expected.extend(queries.clone());
        }
        list.rotate_left(turn);
        let found = indicators(&list, &[], &place(), &["a", "b", "c", "d"]).unwrap();
        let found: std::collections::BTreeMap<_, _> = found.into_iter().map(|(name, q)| (name, q.query)).collect();
        prop_assert_eq!(found, expected);
    }
}
