//! What tasks' files come from, read when an attempt starts: ConfigMaps and sources of Flux. None of it is cached.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api, ResourceExt,
    api::ListParams,
    core::{ApiResource, DynamicObject, GroupVersionKind, PartialObjectMeta},
};

use super::execution::{Error, Reader, bounded};
use crate::{
    api::{
        SequenceExecution,
        execution::{Pinned, PinnedArtifact, PinnedJobConfig},
        jobconfig::SourceArtifact,
    },
    core::{
        jobs::files::{
            artifact,
            lookup::{self, Labelled},
        },
        labels,
        place::Place,
        sequence::AttemptDefinitions,
    },
};

/// ConfigMaps' metadata is listed in pages of so many.
const PAGE: u32 = 200;
/// A project may have so many labelled ConfigMaps.
const CONFIG_MAPS_MAX: usize = 5_000;

impl Reader {
    /// Pins what the tasks' files come from. What is missing is pinned too: the Job that asks for it says so.
    pub(super) async fn pin_files(
        &self,
        run: &SequenceExecution,
        found: &mut AttemptDefinitions,
    ) -> Result<(), Error> {
        let namespace = run.namespace().unwrap_or_default();
        let wanted: Vec<String> = found.job_configs.iter().flat_map(lookup::looked_for).collect();
        let spec = &run.spec;
        let labelled = match Place::new(&spec.project, &spec.stage, &spec.service) {
            Ok(place) if !wanted.is_empty() => self.labelled(&namespace, &place).await?,
            _ => vec![],
        };
        let sources = found.job_configs.iter().flat_map(|c| &c.sources);
        let named = sources.filter_map(|s| s.config_map.as_ref()).map(|m| &m.name);
        let concerned = labelled.iter().filter(|map| map.concerns(&wanted));
        let names: BTreeSet<String> = named.chain(concerned.map(|map| &map.name)).cloned().collect();
        let mut maps: BTreeMap<String, Keys> = BTreeMap::new();
        for name in names {
            // One after the other: of each only the keys are kept, and one may have a megabyte.
            if let Some(map) = self.live::<ConfigMap>(&namespace, &name).await? {
                maps.insert(name, Keys::of(&map));
            }
        }
        let labelled: Vec<Labelled> = labelled
            .into_iter()
            .map(|map| Labelled {
                keys: maps.get(&map.name).map(|m| m.keys.clone()).unwrap_or_default(),
                ..map
            })
            .collect();
        let mut artifacts = Artifacts::default();
        for config in &mut found.job_configs {
            found.pinned.extend(
                self.pin_config(&namespace, config, &maps, &labelled, &mut artifacts)
                    .await?,
            );
        }
        let mut seen = BTreeSet::new();
        found
            .pinned
            .retain(|p| seen.insert((p.kind.clone(), p.name.clone())));
        Ok(())
    }

    async fn pin_config(
        &self,
        namespace: &str,
        config: &mut PinnedJobConfig,
        maps: &BTreeMap<String, Keys>,
        labelled: &[Labelled],
        artifacts: &mut Artifacts,
    ) -> Result<Vec<Pinned>, Error> {
        let named = config.sources.iter().filter_map(|s| s.config_map.as_ref());
        let named: Vec<&String> = named.map(|m| &m.name).collect();
        let keys = named
            .iter()
            .filter_map(|name| Some(((*name).clone(), maps.get(*name)?.keys.clone())));
        config.keys = keys.collect();
        let mut used: BTreeSet<String> = named.into_iter().cloned().collect();
        lookup::pin(config, labelled);
        used.extend(config.files.found.iter().map(|d| d.config_map.clone()));
        let mut pinned: Vec<Pinned> = used
            .into_iter()
            .filter_map(|name| {
                let hash = maps.get(&name)?.resource_version.clone();
                Some(Pinned {
                    kind: "ConfigMap".to_owned(),
                    name,
                    generation: None,
                    hash,
                })
            })
            .collect();
        for source in artifact::needed(config) {
            let (artifact, pin) = artifacts.of(self, namespace, &source).await?;
            config.files.artifacts.push(artifact);
            pinned.push(pin);
        }
        if !config.files.artifacts.is_empty() {
            config.files.image.clone_from(&self.image);
        }
        Ok(pinned)
    }

    /// The ConfigMaps with files for a place, by their metadata alone.
    async fn labelled(&self, namespace: &str, place: &Place) -> Result<Vec<Labelled>, Error> {
        let api = Api::<ConfigMap>::namespaced(self.client.clone(), namespace);
        let selector = format!("{}={}", labels::PROJECT, place.project());
        let mut params = ListParams::default().labels(&selector).limit(PAGE);
        let mut found = vec![];
        for _ in 0..CONFIG_MAPS_MAX.div_ceil(PAGE as usize) {
            let page = bounded("ConfigMaps", api.list_metadata(&params)).await?;
            let of = |map: &PartialObjectMeta<ConfigMap>| Labelled::of(&map.metadata, place);
            found.extend(page.items.iter().filter_map(of));
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => params = params.continue_token(&token),
                None => break,
            }
        }
        found.sort_by(|a: &Labelled, b| a.name.cmp(&b.name));
        Ok(found)
    }

    /// A source of Flux as it is now.
    async fn artifact(
        &self,
        namespace: &str,
        source: &SourceArtifact,
    ) -> Result<(PinnedArtifact, Pinned), Error> {
        let of_flux = GroupVersionKind::gvk(artifact::GROUP, artifact::VERSION, &source.kind);
        let api = Api::<DynamicObject>::namespaced_with(
            self.client.clone(),
            namespace,
            &ApiResource::from_gvk_with_plural(&of_flux, &artifact::plural(&source.kind)),
        );
        let what = format!("{} {namespace}/{}", source.kind, source.name);
        let mut pin = Pinned {
            kind: source.kind.clone(),
            name: source.name.clone(),
            ..Pinned::default()
        };
        let unusable = |problem: String| PinnedArtifact {
            kind: source.kind.clone(),
            name: source.name.clone(),
            problem,
            ..PinnedArtifact::default()
        };
        let pinned = match bounded(&what, api.get(&source.name)).await {
            Ok(object) => {
                pin.generation = object.metadata.generation;
                let object = serde_json::to_value(&object).unwrap_or_default();
                artifact::pin(source, &object)
            }
            Err(Error::Api { what, source: error }) => match error.as_ref() {
                kube::Error::Api(status) if status.code == 404 => {
                    let known = status.details.as_ref().is_some_and(|d| !d.name.is_empty());
                    unusable(if known {
                        format!("there is none of this name in namespace {namespace}: create it there")
                    } else {
                        format!(
                            "this cluster does not know the kind in {}/{}: install Flux, or mend spec.sources",
                            artifact::GROUP,
                            artifact::VERSION
                        )
                    })
                }
                kube::Error::Api(status) if status.code == 403 => unusable(format!(
                    "the operator may not read it ({}): apply its ClusterRole anew",
                    status.message
                )),
                _ => return Err(Error::Api { what, source: error }),
            },
            Err(error) => return Err(error),
        };
        if !pinned.digest.is_empty() {
            pin.hash = Some(format!("{} {}", pinned.revision, pinned.digest));
        }
        Ok((pinned, pin))
    }
}

/// Each source is read once, so that all tasks of an attempt get the same.
#[derive(Default)]
struct Artifacts(Vec<(PinnedArtifact, Pinned)>);

impl Artifacts {
    async fn of(
        &mut self,
        reader: &Reader,
        namespace: &str,
        source: &SourceArtifact,
    ) -> Result<(PinnedArtifact, Pinned), Error> {
        let known = self.0.iter();
        let mut known = known.filter(|(a, _)| (&a.kind, &a.name) == (&source.kind, &source.name));
        if let Some(found) = known.next() {
            return Ok(found.clone());
        }
        let found = reader.artifact(namespace, source).await?;
        self.0.push(found.clone());
        Ok(found)
    }
}

/// What is kept of a ConfigMap.
struct Keys {
    keys: Vec<String>,
    resource_version: Option<String>,
}

impl Keys {
    fn of(map: &ConfigMap) -> Self {
        let text = map.data.iter().flat_map(BTreeMap::keys);
        let binary = map.binary_data.iter().flat_map(BTreeMap::keys);
        Self {
            keys: text.chain(binary).cloned().collect(),
            resource_version: map.resource_version(),
        }
    }
}
