//! What becomes of Keptn v1's job configs, on a real API server: it would take every Job.

use k8s_openapi::api::{batch::v1::Job, core::v1::Namespace};
use kube::{
    Api, Client,
    api::{ObjectMeta, PostParams},
};
use serde_json::Value;

use crate::jobs::{example, examples};

#[tokio::test]
#[ignore = "needs a cluster (KUBECONFIG)"]
async fn the_v1_job_configs_are_accepted() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = Client::try_default().await.unwrap();
    let namespace = format!("v1-jobs-{}", std::process::id());
    let metadata = ObjectMeta {
        name: Some(namespace.clone()),
        ..ObjectMeta::default()
    };
    let wanted = Namespace {
        metadata,
        ..Namespace::default()
    };
    let namespaces = Api::<Namespace>::all(client.clone());
    namespaces.create(&PostParams::default(), &wanted).await.unwrap();
    let api = Api::<Job>::namespaced(client, &namespace);
    let dry = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    let mut taken = 0;
    for name in examples() {
        for document in example(&name)["jobs"].as_array().unwrap() {
            let job: Job = serde_json::from_value(document.clone()).unwrap();
            let created = api
                .create(&dry, &job)
                .await
                .unwrap_or_else(|error| panic!("{name}: {error}"));
            let created = serde_json::to_value(created).unwrap();
            assert_eq!(
                lost(document, &created),
                Vec::<String>::new(),
                "{name}: nothing is dropped"
            );
            taken += 1;
        }
    }
    assert!(taken >= 10, "{taken} Jobs");
    namespaces
        .delete(&namespace, &kube::api::DeleteParams::default())
        .await
        .unwrap();
}

/// The paths of what was asked for and did not come back.
fn lost(asked: &Value, got: &Value) -> Vec<String> {
    match (asked, got) {
        (Value::Object(asked), got) => {
            let below = |(key, value): (&String, &Value)| {
                let inner = lost(value, &got[key]).into_iter();
                inner.map(|path| format!(".{key}{path}")).collect::<Vec<_>>()
            };
            asked.iter().flat_map(below).collect()
        }
        (Value::Array(asked), Value::Array(got)) if asked.len() == got.len() => {
            let both = asked.iter().zip(got).enumerate();
            both.flat_map(|(index, (asked, got))| {
                lost(asked, got)
                    .into_iter()
                    .map(move |path| format!("[{index}]{path}"))
            })
            .collect()
        }
        _ if asked == got => vec![],
        _ => vec![format!(": {asked} became {got}")],
    }
}
