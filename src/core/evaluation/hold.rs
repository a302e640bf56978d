//! `mustHoldFor`: a gate that must stay good for a while. One good verdict right after an action is the easiest lie.

use jiff::Timestamp;
use serde_json::Value;

use crate::api::{Duration, common::Object, evaluation::Window};

/// How long the gate must stay good, and in which steps it is looked at.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Hold {
    /// From the end of the first good window.
    pub length: Duration,
    /// The gate's `timeframe`: each window begins where the last one ended.
    pub step: Duration,
}

/// What a good verdict means.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Holding {
    /// It was good for long enough.
    Over,
    /// It has to stay good until `until`, and is evaluated again at `next`.
    Until {
        /// When it will have been good for long enough.
        until: Timestamp,
        /// When the next window ends.
        next: Timestamp,
    },
}

/// The wish in the task's merged `evaluation` block. What can't be read is refused when the Shipyard is validated.
pub fn hold(properties: &Object) -> Option<Hold> {
    let length = |name: &str| {
        properties
            .get(name)
            .and_then(Value::as_str)?
            .parse::<Duration>()
            .ok()
    };
    Some(Hold {
        length: length("mustHoldFor").filter(|l| !l.0.is_zero())?,
        step: length("timeframe").filter(|l| !l.0.is_zero())?,
    })
}

/// What a good verdict on this window means, if the gate has been good since `since`: the end of the first good window.
pub fn holding(hold: Hold, since: Timestamp, window: &Window) -> Holding {
    let end = window.end.0;
    let add = |at: Timestamp, by: Duration| at.checked_add(by.signed()).unwrap_or(Timestamp::MAX);
    let until = add(since, hold.length);
    if end >= until {
        return Holding::Over;
    }
    Holding::Until {
        until,
        next: add(end, hold.step).min(until),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;
    use crate::api::Timestamp as ApiTime;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).unwrap()
    }

    fn holds(length: u64, since: i64, end: i64) -> Holding {
        let hold = Hold {
            length: Duration::from_secs(length),
            step: Duration::from_secs(60),
        };
        let window = Window {
            start: ApiTime(at(end - 60)),
            end: ApiTime(at(end)),
        };
        holding(hold, at(since), &window)
    }

    #[rstest]
    #[case::the_first(300, 0, 0, Some((300, 60)))]
    #[case::in_the_middle(300, 0, 120, Some((300, 180)))]
    #[case::the_last_step_is_shorter(90, 0, 60, Some((90, 90)))]
    #[case::over(300, 0, 300, None)]
    #[case::later_than_that(300, 0, 341, None)]
    fn steps(#[case] length: u64, #[case] since: i64, #[case] end: i64, #[case] goes_on: Option<(i64, i64)>) {
        let expected = goes_on.map_or(Holding::Over, |(until, next)| Holding::Until {
            until: at(until),
            next: at(next),
        });
        assert_eq!(holds(length, since, end), expected);
    }

    #[rstest]
    #[case::both(json!({"mustHoldFor": "5m", "timeframe": "1m"}), Some((300, 60)))]
    #[case::no_wish(json!({"timeframe": "1m"}), None)]
    #[case::nothing_to_step_by(json!({"mustHoldFor": "5m"}), None)]
    #[case::no_time_at_all(json!({"mustHoldFor": "0s", "timeframe": "1m"}), None)]
    fn wishes(#[case] properties: Value, #[case] expected: Option<(u64, u64)>) {
        let found = hold(properties.as_object().unwrap());
        assert_eq!(
            found.map(|h| (h.length.0.as_secs(), h.step.0.as_secs())),
            expected
        );
    }
}
