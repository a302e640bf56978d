//! What a problem calls for: its run, and what the run's end means for it.

use jiff::Timestamp;

use crate::{
    api::{
        Condition, ProblemEvent, ProblemEventStatus, SequenceExecution, Timestamp as ApiTime,
        common::{Object, SourceRef, Time, set_condition},
        problem::ProblemState,
    },
    core::{
        labels, names,
        note::Note,
        sequence::{defaults, phases},
    },
};

/// The sequence that heals, where the problem names none.
pub const REMEDIATION: &str = "remediation";

/// What is known when a problem is looked at.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// The newest run, read live; None when there is none, or none any more.
    pub run: Option<SequenceExecution>,
    /// An older open problem of the same type on the same service.
    pub older: Option<String>,
    /// The problem that this one joined, read live; None when it is gone.
    pub joined: Option<ProblemEvent>,
}

/// What to do about it.
#[derive(Clone, Debug, Default)]
pub struct Decision {
    /// A run to create, before the status is written: its name is the problem's and the run's number, so creating it
    /// again after a crash finds the one that is there.
    pub create: Option<Box<SequenceExecution>>,
    /// The complete new status.
    pub status: ProblemEventStatus,
    /// What to tell people.
    pub notes: Vec<Note>,
    /// When to look again if nothing happens before.
    pub again: Option<Timestamp>,
}

/// Takes the problem as far as it can go at `now`.
pub fn step(problem: &ProblemEvent, facts: &Facts, now: Timestamp) -> Decision {
    let mut d = Decision {
        status: problem.status.clone().unwrap_or_default(),
        ..Decision::default()
    };
    if d.status.done {
        return d;
    }
    d.status.observed_generation = problem.metadata.generation;
    let resolved = problem.spec.state == ProblemState::Resolved;
    if d.status.runs == 0 {
        open(problem, facts, resolved, now, &mut d);
    } else {
        follow(problem, facts, resolved, now, &mut d);
    }
    d
}

fn open(problem: &ProblemEvent, facts: &Facts, resolved: bool, now: Timestamp, d: &mut Decision) {
    let created = problem.metadata.creation_timestamp.as_ref().map_or(now, |t| t.0);
    let expiry = created
        .checked_add(defaults::QUEUED.signed())
        .unwrap_or(Timestamp::MAX);
    if resolved {
        return end(
            d,
            now,
            "Resolved",
            "Resolved",
            "resolved before anything was done",
            true,
        );
    }
    if now >= expiry {
        let message = format!(
            "it is older than {}; what was true then may not be now. If it is not over, create another",
            defaults::QUEUED
        );
        return end(d, now, "Expired", "Expired", &message, false);
    }
    if let Some(joined) = facts.joined.as_ref().filter(|_| d.status.joined.is_some()) {
        return join(joined, now, d);
    }
    d.status.joined = None;
    if let Some(older) = &facts.older {
        d.status.joined = Some(older.clone());
        let message =
            format!("ProblemEvent {older} reports the same problem of the same service and is being handled");
        d.again = Some(expiry);
        return live(d, now, "Open", "DuplicateProblem", &message);
    }
    let run = run_of(problem, 1);
    let name = run.metadata.name.clone().unwrap_or_default();
    d.status.runs = 1;
    d.status.execution = Some(name.clone());
    d.create = Some(Box::new(run));
    live(
        d,
        now,
        "Healing",
        "Healing",
        &format!("SequenceExecution {name} runs"),
    );
    d.notes.push(Note::normal(
        "RunStarted",
        format!("started SequenceExecution {name}"),
    ));
}

fn follow(problem: &ProblemEvent, facts: &Facts, resolved: bool, now: Timestamp, d: &mut Decision) {
    let name = d.status.execution.clone().unwrap_or_default();
    let Some(run) = &facts.run else {
        let (phase, message) = if resolved {
            ("Resolved", format!("resolved; its run {name} was deleted"))
        } else {
            (
                "Exhausted",
                format!(
                    "its run {name} was deleted by hand; if the problem is not over, create another ProblemEvent"
                ),
            )
        };
        return end(d, now, phase, "RunDeleted", &message, resolved);
    };
    if run.spec.triggered_by.as_ref().and_then(|t| t.uid.as_ref()) != problem.metadata.uid.as_ref() {
        let message = format!(
            "a SequenceExecution named {name} exists and is not this problem's: delete it and create another ProblemEvent"
        );
        return end(d, now, "Exhausted", "NameTaken", &message, false);
    }
    let status = run.status.clone().unwrap_or_default();
    if !status.done {
        let phase = if status.phase == phases::HELD {
            "Held"
        } else {
            "Healing"
        };
        let message = match (phase, resolved) {
            ("Held", _) => status.message,
            (_, true) => format!("resolved; SequenceExecution {name} ends"),
            _ => format!("SequenceExecution {name} runs"),
        };
        return live(d, now, phase, phase, &message);
    }
    let (phase, good) = match status.phase.as_str() {
        phases::SUCCEEDED => ("Healed", true),
        phases::RESOLVED => ("Resolved", true),
        phases::EXPIRED => ("Expired", false),
        _ if resolved => ("Resolved", true),
        _ => ("Exhausted", false),
    };
    let message = if good || phase == "Expired" {
        status.message
    } else {
        format!(
            "somebody has to look: run {name} ended {}: {}",
            status.phase, status.message
        )
    };
    end(d, now, phase, &status.reason, &message, good);
}

/// A problem that joined another one ends as that one does: its service was seen to.
fn join(joined: &ProblemEvent, now: Timestamp, d: &mut Decision) {
    let name = joined.metadata.name.clone().unwrap_or_default();
    let status = joined.status.clone().unwrap_or_default();
    if !status.done {
        return;
    }
    let phase = match status.phase.as_str() {
        "Healed" => "Healed",
        "Resolved" => "Resolved",
        "Expired" => "Expired",
        _ => "Exhausted",
    };
    let message = format!("joined ProblemEvent {name}: {}", status.message);
    end(
        d,
        now,
        phase,
        "Joined",
        &message,
        matches!(phase, "Healed" | "Resolved"),
    );
}

/// The problem's run of this number.
fn run_of(problem: &ProblemEvent, number: u32) -> SequenceExecution {
    let spec = &problem.spec;
    let uid = problem.metadata.uid.clone().unwrap_or_default();
    let own = problem.metadata.name.clone().unwrap_or_default();
    let mut data: Object = spec.data.clone().unwrap_or_default();
    if let Ok(told) = serde_json::to_value(&spec.problem) {
        data.insert("problem".to_owned(), told);
    }
    let mut run = SequenceExecution::new(
        &names::execution_name(&own, &uid, number),
        crate::api::SequenceExecutionSpec {
            project: spec.project.clone(),
            stage: spec.stage.clone(),
            service: spec.service.clone(),
            sequence: spec.sequence.clone().unwrap_or_else(|| REMEDIATION.to_owned()),
            context: Some(uid.clone()),
            triggered_by: Some(SourceRef {
                kind: "ProblemEvent".to_owned(),
                name: own.clone(),
                uid: Some(uid.clone()),
            }),
            labels: spec.labels.clone(),
            data: Some(data),
            ..crate::api::SequenceExecutionSpec::default()
        },
    );
    run.metadata.namespace.clone_from(&problem.metadata.namespace);
    run.metadata.labels = Some(
        [
            (labels::PROJECT, &spec.project),
            (labels::STAGE, &spec.stage),
            (labels::SERVICE, &spec.service),
            (labels::CONTEXT, &uid),
        ]
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value.clone()))
        .collect(),
    );
    run.metadata.owner_references =
        kube::Resource::controller_owner_ref(problem, &()).map(|owner| vec![owner]);
    run
}

fn live(d: &mut Decision, now: Timestamp, phase: &str, reason: &str, message: &str) {
    phase.clone_into(&mut d.status.phase);
    message.clone_into(&mut d.status.message);
    let waits = reason == "DuplicateProblem";
    set(
        d,
        now,
        "Ready",
        if waits { "False" } else { "True" },
        reason,
        message,
    );
    set(d, now, "Succeeded", "Unknown", reason, "the problem is open");
}

fn end(d: &mut Decision, now: Timestamp, phase: &str, reason: &str, message: &str, good: bool) {
    phase.clone_into(&mut d.status.phase);
    message.clone_into(&mut d.status.message);
    d.status.done = true;
    d.status.finished_at = Some(ApiTime(now));
    set(d, now, "Ready", "True", reason, message);
    set(
        d,
        now,
        "Succeeded",
        if good { "True" } else { "False" },
        reason,
        message,
    );
    let text = format!("{phase}: {message}");
    let note = if good {
        Note::normal("Closed", text)
    } else {
        Note::warning("Closed", text)
    };
    d.notes.push(note);
}

fn set(d: &mut Decision, now: Timestamp, type_: &str, status: &str, reason: &str, message: &str) {
    let generation = d.status.observed_generation;
    set_condition(
        &mut d.status.conditions,
        Condition {
            type_: type_.to_owned(),
            status: status.to_owned(),
            reason: reason.to_owned(),
            message: message.to_owned(),
            last_transition_time: Time(now),
            observed_generation: generation,
        },
    );
}
