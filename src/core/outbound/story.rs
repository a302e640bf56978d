//! What happened to a run, as CloudEvents in Keptn v1's types, read from its recorded status alone: after a crash, or an
//! hour later, the same run makes the same events with the same ids.

use jiff::Timestamp;
use kube::ResourceExt;
use serde_json::{Value, json};

use super::position::{Position, Step};
use crate::{
    api::{
        SequenceExecution, SequenceExecutionStatus,
        common::Object,
        execution::{AttemptStatus, TaskStatus},
        shipyard::Task,
    },
    core::{
        event,
        inbound::context,
        payload,
        sequence::{context_of, phases},
    },
};

/// The source of our events. Events with it that come in are our own: see [`crate::core::inbound`].
pub const SOURCE: &str = "coxswain";
/// The beginning of every type.
const PREFIX: &str = "sh.keptn.event";
/// Keptn's own version of its events, which its clients look at.
const SPEC_VERSION: &str = "0.2.4";

/// Something that happened to a run.
#[derive(Clone, Debug)]
pub struct Happened<'a> {
    /// Where in the run's story.
    pub position: Position,
    /// When.
    pub at: Timestamp,
    what: What<'a>,
}

#[derive(Clone, Copy, Debug)]
enum What<'a> {
    Sequence(Step),
    Task(&'a AttemptStatus, usize, &'a TaskStatus, Step),
}

/// Everything that happened to a run, in its order. Attempts that its status no longer has in full are left out.
pub fn story(run: &SequenceExecution) -> Vec<Happened<'_>> {
    let created = run.metadata.creation_timestamp.as_ref().map(|t| t.0);
    let status = run.status.as_ref();
    let begun = |step, at: Option<Timestamp>| {
        at.map(|at| Happened {
            position: Position::Begun(step),
            at,
            what: What::Sequence(step),
        })
    };
    let mut story: Vec<Happened<'_>> = Vec::new();
    story.extend(begun(Step::Triggered, created));
    let Some(status) = status else { return story };
    story.extend(begun(Step::Started, status.started_at.as_ref().map(|t| t.0)));
    for attempt in &status.attempts {
        for (index, task) in attempt.tasks.iter().enumerate() {
            let times = [
                (Step::Triggered, &task.started_at),
                (Step::Started, &task.started_at),
                (Step::Finished, &task.finished_at),
            ];
            story.extend(times.into_iter().filter_map(|(step, at)| {
                Some(Happened {
                    position: Position::Task {
                        attempt: attempt.number,
                        task: index,
                        step,
                    },
                    at: at.as_ref()?.0,
                    what: What::Task(attempt, index, task, step),
                })
            }));
        }
    }
    if let (true, Some(at)) = (status.done, &status.finished_at) {
        story.push(Happened {
            position: Position::Ended,
            at: at.0,
            what: What::Sequence(Step::Finished),
        });
    }
    story
}

impl Happened<'_> {
    /// The CloudEvent's type: `sh.keptn.event.<task>.<step>`, `sh.keptn.event.<stage>.<sequence>.<step>`.
    pub fn type_of(&self, run: &SequenceExecution) -> String {
        match self.what {
            What::Sequence(step) => {
                let (stage, sequence) = (&run.spec.stage, &run.spec.sequence);
                format!("{PREFIX}.{stage}.{sequence}.{}", step.word())
            }
            What::Task(_, _, task, step) => format!("{PREFIX}.{}.{}", task.name, step.word()),
        }
    }

    /// The CloudEvent's id; the event that starts a task has the one that outside executors answer to.
    pub fn id(&self, run: &SequenceExecution) -> String {
        let uid = run.metadata.uid.as_deref().unwrap_or_default();
        match self.position {
            Position::Task {
                attempt,
                task,
                step: Step::Triggered,
            } => event::id(uid, attempt, task),
            position => context::uuid(&["told", uid, &position.to_string()]),
        }
    }

    /// The CloudEvent.
    pub fn cloud_event(&self, run: &SequenceExecution) -> Value {
        let mut event = json!({
            "specversion": "1.0",
            "id": self.id(run),
            "source": SOURCE,
            "type": self.type_of(run),
            "time": self.at.to_string(),
            "datacontenttype": "application/json",
            "shkeptncontext": context_of(run),
            "shkeptnspecversion": SPEC_VERSION,
        });
        if let Some(trigger) = self.trigger(run) {
            event["triggeredid"] = trigger.into();
        }
        event["data"] = Value::Object(self.data(run));
        event
    }

    /// The id of the event that this one answers.
    fn trigger(&self, run: &SequenceExecution) -> Option<String> {
        let uid = run.metadata.uid.as_deref().unwrap_or_default();
        match self.what {
            What::Sequence(Step::Triggered) | What::Task(_, _, _, Step::Triggered) => None,
            What::Sequence(_) => {
                let triggered = Position::Begun(Step::Triggered).to_string();
                Some(context::uuid(&["told", uid, &triggered]))
            }
            What::Task(attempt, index, ..) => Some(event::id(uid, attempt.number, index)),
        }
    }

    fn data(&self, run: &SequenceExecution) -> Object {
        let empty = SequenceExecutionStatus::default();
        let status = run.status.as_ref().unwrap_or(&empty);
        let carried = match self.what {
            What::Sequence(Step::Triggered) => run.spec.data.clone().unwrap_or_default(),
            // As v1: the end of a sequence carries all that its tasks have said.
            What::Sequence(Step::Finished) => status.payload.clone().unwrap_or_default(),
            _ => Object::new(),
        };
        let mut data = payload::for_task(&run.spec, &carried, &Task::default());
        let mut own = Object::from_iter([
            ("namespace".to_owned(), json!(run.namespace().unwrap_or_default())),
            ("execution".to_owned(), json!(run.name_any())),
        ]);
        match self.what {
            What::Sequence(Step::Finished) => {
                let (result, ended) = outcome(status);
                data.insert("result".to_owned(), result.into());
                data.insert("status".to_owned(), ended.into());
                data.insert("message".to_owned(), json!(status.message));
                own.insert("phase".to_owned(), json!(status.phase));
                own.insert("reason".to_owned(), json!(status.reason));
                own.insert("attempts".to_owned(), json!(status.attempt.unwrap_or(0)));
            }
            What::Sequence(_) => {}
            What::Task(attempt, index, task, step) => {
                own.insert("attempt".to_owned(), json!(attempt.number));
                own.insert("task".to_owned(), json!(index));
                if step == Step::Finished {
                    told_by(task, attempt, &mut data);
                    own.insert("reason".to_owned(), json!(task.reason));
                }
            }
        }
        data.insert(SOURCE.to_owned(), Value::Object(own));
        data
    }
}

/// What a task that ended says.
fn told_by(task: &TaskStatus, attempt: &AttemptStatus, data: &mut Object) {
    data.insert(
        "result".to_owned(),
        json!(task.result.as_deref().unwrap_or("fail")),
    );
    data.insert(
        "status".to_owned(),
        json!(task.status.as_deref().unwrap_or("errored")),
    );
    data.insert("message".to_owned(), json!(task.message));
    if let Some(evaluation) = &task.evaluation {
        let said = json!({"result": task.result, "score": attempt.score, "name": evaluation.name});
        data.insert("evaluation".to_owned(), said);
    } else if let Some(action) = &attempt.action {
        data.insert("action".to_owned(), json!({"action": action}));
    }
}

/// How a run ended, in v1's words: result and status.
fn outcome(status: &SequenceExecutionStatus) -> (&str, &'static str) {
    match status.phase.as_str() {
        phases::SUCCEEDED => (status.result.as_deref().unwrap_or("pass"), "succeeded"),
        phases::RESOLVED => ("pass", "succeeded"),
        phases::FAILED | phases::EXHAUSTED => ("fail", "succeeded"),
        phases::INCONCLUSIVE | phases::TIMED_OUT => ("fail", "errored"),
        _ => ("fail", "aborted"),
    }
}
