//! Every YAML of the pages and the examples is what the API server takes: no unknown field, nothing missing, the right
//! types. A fragment must fit somewhere into a kind, or into the chart's values.

use std::{fs, path::PathBuf};

use coxswain::{
    api::{GROUP, VERSION, all_crds},
    core::simulate::{Answers, case::Expect},
};
use serde_json::Value;

use super::{Block, Page, pages, root};

/// The definitions' schemas, by kind.
fn schemas() -> Vec<(String, Value)> {
    all_crds()
        .into_iter()
        .map(|crd| {
            let version = crd.spec.versions.into_iter().find(|v| v.name == VERSION).unwrap();
            let schema = serde_json::to_value(version.schema.unwrap().open_api_v3_schema).unwrap();
            (crd.spec.names.kind, schema)
        })
        .collect()
}

/// What is wrong with a value, by its schema. Of a part of an object nothing is missing.
pub(super) fn mistakes(path: &str, value: &Value, schema: &Value, whole: bool) -> Vec<String> {
    let keeps = schema["x-kubernetes-preserve-unknown-fields"] == true;
    let int_or_text = schema["x-kubernetes-int-or-string"] == true;
    let typed = match schema["type"].as_str() {
        _ if int_or_text || value.is_null() => true,
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some("string") => value.is_string(),
        Some("boolean") => value.is_boolean(),
        Some("integer") => value.is_i64() || value.is_u64(),
        Some("number") => value.is_number(),
        _ => keeps,
    };
    if !typed {
        return vec![format!("{path} is no {}", schema["type"])];
    }
    if let Some(allowed) = schema["enum"].as_array()
        && !allowed.contains(value)
    {
        return vec![format!("{path}: {value} is none of {allowed:?}")];
    }
    match value {
        Value::Object(fields) => {
            let mut found: Vec<String> = Vec::new();
            for (name, child) in fields {
                let inner = [&schema["properties"][name], &schema["additionalProperties"]];
                let inner = inner.into_iter().find(|s| s.is_object());
                let path = format!("{path}.{name}");
                match inner {
                    Some(inner) => found.extend(mistakes(&path, child, inner, whole)),
                    None if keeps => {}
                    None => found.push(format!("{path} is not a field")),
                }
            }
            let required = schema["required"]
                .as_array()
                .filter(|_| whole)
                .into_iter()
                .flatten();
            let missing = required.filter(|name| !fields.contains_key(name.as_str().unwrap_or_default()));
            found.extend(missing.map(|name| format!("{path} has no {name}")));
            found
        }
        Value::Array(items) => items
            .iter()
            .enumerate()
            .flat_map(|(i, item)| mistakes(&format!("{path}[{i}]"), item, &schema["items"], whole))
            .collect(),
        _ => vec![],
    }
}

/// Every place of a schema where an object or a list may stand.
fn nodes<'a>(schema: &'a Value, found: &mut Vec<&'a Value>) {
    if schema.is_object() {
        found.push(schema);
        for child in schema["properties"]
            .as_object()
            .into_iter()
            .flat_map(|p| p.values())
        {
            nodes(child, found);
        }
        nodes(&schema["items"], found);
        nodes(&schema["additionalProperties"], found);
    }
}

/// The documents of a text of ours; those of other groups are of others.
fn documents(place: &str, text: &str) -> Vec<Value> {
    text.split("\n---")
        .map(|document| {
            serde_yaml::from_str::<Value>(document).unwrap_or_else(|error| panic!("{place}: {error}"))
        })
        .filter(|value| !value.is_null())
        .collect()
}

fn is_ours(value: &Value) -> bool {
    value["apiVersion"]
        .as_str()
        .is_some_and(|v| v.starts_with(&format!("{GROUP}/")))
}

/// What is wrong with an object of ours.
fn check(value: &Value, schemas: &[(String, Value)], whole: bool) -> Vec<String> {
    let kind = value["kind"].as_str().unwrap_or_default();
    let Some((_, schema)) = schemas.iter().find(|(name, _)| name == kind) else {
        return vec![format!("there is no kind {kind:?}")];
    };
    if value["apiVersion"] != format!("{GROUP}/{VERSION}") {
        return vec![format!("{} is not {GROUP}/{VERSION}", value["apiVersion"])];
    }
    let metadata = &value["metadata"];
    if metadata["name"].is_null() && metadata["generateName"].is_null() {
        return vec!["it has no name".to_owned()];
    }
    let mut value = value.clone();
    if let Some(fields) = value.as_object_mut() {
        fields.retain(|name, _| !matches!(name.as_str(), "apiVersion" | "kind" | "metadata"));
    }
    mistakes(kind, &value, schema, whole)
}

/// Whether a fragment fits into some kind, or is of the chart's values.
fn fits(fragment: &Value, schemas: &[(String, Value)], values: &Value) -> bool {
    let mut places = Vec::new();
    schemas.iter().for_each(|(_, schema)| nodes(schema, &mut places));
    let free = |s: &Value| {
        s["x-kubernetes-preserve-unknown-fields"] == true || s["additionalProperties"].is_object()
    };
    places
        .iter()
        .any(|schema| !free(schema) && mistakes("", fragment, schema, false).is_empty())
        || is_of_values(fragment, values)
}

fn is_of_values(fragment: &Value, values: &Value) -> bool {
    match (fragment, values) {
        (Value::Object(fragment), Value::Object(values)) if !values.is_empty() => fragment
            .iter()
            .all(|(name, inner)| values.get(name).is_some_and(|v| is_of_values(inner, v))),
        (_, Value::Object(values)) => values.is_empty(),
        _ => true,
    }
}

/// Whether it is a case of `coxswain test`, or the answers of one.
fn is_of_a_case(value: &Value) -> bool {
    let answers = if value["expect"].is_null() {
        value
    } else {
        let expect = serde_json::from_value::<Expect>(value["expect"].clone());
        if expect.is_err() {
            return false;
        }
        &value["answers"]
    };
    Answers::read(answers).is_ok()
}

/// Fragments of the files of others.
const FOREIGN: [&str; 7] = [
    "metadata",
    "receivers",
    "route",
    "resources",
    "scrape_configs",
    "global",
    "data",
];

/// Pages that show a part of an object, for server-side apply.
fn is_part(block: &Block) -> bool {
    block.language != "yaml"
}

#[test]
fn every_yaml_of_the_pages_is_valid() {
    let schemas = schemas();
    let values: Value =
        serde_yaml::from_str(&fs::read_to_string(root().join("charts/coxswain/values.yaml")).unwrap())
            .unwrap();
    let mut wrong = Vec::new();
    let mut seen = 0;
    for block in pages().iter().flat_map(Page::blocks) {
        for text in yaml_of(&block) {
            for value in documents(&block.place, &text) {
                seen += 1;
                if is_ours(&value) {
                    let found = check(&value, &schemas, !is_part(&block));
                    wrong.extend(found.into_iter().map(|m| format!("{}: {m}", block.place)));
                } else if value["apiVersion"].is_null() {
                    if block.place.starts_with("docs/simulate.md") && is_of_a_case(&value) {
                        continue;
                    }
                    let foreign = FOREIGN.iter().any(|key| !value[*key].is_null());
                    if !foreign && !fits(&value, &schemas, &values) {
                        wrong.push(format!("{}: this fits into no kind and no value", block.place));
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(seen >= 30, "only {seen} were found");
}

/// The YAML of a block: itself, or what a command gets from a here-document.
fn yaml_of(block: &Block) -> Vec<String> {
    match block.language.as_str() {
        "yaml" => vec![block.body.clone()],
        "console" | "sh" => block
            .body
            .split("<<'EOF'\n")
            .skip(1)
            .filter_map(|rest| Some(rest.split_once("\nEOF")?.0.to_owned()))
            .filter(|text| text.starts_with("apiVersion:"))
            .collect(),
        _ => vec![],
    }
}

#[test]
fn every_object_of_the_examples_is_valid() {
    let schemas = schemas();
    let (mut wrong, mut seen) = (Vec::new(), 0);
    let mut open: Vec<PathBuf> = vec![root().join("examples"), root().join("config/samples")];
    while let Some(at) = open.pop() {
        for entry in fs::read_dir(at).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                // A chart's templates are no YAML.
                if !path.ends_with("chart") {
                    open.push(path);
                }
                continue;
            }
            let text = fs::read_to_string(&path).unwrap_or_default();
            if path.extension().is_none_or(|e| e != "yaml") || !text.contains(GROUP) {
                continue;
            }
            let place = path.strip_prefix(root()).unwrap().display().to_string();
            for value in documents(&place, &text).iter().filter(|v| is_ours(v)) {
                seen += 1;
                wrong.extend(
                    check(value, &schemas, true)
                        .into_iter()
                        .map(|m| format!("{place}: {m}")),
                );
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(seen >= 40, "only {seen} were found");
}

/// The page's objects together are what they say: `coxswain lint` finds nothing.
#[test]
fn the_first_remediation_is_without_mistakes() {
    let pages = pages();
    let page = pages
        .iter()
        .find(|p| p.path == "docs/first-remediation.md")
        .unwrap();
    let text: Vec<String> = page.blocks().iter().flat_map(yaml_of).collect();
    let file = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("first-remediation.yaml");
    fs::write(&file, text.join("---\n")).unwrap();
    let found = std::process::Command::new(env!("CARGO_BIN_EXE_coxswain"))
        .arg("lint")
        .arg(&file)
        .output()
        .unwrap();
    let told = format!(
        "{}{}",
        String::from_utf8_lossy(&found.stdout),
        String::from_utf8_lossy(&found.stderr)
    );
    assert!(
        found.status.success() && told.contains("nothing found in 9 objects"),
        "{told}"
    );
}

#[test]
fn what_is_wrong_is_found() {
    let schemas = schemas();
    let check = |text: &str| check(&serde_yaml::from_str(text).unwrap(), &schemas, true);
    let head = format!("apiVersion: {GROUP}/{VERSION}\nkind: Remediation\nmetadata: {{name: a}}\n");
    let good = "spec: {project: shop, remediations: []}";
    assert_eq!(check(&format!("{head}{good}")), [""; 0]);
    for (text, expected) in [
        (
            "spec: {project: shop, remediations: [], mdoe: Act}",
            "Remediation.spec.mdoe is not a field",
        ),
        (
            "spec: {project: shop, remediations: [], mode: Perhaps}",
            "Remediation.spec.mode: \"Perhaps\" is none of",
        ),
        (
            "spec: {project: 1, remediations: []}",
            "Remediation.spec.project is no \"string\"",
        ),
        (
            "spec: {project: shop}",
            "Remediation.spec has no \"remediations\"",
        ),
    ] {
        let found = check(&format!("{head}{text}")).join("; ");
        assert!(found.starts_with(expected), "{text}: {found}");
    }
    let values = serde_json::json!({"crds": {"install": true}, "extraEnv": []});
    let fits = |text: &str| fits(&serde_yaml::from_str(text).unwrap(), &schemas, &values);
    assert!(fits("crds: {install: false}") && fits("historyLimit: 3\nname: x"));
    assert!(!fits("crds: {keep: 1}") && !fits("historyLimits: 3"));
}
