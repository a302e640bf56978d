//! Stories of the simulator, with the tutorial's own files and with small ones.

mod chain;

use rstest::rstest;
use serde::Deserialize as _;
use serde_json::{Value, json};

use super::{case::Expect, *};

const TUTORIAL: [(&str, &str); 6] = [
    (
        "shipyard.yaml",
        include_str!("../../../examples/tutorial/shipyard.yaml"),
    ),
    (
        "remediation.yaml",
        include_str!("../../../examples/tutorial/remediation.yaml"),
    ),
    (
        "jobconfig.yaml",
        include_str!("../../../examples/tutorial/jobconfig.yaml"),
    ),
    ("slo.yaml", include_str!("../../../examples/tutorial/slo.yaml")),
    ("sli.yaml", include_str!("../../../examples/tutorial/sli.yaml")),
    (
        "metricsprovider.yaml",
        include_str!("../../../examples/tutorial/metricsprovider.yaml"),
    ),
];
const TRIGGER: &str = include_str!("../../../examples/tutorial/v1/remediation_trigger.json");

fn documents(origin: &str, yaml: &str) -> Vec<Document> {
    serde_yaml::Deserializer::from_str(yaml)
        .map(|d| Document {
            origin: origin.to_owned(),
            value: Value::deserialize(d).unwrap(),
        })
        .filter(|d| !d.value.is_null())
        .collect()
}

fn tutorial() -> Definitions {
    let all: Vec<_> = TUTORIAL
        .iter()
        .flat_map(|(file, text)| documents(file, text))
        .collect();
    Definitions::read(&all).unwrap()
}

fn yaml(text: &str) -> Value {
    serde_yaml::from_str(text).unwrap()
}

fn simulate(definitions: &Definitions, event: &Value, answers: &str) -> Report {
    let answers = Answers::read(&yaml(answers)).unwrap();
    assert_eq!(answers.check(&definitions.snapshot), []);
    run(definitions, first(event, definitions).unwrap(), &answers).unwrap()
}

fn trigger() -> Value {
    serde_json::from_str(TRIGGER).unwrap()
}

/// `attempt name result source`, a word each.
fn told(report: &Report) -> Vec<String> {
    let tasks = report.executions.iter().flat_map(|e| &e.tasks);
    tasks
        .map(|t| {
            format!(
                "{} {} {} {}",
                t.attempt,
                t.name,
                t.result.as_deref().unwrap_or("-"),
                t.source
            )
        })
        .collect()
}

#[test]
fn the_tutorial_heals_at_the_first_attempt() {
    let report = simulate(&tutorial(), &trigger(), "");
    let run = &report.executions[0];
    assert_eq!(
        (run.phase.as_str(), run.attempts, run.result.as_deref()),
        ("Succeeded", 1, Some("pass"))
    );
    assert_eq!(
        told(&report),
        [
            "1 get-action pass decided",
            "1 action pass assumed",
            "1 je-test pass assumed",
            "1 evaluation pass assumed"
        ]
    );
    assert_eq!(
        run.triggered_by.as_deref(),
        Some("sh.keptn.event.production.remediation.triggered")
    );
    let job = &run.tasks[1].jobs[0];
    assert_eq!(
        (job.job_config.as_str(), job.image.as_str()),
        ("helloservice", "alpine/helm:3.9.0")
    );
    assert!(job.manifest.spec.is_some());
    assert_eq!(report.stopped, None);
}

#[test]
fn a_failed_evaluation_is_followed_by_what_is_left_to_try() {
    // The tutorial has one action: its second attempt finds none left.
    let report = simulate(&tutorial(), &trigger(), "evaluation: [fail, pass]");
    let run = &report.executions[0];
    assert_eq!((run.phase.as_str(), run.attempts), ("Exhausted", 2));
    assert_eq!(
        told(&report)[3..],
        ["1 evaluation fail answer", "2 get-action fail decided"]
    );
    assert_eq!(report.unused, ["evaluation: 1 of 2 answers were not asked for"]);
}

#[test]
fn actions_that_answer_one_task_are_played_at_once() {
    let more = "{apiVersion: coxswain.dev/v1alpha1, kind: JobConfig, metadata: {name: more}, spec: {project: fulltour,
        stage: production, service: helloservice, actions: [{name: More, parallel: true,
        events: [{name: sh.keptn.event.je-test.triggered}], tasks: [{name: soak, image: b}, {name: spike, image: b}]}]}}";
    let mut all: Vec<_> = TUTORIAL
        .iter()
        .flat_map(|(file, text)| documents(file, text))
        .collect();
    all.extend(documents("more.yaml", more));
    let definitions = Definitions::read(&all).unwrap();
    let report = simulate(&definitions, &trigger(), "je-test: {result: warning, takes: 60s}");
    let run = &report.executions[0];
    assert_eq!((run.phase.as_str(), report.stopped), ("Succeeded", None));
    let test = &run.tasks[2];
    assert_eq!((test.result.as_deref(), test.jobs.len()), (Some("warning"), 3));
    let created = report
        .steps
        .iter()
        .filter(|s| s.task == "je-test" && s.text.starts_with("Job "));
    let created: Vec<_> = created.map(|s| s.at).collect();
    assert_eq!(created, vec![test.started_at.unwrap(); 3]);
}

fn shop(actions: &[&str]) -> Definitions {
    let actions: Vec<_> = actions.iter().map(|a| json!({"action": a})).collect();
    let all = [
        json!({"apiVersion": "coxswain.dev/v1alpha1", "kind": "Shipyard", "metadata": {"name": "shop"}, "spec": {"stages": [
            {"name": "qa", "sequences": [{"name": "delivery", "tasks": [{"name": "deploy"}, {"name": "evaluation", "properties": {"timeframe": "2m"}}]}]},
            {"name": "production", "sequences": [{"name": "remediation",
                "triggeredOn": [{"event": "production.remediation.finished", "selector": {"match": {"evaluation.result": "fail"}}}],
                "tasks": [{"name": "get-action"}, {"name": "action"}, {"name": "check"}, {"name": "evaluation", "properties": {"timeframe": "2m"}}]}]},
        ]}}),
        json!({"apiVersion": "coxswain.dev/v1alpha1", "kind": "Remediation", "metadata": {"name": "r"}, "spec": {
            "project": "shop", "remediations": [{"problemType": "default", "actionsOnOpen": actions}]}}),
        json!({"apiVersion": "coxswain.dev/v1alpha1", "kind": "JobConfig", "metadata": {"name": "j"}, "spec": {"project": "shop", "actions": [
            {"name": "Act", "events": [{"name": "sh.keptn.event.action.triggered", "jsonpath": {"property": "$.data.action.action", "match": "scale"}}],
             "tasks": [{"name": "one", "image": "a"}, {"name": "two", "image": "b"}]}]}}),
        json!({"apiVersion": "coxswain.dev/v1alpha1", "kind": "ServiceLevelObjective", "metadata": {"name": "o"}, "spec": {
            "project": "shop", "objectives": [{"sli": "latency", "pass": [{"criteria": ["<1"]}]}], "total_score": {"pass": "90%"}}}),
    ];
    let all = all.map(|value| Document {
        origin: "shop.yaml".into(),
        value,
    });
    Definitions::read(&all).unwrap()
}

fn problem() -> Value {
    json!({"apiVersion": "coxswain.dev/v1alpha1", "kind": "ProblemEvent", "metadata": {"generateName": "slow-"}, "spec": {
        "project": "shop", "stage": "production", "service": "cart", "problem": {"problemTitle": "slow"}}})
}

/// What answers do to a run with two actions, the second of which nothing in the files answers.
#[rstest]
#[case::well("", "Succeeded", 1, "healed by scale in attempt 1")]
#[case::second("evaluation: [fail]", "Succeeded", 2, "healed by restart in attempt 2")]
#[case::one_word("evaluation: fail", "Succeeded", 2, "")]
#[case::never("evaluation: [fail, fail]", "Exhausted", 3, "all 2")]
#[case::warning("evaluation: [warning]", "Succeeded", 1, "")]
#[case::action_fails("action: [fail]", "Succeeded", 2, "restart")]
#[case::action_errs("action: [errored]", "Succeeded", 2, "restart")]
#[case::assumed_task_fails("check: [fail]", "Succeeded", 2, "restart")]
#[case::inconclusive_once("evaluation: [inconclusive]", "Succeeded", 1, "scale")]
#[case::scored_well("evaluation: [{indicators: {latency: 0.5}}]", "Succeeded", 1, "100 of 100")]
#[case::scored_badly(
    "evaluation: [{indicators: {latency: 2}}, {indicators: {latency: 0.1}}]",
    "Succeeded",
    2,
    ""
)]
#[case::no_value("evaluation: [{indicators: {latency: null}}]", "Succeeded", 2, "")]
#[case::of_the_stage("production.evaluation: [fail]", "Succeeded", 2, "")]
#[case::of_another_stage("qa.evaluation: [fail]", "Succeeded", 1, "")]
#[case::the_exact_one_counts(
    "{production.remediation.evaluation: [fail], evaluation: [pass, fail]}",
    "Succeeded",
    2,
    ""
)]
#[case::too_slow("action: [{takes: 11m}]", "Succeeded", 2, "restart")]
fn answers_decide(#[case] answers: &str, #[case] phase: &str, #[case] attempts: i32, #[case] says: &str) {
    let report = simulate(&shop(&["scale", "restart"]), &problem(), answers);
    let run = &report.executions[0];
    assert_eq!(
        (run.phase.as_str(), run.attempts),
        (phase, attempts),
        "{}",
        run.message
    );
    assert!(run.message.contains(says), "{}", run.message);
    assert_eq!(run.triggered_by.as_deref(), Some("ProblemEvent slow-1"));
}

#[test]
fn what_nothing_answers_is_assumed_and_has_no_job() {
    let report = simulate(&shop(&["restart"]), &problem(), "");
    let tasks = &report.executions[0].tasks;
    assert_eq!(
        told(&report)[1..3],
        ["1 action pass assumed", "1 check pass assumed"]
    );
    assert!(tasks.iter().all(|t| t.jobs.is_empty()), "{tasks:#?}");
    let report = simulate(&shop(&["scale"]), &problem(), "");
    let jobs: Vec<_> = report.executions[0].tasks[1]
        .jobs
        .iter()
        .map(|j| j.task.as_str())
        .collect();
    assert_eq!(jobs, ["one", "two"]);
}

#[test]
fn data_is_merged_and_seen_by_later_tasks() {
    let report = simulate(
        &shop(&["scale"]),
        &problem(),
        "action: [{result: warning, message: nearly, data: {rate: 5}}]",
    );
    let step = report
        .steps
        .iter()
        .find(|s| s.task == "action" && s.text.starts_with("warning"))
        .unwrap();
    assert!(
        step.text.contains("nearly") && step.details.contains(&"rate = 5".to_owned()),
        "{step:?}"
    );
}

#[test]
fn time_is_virtual_and_the_same_each_time() {
    let (one, two) = (
        simulate(&tutorial(), &trigger(), "je-test: [fail]"),
        simulate(&tutorial(), &trigger(), "je-test: [fail]"),
    );
    assert_eq!(
        serde_json::to_string(&one).unwrap(),
        serde_json::to_string(&two).unwrap()
    );
    assert_eq!(one.steps[0].at.to_string(), BEGINNING);
    let mut later = trigger();
    later["time"] = json!("2030-05-05T05:05:05Z");
    assert_eq!(
        simulate(&tutorial(), &later, "").steps[0].at.to_string(),
        "2030-05-05T05:05:05Z"
    );
}

#[rstest]
#[case(
    "je-tset: [fail]",
    "je-tset: no sequence has a task of this name; did you mean \"je-test\"?"
)]
#[case(
    "get-action: [fail]",
    "get-action: always really decides: edit the Remediation's actions instead"
)]
#[case("prod.je-test: [fail]", "prod.je-test: no sequence has a task of this name")]
fn answers_of_unknown_tasks_are_refused(#[case] answers: &str, #[case] says: &str) {
    let wrong = Answers::read(&yaml(answers)).unwrap().check(&tutorial().snapshot);
    assert!(wrong[0].to_string().starts_with(says), "{}", wrong[0]);
}

#[rstest]
#[case(
    "je-test: [ok]",
    "je-test[0]: \"ok\" is no answer of je-test; use pass, warning, fail or errored"
)]
#[case(
    "je-test: [pass, 3]",
    "je-test[1]: is 3; use pass, warning, fail or errored or an object"
)]
#[case(
    "je-test: [{result: pas}]",
    "je-test[0]: \"pas\" is no answer of je-test; use pass, warning, fail or errored; did you mean \"pass\"?"
)]
#[case(
    "je-test: [{reslt: pass}]",
    "je-test[0]: reslt is no known field; did you mean \"result\"?"
)]
#[case("je-test: [{data: 3}]", "je-test[0]: data is 3, and must be an object")]
#[case("je-test: [{takes: long}]", "je-test[0]: takes is \"long\"")]
#[case(
    "je-test: [{indicators: {a: 1}}]",
    "je-test[0]: indicators belongs to evaluation only"
)]
#[case(
    "evaluation: [{score: 200}]",
    "evaluation[0]: score is 200, and must be a number from 0 to 100"
)]
#[case(
    "evaluation: [{indicators: {a: x}}]",
    "evaluation[0]: indicators.a is \"x\", and must be a number"
)]
#[case(
    "approval: [maybe]",
    "approval[0]: \"maybe\" is no answer of approval; use approve or reject"
)]
#[case("[fail]", "answers: is [\"fail\"], and must map tasks to results")]
fn wrong_answers_are_refused(#[case] answers: &str, #[case] says: &str) {
    let wrong = Answers::read(&yaml(answers)).unwrap_err();
    assert!(wrong[0].to_string().starts_with(says), "{}", wrong[0]);
}

#[test]
fn indicators_that_no_objective_has_are_refused() {
    let definitions = shop(&["scale"]);
    let answers = Answers::read(&yaml("evaluation: [{indicators: {latncy: 1}}]")).unwrap();
    let error = run(&definitions, first(&problem(), &definitions).unwrap(), &answers).unwrap_err();
    let says = "evaluation[0].indicators.latncy: ServiceLevelObjective o has no indicator of this name; did you mean \"latency\"?";
    assert_eq!(error.to_string(), says);
}

#[rstest]
#[case(json!({"data": {"project": "fulltou"}}), "data.project: no Shipyard \"fulltou\" in the files; did you mean \"fulltour\"?")]
#[case(json!({"data": {"project": 3}}), "data.project: is 3, and must be a name")]
#[case(json!({"data": {"service": null}}), "data.service: is missing; name the service")]
#[case(json!({"data": {"stage": "qa"}}), "data.stage: is \"qa\", but the event's type is of stage \"production\"")]
#[case(json!({"type": "sh.keptn.event.production.remedy.triggered"}), "type: no sequence \"remedy\" in stage production of Shipyard fulltour")]
#[case(json!({"type": "sh.keptn.event.prod.remediation.triggered", "data": {"stage": null}}), "data.stage: no stage \"prod\" in Shipyard fulltour; did you mean \"production\"?")]
#[case(json!({"type": "sh.keptn.event.je-test.triggered"}), "type: is \"sh.keptn.event.je-test.triggered\"; what triggers a sequence is")]
#[case(json!({"type": null}), "type: is missing")]
#[case(json!({"time": "now"}), "time: is no time such as 2026-01-01T00:00:00Z")]
#[case(json!({"apiVersion": "coxswain.dev/v1alpha1", "kind": "Shipyrd"}), "kind: \"Shipyrd\" triggers no run")]
fn wrong_events_are_refused(#[case] patch: Value, #[case] says: &str) {
    let mut event = trigger();
    merge(&mut event, &patch);
    let wrong = first(&event, &tutorial()).unwrap_err();
    assert!(wrong[0].to_string().starts_with(says), "{}", wrong[0]);
}

/// JSON merge patch.
fn merge(value: &mut Value, patch: &Value) {
    for (key, new) in patch.as_object().unwrap() {
        match new {
            Value::Null => drop(value.as_object_mut().unwrap().remove(key)),
            Value::Object(_) if value[key].is_object() => merge(&mut value[key], new),
            new => value[key] = new.clone(),
        }
    }
}

#[rstest]
#[case(
    "{kind: Shipyrd, metadata: {name: a}, spec: {}}",
    "kind: \"Shipyrd\" is no kind of coxswain.dev; did you mean \"Shipyard\"?"
)]
#[case("{kind: Shipyard, metadata: {name: a}}", "spec: is missing; add it")]
#[case(
    "{kind: Shipyard, metadata: {}, spec: {stages: []}}",
    "metadata.name: is missing; add it"
)]
#[case(
    "{kind: Shipyard, metadata: {name: a}, spec: {stages: [{name: x, sequence: []}]}}",
    "spec.stages[0].sequence: is no known field; did you mean \"sequences\"?"
)]
#[case(
    "{kind: Shipyard, metadata: {name: a}, spec: {stages: [{name: 3}]}}",
    "spec.stages[0].name: is 3, and must be of type string"
)]
#[case(
    "{kind: Shipyard, metadata: {name: a}, spec: {stages: [{}]}}",
    "spec.stages[0].name: is missing; add it"
)]
#[case(
    "{kind: Remediation, metadata: {name: a}, spec: {project: p, mode: Off, remediations: []}}",
    "spec.mode: is \"Off\"; use one of Act, Observe"
)]
fn wrong_definitions_are_refused(#[case] text: &str, #[case] says: &str) {
    let mut value = yaml(text);
    value["apiVersion"] = json!("coxswain.dev/v1alpha1");
    let document = Document {
        origin: "a.yaml".into(),
        value,
    };
    let wrong = Definitions::read(&[document]).unwrap_err();
    assert_eq!(wrong[0].to_string(), format!("a.yaml: {says}"));
}

#[test]
fn what_is_expected_is_compared() {
    let report = simulate(&tutorial(), &trigger(), "evaluation: [fail]");
    let expect = |text: &str| serde_json::from_value::<Expect>(yaml(text)).unwrap();
    let good = "executions: [{stage: production, attempts: 2, phase: Exhausted, tasks: [{name: action, jobs: [{image: 'alpine/helm:3.9.0'}]}, {name: get-action, result: fail}]}]";
    assert_eq!(case::differences(&expect(good), &report), Vec::<String>::new());
    let bad =
        "executions: [{attempts: 1, tasks: [{name: action, attempt: 2}, {name: evaluation, result: pass}]}]";
    assert_eq!(
        case::differences(&expect(bad), &report),
        [
            "executions[0].attempts: expected 1, got 2",
            "executions[0].tasks[0]: expected action of attempt 2 to run, but what ran is get-action of attempt 1, action of attempt 1, je-test of attempt 1, evaluation of attempt 1, get-action of attempt 2",
            "executions[0].tasks[1].result: expected \"pass\", got \"fail\"",
        ]
    );
    assert_eq!(
        case::differences(&expect("executions: []"), &report),
        ["executions: expected 0, but there were 1: production.remediation"]
    );
}

#[test]
fn what_waits_for_nothing_says_so() {
    let mut run = json!({"apiVersion": "coxswain.dev/v1alpha1", "kind": "SequenceExecution", "metadata": {"name": "r"},
        "spec": {"project": "fulltour", "stage": "qa", "service": "helloservice", "sequence": "delivery"}});
    run["spec"]["control"] = json!({"desired": "Pause"});
    let report = simulate(&tutorial(), &run, "");
    assert_eq!(report.executions[0].phase, "Aborted", "a pause ends after a week");
    assert_eq!(report.executions[0].triggered_by, None);
}
