//! Values from an event: written as the entry asks, within bounds, and refused when they don't fit.

use regex_automata::nfa::thompson::{Compiler, Config, WhichCaptures, pikevm::PikeVM};
use regex_syntax::{ParserBuilder, ast::parse::Parser};
use serde_json::Value;

use super::{
    JobError, JobInput, VALUE_MAX,
    entry::{Form, OfEvent},
    literal,
};
use crate::core::{Invalid, invalid::kind, jobs::brief, jsonpath};

/// The most bytes of a compiled pattern: it bounds the time that it takes to make one.
const PATTERN_SIZE: usize = 256 * 1024;
/// So much of a value is shown in messages.
const SHOWN: usize = 100;

/// The value of the variable `name`, as the Job has it.
pub(super) fn text(input: &JobInput, name: &str, value: &OfEvent) -> Result<String, JobError> {
    let path = value.path;
    let text = written(input, name, value)?;
    let refused = |reason, problem: String| {
        let problem = format!("the variable {name}, made from {path}, {problem}");
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
    if let Some(wanted) = value.pattern.as_ref().filter(|pattern| !pattern.fits(&text)) {
        let shown = brief(&format!("{text:?}"), SHOWN);
        let wanted = wanted.text;
        let problem =
            format!("is {shown}, which does not fit its pattern {wanted:?}: no Job is made from it");
        return Err(refused("PatternMismatch", problem));
    }
    Ok(if value.expand { text } else { literal(&text) })
}

fn written(input: &JobInput, name: &str, value: &OfEvent) -> Result<String, JobError> {
    let path = value.path;
    let wrong = |problem: String| JobError::invalid(input, &Invalid::new("env", problem));
    let found = value
        .parsed
        .find(input.event)
        .map_err(|error| wrong(error.to_string()))?;
    let Some(found) = found else {
        return Err(JobError::missing_value(input, name, path, "nothing"));
    };
    match (value.form, &found) {
        (Form::Json, _) => Ok(found.to_string()),
        (Form::Yaml, _) => serde_yaml::to_string(&found).map_err(|error| wrong(error.to_string())),
        (_, Value::Null) => Err(JobError::missing_value(input, name, path, "null")),
        (Form::Single, Value::Array(_) | Value::Object(_)) => {
            let what = kind(&found);
            let problem = format!(
                "the variable {name}, made from {path}, is {what}, and as: string takes text, numbers, true and false: \
                 choose one value of it, or use as: json"
            );
            Err(JobError::refused(input, "ValueRefused", problem))
        }
        (Form::Plain | Form::Single, _) => Ok(jsonpath::text(&found)),
    }
}

/// What all of a value must fit.
#[derive(Debug)]
pub(super) struct Pattern<'a> {
    text: &'a str,
    /// One automaton, made at little cost: a pattern is for one value.
    anchored: PikeVM,
}

impl<'a> Pattern<'a> {
    /// Reads a pattern, or says what is wrong with it.
    pub(super) fn read(text: &'a str) -> Result<Self, String> {
        // On its own first: `a)|(b` would be one between our brackets.
        if let Err(wrong) = Parser::new().parse(text) {
            return Err(refusal(text, &wrong.to_string()));
        }
        let anchored = compile(&format!(r"\A(?:{text})\z")).map_err(|wrong| refusal(text, &wrong))?;
        Ok(Self { text, anchored })
    }

    fn fits(&self, value: &str) -> bool {
        let mut cache = self.anchored.create_cache();
        self.anchored.is_match(&mut cache, value)
    }
}

fn refusal(pattern: &str, wrong: &str) -> String {
    let why = wrong.lines().last().unwrap_or_default();
    let why = why.trim_start_matches("error: ").trim_end_matches('.');
    format!("{pattern:?} is no regular expression that can be used: {why}; write one such as [a-z0-9.-]+")
}

/// Classes such as `\d` and `\w` are those of ASCII: a digit of another alphabet is no digit to the program that gets it.
fn compile(pattern: &str) -> Result<PikeVM, String> {
    let mut parser = ParserBuilder::new().unicode(false).utf8(false).build();
    let parsed = parser.parse(pattern).map_err(|error| error.to_string())?;
    let config = Config::new()
        .utf8(false)
        .nfa_size_limit(Some(PATTERN_SIZE))
        .which_captures(WhichCaptures::None);
    let built = Compiler::new().configure(config).build_from_hir(&parsed);
    built
        .and_then(PikeVM::new_from_nfa)
        .map_err(|_| format!("it exceeds the size limit of {PATTERN_SIZE} bytes"))
}
