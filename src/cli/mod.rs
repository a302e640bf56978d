//! The command line: one file a command.

mod crds;
mod files;
mod rbac;
mod version;

use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};
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
        default_value = "info",
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
    /// Print the CustomResourceDefinitions
    Crds(crds::Args),
    /// Print the roles that the operator and its users need
    Rbac(rbac::Args),
    /// Print the version
    Version,
}

/// Runs the command that the arguments name. Exit code 0: done; 1: it failed, and stderr says why; 2: the arguments are
/// wrong.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = start_log(&cli.log, cli.log_format).and_then(|()| match cli.command {
        Command::Crds(args) => crds::run(&args),
        Command::Rbac(args) => rbac::run(&args),
        Command::Version => {
            version::run();
            Ok(())
        }
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("coxswain: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Logs go to stderr: stdout is for what a command prints.
fn start_log(filter: &str, format: LogFormat) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(filter).map_err(|error| {
        anyhow::anyhow!("--log {filter:?}: {error}; write one such as info or coxswain=debug,info")
    })?;
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
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
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        super::Cli::command().debug_assert();
    }
}
