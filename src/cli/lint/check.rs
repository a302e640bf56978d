//! What is wrong with objects, each by itself and together.

use std::sync::Arc;

use kube::ResourceExt;

use crate::{
    api::{JobConfig, Shipyard},
    core::{
        Invalid,
        definitions::{
            Snapshot, coverage, fit,
            verdict::{Definition, Verdict, judge},
        },
        simulate::{Definitions, Document},
    },
};

/// One thing that is wrong.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Finding {
    /// The file.
    pub file: String,
    /// The object: its kind and name; empty when it is the file itself.
    pub object: String,
    /// The field; empty when it is the whole object.
    pub field: String,
    /// What is wrong, and the remedy.
    pub message: String,
}

impl Finding {
    /// Something about a whole file.
    pub(super) fn of_file(file: &str, message: &str) -> Self {
        Self {
            file: file.to_owned(),
            object: String::new(),
            field: String::new(),
            message: message.to_owned(),
        }
    }

    /// A line of a reader: `file: field: message`, or `file: message`.
    pub(super) fn of_line(line: &str) -> Self {
        let mut parts = line.splitn(3, ": ");
        let (file, second, third) = (parts.next(), parts.next(), parts.next());
        let is_field = |text: &str| !text.contains(' ');
        match (second, third) {
            (Some(field), Some(message)) if is_field(field) => Self {
                field: field.to_owned(),
                ..Self::of_file(file.unwrap_or_default(), message)
            },
            (Some(_), _) => Self::of_file(
                file.unwrap_or_default(),
                &line[file.unwrap_or_default().len() + 2..],
            ),
            _ => Self::of_file(line, "can't be read"),
        }
    }

    /// `file: object: field`, as far as they are known.
    pub fn place(&self) -> String {
        let parts = [&self.file, &self.object, &self.field];
        let known: Vec<&str> = parts
            .iter()
            .map(|p| p.as_str())
            .filter(|p| !p.is_empty())
            .collect();
        known.join(": ")
    }

    /// Something about an object; `origin` is `file: Kind name`, or `Kind name, of a v1 file`.
    fn of(origin: &str, invalid: Invalid) -> Self {
        let (file, object) = origin.split_once(": ").unwrap_or((origin, ""));
        Self {
            file: file.to_owned(),
            object: object.to_owned(),
            field: invalid.path,
            message: invalid.message,
        }
    }
}

/// What is wrong with the documents.
pub(super) fn findings(documents: &[Document]) -> Vec<Finding> {
    let (definitions, mistakes) = Definitions::gather(documents);
    let mut found: Vec<Finding> = mistakes
        .into_iter()
        .map(|m| Finding::of(&m.origin, m.invalid))
        .collect();
    let all = &definitions.snapshot;
    let origins = Origins(documents);
    let mut add = |origin: String, invalid: Vec<Invalid>| {
        found.extend(invalid.into_iter().map(|i| Finding::of(&origin, i)));
    };
    for (object, verdict) in judged(&all.shipyards) {
        let origin = origins.of(object.as_ref());
        add(origin.clone(), told(&verdict));
        if verdict == Verdict::Valid {
            add(origin.clone(), fit::never_fires(object));
            // Whether tasks are answered, a Shipyard alone does not say.
            if !all.job_configs.is_empty() {
                add(origin, unanswered(object, &verdict, all));
            }
        }
    }
    for (object, verdict) in judged(&all.job_configs) {
        let origin = origins.of(object.as_ref());
        add(origin.clone(), told(&verdict));
        if !all.shipyards.is_empty() {
            add(origin, unused(object, &verdict, all));
        }
    }
    for (object, verdict) in judged(&all.remediations) {
        let origin = origins.of(object.as_ref());
        add(origin.clone(), told(&verdict));
        add(origin, fit::idle_actions(object, all));
    }
    for (object, verdict) in judged(&all.objectives) {
        let origin = origins.of(object.as_ref());
        add(origin.clone(), told(&verdict));
        add(origin, fit::unmeasured(object, all));
    }
    for (object, verdict) in judged(&all.indicators) {
        add(origins.of(object.as_ref()), told(&verdict));
    }
    for (object, verdict) in judged(&all.providers) {
        add(origins.of(object.as_ref()), told(&verdict));
    }
    found
}

fn judged<K: Definition>(list: &[Arc<K>]) -> impl Iterator<Item = (&Arc<K>, Verdict)> {
    list.iter().zip(judge(list))
}

fn told(verdict: &Verdict) -> Vec<Invalid> {
    match verdict {
        Verdict::Valid => vec![],
        Verdict::Invalid(mistakes) => mistakes.clone(),
        Verdict::Ambiguous { .. } => vec![Invalid::new("spec", verdict.message())],
    }
}

/// The tasks that nobody answers, by their fields.
fn unanswered(shipyard: &Shipyard, verdict: &Verdict, all: &Snapshot) -> Vec<Invalid> {
    let lines = coverage::unanswered(shipyard, verdict, all).listed();
    let mut found = Vec::new();
    for (i, stage) in shipyard.spec.stages.iter().enumerate() {
        for (j, sequence) in stage.sequences.iter().enumerate() {
            for (k, task) in sequence.tasks.iter().enumerate() {
                let line = format!("{}.{}.{}", stage.name, sequence.name, task.name);
                if lines.contains(&line) {
                    found.push(Invalid::new(
                        format!("spec.stages[{i}].sequences[{j}].tasks[{k}].name"),
                        format!(
                            "nobody answers the task {}: no JobConfig of the project has the event sh.keptn.event.{}.triggered; \
                             add an action with it, or say executor: External",
                            task.name, task.name
                        ),
                    ));
                }
            }
        }
    }
    found
}

/// The actions that nothing asks for, by their fields.
fn unused(config: &JobConfig, verdict: &Verdict, all: &Snapshot) -> Vec<Invalid> {
    let lines = coverage::unused(config, verdict, all).listed();
    let actions = config.spec.actions.iter().enumerate();
    actions
        .filter_map(|(i, action)| {
            let start = format!("{}: ", action.name);
            let why = lines.iter().find_map(|line| line.strip_prefix(&start))?;
            let message = format!("nothing asks for the action {:?}: {why}", action.name);
            Some(Invalid::new(format!("spec.actions[{i}].events"), message))
        })
        .collect()
}

/// Where each object stands.
struct Origins<'a>(&'a [Document]);

impl Origins<'_> {
    fn of<K: Definition>(&self, object: &K) -> String {
        let (kind, meta) = (K::kind(&()), object.meta());
        let text = |document: &Document, path: &str| {
            let found = document.value.pointer(path).and_then(serde_json::Value::as_str);
            found.map(str::to_owned)
        };
        let own = self.0.iter().find(|d| {
            text(d, "/kind").as_deref() == Some(&kind)
                && text(d, "/metadata/name") == meta.name
                && text(d, "/metadata/namespace") == meta.namespace
        });
        own.map_or_else(|| format!("{kind} {}", object.name_any()), |d| d.origin.clone())
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("a.yaml: spec.x: is wrong: so", "a.yaml: spec.x", "is wrong: so")]
    #[case("a.yaml: is empty; remove it", "a.yaml", "is empty; remove it")]
    #[case(
        "a.yaml: can't be read as YAML: line 3: x",
        "a.yaml",
        "can't be read as YAML: line 3: x"
    )]
    fn lines_of_readers(#[case] line: &str, #[case] place: &str, #[case] message: &str) {
        let finding = Finding::of_line(line);
        assert_eq!(
            (finding.place().as_str(), finding.message.as_str()),
            (place, message)
        );
    }
}
