//! `coxswain task`: the operator's own tasks, as Jobs.
//!
//! Such a Job reads its own SequenceExecution and answers from what is pinned there, so it and the operator can't come
//! to different conclusions, and it needs no right to read any definition.

mod evaluation;

use std::{path::PathBuf, process::ExitCode};

use anyhow::Context as _;
use kube::{Api, Client};
use tokio::signal::unix::{SignalKind, signal};

use crate::{
    api::SequenceExecution,
    core::{
        jobs::result::{self, Outcome},
        remediation::get_action,
        sequence::{
            GET_ACTION,
            own::{self, Own},
        },
    },
    facts::{READ_TIMEOUT, clock::Clock},
};

/// Answers a task of a run in place of the operator, inside a Job that the operator started. What came of it is the
/// container's termination message. Exit code 0: there is a result; 1: there is none, and the last line says why.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, clap::Subcommand)]
enum Task {
    /// Choose the next action for the problem
    ///
    /// Needs the right to get sequenceexecutions.
    GetAction(Place),
    /// Create an Evaluation, and wait for its verdict
    ///
    /// Needs the rights to get sequenceexecutions, and to create, get and watch evaluations. When nothing can be measured
    /// it asks again, as the operator would, until shortly before the Job's deadline; then it ends with exit code 1 and
    /// the reason Inconclusive, and no further action is tried.
    Evaluation(Place),
}

/// Which Job this is. The operator tells every Job by its environment.
#[derive(Debug, clap::Args)]
struct Place {
    /// The SequenceExecution's name.
    #[arg(long, env = "COXSWAIN_EXECUTION")]
    execution: String,
    /// The Job's key: <execution uid>/<attempt>/<task>/<action>/<job>/<try>.
    #[arg(long, env = "COXSWAIN_KEY")]
    key: String,
    /// The namespace. Default: the service account's, or the kubeconfig's.
    #[arg(long, short)]
    namespace: Option<String>,
    /// The file that is the container's termination message.
    #[arg(long, default_value = "/dev/termination-log")]
    termination_log: PathBuf,
}

/// A Job of the operator's own image at work.
pub struct Worker {
    /// A client with the service account's rights.
    pub client: Client,
    /// What time it is.
    pub clock: Clock,
    /// The namespace.
    pub namespace: String,
    /// The SequenceExecution's name.
    pub execution: String,
    /// The Job's key.
    pub key: String,
}

impl Worker {
    /// Chooses the next action. One without a result is errored.
    pub async fn get_action(&self) -> Outcome {
        let answer = self.choose().await;
        answer.unwrap_or_else(|error| Outcome::errored("GetActionFailed", format!("{error:#}")))
    }

    /// Asks for a verdict and waits for it. One without a verdict is errored.
    pub async fn evaluation(&self) -> Outcome {
        let answer = evaluation::answer(self).await;
        answer.unwrap_or_else(|error| Outcome::errored(evaluation::INCONCLUSIVE, format!("{error:#}")))
    }

    async fn choose(&self) -> anyhow::Result<Outcome> {
        let (run, _) = self.place(GET_ACTION).await?;
        let status = run.status.unwrap_or_default();
        let pinned = status.plan.and_then(|p| p.remediation);
        let pinned = pinned.with_context(|| {
            format!(
                "SequenceExecution {} has no pinned remediation in status.plan",
                self.execution
            )
        })?;
        Ok(get_action::outcome(&pinned, &status.payload.unwrap_or_default()))
    }

    /// The run, read live, and where in it this Job stands.
    async fn place(&self, wanted: &'static str) -> anyhow::Result<(SequenceExecution, Own)> {
        let api = Api::<SequenceExecution>::namespaced(self.client.clone(), &self.namespace);
        let read = tokio::time::timeout(READ_TIMEOUT, api.get(&self.execution)).await;
        let run = read
            .with_context(|| format!("the API server did not answer within {READ_TIMEOUT:?}"))
            .and_then(|found| Ok(found?))
            .with_context(|| format!("reading SequenceExecution {}/{}", self.namespace, self.execution))?;
        let own = own::find(&run, &self.key, wanted)?;
        Ok((run, own))
    }
}

/// Answers, and leaves the answer where the kubelet reads it.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let (Task::GetAction(place) | Task::Evaluation(place)) = &args.task;
    let log = place.termination_log.clone();
    // As a container's first process it would not end on SIGTERM by itself.
    let mut terminate = signal(SignalKind::terminate()).context("listening for SIGTERM")?;
    let outcome = tokio::select! {
        outcome = work(&args.task) => outcome,
        _ = terminate.recv() => Outcome::errored("Stopped", "the Job was told to stop before it had a result"),
    };
    let (outcome, report) = match result::report(&outcome) {
        Ok(report) => (outcome, report),
        Err(too_long) => {
            let outcome = Outcome::errored("ReportTooLong", too_long);
            let report = result::report(&outcome).unwrap_or_default();
            (outcome, report)
        }
    };
    std::fs::write(&log, report).with_context(|| {
        format!(
            "writing {}; outside of a container name another file with --termination-log",
            log.display()
        )
    })?;
    if outcome.errored {
        anyhow::bail!("{}", outcome.message);
    }
    println!("{}: {}", outcome.verdict.as_str(), outcome.message);
    Ok(ExitCode::SUCCESS)
}

async fn work(task: &Task) -> Outcome {
    let (Task::GetAction(place) | Task::Evaluation(place)) = task;
    let worker = match Client::try_default().await {
        Ok(client) => Worker {
            namespace: place
                .namespace
                .clone()
                .unwrap_or_else(|| client.default_namespace().to_owned()),
            client,
            clock: Clock::System,
            execution: place.execution.clone(),
            key: place.key.clone(),
        },
        Err(error) => {
            let message = format!(
                "no way to the API server: {error}. The Job needs a serviceAccount in its JobConfig, or else it has no token"
            );
            return Outcome::errored("NoApiServer", message);
        }
    };
    match task {
        Task::GetAction(_) => worker.get_action().await,
        Task::Evaluation(_) => worker.evaluation().await,
    }
}
