//! Files that are missing are told before any Job of the task starts: half a task is worse than none.

use super::step::Machine;
use crate::core::jobs::{
    build::{self, JobError},
    matching::Matched,
};

impl Machine<'_> {
    /// Ends a task without any Job when one of its Jobs certainly lacks its files. Jobs that may not run at all, or that
    /// decide nothing, are left to their own start.
    pub(super) fn refuse_missing_files(&mut self, index: usize, matched: &[Matched]) {
        let mut at = 0;
        for found in matched {
            for task in &found.action.tasks {
                let certain = found.action.silent != Some(true)
                    && task.when.is_empty()
                    && task.continue_on_failure != Some(true);
                let lacks = certain.then(|| build::files_problem(self.execution, found.config, task));
                if let Some(Err(error)) = lacks {
                    return self.without_files(index, at, &error);
                }
                at += 1;
            }
        }
    }

    fn without_files(&mut self, index: usize, at: usize, error: &JobError) {
        for job in self.task_mut(index).into_iter().flat_map(|t| &mut t.jobs) {
            "Skipped".clone_into(&mut job.state);
        }
        self.fail_job(index, at, error.reason(), &error.to_string());
    }
}
