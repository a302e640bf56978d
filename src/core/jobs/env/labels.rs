//! `LABELS_*`: the event's labels.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::EnvVar;
use serde_json::Value;

use super::{literal, variable};
use crate::core::jsonpath;

/// What the variables' names begin with.
pub(super) const PREFIX: &str = "LABELS_";

/// Adds a variable for each label, and gives back the keys of those that can't have one: another label, the first of them
/// in the order of their keys, has the same variable, or the value has a NUL. Labels come from whoever raised an alarm:
/// one that can't be passed on is no reason not to act.
pub(super) fn add(variables: &mut Vec<EnvVar>, labels: &Value) -> Vec<String> {
    let mut sorted: Vec<_> = labels.as_object().into_iter().flatten().collect();
    sorted.sort_by_key(|(key, _)| *key);
    let mut taken = BTreeSet::new();
    let mut left_out = Vec::new();
    for (key, value) in sorted {
        let (name, text) = (name(key), jsonpath::text(value));
        if text.contains('\0') || !taken.insert(name.clone()) {
            left_out.push(key.clone());
        } else {
            variables.push(variable(&name, literal(&text)));
        }
    }
    left_out
}

/// `app-version` -> `LABELS_APP_VERSION`.
fn name(key: &str) -> String {
    let allowed = |c: char| {
        if c.is_ascii_alphanumeric() || c == '.' {
            c.to_ascii_uppercase()
        } else {
            '_'
        }
    };
    format!("{PREFIX}{}", key.chars().map(allowed).collect::<String>())
}
