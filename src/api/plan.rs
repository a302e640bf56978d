//! `SequenceExecution`'s `status.plan`: what a run and its newest attempt started from.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Duration,
    common::any_objects,
    evaluation::IndicatorQuery,
    jobconfig::{JobAction, Source},
    remediation::{Action, Budget, Mode, OnActionFailure},
    shipyard::{Sequence, Trigger},
    slo::SloBody,
};

/// What a run was started with; later edits never change it. At the end only names, generations and hashes stay.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    /// The objects that were pinned.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pinned: Vec<Pinned>,
    /// The sequence, pinned at the run's start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sequence: Option<Sequence>,
    /// The rules of other sequences on this sequence's end, pinned at the run's start.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub followers: Vec<Follower>,
    /// The remediation, pinned at the run's start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remediation: Option<PinnedRemediation>,
    /// The JobConfigs, pinned at the attempt's start.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub job_configs: Vec<PinnedJobConfig>,
    /// The objective and indicators, pinned at the attempt's start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gate: Option<PinnedGate>,
}

/// A rule of another sequence on this one's end.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Follower {
    /// That sequence's stage.
    pub stage: String,
    /// That sequence.
    pub sequence: String,
    /// The rule.
    pub rule: Trigger,
}

impl std::fmt::Display for Follower {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.stage, self.sequence)
    }
}

/// One object that a run was started with.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Pinned {
    /// Its kind.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Its generation; for ConfigMaps the resourceVersion is in `hash`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<i64>,
    /// A hash of what was pinned of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash: Option<String>,
}

/// The actions for the problem, and the brakes.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PinnedRemediation {
    /// The Remediation's name; empty when there is none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// The problem type whose actions these are; empty when none fits.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub problem_type: String,
    /// Whether the actions run.
    #[serde(default)]
    pub mode: Mode,
    /// What a failed action means.
    #[serde(default)]
    pub on_action_failure: OnActionFailure,
    /// How many actions may run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<Budget>,
    /// How long the service is left alone after a run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cooldown: Option<Duration>,
    /// The actions, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub actions: Vec<Action>,
    /// Why there are no actions, when there are none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub missing: String,
}

/// What answers events in one scope.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PinnedJobConfig {
    /// The JobConfig's name.
    pub name: String,
    /// How specific its scope is: 0 project, 1 stage, 2 service without a stage, 3 service.
    pub specificity: i32,
    /// The actions with an event of this sequence.
    #[schemars(schema_with = "any_objects")]
    pub actions: Vec<JobAction>,
    /// Where files come from; directories of ConfigMaps carry their keys in `keys`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<Source>,
    /// The keys of each ConfigMap that stands for a directory, by its name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub keys: BTreeMap<String, Vec<String>>,
    /// What the tasks' files come from, beside `sources`.
    #[serde(default, skip_serializing_if = "PinnedFiles::is_empty")]
    pub files: PinnedFiles,
    /// Why it can't be used, when it can't. Its actions then only show which tasks it would answer: those are not given
    /// to a less specific JobConfig.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub invalid: String,
}

/// What a JobConfig's tasks get their files from, as it was at the attempt's start.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PinnedFiles {
    /// What labelled ConfigMaps provide: of each path only the most specific scope's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub found: Vec<PinnedDirectory>,
    /// The paths that nobody provides, each with what comes near it, for people.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub missing: BTreeMap<String, String>,
    /// What the sources of Flux hold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub artifacts: Vec<PinnedArtifact>,
    /// The image that fetches artifacts: the operator's own. Empty when it is not known, or not needed.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub image: String,
}

impl PinnedFiles {
    /// Whether nothing is pinned.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Files of a labelled ConfigMap.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PinnedDirectory {
    /// The ConfigMap.
    pub config_map: String,
    /// The directory below `/keptn` that it stands for; empty for `/keptn` itself.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub directory: String,
    /// Its keys; each is a file's name, if `names` does not say another.
    pub keys: Vec<String>,
    /// The names of files that no key can have, by their key.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub names: BTreeMap<String, String>,
}

/// What a source of Flux held when the attempt started: the attempt uses this, whatever comes later.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PinnedArtifact {
    /// The source's kind.
    pub kind: String,
    /// The source's name.
    pub name: String,
    /// Where its archive is.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub url: String,
    /// The archive's digest: `sha256:...`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub digest: String,
    /// For people: `main@sha1:...`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub revision: String,
    /// Why it can't be used, when it can't.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub problem: String,
}

/// What an evaluation asks for.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PinnedGate {
    /// The ServiceLevelObjective's name; absent when there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub objective_name: Option<String>,
    /// Its body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub objective: Option<SloBody>,
    /// The queries of its indicators.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub indicators: BTreeMap<String, IndicatorQuery>,
    /// Why the gate can't be asked, when it can't.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub error: String,
}
