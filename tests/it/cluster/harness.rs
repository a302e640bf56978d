//! A real cluster, seen by a test: namespaces of its own, kubectl, and waiting for conditions.

use std::{
    fmt::Debug,
    io::Write,
    process::{Command, Stdio},
    time::Duration,
};

use coxswain::api::{ProblemEvent, SequenceExecution};
use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::{
    Api, Client, Config, ResourceExt,
    api::{DeleteParams, ListParams, ObjectMeta, PostParams},
    config::{KubeConfigOptions, Kubeconfig},
    core::NamespaceResourceScope,
    runtime::wait::await_condition,
};
use serde::de::DeserializeOwned;
use serde_json::json;

pub const OPERATOR: &str = "coxswain-system";

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

    /// A namespace for one test; an old one of that name is gone first.
    pub async fn fresh_namespace(&self, name: &str) {
        let api = Api::<Namespace>::all(self.client.clone());
        if let Some(old) = api.get_opt(name).await.unwrap() {
            let _ = api.delete(name, &DeleteParams::default()).await;
            let uid = old.uid().unwrap();
            let gone = kube::runtime::conditions::is_deleted(&uid);
            tokio::time::timeout(Duration::from_secs(90), await_condition(api.clone(), name, gone))
                .await
                .expect("the old namespace goes")
                .unwrap();
        }
        let namespace = Namespace {
            metadata: ObjectMeta {
                name: Some(name.into()),
                ..ObjectMeta::default()
            },
            ..Namespace::default()
        };
        api.create(&PostParams::default(), &namespace).await.unwrap();
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

    /// Kills the operator's process, as a crash would: no signal handler runs.
    pub async fn kill_operator(&self) {
        let pods = self.api::<Pod>(OPERATOR);
        let params = ListParams::default().labels("app.kubernetes.io/name=coxswain");
        let pod = pods
            .list(&params)
            .await
            .unwrap()
            .items
            .into_iter()
            .find(|p| p.metadata.deletion_timestamp.is_none())
            .expect("the operator's pod");
        let restarts = restarts(&pod);
        let pid = pid_in(&pod.uid().unwrap()).expect("the operator's process on this machine");
        assert!(
            Command::new("kill")
                .args(["-9", &pid.to_string()])
                .status()
                .unwrap()
                .success()
        );
        let name = pod.name_any();
        self.wait::<Pod>(
            OPERATOR,
            &name,
            Duration::from_secs(90),
            "a restarted operator",
            |p| self::restarts(p) > restarts && is_ready(p),
        )
        .await;
    }
}

fn restarts(pod: &Pod) -> i32 {
    let statuses = pod.status.as_ref().and_then(|s| s.container_statuses.as_ref());
    statuses.map_or(0, |s| s.iter().map(|c| c.restart_count).sum())
}

fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.as_ref().and_then(|s| s.conditions.as_ref());
    conditions.is_some_and(|c| c.iter().any(|c| c.type_ == "Ready" && c.status == "True"))
}

/// The process `coxswain run` in the pod of this uid, by its cgroup.
fn pid_in(pod_uid: &str) -> Option<u32> {
    let processes = std::fs::read_dir("/proc").ok()?;
    processes
        .filter_map(|e| e.ok()?.file_name().to_str()?.parse::<u32>().ok())
        .find(|pid| {
            let read = |file: &str| std::fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
            let cgroup = String::from_utf8_lossy(&read("cgroup")).replace('_', "-");
            cgroup.contains(pod_uid) && read("cmdline").starts_with(b"/coxswain\0")
        })
}

/// Runs kubectl, which must fail; what it says.
pub fn refused(args: &[String]) -> String {
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let output = run(&args, "");
    assert!(!output.status.success(), "kubectl {args:?} was not refused");
    String::from_utf8(output.stderr).unwrap()
}

/// Runs kubectl with this input; its output.
pub fn kubectl(args: &[&str], input: &str) -> String {
    let output = run(args, input);
    assert!(
        output.status.success(),
        "kubectl {args:?}: {}\n{input}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

fn run(args: &[&str], input: &str) -> std::process::Output {
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
    child.wait_with_output().unwrap()
}

/// A shipyard whose remediation is `get-action`, `action`, and nothing else, with one action, in this namespace; and a
/// JobConfig whose one Job is `task` (YAML, what is to be other than in the usual one).
pub fn one_action(namespace: &str, task: &str) {
    let mut job = json!({"name": "act", "image": "busybox:1.36", "imagePullPolicy": "IfNotPresent"});
    if let Some(more) = serde_yaml::from_str::<Option<serde_json::Map<_, _>>>(task).unwrap() {
        job.as_object_mut().unwrap().extend(more);
    }
    let object = |kind: &str, spec: serde_json::Value| json!({"apiVersion": "coxswain.dev/v1alpha1", "kind": kind, "metadata": {"name": "shop"}, "spec": spec});
    let remediation = json!({"name": "remediation", "tasks": [{"name": "get-action"}, {"name": "action"}]});
    let actions = json!([{"problemType": "slow", "actionsOnOpen": [{"action": "act", "value": "2"}]}]);
    let answer =
        json!({"name": "act", "events": [{"name": "sh.keptn.event.action.triggered"}], "tasks": [job]});
    let list = json!({"apiVersion": "v1", "kind": "List", "items": [
        object("Shipyard", json!({"stages": [{"name": "production", "sequences": [remediation]}]})),
        object("Remediation", json!({"project": "shop", "remediations": actions})),
        object("JobConfig", json!({"project": "shop", "actions": [answer]})),
    ]});
    kubectl(&["apply", "-n", namespace, "-f", "-"], &list.to_string());
}

/// Raises the problem `slow`.
pub fn raise(namespace: &str) {
    kubectl(
        &["apply", "-n", namespace, "-f", "-"],
        r"
apiVersion: coxswain.dev/v1alpha1
kind: ProblemEvent
metadata: {name: slow}
spec:
  project: shop
  stage: production
  service: cart
  problem: {problemTitle: slow}
",
    );
}

pub fn done(run: &SequenceExecution) -> bool {
    run.status.as_ref().is_some_and(|s| s.done)
}

/// The status of the task of this name in the newest attempt.
pub fn task<'a>(run: &'a SequenceExecution, name: &str) -> &'a coxswain::api::execution::TaskStatus {
    let attempt = run.status.as_ref().unwrap().attempts.last().unwrap();
    attempt.tasks.iter().find(|t| t.name == name).unwrap()
}
