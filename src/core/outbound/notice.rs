//! Messages for people, about runs that end badly: what was tried, and where to look.

use std::collections::BTreeMap;

use kube::ResourceExt;
use serde_json::{Value, json};

use super::position::{Position, Step};
use crate::{
    api::{SequenceExecution, SequenceExecutionStatus, common::Object, execution::AttemptStatus},
    core::{
        Invalid,
        definitions::nearest,
        sequence::{context_of, phases},
    },
};

/// A message says so much of the attempts, the newest of them.
const ATTEMPTS: usize = 10;
/// A line says so many characters of what somebody else wrote.
const LINE: usize = 300;

/// The values that a template can name.
pub const NAMES: [&str; 15] = [
    "namespace",
    "run",
    "project",
    "stage",
    "service",
    "sequence",
    "phase",
    "reason",
    "message",
    "problem",
    "context",
    "attempts",
    "score",
    "tried",
    "commands",
];
/// The whole message, for chats: the only name that stands for text with markup.
pub const TEXT: &str = "text";

/// Where in its story the run is, if people are told of its phase there. Held is told once at each task.
pub fn due(run: &SequenceExecution, on: &[String]) -> Option<Position> {
    let status = run.status.as_ref()?;
    if !on.contains(&status.phase) {
        return None;
    }
    if status.done {
        return Some(Position::Ended);
    }
    let step = Step::Held;
    let newest = status.attempts.last();
    Some(newest.map_or(Position::Begun(step), |attempt| Position::Task {
        attempt: attempt.number,
        task: attempt.tasks.iter().filter(|t| t.started_at.is_some()).count(),
        step,
    }))
}

/// The request's body.
pub fn body(run: &SequenceExecution, template: Option<&Object>) -> Value {
    let values = values(run);
    match template {
        Some(template) => filled(&Value::Object(template.clone()), &values),
        None => json!({"text": values.get(TEXT)}),
    }
}

/// What is wrong with a template; empty when all is well.
pub fn mistakes(template: &Object, path: &str) -> Vec<Invalid> {
    let mut wrong = Vec::new();
    for (key, value) in template {
        check(value, &format!("{path}.{key}"), &mut wrong);
    }
    wrong
}

fn check(value: &Value, path: &str, wrong: &mut Vec<Invalid>) {
    match value {
        Value::String(text) => {
            for name in pieces(text).filter_map(Result::err) {
                if name != TEXT && !NAMES.contains(&name) {
                    let hint = nearest::hint(name, NAMES);
                    wrong.push(Invalid::new(
                        path,
                        format!("{{{{{name}}}}} stands for nothing{hint}"),
                    ));
                }
            }
        }
        Value::Array(list) => {
            for (index, value) in list.iter().enumerate() {
                check(value, &format!("{path}[{index}]"), wrong);
            }
        }
        Value::Object(object) => {
            for (key, value) in object {
                check(value, &format!("{path}.{key}"), wrong);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// A text's parts: as it stands (Ok), and the names in braces (Err).
fn pieces(text: &str) -> impl Iterator<Item = Result<&str, &str>> {
    let mut rest = Some(text);
    let mut name = None;
    std::iter::from_fn(move || {
        if let Some(name) = name.take() {
            return Some(Err(name));
        }
        let text = rest.take().filter(|text| !text.is_empty())?;
        let Some((before, after)) = text.split_once("{{") else {
            return Some(Ok(text));
        };
        let Some((inside, after)) = after.split_once("}}") else {
            return Some(Ok(text));
        };
        name = Some(inside.trim());
        rest = Some(after);
        Some(Ok(before))
    })
}

/// Only texts are filled in, and only once: a value is never read as a template, and can't leave its text.
fn filled(template: &Value, values: &BTreeMap<&str, String>) -> Value {
    match template {
        Value::String(text) => {
            let parts = pieces(text).map(|piece| match piece {
                Ok(text) => text,
                Err(name) => values.get(name).map_or("", String::as_str),
            });
            Value::String(parts.collect())
        }
        Value::Array(list) => list.iter().map(|value| filled(value, values)).collect(),
        Value::Object(object) => {
            let fields = object.iter().map(|(k, v)| (k.clone(), filled(v, values)));
            Value::Object(fields.collect())
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => template.clone(),
    }
}

fn values(run: &SequenceExecution) -> BTreeMap<&'static str, String> {
    let empty = SequenceExecutionStatus::default();
    let status = run.status.as_ref().unwrap_or(&empty);
    let (namespace, name) = (run.namespace().unwrap_or_default(), run.name_any());
    let tried: Vec<String> = tried(status);
    let commands = [
        format!("kubectl describe sequenceexecution {name} -n {namespace}"),
        format!("coxswain explain {name} -n {namespace}"),
    ];
    let mut values = BTreeMap::from([
        ("project", run.spec.project.clone()),
        ("stage", run.spec.stage.clone()),
        ("service", run.spec.service.clone()),
        ("sequence", run.spec.sequence.clone()),
        ("phase", status.phase.clone()),
        ("reason", status.reason.clone()),
        ("message", line(&status.message)),
        ("problem", line(&problem(run))),
        ("context", context_of(run)),
        ("attempts", status.attempt.unwrap_or(0).to_string()),
        (
            "score",
            status.score.map_or_else(String::new, |score| score.to_string()),
        ),
        ("tried", tried.join("\n")),
        ("commands", commands.join("\n")),
        ("namespace", namespace),
        ("run", name),
    ]);
    values.insert(TEXT, text(run, status, &tried, &commands));
    values
}

/// The title of the problem that the run is about.
fn problem(run: &SequenceExecution) -> String {
    let data = run.spec.data.as_ref();
    let title = data.and_then(|data| data.get("problem")?.get("problemTitle")?.as_str());
    title.unwrap_or_default().to_owned()
}

/// What was tried, a line each attempt.
fn tried(status: &SequenceExecutionStatus) -> Vec<String> {
    let shown = status.attempts.len().min(ATTEMPTS);
    let left_out = status.earlier_attempts.len() + status.attempts.len() - shown;
    let earlier = (left_out > 0).then(|| format!("({left_out} earlier attempts)"));
    let newest = status.attempts[status.attempts.len() - shown..].iter();
    earlier.into_iter().chain(newest.map(attempt_line)).collect()
}

fn attempt_line(attempt: &AttemptStatus) -> String {
    let what = match &attempt.action {
        Some(action) => format!("{}. {action}", attempt.number),
        None => format!("{}. attempt", attempt.number),
    };
    let result = attempt.result.as_deref().unwrap_or("not ended");
    let score = attempt
        .score
        .map_or_else(String::new, |score| format!(", score {score}"));
    let told = attempt.tasks.iter().rev().find(|task| !task.message.is_empty());
    let why = told.map_or_else(String::new, |task| {
        format!(" ({}: {})", task.name, line(&task.message))
    });
    format!("{what}: {result}{score}{why}")
}

/// One line of bounded length: what others wrote can't break out of it.
fn line(text: &str) -> String {
    let one = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match one.char_indices().nth(LINE) {
        Some((end, _)) => format!("{}...", &one[..end]),
        None => one,
    }
}

/// The message as chats show it. What others wrote is escaped, so that it can call nobody (`<!channel>`) and hide no link.
fn text(
    run: &SequenceExecution,
    status: &SequenceExecutionStatus,
    tried: &[String],
    commands: &[String],
) -> String {
    let spec = &run.spec;
    let sign = if status.done { ":rotating_light:" } else { ":hand:" };
    let mut lines = vec![format!(
        "{sign} *{}* of `{}` in stage `{}` of project `{}`: *{}*",
        escaped(&spec.sequence),
        escaped(&spec.service),
        escaped(&spec.stage),
        escaped(&spec.project),
        status.phase
    )];
    let problem = problem(run);
    if !problem.is_empty() {
        lines.push(format!("Problem: {}", escaped(&line(&problem))));
    }
    lines.push(escaped(&line(&status.message)));
    if !tried.is_empty() {
        lines.push("Tried:".to_owned());
        lines.extend(tried.iter().map(|line| format!("• {}", escaped(line))));
    }
    if status.phase == phases::HELD {
        lines.push("Nothing goes on until the hold is lifted.".to_owned());
    }
    lines.push(format!("```\n{}\n```", commands.join("\n")));
    lines.join("\n")
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('`', "'")
}
