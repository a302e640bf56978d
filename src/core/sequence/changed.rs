//! Edits of what a run has pinned: they change nothing for it, but whoever made them should see that.

use super::step::Machine;
use crate::api::execution::Pinned;

impl Machine<'_> {
    /// Names the edits, if the status is written anyway: an edit alone is no reason to write the status of every run.
    pub(super) fn note_edits(&mut self) {
        if self.execution.status.as_ref() != Some(&self.s) {
            let pinned = self.s.plan.as_ref().map(|plan| plan.pinned.as_slice());
            self.s.definition_changed = edits(pinned.unwrap_or_default(), &self.facts.current);
        }
    }
}

/// What differs between what is pinned and what there is now.
fn edits(pinned: &[Pinned], current: &[Pinned]) -> Vec<String> {
    let edit = |object: &Pinned| {
        let of = object.generation?;
        let (kind, name) = (&object.kind, &object.name);
        let now = current.iter().find(|c| (&c.kind, &c.name) == (kind, name))?;
        match now.generation {
            Some(generation) if generation == of => None,
            Some(generation) => Some(format!("{kind} {name}: generation {generation}, pinned {of}")),
            None => Some(format!("{kind} {name}: deleted, pinned generation {of}")),
        }
    };
    pinned.iter().filter_map(edit).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(kind: &str, generation: Option<i64>) -> Pinned {
        Pinned {
            kind: kind.to_owned(),
            name: "shop".to_owned(),
            generation,
            hash: None,
        }
    }

    #[test]
    fn edits_are_named() {
        let pinned = [
            object("Shipyard", Some(2)),
            object("Remediation", Some(1)),
            object("JobConfig", Some(4)),
            object("ServiceLevelObjective", Some(1)),
            object("ConfigMap", None),
        ];
        let current = [
            object("Shipyard", Some(3)),
            object("Remediation", None),
            object("JobConfig", Some(4)),
        ];
        assert_eq!(
            edits(&pinned, &current),
            [
                "Shipyard shop: generation 3, pinned 2",
                "Remediation shop: deleted, pinned generation 1"
            ]
        );
    }
}
