//! `coxswain version`: this program's, the cluster's, and the operator's.

use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use kube::{Api, ResourceExt, api::ListParams};

use super::{cluster::Connect, files::print_text};
use crate::api::{GROUP, VERSION};

/// The versions of this program, of the operator and of Kubernetes.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Only this program's; no cluster is asked.
    #[arg(long)]
    client: bool,
    #[command(flatten)]
    connect: Connect,
}

/// How long a cluster may take to say its version.
const PATIENCE: Duration = Duration::from_secs(10);

/// Prints them. A cluster that can't be asked is told, and no error.
pub async fn run(args: Args) -> anyhow::Result<()> {
    print_text(&format!("coxswain {} ({GROUP}/{VERSION})\n", own()))?;
    if args.client {
        return Ok(());
    }
    match tokio::time::timeout(PATIENCE, servers(&args.connect)).await {
        Ok(Ok(told)) => print_text(&told),
        Ok(Err(error)) => print_text(&format!("no cluster: {error:#}\n")),
        Err(_) => print_text(&format!("no cluster: it did not answer within {PATIENCE:?}\n")),
    }
}

/// This program's version.
pub fn own() -> &'static str {
    env!("CARGO_PKG_VERSION")
}

async fn servers(connect: &Connect) -> anyhow::Result<String> {
    let cluster = connect.open().await?;
    let kubernetes = cluster.client.apiserver_version().await?;
    let operator = match operators(&cluster.client).await.as_slice() {
        [] => "operator: none found, or you may not see it".to_owned(),
        found => found
            .iter()
            .map(|(place, version)| format!("operator: {version} ({place})"))
            .collect::<Vec<_>>()
            .join("\n"),
    };
    Ok(format!("{operator}\nKubernetes: {}\n", kubernetes.git_version))
}

/// The operators that there are, by namespace and name, with the versions of their images.
async fn operators(client: &kube::Client) -> Vec<(String, String)> {
    let named = ListParams::default().labels("app.kubernetes.io/name=coxswain");
    let found = Api::<Deployment>::all(client.clone()).list(&named).await;
    let deployments = found.map(|list| list.items).unwrap_or_default();
    deployments
        .iter()
        .map(|d| {
            let place = format!("{}/{}", d.namespace().unwrap_or_default(), d.name_any());
            (place, image_version(d))
        })
        .collect()
}

/// The version that an operator's image is tagged with.
pub fn image_version(deployment: &Deployment) -> String {
    let pod = deployment.spec.as_ref().and_then(|s| s.template.spec.as_ref());
    let image = pod
        .and_then(|p| p.containers.first())
        .and_then(|c| c.image.clone());
    let image = image.unwrap_or_default();
    let name = image.split('@').next().unwrap_or_default();
    match name.rsplit_once(':') {
        // A port is no tag.
        Some((_, tag)) if !tag.contains('/') => tag.to_owned(),
        _ => "unknown".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    #[rstest]
    #[case("ghcr.io/coxswain-dev/coxswain:0.1.0", "0.1.0")]
    #[case("registry:5000/coxswain", "unknown")]
    #[case("registry:5000/coxswain:v2@sha256:abc", "v2")]
    fn versions_of_images(#[case] image: &str, #[case] version: &str) {
        let deployment = json!({"spec": {"selector": {}, "template": {"spec": {"containers": [
            {"name": "coxswain", "image": image}]}}}});
        assert_eq!(
            image_version(&serde_json::from_value(deployment).unwrap()),
            version
        );
    }
}
