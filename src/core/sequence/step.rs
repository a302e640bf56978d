//! One step: from where the run stands as far as it can go now.

use jiff::Timestamp;

use super::{
    Decision, Effect, Facts, defaults,
    finish::{conditions, phases},
    task,
};
use crate::{
    api::{
        Duration, SequenceExecution, SequenceExecutionStatus, Timestamp as ApiTime,
        execution::{AttemptStatus, Desired, PinnedRemediation, TaskStatus},
        jobconfig::Target,
        shipyard::{Sequence, Task},
    },
    core::{labels, note::Note, queue::Grant},
};

/// Whether the machine can go on now, or has to wait.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Flow {
    /// Look again, at once.
    Go,
    /// Nothing more can be done until something happens or `again` comes.
    Rest,
}

/// Takes the execution as far as it can go at `now`.
pub fn step(execution: &SequenceExecution, facts: &Facts, now: Timestamp) -> Decision {
    let mut machine = Machine {
        execution,
        facts,
        now,
        s: execution.status.clone().unwrap_or_default(),
        first: vec![],
        then: vec![],
        notes: vec![],
        again: None,
        wants_place: false,
        reads: vec![],
    };
    if !machine.s.done {
        if let Some(asked) = labels::asked_to_look(&execution.metadata) {
            machine.s.last_handled_reconcile_at = Some(asked.to_owned());
        }
        machine.run();
    }
    machine.decide()
}

/// A step in the making.
pub(super) struct Machine<'a> {
    pub(super) execution: &'a SequenceExecution,
    pub(super) facts: &'a Facts,
    pub(super) now: Timestamp,
    /// The new status.
    pub(super) s: SequenceExecutionStatus,
    pub(super) first: Vec<Effect>,
    pub(super) then: Vec<Effect>,
    pub(super) notes: Vec<Note>,
    pub(super) again: Option<Timestamp>,
    pub(super) wants_place: bool,
    /// What has to be looked at before anything is decided.
    pub(super) reads: Vec<Target>,
}

impl Machine<'_> {
    fn run(&mut self) {
        if let Some(outcome) = self.s.outcome.clone() {
            return self.follow_on(&outcome);
        }
        self.count_pause();
        if self.desired() == Desired::Abort {
            return self.end_early(phases::ABORTED, "Aborted", "aborted by spec.control.desired");
        }
        if self.past_deadline() {
            let limit = self
                .sequence()
                .and_then(|s| s.deadline)
                .unwrap_or(defaults::DEADLINE);
            let message = format!("the run took longer than its deadline of {limit}");
            return self.end_early(phases::TIMED_OUT, "DeadlineExceeded", &message);
        }
        self.sweep_lingering(defaults::LINGER);
        // Each pass ends at least one task or rests, so this is bounded by the tasks of one attempt.
        for _ in 0..200 {
            if self.s.done
                || self.s.outcome.is_some()
                || self.advance() == Flow::Rest
                || !self.reads.is_empty()
            {
                break;
            }
        }
        if !self.s.done && self.s.outcome.is_none() {
            self.look_again_at_deadline();
        }
    }

    fn advance(&mut self) -> Flow {
        match self.s.attempts.last() {
            None => self.before_first_attempt(),
            Some(attempt) if attempt.finished_at.is_some() => self.before_next_attempt(),
            Some(attempt) => match task::position(attempt) {
                Some(index) if task::is_active(&attempt.tasks[index]) => self.progress(index),
                Some(index) => self.before_task(index),
                None => self.end_attempt(),
            },
        }
    }

    /// Checks what every start of something new has to ask for: the hold, a pause, the place.
    pub(super) fn may_start(&mut self) -> bool {
        if self.desired() == Desired::Pause {
            self.pause();
            return false;
        }
        if let Some(hold) = &self.facts.hold {
            let message = format!("held by {hold}; nothing new starts until the hold is lifted");
            self.rest(phases::HELD, "Held", &message);
            self.wait_for("the hold's end".to_owned());
            self.wants_place = self.s.place.as_deref() == Some("Held");
            return false;
        }
        self.wants_place = true;
        if self.s.place.as_deref() == Some("Held") {
            return true;
        }
        match &self.facts.grant {
            Some(Grant::Held) => {
                self.s.place = Some("Held".to_owned());
                true
            }
            Some(Grant::Queued { behind }) => {
                let message = format!(
                    "waits behind {behind} for service {} in stage {}",
                    self.execution.spec.service, self.execution.spec.stage
                );
                self.s.place = Some("Queued".to_owned());
                self.rest(phases::QUEUED, "Queued", &message);
                self.wait_for(format!("run {behind}"));
                self.look_again(self.after(Duration::from_secs(60)));
                false
            }
            None => {
                self.look_again(self.now);
                false
            }
        }
    }

    fn pause(&mut self) {
        if self.s.paused_at.is_none() {
            self.s.paused_at = Some(ApiTime(self.now));
            let text = "paused by spec.control.desired; set it to Run to go on, to Abort to end the run";
            self.tell(Note::normal("Paused", text));
        }
        self.give_place_up();
        let since = self.s.paused_at.as_ref().map_or(self.now, |at| at.0);
        let until = since
            .checked_add(defaults::PAUSED.signed())
            .unwrap_or(Timestamp::MAX);
        if self.now >= until {
            let message = format!("paused for more than {}", defaults::PAUSED);
            return self.end_early(phases::ABORTED, "PausedTooLong", &message);
        }
        self.rest(
            phases::PAUSED,
            "Paused",
            "paused; set spec.control.desired to Run to go on",
        );
        self.wait_for("spec.control.desired: Run".to_owned());
        self.look_again(until);
    }

    /// Time in which the run was paused does not count against its deadline.
    fn count_pause(&mut self) {
        if self.desired() == Desired::Pause {
            return;
        }
        if let Some(since) = self.s.paused_at.take() {
            let seconds = self.now.duration_since(since.0).as_secs().max(0);
            self.s.paused_seconds = Some(self.s.paused_seconds.unwrap_or(0) + seconds);
            self.tell(Note::normal("Resumed", format!("goes on after {seconds}s")));
        }
    }

    fn deadline(&self) -> Option<Timestamp> {
        let limit = self
            .sequence()
            .and_then(|s| s.deadline)
            .unwrap_or(defaults::DEADLINE);
        let waited = self.s.paused_seconds.unwrap_or(0) + self.s.approval_seconds.unwrap_or(0);
        let paused = jiff::SignedDuration::from_secs(waited);
        self.s
            .started_at
            .as_ref()?
            .0
            .checked_add(limit.signed().saturating_add(paused))
            .ok()
    }

    /// Whether a human is being waited for; the question has a deadline of its own.
    fn asks(&self) -> bool {
        task::current(&self.s).is_some_and(|t| t.approval.is_some())
    }

    fn past_deadline(&self) -> bool {
        self.s.paused_at.is_none()
            && !self.asks()
            && self.deadline().is_some_and(|deadline| self.now >= deadline)
    }

    fn look_again_at_deadline(&mut self) {
        if self.s.paused_at.is_none()
            && !self.asks()
            && let Some(deadline) = self.deadline()
        {
            self.look_again(deadline);
        }
    }

    /// Gives the place up, for a wait in which nothing is done to the service.
    pub(super) fn give_place_up(&mut self) {
        if self.s.place.is_some() {
            self.s.place = Some("Released".to_owned());
        }
        self.wants_place = false;
    }

    /// Says why the run rests.
    pub(super) fn rest(&mut self, phase: &str, reason: &str, message: &str) {
        phase.clone_into(&mut self.s.phase);
        reason.clone_into(&mut self.s.reason);
        message.clone_into(&mut self.s.message);
        self.s.waits_for.clear();
    }

    /// Says what must come before the run goes on, after `rest`.
    pub(super) fn wait_for(&mut self, what: String) {
        self.s.waits_for = what;
    }

    /// Looks again at this time, if not earlier.
    pub(super) fn look_again(&mut self, at: Timestamp) {
        self.again = Some(self.again.map_or(at, |again| again.min(at)));
    }

    /// This long from now.
    pub(super) fn after(&self, wait: Duration) -> Timestamp {
        self.now.checked_add(wait.signed()).unwrap_or(Timestamp::MAX)
    }

    /// Tells people.
    pub(super) fn tell(&mut self, note: Note) {
        self.notes.push(note);
    }

    pub(super) fn desired(&self) -> Desired {
        self.execution
            .spec
            .control
            .as_ref()
            .map_or(Desired::Run, |c| c.desired)
    }

    pub(super) fn sequence(&self) -> Option<&Sequence> {
        self.s.plan.as_ref()?.sequence.as_ref()
    }

    pub(super) fn remediation(&self) -> Option<&PinnedRemediation> {
        self.s.plan.as_ref()?.remediation.as_ref()
    }

    /// What the shipyard says of the task at this index.
    pub(super) fn task_spec(&self, index: usize) -> Task {
        self.sequence()
            .and_then(|s| s.tasks.get(index))
            .cloned()
            .unwrap_or_default()
    }

    pub(super) fn attempt(&mut self) -> Option<&mut AttemptStatus> {
        self.s.attempts.last_mut()
    }

    pub(super) fn attempt_number(&self) -> i32 {
        self.s.attempts.last().map_or(0, |a| a.number)
    }

    pub(super) fn task_status(&self, index: usize) -> Option<&TaskStatus> {
        self.s.attempts.last().and_then(|a| a.tasks.get(index))
    }

    pub(super) fn task_mut(&mut self, index: usize) -> Option<&mut TaskStatus> {
        self.s.attempts.last_mut().and_then(|a| a.tasks.get_mut(index))
    }

    fn decide(mut self) -> Decision {
        self.s.observed_generation = self.execution.metadata.generation;
        conditions(&mut self.s, self.now);
        self.note_edits();
        Decision {
            first: self.first,
            status: self.s,
            then: self.then,
            notes: self.notes,
            again: self.again,
            wants_place: self.wants_place,
            reads: self.reads,
        }
    }
}
