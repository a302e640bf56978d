//! Which definitions are in force for a place.
//!
//! Every function takes the objects of one namespace. Service, then stage, then project: the most specific object wins
//! as a whole; of equally specific ones the older valid one. Where only invalid ones have the most specific scope, nothing
//! is in force, and nothing starts: a broken `mode: Observe` for one service must not give way to the project's `Act`.

use std::{borrow::Cow, collections::BTreeMap, sync::Arc};

use kube::{Resource, ResourceExt};

use crate::{
    api::{
        JobConfig, MetricsProvider, Remediation, Scope, ServiceLevelIndicator, ServiceLevelObjective,
        Shipyard, ShipyardSpec,
        evaluation::IndicatorQuery,
        execution::{Follower, PinnedJobConfig},
        jobconfig::{JobAction, JobTask},
        shipyard::{Sequence, Stage, Task},
    },
    core::{evaluation::indicator, place::Place},
};

use super::{nearest::hint, verdict::Definition};

/// The sequence that every stage has, with the one task of the same name.
pub const EVALUATION: &str = "evaluation";

/// Something that a run needs is not there, or not usable.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct Missing {
    /// Why, in a CamelCase word: `ShipyardNotFound`, `StageNotFound`, `SequenceNotFound`, `DefinitionInvalid`.
    pub reason: &'static str,
    /// A sentence for people, with the nearest known name.
    pub message: String,
}

/// The sequence of a project's stage. A stage without a sequence `evaluation` has the one that every stage has.
pub fn sequence<'a>(
    shipyards: &'a [Arc<Shipyard>],
    project: &str,
    stage: &str,
    sequence: &str,
) -> Result<(&'a Arc<Shipyard>, Cow<'a, Sequence>), Missing> {
    let Some(shipyard) = shipyards
        .iter()
        .find(|s| s.metadata.name.as_deref() == Some(project))
    else {
        let known = shipyards.iter().filter_map(|s| s.metadata.name.as_deref());
        let hint = hint(project, known);
        let remedy = if hint.is_empty() {
            ": create it here, or use the namespace that has it"
        } else {
            &hint
        };
        let message = format!("no Shipyard {project:?} in this namespace{remedy}");
        return Err(Missing {
            reason: "ShipyardNotFound",
            message,
        });
    };
    if let Some(invalid) = unusable(shipyard) {
        return Err(invalid);
    }
    let Some(found) = shipyard.spec.stages.iter().find(|s| s.name == stage) else {
        let known = shipyard.spec.stages.iter().map(|s| s.name.as_str());
        let message = format!("no stage {stage:?} in Shipyard {project}{}", hint(stage, known));
        return Err(Missing {
            reason: "StageNotFound",
            message,
        });
    };
    if let Some(sequence) = sequence_of(found, sequence) {
        return Ok((shipyard, sequence));
    }
    let known = sequence_names(found);
    let message = format!(
        "no sequence {sequence:?} in stage {stage} of Shipyard {project}{}",
        hint(sequence, known.iter().copied())
    );
    Err(Missing {
        reason: "SequenceNotFound",
        message,
    })
}

/// The rules of other sequences of the project on the end of this one, in the shipyard's order. A rule of the sequence
/// itself is its retry loop, and not among them.
pub fn followers(shipyard: &ShipyardSpec, stage: &str, sequence: &str) -> Vec<Follower> {
    let end = format!("{stage}.{sequence}.finished");
    let sequences = shipyard
        .stages
        .iter()
        .flat_map(|s| s.sequences.iter().map(move |q| (s, q)));
    sequences
        .filter(|(s, q)| !(s.name == stage && q.name == sequence))
        .flat_map(|(s, q)| q.triggered_on.iter().map(move |rule| (s, q, rule)))
        .filter(|(_, _, rule)| rule.event == end)
        .map(|(s, q, rule)| Follower {
            stage: s.name.clone(),
            sequence: q.name.clone(),
            rule: rule.clone(),
        })
        .collect()
}

/// A stage's sequence of this name, also the one that every stage has.
pub(super) fn sequence_of<'a>(stage: &'a Stage, name: &str) -> Option<Cow<'a, Sequence>> {
    match stage.sequences.iter().find(|s| s.name == name) {
        Some(written) => Some(Cow::Borrowed(written)),
        None if name == EVALUATION => Some(Cow::Owned(Sequence {
            name: EVALUATION.to_owned(),
            tasks: vec![Task {
                name: EVALUATION.to_owned(),
                ..Task::default()
            }],
            ..Sequence::default()
        })),
        None => None,
    }
}

/// The names of a stage's sequences, with the one that every stage has.
pub(super) fn sequence_names(stage: &Stage) -> Vec<&str> {
    let mut names: Vec<&str> = stage.sequences.iter().map(|s| s.name.as_str()).collect();
    if !names.contains(&EVALUATION) {
        names.push(EVALUATION);
    }
    names
}

/// The Remediation in force for a place, if there is one.
pub fn remediation(list: &[Arc<Remediation>], place: &Place) -> Result<Option<Arc<Remediation>>, Missing> {
    most_specific(list, place)
}

/// The ServiceLevelObjective in force for a place, if there is one.
pub fn objective(
    list: &[Arc<ServiceLevelObjective>],
    place: &Place,
) -> Result<Option<Arc<ServiceLevelObjective>>, Missing> {
    most_specific(list, place)
}

/// The queries of the indicators that are needed, by name; a name that no object has is absent. Queries merge project
/// -> stage -> service. The provider is the one that the object names, else the only one of the namespace, else empty: then
/// the installation's default answers, where the namespace has none.
pub fn indicators(
    slis: &[Arc<ServiceLevelIndicator>],
    providers: &[Arc<MetricsProvider>],
    place: &Place,
    needed: &[&str],
) -> Result<BTreeMap<String, IndicatorQuery>, Missing> {
    let only = only_provider(providers);
    let mut queries = BTreeMap::new();
    let applying = applying(slis, place);
    for scope in applying.chunk_by(|(one, _), (other, _)| one == other) {
        // What a more specific object says of a name stands.
        let wanted =
            |name: &str, queries: &BTreeMap<_, _>| needed.contains(&name) && !queries.contains_key(name);
        let Some((_, sli)) = scope.iter().find(|(_, sli)| sli.mistakes().is_empty()) else {
            let asked = scope
                .iter()
                .find(|(_, sli)| sli.spec.indicators.keys().any(|name| wanted(name, &queries)));
            match asked.and_then(|(_, sli)| unusable(sli)) {
                Some(invalid) => return Err(invalid),
                None => continue,
            }
        };
        let named = sli.spec.provider.as_ref().map(|p| p.name.clone());
        let provider = named.unwrap_or_else(|| only.clone());
        for (name, indicator) in &sli.spec.indicators {
            // All of them can be read: the object has no mistakes.
            if wanted(name, &queries)
                && let Ok(measure) = indicator::parse(name, indicator)
            {
                let query = IndicatorQuery {
                    query: measure.query,
                    provider: provider.clone(),
                    reduce: measure.reduce,
                    range: measure.range,
                };
                queries.insert(name.clone(), query);
            }
        }
    }
    Ok(queries)
}

/// The name of the one provider that is usable; of the one that there is, when it isn't, so that it is named in what
/// follows; else nothing.
fn only_provider(providers: &[Arc<MetricsProvider>]) -> String {
    let usable: Vec<_> = providers.iter().filter(|p| p.mistakes().is_empty()).collect();
    match (usable.as_slice(), providers) {
        ([one], _) => one.name_any(),
        ([], [one]) => one.name_any(),
        _ => String::new(),
    }
}

/// Every JobConfig that applies to a place and answers one of the tasks: the most specific first, of equally specific
/// ones (which add up) the older first. Of each only the actions with an event of one of the tasks; of one that is not
/// valid only what shows which events it would answer. `keys` is left empty.
pub fn job_configs(list: &[Arc<JobConfig>], place: &Place, task_names: &[&str]) -> Vec<PinnedJobConfig> {
    applying(list, place)
        .into_iter()
        .filter_map(|(specificity, config)| {
            let mut actions: Vec<_> = config
                .spec
                .actions
                .iter()
                .filter(|action| task_names.iter().any(|task| may_answer(action, task)))
                .cloned()
                .collect();
            let mut sources = config.spec.sources.clone();
            let invalid = unusable(config).map_or_else(String::new, |invalid| invalid.message);
            if !invalid.is_empty() {
                for action in &mut actions {
                    // One stays, because the schema wants one.
                    action.tasks.truncate(1);
                    action.tasks = action.tasks.iter().map(stub).collect();
                }
                sources.clear();
            }
            (!actions.is_empty()).then(|| PinnedJobConfig {
                name: config.name_any(),
                specificity,
                actions,
                sources,
                invalid,
                ..PinnedJobConfig::default()
            })
        })
        .collect()
}

/// What a task is called, and nothing that runs.
fn stub(task: &JobTask) -> JobTask {
    JobTask {
        name: task.name.clone(),
        image: task.image.clone(),
        ..JobTask::default()
    }
}

/// The event with which a task starts.
pub fn triggered(task: &str) -> String {
    format!("sh.keptn.event.{task}.triggered")
}

/// Whether an event's type fits a pattern in which `*` stands for any characters.
pub fn fits(pattern: &str, event: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else {
        return pattern == event;
    };
    let Some(mut left) = event.strip_prefix(head) else {
        return false;
    };
    let mut parts: Vec<&str> = rest.split('*').collect();
    let tail = parts.pop().unwrap_or_default();
    for part in parts {
        match left.find(part) {
            Some(at) => left = &left[at + part.len()..],
            None => return false,
        }
    }
    left.len() >= tail.len() && left.ends_with(tail)
}

/// Whether an action could answer the task, by the name of its events alone: what is worth pinning.
fn may_answer(action: &JobAction, task: &str) -> bool {
    let event = triggered(task);
    action.events.iter().any(|filter| fits(&filter.name, &event))
}

/// How specific a scope is, if it covers the place: 0 project, 1 stage, 2 service without a stage, 3 service.
pub fn specificity(scope: &Scope, place: &Place) -> Option<i32> {
    let covers = |part: &Option<String>, name: &str| part.as_deref().is_none_or(|p| p == name);
    let covered = scope.project == place.project()
        && covers(&scope.stage, place.stage())
        && covers(&scope.service, place.service());
    covered.then(|| i32::from(scope.stage.is_some()) + 2 * i32::from(scope.service.is_some()))
}

/// A key that puts the older object first; the name decides between those of one second.
pub fn age<K: Resource>(object: &K) -> impl Ord + use<K> {
    let created = object.meta().creation_timestamp.as_ref().map(|t| t.0);
    (created.is_none(), created, object.name_any())
}

/// The objects that cover the place with their specificity: the most specific first, then the older.
fn applying<'a, K: Definition>(list: &'a [Arc<K>], place: &Place) -> Vec<(i32, &'a Arc<K>)> {
    let covers = |object: &'a Arc<K>| Some((specificity(object.scope()?, place)?, object));
    let mut found: Vec<_> = list.iter().filter_map(covers).collect();
    found.sort_by_cached_key(|(specificity, object)| (std::cmp::Reverse(*specificity), age(object.as_ref())));
    found
}

/// The oldest valid object of the most specific scope that has any object.
fn most_specific<K: Definition>(list: &[Arc<K>], place: &Place) -> Result<Option<Arc<K>>, Missing> {
    let applying = applying(list, place);
    let Some((most, first)) = applying.first() else {
        return Ok(None);
    };
    let scope = applying.iter().take_while(|(specificity, _)| specificity == most);
    match scope.map(|(_, object)| object).find(|o| o.mistakes().is_empty()) {
        Some(valid) => Ok(Some(Arc::clone(valid))),
        None => unusable(first).map_or(Ok(None), Err),
    }
}

/// Why nothing may be concluded from this object, if it has a mistake.
fn unusable<K: Definition>(object: &Arc<K>) -> Option<Missing> {
    let mistake = object.mistakes().into_iter().next()?;
    Some(Missing {
        reason: "DefinitionInvalid",
        message: format!("{} {} is not valid: {mistake}", K::kind(&()), object.name_any()),
    })
}
