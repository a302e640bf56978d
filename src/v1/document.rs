//! A file's bytes -> one JSON value, with the text of its numbers.
//!
//! Keptn read numbers and booleans as text where it wanted text, just as they were written: an unquoted `1.10` is
//! `1.10`, never `1.1`. So the text is kept beside the value.

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::Value;
use serde_yaml::Value as Yaml;

use super::Error;

/// No file may be longer.
pub const LONGEST: usize = 1024 * 1024;

/// What one file holds.
#[derive(Clone, Debug)]
pub(super) struct Document {
    /// Its value, with aliases and merge keys resolved.
    pub(super) value: Value,
    /// The same, with every number and boolean as its text. What came by a merge key is not here.
    pub(super) texts: Value,
}

/// Reads a file; `wanted` is what it should hold, for the message when it holds nothing.
pub(super) fn read(file: &str, bytes: &[u8], wanted: &str) -> Result<Document, Vec<Error>> {
    let owned = || file.to_owned();
    if bytes.len() > LONGEST {
        return Err(vec![Error::TooLong { file: owned() }]);
    }
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let before = &bytes[..error.valid_up_to()];
        let line = before.split(|b| *b == b'\n').count();
        vec![Error::NotUtf8 { file: owned(), line }]
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let yaml = match parse(file, text) {
        // JSON may have escapes that YAML has not: two `\u` for one character.
        Err(error @ Error::Syntax { .. }) if text.trim_start().starts_with('{') => {
            let value = serde_json::from_str(text).map_err(|_| vec![error])?;
            return Ok(Document {
                value,
                texts: Value::Null,
            });
        }
        parsed => parsed.map_err(|error| vec![error])?,
    };
    if yaml.is_null() {
        let wanted = wanted.to_owned();
        return Err(vec![Error::Empty {
            file: owned(),
            wanted,
        }]);
    }
    let texts = Texts(&yaml)
        .deserialize(serde_yaml::Deserializer::from_str(text))
        .unwrap_or_default();
    let mut merged = yaml;
    merged
        .apply_merge()
        .map_err(|error| vec![Error::value(file, "<<", error.to_string())])?;
    let mut wrong = Vec::new();
    let value = to_json(file, merged, "", &mut wrong);
    if wrong.is_empty() {
        Ok(Document { value, texts })
    } else {
        Err(wrong)
    }
}

/// The one document of a text.
fn parse(file: &str, text: &str) -> Result<Yaml, Error> {
    let mut first = None;
    for document in serde_yaml::Deserializer::from_str(text) {
        if first.is_some() {
            return Err(Error::SeveralDocuments {
                file: file.to_owned(),
            });
        }
        first = Some(Yaml::deserialize(document).map_err(|error| refused(file, text, &error))?);
    }
    Ok(first.unwrap_or(Yaml::Null))
}

/// The parser's message in our words, where it has one that people meet.
fn refused(file: &str, text: &str, error: &serde_yaml::Error) -> Error {
    let file = file.to_owned();
    let message = error.to_string();
    if let Some((at, rest)) = message.split_once("duplicate entry with key ") {
        let at = at.trim_end_matches(": ");
        let line = error.location().map_or(0, |l| l.line());
        let (key, _) = rest.split_once(" at line ").unwrap_or((rest, ""));
        return Error::Duplicate {
            file,
            at: if at.is_empty() {
                format!("the object at line {line}")
            } else {
                at.to_owned()
            },
            key: key.trim_matches('"').to_owned(),
        };
    }
    let line = error.location().map_or(0, |location| location.line());
    let is_tabbed = |line: &str| line.trim_start_matches(' ').starts_with('\t');
    if line > 0 && text.lines().nth(line - 1).is_some_and(is_tabbed) {
        return Error::Tab { file, line };
    }
    Error::Syntax {
        file,
        problem: message,
    }
}

/// YAML can say more than JSON: other keys than text, tags, numbers that are none.
fn to_json(file: &str, yaml: Yaml, path: &str, wrong: &mut Vec<Error>) -> Value {
    match yaml {
        Yaml::Null => Value::Null,
        Yaml::Bool(b) => Value::Bool(b),
        Yaml::String(s) => Value::String(s),
        Yaml::Number(n) => {
            let number = n
                .as_u64()
                .map(serde_json::Number::from)
                .or_else(|| n.as_i64().map(serde_json::Number::from))
                .or_else(|| n.as_f64().and_then(serde_json::Number::from_f64));
            if number.is_none() {
                wrong.push(Error::value(
                    file,
                    path,
                    format!("{n} is no number that can be sent as JSON; write another"),
                ));
            }
            number.map_or(Value::Null, Value::Number)
        }
        Yaml::Sequence(list) => list
            .into_iter()
            .enumerate()
            .map(|(i, item)| to_json(file, item, &format!("{path}[{i}]"), wrong))
            .collect(),
        Yaml::Mapping(map) => {
            let mut object = serde_json::Map::new();
            for (key, item) in map {
                if let Yaml::String(key) = key {
                    let below = super::schema::join(path, &key);
                    object.insert(key, to_json(file, item, &below, wrong));
                } else {
                    let message = "has a name that is not text; write the name in quotes";
                    wrong.push(Error::value(file, path, message));
                }
            }
            Value::Object(object)
        }
        Yaml::Tagged(tagged) => {
            let message = format!("has the tag {}; remove it", tagged.tag);
            wrong.push(Error::value(file, path, message));
            Value::Null
        }
    }
}

/// Reads the same text again, led by what was found in it: numbers and booleans as text.
struct Texts<'a>(&'a Yaml);

impl<'de> DeserializeSeed<'de> for Texts<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        match self.0 {
            Yaml::Sequence(_) => deserializer.deserialize_seq(self),
            Yaml::Mapping(_) => deserializer.deserialize_map(self),
            Yaml::Number(_) | Yaml::Bool(_) => String::deserialize(deserializer).map(Value::String),
            Yaml::Null | Yaml::String(_) | Yaml::Tagged(_) => {
                IgnoredAny::deserialize(deserializer).map(|_| Value::Null)
            }
        }
    }
}

impl<'de> Visitor<'de> for Texts<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.write_str("what was there before")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut texts = Vec::new();
        for item in self.0.as_sequence().into_iter().flatten() {
            if let Some(text) = items.next_element_seed(Texts(item))? {
                texts.push(text);
            }
        }
        Ok(Value::Array(texts))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Value, A::Error> {
        let mut texts = serde_json::Map::new();
        for item in self.0.as_mapping().into_iter().flat_map(|m| m.values()) {
            if let Some(key) = fields.next_key::<Yaml>()? {
                let text = fields.next_value_seed(Texts(item))?;
                texts.insert(key.as_str().unwrap_or_default().to_owned(), text);
            }
        }
        Ok(Value::Object(texts))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_keep_their_text() {
        let yaml = "a: &x [1.10, 0x1F, True, 'x', ~]\nb: {c: 1.0, d: *x}\n";
        let document = read("f", yaml.as_bytes(), "x").unwrap();
        assert_eq!(document.value["a"], json!([1.1, 31, true, "x", null]));
        let list = json!(["1.10", "0x1F", "True", null, null]);
        assert_eq!(document.texts, json!({"a": list, "b": {"c": "1.0", "d": list}}));
    }

    #[test]
    fn merge_keys_are_merged() {
        let yaml = "base: &b {image: i, n: 1}\nt:\n  <<: *b\n  n: 2\n";
        let document = read("f", yaml.as_bytes(), "x").unwrap();
        assert_eq!(document.value["t"], json!({"image": "i", "n": 2}));
    }

    #[test]
    fn json_is_read_with_all_its_escapes() {
        let document = read("f", br#"{"a": "\ud83d\ude00", "b": 1}"#, "x").unwrap();
        assert_eq!(document.value, json!({"a": "\u{1f600}", "b": 1}));
        let tabbed = read("f", b"{\n\t\"a\": 1\n}\n", "x").unwrap();
        assert_eq!(tabbed.value, json!({"a": 1}));
    }

    #[test]
    fn aliases_can_t_fill_the_memory() {
        let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x]\n");
        for n in 1..12 {
            let before = vec![format!("*a{}", n - 1); 9].join(", ");
            bomb.push_str(&["a", &n.to_string(), ": &a", &n.to_string(), " [", &before, "]\n"].concat());
        }
        let errors = read("f", bomb.as_bytes(), "x").unwrap_err();
        assert!(errors[0].to_string().contains("repetition limit"), "{errors:?}");
        let deep = "[".repeat(10_000);
        assert!(read("f", deep.as_bytes(), "x").is_err());
    }
}
