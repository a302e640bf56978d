//! G: which action comes next for a problem.

use coxswain::{
    api::{Remediation, Scope},
    core::{
        jobs::result::Verdict,
        remediation::get_action::{self, Choice},
    },
};
use rstest::rstest;
use serde_json::{Value, json};

use super::*;

const FILE: &str = "apiVersion: spec.keptn.sh/0.1.4
kind: Remediation
metadata: {name: remediation}
spec:
  remediations:
  - problemType: problemType1
    actionsOnOpen: [{action: action1, value: {foo: bar}}, {action: action2, value: {foo: baz}}]
  - problemType: problemType2
    actionsOnOpen: [{action: action11}, {action: action22}]
";
const DEFAULT: &str = "  - problemType: default
    actionsOnOpen: [{action: escalateDefaultAction}]
";

fn scope() -> Scope {
    Scope {
        project: "shop".to_owned(),
        ..Scope::default()
    }
}

/// The file, read.
fn file(with_default: bool) -> Remediation {
    let text = format!("{FILE}{}", if with_default { DEFAULT } else { "" });
    Remediation::new(
        "file",
        v1::remediation("remediation.yaml", text, &scope()).unwrap(),
    )
}

fn payload(root_cause: Value, title: Value, index: Value) -> Object {
    let mut payload = json!({"problem": {"rootCause": root_cause, "problemTitle": title}});
    if !index.is_null() {
        payload["get-action"] = json!({ "actionIndex": index });
    }
    object(payload)
}

#[rstest]
#[case::g1_as_v1(json!("problemType1"), json!(null), json!(0), "action1", json!({"foo": "bar"}))]
#[case::g2_as_v1(json!(null), json!("problemType1"), json!(0), "action1", json!({"foo": "bar"}))]
#[case::g4_as_v1(json!(null), json!(null), json!(0), "escalateDefaultAction", json!(null))]
#[case::g7_no_index_as_v1(json!("problemType1"), json!(null), json!(null), "action1", json!({"foo": "bar"}))]
#[case::g7_index_0_as_v1(json!("problemType2"), json!(null), json!(0), "action11", json!(null))]
#[case::g7_the_next_as_v1(json!("problemType2"), json!(null), json!(1), "action22", json!(null))]
fn the_action_at_the_index(
    #[case] root_cause: Value,
    #[case] title: Value,
    #[case] index: Value,
    #[case] expected: &str,
    #[case] value: Value,
) {
    let payload = payload(root_cause, title, index.clone());
    let pinned = get_action::pin(Some(&file(true)), &payload, "shop/dev/cart");
    let Choice::Action { action, data, .. } = get_action::next(&pinned, &payload) else {
        panic!("no action")
    };
    assert_eq!((action.action.as_str(), json!(action.value)), (expected, value));
    let next = index.as_u64().unwrap_or(0) + 1;
    assert_eq!(data["get-action"], json!({ "actionIndex": next }));
    assert_eq!(get_action::outcome(&pinned, &payload).verdict, Verdict::Pass);
}

#[rstest]
#[case::g5_as_v1(json!(null), 0, false, "UnknownProblem", "add a problemType of that name, or one named \"default\"")]
#[case::g6_as_v1(json!(null), 2, true, "NoActionLeft", "the one action of Remediation file for \"default\" was tried")]
#[case::g9_as_v1(json!("problemType1"), 2, true, "NoActionLeft", "all 2 actions of Remediation file for \"problemType1\" were tried")]
fn no_action_is_a_fail(
    #[case] root_cause: Value,
    #[case] index: usize,
    #[case] with_default: bool,
    #[case] reason: &str,
    #[case] says: &str,
) {
    let payload = payload(root_cause, json!(null), json!(index));
    let pinned = get_action::pin(Some(&file(with_default)), &payload, "shop/dev/cart");
    let outcome = get_action::outcome(&pinned, &payload);
    assert_eq!(
        (outcome.verdict, outcome.reason.as_str()),
        (Verdict::Fail, reason)
    );
    let message = outcome.message.to_lowercase();
    assert!(message.contains(&says.to_lowercase()), "{message}");
}

const LOOP: &str = "  - name: dev
    sequences:
    - name: remediation
      triggeredOn: [{event: dev.remediation.finished, selector: {match: {evaluation.result: fail}}}]
      tasks: [{name: get-action}, {name: action}, {name: evaluation, properties: {timeframe: 2m}}]";

/// The loop of a shop with these objects besides its shipyard; nothing heals.
fn looped(objects: &[Value], problem: &str) -> Report {
    let all: Vec<Value> = [shipyard(LOOP)].iter().chain(objects).cloned().collect();
    let event = event(
        "dev",
        "remediation",
        json!({"problem": {"problemTitle": problem}}),
    );
    simulated(&definitions(&all), &event, "evaluation: [fail, fail, fail, fail]")
}

/// v1 ended get-action errored; here the run says what is missing and for which place, and pages at once.
#[test]
fn g10_by_design() {
    let report = looped(&[], "problemType1");
    let run = &report.executions[0];
    assert_eq!(ran(&report), ["get-action"]);
    assert_eq!(
        (run.tasks[0].result.as_deref(), run.tasks[0].reason.as_str()),
        (Some("fail"), "NoRemediation")
    );
    assert!(
        run.tasks[0]
            .message
            .contains("no Remediation applies to shop/dev/cart: create one"),
        "{}",
        run.tasks[0].message
    );
}

/// v1 ended get-action errored and asked to validate the file; here the file is refused before anything runs from it.
#[rstest]
#[case::g11_another_version_by_design(
    "apiVersion: spec.keptn.sh/0.1.3\nkind: Remediation\nspec: {remediations: []}",
    "remediation.yaml: apiVersion: \"spec.keptn.sh/0.1.3\" is not read; write spec.keptn.sh/0.1.4"
)]
#[case::g11_unparsable_by_design("spec: [", "remediation.yaml: can't be read as YAML")]
fn a_file_that_is_none(#[case] text: &str, #[case] says: &str) {
    let refused = v1::remediation("remediation.yaml", text, &scope()).unwrap_err();
    assert!(refused.to_string().starts_with(says), "{refused}");
}

/// v1 began and ended the task; here no run is made of an event that can't be read.
#[rstest]
#[case::g12_text_by_design(json!("action"), "data: is missing: it names project, stage and service")]
#[case::g12_service_by_design(json!({"project": "shop", "service": 3}), "data.service: is 3, and must be a name")]
fn event_data_that_is_malformed(#[case] data: Value, #[case] says: &str) {
    let event = json!({"type": "sh.keptn.event.dev.remediation.triggered", "data": data});
    let refused = first(&event, &definitions(&[shipyard(LOOP)])).unwrap_err();
    assert_eq!(refused[0].to_string(), says);
}

/// v1's index stayed at 1, because numbers stick there. Here every action is tried once, in order, and then nobody waits.
#[test]
fn g13_by_design() {
    let report = looped(
        &[ours("Remediation", "file", json!(file(true).spec))],
        "problemType1",
    );
    let run = &report.executions[0];
    let chosen: Vec<_> = run
        .tasks
        .iter()
        .filter(|task| task.name == "get-action")
        .map(|task| (task.result.as_deref().unwrap(), task.message.as_str()))
        .collect();
    assert_eq!(
        chosen,
        [
            ("pass", r#"action1 = {"foo":"bar"} (action 1 of 2)"#),
            ("pass", r#"action2 = {"foo":"baz"} (action 2 of 2)"#),
            (
                "fail",
                "all 2 actions of Remediation file for \"problemType1\" were tried"
            ),
        ]
    );
    assert_eq!(
        (run.phase.as_str(), run.reason.as_str(), run.attempts),
        ("Exhausted", "NoActionLeft", 3)
    );
}
