//! What is wrong with a file.

use std::fmt;

use crate::core::Invalid;

/// One mistake in one file. Every message names the file, the field where there is one, and what to do.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Error {
    /// It is not even parsed.
    #[error("{file}: is longer than 1 MiB; no file of Keptn's is: shorten it")]
    TooLong {
        /// The file.
        file: String,
    },
    /// Bytes that are no UTF-8.
    #[error("{file}: line {line} is not UTF-8; save the file as UTF-8")]
    NotUtf8 {
        /// The file.
        file: String,
        /// The line, from 1.
        line: usize,
    },
    /// Nothing, or only comments.
    #[error("{file}: is empty; write {wanted} into it, or remove it")]
    Empty {
        /// The file.
        file: String,
        /// What it should hold.
        wanted: String,
    },
    /// YAML knows no tabs at the beginning of a line.
    #[error("{file}: line {line} is indented with a tab; indent with spaces")]
    Tab {
        /// The file.
        file: String,
        /// The line, from 1.
        line: usize,
    },
    /// Neither YAML nor JSON.
    #[error("{file}: can't be read as YAML: {problem}; mend the line")]
    Syntax {
        /// The file.
        file: String,
        /// What the parser says, with the line.
        problem: String,
    },
    /// More than one YAML document.
    #[error("{file}: has several documents, parted by `---`; put each into a file of its own")]
    SeveralDocuments {
        /// The file.
        file: String,
    },
    /// A name that an object has twice.
    #[error("{file}: {at}: has {key:?} twice; remove one")]
    Duplicate {
        /// The file.
        file: String,
        /// The object.
        at: String,
        /// The name.
        key: String,
    },
    /// `apiVersion` or `kind` is not the one that is read.
    #[error("{file}: {path}: {found} is not read; write {accepted}")]
    Version {
        /// The file.
        file: String,
        /// `apiVersion` or `kind`.
        path: String,
        /// What is there, quoted, or `nothing`.
        found: String,
        /// What is read.
        accepted: String,
    },
    /// A field that nothing reads.
    #[error("{file}: {path}: there is no such field{hint}")]
    Unknown {
        /// The file.
        file: String,
        /// The field.
        path: String,
        /// The nearest known name, or the known ones.
        hint: String,
    },
    /// A field that has to be there.
    #[error("{file}: {path}: is missing; add it")]
    Missing {
        /// The file.
        file: String,
        /// The field.
        path: String,
    },
    /// A field whose value can't be.
    #[error("{file}: {invalid}")]
    Value {
        /// The file.
        file: String,
        /// The field, and what is wrong.
        invalid: Invalid,
    },
    /// What a file is for can't be told, or can't be.
    #[error("{file}: {problem}")]
    Place {
        /// The file.
        file: String,
        /// What is wrong, and the remedy.
        problem: String,
    },
}

impl Error {
    /// A value that can't be.
    pub(super) fn value(file: &str, path: &str, message: impl Into<String>) -> Self {
        Self::Value {
            file: file.to_owned(),
            invalid: Invalid::new(if path.is_empty() { "the whole" } else { path }, message),
        }
    }
}

/// Everything that is wrong with a file, one line each; never empty.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Errors(pub Vec<Error>);

impl From<Error> for Errors {
    fn from(error: Error) -> Self {
        Self(vec![error])
    }
}

impl std::error::Error for Errors {}

impl fmt::Display for Errors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.0.iter().enumerate() {
            write!(f, "{}{error}", if index == 0 { "" } else { "\n" })?;
        }
        Ok(())
    }
}
