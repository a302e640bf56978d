//! A real cluster, seen by a test: namespaces of its own, kubectl, and waiting for conditions.

use std::{
    fmt::Debug,
    io::Write,
    process::{Command, Stdio},
    time::Duration,
};

use coxswain::api::{ProblemEvent, SequenceExecution};
use kube::{
    Api, Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
    core::NamespaceResourceScope,
    runtime::wait::await_condition,
};
use serde::de::DeserializeOwned;

/// The cluster that `COXSWAIN_TEST_KUBECONFIG` names.
pub struct Cluster {
    pub client: Client,
}

impl Cluster {
    pub async fn connect() -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let path =
            std::env::var("COXSWAIN_TEST_KUBECONFIG").expect("COXSWAIN_TEST_KUBECONFIG names the cluster");
        let kubeconfig = Kubeconfig::read_from(path).unwrap();
        let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
            .await
            .unwrap();
        Self {
            client: Client::try_from(config).unwrap(),
        }
    }

    pub fn api<K>(&self, namespace: &str) -> Api<K>
    where
        K: kube::Resource<Scope = NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.client.clone(), namespace)
    }

    /// Waits until the object is as `condition` says.
    pub async fn wait<K>(
        &self,
        namespace: &str,
        name: &str,
        within: Duration,
        what: &str,
        condition: impl Fn(&K) -> bool,
    ) -> K
    where
        K: kube::Resource<Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned + Send + 'static,
        K::DynamicType: Default,
    {
        let api = self.api::<K>(namespace);
        let met = |object: Option<&K>| object.is_some_and(&condition);
        match tokio::time::timeout(within, await_condition(api.clone(), name, met)).await {
            Ok(found) => found.unwrap().unwrap(),
            Err(_) => panic!(
                "{namespace}/{name}: {what} did not come within {within:?}: {:#?}",
                api.get_opt(name).await
            ),
        }
    }

    /// Waits until the problem has its run, and the run is as `condition` says.
    pub async fn wait_run(
        &self,
        namespace: &str,
        problem: &str,
        within: Duration,
        what: &str,
        condition: impl Fn(&SequenceExecution) -> bool,
    ) -> SequenceExecution {
        let started = |p: &ProblemEvent| p.status.as_ref().is_some_and(|s| s.execution.is_some());
        let problem = self
            .wait::<ProblemEvent>(namespace, problem, Duration::from_secs(30), "a run", started)
            .await;
        let run = problem.status.unwrap().execution.unwrap();
        self.wait(namespace, &run, within, what, condition).await
    }
}

/// Runs kubectl with this input; its output.
pub fn kubectl(args: &[&str], input: &str) -> String {
    let command = std::env::var("COXSWAIN_TEST_KUBECTL").unwrap_or_else(|_| "kubectl".into());
    let mut words = command.split_whitespace();
    let mut child = Command::new(words.next().unwrap())
        .args(words)
        .args(args)
        .env("KUBECONFIG", std::env::var("COXSWAIN_TEST_KUBECONFIG").unwrap())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(
        output.status.success(),
        "kubectl {args:?}: {}\n{input}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

pub fn done(run: &SequenceExecution) -> bool {
    run.status.as_ref().is_some_and(|s| s.done)
}
