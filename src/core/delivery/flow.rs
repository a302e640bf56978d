//! How a flow stands: the runs of one context.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::phase;
use crate::{
    api::{Condition, Duration, SequenceExecution, SequenceExecutionStatus},
    core::sequence::phases,
};

/// A run creates what it triggers before it ends, so what is not there this long after was deleted.
const TRIGGERED: Duration = Duration::from_secs(60);

/// The runs of one context, oldest first.
pub(super) struct Flow<'a>(Vec<&'a SequenceExecution>);

/// Where a flow stands.
pub(super) enum Standing<'a> {
    /// Something goes on; the newest of the runs that make the phase.
    Live {
        run: &'a SequenceExecution,
        phase: &'static str,
    },
    /// This run ended, and what it triggers is not there yet.
    Between {
        run: &'a SequenceExecution,
        until: Timestamp,
    },
    /// Every run ended well.
    Delivered,
    /// It is over, and this run did not end well.
    Ended {
        run: &'a SequenceExecution,
        phase: &'static str,
    },
    /// A run is not there any more; the name, if it is known from another run.
    Deleted { name: Option<String> },
}

impl<'a> Flow<'a> {
    pub(super) fn of(context: &str, runs: &'a [SequenceExecution]) -> Self {
        let of_context = |run: &&SequenceExecution| run.spec.context.as_deref() == Some(context);
        let mut runs: Vec<_> = runs.iter().filter(of_context).collect();
        runs.sort_by_cached_key(|run| age(run));
        Self(runs)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.0
            .iter()
            .any(|run| run.metadata.name.as_deref() == Some(name))
    }

    pub(super) fn is_live(&self) -> bool {
        self.0.iter().any(|run| is_live(run))
    }

    pub(super) fn newest(&self) -> Option<&'a SequenceExecution> {
        self.0.last().copied()
    }

    /// The newest run of the sequence of this name.
    pub(super) fn newest_of(&self, sequence: &str) -> Option<&'a SequenceExecution> {
        self.0
            .iter()
            .rev()
            .find(|run| run.spec.sequence == sequence)
            .copied()
    }

    /// The stages in which the sequence of this name ran, in that order.
    pub(super) fn stages_of(&self, sequence: &str) -> Vec<&'a str> {
        let mut seen = BTreeSet::new();
        let of_sequence = self.0.iter().filter(|run| run.spec.sequence == sequence);
        of_sequence
            .map(|run| run.spec.stage.as_str())
            .filter(|stage| seen.insert(*stage))
            .collect()
    }

    /// Whether nothing more comes of it.
    pub(super) fn is_over(&self, now: Timestamp) -> bool {
        !matches!(
            self.standing(now),
            Standing::Live { .. } | Standing::Between { .. }
        )
    }

    pub(super) fn standing(&self, now: Timestamp) -> Standing<'a> {
        if self.0.is_empty() {
            return Standing::Deleted { name: None };
        }
        if let Some(live) = self.live() {
            return live;
        }
        if let Some((run, name)) = self.missing() {
            let ended = run.status.as_ref().and_then(|s| s.finished_at.as_ref());
            let until = ended.and_then(|at| at.0.checked_add(TRIGGERED.signed()).ok());
            return match until {
                Some(until) if now < until => Standing::Between { run, until },
                _ => Standing::Deleted { name: Some(name) },
            };
        }
        // A run that was repeated does not count: the one that repeats it does.
        let repeated: BTreeSet<&str> = self
            .0
            .iter()
            .filter_map(|run| run.spec.retry_of.as_ref())
            .map(|retry| retry.name.as_str())
            .collect();
        let counts = |run: &&&SequenceExecution| {
            run.metadata
                .name
                .as_deref()
                .is_none_or(|name| !repeated.contains(name))
        };
        let bad = self.0.iter().rev().filter(counts).find(|run| !ended_well(run));
        match bad {
            None => Standing::Delivered,
            Some(run) if phase_of(run) == phases::ABORTED => Standing::Ended {
                run,
                phase: phase::ABORTED,
            },
            Some(run) => Standing::Ended {
                run,
                phase: phase::FAILED,
            },
        }
    }

    /// What goes on, if anything does. As long as one run gets on, the Delivery does.
    fn live(&self) -> Option<Standing<'a>> {
        let mut newest_of_phase = None;
        for run in self.0.iter().rev().filter(|run| is_live(run)) {
            let phase = live_phase(run.status.as_ref());
            if phase == phase::DELIVERING {
                return Some(Standing::Live { run, phase });
            }
            newest_of_phase.get_or_insert(Standing::Live { run, phase });
        }
        newest_of_phase
    }

    /// A run that another one's end started, or its retry, and that is not there.
    fn missing(&self) -> Option<(&'a SequenceExecution, String)> {
        self.0.iter().find_map(|run| {
            let status = run.status.as_ref()?;
            let triggered = status.triggered.iter().map(|follow_up| &follow_up.name);
            let retried = status.retried.iter().filter_map(|r| r.execution.as_ref());
            let mut expected = triggered.chain(retried);
            let name = expected.find(|name| !self.has(name))?;
            Some((*run, name.clone()))
        })
    }
}

/// The API server keeps whole seconds, so a run and what it triggered may be of the same age: the depth tells.
pub(super) fn age(run: &SequenceExecution) -> (Option<Timestamp>, i32, bool, Option<String>) {
    (
        run.metadata.creation_timestamp.as_ref().map(|t| t.0),
        run.spec.depth.unwrap_or_default(),
        run.spec.retry_of.is_some(),
        run.metadata.name.clone(),
    )
}

fn is_live(run: &SequenceExecution) -> bool {
    run.status.as_ref().is_none_or(|s| !s.done)
}

fn phase_of(run: &SequenceExecution) -> &str {
    run.status.as_ref().map_or("", |s| s.phase.as_str())
}

/// A run may do well and yet be broken: what should follow could not be started.
fn ended_well(run: &SequenceExecution) -> bool {
    matches!(phase_of(run), phases::SUCCEEDED | phases::RESOLVED) && broken(run).is_none()
}

/// What the run says has to be mended by hand.
pub(super) fn broken(run: &SequenceExecution) -> Option<&Condition> {
    let mut conditions = run.status.iter().flat_map(|s| &s.conditions);
    conditions.find(|c| c.type_ == "Stalled" && c.status == "True")
}

fn live_phase(status: Option<&SequenceExecutionStatus>) -> &'static str {
    match status.map(|s| (s.phase.as_str(), s.reason.as_str())) {
        Some((phases::WAITING, "Approval")) => phase::WAITING,
        Some((phases::HELD, _)) => phase::HELD,
        _ => phase::DELIVERING,
    }
}
