//! M: what a task reports, merged into what was known. A payload is an object, so each row's values lie under `v`.

use coxswain::core::payload::merge;
use rstest::rstest;
use serde_json::{Value, json};

use super::object;

#[rstest]
#[case::m1_as_v1(json!({"foo": "bar"}), json!({"bar": "foo"}), json!({"foo": "bar", "bar": "foo"}))]
#[case::m2_as_v1(json!({"foo": "bar"}), json!({"foo": "foo"}), json!({"foo": "foo"}))]
#[case::m3_as_v1(json!({"foo": "bar"}), json!({"bar": {"bar": "foo"}}), json!({"foo": "bar", "bar": {"bar": "foo"}}))]
// Lists are replaced, because v1's grew with each round of the loop.
#[case::m4_by_design(json!(["item1", "item2"]), json!(["item3"]), json!(["item3"]))]
#[case::m5_by_design(json!(["item1", {"x": "y", "b": [1, "b", ["hello"]]}]), json!(["item3"]), json!(["item3"]))]
#[case::m6_as_v1(json!({"foo": {"bar": "xyz"}}), json!({"foo": "bar"}), json!({"foo": "bar"}))]
#[case::m9_as_v1(json!(null), json!({"foo": {"bar": "xyz"}}), json!({"foo": {"bar": "xyz"}}))]
#[case::m10_as_v1(json!(null), json!("foo"), json!("foo"))]
// The newer value wins for all types: v1's numbers and booleans stayed for ever, so the second action was repeated.
#[case::m11_by_design(json!({"n": 1}), json!({"n": 2}), json!({"n": 2}))]
#[case::m12_by_design(json!({"b": false}), json!({"b": true}), json!({"b": true}))]
// So does null, which v1 read as the empty text.
#[case::m13_by_design(json!({"s": "x"}), json!({"s": null}), json!({"s": null}))]
fn what_is_newer_is_merged_into_what_is_older(
    #[case] old: Value,
    #[case] newer: Value,
    #[case] expected: Value,
) {
    let mut merged = object(json!({ "v": old }));
    merge(&mut merged, &object(json!({ "v": newer })));
    assert_eq!(Value::Object(merged), json!({ "v": expected }));
}
