//! The files of a Job: one read-only volume below `/keptn`, from ConfigMaps and Secrets.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    ConfigMapProjection, KeyToPath, ProjectedVolumeSource, SecretProjection, Volume, VolumeProjection,
};

use super::build::JobError;
use crate::{
    api::{
        execution::PinnedJobConfig,
        jobconfig::{JobTask, Source},
    },
    core::definitions::nearest,
};

/// Where one file comes from.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Origin {
    ConfigMap(String),
    Secret(String),
}

/// The volume with the task's files; None when it names none.
pub(super) fn volume(config: &PinnedJobConfig, job: &JobTask) -> Result<Option<Volume>, JobError> {
    let files = job.files.clone().unwrap_or_default();
    if files.is_empty() {
        return Ok(None);
    }
    let provided = provided(config);
    let mut chosen: BTreeMap<String, (Origin, String)> = BTreeMap::new();
    for file in &files {
        let path = clean(job, file)?;
        let found: Vec<_> = match provided.get(&path) {
            Some(exact) => vec![(path.clone(), exact.clone())],
            None => {
                let below = format!("{path}/");
                provided
                    .iter()
                    .filter(|(p, _)| p.starts_with(&below))
                    .map(|(p, o)| (p.clone(), o.clone()))
                    .collect()
            }
        };
        if found.is_empty() {
            return Err(nobody(config, job, file, &path, &provided));
        }
        chosen.extend(found);
    }
    Ok(Some(projected(chosen)))
}

/// Every file that the sources provide. Of two for one path the one that names it as a file wins.
fn provided(config: &PinnedJobConfig) -> BTreeMap<String, (Origin, String)> {
    let mut all = BTreeMap::new();
    let is_file = |s: &&Source| {
        s.config_map.as_ref().is_some_and(|m| m.key.is_some())
            || s.secret.as_ref().is_some_and(|m| m.key.is_some())
    };
    let (files, directories): (Vec<&Source>, Vec<&Source>) = config.sources.iter().partition(is_file);
    for source in directories.into_iter().chain(files) {
        let root = source.path.trim_matches('/').to_owned();
        if let Some(map) = &source.config_map {
            let origin = Origin::ConfigMap(map.name.clone());
            match &map.key {
                Some(key) => {
                    all.insert(root.clone(), (origin, key.clone()));
                }
                None => {
                    for key in config.keys.get(&map.name).into_iter().flatten() {
                        all.insert(format!("{root}/{key}"), (origin.clone(), key.clone()));
                    }
                }
            }
        }
        if let Some(secret) = &source.secret {
            let origin = Origin::Secret(secret.name.clone());
            if let Some(key) = &secret.key {
                all.insert(root.clone(), (origin.clone(), key.clone()));
            }
            for item in secret.items.iter().flatten() {
                all.insert(
                    format!("{root}/{}", item.path.trim_matches('/')),
                    (origin.clone(), item.key.clone()),
                );
            }
        }
    }
    all
}

fn clean(job: &JobTask, file: &str) -> Result<String, JobError> {
    let path = file.trim_matches('/');
    let bad = path.is_empty() || path.split('/').any(|part| matches!(part, "" | "." | ".."));
    if bad {
        return Err(JobError::File {
            path: file.to_owned(),
            job: job.name.clone(),
            problem: "is not a path below /keptn; write one such as locust/basic.py".to_owned(),
        });
    }
    Ok(path.to_owned())
}

fn nobody(
    config: &PinnedJobConfig,
    job: &JobTask,
    file: &str,
    path: &str,
    provided: &BTreeMap<String, (Origin, String)>,
) -> JobError {
    let missing = config.sources.iter().find_map(|source| {
        let map = source.config_map.as_ref().filter(|m| m.key.is_none())?;
        let root = source.path.trim_matches('/');
        let about = root == path || path.starts_with(&format!("{root}/"));
        (about && !config.keys.contains_key(&map.name)).then(|| map.name.clone())
    });
    let problem = match missing {
        Some(map) => format!("its source, ConfigMap {map}, does not exist in this namespace: create it"),
        None => {
            let hint = nearest::hint(path, provided.keys().map(String::as_str));
            format!(
                "no source of JobConfig {} provides it{hint}: add one to spec.sources",
                config.name
            )
        }
    };
    JobError::File {
        path: file.to_owned(),
        job: job.name.clone(),
        problem,
    }
}

fn projected(chosen: BTreeMap<String, (Origin, String)>) -> Volume {
    let mut by_origin: BTreeMap<Origin, Vec<KeyToPath>> = BTreeMap::new();
    for (path, (origin, key)) in chosen {
        by_origin.entry(origin).or_default().push(KeyToPath {
            key,
            path,
            mode: None,
        });
    }
    let sources = by_origin.into_iter().map(|(origin, items)| match origin {
        Origin::ConfigMap(name) => VolumeProjection {
            config_map: Some(ConfigMapProjection {
                name,
                items: Some(items),
                optional: Some(false),
            }),
            ..VolumeProjection::default()
        },
        Origin::Secret(name) => VolumeProjection {
            secret: Some(SecretProjection {
                name,
                items: Some(items),
                optional: Some(false),
            }),
            ..VolumeProjection::default()
        },
    });
    Volume {
        name: "keptn".to_owned(),
        projected: Some(ProjectedVolumeSource {
            default_mode: Some(0o444),
            sources: Some(sources.collect()),
        }),
        ..Volume::default()
    }
}
