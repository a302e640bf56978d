//! What a Delivery calls for: one flow of runs for each change of its spec, and which version is where.
//!
//! A flow is everything that one trigger spawned: the first run, and the runs that the ends of others triggered. It has a
//! context of its own for each generation, so the same version delivered again after another is a flow of its own.

mod flow;
mod run;
mod stages;
mod start;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use jiff::Timestamp;

use self::flow::{Flow, Standing};
use super::{note::Note, sequence::phases};
use crate::api::{
    Condition, Delivery, DeliveryStatus, SequenceExecution, Shipyard,
    common::{Time, set_condition},
};

pub use run::{FIRST, context, first, image_of};

/// The phases of a Delivery.
pub mod phase {
    /// Runs of the flow are live.
    pub const DELIVERING: &str = "Delivering";
    /// A run waits for an approval.
    pub const WAITING: &str = "Waiting";
    /// A hold keeps the runs back, or nobody has confirmed a Delivery that may have been restored.
    pub const HELD: &str = "Held";
    /// Every run ended well.
    pub const DELIVERED: &str = "Delivered";
    /// A run did not end well, or nothing could be started.
    pub const FAILED: &str = "Failed";
    /// A run was aborted.
    pub const ABORTED: &str = "Aborted";
}

/// So many earlier flows are followed to their end; older ones end unseen.
const EARLIER_MAX: usize = 10;

/// What is known when a Delivery is looked at.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// The runs of the flows that [`contexts`] names, read live.
    pub runs: Vec<SequenceExecution>,
    /// The contexts of all runs that are labelled with this Delivery's name, also of one that had the name before. Only
    /// read when [`wants_traces`].
    pub traces: Vec<String>,
    /// The Shipyards of the namespace.
    pub shipyards: Vec<Arc<Shipyard>>,
    /// Why the run that was decided on could not be created: a word, and a sentence.
    pub refused: Option<(&'static str, String)>,
}

/// What to do about it.
#[derive(Clone, Debug, Default)]
pub struct Decision {
    /// A run to create, before the status is written: its name is made of the Delivery's uid and generation, so creating
    /// it again after a crash finds the one that is there. Only a live object may lead to it.
    pub create: Option<Box<SequenceExecution>>,
    /// The complete new status.
    pub status: DeliveryStatus,
    /// What to tell people.
    pub notes: Vec<Note>,
    /// When to look again if nothing happens before.
    pub again: Option<Timestamp>,
}

/// The contexts of the flows whose runs have to be known: this generation's, the newest that was started, and earlier
/// ones that were not over.
pub fn contexts(delivery: &Delivery) -> Vec<String> {
    let mut contexts = vec![context(delivery)];
    if let Some(status) = &delivery.status {
        for other in status.context.iter().chain(&status.earlier) {
            if !contexts.contains(other) {
                contexts.push(other.clone());
            }
        }
    }
    contexts
}

/// Whether it has to be found out what runs there were under this name: nothing has been decided about the object yet.
pub fn wants_traces(delivery: &Delivery) -> bool {
    delivery
        .status
        .as_ref()
        .is_none_or(|s| s.observed_generation.is_none())
}

/// Takes the Delivery as far as it can go at `now`.
pub fn step(delivery: &Delivery, facts: &Facts, now: Timestamp) -> Decision {
    let before = delivery.status.clone().unwrap_or_default();
    let mut step = Step {
        delivery,
        facts,
        now,
        context: context(delivery),
        s: before.clone(),
        create: None,
        notes: vec![],
        again: None,
    };
    if step.is_started() {
        step.follow();
    } else {
        step.start();
    }
    step.see_to_earlier();
    stages::update(&mut step.s.stages, delivery, facts);
    step.s.observed_generation = delivery.metadata.generation;
    for condition in &mut step.s.conditions {
        condition.observed_generation = delivery.metadata.generation;
    }
    // Nobody is told again what the status says already.
    if (&before.phase, &before.message, &before.context) == (&step.s.phase, &step.s.message, &step.s.context)
    {
        step.notes.clear();
    }
    Decision {
        create: step.create,
        status: step.s,
        notes: step.notes,
        again: step.again,
    }
}

/// What the conditions say besides `Succeeded`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Health {
    /// Something is going on.
    Reconciling,
    /// Nothing goes on before somebody does something.
    Stalled,
    /// It is over.
    Ready,
}

/// A step in the making.
struct Step<'a> {
    delivery: &'a Delivery,
    facts: &'a Facts,
    now: Timestamp,
    /// This generation's flow.
    context: String,
    /// The new status.
    s: DeliveryStatus,
    create: Option<Box<SequenceExecution>>,
    notes: Vec<Note>,
    again: Option<Timestamp>,
}

impl Step<'_> {
    fn is_started(&self) -> bool {
        self.s.context.as_ref() == Some(&self.context)
            && self.s.started_generation == self.delivery.metadata.generation
    }

    /// Says how this generation's flow stands.
    fn follow(&mut self) {
        let flow = Flow::of(&self.context, &self.facts.runs);
        if self.is_settled(&flow) {
            return;
        }
        if let Some(newest) = flow.newest() {
            self.s.execution.clone_from(&newest.metadata.name);
            let own = flow.newest_of(run::sequence_name(self.delivery));
            self.s.stage.clone_from(&own.unwrap_or(newest).spec.stage);
        }
        match flow.standing(self.now) {
            Standing::Live { run, phase } => {
                let message = live_message(run, phase);
                self.rest(phase, phase, &message, Health::Reconciling, "Unknown");
            }
            Standing::Between { run, until } => {
                let message = format!("{}; what it triggers starts", ended_message(run));
                self.rest(
                    phase::DELIVERING,
                    phase::DELIVERING,
                    &message,
                    Health::Reconciling,
                    "Unknown",
                );
                self.again = Some(until);
            }
            Standing::Delivered => self.delivered(&flow),
            Standing::Ended { run, phase } => self.ended_badly(run, phase),
            Standing::Deleted { name } => {
                let name = name.or(self.s.execution.clone()).unwrap_or_default();
                let message = format!(
                    "its run {name} was deleted by hand; change spec, for example spec.labels, to deliver again"
                );
                self.rest(phase::FAILED, "RunDeleted", &message, Health::Ready, "False");
                self.notes
                    .push(Note::warning("Failed", format!("Failed: {message}")));
            }
        }
    }

    /// Whether the end of this flow is on record, and nothing has come since: then runs that were removed from the
    /// history change nothing.
    fn is_settled(&self, flow: &Flow) -> bool {
        let ended = matches!(
            self.s.phase.as_str(),
            phase::DELIVERED | phase::FAILED | phase::ABORTED
        );
        let known = flow
            .newest()
            .is_none_or(|newest| newest.metadata.name == self.s.execution);
        let gone = || !flow.has(self.s.execution.as_deref().unwrap_or_default());
        ended && !flow.is_live() && (known || gone())
    }

    fn delivered(&mut self, flow: &Flow) {
        let version = self
            .delivery
            .spec
            .image
            .clone()
            .unwrap_or_else(|| "this version".to_owned());
        let stages = flow.stages_of(run::sequence_name(self.delivery)).join(", ");
        let message = format!("{version} is in {stages}");
        self.rest(
            phase::DELIVERED,
            phase::DELIVERED,
            &message,
            Health::Ready,
            "True",
        );
        self.notes
            .push(Note::normal("Delivered", format!("Delivered: {message}")));
    }

    /// A failed gate is a result and no broken object: `Ready`, unless the run itself could not be started.
    fn ended_badly(&mut self, run: &SequenceExecution, phase: &'static str) {
        let status = run.status.clone().unwrap_or_default();
        let mut reason = if status.reason.is_empty() {
            phase
        } else {
            &status.reason
        };
        let mut message = ended_message(run);
        let mut health = Health::Ready;
        if let Some(broken) = flow::broken(run) {
            reason = &broken.reason;
            health = Health::Stalled;
            if broken.message != status.message {
                message = format!("{message}; {}", broken.message);
            }
        }
        self.rest(phase, reason, &message, health, "False");
        let word = if phase == phase::ABORTED {
            "Aborted"
        } else {
            "Failed"
        };
        self.notes
            .push(Note::warning(word, format!("{phase}: {message}")));
    }

    /// Earlier flows are followed until they are over: what they bring to a stage is there.
    fn see_to_earlier(&mut self) {
        let (facts, now) = (self.facts, self.now);
        let context = self.s.context.clone();
        self.s.earlier.retain(|earlier| {
            Some(earlier) != context.as_ref() && !Flow::of(earlier, &facts.runs).is_over(now)
        });
        let excess = self.s.earlier.len().saturating_sub(EARLIER_MAX);
        self.s.earlier.drain(..excess);
    }

    fn rest(&mut self, phase: &str, reason: &str, message: &str, health: Health, succeeded: &str) {
        phase.clone_into(&mut self.s.phase);
        message.clone_into(&mut self.s.message);
        let ready = if health == Health::Ready { "True" } else { "False" };
        self.set("Ready", ready, reason, message);
        self.only_if(health == Health::Reconciling, "Reconciling", reason, message);
        self.only_if(health == Health::Stalled, "Stalled", reason, message);
        self.set("Succeeded", succeeded, reason, message);
    }

    /// An abnormal-true condition is absent when all is well.
    fn only_if(&mut self, is_so: bool, type_: &str, reason: &str, message: &str) {
        if is_so {
            self.set(type_, "True", reason, message);
        } else {
            self.s.conditions.retain(|c| c.type_ != type_);
        }
    }

    fn set(&mut self, type_: &str, status: &str, reason: &str, message: &str) {
        let condition = Condition {
            type_: type_.to_owned(),
            status: status.to_owned(),
            reason: reason.to_owned(),
            message: message.to_owned(),
            last_transition_time: Time(self.now),
            observed_generation: self.delivery.metadata.generation,
        };
        set_condition(&mut self.s.conditions, condition);
    }
}

/// What a live run does, for the Delivery's one line.
fn live_message(run: &SequenceExecution, phase: &str) -> String {
    let name = run.metadata.name.as_deref().unwrap_or_default();
    let (stage, sequence) = (&run.spec.stage, &run.spec.sequence);
    let status = run.status.clone().unwrap_or_default();
    match phase {
        phase::WAITING | phase::HELD => format!("stage {stage}: {}", status.message),
        _ if status.phase == phases::QUEUED || status.phase == phases::PAUSED => {
            format!("stage {stage}: SequenceExecution {name}: {}", status.message)
        }
        _ => format!("stage {stage}: SequenceExecution {name} ({sequence}) runs"),
    }
}

/// How a run ended, for the Delivery's one line.
fn ended_message(run: &SequenceExecution) -> String {
    let name = run.metadata.name.as_deref().unwrap_or_default();
    let status = run.status.clone().unwrap_or_default();
    let stage = &run.spec.stage;
    let mut message = format!("stage {stage}: SequenceExecution {name} ended {}", status.phase);
    if !status.message.is_empty() {
        message.push_str(": ");
        message.push_str(&status.message);
    }
    message
}
