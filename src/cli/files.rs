//! Files that are generated.

use std::{
    fs,
    io::{self, Write},
    path::Path,
};

use anyhow::Context;

/// A file that is generated.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct File {
    /// Its path, from the directory that it is written to.
    pub path: String,
    /// Its content.
    pub content: String,
}

/// The same files, below a directory.
pub(super) fn within(directory: &str, files: Vec<File>) -> Vec<File> {
    files
        .into_iter()
        .map(|f| File {
            path: format!("{directory}/{}", f.path),
            ..f
        })
        .collect()
}

/// Writes the files into a directory, which is made if it is not there. Files that are the same stay untouched.
pub(super) fn write(directory: &Path, files: &[File]) -> anyhow::Result<()> {
    for file in files {
        let path = directory.join(&file.path);
        if fs::read_to_string(&path).is_ok_and(|old| old == file.content) {
            continue;
        }
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).with_context(|| format!("could not make {}", parent.display()))?;
        }
        fs::write(&path, &file.content).with_context(|| format!("could not write {}", path.display()))?;
        eprintln!("wrote {}", path.display());
    }
    Ok(())
}

/// Prints the files as one stream of YAML documents. A reader that has seen enough (`| head`) is no error.
pub(super) fn print(files: &[File]) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    for file in files {
        let separated = if file.content.starts_with("---") {
            ""
        } else {
            "---\n"
        };
        match write!(out, "{separated}{}", file.content) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
            written => written.context("could not write to stdout")?,
        }
    }
    Ok(())
}

/// Prints a text. A reader that has seen enough (`| head`) is no error.
pub(super) fn print_text(text: &str) -> anyhow::Result<()> {
    match io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.context("could not write to stdout"),
    }
}
