//! What a file is, told by what it holds.

use std::fmt;

use serde_json::Value;

use super::document;

/// Keptn's kinds of files.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Kind {
    /// `shipyard.yaml`
    Shipyard,
    /// `remediation.yaml`
    Remediation,
    /// `job/config.yaml`
    JobConfig,
    /// `slo.yaml`
    Objective,
    /// `prometheus/sli.yaml`
    Indicator,
    /// An event, as `keptn send event` takes it.
    Event,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Shipyard => "a shipyard",
            Self::Remediation => "a remediation",
            Self::JobConfig => "a job config",
            Self::Objective => "objectives",
            Self::Indicator => "indicators",
            Self::Event => "an event",
        })
    }
}

/// What a file turns out to hold.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Content {
    /// One of Keptn's files; whether it is a good one, its reader says.
    Keptn(Kind),
    /// An object of ours.
    Ours,
    /// Something else.
    Other,
}

impl Content {
    /// Tells what a file holds, by its content; and where that says nothing, by its path: a file with Keptn's name for
    /// it is meant to be that, even if it is broken.
    pub fn of(path: &str, bytes: &[u8]) -> Self {
        let read = if looks_like_text(path) {
            document::read(path, bytes, "").ok().map(|d| d.value)
        } else {
            None
        };
        let by_content = read.as_ref().and_then(of_value);
        by_content.unwrap_or_else(|| of_path(path).map_or(Self::Other, Self::Keptn))
    }
}

fn looks_like_text(path: &str) -> bool {
    let extension = path.rsplit('/').next().and_then(|name| name.rsplit_once('.'));
    extension.is_some_and(|(_, e)| ["yaml", "yml", "json"].contains(&e.to_ascii_lowercase().as_str()))
}

fn of_value(value: &Value) -> Option<Content> {
    let text = |field: &str| value.get(field).and_then(Value::as_str).unwrap_or_default();
    let has = |field: &str| value.get(field).is_some();
    let spec_has = |field: &str| value.get("spec").is_some_and(|spec| spec.get(field).is_some());
    let version = text("apiVersion");
    if version.starts_with("coxswain.dev/") {
        return Some(Content::Ours);
    }
    // Other objects of Kubernetes may have fields of the same names.
    let keptn_s = version.is_empty() || version.starts_with("spec.keptn.sh/") || !version.contains('/');
    let kind = match text("kind") {
        _ if !keptn_s => return None,
        "Shipyard" => Kind::Shipyard,
        "Remediation" => Kind::Remediation,
        _ if spec_has("stages") => Kind::Shipyard,
        _ if spec_has("remediations") => Kind::Remediation,
        _ if has("actions") => Kind::JobConfig,
        _ if has("objectives") || has("total_score") => Kind::Objective,
        _ if has("indicators") => Kind::Indicator,
        _ if has("type") && has("data") => Kind::Event,
        _ => return None,
    };
    Some(Content::Keptn(kind))
}

/// What a file with this path is for in Keptn.
pub fn of_path(path: &str) -> Option<Kind> {
    let mut parts = path.rsplit('/');
    let name = parts.next()?;
    let (stem, extension) = name.rsplit_once('.')?;
    if !["yaml", "yml"].contains(&extension) {
        return None;
    }
    match (stem, parts.next()) {
        ("shipyard", _) => Some(Kind::Shipyard),
        ("remediation", _) => Some(Kind::Remediation),
        ("config", Some("job")) => Some(Kind::JobConfig),
        ("slo", _) => Some(Kind::Objective),
        ("sli", _) => Some(Kind::Indicator),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("a.yaml", "kind: Shipyard", Content::Keptn(Kind::Shipyard))]
    #[case("a.yaml", "spec: {stages: []}", Content::Keptn(Kind::Shipyard))]
    #[case(
        "helloservice-remediation.yaml",
        "apiVersion: spec.keptn.sh/0.1.4\nkind: Remediation",
        Content::Keptn(Kind::Remediation)
    )]
    #[case("shipyard.yaml", "kind: Remediation", Content::Keptn(Kind::Remediation))]
    #[case("x.yml", "apiVersion: v2\nactions: []", Content::Keptn(Kind::JobConfig))]
    #[case("x.yml", "total_score: {pass: 90%}", Content::Keptn(Kind::Objective))]
    #[case("x.yml", "indicators: {}", Content::Keptn(Kind::Indicator))]
    #[case("trigger.json", r#"{"type": "t", "data": {}}"#, Content::Keptn(Kind::Event))]
    #[case("production/shop/job/config.yaml", "a: b: c", Content::Keptn(Kind::JobConfig))]
    #[case("remediation.yaml", "", Content::Keptn(Kind::Remediation))]
    #[case("config.yaml", "a: 1", Content::Other)]
    #[case("templates/deployment.yaml", "{{ .Values }}: {{ x }}", Content::Other)]
    #[case("values.yaml", "replicas: 2", Content::Other)]
    #[case(
        "x.yaml",
        "apiVersion: apps/v1\nkind: Deployment\nspec: {stages: []}",
        Content::Other
    )]
    #[case(
        "shipyard.yaml",
        "apiVersion: coxswain.dev/v1alpha1\nkind: Shipyard",
        Content::Ours
    )]
    #[case("basic.py", "indicators: {}", Content::Other)]
    fn a_file_is_what_it_holds(#[case] path: &str, #[case] text: &str, #[case] content: Content) {
        assert_eq!(Content::of(path, text.as_bytes()), content);
    }
}
