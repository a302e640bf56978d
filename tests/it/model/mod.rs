//! The pure engine, model-checked: every state of small shipyards, with whatever may come between any two steps.
//!
//! Kept as it is: the machine (`needs`, `step`), the arbiter, the order of the controller's requests. Modelled: the API
//! server, Jobs and pods, the two caches' lags, evaluations, people, and time, which goes on only to the next moment
//! at which something is decided otherwise. A watch's news may come late and in another order, but not never.

mod actions;
mod forget;
mod operator;
mod promises;
mod requests;
mod search;
mod seen;
mod shipyards;
mod state;

use search::search;
use shipyards::Shipyard;
use state::Budget;

/// No trouble at all.
const CALM: Budget = Budget {
    crashes: 0,
    errors: 0,
    refusals: 0,
    stale: 0,
    again: 0,
    reordered: 0,
    evictions: 0,
    inconclusive: 0,
    pauses: 0,
    aborts: 0,
    deletions: 0,
};

/// Each kind of trouble, alone.
const ALONE: [(&str, Budget); 12] = [
    ("calm", CALM),
    ("a crash", Budget { crashes: 1, ..CALM }),
    ("a failed request", Budget { errors: 1, ..CALM }),
    ("a refused create", Budget { refusals: 1, ..CALM }),
    ("a stale look", Budget { stale: 1, ..CALM }),
    ("a look too many", Budget { again: 1, ..CALM }),
    ("news in another order", Budget { reordered: 2, ..CALM }),
    ("an eviction", Budget { evictions: 1, ..CALM }),
    (
        "no measurement",
        Budget {
            inconclusive: 1,
            ..CALM
        },
    ),
    ("a pause", Budget { pauses: 1, ..CALM }),
    ("an abort", Budget { aborts: 1, ..CALM }),
    ("a deleted question", Budget { deletions: 1, ..CALM }),
];

/// Troubles that make others worse.
const TOGETHER: [(&str, Budget); 7] = [
    ("two crashes", Budget { crashes: 2, ..CALM }),
    (
        "a crash, a failed request",
        Budget {
            crashes: 1,
            errors: 1,
            ..CALM
        },
    ),
    (
        "a crash, an abort",
        Budget {
            crashes: 1,
            aborts: 1,
            ..CALM
        },
    ),
    (
        "a crash, a pause",
        Budget {
            crashes: 1,
            pauses: 1,
            ..CALM
        },
    ),
    (
        "a crash, an eviction",
        Budget {
            crashes: 1,
            evictions: 1,
            ..CALM
        },
    ),
    (
        "an abort, a stale look",
        Budget {
            aborts: 1,
            stale: 1,
            ..CALM
        },
    ),
    (
        "a pause, a stale look",
        Budget {
            pauses: 1,
            stale: 1,
            ..CALM
        },
    ),
];

fn check(what: &str, shipyard: fn() -> Shipyard, troubles: &[(&str, Budget)]) {
    for (trouble, budget) in troubles {
        let found = search(shipyard(), *budget);
        let mut ends: Vec<_> = found.ends.into_iter().collect();
        ends.sort();
        println!(
            "{what}, {trouble}: {} states, {} transitions, {} decisions in {:.1?}; ends {ends:?}",
            found.states, found.transitions, found.decisions, found.took
        );
    }
}

/// Those of `ALONE` with these names.
fn alone(names: &[&str]) -> Vec<(&'static str, Budget)> {
    ALONE
        .into_iter()
        .filter(|(name, _)| names.contains(name))
        .collect()
}

#[test]
fn one_job_and_a_gate_that_repeat_themselves() {
    check(
        "retry loop",
        shipyards::retry_loop,
        &alone(&["calm", "a crash", "an abort"]),
    );
}

#[test]
fn a_stage_then_a_question_and_another_stage() {
    check("two stages", shipyards::two_stages, &alone(&["calm"]));
}

#[test]
fn two_actions_that_answer_one_task() {
    check("two lanes", shipyards::two_lanes, &alone(&["calm"]));
}

#[test]
fn a_job_that_is_tried_again() {
    let troubles = ["calm", "a crash", "an eviction", "an abort", "a pause"];
    check("tries", shipyards::tries, &alone(&troubles));
}

#[test]
fn a_job_that_is_tried_again_while_another_run_waits() {
    check(
        "tries, two runs",
        shipyards::tries_and_another_run,
        &alone(&["calm"]),
    );
}

#[test]
fn two_runs_for_one_place() {
    check("one place", shipyards::one_place, &alone(&["calm", "an abort"]));
}

/// All that `docs/reliability.md` counts. `COXSWAIN_MODEL` names the troubles to look at, else all are.
#[test]
#[ignore = "takes a quarter of an hour, optimized: make model"]
fn everything() {
    let wanted = std::env::var("COXSWAIN_MODEL").unwrap_or_default();
    let is_wanted = |(name, _): &(&str, Budget)| wanted.is_empty() || wanted == *name;
    for trouble in ALONE.into_iter().chain(TOGETHER).filter(is_wanted) {
        check("retry loop", shipyards::retry_loop, &[trouble]);
        check("one place", shipyards::one_place, &[trouble]);
        check("two stages", shipyards::two_stages, &[trouble]);
        check("tries", shipyards::tries, &[trouble]);
        check("tries, two runs", shipyards::tries_and_another_run, &[trouble]);
    }
    // Two Jobs and two troubles at once are more than 20 GB of states.
    for trouble in ALONE.into_iter().filter(is_wanted) {
        check("two lanes", shipyards::two_lanes, &[trouble]);
    }
}
