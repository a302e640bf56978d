//! Reads the files of an evaluation without a cluster. Every mistake names the file, the field and the remedy.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context as _, anyhow, bail};
use serde_json::Value;

use crate::{
    api::{Scope, sli::Measure, slo::SloBody},
    cli::simulate::input::documents,
    core::{
        evaluation::{Outcome, Past, indicator, objective::parse_at},
        simulate::{Definitions, Mistake},
    },
    v1::{self, Content, Kind},
};

/// What v1 files are read for when nothing says it: they do not name it themselves.
const SOME_PROJECT: &str = "project";

/// Objectives, and what they are for where the file says it.
pub(super) struct Objectives {
    pub body: SloBody,
    pub scope: Option<Scope>,
    pub name: Option<String>,
}

/// Reads an slo.yaml or a ServiceLevelObjective, and checks it.
pub(super) fn objectives(path: &Path, scope: &Scope) -> anyhow::Result<Objectives> {
    let (shown, bytes) = bytes(path)?;
    let (found, root) = match Content::of(&shown, &bytes) {
        Content::Keptn(Kind::Objective) => {
            let spec = v1::objective(&shown, &bytes, &filled(scope))?;
            let found = Objectives {
                body: spec.body,
                scope: None,
                name: None,
            };
            (found, "")
        }
        Content::Ours => {
            let object = only(
                definitions(path)?.snapshot.objectives,
                &shown,
                "ServiceLevelObjective",
            )?;
            let found = Objectives {
                body: object.spec.body.clone(),
                scope: Some(object.spec.scope.clone()),
                name: object.metadata.name.clone(),
            };
            (found, "spec")
        }
        other => {
            return Err(wrong_file(
                &shown,
                other,
                "an slo.yaml or a ServiceLevelObjective",
            ));
        }
    };
    if let Err(mistakes) = parse_at(root, &found.body) {
        let lines: Vec<String> = mistakes
            .iter()
            .map(|m| format!("{shown}: {}: {}", m.path.trim_start_matches('.'), m.message))
            .collect();
        bail!(lines.join("\n"));
    }
    Ok(found)
}

/// Reads an sli.yaml or a ServiceLevelIndicator: the queries by indicator.
pub(super) fn indicators(path: &Path, scope: &Scope) -> anyhow::Result<BTreeMap<String, Measure>> {
    let (shown, bytes) = bytes(path)?;
    let written = match Content::of(&shown, &bytes) {
        Content::Keptn(Kind::Indicator) => v1::indicator(&shown, &bytes, &filled(scope))?.indicators,
        Content::Ours => {
            let object = only(
                definitions(path)?.snapshot.indicators,
                &shown,
                "ServiceLevelIndicator",
            )?;
            object.spec.indicators.clone()
        }
        other => {
            return Err(wrong_file(
                &shown,
                other,
                "an sli.yaml or a ServiceLevelIndicator",
            ));
        }
    };
    let mut read = BTreeMap::new();
    for (name, indicator) in &written {
        let measure = indicator::parse(&format!("indicators.{name}"), indicator).map_err(|mistakes| {
            let lines: Vec<String> = mistakes.iter().map(|m| format!("{shown}: {m}")).collect();
            anyhow!(lines.join("\n"))
        })?;
        read.insert(name.clone(), measure);
    }
    Ok(read)
}

fn filled(scope: &Scope) -> Scope {
    let mut scope = scope.clone();
    if scope.project.is_empty() {
        SOME_PROJECT.clone_into(&mut scope.project);
    }
    scope
}

fn bytes(path: &Path) -> anyhow::Result<(String, Vec<u8>)> {
    let shown = path.display().to_string();
    let bytes = fs::read(path).with_context(|| format!("{shown}: could not be read"))?;
    Ok((shown, bytes))
}

fn definitions(path: &Path) -> anyhow::Result<Definitions> {
    Definitions::read(&documents(path)?).map_err(|mistakes| {
        let lines: Vec<String> = mistakes.iter().map(Mistake::to_string).collect();
        anyhow::anyhow!(lines.join("\n"))
    })
}

fn only<K>(mut found: Vec<K>, shown: &str, kind: &str) -> anyhow::Result<K> {
    match (found.pop(), found.len()) {
        (Some(one), 0) => Ok(one),
        (None, _) => bail!("{shown}: has no {kind}; name the file that has it"),
        (Some(_), more) => bail!("{shown}: has {} of {kind}; name a file with one", more + 1),
    }
}

fn wrong_file(shown: &str, content: Content, wanted: &str) -> anyhow::Error {
    match content {
        Content::Keptn(kind) => anyhow::anyhow!("{shown}: is {kind} of Keptn v1; name {wanted}"),
        _ => anyhow::anyhow!("{shown}: can't be told to be what is wanted; name {wanted}"),
    }
}

/// Reads what was measured: an object of numbers, and nulls where there was no value.
pub(super) fn values(path: &Path) -> anyhow::Result<BTreeMap<String, Option<f64>>> {
    let (shown, value) = json(
        path,
        r#"an object such as {"response_time": 12.3, "errors": null}"#,
    )?;
    numbers(&value, &shown, "")
}

/// Reads earlier results, newest first.
pub(super) fn history(path: &Path) -> anyhow::Result<Vec<Past>> {
    const SHAPE: &str =
        r#"a list such as [{"result": "pass", "values": {"response_time": 11}}], newest first"#;
    let (shown, value) = json(path, SHAPE)?;
    let Value::Array(entries) = value else {
        bail!("{shown}: is no list; write {SHAPE}");
    };
    entries
        .iter()
        .enumerate()
        .map(|(i, entry)| past(entry, i, &shown))
        .collect()
}

fn past(entry: &Value, index: usize, shown: &str) -> anyhow::Result<Past> {
    let at = format!("[{index}]");
    let Value::Object(fields) = entry else {
        bail!(r#"{shown}: {at}: is no object; write one with "result" and "values""#);
    };
    if let Some(other) = fields
        .keys()
        .find(|key| !["result", "values", "sequence"].contains(&key.as_str()))
    {
        bail!("{shown}: {at}.{other}: there is no such field; there are result, values and sequence");
    }
    let text = |key: &str| fields.get(key).and_then(Value::as_str);
    let Some(result) = text("result").and_then(Outcome::read) else {
        bail!("{shown}: {at}.result: write \"pass\", \"warning\" or \"fail\"");
    };
    let Some(values) = fields.get("values") else {
        bail!("{shown}: {at}.values: is missing; write what was measured, such as {{\"response_time\": 11}}");
    };
    let values = numbers(values, shown, &format!("{at}.values."))?;
    Ok(Past {
        name: format!("history {at}"),
        result,
        sequence: text("sequence").map(str::to_owned),
        values: values.into_iter().filter_map(|(k, v)| Some((k, v?))).collect(),
    })
}

fn numbers(value: &Value, shown: &str, at: &str) -> anyhow::Result<BTreeMap<String, Option<f64>>> {
    let Value::Object(fields) = value else {
        let at = at.trim_end_matches('.');
        let place = if at.is_empty() {
            String::new()
        } else {
            format!("{at}: ")
        };
        bail!(r#"{shown}: {place}is no object; write the values by name, such as {{"response_time": 12.3}}"#);
    };
    let number = |(name, value): (&String, &Value)| match value {
        Value::Null => Ok((name.clone(), None)),
        Value::Number(number) => Ok((name.clone(), number.as_f64())),
        other => {
            bail!("{shown}: {at}{name}: {other} is no number; write one, or null where there was no value")
        }
    };
    fields.iter().map(number).collect()
}

fn json(path: &Path, shape: &str) -> anyhow::Result<(String, Value)> {
    let (shown, bytes) = bytes(path)?;
    let value = serde_json::from_slice(&bytes)
        .map_err(|e| anyhow::anyhow!("{shown}: is no JSON: {e}; write {shape}"))?;
    Ok((shown, value))
}
