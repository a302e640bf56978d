//! Stories of one run, told by the pure machine: a small world answers its effects, and time is a value.

use std::collections::BTreeMap;

use k8s_openapi::api::{batch::v1::Job, core::v1::Pod};
use serde_json::json;

mod asking;
mod delivering;
mod parallel;
mod searched;

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
}

fn all_well(_: &str, _: i32) -> i32 {
    0
}

fn condition<'a>(status: &'a SequenceExecutionStatus, type_: &str) -> &'a Condition {
    status.conditions.iter().find(|c| c.type_ == type_).unwrap()
}

#[test]
fn one_action_heals() {
    let mut world = World::new(&["scale"], all_well, |_| Some("pass"));
    let end = world.play_out();
    assert_eq!((end.phase.as_str(), end.reason.as_str()), ("Succeeded", "Healed"));
    assert_eq!(world.created.len(), 2, "one Job for the action, one for the test");
    assert_eq!(end.attempts[0].action.as_deref(), Some("scale"));
    let states: Vec<_> = end.attempts[0]
        .tasks
        .iter()
        .map(|t| (t.name.as_str(), t.state.as_str()))
        .collect();
    assert_eq!(
        states,
        [
            ("get-action", "Done"),
            ("action", "Done"),
            ("je-test", "Done"),
            ("evaluation", "Done")
        ]
    );
    assert!(condition_is(&end.conditions, "Succeeded", "True"));
    assert!(condition_is(&end.conditions, "Ready", "True"));
    assert!(
        !end.conditions.iter().any(|c| c.type_ == "Reconciling"),
        "gone when all is well"
    );
    assert!(world.writes <= 5, "{} status writes", world.writes);
    assert!(end.plan.unwrap().sequence.is_none(), "bodies do not stay");
}

#[test]
fn the_gate_looks_only_at_what_came_after_the_action() {
    let mut world = World::new(&["scale"], all_well, |_| Some("pass"));
    let end = world.play_out();
    let task = &end.attempts[0].tasks[3];
    let window = task.evaluation.as_ref().unwrap().window.as_ref().unwrap();
    assert_eq!(Some(&window.start), end.attempts[0].tasks[1].finished_at.as_ref());
    assert_eq!(
        window.end.0.duration_since(window.start.0).as_secs(),
        60,
        "never shorter than a minute"
    );
}

#[test]
fn the_second_action_is_tried_after_two_minutes() {
    let gate: Gate = |attempt| Some(if attempt == 1 { "fail" } else { "pass" });
    let mut world = World::new(&["scale", "restart"], all_well, gate);
    let end = world.play_out();
    assert_eq!(end.phase, "Succeeded");
    let actions: Vec<_> = end.attempts.iter().map(|a| a.action.clone().unwrap()).collect();
    assert_eq!(actions, ["scale", "restart"]);
    let (first, second) = (&end.attempts[0], &end.attempts[1]);
    let waited = second
        .started_at
        .as_ref()
        .unwrap()
        .0
        .duration_since(first.finished_at.as_ref().unwrap().0);
    assert_eq!(waited.as_secs(), 120);
}

#[test]
fn every_action_is_tried_once_then_it_is_exhausted_at_once() {
    let mut world = World::new(&["a", "b", "c"], all_well, |_| Some("fail"));
    let end = world.play_out();
    assert_eq!(
        (end.phase.as_str(), end.reason.as_str()),
        ("Exhausted", "NoActionLeft")
    );
    let actions: Vec<_> = end.attempts.iter().map(|a| a.action.clone()).collect();
    assert_eq!(
        actions,
        [Some("a".into()), Some("b".into()), Some("c".into()), None]
    );
    assert_eq!(end.attempt, Some(4));
    let last = &end.attempts[3];
    assert_eq!(
        last.started_at, end.attempts[2].finished_at,
        "nobody waits before somebody is paged"
    );
    assert_eq!(last.tasks.len(), 1);
    assert!(condition_is(&end.conditions, "Succeeded", "False"));
    assert!(
        condition_is(&end.conditions, "Ready", "True"),
        "a failed gate is a result, not a broken object"
    );
}

#[test]
fn a_failed_action_escalates() {
    let script: Script = |task, attempt| i32::from(task == "action" && attempt == 1);
    let mut world = World::new(&["a", "b"], script, |_| Some("pass"));
    let end = world.play_out();
    assert_eq!(end.phase, "Succeeded");
    assert_eq!(end.attempts[0].tasks[1].result.as_deref(), Some("fail"));
    assert_eq!(
        end.attempts[0].tasks[2].state, "Skipped",
        "the test was not reached"
    );
    assert_eq!(end.attempts[1].action.as_deref(), Some("b"));
}

#[test]
fn with_stop_a_failed_action_ends_the_run() {
    let script: Script = |task, _| i32::from(task == "action");
    let mut world = World::new(&["a", "b"], script, |_| Some("pass"));
    let Some(Ok(definitions)) = &mut world.facts.run else {
        panic!()
    };
    definitions.remediation.as_mut().unwrap().spec.on_action_failure =
        crate::api::remediation::OnActionFailure::Stop;
    let end = world.play_out();
    assert_eq!(end.phase, "Failed");
    assert_eq!(end.attempts.len(), 1);
}

#[test]
fn could_not_measure_is_not_still_sick() {
    let mut world = World::new(&["a", "b"], all_well, |_| None);
    let end = world.play_out();
    assert_eq!(
        (end.phase.as_str(), end.reason.as_str()),
        ("Inconclusive", "ProviderUnavailable")
    );
    assert_eq!(world.created.len(), 2, "no further action is tried");
    assert_eq!(end.attempts.len(), 1);
    let took = end
        .finished_at
        .unwrap()
        .0
        .duration_since(end.started_at.unwrap().0)
        .as_secs();
    assert!(
        (1800..2100).contains(&took),
        "gives up after half an hour, not {took}s"
    );
}

#[test]
fn measuring_again_after_an_outage_goes_on_without_another_action() {
    let mut world = World::new(&["a", "b"], all_well, |_| None);
    while world
        .status_or_default()
        .attempts
        .first()
        .is_none_or(|a| a.tasks[3].reason.is_empty())
    {
        let decision = world.turn();
        if decision.then.is_empty() {
            world.now = decision.again.unwrap_or(world.now).max(world.now);
        }
    }
    world.gate = |_| Some("pass");
    let end = world.play_out();
    assert_eq!(end.phase, "Succeeded");
    assert_eq!(world.created.len(), 2);
}

impl World {
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

#[test]
fn abort_deletes_the_job_and_wins() {
    let script: Script = |_, _| -1;
    let mut world = World::new(&["a"], script, |_| Some("pass"));
    world.turn();
    world.ask(Desired::Abort);
    let end = world.turn().status;
    assert_eq!(end.phase, "Aborted");
    assert_eq!(world.deleted, world.created);
    assert!(end.done);
}

#[test]
fn a_pause_takes_effect_after_the_current_task_and_gives_the_place_up() {
    let mut world = World::new(&["a"], all_well, |_| Some("pass"));
    world.turn();
    world.ask(Desired::Pause);
    let decision = world.turn();
    assert_eq!(decision.status.phase, "Paused");
    assert_eq!(decision.status.attempts[0].tasks[1].state, "Done");
    assert!(!decision.wants_place);
    world.now = world
        .now
        .checked_add(jiff::SignedDuration::from_hours(30))
        .unwrap();
    world.ask(Desired::Run);
    let end = world.play_out();
    assert_eq!(
        end.phase, "Succeeded",
        "a pause does not count against the deadline of 24h"
    );
}

#[test]
fn a_pause_of_more_than_a_week_is_an_abort() {
    let mut world = World::new(&["a"], all_well, |_| Some("pass"));
    world.ask(Desired::Pause);
    let again = world.turn().again.unwrap();
    assert_eq!(again.duration_since(world.now).as_hours(), 7 * 24);
    world.now = again;
    let end = world.turn().status;
    assert_eq!(
        (end.phase.as_str(), end.reason.as_str()),
        ("Aborted", "PausedTooLong")
    );
}

#[test]
fn a_hold_lets_the_running_job_end_and_starts_nothing_new() {
    let mut world = World::new(&["a"], all_well, |_| Some("pass"));
    world.turn();
    world.facts.hold = Some("ConfigMap coxswain-system/coxswain-hold: freeze".into());
    let decision = world.turn();
    assert_eq!(decision.status.phase, "Held");
    assert!(
        decision.status.message.contains("freeze"),
        "{}",
        decision.status.message
    );
    assert_eq!(world.created.len(), 1);
    world.facts.hold = None;
    assert_eq!(world.play_out().phase, "Succeeded");
}

#[test]
fn resolved_while_queued_means_no_job_at_all() {
    let mut world = World::new(&["a"], all_well, |_| Some("pass"));
    world.facts.grant = Some(Grant::Queued {
        behind: "other".into(),
    });
    let queued = world.turn().status;
    assert_eq!(
        (queued.phase.as_str(), queued.waits_for.as_str()),
        ("Queued", "run other")
    );
    world.facts.resolved = true;
    let end = world.turn().status;
    assert_eq!((end.phase.as_str(), end.waits_for.as_str()), ("Resolved", ""));
    assert!(world.created.is_empty());
}

#[test]
fn resolved_while_running_stops_before_the_next_action() {
    let mut world = World::new(&["a", "b"], all_well, |_| Some("fail"));
    world.turn();
    world.facts.resolved = true;
    let end = world.play_out();
    assert_eq!(end.phase, "Resolved");
    assert_eq!(end.attempts.len(), 1);
}

#[test]
fn a_run_that_waited_for_an_hour_expires() {
    let mut world = World::new(&["a"], all_well, |_| Some("pass"));
    world.now = world
        .now
        .checked_add(jiff::SignedDuration::from_secs(3601))
        .unwrap();
    let end = world.turn().status;
    assert_eq!(end.phase, "Expired");
    assert!(world.created.is_empty());
}

#[test]
fn the_budget_counts_other_runs_too() {
    let mut world = World::new(&["a"], all_well, |_| Some("pass"));
    world.history().actions = vec![Timestamp::from_second(START).unwrap(); 6];
    let end = world.turn().status;
    assert_eq!(
        (end.phase.as_str(), end.reason.as_str()),
        ("Exhausted", "BudgetSpent")
    );
    assert!(world.created.is_empty());
}

#[test]
fn a_service_is_left_alone_for_a_while_after_a_run() {
    let mut world = World::new(&["a"], all_well, |_| Some("pass"));
    world.history().last = Some((Timestamp::from_second(START).unwrap(), "earlier".into()));
    let decision = world.turn();
    assert_eq!(
        (decision.status.phase.as_str(), decision.status.reason.as_str()),
        ("Waiting", "Cooldown")
    );
    assert_eq!(decision.again.unwrap().duration_since(world.now).as_secs(), 300);
    assert!(!decision.wants_place);
}

#[test]
fn observe_decides_and_evaluates_but_creates_no_job() {
    let mut world = World::new(&["a"], all_well, |_| Some("pass"));
    let Some(Ok(definitions)) = &mut world.facts.run else {
        panic!()
    };
    definitions.remediation.as_mut().unwrap().spec.mode = crate::api::remediation::Mode::Observe;
    let end = world.play_out();
    assert!(world.created.is_empty());
    assert_eq!(end.attempts[0].tasks[1].reason, "Observed");
    assert!(end.attempts[0].tasks[1].message.contains("would run"));
}

#[test]
fn bad_references_end_stalled() {
    let mut world = World::new(&["a"], all_well, |_| Some("pass"));
    world.facts.run = Some(Err(Missing {
        reason: "StageNotFound",
        message: "no stage \"prod\"".into(),
    }));
    let end = world.turn().status;
    assert_eq!(end.phase, "Failed");
    assert!(condition_is(&end.conditions, "Stalled", "True"));
    assert_eq!(condition(&end, "Stalled").reason, "StageNotFound");
}

#[test]
fn nobody_answers_a_task() {
    let mut world = World::new(&["a"], all_well, |_| Some("pass"));
    world.facts.attempt.as_mut().unwrap().job_configs[0]
        .actions
        .remove(1);
    let end = world.play_out();
    assert_eq!(
        (end.phase.as_str(), end.reason.as_str()),
        ("Failed", "NoExecutor")
    );
    assert!(
        end.message
            .starts_with("action: nothing was done, because je-test could not follow"),
        "{}",
        end.message
    );
    assert!(end.message.contains("sh.keptn.event.je-test.triggered"));
    assert!(world.jobs.is_empty(), "no action before a test that nobody makes");
}

#[test]
fn a_job_of_that_name_that_is_not_ours_is_never_adopted() {
    let script: Script = |_, _| -1;
    let mut world = World::new(&["a"], script, |_| Some("pass"));
    world.turn();
    for job in world.jobs.values_mut() {
        job.metadata.owner_references = None;
    }
    world.turn();
    assert_eq!(world.status().attempts[0].tasks[1].reason, "NameTaken");
}

#[test]
fn a_crash_before_the_create_is_made_good_and_a_late_one_is_lost() {
    let script: Script = |_, _| -1;
    let mut world = World::new(&["a"], script, |_| Some("pass"));
    world.turn();
    let first = world.created.pop().unwrap();
    world.jobs.clear();
    world.turn();
    assert_eq!(world.created, [first], "the same Job again");
    world.jobs.clear();
    world.now = world
        .now
        .checked_add(jiff::SignedDuration::from_secs(301))
        .unwrap();
    world.turn();
    assert_eq!(world.status().attempts[0].tasks[1].state, "Lost");
}

/// The operator's own get-action, in a Job.
fn chooses(status: &SequenceExecutionStatus) -> Outcome {
    let pinned = status.plan.as_ref().unwrap().remediation.as_ref().unwrap();
    get_action::outcome(pinned, status.payload.as_ref().unwrap())
}

/// An evaluation in a Job.
fn scores(result: &str, score: f64) -> Outcome {
    let verdict = if result == "fail" {
        Verdict::Fail
    } else {
        Verdict::Pass
    };
    let data = json!({"evaluation": {"result": result, "score": score}});
    Outcome {
        verdict,
        data: data.as_object().cloned().unwrap(),
        ..Outcome::default()
    }
}

#[test]
fn with_both_built_ins_as_jobs_the_loop_is_the_same() {
    let mut world = World::new(&["a", "b"], all_well, |_| None).with_jobs_for(
        &["get-action", "evaluation"],
        |status, task, attempt| match task {
            "get-action" => Some(chooses(status)),
            "evaluation" if attempt == 1 => Some(scores("fail", 20.0)),
            "evaluation" => Some(scores("pass", 95.0)),
            _ => None,
        },
    );
    let end = world.play_out();
    assert_eq!(
        (end.phase.as_str(), end.reason.as_str()),
        ("Succeeded", "Healed"),
        "{}",
        end.message
    );
    let shown: Vec<_> = end
        .attempts
        .iter()
        .map(|a| (a.action.as_deref(), a.score))
        .collect();
    assert_eq!(shown, [(Some("a"), Some(20.0)), (Some("b"), Some(95.0))]);
    assert_eq!(end.score, Some(95.0));
    assert_eq!(world.created.len(), 8, "four Jobs an attempt");
    assert!(
        world.evaluation.is_none(),
        "the operator evaluates nothing itself"
    );
    let waited = end.attempts[1]
        .started_at
        .as_ref()
        .unwrap()
        .0
        .duration_since(end.attempts[0].finished_at.as_ref().unwrap().0);
    assert_eq!(waited.as_secs(), 120);
}

#[test]
fn when_a_job_finds_no_action_left_the_run_is_exhausted_at_once() {
    let says: Says = |status, task, _| (task == "get-action").then(|| chooses(status));
    let mut world = World::new(&["a", "b"], all_well, |_| Some("fail")).with_jobs_for(&["get-action"], says);
    let end = world.play_out();
    assert_eq!(
        (end.phase.as_str(), end.reason.as_str()),
        ("Exhausted", "NoActionLeft")
    );
    let actions: Vec<_> = end.attempts.iter().map(|a| a.action.as_deref()).collect();
    assert_eq!(actions, [Some("a"), Some("b"), None]);
    let last = &end.attempts[2];
    assert_eq!(
        last.started_at, end.attempts[1].finished_at,
        "nobody waits before somebody is paged"
    );
    assert_eq!(last.tasks[0].jobs.len(), 1, "the Job was asked");
    assert!(end.message.contains("all 2 actions"), "{}", end.message);
}

#[test]
fn a_job_may_know_actions_that_no_remediation_has() {
    let says: Says = |_, task, attempt| {
        let data = json!({"action": {"action": format!("own-{attempt}")}});
        (task == "get-action").then(|| match attempt {
            1 | 2 => Outcome {
                data: data.as_object().cloned().unwrap(),
                ..Outcome::default()
            },
            _ => Outcome {
                verdict: Verdict::Fail,
                reason: "NoActionLeft".into(),
                ..Outcome::default()
            },
        })
    };
    let mut world = World::new(&["a"], all_well, |_| Some("fail")).with_jobs_for(&["get-action"], says);
    let Some(Ok(definitions)) = &mut world.facts.run else {
        panic!()
    };
    definitions.remediation = None;
    let end = world.play_out();
    assert_eq!(
        (end.phase.as_str(), end.reason.as_str()),
        ("Exhausted", "NoActionLeft")
    );
    let actions: Vec<_> = end.attempts.iter().map(|a| a.action.as_deref()).collect();
    assert_eq!(actions, [Some("own-1"), Some("own-2"), None]);
}

#[test]
fn a_get_action_job_that_breaks_ends_the_run() {
    let says: Says =
        |_, task, _| (task == "get-action").then(|| Outcome::errored("GetActionFailed", "no rights"));
    let mut world = World::new(&["a"], all_well, |_| Some("pass")).with_jobs_for(&["get-action"], says);
    let end = world.play_out();
    assert_eq!(
        (end.phase.as_str(), end.reason.as_str()),
        ("Failed", "GetActionFailed")
    );
    assert_eq!(end.attempts.len(), 1);
    assert!(
        condition_is(&end.conditions, "Ready", "True"),
        "no definition is broken"
    );
}

#[test]
fn an_evaluation_job_that_could_not_measure_does_not_escalate() {
    let says: Says =
        |_, task, _| (task == "evaluation").then(|| Outcome::errored("Inconclusive", "nobody answers"));
    let mut world = World::new(&["a", "b"], all_well, |_| None).with_jobs_for(&["evaluation"], says);
    let end = world.play_out();
    assert_eq!(
        (end.phase.as_str(), end.reason.as_str()),
        ("Inconclusive", "Inconclusive")
    );
    assert_eq!(end.attempts.len(), 1, "no further action is tried");
    assert!(end.message.contains("nobody answers"), "{}", end.message);
}

#[test]
fn an_evaluation_job_that_says_no_by_its_exit_code_escalates() {
    let script: Script = |task, attempt| i32::from(task == "evaluation" && attempt == 1);
    let mut world = World::new(&["a", "b"], script, |_| None).with_jobs_for(&["evaluation"], |_, _, _| None);
    let end = world.play_out();
    assert_eq!(end.phase, "Succeeded");
    assert_eq!(end.attempts[1].action.as_deref(), Some("b"));
}

#[test]
fn an_evaluation_job_that_never_ends_says_nothing_about_the_service() {
    let script: Script = |task, _| if task == "evaluation" { -1 } else { 0 };
    let mut world = World::new(&["a", "b"], script, |_| None).with_jobs_for(&["evaluation"], |_, _, _| None);
    let end = world.play_out();
    assert_eq!(
        (end.phase.as_str(), end.reason.as_str()),
        ("Inconclusive", "TimedOut")
    );
    assert!(world.deleted.contains(world.created.last().unwrap()));
    assert_eq!(end.attempts.len(), 1, "no further action is tried");
}

#[test]
fn observe_asks_the_built_ins_in_place_of_their_jobs() {
    let mut world = World::new(&["a"], all_well, |_| Some("pass"))
        .with_jobs_for(&["get-action", "evaluation"], |_, _, _| None);
    let Some(Ok(definitions)) = &mut world.facts.run else {
        panic!()
    };
    definitions.remediation.as_mut().unwrap().spec.mode = crate::api::remediation::Mode::Observe;
    let end = world.play_out();
    assert_eq!(end.phase, "Succeeded");
    assert!(world.created.is_empty());
    assert_eq!(end.attempts[0].action.as_deref(), Some("a"));
    assert_eq!(end.attempts[0].score, Some(50.0));
}
