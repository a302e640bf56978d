//! Event -> matching actions -> Jobs -> results.

pub mod build;
mod env;
mod files;
pub mod matching;
pub mod observe;
pub mod result;
mod security;
