//! How often a Job is tried, and when again.

use super::result::Outcome;
use crate::api::{Duration, jobconfig::JobTask};

/// How many Jobs are created at most because earlier ones were lost: their containers never started, or the Job may run
/// again although nobody knows how far it came. Tries that failed are not among them.
pub const TRIES_MAX: i32 = 3;

/// The wait before the first retry, when nothing else is said.
const BACKOFF: Duration = Duration::from_secs(10);
/// No wait is longer.
const BACKOFF_MAX: Duration = Duration::from_secs(300);

/// How many tries may fail, the last one included.
pub fn tries(task: &JobTask) -> usize {
    usize::try_from(task.retries.unwrap_or_default()).unwrap_or_default() + 1
}

/// How long to wait after a try that failed, when so many failed before it; None: it was the last one.
pub fn backoff(task: &JobTask, failed_before: usize) -> Option<Duration> {
    if failed_before + 1 >= tries(task) {
        return None;
    }
    let first = task.retry_backoff.unwrap_or(BACKOFF);
    let doubled = u32::try_from(failed_before)
        .ok()
        .and_then(|n| 2_u32.checked_pow(n));
    let wait = doubled.and_then(|times| first.0.checked_mul(times));
    Some(wait.map_or(BACKOFF_MAX, |wait| BACKOFF_MAX.min(Duration(wait))))
}

/// Whether another try may end better. What exits with 0 has done its work: its verdict stands, also when what it
/// reported can't be used.
pub fn may_mend(outcome: &Outcome) -> bool {
    outcome.errored && outcome.exit_code != Some(0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;
    use crate::core::jobs::result;

    fn task(retries: Option<i32>, backoff: Option<u64>) -> JobTask {
        JobTask {
            retries,
            retry_backoff: backoff.map(Duration::from_secs),
            ..JobTask::default()
        }
    }

    #[rstest]
    #[case::none(None, None, &[])]
    #[case::by_default_ten_seconds(Some(3), None, &[10, 20, 40])]
    #[case::doubled_up_to_five_minutes(Some(4), Some(60), &[60, 120, 240, 300])]
    #[case::at_most_five_minutes(Some(2), Some(3600), &[300, 300])]
    #[case::at_once(Some(2), Some(0), &[0, 0])]
    #[case::nonsense(Some(-1), None, &[])]
    fn each_wait_is_twice_as_long(
        #[case] retries: Option<i32>,
        #[case] first: Option<u64>,
        #[case] expected: &[u64],
    ) {
        let task = task(retries, first);
        let waits: Vec<u64> = (0..)
            .map_while(|failed| backoff(&task, failed))
            .map(|wait| wait.0.as_secs())
            .collect();
        assert_eq!(waits, expected);
    }

    #[rstest]
    #[case::crashed(result::read(1, "boom"), true)]
    #[case::crashed_with_a_report(result::read(2, r#"{"result":"fail","message":"no"}"#), true)]
    #[case::stopped(Outcome::errored("TimedOut", "too slow"), true)]
    #[case::a_verdict(result::read(0, r#"{"result":"fail"}"#), false)]
    #[case::done_but_unreadable(result::read(0, r#"{"result":"perhaps"}"#), false)]
    #[case::well(result::read(0, ""), false)]
    fn only_work_that_was_not_done_is_tried_again(#[case] outcome: Outcome, #[case] expected: bool) {
        assert_eq!(may_mend(&outcome), expected);
    }

    proptest! {
        #[test]
        fn the_waits_are_as_many_as_retries_and_bounded(retries in -2..200_i32, first in proptest::option::of(0_u64..1_000_000_000)) {
            let task = task(Some(retries), first);
            let waits: Vec<Duration> = (0..300).map_while(|failed| backoff(&task, failed)).collect();
            prop_assert_eq!(i32::try_from(waits.len()).unwrap(), retries.max(0));
            prop_assert!(waits.is_sorted() && waits.iter().all(|wait| *wait <= BACKOFF_MAX));
            prop_assert!(backoff(&task, usize::MAX - 1).is_none());
        }
    }
}
