//! From an event to the run that it triggers.

use jiff::Timestamp;
use kube::api::ObjectMeta;
use serde_json::Value;

use super::{BEGINNING, Definitions, definitions::read, shape::short};
use crate::{
    api::{
        Delivery, ProblemEvent, SequenceExecution, SequenceExecutionSpec,
        common::{SourceRef, Time},
    },
    core::{
        Invalid,
        definitions::{nearest::hint, pinned},
        delivery, names,
        remediation::problem,
    },
};

/// The kinds that trigger a run.
const KINDS: [&str; 3] = ["ProblemEvent", "SequenceExecution", "Delivery"];

/// The run that an event triggers: a CloudEvent `sh.keptn.event.<stage>.<sequence>.triggered`, or an object of ours. It is
/// an error when the run could not start.
pub fn first(event: &Value, definitions: &Definitions) -> Result<SequenceExecution, Vec<Invalid>> {
    let (mut run, at) = if super::is_ours(event) {
        (from_object(event, definitions)?, "spec")
    } else {
        (from_cloud_event(event).map_err(|e| vec![e])?, "data")
    };
    if run.metadata.namespace.is_none() {
        let mut yards = definitions.snapshot.shipyards.iter();
        let of = yards.find(|s| s.metadata.name.as_ref() == Some(&run.spec.project));
        let named = of.and_then(|s| s.metadata.namespace.clone());
        run.metadata.namespace = named.or_else(|| Some("default".to_owned()));
    }
    match pinned::run(&run, &definitions.snapshot) {
        Ok(_) => Ok(run),
        Err(missing) => {
            let field = match missing.reason {
                "ShipyardNotFound" => format!("{at}.project"),
                "StageNotFound" => format!("{at}.stage"),
                "SequenceNotFound" if at == "data" => "type".to_owned(),
                "SequenceNotFound" => format!("{at}.sequence"),
                _ => at.to_owned(),
            };
            let message = missing.message.replace("in this namespace", "in the files");
            Err(vec![Invalid::new(field, message)])
        }
    }
}

fn from_cloud_event(event: &Value) -> Result<SequenceExecution, Invalid> {
    let Some(type_) = event.get("type").and_then(Value::as_str) else {
        return Err(Invalid::new(
            "type",
            format!(
                "is missing: an event is a CloudEvent with type sh.keptn.event.<stage>.<sequence>.triggered and data, or one of {}",
                KINDS.join(", ")
            ),
        ));
    };
    let name = type_
        .strip_prefix("sh.keptn.event.")
        .and_then(|t| t.strip_suffix(".triggered"));
    let Some((stage, sequence)) = name
        .and_then(|n| n.split_once('.'))
        .filter(|(_, s)| !s.contains('.'))
    else {
        let message =
            format!("is {type_:?}; what triggers a sequence is sh.keptn.event.<stage>.<sequence>.triggered");
        return Err(Invalid::new("type", message));
    };
    let Some(data) = event.get("data").and_then(Value::as_object) else {
        return Err(Invalid::new(
            "data",
            "is missing: it names project, stage and service",
        ));
    };
    let text = |field: &str| match data.get(field) {
        Some(Value::String(text)) if !text.is_empty() => Ok(text.clone()),
        Some(other) => Err(Invalid::new(
            format!("data.{field}"),
            format!("is {}, and must be a name", short(other)),
        )),
        None => Err(Invalid::new(
            format!("data.{field}"),
            format!("is missing; name the {field}"),
        )),
    };
    if data.contains_key("stage") && text("stage")? != stage {
        let message = format!(
            "is {:?}, but the event's type is of stage {stage:?}",
            text("stage")?
        );
        return Err(Invalid::new("data.stage", message));
    }
    let mut payload = data.clone();
    for own in ["project", "stage", "service", "labels"] {
        payload.remove(own);
    }
    let labels = data
        .get("labels")
        .and_then(Value::as_object)
        .into_iter()
        .flatten();
    let spec = SequenceExecutionSpec {
        project: text("project")?,
        stage: stage.to_owned(),
        service: text("service")?,
        sequence: sequence.to_owned(),
        context: event
            .get("shkeptncontext")
            .and_then(Value::as_str)
            .map(str::to_owned),
        triggered_by: Some(SourceRef {
            kind: "Event".to_owned(),
            name: type_.to_owned(),
            uid: None,
        }),
        labels: labels
            .map(|(k, v)| (k.clone(), crate::core::jsonpath::text(v)))
            .collect(),
        data: Some(payload),
        ..SequenceExecutionSpec::default()
    };
    let time = event.get("time").and_then(Value::as_str);
    let time = time.map(str::parse::<Timestamp>).transpose();
    let time = time.map_err(|e| Invalid::new("time", format!("is no time such as {BEGINNING}: {e}")))?;
    let name = names::execution_name(&format!("{}-{sequence}", spec.service), type_, 1);
    let mut run = SequenceExecution::new(&name, spec);
    run.metadata.creation_timestamp = time.map(Time);
    Ok(run)
}

fn from_object(event: &Value, definitions: &Definitions) -> Result<SequenceExecution, Vec<Invalid>> {
    let kind = event.get("kind").and_then(Value::as_str).unwrap_or_default();
    match kind {
        "ProblemEvent" => {
            let mut problem = read::<ProblemEvent>(event)?.as_ref().clone();
            settle(&mut problem.metadata);
            problem.status = None;
            let now = created(&problem.metadata);
            let decision = problem::step(&problem, &problem::Facts::default(), now);
            let mut run = decision.create.map(|run| *run).ok_or_else(|| {
                let message = format!("triggers nothing: {}", decision.status.message);
                vec![Invalid::new("spec.state", message)]
            })?;
            run.metadata.creation_timestamp = Some(Time(now));
            Ok(run)
        }
        "SequenceExecution" => {
            let mut run = read::<SequenceExecution>(event)?.as_ref().clone();
            settle(&mut run.metadata);
            run.status = None;
            Ok(run)
        }
        "Delivery" => Ok(delivery(read::<Delivery>(event)?.as_ref().clone(), definitions)),
        other => {
            let message = format!("{other:?} triggers no run{}", hint(other, KINDS));
            Err(vec![Invalid::new("kind", message)])
        }
    }
}

/// The first run of a delivery.
fn delivery(mut delivery: Delivery, definitions: &Definitions) -> SequenceExecution {
    settle(&mut delivery.metadata);
    let spec = &delivery.spec;
    let mut yards = definitions.snapshot.shipyards.iter();
    let of = yards.find(|s| s.metadata.name.as_ref() == Some(&spec.project));
    let begin = of.and_then(|yard| yard.spec.stages.first());
    let begin = spec
        .stage
        .clone()
        .or_else(|| begin.map(|stage| stage.name.clone()));
    // A project that is not known has no first stage; whoever looks it up says so.
    let mut run = delivery::first(&delivery, &begin.unwrap_or_else(|| "first".to_owned()));
    run.metadata
        .creation_timestamp
        .clone_from(&delivery.metadata.creation_timestamp);
    run
}

/// What the API server would fill in.
fn settle(meta: &mut ObjectMeta) {
    if meta.name.is_none() {
        meta.name = meta.generate_name.take().map(|base| format!("{base}1"));
    }
    meta.uid = Some("00000000-0000-4000-8000-000000000000".to_owned());
    meta.generation = Some(1);
    meta.resource_version = None;
    meta.owner_references = None;
}

fn created(meta: &ObjectMeta) -> Timestamp {
    let said = meta.creation_timestamp.as_ref().map(|t| t.0);
    said.or_else(|| BEGINNING.parse().ok())
        .unwrap_or(Timestamp::UNIX_EPOCH)
}
