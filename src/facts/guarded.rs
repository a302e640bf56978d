//! Objects of which some may not be readable.
//!
//! A schema can't say everything that a reader asks for (the API server takes any number where it says `int32`, and
//! times after the year 9999). A plain watch would fail on such an object again and again, and with it everything that
//! depends on the watch: one user's mistake would stop the operator for all. Here it fails alone.

use std::{borrow::Cow, sync::Arc};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::{
    Resource,
    core::{DeserializeGuard, error_boundary::InvalidObject},
};
use serde::{Deserialize, Deserializer, de::DeserializeOwned};

/// An object, or what can be said of one that can't be read.
#[derive(Clone, Debug)]
pub struct Guarded<K>(pub Result<Arc<K>, InvalidObject>);

impl<K> Guarded<K> {
    /// The object, if it can be read.
    pub fn readable(&self) -> Option<Arc<K>> {
        self.0.as_ref().ok().cloned()
    }
}

impl<'de, K: Resource + DeserializeOwned> Deserialize<'de> for Guarded<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        DeserializeGuard::<K>::deserialize(deserializer).map(|guard| Self(guard.0.map(Arc::new)))
    }
}

impl<K: Resource + Clone> Resource for Guarded<K> {
    type DynamicType = K::DynamicType;
    type Scope = K::Scope;

    fn kind(dt: &Self::DynamicType) -> Cow<'_, str> {
        K::kind(dt)
    }

    fn group(dt: &Self::DynamicType) -> Cow<'_, str> {
        K::group(dt)
    }

    fn version(dt: &Self::DynamicType) -> Cow<'_, str> {
        K::version(dt)
    }

    fn plural(dt: &Self::DynamicType) -> Cow<'_, str> {
        K::plural(dt)
    }

    fn meta(&self) -> &ObjectMeta {
        match &self.0 {
            Ok(object) => object.meta(),
            Err(invalid) => &invalid.metadata,
        }
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        match &mut self.0 {
            Ok(object) => Arc::make_mut(object).meta_mut(),
            Err(invalid) => &mut invalid.metadata,
        }
    }
}

#[cfg(test)]
mod tests {
    use kube::ResourceExt;
    use serde_json::json;

    use super::*;
    use crate::api::Evaluation;

    fn evaluation(start: &str) -> Guarded<Evaluation> {
        let window = json!({"start": start, "end": "2026-01-01T00:02:00Z"});
        serde_json::from_value(json!({
            "apiVersion": "coxswain.dev/v1alpha1",
            "kind": "Evaluation",
            "metadata": {"name": "gate", "namespace": "team"},
            "spec": {"project": "p", "stage": "s", "service": "v", "window": window},
        }))
        .unwrap()
    }

    #[test]
    fn a_readable_object_is_itself() {
        assert_eq!(
            evaluation("2026-01-01T00:00:00Z")
                .readable()
                .unwrap()
                .spec
                .project,
            "p"
        );
    }

    #[test]
    fn one_that_the_schema_let_pass_fails_alone_and_keeps_its_name() {
        let unreadable = evaluation("9999-12-31T23:59:59-14:00");
        assert!(unreadable.readable().is_none());
        assert_eq!(
            (unreadable.name_any().as_str(), unreadable.namespace().as_deref()),
            ("gate", Some("team"))
        );
    }
}
