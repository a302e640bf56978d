//! The storage: objects by kind, one resourceVersion for all, and each kind's changes in order. No waiting, no HTTP.

use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{
    kinds::{self, Kind},
    refusal::{self, Refusal},
    rules,
    selectors::Selection,
};

/// etcd refuses larger requests.
const MAX_BYTES: usize = 1_572_864;

/// One change of one object.
#[derive(Clone, Debug)]
pub(super) struct Change {
    pub(super) rv: u64,
    pub(super) at: Instant,
    pub(super) old: Option<Arc<Value>>,
    pub(super) new: Option<Arc<Value>>,
}

/// All objects of one kind.
#[derive(Clone, Debug)]
pub(super) struct Table {
    pub(super) kind: Arc<Kind>,
    pub(super) objects: BTreeMap<(String, String), Arc<Value>>,
    pub(super) log: Vec<Change>,
    /// Watches from before this version get 410 Gone.
    pub(super) oldest: u64,
}

/// Everything.
#[derive(Clone, Debug)]
pub(super) struct Store {
    pub(super) tables: BTreeMap<String, Table>,
    pub(super) rv: u64,
    names: u64,
    /// Something happened that the garbage collector must look at.
    pub(super) litter: bool,
}

/// Where an object is.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// The table: `jobs.batch`.
    pub(super) resource: String,
    /// Empty for kinds without namespaces.
    pub(super) namespace: String,
    pub(super) name: String,
}

/// What a delete asks for.
#[derive(Clone, Debug, Default)]
pub(super) struct DeleteOptions {
    pub(super) uid: Option<String>,
    pub(super) resource_version: Option<String>,
    pub(super) propagation: Option<String>,
}

/// Which part of an object an update writes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Part {
    Main,
    Status,
}

impl Store {
    pub(super) fn new() -> Self {
        let mut store = Self {
            tables: BTreeMap::new(),
            rv: 100,
            names: 0,
            litter: false,
        };
        for (_, kind) in kinds::known() {
            store.serve(kind);
        }
        store
    }

    pub(super) fn serve(&mut self, kind: Arc<Kind>) {
        let table = Table {
            kind: kind.clone(),
            objects: BTreeMap::new(),
            log: Vec::new(),
            oldest: 0,
        };
        self.tables.insert(kind.resource(), table);
    }

    pub(super) fn swap_kind(&mut self, resource: &str, kind: Arc<Kind>) {
        if let Some(table) = self.tables.get_mut(resource) {
            table.kind = kind;
        }
    }

    /// The answer to a question for the kinds of one group and version: `/api/v1`, `/apis/apps/v1`.
    pub(super) fn discovery(&self, path: &str) -> Option<Value> {
        let parts: Vec<&str> = path.split('/').filter(|p| !p.is_empty()).collect();
        let (group, version) = match parts.as_slice() {
            ["api", version] => ("", *version),
            ["apis", group, version] => (*group, *version),
            _ => return None,
        };
        let kinds = self.tables.values().map(|table| &table.kind);
        let kinds = kinds.filter(|kind| (kind.group.as_str(), kind.version.as_str()) == (group, version));
        let resources: Vec<Value> = kinds
            .map(|kind| {
                json!({"name": kind.plural, "singularName": "", "namespaced": kind.namespaced, "kind": kind.kind,
                       "verbs": ["get", "list", "watch", "create", "update", "patch", "delete"]})
            })
            .collect();
        let api_version = if group.is_empty() {
            version.to_owned()
        } else {
            format!("{group}/{version}")
        };
        (!resources.is_empty()).then(|| {
            json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": api_version, "resources": resources})
        })
    }

    pub(super) fn table(&self, resource: &str) -> Result<&Table, Refusal> {
        let missing = || {
            refusal::refusal(
                404,
                "NotFound",
                "the server could not find the requested resource",
            )
        };
        self.tables.get(resource).ok_or_else(missing)
    }

    pub(super) fn get(&self, place: &Place) -> Result<Arc<Value>, Refusal> {
        let table = self.table(&place.resource)?;
        let key = (place.namespace.clone(), place.name.clone());
        table
            .objects
            .get(&key)
            .cloned()
            .ok_or_else(|| refusal::not_found(&table.kind, &place.name))
    }

    /// The objects of a namespace, or of all; as they were at `at`, or as they are.
    pub(super) fn list(
        &self,
        resource: &str,
        namespace: Option<&str>,
        selection: &Selection,
        at: Option<u64>,
    ) -> Result<Vec<Arc<Value>>, Refusal> {
        let table = self.table(resource)?;
        let past;
        let objects = match at {
            None => &table.objects,
            Some(rv) => {
                past = table.at(rv);
                &past
            }
        };
        let inside = |ns: &str| namespace.is_none_or(|wanted| wanted == ns);
        Ok(objects
            .iter()
            .filter(|((ns, _), o)| inside(ns) && selection.fits(o))
            .map(|(_, o)| o.clone())
            .collect())
    }

    pub(super) fn create(
        &mut self,
        resource: &str,
        namespace: &str,
        mut object: Value,
        now: Timestamp,
    ) -> Result<Arc<Value>, Refusal> {
        let kind = self.table(resource)?.kind.clone();
        self.names += 1;
        rules::prepare_new(&kind, namespace, &mut object, self.names, now)?;
        let name = rules::text(&object, &["metadata", "name"]);
        if kind.namespaced {
            self.check_namespace(namespace)?;
        }
        let key = (namespace.to_owned(), name.clone());
        if self.table(resource)?.objects.contains_key(&key) {
            return Err(refusal::already_exists(&kind, &name));
        }
        rules::check(&kind, &name, &object)?;
        check_size(&object)?;
        self.litter |= object["metadata"].get("ownerReferences").is_some();
        Ok(self.put(resource, key, None, Some(object)))
    }

    /// Puts an object there as it is, with its uid, its times and its status, as an etcd that was kept has it.
    pub(super) fn restore(&mut self, resource: &str, object: Value) {
        let key = (
            rules::text(&object, &["metadata", "namespace"]),
            rules::text(&object, &["metadata", "name"]),
        );
        self.litter |= object["metadata"].get("ownerReferences").is_some();
        self.put(resource, key, None, Some(object));
    }

    /// Replaces an object by what `change` makes of it.
    pub(super) fn update(
        &mut self,
        place: &Place,
        part: Part,
        change: impl FnOnce(&Value) -> Result<Value, Refusal>,
    ) -> Result<Arc<Value>, Refusal> {
        let kind = self.table(&place.resource)?.kind.clone();
        let old = self.get(place)?;
        let asked = change(&old)?;
        let new = rules::merge_update(&kind, place, part, &old, asked)?;
        rules::check(&kind, &place.name, &new)?;
        check_size(&new)?;
        if new == *old {
            return Ok(old);
        }
        let key = (place.namespace.clone(), place.name.clone());
        let meta = &new["metadata"];
        let finalizers = meta
            .get("finalizers")
            .and_then(Value::as_array)
            .is_some_and(|f| !f.is_empty());
        if meta.get("deletionTimestamp").is_some() && !finalizers {
            self.litter = true;
            // The last finalizer is gone, and so is the object; the answer still shows it.
            return Ok(self.put(&place.resource, key, Some(Arc::new(new)), None));
        }
        self.litter |= meta.get("deletionTimestamp").is_some();
        Ok(self.put(&place.resource, key, Some(old), Some(new)))
    }

    /// Deletes an object or, when finalizers hold it, marks it. Says whether it is gone, and shows it.
    pub(super) fn delete(
        &mut self,
        place: &Place,
        options: &DeleteOptions,
        now: Timestamp,
    ) -> Result<(bool, Arc<Value>), Refusal> {
        let kind = self.table(&place.resource)?.kind.clone();
        let old = self.get(place)?;
        let meta = &old["metadata"];
        let unmet = |what: &str, wanted: &str, found: &str| {
            let why = format!(
                "Precondition failed: {what} in precondition: {wanted}, {what} in object meta: {found}"
            );
            refusal::conflict(&kind, &place.name, &why)
        };
        if let Some(uid) = &options.uid
            && meta["uid"] != **uid
        {
            return Err(unmet("UID", uid, &rules::text(&old, &["metadata", "uid"])));
        }
        if let Some(rv) = &options.resource_version
            && meta["resourceVersion"] != **rv
        {
            return Err(unmet(
                "ResourceVersion",
                rv,
                &rules::text(&old, &["metadata", "resourceVersion"]),
            ));
        }
        self.litter = true;
        let key = (place.namespace.clone(), place.name.clone());
        let mut finalizers: Vec<Value> = meta
            .get("finalizers")
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default();
        let extra = match options.propagation.as_deref() {
            Some("Foreground") => Some("foregroundDeletion"),
            Some("Orphan") => Some("orphan"),
            // The API server still orphans the pods of a batch/v1 Job when nobody says otherwise.
            None if kind.kind == "Job" => Some("orphan"),
            _ => None,
        };
        if let Some(name) = extra
            && !finalizers.iter().any(|f| f == name)
        {
            finalizers.push(json!(name));
        }
        if finalizers.is_empty() {
            return Ok((true, self.put(&place.resource, key, Some(old), None)));
        }
        let mut marked = (*old).clone();
        let meta = &mut marked["metadata"];
        meta["finalizers"] = json!(finalizers);
        if meta.get("deletionTimestamp").is_none() {
            meta["deletionTimestamp"] = json!(rules::seconds(now));
            meta["deletionGracePeriodSeconds"] = json!(0);
            rules::bump_generation(meta);
        }
        if marked == *old {
            return Ok((false, old));
        }
        Ok((false, self.put(&place.resource, key, Some(old), Some(marked))))
    }

    fn check_namespace(&self, namespace: &str) -> Result<(), Refusal> {
        let place = Place {
            resource: "namespaces".to_owned(),
            namespace: String::new(),
            name: namespace.to_owned(),
        };
        let found = self.get(&place)?;
        if found["metadata"].get("deletionTimestamp").is_some() {
            let why = format!(
                "unable to create new content in namespace {namespace} because it is being terminated"
            );
            return Err(refusal::refusal(403, "Forbidden", why));
        }
        Ok(())
    }

    fn put(
        &mut self,
        resource: &str,
        key: (String, String),
        old: Option<Arc<Value>>,
        new: Option<Value>,
    ) -> Arc<Value> {
        self.rv += 1;
        let rv = self.rv;
        let table = self
            .tables
            .get_mut(resource)
            .expect("the table was there a moment ago");
        let stamped = |mut object: Value| {
            object["metadata"]["resourceVersion"] = json!(rv.to_string());
            Arc::new(object)
        };
        let new = new.map(stamped);
        let shown = match (&new, &old) {
            (Some(new), _) => {
                table.objects.insert(key, new.clone());
                new.clone()
            }
            (None, Some(old)) => {
                table.objects.remove(&key);
                stamped((**old).clone())
            }
            (None, None) => Arc::new(Value::Null),
        };
        table.log.push(Change {
            rv,
            at: Instant::now(),
            old,
            new,
        });
        shown
    }
}

impl Table {
    /// The objects as they were when the version was `rv`.
    fn at(&self, rv: u64) -> BTreeMap<(String, String), Arc<Value>> {
        let mut objects = BTreeMap::new();
        for change in self.log.iter().take_while(|c| c.rv <= rv) {
            let any = change.new.as_ref().or(change.old.as_ref());
            let Some(any) = any else { continue };
            let key = (
                rules::text(any, &["metadata", "namespace"]),
                rules::text(any, &["metadata", "name"]),
            );
            match &change.new {
                Some(new) => objects.insert(key, new.clone()),
                None => objects.remove(&key),
            };
        }
        objects
    }
}

fn check_size(object: &Value) -> Result<(), Refusal> {
    let size = serde_json::to_vec(object).map_or(0, |bytes| bytes.len());
    if size > MAX_BYTES {
        let why = format!("etcdserver: request is too large ({size} bytes)");
        return Err(refusal::refusal(413, "RequestEntityTooLarge", why));
    }
    Ok(())
}
