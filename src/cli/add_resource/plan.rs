//! Which objects the resources come to.

use std::collections::BTreeMap;

use anyhow::{Context as _, bail};
use k8s_openapi::{ByteString, api::core::v1::ConfigMap, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use kube::ResourceExt as _;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::{
    api::Scope,
    core::{
        jobs::files::{
            lookup::{names, scope_labels},
            normalised,
        },
        names::files_name,
    },
    v1::{
        Content,
        import::{
            Definition, Found, Tree, plan,
            sources::{MOST_BYTES, annotations, is_key, text},
        },
        of_path,
    },
};

/// A file, and the path that it is to have.
#[derive(Clone, Debug)]
pub struct Resource {
    /// What messages call it: its path here.
    pub local: String,
    /// Its path as tasks ask for it.
    pub remote: String,
    /// Its length; more than that of `content` if it was too long to be read as a whole.
    pub size: u64,
    /// Its content.
    pub content: Vec<u8>,
}

/// What to write.
#[derive(Debug, Default)]
pub struct Planned {
    /// Keptn's files that are kinds of Coxswain's, each with its path.
    pub definitions: Vec<(String, Definition)>,
    /// Files for Jobs.
    pub directories: Vec<Directory>,
    /// What is not as it should be, but no reason to stop.
    pub warnings: Vec<String>,
}

/// Files of one directory: one ConfigMap.
#[derive(Clone, Debug)]
pub struct Directory {
    pub(super) scope: Scope,
    pub(super) path: String,
    pub(super) files: Vec<Resource>,
}

/// Sorts resources by what they become. A file with one of Keptn's names (`remediation.yaml`, `job/config.yaml`, ...) is
/// what Keptn took it for; all others are files for Jobs.
pub fn planned(resources: Vec<Resource>, scope: &Scope, namespace: Option<&str>) -> anyhow::Result<Planned> {
    let mut planned = Planned::default();
    let mut directories: BTreeMap<String, Vec<Resource>> = BTreeMap::new();
    let mut known: BTreeMap<String, String> = BTreeMap::new();
    for mut resource in resources {
        resource.remote =
            normalised(&resource.remote).map_err(|problem| anyhow::anyhow!("--resourceUri: {problem}"))?;
        let remote = resource.remote.clone();
        if let Some(other) = known.insert(remote.clone(), resource.local.clone()) {
            bail!(
                "{} and {other} would both be {remote}; give each a --resourceUri of its own",
                resource.local
            );
        }
        if is_keptns(&remote) {
            planned.definition(&resource, scope, namespace)?;
            continue;
        }
        match Content::of("file.yaml", &resource.content) {
            Content::Ours => bail!("{}: it is an object of Coxswain's; use kubectl apply -f {0}", resource.local),
            Content::Keptn(kind) if looks_like_yaml(&remote) => planned.warnings.push(format!(
                "{}: it looks like {kind}; as {remote} it is only a file for Jobs, because Keptn knows it by its name (see --resourceUri)",
                resource.local
            )),
            _ => {}
        }
        let (directory, name) = remote.rsplit_once('/').unwrap_or(("", &remote));
        if name.is_empty() {
            bail!(
                "{}: name the file that it becomes with --resourceUri",
                resource.local
            );
        }
        directories
            .entry(directory.to_owned())
            .or_default()
            .push(resource);
    }
    planned.directories = directories
        .into_iter()
        .map(|(path, files)| Directory {
            scope: scope.clone(),
            path,
            files,
        })
        .collect();
    Ok(planned)
}

/// Whether Keptn itself read the file of this path.
fn is_keptns(path: &str) -> bool {
    let place = match path.rsplit_once('/') {
        None => true,
        Some((directory, _)) => matches!(directory, "job" | "prometheus"),
    };
    place && of_path(path).is_some()
}

fn looks_like_yaml(path: &str) -> bool {
    let extension = path.rsplit_once('.').map(|(_, extension)| extension);
    extension.is_some_and(|e| e.eq_ignore_ascii_case("yaml") || e.eq_ignore_ascii_case("yml"))
}

impl Planned {
    fn definition(
        &mut self,
        resource: &Resource,
        scope: &Scope,
        namespace: Option<&str>,
    ) -> anyhow::Result<()> {
        let tree = Tree {
            name: resource.local.clone(),
            named: true,
            files: vec![Found {
                path: resource.remote.clone(),
                size: resource.size,
                content: resource.content.clone(),
            }],
        };
        let found = plan(&[tree], scope, namespace);
        if !found.errors.is_empty() {
            let lines: Vec<String> = found.errors.iter().map(ToString::to_string).collect();
            bail!(lines.join("\n"));
        }
        if found.definitions.is_empty() {
            bail!("{}", found.skipped.join("\n"));
        }
        self.warnings.extend(found.warnings);
        let remote = &resource.remote;
        self.definitions
            .extend(found.definitions.into_iter().map(|d| (remote.clone(), d)));
        Ok(())
    }
}

impl Directory {
    /// The ConfigMap's name.
    pub(super) fn name(&self) -> String {
        files_name(&self.scope, &self.path)
    }

    /// What is added, for people: `charts/helloservice.tgz, 3 KiB`.
    pub(super) fn shown(&self) -> String {
        let files = self
            .files
            .iter()
            .map(|f| format!("{}, {}", f.remote, bytes(f.size)));
        files.collect::<Vec<_>>().join("; ")
    }

    /// The ConfigMap with just these files.
    pub(super) fn fresh(&self, namespace: Option<&str>) -> anyhow::Result<ConfigMap> {
        let added = self.added(None)?;
        Ok(ConfigMap {
            metadata: ObjectMeta {
                name: Some(self.name()),
                namespace: namespace.map(str::to_owned),
                labels: Some(scope_labels(&self.scope)),
                annotations: Some(annotations(&self.path, &added.names)),
                ..ObjectMeta::default()
            },
            data: Some(added.data).filter(|data| !data.is_empty()),
            binary_data: Some(added.binary).filter(|binary| !binary.is_empty()),
            ..ConfigMap::default()
        })
    }

    /// What makes the ConfigMap that is there have these files too; all others stay.
    pub(super) fn patch(&self, existing: &ConfigMap) -> anyhow::Result<Value> {
        let added = self.added(Some(existing))?;
        let mut data: BTreeMap<&String, Value> = added.data.iter().map(|(k, v)| (k, json!(v))).collect();
        let mut binary: BTreeMap<&String, Value> = added.binary.iter().map(|(k, v)| (k, json!(v))).collect();
        // No key may be both; what was text may have become binary. Null removes.
        let text_before = |key: &&String| existing.data.as_ref().is_some_and(|data| data.contains_key(*key));
        let binary_before = |key: &&String| {
            existing
                .binary_data
                .as_ref()
                .is_some_and(|data| data.contains_key(*key))
        };
        let from_text: Vec<&String> = binary.keys().copied().filter(text_before).collect();
        let from_binary: Vec<&String> = data.keys().copied().filter(binary_before).collect();
        data.extend(from_text.into_iter().map(|key| (key, Value::Null)));
        binary.extend(from_binary.into_iter().map(|key| (key, Value::Null)));
        Ok(json!({
            "metadata": {
                "resourceVersion": existing.resource_version(),
                "labels": scope_labels(&self.scope),
                "annotations": annotations(&self.path, &added.names),
            },
            "data": data,
            "binaryData": binary,
        }))
    }

    fn added(&self, existing: Option<&ConfigMap>) -> anyhow::Result<Added> {
        let mut added = Added {
            names: existing.map(|map| names(&map.metadata)).unwrap_or_default(),
            ..Added::default()
        };
        for file in &self.files {
            let name = file.remote.rsplit('/').next().unwrap_or_default();
            let key = added.key(name);
            match text(&file.content) {
                Some(text) => drop(added.data.insert(key, text)),
                None => drop(added.binary.insert(key, ByteString(file.content.clone()))),
            }
        }
        self.check_size(existing, &added)?;
        Ok(added)
    }

    /// A ConfigMap holds a megabyte in all.
    fn check_size(&self, existing: Option<&ConfigMap>, added: &Added) -> anyhow::Result<()> {
        let stays = |key: &String| !added.data.contains_key(key) && !added.binary.contains_key(key);
        let text = existing.iter().flat_map(|map| map.data.iter().flatten());
        let text = text
            .filter(|(key, _)| stays(key))
            .map(|(_, value)| value.len() as u64);
        let binary = existing.iter().flat_map(|map| map.binary_data.iter().flatten());
        let binary = binary
            .filter(|(key, _)| stays(key))
            .map(|(_, value)| value.0.len() as u64);
        let there: u64 = text.chain(binary).sum();
        let new: u64 = self.files.iter().map(|file| file.size).sum();
        if there + new <= MOST_BYTES {
            return Ok(());
        }
        let beside = match there {
            0 => String::new(),
            there => format!(", beside {} that are there already", bytes(there)),
        };
        let directory = if self.path.is_empty() {
            "/keptn"
        } else {
            &self.path
        };
        bail!(
            "the files of {directory} are one ConfigMap, which holds 1 MiB, and they would have {} ({}{beside}): put some into another \
             directory or into the task's image, or let them come from a source of Flux (sources[].sourceRef)",
            bytes(there + new),
            self.shown()
        )
    }
}

#[derive(Default)]
struct Added {
    data: BTreeMap<String, String>,
    binary: BTreeMap<String, ByteString>,
    /// The names of all files that no key can have, of those that are there too.
    names: BTreeMap<String, String>,
}

impl Added {
    fn key(&mut self, name: &str) -> String {
        if is_key(name) {
            return name.to_owned();
        }
        if let Some((key, _)) = self.names.iter().find(|(_, known)| *known == name) {
            return key.clone();
        }
        let digest = Sha256::digest(name);
        let hex = digest.iter().take(6).map(|byte| format!("{byte:02x}"));
        let key = format!("file-{}", hex.collect::<String>());
        self.names.insert(key.clone(), name.to_owned());
        key
    }
}

/// A size for people.
pub(super) fn bytes(size: u64) -> String {
    match size {
        0..1024 => format!("{size} bytes"),
        1024..1_048_576 => format!("{} KiB", size.div_ceil(1024)),
        _ => {
            let tenths = size.saturating_mul(10).div_ceil(1_048_576);
            format!("{}.{} MiB", tenths / 10, tenths % 10)
        }
    }
}

/// The scope that the flags say.
pub(super) fn scope(
    project: &str,
    stage: Option<&str>,
    all_stages: bool,
    service: Option<&str>,
) -> anyhow::Result<Scope> {
    if service.is_some() && stage.is_none() && !all_stages {
        bail!("--service: name its stage with --stage, or add --all-stages for every stage");
    }
    let name = |flag: &str, name: &str| {
        crate::core::place::Place::new(name, "x", "x")
            .map(|_| name.to_owned())
            .map_err(|e| anyhow::anyhow!("--{flag}: {}", e.message))
    };
    Ok(Scope {
        project: name("project", project)?,
        stage: stage.map(|stage| name("stage", stage)).transpose()?,
        service: service.map(|service| name("service", service)).transpose()?,
    })
}

/// The path of a resource when none is given: as it is written, from the directory where the command runs.
pub(super) fn default_uri(local: &str) -> anyhow::Result<String> {
    let path = local.trim_start_matches("./");
    normalised(path)
        .ok()
        .filter(|_| !path.starts_with('/'))
        .with_context(|| format!("--resource={local}: say with --resourceUri which path it is to have"))
}
