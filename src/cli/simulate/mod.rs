//! `coxswain simulate`: what an event would start, without a cluster.

pub(super) mod input;
mod text;
pub(super) mod v1;

use std::path::PathBuf;

use anyhow::Context as _;
use clap::ValueEnum;

use crate::core::simulate;
use input::Sources;

/// Plays what an event would start, with the operator's own engine, without a cluster and in virtual time. Tasks end as the
/// answers say; every other one passes. Exit code 0 when it was played, whatever the result.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Files and directories with the definitions; of a directory its .yaml, .yml and .json files.
    #[arg(long = "filename", short, required = true, num_args = 1.., value_name = "FILES")]
    files: Vec<PathBuf>,
    /// What happens: a CloudEvent sh.keptn.event.<stage>.<sequence>.triggered, or a ProblemEvent, Delivery or
    /// SequenceExecution, as JSON or YAML.
    #[arg(long, value_name = "EVENT")]
    event: PathBuf,
    /// How tasks end, as YAML: `je-test: [fail, pass]`, one for each time that the task runs.
    #[arg(long, value_name = "ANSWERS")]
    answers: Option<PathBuf>,
    #[command(flatten)]
    scope: Scope,
    /// How the result is printed.
    #[arg(long, short, value_enum, default_value_t = Output::Text)]
    output: Output,
}

/// What v1 files are for: they do not say it themselves.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Scope {
    /// The project that v1 files are for.
    #[arg(long)]
    pub project: Option<String>,
    /// The stage that v1 files are for; without it, every stage.
    #[arg(long, requires = "project")]
    pub stage: Option<String>,
    /// The service that v1 files are for; without it, every service.
    #[arg(long, requires = "project")]
    pub service: Option<String>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Output {
    /// Every step, for people.
    Text,
    /// One document, for programs.
    Json,
}

/// Plays it, and prints what happened.
pub fn run(args: &Args) -> anyhow::Result<()> {
    let sources = Sources {
        files: args.files.clone(),
        event: input::document(&args.event)?,
        answers: args.answers.as_deref().map(input::document).transpose()?,
        scope: args.scope.clone(),
    };
    let played = sources.play()?;
    for complaint in &played.complaints {
        eprintln!("coxswain: {complaint}");
    }
    let printed = match args.output {
        Output::Text => text::render(&played.report),
        Output::Json => json(&played.report)?,
    };
    super::files::print_text(&printed)
}

fn json(report: &simulate::Report) -> anyhow::Result<String> {
    let text = serde_json::to_string_pretty(report).context("writing the report as JSON")?;
    Ok(format!("{text}\n"))
}
