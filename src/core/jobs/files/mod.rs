//! A job task's files: what of `sources`, labelled ConfigMaps and artifacts is put where under `/keptn`.
//!
//! A task asks for paths. Of each it gets the file of just that path, or else every file below it: of all that the sources,
//! and of each path that they do not have the labelled ConfigMaps, provide.

pub mod artifact;
mod check;
pub mod lookup;
mod paths;

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::{
    ConfigMapProjection, KeyToPath, ProjectedVolumeSource, SecretProjection, VolumeProjection,
};

use crate::{
    api::{
        execution::PinnedJobConfig,
        jobconfig::{JobAction, Source},
    },
    core::place::Place,
};

use artifact::FetchPlan;
pub use check::may_provide;
pub(super) use check::{check_sources, is_object_name};
pub use paths::normalised;
use paths::{is_below, is_within, join, of_file, touch};

/// Readable and executable for everyone in the container, so that scripts can be run; the volume is read-only.
const MODE: i32 = 0o555;

/// What one file is made of.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Origin {
    ConfigMap { name: String, key: String },
    Secret { name: String, key: String },
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::ConfigMap { name, .. } => write!(f, "ConfigMap {name}"),
            Self::Secret { name, .. } => write!(f, "Secret {name}"),
        }
    }
}

/// A file that is provided.
#[derive(Clone, Debug)]
struct Provided {
    path: String,
    origin: Origin,
    /// Of two files of one path that of the higher rank is taken: a source goes before what is found by labels, and of
    /// sources the one with the longer path.
    rank: usize,
}

/// What the files of a task come to.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Files {
    /// What ConfigMaps and Secrets hold; none when the task gets nothing of them.
    pub(super) volume: Option<ProjectedVolumeSource>,
    /// What is to be fetched; none when that is nothing. Then all files go the same way.
    pub(super) fetch: Option<FetchPlan>,
}

/// Why a task can't have its files.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Problem {
    /// A file is not there, or two are in each other's way.
    Missing(String),
    /// A source of Flux can't be used.
    Source(String),
}

/// The paths that any of the tasks asks for; those that are no paths are left out.
fn wanted(config: &PinnedJobConfig) -> Vec<String> {
    let tasks = config.actions.iter().flat_map(|action| &action.tasks);
    let wanted: BTreeSet<String> = tasks
        .flat_map(|task| task.files.iter().flatten())
        .filter_map(|file| normalised(file).ok())
        .collect();
    wanted.into_iter().collect()
}

/// The files that a task asks for, out of what is pinned.
pub(super) fn of_task(files: &[String], config: &PinnedJobConfig, place: &Place) -> Result<Files, Problem> {
    if files.is_empty() {
        return Ok(Files::default());
    }
    let provided = provided(config).map_err(Problem::Missing)?;
    let mut chosen: BTreeMap<&str, &Origin> = BTreeMap::new();
    let mut to_fetch: BTreeSet<String> = BTreeSet::new();
    for file in files {
        let wanted = normalised(file).map_err(Problem::Missing)?;
        let exact = provided.iter().any(|file| file.path == wanted);
        let found: Vec<&str> = below(&provided, &wanted);
        let fetched = !exact && has_artifact(&config.sources, &wanted);
        if found.is_empty() && !fetched {
            return Err(Problem::Missing(nothing_there(&wanted, config, place)));
        }
        for path in found {
            chosen.insert(path, most_exact(&provided, path).map_err(Problem::Missing)?);
        }
        if fetched {
            to_fetch.insert(wanted);
        }
    }
    if let Some((file, other)) = file_within_file(&chosen) {
        return Err(Problem::Missing(format!(
            "{file} can't be both a file and the directory of {other}: change the path of one"
        )));
    }
    let paths: Vec<&str> = to_fetch.iter().map(String::as_str).collect();
    let artifacts = artifact::fetched(config, &paths).map_err(Problem::Source)?;
    Ok(Files {
        volume: (!chosen.is_empty()).then(|| ProjectedVolumeSource {
            default_mode: Some(MODE),
            sources: Some(projections(&chosen)),
        }),
        fetch: (!artifacts.is_empty()).then(|| FetchPlan {
            files: to_fetch.into_iter().collect(),
            artifacts,
        }),
    })
}

fn has_artifact(sources: &[Source], wanted: &str) -> bool {
    sources
        .iter()
        .filter(|source| source.source_ref.is_some())
        .any(|source| normalised(&source.path).is_ok_and(|root| touch(&root, wanted)))
}

/// Keys for the ConfigMaps that stand for directories, where nobody has read them: those that are known, and of the
/// others just what the tasks ask for, so that every file is there.
pub(in crate::core) fn assumed_keys(
    actions: &[JobAction],
    sources: &[Source],
    known: &BTreeMap<String, Vec<String>>,
) -> BTreeMap<String, Vec<String>> {
    let files = || {
        actions
            .iter()
            .flat_map(|a| &a.tasks)
            .flat_map(|t| t.files.iter().flatten())
    };
    let mut keys = BTreeMap::<String, Vec<String>>::new();
    for source in sources {
        let Some(map) = source.config_map.as_ref().filter(|map| map.key.is_none()) else {
            continue;
        };
        if let Some(known) = known.get(&map.name) {
            keys.insert(map.name.clone(), known.clone());
            continue;
        }
        let Ok(root) = normalised(&source.path) else {
            continue;
        };
        let entry = keys.entry(map.name.clone()).or_default();
        for wanted in files().filter_map(|file| normalised(file).ok()) {
            if is_below(&wanted, &root) {
                entry.push(wanted[root.len()..].trim_start_matches('/').to_owned());
            } else if is_within(&root, &wanted) {
                // The whole directory; what it has is not known.
                entry.push("*".to_owned());
            }
        }
        entry.sort();
        entry.dedup();
    }
    keys
}

/// Every file that ConfigMaps and Secrets provide.
fn provided(config: &PinnedJobConfig) -> Result<Vec<Provided>, String> {
    let mut files = Vec::new();
    for directory in &config.files.found {
        for key in &directory.keys {
            let name = directory.names.get(key).unwrap_or(key);
            files.push(Provided {
                path: join(&directory.directory, name),
                origin: Origin::ConfigMap {
                    name: directory.config_map.clone(),
                    key: key.clone(),
                },
                rank: 0,
            });
        }
    }
    for source in &config.sources {
        let root = normalised(&source.path)?;
        let mut add = |below: Option<&str>, origin: Origin| {
            files.push(Provided {
                path: join(&root, below.unwrap_or_default()),
                origin,
                // A single file's source has the file's whole path, so it is more exact than any directory.
                rank: below.map_or(usize::MAX, |_| 1 + root.len()),
            });
        };
        let one_file = || of_file(&source.path).map(|_| None);
        if let Some(map) = &source.config_map {
            let origin = |key: &str| Origin::ConfigMap {
                name: map.name.clone(),
                key: key.to_owned(),
            };
            match &map.key {
                Some(key) => add(one_file()?, origin(key)),
                None => config
                    .keys
                    .get(&map.name)
                    .into_iter()
                    .flatten()
                    .for_each(|key| add(Some(key), origin(key))),
            }
        }
        if let Some(secret) = &source.secret {
            let origin = |key: &str| Origin::Secret {
                name: secret.name.clone(),
                key: key.to_owned(),
            };
            if let Some(key) = &secret.key {
                add(one_file()?, origin(key));
            }
            for item in secret.items.iter().flatten() {
                add(Some(&of_file(&item.path)?), origin(&item.key));
            }
        }
    }
    Ok(files)
}

/// The file of this path, or else every file below it.
fn below<'a>(provided: &'a [Provided], wanted: &str) -> Vec<&'a str> {
    let paths = || provided.iter().map(|file| file.path.as_str());
    match paths().find(|path| *path == wanted) {
        Some(exact) => vec![exact],
        None => paths().filter(|path| is_below(path, wanted)).collect(),
    }
}

fn most_exact<'a>(provided: &'a [Provided], path: &str) -> Result<&'a Origin, String> {
    let of_path = || provided.iter().filter(|file| file.path == path);
    let most = of_path().map(|file| file.rank).max();
    let mut best = of_path().filter(|file| Some(file.rank) == most);
    let Some(first) = best.next() else {
        return Err(format!("nobody has {path}"));
    };
    match best.find(|other| other.origin != first.origin) {
        None => Ok(&first.origin),
        Some(other) => Err(format!(
            "{} and {} both provide {path}, and neither is more specific: take it out of one",
            first.origin, other.origin
        )),
    }
}

/// What is said of a path that nobody has.
fn nothing_there(wanted: &str, config: &PinnedJobConfig, place: &Place) -> String {
    // The source may be right, and its ConfigMap missing or empty.
    let empty = config.sources.iter().find_map(|source| {
        let map = source.config_map.as_ref().filter(|map| map.key.is_none())?;
        let concerned = normalised(&source.path).is_ok_and(|root| touch(&root, wanted));
        (concerned && config.keys.get(&map.name).is_none_or(Vec::is_empty)).then_some(&map.name)
    });
    if let Some(name) = empty {
        return format!(
            "the ConfigMap {name} that should have {wanted} does not exist or is empty: create it"
        );
    }
    let (project, stage, service) = (place.project(), place.stage(), place.service());
    let near = config.files.missing.get(wanted).map_or("", String::as_str);
    let wanted = if wanted.is_empty() { "/" } else { wanted };
    format!(
        "neither spec.sources nor a ConfigMap labelled for service {service} in stage {stage}, service {service}, stage {stage} \
         or project {project} has the file or directory {wanted}{near} (to add it: coxswain add-resource --project={project} \
         --stage={stage} --service={service} --resource=FILE --resourceUri={wanted})"
    )
}

fn file_within_file<'a>(chosen: &BTreeMap<&'a str, &Origin>) -> Option<(&'a str, &'a str)> {
    chosen.keys().find_map(|other| {
        let mut parents = other.match_indices('/').map(|(at, _)| &other[..at]);
        parents
            .find_map(|parent| chosen.get_key_value(parent))
            .map(|(file, _)| (*file, *other))
    })
}

/// One projection for each ConfigMap and Secret.
fn projections(chosen: &BTreeMap<&str, &Origin>) -> Vec<VolumeProjection> {
    let mut config_maps: BTreeMap<&str, Vec<KeyToPath>> = BTreeMap::new();
    let mut secrets: BTreeMap<&str, Vec<KeyToPath>> = BTreeMap::new();
    for (path, origin) in chosen {
        let (group, name, key) = match origin {
            Origin::ConfigMap { name, key } => (&mut config_maps, name, key),
            Origin::Secret { name, key } => (&mut secrets, name, key),
        };
        let item = KeyToPath {
            key: key.clone(),
            path: (*path).to_owned(),
            mode: None,
        };
        group.entry(name).or_default().push(item);
    }
    let config_maps = config_maps.into_iter().map(|(name, items)| VolumeProjection {
        config_map: Some(ConfigMapProjection {
            name: name.to_owned(),
            items: Some(items),
            optional: None,
        }),
        ..VolumeProjection::default()
    });
    let secrets = secrets.into_iter().map(|(name, items)| VolumeProjection {
        secret: Some(SecretProjection {
            name: name.to_owned(),
            items: Some(items),
            optional: None,
        }),
        ..VolumeProjection::default()
    });
    config_maps.chain(secrets).collect()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;

    fn sources(yaml: &str) -> Vec<Source> {
        serde_yaml::from_str(yaml).unwrap()
    }

    const SOURCES: &str = "
- {path: /charts, configMap: {name: charts}}
- {path: locust/basic.py, configMap: {name: locust, key: basic.py}}
- {path: locust, configMap: {name: locust-all}}
- {path: helm, secret: {name: helm, items: [{key: v, path: values.yaml}, {key: s, path: deep/secrets.txt}]}}
- {path: helm-abc/x, secret: {name: abc, key: x}}
";

    fn keys() -> BTreeMap<String, Vec<String>> {
        let owned = |keys: &[&str]| keys.iter().map(|k| (*k).to_owned()).collect();
        [
            ("charts".to_owned(), owned(&["helloservice.tgz"])),
            ("locust-all".to_owned(), owned(&["basic.py", "locust.conf"])),
        ]
        .into()
    }

    fn place() -> Place {
        Place::new("shop", "prod", "cart").unwrap()
    }

    fn config(sources: Vec<Source>) -> PinnedJobConfig {
        PinnedJobConfig {
            sources,
            keys: keys(),
            ..PinnedJobConfig::default()
        }
    }

    fn files_of(files: &[&str], config: &PinnedJobConfig) -> Result<Files, String> {
        let files: Vec<String> = files.iter().map(|f| (*f).to_owned()).collect();
        of_task(&files, config, &place()).map_err(|problem| match problem {
            Problem::Missing(problem) | Problem::Source(problem) => problem,
        })
    }

    /// `path <- object:key` of every mounted file.
    fn mounted(files: &[&str], config: &PinnedJobConfig) -> Result<Vec<String>, String> {
        let volume = files_of(files, config)?
            .volume
            .map(|v| serde_json::to_value(v).unwrap());
        let mut found = Vec::new();
        for source in volume.iter().flat_map(|v| v["sources"].as_array().unwrap()) {
            for (kind, projection) in source.as_object().unwrap() {
                for item in projection["items"].as_array().unwrap() {
                    let text = |value: &Value| value.as_str().unwrap().to_owned();
                    let (path, name, key) =
                        (text(&item["path"]), text(&projection["name"]), text(&item["key"]));
                    found.push(format!("{path} <- {kind} {name}:{key}"));
                }
            }
        }
        found.sort();
        Ok(found)
    }

    #[rstest]
    #[case::directory_with_slash("/charts", &["charts/helloservice.tgz <- configMap charts:helloservice.tgz"])]
    #[case::trailing_slash("charts/", &["charts/helloservice.tgz <- configMap charts:helloservice.tgz"])]
    #[case::file_of_a_directory("charts/helloservice.tgz", &["charts/helloservice.tgz <- configMap charts:helloservice.tgz"])]
    #[case::the_exact_source_wins("locust/basic.py", &["locust/basic.py <- configMap locust:basic.py"])]
    #[case::also_in_a_directory("locust", &[
        "locust/basic.py <- configMap locust:basic.py",
        "locust/locust.conf <- configMap locust-all:locust.conf",
    ])]
    #[case::not_a_prefix("helm", &["helm/deep/secrets.txt <- secret helm:s", "helm/values.yaml <- secret helm:v"])]
    fn a_file_or_directory_is_mounted(#[case] file: &str, #[case] expected: &[&str]) {
        assert_eq!(mounted(&[file], &config(sources(SOURCES))).unwrap(), expected);
    }

    #[test]
    fn several_files_make_one_volume_and_none_makes_none() {
        let all = mounted(
            &["/charts", "locust/basic.py", "locust/locust.conf", "charts"],
            &config(sources(SOURCES)),
        )
        .unwrap();
        assert_eq!(all.len(), 3);
        assert_eq!(mounted(&["/"], &config(sources(SOURCES))).unwrap().len(), 6);
        assert_eq!(files_of(&[], &config(vec![])), Ok(Files::default()));
        let volume = files_of(&["charts"], &config(sources(SOURCES))).unwrap().volume;
        assert_eq!(
            serde_json::to_value(volume).unwrap(),
            json!({"defaultMode": 0o555, "sources": [{"configMap": {
                "name": "charts", "items": [{"key": "helloservice.tgz", "path": "charts/helloservice.tgz"}]}}]})
        );
    }

    #[rstest]
    #[case(
        "locust/basik.py",
        "neither spec.sources nor a ConfigMap labelled for service cart in stage prod, service cart, stage prod or project shop has \
         the file or directory locust/basik.py (to add it: coxswain add-resource --project=shop --stage=prod --service=cart \
         --resource=FILE --resourceUri=locust/basik.py)"
    )]
    #[case("../etc/passwd", "is refused")]
    #[case("a/../../b", "is refused")]
    #[case("a//b", "is refused")]
    #[case("//etc", "is refused")]
    #[case("./a", "is refused")]
    #[case("..data/x", "is refused")]
    #[case("", "is no path")]
    fn what_can_t_be_mounted_is_said(#[case] file: &str, #[case] says: &str) {
        let error = mounted(&[file], &config(sources(SOURCES))).unwrap_err();
        assert!(error.contains(says), "{error}");
    }

    #[rstest]
    #[case::same_file(
        "[{path: a, configMap: {name: m, key: k}}, {path: a, secret: {name: s, key: k}}]",
        "ConfigMap m and Secret s both provide a"
    )]
    #[case::file_and_directory(
        "[{path: a, configMap: {name: m, key: k}}, {path: a/b, secret: {name: s, key: k}}]",
        "a can't be both a file and the directory of a/b"
    )]
    #[case::missing_map(
        "[{path: a, configMap: {name: gone}}]",
        "the ConfigMap gone that should have a does not exist or is empty"
    )]
    #[case::no_sources("[]", "neither spec.sources nor a ConfigMap labelled")]
    fn sources_that_don_t_fit(#[case] yaml: &str, #[case] says: &str) {
        let error = mounted(&["a", "/"], &config(sources(yaml))).unwrap_err();
        assert!(error.contains(says), "{error}");
    }

    #[test]
    fn the_same_content_twice_is_no_conflict() {
        let twice =
            sources("[{path: a, configMap: {name: m, key: k}}, {path: /a, configMap: {name: m, key: k}}]");
        assert_eq!(mounted(&["a"], &config(twice)).unwrap(), ["a <- configMap m:k"]);
    }
}
