//! One value of several: of several series, and of values over time. Both as PromQL does it, so a value that is no number
//! (NaN) makes a sum or average none, and is passed over by the highest and lowest.

use jiff::Timestamp;

use crate::api::{
    Duration,
    sli::{SeriesReducer, TimeReducer},
};

/// The time between two values, unless the indicator says otherwise.
const STEP: f64 = 15.0;
/// Without a step of the indicator's own, so many values are asked for at most.
const VALUES: f64 = 1000.0;

/// The times that a range query asks for, in seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Steps {
    /// The first.
    pub first: i64,
    /// The last.
    pub last: i64,
    /// The time between two of them.
    pub every: f64,
}

/// The steps over a window. They end with the window, as an instant query does: the last values are those that count most.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "windows are far shorter than 2^52 seconds"
)]
pub fn steps(start: Timestamp, end: Timestamp, step: Option<Duration>) -> Steps {
    let last = end.as_second();
    let length = (last - start.as_second()).max(0) as f64;
    let every = match step {
        Some(step) => step.0.as_secs_f64().max(0.001),
        None => STEP.max((length / VALUES).ceil()),
    };
    let whole = (length / every).floor() * every;
    Steps {
        first: last - whole.floor() as i64,
        last,
        every,
    }
}

/// One value of those that several series have at a time; there must be one.
pub fn series(reducer: SeriesReducer, values: &[f64]) -> f64 {
    match reducer {
        SeriesReducer::Sum => values.iter().sum(),
        SeriesReducer::Avg => average(values),
        SeriesReducer::Max => extreme(values, |a, b| a > b),
        SeriesReducer::Min => extreme(values, |a, b| a < b),
    }
}

/// One value of those over time, the oldest first; there must be one.
pub fn over_time(reducer: TimeReducer, values: &[f64]) -> f64 {
    match reducer {
        TimeReducer::Sum => values.iter().sum(),
        TimeReducer::Avg => average(values),
        TimeReducer::Max => extreme(values, |a, b| a > b),
        TimeReducer::Min => extreme(values, |a, b| a < b),
        TimeReducer::Last => values.last().copied().unwrap_or(f64::NAN),
    }
}

#[expect(clippy::cast_precision_loss, reason = "an answer has a few thousand values")]
fn average(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn extreme(values: &[f64], beats: impl Fn(f64, f64) -> bool) -> f64 {
    let better = |best: f64, &value: &f64| {
        if best.is_nan() || beats(value, best) {
            value
        } else {
            best
        }
    };
    values.iter().fold(f64::NAN, better)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const NAN: f64 = f64::NAN;

    #[rstest]
    #[case(SeriesReducer::Sum, &[1.0, 2.0, 4.0], 7.0)]
    #[case(SeriesReducer::Avg, &[1.0, 2.0, 6.0], 3.0)]
    #[case(SeriesReducer::Max, &[1.0, 7.0, 2.0], 7.0)]
    #[case(SeriesReducer::Min, &[4.0, -1.0, 2.0], -1.0)]
    #[case(SeriesReducer::Max, &[NAN, 7.0, NAN, 2.0], 7.0)]
    #[case(SeriesReducer::Min, &[4.0, NAN], 4.0)]
    #[case(SeriesReducer::Max, &[NAN, NAN], NAN)]
    #[case(SeriesReducer::Sum, &[1.0, NAN], NAN)]
    #[case(SeriesReducer::Avg, &[1.0, NAN], NAN)]
    fn of_series(#[case] reducer: SeriesReducer, #[case] values: &[f64], #[case] expected: f64) {
        assert_eq!(series(reducer, values).to_string(), expected.to_string());
    }

    #[rstest]
    #[case(TimeReducer::Sum, &[1.0, 2.0, 4.0], 7.0)]
    #[case(TimeReducer::Avg, &[1.0, 2.0, 6.0], 3.0)]
    #[case(TimeReducer::Max, &[NAN, 1.0, 7.0, 2.0], 7.0)]
    #[case(TimeReducer::Min, &[4.0, -1.0, 2.0], -1.0)]
    #[case(TimeReducer::Last, &[4.0, -1.0, 2.0], 2.0)]
    #[case(TimeReducer::Last, &[4.0, NAN], NAN)]
    fn of_times(#[case] reducer: TimeReducer, #[case] values: &[f64], #[case] expected: f64) {
        assert_eq!(over_time(reducer, values).to_string(), expected.to_string());
    }

    #[rstest]
    #[case::as_written(120, Some(30), 0, 30.0)]
    #[case::they_end_with_the_window(100, Some(30), 10, 30.0)]
    #[case::by_default(120, None, 0, 15.0)]
    #[case::not_too_many(86_400, None, 9, 87.0)]
    #[case::longer_than_the_window(20, Some(60), 20, 60.0)]
    #[case::no_window(0, None, 0, 15.0)]
    fn steps_of_a_window(
        #[case] length: i64,
        #[case] step: Option<u64>,
        #[case] first: i64,
        #[case] every: f64,
    ) {
        let at = |second| Timestamp::from_second(1_000_000 + second).unwrap();
        let steps = super::steps(at(0), at(length), step.map(Duration::from_secs));
        let expected = Steps {
            first: 1_000_000 + first,
            last: 1_000_000 + length,
            every,
        };
        assert_eq!(steps, expected);
    }
}
