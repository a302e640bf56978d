//! Parses arguments and starts one command.

use clap::{Parser, Subcommand};
use coxswain::cli;

#[derive(Parser)]
#[command(name = "coxswain", version, about = "Heals and delivers services by declared sequences")]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Runs the operator.
    Run(cli::run::Args),
    /// Shows a run live.
    Watch(cli::watch::Args),
    /// Prints the CustomResourceDefinitions.
    Crds,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let args = Args::parse();
    match args.command {
        Command::Run(args) => {
            tracing_subscriber::fmt().with_env_filter("coxswain=debug,kube=info,warn").with_writer(std::io::stderr).init();
            cli::run::run(args).await
        }
        Command::Watch(args) => cli::watch::run(args).await.map(|_| ()),
        Command::Crds => {
            for crd in coxswain::api::all_crds() {
                println!("---\n{}", serde_yaml::to_string(&crd)?);
            }
            Ok(())
        }
    }
}
