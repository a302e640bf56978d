//! Which shipyards and events are read.

use rstest::rstest;
use serde_json::{Value, json};

use super::*;

fn shipyard_file(version: &str, stages: &str) -> Result<(), String> {
    let text = format!("apiVersion: {version}\nkind: Shipyard\nspec: {{stages: {stages}}}");
    v1::shipyard("shipyard.yaml", text)
        .map(drop)
        .map_err(|errors| errors.to_string())
}

#[rstest]
#[case::short_0_2_0_as_v1("0.2.0")]
#[case::long_0_2_0_as_v1("spec.keptn.sh/0.2.0")]
#[case::short_0_2_2_as_v1("0.2.2")]
#[case::long_0_2_2_as_v1("spec.keptn.sh/0.2.2")]
fn versions_that_are_read(#[case] version: &str) {
    // A stage with only a name is one, too.
    assert_eq!(shipyard_file(version, "[{name: dev}]"), Ok(()));
}

#[rstest]
#[case::older_as_v1(
    "spec.keptn.sh/0.1.0",
    "[{name: dev}]",
    "apiVersion: \"spec.keptn.sh/0.1.0\" is not read; write spec.keptn.sh/0.2.3"
)]
#[case::zero_as_v1(
    "0",
    "[{name: dev}]",
    "apiVersion: \"0\" is not read; write spec.keptn.sh/0.2.3"
)]
#[case::no_stages_as_v1("0.2.2", "[]", "spec.stages: is empty; write at least one entry")]
#[case::empty_name_as_v1("0.2.2", "[{name: ''}]", "spec.stages[0].name: ")]
#[case::upper_case_as_v1(
    "0.2.2",
    "[{name: Dev}]",
    "spec.stages[0].name: \"Dev\" is not possible; it must fit"
)]
#[case::leading_digit_as_v1(
    "0.2.2",
    "[{name: 1dev}]",
    "spec.stages[0].name: \"1dev\" is not possible; it must fit"
)]
fn shipyards_that_are_refused(#[case] version: &str, #[case] stages: &str, #[case] says: &str) {
    let refused = shipyard_file(version, stages).unwrap_err();
    assert!(
        refused.starts_with(&format!("shipyard.yaml: {says}")),
        "{refused}"
    );
}

#[rstest]
#[case::project_as_v1("project")]
#[case::stage_as_v1("stage")]
#[case::service_as_v1("service")]
fn an_event_names_its_place(#[case] missing: &str) {
    let mut event = event("dev", "delivery", json!({}));
    event["data"].as_object_mut().unwrap().remove(missing);
    let refused = v1::event("event.json", event.to_string()).unwrap_err();
    assert_eq!(
        refused.to_string(),
        format!("event.json: data.{missing}: is missing; add it")
    );
}

const DELIVERY: &str = "  - name: dev
    sequences: [{name: delivery, tasks: [{name: deployment}]}]";

/// The sequence `evaluation` is in every stage, unless the stage has one of its own.
#[rstest]
#[case::built_in_as_v1("  - name: dev", &["evaluation"])]
#[case::beside_others_as_v1(DELIVERY, &["evaluation"])]
#[case::the_users_as_v1("  - {name: dev, sequences: [{name: evaluation, tasks: [{name: evaluation}, {name: notify}]}]}", &["evaluation", "notify"])]
fn the_sequence_evaluation(#[case] stages: &str, #[case] tasks: &[&str]) {
    let event = event("dev", "evaluation", json!({"evaluation": {"timeframe": "2m"}}));
    let report = simulated(&definitions(&[shipyard(stages)]), &event, "evaluation: [pass]");
    assert_eq!(ran(&report), tasks);
    assert_eq!(report.executions[0].phase, "Succeeded");
}

/// An empty list in a file is refused when it is read; one in an object by the API server, and by the controller.
#[test]
fn a_sequence_without_tasks_as_v1() {
    let stages = json!([{"name": "dev", "sequences": [{"name": "delivery", "tasks": []}]}]);
    let refused = shipyard_file("0.2.2", &stages.to_string()).unwrap_err();
    assert_eq!(
        refused,
        "shipyard.yaml: spec.stages[0].sequences[0].tasks: is empty; write at least one entry"
    );
    let object: coxswain::api::Shipyard =
        serde_json::from_value(ours("Shipyard", "shop", json!({ "stages": stages }))).unwrap();
    let wrong = coxswain::core::definitions::validate::shipyard(&object);
    assert_eq!(
        wrong[0].to_string(),
        "spec.stages[0].sequences[0].tasks: is empty; add a task"
    );
}

/// S5: v1 took the shipyard and ended each of its sequences at once; here it never becomes an object.
#[test]
fn s5_by_design() {
    let refused = shipyard_file(
        "0",
        "[{name: dev, sequences: [{name: delivery, tasks: [{name: deployment}]}]}]",
    );
    assert!(refused.unwrap_err().contains("\"0\" is not read"));
}

/// S7: as v1, no run without a stage, whether it is the type that lacks it or the data.
#[rstest]
#[case::s7_type_as_v1(json!({"type": "sh.keptn.event.delivery.triggered"}),
    "type: is \"sh.keptn.event.delivery.triggered\"; what triggers a sequence is sh.keptn.event.<stage>.<sequence>.triggered")]
#[case::s7_empty_stage_as_v1(json!({"data": {"stage": ""}}), "data.stage: is \"\", and must be a name")]
fn an_event_without_a_stage(#[case] change: Value, #[case] says: &str) {
    let mut wrong = event("dev", "delivery", json!({}));
    for (key, value) in object(change) {
        match value.as_object() {
            Some(fields) => wrong[&key].as_object_mut().unwrap().extend(fields.clone()),
            None => wrong[&key] = value,
        }
    }
    let refused = first(&wrong, &definitions(&[shipyard(DELIVERY)])).unwrap_err();
    assert_eq!(refused[0].to_string(), says);
}
