//! A job task's files: what its JobConfig's `sources` mount where under `/keptn`.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    ConfigMapProjection, KeyToPath, ProjectedVolumeSource, SecretProjection, VolumeProjection,
};

use crate::{
    api::jobconfig::{JobAction, Source},
    core::{Invalid, definitions::nearest::hint},
};

/// Readable and executable for everyone in the container, so that scripts can be run; the volume is read-only.
const MODE: i32 = 0o555;

/// What one file is made of.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Origin {
    ConfigMap { name: String, key: String },
    Secret { name: String, key: String },
}

/// A file that a source provides.
#[derive(Clone, Debug)]
struct Provided {
    path: String,
    origin: Origin,
    source: usize,
    /// The length of the source's own path: of two sources for one file the more exact one wins.
    exactness: usize,
}

/// The volume with the files that a task asks for; none when it asks for none. `keys` has the keys of each ConfigMap that
/// stands for a directory.
pub(super) fn volume(
    files: &[String],
    sources: &[Source],
    keys: &BTreeMap<String, Vec<String>>,
) -> Result<Option<ProjectedVolumeSource>, String> {
    if files.is_empty() {
        return Ok(None);
    }
    let provided = provided(sources, keys)?;
    let mut chosen: BTreeMap<&str, &Origin> = BTreeMap::new();
    for file in files {
        let wanted = normalised(file)?;
        let found = below(&provided, &wanted);
        if found.is_empty() {
            return Err(nothing_there(&wanted, sources, &provided, keys));
        }
        for path in found {
            chosen.insert(path, most_exact(&provided, path)?);
        }
    }
    if let Some((file, other)) = file_within_file(&chosen) {
        return Err(format!(
            "{file} can't be both a file and the directory of {other}: change the path of one source"
        ));
    }
    Ok(Some(ProjectedVolumeSource {
        default_mode: Some(MODE),
        sources: Some(projections(&chosen)),
    }))
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
            } else if wanted == root || is_below(&root, &wanted) {
                // The whole directory; what it has is not known.
                entry.push("*".to_owned());
            }
        }
        entry.sort();
        entry.dedup();
    }
    keys
}

/// What is wrong with the sources; paths begin with `sources`.
pub(super) fn check_sources(sources: &[Source]) -> Vec<Invalid> {
    let mut wrong = Vec::new();
    for (index, source) in sources.iter().enumerate() {
        let at = format!("sources[{index}]");
        if let Err(problem) = normalised(&source.path) {
            wrong.push(Invalid::new(format!("{at}.path"), problem));
        }
        match (&source.config_map, &source.secret) {
            (Some(_), Some(_)) => wrong.push(Invalid::new(&at, "set either configMap or secret, not both")),
            (None, None) => wrong.push(Invalid::new(
                &at,
                "set configMap or secret: where the path's content comes from",
            )),
            (Some(map), None) => {
                if !is_object_name(&map.name) {
                    wrong.push(Invalid::new(
                        format!("{at}.configMap.name"),
                        format!("{:?} can't be a ConfigMap's name", map.name),
                    ));
                }
            }
            (None, Some(secret)) => {
                if !is_object_name(&secret.name) {
                    wrong.push(Invalid::new(
                        format!("{at}.secret.name"),
                        format!("{:?} can't be a Secret's name", secret.name),
                    ));
                }
                let items = secret.items.as_deref().unwrap_or_default();
                if secret.key.is_some() != items.is_empty() {
                    let remedy = "set either key (one file) or items (its keys and their paths): Coxswain does not read Secrets";
                    wrong.push(Invalid::new(format!("{at}.secret"), remedy));
                }
                for (item, key) in items.iter().enumerate() {
                    if let Err(problem) = normalised(&key.path) {
                        wrong.push(Invalid::new(format!("{at}.secret.items[{item}].path"), problem));
                    }
                }
            }
        }
    }
    wrong
}

/// Whether the sources have a file of a task, as far as they tell without the keys of directories.
///
/// # Errors
/// What is wrong with the file, and the nearest known one.
pub fn check_file(file: &str, sources: &[Source]) -> Result<(), String> {
    let wanted = normalised(file)?;
    let roots: Vec<String> = sources
        .iter()
        .filter_map(|source| normalised(&source.path).ok())
        .collect();
    let within = |inner: &str, outer: &str| inner == outer || is_below(inner, outer);
    let fits = |source: &Source, root: &String| {
        let is_directory = source.config_map.as_ref().is_some_and(|map| map.key.is_none())
            || source.secret.as_ref().is_some_and(|secret| secret.key.is_none());
        within(root, &wanted) || (is_directory && within(&wanted, root))
    };
    if sources
        .iter()
        .zip(&roots)
        .any(|(source, root)| fits(source, root))
    {
        return Ok(());
    }
    Err(no_source(&wanted, roots.iter().map(String::as_str)))
}

/// Whether this can be the name of a ConfigMap or Secret: a DNS subdomain.
pub(super) fn is_object_name(name: &str) -> bool {
    name.len() <= 253 && name.split('.').all(crate::core::names::is_dns_label)
}

/// A path under `/keptn` without the slashes at its ends; empty for all of it.
///
/// # Errors
/// Why it is no such path, and the remedy.
pub fn normalised(path: &str) -> Result<String, String> {
    let inner = path.strip_prefix('/').unwrap_or(path);
    let inner = inner.strip_suffix('/').unwrap_or(inner);
    if inner.is_empty() {
        return if path == "/" {
            Ok(String::new())
        } else {
            Err(format!("{path:?} is no path such as locust/basic.py"))
        };
    }
    let bad =
        |part: &str| part.is_empty() || part == "." || part.starts_with("..") || part.contains(['\0', '\\']);
    if inner.split('/').any(bad) {
        let remedy =
            "write a plain path under /keptn such as locust/basic.py, without `.`, `..`, `\\` or `//`";
        return Err(format!("{path:?} is refused: {remedy}"));
    }
    Ok(inner.to_owned())
}

fn is_below(path: &str, directory: &str) -> bool {
    directory.is_empty()
        || path
            .strip_prefix(directory)
            .is_some_and(|rest| rest.starts_with('/'))
}

/// Every file that the sources provide.
fn provided(sources: &[Source], keys: &BTreeMap<String, Vec<String>>) -> Result<Vec<Provided>, String> {
    let mut files = Vec::new();
    for (index, source) in sources.iter().enumerate() {
        let root = normalised(&source.path)?;
        let mut add = |below: Option<&str>, origin: Origin| {
            let path = match below {
                None => root.clone(),
                Some(below) if root.is_empty() => below.to_owned(),
                Some(below) => format!("{root}/{below}"),
            };
            // A single file's source has the file's whole path, so it is more exact than any directory.
            let exactness = if below.is_none() { usize::MAX } else { root.len() };
            files.push(Provided {
                path,
                origin,
                source: index,
                exactness,
            });
        };
        if let Some(map) = &source.config_map {
            let origin = |key: &str| Origin::ConfigMap {
                name: map.name.clone(),
                key: key.to_owned(),
            };
            match &map.key {
                Some(key) => add(None, origin(key)),
                None => keys
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
                add(None, origin(key));
            }
            for item in secret.items.iter().flatten() {
                add(Some(&normalised(&item.path)?), origin(&item.key));
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
    let most = of_path().map(|file| file.exactness).max();
    let mut best = of_path().filter(|file| Some(file.exactness) == most);
    let Some(first) = best.next() else {
        return Err(format!("no source has {path}"));
    };
    match best.find(|other| other.origin != first.origin) {
        None => Ok(&first.origin),
        Some(other) => Err(format!(
            "sources[{}] and sources[{}] both provide {path}: change the path of one",
            first.source, other.source
        )),
    }
}

fn nothing_there(
    wanted: &str,
    sources: &[Source],
    provided: &[Provided],
    keys: &BTreeMap<String, Vec<String>>,
) -> String {
    // The source may be right, and its ConfigMap missing or empty.
    let empty = sources.iter().find_map(|source| {
        let map = source.config_map.as_ref().filter(|map| map.key.is_none())?;
        let root = normalised(&source.path).ok()?;
        let concerned = root == wanted || is_below(wanted, &root) || is_below(&root, wanted);
        (concerned && keys.get(&map.name).is_none_or(Vec::is_empty)).then_some(&map.name)
    });
    match empty {
        Some(name) => {
            format!("the ConfigMap {name} that should have {wanted} does not exist or is empty: create it")
        }
        None => no_source(wanted, provided.iter().map(|file| file.path.as_str())),
    }
}

fn no_source<'a>(wanted: &str, known: impl Iterator<Item = &'a str> + Clone) -> String {
    let mut none = known.clone();
    let hint = match none.next() {
        None => "; spec.sources has none: name the ConfigMap or Secret that has it".to_owned(),
        Some(_) => hint(wanted, known),
    };
    format!("no source has the file or directory {wanted}{hint}")
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

    /// `path <- object:key` of every mounted file.
    fn mounted(files: &[&str], sources: &[Source]) -> Result<Vec<String>, String> {
        let files: Vec<String> = files.iter().map(|f| (*f).to_owned()).collect();
        let volume = volume(&files, sources, &keys())?.map(|v| serde_json::to_value(v).unwrap());
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
        assert_eq!(mounted(&[file], &sources(SOURCES)).unwrap(), expected);
    }

    #[test]
    fn several_files_make_one_volume_and_none_makes_none() {
        let all = mounted(
            &["/charts", "locust/basic.py", "locust/locust.conf", "charts"],
            &sources(SOURCES),
        )
        .unwrap();
        assert_eq!(all.len(), 3);
        assert_eq!(mounted(&["/"], &sources(SOURCES)).unwrap().len(), 6);
        assert_eq!(volume(&[], &[], &BTreeMap::new()), Ok(None));
        let volume = volume(&["charts".to_owned()], &sources(SOURCES), &keys())
            .unwrap()
            .unwrap();
        assert_eq!(
            serde_json::to_value(volume).unwrap(),
            json!({"defaultMode": 0o555, "sources": [{"configMap": {
                "name": "charts", "items": [{"key": "helloservice.tgz", "path": "charts/helloservice.tgz"}]}}]})
        );
    }

    #[rstest]
    #[case(
        "locust/basik.py",
        r#"no source has the file or directory locust/basik.py; did you mean "locust/basic.py"?"#
    )]
    #[case("../etc/passwd", "is refused")]
    #[case("a/../../b", "is refused")]
    #[case("a//b", "is refused")]
    #[case("//etc", "is refused")]
    #[case("./a", "is refused")]
    #[case("..data/x", "is refused")]
    #[case("", "is no path")]
    fn what_can_t_be_mounted_is_said(#[case] file: &str, #[case] says: &str) {
        let error = mounted(&[file], &sources(SOURCES)).unwrap_err();
        assert!(error.contains(says), "{error}");
    }

    #[rstest]
    #[case::same_file(
        "[{path: a, configMap: {name: m, key: k}}, {path: a, secret: {name: s, key: k}}]",
        "sources[0] and sources[1] both provide a"
    )]
    #[case::file_and_directory(
        "[{path: a, configMap: {name: m, key: k}}, {path: a/b, secret: {name: s, key: k}}]",
        "a can't be both a file and the directory of a/b"
    )]
    #[case::missing_map(
        "[{path: a, configMap: {name: gone}}]",
        "the ConfigMap gone that should have a does not exist or is empty"
    )]
    #[case::no_sources("[]", "spec.sources has none")]
    fn sources_that_don_t_fit(#[case] yaml: &str, #[case] says: &str) {
        let error = mounted(&["a", "/"], &sources(yaml)).unwrap_err();
        assert!(error.contains(says), "{error}");
    }

    #[test]
    fn the_same_content_twice_is_no_conflict() {
        let twice =
            sources("[{path: a, configMap: {name: m, key: k}}, {path: /a, configMap: {name: m, key: k}}]");
        assert_eq!(mounted(&["a"], &twice).unwrap(), ["a <- configMap m:k"]);
    }
}
