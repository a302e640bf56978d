//! What a case expects of a simulation, and how what happened differs.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Report, shape::short};

/// What a simulation should come to. Every field may be left out: only what is written is compared.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Expect {
    /// All the runs, in the order in which they are created.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub executions: Option<Vec<ExpectExecution>>,
}

/// What one run should come to.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExpectExecution {
    /// Its stage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage: Option<String>,
    /// Its service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// Its sequence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sequence: Option<String>,
    /// How it ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<String>,
    /// pass, warning or fail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<String>,
    /// Why it ends so, in a word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// How many attempts it makes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempts: Option<i32>,
    /// What triggers it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub triggered_by: Option<String>,
    /// Tasks that run, in this order; others may run between them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tasks: Vec<ExpectTask>,
}

/// What one task should come to.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExpectTask {
    /// The attempt, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<i32>,
    /// The task.
    pub name: String,
    /// pass, warning or fail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<String>,
    /// succeeded or errored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// decided, answer or assumed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Why, in a word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// All its Jobs, in order: any of the fields of the report.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jobs: Option<Vec<Value>>,
}

/// How the report differs from what is expected, a line each; empty when it does not.
pub fn differences(expect: &Expect, report: &Report) -> Vec<String> {
    let mut lines = vec![];
    if let Some(stopped) = &report.stopped {
        lines.push(format!("the simulation was {stopped}"));
    }
    let Some(expected) = &expect.executions else {
        return lines;
    };
    if expected.len() != report.executions.len() {
        let ran: Vec<String> = report
            .executions
            .iter()
            .map(|e| format!("{}.{}", e.stage, e.sequence))
            .collect();
        lines.push(format!(
            "executions: expected {}, but there were {}: {}",
            expected.len(),
            report.executions.len(),
            ran.join(", ")
        ));
    }
    for (index, (expected, got)) in expected.iter().zip(&report.executions).enumerate() {
        let path = format!("executions[{index}]");
        let (mut wanted, got) = (json(expected), json(got));
        let fields = wanted.as_object_mut();
        fields.map(|fields| fields.remove("tasks"));
        compare(&wanted, &got, &path, &mut lines);
        tasks(&expected.tasks, &got, &path, &mut lines);
    }
    lines
}

/// Every expected task is the next of its name (and attempt) that ran.
fn tasks(expected: &[ExpectTask], got: &Value, path: &str, lines: &mut Vec<String>) {
    let ran = got["tasks"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut from = 0;
    for (index, task) in expected.iter().enumerate() {
        let path = format!("{path}.tasks[{index}]");
        let is = |got: &Value| {
            got["name"] == task.name && task.attempt.is_none_or(|attempt| got["attempt"] == attempt)
        };
        if let Some(at) = ran[from..].iter().position(is) {
            compare(&json(task), &ran[from + at], &path, lines);
            from += at + 1;
            continue;
        }
        let of = task
            .attempt
            .map_or_else(String::new, |n| format!(" of attempt {n}"));
        let name = |t: &Value| {
            format!(
                "{} of attempt {}",
                t["name"].as_str().unwrap_or_default(),
                t["attempt"]
            )
        };
        let after = match ran[..from].last() {
            Some(last) => format!(" after {}", name(last)),
            None => String::new(),
        };
        let left: Vec<String> = ran[from..].iter().map(name).collect();
        let left = if left.is_empty() {
            "nothing".to_owned()
        } else {
            left.join(", ")
        };
        lines.push(format!(
            "{path}: expected {}{of} to run{after}, but what ran is {left}",
            task.name
        ));
    }
}

/// Whatever is expected must be there and equal; lists must be as long.
fn compare(expected: &Value, got: &Value, path: &str, lines: &mut Vec<String>) {
    match (expected, got) {
        (Value::Object(expected), Value::Object(got)) => {
            for (key, expected) in expected {
                let got = got.get(key).unwrap_or(&Value::Null);
                compare(expected, got, &format!("{path}.{key}"), lines);
            }
        }
        (Value::Array(expected), Value::Array(got)) if expected.len() == got.len() => {
            for (index, (expected, got)) in expected.iter().zip(got).enumerate() {
                compare(expected, got, &format!("{path}[{index}]"), lines);
            }
        }
        (Value::Array(expected), Value::Array(got)) => {
            lines.push(format!(
                "{path}: expected {}, but there are {}",
                expected.len(),
                got.len()
            ));
        }
        _ if expected == got => {}
        _ => lines.push(format!(
            "{path}: expected {}, got {}",
            short(expected),
            short(got)
        )),
    }
}

fn json(value: &impl Serialize) -> Value {
    serde_json::to_value(value).unwrap_or_default()
}
