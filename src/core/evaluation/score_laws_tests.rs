//! What holds for every gate, whatever its objectives and values.

use proptest::prelude::*;

use super::*;
use crate::{
    api::slo::{self, SloBody},
    core::evaluation::{objective::parse, testing::body},
};

fn any_objective() -> impl Strategy<Value = (slo::Objective, Option<f64>)> {
    let criterion = || prop::sample::select(vec!["<10", "<=+10%", ">=-5", "=5", ">1", "<=(-3)", "<20"]);
    let sets = || prop::collection::vec(prop::collection::vec(criterion(), 1..3), 0..3);
    (
        sets(),
        sets(),
        any::<bool>(),
        0..20i64,
        prop::option::of(-50.0..50.0f64),
        any_policy(),
    )
        .prop_map(|(pass, warning, key_sli, weight, value, missing)| {
            let set = |criteria: Vec<&str>| slo::CriteriaSet {
                criteria: criteria.into_iter().map(str::to_owned).collect(),
            };
            let objective = slo::Objective {
                missing: missing.filter(|_| !pass.is_empty()),
                key_sli,
                weight: Some(weight),
                pass: Some(pass.into_iter().map(set).collect()),
                warning: Some(warning.into_iter().map(set).collect()),
                ..slo::Objective::default()
            };
            (objective, value)
        })
}

/// What a missing value means: mostly v1's way.
fn any_policy() -> impl Strategy<Value = Option<String>> {
    prop::sample::select(vec!["", "", "fail", "warn", "ignore"]).prop_map(|p| Some(p.to_owned()))
}

type Case = (Vec<slo::Objective>, BTreeMap<String, Measured>, Vec<Past>);

/// Objectives with names of their own, values for some, and a history.
fn any_case() -> impl Strategy<Value = Case> {
    let history = prop::collection::vec(prop::option::of(-50.0..50.0f64), 0..4);
    (prop::collection::vec(any_objective(), 1..8), history).prop_map(|(drawn, history)| {
        let mut values = BTreeMap::new();
        let mut objectives = Vec::new();
        for (i, (mut objective, value)) in drawn.into_iter().enumerate() {
            objective.sli = format!("s{i}");
            if let Some(value) = value {
                values.insert(objective.sli.clone(), Measured::Value(value));
            }
            objectives.push(objective);
        }
        let past = |(n, value): (usize, Option<f64>)| Past {
            name: format!("e{n}"),
            result: Outcome::Pass,
            sequence: None,
            values: value
                .map(|v| (0..8).map(|i| (format!("s{i}"), v)).collect())
                .unwrap_or_default(),
        };
        (
            objectives,
            values,
            history.into_iter().enumerate().map(past).collect(),
        )
    })
}

fn judged((objectives, values, history): &Case) -> Verdict {
    judge(&gate_of(objectives), values, history).unwrap()
}

/// Passes at 90, warns at 75, compares with the mean of three.
fn gate_of(objectives: &[slo::Objective]) -> Gate {
    let comparison = slo::Comparison {
        compare_with: Some("several_results".to_owned()),
        ..slo::Comparison::default()
    };
    parse(&SloBody {
        comparison: Some(comparison),
        ..body(objectives.to_vec())
    })
    .unwrap()
}

proptest! {
    #[test]
    fn the_score_is_a_percentage_and_agrees_with_the_result(case in any_case()) {
        let verdict = judged(&case);
        let Some(score) = verdict.score else {
            // Everything that could count is left out.
            prop_assert_eq!(verdict.reason, "Unverified");
            prop_assert!(verdict.indicators.iter().all(|i| i.status == "info"));
            return Ok(());
        };
        prop_assert!((0.0..=100.0).contains(&score));
        match verdict.result {
            Outcome::Pass => prop_assert!(score >= 90.0),
            Outcome::Warning => prop_assert!((75.0..90.0).contains(&score)),
            Outcome::Fail => prop_assert!(score < 75.0 || verdict.reason == "KeyIndicatorFailed"),
        }
    }

    #[test]
    fn a_failed_key_indicator_always_fails(case in any_case()) {
        let verdict = judged(&case);
        if verdict.indicators.iter().any(|i| i.key_sli && i.status == "fail") {
            prop_assert_eq!(verdict.result, Outcome::Fail);
        }
    }

    #[test]
    fn order_never_matters(case in any_case(), turn in 0..8usize) {
        let mut turned = case.clone();
        let by = turn % turned.0.len();
        turned.0.rotate_left(by);
        turned.0.reverse();
        let (a, b) = (judged(&case), judged(&turned));
        prop_assert_eq!((a.result, a.score, a.no_baseline), (b.result, b.score, b.no_baseline));
    }

    #[test]
    fn more_weight_on_what_passed_never_lowers_the_score(case in any_case(), which in 0..8usize, more in 1..50i64) {
        let before = judged(&case);
        let passed: Vec<usize> =
            (0..case.0.len()).filter(|i| before.indicators[*i].status == "pass").collect();
        prop_assume!(!passed.is_empty());
        let which = passed[which % passed.len()];
        let mut heavier = case.clone();
        let weight = heavier.0[which].weight.unwrap().max(1);
        heavier.0[which].weight = Some(weight + more);
        prop_assert!(judged(&heavier).score.unwrap() >= before.score.unwrap() - 1e-9);
    }

    #[test]
    fn losing_a_value_never_raises_the_score(case in any_case(), which in 0..8usize) {
        let mut case = case;
        // The other policies are there to raise it.
        case.0.iter_mut().for_each(|o| o.missing = None);
        let mut poorer = case.clone();
        poorer.1.remove(&format!("s{which}"));
        let (before, after) = (judged(&case), judged(&poorer));
        prop_assert!(after.score <= before.score);
        prop_assert!(after.result <= before.result);
    }

    /// Operators that want little: a smaller value is a better one.
    #[test]
    fn a_better_value_never_turns_pass_into_fail(
        limits in prop::collection::vec((any::<bool>(), -20.0..20.0f64), 1..4),
        percent in prop::option::of(0.0..50.0f64),
        past in prop::option::of(0.0..30.0f64),
        value in -50.0..50.0f64, better_by in 0.0..50.0f64,
    ) {
        let mut criteria: Vec<String> = limits
            .iter()
            .map(|(or_equal, limit)| format!("{}({limit})", if *or_equal { "<=" } else { "<" }))
            .collect();
        criteria.extend(percent.map(|p| format!("<=+{p}%")));
        let set = slo::CriteriaSet { criteria };
        let objective = slo::Objective { sli: "s0".to_owned(), pass: Some(vec![set.clone()]), warning: Some(vec![set]), ..slo::Objective::default() };
        let history: Vec<Past> = past
            .map(|v| Past { name: "e".to_owned(), result: Outcome::Pass, sequence: None, values: BTreeMap::from([("s0".to_owned(), v)]) })
            .into_iter()
            .collect();
        let of = |value: f64| {
            let values = BTreeMap::from([("s0".to_owned(), Measured::Value(value))]);
            judge(&gate_of(std::slice::from_ref(&objective)), &values, &history).unwrap()
        };
        let (before, after) = (of(value), of(value - better_by));
        prop_assert!(after.result >= before.result);
        prop_assert!(after.score >= before.score);
    }

    #[test]
    fn an_indispensable_value_is_all_that_can_prevent_a_verdict(case in any_case(), which in 0..8usize) {
        let (mut objectives, values, history) = case;
        let which = which % objectives.len();
        prop_assume!(objectives[which].pass.as_ref().is_some_and(|p| !p.is_empty()));
        objectives[which].missing = Some("inconclusive".to_owned());
        let there = values.contains_key(&objectives[which].sli);
        prop_assert_eq!(judge(&gate_of(&objectives), &values, &history).is_ok(), there);
    }

    #[test]
    fn only_results_of_the_named_sequences_are_compared_with(
        case in any_case(), of in prop::collection::vec(prop::option::of(0..3u8), 4),
    ) {
        let (objectives, values, mut history) = case;
        let name = |n: u8| format!("q{n}");
        for (past, sequence) in history.iter_mut().zip(&of) {
            past.sequence = sequence.map(name);
        }
        let mut gate = gate_of(&objectives);
        gate.comparison.sequences = vec![name(0), name(1)];
        let narrowed = judge(&gate, &values, &history).unwrap();
        history.retain(|p| p.sequence.as_ref().is_some_and(|s| gate.comparison.sequences.contains(s)));
        gate.comparison.sequences = vec![];
        prop_assert_eq!(narrowed, judge(&gate, &values, &history).unwrap());
    }

    #[test]
    fn the_same_facts_give_the_same_verdict(case in any_case()) {
        prop_assert_eq!(judged(&case), judged(&case));
    }
}
