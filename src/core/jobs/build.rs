//! From one task of an action to the Kubernetes Job that does it.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::{
        batch::v1::{Job, JobSpec},
        core::v1::{
            Container, EmptyDirVolumeSource, PodSpec, PodTemplateSpec, ResourceRequirements, Volume,
            VolumeMount,
        },
    },
    apimachinery::pkg::{api::resource::Quantity, apis::meta::v1::ObjectMeta},
};
use kube::Resource;
use serde_json::Value;
use thiserror::Error;

use super::{env, files, security};
use crate::{
    api::{
        Duration, SequenceExecution,
        execution::PinnedJobConfig,
        jobconfig::{JobAction, JobTask, ResourceAmounts},
        shipyard::Task,
    },
    core::{
        labels,
        names::{self, JobKey},
    },
};

/// The name of the container that does the work.
pub const CONTAINER: &str = "task";

/// What a Job is made from.
#[derive(Clone, Copy, Debug)]
pub struct JobInput<'a> {
    /// The run.
    pub execution: &'a SequenceExecution,
    /// The attempt, from 1.
    pub attempt: i32,
    /// The sequence's task.
    pub task: &'a Task,
    /// The sequence's task, by its index.
    pub task_index: usize,
    /// The JobConfig that answers.
    pub config: &'a PinnedJobConfig,
    /// The action, by its index in `config.actions`.
    pub action_index: usize,
    /// The action's part of the key: [`super::matching::Matched::index`].
    pub key_index: usize,
    /// The action's Job, by its index in its `tasks`.
    pub job_index: usize,
    /// The try, from 1.
    pub try_: i32,
    /// The task's event, from [`crate::core::event::triggered`].
    pub event: &'a Value,
}

/// Why a Job can't be made; the task ends errored before anything starts.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub enum JobError {
    /// A JSONPath that finds nothing, or can't be read.
    #[error("environment variable {name} of {job:?}: {problem}")]
    Env {
        /// The variable.
        name: String,
        /// The JobConfig's task.
        job: String,
        /// What is wrong, and the remedy.
        problem: String,
    },
    /// A file that no source provides, or a path that is refused.
    #[error("file {path:?} of {job:?}: {problem}")]
    File {
        /// The file.
        path: String,
        /// The JobConfig's task.
        job: String,
        /// What is wrong, and the remedy.
        problem: String,
    },
    /// A field that Coxswain refuses.
    #[error("{field} of {job:?}: {problem}")]
    Refused {
        /// The field.
        field: String,
        /// The JobConfig's task.
        job: String,
        /// What is wrong, and the remedy.
        problem: String,
    },
}

impl JobError {
    /// The reason, in a word.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Env { .. } => "InvalidEnv",
            Self::File { .. } => "InvalidFile",
            Self::Refused { .. } => "Refused",
        }
    }
}

/// The Job's key.
pub fn key<'k>(input: &JobInput<'k>) -> JobKey<'k> {
    JobKey {
        execution_uid: input.execution.metadata.uid.as_deref().unwrap_or_default(),
        attempt: input.attempt,
        task: input.task_index,
        action: input.key_index,
        job: input.job_index,
        try_: input.try_,
    }
}

/// The name that [`build`] gives the Job.
pub fn name(input: &JobInput) -> String {
    names::job_name(&input.execution.spec.service, &input.task.name, &key(input))
}

/// How long the Job may take: its own `maxPollDuration`, else the sequence's task's `timeout`, else 10m.
pub fn timeout(job: &JobTask, task: &Task) -> Duration {
    match job
        .max_poll_duration
        .and_then(|seconds| u64::try_from(seconds).ok())
    {
        Some(seconds) => Duration::from_secs(seconds),
        None => task.timeout.unwrap_or(Duration::from_secs(600)),
    }
}

/// The Job.
pub fn build(input: &JobInput) -> Result<Job, JobError> {
    let job = task_of(input)?;
    let seconds = i64::try_from(timeout(job, input.task).0.as_secs().max(1)).unwrap_or(i64::MAX);
    let labels = labels_of(input);
    let ttl = job.ttl_seconds_after_finished.unwrap_or(TTL_DEFAULT).max(TTL_MIN);
    Ok(Job {
        metadata: ObjectMeta {
            name: Some(name(input)),
            namespace: input.execution.metadata.namespace.clone(),
            labels: Some(labels.clone()),
            annotations: Some(BTreeMap::from([(labels::KEY.to_owned(), key(input).to_string())])),
            owner_references: input.execution.controller_owner_ref(&()).map(|owner| vec![owner]),
            ..ObjectMeta::default()
        },
        spec: Some(JobSpec {
            completions: Some(1),
            parallelism: Some(1),
            backoff_limit: Some(0),
            active_deadline_seconds: Some(seconds),
            pod_replacement_policy: Some("Failed".to_owned()),
            ttl_seconds_after_finished: Some(ttl),
            template: PodTemplateSpec {
                metadata: Some(ObjectMeta {
                    labels: Some(labels),
                    annotations: job.annotations.clone(),
                    ..ObjectMeta::default()
                }),
                spec: Some(pod(input, job)?),
            },
            ..JobSpec::default()
        }),
        status: None,
    })
}

const TTL_MIN: i32 = 600;
const TTL_DEFAULT: i32 = 21_600;

fn task_of<'a>(input: &JobInput<'a>) -> Result<&'a JobTask, JobError> {
    let action = input.config.actions.get(input.action_index);
    action
        .and_then(|a: &JobAction| a.tasks.get(input.job_index))
        .ok_or_else(|| JobError::Refused {
            field: "tasks".to_owned(),
            job: input.config.name.clone(),
            problem: format!("action {} has no task {}", input.action_index, input.job_index),
        })
}

fn labels_of(input: &JobInput) -> BTreeMap<String, String> {
    let spec = &input.execution.spec;
    let name = input.execution.metadata.name.as_deref().unwrap_or_default();
    let attempt = input.attempt.to_string();
    let set = [
        (labels::MANAGED_BY, labels::COXSWAIN),
        (labels::EXECUTION, name),
        (labels::PROJECT, &spec.project),
        (labels::STAGE, &spec.stage),
        (labels::SERVICE, &spec.service),
        (labels::TASK, &input.task.name),
        (labels::ATTEMPT, &attempt),
    ];
    set.into_iter()
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

fn pod(input: &JobInput, job: &JobTask) -> Result<PodSpec, JobError> {
    let tmp = Volume {
        name: "tmp".to_owned(),
        empty_dir: Some(EmptyDirVolumeSource::default()),
        ..Volume::default()
    };
    let mut volumes = vec![tmp];
    let mut mounts = vec![mount("tmp", "/tmp", false)];
    if let Some(files) = files::volume(input.config, job)? {
        mounts.push(mount(&files.name, "/keptn", true));
        volumes.push(files);
    }
    let own = input.execution.metadata.namespace.as_deref().unwrap_or_default();
    if let Some(other) = job.namespace.as_deref().filter(|n| *n != own) {
        return Err(JobError::Refused {
            field: "namespace".to_owned(),
            job: job.name.clone(),
            problem: format!(
                "{other:?} is another namespace; Jobs run in the run's own, {own:?}: remove the field"
            ),
        });
    }
    Ok(PodSpec {
        containers: vec![Container {
            name: CONTAINER.to_owned(),
            image: Some(job.image.clone()),
            image_pull_policy: job.image_pull_policy.map(|p| format!("{p:?}")),
            command: job.cmd.clone(),
            args: job.args.clone(),
            working_dir: job.working_dir.clone(),
            env: Some(env::variables(input, job)?),
            env_from: env::secrets(job),
            resources: Some(resources(job)),
            security_context: Some(security::context(job)?),
            termination_message_policy: Some("FallbackToLogsOnError".to_owned()),
            volume_mounts: Some(mounts),
            ..Container::default()
        }],
        restart_policy: Some("Never".to_owned()),
        service_account_name: job.service_account.clone(),
        automount_service_account_token: Some(job.service_account.is_some()),
        enable_service_links: Some(false),
        volumes: Some(volumes),
        ..PodSpec::default()
    })
}

fn mount(name: &str, path: &str, read_only: bool) -> VolumeMount {
    VolumeMount {
        name: name.to_owned(),
        mount_path: path.to_owned(),
        read_only: Some(read_only),
        ..VolumeMount::default()
    }
}

/// The task's resources, or v1's defaults.
fn resources(job: &JobTask) -> ResourceRequirements {
    let amounts = |amounts: Option<&ResourceAmounts>, cpu: &str, memory: &str| {
        let defaults = ResourceAmounts {
            cpu: Some(cpu.to_owned()),
            memory: Some(memory.to_owned()),
        };
        let given = if job.resources.is_some() {
            amounts.cloned().unwrap_or_default()
        } else {
            defaults
        };
        [("cpu", given.cpu), ("memory", given.memory)]
            .into_iter()
            .filter_map(|(name, amount)| Some((name.to_owned(), Quantity(amount?))))
            .collect::<BTreeMap<_, _>>()
    };
    let given = job.resources.as_ref();
    ResourceRequirements {
        limits: Some(amounts(given.and_then(|r| r.limits.as_ref()), "1", "512Mi")),
        requests: Some(amounts(given.and_then(|r| r.requests.as_ref()), "50m", "128Mi")),
        ..ResourceRequirements::default()
    }
}
