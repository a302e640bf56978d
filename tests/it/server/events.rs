//! CloudEvents in Keptn's types become objects, once each.

use coxswain::{
    api::{Approval, Evaluation, ProblemEvent, SequenceExecution, TaskResult},
    core::{event, inbound::context::is_uuid},
    testing::{Fault, Verb, World},
};
use kube::ResourceExt;
use rstest::rstest;
use serde_json::{Value, json};

use super::{ALL, BOT, DEMO, OTHER, Tokens, open, post, post_with};
use crate::scenarios::{SHOP, mins, secs};

const SEED: &str = include_str!("../../../examples/tutorial/v1/remediation_trigger.json");
const YARD: &str = "
apiVersion: coxswain.dev/v1alpha1
kind: Shipyard
metadata: {name: web}
spec:
  stages:
    - name: qa
      sequences:
        - name: tell
          tasks: [{name: announce, executor: External}]
        - name: ask
          tasks: [{name: approval}]
";

fn triggered(sequence: &str, id: &str) -> Value {
    json!({"specversion": "1.0", "id": id, "source": "ci", "type": format!("sh.keptn.event.qa.{sequence}.triggered"),
        "data": {"project": "web", "stage": "qa", "service": "front", "image": "front:2", "labels": {"build": 7}}})
}

async fn send(door: &axum::Router, event: &Value) -> (u16, Value) {
    post(door, "/v1/event", DEMO, event.to_string()).await
}

#[test]
fn the_tutorial_s_trigger_works_as_it_stands() {
    World::run(async |world: World| {
        let tokens = Tokens::new("seed");
        world.apply("{apiVersion: v1, kind: Namespace, metadata: {name: fulltour}}");
        world.apply(include_str!("../../../examples/tutorial/shipyard.yaml"));
        let yard = world.server.list::<coxswain::api::Shipyard>("").remove(0);
        let (_operator, door) = open(&world, "operator", tokens.settings()).await;
        // A token for everything finds the only namespace that has the project.
        let (code, answer) = post(&door, "/v1/event", ALL, SEED).await;
        assert_eq!(code, 200, "{answer}");
        let context = answer["keptnContext"].as_str().unwrap().to_owned();
        assert!(is_uuid(&context));
        let problems = world.server.list::<ProblemEvent>(&yard.namespace().unwrap());
        assert_eq!(problems.len(), 1);
        assert_eq!(
            problems[0].spec.problem.problem_title,
            "http_response_time_seconds_main_page_sum"
        );
        assert_eq!(problems[0].annotations()["coxswain.dev/asked-by"], "token all");
        let runs = || world.server.list::<SequenceExecution>(&yard.namespace().unwrap());
        world
            .wait_until("its run", secs(30), |_| !runs().is_empty())
            .await;
        assert_eq!(runs()[0].spec.context.as_ref(), Some(&context));
        // It has no id: sent again it asks again, as in v1.
        let (_, again) = post(&door, "/v1/event", ALL, SEED).await;
        assert_ne!(again["keptnContext"], context);
    });
}

#[test]
fn a_sequence_is_started_once_however_often_it_is_sent() {
    World::run(async |world: World| {
        let tokens = Tokens::new("once");
        world.apply(YARD);
        let (_operator, door) = open(&world, "operator", tokens.settings()).await;
        let mut event = triggered("tell", "1");
        event["shkeptncontext"] = "our-flow".into();
        // The first answer gets lost.
        world.server.on_request(|call| match call.verb {
            Verb::Create if call.resource.starts_with("sequenceexecutions") => Fault::FailAfter(504),
            _ => Fault::Proceed,
        });
        assert_eq!(send(&door, &event).await.0, 503);
        world.server.on_request(|_| Fault::Proceed);
        let (first, second) = (send(&door, &event).await, send(&door, &event).await);
        assert_eq!(first, second);
        let runs = world.list::<SequenceExecution>();
        assert_eq!(runs.len(), 1);
        assert_eq!(first, (200, json!({"keptnContext": runs[0].spec.context})));
        assert_eq!(runs[0].spec.labels["build"], "7");
        assert_eq!(json!(runs[0].spec.data), json!({"image": "front:2"}));
        send(&door, &triggered("tell", "2")).await;
        assert_eq!(world.list::<SequenceExecution>().len(), 2);
    });
}

#[test]
fn binary_and_batch() {
    World::run(async |world: World| {
        let tokens = Tokens::new("modes");
        world.apply(YARD);
        let (_operator, door) = open(&world, "operator", tokens.settings()).await;
        let event = triggered("tell", "1");
        let headers = [
            ("x-token", DEMO),
            ("ce-specversion", "1.0"),
            ("ce-id", "1"),
            ("ce-source", "ci"),
            ("ce-type", "sh.keptn.event.qa.tell.triggered"),
            ("content-type", "application/json"),
        ];
        let binary = post_with(&door, "/v1/event", &headers, event["data"].to_string()).await;
        assert_eq!(
            binary,
            send(&door, &event).await,
            "the same event in another mode"
        );
        let batch = json!([triggered("tell", "1"), triggered("tell", "2")]).to_string();
        let headers = [
            ("x-token", DEMO),
            ("content-type", "application/cloudevents-batch+json"),
        ];
        let (code, answer) = post_with(&door, "/v1/event", &headers, batch).await;
        assert_eq!((code, answer.as_array().unwrap().len()), (200, 2));
        assert_eq!(answer[0], binary.1);
        assert_eq!(world.list::<SequenceExecution>().len(), 2);
        // One that is hopeless, and nothing of the batch is stored.
        let batch = json!([triggered("tell", "3"), triggered("tel", "4")]).to_string();
        let (code, answer) = post_with(&door, "/v1/event", &headers, batch).await;
        assert_eq!(
            (code, answer["message"].as_str().unwrap()),
            (
                400,
                "[1].type: no sequence \"tel\" in stage qa of Shipyard web; did you mean \"tell\"?"
            )
        );
        assert_eq!(world.list::<SequenceExecution>().len(), 2);
    });
}

#[test]
fn outside_executors_answer_with_events() {
    World::run(async |world: World| {
        let tokens = Tokens::new("outside");
        world.apply(YARD);
        let (_operator, door) = open(&world, "operator", tokens.settings()).await;
        let (_, started) = send(&door, &triggered("tell", "1")).await;
        let run = || world.list::<SequenceExecution>().remove(0);
        let waits = |w: &World| {
            w.list::<SequenceExecution>()[0]
                .status
                .as_ref()
                .is_some_and(|s| s.waits_for == "TaskResults")
        };
        world
            .wait_until("an executor is waited for", mins(1), waits)
            .await;
        let said = |what: &str, triggered: &str| {
            json!({"specversion": "1.0", "id": what, "source": "bot", "type": format!("sh.keptn.event.announce.{what}"),
                "triggeredid": triggered, "shkeptncontext": started["keptnContext"],
                "data": {"project": "web", "stage": "qa", "service": "front", "result": "pass", "status": "succeeded",
                    "message": "told", "announce": {"channel": "ops"}}})
        };
        let (code, answer) = send(&door, &said("started", "nobody")).await;
        assert_eq!(code, 400);
        assert!(
            answer["message"]
                .as_str()
                .unwrap()
                .starts_with("triggeredid: is \"nobody\""),
            "{answer}"
        );
        let id = event::id(&run().uid().unwrap(), 1, 0);
        for what in ["started", "finished", "finished"] {
            let answered = send(&door, &said(what, &id)).await;
            assert_eq!(answered, (200, started.clone()), "{what}");
        }
        let done = |w: &World| {
            w.list::<SequenceExecution>()[0]
                .status
                .as_ref()
                .is_some_and(|s| s.done)
        };
        world.wait_until("the end", mins(1), done).await;
        let status = run().status.unwrap();
        assert_eq!(status.phase, "Succeeded");
        assert_eq!(status.payload.unwrap()["announce"], json!({"channel": "ops"}));
        assert_eq!(
            send(&door, &said("finished", &id)).await,
            (200, started.clone()),
            "sent again after the end"
        );
        assert_eq!(world.list::<TaskResult>().len(), 2);
    });
}

#[test]
fn a_question_is_answered_in_the_name_of_the_token_s_user() {
    World::run(async |world: World| {
        let tokens = Tokens::new("approval");
        world.apply(YARD);
        let (_operator, door) = open(&world, "operator", tokens.settings()).await;
        send(&door, &triggered("ask", "1")).await;
        world
            .wait_until("a question", mins(1), |w| !w.list::<Approval>().is_empty())
            .await;
        let question = world.list::<Approval>().remove(0);
        let id = event::id(question.spec.execution.uid.as_ref().unwrap(), 1, 0);
        let answer = json!({"specversion": "1.0", "id": "a", "source": "chat", "type": "sh.keptn.event.approval.finished",
            "triggeredid": id, "data": {"project": "web", "stage": "qa", "service": "front", "result": "pass", "status": "succeeded"}});
        let (code, refused) = send(&door, &answer).await;
        assert_eq!(code, 403);
        assert!(
            refused["message"]
                .as_str()
                .unwrap()
                .contains("answers in nobody's name"),
            "{refused}"
        );
        assert_eq!(post(&door, "/v1/event", BOT, answer.to_string()).await.0, 200);
        let answers = world.get::<Approval>(&question.name_any()).unwrap().spec.answers;
        assert_eq!(
            (answers[0].by.as_str(), answers[0].reason.as_deref()),
            ("release-bot", Some("with the token bot"))
        );
        let done = |w: &World| {
            w.list::<SequenceExecution>()[0]
                .status
                .as_ref()
                .is_some_and(|s| s.phase == "Succeeded")
        };
        world.wait_until("the end", mins(1), done).await;
    });
}

#[test]
fn an_evaluation_by_itself() {
    World::run(async |world: World| {
        let tokens = Tokens::new("evaluation");
        world.apply(SHOP);
        world.metrics.are(0.1);
        let (_operator, door) = open(&world, "operator", tokens.settings()).await;
        let event = json!({"specversion": "1.0", "id": "1", "source": "ci", "type": "sh.keptn.event.evaluation.triggered",
            "data": {"project": "shop", "stage": "production", "service": "cart",
                "evaluation": {"start": "2026-01-05T08:00:00", "end": "2026-01-05T08:10:00Z"}}});
        assert_eq!(send(&door, &event).await.0, 200);
        assert_eq!(send(&door, &event).await.0, 200);
        world
            .wait_until("a verdict", mins(5), |w| {
                w.list::<Evaluation>()[0].status.as_ref().is_some_and(|s| s.done)
            })
            .await;
        let all = world.list::<Evaluation>();
        assert_eq!(all.len(), 1);
        assert_eq!(
            all[0].spec.window.as_ref().unwrap().start.0.to_string(),
            "2026-01-05T08:00:00Z"
        );
        // The sequence that every stage has, as v1 started it.
        let mut whole = event.clone();
        whole["type"] = "sh.keptn.event.production.evaluation.triggered".into();
        assert_eq!(send(&door, &whole).await.0, 200);
        assert_eq!(world.list::<SequenceExecution>()[0].spec.sequence, "evaluation");
    });
}

#[rstest]
#[case(json!({"type": "com.example"}), "type: \"com.example\" does not begin with sh.keptn.event.")]
#[case(json!({"type": "sh.keptn.event.tell.triggered"}), "type: \"sh.keptn.event.tell.triggered\" is of a task")]
#[case(json!({"type": "sh.keptn.event.q.tell.triggered"}), "data.stage: is \"qa\", but the type is of stage \"q\"")]
#[case(json!({"data": {"stage": "qa", "service": "front"}}), "data.project: is missing; name the project")]
#[case(json!({"data": {"project": "wed", "stage": "qa", "service": "front"}}), "data.project: no Shipyard \"wed\" in namespace demo; did you mean \"web\"?")]
#[case(json!({"data": {"project": "web", "stage": "qa", "service": "My Front"}}), "data.service: ")]
#[case(json!({"data": {"project": "web", "stage": "qa", "service": "front", "x": "y".repeat(20_000)}}), "data: has 20")]
#[case(json!({"type": "sh.keptn.event.announce.finished", "triggeredid": "1"}), "data.result: is missing; write pass, warning or fail")]
#[case(json!({"type": "sh.keptn.event.announce.finished"}), "triggeredid: is missing")]
#[case(json!({"type": "sh.keptn.event.evaluation.invalidated"}), "type: a verdict is taken out in the name of who says so")]
#[case(json!({"data": {"project": "web", "stage": "qa", "service": "front", "problem": {}}}), "data.problem: can't be read: missing field `problemTitle`")]
fn what_is_wrong_is_said_and_nothing_is_stored(#[case] change: Value, #[case] says: &str) {
    let says = says.to_owned();
    World::run(async move |world: World| {
        let tokens = Tokens::new(&format!(
            "wrong-{:x}",
            says.len() * 7919 + usize::from(says.as_bytes()[6])
        ));
        world.apply(YARD);
        let (_operator, door) = open(&world, "operator", tokens.settings()).await;
        let mut event = triggered("tell", "1");
        for (name, value) in change.as_object().unwrap() {
            event[name] = value.clone();
        }
        let (code, answer) = send(&door, &event).await;
        let message = answer["message"].as_str().unwrap();
        assert_eq!(code, 400, "{message}");
        assert!(message.starts_with(&says), "{message}");
        assert!(world.list::<SequenceExecution>().is_empty() && world.list::<ProblemEvent>().is_empty());
    });
}

#[test]
fn scopes_hold_for_events() {
    World::run(async |world: World| {
        let tokens = Tokens::new("event-scopes");
        world.apply(YARD);
        let (_operator, door) = open(&world, "operator", tokens.settings()).await;
        let event = triggered("tell", "1").to_string();
        let (code, answer) = post(&door, "/v1/event", OTHER, event.clone()).await;
        assert_eq!(
            (code, answer["message"].as_str().unwrap()),
            (
                403,
                "the token other is for project other in namespace demo only, not for project web; use another token"
            )
        );
        let (code, _) = post_with(&door, "/v1/event", &[], event.clone()).await;
        assert_eq!(code, 401);
        // Two namespaces have the project.
        world.apply("{apiVersion: v1, kind: Namespace, metadata: {name: twin}}");
        let twin = YARD.replace("metadata: {name: web}", "metadata: {name: web, namespace: twin}");
        world.apply(&twin);
        world.sleep(secs(1)).await;
        let (code, answer) = post(&door, "/v1/event", ALL, event.clone()).await;
        assert_eq!(code, 400);
        assert!(
            answer["message"]
                .as_str()
                .unwrap()
                .contains("in the namespaces demo, twin; say which with ?namespace=")
        );
        assert_eq!(post(&door, "/v1/event?namespace=twin", ALL, event).await.0, 200);
        assert_eq!(world.server.list::<SequenceExecution>("twin").len(), 1);
    });
}
