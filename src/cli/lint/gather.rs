//! The documents of files: objects of ours, and those that Keptn v1's files become.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

use super::check::Finding;
use crate::{
    api::GROUP,
    cli::{
        import::tree,
        simulate::{Scope, input, v1},
    },
    core::simulate::Document,
    v1::{Content, import::NOT_IN_FORCE},
};

/// What was read.
#[derive(Default)]
pub(super) struct Gathered {
    /// The objects.
    pub documents: Vec<Document>,
    /// What could not be read.
    pub findings: Vec<Finding>,
}

/// Reads the files. What is no definition is passed over in directories, and refused where it is named.
pub(super) fn gather(files: &[PathBuf], scope: &Scope) -> anyhow::Result<Gathered> {
    let mut gathered = Gathered::default();
    let mut keptn: Vec<PathBuf> = Vec::new();
    for path in files {
        let mut skipped = Vec::new();
        let found = tree(path, &mut skipped)?;
        let mut has_keptn_s = false;
        for file in &found.files {
            let own = if found.named {
                path.clone()
            } else {
                path.join(&file.path)
            };
            // As kubectl apply does, only what lies in the directory itself; Keptn's files have a tree.
            let below = file.path.contains('/');
            match Content::of(&file.path, &file.content) {
                Content::Keptn(_) if below && scope.project.is_none() => {}
                Content::Ours | Content::Other if below => {}
                Content::Keptn(crate::v1::Kind::Event) => event(&own, &file.content, &mut gathered),
                Content::Keptn(kind) if scope.project.is_none() => {
                    let message = format!(
                        "is {kind} of Keptn v1; name its project with --project, and its stage and service where they count"
                    );
                    gathered
                        .findings
                        .push(Finding::of_file(&own.display().to_string(), &message));
                }
                Content::Keptn(_) => has_keptn_s = true,
                Content::Ours => ours(&own, &mut gathered),
                Content::Other => other(&own, &file.content, found.named, &mut gathered)?,
            }
        }
        if has_keptn_s {
            keptn.push(path.clone());
        }
    }
    if let (Some(project), false) = (&scope.project, keptn.is_empty()) {
        let scope = crate::api::Scope {
            project: project.clone(),
            stage: scope.stage.clone(),
            service: scope.service.clone(),
        };
        let found = v1::imported(&keptn, &scope)?;
        let lines = found.errors.iter().map(ToString::to_string);
        // What the objects themselves show is told with their fields.
        let warned = found
            .warnings
            .iter()
            .filter(|w| !w.ends_with(NOT_IN_FORCE))
            .cloned();
        gathered
            .findings
            .extend(lines.chain(warned).map(|line| Finding::of_line(&line)));
        gathered.documents.extend(v1::documents(found)?);
    }
    if gathered.documents.is_empty() && gathered.findings.is_empty() {
        let names: Vec<String> = files.iter().map(|f| f.display().to_string()).collect();
        bail!(
            "{}: nothing is defined there; name files or directories with definitions",
            names.join(", ")
        );
    }
    Ok(gathered)
}

/// An event is no definition, and may be wrong as well.
fn event(path: &Path, content: &[u8], gathered: &mut Gathered) {
    let shown = path.display().to_string();
    if let Err(errors) = crate::v1::event(&shown, content) {
        gathered
            .findings
            .extend(errors.to_string().lines().map(Finding::of_line));
    }
}

fn ours(path: &Path, gathered: &mut Gathered) {
    match input::documents(path) {
        Ok(found) => gathered.documents.extend(found),
        Err(error) => gathered
            .findings
            .push(Finding::of_line(&format!("{error:#}; mend the file"))),
    }
}

/// Several documents in one file, ConfigMaps, or something else altogether.
fn other(path: &Path, content: &[u8], named: bool, gathered: &mut Gathered) -> anyhow::Result<()> {
    let yaml = path
        .extension()
        .and_then(|e| e.to_str())
        .is_some_and(|e| matches!(e, "yaml" | "yml" | "json"));
    if !yaml && !named {
        return Ok(());
    }
    match input::documents(path) {
        Ok(found) => gathered.documents.extend(found),
        // What is not ours may be anything, templates for example.
        Err(_) if !named && !String::from_utf8_lossy(content).contains(GROUP) => {}
        Err(error) if named => return Err(error).context("a file that was named must be readable"),
        Err(error) => gathered
            .findings
            .push(Finding::of_line(&format!("{error:#}; mend the file"))),
    }
    Ok(())
}
