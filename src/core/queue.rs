//! Who may work on a service of a stage: one run at a time.
//!
//! The arbiter is serial: whoever asks is answered from what it has granted so far and from who else waits. It keeps
//! nothing that a list of the live runs does not tell, so it can be rebuilt at any start.

use std::collections::HashMap;

use jiff::Timestamp;

use crate::api::SequenceExecution;

/// A service of a stage of a project, in a namespace.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct PlaceKey {
    /// The namespace.
    pub namespace: String,
    /// The project.
    pub project: String,
    /// The stage.
    pub stage: String,
    /// The service.
    pub service: String,
}

impl PlaceKey {
    /// The run's place.
    pub fn of(run: &SequenceExecution) -> Self {
        Self {
            namespace: run.metadata.namespace.clone().unwrap_or_default(),
            project: run.spec.project.clone(),
            stage: run.spec.stage.clone(),
            service: run.spec.service.clone(),
        }
    }
}

/// A run that wants a place.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Candidate {
    /// The run's uid.
    pub uid: String,
    /// The run's name.
    pub name: String,
    /// Whether it follows a run in the same place, which it inherits: it goes before all others.
    pub heir: bool,
    /// The higher goes first.
    pub priority: i32,
    /// Of equal ones the older goes first.
    pub created: Timestamp,
}

impl Candidate {
    /// The order of the queue: heirs, then priority, then age, then name.
    fn rank(&self) -> (std::cmp::Reverse<(bool, i32)>, Timestamp, &str, &str) {
        (
            std::cmp::Reverse((self.heir, self.priority)),
            self.created,
            &self.name,
            &self.uid,
        )
    }
}

/// Who goes before all others.
pub fn first<C: std::borrow::Borrow<Candidate>>(candidates: impl IntoIterator<Item = C>) -> Option<C> {
    let rank = |a: &C, b: &C| a.borrow().rank().cmp(&b.borrow().rank());
    candidates.into_iter().min_by(rank)
}

/// The arbiter's answer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Grant {
    /// The place is this run's.
    Held,
    /// Another run has it, or goes first.
    Queued {
        /// That run's name.
        behind: String,
    },
}

/// Grants places, one holder each. A holder is never displaced.
#[derive(Debug, Default)]
pub struct Arbiter {
    holders: HashMap<PlaceKey, Candidate>,
}

impl Arbiter {
    /// Notes that a run holds its place, as its status says; for the start, before anybody asks. Of two that claim one
    /// place (which only a hand that edits statuses brings about) the first in the queue's order keeps it.
    pub fn restore(&mut self, place: PlaceKey, holder: Candidate) {
        match self.holders.get(&place) {
            Some(other) if other.rank() <= holder.rank() => {}
            _ => {
                self.holders.insert(place, holder);
            }
        }
    }

    /// `who` asks for `place`, while `others` wait for it too.
    pub fn request(&mut self, place: &PlaceKey, who: &Candidate, others: &[Candidate]) -> Grant {
        if let Some(holder) = self.holders.get(place) {
            return if holder.uid == who.uid {
                Grant::Held
            } else {
                Grant::Queued {
                    behind: holder.name.clone(),
                }
            };
        }
        let first = first(others.iter().filter(|o| o.uid != who.uid));
        match first {
            Some(other) if other.rank() < who.rank() => Grant::Queued {
                behind: other.name.clone(),
            },
            _ => {
                self.holders.insert(place.clone(), who.clone());
                Grant::Held
            }
        }
    }

    /// The run gives its place up, or is gone. Says whether it held it, so that the others can be woken.
    pub fn release(&mut self, place: &PlaceKey, uid: &str) -> bool {
        let held = self.holders.get(place).is_some_and(|h| h.uid == uid);
        if held {
            self.holders.remove(place);
        }
        held
    }

    /// Forgets holders that are not there any more; after a list of what is.
    pub fn retain(&mut self, exists: impl Fn(&str) -> bool) {
        self.holders.retain(|_, holder| exists(&holder.uid));
    }

    /// Who holds the place.
    pub fn holder(&self, place: &PlaceKey) -> Option<&Candidate> {
        self.holders.get(place)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn place() -> PlaceKey {
        PlaceKey {
            namespace: "ns".into(),
            project: "shop".into(),
            stage: "production".into(),
            service: "cart".into(),
        }
    }

    fn run(name: &str, priority: i32, created: i64) -> Candidate {
        Candidate {
            heir: false,
            uid: format!("uid-{name}"),
            name: name.into(),
            priority,
            created: Timestamp::from_second(created).unwrap(),
        }
    }

    #[test]
    fn the_first_to_ask_gets_a_free_place_and_keeps_it() {
        let mut arbiter = Arbiter::default();
        let (first, urgent) = (run("first", 0, 2), run("urgent", 100, 1));
        assert_eq!(arbiter.request(&place(), &first, &[]), Grant::Held);
        assert_eq!(
            arbiter.request(&place(), &urgent, &[]),
            Grant::Queued {
                behind: "first".into()
            },
            "a holder is never displaced"
        );
        assert_eq!(
            arbiter.request(&place(), &first, &[urgent]),
            Grant::Held,
            "asking again changes nothing"
        );
    }

    #[test]
    fn a_free_place_goes_to_the_highest_priority_then_the_oldest() {
        let mut arbiter = Arbiter::default();
        let (old, young, urgent) = (run("old", 0, 1), run("young", 0, 2), run("urgent", 100, 3));
        let all = [old.clone(), young.clone(), urgent.clone()];
        assert_eq!(
            arbiter.request(&place(), &young, &all),
            Grant::Queued {
                behind: "urgent".into()
            }
        );
        assert_eq!(arbiter.request(&place(), &urgent, &all), Grant::Held);
        assert!(arbiter.release(&place(), "uid-urgent"));
        assert_eq!(
            arbiter.request(&place(), &young, &all[..2]),
            Grant::Queued { behind: "old".into() }
        );
        assert_eq!(arbiter.request(&place(), &old, &all[..2]), Grant::Held);
    }

    #[test]
    fn five_hundred_get_their_turn_in_order() {
        let mut arbiter = Arbiter::default();
        // They did not come in the order of their names.
        let all: Vec<_> = (0..500_i64)
            .map(|n| run(&format!("run-{}", n * 7 % 500), 0, n))
            .collect();
        let mut waiting: Vec<_> = all.iter().rev().cloned().collect();
        let mut held = vec![];
        while let Some(next) = first(waiting.iter()).cloned() {
            let last = waiting.first().cloned().unwrap();
            if last != next {
                let behind = next.name.clone();
                let asked = arbiter.request(&place(), &last, &waiting);
                assert_eq!(asked, Grant::Queued { behind }, "who is not next gets nothing");
            }
            assert_eq!(arbiter.request(&place(), &next, &waiting), Grant::Held);
            waiting.retain(|other| *other != next);
            assert!(arbiter.release(&place(), &next.uid));
            held.push(next);
        }
        assert_eq!(held, all);
    }

    #[test]
    fn only_the_holder_can_release() {
        let mut arbiter = Arbiter::default();
        assert_eq!(arbiter.request(&place(), &run("a", 0, 1), &[]), Grant::Held);
        assert!(!arbiter.release(&place(), "uid-b"));
        assert!(arbiter.holder(&place()).is_some());
    }

    proptest! {
        #[test]
        fn there_is_never_a_second_holder(ops in prop::collection::vec((0..5usize, any::<bool>()), 1..60)) {
            let runs: Vec<_> = (0..5_i32).map(|i| run(&format!("r{i}"), i % 2, i64::from(i))).collect();
            let mut arbiter = Arbiter::default();
            let mut holder: Option<usize> = None;
            for (i, ask) in ops {
                if ask {
                    let granted = arbiter.request(&place(), &runs[i], &[]) == Grant::Held;
                    prop_assert_eq!(granted, holder.is_none_or(|h| h == i));
                    if granted { holder = Some(i); }
                } else if arbiter.release(&place(), &runs[i].uid) {
                    prop_assert_eq!(holder, Some(i));
                    holder = None;
                }
            }
        }
    }
}
