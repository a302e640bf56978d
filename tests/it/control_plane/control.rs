//! Who may skip tasks, run again and ask for a change, on a real API server with the shipped roles and admission
//! policies.

use serde_json::{Value, json};

use super::users::*;

fn skips(all: &[Value]) -> Value {
    json!({"control": {"skip": all}})
}

#[tokio::test]
#[ignore = "needs a cluster (KUBECONFIG) with the CRDs"]
async fn tasks_are_skipped_in_ones_own_name_and_gates_by_admins() {
    let world = World::new("skipping", true).await;
    let (editor, admin, scribe) = (
        world.user(EDITOR).await,
        world.user(ADMIN).await,
        world.user(SCRIBE).await,
    );
    let kind = "SequenceExecution";
    editor.create(&run("r", json!({}))).await.unwrap();
    let patch = |all: &[Value]| json!({"spec": skips(all)});

    let forged = editor.merge(kind, "r", patch(&[skip("test", ADMIN)])).await;
    refused(
        forged,
        "you skip a task in nobody's name but your own; write by: eve",
    );
    let unable = scribe.merge(kind, "r", patch(&[skip("test", SCRIBE)])).await;
    refused(unable, "needs the verb skip on sequenceexecutions.coxswain.dev");
    for gate in ["approval", "evaluation"] {
        let gate = editor
            .merge(kind, "r", patch(&[skip("test", EDITOR), skip(gate, EDITOR)]))
            .await;
        refused(
            gate,
            "needs the verb skip-gate on sequenceexecutions.coxswain.dev besides skip",
        );
    }
    editor
        .merge(kind, "r", patch(&[skip("test", EDITOR)]))
        .await
        .unwrap();
    let all = [skip("test", EDITOR), skip("approval", ADMIN)];
    admin.merge(kind, "r", patch(&all)).await.unwrap();
    let removed = admin.merge(kind, "r", patch(&[])).await;
    refused(
        removed,
        "an entry of spec.control.skip is never changed or removed",
    );
    let changed = admin
        .merge(kind, "r", patch(&[skip("test", ADMIN), all[1].clone()]))
        .await;
    refused(
        changed,
        "an entry of spec.control.skip is never changed or removed",
    );

    // What others said before does not hinder who says something else.
    let pause = json!({"metadata": {"labels": {"seen": "yes"}}, "spec": {"control": {"desired": "Pause"}}});
    scribe.merge(kind, "r", pause).await.unwrap();

    // Born with entries: the same rules.
    refused(
        editor.create(&run("born", skips(&[skip("test", ADMIN)]))).await,
        "you skip a task in nobody's name but your own",
    );
    refused(
        editor
            .create(&run("born", skips(&[skip("evaluation", EDITOR)])))
            .await,
        "needs the verb skip-gate",
    );
    refused(
        scribe.create(&run("born", skips(&[skip("test", SCRIBE)]))).await,
        "needs the verb skip on",
    );
    editor
        .create(&run("born", skips(&[skip("test", EDITOR)])))
        .await
        .unwrap();
    // As many as the schema lets in, all long, and nearly all of them there before.
    let long = |n: usize| json!({"attempt": n + 1, "task": "t".repeat(63), "reason": "r".repeat(1024), "by": EDITOR});
    let many: Vec<Value> = (0..64).map(long).collect();
    editor.create(&run("many", skips(&many[..63]))).await.unwrap();
    editor.merge(kind, "many", patch(&many)).await.unwrap();
    // Null is as good as absent.
    scribe
        .create(&run(
            "null",
            json!({"control": null, "retryOf": null, "requestedBy": null}),
        ))
        .await
        .unwrap();
    editor
        .merge(kind, "null", patch(&[skip("test", EDITOR)]))
        .await
        .unwrap();
    scribe
        .create(&run("null-retry", json!({"control": {"retry": null}})))
        .await
        .unwrap();
    editor
        .merge(kind, "null-retry", patch(&[skip("test", EDITOR)]))
        .await
        .unwrap();
    world.end().await;
}

#[tokio::test]
#[ignore = "needs a cluster (KUBECONFIG) with the CRDs"]
async fn to_run_again_needs_the_verb_retry() {
    let world = World::new("retrying", true).await;
    let (operator, editor, admin, scribe) = (
        world.operator().await,
        world.user(EDITOR).await,
        world.user(ADMIN).await,
        world.user(SCRIBE).await,
    );
    let kind = "SequenceExecution";
    editor.create(&run("r", json!({}))).await.unwrap();
    let again = |id: &str| json!({"spec": {"control": {"retry": {"id": id}}}});
    refused(
        editor.merge(kind, "r", again("1")).await,
        "only a run that has ended can be retried",
    );
    let ended = json!({"phase": "Failed", "done": true});
    operator.status(kind, "r", ended).await.unwrap();
    let verb = "needs the verb retry on sequenceexecutions.coxswain.dev";
    refused(scribe.merge(kind, "r", again("1")).await, verb);
    editor.merge(kind, "r", again("1")).await.unwrap();
    refused(scribe.merge(kind, "r", again("2")).await, verb);
    scribe
        .merge(kind, "r", json!({"spec": {"control": {"desired": "Run"}}}))
        .await
        .unwrap();
    admin.merge(kind, "r", again("2")).await.unwrap();
    scribe
        .merge(kind, "r", json!({"spec": {"control": {"retry": null}}}))
        .await
        .unwrap();

    let from = |name: &str, task: i32| {
        run(
            name,
            json!({"retryOf": {"name": "r", "uid": "1-2-3", "task": task}}),
        )
    };
    refused(
        scribe.create(&from("again", 0)).await,
        "spec.retryOf: running it again needs the verb retry",
    );
    let born = run("again", json!({"control": {"retry": {"id": "1"}}}));
    refused(
        admin.create(&born).await,
        "only a run that has ended can be retried",
    );
    editor.create(&from("again", 0)).await.unwrap();
    // The tasks before may be gates.
    refused(
        editor.create(&from("later", 2)).await,
        "spec.retryOf.task: a run that leaves out tasks may leave out a gate",
    );
    operator.create(&from("later", 2)).await.unwrap();
    admin.create(&from("by-admin", 2)).await.unwrap();
    world.end().await;
}

#[tokio::test]
#[ignore = "needs a cluster (KUBECONFIG) with the CRDs"]
async fn nobody_asks_for_a_change_in_anothers_name() {
    let world = World::new("requesting", true).await;
    let (operator, editor, admin) = (
        world.operator().await,
        world.user(EDITOR).await,
        world.user(ADMIN).await,
    );
    let by = |who: &str| json!({"requestedBy": who});
    let not_mine = "spec.requestedBy: you ask for a change in nobody's name but your own";
    refused(editor.create(&delivery("d", by(ADMIN))).await, not_mine);
    refused(
        editor.create(&run("r", by(ADMIN))).await,
        "write eve instead of ada, or leave it out",
    );
    editor.create(&delivery("d", by(EDITOR))).await.unwrap();
    editor
        .create(&delivery("nobodys", json!({"requestedBy": null})))
        .await
        .unwrap();
    editor.create(&run("r", by(EDITOR))).await.unwrap();
    // The operator carries the name over.
    operator.create(&run("follow-up", by(EDITOR))).await.unwrap();

    let spec = |spec: Value| json!({ "spec": spec });
    let kind = "Delivery";
    refused(admin.merge(kind, "d", spec(by("somebody"))).await, not_mine);
    // Another version in the name of who asked for the last one.
    refused(
        admin.merge(kind, "d", spec(json!({"image": "cart:3"}))).await,
        "write ada instead of eve",
    );
    admin
        .merge(kind, "d", spec(json!({"image": "cart:3", "requestedBy": ADMIN})))
        .await
        .unwrap();
    editor.merge(kind, "d", spec(by(EDITOR))).await.unwrap();
    admin
        .merge(kind, "d", spec(json!({"requestedBy": null})))
        .await
        .unwrap();
    admin
        .merge(kind, "nobodys", spec(json!({"image": "cart:3"})))
        .await
        .unwrap();

    // What changes no wish.
    editor.merge(kind, "d", spec(by(EDITOR))).await.unwrap();
    admin
        .merge(kind, "d", json!({"metadata": {"labels": {"seen": "yes"}}}))
        .await
        .unwrap();
    operator
        .status(kind, "d", json!({"phase": "Delivering"}))
        .await
        .unwrap();
    admin
        .merge(
            "SequenceExecution",
            "r",
            spec(json!({"control": {"desired": "Abort"}})),
        )
        .await
        .unwrap();
    refused(
        admin.merge("SequenceExecution", "r", spec(by(ADMIN))).await,
        "spec is immutable",
    );
    world.end().await;
}

#[tokio::test]
#[ignore = "needs a cluster (KUBECONFIG) with the CRDs"]
async fn editors_add_task_results_and_change_none() {
    let world = World::new("results", true).await;
    let (editor, admin) = (world.user(EDITOR).await, world.user(ADMIN).await);
    let spec =
        json!({"execution": "cart-1", "task": "notify", "attempt": 1, "source": "chat", "type": "Finished"});
    let result = json!({"apiVersion": "coxswain.dev/v1alpha1", "kind": "TaskResult", "metadata": {"name": "t"}, "spec": spec});
    editor.create(&result).await.unwrap();
    let labelled = json!({"metadata": {"labels": {"seen": "yes"}}});
    refused(
        editor.merge("TaskResult", "t", labelled).await,
        "cannot patch resource \"taskresults\"",
    );
    refused(
        editor.delete("TaskResult", "t").await,
        "cannot delete resource \"taskresults\"",
    );
    refused(
        world.user(OUTSIDER).await.create(&result).await,
        "cannot create resource \"taskresults\"",
    );
    admin.delete("TaskResult", "t").await.unwrap();
    world.end().await;
}
