//! What is generated and committed is what the code generates.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::{collections::BTreeSet, fs, path::Path};

use coxswain::api::all_crds;
use serde_json::Value;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn every_generated_file_is_up_to_date() {
    let mut stale = Vec::new();
    for file in coxswain::cli::generated().unwrap() {
        if fs::read_to_string(root().join(&file.path)).ok().as_ref() != Some(&file.content) {
            stale.push(file.path);
        }
    }
    assert!(stale.is_empty(), "run make generate: {stale:#?}");
}

#[test]
fn no_generated_file_is_left_over() {
    let known: BTreeSet<String> = coxswain::cli::generated()
        .unwrap()
        .into_iter()
        .map(|f| f.path)
        .collect();
    for directory in [
        "crds",
        "config/crd/bases",
        "charts/coxswain/templates/crds",
        "charts/coxswain/files",
        "docs/reference",
    ] {
        for entry in fs::read_dir(root().join(directory)).unwrap() {
            let path = format!("{directory}/{}", entry.unwrap().file_name().to_string_lossy());
            assert!(
                known.contains(&path),
                "{path} is not generated any more: remove it"
            );
        }
    }
}

/// The chart's copy of `config/admission`, as `hack/generate.sh` makes it.
#[test]
fn the_chart_has_the_same_admission_policies() {
    let mut copies: BTreeSet<String> = fs::read_dir(root().join("charts/coxswain/templates/admission"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    for entry in fs::read_dir(root().join("config/admission")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if name == "kustomization.yaml" {
            continue;
        }
        let text = fs::read_to_string(root().join("config/admission").join(&name)).unwrap();
        // Text of the chart is a template; in the messages only the roles' names are.
        assert!(!text.contains("{{"), "{name}");
        let named = text.replace(
            "ClusterRole coxswain",
            "ClusterRole {{ include \"coxswain.fullname\" . }}",
        );
        for role in ["coxswain-approver", "coxswain-editor", "coxswain-admin"] {
            assert!(
                !named.contains(role),
                "{name}: keep \"ClusterRole {role}\" on one line"
            );
        }
        let expected = format!(
            "{{{{- if .Values.admissionPolicies.enabled }}}}\n# Generated from config/admission/{name}; do not edit.\n{named}{{{{- end }}}}\n"
        );
        let copy = root().join("charts/coxswain/templates/admission").join(&name);
        let copy = fs::read_to_string(copy).unwrap_or_default();
        assert_eq!(copy, expected, "run make generate");
        copies.remove(&name);
    }
    assert!(copies.is_empty(), "not generated any more: {copies:?}");
}

/// `install.yaml` is what kustomize makes of `config/default`, which changes nothing of its files.
#[test]
fn the_file_to_install_from_is_config_default() {
    let made = std::process::Command::new("bash")
        .arg(root().join("hack/install-yaml.sh"))
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let committed = fs::read_to_string(root().join("install.yaml")).unwrap_or_default();
    assert!(
        String::from_utf8(made.stdout).unwrap() == committed,
        "install.yaml is stale: run make generate"
    );
    // Each directory is one that only lists resources: what else kustomize does would be missing in the file.
    for directory in [
        "config/default",
        "config/crd",
        "config/rbac",
        "config/admission",
        "config/manager",
    ] {
        let text = fs::read_to_string(root().join(directory).join("kustomization.yaml")).unwrap();
        let kustomization: serde_json::Map<String, Value> = serde_yaml::from_str(&text).unwrap();
        let keys: Vec<&str> = kustomization.keys().map(String::as_str).collect();
        assert_eq!(keys, ["apiVersion", "kind", "resources"], "{directory}");
    }
}

#[test]
fn kustomizations_name_every_file() {
    for (directory, below) in [
        ("config/crd", "bases/"),
        ("config/rbac", ""),
        ("config/rbac/namespaced", ""),
        ("config/admission", ""),
        ("config/samples", ""),
    ] {
        let text = fs::read_to_string(root().join(directory).join("kustomization.yaml")).unwrap();
        let named: Value = serde_yaml::from_str(&text).unwrap();
        let named: BTreeSet<String> = serde_json::from_value(named["resources"].clone()).unwrap();
        let there: BTreeSet<String> = fs::read_dir(root().join(directory).join(below))
            .unwrap()
            .map(|entry| format!("{below}{}", entry.unwrap().file_name().to_string_lossy()))
            .filter(|name| {
                Path::new(name).extension().is_some_and(|e| e == "yaml") && name != "kustomization.yaml"
            })
            .collect();
        assert_eq!(named, there, "{directory}/kustomization.yaml");
    }
}

/// Calls `visit` with every node of a schema and its path.
fn walk(path: &str, node: &Value, visit: &mut impl FnMut(&str, &Value)) {
    visit(path, node);
    if let Some(properties) = node["properties"].as_object() {
        for (name, child) in properties {
            walk(&format!("{path}.{name}"), child, visit);
        }
    }
    for (key, mark) in [("items", "[]"), ("additionalProperties", "{}")] {
        if node[key].is_object() {
            walk(&format!("{path}{mark}"), &node[key], visit);
        }
    }
}

fn each_schema(mut visit: impl FnMut(&str, &Value)) {
    for crd in all_crds() {
        let schema = serde_json::to_value(&crd.spec.versions[0].schema).unwrap();
        walk(&crd.spec.names.kind, &schema["openAPIV3Schema"], &mut visit);
    }
}

#[test]
fn every_node_has_a_type_or_keeps_what_it_is_given() {
    each_schema(|path, node| {
        let free = node["x-kubernetes-preserve-unknown-fields"] == true;
        assert!(free || node["type"].is_string(), "{path} has no type: {node}");
    });
}

#[test]
fn no_format_that_the_api_server_does_not_know() {
    each_schema(|path, node| {
        if let Some(format) = node["format"].as_str() {
            assert!(
                matches!(format, "int32" | "int64" | "double" | "date-time"),
                "{path}: {format}"
            );
        }
    });
}

#[test]
fn no_enums_in_what_the_operator_writes() {
    each_schema(|path, node| {
        // The pinned plan repeats what users wrote, whose enums were checked there.
        let ours = path.contains(".status.") && !path.contains(".status.plan.");
        assert!(
            !ours || node["enum"].is_null(),
            "{path}: a new value would make old objects unwritable"
        );
    });
}

/// The API server budgets CEL by the worst case, so what users write must be bounded.
#[test]
fn everything_in_a_spec_is_bounded() {
    let mut unbounded = Vec::new();
    each_schema(|path, node| {
        let has = |key: &str| node[key].is_number();
        let missing = match node["type"].as_str() {
            Some("array") if !has("maxItems") => "maxItems",
            Some("object") if node["additionalProperties"].is_object() && !has("maxProperties") => {
                "maxProperties"
            }
            Some("integer") if !(has("minimum") && has("maximum")) => "minimum and maximum",
            Some("string") if node["enum"].is_null() && node["format"].is_null() && !has("maxLength") => {
                "maxLength"
            }
            _ => return,
        };
        if path.contains(".spec") && !path.contains(".status.") {
            unbounded.push(format!("{path} has no {missing}"));
        }
    });
    assert!(unbounded.is_empty(), "{unbounded:#?}");
}

#[test]
fn small_enough_for_kubectl_apply() {
    for file in coxswain::cli::generated()
        .unwrap()
        .into_iter()
        .filter(|f| f.path.starts_with("crds/"))
    {
        assert!(
            file.content.len() < 200_000,
            "{}: {} bytes",
            file.path,
            file.content.len()
        );
    }
}

#[test]
fn there_is_a_sample_of_every_kind_without_unknown_fields() {
    let mut kinds = BTreeSet::new();
    for entry in fs::read_dir(root().join("config/samples")).unwrap() {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        let written: Value = serde_yaml::from_str(&text).unwrap();
        let kind = written["kind"].as_str().unwrap().to_owned();
        let Some(crd) = all_crds().into_iter().find(|c| c.spec.names.kind == kind) else {
            continue;
        };
        let schema = serde_json::to_value(&crd.spec.versions[0].schema).unwrap();
        known_fields(
            &path.display().to_string(),
            &written["spec"],
            &schema["openAPIV3Schema"]["properties"]["spec"],
        );
        kinds.insert(kind);
    }
    let all: BTreeSet<String> = all_crds().into_iter().map(|c| c.spec.names.kind).collect();
    assert_eq!(kinds, all);
}

fn known_fields(path: &str, value: &Value, schema: &Value) {
    match value {
        Value::Object(fields) => {
            for (name, child) in fields {
                let inner = [&schema["properties"][name], &schema["additionalProperties"]];
                match inner.into_iter().find(|s| s.is_object()) {
                    Some(inner) => known_fields(&format!("{path}.{name}"), child, inner),
                    None => assert!(
                        schema["x-kubernetes-preserve-unknown-fields"] == true,
                        "{path}.{name} is not a field"
                    ),
                }
            }
        }
        Value::Array(items) => items
            .iter()
            .for_each(|item| known_fields(path, item, &schema["items"])),
        _ => {}
    }
}

/// What the chart's jobs.networkPolicy says is what config/network has.
#[test]
fn the_chart_s_network_policy_is_the_one_for_kubectl() {
    let read = |path: &str| -> Value {
        serde_yaml::from_str(&fs::read_to_string(root().join(path)).unwrap()).unwrap()
    };
    let (plain, values) = (
        read("config/network/jobs.yaml"),
        read("charts/coxswain/values.yaml"),
    );
    assert_eq!(values["jobs"]["networkPolicy"]["egress"], plain["spec"]["egress"]);
}

/// kubectl reads YAML 1.1, where `on:` is `true:`: a field of that name could be written by nobody.
#[test]
fn no_field_is_called_what_yaml_takes_for_true_or_false() {
    fn walk(schema: &Value, path: &str, found: &mut Vec<String>) {
        let properties = schema["properties"].as_object().into_iter().flatten();
        for (name, inner) in properties {
            let path = format!("{path}.{name}");
            if ["y", "n", "yes", "no", "on", "off", "true", "false"].contains(&name.to_lowercase().as_str()) {
                found.push(path.clone());
            }
            walk(inner, &path, found);
        }
        for inner in ["items", "additionalProperties"] {
            if schema[inner].is_object() {
                walk(&schema[inner], path, found);
            }
        }
    }
    let mut found = Vec::new();
    for crd in all_crds() {
        let schema = serde_json::to_value(&crd.spec.versions[0].schema).unwrap();
        walk(&schema["openAPIV3Schema"], &crd.spec.names.kind, &mut found);
    }
    assert!(found.is_empty(), "{found:?}");
}
