//! Every decision, pure: facts and `now` in, a decision out.

pub mod invalid;

pub use invalid::Invalid;
