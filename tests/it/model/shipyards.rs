//! The small shipyards that are searched.

use std::collections::BTreeMap;

use coxswain::{
    api::{
        SequenceExecution,
        execution::{Follower, PinnedJobConfig},
        shipyard::Sequence,
    },
    core::sequence::{AttemptDefinitions, RunDefinitions},
};
use jiff::Timestamp;
use serde_json::{Value, json};

pub const START: i64 = 1_800_000_000;
/// What every sequence here says.
pub const ATTEMPTS: i32 = 2;
/// What the Job says that is tried again.
pub const RETRIES: usize = 1;

/// What is defined, and the runs that there are at the start.
pub struct Shipyard {
    /// By `<stage>.<sequence>`.
    pub definitions: BTreeMap<String, (RunDefinitions, AttemptDefinitions)>,
    pub runs: Vec<SequenceExecution>,
}

pub fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(START + seconds).unwrap()
}

fn run(name: &str, stage: &str, sequence: &str) -> SequenceExecution {
    serde_json::from_value(json!({
        "metadata": {"name": name, "namespace": "shop", "uid": format!("uid-{name}"), "generation": 1,
                     "creationTimestamp": at(0).to_string()},
        "spec": {"project": "shop", "stage": stage, "service": "cart", "sequence": sequence,
                 "data": {"result": "pass"}},
    }))
    .unwrap()
}

fn defined(sequence: Value, followers: Vec<Follower>) -> (RunDefinitions, AttemptDefinitions) {
    let sequence: Sequence = serde_json::from_value(sequence).unwrap();
    let remediation = json!({"metadata": {"name": "rem", "namespace": "shop"}, "spec": {"project": "shop",
        "remediations": [{"problemType": "default", "actionsOnOpen": [{"action": "scale"}, {"action": "restart"}]}]}});
    let asks = sequence.tasks.iter().any(|t| t.name == "get-action");
    let run = RunDefinitions {
        sequence,
        remediation: asks.then(|| serde_json::from_value(remediation).unwrap()),
        followers,
        pinned: vec![],
    };
    let attempt = AttemptDefinitions {
        job_configs: vec![job_config()],
        gate: serde_json::from_value(json!({
            "objectiveName": "slo",
            "objective": {"objectives": [{"sli": "latency", "pass": [{"criteria": ["<1"]}]}], "total_score": {"pass": "90%"}},
            "indicators": {"latency": {"query": "latency", "provider": "prometheus"}},
        }))
        .unwrap(),
        pinned: vec![],
    };
    (run, attempt)
}

fn job_config() -> PinnedJobConfig {
    let action = |name: &str, task: &str| {
        json!({"name": name, "events": [{"name": format!("sh.keptn.event.{task}.triggered")}],
               "tasks": [{"name": "do", "image": "busybox"}]})
    };
    serde_json::from_value(json!({"name": "jobs", "specificity": 3,
        "actions": [action("deploy", "je-deployment"), action("act", "action"),
                    action("load", "je-test"), action("soak", "je-test"),
                    {"name": "send", "events": [{"name": "sh.keptn.event.notify.triggered"}],
                     "tasks": [{"name": "send", "image": "busybox", "timeout": "10s",
                                "retries": RETRIES, "retryBackoff": "20s"}]}]}))
    .unwrap()
}

/// One Job that is tried again when it fails.
pub fn tries() -> Shipyard {
    let sequence = json!({"name": "delivery", "maxAttempts": ATTEMPTS, "tasks": [{"name": "notify"}]});
    Shipyard {
        definitions: [("qa.delivery".to_owned(), defined(sequence, vec![]))].into(),
        runs: vec![run("one", "qa", "delivery")],
    }
}

/// One Job that is tried again, and another run for its place.
pub fn tries_and_another_run() -> Shipyard {
    let mut shipyard = tries();
    let sequence = json!({"name": "other", "maxAttempts": ATTEMPTS, "tasks": [{"name": "je-deployment", "timeout": "10m"}]});
    shipyard
        .definitions
        .insert("qa.other".to_owned(), defined(sequence, vec![]));
    shipyard.runs.push(run("two", "qa", "other"));
    shipyard
}

/// One Job and a gate, which repeats itself once. The Job's limit is below the time in which a recorded Job may still be
/// created, the harder case.
pub fn retry_loop() -> Shipyard {
    let sequence = json!({
        "name": "delivery", "retryAfter": "2m", "maxAttempts": ATTEMPTS,
        "triggeredOn": [{"event": "qa.delivery.finished", "selector": {"match": {"evaluation.result": "fail"}}}],
        "tasks": [{"name": "je-deployment", "timeout": "10s"}, {"name": "evaluation", "properties": {"timeframe": "2m"}}],
    });
    Shipyard {
        definitions: [("qa.delivery".to_owned(), defined(sequence, vec![]))].into(),
        runs: vec![run("one", "qa", "delivery")],
    }
}

/// A task that two actions answer, at once.
pub fn two_lanes() -> Shipyard {
    let sequence = json!({"name": "delivery", "maxAttempts": ATTEMPTS,
        "tasks": [{"name": "je-test", "timeout": "10m"}]});
    Shipyard {
        definitions: [("qa.delivery".to_owned(), defined(sequence, vec![]))].into(),
        runs: vec![run("one", "qa", "delivery")],
    }
}

/// A stage, then a question and another stage.
pub fn two_stages() -> Shipyard {
    let qa = json!({"name": "delivery", "maxAttempts": ATTEMPTS, "tasks": [{"name": "je-deployment", "timeout": "10m"}]});
    let production = json!({"name": "delivery", "maxAttempts": ATTEMPTS,
        "tasks": [{"name": "approval", "properties": {"pass": "manual"}}, {"name": "je-deployment", "timeout": "10m"}]});
    let follower = Follower {
        stage: "production".to_owned(),
        sequence: "delivery".to_owned(),
        rule: serde_json::from_value(json!({"event": "qa.delivery.finished"})).unwrap(),
    };
    Shipyard {
        definitions: [
            ("qa.delivery".to_owned(), defined(qa, vec![follower])),
            ("production.delivery".to_owned(), defined(production, vec![])),
        ]
        .into(),
        runs: vec![run("one", "qa", "delivery")],
    }
}

/// A delivery and a remediation for one place.
pub fn one_place() -> Shipyard {
    let delivery = json!({"name": "delivery", "maxAttempts": ATTEMPTS,
        "tasks": [{"name": "je-deployment", "timeout": "10m"}]});
    let remediation = json!({"name": "remediation", "maxAttempts": ATTEMPTS,
        "tasks": [{"name": "get-action"}, {"name": "action", "timeout": "10m"}]});
    Shipyard {
        definitions: [
            ("qa.delivery".to_owned(), defined(delivery, vec![])),
            ("qa.remediation".to_owned(), defined(remediation, vec![])),
        ]
        .into(),
        runs: vec![run("one", "qa", "delivery"), run("two", "qa", "remediation")],
    }
}
