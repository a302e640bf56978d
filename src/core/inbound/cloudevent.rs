//! CloudEvents 1.0 over HTTP: structured, binary and batch.

use serde_json::Value;

use crate::{api::common::Object, core::Invalid};

/// A batch has so many events at most.
pub const BATCH_MAX: usize = 100;
/// An attribute has so many bytes at most.
const ATTRIBUTE_MAX: usize = 1024;
const BATCH: &str = "application/cloudevents-batch";
const STRUCTURED: &str = "application/cloudevents";

/// An event; of the attributes those that say something here.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CloudEvent {
    /// What tells it from others of its source. Keptn's own files have none.
    pub id: Option<String>,
    /// Who sent it.
    pub source: String,
    /// For example `sh.keptn.event.production.remediation.triggered`.
    pub type_: String,
    /// `shkeptncontext`: the flow that it belongs to.
    pub context: Option<String>,
    /// `triggeredid`: the event that it answers.
    pub triggered_id: Option<String>,
    /// Its data, always an object.
    pub data: Object,
}

/// What a request carries: one event, or a batch.
#[derive(Clone, Debug, PartialEq)]
pub struct Received {
    /// The events, in order.
    pub events: Vec<CloudEvent>,
    /// Whether they came as a batch, so that a list answers them.
    pub batch: bool,
}

/// Reads a request. `header` gives a header's value by its name in lower case.
///
/// # Errors
/// All that is wrong, by the attributes' names (with their place in a batch).
pub fn read<'a>(header: impl Fn(&str) -> Option<&'a str>, body: &[u8]) -> Result<Received, Vec<Invalid>> {
    let content = header("content-type").unwrap_or_default().to_ascii_lowercase();
    let content = content.split(';').next().unwrap_or_default().trim();
    let one = |event| Received {
        events: vec![event],
        batch: false,
    };
    if !content.starts_with(STRUCTURED) && (header("ce-type").is_some() || header("ce-specversion").is_some())
    {
        return binary(header, content, body).map(one);
    }
    match json(body)? {
        Value::Array(items) if content.starts_with(BATCH) || !content.starts_with(STRUCTURED) => {
            batch(items).map(|events| Received { events, batch: true })
        }
        _ if content.starts_with(BATCH) => Err(whole("is no list; a batch is a JSON list of events")),
        Value::Object(fields) => structured(fields).map(one),
        _ => Err(whole(
            "is no object; send an event as a JSON object, or in ce- headers",
        )),
    }
}

fn json(body: &[u8]) -> Result<Value, Vec<Invalid>> {
    serde_json::from_slice(body).map_err(|e| whole(&format!("is no JSON: {e}")))
}

fn whole(message: &str) -> Vec<Invalid> {
    vec![Invalid::new("body", message)]
}

fn batch(items: Vec<Value>) -> Result<Vec<CloudEvent>, Vec<Invalid>> {
    if items.len() > BATCH_MAX {
        return Err(whole(&format!(
            "has {} events; send at most {BATCH_MAX} at once",
            items.len()
        )));
    }
    let mut wrong = Vec::new();
    let mut events = Vec::new();
    for (i, item) in items.into_iter().enumerate() {
        let read = match item {
            Value::Object(fields) => structured(fields),
            _ => Err(vec![Invalid::new("", "is no object; each event is one")]),
        };
        match read {
            // Without an id a second try of the whole batch would do everything twice.
            Ok(event) if event.id.is_none() => {
                wrong.push(Invalid::new(
                    format!("[{i}].id"),
                    "is missing; events of a batch need one",
                ));
            }
            Ok(event) => events.push(event),
            Err(mistakes) => wrong.extend(mistakes.into_iter().map(|m| {
                let dot = if m.path.is_empty() { "" } else { "." };
                Invalid::new(format!("[{i}]{dot}{}", m.path), m.message)
            })),
        }
    }
    if wrong.is_empty() { Ok(events) } else { Err(wrong) }
}

fn structured(mut fields: Object) -> Result<CloudEvent, Vec<Invalid>> {
    let data = match (fields.remove("data"), fields.remove("data_base64")) {
        (Some(_), Some(_)) => Err(Invalid::new(
            "data_base64",
            "stands beside data; send one of them",
        )),
        (Some(data), None) => object(data),
        (None, Some(coded)) => decoded(&coded).and_then(object),
        (None, None) => Ok(Object::new()),
    };
    let mut wrong = Vec::new();
    let mut attribute = |name: &str| match fields.get(name) {
        None | Some(Value::Null) => None,
        Some(Value::String(text)) => Some(text.clone()),
        Some(_) => {
            wrong.push(Invalid::new(name, "is no text; write it in quotes"));
            None
        }
    };
    let event = assemble(&mut attribute);
    finish(event, attribute("specversion"), data, wrong)
}

fn binary<'a>(
    header: impl Fn(&str) -> Option<&'a str>,
    content: &str,
    body: &[u8],
) -> Result<CloudEvent, Vec<Invalid>> {
    let is_json = content.is_empty()
        || content == "text/json"
        || content.ends_with("/json")
        || content.ends_with("+json");
    let data = if body.is_empty() {
        Ok(Object::new())
    } else if is_json {
        match json(body) {
            Ok(value) => object(value),
            Err(mut wrong) => Err(wrong.pop().unwrap_or_else(|| Invalid::new("body", "is no JSON"))),
        }
    } else {
        Err(Invalid::new(
            "content-type",
            format!("is {content:?}; the data of these events is application/json"),
        ))
    };
    let mut attribute = |name: &str| header(&format!("ce-{name}")).map(percent_decoded);
    let event = assemble(&mut attribute);
    finish(event, attribute("specversion"), data, Vec::new())
}

fn assemble(attribute: &mut impl FnMut(&str) -> Option<String>) -> CloudEvent {
    let mut some = |name: &str| attribute(name).filter(|text| !text.is_empty());
    CloudEvent {
        id: some("id"),
        source: some("source").unwrap_or_default(),
        type_: some("type").unwrap_or_default(),
        context: some("shkeptncontext"),
        triggered_id: some("triggeredid"),
        data: Object::new(),
    }
}

fn finish(
    mut event: CloudEvent,
    version: Option<String>,
    data: Result<Object, Invalid>,
    mut wrong: Vec<Invalid>,
) -> Result<CloudEvent, Vec<Invalid>> {
    if let Some(version) = version.filter(|v| v != "1.0") {
        wrong.push(Invalid::new(
            "specversion",
            format!("is {version:?}; send CloudEvents 1.0"),
        ));
    }
    let missing = |name: &str| Invalid::new(name, "is missing; every event has one");
    if event.type_.is_empty() && wrong.iter().all(|w| w.path != "type") {
        wrong.push(missing("type"));
    }
    if event.source.is_empty() && wrong.iter().all(|w| w.path != "source") {
        wrong.push(missing("source"));
    }
    let attributes = [
        ("id", event.id.as_deref()),
        ("source", Some(event.source.as_str())),
        ("type", Some(event.type_.as_str())),
        ("shkeptncontext", event.context.as_deref()),
        ("triggeredid", event.triggered_id.as_deref()),
    ];
    for (name, value) in attributes {
        if value.is_some_and(|text| text.len() > ATTRIBUTE_MAX || text.chars().any(char::is_control)) {
            wrong.push(Invalid::new(
                name,
                format!("has more than {ATTRIBUTE_MAX} bytes, or control characters; shorten it"),
            ));
        }
    }
    match data {
        Ok(data) if wrong.is_empty() => {
            event.data = data;
            Ok(event)
        }
        Ok(_) => Err(wrong),
        Err(mistake) => {
            wrong.push(mistake);
            Err(wrong)
        }
    }
}

fn object(value: Value) -> Result<Object, Invalid> {
    match value {
        Value::Object(fields) => Ok(fields),
        // Some senders write the JSON of their data as a text.
        Value::String(text) => match serde_json::from_str(&text) {
            Ok(Value::Object(fields)) => Ok(fields),
            _ => Err(Invalid::new("data", "is a text; send a JSON object")),
        },
        Value::Null => Ok(Object::new()),
        _ => Err(Invalid::new("data", "is no object; send a JSON object")),
    }
}

fn decoded(coded: &Value) -> Result<Value, Invalid> {
    use base64::Engine;
    let wrong = || Invalid::new("data_base64", "is no JSON in base64; send the data as data");
    let text = coded.as_str().ok_or_else(wrong)?;
    let bytes = base64::engine::general_purpose::STANDARD
        .decode(text)
        .map_err(|_| wrong())?;
    serde_json::from_slice(&bytes).map_err(|_| wrong())
}

/// Header values have `%XX` for what headers can't carry; what is no such code stays.
fn percent_decoded(text: &str) -> String {
    let text = text.trim();
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let code = after.get(..2).filter(|_| first == b'%');
        let code = code.and_then(|hex| std::str::from_utf8(hex).ok());
        let code = code.filter(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit()));
        if let Some(byte) = code.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            bytes.push(byte);
            rest = &after[2..];
        } else {
            bytes.push(first);
            rest = after;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use rstest::rstest;
    use serde_json::json;

    use super::*;

    fn take(headers: &[(&str, &str)], body: &str) -> Result<Received, String> {
        let headers: BTreeMap<_, _> = headers.iter().copied().collect();
        read(|name| headers.get(name).copied(), body.as_bytes()).map_err(|wrong| {
            wrong
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join("\n")
        })
    }

    fn event() -> CloudEvent {
        CloudEvent {
            id: Some("1".into()),
            source: "ci".into(),
            type_: "t".into(),
            context: Some("c".into()),
            triggered_id: Some("x".into()),
            data: json!({"a": 1}).as_object().cloned().unwrap(),
        }
    }

    fn whole() -> Value {
        json!({"specversion": "1.0", "id": "1", "source": "ci", "type": "t", "shkeptncontext": "c", "triggeredid": "x",
            "datacontenttype": "application/json", "myextension": "any", "data": {"a": 1}})
    }

    #[rstest]
    #[case("application/cloudevents+json; charset=UTF-8")]
    #[case("application/json")]
    #[case("")]
    fn structured_mode(#[case] content: &str) {
        let read = take(&[("content-type", content)], &whole().to_string()).unwrap();
        assert_eq!((read.events, read.batch), (vec![event()], false));
    }

    #[test]
    fn data_in_base64() {
        let mut coded = whole();
        coded.as_object_mut().unwrap().remove("data");
        coded["data_base64"] = "eyJhIjoxfQ==".into();
        assert_eq!(take(&[], &coded.to_string()).unwrap().events, [event()]);
    }

    #[test]
    fn binary_mode() {
        let headers = [
            ("content-type", "application/json"),
            ("ce-specversion", "1.0"),
            ("ce-id", "1"),
            ("ce-source", "%63i"),
            ("ce-type", "t"),
            ("ce-shkeptncontext", "c"),
            ("ce-triggeredid", "x"),
        ];
        assert_eq!(take(&headers, r#"{"a": 1}"#).unwrap().events, [event()]);
        let mut other = headers;
        other[0].1 = "application/xml";
        assert!(take(&other, "<a/>").unwrap_err().starts_with("content-type: is"));
    }

    #[rstest]
    #[case("application/cloudevents-batch+json")]
    #[case("application/json")]
    fn batch_mode(#[case] content: &str) {
        let body = json!([whole(), whole()]).to_string();
        let read = take(&[("content-type", content)], &body).unwrap();
        assert_eq!((read.events, read.batch), (vec![event(), event()], true));
    }

    #[rstest]
    #[case("", "{", "body: is no JSON: EOF while parsing an object at line 1 column 1")]
    #[case(
        "",
        "1",
        "body: is no object; send an event as a JSON object, or in ce- headers"
    )]
    #[case(
        "application/cloudevents-batch+json",
        "{}",
        "body: is no list; a batch is a JSON list of events"
    )]
    #[case(
        "",
        "{}",
        "type: is missing; every event has one\nsource: is missing; every event has one"
    )]
    #[case("", r#"{"type": 1, "source": "s"}"#, "type: is no text; write it in quotes")]
    #[case(
        "",
        r#"{"type": "t", "source": "s", "data": []}"#,
        "data: is no object; send a JSON object"
    )]
    #[case(
        "",
        r#"{"type": "t", "source": "s", "specversion": "0.3"}"#,
        "specversion: is \"0.3\"; send CloudEvents 1.0"
    )]
    #[case(
        "",
        r#"[{"type": "t", "source": "s"}, 1]"#,
        "[0].id: is missing; events of a batch need one\n[1]: is no object; each event is one"
    )]
    fn mistakes(#[case] content: &str, #[case] body: &str, #[case] says: &str) {
        assert_eq!(take(&[("content-type", content)], body).unwrap_err(), says);
    }
}
