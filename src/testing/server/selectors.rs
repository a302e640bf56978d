//! Label and field selectors.

use serde_json::Value;

use super::{
    kinds::Kind,
    refusal::{Refusal, bad_request},
};

/// What a list or watch asks for.
#[derive(Clone, Debug, Default)]
pub(super) struct Selection {
    labels: Vec<LabelTerm>,
    fields: Vec<FieldTerm>,
}

#[derive(Clone, Debug)]
enum LabelTerm {
    In(String, Vec<String>),
    NotIn(String, Vec<String>),
    Exists(String),
    Absent(String),
}

#[derive(Clone, Debug)]
struct FieldTerm {
    path: String,
    value: String,
    equal: bool,
}

impl Selection {
    pub(super) fn parse(kind: &Kind, labels: Option<&str>, fields: Option<&str>) -> Result<Self, Refusal> {
        let labels = terms(labels.unwrap_or_default())
            .into_iter()
            .map(|t| label_term(&t))
            .collect::<Result<_, _>>()?;
        let fields = terms(fields.unwrap_or_default())
            .into_iter()
            .map(|t| field_term(kind, &t))
            .collect::<Result<_, _>>()?;
        Ok(Self { labels, fields })
    }

    pub(super) fn fits(&self, object: &Value) -> bool {
        self.labels.iter().all(|t| t.fits(object)) && self.fields.iter().all(|t| t.fits(object))
    }
}

/// Splits at commas that are not inside parentheses.
fn terms(text: &str) -> Vec<String> {
    let mut depth = 0;
    let mut found = vec![String::new()];
    for c in text.chars() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        if c == ',' && depth == 0 {
            found.push(String::new());
        } else if let Some(last) = found.last_mut() {
            last.push(c);
        }
    }
    found
        .into_iter()
        .map(|t| t.trim().to_owned())
        .filter(|t| !t.is_empty())
        .collect()
}

fn label_term(term: &str) -> Result<LabelTerm, Refusal> {
    if let Some((key, values)) = term.split_once(" in ").or_else(|| term.split_once(" in(")) {
        return Ok(LabelTerm::In(key.trim().to_owned(), set(values)));
    }
    if let Some((key, values)) = term.split_once(" notin ").or_else(|| term.split_once(" notin(")) {
        return Ok(LabelTerm::NotIn(key.trim().to_owned(), set(values)));
    }
    if let Some((key, value)) = term.split_once("!=") {
        return Ok(LabelTerm::NotIn(
            key.trim().to_owned(),
            vec![value.trim().to_owned()],
        ));
    }
    if let Some((key, value)) = term.split_once("==").or_else(|| term.split_once('=')) {
        return Ok(LabelTerm::In(
            key.trim().to_owned(),
            vec![value.trim().to_owned()],
        ));
    }
    if let Some(key) = term.strip_prefix('!') {
        return Ok(LabelTerm::Absent(key.trim().to_owned()));
    }
    if term.contains(char::is_whitespace) {
        return Err(bad_request(format!("unable to parse requirement: {term:?}")));
    }
    Ok(LabelTerm::Exists(term.to_owned()))
}

fn set(text: &str) -> Vec<String> {
    let inner = text.trim().trim_start_matches('(').trim_end_matches(')');
    inner.split(',').map(|v| v.trim().to_owned()).collect()
}

impl LabelTerm {
    fn fits(&self, object: &Value) -> bool {
        let label = |key: &str| {
            object
                .get("metadata")
                .and_then(|m| m.get("labels"))
                .and_then(|l| l.get(key))
                .and_then(Value::as_str)
        };
        match self {
            Self::In(key, values) => label(key).is_some_and(|v| values.iter().any(|w| w == v)),
            Self::NotIn(key, values) => label(key).is_none_or(|v| values.iter().all(|w| w != v)),
            Self::Exists(key) => label(key).is_some(),
            Self::Absent(key) => label(key).is_none(),
        }
    }
}

fn field_term(kind: &Kind, term: &str) -> Result<FieldTerm, Refusal> {
    let (path, value, equal) = if let Some((path, value)) = term.split_once("!=") {
        (path, value, false)
    } else if let Some((path, value)) = term.split_once("==").or_else(|| term.split_once('=')) {
        (path, value, true)
    } else {
        return Err(bad_request(format!(
            "invalid selector: {term:?}; can't understand it"
        )));
    };
    if !matches!(path, "metadata.name" | "metadata.namespace") && !kind.selectable.iter().any(|s| s == path) {
        return Err(bad_request(format!("field label not supported: {path}")));
    }
    Ok(FieldTerm {
        path: path.to_owned(),
        value: value.to_owned(),
        equal,
    })
}

impl FieldTerm {
    fn fits(&self, object: &Value) -> bool {
        let found = self.path.split('.').try_fold(object, |value, key| value.get(key));
        let text = match found {
            None | Some(Value::Null) => String::new(),
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
        };
        (text == self.value) == self.equal
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::json;

    fn kind() -> Kind {
        let done = "status.done".to_owned();
        Kind {
            group: String::new(),
            version: "v1".to_owned(),
            plural: "things".to_owned(),
            kind: "Thing".to_owned(),
            namespaced: true,
            status: true,
            custom: true,
            selectable: vec![done],
            schema: None,
        }
    }

    #[rstest]
    #[case("app=web", "", true)]
    #[case("app=db", "", false)]
    #[case("app in (web, db),tier notin (back),!gone,app", "", true)]
    #[case("app!=web", "", false)]
    #[case("gone!=x", "", true)]
    #[case("", "status.done!=true", true)]
    #[case("", "status.done=false", true)]
    #[case("", "metadata.name=a,metadata.namespace=ns", true)]
    #[case("", "metadata.name=b", false)]
    fn selects(#[case] labels: &str, #[case] fields: &str, #[case] fits: bool) {
        let object = json!({
            "metadata": {"name": "a", "namespace": "ns", "labels": {"app": "web", "tier": "front"}},
            "status": {"done": false},
        });
        let selection = Selection::parse(&kind(), Some(labels), Some(fields)).unwrap();
        assert_eq!(selection.fits(&object), fits);
    }

    #[test]
    fn an_absent_field_is_the_empty_text() {
        let open = Selection::parse(&kind(), None, Some("status.done!=true")).unwrap();
        assert!(open.fits(&json!({"metadata": {"name": "a"}})));
    }

    #[test]
    fn refuses_a_field_that_is_not_selectable() {
        let refused = Selection::parse(&kind(), None, Some("spec.x=1")).unwrap_err();
        assert_eq!(
            (refused.code, refused.message.as_str()),
            (400, "field label not supported: spec.x")
        );
    }
}
