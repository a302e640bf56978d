//! Shipyards that are right and wrong.

use rstest::rstest;

use crate::api::Shipyard;

use super::shipyard;

fn of(stages: &str) -> Shipyard {
    let spec: serde_json::Value = serde_yaml::from_str(&format!("stages:\n{stages}")).unwrap();
    Shipyard::new("fulltour", serde_json::from_value(spec).unwrap())
}

/// The shape of the tutorial: a delivery through two stages, and a retry loop in the second.
const TOUR: &str = r#"
- name: qa
  sequences:
  - name: delivery
    tasks: [{name: je-deployment}, {name: je-test}, {name: evaluation, properties: {timeframe: "2m"}}]
- name: production
  sequences:
  - name: delivery
    triggeredOn: [{event: qa.delivery.finished}]
    tasks: [{name: approval, properties: {pass: automatic, warning: automatic}}, {name: je-deployment}]
  - name: remediation
    triggeredOn: [{event: production.remediation.finished, selector: {match: {evaluation.result: fail}}}]
    tasks: [{name: get-action}, {name: action}, {name: evaluation, properties: {timeframe: "2m"}}]
"#;

#[rstest]
#[case::tutorial(TOUR)]
#[case::no_sequences("- name: qa")]
#[case::get_action_elsewhere("- {name: qa, sequences: [{name: nightly, tasks: [{name: get-action}]}]}")]
#[case::task_twice("- {name: qa, sequences: [{name: d, tasks: [{name: test}, {name: test}]}]}")]
#[case::implicit_evaluation(
    "- {name: qa, sequences: [{name: d, triggeredOn: [{event: qa.evaluation.finished}], tasks: [{name: t}]}]}"
)]
#[case::own_properties(
    "- {name: qa, sequences: [{name: d, tasks: [{name: evaluation, properties: {owner: me, env: x, settle: 0s}}]}]}"
)]
fn accepts(#[case] stages: &str) {
    assert_eq!(shipyard(&of(stages)), []);
}

#[rstest]
#[case::stage_twice(
    "- name: qa\n- name: qa",
    "spec.stages[1].name: there is already a stage \"qa\""
)]
#[case::sequence_twice(
    "- {name: qa, sequences: [{name: d, tasks: [{name: t}]}, {name: d, tasks: [{name: t}]}]}",
    "spec.stages[0].sequences[1].name: there is already a sequence \"d\""
)]
#[case::dot_in_task(
    "- {name: qa, sequences: [{name: d, tasks: [{name: a.b}]}]}",
    "spec.stages[0].sequences[0].tasks[0].name: \"a.b\" must not be empty or have dots"
)]
#[case::no_tasks(
    "- {name: qa, sequences: [{name: d, tasks: []}]}",
    "spec.stages[0].sequences[0].tasks: is empty"
)]
#[case::approval_strategy(
    "- {name: qa, sequences: [{name: d, tasks: [{name: approval, properties: {pass: auto}}]}]}",
    "spec.stages[0].sequences[0].tasks[0].properties.pass: \"auto\" is no strategy; write automatic or manual"
)]
#[case::approval_property(
    "- {name: qa, sequences: [{name: d, tasks: [{name: approval, properties: {expire: 2h}}]}]}",
    "spec.stages[0].sequences[0].tasks[0].properties.expire: is not a property of an approval; did you mean \"expires\"?"
)]
#[case::approval_expiry(
    "- {name: qa, sequences: [{name: d, tasks: [{name: approval, properties: {expires: soon}}]}]}",
    "spec.stages[0].sequences[0].tasks[0].properties.expires: "
)]
#[case::approval_requester(
    "- {name: qa, sequences: [{name: d, tasks: [{name: approval, properties: {notRequester: 'yes'}}]}]}",
    "spec.stages[0].sequences[0].tasks[0].properties.notRequester: \"yes\" is neither true nor false; write one of them"
)]
#[case::approval_groups(
    "- {name: qa, sequences: [{name: d, tasks: [{name: approval, properties: {groups: sre}}]}]}",
    "spec.stages[0].sequences[0].tasks[0].properties.groups: is not a list of groups' names; write one such as [sre]"
)]
#[case::timeframe_number(
    "- {name: qa, sequences: [{name: d, tasks: [{name: evaluation, properties: {timeframe: 2}}]}]}",
    "spec.stages[0].sequences[0].tasks[0].properties.timeframe: 2 is not a duration"
)]
#[case::timeframe_unit(
    "- {name: qa, sequences: [{name: d, tasks: [{name: evaluation, properties: {timeframe: 2d}}]}]}",
    "spec.stages[0].sequences[0].tasks[0].properties.timeframe: \"2d\" is not a duration"
)]
#[case::must_hold_for(
    "- {name: qa, sequences: [{name: d, tasks: [{name: evaluation, properties: {mustHoldFor: 5m}}]}]}",
    "spec.stages[0].sequences[0].tasks[0].properties.mustHoldFor: evaluates one timeframe after the other"
)]
#[case::must_hold_for_ever(
    "- {name: qa, sequences: [{name: d, tasks: [{name: evaluation, properties: {timeframe: 1m, mustHoldFor: 48h}}]}]}",
    "spec.stages[0].sequences[0].tasks[0].properties.mustHoldFor: 48h is longer than 12h"
)]
#[case::mistyped_property(
    "- {name: qa, sequences: [{name: d, tasks: [{name: evaluation, properties: {timeFrame: 5m}}]}]}",
    "spec.stages[0].sequences[0].tasks[0].properties.timeFrame: is not a property of an evaluation; did you mean \"timeframe\"?"
)]
#[case::min_window(
    "- {name: qa, sequences: [{name: d, tasks: [{name: evaluation, properties: {timeframe: 1m, minWindow: 2m}}]}]}",
    "spec.stages[0].sequences[0].tasks[0].properties.minWindow: 2m is longer than timeframe 1m"
)]
#[case::end_and_timeframe(
    "- {name: qa, sequences: [{name: d, tasks: [{name: evaluation, properties: {timeframe: 1m, end: x}}]}]}",
    "spec.stages[0].sequences[0].tasks[0].properties.end: goes with start"
)]
fn refuses(#[case] stages: &str, #[case] says: &str) {
    let wrong = shipyard(&of(stages));
    assert_eq!(wrong.len(), 1, "{wrong:?}");
    assert!(wrong[0].to_string().starts_with(says), "{}", wrong[0]);
}

#[rstest]
#[case::short(
    "qa.finished",
    "\"qa.finished\" is not the end of a sequence; write <stage>.<sequence>.finished"
)]
#[case::long("sh.keptn.event.qa.delivery.finished", "write \"qa.delivery.finished\"")]
#[case::started("qa.delivery.started", "is not the end of a sequence")]
#[case::stage("aq.delivery.finished", "there is no stage \"aq\"; did you mean \"qa\"?")]
#[case::sequence(
    "qa.deliverey.finished",
    "there is no sequence \"deliverey\" in stage qa; did you mean \"delivery\"?"
)]
fn refuses_triggers(#[case] event: &str, #[case] says: &str) {
    let wrong = shipyard(&of(
        &TOUR.replace("event: qa.delivery.finished", &format!("event: {event}"))
    ));
    assert_eq!(wrong.len(), 1, "{wrong:?}");
    assert_eq!(wrong[0].path, "spec.stages[1].sequences[0].triggeredOn[0].event");
    assert!(wrong[0].message.contains(says), "{}", wrong[0]);
}

#[rstest]
#[case("result: pass")]
#[case("result: failed")]
#[case("action.status: errored")]
#[case("evaluation.result: fail, action.result: pass")]
#[case("$.data.evaluation.score: '75'")]
#[case("$.data.get-action.actionIndex: '2'")]
fn accepts_conditions(#[case] conditions: &str) {
    assert_eq!(
        shipyard(&of(&TOUR.replace("evaluation.result: fail", conditions))),
        []
    );
}

#[rstest]
#[case::value(
    "result: failure",
    "\"result\"",
    "\"failure\" never is the value; write one of pass, warning, fail"
)]
#[case::status_value(
    "action.status: aborted",
    "\"action.status\"",
    "write one of succeeded, errored"
)]
#[case::task(
    "evalution.result: fail",
    "\"evalution.result\"",
    "sequence remediation has no task \"evalution\"; did you mean \"evaluation\"?"
)]
#[case::other_sequences_task(
    "je-test.result: fail",
    "\"je-test.result\"",
    "sequence remediation has no task \"je-test\"; there is"
)]
#[case::field(
    "evaluation.score: '7'",
    "\"evaluation.score\"",
    "is not a condition; write result, <task>.result"
)]
#[case::word("status: x", "\"status\"", "is not a condition")]
#[case::path(
    "$.evaluation.result: fail",
    "\"$.evaluation.result\"",
    "does not start with $.data."
)]
#[case::broken_path("'$.data.[': x", "\"$.data.[\"", "has more than names parted by dots")]
#[case::none("", "", "has no condition")]
fn refuses_conditions(#[case] conditions: &str, #[case] key: &str, #[case] says: &str) {
    let wrong = shipyard(&of(&TOUR.replace("evaluation.result: fail", conditions)));
    assert_eq!(wrong.len(), 1, "{wrong:?}");
    let key = if key.is_empty() {
        String::new()
    } else {
        format!("[{key}]")
    };
    assert_eq!(
        wrong[0].path,
        format!("spec.stages[1].sequences[1].triggeredOn[0].selector.match{key}")
    );
    assert!(wrong[0].message.contains(says), "{}", wrong[0]);
}

#[test]
fn a_project_has_no_dots() {
    let mut object = of(TOUR);
    object.metadata.name = Some("full.tour".to_owned());
    assert_eq!(shipyard(&object)[0].path, "metadata.name");
}
