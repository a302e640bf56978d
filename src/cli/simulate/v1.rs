//! Keptn v1's files among those of a simulation, as the objects that an import would make of them.

use std::path::PathBuf;

use anyhow::Context as _;

use crate::{
    api::Scope,
    cli::import::tree,
    core::simulate::Document,
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
    let object = |definition: Definition| {
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
