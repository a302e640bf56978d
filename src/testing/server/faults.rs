//! What can go wrong, on demand.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;

use super::request::Verb;

/// What becomes of one request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fault {
    /// Nothing special.
    Proceed,
    /// The caller crashes before the request has any effect; it never gets an answer.
    CrashBefore,
    /// The request takes effect, then the caller crashes; it never gets an answer.
    CrashAfter,
    /// This status code, without effect.
    Fail(u16),
    /// The request takes effect, but this status code is the answer.
    FailAfter(u16),
    /// The connection breaks, without effect.
    Unreachable,
    /// The request takes effect after so long.
    Delay(Duration),
}

/// One request, as faults and logs see it.
#[derive(Clone, Debug)]
pub struct Call {
    /// Counts the requests of the operator, from 1; 0 for other callers.
    pub index: usize,
    /// Counts the writes of the operator, from 1; `None` for reads and for other callers.
    pub write: Option<usize>,
    /// Who calls.
    pub caller: String,
    /// What is done.
    pub verb: Verb,
    /// The kind's table: `jobs.batch`, `pods`, `sequenceexecutions.coxswain.dev`.
    pub resource: String,
    /// The namespace, unless all are meant.
    pub namespace: Option<String>,
    /// The object; for a create with generateName, the empty text.
    pub name: String,
    /// For example `status`.
    pub subresource: Option<String>,
    /// When it arrived.
    pub at: Timestamp,
    /// The size of the body in bytes.
    pub bytes: usize,
}

impl Call {
    /// `Update sequenceexecutions.coxswain.dev/status heal-1`, for messages.
    pub fn label(&self) -> String {
        let sub = self
            .subresource
            .as_ref()
            .map(|s| format!("/{s}"))
            .unwrap_or_default();
        format!("{:?} {}{sub} {}", self.verb, self.resource, self.name)
    }
}

/// A request and its answer.
#[derive(Clone, Debug)]
pub struct Logged {
    /// The request.
    pub call: Call,
    /// The HTTP status code; `None` when there was no answer (yet).
    pub code: Option<u16>,
    /// Whether it changed the storage.
    pub effective: bool,
}

/// Decides what becomes of each request of the operator.
pub type Hook = Box<dyn FnMut(&Call) -> Fault + Send>;

/// What becomes of one event of a watch.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Deliver {
    /// It arrives.
    Once,
    /// It never arrives.
    Never,
    /// It arrives two times.
    Twice,
}

/// One event that is about to be delivered to the operator.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// Counts the events that were delivered to the operator, from 1.
    pub index: usize,
    /// The kind's table.
    pub resource: String,
    /// ADDED, MODIFIED or DELETED.
    pub what: &'static str,
    /// The object.
    pub name: String,
}

/// Decides what becomes of each watch event for the operator.
pub type DeliveryHook = Box<dyn FnMut(&Delivery) -> Deliver + Send>;

/// How watches of one kind are troubled.
#[derive(Clone, Debug, Default)]
pub(super) struct WatchTrouble {
    /// Nothing newer than this is delivered, nor seen by lists that accept old data.
    pub(super) frozen_at: Option<u64>,
    /// Streams that are older are cut.
    pub(super) cut: u64,
    /// Streams that are older are told 410 Gone.
    pub(super) gone: u64,
}

/// Everything that is to go wrong.
#[derive(Default)]
pub(super) struct Faults {
    pub(super) hook: Option<Hook>,
    pub(super) delivery: Option<DeliveryHook>,
    pub(super) watches: BTreeMap<String, WatchTrouble>,
    /// How late watch events arrive.
    pub(super) watch_delay: Duration,
}
