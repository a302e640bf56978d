//! The engine without a cluster: one trigger, the definitions and the answers of the tasks in, everything that would
//! happen out, in virtual time.
//!
//! The state machine is the operator's own ([`crate::core::sequence::step`]); here a small world stands around it that
//! carries its effects out by answering them. Nothing is read and no clock is asked, so the same input always gives the
//! same report.

mod answers;
mod approve;
pub mod case;
mod changes;
mod definitions;
mod facts;
mod play;
mod report;
mod shape;
#[cfg(test)]
mod tests;
mod trigger;
mod verdict;
mod world;

pub use answers::{Answer, Answers, Says};
pub use definitions::{Definitions, Document, Mistake, is_ours};
pub use report::{ExecutionReport, JobReport, Report, Step, TaskReport};
pub use trigger::first;
pub use world::{EXECUTIONS_MAX, STEPS_MAX, run};

/// When a simulation begins whose event names no time.
pub const BEGINNING: &str = "2026-01-01T00:00:00Z";
