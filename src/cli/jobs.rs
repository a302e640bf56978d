//! `coxswain jobs`: the Jobs that an event would create, without a cluster.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context as _, bail};
use clap::ValueEnum;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::simulate::{Scope, input};
use crate::{
    api::{JobConfig, SequenceExecution, shipyard::Task},
    core::{
        Invalid,
        definitions::verdict::Definition as _,
        jobs::preview::{Preview, preview},
        place::Place,
        simulate::Document,
    },
    v1::{self, Content},
};

/// The run that Jobs name when there is none.
const NO_RUN: &str = "no-run";
/// The namespace of JobConfigs when nothing says another.
const DEFAULT: &str = "default";

/// Prints the Jobs that an event would create, as Kubernetes would get them, without a cluster. Exit code 0 also when nothing
/// answers the event; 1 when a Job could not be made.
///
/// The Jobs are complete but for their owner: the run that would own them is not there. `coxswain jobs ... | kubectl apply -f -`
/// runs them once, by hand, with nobody to try them again.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Files and directories with the JobConfigs: Keptn v1's job/config.yaml, or objects of ours and ConfigMaps. Files that
    /// nobody provides count as there.
    #[arg(long = "config", short, required = true, num_args = 1.., value_name = "FILES")]
    configs: Vec<PathBuf>,
    /// A CloudEvent sh.keptn.event.<task>.triggered, as JSON or YAML.
    #[arg(long, value_name = "EVENT")]
    event: PathBuf,
    /// The event's project, when it names none.
    #[arg(long)]
    project: Option<String>,
    /// The event's stage, when it names none.
    #[arg(long)]
    stage: Option<String>,
    /// The event's service, when it names none.
    #[arg(long)]
    service: Option<String>,
    /// The namespace of the JobConfigs and Jobs.
    #[arg(long, short)]
    namespace: Option<String>,
    /// How the Jobs are printed.
    #[arg(long, short, value_enum, default_value_t = Output::Yaml)]
    output: Output,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Output {
    /// Documents for kubectl; comments say what does not run.
    Yaml,
    /// One document, for programs: {"jobs": [...], "skipped": [{"action", "task"?, "reason"}]}.
    Json,
}

/// Prints the Jobs.
pub fn run(args: &Args) -> anyhow::Result<()> {
    let preview = previewed(args)?;
    let printed = match args.output {
        Output::Yaml => yaml(&preview)?,
        Output::Json => format!("{}\n", serde_json::to_string_pretty(&preview)?),
    };
    super::files::print_text(&printed)
}

fn previewed(args: &Args) -> anyhow::Result<Preview> {
    let document = input::document(&args.event)?;
    let event_file = document.origin.clone();
    let (value, event) = read_event(args, document)?;
    let place = Place::new(&event.project, &event.stage, &event.service)
        .map_err(|wrong| input::refuse(&event_file, vec![in_data(wrong)]))?;
    // A v1 file does not say what it is for; here it is for the event.
    let mut has_v1 = false;
    for path in &args.configs {
        has_v1 |= holds_v1(path)?;
    }
    let scope = Scope {
        project: has_v1.then(|| event.project.clone()),
        ..Scope::default()
    };
    let mut definitions = input::definitions(&args.configs, &scope)?;
    if let Some(namespace) = &args.namespace {
        let of = |config: &JobConfig| {
            config
                .metadata
                .namespace
                .as_ref()
                .is_none_or(|own| own == namespace)
        };
        definitions.snapshot.job_configs.retain(|config| of(config));
    }
    let configs = definitions.snapshot.job_configs.clone();
    refuse_mistakes(args, &configs)?;
    let task = Task {
        name: event.name.clone(),
        ..Task::default()
    };
    let own = configs
        .iter()
        .find_map(|config| config.metadata.namespace.clone());
    let namespace = args.namespace.clone().or(own);
    let run = run_for(namespace.as_deref(), &event, &value)?;
    let mut found = preview(
        &configs,
        &definitions.config_maps,
        &definitions.files_of(&place),
        &run,
        &place,
        &task,
        &value,
    )
    .map_err(|error| anyhow::anyhow!("{}, with {event_file}: {error}", shown(&args.configs)))?;
    if namespace.is_none() {
        // kubectl's own applies.
        found
            .jobs
            .iter_mut()
            .for_each(|job| job.metadata.namespace = None);
    }
    Ok(found)
}

/// The event, as it is written and as v1's reader understands it; the flags stand in for what it does not say.
fn read_event(args: &Args, document: Document) -> anyhow::Result<(Value, v1::Event)> {
    let Document { origin, mut value } = document;
    let flags = [
        ("project", &args.project),
        ("stage", &args.stage),
        ("service", &args.service),
    ];
    if let Some(data) = value.get_mut("data").and_then(Value::as_object_mut) {
        for (name, flag) in flags {
            let Some(flag) = flag else { continue };
            let said = data.entry(name).or_insert_with(|| json!(flag));
            if said != flag {
                bail!("{origin}: data.{name}: is {said}, and --{name} is {flag:?}: leave the flag out");
            }
        }
    }
    let event = v1::event(&origin, value.to_string())?;
    if event.is_sequence {
        bail!(
            "{origin}: type: {} starts a sequence, and Jobs answer tasks: write sh.keptn.event.<task>.triggered, or play the \
             sequence with coxswain simulate",
            event.type_
        );
    }
    Ok((value, event))
}

fn in_data(wrong: Invalid) -> Invalid {
    let path = wrong.path.replace("spec.", "data.");
    Invalid::new(path, wrong.message)
}

/// The mistakes of every JobConfig, each with where it is.
fn refuse_mistakes(args: &Args, configs: &[Arc<JobConfig>]) -> anyhow::Result<()> {
    let is_v1 = matches!(&*args.configs, [one] if !one.is_dir() && holds_v1(one)?);
    let origin = shown(&args.configs);
    let mut lines = vec![];
    for config in configs {
        let mut config = JobConfig::clone(config);
        let own = config.metadata.namespace.take();
        config.metadata.namespace = args
            .namespace
            .clone()
            .or(own)
            .or_else(|| Some(DEFAULT.to_owned()));
        for wrong in config.mistakes() {
            let name = config.metadata.name.as_deref().unwrap_or_default();
            // In a v1 file there is no spec, and no object.
            lines.push(match wrong.path.strip_prefix("spec.").filter(|_| is_v1) {
                Some(path) => format!("{origin}: {path}: {}", wrong.message),
                None => format!("{origin}: JobConfig {name}: {wrong}"),
            });
        }
    }
    if lines.is_empty() {
        return Ok(());
    }
    bail!(lines.join("\n"))
}

/// Whether the path is one of Keptn v1's files, or a directory that has some.
fn holds_v1(path: &Path) -> anyhow::Result<bool> {
    let tree = super::import::tree(path, &mut vec![])?;
    let is_keptn_s = |file: &v1::import::Found| {
        // A single file has a name, and its directory may say what it is.
        let shown = if tree.named {
            path.to_string_lossy()
        } else {
            file.path.as_str().into()
        };
        matches!(Content::of(&shown, &file.content), Content::Keptn(_))
    };
    Ok(tree.files.iter().any(is_keptn_s))
}

fn shown(paths: &[PathBuf]) -> String {
    let names: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
    names.join(", ")
}

/// A run that stands in for the one that there would be. The same event gives the same names.
fn run_for(namespace: Option<&str>, event: &v1::Event, value: &Value) -> anyhow::Result<SequenceExecution> {
    let is_label = |text: &&str| {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
        (1..=63).contains(&text.len())
            && text.bytes().all(plain)
            && !text.starts_with('-')
            && !text.ends_with('-')
    };
    let uid = match value["id"].as_str() {
        Some(id) if is_label(&id) => id.to_owned(),
        Some(id) => Sha256::digest(id)
            .iter()
            .take(16)
            .map(|byte| format!("{byte:02x}"))
            .collect(),
        None => "00000000-0000-0000-0000-000000000000".to_owned(),
    };
    let run = json!({
        "apiVersion": "coxswain.dev/v1alpha1",
        "kind": "SequenceExecution",
        "metadata": {"name": NO_RUN, "namespace": namespace.unwrap_or(DEFAULT), "uid": uid},
        "spec": {
            "project": event.project, "stage": event.stage, "service": event.service, "sequence": event.name,
            "context": event.context.as_deref().filter(is_label),
        },
    });
    serde_json::from_value(run).context("making a run for the event")
}

fn yaml(preview: &Preview) -> anyhow::Result<String> {
    let mut text = String::new();
    for skipped in &preview.skipped {
        let task = skipped
            .task
            .as_ref()
            .map_or_else(String::new, |task| format!(", {task:?}"));
        let line = format!("# skipped: {:?}{task}: {}", skipped.action, skipped.reason);
        text.push_str(&line.replace(['\n', '\r'], " "));
        text.push('\n');
    }
    for job in &preview.jobs {
        text.push_str("---\n");
        text.push_str(&super::yaml::to_string(job)?);
    }
    Ok(text)
}
