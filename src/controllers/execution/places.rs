//! Who works on which service: asks the arbiter, and wakes those that wait.

use std::{
    collections::HashSet,
    sync::{Arc, PoisonError},
};

use kube::{ResourceExt, runtime::reflector::ObjectRef};

use super::Executions;
use crate::{
    api::SequenceExecution,
    core::{
        labels,
        queue::{self, Arbiter, Candidate, PlaceKey},
        sequence::{self, Facts, Needs, priority},
    },
};

impl Executions {
    /// Asks the arbiter, unless the run could not use the place.
    pub(super) fn ask_for_place(&self, run: &SequenceExecution, needs: &Needs, facts: &mut Facts) {
        let wants = facts.hold.is_none() && !facts.resolved && sequence::goes_on(run);
        if !needs.place || !wants {
            return;
        }
        let place = PlaceKey::of(run);
        let mut arbiter = self.arbiter();
        // Who else waits matters only when nobody has the place.
        let others = match arbiter.holder(&place) {
            Some(_) => vec![],
            None => self.waiting(&place),
        };
        facts.grant = Some(arbiter.request(&place, &self.candidate(run), &others));
    }

    /// Those that wait for the place.
    fn waiting(&self, place: &PlaceKey) -> Vec<Candidate> {
        self.runs()
            .filter(|run| PlaceKey::of(run) == *place && sequence::waits(run))
            .map(|run| self.candidate(&run))
            .collect()
    }

    /// A younger run of the same sequence in the same place, if this one has not begun.
    pub(super) fn newer(&self, run: &SequenceExecution) -> Option<String> {
        let age = |r: &SequenceExecution| (r.creation_timestamp().map(|t| t.0), r.name_any());
        if run.status.as_ref().is_some_and(|s| !s.attempts.is_empty()) {
            return None;
        }
        let place = PlaceKey::of(run);
        let rivals = self.runs().filter(|other| {
            other.spec.sequence == run.spec.sequence && PlaceKey::of(other) == place && age(other) > age(run)
        });
        rivals
            .max_by_key(|other| age(other))
            .map(|other| other.name_any())
    }

    /// A run has come: those that wait for its place and are to be replaced give way to it.
    pub(super) fn announce(&self, run: &SequenceExecution) {
        let place = PlaceKey::of(run);
        let others = self
            .runs()
            .filter(|o| o.uid() != run.uid() && PlaceKey::of(o) == place && sequence::waits(o));
        for other in others.filter(|o| o.spec.sequence == run.spec.sequence && sequence::is_replaced(o)) {
            let namespace = other.namespace().unwrap_or_default();
            self.wake
                .wake(ObjectRef::new(&other.name_any()).within(&namespace));
        }
    }

    /// The live runs that can be read.
    fn runs(&self) -> impl Iterator<Item = Arc<SequenceExecution>> {
        self.live.state().into_iter().filter_map(|run| run.readable())
    }

    fn candidate(&self, run: &SequenceExecution) -> Candidate {
        let plan = run.status.as_ref().and_then(|s| s.plan.as_ref());
        let pinned = plan.and_then(|p| p.sequence.as_ref()).map(priority);
        let defined = || {
            let definitions = self.reader.definitions.of(&run.namespace().unwrap_or_default());
            let spec = &run.spec;
            crate::core::definitions::sequence(
                &definitions.shipyards,
                &spec.project,
                &spec.stage,
                &spec.sequence,
            )
            .map_or(0, |(_, sequence)| priority(&sequence))
        };
        Candidate {
            uid: run.uid().unwrap_or_default(),
            name: run.name_any(),
            heir: run.annotations().contains_key(labels::INHERITS),
            priority: pinned.unwrap_or_else(defined),
            created: run.creation_timestamp().map_or(jiff::Timestamp::MIN, |t| t.0),
        }
    }

    pub(super) fn release(&self, run: &SequenceExecution) {
        if self.give_back(run) {
            self.wake_next(run);
        }
    }

    /// Gives the run's place back, and wakes nobody. False: it did not have it.
    pub(super) fn give_back(&self, run: &SequenceExecution) -> bool {
        self.arbiter()
            .release(&PlaceKey::of(run), &run.uid().unwrap_or_default())
    }

    /// If the run's place is free, the first of the others that wait for it asks again. Only that one: those behind it
    /// would ask in vain, each time that one of them ends.
    pub(super) fn wake_next(&self, run: &SequenceExecution) {
        let place = PlaceKey::of(run);
        if self.arbiter().holder(&place).is_some() {
            return;
        }
        let uid = run.uid().unwrap_or_default();
        let others = self.waiting(&place).into_iter().filter(|other| other.uid != uid);
        if let Some(next) = queue::first(others) {
            self.wake
                .wake(ObjectRef::new(&next.name).within(&place.namespace));
        }
    }

    /// After a (re)list: holders that are gone give their places up, and who holds one by its status has it. What was
    /// granted since stays granted.
    pub(super) fn listed(&self) {
        let uids: HashSet<String> = self.live.state().iter().filter_map(|run| run.uid()).collect();
        let mut arbiter = self.arbiter();
        arbiter.retain(|uid| uids.contains(uid));
        let holds = |r: &Arc<SequenceExecution>| {
            r.status
                .as_ref()
                .is_some_and(|s| s.place.as_deref() == Some("Held"))
        };
        for run in self.runs().filter(holds) {
            arbiter.restore(PlaceKey::of(&run), self.candidate(&run));
        }
        drop(arbiter);
        self.over.notify_one();
        self.listed.send_replace(true);
    }

    fn arbiter(&self) -> std::sync::MutexGuard<'_, Arbiter> {
        self.arbiter.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
