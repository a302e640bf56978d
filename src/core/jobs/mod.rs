//! Event -> matching actions -> Jobs -> results.

pub mod build;
#[cfg(test)]
mod build_tests;
mod checked;
mod env;
mod error;
pub mod fetch;
pub mod files;
#[cfg(test)]
mod fuzz_tests;
pub mod images;
pub mod matching;
pub mod observe;
#[cfg(test)]
mod observe_tests;
mod placement;
mod pods;
pub mod preview;
pub mod result;
mod security;
mod strict;
pub mod targets;
#[cfg(test)]
mod testing;
pub mod tries;
pub mod validate;
mod volumes;
pub(in crate::core) mod when;

pub(in crate::core) use files::{assumed_keys, lookup};

/// At most `max` bytes of a text, in one line, its end cut off.
fn brief(text: &str, max: usize) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.len() <= max {
        return line;
    }
    let end = line.floor_char_boundary(max.saturating_sub(3));
    format!("{}...", &line[..end])
}

/// At most `max` bytes of a text, in one line, its beginning cut off: the end of a log says why.
fn tail(text: &str, max: usize) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.len() <= max {
        return line;
    }
    let start = line.ceil_char_boundary(line.len() - max.saturating_sub(3));
    format!("...{}", &line[start..])
}
