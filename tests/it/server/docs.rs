//! The `curl` lines of docs/events.md, as they stand there, against the real handlers.

use std::{process::Command, sync::Arc};

use coxswain::{
    api::{Evaluation, ProblemEvent, SequenceExecution},
    controllers::{self, Context, Options},
    facts::clock::Clock,
    server::{self, Caches, listen},
    testing::{ApiServer, Metrics},
};
use serde::Deserialize as _;
use tokio::{net::TcpListener, sync::watch};
use tokio_util::sync::CancellationToken;

use super::{DEMO, Tokens};

const PAGE: &str = include_str!("../../../docs/events.md");

/// The commands of the page's `sh` blocks.
fn commands() -> Vec<String> {
    let blocks = PAGE
        .split("```sh\n")
        .skip(1)
        .filter_map(|rest| rest.split("```").next());
    let found: Vec<String> = blocks.filter(|b| b.contains("curl")).map(str::to_owned).collect();
    assert!(found.len() >= 5, "the page has {} curl commands", found.len());
    found
}

#[test]
fn every_curl_line_of_the_page_works() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let api = ApiServer::new(Clock::System);
        for yaml in [
            "{apiVersion: v1, kind: Namespace, metadata: {name: demo}}",
            include_str!("../../../examples/tutorial/shipyard.yaml"),
        ] {
            for document in serde_yaml::Deserializer::from_str(yaml) {
                let mut object = serde_json::Value::deserialize(document).unwrap();
                if object["kind"] != "Namespace" {
                    object["metadata"]["namespace"] = "demo".into();
                }
                api.apply_value(object).unwrap();
            }
        }
        let tokens = Tokens::new("docs");
        let context = Context::new(api.operator_client("operator").1, Clock::System);
        let (ready, is_ready) = watch::channel(false);
        let (caches, shared) = watch::channel(None);
        let router = server::router(context.clone(), &tokens.settings(), shared, is_ready.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let stop = CancellationToken::new();
        tokio::spawn(listen::serve(listener, None, router, 100, stop.clone()));
        let shutdown = stop.clone();
        let operator = tokio::spawn(async move {
            let options = Options {
                own_namespace: "coxswain-system".to_owned(),
                allowed_images: Default::default(),
                image: Some("coxswain:test".to_owned()),
                ready,
            };
            controllers::run_sharing(
                context,
                Arc::new(Metrics::default()),
                &options,
                shutdown,
                |definitions, problems| {
                    caches.send_replace(Some(Caches {
                        definitions: definitions.clone(),
                        problems: problems.clone(),
                    }));
                },
            )
            .await
        });
        is_ready.clone().wait_for(|ready| *ready).await.unwrap();
        for command in commands() {
            let shell = command.clone();
            let done = tokio::task::spawn_blocking(move || {
                Command::new("bash")
                    .args(["-euo", "pipefail", "-c", &shell])
                    .env("COXSWAIN", format!("http://127.0.0.1:{port}"))
                    .env("TOKEN", DEMO)
                    .current_dir(env!("CARGO_MANIFEST_DIR"))
                    .output()
                    .unwrap()
            });
            let done = done.await.unwrap();
            let said = String::from_utf8_lossy(&done.stdout).into_owned();
            assert!(
                done.status.success(),
                "{command}\n{said}\n{}",
                String::from_utf8_lossy(&done.stderr)
            );
            assert!(
                said.contains("keptnContext") || said.contains("problems"),
                "{command}\n{said}"
            );
        }
        assert!(!api.list::<ProblemEvent>("demo").is_empty());
        assert!(!api.list::<SequenceExecution>("demo").is_empty());
        assert!(!api.list::<Evaluation>("demo").is_empty());
        stop.cancel();
        operator.await.unwrap().unwrap();
    });
}
