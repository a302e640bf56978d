//! `coxswain approve|reject|pause|resume|abort|retry|skip`: what people say to runs and questions.
//!
//! What is asked is decided on the object as it was read, and written only onto that: who changed it in between is not
//! overwritten, and a command that is given twice counts once.

mod answer;
mod wish;

use std::future::Future;

use anyhow::{Context as _, bail};
use jiff::Timestamp;
use kube::ResourceExt;
use serde_json::Value;

use super::{
    cluster::{Cluster, Connect, Object},
    files::print_text,
    program,
    refer::{self, Ref, What},
    trouble::{named, write_failed},
};
use crate::{
    api::{Approval, SequenceExecution, approval::Choice, execution::RetryFrom},
    effects::Effects,
};
pub use answer::answer;
pub use wish::{Wish, decide};

/// How often a change is decided anew because somebody else was faster.
const TRIES: usize = 5;

/// What is to be written, and what is told.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// The merge patch; none when all is so already.
    pub patch: Option<Value>,
    /// What was done, and what happens next.
    pub says: String,
}

/// The run, or v1's way to name it.
#[derive(Clone, Debug, clap::Args)]
pub struct Target {
    /// The run, as NAME or se/NAME; or pe/NAME, dl/NAME: its newest run; or `sequence` with --keptn-context, as in Keptn.
    #[arg(value_name = "RUN", value_parser = Ref::parse)]
    named: Ref,
    /// All open runs of this flow, as `keptn abort sequence` names it.
    #[arg(long, value_name = "CONTEXT")]
    keptn_context: Option<String>,
    /// With --keptn-context: only runs of this project.
    #[arg(long, requires = "keptn_context")]
    project: Option<String>,
    /// With --keptn-context: only runs of this stage.
    #[arg(long, requires = "keptn_context")]
    stage: Option<String>,
    #[command(flatten)]
    connect: Connect,
}

/// Pause, resume or abort.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    target: Target,
}

/// Runs an ended run again, as a new run in the same flow.
#[derive(Clone, Debug, clap::Args)]
pub struct RetryArgs {
    #[command(flatten)]
    target: Target,
    /// From where: its start, or the task that failed, with what those before it reported.
    #[arg(long, value_enum, default_value_t = From::Start)]
    from: From,
    /// Names the wish: each counts once. Default: the time of day.
    #[arg(long)]
    id: Option<String>,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum From {
    /// The first task, with the data that the run was started with.
    Start,
    /// The task that failed.
    FailedTask,
}

/// Makes a task of the current attempt count as passed; its Job is stopped.
#[derive(Clone, Debug, clap::Args)]
pub struct SkipArgs {
    #[command(flatten)]
    target: Target,
    /// The task. Default: the current one.
    #[arg(long)]
    task: Option<String>,
    /// Why; it stands in the run for good.
    #[arg(long)]
    reason: String,
}

/// Answers a question; the first answer decides.
#[derive(Clone, Debug, clap::Args)]
pub struct AnswerArgs {
    /// The Approval, as NAME or ap/NAME; or the run that waits for it, as NAME or se/NAME, pe/NAME, dl/NAME.
    #[arg(value_name = "APPROVAL|RUN", value_parser = Ref::parse)]
    named: Ref,
    /// Why.
    #[arg(long)]
    reason: Option<String>,
    #[command(flatten)]
    connect: Connect,
}

/// `pause`.
pub async fn pause(args: Args) -> anyhow::Result<()> {
    say(&args.target, |_| Wish::Pause).await
}

/// `resume`.
pub async fn resume(args: Args) -> anyhow::Result<()> {
    say(&args.target, |_| Wish::Resume).await
}

/// `abort`.
pub async fn abort(args: Args) -> anyhow::Result<()> {
    say(&args.target, |_| Wish::Abort).await
}

/// `retry`.
pub async fn retry(args: RetryArgs) -> anyhow::Result<()> {
    let stamp: String = Timestamp::now()
        .to_string()
        .chars()
        .filter(char::is_ascii_digit)
        .take(14)
        .collect();
    let id = args.id.unwrap_or(stamp);
    let from = match args.from {
        From::Start => RetryFrom::Start,
        From::FailedTask => RetryFrom::FailedTask,
    };
    say(&args.target, |_| Wish::Retry { id: id.clone(), from }).await
}

/// `skip`.
pub async fn skip(args: SkipArgs) -> anyhow::Result<()> {
    let cluster = args.target.connect.open().await?;
    let by = cluster.whoami().await?;
    let wish = Wish::Skip {
        task: args.task.clone(),
        reason: args.reason.clone(),
        by,
    };
    tell(&cluster, &args.target, &wish).await
}

/// `approve` and `reject`.
pub async fn answered(args: AnswerArgs, choice: Choice) -> anyhow::Result<()> {
    let cluster = args.connect.open().await?;
    let me = cluster.whoami().await?;
    let said = respond(
        &cluster,
        &args.named,
        &me,
        choice,
        args.reason.as_deref(),
        Timestamp::now(),
    )
    .await?;
    print_text(&format!("{said}\n"))
}

/// Answers the question that is meant, in the name of `me`; what is told.
pub async fn respond(
    cluster: &Cluster,
    named: &Ref,
    me: &str,
    choice: Choice,
    reason: Option<&str>,
    now: Timestamp,
) -> anyhow::Result<String> {
    let name = question(cluster, named).await?;
    change::<Approval>(cluster, &name, |question| {
        answer(question, me, choice, reason, now, program())
    })
    .await
}

async fn say(target: &Target, wish: impl Fn(&Cluster) -> Wish) -> anyhow::Result<()> {
    let cluster = target.connect.open().await?;
    let wish = wish(&cluster);
    tell(&cluster, target, &wish).await
}

async fn tell(cluster: &Cluster, target: &Target, wish: &Wish) -> anyhow::Result<()> {
    let names = match &target.keptn_context {
        None => vec![refer::run(cluster, &target.named).await?.name_any()],
        Some(context) => open_runs(cluster, target, context).await?,
    };
    for name in names {
        let said = control(cluster, &name, wish).await?;
        print_text(&format!("{said}\n"))?;
    }
    Ok(())
}

/// The runs of a flow that a control of v1's speaks of: those that have not ended.
async fn open_runs(cluster: &Cluster, target: &Target, context: &str) -> anyhow::Result<Vec<String>> {
    if target.named.name != "sequence" {
        bail!(
            "--keptn-context: write it as in Keptn, `sequence --keptn-context {context}`, or name one run without it"
        );
    }
    let runs = refer::flow(
        cluster,
        context,
        target.project.as_deref(),
        target.stage.as_deref(),
    )
    .await?;
    let open: Vec<String> = runs
        .iter()
        .filter(|run| !run.status.as_ref().is_some_and(|s| s.done))
        .map(ResourceExt::name_any)
        .collect();
    if open.is_empty() {
        bail!("all runs of the Keptn context {context} have ended");
    }
    Ok(open)
}

/// Asks something of the run of this name; what is told.
pub async fn control(cluster: &Cluster, name: &str, wish: &Wish) -> anyhow::Result<String> {
    change::<SequenceExecution>(cluster, name, |run| decide(run, wish, program())).await
}

/// The Approval that is meant: itself, or the one that a run waits for.
pub async fn question(cluster: &Cluster, named: &Ref) -> anyhow::Result<String> {
    match named.what {
        Some(What::Approval) => return Ok(named.name.clone()),
        None if cluster.peek::<Approval>(&named.name).await.is_some() => return Ok(named.name.clone()),
        _ => {}
    }
    let run = refer::run(cluster, named).await.with_context(|| {
        format!(
            "{}: neither an Approval nor a run; see {} get approvals --live",
            named.name,
            program()
        )
    })?;
    let status = run.status.clone().unwrap_or_default();
    let attempt = status.attempts.last().filter(|_| !status.done);
    let mut tasks = attempt.into_iter().flat_map(|a| &a.tasks);
    let asking = tasks.find(|t| t.finished_at.is_none() && t.approval.is_some());
    match asking.and_then(|t| t.approval.clone()) {
        Some(question) => Ok(question.name),
        None => bail!(
            "{} waits for no answer: it is {}; see {} explain {}",
            named_run(&run),
            if status.phase.is_empty() {
                "Pending"
            } else {
                &status.phase
            },
            program(),
            run.name_any()
        ),
    }
}

fn named_run(run: &SequenceExecution) -> String {
    named(run)
}

/// Reads the object, decides, writes; and again, when somebody else was faster.
async fn change<K: Object>(
    cluster: &Cluster,
    name: &str,
    decide: impl Fn(&K) -> Result<Change, String>,
) -> anyhow::Result<String> {
    let effects = Effects::new(cluster.client.clone());
    change_by(cluster, name, decide, |object, patch| {
        let effects = effects.clone();
        async move { effects.amend(&object, patch).await }
    })
    .await
}

async fn change_by<K: Object, W: Future<Output = Result<K, crate::effects::Error>>>(
    cluster: &Cluster,
    name: &str,
    decide: impl Fn(&K) -> Result<Change, String>,
    write: impl Fn(K, Value) -> W,
) -> anyhow::Result<String> {
    for _ in 0..TRIES {
        let object = cluster.get::<K>(name).await?;
        let Change { patch, says } = decide(&object).map_err(anyhow::Error::msg)?;
        let Some(patch) = patch else { return Ok(says) };
        match write(object, patch).await {
            Ok(_) => return Ok(says),
            Err(error) if error.is_conflict() => {}
            Err(error) => return Err(write_failed::<K>("patch", &cluster.namespace, error)),
        }
    }
    bail!(
        "{} {name} is changed all the time: nothing was written in {TRIES} tries; try again",
        K::kind(&())
    )
}
