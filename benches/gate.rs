//! One verdict: 100 objectives with absolute and relative criteria, compared with 10 earlier results.

#![allow(
    missing_docs,
    clippy::pedantic,
    clippy::unwrap_used,
    reason = "a measurement may panic"
)]

use std::{collections::BTreeMap, hint::black_box};

use coxswain::{
    api::slo::SloBody,
    core::evaluation::{Gate, Measured, Outcome, Past, judge, parse},
};
use criterion::{Criterion, criterion_group, criterion_main};
use serde_json::json;

const OBJECTIVES: u32 = 100;
const RESULTS: u32 = 10;

fn body() -> SloBody {
    let objectives: Vec<_> = (0..OBJECTIVES)
        .map(|i| {
            json!({
                "sli": format!("indicator_{i}"), "key_sli": i % 10 == 0, "weight": 1 + i % 3,
                "pass": [{"criteria": ["<=+10%", "<600"]}, {"criteria": ["<=200"]}],
                "warning": [{"criteria": ["<=+25%", "<=800"]}],
            })
        })
        .collect();
    serde_json::from_value(json!({
        "comparison": {"compare_with": "several_results", "number_of_comparison_results": RESULTS,
                       "include_result_with_score": "pass_or_warn", "aggregate_function": "p90"},
        "objectives": objectives,
        "total_score": {"pass": "90%", "warning": "75%"},
    }))
    .unwrap()
}

fn values(shift: u32) -> impl Iterator<Item = (String, f64)> {
    (0..OBJECTIVES).map(move |i| {
        (
            format!("indicator_{i}"),
            f64::from(300 + (i * 7 + shift * 13) % 90),
        )
    })
}

fn facts() -> (Gate, BTreeMap<String, Measured>, Vec<Past>) {
    let measured = values(0)
        .map(|(name, value)| (name, Measured::Value(value)))
        .collect();
    let past = |n: u32| Past {
        name: format!("web-{n}"),
        result: if n.is_multiple_of(3) {
            Outcome::Warning
        } else {
            Outcome::Pass
        },
        sequence: Some("delivery".to_owned()),
        values: values(n).collect(),
    };
    (
        parse(&body()).unwrap(),
        measured,
        (1..=RESULTS).map(past).collect(),
    )
}

fn verdict(criterion: &mut Criterion) {
    let (gate, measured, history) = facts();
    let judged = judge(&gate, &measured, &history).unwrap();
    assert_eq!((judged.indicators.len(), judged.compared_with.len()), (100, 10));
    criterion.bench_function("gate/100 objectives, 10 earlier results", |bencher| {
        bencher.iter(|| judge(black_box(&gate), black_box(&measured), black_box(&history)));
    });
    let body = body();
    criterion.bench_function("gate/reading 100 objectives", |bencher| {
        bencher.iter(|| parse(black_box(&body)));
    });
}

criterion_group!(benches, verdict);
criterion_main!(benches);
