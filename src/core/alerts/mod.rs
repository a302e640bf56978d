//! Alertmanager's alerts: what a message says, whose problem an alert tells of, and what becomes of the problem.

pub mod fold;
#[cfg(test)]
mod fuzz_tests;
pub mod matcher;
pub mod problem;
pub mod route;
pub mod webhook;

pub use fold::{firing, over};
pub use webhook::{Alert, Webhook};
