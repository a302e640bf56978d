//! `coxswain evaluate`: one verdict of a quality gate, without a cluster or from one.

pub mod cluster;
mod input;
mod junit;
mod markdown;
mod offline;
mod report;
pub(super) mod text;
pub(super) mod window;

use std::{collections::BTreeMap, path::PathBuf, process::ExitCode};

use anyhow::{Context as _, bail};
use clap::ValueEnum;
use jiff::Timestamp;
use kube::ResourceExt;

use super::{cluster::Connect, files::print_text, paint};
use crate::core::{evaluation::Outcome, place::Place};
pub use report::Report;

/// Exit code for a result of fail.
const FAILED: u8 = 2;
/// Exit code for mistakes, and where nothing could be measured: there is no verdict.
pub(super) const NO_VERDICT: u8 = 3;

/// Says whether a service is good enough: compares values with objectives, scores them, and prints every indicator.
///
/// With --slo no cluster is needed: the values are in a file (--values), or Prometheus is asked for them (--sli,
/// --prometheus). Without --slo an Evaluation is created in the cluster, with the objectives that apply there.
///
/// Exit code 0: pass; 1: warning; 2: fail; 3: a mistake, or nothing could be measured.
#[derive(Debug, clap::Args)]
#[command(after_help = "Exit code 0: pass; 1: warning; 2: fail; 3: a mistake, or nothing could be measured.")]
pub struct Args {
    /// The objectives: an slo.yaml of Keptn v1, or a ServiceLevelObjective.
    #[arg(long, value_name = "FILE", requires = "measured", conflicts_with = "Connect")]
    slo: Option<PathBuf>,
    /// What was measured, as JSON: {"response_time": 12.3, "errors": null}.
    #[arg(long, value_name = "FILE", requires = "slo", group = "measured")]
    values: Option<PathBuf>,
    /// The queries: an sli.yaml of Keptn v1, or a ServiceLevelIndicator.
    #[arg(long, value_name = "FILE", requires_all = ["slo", "prometheus"], group = "measured")]
    sli: Option<PathBuf>,
    /// Who answers the queries, such as http://localhost:9090.
    #[arg(long, value_name = "URL", requires = "sli")]
    prometheus: Option<String>,
    /// Earlier results to compare with, newest first, as JSON: [{"result": "pass", "values": {"response_time": 11}}].
    #[arg(long, value_name = "FILE", requires = "slo")]
    history: Option<PathBuf>,
    #[command(flatten)]
    window: window::Span,
    /// The project: $PROJECT in queries.
    #[arg(long)]
    project: Option<String>,
    /// The stage: $STAGE in queries.
    #[arg(long)]
    stage: Option<String>,
    /// The service: $SERVICE in queries.
    #[arg(long)]
    service: Option<String>,
    /// A label, for $LABEL.<key> in queries; may be given several times.
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = label)]
    labels: Vec<(String, String)>,
    /// In the cluster: wait for the verdict, and print it.
    #[arg(long, conflicts_with = "slo")]
    wait: bool,
    /// In the cluster: how long to wait at most.
    #[arg(long, default_value = "15m", requires = "wait")]
    timeout: crate::api::Duration,
    /// How the verdict is printed. Default: text.
    #[arg(long, short, value_enum)]
    output: Option<Output>,
    #[command(flatten)]
    connect: Connect,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Output {
    /// A table, for people.
    #[default]
    Text,
    /// One document, for programs.
    Json,
    /// A table for a merge request or a job's summary.
    Markdown,
    /// One test case for each objective, for CI systems.
    Junit,
}

fn label(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err(format!("{text:?} is no label; write key=value, such as build=42")),
    }
}

/// Evaluates, and turns the result into an exit code.
pub(super) async fn run(args: Args) -> ExitCode {
    let evaluated = if args.slo.is_some() {
        offline(&args).await
    } else {
        in_cluster(&args).await
    };
    match evaluated {
        Ok(code) => code,
        Err(error) => {
            eprintln!("coxswain: {error:#}");
            ExitCode::from(NO_VERDICT)
        }
    }
}

async fn offline(args: &Args) -> anyhow::Result<ExitCode> {
    let found = offline::evaluate(args, Timestamp::now()).await?;
    for complaint in &found.complaints {
        eprintln!("coxswain: {complaint}");
    }
    show(&found.report, args.output.unwrap_or_default())
}

async fn in_cluster(args: &Args) -> anyhow::Result<ExitCode> {
    if args.output.is_some() && !args.wait {
        bail!("--output: there is no verdict to print yet; add --wait");
    }
    let wanted = wanted(args)?;
    let cluster = args.connect.open().await.map_err(|error| {
        anyhow::anyhow!(
            "{error:#}; or evaluate without one: --slo with --values, or with --sli and --prometheus"
        )
    })?;
    let created = cluster::create(&cluster, &wanted, Timestamp::now()).await?;
    if !args.wait {
        print_text(&format!(
            "evaluation.coxswain.dev/{} created\n",
            created.name_any()
        ))?;
        return Ok(ExitCode::SUCCESS);
    }
    let ended = cluster::verdict(&cluster, &created, args.timeout).await?;
    show(&Report::of(&ended), args.output.unwrap_or_default())
}

/// What is to be evaluated in the cluster.
fn wanted(args: &Args) -> anyhow::Result<cluster::Wanted> {
    let named = |option: &str, value: &Option<String>| {
        value
            .clone()
            .with_context(|| format!("--{option}: name it, or evaluate files with --slo"))
    };
    let (project, stage, service) = (
        named("project", &args.project)?,
        named("stage", &args.stage)?,
        named("service", &args.service)?,
    );
    let place = Place::new(project, stage, service)
        .map_err(|e| anyhow::anyhow!("{}: {}", e.path.replacen("spec.", "--", 1), e.message))?;
    Ok(cluster::Wanted {
        place,
        time: args.window.time(Timestamp::now())?,
        labels: labels(args),
    })
}

fn labels(args: &Args) -> BTreeMap<String, String> {
    args.labels.iter().cloned().collect()
}

/// Prints the verdict. What could not be measured is said on stderr too, where the output is for programs.
fn show(report: &Report, output: Output) -> anyhow::Result<ExitCode> {
    let printed = match output {
        Output::Text => text::render(report, paint::on_stdout()),
        Output::Json => report.json()?,
        Output::Markdown => markdown::render(report),
        Output::Junit => junit::render(report),
    };
    print_text(&printed)?;
    let outcome = report.status.result.as_deref().and_then(Outcome::read);
    if outcome.is_none() && !matches!(output, Output::Text) {
        eprintln!("coxswain: {}", report.status.message);
    }
    Ok(match outcome {
        Some(Outcome::Pass) => ExitCode::SUCCESS,
        Some(Outcome::Warning) => ExitCode::FAILURE,
        Some(Outcome::Fail) => ExitCode::from(FAILED),
        None => ExitCode::from(NO_VERDICT),
    })
}
