//! Straight into the storage, for tests and actors: no request, no fault, nothing counted, no waiting.

use std::sync::Arc;

use kube::Resource;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use super::{
    ApiServer, kinds,
    refusal::Refusal,
    selectors::Selection,
    store::{DeleteOptions, Part, Place},
};

/// A type whose kind is known at compile time.
pub trait Typed: Resource<DynamicType: Default> + Serialize + DeserializeOwned {}
impl<K: Resource<DynamicType: Default> + Serialize + DeserializeOwned> Typed for K {}

fn place<K: Typed>(namespace: &str, name: &str) -> Place {
    Place {
        resource: resource_of::<K>(),
        namespace: namespace.to_owned(),
        name: name.to_owned(),
    }
}

/// The table of a type: `jobs.batch`.
pub fn resource_of<K: Typed>() -> String {
    let kind = K::DynamicType::default();
    kinds::resource(&K::group(&kind), &K::plural(&kind))
}

fn typed<K: Typed>(value: &Value) -> K {
    K::deserialize(value).unwrap_or_else(|e| panic!("not what its kind says: {e}\n{value:#}"))
}

fn json<K: Typed>(object: &K) -> Value {
    serde_json::to_value(object).expect("objects are JSON")
}

impl ApiServer {
    /// The object, if it is there. The namespace is empty for kinds without.
    pub fn get<K: Typed>(&self, namespace: &str, name: &str) -> Option<K> {
        self.state()
            .store
            .get(&place::<K>(namespace, name))
            .ok()
            .map(|v| typed(&v))
    }

    /// All objects of a namespace, or everywhere for the empty text, by name; what was smuggled in unreadable is left out.
    pub fn list<K: Typed>(&self, namespace: &str) -> Vec<K> {
        let namespace = Some(namespace).filter(|n| !n.is_empty());
        let found = self
            .state()
            .store
            .list(&resource_of::<K>(), namespace, &Selection::default(), None);
        found
            .unwrap_or_default()
            .iter()
            .filter_map(|v| K::deserialize(&**v).ok())
            .collect()
    }

    /// The objects that were created since the last time, by how many changes were `seen`; what is unreadable is left out.
    pub(in crate::testing) fn created_since<K: Typed>(&self, seen: &mut usize) -> Vec<K> {
        let state = self.state();
        let Ok(table) = state.store.table(&resource_of::<K>()) else {
            return vec![];
        };
        let changes = table.log.iter().skip(*seen).filter(|c| c.old.is_none());
        let created = changes.filter_map(|c| K::deserialize(&**c.new.as_ref()?).ok());
        let created = created.collect();
        *seen = table.log.len();
        created
    }

    /// Creates an object; its status, if any, is kept, which the real server only does in a second step.
    pub fn create<K: Typed>(&self, object: &K) -> Result<K, Refusal> {
        let value = json(object);
        let created = self.create_value(&resource_of::<K>(), value.clone())?;
        if value.get("status").is_none_or(Value::is_null) {
            return Ok(typed(&created));
        }
        let created: K = typed(&created);
        let meta = created.meta().clone();
        let (namespace, name) = (meta.namespace.unwrap_or_default(), meta.name.unwrap_or_default());
        self.edit_value(&place::<K>(&namespace, &name), Part::Status, |old| {
            old["status"] = value["status"].clone();
        })
        .map(|v| typed(&v))
    }

    pub(in crate::testing) fn create_value(&self, resource: &str, object: Value) -> Result<Value, Refusal> {
        let namespace = super::rules::text(&object, &["metadata", "namespace"]);
        let now = self.now();
        let created = self.state().store.create(resource, &namespace, object, now)?;
        self.notify();
        Ok((*created).clone())
    }

    /// Puts an object into the storage that no check would let in, as if it were from another time.
    pub fn smuggle(&self, resource: &str, object: Value) {
        let name = super::rules::text(&object, &["metadata", "name"]);
        let kind = self
            .state()
            .store
            .table(resource)
            .expect("a known kind")
            .kind
            .clone();
        let lax = super::Kind {
            schema: None,
            ..(*kind).clone()
        };
        self.state().store.swap_kind(resource, lax.into());
        let created = self.create_value(resource, object);
        self.state().store.swap_kind(resource, kind);
        created.unwrap_or_else(|e| panic!("could not smuggle {name}: {e}"));
    }

    /// Puts an object there as an earlier version left it: with its uid, its times and its status. It must fit the schema.
    pub fn restore(&self, object: Value) {
        let kind = self
            .kind_of(&object)
            .unwrap_or_else(|e| panic!("could not restore: {e}"));
        let name = super::rules::text(&object, &["metadata", "name"]);
        super::rules::check(&kind, &name, &object)
            .unwrap_or_else(|e| panic!("could not restore {name}: {e}"));
        self.state().store.restore(&kind.resource(), object);
        self.notify();
    }

    /// The known kind that a manifest is of.
    fn kind_of(&self, object: &Value) -> Result<std::sync::Arc<super::Kind>, Refusal> {
        let api_version = super::rules::text(object, &["apiVersion"]);
        let kind = super::rules::text(object, &["kind"]);
        let state = self.state();
        let fits = |k: &&std::sync::Arc<super::Kind>| k.kind == kind && k.api_version() == api_version;
        let found = state.store.tables.values().map(|t| &t.kind).find(fits).cloned();
        found.ok_or_else(|| {
            super::refusal::bad_request(format!("no matches for kind {kind:?} in {api_version:?}"))
        })
    }

    /// Creates the object of a manifest, or merges the manifest into the one that is there.
    pub fn apply_value(&self, object: Value) -> Result<Value, Refusal> {
        let known = self.kind_of(&object)?;
        let place = Place {
            resource: known.resource(),
            namespace: super::rules::text(&object, &["metadata", "namespace"]),
            name: super::rules::text(&object, &["metadata", "name"]),
        };
        if self.state().store.get(&place).is_err() {
            return self.create_value(&place.resource, object);
        }
        self.edit_value(&place, Part::Main, |old| json_patch::merge(old, &object))
    }

    /// Changes an object in place, as another hand would; `None` when it is not there.
    pub fn edit<K: Typed>(&self, namespace: &str, name: &str, change: impl FnOnce(&mut K)) -> Option<K> {
        self.edit_typed(namespace, name, Part::Main, change)
    }

    /// Changes an object's status in place, as another hand would; `None` when it is not there.
    pub fn edit_status<K: Typed>(
        &self,
        namespace: &str,
        name: &str,
        change: impl FnOnce(&mut K),
    ) -> Option<K> {
        self.edit_typed(namespace, name, Part::Status, change)
    }

    fn edit_typed<K: Typed>(
        &self,
        namespace: &str,
        name: &str,
        part: Part,
        change: impl FnOnce(&mut K),
    ) -> Option<K> {
        let place = place::<K>(namespace, name);
        let edited = self.edit_value(&place, part, |old| {
            let mut object: K = typed(old);
            change(&mut object);
            *old = json(&object);
        });
        match edited {
            Ok(value) => Some(typed(&value)),
            Err(why) if why.code == 404 => None,
            Err(why) => panic!("could not edit {} {name}: {why}", place.resource),
        }
    }

    fn edit_value(
        &self,
        place: &Place,
        part: Part,
        change: impl FnOnce(&mut Value),
    ) -> Result<Value, Refusal> {
        let updated = self.state().store.update(place, part, |old| {
            let mut new = old.clone();
            change(&mut new);
            Ok(new)
        })?;
        self.notify();
        Ok((*updated).clone())
    }

    /// Deletes an object with its dependents in the background; says whether it was there.
    pub fn delete<K: Typed>(&self, namespace: &str, name: &str) -> bool {
        self.delete_with::<K>(namespace, name, "Background")
    }

    /// Deletes an object with this propagation policy; says whether it was there.
    pub fn delete_with<K: Typed>(&self, namespace: &str, name: &str, policy: &str) -> bool {
        self.delete_value(&place::<K>(namespace, name), policy)
    }

    fn delete_value(&self, place: &Place, policy: &str) -> bool {
        let options = DeleteOptions {
            propagation: Some(policy.to_owned()),
            ..DeleteOptions::default()
        };
        let now = self.now();
        let deleted = self.state().store.delete(place, &options, now);
        self.notify();
        deleted.is_ok()
    }

    /// Every object with its table, in order.
    pub fn everything(&self) -> Vec<(String, Arc<Value>)> {
        let state = self.state();
        let objects = |t: &super::store::Table| {
            let resource = t.kind.resource();
            t.objects
                .values()
                .map(|o| (resource.clone(), o.clone()))
                .collect::<Vec<_>>()
        };
        state.store.tables.values().flat_map(objects).collect()
    }

    /// One round of the garbage collector; says whether there may be more to do.
    pub(in crate::testing) fn collect_garbage(&self) -> bool {
        if !std::mem::take(&mut self.state().store.litter) {
            return false;
        }
        let all = self.everything();
        let at = |resource: &str, object: &Value| Place {
            resource: resource.to_owned(),
            namespace: super::rules::text(object, &["metadata", "namespace"]),
            name: super::rules::text(object, &["metadata", "name"]),
        };
        for verdict in crate::testing::gc::verdicts(&all) {
            match verdict {
                crate::testing::gc::Verdict::Delete(i, policy) => {
                    self.delete_value(&at(&all[i].0, &all[i].1), policy);
                }
                crate::testing::gc::Verdict::Edit(i, meta) => {
                    let edited = self.edit_value(&at(&all[i].0, &all[i].1), Part::Main, |old| {
                        let version = old["metadata"]["resourceVersion"].clone();
                        old["metadata"] = meta;
                        old["metadata"]["resourceVersion"] = version;
                    });
                    drop(edited);
                }
            }
        }
        true
    }
}
