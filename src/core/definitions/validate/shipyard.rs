//! What is wrong with a Shipyard.

use std::{collections::BTreeSet, str::FromStr};

use kube::ResourceExt;
use serde_json::Value;

use crate::{
    api::{
        Duration, Shipyard,
        shipyard::{Sequence, Stage, Task, Trigger},
    },
    core::{Invalid, sequence::APPROVAL},
};

use super::super::{
    lookup::{EVALUATION, sequence_names, sequence_of},
    nearest::{hint, nearest},
};

/// What `result` can be; `failed` reads as `fail`.
const RESULTS: [&str; 4] = ["pass", "warning", "fail", "failed"];
/// What `<task>.status` can be.
const STATUSES: [&str; 2] = ["succeeded", "errored"];
/// Properties of the evaluation task that Coxswain reads.
const EVALUATION_PROPERTIES: [&str; 7] = [
    "timeframe",
    "start",
    "end",
    "settle",
    "minWindow",
    "grace",
    "mustHoldFor",
];

/// The longest `mustHoldFor`: half of what a run may take, if nothing else is said.
const HOLD_MAX: Duration = Duration::from_secs(12 * 3600);

/// What is wrong with a Shipyard; empty when all is well.
pub fn shipyard(object: &Shipyard) -> Vec<Invalid> {
    let stages = &object.spec.stages;
    let mut wrong = Vec::new();
    if object.name_any().contains('.') {
        wrong.push(Invalid::new(
            "metadata.name",
            "a project's name has no dots; rename the Shipyard",
        ));
    }
    twice(
        stages.iter().map(|s| s.name.as_str()),
        |i| format!("spec.stages[{i}].name"),
        "stage",
        &mut wrong,
    );
    for (i, stage) in stages.iter().enumerate() {
        let path = format!("spec.stages[{i}]");
        no_dots(&format!("{path}.name"), &stage.name, &mut wrong);
        let names = stage.sequences.iter().map(|s| s.name.as_str());
        twice(
            names,
            |j| format!("{path}.sequences[{j}].name"),
            "sequence",
            &mut wrong,
        );
        for (j, sequence) in stage.sequences.iter().enumerate() {
            check_sequence(&format!("{path}.sequences[{j}]"), sequence, stages, &mut wrong);
        }
    }
    wrong
}

fn twice<'a>(
    names: impl Iterator<Item = &'a str>,
    path: impl Fn(usize) -> String,
    what: &str,
    wrong: &mut Vec<Invalid>,
) {
    let mut seen = BTreeSet::new();
    for (index, name) in names.enumerate() {
        if !seen.insert(name) {
            wrong.push(Invalid::new(
                path(index),
                format!("there is already a {what} {name:?}; rename or remove one"),
            ));
        }
    }
}

fn no_dots(path: &str, name: &str, wrong: &mut Vec<Invalid>) {
    if name.is_empty() || name.contains('.') {
        let message =
            format!("{name:?} must not be empty or have dots: dots part the names in events; rename it");
        wrong.push(Invalid::new(path, message));
    }
}

fn check_sequence(path: &str, sequence: &Sequence, stages: &[Stage], wrong: &mut Vec<Invalid>) {
    no_dots(&format!("{path}.name"), &sequence.name, wrong);
    if sequence.tasks.is_empty() {
        wrong.push(Invalid::new(format!("{path}.tasks"), "is empty; add a task"));
    }
    if sequence.deadline.is_some_and(|d| d.0.is_zero()) {
        wrong.push(Invalid::new(
            format!("{path}.deadline"),
            "is no time at all; write one such as 24h",
        ));
    }
    for (i, task) in sequence.tasks.iter().enumerate() {
        let path = format!("{path}.tasks[{i}]");
        no_dots(&format!("{path}.name"), &task.name, wrong);
        if task.timeout.is_some_and(|t| t.0.is_zero()) {
            wrong.push(Invalid::new(
                format!("{path}.timeout"),
                "is no time at all; write one such as 10m",
            ));
        }
        match task.name.as_str() {
            EVALUATION => evaluation(&format!("{path}.properties"), task, wrong),
            APPROVAL => approval(&format!("{path}.properties"), task, wrong),
            _ => {}
        }
    }
    for (i, trigger) in sequence.triggered_on.iter().enumerate() {
        check_trigger(&format!("{path}.triggeredOn[{i}]"), trigger, stages, wrong);
    }
}

/// The properties of an evaluation that Coxswain reads. Others are the user's own, unless they are all but one of ours.
fn evaluation(path: &str, task: &Task, wrong: &mut Vec<Invalid>) {
    let Some(properties) = &task.properties else {
        return;
    };
    for (name, value) in properties {
        let path = format!("{path}.{name}");
        match name.as_str() {
            "timeframe" | "settle" | "minWindow" | "grace" | "mustHoldFor" => {
                if let Err(message) = length(value, matches!(name.as_str(), "timeframe" | "mustHoldFor")) {
                    wrong.push(Invalid::new(path, message));
                }
            }
            "start" | "end" => {}
            other => {
                let known = EVALUATION_PROPERTIES.into_iter();
                // Short names are near to too much.
                if let Some(near) = nearest(other, known.filter(|k| k.len() > 3 && other.len() > 3)) {
                    wrong.push(Invalid::new(
                        path,
                        format!("is not a property of an evaluation; did you mean {near:?}?"),
                    ));
                }
            }
        }
    }
    let given = |name: &str| {
        properties
            .get(name)
            .and_then(Value::as_str)
            .and_then(|t| Duration::from_str(t).ok())
    };
    if properties.contains_key("end") && properties.contains_key("timeframe") {
        wrong.push(Invalid::new(
            format!("{path}.end"),
            "goes with start, not with timeframe; remove one of them",
        ));
    }
    if properties.contains_key("mustHoldFor")
        && (!properties.contains_key("timeframe") || properties.contains_key("start"))
    {
        wrong.push(Invalid::new(
            format!("{path}.mustHoldFor"),
            "evaluates one timeframe after the other, so it goes with timeframe alone, without start and end",
        ));
    }
    if let Some(hold) = given("mustHoldFor").filter(|h| *h > HOLD_MAX) {
        let message = format!("{hold} is longer than {HOLD_MAX}; a run has to end");
        wrong.push(Invalid::new(format!("{path}.mustHoldFor"), message));
    }
    if let (Some(least), Some(timeframe)) = (given("minWindow"), given("timeframe"))
        && least > timeframe
    {
        let message =
            format!("{least} is longer than timeframe {timeframe}, so no window is long enough; shorten it");
        wrong.push(Invalid::new(format!("{path}.minWindow"), message));
    }
}

/// The properties of an approval that Coxswain reads: a strategy that is misspelt must not turn into another one.
fn approval(path: &str, task: &Task, wrong: &mut Vec<Invalid>) {
    const PROPERTIES: [&str; 6] = ["pass", "warning", "groups", "expires", "onExpiry", "notRequester"];
    for (name, value) in task.properties.iter().flatten() {
        let text = value.as_str();
        let mistake = match name.as_str() {
            "pass" | "warning" if !matches!(text, Some("automatic" | "manual")) => {
                Some(format!("{value} is no strategy; write automatic or manual"))
            }
            "onExpiry" if !matches!(text, Some("decline" | "approve")) => {
                Some(format!("{value} is no answer; write decline or approve"))
            }
            "expires" => length(value, true).err(),
            "notRequester" if !value.is_boolean() => {
                Some(format!("{value} is neither true nor false; write one of them"))
            }
            "groups" if !value.as_array().is_some_and(|g| g.iter().all(Value::is_string)) => {
                Some("is not a list of groups' names; write one such as [sre]".to_owned())
            }
            known if PROPERTIES.contains(&known) => None,
            other => nearest(other, PROPERTIES.into_iter().filter(|_| other.len() > 3))
                .map(|near| format!("is not a property of an approval; did you mean {near:?}?")),
        };
        wrong.extend(mistake.map(|m| Invalid::new(format!("{path}.{name}"), m)));
    }
}

fn length(value: &Value, positive: bool) -> Result<(), String> {
    let text = value
        .as_str()
        .ok_or_else(|| format!("{value} is not a duration; write one such as \"2m\""))?;
    let parsed: Duration = text.parse()?;
    if positive && parsed.0.is_zero() {
        return Err("is no time at all; write one such as 2m".to_owned());
    }
    Ok(())
}

fn check_trigger(path: &str, trigger: &Trigger, stages: &[Stage], wrong: &mut Vec<Invalid>) {
    let source = match source(&trigger.event, stages) {
        Ok(source) => Some(source),
        Err(message) => {
            wrong.push(Invalid::new(format!("{path}.event"), message));
            None
        }
    };
    let Some(selector) = &trigger.selector else { return };
    if selector.match_.is_empty() {
        let message = "has no condition; add one, or remove the selector to fire on pass and warning";
        wrong.push(Invalid::new(format!("{path}.selector.match"), message));
    }
    for (key, value) in &selector.match_ {
        if let Err(message) = condition(key, value, source.as_deref()) {
            wrong.push(Invalid::new(format!("{path}.selector.match[{key:?}]"), message));
        }
    }
}

/// The sequence whose end the event is.
fn source<'a>(event: &str, stages: &'a [Stage]) -> Result<std::borrow::Cow<'a, Sequence>, String> {
    const SHAPE: &str = "write <stage>.<sequence>.finished";
    if let Some(short) = event.strip_prefix("sh.keptn.event.") {
        return Err(format!(
            "{event:?} has the prefix sh.keptn.event.; write {short:?}"
        ));
    }
    let parts: Vec<&str> = event.split('.').collect();
    let &[stage, sequence, "finished"] = parts.as_slice() else {
        return Err(format!("{event:?} is not the end of a sequence; {SHAPE}"));
    };
    let Some(found) = stages.iter().find(|s| s.name == stage) else {
        return Err(format!(
            "there is no stage {stage:?}{}",
            hint(stage, stages.iter().map(|s| s.name.as_str()))
        ));
    };
    sequence_of(found, sequence).ok_or_else(|| {
        let known = sequence_names(found);
        format!(
            "there is no sequence {sequence:?} in stage {stage}{}",
            hint(sequence, known.iter().copied())
        )
    })
}

/// Whether one condition of a selector can be asked of the end of this sequence.
fn condition(key: &str, value: &str, source: Option<&Sequence>) -> Result<(), String> {
    if key.starts_with('$') {
        return data_path(key);
    }
    if key == "result" {
        return one_of(value, &RESULTS);
    }
    let Some((task, field @ ("result" | "status"))) = key.rsplit_once('.') else {
        return Err(
            "is not a condition; write result, <task>.result, <task>.status or $.data.<path>".to_owned(),
        );
    };
    if let Some(source) = source
        && !source.tasks.iter().any(|t| t.name == task)
    {
        let known = source.tasks.iter().map(|t| t.name.as_str());
        return Err(format!(
            "sequence {} has no task {task:?}{}",
            source.name,
            hint(task, known)
        ));
    }
    one_of(value, if field == "result" { &RESULTS } else { &STATUSES })
}

/// What a selector follows: names parted by dots.
fn data_path(key: &str) -> Result<(), String> {
    let plain = |name: &str| !name.is_empty() && !name.contains(['[', ']', '*', '?', '"', '\'']);
    match key.strip_prefix("$.data.") {
        Some(path) if path.split('.').all(plain) => Ok(()),
        Some(_) => Err(
            "has more than names parted by dots; write a path such as $.data.evaluation.result".to_owned(),
        ),
        None => Err("does not start with $.data.; write a path such as $.data.evaluation.result".to_owned()),
    }
}

fn one_of(value: &str, known: &[&str]) -> Result<(), String> {
    if known.contains(&value) {
        return Ok(());
    }
    let listed: Vec<&str> = known.iter().copied().filter(|k| *k != "failed").collect();
    Err(format!(
        "{value:?} never is the value; write one of {}",
        listed.join(", ")
    ))
}
