//! `coxswain doctor`: is everything there that Coxswain needs, and does it work?

mod checks;
mod gather;
#[cfg(test)]
mod tests;

use std::{fmt::Write as _, process::ExitCode};

use clap::ValueEnum;
use jiff::Timestamp;
use serde::Serialize;

use super::{
    cluster::Connect,
    files::print_text,
    paint::{DIM, GREEN, RED, YELLOW, on_stdout, painted},
};
pub use checks::check;
pub use gather::{Facts, gather};

/// Looks at the installation, a line for each thing: ok, warn or fail, and what to do.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "Exit code 0: nothing fails; 1: something does.")]
pub struct Args {
    /// The operator's namespace.
    #[arg(long, default_value = "coxswain-system", value_name = "NAMESPACE")]
    operator_namespace: String,
    /// How it is printed. Default: lines.
    #[arg(long, short, value_enum)]
    output: Option<Output>,
    #[command(flatten)]
    connect: Connect,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Output {
    /// One document, for programs.
    Json,
}

/// How bad it is.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// It is as it should be.
    Ok,
    /// It works, but not as well as it could; or it can't be looked at.
    Warn,
    /// Something does not work.
    Fail,
}

/// One thing that was looked at.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Line {
    /// How bad it is.
    pub level: Level,
    /// What was looked at, and what was found.
    pub what: String,
    /// What to do; empty when all is well.
    pub remedy: String,
}

/// Looks, and prints.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let cluster = args.connect.open().await?;
    let facts = gather(&cluster, &args.operator_namespace).await?;
    let lines = check(&facts, Timestamp::now());
    let printed = match args.output {
        Some(Output::Json) => format!("{}\n", serde_json::to_string_pretty(&lines)?),
        None => render(&lines, on_stdout()),
    };
    print_text(&printed)?;
    Ok(super::found_nothing(lines.iter().all(|l| l.level < Level::Fail)))
}

/// The lines, for people.
pub fn render(lines: &[Line], colour: bool) -> String {
    let mut out = String::new();
    for line in lines {
        let (word, of) = match line.level {
            Level::Ok => ("ok", GREEN),
            Level::Warn => ("warn", YELLOW),
            Level::Fail => ("fail", RED),
        };
        let remedy = if line.remedy.is_empty() {
            String::new()
        } else {
            format!(": {}", line.remedy)
        };
        let _ = writeln!(
            out,
            "{}{}  {}{}",
            painted(of, word, colour),
            " ".repeat(4 - word.len()),
            line.what,
            painted(DIM, &remedy, colour)
        );
    }
    out
}
