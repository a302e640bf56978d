//! What a problem calls for: its run, and what the run's end means for it.

use jiff::Timestamp;
use serde_json::json;

use super::get_action;
use crate::{
    api::{
        Condition, Duration, ProblemEvent, ProblemEventStatus, SequenceExecution, Timestamp as ApiTime,
        common::{Object, SourceRef, Time, set_condition},
    },
    core::{
        alerts, labels, names,
        note::Note,
        sequence::{defaults, phases},
    },
};

/// The sequence that heals, where the problem names none.
pub const REMEDIATION: &str = "remediation";

/// After a run that succeeded alerts may still fire for so long, because they look back; then they are believed.
pub const RECHECK: Duration = Duration::from_secs(600);
/// So many runs has a problem at most.
const RUNS: i32 = 2;

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
    let resolved = alerts::over(problem);
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
    begin(problem, 1, None, now, d);
}

/// Starts the run of this number. It goes on where the run before it, of this payload, left off.
fn begin(problem: &ProblemEvent, number: i32, before: Option<&Object>, now: Timestamp, d: &mut Decision) {
    let mut run = run_of(problem, u32::try_from(number).unwrap_or(1));
    let index = before.map_or(0, get_action::index);
    if index > 0 {
        let data = run.spec.data.get_or_insert_default();
        data.insert("get-action".to_owned(), json!({ "actionIndex": index }));
    }
    let name = run.metadata.name.clone().unwrap_or_default();
    d.status.runs = number;
    d.status.recheck_at = None;
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

/// After a run that succeeded while alerts still fire: waits for their end, then tries once more, then gives up.
fn recheck(problem: &ProblemEvent, run: &SequenceExecution, firing: usize, now: Timestamp, d: &mut Decision) {
    let status = run.status.clone().unwrap_or_default();
    let ended = status.finished_at.as_ref().map_or(now, |at| at.0);
    let at = ended.checked_add(RECHECK.signed()).unwrap_or(Timestamp::MAX);
    let name = d.status.execution.clone().unwrap_or_default();
    let fire = if firing == 1 {
        "an alert still fires".to_owned()
    } else {
        format!("{firing} alerts still fire")
    };
    if now < at {
        d.again = Some(at);
        d.status.recheck_at = Some(ApiTime(at));
        let message = format!("run {name} succeeded, but {fire}; they are waited for until {at:.0}");
        return live(d, now, "Healing", "Rechecking", &message);
    }
    if d.status.runs < RUNS {
        let number = d.status.runs + 1;
        d.notes.push(Note::warning(
            "StillFiring",
            format!("{fire} {RECHECK} after run {name} succeeded; the next action is tried"),
        ));
        return begin(problem, number, status.payload.as_ref(), now, d);
    }
    d.status.recheck_at = None;
    let message =
        format!("somebody has to look: {fire} {RECHECK} after run {name} succeeded, the second one");
    end(d, now, "Exhausted", "StillFiring", &message, false);
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
    if let (phases::SUCCEEDED, false, Some(firing)) = (
        status.phase.as_str(),
        resolved,
        problem.status.as_ref().and_then(alerts::firing),
    ) {
        return recheck(problem, run, firing, now, d);
    }
    d.status.recheck_at = None;
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

/// The flow that a problem's runs are part of: what it names, else its own uid.
pub fn context_of(problem: &ProblemEvent) -> String {
    let own = || problem.metadata.uid.clone().unwrap_or_default();
    problem.spec.context.clone().unwrap_or_else(own)
}

/// The problem's run of this number.
fn run_of(problem: &ProblemEvent, number: u32) -> SequenceExecution {
    let spec = &problem.spec;
    let uid = problem.metadata.uid.clone().unwrap_or_default();
    let own = problem.metadata.name.clone().unwrap_or_default();
    let context = context_of(problem);
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
            context: Some(context.clone()),
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
            (labels::CONTEXT, &context),
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
