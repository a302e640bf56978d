//! Stories of one run, told by the pure machine: a small world answers its effects, and time is a value.

use std::collections::BTreeMap;

use k8s_openapi::api::{batch::v1::Job, core::v1::Pod};
use serde_json::json;

mod asking;
mod brakes;
mod by_job;
mod delivering;
mod healing;
mod parallel;
mod searched;
mod tries;

use super::*;
use crate::{
    api::{
        Condition, ShipyardSpec, condition_is,
        execution::{Control, Desired},
        shipyard::Shipyard,
    },
    core::{
        jobs::result::{Outcome, Verdict, report},
        labels,
        remediation::get_action,
    },
};

const START: i64 = 1_800_000_000;

/// What the world does with each Job of a task: its exit code.
type Script = fn(task: &str, attempt: i32) -> i32;
/// What the gate says in each attempt; None: it could not be asked.
type Gate = fn(attempt: i32) -> Option<&'static str>;
/// What a Job reports, by the run's status when it runs.
type Says = fn(status: &SequenceExecutionStatus, task: &str, attempt: i32) -> Option<Outcome>;

struct World {
    run: SequenceExecution,
    now: Timestamp,
    jobs: BTreeMap<String, Job>,
    pods: Vec<Pod>,
    evaluation: Option<Evaluation>,
    facts: Facts,
    writes: usize,
    created: Vec<String>,
    follow_ups: BTreeMap<String, SequenceExecution>,
    followed: bool,
    approval: Option<Approval>,
    results: Vec<TaskResult>,
    deleted: Vec<String>,
    told: Vec<String>,
    script: Script,
    gate: Gate,
    says: Says,
}

fn sequence(retry_after: &str) -> Sequence {
    let shipyard: ShipyardSpec = serde_json::from_value(json!({"stages": [{"name": "production", "sequences": [{
        "name": "remediation",
        "retryAfter": retry_after,
        "triggeredOn": [{"event": "production.remediation.finished", "selector": {"match": {"evaluation.result": "fail"}}}],
        "tasks": [{"name": "get-action"}, {"name": "action"}, {"name": "je-test"},
                  {"name": "evaluation", "properties": {"timeframe": "2m"}}],
    }]}]}))
    .unwrap();
    Shipyard::new("shop", shipyard).spec.stages[0].sequences[0].clone()
}

fn remediation(actions: &[&str]) -> Remediation {
    let actions: Vec<_> = actions
        .iter()
        .map(|a| json!({"action": a, "value": "2"}))
        .collect();
    serde_json::from_value(json!({
        "metadata": {"name": "rem", "namespace": "shop"},
        "spec": {"project": "shop", "remediations": [{"problemType": "slow", "actionsOnOpen": actions}]},
    }))
    .unwrap()
}

fn job_config() -> PinnedJobConfig {
    serde_json::from_value(json!({"name": "jobs", "specificity": 3, "actions": [
        {"name": "act", "events": [{"name": "sh.keptn.event.action.triggered"}], "tasks": [{"name": "do", "image": "busybox"}]},
        {"name": "test", "events": [{"name": "sh.keptn.event.je-test.triggered"}], "tasks": [{"name": "load", "image": "busybox"}]},
    ]}))
    .unwrap()
}

impl World {
    fn new(actions: &[&str], script: Script, gate: Gate) -> Self {
        let run: SequenceExecution = serde_json::from_value(json!({
            "metadata": {"name": "slow-1", "namespace": "shop", "uid": "run-uid", "generation": 1,
                         "creationTimestamp": Timestamp::from_second(START).unwrap().to_string()},
            "spec": {"project": "shop", "stage": "production", "service": "cart", "sequence": "remediation",
                     "data": {"problem": {"problemTitle": "slow"}}},
        }))
        .unwrap();
        let facts = Facts {
            run: Some(Ok(RunDefinitions {
                sequence: sequence("2m"),
                remediation: Some(remediation(actions)),
                followers: vec![],
                pinned: vec![],
            })),
            attempt: Some(AttemptDefinitions {
                job_configs: vec![job_config()],
                gate: serde_json::from_value(json!({
                    "objectiveName": "slo",
                    "objective": {"objectives": [{"sli": "latency", "pass": [{"criteria": ["<1"]}]}], "total_score": {"pass": "90%"}},
                    "indicators": {"latency": {"query": "latency", "provider": "prometheus"}},
                }))
                .unwrap(),
                pinned: vec![],
            }),
            grant: Some(Grant::Held),
            history: Some(History::default()),
            ..Facts::default()
        };
        Self {
            run,
            now: Timestamp::from_second(START).unwrap(),
            jobs: BTreeMap::new(),
            pods: vec![],
            evaluation: None,
            facts,
            writes: 0,
            created: vec![],
            follow_ups: BTreeMap::new(),
            followed: false,
            approval: None,
            results: vec![],
            deleted: vec![],
            told: vec![],
            script,
            gate,
            says: |_, _, _| None,
        }
    }

    /// What other runs did lately.
    fn history(&mut self) -> &mut History {
        self.facts.history.as_mut().unwrap()
    }

    /// Jobs answer these tasks too.
    fn with_jobs_for(mut self, tasks: &[&str], says: Says) -> Self {
        let actions = &mut self.facts.attempt.as_mut().unwrap().job_configs[0].actions;
        actions.extend(tasks.iter().map(|task| {
            serde_json::from_value(
                json!({"name": task, "events": [{"name": format!("sh.keptn.event.{task}.triggered")}],
                "tasks": [{"name": task, "image": "coxswain"}]}),
            )
            .unwrap()
        }));
        self.says = says;
        self
    }

    /// One look of the operator, then the world's answer, then on to the time it asked for.
    fn turn(&mut self) -> Decision {
        let needs = needs(&self.run, self.now);
        let mut facts = self.facts.clone();
        facts.followed = self.followed;
        facts.enforced = Some(true);
        facts.results.clone_from(&self.results);
        facts.approval = self.approval.clone().filter(|_| needs.approval.is_some());
        facts.jobs.clone_from(&self.jobs);
        facts.pods.clone_from(&self.pods);
        facts.evaluation = self
            .evaluation
            .clone()
            .filter(|e| e.metadata.name == needs.evaluation);
        let decision = step(&self.run, &facts, self.now);
        if self.run.status.as_ref() != Some(&decision.status) {
            self.writes += 1;
        }
        self.run.status = Some(decision.status.clone());
        self.told
            .extend(decision.notes.iter().map(|n| format!("{}: {}", n.reason, n.text)));
        for effect in decision.first.iter().chain(&decision.then) {
            match effect {
                Effect::CreateJob(job) => self.play(job.as_ref().clone()),
                Effect::DeleteJob { name, .. } => self.deleted.push(name.clone()),
                Effect::CreateEvaluation(evaluation) => self.judge(evaluation.as_ref().clone()),
                Effect::CreateApproval(question) => {
                    let mut question = question.as_ref().clone();
                    question.metadata.uid = Some("question".to_owned());
                    self.approval = Some(question);
                }
                Effect::SettleApproval(settled) => self.approval = Some(settled.as_ref().clone()),
                Effect::AdoptResult(owned) => {
                    let name = owned.metadata.name.clone();
                    self.results
                        .iter_mut()
                        .filter(|r| r.metadata.name == name)
                        .for_each(|r| *r = *owned.clone());
                }
                Effect::CreateExecution(run) => {
                    self.followed = true;
                    self.follow_ups
                        .insert(run.metadata.name.clone().unwrap(), run.as_ref().clone());
                }
            }
        }
        decision
    }

    fn play(&mut self, mut job: Job) {
        let name = job.metadata.name.clone().unwrap();
        assert!(!self.created.contains(&name), "Job {name} is created twice");
        self.created.push(name.clone());
        let uid = format!("uid-{name}");
        job.metadata.uid = Some(uid.clone());
        let task = job.metadata.labels.as_ref().unwrap()[labels::TASK].clone();
        let attempt = job.metadata.labels.as_ref().unwrap()[labels::ATTEMPT]
            .parse()
            .unwrap();
        let said = (self.says)(self.status(), &task, attempt);
        let message = said.as_ref().map(|o| report(o).unwrap()).unwrap_or_default();
        let code = match &said {
            Some(outcome) => i32::from(outcome.errored),
            None => (self.script)(&task, attempt),
        };
        self.jobs.insert(name.clone(), job.clone());
        if code < 0 {
            return;
        }
        self.container_ends(&name, code, &message);
    }

    /// The Job's container has run for two seconds.
    fn container_ends(&mut self, name: &str, code: i32, message: &str) {
        self.now = self.now.checked_add(jiff::SignedDuration::from_secs(2)).unwrap();
        let meta = self.jobs[name].metadata.clone();
        let mut pod: Pod = serde_json::from_value(json!({
            "metadata": {"name": format!("{name}-x"), "namespace": "shop",
                         "ownerReferences": [{"apiVersion": "batch/v1", "kind": "Job", "name": name, "uid": meta.uid, "controller": true}]},
            "status": {"containerStatuses": [{"name": "task", "image": "", "imageID": "", "ready": false, "restartCount": 0, "state":
                {"terminated": {"exitCode": code, "message": message, "startedAt": self.now.to_string(), "finishedAt": self.now.to_string()}}}]},
        }))
        .unwrap();
        pod.metadata.labels = meta.labels;
        self.pods.push(pod);
        if code != 0 {
            let failed = json!({"conditions": [{"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded"}]});
            self.jobs.get_mut(name).unwrap().status = Some(serde_json::from_value(failed).unwrap());
        }
    }

    fn judge(&mut self, mut evaluation: Evaluation) {
        let attempt = evaluation.spec.attempt.unwrap();
        let status = match (self.gate)(attempt) {
            Some(result) => {
                json!({"phase": "Succeeded", "done": true, "result": result, "score": 50.0, "message": result})
            }
            None => {
                json!({"phase": "Inconclusive", "done": true, "reason": "ProviderUnavailable", "message": "down"})
            }
        };
        evaluation.status = Some(serde_json::from_value(status).unwrap());
        self.evaluation = Some(evaluation);
    }

    /// Until the run ends, or for so many turns.
    fn play_out(&mut self) -> SequenceExecutionStatus {
        self.play_until(|status| status.done)
    }

    fn play_until(&mut self, there: fn(&SequenceExecutionStatus) -> bool) -> SequenceExecutionStatus {
        for _ in 0..200 {
            let decision = self.turn();
            if there(&decision.status) {
                return decision.status;
            }
            let answered = !decision.then.is_empty();
            if let (false, Some(at)) = (answered, decision.again) {
                self.now = self.now.max(at);
            }
        }
        panic!("the run does not end: {:#?}", self.run.status);
    }

    fn status(&self) -> &SequenceExecutionStatus {
        self.run.status.as_ref().unwrap()
    }

    fn status_or_default(&self) -> SequenceExecutionStatus {
        self.run.status.clone().unwrap_or_default()
    }

    fn ask(&mut self, desired: Desired) {
        self.run.spec.control = Some(Control {
            desired,
            ..Control::default()
        });
    }
}

fn all_well(_: &str, _: i32) -> i32 {
    0
}

fn condition<'a>(status: &'a SequenceExecutionStatus, type_: &str) -> &'a Condition {
    status.conditions.iter().find(|c| c.type_ == type_).unwrap()
}
