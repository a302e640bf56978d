//! Which ended runs and closed problems are deleted.
//!
//! Runs are counted per sequence of a service in a stage. The newest one that ended and the newest one that failed are
//! always kept: they are what somebody looks for.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::{queue::PlaceKey, remediation::brakes, sequence::phases};
use crate::api::{Duration, Remediation, Shipyard};

/// So many ended runs of a sequence are kept when its shipyard does not say how many, or is gone.
pub const LIMIT: usize = 10;
/// So long they are kept.
pub const AGE: Duration = Duration::from_secs(720 * 3600);
/// So long a closed problem is kept.
pub const PROBLEM_AGE: Duration = Duration::from_secs(7 * 24 * 3600);

/// Annotation of a run or problem that a person wants to keep: `"true"`.
const KEEP: &str = "coxswain.dev/keep";
/// What Argo CD and Flux write on the objects that they apply. One that is deleted they apply again, and it would run
/// again.
const APPLIED: [&str; 5] = [
    "argocd.argoproj.io/tracking-id",
    "argocd.argoproj.io/instance",
    "app.kubernetes.io/instance",
    "kustomize.toolkit.fluxcd.io/name",
    "helm.toolkit.fluxcd.io/name",
];

/// How many ended runs of a sequence are kept, and how long.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Keep {
    /// So many.
    pub limit: usize,
    /// So long.
    pub age: Duration,
}

impl Default for Keep {
    fn default() -> Self {
        Self {
            limit: LIMIT,
            age: AGE,
        }
    }
}

/// A run that has ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Ended {
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
    /// Its flow: see [`crate::core::sequence::context_of`].
    pub context: String,
    /// When it ended.
    pub finished_at: Timestamp,
    /// Whether it ended badly.
    pub failed: bool,
    /// Whether it has to stay for a reason of its own, however many newer ones there are.
    pub stays: bool,
}

/// What the shipyard says of a sequence's history. One that is not valid is read all the same: a mistake in it must not
/// cost the history that it asks for.
pub fn keep(shipyards: &[Arc<Shipyard>], project: &str, stage: &str, sequence: &str) -> Keep {
    let found = shipyards
        .iter()
        .find(|s| s.metadata.name.as_deref() == Some(project))
        .and_then(|s| s.spec.stages.iter().find(|s| s.name == stage))
        .and_then(|s| s.sequences.iter().find(|s| s.name == sequence));
    let limit = found.and_then(|s| s.history_limit);
    Keep {
        limit: limit.and_then(|n| usize::try_from(n).ok()).unwrap_or(LIMIT),
        age: found.and_then(|s| s.history_age).unwrap_or(AGE),
    }
}

/// The runs that are kept no longer, oldest first, out of the ended ones of one sequence of one service in one stage.
pub fn surplus(runs: &[Ended], keep: Keep, now: Timestamp) -> Vec<&Ended> {
    let mut newest: Vec<&Ended> = runs.iter().collect();
    newest.sort_by_key(|run| Reverse((run.finished_at, &run.name)));
    let failed = newest.iter().find(|run| run.failed).map(|run| &run.uid);
    let kept = |index: usize, run: &Ended| {
        index == 0
            || run.stays
            || Some(&run.uid) == failed
            || (index < keep.limit && !is_older(run.finished_at, keep.age, now))
    };
    let mut surplus: Vec<&Ended> = newest
        .iter()
        .enumerate()
        .filter(|(index, run)| !kept(*index, run))
        .map(|(_, run)| *run)
        .collect();
    surplus.reverse();
    surplus
}

/// Whether something that ended then is older than this.
pub fn is_older(ended: Timestamp, age: Duration, now: Timestamp) -> bool {
    now.duration_since(ended) >= age.signed()
}

/// Whether an end in this phase is one that somebody looks for.
pub fn is_failure(phase: &str) -> bool {
    [
        phases::FAILED,
        phases::EXHAUSTED,
        phases::INCONCLUSIVE,
        phases::TIMED_OUT,
    ]
    .contains(&phase)
}

/// Whether whoever made the object wants it to stay.
pub fn is_wanted(meta: &ObjectMeta) -> bool {
    let (labels, annotations) = (meta.labels.as_ref(), meta.annotations.as_ref());
    let has = |key: &&str| {
        [labels, annotations]
            .iter()
            .flatten()
            .any(|m| m.contains_key(*key))
    };
    annotations.is_some_and(|a| a.get(KEEP).is_some_and(|v| v == "true")) || APPLIED.iter().any(has)
}

/// Since when a run that acted counts against the budget or the cooldown of some Remediation of its namespace: until it
/// does not, it stays, whatever its sequence's limit is.
pub fn acted_since(remediations: &[Arc<Remediation>], now: Timestamp) -> Timestamp {
    let named = remediations
        .iter()
        .map(|r| brakes::counts_since(r.spec.budget, r.spec.cooldown, now));
    named.fold(brakes::counts_since(None, None, now), Timestamp::min)
}

/// What there is of one sequence's ended runs, without them: enough to see whether any may be surplus.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Count {
    /// How many.
    pub runs: usize,
    /// When the first of them ended.
    pub oldest: Timestamp,
}

/// The counts of each sequence in each place.
#[derive(Clone, Debug, Default)]
pub struct Census(BTreeMap<(PlaceKey, String), Count>);

impl Census {
    /// Counts one more.
    pub fn add(&mut self, place: PlaceKey, sequence: String, finished_at: Timestamp) {
        let count = self.0.entry((place, sequence)).or_insert(Count {
            runs: 0,
            oldest: finished_at,
        });
        count.runs += 1;
        count.oldest = count.oldest.min(finished_at);
    }

    /// The places in which something may be surplus.
    pub fn crowded(self, keep: impl Fn(&PlaceKey, &str) -> Keep, now: Timestamp) -> BTreeSet<PlaceKey> {
        let may = |((place, sequence), count): &((PlaceKey, String), Count)| {
            let Keep { limit, age } = keep(place, sequence);
            count.runs > 1 && (count.runs > limit || is_older(count.oldest, age, now))
        };
        self.0
            .into_iter()
            .filter(may)
            .map(|((place, _), _)| place)
            .collect()
    }
}

#[cfg(test)]
#[path = "history_tests.rs"]
mod tests;
