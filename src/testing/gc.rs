//! The garbage collector: dependents of what is gone go too.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use serde_json::{Value, json};

use super::ApiServer;

/// The real one is quick, but not instant.
const PAUSE: Duration = Duration::from_millis(20);

/// What is to be done with one object.
pub(super) enum Verdict {
    /// Delete it with this propagation policy.
    Delete(usize, &'static str),
    /// Give it this metadata.
    Edit(usize, Value),
}

/// Collects garbage for ever.
pub async fn run(server: ApiServer) {
    let mut changed = server.changed();
    loop {
        changed.borrow_and_update();
        tokio::time::sleep(PAUSE).await;
        if !server.collect_garbage() && changed.changed().await.is_err() {
            return;
        }
    }
}

/// Judges everything that is there.
pub(super) fn verdicts(all: &[(String, Arc<Value>)]) -> Vec<Verdict> {
    let uids: BTreeSet<&str> = all
        .iter()
        .filter_map(|(_, o)| o["metadata"]["uid"].as_str())
        .collect();
    let mut verdicts = Vec::new();
    for (i, (_, object)) in all.iter().enumerate() {
        let meta = &object["metadata"];
        if orphaned(meta, &uids) && meta.get("deletionTimestamp").is_none() {
            verdicts.push(Verdict::Delete(i, "Background"));
        }
        if meta.get("deletionTimestamp").is_some() {
            let uid = meta["uid"].as_str().unwrap_or_default();
            let dependents: Vec<usize> = (0..all.len())
                .filter(|d| owners(&all[*d].1["metadata"]).any(|o| o["uid"] == *uid))
                .collect();
            if has_finalizer(meta, "orphan") {
                verdicts.extend(
                    dependents
                        .iter()
                        .map(|d| Verdict::Edit(*d, disowned(&all[*d].1["metadata"], uid))),
                );
                verdicts.push(Verdict::Edit(i, without_finalizer(meta, "orphan")));
            } else if has_finalizer(meta, "foregroundDeletion") {
                if dependents.is_empty() {
                    verdicts.push(Verdict::Edit(i, without_finalizer(meta, "foregroundDeletion")));
                }
                let alive = |d: &usize| all[*d].1["metadata"].get("deletionTimestamp").is_none();
                verdicts.extend(
                    dependents
                        .into_iter()
                        .filter(alive)
                        .map(|d| Verdict::Delete(d, "Background")),
                );
            }
        }
    }
    verdicts
}

fn owners(meta: &Value) -> impl Iterator<Item = &Value> {
    meta.get("ownerReferences")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
}

fn orphaned(meta: &Value, uids: &BTreeSet<&str>) -> bool {
    owners(meta).next().is_some()
        && owners(meta).all(|o| !o["uid"].as_str().is_some_and(|uid| uids.contains(uid)))
}

fn has_finalizer(meta: &Value, name: &str) -> bool {
    meta.get("finalizers")
        .and_then(Value::as_array)
        .is_some_and(|f| f.iter().any(|f| f == name))
}

fn without_finalizer(meta: &Value, name: &str) -> Value {
    let mut meta = meta.clone();
    if let Some(finalizers) = meta["finalizers"].as_array_mut() {
        finalizers.retain(|f| f != name);
    }
    meta
}

fn disowned(meta: &Value, uid: &str) -> Value {
    let mut meta = meta.clone();
    let left: Vec<&Value> = owners(&meta).filter(|o| o["uid"] != *uid).collect();
    meta["ownerReferences"] = json!(left);
    meta
}
