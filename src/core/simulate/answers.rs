//! What a simulation is told about the tasks: how each ends, each time that it runs.

use std::collections::BTreeMap;

use serde_json::Value;

use super::shape::short;
use crate::{
    api::{Duration, common::Object},
    core::{
        Invalid,
        definitions::{Snapshot, nearest::hint},
        sequence::{APPROVAL, EVALUATION, GET_ACTION},
    },
};

const FIELDS: [&str; 6] = ["result", "message", "data", "score", "indicators", "takes"];
const WORDS: [&str; 7] = [
    "pass",
    "warning",
    "fail",
    "errored",
    "inconclusive",
    "approve",
    "reject",
];

/// How one run of a task ends.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answer {
    /// With what result.
    pub says: Says,
    /// One line for people.
    pub message: String,
    /// What it adds to the payload.
    pub data: Object,
    /// An evaluation's score; otherwise it follows from the result.
    pub score: Option<f64>,
    /// How long it takes; a second, if nothing is said.
    pub takes: Option<Duration>,
}

/// A result.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Says {
    /// Good.
    #[default]
    Pass,
    /// Good enough.
    Warning,
    /// Not good enough: reported so, status `succeeded`.
    Fail,
    /// It could not do its work: exit code 1, status `errored`.
    Errored,
    /// Nothing could be measured.
    Inconclusive,
    /// What was measured, to be scored; null: there was no value.
    Indicators(BTreeMap<String, Option<f64>>),
}

/// The answers, by task, `stage.task` or `stage.sequence.task`; of those that fit the most exact one counts.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answers(BTreeMap<String, Vec<Answer>>);

impl Answers {
    /// Reads `{task: [answer, ...]}`. Every mistake is told.
    pub fn read(value: &Value) -> Result<Self, Vec<Invalid>> {
        let fields = match value {
            Value::Null => return Ok(Self::default()),
            Value::Object(fields) => fields,
            other => {
                let message = format!(
                    "is {}, and must map tasks to results, as in `je-test: [fail, pass]`",
                    short(other)
                );
                return Err(vec![Invalid::new("answers", message)]);
            }
        };
        let (mut all, mut wrong) = (BTreeMap::new(), vec![]);
        for (key, value) in fields {
            let task = key.rsplit('.').next().unwrap_or_default();
            let one = std::slice::from_ref(value);
            let entries = value.as_array().map_or(one, Vec::as_slice);
            let mut answers = vec![];
            for (index, entry) in entries.iter().enumerate() {
                match answer(task, entry) {
                    Ok(answer) => answers.push(answer),
                    Err(message) => wrong.push(Invalid::new(format!("{key}[{index}]"), message)),
                }
            }
            all.insert(key.clone(), answers);
        }
        if wrong.is_empty() {
            Ok(Self(all))
        } else {
            Err(wrong)
        }
    }

    /// What is wrong with them, for what is defined: tasks that no sequence has, and those that need no answer.
    pub fn check(&self, definitions: &Snapshot) -> Vec<Invalid> {
        let known = keys(definitions);
        let mut wrong = vec![];
        for key in self.0.keys() {
            if key.rsplit('.').next() == Some(GET_ACTION) {
                let message = "always really decides: edit the Remediation's actions instead";
                wrong.push(Invalid::new(key, message));
            } else if !known.contains(key) {
                let dots = key.matches('.').count();
                let alike = known.iter().filter(|k| k.matches('.').count() == dots);
                let hint = hint(key, alike.map(String::as_str));
                wrong.push(Invalid::new(
                    key,
                    format!("no sequence has a task of this name{hint}"),
                ));
            }
        }
        wrong
    }

    /// The answer for the next run of a task, when there is one; `used` counts those that were given.
    pub(super) fn next(
        &self,
        used: &mut BTreeMap<String, usize>,
        stage: &str,
        sequence: &str,
        task: &str,
    ) -> Option<(String, Answer)> {
        let keys = [
            format!("{stage}.{sequence}.{task}"),
            format!("{stage}.{task}"),
            task.to_owned(),
        ];
        let key = keys.into_iter().find(|key| self.0.contains_key(key))?;
        let count = used.entry(key.clone()).or_default();
        let answer = self.0.get(&key)?.get(*count).cloned()?;
        let path = format!("{key}[{count}]");
        *count += 1;
        Some((path, answer))
    }

    /// Answers that were not asked for, a line each.
    pub(super) fn left(&self, used: &BTreeMap<String, usize>) -> Vec<String> {
        let left = self.0.iter().filter_map(|(key, answers)| {
            let count = used.get(key).copied().unwrap_or_default();
            let left = answers.len().saturating_sub(count);
            (left > 0).then(|| format!("{key}: {left} of {} answers were not asked for", answers.len()))
        });
        left.collect()
    }
}

/// Every key that can be answered.
fn keys(definitions: &Snapshot) -> std::collections::BTreeSet<String> {
    let mut known = std::collections::BTreeSet::new();
    for stage in definitions.shipyards.iter().flat_map(|s| &s.spec.stages) {
        let mut add = |sequence: &str, task: &str| {
            known.insert(task.to_owned());
            known.insert(format!("{}.{task}", stage.name));
            known.insert(format!("{}.{sequence}.{task}", stage.name));
        };
        // The sequence that every stage has.
        add(EVALUATION, EVALUATION);
        for sequence in &stage.sequences {
            for task in sequence.tasks.iter().filter(|t| t.name != GET_ACTION) {
                add(&sequence.name, &task.name);
            }
        }
    }
    known
}

fn answer(task: &str, value: &Value) -> Result<Answer, String> {
    let fields = match value {
        Value::String(word) => {
            return Ok(Answer {
                says: word_for(task, word)?,
                ..Answer::default()
            });
        }
        Value::Object(fields) => fields,
        other => return Err(format!("is {}; use {} or an object", short(other), words(task))),
    };
    let mut answer = Answer::default();
    for (name, value) in fields {
        let bad = |wanted: &str| format!("{name} is {}, and must be {wanted}", short(value));
        match (name.as_str(), value) {
            ("result", Value::String(word)) => answer.says = word_for(task, word)?,
            ("result", _) => return Err(bad(&words(task))),
            ("message", Value::String(text)) => answer.message.clone_from(text),
            ("message", _) => return Err(bad("a text")),
            ("data", Value::Object(data)) => answer.data.clone_from(data),
            ("data", _) => return Err(bad("an object, which is merged into the payload")),
            ("takes", Value::String(text)) => {
                answer.takes = Some(
                    text.parse()
                        .map_err(|e| format!("{}: {e}", bad("a duration such as 30s")))?,
                );
            }
            ("takes", _) => return Err(bad("a duration such as 30s")),
            ("score" | "indicators", _) if task != EVALUATION => {
                return Err(format!("{name} belongs to evaluation only"));
            }
            ("score", value) => {
                let score = value.as_f64().filter(|s| (0.0..=100.0).contains(s));
                answer.score = Some(score.ok_or_else(|| bad("a number from 0 to 100"))?);
            }
            ("indicators", Value::Object(values)) => answer.says = Says::Indicators(numbers(values)?),
            ("indicators", _) => return Err(bad("a number for each indicator, as in {response_time: 0.3}")),
            _ => return Err(format!("{name} is no known field{}", hint(name, FIELDS))),
        }
    }
    let scored = matches!(answer.says, Says::Indicators(_));
    if scored && (fields.contains_key("result") || fields.contains_key("score")) {
        return Err("indicators are scored: leave result and score out".to_owned());
    }
    Ok(answer)
}

fn numbers(values: &Object) -> Result<BTreeMap<String, Option<f64>>, String> {
    let number = |(name, value): (&String, &Value)| match value {
        Value::Null => Ok((name.clone(), None)),
        Value::Number(n) => Ok((name.clone(), n.as_f64())),
        other => Err(format!(
            "indicators.{name} is {}, and must be a number, or null for no value",
            short(other)
        )),
    };
    values.iter().map(number).collect()
}

fn word_for(task: &str, word: &str) -> Result<Says, String> {
    let says = match (word, task) {
        ("pass", _) | ("approve", APPROVAL) => Says::Pass,
        ("warning", _) => Says::Warning,
        ("fail", _) | ("reject", APPROVAL) => Says::Fail,
        ("errored", t) if t != EVALUATION && t != APPROVAL => Says::Errored,
        ("inconclusive", EVALUATION) => Says::Inconclusive,
        _ => {
            let near = crate::core::definitions::nearest::nearest(word, WORDS);
            let near = near.map_or_else(String::new, |n| format!("; did you mean {n:?}?"));
            return Err(format!(
                "{word:?} is no answer of {task}; use {}{near}",
                words(task)
            ));
        }
    };
    Ok(says)
}

fn words(task: &str) -> String {
    match task {
        APPROVAL => "approve or reject".to_owned(),
        EVALUATION => "pass, warning, fail, inconclusive, or {indicators: {NAME: NUMBER}}".to_owned(),
        _ => "pass, warning, fail or errored".to_owned(),
    }
}
