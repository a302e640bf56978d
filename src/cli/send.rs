//! `coxswain send event`: a CloudEvent in a file starts what it would have started in Keptn.

use std::{
    io::Read as _,
    path::{Path, PathBuf},
};

use anyhow::Context as _;

use super::{
    cluster::{Cluster, Connect},
    files::print_text,
    output::{self, Output},
    program,
    trigger::{create, requester},
};
use crate::{
    core::sequence::context_of,
    v1::{self, LONGEST, Starts},
};

/// Sends something.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: Wanted,
}

#[derive(Clone, Debug, clap::Subcommand)]
enum Wanted {
    /// Start what an event sh.keptn.event.<stage>.<sequence>.triggered asks for, with your own rights
    ///
    /// An event with a problem makes a ProblemEvent, any other a SequenceExecution.
    Event(EventArgs),
}

#[derive(Clone, Debug, clap::Args)]
struct EventArgs {
    /// The event, as JSON; - reads it from stdin.
    #[arg(long = "file", short, visible_alias = "filename", value_name = "FILE")]
    file: PathBuf,
    /// Print the object, and make nothing.
    #[arg(long)]
    dry_run: bool,
    /// How the object is printed. Default: its name; with --dry-run yaml.
    #[arg(long, short, value_enum)]
    output: Option<Output>,
    #[command(flatten)]
    connect: Connect,
}

/// Sends the event.
pub async fn run(args: Args) -> anyhow::Result<()> {
    let Wanted::Event(args) = args.what;
    let (shown, bytes) = read(&args.file)?;
    let starts = starts(&shown, &bytes)?;
    if args.dry_run {
        let form = Some(args.output.unwrap_or(Output::Yaml));
        return match starts {
            Starts::Problem(problem) => output::show_made(problem.as_ref(), form, ""),
            Starts::Run(run) => output::show_made(run.as_ref(), form, ""),
        };
    }
    let cluster = args.connect.open().await?;
    let told = send(&cluster, starts, args.output).await?;
    print_text(&told)
}

/// What the event in these bytes starts.
pub fn starts(file: &str, bytes: &[u8]) -> anyhow::Result<Starts> {
    let event = v1::event(file, bytes)?;
    event.starts().map_err(|wrong| anyhow::anyhow!("{file}: {wrong}"))
}

/// Makes the object; what is printed of it.
pub async fn send(cluster: &Cluster, starts: Starts, form: Option<Output>) -> anyhow::Result<String> {
    let namespace = &cluster.namespace;
    match starts {
        Starts::Problem(problem) => {
            let made = create(cluster, problem.as_ref()).await?;
            let name = made.metadata.name.clone().unwrap_or_default();
            let follow = format!("follow it: {} watch -n {namespace} pe/{name}\n", program());
            shown(&made, form, &follow)
        }
        Starts::Run(mut run) => {
            run.spec.requested_by = requester(cluster).await;
            let made = create(cluster, run.as_ref()).await?;
            let name = made.metadata.name.clone().unwrap_or_default();
            let follow = format!(
                "keptnContext: {}\nfollow it: {} watch -n {namespace} se/{name}\n",
                context_of(&made),
                program()
            );
            shown(&made, form, &follow)
        }
    }
}

fn shown<K: super::cluster::Object>(made: &K, form: Option<Output>, follow: &str) -> anyhow::Result<String> {
    match form {
        None | Some(Output::Wide) => Ok(format!("{} created\n{follow}", super::trouble::named(made))),
        Some(form) => output::rendered(std::slice::from_ref(made), true, form),
    }
}

/// A file's bytes and its name for messages. No more is read than an event may have.
fn read(file: &Path) -> anyhow::Result<(String, Vec<u8>)> {
    let most = LONGEST as u64 + 1;
    let mut bytes = Vec::new();
    if file == Path::new("-") {
        std::io::stdin()
            .lock()
            .take(most)
            .read_to_end(&mut bytes)
            .context("reading stdin")?;
        return Ok(("stdin".to_owned(), bytes));
    }
    let shown = file.display().to_string();
    std::fs::File::open(file)
        .and_then(|opened| opened.take(most).read_to_end(&mut bytes))
        .with_context(|| format!("reading {shown}"))?;
    Ok((shown, bytes))
}
