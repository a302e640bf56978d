//! `coxswain add-resource`: files for Jobs into labelled ConfigMaps, as `keptn add-resource` put them into Git.

pub mod plan;
#[cfg(test)]
mod tests;

use std::path::PathBuf;

use anyhow::{Context as _, bail};
use clap::ValueEnum;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Api, Client, ResourceExt as _, core::NamespaceResourceScope};
use serde::{Serialize, de::DeserializeOwned};

use super::files::print_text;
use crate::{
    effects::{Created, Effects},
    facts::READ_TIMEOUT,
    v1::import::{Definition, Tree},
};

use plan::{Directory, Planned, Resource};

/// Who applies definitions, as `managedFields` shows.
const MANAGER: &str = "coxswain-add-resource";
/// How often a ConfigMap that others change too is read again.
const TRIES: usize = 5;

/// Adds files for Jobs, and Keptn's own files, to a project, stage or service.
///
/// A file becomes a key of the ConfigMap of its directory, which is made if it is not there; other keys stay. Files that
/// are kinds of Coxswain's (shipyard.yaml, remediation.yaml, job/config.yaml, slo.yaml, prometheus/sli.yaml) become those.
#[derive(clap::Args, Debug)]
pub(super) struct Args {
    /// The project
    #[arg(long, value_name = "NAME")]
    project: String,
    /// The stage; without it the file is for the whole project
    #[arg(long, value_name = "NAME", conflicts_with = "all_stages")]
    stage: Option<String>,
    /// For every stage: with --service, for the service wherever it is
    #[arg(long)]
    all_stages: bool,
    /// The service; without it the file is for all of the stage
    #[arg(long, value_name = "NAME")]
    service: Option<String>,
    /// A file, or a directory with all its files; may be given several times
    #[arg(long, required = true, value_name = "PATH")]
    resource: Vec<PathBuf>,
    /// The path that tasks ask for, such as charts/helloservice.tgz: one for each --resource, or one directory for several
    /// that ends with /. Default: as the --resource is written
    #[arg(long = "resourceUri", alias = "resource-uri", value_name = "PATH")]
    resource_uri: Vec<String>,
    /// The namespace. Default: the kubeconfig's
    #[arg(long, short, value_name = "NAME")]
    namespace: Option<String>,
    /// Say what would be done; no cluster is asked
    #[arg(long)]
    dry_run: bool,
    /// Print the objects instead of writing them; no cluster is asked
    #[arg(long, short, value_enum)]
    output: Option<Output>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Output {
    /// One stream of YAML documents.
    Yaml,
}

/// Adds, and says on stdout what.
pub(super) async fn run(args: &Args) -> anyhow::Result<()> {
    let scope = plan::scope(
        &args.project,
        args.stage.as_deref(),
        args.all_stages,
        args.service.as_deref(),
    )?;
    let resources = resources(args)?;
    let offline = args.dry_run || args.output.is_some();
    let planned = plan::planned(resources, &scope, args.namespace.as_deref())?;
    for warning in &planned.warnings {
        eprintln!("warning: {warning}");
    }
    if offline {
        return show(args, &planned);
    }
    let client = Client::try_default()
        .await
        .context("finding a cluster: set KUBECONFIG, or print the objects with -o yaml")?;
    let namespace = args
        .namespace
        .clone()
        .unwrap_or_else(|| client.default_namespace().to_owned());
    for line in write(&client, &namespace, planned).await? {
        print_text(&format!("{line}\n"))?;
    }
    Ok(())
}

/// The files, each with the path that it gets.
fn resources(args: &Args) -> anyhow::Result<Vec<Resource>> {
    let uris = &args.resource_uri;
    let into = match uris.as_slice() {
        [one] if args.resource.len() > 1 && one.ends_with('/') => Some(one),
        _ if uris.is_empty() || uris.len() == args.resource.len() => None,
        _ => bail!(
            "there are {} --resource and {} --resourceUri: give one --resourceUri for each, or one directory that ends with /",
            args.resource.len(),
            uris.len()
        ),
    };
    let mut found = vec![];
    for (index, path) in args.resource.iter().enumerate() {
        let mut skipped = vec![];
        let tree: Tree = super::import::tree(path, &mut skipped)?;
        for line in skipped {
            eprintln!("skipped {line}");
        }
        if tree.files.is_empty() {
            bail!("--resource={}: the directory has no files", path.display());
        }
        let uri = match (into, uris.get(index)) {
            (Some(directory), _) => directory,
            (None, Some(uri)) => uri,
            (None, None) => &plan::default_uri(&path.to_string_lossy())?,
        };
        for file in tree.files {
            // Into a directory; of a directory; or just that path.
            let remote = if !tree.named || uri.ends_with('/') {
                format!("{}/{}", uri.trim_end_matches('/'), file.path)
            } else {
                uri.clone()
            };
            let local = if tree.named {
                tree.name.clone()
            } else {
                format!("{}/{}", tree.name.trim_end_matches('/'), file.path)
            };
            found.push(Resource {
                local,
                remote,
                size: file.size,
                content: file.content,
            });
        }
    }
    Ok(found)
}

/// What would be written.
fn show(args: &Args, planned: &Planned) -> anyhow::Result<()> {
    let mut shown = vec![];
    for (remote, definition) in &planned.definitions {
        shown.push((id(definition), remote.clone(), serde_yaml::to_string(definition)?));
    }
    for directory in &planned.directories {
        let object = serde_yaml::to_string(&directory.fresh(args.namespace.as_deref())?)?;
        shown.push((
            format!("configmap/{}", directory.name()),
            directory.shown(),
            object,
        ));
    }
    let line = |(id, what, object): (String, String, String)| match args.output {
        Some(Output::Yaml) => format!("---\n{object}"),
        None => format!("{id} would be configured ({what})\n"),
    };
    print_text(&shown.into_iter().map(line).collect::<String>())
}

/// As kubectl names it.
fn id(definition: &Definition) -> String {
    let (kind, name) = definition.id();
    format!("{}.coxswain.dev/{name}", kind.to_lowercase())
}

/// Writes everything; returns a line for each object.
pub async fn write(client: &Client, namespace: &str, planned: Planned) -> anyhow::Result<Vec<String>> {
    let mut lines = vec![];
    for (remote, definition) in planned.definitions {
        let id = id(&definition);
        let done = match definition {
            Definition::Shipyard(o) => apply(client, namespace, o).await,
            Definition::Remediation(o) => apply(client, namespace, o).await,
            Definition::JobConfig(o) => apply(client, namespace, o).await,
            Definition::Objective(o) => apply(client, namespace, o).await,
            Definition::Indicator(o) => apply(client, namespace, o).await,
            Definition::ConfigMap(o) => apply(client, namespace, o).await,
        }?;
        lines.push(format!("{id} {done} ({remote})"));
    }
    for directory in &planned.directories {
        let done = add(client, namespace, directory).await?;
        lines.push(format!(
            "configmap/{} {done} ({})",
            directory.name(),
            directory.shown()
        ));
    }
    Ok(lines)
}

/// Makes an object what its file says. What others have set beside that stays.
async fn apply<K>(client: &Client, namespace: &str, mut object: K) -> anyhow::Result<&'static str>
where
    K: kube::Resource<Scope = NamespaceResourceScope, DynamicType = ()>
        + Clone
        + std::fmt::Debug
        + DeserializeOwned
        + Serialize,
{
    object.meta_mut().namespace = Some(namespace.to_owned());
    let before = read::<K>(client, namespace, &object.name_any()).await?;
    let after = Effects::new(client.clone()).apply(&object, MANAGER).await?;
    Ok(said(
        before.and_then(|o| o.resource_version()),
        after.resource_version(),
    ))
}

/// Adds files to their ConfigMap.
async fn add(client: &Client, namespace: &str, directory: &Directory) -> anyhow::Result<&'static str> {
    let effects = Effects::new(client.clone());
    for _ in 0..TRIES {
        let Some(existing) = read::<ConfigMap>(client, namespace, &directory.name()).await? else {
            match effects.create(&directory.fresh(Some(namespace))?).await? {
                Created::New(_) => return Ok("created"),
                Created::Existed(_) => continue,
            }
        };
        match effects.merge(&existing, &directory.patch(&existing)?).await {
            Ok(after) => return Ok(said(existing.resource_version(), after.resource_version())),
            // Somebody else added something at the same moment: it counts against the size.
            Err(error) if error.is_conflict() || error.is_not_found() => {}
            Err(error) => return Err(error.into()),
        }
    }
    bail!(
        "ConfigMap {namespace}/{} is changed by others all the time; try again",
        directory.name()
    )
}

async fn read<K>(client: &Client, namespace: &str, name: &str) -> anyhow::Result<Option<K>>
where
    K: kube::Resource<Scope = NamespaceResourceScope, DynamicType = ()>
        + Clone
        + std::fmt::Debug
        + DeserializeOwned,
{
    let api = Api::<K>::namespaced(client.clone(), namespace);
    let reading = || format!("reading {} {namespace}/{name}", K::kind(&()));
    let found = tokio::time::timeout(READ_TIMEOUT, api.get_opt(name)).await;
    found.with_context(reading)?.with_context(reading)
}

/// What became of an object, by its resourceVersions.
fn said(before: Option<String>, after: Option<String>) -> &'static str {
    match before {
        None => "created",
        before if before == after => "unchanged",
        Some(_) => "configured",
    }
}
