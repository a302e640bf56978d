//! Each change is counted once, wherever the status was cut in two.

use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::*;

fn run(status: Json) -> SequenceExecution {
    serde_json::from_value(json!({
        "metadata": {"name": "r", "namespace": "team", "uid": "u", "creationTimestamp": "2026-01-01T00:00:00Z"},
        "spec": {"project": "shop", "stage": "production", "service": "cart", "sequence": "remediation",
                 "data": {"problem": {"problemTitle": "slow"}}},
        "status": status,
    }))
    .unwrap()
}

/// What a run with two attempts says of itself, one write after the other.
fn story() -> Vec<SequenceExecution> {
    let task = |name: &str, result: &str, from: u32, to: u32| {
        json!({"name": name, "state": "Done", "result": result, "status": "succeeded",
               "startedAt": format!("2026-01-01T00:{from:02}:00.000000Z"),
               "finishedAt": format!("2026-01-01T00:{to:02}:00.000000Z")})
    };
    let running = json!({"name": "action", "state": "Running", "startedAt": "2026-01-01T00:01:00.000000Z"});
    let attempt = |number: i32, action: &str, result: Json, tasks: Json| {
        let over = if result.is_null() {
            Json::Null
        } else {
            json!("2026-01-01T00:06:00.000000Z")
        };
        json!({"number": number, "action": action, "result": result, "tasks": tasks, "finishedAt": over})
    };
    let first = attempt(
        1,
        "toggle",
        json!("fail"),
        json!([task("action", "pass", 1, 2), task("evaluation", "fail", 2, 4)]),
    );
    let second = |result: Json| attempt(2, "scale", result, json!([task("action", "pass", 5, 6)]));
    let begun = "2026-01-01T00:01:00.000000Z";
    [
        json!(null),
        json!({"phase": "Queued"}),
        json!({"phase": "Running", "startedAt": begun, "attempts": [attempt(1, "toggle", Json::Null, json!([running]))]}),
        json!({"phase": "Waiting", "startedAt": begun, "attempts": [first]}),
        json!({"phase": "Running", "startedAt": begun, "attempts": [first, second(Json::Null)]}),
        json!({"phase": "Succeeded", "done": true, "startedAt": begun, "finishedAt": "2026-01-01T00:07:00.000000Z",
               "attempts": [first, second(json!("pass"))]}),
        // A retry is noted in a run that has ended.
        json!({"phase": "Succeeded", "done": true, "startedAt": begun, "finishedAt": "2026-01-01T00:07:00.000000Z",
               "attempts": [first, second(json!("pass"))], "retried": {"id": "1"}}),
    ]
    .map(run)
    .into()
}

/// What is counted when only these versions of the run were written.
fn counted(versions: &[SequenceExecution]) -> Vec<String> {
    let mut all = Vec::new();
    for pair in versions.windows(2) {
        all.extend(of_run(&pair[1], &pair[0].status.clone().unwrap_or_default()));
    }
    let mut shown: Vec<_> = all.iter().map(|change| format!("{change:?}")).collect();
    shown.sort();
    shown
}

#[test]
fn a_run_s_story_is_counted() {
    let versions = story();
    let mut all: Vec<Change> = Vec::new();
    for pair in versions.windows(2) {
        all.extend(of_run(&pair[1], &pair[0].status.clone().unwrap_or_default()));
    }
    let of = run_labels(&versions[0]);
    let healing = Healing {
        project: value("shop"),
        problem: value("slow"),
    };
    let task = |name: &str, result: &str, took: f64| {
        let (project, stage) = (value("shop"), value("production"));
        Change::TaskTook(
            Task {
                project,
                stage,
                task: value(name),
                result: value(result),
            },
            took,
        )
    };
    let attempt = |action: &str, result: &str| {
        let (project, problem) = (value("shop"), value("slow"));
        Change::Attempted(Attempt {
            project,
            problem,
            action: value(action),
            result: value(result),
        })
    };
    assert_eq!(
        all,
        [
            Change::Began(of.clone()),
            task("action", "pass", 60.0),
            task("evaluation", "fail", 120.0),
            attempt("toggle", "fail"),
            task("action", "pass", 60.0),
            attempt("scale", "pass"),
            Change::RunTook(
                RunKind {
                    project: of.project.clone(),
                    stage: of.stage.clone(),
                    sequence: of.sequence.clone()
                },
                360.0
            ),
            Change::Ended(RunEnd {
                namespace: of.namespace,
                project: of.project,
                stage: of.stage,
                sequence: of.sequence,
                phase: value("Succeeded"),
            }),
            Change::HealedAfter(healing, 2),
        ]
    );
}

proptest! {
    /// However the story is cut into writes, with whatever repeated: the same is counted.
    #[test]
    fn each_change_is_counted_once(kept in proptest::collection::vec(0..3_usize, 5)) {
        let whole = story();
        let mut some = vec![whole[0].clone()];
        for (version, times) in whole[1..6].iter().zip(kept) {
            some.extend(std::iter::repeat_n(version.clone(), times));
        }
        some.push(whole[6].clone());
        // What a write leaves out (a task that began and ended between two of them) is counted with the next one.
        prop_assert_eq!(counted(&some), counted(&whole));
    }
}

#[test]
fn attempts_that_are_left_out_at_last_are_not_counted_again() {
    let mut versions = story();
    let mut last = versions.pop().unwrap();
    let before = last.status.clone().unwrap();
    last.status.as_mut().unwrap().attempts.remove(0);
    assert_eq!(of_run(&last, &before), []);
}

#[rstest::rstest]
#[case::gone_well(json!({"name": "t", "state": "Done", "result": "warning", "status": "succeeded"}), "warning")]
#[case::errored(json!({"name": "t", "state": "Lost", "result": "fail", "status": "errored"}), "errored")]
#[case::somebody_else_s_word(json!({"name": "t", "state": "Done", "result": "great"}), "none")]
fn results_of_tasks(#[case] task: Json, #[case] result: &str) {
    let task: TaskStatus = serde_json::from_value(task).unwrap();
    assert_eq!(task_labels(&run(json!({})), &task).result, result);
}

fn problem(status: Json) -> ProblemEvent {
    serde_json::from_value(json!({
        "metadata": {"name": "p", "namespace": "team", "creationTimestamp": "2026-01-01T00:00:00Z"},
        "spec": {"project": "shop", "stage": "production", "service": "cart", "problem": {"problemTitle": "slow"}},
        "status": status,
    }))
    .unwrap()
}

#[rstest::rstest]
#[case::open(json!({"phase": "Healing"}), false, &[])]
#[case::healed(json!({"phase": "Healed", "done": true, "finishedAt": "2026-01-01T00:05:00.000000Z"}), false, &["Closed", "HealedIn"])]
#[case::told_again(json!({"phase": "Healed", "done": true, "finishedAt": "2026-01-01T00:05:00.000000Z"}), true, &[])]
#[case::joined(json!({"phase": "Healed", "done": true, "joined": "q", "finishedAt": "2026-01-01T00:05:00.000000Z"}), false, &["Closed"])]
#[case::given_up(json!({"phase": "Exhausted", "done": true, "finishedAt": "2026-01-01T00:05:00.000000Z"}), false, &["Closed"])]
fn problems_are_closed_once(#[case] status: Json, #[case] closed_before: bool, #[case] expected: &[&str]) {
    let changes = of_problem(&problem(status), closed_before);
    let shown: Vec<_> = changes.iter().map(|c| format!("{c:?}")).collect();
    let names: Vec<_> = shown.iter().map(|c| c.split('(').next().unwrap()).collect();
    assert_eq!(names, expected);
    if let Some(Change::HealedIn(_, seconds)) = changes.last() {
        assert!((seconds - 300.0).abs() < f64::EPSILON);
    }
}

#[rstest::rstest]
#[case::passed(json!({"phase": "Succeeded", "done": true, "result": "pass", "score": 87.5}), Some("pass"), Some(87.5))]
#[case::unverified(json!({"phase": "Succeeded", "done": true, "result": "warning"}), Some("warning"), None)]
#[case::not_measured(json!({"phase": "Inconclusive", "done": true}), Some("inconclusive"), None)]
#[case::not_yet(json!({"phase": "Running"}), None, None)]
fn verdicts(#[case] status: Json, #[case] result: Option<&str>, #[case] score: Option<f64>) {
    let evaluation: Evaluation = serde_json::from_value(json!({
        "metadata": {"name": "e", "namespace": "team"},
        "spec": {"project": "shop", "stage": "production", "service": "cart"},
        "status": status,
    }))
    .unwrap();
    let (mut found, mut scored) = (None, None);
    for change in of_verdict(&evaluation) {
        match change {
            Change::Judged(verdict) => found = Some(verdict.result.into_owned()),
            Change::Scored(_, score) => scored = Some(score),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((found.as_deref(), scored), (result, score));
}

#[test]
fn one_that_comes_back_to_the_queue_waits_since_then() {
    let born: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    assert_eq!(waits_since(&run(json!(null))), Some(born));
    let back = run(json!({"phase": "Queued", "attempts": [{"number": 1, "tasks": [
        {"name": "approval", "state": "Done", "finishedAt": "2026-01-01T05:00:00.000000Z"},
        {"name": "deployment", "state": "Pending"},
    ]}]}));
    assert_eq!(waits_since(&back), Some("2026-01-01T05:00:00Z".parse().unwrap()));
}
