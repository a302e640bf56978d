//! `-o`: how objects are printed, as kubectl does it.

use clap::ValueEnum;
use serde_json::{Value, json};

use super::{cluster::Object, files::print_text, trouble::named};

/// How objects are printed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum Output {
    /// The whole objects.
    Yaml,
    /// The whole objects.
    Json,
    /// Their names alone, for other commands.
    Name,
    /// The table, with more columns.
    Wide,
}

/// The object as it would be applied: with its apiVersion and kind, without what only the API server's machinery reads.
pub fn document<K: Object>(object: &K) -> anyhow::Result<Value> {
    let mut value = serde_json::to_value(object)?;
    value["apiVersion"] = K::api_version(&()).into();
    value["kind"] = K::kind(&()).into();
    if let Some(meta) = value["metadata"].as_object_mut() {
        meta.remove("managedFields");
    }
    if value["status"].is_null()
        && let Some(object) = value.as_object_mut()
    {
        object.remove("status");
    }
    Ok(value)
}

/// The objects as text. One that was asked for by its name stands alone, others in a List.
pub fn rendered<K: Object>(objects: &[K], alone: bool, output: Output) -> anyhow::Result<String> {
    if output == Output::Name {
        return Ok(objects.iter().map(|o| format!("{}\n", named(o))).collect());
    }
    let mut documents = objects
        .iter()
        .map(document)
        .collect::<anyhow::Result<Vec<Value>>>()?;
    let whole = match (documents.len(), alone) {
        (1, true) => documents.remove(0),
        _ => json!({"apiVersion": "v1", "kind": "List", "items": documents}),
    };
    Ok(match output {
        Output::Json => format!("{}\n", serde_json::to_string_pretty(&whole)?),
        _ => serde_yaml::to_string(&whole)?,
    })
}

/// Prints what was made: its name, or the whole object.
pub fn show_made<K: Object>(object: &K, output: Option<Output>, done: &str) -> anyhow::Result<()> {
    match output {
        None | Some(Output::Wide) => print_text(&format!("{} {done}\n", shown_name(object))),
        Some(output) => print_text(&rendered(std::slice::from_ref(object), true, output)?),
    }
}

/// As [`named`]; an object without a name yet shows what its name will begin with.
fn shown_name<K: Object>(object: &K) -> String {
    match (&object.meta().name, &object.meta().generate_name) {
        (None, Some(base)) => format!("{}{base}...", named(object)),
        _ => named(object),
    }
}
