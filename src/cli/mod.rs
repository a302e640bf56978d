//! One file per command.

pub mod run;
pub mod tree;
pub mod watch;
