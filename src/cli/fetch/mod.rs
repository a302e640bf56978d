//! `coxswain fetch`: what the init container of a Job does whose files come from sources of Flux.

mod download;
#[cfg(test)]
mod tests;
mod unpack;

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};

use crate::{
    api::Duration,
    core::{
        definitions::nearest::hint,
        jobs::{
            build::FILES_DIR,
            fetch::MOUNTED_DIR,
            files::artifact::{ARCHIVE_MAX, Artifact, FetchPlan},
        },
    },
};

use unpack::Budget;

/// What is fetched, and where to.
#[derive(clap::Args, Debug)]
pub(super) struct Args {
    /// What to fetch, as the operator writes it into the Job
    #[arg(long, value_name = "JSON")]
    plan: String,
    /// Files that are there already, and are copied too
    #[arg(long, value_name = "DIR", default_value = MOUNTED_DIR)]
    mounted: PathBuf,
    /// Where the files go; what is in there is removed
    #[arg(long, value_name = "DIR", default_value = FILES_DIR)]
    to: PathBuf,
    /// How long each download may take
    #[arg(long, value_name = "DURATION", default_value = "2m")]
    timeout: Duration,
}

/// What bounds a fetch.
#[derive(Clone, Copy, Debug)]
struct Limits {
    /// How long each download may take.
    timeout: std::time::Duration,
    /// How many bytes an archive may have.
    archive: u64,
    /// Whether the server may be this machine; tests' is.
    allow_loopback: bool,
}

/// Fetches, and says on stdout what.
pub(super) async fn run(args: &Args) -> anyhow::Result<()> {
    let plan: FetchPlan = serde_json::from_str(&args.plan).context("--plan can't be read")?;
    let limits = Limits {
        timeout: args.timeout.0,
        archive: ARCHIVE_MAX,
        allow_loopback: false,
    };
    for line in fetch(&plan, &args.mounted, &args.to, limits, Budget::default()).await? {
        println!("{line}");
    }
    Ok(())
}

/// Fetches the artifacts, copies what is mounted over them, and checks that of every file something is there. Returns a line
/// for each artifact.
async fn fetch(
    plan: &FetchPlan,
    mounted: &Path,
    to: &Path,
    limits: Limits,
    mut budget: Budget,
) -> anyhow::Result<Vec<String>> {
    // A kubelet may run an init container again.
    empty(to).with_context(|| format!("emptying {}", to.display()))?;
    let mut told = vec![];
    for artifact in &plan.artifacts {
        let count = one(artifact, &plan.files, to, limits, &mut budget)
            .await
            .with_context(|| artifact.source.clone())?;
        told.push(format!("{}: {count} files", artifact.source));
    }
    if mounted.is_dir() {
        copy(mounted, to).with_context(|| format!("copying {}", mounted.display()))?;
    }
    for wanted in &plan.files {
        if !to.join(wanted).exists() {
            let mut known = vec![];
            list(to, "", &mut known)?;
            let of: Vec<&str> = plan.artifacts.iter().map(|a| a.source.as_str()).collect();
            let known = known.iter().map(String::as_str);
            let shown = if wanted.is_empty() { "any file" } else { wanted };
            bail!("{} has not {shown}{}", of.join(", "), hint(wanted, known));
        }
    }
    Ok(told)
}

async fn one(
    artifact: &Artifact,
    wanted: &[String],
    to: &Path,
    limits: Limits,
    budget: &mut Budget,
) -> anyhow::Result<usize> {
    let archive = Temporary::new();
    download::download(&artifact.url, &artifact.digest, &archive.0, limits).await?;
    let file = fs::File::open(&archive.0).context("reading the archive")?;
    unpack::unpack(file, artifact, wanted, to, budget)
}

/// A file that is removed when it is not needed any more.
struct Temporary(PathBuf);

impl Temporary {
    fn new() -> Self {
        static COUNT: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
        let count = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let name = format!("coxswain-artifact-{}-{count}", std::process::id());
        Self(std::env::temp_dir().join(name))
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn empty(directory: &Path) -> std::io::Result<()> {
    fs::create_dir_all(directory)?;
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            fs::remove_dir_all(entry.path())?;
        } else {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Copies the files of a volume, through the links that a kubelet makes in it.
fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let name = entry.file_name();
        // `..data` and the like are the kubelet's own.
        if name.to_string_lossy().starts_with("..") {
            continue;
        }
        let (from, to) = (entry.path(), to.join(&name));
        if fs::metadata(&from)?.is_dir() {
            fs::create_dir_all(&to).with_context(|| format!("making {}", to.display()))?;
            copy(&from, &to)?;
        } else {
            let content = fs::File::open(&from).with_context(|| format!("reading {}", from.display()))?;
            unpack::write(&mut &content, &to, true)?;
        }
    }
    Ok(())
}

/// The paths of all files below a directory.
fn list(directory: &Path, path: &str, found: &mut Vec<String>) -> anyhow::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let path = format!("{path}{}", entry.file_name().to_string_lossy());
        if entry.file_type()?.is_dir() {
            list(&entry.path(), &format!("{path}/"), found)?;
        } else {
            found.push(path);
        }
    }
    found.sort();
    Ok(())
}
