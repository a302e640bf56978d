//! The tutorial's loop of two attempts, played by the simulator.

#![allow(
    missing_docs,
    clippy::pedantic,
    clippy::unwrap_used,
    reason = "a measurement may panic"
)]

use std::{hint::black_box, path::Path};

use coxswain::core::simulate::{Answers, Definitions, Document, first, run};
use criterion::{Criterion, criterion_group, criterion_main};
use serde::Deserialize;
use serde_json::Value;

const FILES: [&str; 6] = [
    "shipyard.yaml",
    "remediation.yaml",
    "jobconfig.yaml",
    "slo.yaml",
    "sli.yaml",
    "metricsprovider.yaml",
];

fn read(file: &str) -> String {
    let tutorial = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/tutorial");
    std::fs::read_to_string(tutorial.join(file)).unwrap()
}

fn definitions() -> Definitions {
    let documents = |file: &str| -> Vec<Document> {
        serde_yaml::Deserializer::from_str(&read(file))
            .map(|document| Document {
                origin: file.to_owned(),
                value: Value::deserialize(document).unwrap(),
            })
            .filter(|document| !document.value.is_null())
            .collect()
    };
    let all: Vec<Document> = FILES.iter().flat_map(|file| documents(file)).collect();
    Definitions::read(&all).unwrap()
}

fn playing(criterion: &mut Criterion) {
    let definitions = definitions();
    let event: Value = serde_json::from_str(&read("v1/remediation_trigger.json")).unwrap();
    let answers: Value = serde_yaml::from_str("evaluation: [fail]").unwrap();
    let answers = Answers::read(&answers).unwrap();
    let play = |event: &Value| run(&definitions, first(event, &definitions).unwrap(), &answers).unwrap();
    assert_eq!(play(&event).executions[0].attempts, 2);
    criterion.bench_function("simulate/two attempts", |bencher| {
        bencher.iter(|| play(black_box(&event)));
    });
}

criterion_group!(benches, playing);
criterion_main!(benches);
