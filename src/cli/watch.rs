//! `coxswain watch`: a run, live.

use std::{
    io::{IsTerminal, Write},
    time::Duration,
};

use anyhow::{Context as _, bail};
use futures::{StreamExt, TryStreamExt};
use jiff::Timestamp;
use kube::{
    Api, Client, ResourceExt,
    runtime::{WatchStreamExt, watcher},
};

use super::tree::{self, Style};
use crate::api::{ProblemEvent, SequenceExecution};

/// Shows a run as a tree of attempts and tasks, live, until it ends. Exit code 0 when it succeeded, 3 when it ended
/// otherwise.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The SequenceExecution, as NAME or se/NAME; or a problem, as pe/NAME: its newest run.
    name: String,
    /// The namespace. Default: the kubeconfig's.
    #[arg(long, short)]
    namespace: Option<String>,
    /// How long to watch at most.
    #[arg(long, default_value = "1h")]
    timeout: crate::api::Duration,
}

/// Watches until the run ends, and says whether it ended well.
pub async fn run(args: Args) -> anyhow::Result<bool> {
    let client = Client::try_default()
        .await
        .context("finding a cluster: set KUBECONFIG")?;
    let namespace = args
        .namespace
        .unwrap_or_else(|| client.default_namespace().to_owned());
    let watched = tokio::time::timeout(args.timeout.0, watch(&client, &namespace, &args.name)).await;
    watched.with_context(|| format!("the run did not end within {}", args.timeout))?
}

async fn watch(client: &Client, namespace: &str, name: &str) -> anyhow::Result<bool> {
    let name = match name.split_once('/') {
        Some(("pe" | "problemevent" | "problemevents", problem)) => {
            newest_run(client, namespace, problem).await?
        }
        Some(("se" | "sequenceexecution" | "sequenceexecutions", run)) => run.to_owned(),
        Some((kind, _)) => {
            bail!("{kind:?} is not a kind that can be watched: name a run (se/NAME) or a problem (pe/NAME)")
        }
        None => name.to_owned(),
    };
    let api = Api::<SequenceExecution>::namespaced(client.clone(), namespace);
    let config = watcher::Config::default().fields(&format!("metadata.name={name}"));
    let mut changes = watcher(api, config).default_backoff().boxed();
    let mut tick = tokio::time::interval(Duration::from_secs(1));
    let mut screen = Screen::new();
    let mut shown: Option<SequenceExecution> = None;
    loop {
        tokio::select! {
            change = changes.try_next() => match change.with_context(|| format!("watching SequenceExecution {namespace}/{name}"))? {
                Some(watcher::Event::Apply(run) | watcher::Event::InitApply(run)) => {
                    screen.show(&run);
                    if let Some(status) = run.status.as_ref().filter(|s| s.done) {
                        return Ok(matches!(status.phase.as_str(), "Succeeded" | "Resolved"));
                    }
                    shown = Some(run);
                }
                Some(watcher::Event::Delete(_)) => bail!("SequenceExecution {namespace}/{name} was deleted"),
                Some(watcher::Event::InitDone) if shown.is_none() => {
                    bail!("there is no SequenceExecution {name} in namespace {namespace}: see kubectl get sequenceexecutions -n {namespace}")
                }
                Some(_) => {}
                None => bail!("the watch ended"),
            },
            _ = tick.tick(), if screen.live => {
                if let Some(run) = &shown { screen.show(run); }
            }
        }
    }
}

/// The problem's newest run; waits until it has one.
async fn newest_run(client: &Client, namespace: &str, problem: &str) -> anyhow::Result<String> {
    let api = Api::<ProblemEvent>::namespaced(client.clone(), namespace);
    let config = watcher::Config::default().fields(&format!("metadata.name={problem}"));
    let mut changes = watcher(api, config).default_backoff().boxed();
    let mut seen = false;
    while let Some(change) = changes.try_next().await.context("watching the ProblemEvent")? {
        match change {
            watcher::Event::Apply(found) | watcher::Event::InitApply(found) => {
                seen = true;
                let status = found.status.unwrap_or_default();
                match (status.execution, status.done) {
                    (Some(run), _) => return Ok(run),
                    (None, true) => bail!("ProblemEvent {problem} ended without a run: {}", status.message),
                    (None, false) => {}
                }
            }
            watcher::Event::InitDone if !seen => {
                bail!(
                    "there is no ProblemEvent {problem} in namespace {namespace}: see kubectl get problemevents -n {namespace}"
                )
            }
            _ => {}
        }
    }
    bail!("the watch ended")
}

/// The terminal's width and height, which may change at any time.
fn size() -> (usize, usize) {
    terminal_size::terminal_size().map_or((80, 24), |(width, height)| (width.0.into(), height.0.into()))
}

/// Draws the tree in place on a terminal; elsewhere prints a line for each thing that changed.
struct Screen {
    live: bool,
    style: Style,
    lines: usize,
    told: Vec<String>,
}

impl Screen {
    fn new() -> Self {
        let live = std::io::stdout().is_terminal();
        Self {
            live,
            style: Style {
                colour: super::coloured(),
                width: 0,
            },
            lines: 0,
            told: vec![],
        }
    }

    fn show(&mut self, run: &SequenceExecution) {
        let done = run.status.as_ref().is_some_and(|s| s.done);
        let (width, height) = if self.live { size() } else { (0, usize::MAX) };
        let style = Style { width, ..self.style };
        let tree = tree::render(run, Timestamp::now(), style);
        let mut out = std::io::stdout().lock();
        if self.live {
            if self.lines > 0 {
                let _ = write!(out, "\x1b[{}A\x1b[J", self.lines);
            }
            // What has scrolled away can't be drawn again: until the end only what fits is drawn.
            let all = tree.lines().count();
            let skipped = if done {
                0
            } else {
                all.saturating_sub(height.saturating_sub(1))
            };
            for line in tree.lines().skip(skipped) {
                let _ = writeln!(out, "{line}");
            }
            self.lines = all - skipped;
        } else {
            for line in self.news(run) {
                let _ = writeln!(out, "{line}");
            }
            if done {
                let _ = write!(out, "{tree}");
            }
        }
        let _ = out.flush();
    }

    /// What was not told before, a line each.
    fn news(&mut self, run: &SequenceExecution) -> Vec<String> {
        let status = run.status.clone().unwrap_or_default();
        let now = Timestamp::now();
        let (phase, message) = tree::headline(&status);
        let line = format!("{now:.0}  {}  {phase:<10} {message}", run.name_any());
        let key = format!("{} {}", status.phase, status.message);
        if self.told.last() == Some(&key) {
            return vec![];
        }
        self.told = vec![key];
        vec![line]
    }
}
