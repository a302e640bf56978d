//! Why a run stands as it does, what comes next, where to look, and what to type.

use jiff::Timestamp;
use kube::ResourceExt;

use super::{Facts, ended, live, told_task};
use crate::{
    api::{Evaluation, execution::TaskStatus},
    cli::paint::number,
};

/// What people are told.
#[derive(Clone, Debug, Default)]
pub struct Advice {
    /// Why.
    pub why: Vec<String>,
    /// What comes next, and when.
    pub next: Vec<String>,
    /// The objects to look at.
    pub look: Vec<String>,
    /// Commands, and what each does.
    pub commands: Vec<(String, String)>,
}

/// What an advice is written with.
pub(super) struct Writer<'a> {
    pub facts: &'a Facts,
    pub now: Timestamp,
    program: &'a str,
    pub advice: Advice,
}

impl Advice {
    /// The advice for a run.
    pub fn of(facts: &Facts, now: Timestamp, program: &str) -> Self {
        let mut writer = Writer {
            facts,
            now,
            program,
            advice: Self::default(),
        };
        let done = facts.run.status.as_ref().is_some_and(|s| s.done);
        if done {
            ended::tell(&mut writer);
        } else {
            live::tell(&mut writer);
        }
        writer.finish()
    }
}

impl Writer<'_> {
    pub(super) fn name(&self) -> String {
        self.facts.run.name_any()
    }

    pub(super) fn namespace(&self) -> String {
        self.facts.run.namespace().unwrap_or_default()
    }

    pub(super) fn task(&self) -> Option<&TaskStatus> {
        told_task(&self.facts.run)
    }

    pub(super) fn why(&mut self, line: impl Into<String>) {
        let line = line.into();
        if !line.is_empty() && !self.advice.why.contains(&line) {
            self.advice.why.push(line);
        }
    }

    pub(super) fn next(&mut self, line: impl Into<String>) {
        self.advice.next.push(line.into());
    }

    /// An object of the run's namespace.
    pub(super) fn look(&mut self, kind: &str, name: &str) {
        if name.is_empty() {
            return;
        }
        let line = format!("{kind} {name}");
        if !self.advice.look.contains(&line) {
            self.advice.look.push(line);
        }
    }

    /// One of our own commands, in the run's namespace.
    pub(super) fn own(&mut self, command: &str, what: &str) {
        let line = format!("{} {command} -n {}", self.program, self.namespace());
        self.command(line, what);
    }

    pub(super) fn command(&mut self, line: String, what: &str) {
        if !self.advice.commands.iter().any(|(c, _)| *c == line) {
            self.advice.commands.push((line, what.to_owned()));
        }
    }

    /// A kubectl command on an object of the namespace.
    pub(super) fn kubectl(&mut self, verb: &str, kind: &str, name: &str, what: &str) {
        let line = format!(
            "kubectl {verb} {} {name} -n {}",
            kind.to_lowercase(),
            self.namespace()
        );
        self.command(line, what);
    }

    /// What Kubernetes says of the pods.
    pub(super) fn tell_pods(&mut self) {
        for line in self.facts.warnings.clone() {
            self.why(line);
        }
        for pod in &self.facts.pods.clone() {
            for line in stuck(pod) {
                self.why(line);
            }
            self.look("Pod", &pod.name_any());
        }
    }

    /// The numbers of the gate.
    pub(super) fn tell_gate(&mut self) {
        let Some(evaluation) = self.facts.evaluation.clone() else {
            return;
        };
        for line in numbers(&evaluation) {
            self.why(line);
        }
        self.look("Evaluation", &evaluation.name_any());
        if let Some(objective) = &evaluation.spec.objective_name {
            self.look("ServiceLevelObjective", objective);
        }
    }

    fn finish(mut self) -> Advice {
        let name = self.name();
        self.look("SequenceExecution", &name);
        self.advice
    }
}

/// What each indicator that did not pass came to.
fn numbers(evaluation: &Evaluation) -> Vec<String> {
    let status = evaluation.status.clone().unwrap_or_default();
    let failed = status
        .indicators
        .iter()
        .filter(|i| matches!(i.status.as_str(), "fail" | "warning"));
    failed
        .map(|i| {
            let value = match i.value {
                Some(value) => format!("is {}", exact(value)),
                None if i.message.is_empty() => "has no value".to_owned(),
                None => format!("has no value: {}", i.message),
            };
            let wanted: Vec<String> = i
                .pass_targets
                .iter()
                .map(|t| {
                    let absolute =
                        t.criteria.trim_start_matches(['<', '>', '=', ' ']) == exact(t.target_value);
                    let shown = if absolute {
                        String::new()
                    } else {
                        format!(" ({})", exact(t.target_value))
                    };
                    let mark = if t.violated { "" } else { " ok" };
                    format!("{}{shown}{mark}", t.criteria)
                })
                .collect();
            let key = if i.key_sli {
                ", and fails the whole gate (key)"
            } else {
                ""
            };
            let passes = if wanted.is_empty() {
                String::new()
            } else {
                format!(", passes if {}", wanted.join(" "))
            };
            let got = format!("{} of {}", number(i.score), i.weight);
            format!("{}: {} {value}{passes}; {got}{key}", i.status, i.name)
        })
        .collect()
}

fn exact(value: f64) -> String {
    let rounded = (value * 10_000.0).round() / 10_000.0;
    format!("{rounded}")
}

/// What keeps a pod from running.
fn stuck(pod: &k8s_openapi::api::core::v1::Pod) -> Vec<String> {
    let status = pod.status.clone().unwrap_or_default();
    let waiting = status
        .container_statuses
        .iter()
        .flatten()
        .filter_map(|c| c.state.as_ref()?.waiting.clone())
        .filter(|w| {
            !matches!(
                w.reason.as_deref(),
                None | Some("ContainerCreating" | "PodInitializing")
            )
        });
    let unscheduled = status
        .conditions
        .iter()
        .flatten()
        .filter(|c| c.type_ == "PodScheduled" && c.status == "False")
        .filter_map(|c| c.message.clone());
    let name = pod.name_any();
    waiting
        .map(|w| {
            let message = w.message.map(|m| format!(": {m}")).unwrap_or_default();
            format!("Pod {name}: {}{message}", w.reason.unwrap_or_default())
        })
        .chain(unscheduled.map(|message| format!("Pod {name} finds no node: {message}")))
        .collect()
}
