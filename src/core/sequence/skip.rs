//! Tasks that are not to run, because somebody saw to them in another way.

use super::step::{Flow, Machine};
use crate::{
    api::{
        Timestamp as ApiTime,
        execution::{Skip, TaskStatus},
    },
    core::{note::Note, payload::after_task},
};

impl Machine<'_> {
    /// The wish to skip this task of the current attempt.
    pub(super) fn skip_of(&self, task: &str) -> Option<Skip> {
        let number = self.attempt_number();
        let control = self.execution.spec.control.as_ref()?;
        let mut skips = control.skip.iter();
        skips.find(|s| s.attempt == number && s.task == task).cloned()
    }

    /// The task counts as passed; what runs of it is stopped.
    pub(super) fn skip_task(&mut self, index: usize, task: &TaskStatus, skip: &Skip) -> Flow {
        self.delete_live_jobs();
        self.absorb(index);
        let message = format!("skipped by {}: {}", skip.by, skip.reason);
        self.withdraw_question(task, &message);
        let payload = self.s.payload.get_or_insert_default();
        // What is too large for two more words stays as it is.
        let _ = after_task(payload, &crate::api::common::Object::new(), "pass", "succeeded");
        let now = ApiTime(self.now);
        if let Some(task) = self.task_mut(index) {
            "Skipped".clone_into(&mut task.state);
            task.result = Some("pass".to_owned());
            task.status = Some("succeeded".to_owned());
            "SkippedByHand".clone_into(&mut task.reason);
            task.message.clone_from(&message);
            task.started_at.get_or_insert_with(|| now.clone());
            task.finished_at = Some(now);
            task.wait_until = None;
            task.deadline = None;
        }
        self.s.result = Some("pass".to_owned());
        self.tell(Note::warning("TaskSkipped", format!("{}: {message}", skip.task)));
        Flow::Go
    }
}
