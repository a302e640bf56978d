//! `coxswain lint`: what is wrong with files, before they are applied.

mod check;
mod gather;

use std::{path::PathBuf, process::ExitCode};

use super::{
    files::print_text,
    paint::{BOLD, on_stdout, painted},
    simulate::Scope,
};
pub use check::Finding;

/// Says what is wrong with definitions, ours and Keptn v1's, a line each: `file: object: field: message`. Besides what the
/// operator would refuse: triggers that can never fire, tasks that nobody answers, actions that nothing asks for.
///
/// What belongs together must be given together: whether a task is answered, only the JobConfigs say.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "Exit code 0: nothing was found; 1: something was, or a file can't be read.")]
pub struct Args {
    /// Files and directories; of a directory the files in it, and with --project Keptn's whole tree.
    #[arg(required = true, value_name = "FILE|DIR")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    scope: Scope,
}

/// Prints what is found.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let (findings, read) = lint(&args.files, &args.scope)?;
    let colour = on_stdout();
    let lines: String = findings
        .iter()
        .map(|f| format!("{}: {}\n", painted(BOLD, &f.place(), colour), f.message))
        .collect();
    print_text(&lines)?;
    match findings.len() {
        0 => eprintln!("coxswain: nothing found in {read}"),
        1 => eprintln!("coxswain: 1 finding in {read}"),
        many => eprintln!("coxswain: {many} findings in {read}"),
    }
    Ok(super::found_nothing(findings.is_empty()))
}

/// What is found in the files, and how many objects there were, for people.
pub fn lint(files: &[PathBuf], scope: &Scope) -> anyhow::Result<(Vec<Finding>, String)> {
    let gathered = gather::gather(files, scope)?;
    let read = match gathered.documents.len() {
        1 => "1 object".to_owned(),
        many => format!("{many} objects"),
    };
    let mut findings = gathered.findings;
    findings.extend(check::findings(&gathered.documents));
    findings.sort();
    findings.dedup();
    Ok((findings, read))
}
