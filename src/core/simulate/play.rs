//! Carries effects out: what is created is answered.

use jiff::Timestamp;
use k8s_openapi::{
    api::{
        batch::v1::{Job, JobCondition, JobStatus as KubeJobStatus},
        core::v1::{ContainerState, ContainerStateTerminated, ContainerStatus, Pod, PodStatus},
    },
    apimachinery::pkg::apis::meta::v1::OwnerReference,
};
use kube::api::ObjectMeta;

use super::{
    JobReport,
    answers::{Answer, Says},
    facts::ASSUMED,
    verdict,
    world::World,
};
use crate::{
    api::{
        Duration, Evaluation, SequenceExecution,
        common::Time,
        execution::{JobStatus, TaskStatus},
    },
    core::{
        Invalid,
        jobs::{
            build::CONTAINER,
            matching,
            result::{self, Outcome, Verdict},
        },
        labels,
        names::JobKey,
        remediation::get_action,
        sequence::{EVALUATION, Effect, GET_ACTION, asked},
    },
};

/// How long a task takes whose answer does not say.
pub(super) const TAKES: Duration = Duration::from_secs(1);

/// What one run of a task was answered.
#[derive(Clone)]
pub(super) struct Asked {
    /// `answer`, `assumed`, or `decided`.
    pub(super) source: &'static str,
    pub(super) answer: Answer,
    /// Where the answer stands, for messages.
    pub(super) path: String,
    /// Whether nothing in the files answers the task, so that there is no Job.
    pub(super) assumed_job: bool,
}

/// A Job that was created.
pub(super) struct Played {
    pub(super) name: String,
    pub(super) ends_at: Timestamp,
    job: Job,
    pod: Pod,
    end: KubeJobStatus,
}

impl Played {
    /// The Job, and its pod once it has ended, as they stand at `now`.
    pub(super) fn at(&self, now: Timestamp) -> (Job, Option<Pod>) {
        let mut job = self.job.clone();
        if now < self.ends_at {
            return (job, None);
        }
        job.status = Some(self.end.clone());
        (job, Some(self.pod.clone()))
    }
}

/// An Evaluation that was created.
pub(super) struct Judged {
    pub(super) ends_at: Timestamp,
    evaluation: Evaluation,
}

impl Judged {
    /// The Evaluation as it stands at `now`.
    pub(super) fn at(&self, now: Timestamp) -> Evaluation {
        let mut evaluation = self.evaluation.clone();
        if now < self.ends_at {
            evaluation.status = None;
        }
        evaluation
    }
}

impl World<'_> {
    /// Does what the engine decided.
    pub(super) fn carry_out(&mut self, index: usize, effect: Effect) -> Result<(), Invalid> {
        match effect {
            Effect::CreateJob(job) => self.create_job(index, *job),
            Effect::DeleteJob { name, .. } => {
                self.delete_job(index, &name);
                Ok(())
            }
            Effect::CreateEvaluation(evaluation) => self.create_evaluation(index, *evaluation),
            Effect::CreateApproval(question) => {
                self.put_question(index, &question);
                Ok(())
            }
            Effect::SettleApproval(settled) => {
                self.settle_question(index, &settled);
                Ok(())
            }
            Effect::CreateExecution(run) => {
                self.follow(index, *run);
                Ok(())
            }
            // Nobody outside says anything here: such tasks are assumed.
            Effect::AdoptResult(_) => Ok(()),
        }
    }

    fn create_job(&mut self, index: usize, job: Job) -> Result<(), Invalid> {
        let name = job.metadata.name.clone().unwrap_or_default();
        let annotations = job.metadata.annotations.as_ref();
        let key = annotations
            .and_then(|a| a.get(labels::KEY))
            .cloned()
            .unwrap_or_default();
        let Ok(key) = JobKey::parse(&key) else {
            return Ok(());
        };
        let at = (key.attempt, key.task);
        let Some(task) = self.task(index, at) else {
            return Ok(());
        };
        let Some(position) = task.jobs.iter().position(|j| j.name == name) else {
            return Ok(());
        };
        let recorded = &task.jobs[position];
        let assumed = recorded.config == ASSUMED;
        let asked = self.ask(index, at, &task.name, assumed);
        // The answer is the task's: its last Job that counts gives it, those before it pass.
        let speaks = self.speaks(index, &task, position);
        let outcome = if speaks {
            self.outcome(index, at, &task.name, &asked)?
        } else {
            Outcome::default()
        };
        let takes = asked.answer.takes.filter(|_| speaks).unwrap_or(TAKES);
        let ends_at = self.now.checked_add(takes.signed()).unwrap_or(Timestamp::MAX);
        if !assumed {
            self.tell_job(index, at, &task.name, recorded, &job);
        }
        let played = played(job, self.now, ends_at, &outcome).map_err(|e| Invalid::new(&asked.path, e))?;
        let jobs = &mut self.runs[index].jobs;
        jobs.retain(|j| j.name != name);
        jobs.push(played);
        Ok(())
    }

    fn tell_job(&mut self, index: usize, at: (i32, usize), task: &str, recorded: &JobStatus, job: &Job) {
        let report = self.describe(index, recorded, job);
        let text = format!(
            "Job {}: {:?} of {:?} in JobConfig {}",
            report.name, report.task, report.action, report.job_config
        );
        let details = vec![spelled(&report)];
        if let Some(entry) = self.runs[index].tasks.get_mut(&at) {
            entry.jobs.push(report);
        }
        self.tell(index, at.0, task, text, details);
    }

    fn describe(&self, index: usize, recorded: &JobStatus, job: &Job) -> JobReport {
        let plan = self.runs[index]
            .object
            .status
            .as_ref()
            .and_then(|s| s.plan.as_ref());
        let configs = plan.map(|p| p.job_configs.as_slice()).unwrap_or_default();
        let action = matching::recorded(configs, &recorded.config, recorded.action);
        let pod = job.spec.as_ref().and_then(|s| s.template.spec.as_ref());
        let container = pod.and_then(|p| p.containers.iter().find(|c| c.name == CONTAINER));
        let words = container.map(|c| c.command.iter().chain(&c.args).flatten().cloned().collect());
        let env = container.into_iter().flat_map(|c| c.env.iter().flatten());
        let env = env.filter_map(|e| Some((e.name.clone(), e.value.clone()?)));
        JobReport {
            name: recorded.name.clone(),
            job_config: recorded.config.clone(),
            action: action.map(|m| m.action.name.clone()).unwrap_or_default(),
            task: recorded.title.clone(),
            image: container.and_then(|c| c.image.clone()).unwrap_or_default(),
            command: words.unwrap_or_default(),
            env: env.collect(),
            manifest: Box::new(job.clone()),
        }
    }

    fn delete_job(&mut self, index: usize, name: &str) {
        self.runs[index].jobs.retain(|j| j.name != name);
        self.tell(index, 0, "", format!("Job {name} is deleted"), vec![]);
    }

    /// A run that this one's end triggers. It is created again until the engine knows that it is there.
    fn follow(&mut self, index: usize, run: SequenceExecution) {
        self.runs[index].followed = true;
        if !self
            .runs
            .iter()
            .any(|r| r.object.metadata.name == run.metadata.name)
        {
            self.add(run);
        }
    }

    fn create_evaluation(&mut self, index: usize, mut evaluation: Evaluation) -> Result<(), Invalid> {
        let known = self.runs[index].evaluation.as_ref();
        if known.is_some_and(|j| j.evaluation.metadata.name == evaluation.metadata.name) {
            return Ok(());
        }
        let Some((attempt, position)) = self.current(index) else {
            return Ok(());
        };
        let at = (attempt, position);
        // Each time that it is measured anew is answered anew.
        self.runs[index].asked.remove(&at);
        let asked = self.ask(index, at, EVALUATION, false);
        let takes = asked.answer.takes.unwrap_or(TAKES);
        let ends_at = self.now.checked_add(takes.signed()).unwrap_or(Timestamp::MAX);
        evaluation.metadata.uid = Some(format!(
            "uid-{}",
            evaluation.metadata.name.as_deref().unwrap_or_default()
        ));
        evaluation.metadata.creation_timestamp = Some(Time(self.now));
        let siblings = self.siblings(&evaluation);
        let status = verdict::status(&evaluation, &asked.answer, &asked.path, &siblings, ends_at)?;
        evaluation.status = Some(status);
        self.evaluations.push(evaluation.clone());
        let name = evaluation.metadata.name.as_deref().unwrap_or_default();
        let window = evaluation.spec.window.as_ref();
        let of = window.map_or_else(String::new, |w| format!(" of {:.0} to {:.0}", w.start.0, w.end.0));
        let text = format!("Evaluation {name}{of}");
        self.tell(index, attempt, EVALUATION, text, vec![]);
        self.runs[index].evaluation = Some(Judged { ends_at, evaluation });
        Ok(())
    }

    /// Earlier Evaluations of the same gate.
    fn siblings(&self, evaluation: &Evaluation) -> Vec<Evaluation> {
        let own = crate::core::evaluation::labels_of(&evaluation.spec);
        let same = |e: &&Evaluation| crate::core::evaluation::labels_of(&e.spec) == own;
        self.evaluations.iter().filter(same).cloned().collect()
    }

    fn task(&self, index: usize, at: (i32, usize)) -> Option<TaskStatus> {
        let attempts = &self.runs[index].object.status.as_ref()?.attempts;
        let attempt = attempts.iter().find(|a| a.number == at.0)?;
        attempt.tasks.get(at.1).cloned()
    }

    /// The attempt and index of the task that is under way.
    pub(super) fn current(&self, index: usize) -> Option<(i32, usize)> {
        let attempt = self.runs[index].object.status.as_ref()?.attempts.last()?;
        let under_way = |t: &TaskStatus| matches!(t.state.as_str(), "Running" | "Waiting" | "Starting");
        Some((attempt.number, attempt.tasks.iter().position(under_way)?))
    }

    /// What the task is answered in this attempt; the same for all of its Jobs.
    pub(super) fn ask(&mut self, index: usize, at: (i32, usize), task: &str, assumed_job: bool) -> Asked {
        if let Some(asked) = self.runs[index].asked.get(&at) {
            return asked.clone();
        }
        let spec = &self.runs[index].object.spec;
        let found = if task == GET_ACTION {
            None
        } else {
            self.answers
                .next(&mut self.used, &spec.stage, &spec.sequence, task)
        };
        let (source, (path, answer)) = match found {
            Some(found) => ("answer", found),
            None if task == GET_ACTION => ("decided", (task.to_owned(), Answer::default())),
            None => ("assumed", (task.to_owned(), Answer::default())),
        };
        let asked = Asked {
            source,
            answer,
            path,
            assumed_job,
        };
        self.runs[index].asked.insert(at, asked.clone());
        if let Some(entry) = self.runs[index].tasks.get_mut(&at) {
            source.clone_into(&mut entry.source);
        }
        asked
    }

    /// Whether this Job's result counts, and no Job after it is sure to run whose result counts too.
    fn speaks(&self, index: usize, task: &TaskStatus, position: usize) -> bool {
        let plan = self.runs[index]
            .object
            .status
            .as_ref()
            .and_then(|s| s.plan.as_ref());
        let configs = plan.map(|p| p.job_configs.as_slice()).unwrap_or_default();
        let action = |job: &JobStatus| matching::recorded(configs, &job.config, job.action).map(|m| m.action);
        let counts = |job: &JobStatus| action(job).is_none_or(|a| a.silent != Some(true));
        let conditional = |job: &JobStatus| {
            let at = usize::try_from(job.task).unwrap_or_default();
            action(job).is_some_and(|a| a.tasks.get(at).is_some_and(|t| !t.when.is_empty()))
        };
        let (this, later) = (&task.jobs[position], &task.jobs[position + 1..]);
        counts(this) && later.iter().all(|job| !counts(job) || conditional(job))
    }

    /// What the task's Job reports.
    fn outcome(&self, index: usize, at: (i32, usize), task: &str, asked: &Asked) -> Result<Outcome, Invalid> {
        match task {
            GET_ACTION => Ok(self.chosen(index)),
            EVALUATION => self.judged(index, at, asked),
            _ => Ok(plain(&asked.answer)),
        }
    }

    /// A Job that answers get-action decides as the operator would.
    fn chosen(&self, index: usize) -> Outcome {
        let status = self.runs[index].status();
        let pinned = status.plan.and_then(|p| p.remediation).unwrap_or_default();
        get_action::outcome(&pinned, &status.payload.unwrap_or_default())
    }

    /// A Job that answers evaluation reports what an Evaluation would.
    fn judged(&self, index: usize, at: (i32, usize), asked: &Asked) -> Result<Outcome, Invalid> {
        if asked.answer.says == Says::Inconclusive {
            return Ok(Outcome::errored("Inconclusive", "it could not be measured"));
        }
        let (run, status) = (&self.runs[index].object, self.runs[index].status());
        let window = match asked::plan_window(run, &status, at.1, self.now) {
            Ok(plan) => plan.window,
            Err(message) => return Ok(Outcome::errored("InvalidWindow", message)),
        };
        let Some(evaluation) = asked::evaluation(run, &status, at.1, "simulated", window) else {
            return Ok(plain(&asked.answer));
        };
        let siblings = self.siblings(&evaluation);
        let verdict = verdict::status(&evaluation, &asked.answer, &asked.path, &siblings, self.now)?;
        Ok(asked::outcome(&evaluation, &verdict))
    }
}

/// The image and the command, with the values of its variables.
fn spelled(job: &JobReport) -> String {
    let mut text = job.image.clone();
    for word in &job.command {
        text.push(' ');
        text.push_str(word);
    }
    for (name, value) in &job.env {
        text = text.replace(&format!("$({name})"), value);
    }
    text
}

fn plain(answer: &Answer) -> Outcome {
    Outcome {
        verdict: match answer.says {
            Says::Pass | Says::Indicators(_) => Verdict::Pass,
            Says::Warning => Verdict::Warning,
            Says::Fail | Says::Errored | Says::Inconclusive => Verdict::Fail,
        },
        errored: answer.says == Says::Errored,
        message: answer.message.clone(),
        data: answer.data.clone(),
        ..Outcome::default()
    }
}

/// The Job, and the pod and the condition with which it ends.
fn played(mut job: Job, now: Timestamp, ends_at: Timestamp, outcome: &Outcome) -> Result<Played, String> {
    let name = job.metadata.name.clone().unwrap_or_default();
    let uid = format!("uid-{name}");
    job.metadata.uid = Some(uid.clone());
    job.metadata.creation_timestamp = Some(Time(now));
    // A container that succeeded and has nothing to say, says nothing.
    let says = outcome.verdict != Verdict::Pass || !outcome.message.is_empty() || !outcome.data.is_empty();
    let message = says.then(|| result::report(outcome)).transpose()?;
    let code = i32::from(outcome.errored);
    let terminated = ContainerStateTerminated {
        exit_code: code,
        message,
        started_at: Some(Time(now)),
        finished_at: Some(Time(ends_at)),
        ..ContainerStateTerminated::default()
    };
    let pod = Pod {
        metadata: ObjectMeta {
            name: Some(format!("{name}-pod")),
            namespace: job.metadata.namespace.clone(),
            owner_references: Some(vec![OwnerReference {
                api_version: "batch/v1".to_owned(),
                kind: "Job".to_owned(),
                name: name.clone(),
                uid,
                controller: Some(true),
                ..OwnerReference::default()
            }]),
            ..ObjectMeta::default()
        },
        status: Some(PodStatus {
            container_statuses: Some(vec![ContainerStatus {
                name: CONTAINER.to_owned(),
                state: Some(ContainerState {
                    terminated: Some(terminated),
                    ..ContainerState::default()
                }),
                ..ContainerStatus::default()
            }]),
            ..PodStatus::default()
        }),
        ..Pod::default()
    };
    let condition = JobCondition {
        type_: if code == 0 { "Complete" } else { "Failed" }.to_owned(),
        status: "True".to_owned(),
        reason: (code != 0).then(|| "BackoffLimitExceeded".to_owned()),
        last_transition_time: Some(Time(ends_at)),
        ..JobCondition::default()
    };
    let end = KubeJobStatus {
        conditions: Some(vec![condition]),
        ..KubeJobStatus::default()
    };
    Ok(Played {
        name,
        ends_at,
        job,
        pod,
        end,
    })
}
