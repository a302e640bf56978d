//! Which JobConfig actions answer an event.

use serde_json::Value;

use super::brief;

use crate::{
    api::{
        execution::PinnedJobConfig,
        jobconfig::{Condition, EventFilter, JobAction},
    },
    core::{
        definitions::{lookup::fits, nearest::hint},
        jsonpath::{self, PathError},
    },
};

/// A message shows so much of a value that is not the wanted one.
pub(super) const FOUND_MAX: usize = 100;

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

/// The actions that answer an event: those that match, of the most specific scope that has one. They run at once.
/// None: nobody answers. An error: a JobConfig of that scope, or of a more specific one, would answer too, and is
/// not valid; what it would have done must not be left out, nor be replaced by something more general.
pub fn matching<'a>(configs: &'a [PinnedJobConfig], event: &Value) -> Result<Vec<Matched<'a>>, &'a str> {
    let mut all: Vec<_> = every_action(configs)
        .filter(|matched| {
            let invalid = !matched.config.invalid.is_empty();
            let filters = &matched.action.events;
            // Of what is not valid a condition that can't be read may be the mistake: it counts as one that holds.
            filters
                .iter()
                .any(|filter| filter_matches(filter, event) || (invalid && is_unreadable(filter, event)))
        })
        .collect();
    let most = all.iter().map(|matched| matched.config.specificity).max();
    all.retain(|matched| Some(matched.config.specificity) == most);
    match all.iter().find(|matched| !matched.config.invalid.is_empty()) {
        Some(matched) => Err(&matched.config.invalid),
        None => Ok(all),
    }
}

/// Whether what matches depends on more of an event than its name.
pub fn reads_data(configs: &[PinnedJobConfig]) -> bool {
    every_action(configs).any(|matched| {
        matched
            .action
            .events
            .iter()
            .any(|f| f.jsonpath.is_some() || !f.conditions.is_empty())
    })
}

/// Whether an action has the event's name; its conditions may still fail.
pub fn may_match(configs: &[PinnedJobConfig], event: &Value) -> bool {
    let event_type = event["type"].as_str().unwrap_or_default();
    let named = |matched: &Matched| matched.action.events.iter().any(|f| fits(&f.name, event_type));
    every_action(configs).any(|matched| named(&matched))
}

/// Finds again the action that a recorded Job belongs to.
pub fn recorded<'a>(configs: &'a [PinnedJobConfig], config: &str, action: i32) -> Option<Matched<'a>> {
    every_action(configs).find(|matched| {
        matched.config.name == config
            && i32::try_from(matched.action_index).is_ok_and(|index| index == action)
    })
}

/// The sentence for a task that nobody answers: it names the event, and the nearest one that a JobConfig has.
pub fn no_executor(configs: &[PinnedJobConfig], others: &[String], event: &Value) -> String {
    let event_type = event["type"].as_str().unwrap_or_default();
    if may_match(configs, event) {
        return format!(
            "no JobConfig action answers {event_type}: some have the event's name, but their jsonpath conditions don't hold ({})",
            conditions(configs, event_type, event).join("; ")
        );
    }
    let known: Vec<&str> = every_action(configs)
        .flat_map(|matched| matched.action.events.iter().map(|f| f.name.as_str()))
        .chain(others.iter().map(String::as_str))
        .collect();
    format!(
        "no JobConfig action answers {event_type}{}",
        hint(event_type, known.iter().copied())
    )
}

/// What the conditions of the actions with the event's name ask for, and what the event has; at most five.
fn conditions(configs: &[PinnedJobConfig], event_type: &str, event: &Value) -> Vec<String> {
    every_action(configs)
        .flat_map(|matched| matched.action.events.iter().map(move |filter| (matched, filter)))
        .filter(|(_, filter)| fits(&filter.name, event_type))
        .flat_map(|(matched, filter)| every_condition(filter).map(move |condition| (matched, condition)))
        .filter_map(|(matched, condition)| {
            Some(format!("{} {}", matched.config.name, unmet(condition, event)?))
        })
        .take(5)
        .collect()
}

/// What a condition wants and what the event has, if it does not hold: `wants "a" at $.data.x, it is "b"`.
pub(super) fn unmet(condition: &Condition, event: &Value) -> Option<String> {
    let (wanted, found) = match look(condition, event) {
        Ok(found) if holds(condition, found.as_ref()) => return None,
        Ok(found) => (wanted(condition), there(found.as_ref(), usize::MAX)),
        Err(error) => (wanted(condition), error.to_string()),
    };
    Some(format!(
        "wants {wanted} at {}, {}",
        condition.property,
        brief(&found, FOUND_MAX)
    ))
}

/// What stands at a condition's property.
pub(super) fn look(condition: &Condition, event: &Value) -> Result<Option<Value>, PathError> {
    jsonpath::lookup(event, &condition.property)
}

/// The value that a condition wants, or does not want, for people.
pub(super) fn wanted(condition: &Condition) -> String {
    match (&condition.match_, &condition.not_match) {
        (_, Some(unwanted)) => format!("anything but {unwanted:?}"),
        (wanted, None) => format!("{:?}", wanted.as_deref().unwrap_or_default()),
    }
}

/// What was found, for people, in at most so many bytes.
pub(super) fn there(found: Option<&Value>, max: usize) -> String {
    match found {
        Some(value) => format!("it is {}", brief(&value.to_string(), max)),
        None => "there is nothing".to_owned(),
    }
}

/// All conditions of a filter.
pub(in crate::core) fn every_condition(filter: &EventFilter) -> impl Iterator<Item = &Condition> {
    filter.jsonpath.iter().chain(&filter.conditions)
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
    fits(&filter.name, event_type)
        && every_condition(filter).all(|condition| condition_holds(condition, event))
}

/// Whether the name fits, and nobody can tell whether the condition holds.
fn is_unreadable(filter: &EventFilter, event: &Value) -> bool {
    let unreadable = |c: &Condition| jsonpath::lookup(event, &c.property).is_err();
    fits(&filter.name, event["type"].as_str().unwrap_or_default()) && every_condition(filter).any(unreadable)
}

/// Whether a condition holds. One that can't be evaluated does not.
pub(in crate::core) fn condition_holds(condition: &Condition, event: &Value) -> bool {
    look(condition, event).is_ok_and(|found| holds(condition, found.as_ref()))
}

/// Whether a condition holds for what was found. One that asks for nothing, or for two things, does not.
pub(super) fn holds(condition: &Condition, found: Option<&Value>) -> bool {
    let text = match found {
        Some(value @ (Value::String(_) | Value::Number(_) | Value::Bool(_))) => Some(jsonpath::text(value)),
        _ => None,
    };
    match (&condition.match_, &condition.not_match) {
        (Some(wanted), None) => text.as_ref() == Some(wanted),
        (None, Some(unwanted)) => text.as_ref() != Some(unwanted),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    fn config(name: &str, specificity: i32, actions: &str) -> PinnedJobConfig {
        let actions = serde_yaml::from_str(actions).unwrap();
        PinnedJobConfig {
            name: name.into(),
            specificity,
            actions,
            ..PinnedJobConfig::default()
        }
    }

    /// One action for this event; with a condition, `property == match`.
    fn one(name: &str, specificity: i32, event: &str, condition: Option<(&str, &str)>) -> PinnedJobConfig {
        let mut config = config(
            name,
            specificity,
            &format!("[{{name: n, events: [{{name: {event:?}}}], tasks: []}}]"),
        );
        config.actions[0].events[0].jsonpath = condition.map(|(property, match_)| Condition {
            property: property.into(),
            match_: Some(match_.into()),
            not_match: None,
        });
        config
    }

    fn event(task: &str, data: Value) -> Value {
        json!({"type": format!("sh.keptn.event.{task}.triggered"), "data": data})
    }

    fn answers(configs: &[PinnedJobConfig], event: &Value) -> Vec<(String, usize, usize)> {
        matching(configs, event)
            .unwrap()
            .iter()
            .map(|m| (m.config.name.clone(), m.action_index, m.index))
            .collect()
    }

    #[rstest]
    #[case::exact("sh.keptn.event.test.triggered", "test", true)]
    #[case::other("sh.keptn.event.action.triggered", "test", false)]
    #[case::wildcard("sh.keptn.event.*.triggered", "test", true)]
    #[case::anchored_at_the_start("keptn.event.test.triggered", "test", false)]
    #[case::anchored_at_the_end("sh.keptn.event.test", "test", false)]
    #[case::a_dot_is_a_dot("sh.keptn.event.t.st.triggered", "test", false)]
    #[case::part_of_a_name("sh.keptn.event.je-*.triggered", "je-test", true)]
    fn an_event_s_name(#[case] pattern: &str, #[case] task: &str, #[case] fits: bool) {
        assert_eq!(
            !answers(&[one("c", 0, pattern, None)], &event(task, json!({}))).is_empty(),
            fits
        );
    }

    #[rstest]
    #[case::string("$.data.test.teststrategy", "health", true)]
    #[case::other("$.data.test.teststrategy", "load", false)]
    #[case::number("$.data.n", "1000000", true)]
    #[case::boolean("$.data.b", "true", true)]
    #[case::list("$.data.l", "[\"x\"]", false)]
    #[case::null("$.data.null", "null", false)]
    #[case::missing("$.data.missing", "", false)]
    #[case::bad_path("$.data.[", "x", false)]
    fn a_condition(#[case] property: &str, #[case] match_: &str, #[case] holds: bool) {
        let event = event(
            "test",
            json!({"test": {"teststrategy": "health"}, "n": 1_000_000, "b": true, "l": ["x"], "null": null}),
        );
        let config = one("c", 0, "sh.keptn.event.test.triggered", Some((property, match_)));
        assert_eq!(!answers(&[config], &event).is_empty(), holds);
    }

    #[test]
    fn any_of_an_action_s_events_is_enough() {
        let config = config(
            "c",
            0,
            r"[{name: n, tasks: [], events: [
                {name: sh.keptn.event.action.triggered, jsonpath: {property: $.data.action.action, match: hello}},
                {name: sh.keptn.event.action.triggered, jsonpath: {property: $.data.action.action, match: goodbye}}]}]",
        );
        for action in ["hello", "goodbye"] {
            let configs = [config.clone()];
            assert_eq!(
                answers(&configs, &event("action", json!({"action": {"action": action}}))).len(),
                1
            );
        }
    }

    #[test]
    fn the_most_specific_scope_with_a_matching_action_answers() {
        let name = "sh.keptn.event.action.triggered";
        let scale = Some(("$.data.action.action", "scale"));
        let configs = [
            one("service", 3, name, scale),
            one("stage", 1, name, None),
            one("project", 0, name, None),
        ];
        let scaling = event("action", json!({"action": {"action": "scale"}}));
        assert_eq!(answers(&configs, &scaling), [("service".to_owned(), 0, 0)]);
        let other = event("action", json!({"action": {"action": "restart"}}));
        assert_eq!(answers(&configs, &other), [("stage".to_owned(), 0, 1)]);
    }

    #[rstest]
    #[case::the_same_scope_adds_up(1, 1, "restart", true)]
    #[case::a_more_specific_one_is_not_passed_over(1, 3, "restart", true)]
    #[case::a_more_general_one_is_in_nobodys_way(1, 0, "restart", false)]
    #[case::its_conditions_do_not_hold(1, 3, "scale", false)]
    #[case::its_condition_is_the_mistake(1, 3, "[", true)]
    fn an_invalid_job_config(
        #[case] valid: i32,
        #[case] invalid: i32,
        #[case] action: &str,
        #[case] blocks: bool,
    ) {
        let name = "sh.keptn.event.action.triggered";
        let property = if action == "[" {
            "$.data.["
        } else {
            "$.data.action.action"
        };
        let mut broken = one("broken", invalid, name, Some((property, "restart")));
        broken.invalid = "JobConfig broken is not valid: spec.x: is wrong".into();
        let configs = [broken, one("valid", valid, name, None)];
        let event = event("action", json!({"action": {"action": action}}));
        let found = matching(&configs, &event);
        assert_eq!(found.is_err(), blocks, "{found:?}");
    }

    #[test]
    fn objects_of_one_scope_add_up_and_their_actions_have_indexes_of_their_own() {
        let both =
            "[{name: x, events: [{name: other}], tasks: []}, {name: y, events: [{name: '*'}], tasks: []}]";
        let configs = [config("a", 3, both), config("b", 3, both)];
        let found = answers(&configs, &event("test", json!({})));
        assert_eq!(found, [("a".to_owned(), 1, 1), ("b".to_owned(), 1, 3)]);
        assert_eq!(recorded(&configs, "b", 1).map(|m| m.index), Some(3));
        assert_eq!(recorded(&configs, "c", 1), None);
        assert_eq!(recorded(&configs, "b", -1), None);
    }

    #[test]
    fn nobody_answers_is_said_with_what_is_there() {
        let name = "sh.keptn.event.je-tests.triggered";
        let message = no_executor(&[one("c", 0, name, None)], &[], &event("je-test", json!({})));
        assert_eq!(
            message,
            r#"no JobConfig action answers sh.keptn.event.je-test.triggered; did you mean "sh.keptn.event.je-tests.triggered"?"#
        );
        let config = one(
            "c",
            0,
            "sh.keptn.event.action.triggered",
            Some(("$.data.action.action", "scale")),
        );
        let message = no_executor(
            &[config],
            &[],
            &event("action", json!({"action": {"action": "restart"}})),
        );
        assert!(
            message.ends_with(r#"(c wants "scale" at $.data.action.action, it is "restart")"#),
            "{message}"
        );
        assert_eq!(
            no_executor(&[], &[], &event("x", json!({}))),
            "no JobConfig action answers sh.keptn.event.x.triggered"
        );
    }
}
