//! The files that tasks ask for, as ConfigMaps.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::{ByteString, api::core::v1::ConfigMap, apimachinery::pkg::apis::meta::v1::ObjectMeta};

use super::{Error, Errors, Found, Tree, place_error};
use crate::{
    api::{
        JobConfigSpec, Scope,
        jobconfig::{ConfigMapSource, Source},
    },
    core::{
        jobs::files::{lookup::scope_labels, may_provide, normalised},
        labels,
        names::files_name,
    },
};

/// What a ConfigMap may hold in all.
pub(crate) const MOST_BYTES: u64 = 1024 * 1024;
/// How many sources a JobConfig may have.
const MOST_SOURCES: usize = 50;

/// What was found for the tasks of a JobConfig.
#[derive(Debug, Default)]
pub(super) struct Sources {
    /// The directory, or file, and its content.
    pub(super) config_maps: Vec<(String, ConfigMap)>,
    /// Files that went into them, by their path in the tree.
    pub(super) used: Vec<String>,
    /// What was not found.
    pub(super) warnings: Vec<String>,
}

/// Finds the files of a JobConfig's tasks below `base`, and adds the sources that bring them to the Jobs. A file that a
/// source of its own provides is not looked for.
///
/// # Errors
/// More than a ConfigMap can hold, or more sources than a JobConfig can have.
pub(super) fn find(file: &str, spec: &mut JobConfigSpec, base: &str, tree: &Tree) -> Result<Sources, Errors> {
    let mut sources = Sources::default();
    let mut wanted: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let below = if base.is_empty() {
        String::new()
    } else {
        format!("{base}/")
    };
    let here: Vec<&str> = tree
        .files
        .iter()
        .filter_map(|f| f.path.strip_prefix(&below))
        .collect();
    for (at, asked) in asked_for(spec) {
        let Ok(path) = normalised(asked) else {
            sources.warnings.push(format!(
                "{file}: {at}: {asked:?} is no path below /keptn; mend it"
            ));
            continue;
        };
        if may_provide(&spec.sources, asked) {
            continue;
        }
        let found = if tree.named {
            Vec::new()
        } else {
            matching(&here, &path)
        };
        if found.is_empty() {
            sources.warnings.push(not_found(
                file,
                &at,
                &path,
                &tree.shown(&format!("{below}{path}")),
                tree.named,
            ));
        }
        for path in found {
            let (directory, name) = path.rsplit_once('/').unwrap_or(("", path));
            wanted.entry(directory).or_default().insert(name);
        }
    }
    let mut added = Vec::new();
    for (directory, names) in wanted {
        let files: Vec<(&str, &Found)> = names
            .into_iter()
            .filter_map(|name| {
                let path = if directory.is_empty() {
                    format!("{below}{name}")
                } else {
                    format!("{below}{directory}/{name}")
                };
                tree.files.iter().find(|f| f.path == path).map(|f| (name, f))
            })
            .collect();
        sources.used.extend(files.iter().map(|(_, f)| f.path.clone()));
        let shown = if directory.is_empty() {
            "the root".to_owned()
        } else {
            directory.to_owned()
        };
        too_large(file, &shown, &files)?;
        let (config_map, mut own) = config_map(&spec.scope, directory, &files);
        sources.config_maps.push((shown, config_map));
        added.append(&mut own);
    }
    spec.sources.append(&mut added);
    if spec.sources.len() > MOST_SOURCES {
        let message = format!(
            "its tasks' files lie in {} directories, and a JobConfig has at most {MOST_SOURCES} sources; put them into fewer",
            spec.sources.len()
        );
        return Err(Error::value(file, "sources", message).into());
    }
    Ok(sources)
}

/// Every entry of the tasks' `files`, with its path in the file.
fn asked_for(spec: &JobConfigSpec) -> Vec<(String, &str)> {
    let mut asked = Vec::new();
    for (a, action) in spec.actions.iter().enumerate() {
        for (t, task) in action.tasks.iter().enumerate() {
            for (f, path) in task.files.iter().flatten().enumerate() {
                asked.push((format!("actions[{a}].tasks[{t}].files[{f}]"), path.as_str()));
            }
        }
    }
    asked
}

/// As Keptn looked for them: the file of this path, or else every file below it.
fn matching<'a>(here: &[&'a str], path: &str) -> Vec<&'a str> {
    if let Some(exact) = here.iter().find(|file| **file == path) {
        return vec![exact];
    }
    let directory = format!("{path}/");
    let inside = here
        .iter()
        .filter(|file| path.is_empty() || file.starts_with(&directory));
    inside.copied().collect()
}

fn not_found(file: &str, at: &str, path: &str, expected: &str, named: bool) -> String {
    if named {
        return format!(
            "{file}: {at}: {path} is not among what is imported; add it with coxswain add-resource --resourceUri={path}, or import \
             the whole directory"
        );
    }
    format!(
        "{file}: {at}: {path} is not there; put it at {expected}, or add {{path: {path}, configMap: {{name: ...}}}} to spec.sources of the JobConfig"
    )
}

fn too_large(file: &str, directory: &str, files: &[(&str, &Found)]) -> Result<(), Errors> {
    let size: u64 = files.iter().map(|(_, f)| f.size).sum();
    if size <= MOST_BYTES {
        return Ok(());
    }
    let largest = files
        .iter()
        .max_by_key(|(_, f)| f.size)
        .map_or("", |(name, _)| name);
    let problem = format!(
        "the files that its tasks ask for in {directory} have {size} bytes, and a ConfigMap holds 1 MiB; make them smaller \
         ({largest} is the largest), or put them into the task's image"
    );
    Err(place_error(file, &problem).into())
}

/// The ConfigMap of a directory, and the sources that it makes: one for the directory, and one for each file whose name
/// no key can have.
fn config_map(scope: &Scope, directory: &str, files: &[(&str, &Found)]) -> (ConfigMap, Vec<Source>) {
    let name = files_name(scope, directory);
    let (mut data, mut binary) = (BTreeMap::new(), BTreeMap::new());
    let mut names = BTreeMap::new();
    let mut sources = Vec::new();
    let source = |path: String, key: Option<String>| Source {
        path,
        config_map: Some(ConfigMapSource {
            name: name.clone(),
            key,
        }),
        secret: None,
        source_ref: None,
    };
    // In the root there is no directory of these files alone, so each has a source.
    let all_keys = !directory.is_empty() && files.iter().all(|(name, _)| is_key(name));
    if all_keys {
        sources.push(source(directory.to_owned(), None));
    }
    for (index, (name, found)) in files.iter().enumerate() {
        let key = if is_key(name) {
            (*name).to_owned()
        } else {
            let key = format!("file-{index}");
            names.insert(key.clone(), (*name).to_owned());
            key
        };
        if !all_keys {
            let path = if directory.is_empty() {
                (*name).to_owned()
            } else {
                format!("{directory}/{name}")
            };
            sources.push(source(path, Some(key.clone())));
        }
        match text(&found.content) {
            Some(text) => {
                data.insert(key, text);
            }
            None => {
                binary.insert(key, ByteString(found.content.clone()));
            }
        }
    }
    let config_map = ConfigMap {
        metadata: ObjectMeta {
            name: Some(name.clone()),
            labels: Some(scope_labels(scope)),
            annotations: Some(annotations(directory, &names)),
            ..ObjectMeta::default()
        },
        data: Some(data).filter(|data| !data.is_empty()),
        binary_data: Some(binary).filter(|binary| !binary.is_empty()),
        ..ConfigMap::default()
    };
    (config_map, sources)
}

/// What says which directory a ConfigMap stands for, and which files in it have names that no key can have.
pub(crate) fn annotations(directory: &str, names: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let mut annotations = BTreeMap::from([(labels::DIRECTORY.to_owned(), directory.to_owned())]);
    if !names.is_empty() {
        let names = serde_json::to_string(names).unwrap_or_default();
        annotations.insert(labels::FILE_NAMES.to_owned(), names);
    }
    annotations
}

/// Whether this can be a key of a ConfigMap.
pub(crate) fn is_key(name: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    name.len() <= 253 && name.bytes().all(allowed) && name != "." && !name.starts_with("..")
}

/// The content as text that people can read in the ConfigMap; None for anything else.
pub(crate) fn text(content: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(content).ok()?;
    let odd = |c: char| c.is_control() && !"\n\t".contains(c);
    (!text.contains(odd)).then(|| text.to_owned())
}
