//! Values from an event: written as the entry asks, within bounds, and refused when they don't fit.

use regex::bytes::{Regex, RegexBuilder};
use serde_json::Value;

use super::{JobError, JobInput, VALUE_MAX};
use crate::{
    api::jobconfig::EnvVar,
    core::{Invalid, invalid::kind, jobs::brief, jsonpath},
};

/// The most bytes of a compiled pattern: it bounds the time that it takes to make one.
const PATTERN_SIZE: usize = 256 * 1024;
/// So much of a value is shown in messages.
const SHOWN: usize = 100;

/// The value of an entry `valueFrom: event`, as the container shall get it.
pub(super) fn text(input: &JobInput, entry: &EnvVar) -> Result<String, JobError> {
    let path = entry.value.as_deref().unwrap_or_default();
    let text = written(input, entry, path)?;
    let refused = |reason, problem: String| {
        let problem = format!("the variable {}, made from {path}, {problem}", entry.name);
        JobError::refused(input, reason, problem)
    };
    if text.len() > VALUE_MAX {
        let problem = format!(
            "would have {} bytes, at most {VALUE_MAX} are allowed: choose a smaller part of the event, or pass a link",
            text.len()
        );
        return Err(refused("ValueTooLarge", problem));
    }
    if text.contains('\0') {
        let remedy = "a variable can't hold it: let the value's provider leave it out, or use as: json";
        return Err(refused("ValueRefused", format!("has a NUL, and {remedy}")));
    }
    if let Some(wanted) = entry.pattern.as_deref() {
        let fits = anchored(wanted)
            .map_err(|error| JobError::invalid(input, &Invalid::new("env", error.to_string())))?;
        if !fits.is_match(text.as_bytes()) {
            let shown = brief(&format!("{text:?}"), SHOWN);
            let problem =
                format!("is {shown}, which does not fit its pattern {wanted:?}: no Job is made from it");
            return Err(refused("PatternMismatch", problem));
        }
    }
    Ok(text)
}

fn written(input: &JobInput, entry: &EnvVar, path: &str) -> Result<String, JobError> {
    let wrong = |problem: String| JobError::invalid(input, &Invalid::new("env", problem));
    let found = jsonpath::lookup(input.event, path).map_err(|error| wrong(error.to_string()))?;
    match (found, entry.as_.as_deref()) {
        (None, _) => Err(JobError::missing_value(input, &entry.name, path, "nothing")),
        (Some(value), Some("json")) => Ok(value.to_string()),
        (Some(value), Some("yaml")) => {
            serde_yaml::to_string(&value).map_err(|error| wrong(error.to_string()))
        }
        (Some(Value::Null), _) => Err(JobError::missing_value(input, &entry.name, path, "null")),
        (Some(value @ (Value::Array(_) | Value::Object(_))), Some("string")) => {
            let what = kind(&value);
            let problem = format!(
                "the variable {}, made from {path}, is {what}, and as: string takes text, numbers, true and false: \
                 choose one value of it, or use as: json",
                entry.name
            );
            Err(JobError::refused(input, "ValueRefused", problem))
        }
        (Some(value), _) => Ok(jsonpath::text(&value)),
    }
}

/// What is wrong with a pattern, if anything.
pub(super) fn pattern_problem(pattern: &str) -> Option<String> {
    // On its own first: `a)|(b` would be one between our brackets.
    let wrong = compile(pattern).and_then(|_| anchored(pattern)).err()?;
    let text = wrong.to_string();
    let why = text.lines().last().unwrap_or_default();
    let why = why.trim_start_matches("error: ").trim_end_matches('.');
    Some(format!(
        "{pattern:?} is no regular expression that can be used: {why}; write one such as [a-z0-9.-]+"
    ))
}

/// The expression that fits when the pattern fits all of a text.
fn anchored(pattern: &str) -> Result<Regex, regex::Error> {
    compile(&format!(r"\A(?:{pattern})\z"))
}

/// Classes such as `\d` and `\w` are those of ASCII: a digit of another alphabet is no digit to the program that gets it.
fn compile(pattern: &str) -> Result<Regex, regex::Error> {
    RegexBuilder::new(pattern)
        .unicode(false)
        .size_limit(PATTERN_SIZE)
        .build()
}
