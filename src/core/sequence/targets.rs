//! What Jobs change: looked at before they start, when they have ended, and when the attempt ends.
//!
//! Looking is the caller's business: what is not known yet is asked for, and decided when it is.

use super::step::{Flow, Machine};
use crate::{
    api::{
        Timestamp as ApiTime,
        execution::{JobStatus, TargetStatus},
        jobconfig::Target,
    },
    core::{
        jobs::targets::{self, CONFLICT, Undone},
        note::Note,
    },
};

impl Machine<'_> {
    /// Before a Job starts: takes down how its targets are. False: it does not start, because that has to be found out
    /// first, or because another owner undid what an earlier Job of the attempt did.
    pub(super) fn look_before(&mut self, index: usize, at: usize, recorded: &mut JobStatus) -> bool {
        let named = self
            .task_of(recorded)
            .map(|t| t.targets.clone())
            .unwrap_or_default();
        if named.is_empty() || self.is_silent(recorded) {
            return true;
        }
        if !self.know(&named) {
            return false;
        }
        let mut records = vec![];
        for target in &named {
            let Some(look) = self.facts.targets.get(target) else {
                continue;
            };
            if let Some(undone) = targets::changed_back(&self.records_of(target), look) {
                self.end_by_conflict(index, at, target, &undone, "");
                return false;
            }
            records.extend(targets::record(target, look, self.now));
        }
        for unseen in records.iter().filter(|r| !r.reason.is_empty()) {
            self.tell_unseen(index, unseen);
        }
        recorded.targets = records;
        true
    }

    /// Told once a task.
    fn tell_unseen(&mut self, index: usize, unseen: &TargetStatus) {
        let mut known = self.jobs_of(index).iter().flat_map(|j| &j.targets);
        if !known.any(|k| k.target == unseen.target && k.reason == unseen.reason) {
            let text = format!("{}: {}", self.s.task, unseen.message);
            self.tell(Note::normal("TargetNotWatched", text));
        }
    }

    /// When a Job has ended: takes down how its targets are now. False: that has to be found out first, or another owner
    /// undid what the Job did, and the Job's end is on record.
    pub(super) fn look_after(&mut self, index: usize, at: usize, said: &str) -> bool {
        let Some(job) = self.job_status(index, at).cloned() else {
            return false;
        };
        let watched: Vec<Target> = job
            .targets
            .iter()
            .filter(|r| r.before.is_some())
            .map(|r| r.target.clone())
            .collect();
        if watched.is_empty() {
            return true;
        }
        if !self.know(&watched) {
            return false;
        }
        let mut records = job.targets.clone();
        let mut conflict = None;
        for record in &mut records {
            if let Some(look) = self.facts.targets.get(&record.target) {
                let undone = targets::job_ended(record, look, self.now);
                conflict = conflict.or(undone.map(|undone| (record.target.clone(), undone)));
            }
        }
        self.set_job(
            index,
            at,
            JobStatus {
                targets: records,
                ..job
            },
        );
        let Some((target, undone)) = conflict else {
            return true;
        };
        self.end_by_conflict(index, at, &target, &undone, said);
        false
    }

    /// The Job's work was undone by another owner: no other try, and no other action, would fare better.
    fn end_by_conflict(&mut self, index: usize, at: usize, target: &Target, undone: &Undone, said: &str) {
        let mut message = targets::told(target, undone);
        if !said.is_empty() {
            message = format!("{message} (the Job said: {said})");
        }
        self.fail_job(index, at, CONFLICT, &message);
    }

    /// When the attempt ends: whether another owner undid what one of its Jobs did. An error: that has to be found out
    /// first.
    pub(super) fn conflict_at_end(&mut self) -> Result<Option<String>, Flow> {
        let changed = self.changed_in_attempt();
        if !self.know(&changed) {
            return Err(Flow::Rest);
        }
        Ok(changed.iter().find_map(|target| {
            let undone = targets::changed_back(&self.records_of(target), self.facts.targets.get(target)?)?;
            Some(targets::told(target, &undone))
        }))
    }

    /// Whether all of these were looked at; if not, asks for it.
    fn know(&mut self, wanted: &[Target]) -> bool {
        let unknown = wanted.iter().filter(|t| !self.facts.targets.contains_key(t));
        self.reads.extend(unknown.cloned());
        self.reads.is_empty()
    }

    /// The targets that Jobs of this attempt have changed.
    fn changed_in_attempt(&self) -> Vec<Target> {
        let mut changed: Vec<Target> = vec![];
        for record in self.records() {
            let is_changed = record.after.is_some() && record.after != record.before;
            if is_changed && !changed.contains(&record.target) {
                changed.push(record.target.clone());
            }
        }
        changed
    }

    fn records_of(&self, target: &Target) -> Vec<&TargetStatus> {
        let mut records = self.records();
        records.retain(|record| record.target == *target);
        records
    }

    /// All records of the attempt, in the order in which they were made.
    fn records(&self) -> Vec<&TargetStatus> {
        let tasks = self.s.attempts.last().into_iter().flat_map(|a| &a.tasks);
        let mut records: Vec<_> = tasks.flat_map(|t| &t.jobs).flat_map(|j| &j.targets).collect();
        records.sort_by_key(|r| r.seen_at.as_ref().map(|at: &ApiTime| at.0));
        records
    }
}
