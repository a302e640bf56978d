//! What the world of the model is made of. States are compared by value, so whole objects are kept once each and stand
//! in a state as their number.

use std::{
    collections::HashMap,
    hash::{Hash, Hasher},
    ops::Deref,
    rc::Rc,
};

use coxswain::api::{Approval, Evaluation, SequenceExecution, SequenceExecutionStatus};
use k8s_openapi::api::batch::v1::Job;
use serde::Serialize;

use super::operator::Decided;

/// A name, shared.
pub type Name = Rc<str>;

/// An object that is kept once.
#[derive(Debug)]
pub struct Id<T>(Rc<(usize, T)>);

impl<T> Id<T> {
    pub fn new(number: usize, object: T) -> Self {
        Self(Rc::new((number, object)))
    }
}

impl<T> Clone for Id<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> PartialEq for Id<T> {
    fn eq(&self, other: &Self) -> bool {
        self.0.0 == other.0.0
    }
}

impl<T> Eq for Id<T> {}

impl<T> Hash for Id<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.0.hash(state);
    }
}

impl<T> Deref for Id<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0.1
    }
}

/// Keeps equal objects once.
#[derive(Debug)]
pub struct Pool<T>(HashMap<String, Id<T>>);

impl<T> Default for Pool<T> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<T: Serialize> Pool<T> {
    pub fn keep(&mut self, object: T) -> Id<T> {
        let text = serde_json::to_string(&object).unwrap();
        let number = self.0.len();
        let entry = self.0.entry(text);
        entry.or_insert_with(|| Id::new(number, object)).clone()
    }
}

/// The API server's objects, the operator's memory, and what may still go wrong.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct State {
    /// Seconds since the start.
    pub now: i64,
    pub runs: Vec<Run>,
    pub jobs: Vec<JobIs>,
    pub evaluations: Vec<EvaluationIs>,
    pub approvals: Vec<ApprovalIs>,
    /// The arbiter's memory: which runs it has given their place.
    pub holders: Vec<usize>,
    pub budget: Budget,
}

/// How often each trouble may still come.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Budget {
    /// The operator dies, and is back at once or after more than five minutes.
    pub crashes: u8,
    /// A request fails: before it is carried out, or only its answer is lost.
    pub errors: u8,
    /// The API server refuses a create for good.
    pub refusals: u8,
    /// A look at a version that is not the newest.
    pub stale: u8,
    /// A look that nothing is the reason of.
    pub again: u8,
    /// A Job's end is seen before its pod's.
    pub reordered: u8,
    /// A pod is taken off its node before its container starts.
    pub evictions: u8,
    /// An evaluation can't measure.
    pub inconclusive: u8,
    pub pauses: u8,
    pub aborts: u8,
    /// A question is deleted.
    pub deletions: u8,
}

/// A run: on the API server, and in the operator's memory.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Run {
    pub live: Id<SequenceExecution>,
    /// The version before the last write: what the cache may still say.
    pub old: Option<Id<SequenceExecution>>,
    /// The reconciliation that is under way.
    pub flight: Option<Flight>,
    /// Something happened that the operator will look at.
    pub due: bool,
    /// When the operator will look although nothing happens.
    pub again: Option<i64>,
    /// The Jobs whose uid this process remembers.
    pub created: Vec<Name>,
    /// The version in which the abort was stored.
    pub aborted: Option<Id<SequenceExecution>>,
}

impl Run {
    pub fn new(live: Id<SequenceExecution>) -> Self {
        Self {
            live,
            old: None,
            flight: None,
            due: true,
            again: None,
            created: vec![],
            aborted: None,
        }
    }

    pub fn status(&self) -> Option<&SequenceExecutionStatus> {
        self.live.status.as_ref()
    }

    pub fn done(&self) -> bool {
        self.status().is_some_and(|s| s.done)
    }

    /// Whether it waits for its place, as the controller sees it.
    pub fn waits(&self) -> bool {
        self.status()
            .is_none_or(|s| s.phase.is_empty() || s.phase == "Queued")
    }

    pub fn name(&self) -> &str {
        self.live.metadata.name.as_deref().unwrap()
    }

    pub fn uid(&self) -> &str {
        self.live.metadata.uid.as_deref().unwrap()
    }

    pub fn place(&self) -> (&str, &str) {
        (&self.live.spec.stage, &self.live.spec.service)
    }
}

/// A reconciliation, in the middle.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Flight {
    /// What it takes for the newest version.
    pub view: Id<SequenceExecution>,
    /// Whether that was read or written in this reconciliation.
    pub fresh: bool,
    pub followed: bool,
    pub refused: Option<Name>,
    /// What was decided, and how far it has been carried out.
    pub doing: Option<Doing>,
}

#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Doing {
    pub decided: Id<Decided>,
    /// The next of: what comes first, the status, what comes then.
    pub at: usize,
    pub judge: bool,
    pub refused: bool,
}

#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Life {
    Pending,
    Running,
    /// The container ended with this exit code.
    Ended(i32),
    /// The pod was lost before its container started.
    Evicted,
}

/// A Job and its pod, and what of its end the caches have.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct JobIs {
    pub run: usize,
    pub name: Name,
    pub key: Name,
    pub object: Id<Job>,
    pub life: Life,
    pub started_at: i64,
    pub ended_at: i64,
    pub pod_seen: bool,
    pub job_seen: bool,
    pub deleted: bool,
}

impl JobIs {
    pub fn lives(&self) -> bool {
        !self.deleted && matches!(self.life, Life::Pending | Life::Running)
    }
}

#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Says {
    Pass,
    Fail,
    Unknown,
}

#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct EvaluationIs {
    pub run: usize,
    pub object: Id<Evaluation>,
    pub verdict: Option<Says>,
}

#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct ApprovalIs {
    pub run: usize,
    pub object: Id<Approval>,
    /// Its resourceVersion.
    pub version: u8,
    pub deleted: bool,
}
