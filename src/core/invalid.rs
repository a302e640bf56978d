//! What is wrong with something that a user wrote.

use std::fmt;

use serde_json::Value;

/// One mistake: where it is and what to do about it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Invalid {
    /// The field's path, such as `spec.stages[1].sequences[0].tasks[2].name`.
    pub path: String,
    /// What is wrong, and the remedy.
    pub message: String,
}

impl Invalid {
    /// A mistake at `path`.
    pub fn new(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            message: message.into(),
        }
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.message)
    }
}
/// What a value is, in the words of messages.
pub fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "empty",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
