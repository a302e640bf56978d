//! Sources of Flux: what their objects say of their artifacts, and what is fetched of those.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    normalised,
    paths::{below, is_within, join, touch},
};
use crate::{
    api::{
        execution::{PinnedArtifact, PinnedJobConfig},
        jobconfig::{Source, SourceArtifact},
    },
    core::jobs::brief,
};

/// The API group of Flux's sources.
pub const GROUP: &str = "source.toolkit.fluxcd.io";
/// Its version.
pub const VERSION: &str = "v1";
/// The kinds whose artifacts hold files.
pub const KINDS: [&str; 4] = ["GitRepository", "OCIRepository", "Bucket", "ExternalArtifact"];
/// An archive may have so many bytes.
pub const ARCHIVE_MAX: u64 = 50 * 1024 * 1024;
const URL_MAX: usize = 2048;

/// A kind's plural, as in URLs.
pub fn plural(kind: &str) -> String {
    let lower = kind.to_lowercase();
    match lower.strip_suffix('y') {
        Some(stem) => format!("{stem}ies"),
        None => format!("{lower}s"),
    }
}

/// What the init container of a Job fetches: its `--plan`.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FetchPlan {
    /// The files and directories that the task asks for, as paths below `/keptn`. Of each something must be there in the end.
    pub files: Vec<String>,
    /// The archives; what a later one has replaces what an earlier one has.
    pub artifacts: Vec<Artifact>,
}

/// An archive, and where its content goes.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Artifact {
    /// The source and its revision, for people.
    pub source: String,
    /// Where the archive is.
    pub url: String,
    /// What the archive's digest must be: `sha256:...`.
    pub digest: String,
    /// The file or directory in the archive that `to` stands for; empty for all of it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub from: String,
    /// A path below `/keptn`; empty for `/keptn` itself.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub to: String,
}

impl Artifact {
    /// The path below `/keptn` of a file of the archive; none for one that no task asks for. The path must be plain: without
    /// `.` and `..`, and relative.
    pub fn target(&self, file: &str, wanted: &[String]) -> Option<String> {
        let target = join(&self.to, below(file, &self.from)?);
        (!target.is_empty() && wanted.iter().any(|wanted| is_within(&target, wanted))).then_some(target)
    }
}

/// The path in an artifact of `sourceRef.path`; `.` and `/` are all of it.
pub(super) fn inner_path(path: &str) -> Result<String, String> {
    match path.strip_prefix("./").unwrap_or(path) {
        "" | "." | "/" => Ok(String::new()),
        path => normalised(path),
    }
}

/// Whether an artifact is to be read for one of the tasks' files.
pub fn needed(config: &PinnedJobConfig) -> Vec<SourceArtifact> {
    let wanted = super::wanted(config);
    let concerned = |source: &&Source| {
        normalised(&source.path).is_ok_and(|root| wanted.iter().any(|wanted| touch(&root, wanted)))
    };
    let mut needed: Vec<SourceArtifact> = vec![];
    for source in config.sources.iter().filter(concerned) {
        let Some(of_flux) = &source.source_ref else {
            continue;
        };
        let known = |n: &SourceArtifact| (&n.kind, &n.name) == (&of_flux.kind, &of_flux.name);
        if !needed.iter().any(known) {
            needed.push(of_flux.clone());
        }
    }
    needed
}

/// What a source of Flux holds, out of its object as it is now.
pub fn pin(source: &SourceArtifact, object: &Value) -> PinnedArtifact {
    let mut pinned = PinnedArtifact {
        kind: source.kind.clone(),
        name: source.name.clone(),
        ..PinnedArtifact::default()
    };
    match usable(object) {
        Ok((url, digest, revision)) => {
            (pinned.url, pinned.digest, pinned.revision) = (url, digest, revision);
        }
        Err(problem) => pinned.problem = problem,
    }
    pinned
}

/// The artifact's URL, digest and revision; or why it can't be used. A source that is being looked at again (`Ready` is
/// `Unknown`) is as good as its last artifact.
fn usable(object: &Value) -> Result<(String, String, String), String> {
    let text = |path: &str| {
        object
            .pointer(path)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let conditions = object.pointer("/status/conditions").and_then(Value::as_array);
    let ready = conditions.into_iter().flatten().find(|c| c["type"] == "Ready");
    let says = ready.and_then(|c| c["message"].as_str()).unwrap_or_default();
    let says = match says {
        "" => String::new(),
        says => format!(": {}", brief(says, 300)),
    };
    if ready.is_some_and(|c| c["status"] == "False") {
        return Err(format!("it is not ready{says}"));
    }
    let generation = |path: &str| object.pointer(path).and_then(Value::as_i64);
    if let (Some(wanted), Some(seen)) = (
        generation("/metadata/generation"),
        generation("/status/observedGeneration"),
    ) && seen < wanted
    {
        return Err("it was changed, and Flux has not fetched it anew yet".to_owned());
    }
    let artifact = object.pointer("/status/artifact").filter(|a| a.is_object());
    if artifact.is_none() {
        return Err(format!("it has no artifact yet{says}"));
    }
    let (url, digest) = (text("/status/artifact/url"), text("/status/artifact/digest"));
    if url.len() > URL_MAX || !(url.starts_with("http://") || url.starts_with("https://")) {
        return Err(format!("its artifact has no URL to fetch it from, but {url:?}"));
    }
    if !is_sha256(&digest) {
        let remedy = "source-controller's --artifact-digest-algo must be sha256, its default";
        return Err(format!(
            "its artifact's digest is {:?}: {remedy}",
            brief(&digest, 200)
        ));
    }
    let size = object
        .pointer("/status/artifact/size")
        .and_then(Value::as_u64)
        .unwrap_or_default();
    if size > ARCHIVE_MAX {
        let remedy = "narrow it with spec.ignore or spec.sparseCheckout, or use another source for the files";
        return Err(format!(
            "its artifact has {} MiB, and at most {} are fetched: {remedy}",
            size >> 20,
            ARCHIVE_MAX >> 20
        ));
    }
    Ok((url, digest, brief(&text("/status/artifact/revision"), 200)))
}

/// Whether this is `sha256:` and 64 hexadecimal digits.
pub fn is_sha256(digest: &str) -> bool {
    digest.strip_prefix("sha256:").is_some_and(|hex| {
        hex.len() == 64
            && hex
                .bytes()
                .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    })
}

/// The archives that bring these files, the more exact path last; or why one can't be used.
pub(super) fn fetched(config: &PinnedJobConfig, wanted: &[&str]) -> Result<Vec<Artifact>, String> {
    let mut found = vec![];
    for source in &config.sources {
        let Some(of_flux) = &source.source_ref else {
            continue;
        };
        let to = normalised(&source.path)?;
        if !wanted.iter().any(|wanted| touch(&to, wanted)) {
            continue;
        }
        let name = format!("{} {}", of_flux.kind, of_flux.name);
        let mut pinned = config.files.artifacts.iter();
        let pinned = pinned
            .find(|a| (&a.kind, &a.name) == (&of_flux.kind, &of_flux.name))
            .ok_or_else(|| format!("what {name} holds is not pinned: start the run again"))?;
        if !pinned.problem.is_empty() {
            return Err(format!("{name}, which {to:?} comes from: {}", pinned.problem));
        }
        found.push(Artifact {
            source: format!("{name} ({})", pinned.revision),
            url: pinned.url.clone(),
            digest: pinned.digest.clone(),
            from: inner_path(of_flux.path.as_deref().unwrap_or_default())?,
            to,
        });
    }
    found.sort_by_key(|artifact| artifact.to.len());
    Ok(found)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn pinned(status: &Value) -> PinnedArtifact {
        let source = SourceArtifact {
            kind: "GitRepository".to_owned(),
            name: "deploy".to_owned(),
            path: None,
        };
        pin(&source, &json!({"metadata": {"generation": 2}, "status": status}))
    }

    fn artifact(fields: Value) -> Value {
        let mut artifact =
            json!({"url": "http://source-controller/a.tar.gz", "digest": DIGEST, "revision": "main@sha1:ab"});
        artifact
            .as_object_mut()
            .unwrap()
            .extend(fields.as_object().unwrap().clone());
        artifact
    }

    #[rstest]
    #[case::ready("True", 2)]
    #[case::being_looked_at("Unknown", 2)]
    fn a_ready_source_is_pinned(#[case] ready: &str, #[case] seen: i64) {
        let pinned = pinned(
            &json!({"observedGeneration": seen, "artifact": artifact(json!({"size": 3})),
            "conditions": [{"type": "Ready", "status": ready}]}),
        );
        assert_eq!(pinned.problem, "");
        assert_eq!(pinned.url, "http://source-controller/a.tar.gz");
        assert_eq!(
            (pinned.digest.as_str(), pinned.revision.as_str()),
            (DIGEST, "main@sha1:ab")
        );
    }

    #[rstest]
    #[case::failed(json!({"conditions": [{"type": "Ready", "status": "False", "message": "auth\nfailed"}],
        "artifact": artifact(json!({}))}), "it is not ready: auth failed")]
    #[case::nothing(json!({}), "it has no artifact yet")]
    #[case::still_fetching(json!({"conditions": [{"type": "Ready", "status": "Unknown", "message": "building"}]}),
        "it has no artifact yet: building")]
    #[case::changed(json!({"observedGeneration": 1, "artifact": artifact(json!({}))}), "it was changed, and Flux has not")]
    #[case::other_digest(json!({"artifact": artifact(json!({"digest": "blake3:00"}))}),
        r#"its artifact's digest is "blake3:00": source-controller's"#)]
    #[case::no_url(json!({"artifact": artifact(json!({"url": "file:///etc/passwd"}))}), "its artifact has no URL")]
    #[case::too_large(json!({"artifact": artifact(json!({"size": 73_400_320}))}), "its artifact has 70 MiB, and at most 50")]
    fn a_source_that_can_t_be_used_says_why(#[case] status: Value, #[case] problem: &str) {
        let pinned = pinned(&status);
        assert!(pinned.problem.starts_with(problem), "{}", pinned.problem);
        assert_eq!(pinned.url, "");
    }

    #[rstest]
    #[case("", "", "a/b", &["a"], Some("a/b"))]
    #[case("deploy", "charts", "deploy/x.tgz", &["charts"], Some("charts/x.tgz"))]
    #[case("deploy", "charts", "deploy/x.tgz", &["charts/x.tgz"], Some("charts/x.tgz"))]
    #[case("deploy", "charts", "deployment/x.tgz", &["charts"], None)]
    #[case("deploy", "charts", "deploy/x.tgz", &["charts/y.tgz"], None)]
    #[case("deploy/x.tgz", "charts/my.tgz", "deploy/x.tgz", &["charts"], Some("charts/my.tgz"))]
    #[case("", "", "charts-old/x", &["charts"], None)]
    #[case("a", "", "a", &[""], None)]
    fn where_a_file_goes(
        #[case] from: &str,
        #[case] to: &str,
        #[case] file: &str,
        #[case] wanted: &[&str],
        #[case] target: Option<&str>,
    ) {
        let artifact = Artifact {
            from: from.to_owned(),
            to: to.to_owned(),
            ..Artifact::default()
        };
        let wanted: Vec<String> = wanted.iter().map(|w| (*w).to_owned()).collect();
        assert_eq!(artifact.target(file, &wanted).as_deref(), target);
    }
}
