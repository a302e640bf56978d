//! The command line: one file a command.

pub mod add_resource;
pub mod cluster;
mod completions;
pub mod control;
mod crds;
pub mod doctor;
pub mod evaluate;
pub mod explain;
mod fetch;
mod files;
pub mod get;
mod import;
mod jobs;
pub mod lint;
pub mod logs;
pub mod metrics;
pub mod output;
mod paint;
mod rbac;
pub mod record;
pub mod refer;
mod reference;
mod run;
pub mod send;
mod simulate;
pub mod task;
pub mod test;
pub mod tree;
pub mod trigger;
mod trouble;
mod version;
pub mod watch;
mod yaml;

use std::{
    ffi::{OsStr, OsString},
    io::IsTerminal,
    path::Path,
    process::ExitCode,
    sync::LazyLock,
};

use clap::{CommandFactory, FromArgMatches as _, Parser, Subcommand, ValueEnum};
use tracing_subscriber::EnvFilter;

use crate::api::approval::Choice;
pub use files::File;

/// Coxswain heals and delivers services on Kubernetes by declared sequences.
#[derive(Debug, Parser)]
#[command(name = "coxswain", disable_version_flag = true, arg_required_else_help = true)]
struct Cli {
    /// What is logged, as `level` or `module=level,...`.
    #[arg(
        long,
        global = true,
        env = "COXSWAIN_LOG",
        default_value = "info,kube=warn,kube_runtime=warn",
        value_name = "FILTER"
    )]
    log: String,
    /// How log lines are written.
    #[arg(long, global = true, env = "COXSWAIN_LOG_FORMAT", value_enum, default_value_t = LogFormat::Text)]
    log_format: LogFormat,
    #[command(subcommand)]
    command: Command,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// The commands, in the order of `--help`.
#[derive(Debug, Subcommand)]
enum Command {
    /// Start something: a delivery, an evaluation, a remediation or a sequence
    Trigger(trigger::Args),
    /// Send an event from a file, as Keptn took it
    Send(send::Args),
    /// List runs, problems, approvals, evaluations or deliveries
    Get(get::Args),
    /// Follow a run, a problem or a delivery, live
    Watch(watch::Args),
    /// Say on one screen why a run waits or failed, and what to do
    Explain(explain::Args),
    /// Print what the Jobs of a run wrote
    Logs(logs::Args),
    /// Answer a question with yes
    Approve(control::AnswerArgs),
    /// Answer a question with no
    Reject(control::AnswerArgs),
    /// Stop a run after its current task
    Pause(control::Args),
    /// Let a paused run go on
    Resume(control::Args),
    /// Stop a run at once, and delete its Jobs
    Abort(control::Args),
    /// Run a run again that has ended
    Retry(control::RetryArgs),
    /// Make a task of a run count as passed
    Skip(control::SkipArgs),
    /// Say what is wrong with files before they are applied
    Lint(lint::Args),
    /// Turn Keptn v1's files into objects, for kubectl apply
    Import(import::Args),
    /// Add files for Jobs, or one of Keptn v1's files, to the cluster: keptn add-resource
    AddResource(add_resource::Args),
    /// Print the Jobs that an event would create, without a cluster
    Jobs(jobs::Args),
    /// Play what an event would start, without a cluster
    Simulate(simulate::Args),
    /// Test sequences offline: play a folder of cases
    Test(test::Args),
    /// Turn a run of a cluster into a case for coxswain test
    Record(record::Args),
    /// Say whether a service is good enough: a quality gate, without a cluster or from one
    Evaluate(evaluate::Args),
    /// Look at the installation, and say what to mend
    Doctor(doctor::Args),
    /// Run the operator
    Run(run::Args),
    /// Answer get-action or evaluation inside a Job, in place of the operator
    Task(task::Args),
    /// Fetch the files of a Job: what its init container does
    Fetch(fetch::Args),
    /// Print the CustomResourceDefinitions
    Crds(crds::Args),
    /// Print the roles that the operator and its users need
    Rbac(rbac::Args),
    /// Print the list of what /metrics tells
    Metrics(metrics::Args),
    /// Print the reference pages of kinds and commands
    Docs(reference::Args),
    /// Print what completes this command line in a shell
    Completions(completions::Args),
    /// Print the versions
    Version(version::Args),
}

/// The exit code for what was watched and did not end well.
const NOT_WELL: u8 = 3;

/// The exit code that says how something ended that was watched.
fn well(well: bool) -> ExitCode {
    if well {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(NOT_WELL)
    }
}

/// The exit code of a check that may find something.
fn found_nothing(nothing: bool) -> ExitCode {
    if nothing {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// How the user calls this program: `kubectl coxswain` where kubectl does.
pub fn program() -> &'static str {
    static NAME: LazyLock<&str> = LazyLock::new(|| {
        let own = std::env::args_os().next().unwrap_or_default();
        if is_plugin(&own) {
            "kubectl coxswain"
        } else {
            "coxswain"
        }
    });
    *NAME
}

/// Whether kubectl started this program: it finds its plugins by their names.
fn is_plugin(own: &OsStr) -> bool {
    let file = Path::new(own).file_name().unwrap_or_default().to_string_lossy();
    file.starts_with("kubectl-")
}

/// The whole command line, as it calls itself.
fn command() -> clap::Command {
    Cli::command().bin_name(program())
}

/// The names of the commands.
pub fn commands() -> Vec<String> {
    let names = |c: &clap::Command| c.get_name().to_owned();
    Cli::command().get_subcommands().map(names).collect()
}

/// Reads a command line, without the program's name; what is wrong with it.
pub fn check(arguments: &[&str]) -> Result<(), String> {
    let all = std::iter::once(&"coxswain").chain(arguments);
    let read = Cli::command().try_get_matches_from(all);
    match read.and_then(|matches| Cli::from_arg_matches(&matches)) {
        Ok(_) => Ok(()),
        Err(wrong) if wrong.use_stderr() => Err(wrong.to_string()),
        Err(_) => Ok(()),
    }
}

/// Runs the command that the arguments name. Exit code 0: done; 1: it failed, and stderr says why, or a check found
/// something; 2: the arguments are wrong; 3: what was watched ended, and not well. `evaluate` has codes of its own, of
/// which 1 and 2 are results.
pub fn main() -> ExitCode {
    let read = command().try_get_matches();
    let cli = match read.and_then(|matches| Cli::from_arg_matches(&matches)) {
        Ok(cli) => cli,
        Err(wrong) => {
            let _ = wrong.print();
            return if wrong.use_stderr() {
                usage_code(std::env::args_os())
            } else {
                ExitCode::SUCCESS
            };
        }
    };
    match start_log(&cli.log, cli.log_format).and_then(|()| carry_out(cli.command)) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("coxswain: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn carry_out(command: Command) -> anyhow::Result<ExitCode> {
    let done = |()| ExitCode::SUCCESS;
    match command {
        Command::Trigger(args) => on_tokio(trigger::run(args)),
        Command::Send(args) => on_tokio(send::run(args)).map(done),
        Command::Get(args) => on_tokio(get::run(args)).map(done),
        Command::Watch(args) => on_tokio(watch::run(args)),
        Command::Explain(args) => on_tokio(explain::run(args)).map(done),
        Command::Logs(args) => on_tokio(logs::run(args)).map(done),
        Command::Approve(args) => on_tokio(control::answered(args, Choice::Approve)).map(done),
        Command::Reject(args) => on_tokio(control::answered(args, Choice::Decline)).map(done),
        Command::Pause(args) => on_tokio(control::pause(args)).map(done),
        Command::Resume(args) => on_tokio(control::resume(args)).map(done),
        Command::Abort(args) => on_tokio(control::abort(args)).map(done),
        Command::Retry(args) => on_tokio(control::retry(args)).map(done),
        Command::Skip(args) => on_tokio(control::skip(args)).map(done),
        Command::AddResource(args) => on_tokio(async move { add_resource::run(&args).await }).map(done),
        Command::Jobs(args) => jobs::run(&args).map(done),
        Command::Fetch(args) => on_tokio(async move { fetch::run(&args).await }).map(done),
        Command::Lint(args) => lint::run(&args),
        Command::Import(args) => import::run(&args).map(done),
        Command::Simulate(args) => simulate::run(&args).map(done),
        Command::Test(args) => test::run(&args).map(found_nothing),
        Command::Record(args) => on_tokio(record::run(args)).map(done),
        Command::Evaluate(args) => on_tokio(async { Ok(evaluate::run(args).await) }),
        Command::Doctor(args) => on_tokio(doctor::run(args)),
        Command::Run(args) => on_tokio(run::run(args)).map(done),
        Command::Task(args) => on_tokio(task::run(args)),
        Command::Crds(args) => crds::run(&args).map(done),
        Command::Rbac(args) => rbac::run(&args).map(done),
        Command::Metrics(args) => metrics::run(&args).map(done),
        Command::Docs(args) => reference::run(&args).map(done),
        Command::Completions(args) => completions::run(&args).map(done),
        Command::Version(args) => on_tokio(version::run(args)).map(done),
    }
}

/// The exit code for arguments that are wrong: 2, but not where 2 means that a service is sick.
fn usage_code(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let read = Cli::command().ignore_errors(true).try_get_matches_from(arguments);
    match read {
        Ok(read) if read.subcommand_name() == Some("evaluate") => ExitCode::from(evaluate::NO_VERDICT),
        _ => ExitCode::from(2),
    }
}

fn on_tokio<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?
        .block_on(work)
}

/// Logs go to stderr: stdout is for what a command prints.
fn start_log(filter: &str, format: LogFormat) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(filter).map_err(|error| {
        anyhow::anyhow!("--log {filter:?}: {error}; write one such as info or coxswain=debug,info")
    })?;
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(paint::has_colour(std::io::stderr().is_terminal()))
        .with_writer(std::io::stderr);
    match format {
        LogFormat::Text => log.init(),
        LogFormat::Json => log.json().init(),
    }
    Ok(())
}

/// Every file of the repository that is generated, by its path from the repository's root.
pub fn generated() -> anyhow::Result<Vec<File>> {
    let mut all = files::within("crds", crds::files()?);
    all.extend(files::within("config/crd/bases", crds::files()?));
    all.extend(files::within("charts/coxswain", crds::chart_files()?));
    all.extend(files::within("config/rbac", rbac::files()));
    all.extend(files::within("charts/coxswain", rbac::chart_files()));
    all.extend(files::within("docs/reference", reference::files()));
    Ok(all)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        super::Cli::command().debug_assert();
    }

    #[test]
    fn kubectl_s_plugin_knows_itself() {
        assert!(super::is_plugin("/usr/local/bin/kubectl-coxswain".as_ref()));
        assert!(!super::is_plugin("target/debug/coxswain".as_ref()));
    }
}
