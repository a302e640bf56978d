//! The quality gate: from an objective and measured values to a verdict.
//!
//! [`parse`] checks an objective, [`plan`] fixes the window, [`new_evaluation`] pins both in an object;
//! [`query`] fills in the queries, [`judge`] scores what was measured, [`decide`] says what the status becomes, and
//! [`surplus`] which earlier Evaluations may go.

pub mod create;
pub mod criteria;
pub mod decide;
#[cfg(test)]
mod fuzz_tests;
pub mod hold;
pub mod indicator;
mod message;
pub mod objective;
pub mod query;
pub mod reduce;
pub mod retention;
pub mod score;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod v1_tests;
pub mod window;

pub use create::{Request, complete, is_complete, labels_of, new_evaluation, wants_gate};
pub use decide::{Asking, Chosen, Finding, Query, Reading, Trouble, ask, ask_again, decide, read};
pub use hold::{Hold, Holding, hold, holding};
pub use message::number;
pub use objective::{Gate, parse};
pub use retention::{history, surplus};
pub use score::{Measured, Outcome, Past, Unmeasured, Verdict, judge, unmeasured, unverified};
pub use window::{WindowPlan, plan};
