//! `coxswain import`: Keptn v1's files -> our objects, for `kubectl apply`.

use std::{
    fmt::Write as _,
    fs,
    io::Read,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use clap::ValueEnum;

use super::files::{self, File};
use crate::{
    api::Scope,
    v1::{
        LONGEST,
        import::{Change, Definition, Found, Plan, Tree, plan},
    },
};

/// A directory with more files than this is hardly a project's.
const MOST_FILES: usize = 10_000;
/// Keptn's own directory among those whose names begin with a dot.
const STAGES: &str = ".keptn-stages";

/// What is imported, for what, and where it goes.
#[derive(clap::Args, Debug)]
pub(super) struct Args {
    /// The directory with Keptn's files (shipyard.yaml, <stage>/<service>/remediation.yaml, ...), or single files
    #[arg(required = true, value_name = "DIR|FILE")]
    from: Vec<PathBuf>,
    /// The project's name
    #[arg(long, value_name = "NAME")]
    project: String,
    /// The stage that the files are for; without it, directories say it
    #[arg(long, value_name = "NAME")]
    stage: Option<String>,
    /// The service that the files are for; without it, directories say it
    #[arg(long, value_name = "NAME")]
    service: Option<String>,
    /// The namespace to write into the objects; without it, kubectl says it
    #[arg(long, short, value_name = "NAME")]
    namespace: Option<String>,
    /// How the objects are printed
    #[arg(long, short, value_enum, default_value_t = Output::Yaml, conflicts_with = "out")]
    output: Output,
    /// Write one file per object into this directory, instead of printing all
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Write what means something else than in Keptn into this file (Markdown), instead of to stderr
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Output {
    /// One stream of YAML documents.
    Yaml,
}

/// Imports; what was read, left out or looks wrong is told on stderr.
pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let mut skipped = Vec::new();
    let trees: Vec<Tree> = args
        .from
        .iter()
        .map(|path| tree(path, &mut skipped))
        .collect::<anyhow::Result<_>>()?;
    let scope = Scope {
        project: args.project.clone(),
        stage: args.stage.clone(),
        service: args.service.clone(),
    };
    let mut plan = plan(&trees, &scope, args.namespace.as_deref());
    plan.skipped.append(&mut skipped);
    tell(&plan);
    match plan.errors.len() {
        0 => {}
        1 => bail!("nothing is imported: 1 mistake, above"),
        many => bail!("nothing is imported: {many} mistakes, above"),
    }
    report(&plan.changes, args.report.as_deref())?;
    let objects = plan
        .definitions
        .iter()
        .map(object)
        .collect::<anyhow::Result<Vec<File>>>()?;
    match (&args.out, args.output) {
        (Some(directory), _) => {
            refuse_to_overwrite(directory, &objects)?;
            files::write(directory, &objects)
        }
        (None, Output::Yaml) => files::print(&objects),
    }
}

fn tell(plan: &Plan) {
    for line in &plan.read {
        eprintln!("read {line}");
    }
    for line in &plan.skipped {
        eprintln!("skipped {line}");
    }
    for line in &plan.warnings {
        eprintln!("warning: {line}");
    }
    for error in &plan.errors {
        eprintln!("error: {error}");
    }
}

/// What means something else than in Keptn, into a file or to stderr.
fn report(changes: &[Change], into: Option<&Path>) -> anyhow::Result<()> {
    let Some(path) = into else {
        for change in changes {
            eprintln!("changed: {change}");
        }
        return Ok(());
    };
    let mut text = "# What means something else than in Keptn\n\n".to_owned();
    if changes.is_empty() {
        text.push_str("Nothing of these files.\n");
    } else {
        text.push_str("| file | field | in Keptn | now |\n| --- | --- | --- | --- |\n");
    }
    for change in changes {
        let cell = |text: &str| text.replace('|', "\\|");
        let _ = writeln!(
            text,
            "| {} | `{}` | {} | {} |",
            cell(&change.file),
            change.shown_fields(),
            cell(&change.before),
            cell(&change.now)
        );
    }
    fs::write(path, text).with_context(|| format!("--report: could not write {}", path.display()))?;
    eprintln!(
        "wrote {}: {} things mean something else than in Keptn",
        path.display(),
        changes.len()
    );
    Ok(())
}

/// An object as a file of its own.
fn object(definition: &Definition) -> anyhow::Result<File> {
    let (kind, name) = definition.id();
    let content = super::yaml::to_string(definition)
        .with_context(|| format!("could not write {kind} {name} as YAML"))?;
    Ok(File {
        path: format!("{}-{name}.yaml", kind.to_lowercase()),
        content,
    })
}

/// What somebody has changed since the last import is not undone. Nothing is written when one file is in the way.
fn refuse_to_overwrite(directory: &Path, objects: &[File]) -> anyhow::Result<()> {
    let mut in_the_way = Vec::new();
    for object in objects {
        let path = directory.join(&object.path);
        match fs::read(&path) {
            Ok(old) if old == object.content.as_bytes() => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Ok(_) => in_the_way.push(path.display().to_string()),
            Err(error) => return Err(error).with_context(|| format!("could not read {}", path.display())),
        }
    }
    if in_the_way.is_empty() {
        return Ok(());
    }
    bail!(
        "nothing is written: {} would be overwritten with something else; remove it, or name another directory with --out",
        in_the_way.join(", ")
    )
}

/// The files of a directory, or the one file. Links are not followed, and hidden files not read: a checkout's `.git` is
/// no part of a project.
pub(super) fn tree(path: &Path, skipped: &mut Vec<String>) -> anyhow::Result<Tree> {
    let name = path.display().to_string();
    let cannot_read = || format!("could not read {name}");
    if !fs::metadata(path).with_context(cannot_read)?.is_dir() {
        let file = path.file_name().unwrap_or_default().to_string_lossy();
        let files = vec![read(path, file.into_owned())?];
        return Ok(Tree {
            name,
            named: true,
            files,
        });
    }
    let mut files = Vec::new();
    let mut open = vec![String::new()];
    while let Some(directory) = open.pop() {
        let entries = fs::read_dir(path.join(&directory)).with_context(cannot_read)?;
        for entry in entries {
            let entry = entry.with_context(cannot_read)?;
            let Ok(part) = entry.file_name().into_string() else {
                bail!("{}: the name is not UTF-8; rename it", entry.path().display());
            };
            let below = if directory.is_empty() {
                part.clone()
            } else {
                format!("{directory}/{part}")
            };
            let kind = entry.file_type().with_context(cannot_read)?;
            if part.starts_with('.') && part != STAGES {
                skipped.push(format!("{}: is hidden", entry.path().display()));
            } else if kind.is_dir() {
                open.push(below);
            } else if kind.is_file() {
                if files.len() == MOST_FILES {
                    bail!("{name} has more than {MOST_FILES} files; name the directory of the project alone");
                }
                files.push(read(&entry.path(), below)?);
            } else {
                skipped.push(format!("{}: is no regular file", entry.path().display()));
            }
        }
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    skipped.sort();
    Ok(Tree {
        name,
        named: false,
        files,
    })
}

/// A file, of which no more is read than can be used: what is longer is refused by its length.
fn read(path: &Path, as_: String) -> anyhow::Result<Found> {
    let cannot_read = || format!("could not read {}", path.display());
    let file = fs::File::open(path).with_context(cannot_read)?;
    let size = file.metadata().with_context(cannot_read)?.len();
    let mut content = Vec::new();
    file.take(LONGEST as u64 + 1)
        .read_to_end(&mut content)
        .with_context(cannot_read)?;
    Ok(Found {
        path: as_,
        size: size.max(content.len() as u64),
        content,
    })
}
