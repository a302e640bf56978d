//! YAML that every reader understands alike.
//!
//! kubectl reads YAML 1.1, where `no`, `on`, `12:30` and `1_000` are no texts; what we write with is of YAML 1.2, where they
//! are, and leaves them bare.

use serde::Serialize;
use serde_yaml::Value;

/// The document, with quotes around every text that a reader could take for something else.
pub(super) fn to_string(document: &impl Serialize) -> anyhow::Result<String> {
    let mut value = serde_yaml::to_value(document)?;
    let plain = serde_yaml::to_string(&value)?;
    // Stands before a text that gets quotes: a private character that is in no text.
    let Some(mark) = ('\u{e000}'..='\u{f8ff}').find(|mark| !plain.contains(*mark)) else {
        return Ok(plain);
    };
    put(mark, &mut value);
    let written = serde_yaml::to_string(&value)?;
    Ok(written
        .split_inclusive('\n')
        .map(|line| quoted(line, mark))
        .collect())
}

fn put(mark: char, value: &mut Value) {
    match value {
        Value::String(text) if is_ambiguous(text) => text.insert(0, mark),
        Value::Sequence(list) => list.iter_mut().for_each(|item| put(mark, item)),
        Value::Mapping(fields) => {
            let marked = std::mem::take(fields).into_iter().map(|(mut key, mut value)| {
                put(mark, &mut key);
                put(mark, &mut value);
                (key, value)
            });
            *fields = marked.collect();
        }
        _ => {}
    }
}

/// Whether YAML 1.1 has another meaning for the text: true, false, a number, a time, a special key.
fn is_ambiguous(text: &str) -> bool {
    let is_word = ["y", "n", "yes", "no", "on", "off"]
        .iter()
        .any(|word| text.eq_ignore_ascii_case(word));
    let like_a_number = |b: u8| b.is_ascii_hexdigit() || b"xXoO_.:+-".contains(&b);
    let begins = text.trim_start_matches(['+', '-', '.']);
    is_word
        || matches!(text, "=" | "<<")
        || (begins.starts_with(|c: char| c.is_ascii_digit())
            && text.bytes().all(like_a_number)
            && !text.ends_with(':'))
}

/// A line with quotes in place of its marks: around a key, a value, or both.
fn quoted(line: &str, mark: char) -> String {
    let mut parts = line.split(mark);
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        // Nothing that is marked has a space, or a colon at its end.
        let end = part.find([' ', '\n']).unwrap_or(part.len());
        let text = part[..end].strip_suffix(':').unwrap_or(&part[..end]);
        out.extend(["\"", text, "\"", &part[text.len()..]]);
    }
    out
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    #[rstest]
    #[case("no")]
    #[case("On")]
    #[case("y")]
    #[case("12:30")]
    #[case("1_000")]
    #[case("2001-01-01")]
    #[case("0x1F")]
    #[case("012")]
    #[case("1e3")]
    #[case("+1")]
    #[case(".5")]
    #[case("=")]
    #[case("<<")]
    fn what_means_something_else_to_others_is_quoted(#[case] text: &str) {
        let written = to_string(&json!({"a": text, "b": [text], text: {"c": 1}})).unwrap();
        for line in [
            format!("a: \"{text}\"\n"),
            format!("- \"{text}\"\n"),
            format!("\"{text}\":\n"),
        ] {
            assert!(written.contains(&line), "{written}");
        }
        let read: serde_json::Value = serde_yaml::from_str(&written).unwrap();
        assert_eq!(read, json!({"a": text, "b": [text], text: {"c": 1}}));
    }

    #[rstest]
    #[case("nothing")]
    #[case("registry:5000/cart")]
    #[case("10 apples: no")]
    #[case("12:")]
    #[case("512Mi")]
    #[case("1.4.2-rc.1")]
    #[case("a\nno\n")]
    #[case("")]
    fn other_texts_are_as_they_were(#[case] text: &str) {
        let document = json!({"a": text});
        assert_eq!(
            to_string(&document).unwrap(),
            serde_yaml::to_string(&document).unwrap()
        );
    }

    #[test]
    fn a_text_with_the_mark_is_itself() {
        let document = json!({"a": "\u{e000}no", "b": "x \u{e000}1"});
        let read: serde_json::Value = serde_yaml::from_str(&to_string(&document).unwrap()).unwrap();
        assert_eq!(read, document);
    }
}
