//! What changed in a payload, for people.

use serde_json::Value;

use super::shape::short;
use crate::api::common::Object;

/// A line for each value that is new, another, or gone; `result` and `status` apart, which are the last task's.
pub(super) fn between(before: &Object, after: &Object) -> Vec<String> {
    let mut lines = vec![];
    compare(before, after, "", &mut lines);
    lines
}

fn compare(before: &Object, after: &Object, path: &str, lines: &mut Vec<String>) {
    let at = |key: &str| {
        if path.is_empty() {
            key.to_owned()
        } else {
            format!("{path}.{key}")
        }
    };
    let own = |key: &str| path.is_empty() && matches!(key, "result" | "status");
    for (key, new) in after.iter().filter(|(key, _)| !own(key)) {
        match (before.get(key), new) {
            (Some(old), new) if old == new => {}
            (Some(Value::Object(old)), Value::Object(new)) => compare(old, new, &at(key), lines),
            (Some(old), new) => lines.push(format!("{} = {} (was {})", at(key), short(new), short(old))),
            (None, Value::Object(new)) if !new.is_empty() => compare(&Object::new(), new, &at(key), lines),
            (None, new) => lines.push(format!("{} = {}", at(key), short(new))),
        }
    }
    let gone = before.keys().filter(|key| !after.contains_key(*key));
    lines.extend(gone.map(|key| format!("{} is gone", at(key))));
}
