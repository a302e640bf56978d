//! Who answers what: the tasks that a JobConfig answers, its actions that nothing can trigger, and a project's tasks that
//! nobody answers.

use std::collections::BTreeSet;

use kube::ResourceExt;

use super::{
    Snapshot,
    lookup::{EVALUATION, fits, sequence_names, sequence_of, triggered},
    nearest::hint,
    verdict::{Definition, Verdict},
};
use crate::{
    api::{
        JobConfig, Scope, Shipyard,
        jobconfig::{EventFilter, JobAction},
    },
    core::{
        jobs::matching::every_condition,
        sequence::{APPROVAL, GET_ACTION},
    },
};

/// So many lines a status lists; the others are counted.
const LISTED: usize = 100;
/// The property that says which remediation action is to run.
const ACTION: &str = "$.data.action.action";

/// Lines for a status.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Lines(BTreeSet<String>);

impl Lines {
    /// The first of them, sorted.
    pub fn listed(&self) -> Vec<String> {
        self.0.iter().take(LISTED).cloned().collect()
    }

    /// How many there are.
    pub fn count(&self) -> i32 {
        i32::try_from(self.0.len()).unwrap_or(i32::MAX)
    }
}

/// One task of a project.
struct At<'a> {
    stage: &'a str,
    sequence: String,
    task: String,
    event: String,
    /// Whether somebody outside reports on it.
    is_external: bool,
    /// Whether its sequence chooses a remediation action.
    asks_for_action: bool,
}

impl At<'_> {
    fn path(&self) -> String {
        format!("{}.{}.{}", self.stage, self.sequence, self.task)
    }
}

/// Every task of a project's stages, or of the one that is named; also those of the sequence that every stage has.
fn tasks<'a>(shipyard: &'a Shipyard, stage: Option<&str>) -> Vec<At<'a>> {
    let stages = shipyard.spec.stages.iter();
    let stages = stages.filter(|of| stage.is_none_or(|stage| of.name == stage));
    let sequences = stages.flat_map(|stage| {
        let names = sequence_names(stage).into_iter();
        names.filter_map(|name| Some((stage.name.as_str(), sequence_of(stage, name)?.into_owned())))
    });
    sequences
        .flat_map(|(stage, sequence)| {
            let asks_for_action = sequence.tasks.iter().any(|task| task.name == GET_ACTION);
            sequence.tasks.into_iter().map(move |task| At {
                stage,
                sequence: sequence.name.clone(),
                event: triggered(&task.name),
                is_external: task.executor.is_some(),
                task: task.name,
                asks_for_action,
            })
        })
        .collect()
}

/// The tasks that a JobConfig has an action for, as `<stage>.<sequence>.<task>`: by the names of their events. One that is
/// not in force answers nothing.
pub fn answers(config: &JobConfig, verdict: &Verdict, all: &Snapshot) -> Lines {
    let scope = &config.spec.scope;
    let Some(shipyard) = project(all, scope).filter(|_| *verdict == Verdict::Valid) else {
        return Lines::default();
    };
    let tasks = tasks(shipyard, scope.stage.as_deref()).into_iter();
    let answered = tasks.filter(|at| names_event(config, &at.event));
    Lines(answered.map(|at| at.path()).collect())
}

/// The actions of a JobConfig that nothing can trigger, each with the reason: no task of the project has the event, or its
/// condition wants a remediation action that no Remediation has.
pub fn unused(config: &JobConfig, verdict: &Verdict, all: &Snapshot) -> Lines {
    if *verdict != Verdict::Valid {
        return Lines::default();
    }
    let scope = &config.spec.scope;
    let Some(shipyard) = project(all, scope) else {
        let known: Vec<String> = all.shipyards.iter().map(|shipyard| shipyard.name_any()).collect();
        let hint = hint(&scope.project, known.iter().map(String::as_str));
        let reason = format!("there is no Shipyard {:?} in this namespace{hint}", scope.project);
        let each = config.spec.actions.iter();
        return Lines(each.map(|action| format!("{}: {reason}", action.name)).collect());
    };
    let tasks = tasks(shipyard, scope.stage.as_deref());
    let known = known_actions(all, scope);
    let reason = |action: &JobAction| {
        let mut reasons = action
            .events
            .iter()
            .map(|filter| why_never(filter, shipyard, &tasks, known.as_ref()));
        let first = reasons.next().flatten()?;
        reasons
            .all(|reason| reason.is_some())
            .then(|| format!("{}: {first}", action.name))
    };
    Lines(config.spec.actions.iter().filter_map(reason).collect())
}

/// The tasks of a project that nobody answers.
pub fn unanswered(shipyard: &Shipyard, verdict: &Verdict, all: &Snapshot) -> Lines {
    if *verdict != Verdict::Valid {
        return Lines::default();
    }
    let of_project = all
        .job_configs
        .iter()
        .filter(|c| c.spec.scope.project == shipyard.name_any());
    let in_force: Vec<_> = of_project.filter(|config| config.mistakes().is_empty()).collect();
    let is_answered = |at: &At| {
        let is_built_in = [GET_ACTION, APPROVAL, EVALUATION].contains(&at.task.as_str());
        let applies = |config: &JobConfig| {
            config
                .spec
                .scope
                .stage
                .as_deref()
                .is_none_or(|stage| stage == at.stage)
        };
        let mut configs = in_force.iter();
        at.is_external
            || is_built_in
            || configs.any(|config| applies(config) && names_event(config, &at.event))
    };
    let tasks = tasks(shipyard, None).into_iter();
    Lines(tasks.filter(|at| !is_answered(at)).map(|at| at.path()).collect())
}

fn project<'a>(all: &'a Snapshot, scope: &Scope) -> Option<&'a Shipyard> {
    let mut shipyards = all.shipyards.iter();
    shipyards
        .find(|s| s.metadata.name.as_ref() == Some(&scope.project))
        .map(AsRef::as_ref)
}

fn names_event(config: &JobConfig, event: &str) -> bool {
    let mut filters = config.spec.actions.iter().flat_map(|action| &action.events);
    filters.any(|filter| fits(&filter.name, event))
}

/// The actions of every Remediation that can apply where the scope does. None: they may come from elsewhere, because a
/// JobConfig answers get-action.
fn known_actions<'a>(all: &'a Snapshot, scope: &Scope) -> Option<BTreeSet<&'a str>> {
    let overlaps = |other: &Scope| {
        let both = |a: &Option<String>, b: &Option<String>| a.is_none() || b.is_none() || a == b;
        other.project == scope.project
            && both(&other.stage, &scope.stage)
            && both(&other.service, &scope.service)
    };
    let get_action = triggered(GET_ACTION);
    let mut configs = all.job_configs.iter();
    if configs.any(|config| overlaps(&config.spec.scope) && names_event(config, &get_action)) {
        return None;
    }
    let remediations = all.remediations.iter().filter(|r| overlaps(&r.spec.scope));
    let problems = remediations.flat_map(|remediation| &remediation.spec.remediations);
    let actions = problems.flat_map(|problem| problem.actions_on_open.iter().flatten());
    Some(actions.map(|action| action.action.as_str()).collect())
}

/// Why no task can fit a filter, as far as that is known.
fn why_never(
    filter: &EventFilter,
    shipyard: &Shipyard,
    tasks: &[At],
    known: Option<&BTreeSet<&str>>,
) -> Option<String> {
    let mut fitting = tasks.iter().filter(|at| fits(&filter.name, &at.event)).peekable();
    if fitting.peek().is_none() {
        let events = tasks.iter().map(|at| at.event.as_str());
        let hint = hint(&filter.name, events.collect::<BTreeSet<_>>().iter().copied());
        return Some(format!(
            "no task of Shipyard {} has the event {}{hint}",
            shipyard.name_any(),
            filter.name
        ));
    }
    // Without get-action the action comes with the trigger, and may be any.
    let known = known.filter(|_| fitting.all(|at| at.asks_for_action))?;
    let of_action = every_condition(filter).filter(|condition| condition.property == ACTION);
    let wanted = of_action.filter_map(|condition| condition.match_.as_deref());
    let unknown = wanted.into_iter().find(|action| !known.contains(action))?;
    let hint = hint(unknown, known.iter().copied());
    Some(format!("no Remediation has the action {unknown:?}{hint}"))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rstest::rstest;

    use super::*;
    use crate::api::Remediation;

    const SHOP: &str = "
stages:
- name: qa
  sequences:
  - {name: delivery, tasks: [{name: deployment}, {name: test}, {name: evaluation}, {name: sign, executor: External}]}
- name: production
  sequences:
  - {name: remediation, tasks: [{name: get-action}, {name: action}, {name: evaluation}]}
  - {name: by-hand, tasks: [{name: approval}, {name: scale}]}
";

    fn config(yaml: &str) -> Arc<JobConfig> {
        let mut spec: serde_json::Value = serde_yaml::from_str(yaml).unwrap();
        spec["project"] = "shop".into();
        Arc::new(JobConfig::new("c", serde_json::from_value(spec).unwrap()))
    }

    /// One action for an event; `more` are further fields of the filter.
    fn action(name: &str, event: &str, more: &str) -> String {
        format!("{{name: {name}, events: [{{name: {event:?} {more}}}], tasks: [{{name: t, image: i}}]}}")
    }

    fn wants(action: &str) -> String {
        format!(", jsonpath: {{property: $.data.action.action, match: {action}}}")
    }

    fn snapshot(configs: &[&Arc<JobConfig>], actions: &[&str]) -> Snapshot {
        let actions: Vec<_> = actions
            .iter()
            .map(|action| format!("{{action: {action}}}"))
            .collect();
        let remediation = format!(
            "{{project: shop, stage: production, remediations: [{{problemType: x, actionsOnOpen: [{}]}}]}}",
            actions.join(", ")
        );
        Snapshot {
            shipyards: vec![Arc::new(Shipyard::new(
                "shop",
                serde_yaml::from_str(SHOP).unwrap(),
            ))],
            remediations: vec![Arc::new(Remediation::new(
                "r",
                serde_yaml::from_str(&remediation).unwrap(),
            ))],
            job_configs: configs.iter().map(|config| Arc::clone(config)).collect(),
            ..Snapshot::default()
        }
    }

    #[rstest]
    #[case::one("sh.keptn.event.test.triggered", "", &["qa.delivery.test"])]
    #[case::a_built_in_is_replaced("sh.keptn.event.evaluation.triggered", "", &["production.evaluation.evaluation", "production.remediation.evaluation", "qa.delivery.evaluation", "qa.evaluation.evaluation"])]
    #[case::of_a_stage("*.evaluation.triggered", "stage: qa, ", &["qa.delivery.evaluation", "qa.evaluation.evaluation"])]
    #[case::none("sh.keptn.event.tests.triggered", "", &[])]
    #[case::of_no_stage("sh.keptn.event.test.triggered", "stage: dev, ", &[])]
    fn what_a_job_config_answers(#[case] event: &str, #[case] scope: &str, #[case] expected: &[&str]) {
        let config = config(&format!("{{{scope}actions: [{}]}}", action("a", event, "")));
        let all = snapshot(&[&config], &[]);
        let found = answers(&config, &Verdict::Valid, &all);
        assert_eq!(
            (found.listed(), found.count()),
            (
                expected.iter().map(ToString::to_string).collect(),
                i32::try_from(expected.len()).unwrap()
            )
        );
        assert_eq!(answers(&config, &Verdict::Invalid(vec![]), &all).count(), 0);
    }

    #[rstest]
    #[case::used("sh.keptn.event.action.triggered", &wants("scale"), None)]
    #[case::unconditional("sh.keptn.event.action.triggered", "", None)]
    #[case::typo("sh.keptn.event.actions.triggered", "", Some(r#"a: no task of Shipyard shop has the event sh.keptn.event.actions.triggered; did you mean "sh.keptn.event.action.triggered"?"#))]
    #[case::no_such_action("sh.keptn.event.action.triggered", &wants("scal"), Some(r#"a: no Remediation has the action "scal"; did you mean "scale"?"#))]
    #[case::other_property(
        "sh.keptn.event.action.triggered",
        ", jsonpath: {property: $.data.x, match: y}",
        None
    )]
    #[case::anything_but(
        "sh.keptn.event.action.triggered",
        ", conditions: [{property: $.data.action.action, notMatch: y}]",
        None
    )]
    #[case::one_of_several("sh.keptn.event.action.triggered", &format!("}}, {{name: sh.keptn.event.x.triggered {}", wants("scale")), None)]
    #[case::from_the_trigger("sh.keptn.event.scale.triggered", &wants("anything"), None)]
    fn an_action_that_nothing_triggers(#[case] event: &str, #[case] more: &str, #[case] says: Option<&str>) {
        let config = config(&format!("{{actions: [{}]}}", action("a", event, more)));
        let found = unused(
            &config,
            &Verdict::Valid,
            &snapshot(&[&config], &["restart", "scale"]),
        );
        assert_eq!(
            found.listed(),
            says.into_iter().map(ToString::to_string).collect::<Vec<_>>()
        );
    }

    #[test]
    fn a_get_action_of_the_user_s_own_may_choose_anything() {
        let config = config(&format!(
            "{{actions: [{}]}}",
            action("a", "sh.keptn.event.action.triggered", &wants("x"))
        ));
        let own = super::tests::config(&format!(
            "{{actions: [{}]}}",
            action("b", "sh.keptn.event.get-action.triggered", "")
        ));
        assert_eq!(
            unused(&config, &Verdict::Valid, &snapshot(&[&config, &own], &[])).count(),
            0
        );
        assert_eq!(
            unused(&config, &Verdict::Valid, &snapshot(&[&config], &[])).count(),
            1
        );
    }

    #[test]
    fn without_its_project_a_job_config_is_of_no_use() {
        let config = config(&format!("{{actions: [{}]}}", action("a", "*", "")));
        let all = Snapshot {
            shipyards: vec![],
            ..snapshot(&[&config], &[])
        };
        assert_eq!(
            unused(&config, &Verdict::Valid, &all).listed(),
            ["a: there is no Shipyard \"shop\" in this namespace"]
        );
        assert_eq!(answers(&config, &Verdict::Valid, &all).count(), 0);
    }

    #[rstest]
    #[case::nobody(&[], &["production.by-hand.scale", "production.remediation.action", "qa.delivery.deployment", "qa.delivery.test"])]
    #[case::one_stage(&["{stage: qa, actions: [{name: a, events: [{name: '*'}], tasks: [{name: t, image: i}]}]}"], &["production.by-hand.scale", "production.remediation.action"])]
    #[case::all(&["{actions: [{name: a, events: [{name: '*'}], tasks: [{name: t, image: i}]}]}"], &[])]
    fn the_tasks_that_nobody_answers(#[case] configs: &[&str], #[case] expected: &[&str]) {
        let configs: Vec<_> = configs.iter().map(|yaml| config(yaml)).collect();
        let all = snapshot(&configs.iter().collect::<Vec<_>>(), &[]);
        assert_eq!(
            unanswered(&all.shipyards[0], &Verdict::Valid, &all).listed(),
            expected
        );
    }

    #[test]
    fn long_lists_are_cut_and_counted() {
        let lines = Lines((0..150).map(|i| format!("{i:03}")).collect());
        assert_eq!((lines.listed().len(), lines.count()), (100, 150));
    }
}
