//! `coxswain test`: offline tests of a team's own sequences.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::simulate::{
    Scope,
    input::{self, Sources},
};
use crate::core::simulate::{
    Document,
    case::{self, Expect},
};

/// The case of a folder.
pub(super) const CASE: &str = "case.yaml";

/// Plays every case of a directory, and compares what happens with what is expected. A case is a YAML file with `expect`, or
/// a folder with such a file named case.yaml. Exit code 1 when a case fails.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The directory with the cases.
    directory: PathBuf,
}

/// One case: what `coxswain simulate` is given, and what is expected of it. Paths are relative to the case's file.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Case {
    /// What is tested, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) description: Option<String>,
    /// Files and directories with the definitions.
    pub(super) files: Vec<PathBuf>,
    /// What happens: a file, or the event itself.
    pub(super) event: Value,
    /// How tasks end: a file, or the answers themselves.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub(super) answers: Value,
    /// The project that v1 files are for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) project: Option<String>,
    /// The stage that v1 files are for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) stage: Option<String>,
    /// The service that v1 files are for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) service: Option<String>,
    /// What is expected.
    pub(super) expect: Expect,
}

/// Plays all cases; true when all are as expected.
pub fn run(args: &Args) -> anyhow::Result<bool> {
    let cases = cases(&args.directory)?;
    let mut failed = 0;
    for path in &cases {
        let shown = path.strip_prefix(&args.directory).unwrap_or(path);
        let shown = if shown.ends_with(CASE) {
            shown.parent().unwrap_or(shown)
        } else {
            shown
        };
        match play(path) {
            Ok(lines) if lines.is_empty() => println!("pass  {}", shown.display()),
            Ok(lines) => {
                failed += 1;
                println!("FAIL  {}", shown.display());
                lines.iter().for_each(|line| println!("      {line}"));
            }
            Err(error) => {
                failed += 1;
                println!("FAIL  {}", shown.display());
                format!("{error:#}")
                    .lines()
                    .for_each(|line| println!("      {line}"));
            }
        }
    }
    println!("{} passed, {failed} failed", cases.len() - failed);
    Ok(failed == 0)
}

/// How one case differs from what it expects, a line each.
pub fn play(path: &Path) -> anyhow::Result<Vec<String>> {
    let case: Case = serde_json::from_value(input::document(path)?.value)
        .with_context(|| format!("{}: is no case", path.display()))?;
    let beside = path.parent().unwrap_or(Path::new("."));
    let sources = Sources {
        files: case.files.iter().map(|file| beside.join(file)).collect(),
        event: inline(&case.event, "event", path, beside)?,
        answers: match &case.answers {
            Value::Null => None,
            given => Some(inline(given, "answers", path, beside)?),
        },
        scope: Scope {
            project: case.project,
            stage: case.stage,
            service: case.service,
        },
    };
    let played = sources.play()?;
    let mut lines = case::differences(&case.expect, &played.report);
    if !lines.is_empty() {
        lines.extend(played.complaints);
    }
    Ok(lines)
}

/// A file's content when a path is given, else what is written in its place.
fn inline(value: &Value, field: &str, case: &Path, beside: &Path) -> anyhow::Result<Document> {
    match value {
        Value::String(path) => input::document(&beside.join(path)),
        value => Ok(Document {
            origin: format!("{}: {field}", case.display()),
            value: value.clone(),
        }),
    }
}

/// The files of the cases, by name.
fn cases(directory: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = vec![];
    for file in input::listed(directory)? {
        if input::documents(&file)?
            .iter()
            .any(|d| d.value.get("expect").is_some())
        {
            found.push(file);
        }
    }
    let entries = std::fs::read_dir(directory).with_context(|| format!("reading {}", directory.display()))?;
    for entry in entries {
        let file = entry
            .with_context(|| format!("reading {}", directory.display()))?
            .path()
            .join(CASE);
        if file.is_file() {
            found.push(file);
        }
    }
    if found.is_empty() {
        bail!(
            "{}: has no cases; a case is a YAML file with files, event and expect, or a folder with one named {CASE}",
            directory.display()
        );
    }
    found.sort();
    Ok(found)
}
