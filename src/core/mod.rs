//! Every decision, pure: facts and `now` in, a decision out.

pub mod definitions;
pub mod event;
pub mod invalid;
pub mod jobs;
pub mod jsonpath;
pub mod labels;
pub mod names;
pub mod payload;
pub mod place;

pub use invalid::Invalid;
