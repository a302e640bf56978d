//! What an object asks for, field by field, as hashes: nothing of its content gets into a run's status.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::{self, Write},
};

use serde_json::Value;
use sha2::{Digest, Sha256};

/// The most fields that an object is compared by. One with more is compared by larger parts.
const FIELDS_MAX: usize = 128;
/// Nothing nested deeper is told apart.
const DEPTH_MAX: u8 = 12;
/// What says nothing about what an object asks for.
pub(super) const OUTSIDE: [&str; 4] = ["apiVersion", "kind", "metadata", "status"];

/// One step of a field's path.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Step {
    /// A key of an object.
    Key(String),
    /// The item of this name in a list.
    Item(String),
}

/// A field of an object.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Field {
    pub(super) path: Vec<Step>,
    value: u32,
}

impl fmt::Display for Field {
    /// The path as people write it: `spec.template.spec.containers[cart].image`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, step) in self.path.iter().enumerate() {
            match step {
                Step::Key(key) if index == 0 => f.write_str(key)?,
                Step::Key(key) => write!(f, ".{key}")?,
                Step::Item(name) => write!(f, "[{name}]")?,
            }
        }
        Ok(())
    }
}

/// The fields of an object, each by its path's hash.
pub(super) fn of(wish: &Value, depth: u8) -> BTreeMap<u32, Field> {
    let mut found = BTreeMap::new();
    collect(wish, depth, &mut vec![], &mut found);
    found
}

fn collect(value: &Value, depth: u8, path: &mut Vec<Step>, found: &mut BTreeMap<u32, Field>) {
    let parts = if depth == 0 { None } else { parts(value) };
    for (step, part) in parts.iter().flatten() {
        path.push(step.clone());
        collect(part, depth - 1, path, found);
        path.pop();
    }
    if parts.is_none() {
        let field = Field {
            path: path.clone(),
            value: hash(&value.to_string()),
        };
        found.insert(hash(&format!("{path:?}")), field);
    }
}

/// What a value consists of. A list whose items have names is one by name, as Kubernetes has it; any other is a whole.
fn parts(value: &Value) -> Option<Vec<(Step, &Value)>> {
    match value {
        Value::Object(fields) if !fields.is_empty() => Some(
            fields
                .iter()
                .map(|(key, value)| (Step::Key(key.clone()), value))
                .collect(),
        ),
        Value::Array(items) if !items.is_empty() => {
            let named = |item| Some((Step::Item(name_of(item)?.to_owned()), item));
            let parts: Vec<(Step, &Value)> = items.iter().map(named).collect::<Option<_>>()?;
            let names: BTreeSet<&Step> = parts.iter().map(|(step, _)| step).collect();
            (names.len() == parts.len()).then_some(parts)
        }
        _ => None,
    }
}

fn name_of(item: &Value) -> Option<&str> {
    item.as_object()?.get("name")?.as_str()
}

/// The value of one of an object's fields; 0 when it is not there.
pub(super) fn value(fields: &BTreeMap<u32, Field>, path: u32) -> u32 {
    fields.get(&path).map_or(0, |field| field.value)
}

/// The values of some fields at one moment: each by its path's hash, 0 for a field that is not there.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Values {
    /// How deep fields are told apart.
    pub(super) depth: u8,
    pub(super) of: BTreeMap<u32, u32>,
}

impl Values {
    /// Of all fields of an object, as deep as there are not too many.
    pub(super) fn of(wish: &Value) -> Self {
        let mut depths = (0..=DEPTH_MAX).rev().map(|depth| (depth, of(wish, depth)));
        let fitting = depths.find(|(depth, fields)| *depth == 0 || fields.len() <= FIELDS_MAX);
        let (depth, fields) = fitting.unwrap_or_default();
        let of = fields
            .into_iter()
            .map(|(path, field)| (path, field.value))
            .collect();
        Self { depth, of }
    }

    /// One value; 0 when the field is not there.
    pub(super) fn value(&self, path: u32) -> u32 {
        self.of.get(&path).copied().unwrap_or(0)
    }

    /// As a status has it: the depth, and two numbers a field.
    pub(super) fn written(&self) -> String {
        let mut text = self.depth.to_string();
        for (path, value) in &self.of {
            // Writing into a String can't fail.
            let _ = write!(text, " {path:08x}{value:08x}");
        }
        text
    }

    /// What [`Values::written`] wrote.
    pub(super) fn read(text: &str) -> Option<Self> {
        let mut words = text.split(' ');
        let depth = words.next()?.parse().ok()?;
        let number = |text: Option<&str>| u32::from_str_radix(text?, 16).ok();
        let of = words
            .map(|word| Some((number(word.get(..8))?, number(word.get(8..))?)))
            .collect::<Option<_>>()?;
        Some(Self { depth, of })
    }
}

/// Never 0, which stands for a field that is not there.
fn hash(text: &str) -> u32 {
    let digest = Sha256::digest(text);
    let mut first = [0; 4];
    first.copy_from_slice(&digest[..4]);
    u32::from_be_bytes(first).max(1)
}

/// Whether an entry of `metadata.managedFields` has a field: it, a part of it, or something that it is a part of.
pub(super) fn is_owned(entry: &Value, path: &[Step]) -> bool {
    let Some((step, rest)) = path.split_first() else {
        return true;
    };
    let Some(owned) = entry.as_object() else {
        return false;
    };
    let mut below = owned.iter().filter(|(key, _)| match step {
        Step::Key(wanted) => key.strip_prefix("f:") == Some(wanted),
        Step::Item(wanted) => key
            .strip_prefix("k:")
            .and_then(|key| serde_json::from_str::<Value>(key).ok())
            .is_some_and(|key| name_of(&key) == Some(wanted)),
    });
    owned.is_empty() || below.any(|(_, entry)| is_owned(entry, rest))
}
