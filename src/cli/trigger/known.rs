//! Before something is made: is there such a project, stage and sequence? A typing mistake is told now, and not by a run
//! that fails.

use std::sync::Arc;

use anyhow::bail;
use kube::{ResourceExt, api::ListParams};

use crate::{api::Shipyard, cli::cluster::Cluster, core::definitions};

/// Refuses what no Shipyard of the namespace has. Who may not read Shipyards is not kept from anything.
pub(super) async fn check(
    cluster: &Cluster,
    project: &str,
    stage: Option<&str>,
    sequence: &str,
) -> anyhow::Result<()> {
    let listed = cluster.list::<Shipyard>(false, &ListParams::default()).await;
    let Ok(shipyards) = listed else { return Ok(()) };
    let shipyards: Vec<Arc<Shipyard>> = shipyards.into_iter().map(Arc::new).collect();
    if !shipyards.iter().any(|s| s.name_any() == project)
        && let Some(elsewhere) = elsewhere(cluster, project).await
    {
        bail!(
            "--project: Shipyard {project} is not in namespace {}, but in {elsewhere}; add -n {elsewhere}",
            cluster.namespace
        );
    }
    let first = shipyards.iter().find(|s| s.name_any() == project);
    let first = first.and_then(|s| s.spec.stages.first()).map(|s| s.name.clone());
    let stage = stage.map(str::to_owned).or(first).unwrap_or_default();
    match definitions::sequence(&shipyards, project, &stage, sequence) {
        Ok(_) => Ok(()),
        Err(missing) => {
            let message = missing.message.replace(
                "in this namespace",
                &format!("in namespace {}", cluster.namespace),
            );
            bail!("{message}")
        }
    }
}

/// Another namespace that has the project.
async fn elsewhere(cluster: &Cluster, project: &str) -> Option<String> {
    let named = ListParams::default().fields(&format!("metadata.name={project}"));
    let found = cluster.list::<Shipyard>(true, &named).await.ok()?;
    found.first()?.namespace()
}
