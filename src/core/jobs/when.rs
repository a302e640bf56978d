//! Whether a Job of an action is to run at all.

use serde_json::Value;

use super::matching::{FOUND_MAX, holds, look, there, wanted};
use crate::{api::jobconfig::Condition, core::jsonpath::PathError};

/// The first of a Job's `when` that does not hold, in words: what it wants, and what there is.
pub fn unmet(when: &[Condition], event: &Value) -> Result<Option<String>, PathError> {
    for condition in when {
        let found = look(condition, event)?;
        if !holds(condition, found.as_ref()) {
            return Ok(Some(format!(
                "when: {} must be {}, {}",
                condition.property,
                wanted(condition),
                there(found.as_ref(), FOUND_MAX)
            )));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    fn condition(property: &str, match_: Option<&str>, not_match: Option<&str>) -> Condition {
        Condition {
            property: property.to_owned(),
            match_: match_.map(str::to_owned),
            not_match: not_match.map(str::to_owned),
        }
    }

    #[rstest]
    #[case::holds("$.data.kind", Some("load"), None, None)]
    #[case::a_number("$.data.n", Some("3"), None, None)]
    #[case::other(
        "$.data.kind",
        Some("soak"),
        None,
        Some(r#"when: $.data.kind must be "soak", it is "load""#)
    )]
    #[case::nothing(
        "$.data.x",
        Some("soak"),
        None,
        Some(r#"when: $.data.x must be "soak", there is nothing"#)
    )]
    #[case::unwanted(
        "$.data.kind",
        None,
        Some("load"),
        Some(r#"when: $.data.kind must be anything but "load", it is "load""#)
    )]
    #[case::not_there_is_not_unwanted("$.data.x", None, Some("load"), None)]
    fn what_is_missing_is_told(
        #[case] property: &str,
        #[case] match_: Option<&str>,
        #[case] not_match: Option<&str>,
        #[case] expected: Option<&str>,
    ) {
        let event = json!({"data": {"kind": "load", "n": 3}});
        let found = unmet(&[condition(property, match_, not_match)], &event).unwrap();
        assert_eq!(found.as_deref(), expected);
    }

    #[test]
    fn all_must_hold_and_a_path_that_is_none_is_an_error() {
        let event = json!({"data": {"kind": "load"}});
        let holds = condition("$.data.kind", Some("load"), None);
        let fails = condition("$.data.kind", Some("soak"), None);
        assert_eq!(unmet(&[], &event), Ok(None));
        assert!(unmet(&[holds.clone(), fails], &event).unwrap().is_some());
        assert!(unmet(&[holds, condition("data.kind", Some("load"), None)], &event).is_err());
    }
}
