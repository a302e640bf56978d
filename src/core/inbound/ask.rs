//! From an event's type and data to what it asks for.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::Value;

use super::{
    CloudEvent, context, problem,
    task::{Answered, Said},
};
use crate::{
    api::{
        Duration, Evaluation, EvaluationSpec, ProblemEvent, SequenceExecution, SequenceExecutionSpec,
        Timestamp as ApiTime,
        approval::Choice,
        common::{Object, SourceRef},
        evaluation::Window,
        problem::ProblemState,
        taskresult::TaskResultType,
    },
    core::{Invalid, jsonpath, labels, names, outbound::story, payload, place::Place},
};

/// How all types begin.
pub const PREFIX: &str = "sh.keptn.event.";
const TEXT_MAX: usize = 1024;

/// What an event asks for. Objects are ready but for their namespace.
#[derive(Clone, Debug, PartialEq)]
pub enum Ask {
    /// A problem to be healed.
    Problem(Box<ProblemEvent>),
    /// A sequence to be run.
    Run(Box<SequenceExecution>),
    /// A verdict by itself.
    Evaluation(Box<Evaluation>),
    /// An outside executor's word.
    Task(Box<Said>),
    /// An answer to a question.
    Answer(Answered),
}

impl Ask {
    /// Whose it is.
    pub fn project(&self) -> &str {
        match self {
            Self::Problem(problem) => &problem.spec.project,
            Self::Run(run) => &run.spec.project,
            Self::Evaluation(evaluation) => &evaluation.spec.project,
            Self::Task(said) => said.place.project(),
            Self::Answer(answer) => answer.place.project(),
        }
    }

    /// The stage and the sequence that it starts, if it starts one.
    pub fn starts(&self) -> Option<(&str, &str)> {
        match self {
            Self::Problem(problem) => {
                let sequence = problem.spec.sequence.as_deref();
                Some((&problem.spec.stage, sequence.unwrap_or("remediation")))
            }
            Self::Run(run) => Some((&run.spec.stage, &run.spec.sequence)),
            _ => None,
        }
    }
}

/// What an event asks for, and the context that answers it. `fresh` is the id of an event that has none.
///
/// # Errors
/// What is wrong with the event, and the remedy.
pub fn ask(event: &CloudEvent, fresh: &str) -> Result<(Ask, String), Invalid> {
    let shape = format!("{PREFIX}<stage>.<sequence>.triggered");
    let Some(rest) = event.type_.strip_prefix(PREFIX) else {
        let message = format!(
            "{:?} does not begin with {PREFIX}; what starts a sequence is {shape}",
            event.type_
        );
        return Err(Invalid::new("type", message));
    };
    if event.source == story::SOURCE {
        return Err(Invalid::new(
            "source",
            "\"coxswain\" tells what Coxswain did, which starts nothing: does an EventSink lead back here?",
        ));
    }
    let id = event.id.as_deref().unwrap_or(fresh);
    let context = context::of(event.context.as_deref(), &event.source, id);
    let of = Event {
        given: event,
        id,
        context: &context,
    };
    let parts: Vec<&str> = rest.split('.').collect();
    let ask = match parts.as_slice() {
        ["evaluation", "triggered"] => of.evaluation(),
        [stage, sequence, "triggered"] if !stage.is_empty() && !sequence.is_empty() => {
            of.sequence(stage, sequence)
        }
        ["approval", "started"] => of.answer(false),
        ["approval", "finished"] => of.answer(true),
        [task, "started"] if !task.is_empty() => of.task(task, TaskResultType::Started),
        [task, "finished"] if !task.is_empty() => of.task(task, TaskResultType::Finished),
        [task, "triggered"] if !task.is_empty() => Err(Invalid::new(
            "type",
            format!(
                "{:?} is of a task, and only its run starts that; what starts a sequence is {shape}",
                event.type_
            ),
        )),
        ["evaluation", "invalidated"] => Err(Invalid::new(
            "type",
            "a verdict is taken out in the name of who says so: set spec.invalidated of the Evaluation, with kubectl",
        )),
        _ => Err(Invalid::new(
            "type",
            format!(
                "{:?} asks for nothing here; there is {shape}, {PREFIX}<task>.started and .finished, {PREFIX}evaluation.triggered and {PREFIX}approval.finished",
                event.type_
            ),
        )),
    };
    ask.map(|ask| (ask, context))
}

struct Event<'a> {
    given: &'a CloudEvent,
    id: &'a str,
    context: &'a str,
}

impl Event<'_> {
    fn text(&self, field: &str) -> Result<String, Invalid> {
        match self.given.data.get(field) {
            Some(Value::String(text)) if !text.is_empty() => Ok(text.clone()),
            Some(Value::String(_) | Value::Null) | None => Err(Invalid::new(
                format!("data.{field}"),
                format!("is missing; name the {field}"),
            )),
            Some(other) => Err(Invalid::new(
                format!("data.{field}"),
                format!("is {}; name the {field}", crate::core::invalid::kind(other)),
            )),
        }
    }

    fn place(&self) -> Result<Place, Invalid> {
        let place = Place::new(self.text("project")?, self.text("stage")?, self.text("service")?);
        place.map_err(|e| Invalid::new(e.path.replacen("spec.", "data.", 1), e.message))
    }

    fn name(&self, service: &str, what: &str) -> String {
        names::event_name(service, what, &self.given.source, self.id)
    }

    fn labels(&self) -> BTreeMap<String, String> {
        let given = self.given.data.get("labels").and_then(Value::as_object);
        let given = given.into_iter().flatten();
        given
            .map(|(key, value)| (key.clone(), jsonpath::text(value)))
            .collect()
    }

    /// The labels of the object.
    fn marks(&self, place: &Place) -> BTreeMap<String, String> {
        [
            (labels::PROJECT, place.project()),
            (labels::STAGE, place.stage()),
            (labels::SERVICE, place.service()),
            (labels::CONTEXT, self.context),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into()
    }

    fn sequence(&self, stage: &str, sequence: &str) -> Result<Ask, Invalid> {
        let place = self.place()?;
        if place.stage() != stage {
            let message = format!(
                "is {:?}, but the type is of stage {stage:?}; make them the same",
                place.stage()
            );
            return Err(Invalid::new("data.stage", message));
        }
        if !names::is_dns_label(sequence) {
            return Err(Invalid::new(
                "type",
                format!("{sequence:?} is no name of a sequence"),
            ));
        }
        let data = &self.given.data;
        if data.get("problem").is_some_and(Value::is_object) {
            return self.problem(&place, sequence);
        }
        let mut rest = data.clone();
        for own in ["project", "stage", "service", "labels"] {
            rest.remove(own);
        }
        small(&rest)?;
        let spec = SequenceExecutionSpec {
            project: place.project().to_owned(),
            stage: stage.to_owned(),
            service: place.service().to_owned(),
            sequence: sequence.to_owned(),
            context: Some(self.context.to_owned()),
            triggered_by: Some(SourceRef {
                kind: "Event".to_owned(),
                name: cut(&self.given.type_, 253),
                uid: Some(cut(self.id, 63)),
            }),
            labels: self.labels(),
            data: Some(rest),
            ..SequenceExecutionSpec::default()
        };
        let mut run = SequenceExecution::new(&self.name(place.service(), sequence), spec);
        run.metadata.labels = Some(self.marks(&place));
        Ok(Ask::Run(Box::new(run)))
    }

    fn problem(&self, place: &Place, sequence: &str) -> Result<Ask, Invalid> {
        let mut data = self.given.data.clone();
        // v1's bridge wrote the title so, and Go read it without regard to case.
        if let Some(problem) = data.get_mut("problem").and_then(Value::as_object_mut) {
            for (theirs, ours) in [("ProblemTitle", "problemTitle"), ("RootCause", "rootCause")] {
                if let (false, Some(text)) = (problem.contains_key(ours), problem.remove(theirs)) {
                    problem.insert(ours.to_owned(), text);
                }
            }
        }
        data.insert("labels".to_owned(), serde_json::json!(self.labels()));
        let read = problem(&data, Some(sequence)).transpose();
        let wrong = |e: String| {
            Invalid::new(
                "data.problem",
                format!("can't be read: {e}; it needs a problemTitle"),
            )
        };
        let mut spec = read
            .map_err(|e| wrong(e.to_string()))?
            .ok_or_else(|| wrong("it is missing".to_owned()))?;
        if spec.problem.problem_title.is_empty() || spec.problem.problem_title.len() > 253 {
            return Err(Invalid::new(
                "data.problem.problemTitle",
                "has no character, or more than 253; it is what a Remediation's problemType is compared with",
            ));
        }
        small(
            &serde_json::json!({"problem": spec.problem, "data": spec.data})
                .as_object()
                .cloned()
                .unwrap_or_default(),
        )?;
        spec.context = Some(self.context.to_owned());
        let more = &spec.problem.more;
        let state = more
            .get("State")
            .or_else(|| more.get("state"))
            .and_then(Value::as_str);
        if state.is_some_and(|s| s.eq_ignore_ascii_case("resolved") || s.eq_ignore_ascii_case("closed")) {
            spec.state = ProblemState::Resolved;
        }
        let mut problem = ProblemEvent::new(&self.name(place.service(), &spec.problem.problem_title), spec);
        problem.metadata.labels = Some(self.marks(place));
        Ok(Ask::Problem(Box::new(problem)))
    }

    fn evaluation(&self) -> Result<Ask, Invalid> {
        let place = self.place()?;
        let block = self.given.data.get("evaluation").and_then(Value::as_object);
        let text = |field: &str| {
            let found = block.and_then(|b| b.get(field)).and_then(Value::as_str);
            found.map(str::trim).filter(|text| !text.is_empty())
        };
        let time = |field: &str| text(field).map(|written| point(field, written)).transpose();
        let timeframe = text("timeframe").map(str::parse::<Duration>).transpose();
        let timeframe = timeframe.map_err(|e| Invalid::new("data.evaluation.timeframe", e))?;
        let (window, timeframe) = match (time("start")?, time("end")?, timeframe) {
            (Some(start), Some(end), None) if start < end => (Some((start, end)), None),
            (Some(start), None, Some(length)) => {
                let end = start.checked_add(length.signed());
                let end =
                    end.map_err(|_| Invalid::new("data.evaluation.timeframe", "is too long; shorten it"))?;
                (Some((start, end)), None)
            }
            (None, None, timeframe) => (None, timeframe),
            _ => {
                let message = "say start and end (start first), start and timeframe, timeframe, or nothing for the last 5m";
                return Err(Invalid::new("data.evaluation", message));
            }
        };
        let deployment = self
            .given
            .data
            .get("deployment")
            .and_then(|d| d.get("deploymentNames"));
        let spec = EvaluationSpec {
            project: place.project().to_owned(),
            stage: place.stage().to_owned(),
            service: place.service().to_owned(),
            window: window.map(|(start, end)| Window {
                start: ApiTime(start),
                end: ApiTime(end),
            }),
            timeframe,
            labels: self.labels(),
            deployment: deployment
                .and_then(|d| d.get(0))
                .and_then(Value::as_str)
                .map(|d| cut(d, 253)),
            ..EvaluationSpec::default()
        };
        let mut evaluation = Evaluation::new(&self.name(place.service(), "evaluation"), spec);
        evaluation.metadata.labels = Some(self.marks(&place));
        Ok(Ask::Evaluation(Box::new(evaluation)))
    }

    fn triggered_id(&self) -> Result<String, Invalid> {
        let missing = || {
            Invalid::new(
                "triggeredid",
                "is missing; send the id of the .triggered event that this one answers",
            )
        };
        self.given.triggered_id.clone().ok_or_else(missing)
    }

    fn task(&self, task: &str, type_: TaskResultType) -> Result<Ask, Invalid> {
        let place = self.place()?;
        let triggered_id = self.triggered_id()?;
        let finished = type_ == TaskResultType::Finished;
        let said = |field: &str, values: &str| {
            let read = if finished {
                self.text(field).map(Some)
            } else {
                Ok(None)
            };
            read.map_err(|_| Invalid::new(format!("data.{field}"), format!("is missing; write {values}")))
        };
        let result = said("result", "pass, warning or fail")?;
        let status = said("status", "succeeded or errored")?;
        let mut data = self.given.data.clone();
        for own in [
            "project", "stage", "service", "labels", "result", "status", "message",
        ] {
            data.remove(own);
        }
        small(&data)?;
        let message = self.given.data.get("message").and_then(Value::as_str);
        Ok(Ask::Task(Box::new(Said {
            name: self.name(task, if finished { "finished" } else { "started" }),
            task: task.to_owned(),
            place,
            triggered_id,
            source: cut(&self.given.source, 253),
            type_,
            result: result.map(|text| cut(&text, 63)),
            status: status.map(|text| cut(&text, 63)),
            message: message.filter(|m| !m.is_empty()).map(|m| cut(m, 4096)),
            data: (finished && !data.is_empty()).then_some(data),
        })))
    }

    fn answer(&self, finished: bool) -> Result<Ask, Invalid> {
        let place = self.place()?;
        let triggered_id = self.triggered_id()?;
        let choice = if finished {
            match self.text("result").unwrap_or_default().as_str() {
                "pass" => Some(Choice::Approve),
                "fail" | "failed" => Some(Choice::Decline),
                other => {
                    let message = format!("is {other:?}; write pass to approve, or fail to decline");
                    return Err(Invalid::new("data.result", message));
                }
            }
        } else {
            None
        };
        let reason = self.given.data.get("message").and_then(Value::as_str);
        Ok(Ask::Answer(Answered {
            place,
            triggered_id,
            choice,
            reason: reason.filter(|r| !r.is_empty()).map(|r| cut(r, TEXT_MAX)),
        }))
    }
}

/// v1 wrote times without a zone, and meant UTC.
fn point(field: &str, written: &str) -> Result<Timestamp, Invalid> {
    let zoned = written.parse().or_else(|_| format!("{written}Z").parse());
    let time: Timestamp = zoned.map_err(|_| {
        Invalid::new(
            format!("data.evaluation.{field}"),
            format!("is {written:?}, which is no point in time such as 2026-01-31T15:04:05Z"),
        )
    })?;
    Ok(Timestamp::from_microsecond(time.as_microsecond()).unwrap_or(time))
}

/// A run could not begin with more.
fn small(data: &Object) -> Result<(), Invalid> {
    let size = serde_json::to_string(data).map_or(usize::MAX, |text| text.len());
    if size <= payload::DATA_MAX {
        return Ok(());
    }
    let max = payload::DATA_MAX;
    Err(Invalid::new(
        "data",
        format!("has {size} bytes, at most {max} are allowed: keep large values elsewhere and pass a link"),
    ))
}

fn cut(text: &str, max: usize) -> String {
    let end = (0..=max.min(text.len()))
        .rev()
        .find(|i| text.is_char_boundary(*i));
    text[..end.unwrap_or(0)].to_owned()
}
