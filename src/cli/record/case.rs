//! From a run's status to the answers that play it again.

use std::collections::BTreeMap;

use anyhow::{Context as _, bail};
use serde_json::{Map, Value, json};

use crate::{
    api::{Evaluation, SequenceExecution, execution::TaskStatus},
    cli::test::Case,
    core::{
        sequence::{GET_ACTION, phases},
        simulate::case::{Expect, ExpectExecution, ExpectTask},
    },
};

/// A case, and what it may not tell as it was.
pub(super) struct Recorded {
    pub(super) case: Case,
    pub(super) warnings: Vec<String>,
}

/// What the engine itself writes into a payload.
const OWN: [&str; 8] = [
    "result",
    "status",
    "message",
    "action",
    "get-action",
    "evaluation",
    "test",
    "approval",
];

/// The case of these runs, the first of which triggered the others.
pub(super) fn of(
    runs: &[SequenceExecution],
    evaluations: &[Evaluation],
    definitions: &str,
) -> anyhow::Result<Recorded> {
    let mut answers: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    let mut warnings = vec![];
    for run in runs {
        can_be_played(run)?;
        let mut data = added(run);
        for attempt in run.status.iter().flat_map(|s| &s.attempts) {
            for task in &attempt.tasks {
                let mut given = answers_of(task, evaluations, &mut warnings);
                // Which task said what is not recorded: the first one says it all.
                if let (Some(first), false) = (given.first_mut(), task.jobs.is_empty() || data.is_empty()) {
                    *first = json!({"result": first, "data": std::mem::take(&mut data)});
                }
                let key = format!("{}.{}.{}", run.spec.stage, run.spec.sequence, task.name);
                if !given.is_empty() {
                    answers.entry(key).or_default().append(&mut given);
                }
            }
        }
    }
    let first = &runs[0];
    let mut event = super::settled(&serde_json::to_value(first).context("reading the run")?);
    if let Some(spec) = event["spec"].as_object_mut() {
        // Tasks that people skipped are skipped again; the rest of what they asked for is over.
        let skipped = spec
            .remove("control")
            .and_then(|control| control.get("skip").cloned());
        if let Some(skip) = skipped {
            spec.insert("control".to_owned(), json!({ "skip": skip }));
        }
    }
    let name = first.metadata.name.clone().unwrap_or_default();
    let case = Case {
        description: Some(format!("recorded from SequenceExecution {name}")),
        files: vec![definitions.into()],
        event,
        answers: serde_json::to_value(answers).context("reading the answers")?,
        expect: Expect {
            executions: Some(runs.iter().map(expected).collect()),
        },
        ..Case::default()
    };
    Ok(Recorded { case, warnings })
}

/// Refuses what depends on more than definitions and answers.
fn can_be_played(run: &SequenceExecution) -> anyhow::Result<()> {
    let name = run.metadata.name.as_deref().unwrap_or_default();
    let status = run.status.as_ref().filter(|s| s.done);
    let Some(status) = status else {
        bail!("SequenceExecution {name} has not ended: wait for it, for example with coxswain watch {name}");
    };
    if !status.earlier_attempts.is_empty() {
        bail!("SequenceExecution {name} made more attempts than its status keeps: it can't be played again");
    }
    let by_others = [phases::ABORTED, phases::RESOLVED, phases::EXPIRED, "Superseded"];
    if by_others.contains(&status.phase.as_str()) || status.reason == "BudgetSpent" {
        bail!(
            "SequenceExecution {name} ended {} ({}), which others brought about: it can't be played again",
            status.phase,
            status.reason
        );
    }
    if status.reason == "NoExecutor" {
        bail!(
            "SequenceExecution {name} ended because nobody answers a task, and a simulation lets such tasks pass: {}",
            status.message
        );
    }
    Ok(())
}

/// How the task was answered, each time that it asked.
fn answers_of(task: &TaskStatus, evaluations: &[Evaluation], warnings: &mut Vec<String>) -> Vec<Value> {
    let Some(result) = task.result.as_deref().filter(|_| task.name != GET_ACTION) else {
        return asked_in_vain(task);
    };
    let errored = task.status.as_deref() == Some("errored");
    if let Some(asked) = &task.evaluation {
        let tries = usize::try_from(asked.try_).unwrap_or(1);
        let mut given = vec![json!("inconclusive"); tries.saturating_sub(1)];
        let found = evaluations
            .iter()
            .find(|e| e.metadata.name.as_ref() == Some(&asked.name));
        if found.is_none() {
            warnings.push(format!(
                "Evaluation {} is gone: the case has its result without indicators",
                asked.name
            ));
        }
        given.push(if errored {
            json!("inconclusive")
        } else {
            verdict(found, result)
        });
        return given;
    }
    // A Job that could not be made asked for no answer. One that its account kept from starting would ask here.
    let asked = task.jobs.iter().any(|j| !j.name.is_empty()) || task.reason.starts_with("ServiceAccount");
    match (asked, errored) {
        (false, _) if task.approval.is_none() => vec![],
        (_, true) => vec![json!("errored")],
        _ => vec![json!(result)],
    }
}

/// An evaluation that the end of its run cut off had been asked each time without a verdict.
fn asked_in_vain(task: &TaskStatus) -> Vec<Value> {
    let tries = task
        .evaluation
        .as_ref()
        .map_or(0, |e| usize::try_from(e.try_).unwrap_or(1));
    vec![json!("inconclusive"); tries]
}

/// The measured values, so that they are scored again; the result where earlier Evaluations had a part in it.
fn verdict(evaluation: Option<&Evaluation>, result: &str) -> Value {
    let status = evaluation.and_then(|e| e.status.as_ref());
    let Some(status) = status else {
        return json!(result);
    };
    if status.indicators.is_empty() || status.no_baseline || !status.compared_with.is_empty() {
        return match status.score {
            Some(score) => json!({"result": result, "score": score}),
            None => json!(result),
        };
    }
    let values: Map<String, Value> = status
        .indicators
        .iter()
        .map(|i| (i.name.clone(), json!(i.value)))
        .collect();
    json!({ "indicators": values })
}

/// What tasks added to the payload.
fn added(run: &SequenceExecution) -> Map<String, Value> {
    let given = run.spec.data.clone().unwrap_or_default();
    let payload = run
        .status
        .as_ref()
        .and_then(|s| s.payload.clone())
        .unwrap_or_default();
    let new = |(key, value): &(String, Value)| !OWN.contains(&key.as_str()) && given.get(key) != Some(value);
    payload.into_iter().filter(new).collect()
}

fn expected(run: &SequenceExecution) -> ExpectExecution {
    let status = run.status.clone().unwrap_or_default();
    let tasks = status.attempts.iter().flat_map(|attempt| {
        let ran = attempt.tasks.iter().filter(|t| t.result.is_some());
        ran.map(|task| ExpectTask {
            attempt: Some(attempt.number),
            name: task.name.clone(),
            result: task.result.clone(),
            status: task.status.clone(),
            ..ExpectTask::default()
        })
    });
    ExpectExecution {
        stage: Some(run.spec.stage.clone()),
        service: Some(run.spec.service.clone()),
        sequence: Some(run.spec.sequence.clone()),
        phase: Some(status.phase.clone()),
        result: status.result.clone(),
        attempts: Some(status.attempt.unwrap_or_default()),
        tasks: tasks.collect(),
        ..ExpectExecution::default()
    }
}
