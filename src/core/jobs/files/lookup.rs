//! Files of labelled ConfigMaps: which of them apply to a place, and which of their files a JobConfig's tasks get.
//!
//! A ConfigMap with the label [`labels::PROJECT`], and if it is for one alone a stage's or service's, is a directory. Of
//! each path the most specific scope's file is taken: service in the stage, service, stage, project.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::{
    normalised,
    paths::{is_within, join, touch},
    provided, wanted,
};
use crate::{
    api::{
        Scope,
        execution::{PinnedDirectory, PinnedJobConfig},
    },
    core::{
        definitions::{lookup::specificity, nearest::hint},
        labels,
        place::Place,
    },
};

/// A ConfigMap that applies to a place.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Labelled {
    /// Its name.
    pub name: String,
    /// How specific its scope is; see [`specificity`].
    pub specificity: i32,
    /// The directory that it stands for; empty for `/keptn` itself.
    pub directory: String,
    /// The names of files that no key can have, by key.
    pub names: BTreeMap<String, String>,
    /// Its keys, once somebody has read it.
    pub keys: Vec<String>,
}

impl Labelled {
    /// What a ConfigMap's metadata says; none when it is not for this place, or stands for no directory.
    pub fn of(meta: &ObjectMeta, place: &Place) -> Option<Self> {
        let specificity = specificity(&scope(meta)?, place)?;
        Some(Self {
            name: meta.name.clone()?,
            specificity,
            directory: directory(meta)?,
            names: names(meta),
            keys: vec![],
        })
    }

    /// Whether it may have one of these paths.
    pub fn concerns(&self, wanted: &[String]) -> bool {
        wanted.iter().any(|wanted| touch(&self.directory, wanted))
    }

    fn path(&self, key: &str) -> String {
        join(&self.directory, self.names.get(key).map_or(key, String::as_str))
    }
}

/// The scope that labels say; none without a project.
fn scope(meta: &ObjectMeta) -> Option<Scope> {
    let label = |name: &str| meta.labels.as_ref()?.get(name).filter(|v| !v.is_empty()).cloned();
    Some(Scope {
        project: label(labels::PROJECT)?,
        stage: label(labels::STAGE),
        service: label(labels::SERVICE),
    })
}

/// The labels of a scope.
pub fn scope_labels(scope: &Scope) -> BTreeMap<String, String> {
    let mut set = BTreeMap::from([(labels::PROJECT.to_owned(), scope.project.clone())]);
    set.extend(scope.stage.iter().map(|s| (labels::STAGE.to_owned(), s.clone())));
    set.extend(
        scope
            .service
            .iter()
            .map(|s| (labels::SERVICE.to_owned(), s.clone())),
    );
    set
}

/// None when what is written there is no directory.
fn directory(meta: &ObjectMeta) -> Option<String> {
    let annotation = meta.annotations.as_ref().and_then(|a| a.get(labels::DIRECTORY));
    match annotation.map(String::as_str).unwrap_or_default() {
        "" => Some(String::new()),
        path => normalised(path).ok(),
    }
}

/// The names of files that no key can have. One that is no plain name is not read.
pub fn names(meta: &ObjectMeta) -> BTreeMap<String, String> {
    let annotation = meta.annotations.as_ref().and_then(|a| a.get(labels::FILE_NAMES));
    let names: BTreeMap<String, String> = annotation
        .and_then(|text| serde_json::from_str(text).ok())
        .unwrap_or_default();
    let plain = |name: &str| !name.contains('/') && normalised(name).is_ok();
    names.into_iter().filter(|(_, name)| plain(name)).collect()
}

/// The paths of the tasks' files for which labelled ConfigMaps are to be read: all but files that a source names by
/// themselves.
pub fn looked_for(config: &PinnedJobConfig) -> Vec<String> {
    let mut wanted = wanted(config);
    let one_file = |path: &String| {
        config.sources.iter().any(|source| {
            let map = source.config_map.as_ref().is_some_and(|m| m.key.is_some());
            let secret = source.secret.as_ref().is_some_and(|s| s.key.is_some());
            (map || secret) && normalised(&source.path).as_ref() == Ok(path)
        })
    };
    wanted.retain(|path| !one_file(path));
    wanted
}

/// Pins the files that a JobConfig's tasks get from these ConfigMaps, of which those that [`Labelled::concerns`] its files
/// were read; and says of each path that nobody has what comes near it.
pub fn pin(config: &mut PinnedJobConfig, all: &[Labelled]) {
    let wanted = looked_for(config);
    // What a source of Flux stands for comes from there alone.
    let of_flux: Vec<String> = config
        .sources
        .iter()
        .filter(|source| source.source_ref.is_some())
        .filter_map(|source| normalised(&source.path).ok())
        .collect();
    let mut best: BTreeMap<String, i32> = BTreeMap::new();
    let files = |map: &Labelled| -> Vec<(String, String)> {
        let paths = map.keys.iter().map(|key| (key.clone(), map.path(key)));
        let asked = |path: &String| {
            wanted.iter().any(|wanted| is_within(path, wanted))
                && !of_flux.iter().any(|root| is_within(path, root))
        };
        paths.filter(|(_, path)| asked(path)).collect()
    };
    for map in all {
        for (_, path) in files(map) {
            let most = best.entry(path).or_insert(map.specificity);
            *most = map.specificity.max(*most);
        }
    }
    config.files.found = all
        .iter()
        .filter_map(|map| {
            let mut keys: Vec<String> = files(map)
                .into_iter()
                .filter(|(_, path)| best.get(path) == Some(&map.specificity))
                .map(|(key, _)| key)
                .collect();
            keys.sort();
            let names = map.names.iter().filter(|(key, _)| keys.contains(key));
            (!keys.is_empty()).then(|| PinnedDirectory {
                config_map: map.name.clone(),
                directory: map.directory.clone(),
                names: names.map(|(k, v)| (k.clone(), v.clone())).collect(),
                keys: keys.clone(),
            })
        })
        .collect();
    let own = provided(config).unwrap_or_default();
    let nobody_has = |wanted: &&String| {
        let artifact = of_flux.iter().any(|root| touch(root, wanted));
        let file = own.iter().any(|file| is_within(&file.path, wanted));
        !artifact && !file
    };
    let missing: Vec<&String> = wanted.iter().filter(nobody_has).collect();
    config.files.missing = missing
        .into_iter()
        .map(|path| (path.clone(), near(path, config, all)))
        .collect();
}

/// The end of a message about a path that nobody has: what comes near it.
fn near(path: &str, config: &PinnedJobConfig, all: &[Labelled]) -> String {
    let sources = config.sources.iter().filter_map(|s| normalised(&s.path).ok());
    let own = provided(config).unwrap_or_default();
    let own = own.into_iter().map(|file| file.path);
    let files = all
        .iter()
        .flat_map(|map| map.keys.iter().map(|key| map.path(key)));
    let directories = all.iter().map(|map| map.directory.clone());
    let known: BTreeSet<String> = own.chain(files).chain(directories).chain(sources).collect();
    hint(path, known.iter().map(String::as_str).filter(|p| !p.is_empty()))
}

/// For simulations: what is known of ConfigMaps is taken, and every file that nobody has is taken to be there.
pub(in crate::core) fn assume(config: &mut PinnedJobConfig, all: &[Labelled]) {
    pin(config, all);
    for path in std::mem::take(&mut config.files.missing).into_keys() {
        let (directory, name) = path.rsplit_once('/').unwrap_or(("", &path));
        let name = if name.is_empty() { "anything" } else { name };
        config.files.found.push(PinnedDirectory {
            config_map: "not-among-the-files".to_owned(),
            directory: directory.to_owned(),
            keys: vec![name.to_owned()],
            names: BTreeMap::new(),
        });
    }
    for source in super::artifact::needed(config) {
        config
            .files
            .artifacts
            .push(crate::api::execution::PinnedArtifact {
                kind: source.kind,
                name: source.name,
                url: "http://not-fetched".to_owned(),
                ..Default::default()
            });
    }
    "coxswain".clone_into(&mut config.files.image);
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;
    use crate::core::jobs::files::of_task;

    fn place() -> Place {
        Place::new("shop", "prod", "cart").unwrap()
    }

    /// A ConfigMap `name` of this scope (`prod/cart`, `*/cart`, `prod`, ``), directory and keys.
    fn map(name: &str, scope: &str, directory: &str, keys: &[&str]) -> Labelled {
        let (stage, service) = scope.split_once('/').unwrap_or((scope, ""));
        let meta: ObjectMeta = serde_json::from_value(json!({
            "name": name,
            "labels": {labels::PROJECT: "shop", labels::STAGE: stage.trim_matches('*'), labels::SERVICE: service},
            "annotations": {labels::DIRECTORY: directory, labels::FILE_NAMES: r#"{"file-0": "a b.txt", "file-1": "../x"}"#},
        }))
        .unwrap();
        let mut found = Labelled::of(&meta, &place()).unwrap();
        found.keys = keys.iter().map(|key| (*key).to_owned()).collect();
        found
    }

    fn config(files: &[&str], sources: Value) -> PinnedJobConfig {
        serde_json::from_value(json!({
            "name": "c", "specificity": 3, "sources": sources,
            "actions": [{"name": "a", "events": [{"name": "e"}], "tasks": [{"name": "t", "image": "i", "files": files}]}],
        }))
        .unwrap()
    }

    /// `path <- ConfigMap`, of each file that the task gets.
    fn got(config: &PinnedJobConfig) -> Result<Vec<String>, String> {
        let files = config.actions[0].tasks[0].files.clone().unwrap();
        let found = of_task(&files, config, &place()).map_err(|problem| format!("{problem:?}"))?;
        let volume = serde_json::to_value(found.volume).unwrap();
        let mut lines = vec![];
        for source in volume["sources"].as_array().into_iter().flatten() {
            for item in source["configMap"]["items"].as_array().unwrap() {
                let name = source["configMap"]["name"].as_str().unwrap();
                lines.push(format!("{} <- {name}", item["path"].as_str().unwrap()));
            }
        }
        lines.sort();
        Ok(lines)
    }

    #[rstest]
    #[case::all_scopes(&["charts"], &["charts/a <- in-stage", "charts/b <- of-service", "charts/c <- of-stage", "charts/d <- of-project"])]
    #[case::one_file(&["charts/d"], &["charts/d <- of-project"])]
    #[case::in_the_root(&["run.sh"], &["run.sh <- root"])]
    #[case::everything(&["/"], &[
        "charts/a <- in-stage", "charts/b <- of-service", "charts/c <- of-stage", "charts/d <- of-project", "run.sh <- root"])]
    fn of_each_file_the_most_specific_scope_wins(#[case] files: &[&str], #[case] expected: &[&str]) {
        let all = [
            map("in-stage", "prod/cart", "charts", &["a"]),
            map("of-service", "*/cart", "/charts/", &["a", "b"]),
            map("of-stage", "prod", "charts", &["a", "b", "c"]),
            map("of-project", "", "charts", &["a", "b", "c", "d"]),
            map("root", "", "", &["run.sh"]),
        ];
        let mut config = config(files, json!([]));
        pin(&mut config, &all);
        assert_eq!(got(&config).unwrap(), expected);
        assert!(config.files.missing.is_empty());
    }

    #[test]
    fn sources_go_before_labels_and_only_what_is_asked_for_is_pinned() {
        let all = [
            map("labelled", "prod/cart", "charts", &["a", "b"]),
            map("other", "", "locust", &["x"]),
        ];
        let mut config = config(
            &["charts"],
            json!([{"path": "charts/a", "configMap": {"name": "mine", "key": "k"}}]),
        );
        pin(&mut config, &all);
        assert_eq!(
            got(&config).unwrap(),
            ["charts/a <- mine", "charts/b <- labelled"]
        );
        assert_eq!(config.files.found.len(), 1);
        // A file that a source names by itself needs no lookup.
        let alone = self::config(&["/charts/a"], serde_json::to_value(&config.sources).unwrap());
        assert_eq!(looked_for(&alone), [""; 0]);
    }

    #[test]
    fn a_name_that_no_key_can_have_is_in_an_annotation() {
        let mut config = config(&["odd"], json!([]));
        pin(&mut config, &[map("odd", "prod", "odd", &["file-0", "file-1"])]);
        // A name that leaves its directory is no name.
        assert_eq!(got(&config).unwrap(), ["odd/a b.txt <- odd", "odd/file-1 <- odd"]);
    }

    #[test]
    fn two_of_one_scope_are_a_mistake() {
        let mut config = config(&["a"], json!([]));
        pin(
            &mut config,
            &[map("one", "prod", "", &["a"]), map("two", "prod", "", &["a"])],
        );
        let error = got(&config).unwrap_err();
        assert!(
            error.contains("ConfigMap one and ConfigMap two both provide a"),
            "{error}"
        );
    }

    #[test]
    fn what_nobody_has_is_said_with_what_comes_near() {
        let mut config = config(&["chart", "charts/b"], json!([]));
        pin(&mut config, &[map("m", "prod/cart", "charts", &["a"])]);
        assert_eq!(config.files.missing["chart"], r#"; did you mean "charts"?"#);
        assert_eq!(config.files.missing["charts/b"], r#"; did you mean "charts/a"?"#);
        let error = got(&config).unwrap_err();
        assert!(
            error.contains("has the file or directory chart; did you mean"),
            "{error}"
        );
    }

    #[test]
    fn what_a_source_of_flux_stands_for_comes_from_there_alone() {
        let flux = json!([{"path": "charts", "sourceRef": {"kind": "GitRepository", "name": "g"}}]);
        let mut config = config(&["charts", "locust"], flux);
        pin(
            &mut config,
            &[
                map("m", "prod/cart", "charts", &["a"]),
                map("l", "", "locust", &["x"]),
            ],
        );
        assert!(config.files.missing.is_empty());
        assert!(
            got(&config)
                .unwrap_err()
                .contains("what GitRepository g holds is not pinned")
        );
        config
            .files
            .artifacts
            .push(crate::api::execution::PinnedArtifact {
                kind: "GitRepository".into(),
                name: "g".into(),
                revision: "main@sha1:1".into(),
                url: "http://x".into(),
                ..Default::default()
            });
        assert_eq!(got(&config).unwrap(), ["locust/x <- l"]);
        let files = ["charts".to_owned(), "locust".to_owned()];
        let plan = of_task(&files, &config, &place()).unwrap().fetch.unwrap();
        assert_eq!(plan.files, ["charts"]);
        assert_eq!(plan.artifacts[0].source, "GitRepository g (main@sha1:1)");
    }

    #[rstest]
    #[case(json!({"name": "m"}), None)]
    #[case(json!({"name": "m", "labels": {labels::PROJECT: "other"}}), None)]
    #[case(json!({"name": "m", "labels": {labels::PROJECT: "shop", labels::STAGE: "qa"}}), None)]
    #[case(json!({"name": "m", "labels": {labels::PROJECT: "shop"}, "annotations": {labels::DIRECTORY: "../x"}}), None)]
    #[case(json!({"name": "m", "labels": {labels::PROJECT: "shop"}}), Some(""))]
    fn what_is_for_a_place(#[case] meta: Value, #[case] directory: Option<&str>) {
        let meta = serde_json::from_value(meta).unwrap();
        let found = Labelled::of(&meta, &place()).map(|map| map.directory);
        assert_eq!(found.as_deref(), directory);
    }
}
