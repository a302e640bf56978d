//! How far a sink was told: what a restart goes on from.
//!
//! A run's story has an order, so one position of each run says what was told of it. Of runs that ended long enough ago one
//! time is enough for all of them, so that the record stays small.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::position::Position;
use crate::api::{EventSinkStatus, SequenceExecution, Timestamp as ApiTime, eventsink::ToldRun};

/// A run that ended this long ago is known to have ended: its last write, and the watch that tells of it, do not take longer.
const SETTLED: SignedDuration = SignedDuration::from_mins(5);
/// So many runs are remembered one by one. Were there more, the oldest would be told again after a restart: an event may come
/// twice, with the same id, but none is lost.
const REMEMBERED: usize = 2000;

/// How far a sink was told.
#[derive(Clone, Debug, PartialEq)]
pub struct Ledger {
    /// Nothing that happened before the sink was there is told.
    since: Timestamp,
    /// Everything is told of the runs that had ended by then.
    through: Timestamp,
    runs: BTreeMap<String, Told>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Told {
    through: Position,
    ended_at: Option<Timestamp>,
}

/// When a run ended.
fn ended_at(run: &SequenceExecution) -> Option<Timestamp> {
    let status = run.status.as_ref().filter(|status| status.done)?;
    status.finished_at.as_ref().map(|at| at.0)
}

impl Ledger {
    /// What a sink's status says; a new one knows nothing, and wants what happens from its creation on.
    pub fn read(status: Option<&EventSinkStatus>, created: Timestamp) -> Self {
        let told = status.map(|s| s.told.as_slice()).unwrap_or_default();
        let through = status
            .and_then(|s| s.told_through.as_ref())
            .map_or(created, |at| at.0);
        // A position that can't be read is as good as none: its run is told of from the beginning.
        let runs = told.iter().filter_map(|run| {
            let told = Told {
                through: run.through.parse().ok()?,
                ended_at: run.ended_at.as_ref().map(|at| at.0),
            };
            Some((run.uid.clone(), told))
        });
        Self {
            since: created,
            through,
            runs: runs.collect(),
        }
    }

    /// Writes it into a sink's status.
    pub fn write(&self, status: &mut EventSinkStatus) {
        status.told_through = Some(ApiTime(self.through));
        status.told = self
            .runs
            .iter()
            .map(|(uid, told)| ToldRun {
                uid: uid.clone(),
                through: told.through.to_string(),
                ended_at: told.ended_at.map(ApiTime),
            })
            .collect();
    }

    /// Whether what happened at this place and time of a run has yet to be told.
    pub fn wants(&self, run: &SequenceExecution, position: Position, at: Timestamp) -> bool {
        if at < self.since {
            return false;
        }
        match self.runs.get(run.metadata.uid.as_deref().unwrap_or_default()) {
            Some(told) => position > told.through,
            None => self.is_news(ended_at(run)),
        }
    }

    /// Whether there may be something to tell of the run with this uid, which has ended then, or not yet.
    pub fn concerns(&self, uid: &str, ended_at: Option<Timestamp>) -> bool {
        match self.runs.get(uid) {
            Some(told) => told.through < Position::Ended,
            None => self.is_news(ended_at),
        }
    }

    fn is_news(&self, ended_at: Option<Timestamp>) -> bool {
        ended_at.is_none_or(|ended| ended > self.through)
    }

    /// Something was told, or given up.
    pub fn told(&mut self, run: &SequenceExecution, position: Position) {
        let told = Told {
            through: position,
            ended_at: ended_at(run),
        };
        let uid = run.metadata.uid.clone().unwrap_or_default();
        self.runs.insert(uid, told);
    }

    /// Everything of a run that is to be told was told, as far as it has come.
    pub fn saw(&mut self, run: &SequenceExecution) {
        if let Some(told) = self.runs.get_mut(run.metadata.uid.as_deref().unwrap_or_default()) {
            told.ended_at = ended_at(run);
        }
    }

    /// A run is gone.
    pub fn forget(&mut self, uid: &str) {
        self.runs.remove(uid);
    }

    /// Forgets the runs that are not there any more.
    pub fn keep_only(&mut self, there: impl Fn(&str) -> bool) {
        self.runs.retain(|uid, _| there(uid));
    }

    /// Everything was told: one time stands for the runs that ended a while ago.
    pub fn settle(&mut self, now: Timestamp) {
        self.through = self.through.max(now - SETTLED);
        let through = self.through;
        self.runs
            .retain(|_, told| told.ended_at.is_none_or(|ended| ended > through));
    }

    /// Keeps the record small, whatever happens.
    pub fn bound(&mut self) {
        while self.runs.len() > REMEMBERED {
            let oldest = self
                .runs
                .iter()
                .min_by_key(|(_, told)| (told.ended_at.is_none(), told.ended_at));
            let Some(uid) = oldest.map(|(uid, _)| uid.clone()) else {
                return;
            };
            self.runs.remove(&uid);
        }
    }
}
