//! What the Helm chart makes, with every pair of its switches, is what a real API server takes.

use std::collections::BTreeSet;

use kube::{
    Api, Client,
    api::{Patch, PatchParams},
    core::{ApiResource, DynamicObject, GroupVersionKind},
};
use serde_json::{Value, json};

use crate::chart::{NAMESPACES, helms, renderings};

async fn apply(client: &Client, object: &Value, dry_run: bool) -> Result<(), kube::Error> {
    let text = |pointer: &str| {
        object
            .pointer(pointer)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    let (group, version) = text("/apiVersion")
        .split_once('/')
        .unwrap_or(("", text("/apiVersion")));
    let gvk = GroupVersionKind::gvk(group, version, text("/kind"));
    let mut resource = ApiResource::from_gvk(&gvk);
    if let Some(stem) = resource.plural.strip_suffix("policys") {
        resource.plural = format!("{stem}policies");
    }
    let api = match text("/metadata/namespace") {
        "" => Api::<DynamicObject>::all_with(client.clone(), &resource),
        namespace => Api::namespaced_with(client.clone(), namespace, &resource),
    };
    let mut params = PatchParams::apply("chart-test").force().validation_strict();
    params.dry_run = dry_run;
    api.patch(text("/metadata/name"), &params, &Patch::Apply(object))
        .await
        .map(drop)
}

#[tokio::test]
#[ignore = "needs a cluster (KUBECONFIG) with the CRDs, and helm"]
async fn every_object_of_the_chart_is_taken() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = Client::try_default().await.unwrap();
    for name in NAMESPACES {
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        apply(&client, &namespace, false).await.unwrap();
    }
    let (mut seen, mut refused) = (BTreeSet::new(), vec![]);
    for program in helms() {
        for (values, objects) in renderings(&program) {
            for object in objects {
                if seen.insert(object.to_string())
                    && let Err(error) = apply(&client, &object, true).await
                {
                    refused.push(format!("{program} with {values}: {error}\n{object}"));
                }
            }
        }
    }
    assert!(seen.len() > 100, "{} objects", seen.len());
    assert!(refused.is_empty(), "{}", refused.join("\n"));
}
