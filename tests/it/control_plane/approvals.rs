//! Who may put a question and who may answer it, on a real API server with the shipped roles and admission policies.

use serde_json::{Value, json};

use coxswain::{api::Approval, effects::Effects};
use kube::Api;

use super::users::*;

fn yes(by: &str) -> Value {
    json!({"by": by, "choice": "Approve", "reason": "tested by hand"})
}

/// What the operator asks the API server, to know whether answers can be believed.
fn probe() -> Value {
    let question = serde_json::from_value(question("q")).unwrap();
    serde_json::to_value(coxswain::core::approval::forged(&question)).unwrap()
}

fn answers(all: &[Value]) -> Value {
    json!({"spec": {"answers": all}})
}

#[tokio::test]
#[ignore = "needs a cluster (KUBECONFIG) with the CRDs"]
async fn a_forged_answer_passes_where_the_policies_are_not_in_force() {
    let world = World::new("unenforced", false).await;
    let (operator, approver) = (world.operator().await, world.user(APPROVER).await);
    operator.dry_run(&probe()).await.unwrap();

    operator.create(&question("open")).await.unwrap();
    let forged = approver
        .merge("Approval", "open", answers(&[yes("the-director")]))
        .await;
    assert_eq!(forged.unwrap().data["spec"]["answers"][0]["by"], "the-director");
    // What needs no user stays true: the CRD's own rules.
    let changed = approver.merge("Approval", "open", answers(&[])).await;
    refused(changed, "an answer is never changed or removed");
    world.end().await;
}

#[tokio::test]
#[ignore = "needs a cluster (KUBECONFIG) with the CRDs"]
async fn the_api_server_understands_every_expression() {
    let world = World::new("types", true).await;
    let policies = world.checked_policies().await;
    assert_eq!(policies.len(), 5);
    for policy in policies {
        let warnings = &policy.data["status"]["typeChecking"]["expressionWarnings"];
        assert!(warnings.is_null(), "{:?}: {warnings:#}", policy.metadata.name);
    }
    world.end().await;
}

#[tokio::test]
#[ignore = "needs a cluster (KUBECONFIG) with the CRDs"]
async fn only_the_operator_puts_questions_and_without_answers() {
    let world = World::new("asking", true).await;
    let operator = world.operator().await;
    operator.create(&question("plain")).await.unwrap();
    let mut empty = question("empty");
    empty["spec"]["answers"] = json!([]);
    operator.create(&empty).await.unwrap();

    refused(
        operator.dry_run(&probe()).await,
        "ValidatingAdmissionPolicy 'coxswain-approvals' with binding 'coxswain-approvals' denied request: spec.answers",
    );
    let mut forged = question("forged");
    forged["spec"]["answers"] = json!([yes(OPERATOR)]);
    refused(
        operator.create(&forged).await,
        "a question is put without answers",
    );

    let mine = question("mine");
    refused(
        world.user(SCRIBE).await.create(&mine).await,
        "creating an Approval needs the verb ask on approvals.coxswain.dev",
    );
    // Server-side apply creates too.
    let scribe = world.user(SCRIBE).await;
    let applied = scribe
        .apply("Approval", "mine", SCRIBE, mine["spec"].clone())
        .await;
    refused(applied, "needs the verb ask");
    for user in [APPROVER, EDITOR, ADMIN, OUTSIDER] {
        refused(
            world.user(user).await.create(&mine).await,
            "cannot create resource \"approvals\"",
        );
    }
    world.end().await;
}

#[tokio::test]
#[ignore = "needs a cluster (KUBECONFIG) with the CRDs"]
async fn everybody_answers_for_himself() {
    let world = World::new("answering", true).await;
    let (operator, approver, manager) = (
        world.operator().await,
        world.user(APPROVER).await,
        world.user(MANAGER).await,
    );
    operator.create(&question("q")).await.unwrap();

    let forged = approver.merge("Approval", "q", answers(&[yes(MANAGER)])).await;
    refused(
        forged,
        "spec.answers[].by: you answer for nobody but yourself; write by: ann",
    );
    let both = approver
        .merge("Approval", "q", answers(&[yes(APPROVER), yes(MANAGER)]))
        .await;
    refused(both, "you answer for nobody but yourself");
    let scribe = world.user(SCRIBE).await;
    refused(
        scribe.merge("Approval", "q", answers(&[yes(SCRIBE)])).await,
        "sam may not answer, which needs the verb approve on approvals.coxswain.dev: ask an administrator",
    );
    for user in [EDITOR, OUTSIDER] {
        let answered = world
            .user(user)
            .await
            .merge("Approval", "q", answers(&[yes(user)]))
            .await;
        refused(answered, "cannot patch resource \"approvals\"");
    }
    approver
        .merge("Approval", "q", answers(&[yes(APPROVER)]))
        .await
        .unwrap();

    // A merge patch replaces the list: the first answer would go.
    let replaced = manager.merge("Approval", "q", answers(&[yes(MANAGER)])).await;
    refused(replaced, "an answer is never changed or removed");
    let no = json!({"by": APPROVER, "choice": "Decline"});
    let changed = approver
        .merge("Approval", "q", answers(std::slice::from_ref(&no)))
        .await;
    refused(changed, "an answer is never changed or removed");
    let foreign = manager.merge("Approval", "q", answers(&[no])).await;
    refused(foreign, "an answer is never changed or removed");

    // Added to the list.
    let appended = json!([{"op": "add", "path": "/spec/answers/-", "value": yes(MANAGER)}]);
    refused(
        approver.json_patch("Approval", "q", appended.clone()).await,
        "write by: ann",
    );
    manager.json_patch("Approval", "q", appended).await.unwrap();
    // Applied: the API server merges the list by its key.
    let admin = world.user(ADMIN).await;
    let applied = admin
        .apply("Approval", "q", ADMIN, json!({"answers": [yes(ADMIN)]}))
        .await
        .unwrap();
    assert_eq!(applied.data["spec"]["answers"].as_array().unwrap().len(), 3);

    // Everything else about it.
    let asked = admin
        .merge("Approval", "q", json!({"spec": {"question": "Anything?"}}))
        .await;
    refused(asked, "the question never changes");
    let waiting = admin.create(&run("cart-1", json!({}))).await.unwrap();
    let owner = json!({"apiVersion": "coxswain.dev/v1alpha1", "kind": "SequenceExecution", "name": "cart-1", "uid": waiting.metadata.uid});
    let metadata = json!({"metadata": {"labels": {"seen": "yes"}, "ownerReferences": [owner]}});
    scribe.merge("Approval", "q", metadata).await.unwrap();
    let decided = json!({"phase": "Approved", "done": true, "decidedBy": APPROVER});
    operator.status("Approval", "q", decided.clone()).await.unwrap();
    refused(
        approver.status("Approval", "q", decided).await,
        "cannot update resource \"approvals/status\"",
    );
    operator.create(&question("late")).await.unwrap();
    operator
        .status("Approval", "late", json!({"phase": "Expired", "done": true}))
        .await
        .unwrap();
    let late = approver
        .merge("Approval", "late", answers(&[yes(APPROVER)]))
        .await;
    refused(late, "this question is decided");

    refused(approver.delete("Approval", "q").await, "cannot delete resource");
    refused(
        world.user(EDITOR).await.delete("Approval", "q").await,
        "cannot delete resource",
    );
    admin.delete("Approval", "q").await.unwrap();
    world.end().await;
}

#[tokio::test]
#[ignore = "needs a cluster (KUBECONFIG) with the CRDs"]
async fn groups_and_who_asked_narrow_who_may_answer() {
    let world = World::new("narrowed", true).await;
    let (operator, approver, manager) = (
        world.operator().await,
        world.user(APPROVER).await,
        world.user(MANAGER).await,
    );
    let mut grouped = question("grouped");
    grouped["spec"]["groups"] = json!(["board", "release-managers"]);
    operator.create(&grouped).await.unwrap();
    refused(
        approver
            .merge("Approval", "grouped", answers(&[yes(APPROVER)]))
            .await,
        "ann is in none of the groups that may answer this question; ask a member of board, release-managers",
    );
    manager
        .merge("Approval", "grouped", answers(&[yes(MANAGER)]))
        .await
        .unwrap();

    let mut requested = question("requested");
    requested["spec"]["notBy"] = json!(APPROVER);
    operator.create(&requested).await.unwrap();
    refused(
        approver
            .merge("Approval", "requested", answers(&[yes(APPROVER)]))
            .await,
        "ann asked for this change, so somebody else must answer (spec.notBy)",
    );
    manager
        .merge("Approval", "requested", answers(&[yes(MANAGER)]))
        .await
        .unwrap();
    let null = json!({"spec": {"notBy": null}});
    refused(
        approver.merge("Approval", "requested", null).await,
        "the question never changes",
    );

    // A null is as good as absent, and the list has room for all that the schema lets in.
    let mut null = question("null");
    null["spec"]["notBy"] = Value::Null;
    operator.create(&null).await.unwrap();
    approver
        .merge("Approval", "null", answers(&[yes(APPROVER)]))
        .await
        .unwrap();
    let mut wide = question("wide");
    let mut many: Vec<String> = (0..19).map(|n| format!("{n}-{}", "g".repeat(249))).collect();
    many.push("release-managers".to_owned());
    wide["spec"]["groups"] = json!(many);
    operator.create(&wide).await.unwrap();
    refused(
        approver
            .merge("Approval", "wide", answers(&[yes(APPROVER)]))
            .await,
        "is in none of the groups that may answer this question",
    );
    manager
        .merge("Approval", "wide", answers(&[yes(MANAGER)]))
        .await
        .unwrap();
    world.end().await;
}

#[tokio::test]
#[ignore = "needs a cluster (KUBECONFIG) with the CRDs"]
async fn the_verb_may_be_given_for_one_question() {
    let world = World::new("single", true).await;
    let operator = world.operator().await;
    for name in ["theirs", "other"] {
        operator.create(&question(name)).await.unwrap();
    }
    let one = json!({"apiGroups": ["coxswain.dev"], "resources": ["approvals"], "resourceNames": ["theirs"], "verbs": ["approve"]});
    world.role("one", &one).await;
    world.bind(SCRIBE, "Role", "one").await;
    world.may(SCRIBE, "approve", "approvals", "theirs").await;
    let scribe = world.user(SCRIBE).await;
    scribe
        .merge("Approval", "theirs", answers(&[yes(SCRIBE)]))
        .await
        .unwrap();
    let other = scribe.merge("Approval", "other", answers(&[yes(SCRIBE)])).await;
    refused(other, "needs the verb approve");
    world.end().await;
}

/// What an event `approval.finished` comes to: docs/events.md has the role.
#[tokio::test]
#[ignore = "needs a cluster (KUBECONFIG) with the CRDs"]
async fn an_answer_that_comes_as_an_event_is_its_users_own() {
    let world = World::new("events", true).await;
    world.operator().await.create(&question("q")).await.unwrap();
    let itself = world.operator_itself().await;
    let effects = Effects::new(itself.clone());
    let asked = Api::<Approval>::namespaced(itself, &world.namespace);
    let answered = async |by: &str| {
        let mut question = asked.get("q").await.unwrap();
        question
            .spec
            .answers
            .push(serde_json::from_value(yes(by)).unwrap());
        effects.write_as(APPROVER, &question).await
    };
    let why = answered(APPROVER).await.unwrap_err().to_string();
    assert!(why.contains("cannot impersonate resource \"users\""), "{why}");

    let (group, name) = ("rbac.authorization.k8s.io", "coxswain-as-ann");
    let rule = json!({"apiGroups": [""], "resources": ["users"], "resourceNames": [APPROVER], "verbs": ["impersonate"]});
    world
        .apply(&json!({"apiVersion": format!("{group}/v1"), "kind": "ClusterRole", "metadata": {"name": name}, "rules": [rule]}))
        .await;
    world
        .apply(&json!({"apiVersion": format!("{group}/v1"), "kind": "ClusterRoleBinding", "metadata": {"name": name},
            "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": name},
            "subjects": [{"kind": "ServiceAccount", "name": "coxswain", "namespace": "coxswain-system"}]}))
        .await;
    until("the operator may act as ann", || async {
        !answered(MANAGER)
            .await
            .unwrap_err()
            .to_string()
            .contains("cannot impersonate")
    })
    .await;
    let forged = answered(MANAGER).await.unwrap_err().to_string();
    assert!(
        forged.contains("you answer for nobody but yourself; write by: ann"),
        "{forged}"
    );
    let written = answered(APPROVER).await.unwrap();
    assert_eq!(written.spec.answers[0].by, APPROVER);
    world.end().await;
}
