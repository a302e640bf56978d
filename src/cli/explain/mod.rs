//! `coxswain explain`: one screen. What happened, why the run waits or how it failed, what comes next, where to look and
//! what to type.

mod advice;
mod ended;
mod live;
mod story;
#[cfg(test)]
mod tests;

use std::fmt::Write as _;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ConfigMap, Event, Namespace, Pod};
use kube::{Api, ResourceExt, api::ListParams};

use super::{
    cluster::{Cluster, Connect},
    files::print_text,
    paint::{self, BOLD, DIM, between, painted, phase_colour},
    program,
    refer::{self, Ref},
    tree,
};
use crate::{
    api::{Approval, Evaluation, SequenceExecution, execution::TaskStatus},
    core::labels,
    facts::holds::{HOLD_CONFIG_MAP, HOLD_LABEL},
};
pub use advice::Advice;

/// Says why a run waits or failed.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// The run, as NAME or se/NAME; or pe/NAME, dl/NAME, ap/NAME: the run that belongs to it.
    #[arg(value_name = "RUN", value_parser = Ref::parse)]
    named: Ref,
    /// The operator's namespace, for the ConfigMap that holds everything.
    #[arg(long, default_value = "coxswain-system", value_name = "NAMESPACE")]
    operator_namespace: String,
    #[command(flatten)]
    connect: Connect,
}

/// What is known; what may not be read is left out.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The run.
    pub run: SequenceExecution,
    /// The question that it waits for.
    pub approval: Option<Approval>,
    /// The Evaluation of its current or last evaluation task.
    pub evaluation: Option<Evaluation>,
    /// The run that has the service.
    pub behind: Option<SequenceExecution>,
    /// The pods of its newest Jobs.
    pub pods: Vec<Pod>,
    /// Warnings about those Jobs and pods, newest first.
    pub warnings: Vec<String>,
    /// Whether the namespace's label holds it.
    pub held_by_namespace: bool,
    /// Whether the installation's ConfigMap holds it.
    pub held_by_installation: bool,
    /// The operator's namespace.
    pub operator_namespace: String,
}

/// Explains.
pub async fn run(args: Args) -> anyhow::Result<()> {
    let cluster = args.connect.open().await?;
    let run = refer::run(&cluster, &args.named).await?;
    let facts = gather(&cluster, run, &args.operator_namespace).await;
    print_text(&render(&facts, Timestamp::now(), program(), paint::on_stdout()))
}

/// The task that is current, or the one that the run ended with.
fn told_task(run: &SequenceExecution) -> Option<&TaskStatus> {
    let attempt = run.status.as_ref()?.attempts.last()?;
    let open = |t: &&TaskStatus| !matches!(t.state.as_str(), "Done" | "Skipped" | "Lost" | "Pending");
    let failed = |t: &&TaskStatus| {
        t.state == "Lost" || t.result.as_deref() == Some("fail") || t.status.as_deref() == Some("errored")
    };
    let tasks = &attempt.tasks;
    let ended = || tasks.iter().rev().find(|t| t.finished_at.is_some());
    tasks
        .iter()
        .find(open)
        .or_else(|| tasks.iter().find(failed))
        .or_else(ended)
}

/// The newest evaluation of any attempt: what an ended run is judged by.
fn newest_evaluation(run: &SequenceExecution) -> Option<String> {
    let attempts = &run.status.as_ref()?.attempts;
    let mut tasks = attempts.iter().rev().flat_map(|a| a.tasks.iter().rev());
    tasks.find_map(|t| t.evaluation.as_ref()).map(|e| e.name.clone())
}

/// Reads what belongs to a run, as far as it may be read.
pub async fn gather(cluster: &Cluster, run: SequenceExecution, operator_namespace: &str) -> Facts {
    let task = told_task(&run).cloned();
    let approval = match task.as_ref().and_then(|t| t.approval.as_ref()) {
        Some(asked) => cluster.peek::<Approval>(&asked.name).await,
        None => None,
    };
    let evaluation = match newest_evaluation(&run) {
        Some(name) => cluster.peek::<Evaluation>(&name).await,
        None => None,
    };
    let waits_for = run
        .status
        .as_ref()
        .map(|s| s.waits_for.clone())
        .unwrap_or_default();
    let behind = match waits_for.strip_prefix("run ") {
        Some(name) => cluster.peek::<SequenceExecution>(name).await,
        None => None,
    };
    let jobs: Vec<String> = task
        .iter()
        .flat_map(|t| &t.jobs)
        .map(|j| j.name.clone())
        .collect();
    let mut pods = Vec::new();
    if !jobs.is_empty() {
        let own = ListParams::default().labels(&format!("{}={}", labels::EXECUTION, run.name_any()));
        pods = cluster.list::<Pod>(false, &own).await.unwrap_or_default();
        pods.retain(|pod| {
            pod.labels()
                .get("batch.kubernetes.io/job-name")
                .is_some_and(|j| jobs.contains(j))
        });
    }
    let about: Vec<String> = pods.iter().map(ResourceExt::name_any).chain(jobs).collect();
    let warnings = if about.is_empty() {
        vec![]
    } else {
        warnings(cluster, &about).await
    };
    let (held_by_namespace, held_by_installation) = if run.status.as_ref().is_some_and(|s| s.phase == "Held")
    {
        holds(cluster, operator_namespace).await
    } else {
        (false, false)
    };
    Facts {
        run,
        approval,
        evaluation,
        behind,
        pods,
        warnings,
        held_by_namespace,
        held_by_installation,
        operator_namespace: operator_namespace.to_owned(),
    }
}

/// What Kubernetes complains of, newest first, each once.
async fn warnings(cluster: &Cluster, about: &[String]) -> Vec<String> {
    let listed = cluster
        .list::<Event>(false, &ListParams::default().fields("type=Warning"))
        .await;
    let mut events = listed.unwrap_or_default();
    let object = |e: &Event| e.involved_object.name.clone().unwrap_or_default();
    events.retain(|e| about.contains(&object(e)));
    events.sort_by_key(|e| std::cmp::Reverse(e.last_timestamp.clone().or_else(|| e.creation_timestamp())));
    let mut told: Vec<String> = events
        .iter()
        .map(|e| {
            let kind = e.involved_object.kind.clone().unwrap_or_default();
            let (reason, message) = (
                e.reason.clone().unwrap_or_default(),
                e.message.clone().unwrap_or_default(),
            );
            format!("{kind} {}: {reason}: {message}", object(e))
        })
        .collect();
    told.dedup();
    told.truncate(3);
    told
}

async fn holds(cluster: &Cluster, operator_namespace: &str) -> (bool, bool) {
    let namespace = Api::<Namespace>::all(cluster.client.clone())
        .get_opt(&cluster.namespace)
        .await;
    let labelled = namespace
        .ok()
        .flatten()
        .is_some_and(|n| n.labels().get(HOLD_LABEL).is_some_and(|v| v == "true"));
    let own = Api::<ConfigMap>::namespaced(cluster.client.clone(), operator_namespace);
    let config_map = own.get_opt(HOLD_CONFIG_MAP).await.ok().flatten().is_some();
    (labelled, config_map)
}

/// The screen.
pub fn render(facts: &Facts, now: Timestamp, program: &str, colour: bool) -> String {
    let advice = Advice::of(facts, now, program);
    let run = &facts.run;
    let status = run.status.clone().unwrap_or_default();
    let spec = &run.spec;
    let (phase, _) = tree::headline(&status);
    let lasted = status
        .started_at
        .as_ref()
        .map(|from| between(from.0, status.finished_at.as_ref().map_or(now, |t| t.0)));
    let title = format!(
        "{}/{}/{} {}",
        spec.project, spec.stage, spec.service, spec.sequence
    );
    let mut out = format!(
        "{}  {}  {}\n{}\n",
        painted(BOLD, &title, colour),
        painted(phase_colour(phase), phase, colour),
        painted(DIM, &lasted.unwrap_or_default(), colour),
        painted(
            DIM,
            &format!(
                "run {} in namespace {}",
                run.name_any(),
                run.namespace().unwrap_or_default()
            ),
            colour
        ),
    );
    section(&mut out, "So far", &story::so_far(run, now), colour);
    let why = match (status.done, phase) {
        (true, "Succeeded" | "Resolved") => "How it ended",
        (true, _) => "Why it ended so",
        (false, _) => "Why it stands here",
    };
    section(&mut out, why, &advice.why, colour);
    section(&mut out, "What comes next", &advice.next, colour);
    section(&mut out, "Look at", &advice.look, colour);
    let widest = advice
        .commands
        .iter()
        .map(|(c, _)| c.chars().count())
        .max()
        .unwrap_or(0)
        .min(60);
    let commands: Vec<String> = advice
        .commands
        .iter()
        .map(|(command, what)| {
            format!(
                "{command:<widest$}  {}",
                painted(DIM, &format!("# {what}"), colour)
            )
        })
        .collect();
    section(&mut out, "Commands", &commands, colour);
    let lines: Vec<&str> = out.lines().map(str::trim_end).collect();
    lines.join("\n") + "\n"
}

fn section(out: &mut String, title: &str, lines: &[String], colour: bool) {
    if lines.is_empty() {
        return;
    }
    let _ = writeln!(out, "\n{}", painted(BOLD, title, colour));
    for line in lines {
        let shown: String = line
            .chars()
            .filter(|c| !c.is_control() || *c == '\x1b' && colour)
            .collect();
        let _ = writeln!(out, "  {shown}");
    }
}
