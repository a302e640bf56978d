//! From a problem to its next action, within the brakes.

pub mod brakes;
pub mod get_action;
pub mod problem;
