//! Every decision, pure: facts and `now` in, a decision out.

pub mod definitions;
pub mod evaluation;
pub mod invalid;
pub mod labels;
pub mod place;

pub use invalid::Invalid;
