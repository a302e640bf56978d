use rstest::rstest;
use serde_json::{Value, json};

use super::*;

const NOW: &str = "2026-01-01T12:00:00Z";

fn now() -> Timestamp {
    NOW.parse().unwrap()
}

fn typed<K: serde::de::DeserializeOwned>(value: Value) -> K {
    serde_json::from_value(value).unwrap()
}

fn facts(status: Value) -> Facts {
    let run = typed(json!({
        "metadata": {"name": "slow-1", "namespace": "shop", "creationTimestamp": "2026-01-01T11:50:00Z"},
        "spec": {"project": "shop", "stage": "production", "service": "cart", "sequence": "remediation",
                 "triggeredBy": {"kind": "ProblemEvent", "name": "slow"}},
        "status": status,
    }));
    Facts {
        run,
        approval: None,
        evaluation: None,
        behind: None,
        pods: vec![],
        warnings: vec![],
        held_by_namespace: false,
        held_by_installation: false,
        operator_namespace: "coxswain-system".to_owned(),
    }
}

fn screen(facts: &Facts) -> String {
    render(facts, now(), "coxswain", false)
}

fn job(state: &str) -> Value {
    json!({"name": "cart-je-test-x", "title": "load", "config": "cart", "action": 0, "task": 0, "try": 1, "state": state})
}

fn at_work(task: Value) -> Value {
    json!({
        "phase": "Running", "reason": "Running", "attempt": 2, "startedAt": "2026-01-01T11:50:00.000000Z",
        "message": "je-test: Job cart-je-test-x runs",
        "payload": {"get-action": {"actionIndex": 2}},
        "plan": {
            "sequence": {"name": "remediation", "tasks": [{"name": "get-action"}, {"name": "je-test"}, {"name": "evaluation"}],
                         "triggeredOn": [{"event": "production.remediation.finished"}]},
            "remediation": {"name": "cart", "problemType": "slow",
                            "actions": [{"action": "restart"}, {"action": "scale"}, {"action": "rollback"}]},
        },
        "attempts": [
            {"number": 1, "action": "restart", "result": "fail", "score": 0, "tasks": [
                {"name": "evaluation", "state": "Done", "result": "fail", "message": "fail: 0 of 100"}]},
            {"number": 2, "action": "scale", "tasks": [
                {"name": "get-action", "state": "Done", "result": "pass", "message": "scale (action 2 of 3)",
                 "startedAt": "2026-01-01T11:58:00.000000Z", "finishedAt": "2026-01-01T11:58:00.000000Z"},
                task, {"name": "evaluation", "state": "Pending"}]},
        ],
    })
}

#[test]
fn a_job_that_runs() {
    let task = json!({"name": "je-test", "state": "Running", "startedAt": "2026-01-01T11:59:00.000000Z",
        "deadline": "2026-01-01T12:09:00.000000Z", "jobs": [job("Running")]});
    insta::assert_snapshot!(screen(&facts(at_work(task))));
}

#[test]
fn an_image_that_can_t_be_pulled() {
    let mut task = json!({"name": "je-test", "state": "Starting", "reason": "ImagePullBackOff",
        "message": "Back-off pulling image \"locust:typo\"", "jobs": [job("Starting")],
        "deadline": "2026-01-01T12:09:00.000000Z"});
    task["jobs"][0]["reason"] = json!("ImagePullBackOff");
    let mut facts = facts(at_work(task));
    facts.pods = vec![typed(
        json!({"metadata": {"name": "cart-je-test-x-1"}, "status": {"containerStatuses": [
        {"name": "task", "image": "locust:typo", "imageID": "", "ready": false, "restartCount": 0,
         "state": {"waiting": {"reason": "ImagePullBackOff", "message": "Back-off pulling image \"locust:typo\""}}}]}}),
    )];
    facts.warnings = vec!["Pod cart-je-test-x-1: Failed: manifest unknown".to_owned()];
    insta::assert_snapshot!(screen(&facts));
}

#[test]
fn behind_another_run() {
    let mut facts = facts(
        json!({"phase": "Queued", "reason": "Queued", "waitsFor": "run cart-delivery-1",
        "message": "waits behind cart-delivery-1 for service cart in stage production"}),
    );
    facts.behind = Some(typed(json!({
        "metadata": {"name": "cart-delivery-1"},
        "spec": {"project": "shop", "stage": "production", "service": "cart", "sequence": "delivery"},
        "status": {"phase": "Running", "message": "deploy: Job cart-deploy-x runs"}})));
    insta::assert_snapshot!(screen(&facts));
}

#[test]
fn a_question() {
    let task = json!({"name": "approval", "state": "Waiting", "waitUntil": "2026-01-02T11:00:00.000000Z",
        "approval": {"name": "slow-1-q"}});
    let mut status = at_work(task);
    status["phase"] = json!("Waiting");
    status["reason"] = json!("Approval");
    status["message"] = json!("waits until 2026-01-02T11:00:00Z for an answer to Approval slow-1-q");
    let mut facts = facts(status);
    facts.approval = Some(typed(json!({"metadata": {"name": "slow-1-q"}, "spec": {
        "project": "shop", "stage": "production", "service": "cart", "sequence": "remediation",
        "execution": {"kind": "SequenceExecution", "name": "slow-1"}, "attempt": 2, "task": 1,
        "question": "May cart:2 go to production?", "groups": ["release-managers"], "notBy": "joe",
        "expiresAt": "2026-01-02T11:00:00.000000Z"}})));
    insta::assert_snapshot!(screen(&facts));
}

#[test]
fn a_hold() {
    let mut facts = facts(
        json!({"phase": "Held", "reason": "Held", "message": "held by the label of namespace shop; nothing new starts until the hold is lifted"}),
    );
    facts.held_by_namespace = true;
    insta::assert_snapshot!(screen(&facts));
}

#[test]
fn a_gate_that_failed_with_its_numbers() {
    let mut status = at_work(json!({"name": "je-test", "state": "Done", "result": "pass"}));
    status["attempts"][1]["tasks"][2] = json!({"name": "evaluation", "state": "Done", "result": "fail", "reason": "KeyIndicatorFailed",
        "message": "fail: 0 of 100", "evaluation": {"name": "slow-1-2-x", "try": 1}});
    status["done"] = json!(true);
    status["phase"] = json!("Failed");
    status["reason"] = json!("KeyIndicatorFailed");
    status["message"] = json!("evaluation: fail: 0 of 100");
    let mut facts = facts(status);
    facts.evaluation = Some(typed(json!({"metadata": {"name": "slow-1-2-x"},
        "spec": {"project": "shop", "stage": "production", "service": "cart", "objectiveName": "cart"},
        "status": {"done": true, "result": "fail", "indicators": [
            {"name": "response_time", "value": 0.91, "status": "fail", "score": 0, "weight": 1, "keySli": true,
             "passTargets": [{"criteria": "<=0.4", "targetValue": 0.4, "violated": true}]},
            {"name": "errors", "value": 0, "status": "pass", "score": 1, "weight": 1}]}})));
    insta::assert_snapshot!(screen(&facts));
}

/// Every phase and every common reason: what the screen must say, and a command that it must name.
#[rstest]
#[case::unseen(json!(null), "The operator has not looked at it yet", "coxswain doctor -n shop")]
#[case::paused(json!({"phase": "Paused", "reason": "Paused", "message": "paused", "pausedAt": "2026-01-01T11:00:00.000000Z"}),
    "aborted in 6d23h (2026-01-08T11:00:00Z)", "coxswain resume slow-1 -n shop")]
#[case::held_unknown(json!({"phase": "Held", "reason": "Held", "message": "held"}),
    "It goes on by itself when the hold ends", "kubectl delete configmap coxswain-hold -n coxswain-system")]
#[case::cooldown(json!({"phase": "Waiting", "reason": "Cooldown", "message": "cools down"}),
    "left alone for a while", "coxswain abort slow-1 -n shop")]
#[case::later(json!({"phase": "Waiting", "reason": "TriggeredAfter", "message": "x"}),
    "the task waits (triggeredAfter)", "coxswain watch slow-1 -n shop")]
#[case::triggers(json!({"phase": "Running", "reason": "Triggers", "message": "x"}),
    "starts what its end triggers", "coxswain watch slow-1 -n shop")]
#[case::succeeded(json!({"phase": "Succeeded", "reason": "Healed", "done": true, "message": "healed by scale"}),
    "How it ended\n  healed by scale", "kubectl describe sequenceexecution slow-1 -n shop")]
#[case::resolved(json!({"phase": "Resolved", "reason": "Resolved", "done": true, "message": "the problem was resolved"}),
    "How it ended", "kubectl describe sequenceexecution slow-1 -n shop")]
#[case::exhausted(json!({"phase": "Exhausted", "reason": "NoActionLeft", "done": true, "message": "all tried"}),
    "now a person has to look at the service", "coxswain retry slow-1 -n shop")]
#[case::attempts(json!({"phase": "Exhausted", "reason": "MaxAttempts", "done": true, "message": "3 attempts"}),
    "maxAttempts is reached", "coxswain retry slow-1 -n shop")]
#[case::budget(json!({"phase": "Exhausted", "reason": "BudgetSpent", "done": true, "message": "6 actions in 1h",
    "plan": {"pinned": [{"kind": "Remediation", "name": "cart"}]}}),
    "Remediation cart", "coxswain retry slow-1 -n shop")]
#[case::nobody(json!({"phase": "Failed", "reason": "NoExecutor", "done": true, "message": "no JobConfig action answers"}),
    "add an action with that event", "kubectl get jobconfigs -n shop -o wide")]
#[case::invalid_config(json!({"phase": "Failed", "reason": "JobConfigInvalid", "done": true, "message": "x"}),
    "nothing more general takes its place", "coxswain retry slow-1 --from failed-task -n shop")]
#[case::no_shipyard(json!({"phase": "Failed", "reason": "ShipyardNotFound", "done": true, "message": "no Shipyard"}),
    "Shipyard shop", "kubectl get shipyards -n shop -o wide")]
#[case::unknown_problem(json!({"phase": "Failed", "reason": "UnknownProblem", "done": true, "message": "x"}),
    "No Remediation has actions for this problem", "coxswain retry slow-1 -n shop")]
#[case::inconclusive(json!({"phase": "Inconclusive", "reason": "ProviderUnavailable", "done": true, "message": "x"}),
    "which says nothing about the service", "coxswain doctor -n shop")]
#[case::expired(json!({"phase": "Expired", "reason": "QueuedTooLong", "done": true, "message": "x"}),
    "so it did nothing", "coxswain retry slow-1 -n shop")]
#[case::superseded(json!({"phase": "Superseded", "reason": "Replaced", "done": true, "message": "x"}),
    "A newer run took its place", "kubectl describe sequenceexecution slow-1 -n shop")]
#[case::aborted(json!({"phase": "Aborted", "reason": "Aborted", "done": true, "message": "x"}),
    "Somebody aborted it", "coxswain retry slow-1 -n shop")]
#[case::deadline(json!({"phase": "TimedOut", "reason": "DeadlineExceeded", "done": true, "message": "x"}),
    "deadline is for the whole run", "coxswain retry slow-1 --from failed-task -n shop")]
#[case::declined(json!({"phase": "Failed", "reason": "Declined", "done": true, "message": "x"}),
    "answered with no", "coxswain retry slow-1 -n shop")]
#[case::retried(json!({"phase": "Failed", "reason": "TaskFailed", "done": true, "message": "x",
    "retried": {"id": "1", "execution": "slow-1-again"}}),
    "It was run again as slow-1-again", "coxswain explain slow-1-again -n shop")]
#[case::followed(json!({"phase": "Failed", "reason": "TaskFailed", "done": true, "message": "x",
    "triggered": [{"name": "cart-rollback-1", "stage": "production", "sequence": "rollback"}]}),
    "Its end started production.rollback", "coxswain explain cart-rollback-1 -n shop")]
fn every_state_is_explained(#[case] status: Value, #[case] says: &str, #[case] command: &str) {
    let screen = screen(&facts(status));
    assert!(screen.contains(says), "{screen}");
    assert!(screen.contains(&format!("  {command}")), "{screen}");
    assert!(screen.lines().count() <= 40, "one screen: {screen}");
}

#[rstest]
#[case::lost(json!({"name": "je-test", "state": "Lost", "jobs": [job("Lost")]}), "it may have run")]
#[case::late(json!({"name": "je-test", "state": "Done", "result": "fail", "status": "errored", "reason": "TimedOut"}), "did not end in time")]
#[case::memory(json!({"name": "je-test", "state": "Done", "result": "fail", "reason": "OOMKilled"}), "resources.limits.memory")]
#[case::report(json!({"name": "je-test", "state": "Done", "result": "fail", "reason": "ReportCut"}), "no silent pass")]
#[case::account(json!({"name": "je-test", "state": "Done", "result": "fail", "reason": "ServiceAccountNotAllowed"}), "coxswain.dev/allowed")]
#[case::evicted(json!({"name": "je-test", "state": "Done", "result": "fail", "reason": "PodDeleted"}), "Its pod was taken away")]
fn a_task_s_reason_is_explained(#[case] task: Value, #[case] says: &str) {
    let mut status = at_work(task);
    status["done"] = json!(true);
    status["phase"] = json!("Failed");
    status["reason"] = json!("TaskFailed");
    let screen = screen(&facts(status));
    assert!(screen.contains(says), "{screen}");
    assert!(
        screen.contains("coxswain retry slow-1 --from failed-task -n shop"),
        "{screen}"
    );
}

#[rstest]
#[case::schedule("Unschedulable", "No node has room")]
#[case::config("CreateContainerConfigError", "a ConfigMap, a Secret")]
#[case::start("StartError", "does not exist in the image")]
#[case::mount("FailedMount", "can't be mounted")]
#[case::quota("FailedCreate", "a quota, or a policy")]
fn a_job_that_can_t_start_is_explained(#[case] reason: &str, #[case] says: &str) {
    let task = json!({"name": "je-test", "state": "Starting", "reason": reason, "jobs": [job("Starting")]});
    let screen = screen(&facts(at_work(task)));
    assert!(screen.contains(says), "{screen}");
}

#[test]
fn a_gate_that_waits_holds_or_can_t_be_asked() {
    let gate = |evaluation: Value, until: &str| {
        screen(&facts(at_work(
            json!({"name": "evaluation", "state": "Waiting", "message": "m", "waitUntil": until,
            "evaluation": evaluation}),
        )))
    };
    let later = "2026-01-01T12:01:30.000000Z";
    let waits = gate(json!({"name": "e", "try": 1}), later);
    assert!(
        waits.contains("It is measured in 1m30s (2026-01-01T12:01:30Z)"),
        "{waits}"
    );
    let holds = gate(
        json!({"name": "e", "try": 2, "holdUntil": "2026-01-01T12:10:00.000000Z"}),
        later,
    );
    assert!(
        holds.contains("must stay so (mustHoldFor): it counts in 10m00s"),
        "{holds}"
    );
    let blind = gate(
        json!({"name": "e", "try": 2, "inconclusiveSince": "2026-01-01T11:50:00.000000Z"}),
        later,
    );
    assert!(blind.contains("Nothing could be measured for 10m00s"), "{blind}");
    assert!(blind.contains("ends Inconclusive in 20m00s"), "{blind}");
}

#[test]
fn what_an_outside_executor_says_is_told() {
    let task = json!({"name": "je-test", "state": "Running", "deadline": "2026-01-01T12:00:40.000000Z",
        "executors": [{"source": "chat-bot"}]});
    let screen = screen(&facts(at_work(task)));
    assert!(screen.contains("chat-bot: at work"), "{screen}");
    assert!(screen.contains("the task fails in 40s"), "{screen}");
}

#[test]
fn colours_change_nothing_but_the_colour() {
    let facts = facts(json!({"phase": "Expired", "reason": "QueuedTooLong", "done": true, "message": "x"}));
    let coloured = render(&facts, now(), "coxswain", true);
    assert!(coloured.contains("\x1b[31mExpired\x1b[0m"), "{coloured}");
    let plain = regex::Regex::new("\x1b\\[[0-9;]*m")
        .unwrap()
        .replace_all(&coloured, "")
        .into_owned();
    let trimmed: Vec<&str> = plain.lines().map(str::trim_end).collect();
    assert_eq!(trimmed, screen(&facts).lines().collect::<Vec<_>>());
}
