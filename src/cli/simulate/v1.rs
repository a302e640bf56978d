//! Keptn v1's files among those of a simulation, as the objects that an import would make of them.

use std::path::PathBuf;

use anyhow::Context as _;

use crate::{
    api::{
        JobConfig, Scope,
        jobconfig::{ConfigMapSource, Source},
    },
    cli::import::tree,
    core::{jobs::files::check_file, simulate::Document},
    v1::import::{Definition, Plan, Tree, plan},
};

/// The objects that the v1 files among `paths` become.
pub(super) fn objects(paths: &[PathBuf], scope: &Scope) -> anyhow::Result<Vec<Document>> {
    let found = imported(paths, scope)?;
    if !found.errors.is_empty() {
        let lines: Vec<String> = found.errors.iter().map(ToString::to_string).collect();
        anyhow::bail!(lines.join("\n"));
    }
    documents(found)
}

/// What an import of the paths comes to.
pub(in crate::cli) fn imported(paths: &[PathBuf], scope: &Scope) -> anyhow::Result<Plan> {
    let mut skipped = vec![];
    let trees = paths.iter().map(|path| tree(path, &mut skipped));
    Ok(plan(&trees.collect::<anyhow::Result<Vec<Tree>>>()?, scope, None))
}

/// The objects of an import, each with the file that it comes from.
pub(in crate::cli) fn documents(found: Plan) -> anyhow::Result<Vec<Document>> {
    let read = found.read;
    let object = |mut definition: Definition| {
        if let Definition::JobConfig(config) = &mut definition {
            assume_files(config);
        }
        let (kind, name) = definition.id();
        let of = |line: &String| {
            let (file, object) = line.split_once(" -> ")?;
            let object = object.split(" (").next()?;
            (object == format!("{kind} {name}")).then(|| file.to_owned())
        };
        let file = read.iter().find_map(of);
        Ok(Document {
            origin: file.map_or_else(
                || format!("{kind} {name}"),
                |file| format!("{file}: {kind} {name}"),
            ),
            value: serde_json::to_value(&definition).with_context(|| format!("reading {kind} {name}"))?,
        })
    };
    found.definitions.into_iter().map(object).collect()
}

/// Files that no directory has are there: a simulation runs nothing that would read them.
fn assume_files(config: &mut JobConfig) {
    let tasks = config.spec.actions.iter().flat_map(|a| &a.tasks);
    let wanted: Vec<String> = tasks.flat_map(|t| t.files.iter().flatten().cloned()).collect();
    for file in wanted {
        if check_file(&file, &config.spec.sources).is_ok() {
            continue;
        }
        let inner = file.trim_matches('/');
        let directory = inner.rsplit_once('/').map_or(inner, |(directory, _)| directory);
        config.spec.sources.push(Source {
            path: directory.to_owned(),
            config_map: Some(ConfigMapSource {
                name: "not-among-the-files".to_owned(),
                key: None,
            }),
            secret: None,
            source_ref: None,
        });
    }
}
