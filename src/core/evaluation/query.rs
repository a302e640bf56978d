//! Placeholders in queries: values, never syntax.
//!
//! | placeholder | value |
//! | --- | --- |
//! | `$PROJECT` `$STAGE` `$SERVICE` | where |
//! | `$DEPLOYMENT` | the deployment, default `primary` |
//! | `$LABEL.<key>` | the run's label |
//! | `$DURATION_SECONDS` | the window's length with its unit: `120s` |
//! | `$<key>` `$<KEY>` | the objective's filter |
//!
//! Inside quotes a value is escaped for just that kind of quotes; a raw string (backticks) knows no escapes, so a
//! value with a backtick is refused there. Outside of quotes only a number, a duration or a plain name may stand, and no
//! word that PromQL itself uses. So no value changes what a query does, only what it asks for. (A value inside `=~` is
//! still a regular expression: that is what filters are used for.) Comments stay as they are.
//!
//! Any other `$` stays too: `$` ends a regular expression, and `$1` belongs to `label_replace`.

use std::{collections::BTreeMap, fmt::Write};

use crate::api::evaluation::Window;

/// The default for `$DEPLOYMENT`.
const DEPLOYMENT: &str = "primary";

/// Words that mean something in PromQL outside of quotes.
const KEYWORDS: &[&str] = &[
    "and",
    "or",
    "unless",
    "by",
    "without",
    "on",
    "ignoring",
    "group_left",
    "group_right",
    "bool",
    "offset",
    "atan2",
    "start",
    "end",
    "step",
    "range",
    "inf",
    "nan",
    "fill",
    "fill_left",
    "fill_right",
    "anchored",
    "smoothed",
    "sum",
    "avg",
    "count",
    "min",
    "max",
    "group",
    "stddev",
    "stdvar",
    "topk",
    "bottomk",
    "count_values",
    "quantile",
    "limitk",
    "limit_ratio",
];

/// Why a query can't be asked.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Error {
    /// It names a label that the run lacks.
    #[error(
        "$LABEL.{0}: the run has no label {0:?}; set it in the trigger's labels, or write another placeholder"
    )]
    NoLabel(String),
    /// The value would change what the query does.
    #[error("${name}: the value {value:?} can't stand {place}; {remedy}")]
    Unsafe {
        /// The placeholder.
        name: String,
        /// Its value.
        value: String,
        /// Where it would stand.
        place: &'static str,
        /// What to do about it.
        remedy: &'static str,
    },
}

/// The values of one evaluation.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Values {
    names: BTreeMap<String, String>,
    labels: BTreeMap<String, String>,
}

impl Values {
    /// The values of an evaluation. A filter wins over a built-in name; each is known by its key as written and in
    /// capitals.
    pub fn new(
        (project, stage, service): (&str, &str, &str),
        deployment: Option<&str>,
        labels: &BTreeMap<String, String>,
        filter: &BTreeMap<String, String>,
        window: &Window,
    ) -> Self {
        let deployment = deployment
            .or_else(|| labels.get("deployment").map(String::as_str))
            .filter(|d| !d.is_empty())
            .unwrap_or(DEPLOYMENT);
        let duration = format!("{}s", seconds(window));
        let mut names: BTreeMap<String, String> = [
            ("PROJECT", project),
            ("STAGE", stage),
            ("SERVICE", service),
            ("DEPLOYMENT", deployment),
            ("DURATION_SECONDS", &duration),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
        for (key, value) in filter.iter().filter(|(key, _)| !key.is_empty()) {
            names.insert(key.to_uppercase(), value.clone());
        }
        for (key, value) in filter.iter().filter(|(key, _)| !key.is_empty()) {
            names.insert(key.clone(), value.clone());
        }
        Self {
            names,
            labels: labels.clone(),
        }
    }
}

/// The window's length in whole seconds, rounded up.
fn seconds(window: &Window) -> i64 {
    let length = window.end.0.duration_since(window.start.0);
    (length.as_secs() + i64::from(length.subsec_nanos() > 0)).max(1)
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Place {
    Bare,
    Quoted(char),
    Raw,
    Comment,
}

/// The query with all placeholders replaced, in one pass: a value is never looked at again.
pub fn substitute(query: &str, values: &Values) -> Result<String, Error> {
    let mut out = String::with_capacity(query.len() + 64);
    let mut place = Place::Bare;
    let mut rest = query;
    while let Some(c) = rest.chars().next() {
        if c == '$'
            && place != Place::Comment
            && let Some((name, value)) = longest(&rest[1..], values)?
        {
            out.push_str(&safe(name, value, place)?);
            rest = &rest[1 + name.len()..];
            continue;
        }
        out.push(c);
        rest = &rest[c.len_utf8()..];
        place = match (place, c) {
            (Place::Bare, '"' | '\'') => Place::Quoted(c),
            (Place::Bare, '`') => Place::Raw,
            (Place::Bare, '#') => Place::Comment,
            (Place::Comment, '\n' | '\r') | (Place::Raw, '`') => Place::Bare,
            (Place::Quoted(quote), _) if c == quote => Place::Bare,
            (Place::Quoted(_), '\\') => {
                // What follows a backslash belongs to it, also a quote or a `$`.
                if let Some(escaped) = rest.chars().next() {
                    out.push(escaped);
                    rest = &rest[escaped.len_utf8()..];
                }
                place
            }
            (same, _) => same,
        };
    }
    Ok(out)
}

/// The longest name at the start of `text`, as it stands there, and its value.
fn longest<'t, 'v>(text: &'t str, values: &'v Values) -> Result<Option<(&'t str, &'v str)>, Error> {
    if let Some(key) = text.strip_prefix("LABEL.") {
        let Some((found, value)) = longest_of(key, &values.labels) else {
            let end = key
                .find(|c: char| !(c.is_alphanumeric() || "_-./".contains(c)))
                .unwrap_or(key.len());
            return Err(Error::NoLabel(key[..end].to_owned()));
        };
        return Ok(Some((&text[.."LABEL.".len() + found], value)));
    }
    Ok(longest_of(text, &values.names).map(|(found, value)| (&text[..found], value)))
}

fn longest_of<'v>(text: &str, values: &'v BTreeMap<String, String>) -> Option<(usize, &'v str)> {
    values
        .iter()
        .filter(|(name, _)| !name.is_empty() && text.starts_with(name.as_str()))
        .max_by_key(|(name, _)| name.len())
        .map(|(name, value)| (name.len(), value.as_str()))
}

/// The value as it may stand in this place.
fn safe(name: &str, value: &str, place: Place) -> Result<String, Error> {
    let refuse = |place, remedy| {
        Err(Error::Unsafe {
            name: name.to_owned(),
            value: value.to_owned(),
            place,
            remedy,
        })
    };
    match place {
        Place::Bare if is_word(value) => Ok(value.to_owned()),
        Place::Bare => refuse("outside of quotes", "write the placeholder inside quotes"),
        Place::Raw if value.contains('`') => {
            refuse("between backticks", "write the query's string in double quotes")
        }
        Place::Raw | Place::Comment => Ok(value.to_owned()),
        Place::Quoted(quote) => Ok(escape(value, quote)),
    }
}

fn escape(value: &str, quote: char) -> String {
    let mut out = String::with_capacity(value.len());
    for c in value.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            // The other kind of quotes must not be escaped: PromQL refuses that.
            c if c == quote => {
                out.push('\\');
                out.push(c);
            }
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c.is_ascii_control() => {
                let _ = write!(out, "\\x{:02x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out
}

/// A number, a duration, or a name that PromQL does not use itself.
fn is_word(value: &str) -> bool {
    let is_name_part = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    let Some(first) = value.chars().next() else {
        return false;
    };
    if first.is_ascii_digit() {
        return is_quantity(value);
    }
    value.chars().all(is_name_part)
        && first != ':'
        && !KEYWORDS.iter().any(|keyword| keyword.eq_ignore_ascii_case(value))
}

/// `12`, `0.5`, `120s`, `5m`.
fn is_quantity(value: &str) -> bool {
    let digits = value.trim_end_matches(|c: char| c.is_ascii_lowercase());
    let unit = &value[digits.len()..];
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let all_digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
    all_digits(whole)
        && all_digits(fraction)
        && matches!(unit, "" | "ms" | "s" | "m" | "h" | "d" | "w" | "y")
        && (unit.is_empty() || !digits.contains('.'))
}

#[cfg(test)]
#[path = "query_tests.rs"]
mod tests;
