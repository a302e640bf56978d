//! How an indicator is measured, as a ServiceLevelIndicator says it: v1's text, or an object.

use serde_json::{Map, Value};

use crate::{
    api::{
        Duration,
        sli::{Indicator, Measure, RangeQuery, SeriesReducer, TimeReducer},
    },
    core::{Invalid, definitions::nearest::hint, invalid::kind},
};

const QUERY_MAX: usize = 8192;
/// Finer steps than a scrape could ever be are a mistake, and an answer that is too long.
const STEP_MIN: std::time::Duration = std::time::Duration::from_secs(1);
const SERIES: [(&str, SeriesReducer); 4] = [
    ("sum", SeriesReducer::Sum),
    ("avg", SeriesReducer::Avg),
    ("max", SeriesReducer::Max),
    ("min", SeriesReducer::Min),
];
const TIME: [(&str, TimeReducer); 5] = [
    ("avg", TimeReducer::Avg),
    ("max", TimeReducer::Max),
    ("min", TimeReducer::Min),
    ("sum", TimeReducer::Sum),
    ("last", TimeReducer::Last),
];

/// Reads an indicator; `path` is where it stands.
pub fn parse(path: &str, indicator: &Indicator) -> Result<Measure, Vec<Invalid>> {
    let mut wrong = Vec::new();
    let measure = match &indicator.0 {
        Value::String(query) => Measure {
            query: query.clone(),
            ..Measure::default()
        },
        Value::Object(fields) => object(path, fields, &mut wrong),
        other => {
            let message = format!(
                "is {}; write a query, or an object with query, reduce and range",
                kind(other)
            );
            return Err(vec![Invalid::new(path, message)]);
        }
    };
    let length = measure.query.chars().count();
    if wrong.is_empty() && measure.query.trim().is_empty() {
        wrong.push(Invalid::new(path, "the query is empty; write one"));
    } else if length > QUERY_MAX {
        let message = format!("the query has {length} characters; leave at most {QUERY_MAX}");
        wrong.push(Invalid::new(path, message));
    }
    if wrong.is_empty() { Ok(measure) } else { Err(wrong) }
}

fn object(path: &str, fields: &Map<String, Value>, wrong: &mut Vec<Invalid>) -> Measure {
    known(path, fields, &["query", "reduce", "range"], wrong);
    let query = match fields.get("query") {
        Some(Value::String(query)) => query.clone(),
        Some(other) => {
            let message = format!("is {}; write the query as text", kind(other));
            wrong.push(Invalid::new(format!("{path}.query"), message));
            String::new()
        }
        None => {
            wrong.push(Invalid::new(
                format!("{path}.query"),
                "is missing; write the query there",
            ));
            String::new()
        }
    };
    Measure {
        query,
        reduce: choice(path, fields, &SERIES, wrong),
        range: range(&format!("{path}.range"), fields.get("range"), wrong),
    }
}

fn range(path: &str, value: Option<&Value>, wrong: &mut Vec<Invalid>) -> Option<RangeQuery> {
    let fields = match value? {
        Value::Null => return None,
        Value::Object(fields) => fields,
        other => {
            let message = format!("is {}; write an object with reduce and step", kind(other));
            wrong.push(Invalid::new(path, message));
            return None;
        }
    };
    known(path, fields, &["reduce", "step"], wrong);
    let reduce = choice(path, fields, &TIME, wrong);
    if fields.get("reduce").is_none_or(Value::is_null) {
        let message = format!("is missing; write one of {}", names(&TIME));
        wrong.push(Invalid::new(format!("{path}.reduce"), message));
    }
    Some(RangeQuery {
        reduce: reduce?,
        step: step(&format!("{path}.step"), fields.get("step"), wrong),
    })
}

fn step(path: &str, value: Option<&Value>, wrong: &mut Vec<Invalid>) -> Option<Duration> {
    let message = match value? {
        Value::Null => return None,
        Value::String(text) => match text.parse::<Duration>() {
            Ok(step) if step.0 >= STEP_MIN => return Some(step),
            Ok(_) => format!("{text} is too short; write at least 1s"),
            Err(message) => message,
        },
        other => format!("is {}; write a duration such as 15s", kind(other)),
    };
    wrong.push(Invalid::new(path, message));
    None
}

/// The value of `reduce`, if there is one.
fn choice<T: Copy>(
    path: &str,
    fields: &Map<String, Value>,
    choices: &[(&str, T)],
    wrong: &mut Vec<Invalid>,
) -> Option<T> {
    let value = fields.get("reduce").filter(|value| !value.is_null())?;
    let found = choices.iter().find(|(name, _)| value.as_str() == Some(*name));
    if found.is_none() {
        let message = format!("{value} is not possible; write one of {}", names(choices));
        wrong.push(Invalid::new(format!("{path}.reduce"), message));
    }
    found.map(|(_, it)| *it)
}

fn names<T>(choices: &[(&str, T)]) -> String {
    choices
        .iter()
        .map(|(name, _)| *name)
        .collect::<Vec<_>>()
        .join(", ")
}

fn known(path: &str, fields: &Map<String, Value>, names: &[&str], wrong: &mut Vec<Invalid>) {
    for name in fields.keys().filter(|name| !names.contains(&name.as_str())) {
        let message = format!("is no known field{}", hint(name, names.iter().copied()));
        wrong.push(Invalid::new(format!("{path}.{name}"), message));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn read(yaml: &str) -> Result<Measure, Vec<String>> {
        parse("i", &serde_yaml::from_str(yaml).unwrap())
            .map_err(|wrong| wrong.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn v1_wrote_text() {
        let expected = Measure {
            query: "up".to_owned(),
            ..Measure::default()
        };
        assert_eq!(read("up"), Ok(expected.clone()));
        assert_eq!(read("{query: up}"), Ok(expected));
    }

    #[test]
    fn an_object_says_how_one_value_comes_about() {
        let measure = read("{query: up, reduce: max, range: {reduce: last, step: 30s}}").unwrap();
        assert_eq!(measure.reduce, Some(SeriesReducer::Max));
        let range = RangeQuery {
            reduce: TimeReducer::Last,
            step: Some(Duration::from_secs(30)),
        };
        assert_eq!(measure.range, Some(range));
    }

    #[rstest]
    #[case("' '", &["i: the query is empty; write one"])]
    #[case("{query: ''}", &["i: the query is empty; write one"])]
    #[case("{}", &["i.query: is missing; write the query there"])]
    #[case("7", &["i: is a number; write a query, or an object with query, reduce and range"])]
    #[case("[up]", &["i: is a list; write a query, or an object with query, reduce and range"])]
    #[case("{query: 7}", &["i.query: is a number; write the query as text"])]
    #[case("{query: up, reduc: sum}", &["i.reduc: is no known field; did you mean \"reduce\"?"])]
    #[case("{query: up, reduce: p95}", &["i.reduce: \"p95\" is not possible; write one of sum, avg, max, min"])]
    #[case("{query: up, range: 15s}", &["i.range: is text; write an object with reduce and step"])]
    #[case("{query: up, range: {step: 15s}}", &["i.range.reduce: is missing; write one of avg, max, min, sum, last"])]
    #[case("{query: up, range: {reduce: avg, step: 0.1s}}", &["i.range.step: 0.1s is too short; write at least 1s"])]
    #[case("{query: up, range: {reduce: avg, step: 15}}", &["i.range.step: is a number; write a duration such as 15s"])]
    #[case("{query: up, range: {reduce: avg, steps: 15s}}", &["i.range.steps: is no known field; did you mean \"step\"?"])]
    #[case("{qurey: up, reduce: x}", &[
        "i.qurey: is no known field; did you mean \"query\"?",
        "i.query: is missing; write the query there",
        "i.reduce: \"x\" is not possible; write one of sum, avg, max, min",
    ])]
    fn mistakes_are_told(#[case] yaml: &str, #[case] says: &[&str]) {
        let says: Vec<String> = says.iter().map(|&s| s.to_owned()).collect();
        assert_eq!(read(yaml), Err(says));
    }

    #[test]
    fn a_query_has_an_end() {
        let long = "x".repeat(QUERY_MAX + 1);
        assert!(read(&long).unwrap_err()[0].contains("leave at most 8192"));
        assert!(read(&long[1..]).is_ok());
    }
}
