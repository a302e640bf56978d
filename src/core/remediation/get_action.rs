//! `get-action`: which action comes next for this problem.
//!
//! The entry whose `problemType` equals the problem's root cause, else its title, else `default`; then the action at
//! `get-action.actionIndex`, which counts up, so that escalation tries every action once.

use serde_json::{Value, json};

use crate::{
    api::{
        Remediation,
        common::Object,
        execution::PinnedRemediation,
        remediation::{Action, ProblemActions},
    },
    core::{
        jobs::result::{Outcome, Verdict},
        jsonpath,
    },
};

/// Why get-action fails when every action was tried.
pub const NO_ACTION_LEFT: &str = "NoActionLeft";
/// Why get-action fails when nothing says what heals the service.
pub const NO_REMEDIATION: &str = "NoRemediation";
/// Why get-action fails when the problem has no actions.
pub const UNKNOWN_PROBLEM: &str = "UnknownProblem";

/// The problem's actions, pinned; with `missing` saying why when there are none.
pub fn pin(remediation: Option<&Remediation>, payload: &Object, place: &str) -> PinnedRemediation {
    let Some(remediation) = remediation else {
        return PinnedRemediation {
            missing: format!(
                "no Remediation applies to {place}: create one, or check the scope of those that exist"
            ),
            ..PinnedRemediation::default()
        };
    };
    let spec = &remediation.spec;
    let name = remediation.metadata.name.clone().unwrap_or_default();
    let mut pinned = PinnedRemediation {
        name: name.clone(),
        mode: spec.mode,
        on_action_failure: spec.on_action_failure,
        budget: spec.budget,
        cooldown: spec.cooldown,
        ..PinnedRemediation::default()
    };
    match choose(&spec.remediations, payload) {
        Some(entry) => {
            pinned.problem_type.clone_from(&entry.problem_type);
            pinned.actions = entry.actions_on_open.clone().unwrap_or_default();
        }
        None => pinned.missing = unknown_problem(&name, &spec.remediations, payload),
    }
    pinned
}

fn choose<'a>(entries: &'a [ProblemActions], payload: &Object) -> Option<&'a ProblemActions> {
    let named = |wanted: &str| {
        entries
            .iter()
            .find(|e| e.problem_type == wanted && e.actions_on_open.is_some())
    };
    problem_text(payload, "rootCause")
        .and_then(named)
        .or_else(|| problem_text(payload, "problemTitle").and_then(named))
        .or_else(|| named("default"))
}

/// A field of `problem`. v1's alert bridge wrote `ProblemTitle`, and Go read it without regard to case; so do we.
fn problem_text<'a>(payload: &'a Object, field: &str) -> Option<&'a str> {
    let problem = payload.get("problem")?.as_object()?;
    problem
        .get(field)
        .or_else(|| {
            problem
                .iter()
                .find(|(k, _)| k.eq_ignore_ascii_case(field))
                .map(|(_, v)| v)
        })
        .and_then(Value::as_str)
        .filter(|text| !text.is_empty())
}

fn unknown_problem(name: &str, entries: &[ProblemActions], payload: &Object) -> String {
    let asked: Vec<String> = ["rootCause", "problemTitle"]
        .into_iter()
        .filter_map(|field| problem_text(payload, field).map(|text| format!("{field} {text:?}")))
        .collect();
    let asked = if asked.is_empty() {
        "a problem without a title".to_owned()
    } else {
        asked.join(", ")
    };
    let known: Vec<&str> = entries.iter().map(|e| e.problem_type.as_str()).collect();
    format!(
        "Remediation {name} has no actions for {asked}; it knows {}. Add a problemType of that name, or one named \"default\"",
        if known.is_empty() {
            "no problem types".to_owned()
        } else {
            format!("{known:?}")
        }
    )
}

/// What get-action comes to.
#[derive(Clone, Debug, PartialEq)]
pub enum Choice {
    /// This action is next; `data` is merged into the payload.
    Action {
        /// The action.
        action: Action,
        /// Its index.
        index: usize,
        /// `action` and `get-action`, as executors see them.
        data: Object,
    },
    /// There is none: result fail.
    None {
        /// Why, in a word.
        reason: &'static str,
        /// Why, for people.
        message: String,
    },
}

/// The next action's index: how many were tried.
pub fn index(payload: &Object) -> usize {
    payload
        .get("get-action")
        .and_then(|g| g.get("actionIndex"))
        .and_then(Value::as_u64)
        .and_then(|n| usize::try_from(n).ok())
        .unwrap_or(0)
}

/// Whether there is another action to try.
pub fn any_left(pinned: &PinnedRemediation, payload: &Object) -> bool {
    index(payload) < pinned.actions.len()
}

/// The next action.
pub fn next(pinned: &PinnedRemediation, payload: &Object) -> Choice {
    if !pinned.missing.is_empty() {
        let reason = if pinned.name.is_empty() {
            NO_REMEDIATION
        } else {
            UNKNOWN_PROBLEM
        };
        return Choice::None {
            reason,
            message: pinned.missing.clone(),
        };
    }
    let index = index(payload);
    let Some(action) = pinned.actions.get(index) else {
        let (name, problem) = (&pinned.name, &pinned.problem_type);
        let message = match pinned.actions.len() {
            1 => format!("the one action of Remediation {name} for {problem:?} was tried"),
            count => format!("all {count} actions of Remediation {name} for {problem:?} were tried"),
        };
        return Choice::None {
            reason: NO_ACTION_LEFT,
            message,
        };
    };
    let data = json!({ "action": action, "get-action": { "actionIndex": index + 1 } });
    Choice::Action {
        action: action.clone(),
        index,
        data: data.as_object().cloned().unwrap_or_default(),
    }
}

/// What the task get-action comes to, whoever answers it.
pub fn outcome(pinned: &PinnedRemediation, payload: &Object) -> Outcome {
    match next(pinned, payload) {
        Choice::Action { action, index, data } => {
            let value = action.value.as_ref().map(jsonpath::text);
            let value = value.map_or_else(String::new, |value| format!(" = {value}"));
            let count = pinned.actions.len();
            Outcome {
                message: format!("{}{value} (action {} of {count})", action.action, index + 1),
                data,
                ..Outcome::default()
            }
        }
        Choice::None { reason, message } => Outcome {
            verdict: Verdict::Fail,
            reason: reason.to_owned(),
            message,
            ..Outcome::default()
        },
    }
}

/// The name for people of the action that get-action's data names.
pub fn chosen(data: &Object) -> Option<String> {
    let action = data.get("action")?;
    let text = |field| {
        action
            .get(field)
            .and_then(Value::as_str)
            .filter(|t| !t.is_empty())
    };
    text("name").or_else(|| text("action")).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::api::{RemediationSpec, Scope, remediation::Mode};

    fn action(name: &str) -> Action {
        Action {
            action: name.into(),
            ..Action::default()
        }
    }

    fn remediation(types: &[(&str, Option<&[&str]>)]) -> Remediation {
        Remediation::new(
            "rem",
            RemediationSpec {
                scope: Scope {
                    project: "p".into(),
                    ..Scope::default()
                },
                mode: Mode::Act,
                on_action_failure: crate::api::remediation::OnActionFailure::Escalate,
                budget: None,
                cooldown: None,
                remediations: types
                    .iter()
                    .map(|(problem, actions)| ProblemActions {
                        problem_type: (*problem).into(),
                        actions_on_open: actions.map(|a| a.iter().map(|n| action(n)).collect()),
                    })
                    .collect(),
            },
        )
    }

    fn payload(value: &Value) -> Object {
        value.as_object().cloned().unwrap()
    }

    #[rstest]
    #[case::title(json!({"problemTitle": "slow"}), "slow")]
    #[case::root_cause_wins(json!({"problemTitle": "slow", "rootCause": "disk"}), "disk")]
    #[case::unknown_root_cause(json!({"problemTitle": "slow", "rootCause": "moon"}), "slow")]
    #[case::default(json!({"problemTitle": "odd"}), "default")]
    #[case::exact(json!({"problemTitle": "Slow"}), "default")]
    #[case::alert_bridge_spelling(json!({"ProblemTitle": "slow"}), "slow")]
    #[case::null_entry_is_passed_over(json!({"problemTitle": "null"}), "default")]
    fn which_problem_type(#[case] problem: Value, #[case] expected: &str) {
        let rem = remediation(&[
            ("slow", Some(&["a"])),
            ("disk", Some(&["b"])),
            ("null", None),
            ("default", Some(&["c"])),
        ]);
        let pinned = pin(Some(&rem), &payload(&json!({ "problem": problem })), "p/s/v");
        assert_eq!(pinned.problem_type, expected);
        assert_eq!(pinned.missing, "");
    }

    #[test]
    fn escalation_tries_every_action_once_and_then_says_so() {
        let rem = remediation(&[("slow", Some(&["a", "b", "c"]))]);
        let mut payload = payload(&json!({"problem": {"problemTitle": "slow"}}));
        let pinned = pin(Some(&rem), &payload, "p/s/v");
        let mut tried = vec![];
        while let Choice::Action { action, index, data } = next(&pinned, &payload) {
            assert_eq!(index, tried.len());
            tried.push(action.action);
            payload.extend(data);
        }
        assert_eq!(tried, ["a", "b", "c"]);
        assert!(!any_left(&pinned, &payload));
        assert!(matches!(
            next(&pinned, &payload),
            Choice::None {
                reason: "NoActionLeft",
                ..
            }
        ));
    }

    #[test]
    fn an_unknown_problem_names_what_is_known() {
        let rem = remediation(&[("slow", Some(&["a"]))]);
        let payload = payload(&json!({"problem": {"problemTitle": "odd"}}));
        let pinned = pin(Some(&rem), &payload, "p/s/v");
        let Choice::None { reason, message } = next(&pinned, &payload) else {
            panic!("an action for nothing")
        };
        assert_eq!(reason, "UnknownProblem");
        assert!(
            message.contains("\"odd\"") && message.contains("slow"),
            "{message}"
        );
    }

    #[test]
    fn no_remediation_says_for_which_place() {
        let pinned = pin(None, &Object::new(), "shop/production/cart");
        let Choice::None { reason, message } = next(&pinned, &Object::new()) else {
            panic!()
        };
        assert_eq!(reason, "NoRemediation");
        assert!(message.contains("shop/production/cart"));
    }
}
