//! Objects that a Job changes: whether another owner changed one of them back.
//!
//! Looked at before the Job starts, when it has ended and when the attempt ends. It was changed back when what it asks for
//! is again what it asked for before the Job, and was something else in between.

use jiff::Timestamp;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::api::{Timestamp as ApiTime, execution::TargetStatus, jobconfig::Target};

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
    /// A hash of what it asks for.
    pub spec: String,
    /// Who wrote what it asks for, the newest first.
    pub writers: Vec<Writer>,
}

/// One of an object's field managers.
#[derive(Clone, Debug, PartialEq)]
pub struct Writer {
    /// Its name, as `metadata.managedFields` has it.
    pub name: String,
    /// When it wrote last, to the second.
    pub at: Timestamp,
}

impl Snapshot {
    /// Of an object as the API server sends it.
    pub fn of(object: &Value) -> Self {
        let metadata = &object["metadata"];
        Self {
            generation: metadata["generation"].as_i64(),
            spec: hash(&wish(object)),
            writers: writers(&metadata["managedFields"]),
        }
    }
}

/// What an object asks for: its spec, or, when it has none, all that it holds.
fn wish(object: &Value) -> Value {
    if let Some(spec) = object.get("spec") {
        return spec.clone();
    }
    let mut held = object.clone();
    if let Some(fields) = held.as_object_mut() {
        fields.retain(|key, _| !OUTSIDE.contains(&key.as_str()));
    }
    held
}

/// What says nothing about what an object asks for.
const OUTSIDE: [&str; 4] = ["apiVersion", "kind", "metadata", "status"];

fn hash(value: &Value) -> String {
    let digest = Sha256::digest(value.to_string());
    digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
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
            record.before = Some(seen.spec.clone());
        }
        Look::NotSeen { reason, message } => {
            (*reason).clone_into(&mut record.reason);
            record.message.clone_from(message);
        }
        Look::NotLooked => return None,
    }
    Some(record)
}

/// The Job has ended: takes down what there is now. An owner, if one changed it back while the Job ran.
pub fn job_ended(record: &mut TargetStatus, look: &Look, now: Timestamp) -> Option<String> {
    let (Look::Found(seen), Some(before)) = (look, &record.before) else {
        return None;
    };
    let back = seen.spec == *before;
    record.after = Some(seen.spec.clone());
    record.ended_at = Some(ApiTime(now));
    // There and back are two changes; a Job may have made both itself, with a tool.
    let twice = matches!((seen.generation, record.generation), (Some(now), Some(then)) if now >= then + 2);
    let since = since(record.seen_at.as_ref());
    let owner = written_since(seen, since).find(|writer| !is_tool(&writer.name));
    owner.filter(|_| back && twice).map(|writer| writer.name.clone())
}

/// An owner who changed the target back after its Job had ended.
pub fn changed_back(record: &TargetStatus, look: &Look) -> Option<String> {
    let (Look::Found(seen), Some(before), Some(after)) = (look, &record.before, &record.after) else {
        return None;
    };
    if before == after || seen.spec != *before {
        return None;
    }
    // The Job has ended, so whoever wrote since is another.
    let since = since(record.ended_at.as_ref());
    let newest = written_since(seen, since).next();
    Some(newest.map_or_else(|| "somebody".to_owned(), |writer| writer.name.clone()))
}

/// Times in managedFields are whole seconds.
fn since(at: Option<&ApiTime>) -> Timestamp {
    let second = at.and_then(|at| Timestamp::from_second(at.0.as_second()).ok());
    second.unwrap_or(Timestamp::MIN)
}

fn written_since(seen: &Snapshot, since: Timestamp) -> impl Iterator<Item = &Writer> {
    seen.writers.iter().filter(move |writer| writer.at >= since)
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

/// What people are told of a conflict.
pub fn told(target: &Target, owner: &str) -> String {
    let Target { kind, name, .. } = target;
    format!(
        "{kind} {name} was changed back by {owner} to what it was before the Job: {}. No other action is tried: it would be changed back too",
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
