//! Objects that a Job changes: whether another owner changed one of them back.
//!
//! Looked at before the Job starts, when it has ended and when the attempt ends. What differs then, field by field, is what
//! the Job changed; a field of those that is again what it was before the Job was changed back.

mod fields;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::api::{Timestamp as ApiTime, execution::TargetStatus, jobconfig::Target};
use fields::{Field, OUTSIDE, Values, is_owned};

/// So many fields are named in a message.
const NAMED_MAX: usize = 3;

/// The reason of an end that another owner caused.
pub const CONFLICT: &str = "ConflictWithOwner";

/// What a look at a target came to.
#[derive(Clone, Debug, PartialEq)]
pub enum Look {
    /// It is there.
    Found(Snapshot),
    /// It can't be looked at: nobody granted that, or it is not there.
    NotSeen {
        /// In a word.
        reason: &'static str,
        /// One line for people, with the remedy.
        message: String,
    },
    /// There is no cluster to look at.
    NotLooked,
}

/// What has to be known of an object to tell whether it was changed back.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Snapshot {
    /// Its generation; kinds that only hold data have none.
    pub generation: Option<i64>,
    /// What it asks for.
    wish: Value,
    /// Who wrote what it asks for, the newest first.
    writers: Vec<Writer>,
}

/// One of an object's field managers.
#[derive(Clone, Debug, PartialEq)]
struct Writer {
    /// Its name, as `metadata.managedFields` has it.
    name: String,
    /// When it wrote last, to the second.
    at: Timestamp,
    /// What it owns.
    fields: Value,
}

/// What another owner changed back.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Undone {
    /// Who; `somebody` when the object does not say.
    pub owner: String,
    /// The fields, as far as they have a name: one that the Job added is not there any more.
    pub fields: Vec<String>,
}

impl Snapshot {
    /// Of an object as the API server sends it.
    pub fn of(object: &Value) -> Self {
        let metadata = &object["metadata"];
        Self {
            generation: metadata["generation"].as_i64(),
            wish: wish(object),
            writers: writers(&metadata["managedFields"]),
        }
    }

    /// Who wrote since then.
    fn written_since(&self, since: Timestamp) -> impl Iterator<Item = &Writer> {
        self.writers.iter().filter(move |writer| writer.at >= since)
    }
}

/// What an object asks for: its spec, or, when it has none, all that it holds.
fn wish(object: &Value) -> Value {
    if let Some(spec) = object.get("spec") {
        return json!({ "spec": spec });
    }
    let mut held = object.clone();
    if let Some(fields) = held.as_object_mut() {
        fields.retain(|key, _| !OUTSIDE.contains(&key.as_str()));
    }
    held
}

fn writers(managed: &Value) -> Vec<Writer> {
    let wrote_wish = |entry: &&Value| {
        let fields = entry["fieldsV1"].as_object();
        let asks = |key: &String| {
            !OUTSIDE
                .iter()
                .any(|outside| key.strip_prefix("f:") == Some(outside))
        };
        entry["subresource"] != "status" && fields.is_some_and(|fields| fields.keys().any(asks))
    };
    let entries = managed.as_array().into_iter().flatten().filter(wrote_wish);
    let mut writers: Vec<Writer> = entries
        .filter_map(|entry| {
            Some(Writer {
                name: entry["manager"].as_str()?.to_owned(),
                at: entry["time"].as_str()?.parse().ok()?,
                fields: entry["fieldsV1"].clone(),
            })
        })
        .collect();
    writers.sort_by_key(|writer| std::cmp::Reverse(writer.at));
    writers
}

/// What is recorded of a target before its Job starts.
pub fn record(target: &Target, look: &Look, now: Timestamp) -> Option<TargetStatus> {
    let mut record = TargetStatus {
        target: target.clone(),
        seen_at: Some(ApiTime(now)),
        ..TargetStatus::default()
    };
    match look {
        Look::Found(seen) => {
            record.generation = seen.generation;
            record.before = Some(Values::of(&seen.wish).written());
        }
        Look::NotSeen { reason, message } => {
            (*reason).clone_into(&mut record.reason);
            record.message.clone_from(message);
        }
        Look::NotLooked => return None,
    }
    Some(record)
}

/// The Job has ended: takes down what it changed. An owner, if one changed all of it back while the Job ran.
pub fn job_ended(record: &mut TargetStatus, look: &Look, now: Timestamp) -> Option<Undone> {
    let (Look::Found(seen), Some(before), None) = (look, values(record.before.as_deref()), &record.after)
    else {
        return None;
    };
    let since = since(record.seen_at.as_ref());
    let (before, after) = changed(&before, seen, since);
    let is_back = before.of.is_empty();
    record.before = Some(before.written());
    record.after = Some(after.written());
    record.ended_at = Some(ApiTime(now));
    // There and back are two changes; a Job may have made both itself, with a tool.
    let twice = matches!((seen.generation, record.generation), (Some(now), Some(then)) if now >= then + 2);
    let owner = seen.written_since(since).find(|writer| !is_tool(&writer.name));
    owner.filter(|_| is_back && twice).map(|writer| Undone {
        owner: writer.name.clone(),
        fields: vec![],
    })
}

/// The fields that differ from what they were, before and now; without those that a controller wrote since.
fn changed(before: &Values, seen: &Snapshot, since: Timestamp) -> (Values, Values) {
    let now = fields::of(&seen.wish, before.depth);
    let by_controller = |field: &Field| {
        let mut controllers = seen.written_since(since).filter(|w| is_controller(&w.name));
        controllers.any(|writer| is_owned(&writer.fields, &field.path))
    };
    let is_job_s = |path: &u32| now.get(path).is_none_or(|field| !by_controller(field));
    let [mut old, mut new] = [(); 2].map(|()| Values {
        depth: before.depth,
        of: BTreeMap::new(),
    });
    for path in before.of.keys().chain(now.keys()).filter(|path| is_job_s(path)) {
        let values = (before.value(*path), fields::value(&now, *path));
        if values.0 != values.1 {
            old.of.insert(*path, values.0);
            new.of.insert(*path, values.1);
        }
    }
    (old, new)
}

/// What an owner changed back after the Jobs had ended that made these records of one target, the oldest first. What a later
/// Job changes, also back to what it was, is that Job's doing.
pub fn changed_back(records: &[&TargetStatus], look: &Look) -> Option<Undone> {
    let (Look::Found(seen), Some(last)) = (look, records.last()) else {
        return None;
    };
    last.after.as_ref()?;
    let mut expected = BTreeMap::new();
    for record in records {
        let before = values(record.before.as_deref()).filter(|_| record.after.is_some());
        let before = before.unwrap_or_default();
        expected.extend(
            before
                .of
                .into_iter()
                .map(|(path, value)| (path, (before.depth, value))),
        );
    }
    let mut by_depth: BTreeMap<u8, BTreeMap<u32, Field>> = BTreeMap::new();
    let back: Vec<Option<Field>> = expected
        .into_iter()
        .filter_map(|(path, (depth, value))| {
            let now = by_depth
                .entry(depth)
                .or_insert_with(|| fields::of(&seen.wish, depth));
            (fields::value(now, path) == value).then(|| now.get(&path).cloned())
        })
        .collect();
    if back.is_empty() {
        return None;
    }
    let named: Vec<&Field> = back.iter().flatten().collect();
    // The Jobs have ended, so whoever wrote since is another: of those an owner of what is back, or else the newest.
    let since = since(last.ended_at.as_ref());
    let owns = |writer: &&Writer| named.iter().any(|field| is_owned(&writer.fields, &field.path));
    let owner = seen.written_since(since).find(owns);
    let owner = owner.or_else(|| seen.written_since(since).next());
    Some(Undone {
        owner: owner.map_or_else(|| "somebody".to_owned(), |writer| writer.name.clone()),
        fields: named.iter().map(ToString::to_string).collect(),
    })
}

fn values(written: Option<&str>) -> Option<Values> {
    written.and_then(Values::read)
}

/// Times in managedFields are whole seconds.
fn since(at: Option<&ApiTime>) -> Timestamp {
    let second = at.and_then(|at| Timestamp::from_second(at.0.as_second()).ok());
    second.unwrap_or(Timestamp::MIN)
}

/// Whether this is the name of a program that people and Jobs use, and no controller's.
fn is_tool(manager: &str) -> bool {
    const TOOLS: [&str; 8] = [
        "helm",
        "Helm",
        "oc",
        "k9s",
        "curl",
        "node-fetch",
        "OpenAPI-Generator",
        "Go-http-client",
    ];
    TOOLS.contains(&manager) || manager.starts_with("kubectl") || manager.starts_with("python")
}

/// Whether this is the name of a controller that keeps objects as it has them: what it writes is no Job's doing.
fn is_controller(manager: &str) -> bool {
    const CONTROLLERS: [&str; 4] = ["flux", "keda", "keda-operator", "kube-controller-manager"];
    CONTROLLERS.contains(&manager) || manager.starts_with("argocd") || manager.ends_with("-controller")
}

/// What people are told of a conflict.
pub fn told(target: &Target, undone: &Undone) -> String {
    let Target { kind, name, .. } = target;
    let Undone { owner, fields } = undone;
    let mut named = fields
        .iter()
        .take(NAMED_MAX)
        .cloned()
        .collect::<Vec<_>>()
        .join(", ");
    if fields.len() > NAMED_MAX {
        named.push_str(", ...");
    }
    if !named.is_empty() {
        named = format!(" ({named})");
    }
    format!(
        "{kind} {name} was changed back by {owner} to what it was before the Job{named}: {}. No other action is tried: it would \
         be changed back too",
        remedy(owner)
    )
}

fn remedy(owner: &str) -> String {
    if owner.contains("argocd") {
        return "let the action commit to Git, or let Argo CD leave the field alone (ignoreDifferences in its Application), or \
                pause its self-healing"
            .to_owned();
    }
    match owner {
        "kustomize-controller" | "helm-controller" | "flux" => {
            "let the action commit to Git, or leave the field out of what Flux applies, or suspend its Kustomization or \
             HelmRelease"
                .to_owned()
        }
        "kube-controller-manager" | "keda-operator" | "keda" => {
            "pause the HorizontalPodAutoscaler, or let the action change its minReplicas".to_owned()
        }
        "somebody" => "metadata.managedFields does not say who; find the owner and let it leave the field alone".to_owned(),
        other => format!("let the action change what {other} applies, or take the field's ownership from {other}"),
    }
}

#[cfg(test)]
#[path = "targets_tests.rs"]
mod tests;
