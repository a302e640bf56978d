//! What an event starts, as an object of ours.

use kube::api::ObjectMeta;

use super::Event;
use crate::{
    api::{ProblemEvent, SequenceExecution, SequenceExecutionSpec, common::SourceRef},
    core::{Invalid, jsonpath, labels, names},
};

/// The object that does what an event asks for; the API server ends its name.
#[derive(Clone, Debug, PartialEq)]
pub enum Starts {
    /// A problem: the sequence that heals it follows.
    Problem(Box<ProblemEvent>),
    /// A run.
    Run(Box<SequenceExecution>),
}

impl Event {
    /// What the event starts: with a problem in its data a ProblemEvent, else a run of the sequence.
    ///
    /// # Errors
    /// An event of a task: nothing of its own starts with it. A problem, labels or context that can't be taken over.
    pub fn starts(&self) -> Result<Starts, Invalid> {
        if !self.is_sequence {
            let message = format!(
                "{:?} is a task's event, and tasks start with their sequence; send sh.keptn.event.{}.<sequence>.triggered",
                self.type_, self.stage
            );
            return Err(Invalid::new("type", message));
        }
        if let Some(problem) = self.problem() {
            let spec =
                problem.map_err(|error| Invalid::new("data.problem", format!("can't be read: {error}")))?;
            let mut problem = ProblemEvent::new("", spec);
            let title = problem.spec.problem.problem_title.clone();
            problem.metadata = generated(&[&title]);
            return Ok(Starts::Problem(Box::new(problem)));
        }
        let mut data = self.data.clone();
        for own in ["project", "stage", "service"] {
            data.remove(own);
        }
        let labels = data.remove("labels").unwrap_or_default();
        let labels = labels.as_object().cloned().unwrap_or_default();
        let mut run = SequenceExecution::new(
            "",
            SequenceExecutionSpec {
                project: self.project.clone(),
                stage: self.stage.clone(),
                service: self.service.clone(),
                sequence: self.name.clone(),
                context: self.flow()?,
                triggered_by: Some(SourceRef {
                    kind: "Event".to_owned(),
                    name: self.type_.clone(),
                    uid: None,
                }),
                labels: labels
                    .iter()
                    .map(|(k, v)| (k.clone(), jsonpath::text(v)))
                    .collect(),
                data: (!data.is_empty()).then_some(data),
                ..SequenceExecutionSpec::default()
            },
        );
        run.metadata = generated(&[&self.service, &self.name]);
        Ok(Starts::Run(Box::new(run)))
    }

    /// The flow's context, where the event names one; it becomes a label.
    fn flow(&self) -> Result<Option<String>, Invalid> {
        let Some(context) = self.context.clone().filter(|c| !c.is_empty()) else {
            return Ok(None);
        };
        if labels::is_value(&context) {
            return Ok(Some(context));
        }
        let message = format!("{context:?} can't be a label's value; write a UUID, or leave it out");
        Err(Invalid::new("shkeptncontext", message))
    }
}

fn generated(parts: &[&str]) -> ObjectMeta {
    ObjectMeta {
        generate_name: Some(names::generated(parts)),
        ..ObjectMeta::default()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn event(type_: &str, data: serde_json::Value, context: &str) -> Event {
        let text = json!({"type": type_, "data": data, "shkeptncontext": context}).to_string();
        crate::v1::event("e.json", text).unwrap()
    }

    fn place() -> serde_json::Value {
        json!({"project": "shop", "stage": "qa", "service": "cart"})
    }

    #[test]
    fn the_tutorial_s_trigger_is_a_problem() {
        let text = include_str!("../../examples/tutorial/v1/remediation_trigger.json");
        let Starts::Problem(problem) = crate::v1::event("t.json", text).unwrap().starts().unwrap() else {
            panic!("no problem");
        };
        assert_eq!(problem.spec.service, "helloservice");
        assert_eq!(problem.spec.sequence.as_deref(), Some("remediation"));
        assert!(problem.metadata.generate_name.as_ref().unwrap().ends_with('-'));
    }

    #[test]
    fn anything_else_is_a_run_with_the_event_s_data() {
        let mut data = place();
        data["labels"] = json!({"build": 42});
        data["configurationChange"] = json!({"values": {"image": "cart:2"}});
        let started = event("sh.keptn.event.qa.delivery.triggered", data, "a-flow")
            .starts()
            .unwrap();
        let Starts::Run(run) = started else {
            panic!("no run")
        };
        assert_eq!(run.metadata.generate_name.as_deref(), Some("cart-delivery-"));
        assert_eq!(run.spec.context.as_deref(), Some("a-flow"));
        assert_eq!(run.spec.labels["build"], "42");
        assert_eq!(
            json!(run.spec.data),
            json!({"configurationChange": {"values": {"image": "cart:2"}}})
        );
    }

    #[test]
    fn what_starts_nothing_is_refused() {
        let task = event("sh.keptn.event.deploy.triggered", place(), "")
            .starts()
            .unwrap_err();
        assert!(
            task.to_string()
                .starts_with("type: \"sh.keptn.event.deploy.triggered\" is a task's"),
            "{task}"
        );
        let context = event("sh.keptn.event.qa.delivery.triggered", place(), "a b")
            .starts()
            .unwrap_err();
        assert!(context.to_string().starts_with("shkeptncontext: "), "{context}");
    }
}
