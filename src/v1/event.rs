//! An event, as `keptn send event` takes it: `remediation_trigger.json`.

use serde_json::Value;

use super::{Error, Errors, Kind, Reading, schema};
use crate::{
    api::{ProblemEventSpec, common::Object},
    core::inbound,
};

const PREFIX: &str = "sh.keptn.event.";
/// The attributes of a CloudEvent, and those that Keptn and its tools add.
const ATTRIBUTES: [&str; 15] = [
    "specversion",
    "id",
    "source",
    "subject",
    "time",
    "datacontenttype",
    "contenttype",
    "dataschema",
    "shkeptncontext",
    "shkeptnspecversion",
    "triggeredid",
    "gitcommitid",
    "traceparent",
    "tracestate",
    "extensions",
];

/// An event that starts a sequence, or a task.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// The whole type: `sh.keptn.event.production.remediation.triggered`.
    pub type_: String,
    /// What it triggers: the sequence, or the task when it names no stage.
    pub name: String,
    /// Whether it triggers a sequence: then its type names the stage too.
    pub is_sequence: bool,
    /// `data.project`.
    pub project: String,
    /// `data.stage`.
    pub stage: String,
    /// `data.service`.
    pub service: String,
    /// All of `data`, the three above included.
    pub data: Object,
    /// `shkeptncontext`.
    pub context: Option<String>,
}

impl Event {
    /// The problem that the event tells of, as a ProblemEvent's spec: `problem`, `labels`, and the rest of `data` as
    /// data. None when it tells of none.
    ///
    /// # Errors
    /// A `problem` or `labels` that a ProblemEvent can't have.
    pub fn problem(&self) -> Option<Result<ProblemEventSpec, serde_json::Error>> {
        inbound::problem(&self.data, self.is_sequence.then_some(self.name.as_str()))
    }
}

/// Reads an event. Its `data` may hold whatever else the sender likes.
///
/// # Errors
/// All that is wrong with it, or what kept it from being read: a type that triggers nothing, a stage in it that is not
/// the one of `data`, no project, stage or service.
pub fn event(file: &str, bytes: impl AsRef<[u8]>) -> Result<Event, Errors> {
    let mut read = Reading::new(file, bytes.as_ref(), Kind::Event)?;
    let attributes = ATTRIBUTES.iter().map(|name| (*name, schema::anything()));
    let scope = ["project", "stage", "service"];
    let mut data = schema::object(scope.map(|name| (name, schema::text())).to_vec(), &scope);
    data.x_kubernetes_preserve_unknown_fields = Some(true);
    let own = [("type", schema::text()), ("data", data)];
    let whole = schema::object(attributes.chain(own).collect(), &["type", "data"]);
    let wrong = schema::check(file, &mut read.value, &read.texts, &whole);
    if !wrong.is_empty() {
        return Err(Errors(wrong));
    }
    let context = read.text("shkeptncontext");
    let type_ = read.text("type").unwrap_or_default();
    let Value::Object(data) = read.value["data"].take() else {
        return Err(Error::value(file, "data", "is no object; write one").into());
    };
    let text = |name: &str| {
        data.get(name)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let [project, stage, service] = scope.map(text);
    let mut wrong = Vec::new();
    for (name, value) in scope.into_iter().zip([&project, &stage, &service]) {
        if value.is_empty() {
            wrong.push(Error::value(
                file,
                &format!("data.{name}"),
                format!("is empty; name the {name}"),
            ));
        }
    }
    let (name, is_sequence) = match triggers(&type_, &stage) {
        Ok(triggers) => triggers,
        Err(message) => {
            wrong.push(Error::value(file, "type", message));
            (String::new(), false)
        }
    };
    if !wrong.is_empty() {
        return Err(Errors(wrong));
    }
    Ok(Event {
        type_,
        name,
        is_sequence,
        project,
        stage,
        service,
        data,
        context,
    })
}

/// What an event of this type triggers, and whether that is a sequence.
fn triggers(type_: &str, stage: &str) -> Result<(String, bool), String> {
    let shape = format!("write {PREFIX}{stage}.<sequence>.triggered");
    let Some(rest) = type_.strip_prefix(PREFIX) else {
        return Err(format!("{type_:?} does not begin with {PREFIX}; {shape}"));
    };
    let parts: Vec<&str> = rest.split('.').collect();
    match parts.as_slice() {
        [of, sequence, "triggered"] if *of == stage && !sequence.is_empty() => {
            Ok(((*sequence).to_owned(), true))
        }
        [of, sequence, "triggered"] if !of.is_empty() && !sequence.is_empty() => Err(format!(
            "{type_:?} is of stage {of:?}, but data.stage is {stage:?}; make them the same"
        )),
        [task, "triggered"] if !task.is_empty() => Ok(((*task).to_owned(), false)),
        _ => Err(format!("{type_:?} triggers nothing; {shape}")),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    const TUTORIAL: &str = include_str!("../../examples/tutorial/v1/remediation_trigger.json");

    #[test]
    fn the_tutorial_s_event_is_the_tutorial_s_problem() {
        let event = event("remediation_trigger.json", TUTORIAL).unwrap();
        assert_eq!((event.name.as_str(), event.is_sequence), ("remediation", true));
        let by_hand: crate::api::ProblemEvent =
            serde_yaml::from_str(include_str!("../../examples/tutorial/problem.yaml")).unwrap();
        let problem = event.problem().unwrap().unwrap();
        assert_eq!(problem.sequence.as_deref(), Some("remediation"));
        assert_eq!(
            ProblemEventSpec {
                sequence: None,
                ..problem
            },
            by_hand.spec
        );
    }

    #[test]
    fn data_that_is_not_the_problem_goes_along() {
        let text = json!({"type": "sh.keptn.event.s.heal.triggered", "data": {
            "project": "p", "stage": "s", "service": "v", "labels": {"a": "b"}, "image": {"tag": 1}, "problem": {"problemTitle": "t"}}});
        let event = event("e.json", text.to_string()).unwrap();
        let problem = event.problem().unwrap().unwrap();
        assert_eq!(json!(problem.data), json!({"image": {"tag": 1}}));
        assert_eq!(problem.labels["a"], "b");
    }

    #[rstest]
    #[case("{}", "e.json: type: is missing; add it\ne.json: data: is missing; add it")]
    #[case(r#"{"typ": "x", "type": "sh.keptn.event.s.q.triggered", "data": {"project": "p", "stage": "s", "service": "v"}}"#,
        r#"e.json: typ: there is no such field; did you mean "type"?"#)]
    #[case(r#"{"type": "sh.keptn.event.t.q.triggered", "data": {"project": "p", "stage": "s", "service": "v"}}"#,
        r#"e.json: type: "sh.keptn.event.t.q.triggered" is of stage "t", but data.stage is "s"; make them the same"#)]
    #[case(
        r#"{"type": "sh.keptn.event.s.q.finished", "data": {"project": "p", "stage": "s", "service": ""}}"#,
        "e.json: data.service: is empty; name the service\ne.json: type: \"sh.keptn.event.s.q.finished\" triggers nothing; write sh.keptn.event.s.<sequence>.triggered"
    )]
    #[case(
        r#"{"type": "com.x", "data": {"project": "p", "stage": "s"}}"#,
        "e.json: data.service: is missing; add it"
    )]
    #[case("[]", "e.json: the whole: is no object; write an event into it")]
    fn what_is_wrong_is_said(#[case] text: &str, #[case] says: &str) {
        assert_eq!(event("e.json", text).unwrap_err().to_string(), says);
    }
}
