//! One file per command.

pub mod tree;
pub mod watch;
