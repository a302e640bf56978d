//! Reads: from caches, from the API server, from metrics providers; and the clock.

pub mod clock;
mod current;
pub mod ended;
pub mod execution;
mod files;
pub mod filled;
pub mod flows;
pub mod guarded;
mod history;
pub mod holds;
pub mod inbound;
pub mod metrics;
pub mod namespaces;
pub mod outside;
pub mod stores;
pub mod targets;

/// How long one watch lasts, in seconds. Load balancers drop connections that are idle for about four minutes.
pub const WATCH_TIMEOUT: u32 = 180;
/// No single read may take longer.
pub const READ_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(20);
