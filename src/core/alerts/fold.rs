//! How alerts fold into one problem.
//!
//! Of each alert, known by its fingerprint, only its newest state counts: the one that began last, and of that the end.
//! So it does not matter how often, in which order, or by how many Alertmanagers it is sent.

use jiff::Timestamp;

use crate::api::{
    ProblemEvent, ProblemEventStatus, Timestamp as ApiTime,
    problem::{AlertStatus, ProblemState},
};

use super::Alert;

/// So many alerts stand in a problem's status in full.
pub const FULL: usize = 50;
/// Of so many further ones that fire the fingerprint is kept, so that their end can be waited for.
pub const MORE: usize = 2000;
const TEXT_MAX: usize = 200;

/// How many of the problem's alerts fire, of those that are known; None where no alert told of it.
pub fn firing(status: &ProblemEventStatus) -> Option<usize> {
    let known = !status.alerts.is_empty() || !status.more_alerts.is_empty();
    let full = status.alerts.iter().filter(|a| a.resolved_at.is_none()).count();
    known.then_some(full + status.more_alerts.len())
}

/// Whether the problem is over: somebody says so, or every alert that told of it is resolved.
pub fn over(problem: &ProblemEvent) -> bool {
    problem.spec.state == ProblemState::Resolved
        || problem.status.as_ref().and_then(firing).is_some_and(|n| n == 0)
}

/// Whether the status has heard of this alert in this state, or of a newer one.
pub fn knows(status: &ProblemEventStatus, alert: &Alert) -> bool {
    let print = alert.fingerprint();
    match status.alerts.iter().find(|a| a.fingerprint == print) {
        Some(known) => !is_newer(known, alert),
        None => !alert.is_resolved() && status.more_alerts.contains(&print),
    }
}

fn is_newer(known: &AlertStatus, alert: &Alert) -> bool {
    let (then, now) = (known.starts_at.0, alert.started());
    now > then || (now == then && alert.is_resolved() && known.resolved_at.is_none())
}

/// Takes one alert in. The end of one that is not known changes nothing. Whether anything changed.
pub fn hear(status: &mut ProblemEventStatus, alert: &Alert) -> bool {
    if knows(status, alert) {
        return false;
    }
    let print = alert.fingerprint();
    let known = status.alerts.iter().position(|a| a.fingerprint == print);
    let counted = status.more_alerts.iter().position(|f| *f == print);
    if let Some(at) = counted {
        // Here only its end is news.
        status.more_alerts.remove(at);
        drop_one(status);
    } else if let Some(at) = known {
        status.alerts[at] = state_of(alert);
        if !alert.is_resolved() {
            let newest = status.alerts.remove(at);
            status.alerts.insert(0, newest);
        }
    } else if alert.is_resolved() {
        return false;
    } else {
        status.alerts.insert(0, state_of(alert));
        make_room(status);
    }
    status.firing = firing(status).map(|n| i32::try_from(n).unwrap_or(i32::MAX));
    true
}

/// Keeps the list short: resolved alerts go first, then the oldest, of which the fingerprint stays.
fn make_room(status: &mut ProblemEventStatus) {
    while status.alerts.len() > FULL {
        if let Some(at) = status.alerts.iter().rposition(|a| a.resolved_at.is_some()) {
            status.alerts.remove(at);
            drop_one(status);
        } else if let Some(oldest) = status.alerts.pop() {
            if status.more_alerts.len() < MORE {
                status.more_alerts.push(oldest.fingerprint);
            } else {
                drop_one(status);
            }
        }
    }
}

fn drop_one(status: &mut ProblemEventStatus) {
    status.alerts_dropped = Some(status.alerts_dropped.unwrap_or(0).saturating_add(1));
}

fn state_of(alert: &Alert) -> AlertStatus {
    AlertStatus {
        fingerprint: alert.fingerprint(),
        name: cut(alert.name()),
        summary: cut(alert.annotation("summary").unwrap_or_default()),
        starts_at: ApiTime(alert.started()),
        resolved_at: alert.is_resolved().then(|| ApiTime(alert.ended())),
    }
}

/// Whether a closed problem has already answered a firing alert: it knew that very firing, or it ended badly after the
/// firing had begun, so that somebody was told and another run would only repeat what did not help.
pub fn answered(closed: &ProblemEventStatus, alert: &Alert) -> bool {
    let begun = alert.started();
    let print = alert.fingerprint();
    let same = |a: &AlertStatus| a.fingerprint == print && a.starts_at.0 >= begun;
    let badly = !matches!(closed.phase.as_str(), "Resolved" | "Healed");
    let ended = closed.finished_at.as_ref().map_or(Timestamp::MIN, |at| at.0);
    closed.alerts.iter().any(same) || closed.more_alerts.contains(&print) || (badly && begun <= ended)
}

fn cut(text: &str) -> String {
    let end = (0..=TEXT_MAX.min(text.len()))
        .rev()
        .find(|i| text.is_char_boundary(*i));
    text[..end.unwrap_or(0)].to_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    fn alert(print: &str, minute: u8, resolved: bool) -> Alert {
        serde_json::from_value(json!({
            "status": if resolved { "resolved" } else { "firing" }, "fingerprint": print,
            "startsAt": format!("2026-01-05T09:{minute:02}:00Z"), "endsAt": "2026-01-05T10:00:00Z",
        }))
        .unwrap()
    }

    fn told(alerts: &[Alert]) -> ProblemEventStatus {
        let mut status = ProblemEventStatus::default();
        for alert in alerts {
            hear(&mut status, alert);
        }
        status
    }

    #[test]
    fn a_repeat_changes_nothing() {
        let mut status = told(&[alert("a", 1, false)]);
        let before = status.clone();
        assert!(!hear(&mut status, &alert("a", 1, false)));
        assert_eq!(status, before);
        assert_eq!(status.firing, Some(1));
    }

    #[test]
    fn it_is_over_when_all_are() {
        let mut problem = ProblemEvent::new(
            "p",
            serde_json::from_value(json!({
            "project": "p", "stage": "s", "service": "v", "problem": {"problemTitle": "t"}}))
            .unwrap(),
        );
        assert!(!over(&problem), "no alert told of it");
        problem.status = Some(told(&[
            alert("a", 1, false),
            alert("b", 1, false),
            alert("a", 1, true),
        ]));
        assert!(!over(&problem));
        hear(problem.status.as_mut().unwrap(), &alert("b", 1, true));
        assert!(over(&problem));
        hear(problem.status.as_mut().unwrap(), &alert("b", 2, false));
        assert!(!over(&problem), "it fires again");
    }

    #[rstest]
    #[case::unknown_end(&[(1, true)], None)]
    #[case::end_of_an_older_firing(&[(2, false), (1, true)], Some(1))]
    #[case::late_repeat_after_the_end(&[(1, false), (1, true), (1, false)], Some(0))]
    #[case::again(&[(1, false), (1, true), (2, false)], Some(1))]
    fn order(#[case] said: &[(u8, bool)], #[case] expected: Option<usize>) {
        let said: Vec<Alert> = said
            .iter()
            .map(|(minute, resolved)| alert("a", *minute, *resolved))
            .collect();
        assert_eq!(firing(&told(&said)), expected);
    }

    #[test]
    fn beyond_fifty_only_fingerprints_are_kept_and_their_end_counts() {
        let names: Vec<String> = (0..70).map(|i| format!("f{i}")).collect();
        let mut status = told(&names.iter().map(|n| alert(n, 1, false)).collect::<Vec<_>>());
        assert_eq!(
            (status.alerts.len(), status.more_alerts.len(), status.firing),
            (50, 20, Some(70))
        );
        assert!(
            !hear(&mut status, &alert("f0", 1, false)),
            "a repeat of one that is only counted"
        );
        for name in &names {
            hear(&mut status, &alert(name, 1, true));
        }
        assert_eq!(
            (status.firing, status.more_alerts.len(), status.alerts_dropped),
            (Some(0), 0, Some(20))
        );
    }

    #[test]
    fn what_is_too_much_is_counted() {
        let all: Vec<Alert> = (0..FULL + MORE + 7)
            .map(|i| alert(&format!("f{i}"), 1, false))
            .collect();
        let status = told(&all);
        assert_eq!(
            (
                status.alerts.len(),
                status.more_alerts.len(),
                status.alerts_dropped
            ),
            (FULL, MORE, Some(7))
        );
    }

    #[rstest]
    #[case::the_same_firing("Resolved", "a", 1, true)]
    #[case::fires_again("Resolved", "a", 2, false)]
    #[case::another_one("Healed", "b", 1, false)]
    #[case::ended_badly("Exhausted", "b", 1, true)]
    #[case::began_after_the_end("Exhausted", "b", 50, false)]
    fn a_closed_problem_answers(
        #[case] phase: &str,
        #[case] print: &str,
        #[case] minute: u8,
        #[case] expected: bool,
    ) {
        let mut closed = told(&[alert("a", 1, false)]);
        phase.clone_into(&mut closed.phase);
        closed.finished_at = Some(ApiTime("2026-01-05T09:30:00Z".parse().unwrap()));
        assert_eq!(answered(&closed, &alert(print, minute, false)), expected);
    }

    proptest! {
        /// After its firing was heard, neither order nor repetition of an alert's states matters.
        #[test]
        fn order_and_repetition_do_not_matter(
            said in proptest::collection::vec((0..6usize, 0..5u8, any::<bool>()), 0..40),
            again in proptest::collection::vec(any::<proptest::sample::Index>(), 0..20),
        ) {
            let first: Vec<Alert> = (0..6).map(|i| alert(&format!("f{i}"), 0, false)).collect();
            let said: Vec<Alert> = said.into_iter().map(|(i, m, r)| alert(&format!("f{i}"), m, r)).collect();
            let straight = told(&[first.clone(), said.clone()].concat());
            let mut shuffled = first;
            shuffled.extend(said.iter().rev().cloned());
            if !said.is_empty() {
                shuffled.extend(again.iter().map(|i| i.get(&said).clone()));
            }
            shuffled.extend(said);
            let other = told(&shuffled);
            let sorted = |s: &ProblemEventStatus| {
                let mut all = s.alerts.clone();
                all.sort_by(|a, b| a.fingerprint.cmp(&b.fingerprint));
                all
            };
            prop_assert_eq!(sorted(&straight), sorted(&other));
            prop_assert_eq!(straight.firing, other.firing);
        }
    }
}
