//! The definitions that a simulation starts from, out of documents that somebody has read.

use std::{collections::BTreeMap, sync::Arc};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::CustomResourceExt;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::shape;
use crate::{
    api::{
        GROUP, JobConfig, MetricsProvider, Remediation, ServiceLevelIndicator, ServiceLevelObjective,
        Shipyard, VERSION,
    },
    core::{
        Invalid,
        definitions::{
            Snapshot,
            nearest::hint,
            verdict::{Definition, Verdict, judge},
        },
        jobs::lookup::Labelled,
        place::Place,
    },
};

/// One document of a file.
#[derive(Clone, Debug)]
pub struct Document {
    /// Where it stands, for people: the file's path, and which of its documents it is when there are several.
    pub origin: String,
    /// What it says.
    pub value: Value,
}

/// A mistake, and in which file.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Mistake {
    /// The file.
    pub origin: String,
    /// The field, and the remedy.
    pub invalid: Invalid,
}

impl std::fmt::Display for Mistake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.origin, self.invalid)
    }
}

/// What is defined.
#[derive(Clone, Debug, Default)]
pub struct Definitions {
    /// The objects.
    pub snapshot: Snapshot,
    /// The keys of the ConfigMaps that are known, by name.
    pub config_maps: BTreeMap<String, Vec<String>>,
    /// The metadata of those.
    pub labelled: Vec<ObjectMeta>,
}

impl Definitions {
    /// What the documents define. Objects of other API groups are passed over, ConfigMaps apart: those tell which files a
    /// directory has. Every mistake is told.
    pub fn read(documents: &[Document]) -> Result<Self, Vec<Mistake>> {
        let (found, mistakes) = Self::gather(documents);
        if mistakes.is_empty() {
            Ok(found)
        } else {
            Err(mistakes)
        }
    }

    /// As [`Definitions::read`], with what could be read beside the mistakes in the rest.
    pub fn gather(documents: &[Document]) -> (Self, Vec<Mistake>) {
        let mut found = Self::default();
        let mut mistakes = vec![];
        let mut seen: BTreeMap<(String, String, String), &str> = BTreeMap::new();
        for document in documents {
            let text = |path: &str| {
                document
                    .value
                    .pointer(path)
                    .and_then(Value::as_str)
                    .unwrap_or_default()
                    .to_owned()
            };
            let id = (text("/kind"), text("/metadata/namespace"), text("/metadata/name"));
            let twice = is_ours(&document.value) && !id.2.is_empty();
            if let Some(other) = seen.insert(id, &document.origin).filter(|_| twice) {
                mistakes.push(Mistake {
                    origin: document.origin.clone(),
                    invalid: Invalid::new(
                        "metadata.name",
                        format!("is defined twice, also in {other}; leave one out"),
                    ),
                });
            }
            if let Err(invalid) = found.take(&document.value) {
                mistakes.extend(invalid.into_iter().map(|invalid| Mistake {
                    origin: document.origin.clone(),
                    invalid,
                }));
            }
        }
        (found, mistakes)
    }

    fn take(&mut self, value: &Value) -> Result<(), Vec<Invalid>> {
        let text = |key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default();
        let (version, kind) = (text("apiVersion"), text("kind"));
        if version == "v1" && kind == "ConfigMap" {
            self.take_config_map(value);
            return Ok(());
        }
        if !is_ours(value) {
            return Ok(());
        }
        let all = &mut self.snapshot;
        match kind {
            "Shipyard" => all.shipyards.push(read::<Shipyard>(value)?),
            "Remediation" => all.remediations.push(read::<Remediation>(value)?),
            "JobConfig" => all.job_configs.push(read::<JobConfig>(value)?),
            "ServiceLevelObjective" => all.objectives.push(read::<ServiceLevelObjective>(value)?),
            "ServiceLevelIndicator" => all.indicators.push(read::<ServiceLevelIndicator>(value)?),
            "MetricsProvider" => all.providers.push(read::<MetricsProvider>(value)?),
            other => {
                let kinds = crate::api::all_crds();
                let known = kinds.iter().map(|crd| crd.spec.names.kind.as_str());
                if !known.clone().any(|name| name == other) {
                    let message = format!("{other:?} is no kind of {GROUP}{}", hint(other, known));
                    return Err(vec![Invalid::new("kind", message)]);
                }
            }
        }
        Ok(())
    }

    /// The ConfigMaps with files for a place.
    /// The labelled ConfigMaps that apply to a place.
    pub fn files_of(&self, place: &Place) -> Vec<Labelled> {
        let labelled = self.labelled.iter().filter_map(|meta| {
            let keys = self.config_maps.get(meta.name.as_ref()?)?;
            let found = Labelled::of(meta, place)?;
            Some(Labelled {
                keys: keys.clone(),
                ..found
            })
        });
        labelled.collect()
    }

    fn take_config_map(&mut self, value: &Value) {
        let Some(name) = value.pointer("/metadata/name").and_then(Value::as_str) else {
            return;
        };
        let keys = ["data", "binaryData"]
            .iter()
            .filter_map(|field| value.get(field)?.as_object())
            .flat_map(|map| map.keys().cloned());
        self.config_maps.insert(name.to_owned(), keys.collect());
        let meta = value.get("metadata").cloned().unwrap_or_default();
        self.labelled.extend(serde_json::from_value::<ObjectMeta>(meta));
    }

    /// How many objects there are.
    pub fn count(&self) -> usize {
        let s = &self.snapshot;
        s.shipyards.len()
            + s.remediations.len()
            + s.job_configs.len()
            + s.objectives.len()
            + s.indicators.len()
            + s.providers.len()
    }

    /// The objects that the operator would not take, and why, a line each. A run that needs one of them does not start.
    pub fn complaints(&self) -> Vec<String> {
        let s = &self.snapshot;
        let mut told = told(&s.shipyards);
        told.extend(self::told(&s.remediations));
        told.extend(self::told(&s.job_configs));
        told.extend(self::told(&s.objectives));
        told.extend(self::told(&s.indicators));
        told.extend(self::told(&s.providers));
        told
    }

    /// Only what is in the namespace of this project's Shipyard: a reference never leaves its namespace. Objects that name
    /// none are in every namespace.
    #[must_use]
    pub fn of_project(mut self, project: &str) -> Self {
        let s = &mut self.snapshot;
        let of = s
            .shipyards
            .iter()
            .find(|y| y.metadata.name.as_deref() == Some(project));
        let Some(namespace) = of.and_then(|y| y.metadata.namespace.clone()) else {
            return self;
        };
        keep(&mut s.shipyards, &namespace);
        keep(&mut s.remediations, &namespace);
        keep(&mut s.job_configs, &namespace);
        keep(&mut s.objectives, &namespace);
        keep(&mut s.indicators, &namespace);
        keep(&mut s.providers, &namespace);
        self
    }
}

/// Whether a document is an object of our API group.
pub fn is_ours(value: &Value) -> bool {
    let version = value
        .get("apiVersion")
        .and_then(Value::as_str)
        .unwrap_or_default();
    version.split('/').next() == Some(GROUP)
}

/// Reads an object of ours; the errors name the fields.
pub(super) fn read<K: DeserializeOwned + CustomResourceExt>(value: &Value) -> Result<Arc<K>, Vec<Invalid>> {
    let version = value
        .get("apiVersion")
        .and_then(Value::as_str)
        .unwrap_or_default();
    if version != format!("{GROUP}/{VERSION}") {
        let message = format!("is {version}; this coxswain reads {GROUP}/{VERSION}");
        return Err(vec![Invalid::new("apiVersion", message)]);
    }
    let crd = K::crd();
    let schema = crd.spec.versions.first().and_then(|v| v.schema.as_ref());
    let schema = schema.and_then(|s| serde_json::to_value(&s.open_api_v3_schema).ok());
    let faults = shape::faults(value, &schema.unwrap_or_default());
    if !faults.is_empty() {
        return Err(faults);
    }
    let names = ["name", "generateName"];
    let named = names
        .iter()
        .any(|n| value.pointer(&format!("/metadata/{n}")).is_some());
    if !named {
        return Err(vec![Invalid::new("metadata.name", "is missing; add it")]);
    }
    serde_json::from_value(value.clone())
        .map(Arc::new)
        .map_err(|error| vec![Invalid::new("spec", format!("can't be read: {error}"))])
}

fn told<K: Definition>(list: &[Arc<K>]) -> Vec<String> {
    judge(list)
        .iter()
        .zip(list)
        .filter(|(verdict, _)| **verdict != Verdict::Valid)
        .map(|(verdict, object)| {
            let name = object.meta().name.as_deref().unwrap_or_default();
            format!(
                "{} {name}: {}: {}",
                K::kind(&()),
                verdict.reason(),
                verdict.message()
            )
        })
        .collect()
}

fn keep<K: kube::Resource>(list: &mut Vec<Arc<K>>, namespace: &str) {
    list.retain(|o| o.meta().namespace.as_deref().is_none_or(|n| n == namespace));
}
