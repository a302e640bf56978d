//! The command line: one file a command.

pub mod add_resource;
mod crds;
pub mod evaluate;
mod fetch;
mod files;
mod import;
mod jobs;
mod rbac;
pub mod record;
mod run;
mod simulate;
pub mod task;
pub mod test;
pub mod tree;
mod version;
mod watch;
mod yaml;

use std::{ffi::OsString, io::IsTerminal, process::ExitCode};

use clap::{CommandFactory, Parser, Subcommand, ValueEnum};
use tracing_subscriber::EnvFilter;

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
    /// Run the operator
    Run(run::Args),
    /// Turn Keptn v1's files into objects, for kubectl apply
    Import(import::Args),
    /// Add files for Jobs, or one of Keptn v1's files, to the cluster: keptn add-resource
    AddResource(add_resource::Args),
    /// Show a run live, as a tree of attempts and tasks
    Watch(watch::Args),
    /// Answer get-action or evaluation inside a Job, in place of the operator
    Task(task::Args),
    /// Fetch the files of a Job: what its init container does
    Fetch(fetch::Args),
    /// Say whether a service is good enough: a quality gate, without a cluster or from one
    Evaluate(evaluate::Args),
    /// Print the Jobs that an event would create, without a cluster
    Jobs(jobs::Args),
    /// Play what an event would start, without a cluster
    Simulate(simulate::Args),
    /// Test sequences offline: play a folder of cases
    Test(test::Args),
    /// Turn a run of a cluster into a case for coxswain test
    Record(record::Args),
    /// Print the CustomResourceDefinitions
    Crds(crds::Args),
    /// Print the roles that the operator and its users need
    Rbac(rbac::Args),
    /// Print the version
    Version,
}

/// The exit code of `coxswain watch` for a run that did not succeed.
const NOT_WELL: u8 = 3;

/// Runs the command that the arguments name. Exit code 0: done; 1: it failed, and stderr says why; 2: the arguments are
/// wrong; 3: what was watched ended, and not well. `evaluate` has codes of its own, of which 1 and 2 are results.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
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
    let done = start_log(&cli.log, cli.log_format).and_then(|()| match cli.command {
        Command::Run(args) => on_tokio(run::run(args)).map(|()| ExitCode::SUCCESS),
        Command::Watch(args) => {
            let well = on_tokio(watch::run(args))?;
            Ok(if well {
                ExitCode::SUCCESS
            } else {
                ExitCode::from(NOT_WELL)
            })
        }
        Command::AddResource(args) => {
            on_tokio(async move { add_resource::run(&args).await }).map(|()| ExitCode::SUCCESS)
        }
        Command::Import(args) => import::run(&args).map(|()| ExitCode::SUCCESS),
        Command::Task(args) => on_tokio(task::run(args)),
        Command::Fetch(args) => on_tokio(async move { fetch::run(&args).await }).map(|()| ExitCode::SUCCESS),
        Command::Evaluate(args) => on_tokio(async { Ok(evaluate::run(args).await) }),
        Command::Jobs(args) => jobs::run(&args).map(|()| ExitCode::SUCCESS),
        Command::Simulate(args) => simulate::run(&args).map(|()| ExitCode::SUCCESS),
        Command::Test(args) => {
            let passed = test::run(&args)?;
            Ok(if passed {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            })
        }
        Command::Record(args) => on_tokio(record::run(args)).map(|()| ExitCode::SUCCESS),
        Command::Crds(args) => crds::run(&args).map(|()| ExitCode::SUCCESS),
        Command::Rbac(args) => rbac::run(&args).map(|()| ExitCode::SUCCESS),
        Command::Version => {
            version::run();
            Ok(ExitCode::SUCCESS)
        }
    });
    match done {
        Ok(code) => code,
        Err(error) => {
            eprintln!("coxswain: {error:#}");
            ExitCode::FAILURE
        }
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

/// Whether what is printed to stdout has colours.
fn coloured() -> bool {
    has_colour(std::io::stdout().is_terminal(), std::env::var_os("NO_COLOR"))
}

/// On a terminal, unless the user said no (<https://no-color.org>: set, and not empty).
fn has_colour(terminal: bool, no_color: Option<std::ffi::OsString>) -> bool {
    terminal && no_color.is_none_or(|said| said.is_empty())
}

/// Logs go to stderr: stdout is for what a command prints.
fn start_log(filter: &str, format: LogFormat) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(filter).map_err(|error| {
        anyhow::anyhow!("--log {filter:?}: {error}; write one such as info or coxswain=debug,info")
    })?;
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(has_colour(
            std::io::stderr().is_terminal(),
            std::env::var_os("NO_COLOR"),
        ))
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
    Ok(all)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;
    use rstest::rstest;

    #[test]
    fn the_command_line_is_consistent() {
        super::Cli::command().debug_assert();
    }

    #[rstest]
    #[case::terminal(true, None, true)]
    #[case::pipe(false, None, false)]
    #[case::refused(true, Some("1"), false)]
    #[case::empty_says_nothing(true, Some(""), true)]
    fn colours(#[case] terminal: bool, #[case] no_color: Option<&str>, #[case] has: bool) {
        assert_eq!(super::has_colour(terminal, no_color.map(Into::into)), has);
    }
}
