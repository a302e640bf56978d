//! What is told to people about an object, as a Kubernetes Event.

/// One thing that happened.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Note {
    /// What happened, in a CamelCase word: `TaskStarted`.
    pub reason: &'static str,
    /// The sentence for people.
    pub text: String,
    /// Whether somebody should look.
    pub warning: bool,
}

impl Note {
    /// Something that went as it should.
    pub fn normal(reason: &'static str, text: impl Into<String>) -> Self {
        Self {
            reason,
            text: text.into(),
            warning: false,
        }
    }

    /// Something that somebody should look at.
    pub fn warning(reason: &'static str, text: impl Into<String>) -> Self {
        Self {
            reason,
            text: text.into(),
            warning: true,
        }
    }
}
