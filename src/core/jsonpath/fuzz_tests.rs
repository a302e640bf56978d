//! Many odd paths.

use proptest::{
    collection::{btree_map, vec},
    prelude::*,
    sample::select,
    test_runner::TestCaseError,
};
use serde_json::{Value, json};

use super::*;
use crate::core::fuzzing::{BY_HAND, run};

const ALWAYS: u32 = 2_000;

fn key() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => select(vec!["a", "b", "_c", "d1", "data"]).prop_map(str::to_owned),
        1 => "[A-Za-z0-9_-]{0,3}",
        1 => "\\PC{0,3}",
    ]
}

/// Paths of keys and indexes alone.
fn plain() -> impl Strategy<Value = String> {
    let index = select(vec![
        "[0]",
        "[1]",
        "[3]",
        "[00]",
        "[-1]",
        "[]",
        "[999999999]",
        "[9999999999]",
        "[ 1]",
    ]);
    let step = prop_oneof![3 => key().prop_map(|key| format!(".{key}")), 1 => index.prop_map(str::to_owned)];
    vec(step, 0..40).prop_map(|steps| format!("${}", steps.concat()))
}

/// Steps of every kind, most of them in order; and noise.
fn paths() -> impl Strategy<Value = String> {
    let step = prop_oneof![
        4 => key().prop_map(|key| format!(".{key}")),
        2 => key().prop_map(|key| format!("['{key}']")),
        2 => (-3..3).prop_map(|index| format!("[{index}]")),
        1 => key().prop_map(|key| format!("..{key}")),
        1 => key().prop_map(|key| format!("[?@.{key} == 1]")),
        1 => select(vec![".*", "[*]", "..*", "[0,1]", "[0:2]", "[::-1]", "['a','b']", "[?@ > 1 && !(@.a)]",
            "[?length(@.a) == 1]", "[?count(@.*) > 0]", "[99999999999999999999]", "[-9007199254740991]", "[1:0:0]"])
            .prop_map(str::to_owned),
    ];
    let steps = vec(step, 0..6).prop_map(|steps| format!("${}", steps.concat()));
    prop_oneof![
        6 => steps,
        2 => r#"\$?[$.\[\]?@*',:0-9a-z()=&|!"\\ -]{0,40}"#,
        1 => any::<String>(),
    ]
}

fn documents() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-2_i64..3).prop_map(Value::from),
        Just(json!(1.5)),
        key().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            btree_map(key(), inner, 0..4).prop_map(|fields| json!(fields)),
        ]
    })
}

fn parts(value: &Value) -> usize {
    1 + match value {
        Value::Object(fields) => fields.values().map(parts).sum(),
        Value::Array(items) => items.iter().map(parts).sum(),
        _ => 0,
    }
}

/// A path is refused with what is wrong with it, or finds the value, nothing, or a list that is in proportion to the document.
fn a_path_is_refused_or_finds((path, document): (String, Value)) -> Result<(), TestCaseError> {
    let parsed = match Path::parse(&path) {
        Ok(parsed) => parsed,
        Err(error) => {
            prop_assert!(!error.problem.is_empty());
            prop_assert_eq!(validate(&path), Err(error));
            return Ok(());
        }
    };
    let found = parsed.find(&document);
    prop_assert_eq!(&found, &parsed.find(&document));
    if let Ok(Some(Value::Array(several))) = &found {
        prop_assert!(
            several.len() <= SELECTORS_MAX * parts(&document),
            "{}",
            several.len()
        );
    }
    Ok(())
}

/// Reading keys and indexes without the grammar makes no difference.
fn plain_steps_find_what_the_grammar_finds((path, document): (String, Value)) -> Result<(), TestCaseError> {
    if plain_steps(&path).is_none() {
        return Ok(());
    }
    let query = parse(&path).map_err(|error| TestCaseError::fail(error.to_string()))?;
    let by_grammar = Path {
        text: &path,
        steps: Steps::Query(query),
    };
    let plain = Path::parse(&path).unwrap();
    prop_assert!(matches!(plain.steps, Steps::Plain(_)));
    prop_assert_eq!(plain.find(&document), by_grammar.find(&document));
    Ok(())
}

#[test]
fn paths_are_refused_or_find() {
    run(ALWAYS, (paths(), documents()), a_path_is_refused_or_finds);
}

#[test]
#[ignore = "a million inputs: by hand (make fuzz)"]
fn a_million_paths_are_refused_or_find() {
    run(BY_HAND, (paths(), documents()), a_path_is_refused_or_finds);
}

#[test]
fn plain_paths_find_what_the_grammar_finds() {
    run(
        ALWAYS,
        (plain(), documents()),
        plain_steps_find_what_the_grammar_finds,
    );
}

#[test]
#[ignore = "a million inputs: by hand (make fuzz)"]
fn a_million_plain_paths_find_what_the_grammar_finds() {
    run(
        BY_HAND,
        (plain(), documents()),
        plain_steps_find_what_the_grammar_finds,
    );
}
