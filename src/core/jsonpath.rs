//! JSON paths, as JobConfigs use them on events: RFC 9535, with bounds.

use jsonpath_rust::{
    parser::{
        model::{JpQuery, Segment, Selector},
        parse_json_path,
    },
    query::js_path_process,
};
use serde_json::Value;
use thiserror::Error;

/// The longest path.
pub const PATH_MAX: usize = 1024;
const SEGMENTS_MAX: usize = 32;
const NESTING_MAX: usize = 8;
const SELECTORS_MAX: usize = 16;
/// An index of more digits is left to the grammar.
const INDEX_DIGITS: usize = 9;

/// A path that can't be used.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[error("{path:?} is not a JSON path that can be used: {problem}")]
pub struct PathError {
    path: String,
    problem: String,
}

/// A path that can be used.
#[derive(Clone, Debug)]
pub struct Path<'a> {
    text: &'a str,
    steps: Steps<'a>,
}

#[derive(Clone, Debug)]
enum Steps<'a> {
    Plain(Vec<Step<'a>>),
    Query(JpQuery),
}

impl<'a> Path<'a> {
    /// Reads a path.
    pub fn parse(text: &'a str) -> Result<Self, PathError> {
        let steps = match plain_steps(text) {
            Some(steps) => Steps::Plain(steps),
            None => Steps::Query(parse(text)?),
        };
        Ok(Self { text, steps })
    }

    /// What it finds: nothing, the value, or, when the path can find several (`[*]`, `..`, `[?...]`, a slice), the list of
    /// all of them.
    pub fn find(&self, document: &Value) -> Result<Option<Value>, PathError> {
        let query = match &self.steps {
            Steps::Plain(steps) => {
                let found = steps.iter().try_fold(document, |value, step| step.of(value));
                return Ok(found.cloned());
            }
            Steps::Query(query) => query,
        };
        let found = js_path_process(query, document).map_err(|e| error(self.text, e.to_string()))?;
        let mut values: Vec<Value> = found.into_iter().map(|found| found.val().clone()).collect();
        Ok(match (is_definite(query), values.len()) {
            (_, 0) => None,
            (true, 1) => values.pop(),
            _ => Some(Value::Array(values)),
        })
    }
}

/// Whether a path can be used at all.
pub fn validate(path: &str) -> Result<(), PathError> {
    Path::parse(path).map(drop)
}

/// What a path finds, as [`Path::find`] has it.
pub fn lookup(document: &Value, path: &str) -> Result<Option<Value>, PathError> {
    Path::parse(path)?.find(document)
}

/// A step that finds at most one value.
#[derive(Clone, Copy, Debug)]
enum Step<'a> {
    Key(&'a str),
    Index(usize),
}

impl Step<'_> {
    fn of<'v>(&self, value: &'v Value) -> Option<&'v Value> {
        match self {
            Self::Key(key) => value.as_object()?.get(*key),
            Self::Index(index) => value.as_array()?.get(*index),
        }
    }
}

/// The steps of a path such as `$.data.uris[0]`, as nearly all are; none for any other. A JobConfig has one per action, and
/// the grammar of the rest takes much longer to read them.
fn plain_steps(path: &str) -> Option<Vec<Step<'_>>> {
    let mut rest = path.strip_prefix('$').filter(|_| path.len() <= PATH_MAX)?;
    let mut steps = Vec::new();
    while !rest.is_empty() {
        let step;
        (step, rest) = plain_step(rest)?;
        steps.push(step);
    }
    (steps.len() <= SEGMENTS_MAX).then_some(steps)
}

fn plain_step(text: &str) -> Option<(Step<'_>, &str)> {
    if let Some(index) = text.strip_prefix('[') {
        let (digits, rest) = index.split_once(']')?;
        let is_number = digits.bytes().all(|b| b.is_ascii_digit()) && digits.len() <= INDEX_DIGITS;
        let is_written_so = digits == "0" || !digits.starts_with('0');
        let index = digits.parse().ok().filter(|_| is_number && is_written_so)?;
        return Some((Step::Index(index), rest));
    }
    let key = text.strip_prefix('.')?;
    let end = key.find(['.', '[']).unwrap_or(key.len());
    let (key, rest) = key.split_at(end);
    let is_plain = key.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    is_plain.then_some((Step::Key(key), rest))
}

/// A value as text: strings as they are, everything else as JSON writes it (`1000000`, `true`, `["a","b"]`).
pub fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn error(path: &str, problem: impl Into<String>) -> PathError {
    PathError {
        path: path.to_owned(),
        problem: problem.into(),
    }
}

fn parse(path: &str) -> Result<JpQuery, PathError> {
    if path.len() > PATH_MAX {
        let start: String = path.chars().take(60).collect();
        return Err(error(
            &start,
            format!("it has {} bytes, at most {PATH_MAX} are allowed", path.len()),
        ));
    }
    if !path.starts_with('$') {
        return Err(error(
            path,
            format!(
                "it must start with $, such as $.data.{}",
                path.trim_start_matches('.')
            ),
        ));
    }
    check_bounds(&without_quoted(path)).map_err(|problem| error(path, problem))?;
    let query = parse_json_path(path).map_err(|_| error(path, syntax_help(path)))?;
    check_choices(&query).map_err(|problem| error(path, problem))?;
    Ok(query)
}

/// The path with its quoted keys and strings left out.
fn without_quoted(path: &str) -> String {
    let mut quote = None;
    let mut escaped = false;
    path.chars()
        .filter(|&c| {
            if let Some(q) = quote {
                let ends = c == q && !escaped;
                escaped = c == '\\' && !escaped;
                if ends {
                    quote = None;
                }
                ends
            } else {
                quote = matches!(c, '\'' | '"').then_some(c);
                true
            }
        })
        .collect()
}

/// Keeps the work for a path in proportion to the document.
fn check_bounds(path: &str) -> Result<(), String> {
    let mut depth = 0_usize;
    for c in path.chars() {
        match c {
            '[' | '(' => depth += 1,
            ']' | ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > NESTING_MAX {
            return Err(format!("brackets are nested more than {NESTING_MAX} deep"));
        }
    }
    for (once, count) in [
        ("..", path.matches("..").count()),
        ("?", path.matches('?').count()),
    ] {
        if count > 1 {
            return Err(format!("`{once}` may stand in it only once"));
        }
    }
    if path.matches('$').count() > 1 {
        return Err("`$` may stand only at its start; a filter reads the element at hand, `@`".to_owned());
    }
    if ["match", "search"]
        .iter()
        .any(|name| path.contains(&format!("{name}(")))
    {
        return Err("the functions match and search are not supported; compare with ==".to_owned());
    }
    Ok(())
}

/// What to do about a path that doesn't parse. The usual cause is a key that needs quotes.
fn syntax_help(path: &str) -> String {
    let quoted = path
        .split('.')
        .map(|step| {
            let plain = step
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
            if plain && (step.contains('-') || step.starts_with(|c: char| c.is_ascii_digit())) {
                format!("['{step}']")
            } else {
                format!(".{step}")
            }
        })
        .collect::<String>();
    let quoted = quoted.trim_start_matches('.');
    if quoted != path && parse_json_path(quoted).is_ok() {
        return format!("a key with a dash or a leading digit needs quotes: {quoted}");
    }
    "write one such as $.data.action.value, $.data['je-test'].rate or $.data.list[0]".to_owned()
}

/// A path finds at most one value when every step is one key or one index.
fn is_definite(query: &JpQuery) -> bool {
    query
        .segments
        .iter()
        .all(|segment| matches!(segment, Segment::Selector(Selector::Name(_) | Selector::Index(_))))
}

/// Keeps what a path may find in proportion to the document: `[0,0][0,0]...` doubles it with each step.
fn check_choices(query: &JpQuery) -> Result<(), String> {
    if query.segments.len() > SEGMENTS_MAX {
        return Err(format!(
            "it has {} steps, at most {SEGMENTS_MAX} are allowed",
            query.segments.len()
        ));
    }
    let mut choices = 1_usize;
    for segment in &query.segments {
        let segment = if let Segment::Descendant(inner) = segment {
            inner
        } else {
            segment
        };
        if let Segment::Selectors(several) = segment {
            choices = choices.saturating_mul(several.len());
        }
    }
    if choices > SELECTORS_MAX {
        return Err(format!(
            "its lists `[a,b]` choose in more than {SELECTORS_MAX} ways"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod fuzz_tests;
#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    fn event() -> Value {
        json!({
            "type": "sh.keptn.event.action.triggered",
            "data": {
                "action": {"action": "scale", "value": 1_000_000, "dry": false},
                "deployment": {"uris": ["http://a", "http://b"]},
                "je-test": {"rate": 1.5},
                "nothing": null,
            },
        })
    }

    #[rstest]
    #[case::string("$.data.action.action", Some(json!("scale")))]
    #[case::number("$.data.action.value", Some(json!(1_000_000)))]
    #[case::index("$.data.deployment.uris[1]", Some(json!("http://b")))]
    #[case::beyond("$.data.deployment.uris[2]", None)]
    #[case::object("$.data.deployment", Some(json!({"uris": ["http://a", "http://b"]})))]
    #[case::quoted("$.data['je-test'].rate", Some(json!(1.5)))]
    #[case::missing("$.data.action.nope", None)]
    #[case::below_a_string("$.type.x", None)]
    #[case::null("$.data.nothing", Some(Value::Null))]
    #[case::several("$.data.deployment.uris[*]", Some(json!(["http://a", "http://b"])))]
    #[case::one_of_several("$.data.deployment.uris[0:1]", Some(json!(["http://a"])))]
    #[case::filter("$.data.deployment.uris[?@ == 'http://b']", Some(json!(["http://b"])))]
    #[case::anywhere("$..rate", Some(json!([1.5])))]
    #[case::all("$", Some(event()))]
    fn finds(#[case] path: &str, #[case] expected: Option<Value>) {
        assert_eq!(lookup(&event(), path), Ok(expected));
    }

    #[rstest]
    #[case("data.action", "must start with $, such as $.data.data.action")]
    #[case("", "must start with $")]
    #[case("$.data.je-test.rate", "needs quotes: $.data['je-test'].rate")]
    #[case("$.data.[", "write one such as")]
    #[case("$..a..b", "`..` may stand in it only once")]
    #[case("$[?@.a[?@.b]]", "`?` may stand in it only once")]
    #[case("$[?$.a == 1]", "`$` may stand only at its start")]
    #[case("$[?search(@, 'a{1000}{1000}')]", "not supported")]
    #[case("$[0,0,0,0][0,0,0,0][0,0,0,0]", "more than 16 ways")]
    #[case("$[((((((((((1))))))))))]", "more than 8 deep")]
    fn refuses_with_the_remedy(#[case] path: &str, #[case] says: &str) {
        let error = validate(path).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }

    #[test]
    fn quoted_keys_may_hold_anything() {
        assert_eq!(lookup(&json!({"a?..$b(": 1}), "$['a?..$b(']"), Ok(Some(json!(1))));
        assert_eq!(validate(r#"$["it's \"quoted\" $?..?"]"#), Ok(()));
    }

    #[test]
    fn a_path_s_length_is_bounded() {
        assert!(
            validate(&format!("$.{}", "a".repeat(PATH_MAX)))
                .unwrap_err()
                .to_string()
                .contains("1026 bytes")
        );
        assert!(
            validate(&format!("${}", ".a".repeat(33)))
                .unwrap_err()
                .to_string()
                .contains("33 steps")
        );
    }

    #[rstest]
    #[case(json!("a b"), "a b")]
    #[case(json!(1_000_000), "1000000")]
    #[case(json!(0.1), "0.1")]
    #[case(json!(true), "true")]
    #[case(json!(null), "null")]
    #[case(json!({"b": "<&>", "a": [1, "x"]}), r#"{"a":[1,"x"],"b":"<&>"}"#)]
    fn values_are_written_as_json_has_them(#[case] value: Value, #[case] written: &str) {
        assert_eq!(text(&value), written);
    }
}
