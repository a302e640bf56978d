//! What Keptn v1's own tests say, as tables: one case for each row, named after its number. A case whose name ends in
//! `as_v1` comes out as there; one that ends in `by_design` comes out as we decided, and a comment says what that was.
//!
//! M: [`merge`]. P, N, T, pauses: [`sequences`]. C, F, and the S rows of executors that report by themselves: [`outside`].
//! The other S rows: [`stories`], and those that need a queue or another hand: [`queue`]. Versions, names, events,
//! built-in sequences, S5, S7: [`validation`]. G: [`remediation`]. The strategies: [`approval`]. And beyond Keptn's, what
//! people wish that contradicts itself: [`bad_input`].
//!
//! Rows, or parts of rows, that can't be here:
//!
//! - M7, M8, C6, C8, N2, T2, T5, S15 to S17, S20 to S22, G3, G8: numbers that the lists leave out.
//! - S1's `gitcommitid`, and git URLs (http, ssh, ftp): no git is involved; pinned objects carry generation and hash.
//! - S5's `finished` event of a shipyard of another version: such a file is refused before there is anything to run, so
//!   the row is one of reading it.
//! - S23's deleted project: a Shipyard that is deleted is a definition that is missing; the row shows what becomes of the
//!   queue.
//! - G12's `started` and `finished` events: an event that can't be read makes no run, so nothing begins.

mod approval;
mod bad_input;
mod merge;
mod outside;
mod queue;
mod remediation;
mod sequences;
mod stories;
mod validation;

use coxswain::{
    api::common::Object,
    core::simulate::{self, Answers, Definitions, Document, Report, first},
    v1,
};
use serde_json::{Value, json};

fn yaml(text: &str) -> Value {
    serde_yaml::from_str(text).unwrap()
}

fn object(value: Value) -> Object {
    value.as_object().cloned().unwrap()
}

/// A project `shop` with these stages, written as in a `shipyard.yaml`.
fn shipyard(stages: &str) -> Value {
    let file = format!(
        "apiVersion: spec.keptn.sh/0.2.3\nkind: Shipyard\nmetadata: {{name: shipyard}}\nspec:\n  stages:\n{stages}"
    );
    let spec = v1::shipyard("shipyard.yaml", file).unwrap();
    ours("Shipyard", "shop", json!(spec))
}

fn ours(kind: &str, name: &str, spec: Value) -> Value {
    json!({"apiVersion": "coxswain.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec})
}

/// What these objects define, also when the operator would not take one of them.
fn unchecked(objects: &[Value]) -> Definitions {
    let documents: Vec<_> = objects
        .iter()
        .map(|value| Document {
            origin: "shop.yaml".to_owned(),
            value: value.clone(),
        })
        .collect();
    Definitions::read(&documents).unwrap()
}

/// What these objects define; the operator would take them all.
fn definitions(objects: &[Value]) -> Definitions {
    let read = unchecked(objects);
    assert_eq!(read.complaints(), Vec::<String>::new());
    read
}

/// Keptn's event for a sequence of a stage of the shop.
fn event(stage: &str, sequence: &str, data: Value) -> Value {
    let mut whole = json!({"project": "shop", "stage": stage, "service": "cart"});
    whole.as_object_mut().unwrap().extend(object(data));
    json!({"type": format!("sh.keptn.event.{stage}.{sequence}.triggered"), "data": whole})
}

/// What this event would do.
fn simulated(definitions: &Definitions, event: &Value, answers: &str) -> Report {
    let answers = Answers::read(&yaml(answers)).unwrap();
    assert_eq!(answers.check(&definitions.snapshot), []);
    let run = first(event, definitions).unwrap();
    let report = simulate::run(definitions, run, &answers).unwrap();
    assert_eq!(report.stopped, None);
    report
}

/// `stage.sequence` of each run, in order.
fn runs(report: &Report) -> Vec<String> {
    let runs = report.executions.iter();
    runs.map(|run| format!("{}.{}", run.stage, run.sequence))
        .collect()
}

/// The tasks of the first run that began, in order.
fn ran(report: &Report) -> Vec<&str> {
    report.executions[0]
        .tasks
        .iter()
        .map(|task| task.name.as_str())
        .collect()
}
