//! The ConfigMaps that a run's files come from: their keys, for what is in the files is of no interest.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context as _;
use k8s_openapi::{api::core::v1::ConfigMap, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use kube::{Api, Client, api::ListParams};
use serde_json::{Value, json};

use crate::{
    api::{JobConfig, SequenceExecution, execution::PinnedJobConfig},
    core::{
        jobs::files::lookup::{Labelled, looked_for},
        labels,
        place::Place,
    },
};

/// ConfigMaps' metadata is listed in pages of so many.
const PAGE: u32 = 200;

/// Those that the JobConfigs' sources name, and those that are labelled for the place of one of the runs and may have one of
/// the files.
pub(super) async fn of(
    client: &Client,
    namespace: &str,
    configs: &[&JobConfig],
    runs: &[SequenceExecution],
) -> anyhow::Result<Vec<Value>> {
    let sources = configs.iter().flat_map(|config| &config.spec.sources);
    let mut names: BTreeSet<String> = sources
        .filter_map(|source| Some(source.config_map.as_ref()?.name.clone()))
        .collect();
    names.extend(labelled(client, namespace, configs, runs).await?);
    let api = Api::<ConfigMap>::namespaced(client.clone(), namespace);
    let mut found = vec![];
    for name in names {
        // One after the other: one may have a megabyte.
        let map = api.get_opt(&name).await;
        let map = map.with_context(|| format!("reading ConfigMap {namespace}/{name}"))?;
        found.extend(map.map(keys));
    }
    Ok(found)
}

/// The names of the labelled ones.
async fn labelled(
    client: &Client,
    namespace: &str,
    configs: &[&JobConfig],
    runs: &[SequenceExecution],
) -> anyhow::Result<Vec<String>> {
    let wanted: Vec<String> = configs
        .iter()
        .flat_map(|config| {
            looked_for(&PinnedJobConfig {
                actions: config.spec.actions.clone(),
                sources: config.spec.sources.clone(),
                ..PinnedJobConfig::default()
            })
        })
        .collect();
    let places: Vec<Place> = runs
        .iter()
        .filter_map(|run| Place::new(&run.spec.project, &run.spec.stage, &run.spec.service).ok())
        .collect();
    let Some(project) = places.first().map(Place::project).filter(|_| !wanted.is_empty()) else {
        return Ok(vec![]);
    };
    let applies = |meta: &ObjectMeta| {
        let mut maps = places.iter().filter_map(|place| Labelled::of(meta, place));
        maps.any(|map| map.concerns(&wanted))
    };
    let api = Api::<ConfigMap>::namespaced(client.clone(), namespace);
    let mut params = ListParams::default()
        .labels(&format!("{}={project}", labels::PROJECT))
        .limit(PAGE);
    let mut found = vec![];
    loop {
        let page = api.list_metadata(&params).await;
        let page =
            page.with_context(|| format!("listing the ConfigMaps of {project} in namespace {namespace}"))?;
        let metas = page
            .items
            .iter()
            .map(|map| &map.metadata)
            .filter(|meta| applies(meta));
        found.extend(metas.filter_map(|meta| meta.name.clone()));
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params = params.continue_token(&token),
            None => return Ok(found),
        }
    }
}

/// A ConfigMap with nothing in its files, and of its metadata what says which files those are.
fn keys(map: ConfigMap) -> Value {
    let text = map.data.into_iter().flatten().map(|(key, _)| key);
    let binary = map.binary_data.into_iter().flatten().map(|(key, _)| key);
    let data: BTreeMap<String, String> = text.chain(binary).map(|key| (key, String::new())).collect();
    let only = |all: Option<BTreeMap<String, String>>, read: &[&str]| {
        let mut all = all.unwrap_or_default();
        all.retain(|key, _| read.contains(&key.as_str()));
        (!all.is_empty()).then_some(all)
    };
    let metadata = ObjectMeta {
        name: map.metadata.name,
        namespace: map.metadata.namespace,
        labels: only(
            map.metadata.labels,
            &[labels::PROJECT, labels::STAGE, labels::SERVICE],
        ),
        annotations: only(map.metadata.annotations, &[labels::DIRECTORY, labels::FILE_NAMES]),
        ..ObjectMeta::default()
    };
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data})
}
