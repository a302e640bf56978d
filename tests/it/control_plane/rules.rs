//! What the CRDs' own rules refuse, on a real API server: each names the object, the field and the remedy.

use serde_json::{Value, json};

use super::users::*;

fn of(kind: &str, name: &str, spec: Value) -> Value {
    json!({"apiVersion": "coxswain.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec})
}

fn result(name: &str, more: Value) -> Value {
    let mut spec =
        json!({"execution": "cart-1", "task": "notify", "attempt": 1, "source": "chat", "type": "Started"});
    spec.as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    of("TaskResult", name, spec)
}

/// A JobConfig's spec with one condition.
fn conditions(more: Value) -> Value {
    let mut condition = json!({"property": "$.data.x"});
    condition
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    json!({"project": "shop", "actions": [{"name": "a", "tasks": [{"name": "t", "image": "i"}],
        "events": [{"name": "sh.keptn.event.t.triggered", "conditions": [condition]}]}]})
}

#[tokio::test]
#[ignore = "needs a cluster (KUBECONFIG) with the CRDs"]
async fn objects_that_can_t_be_meant_are_refused_at_their_birth() {
    let world = World::new("births", true).await;
    let editor = world.user(EDITOR).await;
    let long = "n".repeat(53);
    let shipyard = |name: &str| of("Shipyard", name, json!({"stages": [{"name": "qa"}]}));
    let problem = json!({"project": "shop", "stage": "production", "service": "cart", "problem": {"problemTitle": "slow"}});
    for (object, says) in [
        (
            delivery(&long, json!({})),
            "a Delivery's name may have at most 52 characters",
        ),
        (
            run(&long, json!({})),
            "a SequenceExecution's name may have at most 52 characters",
        ),
        (
            of(
                "JobConfig",
                "c",
                conditions(json!({"match": "a", "notMatch": "b"})),
            ),
            "set either match or notMatch",
        ),
        (
            of("JobConfig", "c", conditions(json!({}))),
            "set either match or notMatch",
        ),
        (
            of("ProblemEvent", &long, problem),
            "a ProblemEvent's name may have at most 52 characters",
        ),
        (
            shipyard(&"n".repeat(44)),
            "a project's name may have at most 43 characters",
        ),
        (shipyard("shop.example"), "a project's name has no dots"),
        (
            run("r", json!({"control": {"retry": {"id": "1"}}})),
            "spec.control.retry: only a run that has ended can be retried; abort it first, or wait for its end",
        ),
        (
            run("r", json!({"control": {"desired": "Fly"}})),
            "spec.control.desired: Unsupported value: \"Fly\": supported values: \"Run\", \"Pause\", \"Abort\"",
        ),
        (
            of(
                "Evaluation",
                "e",
                json!({"project": "shop", "stage": "production", "service": "cart", "timeframe": "5m",
                    "window": {"start": "2026-01-01T00:00:00Z", "end": "2026-01-01T00:05:00Z"}}),
            ),
            "spec.window says it all: leave spec.timeframe out",
        ),
        (run("r", json!({"stage": null})), "spec.stage: Required value"),
        (
            run("r", json!({"service": "Cart Shop"})),
            "spec.service: Invalid value",
        ),
        (
            result("t", json!({"result": "pass"})),
            "result, status and data belong to type Finished",
        ),
    ] {
        println!("{object}");
        refused(editor.create(&object).await, says);
    }
    world.end().await;
}

#[tokio::test]
#[ignore = "needs a cluster (KUBECONFIG) with the CRDs"]
async fn what_no_job_may_ask_for_is_refused_when_it_is_written_down() {
    let world = World::new("jobconfigs", true).await;
    let editor = world.user(EDITOR).await;
    let config = |name: &str, task: Value| {
        let mut job = json!({"name": "t", "image": "i"});
        job.as_object_mut()
            .unwrap()
            .extend(task.as_object().unwrap().clone());
        let action =
            json!({"name": "a", "events": [{"name": "sh.keptn.event.test.triggered"}], "tasks": [job]});
        of("JobConfig", name, json!({"project": "shop", "actions": [action]}))
    };
    for (task, says) in [
        (
            json!({"securityContext": {"privileged": true}}),
            "privileged containers are refused",
        ),
        (
            json!({"securityContext": {"procMount": "Unmasked"}}),
            "Unmasked is refused",
        ),
        (
            json!({"namespace": "kube-system"}),
            "Jobs run in the namespace of their JobConfig",
        ),
    ] {
        refused(editor.create(&config("refused", task)).await, says);
    }
    let own = world.namespace.clone();
    for (index, task) in [
        json!({}),
        json!({"namespace": own}),
        json!({"namespace": ""}),
        json!({"securityContext": {"privileged": false, "procMount": "Default", "runAsUser": 1}}),
    ]
    .into_iter()
    .enumerate()
    {
        editor
            .create(&config(&format!("fine-{index}"), task))
            .await
            .unwrap();
    }
    world.end().await;
}

#[tokio::test]
#[ignore = "needs a cluster (KUBECONFIG) with the CRDs"]
async fn wishes_that_contradict_what_was_said_are_refused() {
    let world = World::new("wishes", true).await;
    let (operator, admin) = (world.operator().await, world.user(ADMIN).await);
    let control = |control: Value| json!({"spec": {"control": control}});
    for name in ["r", "aborted", "skipped"] {
        admin.create(&run(name, json!({}))).await.unwrap();
    }
    admin.create(&delivery("d", json!({}))).await.unwrap();
    admin.create(&result("t", json!({}))).await.unwrap();
    let kind = "SequenceExecution";
    admin
        .merge(kind, "aborted", control(json!({"desired": "Abort"})))
        .await
        .unwrap();
    admin
        .merge(kind, "skipped", control(json!({"skip": [skip("test", ADMIN)]})))
        .await
        .unwrap();
    // Whoever skipped something may still abort.
    admin
        .merge(kind, "skipped", control(json!({"desired": "Abort"})))
        .await
        .unwrap();
    for (kind, name, patch, says) in [
        (
            kind,
            "r",
            json!({"spec": {"service": "other"}}),
            "spec is immutable but for spec.control",
        ),
        (
            kind,
            "r",
            json!({"spec": {"data": {"image": "x"}}}),
            "spec is immutable but for spec.control",
        ),
        (
            kind,
            "r",
            control(json!({"retry": {"id": "1"}})),
            "spec.control.retry: only a run that has ended can be retried",
        ),
        (
            kind,
            "r",
            control(json!({"desired": "Abort", "skip": [skip("test", ADMIN)]})),
            "spec.control: a run that is aborted skips nothing; leave one of them out",
        ),
        (
            kind,
            "aborted",
            control(json!({"desired": "Run"})),
            "an abort can't be taken back: create another SequenceExecution",
        ),
        (
            kind,
            "aborted",
            json!({"spec": {"control": null}}),
            "an abort can't be taken back",
        ),
        (
            "Delivery",
            "d",
            json!({"spec": {"project": "other"}}),
            "a Delivery stays with its project and service",
        ),
        (
            "Delivery",
            "d",
            json!({"spec": {"service": "other"}}),
            "create another Delivery",
        ),
    ] {
        println!("{name}: {patch}");
        refused(admin.merge(kind, name, patch).await, says);
    }
    let moved = operator
        .merge("TaskResult", "t", json!({"spec": {"attempt": 2}}))
        .await;
    refused(moved, "cannot patch resource \"taskresults\"");
    world.end().await;
}

#[tokio::test]
#[ignore = "needs a cluster (KUBECONFIG) with the CRDs"]
async fn a_decided_question_takes_no_answer() {
    let world = World::new("decided", true).await;
    let (operator, approver) = (world.operator().await, world.user(APPROVER).await);
    operator.create(&question("q")).await.unwrap();
    let other = json!({"spec": {"question": "Shall cart:3 go to production?"}});
    refused(
        approver.merge("Approval", "q", other).await,
        "the question never changes; only an answer is added to spec.answers",
    );
    let answer = |choice: &str| json!({"spec": {"answers": [{"by": APPROVER, "choice": choice}]}});
    refused(
        approver.merge("Approval", "q", answer("Perhaps")).await,
        "spec.answers[0].choice: Unsupported value: \"Perhaps\": supported values: \"Decline\", \"Approve\"",
    );
    let expired = json!({"phase": "Expired", "done": true});
    operator.status("Approval", "q", expired).await.unwrap();
    refused(
        approver.merge("Approval", "q", answer("Approve")).await,
        "this question is decided; a later answer changes nothing",
    );
    world.end().await;
}

#[tokio::test]
#[ignore = "needs a cluster (KUBECONFIG) with the CRDs"]
async fn a_verdict_stays_what_it_is_and_may_be_taken_out_of_comparisons() {
    let world = World::new("verdicts", true).await;
    let (operator, editor) = (world.operator().await, world.user(EDITOR).await);
    let kind = "Evaluation";
    let place = json!({"project": "shop", "stage": "production", "service": "cart"});
    let window = json!({"start": "2026-01-01T00:00:00Z", "end": "2026-01-01T00:05:00Z"});
    let with = |field: &str, value: Value| {
        let mut spec = place.clone();
        spec[field] = value;
        spec
    };
    let mut both = with("timeframe", json!("5m"));
    both["window"] = window.clone();
    refused(
        editor.create(&of(kind, "both", both)).await,
        "spec.window says it all: leave spec.timeframe out",
    );
    editor
        .create(&of(kind, "e", with("timeframe", json!("10m"))))
        .await
        .unwrap();
    let spec = |spec: Value| json!({ "spec": spec });
    let immutable = "spec is immutable but for spec.invalidated: create another Evaluation";
    refused(
        editor.merge(kind, "e", spec(json!({"stage": "qa"}))).await,
        immutable,
    );
    refused(
        editor.merge(kind, "e", spec(json!({"timeframe": "1m"}))).await,
        immutable,
    );
    // What is measured is fixed once.
    let objective = json!({"objectives": [{"sli": "latency", "pass": [{"criteria": ["<1"]}]}], "total_score": {"pass": "90%"}});
    let mut fixed = json!({"objective": objective, "objectiveName": "slo", "indicators": {"latency": {"query": "latency"}}});
    editor.merge(kind, "e", spec(fixed.clone())).await.unwrap();
    fixed["indicators"]["latency"]["query"] = json!("another");
    refused(editor.merge(kind, "e", spec(fixed)).await, immutable);
    operator
        .status(
            kind,
            "e",
            json!({"phase": "Succeeded", "done": true, "result": "fail", "score": 0.0}),
        )
        .await
        .unwrap();
    let window = spec(json!({ "window": window }));
    refused(
        editor.merge(kind, "e", window).await,
        "this Evaluation has its verdict",
    );
    let invalid = |by: &str| spec(json!({"invalidated": {"reason": "an outage", "by": by}}));
    refused(
        editor.merge(kind, "e", invalid(ADMIN)).await,
        "you take a verdict out of comparisons in nobody's name but your own; write by: eve",
    );
    editor.merge(kind, "e", invalid(EDITOR)).await.unwrap();
    refused(
        editor.merge(kind, "e", spec(json!({"invalidated": null}))).await,
        "what was taken out of comparisons stays out",
    );
    let labelled = json!({"metadata": {"labels": {"seen": "yes"}}});
    world.user(ADMIN).await.merge(kind, "e", labelled).await.unwrap();
    world.end().await;
}

#[tokio::test]
#[ignore = "needs a cluster (KUBECONFIG) with the CRDs"]
async fn where_requests_go_and_which_alerts_start_what_is_for_administrators_to_say() {
    let world = World::new("admins", true).await;
    let (editor, admin) = (world.user(EDITOR).await, world.user(ADMIN).await);
    let sink = of(
        "EventSink",
        "s",
        json!({"http": {"url": "https://events.example.com"}, "notify": {}}),
    );
    let route = of("AlertRoute", "r", json!({"project": {"default": "shop"}}));
    for (object, plural) in [(&sink, "eventsinks"), (&route, "alertroutes")] {
        refused(
            editor.create(object).await,
            &format!("cannot create resource \"{plural}\""),
        );
        admin.create(object).await.unwrap();
    }
    for (object, says) in [
        (
            of("AlertRoute", "x", json!({"service": {}})),
            "name a label, an annotation or a default",
        ),
        (
            of("EventSink", "x", json!({"http": {"url": "ftp://events"}})),
            "spec.http.url in body should match '^https?://'",
        ),
        (
            of(
                "EventSink",
                "x",
                json!({"http": {"url": "http://events"}, "retryFor": "soon"}),
            ),
            "spec.retryFor",
        ),
    ] {
        refused(admin.create(&object).await, says);
    }
    world.end().await;
}
