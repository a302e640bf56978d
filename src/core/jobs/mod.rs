//! Event -> matching actions -> Jobs -> results.

pub mod build;
pub mod matching;
pub mod observe;
pub mod result;
pub mod validate;
