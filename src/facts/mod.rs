//! Reads: from caches, from the API server, from metrics providers; and the clock.

pub mod clock;
pub mod guarded;
pub mod stores;
