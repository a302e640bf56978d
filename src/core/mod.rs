//! Every decision, pure: facts and `now` in, a decision out.

pub mod address;
pub mod alerts;
pub mod approval;
pub mod definitions;
pub mod delivery;
pub mod endpoint;
pub mod evaluation;
pub mod event;
#[cfg(test)]
pub(crate) mod fuzzing;
pub mod history;
pub mod inbound;
pub mod invalid;
pub mod jobs;
pub mod jsonpath;
pub mod labels;
pub mod names;
pub mod note;
pub mod outbound;
pub mod payload;
pub mod place;
pub mod queue;
pub mod remediation;
pub mod selector;
pub mod sequence;
pub mod simulate;

pub use invalid::Invalid;
pub use note::Note;
