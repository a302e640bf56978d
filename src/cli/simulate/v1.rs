//! Keptn v1's files among those of a simulation, as the objects that an import would make of them.

use std::path::PathBuf;

use anyhow::Context as _;

use crate::{
    api::Scope,
    cli::import::tree,
    core::simulate::Document,
    v1::import::{Definition, Tree, plan},
};

/// The objects that the v1 files among `paths` become.
pub(super) fn objects(paths: &[PathBuf], scope: &Scope) -> anyhow::Result<Vec<Document>> {
    let mut skipped = vec![];
    let trees = paths.iter().map(|path| tree(path, &mut skipped));
    let trees = trees.collect::<anyhow::Result<Vec<Tree>>>()?;
    let found = plan(&trees, scope, None);
    if !found.errors.is_empty() {
        let lines: Vec<String> = found.errors.iter().map(ToString::to_string).collect();
        anyhow::bail!(lines.join("\n"));
    }
    let object = |definition: Definition| {
        let (kind, name) = definition.id();
        Ok(Document {
            origin: format!("{kind} {name}, of a v1 file"),
            value: serde_json::to_value(&definition).with_context(|| format!("reading {kind} {name}"))?,
        })
    };
    found.definitions.into_iter().map(object).collect()
}
