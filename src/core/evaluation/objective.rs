//! A v1 slo.yaml's body, checked: what a gate asks for, with every default in place.

use std::{cmp::Ordering, collections::BTreeMap};

use super::criteria::Criterion;
use crate::{
    api::slo::{self, CriteriaSet, SloBody},
    core::Invalid,
};

/// Scores stay exact in an `f64` up to here.
const MAX_WEIGHT: i64 = 1_000_000;
/// How many earlier results are compared with, unless something else is said.
const SEVERAL: usize = 3;

/// A quality gate that can be judged. Only [`parse`] makes one.
#[derive(Clone, Debug, PartialEq)]
pub struct Gate {
    /// The objectives, in the order in which they were written.
    pub objectives: Vec<Objective>,
    /// What relative criteria compare with.
    pub comparison: Comparison,
    /// From this score, in percent, the whole passes.
    pub pass: f64,
    /// From this score, in percent, the whole passes with a warning. Without it, anything below `pass` fails.
    pub warning: Option<f64>,
    /// Values for `$<key>` in the queries.
    pub filter: BTreeMap<String, String>,
}

impl Gate {
    /// Whether earlier results matter.
    pub fn is_relative(&self) -> bool {
        self.objectives.iter().any(Objective::is_relative)
    }
}

/// One indicator and what it must be.
#[derive(Clone, Debug, PartialEq)]
pub struct Objective {
    /// The indicator. No two objectives of a gate have the same.
    pub sli: String,
    /// A name for people.
    pub display_name: Option<String>,
    /// Whether a failure here fails the whole.
    pub key_sli: bool,
    /// How much it counts: 1 to 1,000,000.
    pub weight: i64,
    /// Any of these must hold to pass. Empty: the objective is informational.
    pub pass: Vec<AllOf>,
    /// Any of these must hold for half the score.
    pub warning: Vec<AllOf>,
    /// What it means when there is no value.
    pub missing: OnMissing,
}

impl Objective {
    /// Whether one of its criteria compares with earlier values.
    pub fn is_relative(&self) -> bool {
        self.pass
            .iter()
            .chain(&self.warning)
            .flat_map(|set| &set.0)
            .any(|c| c.criterion.is_relative())
    }
}

/// What it means when an indicator has no value: the query was answered, but not with one finite number, or there is no
/// query.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum OnMissing {
    /// The objective fails: a service that nobody can measure is not known to be well. As in Keptn v1.
    #[default]
    Fail,
    /// Half the score, whatever the criteria say.
    Warn,
    /// As if the objective were informational this time.
    Ignore,
    /// Nothing is known: as if the provider could not be asked.
    Inconclusive,
}

/// Criteria that must all hold; never empty.
#[derive(Clone, Debug, PartialEq)]
pub struct AllOf(pub Vec<Written>);

/// A criterion, and the text that it was read from.
#[derive(Clone, Debug, PartialEq)]
pub struct Written {
    /// As the user wrote it.
    pub text: String,
    /// What it means.
    pub criterion: Criterion,
}

/// What relative criteria compare with.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Comparison {
    /// At most so many earlier results, newest first.
    pub results: usize,
    /// Which of them.
    pub include: Include,
    /// What becomes of their values.
    pub aggregate: Aggregate,
    /// Only results that runs of these sequences asked for; empty: all.
    pub sequences: Vec<String>,
}

/// Which earlier results are compared with.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Include {
    /// Those that passed.
    Pass,
    /// Those that passed or warned.
    PassOrWarn,
    /// All.
    All,
}

/// How several earlier values become one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Aggregate {
    /// Their mean.
    Avg,
    /// Their median.
    P50,
    /// Their 90th percentile.
    P90,
    /// Their 95th percentile.
    P95,
}

impl Aggregate {
    /// One value for all; none for none.
    pub fn of(self, values: &[f64]) -> Option<f64> {
        match self {
            Self::Avg => mean(values),
            Self::P50 => percentile(values, 0.5),
            Self::P90 => percentile(values, 0.9),
            Self::P95 => percentile(values, 0.95),
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a handful of values")]
fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// The value at position p·(n+1), counted from 1; between two values, in proportion.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "positions in a handful of values, never negative"
)]
fn percentile(values: &[f64], p: f64) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(|a, b| a.partial_cmp(b).unwrap_or(Ordering::Equal));
    let position = p * (sorted.len() + 1) as f64;
    if position < 1.0 {
        return sorted.first().copied();
    }
    if position >= sorted.len() as f64 {
        return sorted.last().copied();
    }
    let below = position.floor();
    let low = *sorted.get(below as usize - 1)?;
    let high = *sorted.get(below as usize)?;
    Some(low + (position - below) * (high - low))
}

/// Checks the body of a ServiceLevelObjective. All mistakes at once, with paths such as
/// `spec.objectives[2].pass[0].criteria[1]`.
pub fn parse(body: &SloBody) -> Result<Gate, Vec<Invalid>> {
    parse_at("spec", body)
}

/// Checks a body that stands under `root`.
pub fn parse_at(root: &str, body: &SloBody) -> Result<Gate, Vec<Invalid>> {
    let mut mistakes = Mistakes(Vec::new());
    let comparison = comparison(root, body.comparison.as_ref(), &mut mistakes);
    let objectives: Vec<Objective> = body
        .objectives
        .iter()
        .enumerate()
        .map(|(i, o)| objective(&format!("{root}.objectives[{i}]"), o, &mut mistakes))
        .collect();
    duplicates(root, &objectives, &mut mistakes);
    let (pass, warning) = total_score(root, body.total_score.as_ref(), &mut mistakes);
    if mistakes.0.is_empty() {
        let filter = body.filter.clone().unwrap_or_default();
        Ok(Gate {
            objectives,
            comparison,
            pass,
            warning,
            filter,
        })
    } else {
        Err(mistakes.0)
    }
}

struct Mistakes(Vec<Invalid>);

impl Mistakes {
    fn add(&mut self, path: impl Into<String>, message: impl Into<String>) {
        self.0.push(Invalid::new(path, message));
    }
}

fn comparison(root: &str, written: Option<&slo::Comparison>, mistakes: &mut Mistakes) -> Comparison {
    let Some(written) = written else {
        return Comparison {
            results: 1,
            include: Include::All,
            aggregate: Aggregate::Avg,
            sequences: Vec::new(),
        };
    };
    let root = format!("{root}.comparison");
    Comparison {
        results: results(&root, written, mistakes),
        include: include(&root, written, mistakes),
        aggregate: aggregate(&root, written, mistakes),
        sequences: sequences(&root, written, mistakes),
    }
}

fn results(root: &str, written: &slo::Comparison, mistakes: &mut Mistakes) -> usize {
    let number = written.number_of_comparison_results.unwrap_or(0);
    let several = usize::try_from(number).unwrap_or_else(|_| {
        mistakes.add(
            format!("{root}.number_of_comparison_results"),
            format!("{number} is negative; say how many earlier results to compare with, such as 3"),
        );
        0
    });
    match written.compare_with.as_deref() {
        Some("single_result") => 1,
        Some("several_results") if several > 0 => several,
        // Without compare_with Keptn v1 took three, whatever the number said.
        None | Some("" | "several_results") => SEVERAL,
        Some(other) => {
            mistakes.add(
                format!("{root}.compare_with"),
                format!("{other:?} is unknown; write single_result or several_results"),
            );
            1
        }
    }
}

fn include(root: &str, written: &slo::Comparison, mistakes: &mut Mistakes) -> Include {
    match written.include_result_with_score.as_deref() {
        Some("pass") => Include::Pass,
        Some("pass_or_warn") => Include::PassOrWarn,
        None | Some("" | "all") => Include::All,
        Some(other) => {
            mistakes.add(
                format!("{root}.include_result_with_score"),
                format!("{other:?} is unknown; write pass, pass_or_warn or all"),
            );
            Include::All
        }
    }
}

fn aggregate(root: &str, written: &slo::Comparison, mistakes: &mut Mistakes) -> Aggregate {
    match written.aggregate_function.as_deref() {
        None | Some("" | "avg") => Aggregate::Avg,
        Some("p50") => Aggregate::P50,
        Some("p90") => Aggregate::P90,
        Some("p95") => Aggregate::P95,
        Some(other) => {
            mistakes.add(
                format!("{root}.aggregate_function"),
                format!("{other:?} is unknown; write avg, p50, p90 or p95"),
            );
            Aggregate::Avg
        }
    }
}

fn sequences(root: &str, written: &slo::Comparison, mistakes: &mut Mistakes) -> Vec<String> {
    for (i, name) in written.sequences.iter().enumerate() {
        if name.trim().is_empty() {
            mistakes.add(
                format!("{root}.sequences[{i}]"),
                "is empty; name a sequence of the shipyard, or remove the entry",
            );
        }
    }
    written.sequences.clone()
}

fn objective(root: &str, written: &slo::Objective, mistakes: &mut Mistakes) -> Objective {
    if written.sli.is_empty() {
        mistakes.add(
            format!("{root}.sli"),
            "name the indicator that this objective is about",
        );
    }
    let weight = match written.weight {
        None | Some(0) => 1,
        Some(weight @ 1..=MAX_WEIGHT) => weight,
        Some(weight) => {
            mistakes.add(
                format!("{root}.weight"),
                format!("{weight} is not a weight; write a whole number from 1 to {MAX_WEIGHT}"),
            );
            1
        }
    };
    Objective {
        sli: written.sli.clone(),
        display_name: written.display_name.clone(),
        key_sli: written.key_sli,
        weight,
        pass: any_of(&format!("{root}.pass"), written.pass.as_deref(), mistakes),
        warning: any_of(&format!("{root}.warning"), written.warning.as_deref(), mistakes),
        missing: missing(root, written, mistakes),
    }
}

fn missing(root: &str, written: &slo::Objective, mistakes: &mut Mistakes) -> OnMissing {
    let path = format!("{root}.missing");
    let policy = match written.missing.as_deref() {
        None | Some("") => return OnMissing::Fail,
        Some("fail") => OnMissing::Fail,
        Some("warn") => OnMissing::Warn,
        Some("ignore") => OnMissing::Ignore,
        Some("inconclusive") => OnMissing::Inconclusive,
        Some(other) => {
            mistakes.add(
                path,
                format!("{other:?} is unknown; write fail, warn, ignore or inconclusive"),
            );
            return OnMissing::Fail;
        }
    };
    // Nothing is quietly without effect.
    if written.pass.as_deref().unwrap_or_default().is_empty() {
        mistakes.add(
            path,
            "an objective without pass is informational, with or without a value; remove missing, or add pass",
        );
    }
    policy
}

fn any_of(root: &str, sets: Option<&[CriteriaSet]>, mistakes: &mut Mistakes) -> Vec<AllOf> {
    let sets = sets.unwrap_or_default().iter().enumerate();
    sets.map(|(i, set)| all_of(&format!("{root}[{i}].criteria"), set, mistakes))
        .collect()
}

fn all_of(root: &str, set: &CriteriaSet, mistakes: &mut Mistakes) -> AllOf {
    if set.criteria.is_empty() {
        mistakes.add(
            root,
            "write at least one criterion, such as \"<=400\", or remove the entry",
        );
    }
    let mut written = Vec::with_capacity(set.criteria.len());
    for (i, text) in set.criteria.iter().enumerate() {
        match text.parse() {
            Ok(criterion) => written.push(Written {
                text: text.clone(),
                criterion,
            }),
            Err(error) => mistakes.add(format!("{root}[{i}]"), error.to_string()),
        }
    }
    AllOf(written)
}

fn duplicates(root: &str, objectives: &[Objective], mistakes: &mut Mistakes) {
    let mut first = BTreeMap::new();
    for (i, objective) in objectives.iter().enumerate() {
        let sli = objective.sli.as_str();
        if sli.is_empty() {
            continue;
        }
        let before = *first.entry(sli).or_insert(i);
        if before != i {
            mistakes.add(
                format!("{root}.objectives[{i}].sli"),
                format!("{sli:?} has an objective already, objectives[{before}]; put all its criteria there"),
            );
        }
    }
}

fn total_score(root: &str, written: Option<&slo::TotalScore>, mistakes: &mut Mistakes) -> (f64, Option<f64>) {
    let Some(written) = written.filter(|w| !w.pass.trim().is_empty()) else {
        mistakes.add(
            format!("{root}.total_score.pass"),
            "no target score is defined; say from which score the whole passes, such as \"90%\"",
        );
        return (0.0, None);
    };
    let mut read = |field: &str, text: &str| {
        percent(text).unwrap_or_else(|| {
            mistakes.add(
                format!("{root}.total_score.{field}"),
                format!("{text:?} is not a score; write a number from 0 to 100, such as \"90%\""),
            );
            0.0
        })
    };
    let pass = read("pass", &written.pass);
    let warning = written.warning.as_deref().filter(|w| !w.trim().is_empty());
    (pass, warning.map(|text| read("warning", text)))
}

fn percent(text: &str) -> Option<f64> {
    let text = text.trim();
    let number = text.strip_suffix('%').unwrap_or(text).trim();
    number.parse().ok().filter(|n| (0.0..=100.0).contains(n))
}

#[cfg(test)]
#[path = "objective_tests.rs"]
mod tests;
