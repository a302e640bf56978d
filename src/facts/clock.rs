//! What time it is. Decisions get `now` as a value; only controllers ask this clock.

use jiff::Timestamp;
use tokio::time::Instant;

/// The wall clock, or one that runs with tokio's (which tests can stop and move on).
#[derive(Clone, Copy, Debug)]
pub enum Clock {
    /// The machine's wall clock.
    System,
    /// `base` plus what tokio's clock has advanced since `origin`.
    Tokio {
        /// The time at `origin`.
        base: Timestamp,
        /// The instant at which it was `base`.
        origin: Instant,
    },
}

impl Clock {
    /// A clock that shows `base` now and runs with tokio's.
    pub fn tokio(base: Timestamp) -> Self {
        Self::Tokio {
            base,
            origin: Instant::now(),
        }
    }

    /// The time, to the microsecond: what the API server keeps.
    pub fn now(&self) -> Timestamp {
        let exact = match self {
            Self::System => Timestamp::now(),
            Self::Tokio { base, origin } => {
                let elapsed = jiff::SignedDuration::try_from(origin.elapsed()).unwrap_or_default();
                base.checked_add(elapsed).unwrap_or(*base)
            }
        };
        Timestamp::from_microsecond(exact.as_microsecond()).unwrap_or(exact)
    }
}
