use jiff::{SignedDuration, Timestamp};
use rstest::rstest;
use serde_json::{Value, json};

use super::*;
use crate::api::EventSinkStatus;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// A run of two attempts: the first failed, the second healed.
fn healed() -> SequenceExecution {
    serde_json::from_value(json!({
        "metadata": {"name": "slow-1-abc", "namespace": "shop", "uid": "u1", "creationTimestamp": "2026-01-05T09:00:00Z"},
        "spec": {"project": "fulltour", "stage": "production", "service": "hello", "sequence": "remediation",
            "data": {"problem": {"problemTitle": "Response time"}}, "labels": {"team": "blue"}},
        "status": {
            "phase": "Succeeded", "done": true, "result": "pass", "attempt": 2, "message": "healed by scale",
            "startedAt": "2026-01-05T09:00:01.000000Z", "finishedAt": "2026-01-05T09:09:00.000000Z",
            "payload": {"result": "pass", "status": "succeeded", "problem": {"problemTitle": "Response time"}},
            "attempts": [
                {"number": 1, "action": "toggle", "result": "fail", "tasks": [
                    {"name": "action", "state": "Done", "result": "fail", "status": "succeeded", "message": "exit code 1",
                     "reason": "ExitCode", "startedAt": "2026-01-05T09:00:01.000000Z", "finishedAt": "2026-01-05T09:00:05.000000Z"},
                    {"name": "evaluation", "state": "Pending"}]},
                {"number": 2, "action": "scale", "result": "pass", "score": 100.0, "tasks": [
                    {"name": "action", "state": "Done", "result": "pass", "status": "succeeded",
                     "startedAt": "2026-01-05T09:02:05.000000Z", "finishedAt": "2026-01-05T09:02:09.000000Z"},
                    {"name": "evaluation", "state": "Done", "result": "pass", "status": "succeeded",
                     "evaluation": {"name": "slow-1-abc-2", "try": 1},
                     "startedAt": "2026-01-05T09:02:09.000000Z", "finishedAt": "2026-01-05T09:09:00.000000Z"}]}],
        },
    }))
    .unwrap()
}

fn exhausted() -> SequenceExecution {
    let mut run = healed();
    let status = run.status.as_mut().unwrap();
    status.phase = "Exhausted".to_owned();
    status.reason = "NoMoreActions".to_owned();
    status.message = "no action is left\n<!channel> `rm -rf`".to_owned();
    run
}

fn sink(yaml: &str) -> Sink {
    Sink::parse(&serde_yaml::from_str(yaml).unwrap()).unwrap()
}

fn events() -> Sink {
    sink("http: {url: 'http://events'}")
}

fn fresh() -> Ledger {
    Ledger::read(None, at("2026-01-05T08:00:00Z"))
}

fn types(letters: &[Letter]) -> Vec<&str> {
    letters
        .iter()
        .map(|l| l.type_.trim_start_matches("sh.keptn.event."))
        .collect()
}

#[test]
fn the_whole_story_is_told_in_its_order() {
    let letters = events().letters(&healed(), &fresh());
    assert_eq!(
        types(&letters),
        [
            "production.remediation.triggered",
            "production.remediation.started",
            "action.triggered",
            "action.started",
            "action.finished",
            "action.triggered",
            "action.started",
            "action.finished",
            "evaluation.triggered",
            "evaluation.started",
            "evaluation.finished",
            "production.remediation.finished",
        ]
    );
    assert!(letters.is_sorted_by_key(|l| l.position));
    let mut ids: Vec<&str> = letters.iter().map(|l| l.id.as_str()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), letters.len(), "each has an id of its own");
}

#[test]
fn what_the_events_say() {
    let letters = events().letters(&healed(), &fresh());
    insta::assert_json_snapshot!(letters[10].body, @r#"
    {
      "data": {
        "coxswain": {
          "attempt": 2,
          "execution": "slow-1-abc",
          "namespace": "shop",
          "reason": "",
          "task": 1
        },
        "evaluation": {
          "name": "slow-1-abc-2",
          "result": "pass",
          "score": 100.0
        },
        "labels": {
          "team": "blue"
        },
        "message": "",
        "project": "fulltour",
        "result": "pass",
        "service": "hello",
        "stage": "production",
        "status": "succeeded"
      },
      "datacontenttype": "application/json",
      "id": "a54e8945-f6cf-84eb-959a-b4f5111ac381",
      "shkeptncontext": "u1",
      "shkeptnspecversion": "0.2.4",
      "source": "coxswain",
      "specversion": "1.0",
      "time": "2026-01-05T09:09:00Z",
      "triggeredid": "fd77f4e6-f536-833f-ac2a-49a1816385d3",
      "type": "sh.keptn.event.evaluation.finished"
    }
    "#);
    let ended = &letters[11].body["data"];
    assert_eq!(
        (&ended["result"], &ended["status"]),
        (&json!("pass"), &json!("succeeded"))
    );
    assert_eq!(ended["message"], "healed by scale");
    assert_eq!(ended["problem"]["problemTitle"], "Response time");
    assert_eq!(
        ended["coxswain"],
        json!({"namespace": "shop", "execution": "slow-1-abc", "phase": "Succeeded", "reason": "", "attempts": 2})
    );
    // An event that ends something names the one that began it.
    assert_eq!(letters[4].body["triggeredid"], letters[2].id.as_str());
    assert_eq!(letters[11].body["triggeredid"], letters[0].id.as_str());
    assert_eq!(letters[4].body["data"]["result"], "fail");
}

#[test]
fn a_restart_goes_on_after_what_was_recorded() {
    let (sink, run) = (events(), healed());
    let all = sink.letters(&run, &fresh());
    for seen in 0..all.len() {
        let mut ledger = fresh();
        for letter in &all[..seen] {
            ledger.told(&run, letter.position);
        }
        let mut status = EventSinkStatus::default();
        ledger.write(&mut status);
        let again = Ledger::read(Some(&status), at("2026-01-05T08:00:00Z"));
        assert_eq!(sink.letters(&run, &again), all[seen..]);
    }
}

#[test]
fn what_happened_before_the_sink_was_there_is_not_told() {
    let ledger = Ledger::read(None, at("2026-01-05T09:02:09Z"));
    let letters = events().letters(&healed(), &ledger);
    assert_eq!(
        types(&letters),
        [
            "action.finished",
            "evaluation.triggered",
            "evaluation.started",
            "evaluation.finished",
            "production.remediation.finished"
        ]
    );
    let later = Ledger::read(None, at("2026-01-05T10:00:00Z"));
    assert_eq!(events().letters(&healed(), &later), []);
}

#[test]
fn one_time_stands_for_the_runs_that_ended_a_while_ago() {
    let (sink, run) = (events(), healed());
    let mut ledger = fresh();
    ledger.told(&run, Position::Ended);
    let mut status = EventSinkStatus::default();
    ledger.settle(at("2026-01-05T09:10:00Z"));
    ledger.write(&mut status);
    assert_eq!(status.told.len(), 1, "it ended a minute ago");
    ledger.settle(at("2026-01-05T09:14:01Z"));
    ledger.write(&mut status);
    assert_eq!(status.told, []);
    let again = Ledger::read(Some(&status), at("2026-01-05T08:00:00Z"));
    assert_eq!(sink.letters(&run, &again), []);
}

#[test]
fn a_run_that_lives_is_remembered_however_long() {
    let mut run = healed();
    run.status.as_mut().unwrap().done = false;
    let mut ledger = fresh();
    ledger.told(&run, "2.0.finished".parse().unwrap());
    ledger.settle(at("2026-01-09T09:00:00Z"));
    let letters = events().letters(&run, &ledger);
    assert_eq!(
        types(&letters),
        [
            "evaluation.triggered",
            "evaluation.started",
            "evaluation.finished"
        ]
    );
    // Its end is seen, though the sink does not want to be told of it.
    ledger.saw(&healed());
    ledger.settle(at("2026-01-09T09:00:00Z"));
    let mut status = EventSinkStatus::default();
    ledger.write(&mut status);
    assert_eq!(status.told, []);
}

#[test]
fn the_record_stays_small() {
    let mut ledger = fresh();
    for number in 0..2500 {
        let mut run = healed();
        run.metadata.uid = Some(format!("u{number:04}"));
        let ended = at("2026-01-05T09:00:00Z") + SignedDuration::from_secs(number);
        run.status.as_mut().unwrap().finished_at = Some(crate::api::Timestamp(ended));
        ledger.told(&run, Position::Ended);
    }
    ledger.bound();
    let mut status = EventSinkStatus::default();
    ledger.write(&mut status);
    assert_eq!(status.told.len(), 2000);
    assert_eq!(status.told[0].uid, "u0500", "the oldest go first");
}

#[rstest]
#[case("{types: ['*.finished']}", 4)]
#[case("{types: [sh.keptn.event.evaluation.finished]}", 1)]
#[case("{types: ['sh.keptn.event.production.*']}", 3)]
#[case("{projects: [other]}", 0)]
#[case(
    "{projects: [fulltour], stages: [dev, production], services: [hello], sequences: [remediation]}",
    12
)]
#[case("{services: [cart]}", 0)]
fn filters(#[case] filter: &str, #[case] expected: usize) {
    let sink = sink(&format!("{{http: {{url: 'http://events'}}, filter: {filter}}}"));
    assert_eq!(sink.letters(&healed(), &fresh()).len(), expected);
}

#[test]
fn people_are_told_once_of_a_bad_end() {
    let sink = sink("{http: {url: 'http://chat'}, notify: {}}");
    assert_eq!(sink.letters(&healed(), &fresh()), []);
    let letters = sink.letters(&exhausted(), &fresh());
    assert_eq!((letters.len(), letters[0].type_.as_str()), (1, "Exhausted"));
    insta::assert_snapshot!(letters[0].body["text"].as_str().unwrap(), @r"
    :rotating_light: *remediation* of `hello` in stage `production` of project `fulltour`: *Exhausted*
    Problem: Response time
    no action is left &lt;!channel&gt; 'rm -rf'
    Tried:
    • 1. toggle: fail (action: exit code 1)
    • 2. scale: pass, score 100
    ```
    kubectl describe sequenceexecution slow-1-abc -n shop
    coxswain explain slow-1-abc -n shop
    ```
    ");
    let mut ledger = fresh();
    ledger.told(&exhausted(), letters[0].position);
    assert_eq!(sink.letters(&exhausted(), &ledger), []);
}

#[test]
fn people_are_told_of_each_hold_and_of_the_end_after_it() {
    let sink = sink("{http: {url: 'http://chat'}, notify: {}}");
    let mut run = exhausted();
    let status = run.status.as_mut().unwrap();
    (status.phase, status.done) = ("Held".to_owned(), false);
    let held = sink.letters(&run, &fresh());
    assert_eq!(held.len(), 1);
    let mut ledger = fresh();
    ledger.told(&run, held[0].position);
    assert_eq!(sink.letters(&run, &ledger), [], "it is still held");
    assert_eq!(sink.letters(&exhausted(), &ledger).len(), 1);
}

#[test]
fn a_template_is_filled_in_and_its_values_are_no_templates() {
    let sink = sink(
        "{http: {url: 'http://pager'}, notify: {phases: [Exhausted], template: {
            summary: '{{service}} in {{ stage }}: {{phase}} {{', severity: 3, list: ['{{message}}', {deep: '{{problem}}'}]}}}",
    );
    let mut run = exhausted();
    run.status.as_mut().unwrap().message = "{{stage}}\", \"x\": \"".to_owned();
    let body = &sink.letters(&run, &fresh())[0].body;
    let expected: Value = json!({"summary": "hello in production: Exhausted {{", "severity": 3,
        "list": ["{{stage}}\", \"x\": \"", {"deep": "Response time"}]});
    assert_eq!(*body, expected);
}

#[rstest]
#[case("{http: {}}", "spec.http: names no server; write url or urlFrom")]
#[case(
    "{http: {url: 'http://a', urlFrom: {secretRef: {name: s, key: k}}}}",
    "spec.http: has both url and urlFrom"
)]
#[case("{http: {url: 'http://127.0.0.1:1'}}", "set spec.http.allowLoopback: true")]
#[case("{http: {url: 'http://169.254.169.254/'}}", "metadata address")]
#[case(
    "{http: {url: 'http://a', timeout: 0s}}",
    "spec.http.timeout: is no time at all"
)]
#[case(
    "{http: {url: 'http://a', timeout: 2m}}",
    "spec.http.timeout: is longer than 60s"
)]
#[case("{http: {url: 'http://a'}, retryFor: 25h}", "spec.retryFor: is longer")]
#[case(
    "{http: {url: 'http://a'}, filter: {types: ['[']}}",
    "spec.filter.types[0]: \"[\" is no pattern"
)]
#[case(
    "{http: {url: 'http://a'}, notify: {phases: [Exausted]}}",
    "did you mean \"Exhausted\"?"
)]
#[case(
    "{http: {url: 'http://a'}, notify: {phases: [Running]}}",
    "is no phase in which a run ends"
)]
#[case(
    "{http: {url: 'http://a'}, filter: {types: ['*']}, notify: {}}",
    "spec.filter.types: speaks of events"
)]
#[case(
    "{http: {url: 'http://a'}, notify: {template: {a: [{b: '{{servise}}'}]}}}",
    "spec.notify.template.a[0].b: {{servise}} stands for nothing; did you mean \"service\"?"
)]
fn mistakes_are_told(#[case] yaml: &str, #[case] says: &str) {
    let spec: EventSinkSpec = serde_yaml::from_str(yaml).unwrap();
    let wrong = Sink::parse(&spec).unwrap_err();
    assert!(
        wrong.len() == 1 && wrong[0].to_string().contains(says),
        "{wrong:?}"
    );
}

#[test]
fn a_webhook_s_url_may_have_a_query() {
    sink("{http: {url: 'https://hooks.example.com/x?token=abc', headers: [{name: X-A, value: b}]}}");
}
