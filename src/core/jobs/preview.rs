//! The Jobs that an event would create, where there is no cluster.

use std::{collections::BTreeMap, sync::Arc};

use k8s_openapi::api::batch::v1::Job;
use kube::ResourceExt;
use serde::Serialize;
use serde_json::Value;

use super::{
    assumed_keys,
    build::{self, JobError, JobInput},
    files::lookup::Labelled,
    lookup,
    matching::{every_condition, matching, unmet},
};
use crate::{
    api::{JobConfig, SequenceExecution, execution::PinnedJobConfig, jobconfig::JobAction, shipyard::Task},
    core::{
        definitions::lookup::{age, fits, specificity},
        place::Place,
    },
};

/// What comes of an event.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Preview {
    /// The Jobs, in the order in which the JobConfigs list them.
    pub jobs: Vec<Job>,
    /// What does not run.
    pub skipped: Vec<Skipped>,
}

/// Something that does not run.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Skipped {
    /// The action.
    pub action: String,
    /// Its task, when the action's others may run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task: Option<String>,
    /// Why.
    pub reason: String,
}

/// The Jobs that the event creates, as the first try of the first attempt. They have no owner: the run that would own them is
/// not there, and Kubernetes deletes at once what belongs to nobody. Of ConfigMaps that stand for directories `known` has the
/// keys, and `labelled` are those found by their labels; what else the tasks' files ask for counts as there.
///
/// # Errors
/// A Job that can't be made.
pub fn preview(
    configs: &[Arc<JobConfig>],
    known: &BTreeMap<String, Vec<String>>,
    labelled: &[Labelled],
    run: &SequenceExecution,
    place: &Place,
    task: &Task,
    event: &Value,
) -> Result<Preview, JobError> {
    let mut sorted: Vec<&JobConfig> = configs.iter().map(AsRef::as_ref).collect();
    sorted.sort_by_cached_key(|config| {
        (
            std::cmp::Reverse(specificity(&config.spec.scope, place)),
            age(*config),
        )
    });
    let pinned: Vec<PinnedJobConfig> = sorted
        .iter()
        .filter_map(|config| pin(config, place, known, labelled))
        .collect();
    // Nothing here is invalid: whoever calls has refused it.
    let matched = matching(&pinned, event).unwrap_or_default();
    let mut found = Preview::default();
    for config in &sorted {
        for (index, action) in config.spec.actions.iter().enumerate() {
            let name = config.name_any();
            let answers = matched
                .iter()
                .find(|m| m.config.name == name && m.action_index == index);
            let Some(answers) = answers else {
                found.skipped.push(Skipped {
                    action: action.name.clone(),
                    task: None,
                    reason: why_not(config, action, place, event),
                });
                continue;
            };
            for (job_index, job) in action.tasks.iter().enumerate() {
                if let Some(unmet) = job.when.iter().find_map(|condition| unmet(condition, event)) {
                    found.skipped.push(Skipped {
                        action: action.name.clone(),
                        task: Some(job.name.clone()),
                        reason: format!("its when {unmet}"),
                    });
                    continue;
                }
                let mut built = build::build(&JobInput {
                    execution: run,
                    attempt: 1,
                    task,
                    task_index: 0,
                    config: answers.config,
                    action_index: index,
                    key_index: answers.index,
                    job_index,
                    try_: 1,
                    event,
                })?;
                built.metadata.owner_references = None;
                found.jobs.push(built);
            }
        }
    }
    Ok(found)
}

fn pin(
    config: &JobConfig,
    place: &Place,
    known: &BTreeMap<String, Vec<String>>,
    labelled: &[Labelled],
) -> Option<PinnedJobConfig> {
    let spec = &config.spec;
    let mut pinned = PinnedJobConfig {
        name: config.name_any(),
        specificity: specificity(&spec.scope, place)?,
        actions: spec.actions.clone(),
        sources: spec.sources.clone(),
        keys: assumed_keys(&spec.actions, &spec.sources, known),
        ..PinnedJobConfig::default()
    };
    lookup::assume(&mut pinned, labelled);
    Some(pinned)
}

/// Why an action does not answer.
fn why_not(config: &JobConfig, action: &JobAction, place: &Place, event: &Value) -> String {
    let scope = &config.spec.scope;
    if specificity(scope, place).is_none() {
        let parts = [Some(&scope.project), scope.stage.as_ref(), scope.service.as_ref()];
        let parts: Vec<&str> = parts.into_iter().flatten().map(String::as_str).collect();
        return format!(
            "JobConfig {} is for {}, and the event for {place}",
            config.name_any(),
            parts.join("/")
        );
    }
    let event_type = event["type"].as_str().unwrap_or_default();
    let named = || {
        action
            .events
            .iter()
            .filter(|filter| fits(&filter.name, event_type))
    };
    let missing: Vec<String> = named()
        .filter_map(|filter| every_condition(filter).find_map(|condition| unmet(condition, event)))
        .collect();
    if named().next().is_none() {
        let names: Vec<&str> = action.events.iter().map(|filter| filter.name.as_str()).collect();
        format!("it answers {}, and not {event_type}", names.join(", "))
    } else if missing.len() == named().count() {
        format!("it {}", missing.join("; it "))
    } else {
        "a JobConfig with a more specific scope answers".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn config(name: &str, scope: &str, actions: &str) -> Arc<JobConfig> {
        let spec = format!("{{project: p, {scope} actions: {actions}}}");
        Arc::new(JobConfig::new(name, serde_yaml::from_str(&spec).unwrap()))
    }

    fn previewed(configs: &[Arc<JobConfig>], data: Value) -> Result<Preview, JobError> {
        let run = serde_json::from_value(json!({
            "metadata": {"name": "r", "namespace": "shop", "uid": "0"},
            "spec": {"project": "p", "stage": "s", "service": "v", "sequence": "q"},
        }));
        let task = Task {
            name: "action".to_owned(),
            ..Task::default()
        };
        let event = json!({"type": "sh.keptn.event.action.triggered", "data": data});
        let place = Place::new("p", "s", "v").unwrap();
        preview(
            configs,
            &BTreeMap::new(),
            &[],
            &run.unwrap(),
            &place,
            &task,
            &event,
        )
    }

    fn names(preview: &Preview) -> Vec<&str> {
        let containers = preview.jobs.iter().map(|job| {
            &job.spec
                .as_ref()
                .unwrap()
                .template
                .spec
                .as_ref()
                .unwrap()
                .containers[0]
        });
        containers
            .map(|container| container.image.as_deref().unwrap())
            .collect()
    }

    fn skipped(preview: &Preview) -> Vec<String> {
        let line = |s: &Skipped| {
            format!(
                "{}{}: {}",
                s.action,
                s.task.as_ref().map(|t| format!("/{t}")).unwrap_or_default(),
                s.reason
            )
        };
        preview.skipped.iter().map(line).collect()
    }

    #[test]
    fn what_runs_and_what_does_not() {
        let configs = [
            config("general", "", "[{name: Any, events: [{name: '*'}], tasks: [{name: t, image: any}]}]"),
            config("other", "service: w,", "[{name: W, events: [{name: '*'}], tasks: [{name: t, image: w}]}]"),
            config(
                "own",
                "stage: s, service: v,",
                "[{name: Scale, events: [{name: sh.keptn.event.action.triggered, jsonpath: {property: $.data.action, match: scale}}],
                   tasks: [{name: one, image: one}, {name: two, image: two, when: [{property: $.data.slow, match: 'true'}]}, {name: three, image: three, files: [charts/x.tgz]}]},
                  {name: Restart, events: [{name: sh.keptn.event.action.triggered, conditions: [{property: $.data.action, match: restart}]}], tasks: [{name: t, image: r}]},
                  {name: Test, events: [{name: sh.keptn.event.test.triggered}], tasks: [{name: t, image: t}]}]
                 , sources: [{path: charts, configMap: {name: charts}}]",
            ),
        ];
        let found = previewed(&configs, json!({"action": "scale"})).unwrap();
        assert_eq!(names(&found), ["one", "three"]);
        assert_eq!(
            skipped(&found),
            [
                r#"Scale/two: its when wants "true" at $.data.slow, there is nothing"#,
                r#"Restart: it wants "restart" at $.data.action, it is "scale""#,
                "Test: it answers sh.keptn.event.test.triggered, and not sh.keptn.event.action.triggered",
                "Any: a JobConfig with a more specific scope answers",
                "W: JobConfig other is for p/w, and the event for p/s/v",
            ]
        );
        let job = serde_json::to_value(&found.jobs[0]).unwrap();
        assert_eq!(job["metadata"]["ownerReferences"], Value::Null);
        assert_eq!(
            previewed(&configs, json!({"action": "scale"})).unwrap(),
            found,
            "the same each time"
        );
    }

    #[test]
    fn a_job_that_can_not_be_made_is_an_error() {
        let actions = "[{name: A, events: [{name: '*'}], tasks: [{name: t, image: i, env: [{name: V, value: $.data.x, valueFrom: event}]}]}]";
        let error = previewed(&[config("c", "", actions)], json!({})).unwrap_err();
        assert_eq!(error.reason(), "MissingValue");
    }
}
