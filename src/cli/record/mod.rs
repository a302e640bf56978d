//! `coxswain record`: a real run as a case for `coxswain test`.

mod case;
mod maps;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use kube::{Api, Client, Resource, ResourceExt, api::ListParams, core::NamespaceResourceScope};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use super::{
    cluster::{Cluster, Connect},
    files::{self, File},
};
use crate::api::{
    Evaluation, JobConfig, MetricsProvider, Remediation, SequenceExecution, ServiceLevelIndicator,
    ServiceLevelObjective, Shipyard,
};
use case::Recorded;

/// The file of the definitions, beside the case.
const DEFINITIONS: &str = "definitions.yaml";

/// Reads a run that has ended, what it triggered, and its definitions, and writes a case that `coxswain test` plays without
/// a cluster.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The SequenceExecution, as NAME or se/NAME
    run: String,
    /// The directory with the cases; the new one becomes a folder in it, named like the run.
    #[arg(long, short, default_value = ".", value_name = "DIR")]
    output: PathBuf,
    #[command(flatten)]
    connect: Connect,
}

/// Records, and says where.
pub async fn run(args: Args) -> anyhow::Result<()> {
    let Cluster { client, namespace } = args.connect.open().await?;
    let name = match args.run.split_once('/') {
        Some(("se" | "sequenceexecution" | "sequenceexecutions", name)) => name,
        Some((kind, _)) => bail!("{kind:?} is not a kind that can be recorded: name a run (se/NAME)"),
        None => &args.run,
    };
    let warnings = record(&client, &namespace, name, &args.output).await?;
    for warning in warnings {
        eprintln!("coxswain: {warning}");
    }
    Ok(())
}

/// Writes the case of a run into a folder below `directory`; returns what it may not tell as it was.
pub async fn record(
    client: &Client,
    namespace: &str,
    name: &str,
    directory: &Path,
) -> anyhow::Result<Vec<String>> {
    let folder = directory.join(name);
    if folder.join(super::test::CASE).exists() {
        bail!(
            "{} is there already: remove it, or name another directory with --output",
            folder.display()
        );
    }
    let runs = chain(client, namespace, name).await?;
    let project = &runs[0].spec.project;
    let (definitions, mut warnings) = definitions(client, namespace, project, &runs).await?;
    let mut evaluations = vec![];
    for run in &runs {
        evaluations.extend(evaluations_of(client, namespace, run).await?);
    }
    let Recorded { case, warnings: more } = case::of(&runs, &evaluations, DEFINITIONS)?;
    warnings.extend(more);
    let stream = definitions
        .iter()
        .map(|d| Ok(format!("---\n{}", serde_yaml::to_string(d)?)));
    let stream = stream.collect::<anyhow::Result<String>>()?;
    let written = [
        (super::test::CASE, serde_yaml::to_string(&case)?),
        (DEFINITIONS, stream),
    ];
    let written = written.map(|(path, content)| File {
        path: path.to_owned(),
        content,
    });
    files::write(&folder, &written)?;
    Ok(warnings)
}

/// The run, and those that it triggered, in the order in which they came to be.
async fn chain(client: &Client, namespace: &str, name: &str) -> anyhow::Result<Vec<SequenceExecution>> {
    let api = Api::<SequenceExecution>::namespaced(client.clone(), namespace);
    let mut found: Vec<SequenceExecution> = vec![];
    let mut open = vec![name.to_owned()];
    while let Some(name) = open.pop() {
        let run = api
            .get_opt(&name)
            .await
            .with_context(|| format!("reading SequenceExecution {namespace}/{name}"))?;
        let run = run.with_context(|| {
            format!("there is no SequenceExecution {name} in namespace {namespace}: see kubectl get sequenceexecutions -n {namespace}")
        })?;
        open.extend(
            run.status
                .iter()
                .flat_map(|s| &s.triggered)
                .map(|t| t.name.clone()),
        );
        found.push(run);
    }
    found[1..].sort_by_key(|run| run.creation_timestamp().map(|t| t.0));
    Ok(found)
}

/// The project's definitions as they are now, and which of them the run did not see so.
async fn definitions(
    client: &Client,
    namespace: &str,
    project: &str,
    runs: &[SequenceExecution],
) -> anyhow::Result<(Vec<Value>, Vec<String>)> {
    let mut all = vec![];
    let of = |scope: &crate::api::Scope| scope.project == project;
    all.extend(list::<Shipyard>(client, namespace, |s| s.name_any() == project).await?);
    all.extend(list::<Remediation>(client, namespace, |r| of(&r.spec.scope)).await?);
    let configs = Api::<JobConfig>::namespaced(client.clone(), namespace);
    let configs = configs
        .list(&ListParams::default())
        .await
        .context("listing JobConfigs")?
        .items;
    all.extend(list::<JobConfig>(client, namespace, |j| of(&j.spec.scope)).await?);
    all.extend(list::<ServiceLevelObjective>(client, namespace, |o| of(&o.spec.scope)).await?);
    all.extend(list::<ServiceLevelIndicator>(client, namespace, |i| of(&i.spec.scope)).await?);
    all.extend(list::<MetricsProvider>(client, namespace, |_| true).await?);
    let edited = edited(&all, runs);
    let mut settled: Vec<Value> = all.iter().map(settled).collect();
    let configs: Vec<&JobConfig> = configs.iter().filter(|j| of(&j.spec.scope)).collect();
    settled.extend(maps::of(client, namespace, &configs, runs).await?);
    Ok((settled, edited))
}

async fn list<K>(client: &Client, namespace: &str, wanted: impl Fn(&K) -> bool) -> anyhow::Result<Vec<Value>>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + std::fmt::Debug
        + DeserializeOwned
        + Serialize,
{
    let api = Api::<K>::namespaced(client.clone(), namespace);
    let found = api.list(&ListParams::default()).await;
    let found = found.with_context(|| format!("listing {} in namespace {namespace}", K::plural(&())))?;
    let wanted = found.items.iter().filter(|object| wanted(object));
    wanted.map(|object| Ok(serde_json::to_value(object)?)).collect()
}

/// The Evaluations that the run's tasks waited for.
async fn evaluations_of(
    client: &Client,
    namespace: &str,
    run: &SequenceExecution,
) -> anyhow::Result<Vec<Evaluation>> {
    let api = Api::<Evaluation>::namespaced(client.clone(), namespace);
    let attempts = run.status.iter().flat_map(|s| &s.attempts);
    let mut found = vec![];
    for asked in attempts
        .flat_map(|a| &a.tasks)
        .filter_map(|t| t.evaluation.as_ref())
    {
        let evaluation = api.get_opt(&asked.name).await;
        found.extend(evaluation.with_context(|| format!("reading Evaluation {namespace}/{}", asked.name))?);
    }
    Ok(found)
}

/// What has been edited since the run was pinned to it.
fn edited(definitions: &[Value], runs: &[SequenceExecution]) -> Vec<String> {
    let plans = runs.iter().filter_map(|r| r.status.as_ref()?.plan.as_ref());
    let mut told: Vec<String> = plans
        .flat_map(|plan| &plan.pinned)
        .filter_map(|pinned| {
            let of = definitions
                .iter()
                .find(|d| d["kind"] == pinned.kind && d["metadata"]["name"] == pinned.name)?;
            let now = of["metadata"]["generation"].as_i64();
            (pinned.generation.is_some() && now.is_some() && pinned.generation != now).then(|| {
                format!(
                    "{} {} was edited since the run: the case has it as it is now",
                    pinned.kind, pinned.name
                )
            })
        })
        .collect();
    told.sort();
    told.dedup();
    told
}

/// An object without what only its cluster knows. The time of creation stays: of two equally specific objects the older
/// is in force.
pub(super) fn settled(object: &Value) -> Value {
    let meta = &object["metadata"];
    let kept = ["name", "namespace", "creationTimestamp"];
    let meta: serde_json::Map<_, _> = kept
        .iter()
        .filter(|field| !meta[**field].is_null())
        .map(|field| ((*field).to_owned(), meta[*field].clone()))
        .collect();
    let mut settled = object.clone();
    settled["metadata"] = Value::Object(meta);
    if let Some(fields) = settled.as_object_mut() {
        fields.remove("status");
    }
    settled
}
