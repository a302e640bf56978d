//! What the status of an Evaluation becomes.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
};

use jiff::Timestamp;

use super::{
    message::{cut, cut_to, rounded_down, warned},
    objective::{Gate, parse_at},
    query::{Values, substitute},
    score::{Measured, Outcome, Past, Unmeasured, Verdict, judge, unverified},
    window::GRACE_MAX,
};
use crate::{
    api::{
        Condition, Duration, Evaluation, EvaluationStatus,
        common::Time,
        set_condition,
        sli::{RangeQuery, SeriesReducer},
    },
    core::{Invalid, Note, labels::DEFAULT_PROVIDER},
};

/// How long a provider that can't be asked is asked again, unless the Evaluation says otherwise.
const GRACE: Duration = Duration::from_secs(60);
/// The waits between asking and asking again double, from a second up to this.
const ASK_AGAIN_MAX: Duration = Duration::from_secs(10);
/// So many remarks on one indicator are kept, of so many characters.
const WARNINGS: usize = 5;
const WARNING_MAX: usize = 256;

/// What is to be asked for an Evaluation.
#[derive(Clone, Debug, PartialEq)]
pub enum Asking {
    /// These queries; then [`decide`] with [`Finding::Measured`].
    Queries {
        /// What the values are judged by.
        gate: Gate,
        /// The queries, placeholders filled in, by indicator.
        queries: BTreeMap<String, Query>,
        /// Indicators without a query, and why.
        missing: BTreeMap<String, Measured>,
    },
    /// Nothing: this is the finding.
    Nothing(Finding),
}

/// One query, ready to be sent.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Query {
    /// The MetricsProvider; empty when none is named; see [`choose_provider`].
    pub provider: String,
    /// The query.
    pub query: String,
    /// What one series is made of several with.
    pub reduce: Option<SeriesReducer>,
    /// A range query over the window, in place of one at its end.
    pub range: Option<RangeQuery>,
}

/// What came of asking.
#[derive(Clone, Debug, PartialEq)]
pub enum Finding {
    /// No objective applies, so nothing was asked.
    NoObjective,
    /// Every indicator has a value, or a reason why it has none.
    Measured {
        /// What the values are judged by.
        gate: Gate,
        /// What was measured.
        values: BTreeMap<String, Measured>,
        /// What the providers remarked about their answers, by indicator.
        warnings: BTreeMap<String, Vec<String>>,
    },
    /// It could not be measured.
    Trouble(Trouble),
}

/// Why nothing could be measured. None of these says that the service is sick.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Trouble {
    /// The objective has mistakes; asking again can't help.
    #[error("the objective can't be understood: {}", listed(.0.iter().map(ToString::to_string)))]
    InvalidObjective(Vec<Invalid>),
    /// What is measured is not fixed.
    #[error("spec.window is not set; leave it to the operator, and create the Evaluation again")]
    NoWindow,
    /// The gate that is in force for the place can't be read.
    #[error("{0}")]
    DefinitionInvalid(String),
    /// A query has a mistake; asking again can't help.
    #[error("the query of {indicator} can't be asked: {why}; mend it in the ServiceLevelIndicator")]
    InvalidQuery {
        /// The indicator.
        indicator: String,
        /// What the provider says, or what is wrong with a placeholder.
        why: String,
    },
    /// There is no provider to ask.
    #[error("{indicator} can't be measured: {why}")]
    ProviderMissing {
        /// The indicator.
        indicator: String,
        /// Which provider, and the remedy.
        why: String,
    },
    /// Values are missing that the objective can't do without; later there may be some.
    #[error("no value, and no verdict without one (missing: inconclusive): {}", listed(.0.iter().map(|(name, why)| format!("{name}: {}", cut(why)))))]
    ValueMissing(Vec<(String, String)>),
    /// The provider has a mistake, so it is not asked.
    #[error("{indicator} can't be measured: MetricsProvider {provider} is not valid: {why}")]
    ProviderInvalid {
        /// The indicator.
        indicator: String,
        /// The provider's name.
        provider: String,
        /// Its first mistake, and the remedy.
        why: String,
    },
    /// The provider did not answer as it should, also when it was asked again.
    #[error("could not measure {indicator}: {why} (asked {})", asked(*.tries, *.over))]
    ProviderUnavailable {
        /// The indicator.
        indicator: String,
        /// The provider, its host, and what happened.
        why: String,
        /// How often it was asked.
        tries: u32,
        /// For how long.
        over: Duration,
    },
}

impl Trouble {
    /// In a word.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::InvalidObjective(_) => "InvalidObjective",
            Self::NoWindow => "NoWindow",
            Self::DefinitionInvalid(_) => "DefinitionInvalid",
            Self::InvalidQuery { .. } => "InvalidQuery",
            Self::ProviderMissing { .. } => "ProviderMissing",
            Self::ValueMissing(_) => "ValueMissing",
            Self::ProviderInvalid { .. } => "ProviderInvalid",
            Self::ProviderUnavailable { .. } => "ProviderUnavailable",
        }
    }

    /// Whether somebody must change something before it can work.
    const fn is_mistake(&self) -> bool {
        !matches!(self, Self::ProviderUnavailable { .. } | Self::ValueMissing(_))
    }
}

/// The first ones; the others are counted.
fn listed(all: impl ExactSizeIterator<Item = String>) -> String {
    const SHOWN: usize = 3;
    let more = all.len().saturating_sub(SHOWN);
    let mut text = all.take(SHOWN).collect::<Vec<_>>().join("; ");
    if more > 0 {
        let _ = write!(text, "; and {more} more");
    }
    text
}

fn asked(tries: u32, over: Duration) -> String {
    match tries {
        0 | 1 => "once".to_owned(),
        n => format!("{n} times over {over}"),
    }
}

/// How long a provider that can't be asked is asked again.
pub fn grace(evaluation: &Evaluation) -> Duration {
    evaluation.spec.grace.unwrap_or(GRACE).min(GRACE_MAX)
}

/// How long to wait before a provider is asked again that was asked `tries` times since `since`; the last time is when
/// the grace ends. None when the grace is over.
pub fn ask_again(since: Timestamp, tries: u32, grace: Duration, now: Timestamp) -> Option<Duration> {
    let over = since.checked_add(grace.signed()).ok()?;
    let left = std::time::Duration::try_from(over.duration_since(now)).ok()?;
    let doubled = 2_u64.saturating_pow(tries.saturating_sub(1));
    let wait = Duration::from_secs(doubled).min(ASK_AGAIN_MAX);
    (!left.is_zero()).then_some(wait.min(Duration(left)))
}

/// What people are told about the status that ends an Evaluation.
pub fn note(status: &EvaluationStatus) -> Note {
    match status.result.as_deref() {
        Some("pass") => Note::normal("Evaluated", &status.message),
        Some(_) => Note::warning("Evaluated", &status.message),
        None => Note::warning("Inconclusive", &status.message),
    }
}

/// What is to be asked.
pub fn ask(evaluation: &Evaluation) -> Asking {
    let spec = &evaluation.spec;
    let Some(body) = &spec.objective else {
        return Asking::Nothing(Finding::NoObjective);
    };
    let Some(window) = &spec.window else {
        return Asking::Nothing(Finding::Trouble(Trouble::NoWindow));
    };
    let gate = match parse_at("spec.objective", body) {
        Ok(gate) => gate,
        Err(mistakes) => return Asking::Nothing(Finding::Trouble(Trouble::InvalidObjective(mistakes))),
    };
    let place = (spec.project.as_str(), spec.stage.as_str(), spec.service.as_str());
    let values = Values::new(
        place,
        spec.deployment.as_deref(),
        &spec.labels,
        &gate.filter,
        window,
    );
    let (mut queries, mut missing) = (BTreeMap::new(), BTreeMap::new());
    for objective in &gate.objectives {
        let sli = objective.sli.clone();
        let Some(indicator) = spec.indicators.get(&sli) else {
            missing.insert(sli, undefined());
            continue;
        };
        match substitute(&indicator.query, &values) {
            Ok(query) => {
                queries.insert(
                    sli,
                    Query {
                        provider: indicator.provider.clone(),
                        query,
                        reduce: indicator.reduce,
                        range: indicator.range,
                    },
                );
            }
            Err(error) => {
                let trouble = Trouble::InvalidQuery {
                    indicator: sli,
                    why: error.to_string(),
                };
                return Asking::Nothing(Finding::Trouble(trouble));
            }
        }
    }
    Asking::Queries {
        gate,
        queries,
        missing,
    }
}

fn undefined() -> Measured {
    Measured::Missing(
        "no ServiceLevelIndicator of this service, stage or project defines it; \
         add its query under spec.indicators"
            .to_owned(),
    )
}

/// Which provider a query goes to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Chosen<'a> {
    /// The one of this name in the Evaluation's own namespace.
    Own(&'a str),
    /// The installation's default one, of this name in the operator's namespace.
    Default(&'a str),
}

/// Which provider a query goes to: the one that is named, or the only one that the namespace has, or the installation's
/// default one where the namespace has none. `defaults` are the names of those that are marked as such.
pub fn choose_provider<'a>(
    named: &'a str,
    existing: &'a BTreeSet<String>,
    defaults: &'a BTreeSet<String>,
) -> Result<Chosen<'a>, String> {
    if existing.contains(named) {
        return Ok(Chosen::Own(named));
    }
    let some = |names: &BTreeSet<String>| names.iter().take(5).cloned().collect::<Vec<_>>().join(", ");
    let first = |names: &'a BTreeSet<String>| names.first().map_or("", String::as_str);
    match (named, existing.len(), defaults.len()) {
        ("", 1, _) => Ok(Chosen::Own(first(existing))),
        ("", 0, 1) => Ok(Chosen::Default(first(defaults))),
        ("", 0, 0) => Err(format!(
            "this namespace has no MetricsProvider; create one, or mark one of the operator's namespace as the default \
             for all: {DEFAULT_PROVIDER}: \"true\""
        )),
        ("", 0, n) => Err(format!(
            "this namespace has no MetricsProvider, and {n} of the operator's namespace are marked as the default for \
             all ({}); leave the annotation {DEFAULT_PROVIDER} on one of them",
            some(defaults)
        )),
        ("", n, _) => Err(format!(
            "this namespace has {n} MetricsProviders ({}) and the ServiceLevelIndicator names none; \
             set its spec.provider.name",
            some(existing)
        )),
        (named, 0, _) => Err(format!(
            "this namespace has no MetricsProvider {named}; create one"
        )),
        (named, ..) => Err(format!(
            "there is no MetricsProvider {named} in this namespace (there is {}); \
             create it or mend the ServiceLevelIndicator's spec.provider.name",
            some(existing)
        )),
    }
}

/// The status that ends an Evaluation. It is written once.
pub fn decide(
    evaluation: &Evaluation,
    finding: &Finding,
    history: &[Past],
    started_at: Timestamp,
    now: Timestamp,
) -> EvaluationStatus {
    let mut status = match finding {
        Finding::NoObjective => verdict(unverified()),
        Finding::Measured {
            gate,
            values,
            warnings,
        } => match judge(gate, values, history) {
            Ok(judged) => remarked(verdict(judged), warnings),
            Err(Unmeasured(missing)) => inconclusive(&Trouble::ValueMissing(missing)),
        },
        Finding::Trouble(trouble) => inconclusive(trouble),
    };
    status.done = true;
    status.started_at = Some(crate::api::common::Timestamp(started_at));
    status.finished_at = Some(crate::api::common::Timestamp(now));
    status.observed_generation = evaluation.metadata.generation;
    let stalled = matches!(finding, Finding::Trouble(trouble) if trouble.is_mistake());
    if let Some(before) = &evaluation.status {
        status.conditions.clone_from(&before.conditions);
    }
    set_conditions(&mut status, stalled, now);
    status
}

fn inconclusive(trouble: &Trouble) -> EvaluationStatus {
    EvaluationStatus {
        phase: "Inconclusive".to_owned(),
        reason: trouble.reason().to_owned(),
        message: format!("inconclusive: {trouble}"),
        ..EvaluationStatus::default()
    }
}

fn verdict(verdict: Verdict) -> EvaluationStatus {
    EvaluationStatus {
        phase: if verdict.result == Outcome::Fail {
            "Failed"
        } else {
            "Succeeded"
        }
        .to_owned(),
        result: Some(verdict.result.as_str().to_owned()),
        score: verdict.score.map(rounded_down),
        reason: verdict.reason.to_owned(),
        message: verdict.message,
        indicators: verdict.indicators,
        compared_with: verdict.compared_with,
        no_baseline: verdict.no_baseline,
        ..EvaluationStatus::default()
    }
}

/// The status with what the providers remarked.
fn remarked(mut status: EvaluationStatus, warnings: &BTreeMap<String, Vec<String>>) -> EvaluationStatus {
    for indicator in &mut status.indicators {
        if let Some(said) = warnings.get(&indicator.name) {
            indicator.warnings = said
                .iter()
                .take(WARNINGS)
                .map(|text| cut_to(text, WARNING_MAX))
                .collect();
        }
    }
    status.message.push_str(&warned(&status.indicators));
    status
}

fn set_conditions(status: &mut EvaluationStatus, stalled: bool, now: Timestamp) {
    let condition = |type_: &str, is: bool| Condition {
        type_: type_.to_owned(),
        status: if is { "True" } else { "False" }.to_owned(),
        reason: status.reason.clone(),
        message: status.message.clone(),
        observed_generation: status.observed_generation,
        last_transition_time: Time(now),
    };
    let mut wanted = vec![
        condition("Ready", !stalled),
        condition("Succeeded", status.phase == "Succeeded"),
    ];
    if stalled {
        wanted.push(condition("Stalled", true));
    }
    status
        .conditions
        .retain(|old| wanted.iter().any(|new| new.type_ == old.type_));
    for condition in wanted {
        set_condition(&mut status.conditions, condition);
    }
}

/// How whoever asked for an Evaluation should read it.
#[derive(Clone, Debug, PartialEq)]
pub enum Reading {
    /// It has not ended.
    Pending,
    /// There is a verdict, with its score where something was asked for.
    Verdict(Outcome, Option<f64>),
    /// It could not be measured. `worth_retrying`: another Evaluation of the same gate may fare better without anybody
    /// changing what was pinned.
    Inconclusive {
        /// Whether to evaluate again.
        worth_retrying: bool,
    },
}

/// Reads an Evaluation's status.
pub fn read(status: Option<&EvaluationStatus>) -> Reading {
    let Some(status) = status.filter(|s| s.done) else {
        return Reading::Pending;
    };
    match status.result.as_deref().and_then(Outcome::read) {
        Some(outcome) => Reading::Verdict(outcome, status.score),
        None => Reading::Inconclusive {
            worth_retrying: !matches!(
                status.reason.as_str(),
                "InvalidObjective" | "InvalidQuery" | "DefinitionInvalid"
            ),
        },
    }
}

#[cfg(test)]
#[path = "decide_tests.rs"]
mod tests;
