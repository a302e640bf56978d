//! Measurements (`make bench`): they print figures, and fail where a figure is worse than what Coxswain promises.

mod inbound;
mod memory;
mod operator;
mod proxy;
mod sequence;

use std::time::Duration;

/// The middle one.
fn median(mut all: Vec<Duration>) -> Duration {
    all.sort();
    all[all.len() / 2]
}

/// Prints one row of docs/performance.md.
fn figure(what: &str, measured: &str) {
    println!("| {what} | {measured} |");
}
