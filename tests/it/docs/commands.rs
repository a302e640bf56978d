//! The lines with kubectl and Helm: their verbs, kinds, patches, files and values are ones. (`coxswain` lines are parsed by
//! the command line itself, in `cli::docs`; those of the README are run on a real cluster.)

use std::fs;

use coxswain::api::all_crds;
use serde_json::Value;

use super::{Page, pages, root};
use crate::cli::docs::{command_lines, shell_words};

const VERBS: [&str; 18] = [
    "annotate",
    "apply",
    "auth",
    "create",
    "delete",
    "describe",
    "explain",
    "get",
    "kustomize",
    "label",
    "logs",
    "patch",
    "port-forward",
    "rollout",
    "scale",
    "set",
    "version",
    "wait",
];
/// Verbs whose next word is a kind.
const OF_A_KIND: [&str; 7] = ["annotate", "delete", "describe", "get", "label", "patch", "wait"];
/// Kinds of others that the pages name.
const OTHERS: [&str; 15] = [
    "configmap",
    "configmaps",
    "deployment",
    "events",
    "jobs",
    "job",
    "namespace",
    "namespaces",
    "pods",
    "secret",
    "service",
    "serviceaccount",
    "kustomization",
    "gitrepository",
    "application",
];
/// Flags with a value after a space.
const WITH_VALUE: [&str; 22] = [
    "-n",
    "--namespace",
    "-f",
    "--filename",
    "-k",
    "-l",
    "-o",
    "--type",
    "-p",
    "--as",
    "--field-selector",
    "--timeout",
    "--set",
    "--version",
    "--values",
    "--clusterrole",
    "--serviceaccount",
    "--user",
    "--field-manager",
    "--for",
    "--from-literal",
    "--subresource",
];

/// A line's words: what stands alone, and the flags with their values.
struct Line {
    words: Vec<String>,
    flags: Vec<(String, String)>,
}

fn read(line: &str) -> Line {
    let (mut words, mut flags) = (Vec::new(), Vec::new());
    let mut all = shell_words(line).into_iter();
    while let Some(word) = all.next() {
        if let Some((flag, value)) = word.split_once('=').filter(|(flag, _)| flag.starts_with("--")) {
            flags.push((flag.to_owned(), value.to_owned()));
        } else if WITH_VALUE.contains(&word.as_str()) {
            flags.push((word, all.next().unwrap_or_default()));
        } else if word.starts_with('-') && word.len() > 1 {
            flags.push((word, String::new()));
        } else {
            words.push(word);
        }
    }
    Line { words, flags }
}

/// The names by which kubectl knows our kinds.
fn kinds() -> Vec<String> {
    all_crds()
        .into_iter()
        .flat_map(|crd| {
            let names = crd.spec.names;
            let mut all = names.short_names.unwrap_or_default();
            all.extend(names.singular);
            all.push(format!("{}.{}", names.plural, crd.spec.group));
            all.push(names.plural);
            all
        })
        .collect()
}

/// A path of this repository that is not there. A name that the repository doesn't know is the reader's own.
fn is_missing(page: &Page, path: &str) -> bool {
    let known = ["config/", "crds", "charts/", "examples/", "install.yaml", "docs/"];
    let ours = known.iter().any(|start| path.starts_with(start));
    ours && !root().join(path).exists() && !page.directory().join(path).exists()
}

fn kubectl(page: &Page, line: &Line, kinds: &[String]) -> Result<(), String> {
    let verb = line.words.get(1).map_or("", String::as_str);
    if !VERBS.contains(&verb) {
        return Err(format!("kubectl has no verb {verb:?}"));
    }
    let files = line
        .flags
        .iter()
        .filter(|(f, _)| matches!(f.as_str(), "-f" | "-k" | "--filename"));
    for (_, path) in files.clone() {
        if is_missing(page, path) {
            return Err(format!("there is no {path}"));
        }
    }
    let mut named = Vec::new();
    if OF_A_KIND.contains(&verb) && files.count() == 0 {
        let list = line.words.get(2).ok_or("it names no kind")?;
        for kind in list.split(',') {
            let kind = kind.split('/').next().unwrap_or_default().to_lowercase();
            if !kinds.contains(&kind) && !OTHERS.contains(&kind.as_str()) {
                return Err(format!("there is no kind {kind:?}"));
            }
            named.push(kind);
        }
    }
    for (_, patch) in line
        .flags
        .iter()
        .filter(|(flag, _)| verb == "patch" && flag == "-p")
    {
        let patch: Value = serde_json::from_str(patch).map_err(|error| format!("the patch: {error}"))?;
        is_known(&named[0], &patch)?;
    }
    Ok(())
}

/// Whether every field of a patch is one of the kind.
fn is_known(kind: &str, patch: &Value) -> Result<(), String> {
    let found = all_crds().into_iter().find(|crd| {
        let names = &crd.spec.names;
        names.plural == kind
            || names.singular.as_deref() == Some(kind)
            || names.short_names.iter().flatten().any(|n| n == kind)
    });
    let Some(crd) = found else { return Ok(()) };
    let schema = serde_json::to_value(&crd.spec.versions[0].schema).unwrap();
    let wrong = super::yaml::mistakes(kind, patch, &schema["openAPIV3Schema"], false);
    if wrong.is_empty() {
        Ok(())
    } else {
        Err(wrong.join("; "))
    }
}

fn helm(page: &Page, line: &Line, values: &Value) -> Result<(), String> {
    let verb = line.words.get(1).map_or("", String::as_str);
    if !["install", "upgrade", "uninstall", "rollback", "template"].contains(&verb) {
        return Err(format!("helm has no verb {verb:?} that is used here"));
    }
    if let Some(chart) = line.words.iter().find(|w| w.starts_with("charts/"))
        && is_missing(page, chart)
    {
        return Err(format!("there is no {chart}"));
    }
    for (_, set) in line.flags.iter().filter(|(flag, _)| flag.starts_with("--set")) {
        let key = set.split('=').next().unwrap_or_default();
        let mut at = values;
        for part in key.split('.') {
            let name = part.split('[').next().unwrap_or_default();
            at = &at[name];
        }
        if at.is_null() && !values_have(values, key) {
            return Err(format!("the chart has no value {key}"));
        }
    }
    Ok(())
}

/// Whether the key is there, although its value is null.
fn values_have(values: &Value, key: &str) -> bool {
    let (path, last) = key.rsplit_once('.').unwrap_or(("", key));
    let parent = path
        .split('.')
        .filter(|p| !p.is_empty())
        .fold(values, |at, part| &at[part]);
    parent.as_object().is_some_and(|fields| fields.contains_key(last))
}

#[test]
fn every_line_with_kubectl_and_helm_is_one() {
    let values = fs::read_to_string(root().join("charts/coxswain/values.yaml")).unwrap();
    let values: Value = serde_yaml::from_str(&values).unwrap();
    let kinds = kinds();
    let (mut wrong, mut seen) = (Vec::new(), 0);
    for page in pages().iter().filter(|page| !page.path.starts_with("hack/")) {
        for line in command_lines(&page.text, &["kubectl", "helm"]) {
            seen += 1;
            let read = read(&line);
            let checked = match read.words[0].as_str() {
                "helm" => helm(page, &read, &values),
                _ => kubectl(page, &read, &kinds),
            };
            wrong.extend(checked.err().map(|why| format!("{}: `{line}`: {why}", page.path)));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(seen >= 40, "only {seen} lines were found");
}

#[test]
fn what_is_wrong_with_a_line_is_found() {
    let page = Page {
        path: "docs/a.md".to_owned(),
        text: String::new(),
    };
    let values = serde_json::json!({"crds": {"install": true}, "image": {"tag": null}});
    for (line, expected) in [
        ("kubectl get sequenceexecution -n shop", ""),
        ("kubectl fetch pods", "kubectl has no verb \"fetch\""),
        ("kubectl -n shop get sequences", "there is no kind \"sequences\""),
        ("kubectl apply -f config/nothing", "there is no config/nothing"),
        (
            "kubectl patch se a -p '{\"spec\":{\"contrl\":1}}'",
            "se.spec.contrl is not a field",
        ),
        (
            "helm upgrade a charts/coxswain --set crds.install=false --set image.tag=1",
            "",
        ),
        (
            "helm upgrade a charts/coxswain --set crd.install=false",
            "the chart has no value crd.install",
        ),
    ] {
        let read = read(line);
        let found = match read.words[0].as_str() {
            "helm" => helm(&page, &read, &values),
            _ => kubectl(&page, &read, &kinds()),
        };
        assert_eq!(found.err().unwrap_or_default(), expected, "{line}");
    }
}
