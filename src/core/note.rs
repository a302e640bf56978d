//! What is told to people about an object, as a Kubernetes Event.

/// One thing that happened.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Note {
    /// What happened, in a CamelCase word: `TaskStarted`.
    pub reason: &'static str,
    /// What tells this from other happenings of the same reason: `2/je-test`.
    pub key: String,
    /// The sentence for people.
    pub text: String,
    /// Whether somebody should look.
    pub warning: bool,
}

impl Note {
    /// Something that went as it should.
    pub fn normal(reason: &'static str, key: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            reason,
            key: key.into(),
            text: text.into(),
            warning: false,
        }
    }

    /// Something that somebody should look at.
    pub fn warning(reason: &'static str, key: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            reason,
            key: key.into(),
            text: text.into(),
            warning: true,
        }
    }
}
