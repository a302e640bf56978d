//! docs/troubleshoot.md explains every word that the operator writes under `reason` or `phase`.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::PathBuf,
};

use coxswain::api::all_crds;

use super::root;

/// Words in the code that are no reasons: Kubernetes' and Prometheus' own, units, and names in messages.
const OTHERS: [&str; 42] = [
    "Always",
    "Bearer",
    "Bucket",
    "Complete",
    "ConfigMap",
    "ContainerStatusUnknown",
    "Default",
    "DisruptionTarget",
    "Ei",
    "Equal",
    "Event",
    "Exists",
    "ExternalArtifact",
    "FailureTarget",
    "FallbackToLogsOnError",
    "Gi",
    "GitRepository",
    "Helm",
    "IfNotPresent",
    "Image",
    "ImpactedEntity",
    "Ki",
    "Mi",
    "Never",
    "NoExecute",
    "NoSchedule",
    "Normal",
    "OCIRepository",
    "Pi",
    "PodScheduled",
    "PreferNoSchedule",
    "ProblemDetails",
    "ProblemTitle",
    "ProblemURL",
    "RootCause",
    "RuntimeDefault",
    "Secret",
    "State",
    "SuccessCriteriaMet",
    "Ti",
    "ValidatingAdmissionPolicy",
    "Warning",
];

/// The quoted words with a capital in the code that writes statuses and Events, each with the files that have it.
fn words() -> BTreeMap<String, Vec<String>> {
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut open: Vec<PathBuf> = ["core", "controllers", "effects", "server"]
        .map(|room| root().join("src").join(room))
        .into();
    open.push(root().join("src/facts/targets.rs"));
    while let Some(path) = open.pop() {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            // The simulator writes the engine's words.
            if name != "tests" && name != "simulate" {
                open.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            }
            continue;
        }
        let is_test = name.ends_with("tests.rs") || matches!(name.as_str(), "testing.rs" | "fuzzing.rs");
        if is_test || path.extension().is_none_or(|e| e != "rs") {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
        for line in code.lines().filter(|line| !line.trim_start().starts_with("//")) {
            for word in line.split('"').skip(1).step_by(2).filter(|word| is_word(word)) {
                let files = found.entry(word.to_owned()).or_default();
                files.push(path.strip_prefix(root()).unwrap().display().to_string());
            }
        }
    }
    found
}

/// CamelCase, as reasons are.
fn is_word(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_uppercase())
        && text.contains(|c: char| c.is_ascii_lowercase())
        && text.chars().all(|c| c.is_ascii_alphabetic())
}

/// The words in backquotes from the page's part on words on.
fn explained() -> BTreeSet<String> {
    let page = fs::read_to_string(root().join("docs/troubleshoot.md")).unwrap();
    let (_, part) = page
        .split_once("\n# The words\n")
        .expect("the page has a part on words");
    let quoted = part.split('`').skip(1).step_by(2);
    quoted.filter(|word| is_word(word)).map(str::to_owned).collect()
}

#[test]
fn every_reason_is_explained() {
    let kinds: BTreeSet<String> = all_crds().into_iter().map(|crd| crd.spec.names.kind).collect();
    let explained = explained();
    let missing: Vec<String> = words()
        .into_iter()
        .filter(|(word, _)| !explained.contains(word) && !kinds.contains(word.trim_end_matches('s')))
        .filter(|(word, _)| !OTHERS.contains(&word.as_str()))
        .map(|(word, files)| format!("{word}: {}", files.join(", ")))
        .collect();
    assert!(
        missing.is_empty(),
        "docs/troubleshoot.md explains every reason, under \"The words\"; these are missing: {missing:#?}"
    );
}

#[test]
fn nothing_is_explained_that_nothing_says() {
    let words = words();
    let kinds: BTreeSet<String> = all_crds().into_iter().map(|crd| crd.spec.names.kind).collect();
    // Kubernetes says this itself, of a Job; the others are values of fields.
    let own = ["BackoffLimitExceeded", "Abort", "Replace", "Act", "Observe"];
    let left: Vec<String> = explained()
        .into_iter()
        .filter(|word| !words.contains_key(word) && !kinds.contains(word) && !own.contains(&word.as_str()))
        .collect();
    assert!(left.is_empty(), "nothing says these any more: {left:#?}");
}

#[test]
fn the_list_of_other_words_is_not_stale() {
    let words = words();
    let explained = explained();
    let stale = OTHERS
        .iter()
        .filter(|w| !words.contains_key(**w) || explained.contains(**w));
    assert_eq!(stale.collect::<Vec<_>>(), Vec::<&&str>::new());
}
