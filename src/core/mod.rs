//! Every decision, pure: facts and `now` in, a decision out.

pub mod evaluation;
pub mod invalid;
pub mod labels;

pub use invalid::Invalid;
