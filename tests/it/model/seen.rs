//! What the operator sees of the world when it decides, and the machine's decision on it: the same for the same sight, so
//! each is made once.

use coxswain::{
    api::SequenceExecution,
    core::{
        labels,
        queue::Grant,
        sequence::{self, AttemptDefinitions, Facts, History, Needs, RunDefinitions},
    },
};
use k8s_openapi::api::{batch::v1::Job, core::v1::Pod};
use serde_json::json;

use super::{
    shipyards::at,
    state::{ApprovalIs, EvaluationIs, Id, JobIs, Life, Name, Says},
};

/// Everything that decides.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Seen {
    pub run: Id<SequenceExecution>,
    pub now: i64,
    /// None: the arbiter was not asked. The name is that of the run that goes first.
    pub grant: Option<Result<(), Name>>,
    pub jobs: Vec<JobIs>,
    pub created: Vec<(Name, Name)>,
    pub evaluation: Option<EvaluationIs>,
    pub approval: Option<ApprovalIs>,
    pub followed: bool,
    pub refused: Option<Name>,
}

impl Seen {
    pub fn facts(&self, needs: &Needs, definitions: &(RunDefinitions, AttemptDefinitions)) -> Facts {
        let (run, attempt) = definitions;
        let asks = sequence::asks_for_action(&run.sequence);
        let jobs = self.jobs.iter().map(|j| (j.name.to_string(), job(j)));
        Facts {
            grant: self.grant.clone().map(|grant| match grant {
                Ok(()) => Grant::Held,
                Err(behind) => Grant::Queued {
                    behind: behind.to_string(),
                },
            }),
            run: needs.run.then(|| Ok(run.clone())),
            attempt: needs.attempt.then(|| attempt.clone()),
            history: (needs.history && asks).then(History::default),
            jobs: jobs.collect(),
            created: self
                .created
                .iter()
                .map(|(n, u)| (n.to_string(), u.to_string()))
                .collect(),
            pods: self.jobs.iter().filter_map(pod).collect(),
            refused: self
                .refused
                .as_ref()
                .map(|name| (name.to_string(), "quota".to_owned()))
                .into_iter()
                .collect(),
            evaluation: self.evaluation.as_ref().map(|e| {
                let mut found = (*e.object).clone();
                found.status = e
                    .verdict
                    .map(|says| serde_json::from_value(verdict(says)).unwrap());
                found
            }),
            approval: self.approval.as_ref().map(|a| {
                let mut found = (*a.object).clone();
                found.metadata.resource_version = Some(a.version.to_string());
                found
            }),
            enforced: Some(true),
            followed: self.followed,
            ..Facts::default()
        }
    }
}

fn verdict(says: Says) -> serde_json::Value {
    match says {
        Says::Pass => json!({"phase": "Succeeded", "done": true, "result": "pass", "score": 100.0}),
        Says::Fail => json!({"phase": "Succeeded", "done": true, "result": "fail", "score": 0.0}),
        Says::Unknown => json!({"phase": "Inconclusive", "done": true, "reason": "ProviderUnavailable"}),
    }
}

fn job(is: &JobIs) -> Job {
    let mut job = (*is.object).clone();
    let end = match is.life {
        Life::Ended(0) => "Complete",
        Life::Ended(_) | Life::Evicted => "Failed",
        _ => return job,
    };
    if is.job_seen {
        let condition = json!({"type": end, "status": "True", "reason": "BackoffLimitExceeded",
                               "lastTransitionTime": at(is.ended_at).to_string()});
        job.status = Some(serde_json::from_value(json!({"conditions": [condition]})).unwrap());
    }
    job
}

/// The pod, as the cache has it.
fn pod(is: &JobIs) -> Option<Pod> {
    let (started, ended) = (at(is.started_at).to_string(), at(is.ended_at).to_string());
    let state = match is.life {
        Life::Ended(code) if is.pod_seen => {
            json!({"terminated": {"exitCode": code, "startedAt": started, "finishedAt": ended}})
        }
        Life::Running | Life::Ended(_) => json!({"running": {"startedAt": started}}),
        Life::Evicted if is.pod_seen => json!({}),
        Life::Pending | Life::Evicted => return None,
    };
    let mut status = json!({"containerStatuses": [
        {"name": "task", "image": "", "imageID": "", "ready": false, "restartCount": 0, "state": state}]});
    if is.life == Life::Evicted {
        status = json!({"phase": "Failed", "conditions": [{"type": "DisruptionTarget", "status": "True"}]});
    }
    let uid = is.object.metadata.uid.clone();
    let mut pod: Pod = serde_json::from_value(json!({
        "metadata": {"name": format!("{}-x", is.name), "namespace": "shop", "ownerReferences":
            [{"apiVersion": "batch/v1", "kind": "Job", "name": &*is.name, "uid": uid, "controller": true}]},
        "status": status,
    }))
    .unwrap();
    pod.metadata.labels = is.object.metadata.labels.clone();
    debug_assert!(
        pod.metadata
            .labels
            .as_ref()
            .is_some_and(|l| l.contains_key(labels::TASK))
    );
    Some(pod)
}
