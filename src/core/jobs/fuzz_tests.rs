//! Many odd names of files, and paths into events, as users and archives may have them.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use proptest::{
    collection::{btree_map, vec},
    prelude::*,
    sample::select,
    test_runner::TestCaseError,
};
use serde_json::{Value, json};

use super::files::{self, artifact::FetchPlan, lookup, lookup::Labelled, normalised};
use crate::{
    api::execution::{PinnedArtifact, PinnedFiles, PinnedJobConfig},
    core::{
        fuzzing::{BY_HAND, run},
        labels,
        place::Place,
    },
};

const ALWAYS: u32 = 2_000;

/// A path, most often one that comes near others; often a bad one.
fn path() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        6 => select(vec!["a", "b", "c.tgz", "a b", "é"]).prop_map(str::to_owned),
        1 => select(vec!["", ".", "..", "...", "..a", "a\\b", "~", "$(x)", "\0", "\u{202e}x", "*"]).prop_map(str::to_owned),
        1 => "\\PC{1,6}",
    ];
    let joined = (vec(part, 1..5), any::<(bool, bool)>()).prop_map(|(parts, (start, end))| {
        let slash = |is: bool| if is { "/" } else { "" };
        format!("{}{}{}", slash(start), parts.join("/"), slash(end))
    });
    prop_oneof![8 => joined, 1 => any::<String>(), 1 => Just("/".to_owned())]
}

/// Whether it can be joined to a directory, and whatever the path's reader makes of it, lies in there.
fn is_plain(path: &str) -> bool {
    let odd = |part: &str| part.is_empty() || part == "." || part.starts_with("..");
    !path.contains(['\0', '\\']) && !path.split('/').any(odd)
}

/// A path is refused with the remedy, or plain, and then stays as it is.
fn a_path_is_refused_or_plain(path: String) -> Result<(), TestCaseError> {
    match normalised(&path) {
        Err(problem) => prop_assert!(problem.contains("such as"), "{}", problem),
        Ok(all) if all.is_empty() => prop_assert_eq!(path, "/"),
        Ok(plain) => {
            prop_assert!(is_plain(&plain), "{:?}", plain);
            prop_assert_eq!(normalised(&plain), Ok(plain.clone()));
        }
    }
    Ok(())
}

#[derive(Debug)]
struct Wanted {
    files: Vec<String>,
    config: PinnedJobConfig,
    maps: Vec<ObjectMeta>,
    keys: Vec<String>,
}

fn source() -> impl Strategy<Value = Value> {
    let name = || select(vec!["x", "y"]);
    let key = || select(vec!["a", "b", "c.tgz"]);
    prop_oneof![
        (path(), name()).prop_map(|(path, name)| json!({"path": path, "configMap": {"name": name}})),
        (path(), name(), key()).prop_map(|(path, name, key)| json!({"path": path, "configMap": {"name": name, "key": key}})),
        (path(), name(), key(), path()).prop_map(
            |(path, name, key, inner)| json!({"path": path, "secret": {"name": name, "items": [{"key": key, "path": inner}]}})
        ),
        (path(), proptest::option::of(path())).prop_map(
            |(path, inner)| json!({"path": path, "sourceRef": {"kind": "GitRepository", "name": "g", "path": inner}})
        ),
    ]
}

/// A ConfigMap of a service, with what its annotations say of its directory and its files' names.
fn labelled() -> impl Strategy<Value = ObjectMeta> {
    let names = prop_oneof![
        4 => btree_map(select(vec!["a".to_owned(), "b".to_owned()]), path(), 0..3).prop_map(|names| json!(names).to_string()),
        1 => any::<String>(),
    ];
    (select(vec!["m", "n"]), path(), names).prop_map(|(name, directory, names)| ObjectMeta {
        name: Some(name.to_owned()),
        labels: Some(BTreeMap::from([(labels::PROJECT.to_owned(), "shop".to_owned())])),
        annotations: Some(BTreeMap::from([
            (labels::DIRECTORY.to_owned(), directory),
            (labels::FILE_NAMES.to_owned(), names),
        ])),
        ..ObjectMeta::default()
    })
}

fn wanted() -> impl Strategy<Value = Wanted> {
    (
        vec(path(), 1..4),
        vec(source(), 0..4),
        vec(labelled(), 0..3),
        vec(select(vec!["a", "b", "c.tgz"]), 0..3),
    )
        .prop_map(|(files, sources, maps, keys)| {
            let keys: Vec<String> = keys.into_iter().map(str::to_owned).collect();
            let task =
                json!([{"name": "t", "events": [], "tasks": [{"name": "t", "image": "i", "files": files}]}]);
            let config = PinnedJobConfig {
                actions: serde_json::from_value(task).unwrap(),
                sources: serde_json::from_value(json!(sources)).unwrap(),
                keys: ["x", "y"].map(|name| (name.to_owned(), keys.clone())).into(),
                files: PinnedFiles {
                    artifacts: vec![PinnedArtifact {
                        kind: "GitRepository".to_owned(),
                        name: "g".to_owned(),
                        ..PinnedArtifact::default()
                    }],
                    ..PinnedFiles::default()
                },
                ..PinnedJobConfig::default()
            };
            Wanted {
                files,
                config,
                maps,
                keys,
            }
        })
}

/// A task's files are refused in words, or each is put at a path of its own below the directory, and none where another's
/// directory is.
fn files_are_refused_or_below(wanted: Wanted) -> Result<(), TestCaseError> {
    let place = Place::new("shop", "prod", "cart").unwrap();
    let mut config = wanted.config;
    let mut maps: Vec<Labelled> = wanted
        .maps
        .iter()
        .filter_map(|meta| Labelled::of(meta, &place))
        .collect();
    for map in &mut maps {
        prop_assert!(map.directory.is_empty() || is_plain(&map.directory));
        map.keys.clone_from(&wanted.keys);
    }
    lookup::pin(&mut config, &maps);
    let files = match files::of_task(&wanted.files, &config, &place) {
        Ok(files) => files,
        Err(files::Problem::Missing(problem) | files::Problem::Source(problem)) => {
            prop_assert!(!problem.is_empty());
            return Ok(());
        }
    };
    let volume = files.volume.map(|volume| json!(volume)).unwrap_or_default();
    let items = volume["sources"].as_array().into_iter().flatten();
    let items = items.flat_map(|source| {
        let of = source.get("configMap").or(source.get("secret")).unwrap();
        of["items"].as_array().unwrap().clone()
    });
    let paths: Vec<String> = items
        .map(|item| item["path"].as_str().unwrap().to_owned())
        .collect();
    for (index, path) in paths.iter().enumerate() {
        prop_assert!(is_plain(path), "{:?}", path);
        let in_the_way = |other: &String| other == path || other.starts_with(&format!("{path}/"));
        let others = paths.iter().enumerate().filter(|(at, _)| *at != index);
        prop_assert!(!others.map(|(_, other)| other).any(in_the_way), "{:?}", paths);
    }
    let plan: FetchPlan = files.fetch.unwrap_or_default();
    for artifact in &plan.artifacts {
        for path in [&artifact.from, &artifact.to] {
            prop_assert!(path.is_empty() || is_plain(path), "{:?}", path);
        }
        for file in ["a", "a/b", "a b/c.tgz"] {
            let target = artifact.target(file, &plan.files);
            prop_assert!(target.as_deref().is_none_or(is_plain), "{:?}", target);
        }
    }
    Ok(())
}

#[test]
fn paths_are_refused_or_plain() {
    run(ALWAYS, path(), a_path_is_refused_or_plain);
}

#[test]
#[ignore = "a million inputs: by hand (make fuzz)"]
fn a_million_paths_are_refused_or_plain() {
    run(BY_HAND, path(), a_path_is_refused_or_plain);
}

#[test]
fn files_are_refused_or_put_below() {
    run(ALWAYS, wanted(), files_are_refused_or_below);
}

#[test]
#[ignore = "a million inputs: by hand (make fuzz)"]
fn a_million_files_are_refused_or_put_below() {
    run(BY_HAND, wanted(), files_are_refused_or_below);
}
