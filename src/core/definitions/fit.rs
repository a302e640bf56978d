//! Do the definitions fit together? What each is by itself may be valid and yet come to nothing: a trigger that can never
//! fire, an action that nobody carries out, an objective that nothing measures.

use std::collections::BTreeMap;

use serde_json::json;

use super::{
    Snapshot,
    lookup::{fits, sequence_of, triggered},
    nearest::hint,
    verdict::Definition,
};
use crate::{
    api::{
        JobConfig, Remediation, Scope, ServiceLevelObjective, Shipyard,
        jobconfig::{Condition, EventFilter},
        remediation::Action,
        shipyard::{Selector, Sequence, Trigger},
    },
    core::{
        Invalid,
        jobs::matching::every_condition,
        jsonpath,
        selector::{End, fires},
        sequence::GET_ACTION,
    },
};

/// What begins the properties that a remediation action itself decides.
const OF_ACTION: &str = "$.data.action.";
/// The task that carries remediation actions out, by Keptn's convention.
const ACTION: &str = "action";

/// The rules of `triggeredOn` that no end of their sequence fulfils.
pub fn never_fires(shipyard: &Shipyard) -> Vec<Invalid> {
    let mut found = Vec::new();
    for (i, stage) in shipyard.spec.stages.iter().enumerate() {
        for (j, sequence) in stage.sequences.iter().enumerate() {
            for (k, rule) in sequence.triggered_on.iter().enumerate() {
                // What names no sequence is a mistake of its own.
                let Some(other) = ended(shipyard, &rule.event) else {
                    continue;
                };
                if !can_fire(rule, &other) {
                    found.push(Invalid::new(
                        format!("spec.stages[{i}].sequences[{j}].triggeredOn[{k}].selector"),
                        format!(
                            "can never fire: no end of {} fulfils all of it at once, because what comes after a failed task \
                             does not run; part it into several rules",
                            rule.event.trim_end_matches(".finished")
                        ),
                    ));
                }
            }
        }
    }
    found
}

/// The sequence on whose end a rule waits.
fn ended(shipyard: &Shipyard, event: &str) -> Option<Sequence> {
    let (stage, name) = event.strip_suffix(".finished")?.split_once('.')?;
    let stage = shipyard.spec.stages.iter().find(|s| s.name == stage)?;
    Some(sequence_of(stage, name)?.into_owned())
}

/// Whether the rule fires on any way in which the sequence can end: all tasks ran, or one failed or errored after the
/// others passed. What it says of the data may be so.
fn can_fire(rule: &Trigger, sequence: &Sequence) -> bool {
    let Some(selector) = &rule.selector else {
        return true;
    };
    let mut wanted = selector.match_.clone();
    let said = wanted.len();
    wanted.retain(|key, _| !key.starts_with("$.data."));
    if said == 0 || wanted.is_empty() {
        return said > 0;
    }
    let rule = Trigger {
        event: rule.event.clone(),
        selector: Some(Selector {
            match_: wanted.clone(),
        }),
    };
    let names: Vec<&str> = sequence.tasks.iter().map(|t| t.name.as_str()).collect();
    let escalates = names.contains(&GET_ACTION);
    // Before a failed task every other one passed or warned, as the rule would have it.
    let well = |name: &str| match wanted.get(&format!("{name}.result")).map(String::as_str) {
        Some("warning") => "warning",
        _ => "pass",
    };
    let end = |last: usize, result: &str, status: &str| {
        let mut tasks: BTreeMap<String, (String, String)> = names[..last]
            .iter()
            .map(|name| {
                (
                    (*name).to_owned(),
                    (well(name).to_owned(), "succeeded".to_owned()),
                )
            })
            .collect();
        tasks.insert(names[last].to_owned(), (result.to_owned(), status.to_owned()));
        let failed = result == "fail" || status == "errored";
        End {
            event: rule.event.clone(),
            result: result.to_owned(),
            tasks,
            unreached: (escalates && failed).then(|| "fail".to_owned()),
            payload: serde_json::Map::new(),
        }
    };
    let failures = [
        ("fail", "succeeded"),
        ("fail", "errored"),
        ("pass", "errored"),
        ("warning", "errored"),
    ];
    (0..names.len()).any(|last| {
        let whole = last + 1 == names.len();
        let good = [("pass", "succeeded"), ("warning", "succeeded")];
        let ways = failures.iter().chain(good.iter().filter(|_| whole));
        ways.into_iter()
            .any(|(result, status)| fires(&rule, &end(last, result, status)))
    })
}

/// The actions of a Remediation that no JobConfig carries out, in projects that have JobConfigs at all.
pub fn idle_actions(remediation: &Remediation, all: &Snapshot) -> Vec<Invalid> {
    let scope = &remediation.spec.scope;
    let configs: Vec<&JobConfig> = all
        .job_configs
        .iter()
        .map(AsRef::as_ref)
        .filter(|config| overlap(scope, &config.spec.scope) && config.mistakes().is_empty())
        .collect();
    if configs.is_empty() {
        return vec![];
    }
    let event = triggered(ACTION);
    let filters: Vec<&EventFilter> = configs
        .iter()
        .flat_map(|c| c.spec.actions.iter().flat_map(|a| &a.events))
        .filter(|filter| fits(&filter.name, &event))
        .collect();
    let known: Vec<&str> = filters
        .iter()
        .flat_map(|f| every_condition(f))
        .filter(|c| c.property == "$.data.action.action")
        .filter_map(|c| c.match_.as_deref())
        .collect();
    let mut found = Vec::new();
    for (i, problem) in remediation.spec.remediations.iter().enumerate() {
        for (j, action) in problem.actions_on_open.iter().flatten().enumerate() {
            if !filters.iter().any(|filter| takes(filter, action)) {
                let name = &action.action;
                found.push(Invalid::new(
                    format!("spec.remediations[{i}].actionsOnOpen[{j}].action"),
                    format!(
                        "nobody carries out {name:?}: no JobConfig action answers {event} with it{}",
                        hint(name, known.iter().copied())
                    ),
                ));
            }
        }
    }
    found
}

/// Whether a filter may take an action; conditions on anything else may hold.
fn takes(filter: &EventFilter, action: &Action) -> bool {
    let event = json!({"data": {"action": action}});
    let holds = |condition: &Condition| {
        let found = jsonpath::lookup(&event, &condition.property).ok().flatten();
        let text = found.map(|value| jsonpath::text(&value));
        match (&condition.match_, &condition.not_match) {
            (Some(wanted), _) => text.as_ref() == Some(wanted),
            (None, Some(unwanted)) => text.as_ref() != Some(unwanted),
            (None, None) => true,
        }
    };
    every_condition(filter)
        .filter(|c| c.property.starts_with(OF_ACTION))
        .all(holds)
}

/// The indicators of an objective for which no ServiceLevelIndicator has a query, where there are any at all.
pub fn unmeasured(objective: &ServiceLevelObjective, all: &Snapshot) -> Vec<Invalid> {
    let scope = &objective.spec.scope;
    let slis = all
        .indicators
        .iter()
        .filter(|sli| overlap(scope, &sli.spec.scope));
    let known: Vec<&str> = slis
        .flat_map(|sli| sli.spec.indicators.keys().map(String::as_str))
        .collect();
    if all.indicators.is_empty() {
        return vec![];
    }
    let objectives = objective.spec.body.objectives.iter().enumerate();
    objectives
        .filter(|(_, o)| !known.contains(&o.sli.as_str()))
        .map(|(i, o)| {
            let hint = hint(&o.sli, known.iter().copied());
            Invalid::new(
                format!("spec.objectives[{i}].sli"),
                format!("no ServiceLevelIndicator has a query for {:?}{hint}", o.sli),
            )
        })
        .collect()
}

/// Whether there may be a place that both scopes cover.
fn overlap(a: &Scope, b: &Scope) -> bool {
    let both = |a: &Option<String>, b: &Option<String>| a.is_none() || b.is_none() || a == b;
    a.project == b.project && both(&a.stage, &b.stage) && both(&a.service, &b.service)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rstest::rstest;

    use super::*;

    fn told(tasks: &str, selector: &str) -> usize {
        let yaml = format!(
            "stages: [{{name: qa, sequences: [{{name: a, tasks: [{tasks}]}}, {{name: b, tasks: [{{name: x}}], triggeredOn: [{{event: qa.a.finished, selector: {{match: {{{selector}}}}}}}]}}]}}]"
        );
        never_fires(&Shipyard::new("p", serde_yaml::from_str(&yaml).unwrap())).len()
    }

    const PLAIN: &str = "{name: deploy}, {name: test}";
    const HEALS: &str = "{name: get-action}, {name: action}, {name: evaluation}";

    #[rstest]
    #[case::result(PLAIN, "result: fail", 0)]
    #[case::warning(PLAIN, "result: warning", 0)]
    #[case::task(PLAIN, "test.result: failed", 0)]
    #[case::errored(PLAIN, "deploy.status: errored", 0)]
    #[case::data(PLAIN, "$.data.x: y", 0)]
    #[case::data_besides(PLAIN, "$.data.x: y, deploy.result: fail, test.result: pass", 1)]
    #[case::after_a_failure(PLAIN, "deploy.result: fail, test.result: pass", 1)]
    #[case::two_failures(PLAIN, "deploy.result: fail, test.result: fail", 1)]
    #[case::warned_then_failed(PLAIN, "deploy.result: warning, test.result: fail", 0)]
    #[case::both(PLAIN, "result: pass, test.result: fail", 1)]
    #[case::unreached_reads_fail(HEALS, "action.result: fail, evaluation.result: fail", 0)]
    #[case::unreached_is_no_pass(HEALS, "action.result: fail, evaluation.result: pass", 1)]
    fn rules_that_can_never_fire(#[case] tasks: &str, #[case] selector: &str, #[case] found: usize) {
        assert_eq!(told(tasks, selector), found);
    }

    fn snapshot(config: &str) -> Snapshot {
        let config = JobConfig::new("c", serde_yaml::from_str(config).unwrap());
        Snapshot {
            job_configs: vec![Arc::new(config)],
            ..Snapshot::default()
        }
    }

    const SCALES: &str =
        "{project: p, actions: [{name: Scale, events: [{name: sh.keptn.event.action.triggered,
        jsonpath: {property: $.data.action.action, match: scale}}], tasks: [{name: t, image: i}]}]}";

    fn remediation(scope: &str) -> Remediation {
        let yaml = format!(
            "{{project: p, {scope} remediations: [{{problemType: slow, actionsOnOpen: [{{action: scale}}, {{action: scael}}]}}]}}"
        );
        Remediation::new("r", serde_yaml::from_str(&yaml).unwrap())
    }

    #[test]
    fn an_action_that_nobody_carries_out_is_told_with_the_nearest() {
        let found = idle_actions(&remediation(""), &snapshot(SCALES));
        assert_eq!(
            found.iter().map(ToString::to_string).collect::<Vec<_>>(),
            [
                "spec.remediations[0].actionsOnOpen[1].action: nobody carries out \"scael\": no JobConfig action answers sh.keptn.event.action.triggered with it; did you mean \"scale\"?"
            ]
        );
        let other = SCALES.replace("project: p", "project: p, stage: qa");
        assert!(idle_actions(&remediation("stage: dev,"), &snapshot(&other)).is_empty());
        let any = SCALES.replace("property: $.data.action.action", "property: $.data.x");
        assert!(idle_actions(&remediation(""), &snapshot(&any)).is_empty());
    }

    #[test]
    fn an_indicator_without_a_query_is_told() {
        let sli = "{project: p, indicators: {response_time: up}}";
        let sli = crate::api::ServiceLevelIndicator::new("s", serde_yaml::from_str(sli).unwrap());
        let slo = "{project: p, objectives: [{sli: response_time}, {sli: respnse_time}]}";
        let slo = ServiceLevelObjective::new("o", serde_yaml::from_str(slo).unwrap());
        let mut all = Snapshot::default();
        assert!(unmeasured(&slo, &all).is_empty());
        all.indicators.push(Arc::new(sli));
        let found = unmeasured(&slo, &all);
        assert_eq!(found.len(), 1);
        assert_eq!(
            found[0].to_string(),
            "spec.objectives[1].sli: no ServiceLevelIndicator has a query for \"respnse_time\"; did you mean \"response_time\"?"
        );
    }
}
