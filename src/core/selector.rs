//! `triggeredOn`: does a rule fire on the end of a sequence?
//!
//! All keys of a selector must match. A key is `result`, `<task>.result`, `<task>.status` of a task that ran, or
//! `$.data.<path>`. `failed` reads as `fail`, because Keptn's documentation wrote it so.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::api::{
    common::Object,
    shipyard::{Selector, Trigger},
};

/// How a sequence ended, as selectors see it.
#[derive(Clone, Debug, Default)]
pub struct End {
    /// `<stage>.<sequence>.finished`.
    pub event: String,
    /// pass, warning or fail, of the last task that ran.
    pub result: String,
    /// Result and status of each task that ran, the last of its name.
    pub tasks: BTreeMap<String, (String, String)>,
    /// What `<task>.result` reads for a task that was not reached; absent: no such key matches.
    pub unreached: Option<String>,
    /// The payload.
    pub payload: Object,
}

/// Whether the rule fires. Without a selector it fires on pass and on warning.
pub fn fires(trigger: &Trigger, end: &End) -> bool {
    if trigger.event != end.event {
        return false;
    }
    match &trigger.selector {
        None => matches!(end.result.as_str(), "pass" | "warning"),
        Some(Selector { match_ }) => {
            !match_.is_empty() && match_.iter().all(|(key, wanted)| holds(key, wanted, end))
        }
    }
}

fn holds(key: &str, wanted: &str, end: &End) -> bool {
    if let Some(path) = key.strip_prefix("$.data.") {
        return lookup(&end.payload, path).is_some_and(|found| spelled(found) == wanted);
    }
    let wanted = if wanted == "failed" { "fail" } else { wanted };
    if key == "result" {
        return end.result == wanted;
    }
    match key.rsplit_once('.') {
        Some((task, "result")) => match end.tasks.get(task) {
            Some((result, _)) => result == wanted,
            None => end.unreached.as_deref() == Some(wanted),
        },
        Some((task, "status")) => end.tasks.get(task).is_some_and(|(_, status)| status == wanted),
        _ => false,
    }
}

fn lookup<'a>(payload: &'a Object, path: &str) -> Option<&'a Value> {
    let mut steps = path.split('.');
    let first = payload.get(steps.next()?)?;
    steps.try_fold(first, |value, step| value.get(step))
}

/// JSON's own spelling; strings without their quotes.
fn spelled(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    fn end(result: &str, tasks: &[(&str, &str, &str)]) -> End {
        End {
            event: "production.remediation.finished".into(),
            result: result.into(),
            tasks: tasks
                .iter()
                .map(|(name, result, status)| ((*name).into(), ((*result).into(), (*status).into())))
                .collect(),
            unreached: None,
            payload: json!({"evaluation": {"score": 62.5, "result": "fail"}, "labels": {"team": "a"}})
                .as_object()
                .cloned()
                .unwrap(),
        }
    }

    fn rule(keys: &[(&str, &str)]) -> Trigger {
        Trigger {
            event: "production.remediation.finished".into(),
            selector: Some(Selector {
                match_: keys.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect(),
            }),
        }
    }

    #[rstest]
    #[case::the_tutorials(&[("evaluation.result", "fail")], true)]
    #[case::documentation_wrote_failed(&[("evaluation.result", "failed")], true)]
    #[case::all_must_match(&[("evaluation.result", "fail"), ("action.result", "warning")], false)]
    #[case::any_task_counts(&[("action.result", "pass")], true)]
    #[case::status(&[("action.status", "succeeded")], true)]
    #[case::payload(&[("$.data.evaluation.score", "62.5")], true)]
    #[case::payload_string(&[("$.data.labels.team", "a")], true)]
    #[case::nothing_there(&[("$.data.labels.nobody", "a")], false)]
    #[case::unknown_task(&[("approval.result", "fail")], false)]
    #[case::empty(&[], false)]
    fn selectors(#[case] keys: &[(&str, &str)], #[case] expected: bool) {
        let end = end(
            "fail",
            &[
                ("action", "pass", "succeeded"),
                ("evaluation", "fail", "succeeded"),
            ],
        );
        assert_eq!(fires(&rule(keys), &end), expected);
    }

    #[rstest]
    #[case("pass", true)]
    #[case("warning", true)]
    #[case("fail", false)]
    fn without_a_selector_it_fires_on_success(#[case] result: &str, #[case] expected: bool) {
        let rule = Trigger {
            event: "production.remediation.finished".into(),
            selector: None,
        };
        assert_eq!(fires(&rule, &end(result, &[])), expected);
    }

    #[test]
    fn a_task_that_was_not_reached_reads_as_told() {
        let mut end = end("fail", &[("action", "fail", "errored")]);
        assert!(!fires(&rule(&[("evaluation.result", "fail")]), &end));
        end.unreached = Some("fail".into());
        assert!(fires(&rule(&[("evaluation.result", "fail")]), &end));
    }

    #[test]
    fn another_sequences_end_is_no_match() {
        let mut end = end("pass", &[]);
        end.event = "qa.delivery.finished".into();
        assert!(!fires(&rule(&[("result", "pass")]), &end));
    }
}
