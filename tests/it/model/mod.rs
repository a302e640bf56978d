//! The pure engine, model-checked: every state of small shipyards, with whatever may come between any two steps.
//!
//! Kept as it is: the machine (`needs`, `step`), the arbiter, the order of the controller's requests. Modelled: the API
//! server, Jobs and pods, the two caches' lags, evaluations, people, and time, which goes on only to the next moment
//! at which something is decided otherwise. A watch's news may come late and in another order, but not never.

mod actions;
mod operator;
mod promises;
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
    evictions: 0,
    inconclusive: 0,
    pauses: 0,
    aborts: 0,
    deletions: 0,
};

/// Each kind of trouble once, alone.
fn each_once() -> Vec<(&'static str, Budget)> {
    vec![
        ("calm", CALM),
        ("abort", Budget { aborts: 1, ..CALM }),
        ("crash", Budget { crashes: 1, ..CALM }),
        ("error", Budget { errors: 1, ..CALM }),
        ("refusal", Budget { refusals: 1, ..CALM }),
        ("again", Budget { again: 1, ..CALM }),
        ("eviction", Budget { evictions: 1, ..CALM }),
        ("pause", Budget { pauses: 1, ..CALM }),
        ("stale", Budget { stale: 1, ..CALM }),
        (
            "inconclusive",
            Budget {
                inconclusive: 1,
                ..CALM
            },
        ),
        ("deletion", Budget { deletions: 1, ..CALM }),
    ]
}

fn check(what: &str, shipyard: fn() -> Shipyard, budgets: &[(&str, Budget)]) {
    for (trouble, budget) in budgets {
        let found = search(shipyard(), *budget);
        let mut ends: Vec<_> = found.ends.into_iter().collect();
        ends.sort();
        println!(
            "{what}, {trouble}: {} states, {} transitions, {} decisions in {:.1?}; ends {ends:?}",
            found.states, found.transitions, found.decisions, found.took
        );
    }
}

fn troubles() -> Vec<(&'static str, Budget)> {
    let wanted = std::env::var("COXSWAIN_MODEL").unwrap_or_default();
    let mut all = each_once();
    all.retain(|(name, _)| wanted.is_empty() || wanted.split(',').any(|w| w == *name));
    all
}

#[test]
fn one_job_and_a_gate_that_repeat_themselves() {
    check("retry loop", shipyards::retry_loop, &troubles());
}

#[test]
fn a_stage_then_a_question_and_another_stage() {
    check("two stages", shipyards::two_stages, &troubles());
}

#[test]
fn two_runs_for_one_place() {
    check("one place", shipyards::one_place, &troubles());
}
