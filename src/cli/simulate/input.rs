//! Reads what a simulation starts from.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use serde::Deserialize as _;
use serde_json::Value;

use super::{Scope, v1};
use crate::{
    api::GROUP,
    core::{
        Invalid,
        simulate::{self, Answers, Definitions, Document, Mistake, Report},
    },
    v1::Content,
};

/// A simulation that is to be played.
pub(in crate::cli) struct Sources {
    /// Where the definitions are.
    pub(in crate::cli) files: Vec<PathBuf>,
    /// What happens.
    pub(in crate::cli) event: Document,
    /// How tasks end.
    pub(in crate::cli) answers: Option<Document>,
    /// What v1 files are for.
    pub(in crate::cli) scope: Scope,
}

/// A simulation that was played.
pub(in crate::cli) struct Played {
    /// What happened.
    pub(in crate::cli) report: Report,
    /// Definitions that the operator would not take, a line each.
    pub(in crate::cli) complaints: Vec<String>,
}

impl Sources {
    /// Reads the files, and plays it.
    pub(in crate::cli) fn play(&self) -> anyhow::Result<Played> {
        let definitions = definitions(&self.files, &self.scope)?;
        let event = &self.event;
        let definitions = match project(&event.value) {
            Some(project) => definitions.of_project(project),
            None => definitions,
        };
        let complaints = definitions.complaints();
        let complain = |error: anyhow::Error| match complaints.as_slice() {
            [] => error,
            all => error.context(all.join("\n")),
        };
        let first = simulate::first(&event.value, &definitions)
            .map_err(|wrong| complain(refuse(&event.origin, wrong)))?;
        let (origin, answers) = match &self.answers {
            None => (String::new(), Answers::default()),
            Some(document) => {
                let answers =
                    Answers::read(&document.value).map_err(|wrong| refuse(&document.origin, wrong))?;
                let wrong = answers.check(&definitions.snapshot);
                if !wrong.is_empty() {
                    return Err(refuse(&document.origin, wrong));
                }
                (document.origin.clone(), answers)
            }
        };
        let report =
            simulate::run(&definitions, first, &answers).map_err(|wrong| refuse(&origin, vec![wrong]))?;
        Ok(Played { report, complaints })
    }
}

fn project(event: &Value) -> Option<&str> {
    let at = if simulate::is_ours(event) {
        "/spec/project"
    } else {
        "/data/project"
    };
    event.pointer(at)?.as_str()
}

/// What the files define. A file that is named must define something; what a directory has besides is passed over.
pub(in crate::cli) fn definitions(files: &[PathBuf], scope: &Scope) -> anyhow::Result<Definitions> {
    let (mut all, mut v1) = (vec![], vec![]);
    for path in files {
        if path.is_dir() {
            for file in listed(path)? {
                match documents(&file) {
                    Ok(found) => all.extend(found),
                    Err(error) if fs::read_to_string(&file).is_ok_and(|t| t.contains(GROUP)) => {
                        return Err(error);
                    }
                    // What is not ours may be anything, templates for example.
                    Err(_) => {}
                }
            }
            if scope.project.is_some() {
                v1.push(path.clone());
            }
            continue;
        }
        let bytes = fs::read(path).with_context(|| format!("reading {}", path.display()))?;
        if let Content::Keptn(kind) = Content::of(&path.to_string_lossy(), &bytes) {
            if scope.project.is_none() {
                bail!(
                    "{}: is {kind} of Keptn v1; name its project with --project, and its stage and service where they count",
                    path.display()
                );
            }
            v1.push(path.clone());
            continue;
        }
        let found = documents(path)?;
        if !found.iter().any(|d| defines(&d.value)) {
            let kind = found
                .first()
                .and_then(|d| d.value["kind"].as_str())
                .unwrap_or_default();
            bail!(
                "{}: defines nothing that Coxswain reads (kind {kind:?}); its kinds are of apiVersion coxswain.dev/v1alpha1",
                path.display()
            );
        }
        all.extend(found);
    }
    if let Some(project) = scope.project.as_ref().filter(|_| !v1.is_empty()) {
        let scope = crate::api::Scope {
            project: project.clone(),
            stage: scope.stage.clone(),
            service: scope.service.clone(),
        };
        all.extend(v1::objects(&v1, &scope)?);
    }
    let definitions = Definitions::read(&all).map_err(|mistakes| {
        let lines: Vec<String> = mistakes.iter().map(Mistake::to_string).collect();
        anyhow::anyhow!(lines.join("\n"))
    })?;
    if definitions.count() == 0 {
        let names: Vec<String> = files.iter().map(|f| f.display().to_string()).collect();
        bail!(
            "{}: nothing is defined there; name files with a Shipyard and what belongs to it, and for v1 files --project",
            names.join(", ")
        );
    }
    Ok(definitions)
}

fn defines(value: &Value) -> bool {
    simulate::is_ours(value) || (value["apiVersion"] == "v1" && value["kind"] == "ConfigMap")
}

/// The files of a directory that may define something, by name.
pub(in crate::cli) fn listed(directory: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let entries = fs::read_dir(directory).with_context(|| format!("reading {}", directory.display()))?;
    let mut files = vec![];
    for entry in entries {
        let path = entry
            .with_context(|| format!("reading {}", directory.display()))?
            .path();
        let name = path
            .file_name()
            .map(|n| n.to_string_lossy().into_owned())
            .unwrap_or_default();
        let end = path.extension().and_then(|e| e.to_str()).unwrap_or_default();
        if path.is_file() && !name.starts_with('.') && matches!(end, "yaml" | "yml" | "json") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// The documents of a file, YAML or JSON.
pub(in crate::cli) fn documents(path: &Path) -> anyhow::Result<Vec<Document>> {
    let shown = path.display();
    let text = fs::read_to_string(path).with_context(|| format!("reading {shown}"))?;
    let mut found = vec![];
    for (index, document) in serde_yaml::Deserializer::from_str(&text).enumerate() {
        let value = Value::deserialize(document)
            .with_context(|| format!("{shown}: document {} is neither YAML nor JSON", index + 1))?;
        if !value.is_null() {
            let kind = value["kind"].as_str().unwrap_or_default();
            let name = value["metadata"]["name"].as_str().unwrap_or_default();
            let origin = if kind.is_empty() {
                shown.to_string()
            } else {
                format!("{shown}: {kind} {name}")
            };
            found.push(Document {
                origin: origin.trim_end().to_owned(),
                value,
            });
        }
    }
    Ok(found)
}

/// The one document of a file.
pub(in crate::cli) fn document(path: &Path) -> anyhow::Result<Document> {
    let mut found = documents(path)?;
    if found.len() > 1 {
        bail!(
            "{}: has {} documents, and must have one",
            path.display(),
            found.len()
        );
    }
    let mut document = found
        .pop()
        .with_context(|| format!("{}: is empty", path.display()))?;
    document.origin = path.display().to_string();
    Ok(document)
}

/// The mistakes of one file, a line each.
pub(in crate::cli) fn refuse(origin: &str, wrong: Vec<Invalid>) -> anyhow::Error {
    let lines: Vec<String> = wrong
        .iter()
        .map(|invalid| format!("{origin}: {invalid}"))
        .collect();
    anyhow::anyhow!(lines.join("\n"))
}
