//! The event that a task sees: what JobConfigs match, and what JSON paths in them read.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::{
    api::{SequenceExecution, common::Object, shipyard::Task},
    core::{definitions::lookup::triggered as triggered_type, inbound::context, payload},
};

/// The event that starts a task, as a CloudEvent. It follows from its arguments alone, so that it is the same after a
/// restart; `time` is when the task's start was recorded.
pub fn triggered(
    execution: &SequenceExecution,
    attempt: i32,
    task_index: usize,
    task: &Task,
    payload: &Object,
    time: jiff::Timestamp,
) -> Value {
    let uid = execution.metadata.uid.as_deref().unwrap_or_default();
    let mut event = json!({
        "specversion": "1.0",
        "type": triggered_type(&task.name),
        "id": id(uid, attempt, task_index),
        "source": "coxswain",
        "time": time.to_string(),
        "shkeptncontext": execution.spec.context.as_deref().unwrap_or(uid),
        "datacontenttype": "application/json",
    });
    // Moved in: the macro would copy all of it once more.
    event["data"] = Value::Object(payload::for_task(&execution.spec, payload, task));
    event
}

/// The id of the event that starts one task of one attempt; what answers it names it as `triggeredid`.
pub fn id(execution_uid: &str, attempt: i32, task: usize) -> String {
    let digest = Sha256::digest(format!("{execution_uid}/{attempt}/{task}"));
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    context::from_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn execution() -> SequenceExecution {
        serde_json::from_value(json!({
            "metadata": {"name": "slow-1-abc", "uid": "5f1c2d3e-0000-4000-8000-000000000001"},
            "spec": {"project": "fulltour", "stage": "production", "service": "helloservice", "sequence": "remediation"},
        }))
        .unwrap()
    }

    fn event_of(attempt: i32) -> Value {
        let task = Task {
            name: "action".into(),
            ..Task::default()
        };
        let payload = Object::from_iter([("action".to_owned(), json!({"action": "scale", "value": "2"}))]);
        let time = "2026-05-04T03:02:01Z".parse().unwrap();
        triggered(&execution(), attempt, 1, &task, &payload, time)
    }

    #[test]
    fn an_event_is_the_same_whenever_it_is_made() {
        insta::assert_json_snapshot!(event_of(1), @r#"
        {
          "data": {
            "action": {
              "action": "scale",
              "value": "2"
            },
            "project": "fulltour",
            "service": "helloservice",
            "stage": "production"
          },
          "datacontenttype": "application/json",
          "id": "9281ddf3-304a-84d7-939f-e9b2876e4867",
          "shkeptncontext": "5f1c2d3e-0000-4000-8000-000000000001",
          "source": "coxswain",
          "specversion": "1.0",
          "time": "2026-05-04T03:02:01Z",
          "type": "sh.keptn.event.action.triggered"
        }
        "#);
        assert_eq!(event_of(1), event_of(1));
        assert_ne!(event_of(1)["id"], event_of(2)["id"]);
    }

    #[test]
    fn the_flow_is_the_trigger_s_when_it_names_one() {
        let mut run = execution();
        run.spec.context = Some("a-flow".into());
        let event = triggered(
            &run,
            1,
            0,
            &Task::default(),
            &Object::new(),
            jiff::Timestamp::UNIX_EPOCH,
        );
        assert_eq!(event["shkeptncontext"], "a-flow");
    }
}
