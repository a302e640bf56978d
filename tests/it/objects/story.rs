//! A story in which every kind comes into every phase.

use std::collections::BTreeMap;

use coxswain::{
    api::{
        Approval, Delivery, ProblemEvent, SequenceExecution,
        approval::{Answer, Choice},
        execution::{Control, Desired},
        problem::ProblemState,
    },
    core::labels,
    facts::metrics::{QueryError, Sample},
    testing::{Play, World},
};
use k8s_openapi::api::{batch::v1::Job, core::v1::Namespace};
use kube::ResourceExt;
use serde_json::Value;

use super::{everything, phase};
use crate::scenarios::{hours, mins, secs, start};

/// Everything that is sound, and of each kind one that is not.
const DEFINITIONS: &str = include_str!("definitions.yaml");

/// Runs of services that are called so run for ever.
const HANGS: &str = "hangs";

/// Objects by kind and name.
type Kept = BTreeMap<(String, String), Value>;

/// Plays it, and gives every object of ours.
pub async fn tell(world: World) -> Vec<Value> {
    world.player.script(|job| match service(job).as_str() {
        name if name.starts_with(HANGS) => Play::hangs(),
        name if name.starts_with("breaks") => Play::exits(1).saying("500 Internal Server Error"),
        _ => Play::exits(0),
    });
    world.metrics.answer(|query, _| {
        if query.contains("unmeasured") {
            return Err(QueryError::Unavailable("connection refused".to_owned()));
        }
        Ok(Sample::Value(if query.contains("sick") { 1.2 } else { 0.1 }))
    });
    world.apply(DEFINITIONS);
    let operator = start(&world, "operator");
    world.sleep(secs(5)).await;
    held_for_too_long(&world).await;
    ended(&world).await;
    let mut kept = live(&world).await;
    // Those that wait for their turn would be held, too: they were kept before.
    hold(&world, true);
    run(&world, "held", "held", "check");
    problem(&world, "held", "held-problem");
    delivery(&world, "held", "held-delivery", "delivery");
    world.sleep(secs(5)).await;
    for (key, object) in everything(&world) {
        kept.entry(key).or_insert(object);
    }
    operator.stop().await;
    kept.into_values().map(tidy).collect()
}

fn service(job: &Job) -> String {
    job.labels().get(labels::SERVICE).cloned().unwrap_or_default()
}

/// What a file of it says: not how often it was written.
fn tidy(mut object: Value) -> Value {
    object["metadata"]["resourceVersion"] = "1".into();
    object
}

fn hold(world: &World, yes: bool) {
    let namespace = world.server.edit::<Namespace>("", "demo", |namespace| {
        let labels = namespace.labels_mut();
        match yes {
            true => labels.insert("coxswain.dev/hold".to_owned(), "true".to_owned()),
            false => labels.remove("coxswain.dev/hold"),
        };
    });
    assert!(namespace.is_some(), "the namespace is there");
}

fn run(world: &World, name: &str, service: &str, sequence: &str) {
    world.apply(&format!(
        "
apiVersion: coxswain.dev/v1alpha1
kind: SequenceExecution
metadata: {{name: {name}}}
spec: {{project: shop, stage: production, service: {service}, sequence: {sequence}}}
"
    ));
}

fn problem(world: &World, name: &str, service: &str) {
    world.apply(&format!(
        "
apiVersion: coxswain.dev/v1alpha1
kind: ProblemEvent
metadata: {{name: {name}}}
spec: {{project: shop, stage: production, service: {service}, problem: {{problemTitle: slow}}}}
"
    ));
}

fn delivery(world: &World, name: &str, service: &str, sequence: &str) {
    world.apply(&format!(
        "
apiVersion: coxswain.dev/v1alpha1
kind: Delivery
metadata: {{name: {name}}}
spec: {{project: shop, service: {service}, sequence: {sequence}, image: \"registry.example/{service}:1.0.0\"}}
"
    ));
}

fn desire(world: &World, name: &str, desired: Desired) {
    world.edit::<SequenceExecution>(name, |run| {
        run.spec.control = Some(Control {
            desired,
            ..Control::default()
        });
    });
}

/// Waits until the run's question is put, and known.
async fn asked(world: &World, run: &str) {
    let is_so = |world: &World| {
        let questions = world.list::<Approval>().into_iter();
        let mut own = questions.filter(|a| a.spec.execution.name == run);
        own.any(|a| a.status.is_some_and(|s| s.phase == "Pending"))
    };
    world.wait_until(&format!("{run} asked"), mins(1), is_so).await;
}

/// Answers the question that the run put.
fn answer(world: &World, run: &str, choice: Choice) {
    let questions = world.list::<Approval>();
    let question = questions.iter().find(|a| a.spec.execution.name == run).unwrap();
    world.edit::<Approval>(&question.name_any(), |approval| {
        approval.spec.answers.push(Answer {
            by: "jane".to_owned(),
            choice,
            reason: None,
        });
    });
}

/// Waits until the object of this kind and name is in the phase.
async fn reaches(world: &World, kind: &str, name: &str, wanted: &str) {
    let key = (kind.to_owned(), name.to_owned());
    let is_so = |world: &World| everything(world).get(&key).is_some_and(|o| phase(o) == wanted);
    let what = format!("{kind} {name} {wanted}");
    world.wait_until(&what, hours(3), is_so).await;
}

/// What is older than an hour when it could begin does not begin.
async fn held_for_too_long(world: &World) {
    hold(world, true);
    run(world, "expired", "expired", "check");
    problem(world, "expired", "expired-problem");
    reaches(world, "SequenceExecution", "expired", "Expired").await;
    reaches(world, "ProblemEvent", "expired", "Expired").await;
    hold(world, false);
}

/// Everything that ends, one after the other, so that each time is the same whenever the story is told.
async fn ended(world: &World) {
    for (name, service, sequence, wanted) in [
        ("succeeded", "sound", "check", "Succeeded"),
        ("failed", "breaks", "check", "Failed"),
        ("timed-out", "hangs-short", "short", "TimedOut"),
        ("inconclusive", "unmeasured", "gate", "Inconclusive"),
        ("no-such-sequence", "sound", "chek", "Failed"),
    ] {
        run(world, name, service, sequence);
        reaches(world, "SequenceExecution", name, wanted).await;
    }
    run(world, "aborted", "hangs-aborted", "check");
    reaches(world, "SequenceExecution", "aborted", "Running").await;
    desire(world, "aborted", Desired::Abort);
    reaches(world, "SequenceExecution", "aborted", "Aborted").await;
    run(world, "in-the-way", "hangs-latest", "check");
    reaches(world, "SequenceExecution", "in-the-way", "Running").await;
    run(world, "superseded", "hangs-latest", "latest");
    reaches(world, "SequenceExecution", "superseded", "Queued").await;
    // Creation times have whole seconds.
    world.sleep(secs(2)).await;
    run(world, "newest", "hangs-latest", "latest");
    reaches(world, "SequenceExecution", "superseded", "Superseded").await;
    outside(world).await;
    questions(world).await;
    problems(world).await;
    deliveries(world).await;
}

async fn outside(world: &World) {
    run(world, "outside", "sound", "outside");
    reaches(world, "SequenceExecution", "outside", "Running").await;
    world.apply(
        "
apiVersion: coxswain.dev/v1alpha1
kind: TaskResult
metadata: {name: outside-notify}
spec: {execution: outside, task: notify, attempt: 1, source: chat-bot, type: Finished, result: pass}
",
    );
    reaches(world, "SequenceExecution", "outside", "Succeeded").await;
}

async fn questions(world: &World) {
    for (name, answered) in [
        ("approved", Some(Choice::Approve)),
        ("declined", Some(Choice::Decline)),
        ("unanswered", None),
    ] {
        run(world, name, name, "asked");
        reaches(world, "SequenceExecution", name, "Waiting").await;
        asked(world, name).await;
        if let Some(choice) = answered {
            answer(world, name, choice);
        }
        let end = if name == "approved" { "Succeeded" } else { "Failed" };
        reaches(world, "SequenceExecution", name, end).await;
    }
    run(world, "withdrawn", "withdrawn", "asked");
    reaches(world, "SequenceExecution", "withdrawn", "Waiting").await;
    asked(world, "withdrawn").await;
    desire(world, "withdrawn", Desired::Abort);
    reaches(world, "SequenceExecution", "withdrawn", "Aborted").await;
}

async fn problems(world: &World) {
    problem(world, "healed", "sound");
    reaches(world, "ProblemEvent", "healed", "Healed").await;
    problem(world, "exhausted", "sick");
    reaches(world, "ProblemEvent", "exhausted", "Exhausted").await;
    problem(world, "resolved", "sick-for-a-while");
    reaches(world, "ProblemEvent", "resolved", "Healing").await;
    world.edit::<ProblemEvent>("resolved", |p| p.spec.state = ProblemState::Resolved);
    reaches(world, "ProblemEvent", "resolved", "Resolved").await;
}

async fn deliveries(world: &World) {
    delivery(world, "delivered", "sound", "delivery");
    reaches(world, "Delivery", "delivered", "Delivered").await;
    delivery(world, "failed", "breaks", "delivery");
    reaches(world, "Delivery", "failed", "Failed").await;
    delivery(world, "aborted", "hangs-delivery", "delivery");
    reaches(world, "Delivery", "aborted", "Delivering").await;
    world.sleep(secs(5)).await;
    let run = world
        .get::<Delivery>("aborted")
        .unwrap()
        .status
        .unwrap()
        .execution;
    desire(world, &run.unwrap(), Desired::Abort);
    reaches(world, "Delivery", "aborted", "Aborted").await;
}

/// Everything that goes on.
async fn live(world: &World) -> Kept {
    run(world, "running", "hangs-run", "check");
    reaches(world, "SequenceExecution", "running", "Running").await;
    run(world, "queued", "hangs-run", "check");
    reaches(world, "SequenceExecution", "queued", "Queued").await;
    run(world, "waiting", "waiting", "asked");
    reaches(world, "SequenceExecution", "waiting", "Waiting").await;
    asked(world, "waiting").await;
    run(world, "paused", "paused", "asked");
    desire(world, "paused", Desired::Pause);
    reaches(world, "SequenceExecution", "paused", "Paused").await;
    problem(world, "healing", "hangs-problem");
    reaches(world, "ProblemEvent", "healing", "Healing").await;
    problem(world, "open", "hangs-problem");
    reaches(world, "ProblemEvent", "open", "Open").await;
    delivery(world, "delivering", "hangs-delivering", "delivery");
    reaches(world, "Delivery", "delivering", "Delivering").await;
    delivery(world, "waiting", "waiting-delivery", "asked");
    reaches(world, "Delivery", "waiting", "Waiting").await;
    let end = world.now() + mins(20);
    world.apply(&format!(
        "
apiVersion: coxswain.dev/v1alpha1
kind: Evaluation
metadata: {{name: window-still-open}}
spec: {{project: shop, stage: production, service: sound, window: {{start: \"{:.6}\", end: \"{end:.6}\"}}}}
",
        world.now()
    ));
    world.sleep(secs(5)).await;
    everything(world)
}
