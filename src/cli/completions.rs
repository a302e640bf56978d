//! `coxswain completions`: for bash, zsh and fish.

use clap_complete::Shell;

use super::{command, files::print_text};

/// Prints the script that completes this command line in a shell.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "For example: coxswain completions bash > /etc/bash_completion.d/coxswain")]
pub struct Args {
    /// The shell.
    #[arg(value_enum)]
    shell: Wanted,
    /// The name of the command that is completed.
    #[arg(long, default_value = "coxswain")]
    command: String,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Wanted {
    /// bash.
    Bash,
    /// zsh.
    Zsh,
    /// fish.
    Fish,
}

/// Prints it.
pub fn run(args: &Args) -> anyhow::Result<()> {
    let shell = match args.shell {
        Wanted::Bash => Shell::Bash,
        Wanted::Zsh => Shell::Zsh,
        Wanted::Fish => Shell::Fish,
    };
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command(), &args.command, &mut script);
    print_text(&String::from_utf8(script)?)
}
