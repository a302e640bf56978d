//! Which JobConfig actions answer an event.

use serde_json::Value;

use crate::{
    api::{
        execution::PinnedJobConfig,
        jobconfig::{EventFilter, JobAction, JsonPathMatch},
    },
    core::{definitions::nearest::nearest, event::event_type, jsonpath},
};

/// One action that answers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Matched<'a> {
    /// Its JobConfig.
    pub config: &'a PinnedJobConfig,
    /// The action.
    pub action: &'a JobAction,
    /// The action's place in `config.actions`: `JobStatus.action`.
    pub action_index: usize,
    /// The action's place among all the actions of all the pinned JobConfigs: the action's part of a
    /// [`crate::core::names::JobKey`].
    pub index: usize,
}

/// The actions that answer an event: those that match, of the most specific scope that has one. They run in this
/// order. None: nobody answers.
pub fn matching<'a>(configs: &'a [PinnedJobConfig], event: &Value) -> Vec<Matched<'a>> {
    let mut all: Vec<_> = every_action(configs)
        .filter(|matched| {
            matched
                .action
                .events
                .iter()
                .any(|filter| filter_matches(filter, event))
        })
        .collect();
    let most = all.iter().map(|matched| matched.config.specificity).max();
    all.retain(|matched| Some(matched.config.specificity) == most);
    all
}

/// Finds again the action that a recorded Job belongs to.
pub fn recorded<'a>(configs: &'a [PinnedJobConfig], config: &str, action: i32) -> Option<Matched<'a>> {
    every_action(configs).find(|matched| {
        matched.config.name == config
            && i32::try_from(matched.action_index).is_ok_and(|index| index == action)
    })
}

/// Whether an action could answer the task, by the name of its events alone: what is worth pinning.
pub fn may_answer(action: &JobAction, task: &str) -> bool {
    let event_type = event_type(task);
    action
        .events
        .iter()
        .any(|filter| wildcard_matches(&filter.name, &event_type))
}

/// The sentence for a task that nobody answers: it names the event, and the nearest one that a JobConfig has.
pub fn no_executor(configs: &[PinnedJobConfig], event: &Value) -> String {
    let wanted = event["type"].as_str().unwrap_or_default();
    let known: Vec<&str> = every_action(configs)
        .flat_map(|matched| &matched.action.events)
        .map(|filter| filter.name.as_str())
        .collect();
    let conditions: Vec<String> = every_action(configs)
        .flat_map(|matched| &matched.action.events)
        .filter(|filter| wildcard_matches(&filter.name, wanted))
        .filter_map(|filter| filter.jsonpath.as_ref())
        .map(|condition| format!("{} = {:?}", condition.property, condition.match_))
        .collect();
    if !conditions.is_empty() {
        return format!(
            "no JobConfig action answers {wanted} with this data; those for this event ask for {}",
            conditions.join(" or ")
        );
    }
    match nearest(wanted, known) {
        Some(name) => {
            format!("no JobConfig action answers {wanted}; the nearest event that one answers is {name}")
        }
        None => format!("no JobConfig that applies to this service answers {wanted}; create one"),
    }
}

fn every_action(configs: &[PinnedJobConfig]) -> impl Iterator<Item = Matched<'_>> {
    configs
        .iter()
        .flat_map(|config| {
            let actions = config.actions.iter().enumerate();
            actions.map(move |(action_index, action)| (config, action_index, action))
        })
        .enumerate()
        .map(|(index, (config, action_index, action))| Matched {
            config,
            action,
            action_index,
            index,
        })
}

fn filter_matches(filter: &EventFilter, event: &Value) -> bool {
    let event_type = event["type"].as_str().unwrap_or_default();
    wildcard_matches(&filter.name, event_type)
        && filter
            .jsonpath
            .as_ref()
            .is_none_or(|condition| condition_holds(condition, event))
}

/// A condition that can't be evaluated does not hold.
fn condition_holds(condition: &JsonPathMatch, event: &Value) -> bool {
    match jsonpath::lookup(event, &condition.property) {
        Ok(Some(value @ (Value::String(_) | Value::Number(_) | Value::Bool(_)))) => {
            jsonpath::text(&value) == condition.match_
        }
        _ => false,
    }
}

/// Whether the whole of `text` is as `pattern` says; `*` stands for any number of characters. The work is at most the
/// product of the lengths.
fn wildcard_matches(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| text.strip_prefix(first)) else {
        return false;
    };
    let Some(last) = parts.next_back() else {
        return rest.is_empty();
    };
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}
