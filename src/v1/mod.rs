//! Strict readers of Keptn v1's files: bytes in, the bodies of our kinds out. No files, no clock.
//!
//! A file that Keptn accepted is accepted here, unedited, with its text as it was written; and so are our own optional
//! fields in it. What Keptn ignored is refused: a field that nothing reads, with its path and the nearest known name;
//! another version; a name given twice. The checks are those of our CustomResourceDefinitions, so what is read here the
//! API server accepts. What needs more than one field to tell, [`crate::core::definitions::validate`] tells.

mod document;
mod error;
mod event;
#[cfg(test)]
mod fuzz_tests;
pub mod import;
mod kind;
#[cfg(test)]
mod reader_tests;
mod schema;
mod start;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::JSONSchemaProps;
use kube::CustomResourceExt;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::{
    api::{
        JobConfig, JobConfigSpec, Remediation, RemediationSpec, Scope, ServiceLevelIndicator,
        ServiceLevelIndicatorSpec, ServiceLevelObjective, ServiceLevelObjectiveSpec, Shipyard, ShipyardSpec,
    },
    core::definitions::nearest::nearest,
};

pub use document::LONGEST;
pub use error::{Error, Errors};
pub use event::{Event, event};
pub use kind::{Content, Kind, of_path};
pub use start::Starts;

const SHIPYARD_VERSIONS: &str = "spec.keptn.sh/0.2.3, or another 0.2";
const REMEDIATION_VERSION: &str = "spec.keptn.sh/0.1.4";
const JOB_CONFIG_VERSION: &str = "v2";

/// Reads a `shipyard.yaml`. Its `metadata.name` means nothing: Keptn took the project's name from elsewhere.
///
/// # Errors
/// All that is wrong with it, or what kept it from being read.
pub fn shipyard(file: &str, bytes: impl AsRef<[u8]>) -> Result<ShipyardSpec, Errors> {
    let mut read = Reading::new(file, bytes.as_ref(), Kind::Shipyard)?;
    read.version(
        |version| {
            let number = version.strip_prefix("spec.keptn.sh/").unwrap_or(version);
            let mut parts = number.split('.');
            let number = |part: Option<&str>| {
                part.is_none_or(|p| !p.is_empty() && p.bytes().all(|b| b.is_ascii_digit()))
            };
            (parts.next(), parts.next()) == (Some("0"), Some("2"))
                && number(parts.next())
                && parts.next().is_none()
        },
        SHIPYARD_VERSIONS,
    )?;
    read.kind("Shipyard")?;
    read.finish(&enveloped(schema::spec_of(Shipyard::crd())), Some("spec"))
}

/// Reads a `remediation.yaml` for a scope.
///
/// # Errors
/// All that is wrong with it, or what kept it from being read. Also a scope of its own that is another one.
pub fn remediation(file: &str, bytes: impl AsRef<[u8]>, scope: &Scope) -> Result<RemediationSpec, Errors> {
    let mut read = Reading::new(file, bytes.as_ref(), Kind::Remediation)?;
    read.version(|version| version == REMEDIATION_VERSION, REMEDIATION_VERSION)?;
    read.kind("Remediation")?;
    read.place(Some("spec"), scope)?;
    read.finish(&enveloped(schema::spec_of(Remediation::crd())), Some("spec"))
}

/// Reads a `job/config.yaml` for a scope.
///
/// # Errors
/// All that is wrong with it, or what kept it from being read. Also a scope of its own that is another one.
pub fn job_config(file: &str, bytes: impl AsRef<[u8]>, scope: &Scope) -> Result<JobConfigSpec, Errors> {
    let mut read = Reading::new(file, bytes.as_ref(), Kind::JobConfig)?;
    read.version(|version| version == JOB_CONFIG_VERSION, JOB_CONFIG_VERSION)?;
    read.place(None, scope)?;
    read.finish(&schema::spec_of(JobConfig::crd()), None)
}

/// Reads an `slo.yaml` for a scope.
///
/// # Errors
/// All that is wrong with it, or what kept it from being read. Also a scope of its own that is another one.
pub fn objective(
    file: &str,
    bytes: impl AsRef<[u8]>,
    scope: &Scope,
) -> Result<ServiceLevelObjectiveSpec, Errors> {
    let mut read = Reading::new(file, bytes.as_ref(), Kind::Objective)?;
    read.place(None, scope)?;
    read.finish(&schema::spec_of(ServiceLevelObjective::crd()), None)
}

/// Reads an `sli.yaml` for a scope.
///
/// # Errors
/// All that is wrong with it, or what kept it from being read. Also a scope of its own that is another one.
pub fn indicator(
    file: &str,
    bytes: impl AsRef<[u8]>,
    scope: &Scope,
) -> Result<ServiceLevelIndicatorSpec, Errors> {
    let mut read = Reading::new(file, bytes.as_ref(), Kind::Indicator)?;
    read.place(None, scope)?;
    read.numbers_as_text("indicators");
    let spec: ServiceLevelIndicatorSpec =
        read.finish(&schema::spec_of(ServiceLevelIndicator::crd()), None)?;
    // The schema says nothing about what is no text; that there must be a query in the text, the import says.
    let wrong: Vec<Error> = spec
        .indicators
        .iter()
        .filter(|(_, indicator)| !indicator.0.is_string())
        .filter_map(|(name, indicator)| {
            crate::core::evaluation::indicator::parse(&schema::join("indicators", name), indicator).err()
        })
        .flatten()
        .map(|invalid| Error::value(file, &invalid.path, invalid.message))
        .collect();
    if wrong.is_empty() {
        Ok(spec)
    } else {
        Err(Errors(wrong))
    }
}

/// The shape of a file with `apiVersion`, `kind`, `metadata` and `spec`. Keptn never looked at `kind`, so it may be
/// missing.
fn enveloped(spec: JSONSchemaProps) -> JSONSchemaProps {
    let metadata = schema::object(vec![("name", schema::text())], &[]);
    let fields = vec![
        ("apiVersion", schema::text()),
        ("kind", schema::text()),
        ("metadata", metadata),
        ("spec", spec),
    ];
    schema::object(fields, &["apiVersion", "spec"])
}

/// A file that is being read.
struct Reading<'a> {
    file: &'a str,
    value: Value,
    texts: Value,
}

impl<'a> Reading<'a> {
    fn new(file: &'a str, bytes: &[u8], kind: Kind) -> Result<Self, Errors> {
        let document = document::read(file, bytes, &format!("{kind}")).map_err(Errors)?;
        if !document.value.is_object() {
            return Err(Error::value(file, "", format!("is no object; write {kind} into it")).into());
        }
        Ok(Self {
            file,
            value: document.value,
            texts: document.texts,
        })
    }

    /// Nothing else is looked at in a file of another version: it may have another shape.
    fn version(&mut self, is_read: impl Fn(&str) -> bool, accepted: &str) -> Result<(), Errors> {
        match self.text("apiVersion").as_deref() {
            Some(version) if is_read(version) => Ok(()),
            other => Err(self.another("apiVersion", other, accepted)),
        }
    }

    fn kind(&self, kind: &str) -> Result<(), Errors> {
        match self.text("kind").as_deref() {
            None => Ok(()),
            Some(it) if it == kind => Ok(()),
            other => Err(self.another("kind", other, kind)),
        }
    }

    fn another(&self, path: &str, found: Option<&str>, accepted: &str) -> Errors {
        let fields = self.value.as_object().into_iter().flat_map(|o| o.keys());
        // `apiversion: v2` is not missing, it is mistyped.
        let mistyped = nearest(path, fields.map(String::as_str)).filter(|_| found.is_none());
        Errors::from(Error::Version {
            file: self.file.to_owned(),
            path: mistyped.unwrap_or(path).to_owned(),
            found: found.map_or_else(|| "nothing".to_owned(), |f| format!("{f:?}")),
            accepted: mistyped.map_or_else(|| accepted.to_owned(), |_| format!("{path}: {accepted}")),
        })
    }

    /// A field of the file as text, as it was written.
    fn text(&self, field: &str) -> Option<String> {
        match self.value.get(field)? {
            Value::Null => None,
            Value::String(text) => Some(text.clone()),
            other => Some(
                self.texts
                    .get(field)
                    .and_then(Value::as_str)
                    .map_or_else(|| other.to_string(), str::to_owned),
            ),
        }
    }

    /// Makes text of the numbers and booleans below a field, as they were written: Keptn took them for text.
    fn numbers_as_text(&mut self, field: &str) {
        let values = self.value.get_mut(field).and_then(Value::as_object_mut);
        for (name, value) in values.into_iter().flatten() {
            let written = self.texts.get(field).and_then(|texts| texts.get(name)?.as_str());
            match value {
                Value::Number(_) | Value::Bool(_) => {
                    *value = json!(written.map_or_else(|| value.to_string(), str::to_owned));
                }
                _ => {}
            }
        }
    }

    /// Puts the scope into the body. A file may name its scope itself, but no other one.
    fn place(&mut self, body: Option<&str>, scope: &Scope) -> Result<(), Errors> {
        let target = match body {
            Some(name) => self.value.get_mut(name).and_then(Value::as_object_mut),
            None => self.value.as_object_mut(),
        };
        let Some(target) = target else { return Ok(()) };
        let mut wrong = Vec::new();
        for (name, ours) in [
            ("project", Some(&scope.project)),
            ("stage", scope.stage.as_ref()),
            ("service", scope.service.as_ref()),
        ] {
            let theirs = target.get(name).filter(|v| !v.is_null());
            match (theirs, ours) {
                (Some(theirs), Some(ours)) if *theirs == json!(ours) => {}
                (Some(theirs), ours) => {
                    let path = body.map_or_else(|| name.to_owned(), |body| format!("{body}.{name}"));
                    let ours = ours.map_or_else(|| format!("every {name}"), |o| format!("{o:?}"));
                    let message = format!("is {theirs}, but the file is read for {ours}; remove the field");
                    wrong.push(Error::value(self.file, &path, message));
                }
                (None, Some(ours)) => {
                    target.insert(name.to_owned(), json!(ours));
                }
                (None, None) => {}
            }
        }
        if wrong.is_empty() {
            Ok(())
        } else {
            Err(Errors(wrong))
        }
    }

    /// Checks the whole file; its body, or all of it, is what was asked for.
    fn finish<T: DeserializeOwned>(
        mut self,
        schema: &JSONSchemaProps,
        body: Option<&str>,
    ) -> Result<T, Errors> {
        let wrong = schema::check(self.file, &mut self.value, &self.texts, schema);
        if !wrong.is_empty() {
            return Err(Errors(wrong));
        }
        let value = match body {
            Some(name) => self.value[name].take(),
            None => self.value,
        };
        // Whatever the schema does not tell apart.
        serde_json::from_value(value).map_err(|error| {
            Error::value(self.file, body.unwrap_or_default(), format!("{error}; mend it")).into()
        })
    }
}
