//! Every state, breadth first; then backwards from the ends.
//!
//! An own search and not a model checker from a crate: the promise that every run ends is a question about the whole
//! graph (from each state, whatever the order, without anybody's help), which needs its edges.

use std::{
    collections::{HashMap, VecDeque},
    hash::{BuildHasher, BuildHasherDefault, DefaultHasher},
    time::{Duration, Instant},
};

use super::{
    actions::{Action, apply, possible},
    operator::Operator,
    shipyards::Shipyard,
    state::{Budget, Run, State},
};

/// What was found.
pub struct Found {
    pub states: usize,
    pub transitions: usize,
    pub decisions: usize,
    pub ends: HashMap<String, usize>,
    pub took: Duration,
}

struct Node {
    from: Option<(u32, Action)>,
    /// Where it goes by itself.
    ordinary: Vec<u32>,
    done: bool,
}

/// Visits every state; panics with the way to the first broken promise.
pub fn search(shipyard: Shipyard, budget: Budget) -> Found {
    let began = Instant::now();
    let mut operator = Operator::new(shipyard);
    let runs = operator.shipyard.runs.clone();
    let first = State {
        now: 0,
        runs: runs
            .into_iter()
            .map(|run| Run::new(operator.runs.keep(run)))
            .collect(),
        jobs: vec![],
        evaluations: vec![],
        approvals: vec![],
        holders: vec![],
        budget,
    };
    let hasher = BuildHasherDefault::<DefaultHasher>::default();
    let mut nodes = vec![node(&first, None)];
    let mut known: HashMap<u64, u32> = [(hasher.hash_one(&first), 0)].into();
    let mut open: VecDeque<(u32, State)> = [(0, first)].into();
    let mut found = Found {
        states: 0,
        transitions: 0,
        decisions: 0,
        ends: HashMap::new(),
        took: Duration::ZERO,
    };
    while let Some((number, state)) = open.pop_front() {
        count_end(&state, &mut found.ends);
        for action in possible(&state) {
            let next = match apply(&mut operator, &state, action) {
                Ok(Some(next)) => next,
                Ok(None) => continue,
                Err(broken) => panic!("{broken}\n{}", story(&nodes, number, Some(action), &state)),
            };
            found.transitions += 1;
            let hash = hasher.hash_one(&next);
            let to = *known.entry(hash).or_insert_with(|| {
                nodes.push(node(&next, Some((number, action))));
                let to = u32::try_from(nodes.len() - 1).unwrap();
                open.push_back((to, next));
                to
            });
            if action.is_ordinary() {
                nodes[number as usize].ordinary.push(to);
            }
        }
    }
    ends_by_itself(&nodes);
    found.states = nodes.len();
    found.decisions = operator.decisions();
    found.took = began.elapsed();
    found
}

fn node(state: &State, from: Option<(u32, Action)>) -> Node {
    Node {
        from,
        ordinary: vec![],
        done: state.runs.iter().all(|r| r.done() && r.flight.is_none()),
    }
}

fn count_end(state: &State, ends: &mut HashMap<String, usize>) {
    if state.runs.iter().all(Run::done) {
        let phases: Vec<_> = state
            .runs
            .iter()
            .map(|r| r.status().unwrap().phase.as_str())
            .collect();
        *ends.entry(phases.join("+")).or_default() += 1;
    }
}

/// P4: from every state every way that the operator and time take alone leads to the end. Backwards from the ends: a
/// state is sure when all its own steps lead to sure states, so neither a rest without an end nor a circle is.
fn ends_by_itself(nodes: &[Node]) {
    let mut before: Vec<Vec<u32>> = vec![vec![]; nodes.len()];
    let mut left: Vec<usize> = nodes.iter().map(|n| n.ordinary.len()).collect();
    for (number, node) in nodes.iter().enumerate() {
        for to in &node.ordinary {
            before[*to as usize].push(u32::try_from(number).unwrap());
        }
    }
    let mut sure: Vec<bool> = nodes.iter().map(|n| n.done).collect();
    let mut open: Vec<usize> = (0..nodes.len()).filter(|n| sure[*n]).collect();
    while let Some(number) = open.pop() {
        for from in before[number].iter().map(|f| *f as usize) {
            left[from] -= 1;
            if left[from] == 0 && !sure[from] {
                sure[from] = true;
                open.push(from);
            }
        }
    }
    // The last one found is deepest: nearest to where it goes round, or stops.
    let lost = (0..nodes.len()).rfind(|n| !sure[*n]);
    if let Some(lost) = lost {
        let number = u32::try_from(lost).unwrap();
        panic!(
            "P4: this does not end by itself\n{}",
            way(nodes, number).join("\n")
        );
    }
}

fn way(nodes: &[Node], number: u32) -> Vec<String> {
    let mut steps = vec![];
    let mut at = number;
    while let Some((from, action)) = nodes[at as usize].from {
        steps.push(format!("{action:?}"));
        at = from;
    }
    steps.reverse();
    steps
}

fn story(nodes: &[Node], number: u32, last: Option<Action>, state: &State) -> String {
    let mut steps = way(nodes, number);
    steps.extend(last.map(|a| format!("{a:?}  <- here")));
    let runs: Vec<_> = state.runs.iter().map(|r| format!("{:#?}", r.status())).collect();
    format!("{}\nat {} s:\n{}", steps.join("\n"), state.now, runs.join("\n"))
}
