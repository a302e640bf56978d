//! What is wrong with a JobConfig's `sources`, as far as they show it themselves.

use super::{
    artifact, normalised,
    paths::{of_file, touch},
};
use crate::{
    api::jobconfig::{SecretSource, Source, SourceArtifact},
    core::{Invalid, definitions::nearest::hint},
};

/// What is wrong with the sources; paths begin with `sources`.
pub(in crate::core::jobs) fn check_sources(sources: &[Source]) -> Vec<Invalid> {
    let mut wrong = Vec::new();
    for (index, source) in sources.iter().enumerate() {
        let at = format!("sources[{index}]");
        let path = if is_one_file(source) {
            of_file(&source.path)
        } else {
            normalised(&source.path)
        };
        if let Err(problem) = path {
            wrong.push(Invalid::new(format!("{at}.path"), problem));
        }
        match (&source.config_map, &source.secret, &source.source_ref) {
            (Some(map), None, None) => wrong.extend(named(&at, "configMap", "ConfigMap", &map.name)),
            (None, Some(secret), None) => wrong.extend(secret_source(&at, secret)),
            (None, None, Some(of_flux)) => wrong.extend(artifact_source(&at, of_flux)),
            (None, None, None) => wrong.push(Invalid::new(
                &at,
                "set configMap, secret or sourceRef: where the path's content comes from",
            )),
            _ => wrong.push(Invalid::new(
                &at,
                "set one of configMap, secret and sourceRef; for more, add a source for each",
            )),
        }
        let same = |other: &Source| other.source_ref.is_some() && other.path == source.path;
        if source.source_ref.is_some()
            && let Some(other) = sources[..index].iter().position(same)
        {
            let remedy = "give each a path of its own";
            wrong.push(Invalid::new(
                format!("{at}.path"),
                format!(
                    "sources[{other}] brings an artifact to {:?} too: {remedy}",
                    source.path
                ),
            ));
        }
    }
    wrong
}

fn named(at: &str, field: &str, kind: &str, name: &str) -> Option<Invalid> {
    let problem = || {
        Invalid::new(
            format!("{at}.{field}.name"),
            format!("{name:?} can't be a {kind}'s name"),
        )
    };
    (!is_object_name(name)).then(problem)
}

fn secret_source(at: &str, secret: &SecretSource) -> Vec<Invalid> {
    let mut wrong: Vec<Invalid> = named(at, "secret", "Secret", &secret.name).into_iter().collect();
    let items = secret.items.as_deref().unwrap_or_default();
    if secret.key.is_some() != items.is_empty() {
        let remedy =
            "set either key (one file) or items (its keys and their paths): Coxswain does not read Secrets";
        wrong.push(Invalid::new(format!("{at}.secret"), remedy));
    }
    for (item, key) in items.iter().enumerate() {
        if let Err(problem) = of_file(&key.path) {
            wrong.push(Invalid::new(format!("{at}.secret.items[{item}].path"), problem));
        }
    }
    wrong
}

fn artifact_source(at: &str, source: &SourceArtifact) -> Vec<Invalid> {
    let mut wrong: Vec<Invalid> = named(at, "sourceRef", "source", &source.name)
        .into_iter()
        .collect();
    if !artifact::KINDS.contains(&source.kind.as_str()) {
        let hint = hint(&source.kind, artifact::KINDS);
        wrong.push(Invalid::new(
            format!("{at}.sourceRef.kind"),
            format!("{:?} is no source of Flux that holds files{hint}", source.kind),
        ));
    }
    if let Some(Err(problem)) = source.path.as_deref().map(artifact::inner_path) {
        wrong.push(Invalid::new(format!("{at}.sourceRef.path"), problem));
    }
    wrong
}

/// Whether the sources may have a file of a task, as far as they tell without the keys of directories.
pub fn may_provide(sources: &[Source], file: &str) -> bool {
    let Ok(wanted) = normalised(file) else {
        return false;
    };
    sources.iter().any(|source| {
        let Ok(root) = normalised(&source.path) else {
            return false;
        };
        if is_one_file(source) {
            super::paths::is_within(&root, &wanted)
        } else {
            touch(&root, &wanted)
        }
    })
}

/// Whether a source stands for a file, not for a directory.
fn is_one_file(source: &Source) -> bool {
    source.config_map.as_ref().is_some_and(|map| map.key.is_some())
        || source.secret.as_ref().is_some_and(|secret| secret.key.is_some())
}

/// Whether this can be the name of a ConfigMap or Secret: a DNS subdomain.
pub(in crate::core::jobs) fn is_object_name(name: &str) -> bool {
    name.len() <= 253 && name.split('.').all(crate::core::names::is_dns_label)
}
