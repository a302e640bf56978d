//! What is wrong with a Remediation.

use std::collections::BTreeMap;

use crate::{
    api::{Remediation, remediation::ProblemActions},
    core::Invalid,
};

/// What is wrong with a Remediation; empty when all is well.
pub fn remediation(object: &Remediation) -> Vec<Invalid> {
    let mut wrong = Vec::new();
    let mut first: BTreeMap<&str, usize> = BTreeMap::new();
    for (index, entry) in object.spec.remediations.iter().enumerate() {
        actions(index, entry, &mut wrong);
        // An entry without actions is passed over, so it hides nothing.
        if entry.actions_on_open.is_none() {
            continue;
        }
        match first.get(entry.problem_type.as_str()) {
            None => {
                first.insert(&entry.problem_type, index);
            }
            Some(earlier) => wrong.push(Invalid::new(
                format!("spec.remediations[{index}].problemType"),
                format!(
                    "{:?} is there already at spec.remediations[{earlier}], so these actions are never reached; \
                     put them into that one",
                    entry.problem_type
                ),
            )),
        }
    }
    if let Some(budget) = object.spec.budget
        && budget.per.0.is_zero()
    {
        let message = "is no time at all; write the length of the period, such as 1h";
        wrong.push(Invalid::new("spec.budget.per", message));
    }
    wrong
}

fn actions(index: usize, entry: &ProblemActions, wrong: &mut Vec<Invalid>) {
    let path = format!("spec.remediations[{index}].actionsOnOpen");
    let Some(actions) = &entry.actions_on_open else {
        return;
    };
    if actions.is_empty() {
        let message = format!(
            "{:?} has no action; add one, or remove actionsOnOpen to have the problem looked for in later entries",
            entry.problem_type
        );
        wrong.push(Invalid::new(&path, message));
    }
    for (position, action) in actions.iter().enumerate() {
        if action.action.trim().is_empty() {
            wrong.push(Invalid::new(
                format!("{path}[{position}].action"),
                "is empty; name the action",
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn remediation_of(spec: &str) -> Remediation {
        let mut yaml: serde_json::Value = serde_yaml::from_str(spec).unwrap();
        yaml["project"] = "fulltour".into();
        Remediation::new("healing", serde_json::from_value(yaml).unwrap())
    }

    #[rstest]
    #[case::one_action("remediations: [{problemType: slow, actionsOnOpen: [{action: scale, value: '2'}]}]")]
    #[case::passed_over(
        "remediations: [{problemType: slow}, {problemType: slow, actionsOnOpen: [{action: scale}]}]"
    )]
    #[case::nothing("remediations: []\nbudget: {actions: 0, per: 1h}")]
    fn accepts(#[case] spec: &str) {
        assert_eq!(remediation(&remediation_of(spec)), []);
    }

    #[rstest]
    #[case::twice(
        "remediations: [{problemType: a, actionsOnOpen: [{action: x}]}, {problemType: a, actionsOnOpen: [{action: y}]}]",
        "spec.remediations[1].problemType: \"a\" is there already at spec.remediations[0]"
    )]
    #[case::no_action(
        "remediations: [{problemType: a, actionsOnOpen: []}]",
        "spec.remediations[0].actionsOnOpen: \"a\" has no action; add one"
    )]
    #[case::blank(
        "remediations: [{problemType: a, actionsOnOpen: [{action: ' '}]}]",
        "spec.remediations[0].actionsOnOpen[0].action: is empty"
    )]
    #[case::no_period(
        "remediations: []\nbudget: {actions: 3, per: 0s}",
        "spec.budget.per: is no time at all"
    )]
    fn refuses(#[case] spec: &str, #[case] says: &str) {
        let wrong = remediation(&remediation_of(spec));
        assert_eq!(wrong.len(), 1, "{wrong:?}");
        assert!(wrong[0].to_string().starts_with(says), "{}", wrong[0]);
    }
}
