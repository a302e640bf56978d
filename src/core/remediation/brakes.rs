//! Brakes: how many actions may run on one service, and how long it is left alone. Both are counted from objects, so
//! they hold over restarts.

use jiff::Timestamp;

use crate::api::{Duration, remediation::Budget};

/// The budget of a Remediation that names none.
pub const DEFAULT_BUDGET: Budget = Budget {
    actions: 6,
    per: Duration::from_secs(3600),
};
/// The cooldown of a Remediation that names none.
pub const DEFAULT_COOLDOWN: Duration = Duration::from_secs(300);

/// Since when actions count against the budget, and ends against the cooldown.
pub fn counts_since(budget: Option<Budget>, cooldown: Option<Duration>, now: Timestamp) -> Timestamp {
    let per = budget.unwrap_or(DEFAULT_BUDGET).per;
    let longest = per.max(cooldown.unwrap_or(DEFAULT_COOLDOWN));
    now.checked_sub(longest.signed()).unwrap_or(Timestamp::MIN)
}

/// Whether another action fits the budget; if not, why, for people.
pub fn may_act(budget: Option<Budget>, started: &[Timestamp], now: Timestamp) -> Result<(), String> {
    let Budget { actions, per } = budget.unwrap_or(DEFAULT_BUDGET);
    let since = now.checked_sub(per.signed()).unwrap_or(Timestamp::MIN);
    let spent = started.iter().filter(|at| **at > since).count();
    if i64::try_from(spent).unwrap_or(i64::MAX) < i64::from(actions) {
        return Ok(());
    }
    Err(format!(
        "{spent} actions ran on this service within {per}, and its budget is {actions}"
    ))
}

/// Until when the service is left alone, if it still is: `ended` is when the last run that acted on it ended.
pub fn cooling_until(cooldown: Option<Duration>, ended: Timestamp, now: Timestamp) -> Option<Timestamp> {
    let until = ended
        .checked_add(cooldown.unwrap_or(DEFAULT_COOLDOWN).signed())
        .ok()?;
    (until > now).then_some(until)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[rstest]
    #[case::none_ran(&[], true)]
    #[case::one_of_two(&[9000], true)]
    #[case::two_of_two(&[9000, 9500], false)]
    #[case::one_is_past(&[6400, 9500], true)]
    #[case::exactly_one_period_ago_is_past(&[6400, 9500], true)]
    fn budgets(#[case] started: &[i64], #[case] expected: bool) {
        let started: Vec<_> = started.iter().map(|s| at(*s)).collect();
        let budget = Budget {
            actions: 2,
            per: Duration::from_secs(3600),
        };
        assert_eq!(may_act(Some(budget), &started, at(10_000)).is_ok(), expected);
    }

    #[test]
    fn a_budget_of_nothing_stops_everything_and_says_how_much_there_was() {
        let budget = Budget {
            actions: 0,
            per: Duration::from_secs(3600),
        };
        assert_eq!(
            may_act(Some(budget), &[], at(0)).unwrap_err(),
            "0 actions ran on this service within 1h, and its budget is 0"
        );
    }

    #[rstest]
    #[case::still_cooling(800, Some(1100))]
    #[case::just_over(700, None)]
    fn cooldowns(#[case] ended: i64, #[case] until: Option<i64>) {
        assert_eq!(cooling_until(None, at(ended), at(1000)), until.map(at));
    }

    #[rstest]
    #[case::the_budget_is_longer(3600, 300, 6400)]
    #[case::the_cooldown_is_longer(60, 7200, 2800)]
    fn what_counts(#[case] per: u64, #[case] cooldown: u64, #[case] since: i64) {
        let budget = Budget {
            actions: 6,
            per: Duration::from_secs(per),
        };
        let cooldown = Duration::from_secs(cooldown);
        assert_eq!(counts_since(Some(budget), Some(cooldown), at(10_000)), at(since));
    }
}
