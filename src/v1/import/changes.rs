//! What means something else than it did in Keptn, of the files that are imported.

use std::fmt;

use super::Definition;
use crate::{
    api::{
        JobConfig, Remediation, Shipyard,
        jobconfig::EventFilter,
        shipyard::{Sequence, Trigger},
    },
    core::sequence::{APPROVAL, EVALUATION, defaults},
};

/// One place that means something else now.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Change {
    /// The file.
    pub file: String,
    /// The fields of which that is true.
    pub fields: Vec<String>,
    /// What it meant in Keptn.
    pub before: String,
    /// What it means now.
    pub now: String,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            file, before, now, ..
        } = self;
        write!(f, "{file}: {}: in Keptn {before}; now {now}", self.shown_fields())
    }
}

impl Change {
    /// The first fields, and how many more there are.
    pub fn shown_fields(&self) -> String {
        let first = self.fields.iter().take(2).cloned().collect::<Vec<_>>().join(", ");
        match self.fields.len().saturating_sub(2) {
            0 => first,
            more => format!("{first} and {more} more"),
        }
    }
}

/// Everything of one definition that means something else now. `judged`: whether some objective is imported, too.
pub(super) fn changes(file: &str, definition: &Definition, judged: bool) -> Vec<Change> {
    let mut told = Told {
        file,
        all: Vec::new(),
    };
    match definition {
        Definition::Shipyard(shipyard) => told.shipyard(shipyard, judged),
        Definition::Remediation(remediation) => told.remediation(remediation),
        Definition::JobConfig(config) => told.job_config(config),
        Definition::ConfigMap(_) | Definition::Objective(_) | Definition::Indicator(_) => {}
    }
    told.all
}

struct Told<'a> {
    file: &'a str,
    all: Vec<Change>,
}

impl Told<'_> {
    fn tell(&mut self, field: String, before: &str, now: &str) {
        if let Some(same) = self.all.iter_mut().find(|c| c.before == before && c.now == now) {
            return same.fields.push(field);
        }
        self.all.push(Change {
            file: self.file.to_owned(),
            fields: vec![field],
            before: before.to_owned(),
            now: now.to_owned(),
        });
    }

    fn shipyard(&mut self, shipyard: &Shipyard, judged: bool) {
        for (i, stage) in shipyard.spec.stages.iter().enumerate() {
            for (j, sequence) in stage.sequences.iter().enumerate() {
                let path = format!("spec.stages[{i}].sequences[{j}]");
                let own = format!("{}.{}.finished", stage.name, sequence.name);
                for (k, rule) in sequence.triggered_on.iter().enumerate() {
                    self.trigger(&format!("{path}.triggeredOn[{k}]"), rule, rule.event == own);
                }
                self.tasks(&path, sequence, judged);
            }
        }
        let deadline = format!(
            "a task has {} (its timeout, or the Job's maxPollDuration, says another), a run {} (deadline)",
            defaults::TASK_TIMEOUT,
            defaults::DEADLINE
        );
        self.tell(
            "spec.stages".to_owned(),
            "a task that had started was waited for without end, and blocked the service",
            &deadline,
        );
    }

    fn trigger(&mut self, path: &str, rule: &Trigger, own: bool) {
        let selector = format!("{path}.selector.match");
        if let Some(wanted) = rule.selector.as_ref().map(|s| &s.match_) {
            if wanted.len() > 1 {
                self.tell(
                    selector.clone(),
                    "one of several conditions was enough",
                    "all of them must hold: make it several rules where one is enough",
                );
            }
            for key in wanted
                .keys()
                .filter(|key| *key != "result" && !key.ends_with(".result"))
            {
                self.tell(
                    format!("{selector}[{key:?}]"),
                    "it was ignored silently",
                    "it must hold",
                );
            }
            if wanted.values().any(|value| value == "failed") {
                self.tell(selector.clone(), "failed never matched", "failed reads as fail");
            }
            if wanted.keys().any(|key| key.ends_with(".result")) {
                self.tell(
                    selector,
                    "<task>.result was only seen of the task that ran last",
                    "it is seen of every task that ran, so the rule may fire more often",
                );
            }
        }
        if own {
            let wait = format!(
                "one run makes all attempts, {} apart (retryAfter), and ends Exhausted when no action is left; an action or \
                 test that fails counts as a failed attempt too",
                defaults::RETRY_AFTER
            );
            self.tell(
                format!("{path}.event"),
                "each repetition was another sequence, at once; from the second on, the same action was repeated without end",
                &wait,
            );
        }
    }

    fn tasks(&mut self, path: &str, sequence: &Sequence, judged: bool) {
        for (k, task) in sequence.tasks.iter().enumerate() {
            let path = format!("{path}.tasks[{k}]");
            if task.triggered_after.is_some() {
                self.tell(
                    format!("{path}.triggeredAfter"),
                    "all other sequences of the service waited, too",
                    "the service is free until then",
                );
            }
            match task.name.as_str() {
                APPROVAL => {
                    let expiry = format!(
                        "it counts as declined after {} (expires, onExpiry)",
                        defaults::APPROVAL
                    );
                    self.tell(path, "an approval waited without end", &expiry);
                }
                EVALUATION => self.evaluation(&path, sequence, k, judged),
                _ => {}
            }
        }
    }

    fn evaluation(&mut self, path: &str, sequence: &Sequence, index: usize, judged: bool) {
        let properties = sequence.tasks[index].properties.as_ref();
        let timeframe = properties.is_some_and(|p| p.contains_key("timeframe"));
        if timeframe && index > 0 {
            self.tell(
                format!("{path}.properties.timeframe"),
                "it looked back at once, also on the time before the action or deployment",
                "it measures only what came after, and waits until there is enough of it (minWindow)",
            );
        }
        if !judged {
            self.tell(
                path.to_owned(),
                "without objectives an evaluation passed with score 0",
                "it is a warning (Unverified); no objectives are among these files",
            );
        }
        self.tell(
            path.to_owned(),
            "a provider that could not be asked failed the gate",
            "nothing is concluded from it: it is asked again, and after 30m the run ends Inconclusive",
        );
    }

    fn remediation(&mut self, remediation: &Remediation) {
        for (i, problem) in remediation.spec.remediations.iter().enumerate() {
            if problem.actions_on_open.as_ref().is_some_and(|all| all.len() > 1) {
                self.tell(
                    format!("spec.remediations[{i}].actionsOnOpen"),
                    "the second action was repeated without end, and a third never reached",
                    "each is tried once, in this order",
                );
            }
        }
    }

    fn job_config(&mut self, config: &JobConfig) {
        for (i, action) in config.spec.actions.iter().enumerate() {
            let path = format!("actions[{i}]");
            for (j, filter) in action.events.iter().enumerate() {
                self.event(&format!("{path}.events[{j}]"), filter);
            }
            if action.silent == Some(true) {
                self.tell(
                    format!("{path}.silent"),
                    "a silent action said nothing, and with 0.3 left the sequence hanging",
                    "it is waited for, and decides nothing",
                );
            }
            for (k, task) in action.tasks.iter().enumerate() {
                let path = format!("{path}.tasks[{k}]");
                if task.max_poll_duration.is_none() {
                    self.tell(
                        format!("{path}.maxPollDuration"),
                        "without it a Job was given up after 300s, and ran on",
                        &format!("it has {}, and is deleted then", defaults::TASK_TIMEOUT),
                    );
                }
            }
        }
        let shared = (0..config.spec.actions.len()).find(|i| {
            let name = |filter: &EventFilter| filter.name.clone();
            let own: Vec<String> = config.spec.actions[*i]
                .events
                .iter()
                .filter(|f| f.jsonpath.is_none())
                .map(name)
                .collect();
            let earlier = config.spec.actions[..*i].iter().flat_map(|a| &a.events);
            earlier
                .filter(|f| f.jsonpath.is_none())
                .any(|f| own.contains(&f.name))
        });
        if let Some(index) = shared {
            self.tell(
                format!("actions[{index}].events"),
                "of several actions for one event version 0.3 ran only the first",
                "all run at once, and the task waits for all",
            );
        }
    }

    fn event(&mut self, at: &str, filter: &EventFilter) {
        let name = &filter.name;
        let path = format!("{at}.name");
        if name
            .chars()
            .any(|c| matches!(c, '^' | '$' | '[' | ']' | '(' | ')' | '|' | '+' | '?' | '\\'))
        {
            self.tell(
                path,
                "it was a regular expression",
                "only * stands for something else, so this matches nothing: write the event's whole type",
            );
        } else if name.contains(".*") && !name.contains(".*.") {
            self.tell(
                path,
                "it was a regular expression, in which .* stands for anything",
                "* alone stands for anything, and the dot before it for itself",
            );
        } else if !(name.contains('*') || name.starts_with("sh.keptn.event.") && name.ends_with(".triggered"))
        {
            self.tell(
                path,
                "it matched wherever it stood in the event's type",
                "it must be the whole type: write sh.keptn.event.<task>.triggered",
            );
        }
        if let Some(condition) = &filter.jsonpath
            && condition
                .match_
                .as_ref()
                .is_some_and(|m| m.parse::<f64>().is_ok() || m == "true" || m == "false")
        {
            self.tell(
                format!("{at}.jsonpath.match"),
                "a number or true or false in the event never matched",
                "it matches as JSON writes it",
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn of_shipyard(sequences: &str) -> Vec<String> {
        let yaml = format!("stages: [{{name: qa, sequences: [{sequences}]}}]");
        let object = Shipyard::new("p", serde_yaml::from_str(&yaml).unwrap());
        fields(&changes("f", &Definition::Shipyard(object), true))
    }

    fn fields(changes: &[Change]) -> Vec<String> {
        changes
            .iter()
            .flat_map(|c| &c.fields)
            .map(|field| field.replace("spec.stages[0].sequences[0].", ""))
            .filter(|f| f != "spec.stages")
            .collect()
    }

    #[rstest]
    #[case::plain("{name: a, tasks: [{name: deploy}]}", &[])]
    #[case::one_condition("{name: a, tasks: [{name: x}], triggeredOn: [{event: qa.b.finished, selector: {match: {result: pass}}}]}", &[])]
    #[case::several("{name: a, tasks: [{name: x}], triggeredOn: [{event: qa.b.finished, selector: {match: {result: fail, b.status: errored}}}]}",
        &["triggeredOn[0].selector.match", "triggeredOn[0].selector.match[\"b.status\"]"])]
    #[case::failed("{name: a, tasks: [{name: x}], triggeredOn: [{event: qa.b.finished, selector: {match: {result: failed}}}]}",
        &["triggeredOn[0].selector.match"])]
    #[case::own_end("{name: a, tasks: [{name: x}], triggeredOn: [{event: qa.a.finished}]}", &["triggeredOn[0].event"])]
    #[case::waits("{name: a, tasks: [{name: x, triggeredAfter: 10m}]}", &["tasks[0].triggeredAfter"])]
    #[case::asks("{name: a, tasks: [{name: approval}]}", &["tasks[0]"])]
    #[case::judges("{name: a, tasks: [{name: x}, {name: evaluation, properties: {timeframe: 5m}}]}",
        &["tasks[1].properties.timeframe", "tasks[1]"])]
    fn only_what_applies_is_told(#[case] sequences: &str, #[case] expected: &[&str]) {
        assert_eq!(of_shipyard(sequences), expected);
    }

    #[rstest]
    #[case("sh.keptn.event.deploy.triggered", None)]
    #[case("sh.keptn.event.*.triggered", None)]
    #[case("sh.keptn.event.(deploy|test).triggered", Some("it was a regular expression"))]
    #[case("sh.keptn.event.deploy.*", Some("it was a regular expression, in which"))]
    #[case("deploy.triggered", Some("it matched wherever"))]
    fn events_that_were_expressions(#[case] name: &str, #[case] before: Option<&str>) {
        let yaml = format!(
            "{{project: p, actions: [{{name: a, events: [{{name: '{name}'}}], tasks: [{{name: t, image: i, maxPollDuration: 60}}]}}]}}"
        );
        let config = JobConfig::new("c", serde_yaml::from_str(&yaml).unwrap());
        let found = changes("job/config.yaml", &Definition::JobConfig(config), true);
        match before {
            None => assert_eq!(found, []),
            Some(before) => {
                assert_eq!(found.len(), 1, "{found:?}");
                assert!(found[0].before.starts_with(before), "{}", found[0]);
                assert!(
                    found[0]
                        .to_string()
                        .starts_with("job/config.yaml: actions[0].events[0].name: in Keptn ")
                );
            }
        }
    }

    #[test]
    fn without_objectives_a_gate_is_told_to_be_one_no_more() {
        let yaml = "stages: [{name: qa, sequences: [{name: a, tasks: [{name: evaluation}]}]}]";
        let object = Definition::Shipyard(Shipyard::new("p", serde_yaml::from_str(yaml).unwrap()));
        let unverified = |judged| {
            changes("f", &object, judged)
                .iter()
                .any(|c| c.now.contains("Unverified"))
        };
        assert!(unverified(false) && !unverified(true));
    }
}
