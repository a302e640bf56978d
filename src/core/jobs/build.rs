//! From one task of an action to the Kubernetes Job that does it.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::{
        batch::v1::{Job, JobSpec},
        core::v1::{
            Container, EmptyDirVolumeSource, PodSpec, PodTemplateSpec, ResourceRequirements, SecurityContext,
            Volume, VolumeMount,
        },
    },
    apimachinery::pkg::{
        api::resource::Quantity,
        apis::meta::v1::{ObjectMeta, OwnerReference},
    },
};
use kube::Resource;
use serde_json::Value;

pub use super::error::JobError;
use super::{
    brief,
    checked::Checked,
    env::{self, Environment},
    fetch,
    files::{self, Files, Problem},
    placement,
};
use crate::{
    api::{
        Duration, SequenceExecution,
        execution::PinnedJobConfig,
        jobconfig::{ImagePullPolicy, JobAction, JobTask, ResourceAmounts, Resources},
        shipyard::Task,
    },
    core::{Invalid, labels, names, place::Place},
};

/// The name of the container that does the work.
pub const CONTAINER: &str = "task";
/// Where files are mounted.
pub const FILES_DIR: &str = "/keptn";
/// How long a Job may take when nothing else is said.
pub const TIMEOUT_DEFAULT: Duration = Duration::from_secs(600);
/// The shortest time, in seconds, that a finished Job is kept: its end must not be overlooked during a restart.
const TTL_MIN: i32 = 600;
const TTL_DEFAULT: i32 = 21_600;
/// A bound for what Jobs write to `/tmp`, so that one can't fill its node.
const TMP_SIZE: &str = "1Gi";
/// The most bytes of what an annotation tells of labels.
const LEFT_OUT_MAX: usize = 1024;

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

fn first(input: &JobInput, wrong: &[Invalid]) -> JobError {
    let unknown = Invalid::new("task", "it can't be read");
    JobError::invalid(input, wrong.first().unwrap_or(&unknown))
}

/// The name of the action's task; empty when there is none.
pub(super) fn title(input: &JobInput) -> String {
    let task = action(input).and_then(|action| action.tasks.get(input.job_index));
    task.map(|task| task.name.clone()).unwrap_or_default()
}

fn action<'a>(input: &JobInput<'a>) -> Option<&'a JobAction> {
    input.config.actions.get(input.action_index)
}

fn job_key<'a>(input: &JobInput<'a>) -> names::JobKey<'a> {
    names::JobKey {
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
    names::job_name(&input.execution.spec.service, &input.task.name, &job_key(input))
}

/// The value of the Job's annotation [`labels::KEY`].
pub fn key(input: &JobInput) -> String {
    job_key(input).to_string()
}

/// How long the Job may take: its own `timeout`, else its `maxPollDuration`, else the sequence's task's `timeout`, else
/// [`TIMEOUT_DEFAULT`].
pub fn timeout(job: &JobTask, task: &Task) -> Duration {
    let v1_s = job
        .max_poll_duration
        .and_then(|secs| u64::try_from(secs).ok())
        .filter(|secs| *secs > 0);
    job.timeout
        .or(v1_s.map(Duration::from_secs))
        .or(task.timeout)
        .unwrap_or(TIMEOUT_DEFAULT)
}

/// Whether [`build`] reads more of the event's data than its labels.
pub fn reads_data(task: &JobTask) -> bool {
    let mut env = task.env.iter().flatten();
    env.any(|entry| entry.value_from == "event")
}

/// The Job: one pod, one container, no retries of its own.
pub fn build(input: &JobInput) -> Result<Job, JobError> {
    let task = action(input)
        .and_then(|action| action.tasks.get(input.job_index))
        .ok_or_else(|| JobError::NoSuchJob {
            config: input.config.name.clone(),
            action: input.action_index,
            job: input.job_index,
        })?;
    let namespace = input.execution.metadata.namespace.clone().unwrap_or_default();
    let checked = Checked::read(task, &namespace).map_err(|wrong| first(input, &wrong))?;
    let env = env::environment(input, &checked.env)?;
    let files = files_of(input.execution, input.config, task)?;
    let seconds = timeout(task, input.task).0.as_secs().max(1);
    Ok(Job {
        metadata: ObjectMeta {
            name: Some(name(input)),
            namespace: input.execution.metadata.namespace.clone(),
            labels: Some(labels(input, task)),
            annotations: Some(annotations(input, &files, &env.left_out)),
            owner_references: Some(vec![owner(input.execution)]),
            ..ObjectMeta::default()
        },
        spec: Some(JobSpec {
            active_deadline_seconds: Some(i64::try_from(seconds).unwrap_or(i64::MAX)),
            backoff_limit: Some(0),
            completions: Some(1),
            parallelism: Some(1),
            pod_replacement_policy: Some("Failed".to_owned()),
            template: pod(input, checked, files, env)?,
            ttl_seconds_after_finished: Some(
                task.ttl_seconds_after_finished
                    .unwrap_or(TTL_DEFAULT)
                    .max(TTL_MIN),
            ),
            ..JobSpec::default()
        }),
        status: None,
    })
}

/// Without `blockOwnerDeletion`: setting it needs a right on the execution's finalizers, and garbage collection deletes
/// the Job all the same.
fn owner(execution: &SequenceExecution) -> OwnerReference {
    OwnerReference {
        api_version: SequenceExecution::api_version(&()).into_owned(),
        kind: SequenceExecution::kind(&()).into_owned(),
        name: execution.metadata.name.clone().unwrap_or_default(),
        uid: execution.metadata.uid.clone().unwrap_or_default(),
        controller: Some(true),
        block_owner_deletion: None,
    }
}

/// The task's labels and ours, which the task's can't replace.
fn labels(input: &JobInput, task: &JobTask) -> BTreeMap<String, String> {
    let spec = &input.execution.spec;
    let execution = input.execution.metadata.name.clone().unwrap_or_default();
    let ours = [
        (labels::MANAGED_BY, labels::COXSWAIN.to_owned()),
        (labels::EXECUTION, execution),
        (
            labels::CONTEXT,
            crate::core::sequence::context_of(input.execution),
        ),
        (labels::PROJECT, spec.project.clone()),
        (labels::STAGE, spec.stage.clone()),
        (labels::SERVICE, spec.service.clone()),
        (labels::TASK, input.task.name.clone()),
        (labels::ATTEMPT, input.attempt.to_string()),
    ];
    let ours = ours
        .into_iter()
        .map(|(key, value)| (key.to_owned(), labels::value(&value)));
    task.labels
        .clone()
        .unwrap_or_default()
        .into_iter()
        .chain(ours)
        .collect()
}

/// The Job's annotations: whose Job it is, which revisions its files come from, and which labels of the event it does not
/// see.
fn annotations(input: &JobInput, files: &Files, left_out: &[String]) -> BTreeMap<String, String> {
    let mut annotations = BTreeMap::from([(labels::KEY.to_owned(), key(input))]);
    if let Some(plan) = &files.fetch {
        let revisions = plan
            .artifacts
            .iter()
            .map(|a| format!("{} {}", a.source, a.digest));
        annotations.insert(
            labels::REVISIONS.to_owned(),
            revisions.collect::<Vec<_>>().join(", "),
        );
    }
    if !left_out.is_empty() {
        let told = brief(&left_out.join(", "), LEFT_OUT_MAX);
        annotations.insert(labels::LEFT_OUT.to_owned(), told);
    }
    annotations
}

/// Whether a task can have its files, before its Job is made.
///
/// # Errors
/// What is missing, or not usable.
pub fn files_problem(
    execution: &SequenceExecution,
    config: &PinnedJobConfig,
    task: &JobTask,
) -> Result<(), JobError> {
    files_of(execution, config, task).map(drop)
}

/// What the task's files come to.
fn files_of(
    execution: &SequenceExecution,
    config: &PinnedJobConfig,
    task: &JobTask,
) -> Result<Files, JobError> {
    let spec = &execution.spec;
    let (name, job) = (config.name.clone(), task.name.clone());
    let place = match Place::new(&spec.project, &spec.stage, &spec.service) {
        Ok(place) => place,
        Err(problem) => {
            let problem = problem.to_string();
            return Err(JobError::Invalid {
                config: name,
                job,
                problem,
            });
        }
    };
    let files = task.files.as_deref().unwrap_or_default();
    files::of_task(files, config, &place).map_err(|problem| match problem {
        Problem::Missing(problem) => JobError::Files {
            config: name,
            job,
            problem,
        },
        Problem::Source(problem) => JobError::Source {
            config: name,
            job,
            problem,
        },
    })
}

fn pod(
    input: &JobInput,
    checked: Checked,
    files: Files,
    env: Environment,
) -> Result<PodTemplateSpec, JobError> {
    let task = checked.task;
    let tmp = EmptyDirVolumeSource {
        size_limit: Some(Quantity(TMP_SIZE.to_owned())),
        medium: None,
    };
    let mut volumes = vec![Volume {
        name: "tmp".to_owned(),
        empty_dir: Some(tmp),
        ..Volume::default()
    }];
    let mut mounts = vec![mount("tmp", "/tmp", false)];
    let init = fetch::mount(files, &input.config.files.image, &mut volumes, &mut mounts);
    let init = init.map_err(|problem| JobError::source(input, problem))?;
    volumes.extend(checked.volumes);
    mounts.extend(checked.mounts);
    let mut annotations = task.annotations.clone().unwrap_or_default();
    annotations.insert(labels::KEY.to_owned(), key(input));
    let mut pod = PodSpec {
        containers: vec![container(task, checked.security, env, mounts)],
        init_containers: init.map(|init| vec![init]),
        volumes: Some(volumes),
        restart_policy: Some("Never".to_owned()),
        service_account_name: task.service_account.clone(),
        automount_service_account_token: Some(task.service_account.is_some()),
        enable_service_links: Some(false),
        ..PodSpec::default()
    };
    placement::place(&mut pod, task, checked.affinity);
    Ok(PodTemplateSpec {
        metadata: Some(ObjectMeta {
            labels: Some(labels(input, task)),
            annotations: Some(annotations),
            ..ObjectMeta::default()
        }),
        spec: Some(pod),
    })
}

pub(super) fn mount(volume: &str, path: &str, read_only: bool) -> VolumeMount {
    VolumeMount {
        name: volume.to_owned(),
        mount_path: path.to_owned(),
        read_only: read_only.then_some(true),
        ..VolumeMount::default()
    }
}

fn container(
    task: &JobTask,
    security: SecurityContext,
    env: Environment,
    mounts: Vec<VolumeMount>,
) -> Container {
    Container {
        name: CONTAINER.to_owned(),
        image: Some(task.image.clone()),
        image_pull_policy: task
            .image_pull_policy
            .map(|policy| pull_policy(policy).to_owned()),
        command: task.cmd.clone(),
        args: task.args.clone(),
        working_dir: task.working_dir.clone(),
        env: Some(env.variables),
        env_from: (!env.secrets.is_empty()).then_some(env.secrets),
        resources: Some(resources(task.resources.as_ref())),
        security_context: Some(security),
        // A failed container that wrote no message shows the end of its log instead.
        termination_message_policy: Some("FallbackToLogsOnError".to_owned()),
        volume_mounts: Some(mounts),
        ..Container::default()
    }
}

fn pull_policy(policy: ImagePullPolicy) -> &'static str {
    match policy {
        ImagePullPolicy::Always => "Always",
        ImagePullPolicy::IfNotPresent => "IfNotPresent",
        ImagePullPolicy::Never => "Never",
    }
}

/// A task's `resources` replace all of the defaults.
fn resources(own: Option<&Resources>) -> ResourceRequirements {
    let amounts = |cpu: Option<&str>, memory: Option<&str>| {
        let given = [("cpu", cpu), ("memory", memory)];
        let given = given
            .into_iter()
            .filter_map(|(name, amount)| Some((name.to_owned(), Quantity(amount?.to_owned()))));
        let amounts: BTreeMap<_, _> = given.collect();
        (!amounts.is_empty()).then_some(amounts)
    };
    let of = |own: Option<&ResourceAmounts>| {
        own.and_then(|own| amounts(own.cpu.as_deref(), own.memory.as_deref()))
    };
    let (limits, requests) = match own {
        Some(own) => (of(own.limits.as_ref()), of(own.requests.as_ref())),
        None => (
            amounts(Some("1"), Some("512Mi")),
            amounts(Some("50m"), Some("128Mi")),
        ),
    };
    ResourceRequirements {
        limits,
        requests,
        claims: None,
    }
}
