//! The operator as a process beside the cluster, with its own rights, behind the recording proxy.

use std::{
    fs,
    process::{Child, Command, Stdio},
    time::Duration,
};

use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};
use serde_json::json;

use super::proxy::{self, Record};
use crate::cluster::harness::{Cluster, kubectl};

/// A running `coxswain run`; it is killed when this is dropped.
pub struct Process {
    child: Child,
    pub record: Record,
}

impl Process {
    /// Starts the binary that `COXSWAIN_BENCH_BINARY` names, as the service account of `config/rbac`.
    pub async fn start() -> Self {
        Self::start_with(&[("COXSWAIN_LISTEN", "")]).await
    }

    /// As [`Process::start`], with these variables.
    pub async fn start_with(variables: &[(&str, &str)]) -> Self {
        let token = kubectl(
            &[
                "create",
                "token",
                "coxswain",
                "-n",
                "coxswain-system",
                "--duration",
                "2h",
            ],
            "",
        );
        let path = std::env::var("COXSWAIN_TEST_KUBECONFIG").unwrap();
        let mut kubeconfig = Kubeconfig::read_from(path).unwrap();
        for user in kubeconfig
            .auth_infos
            .iter_mut()
            .filter_map(|u| u.auth_info.as_mut())
        {
            *user = kube::config::AuthInfo::default();
            user.token = Some(token.trim().to_owned().into());
        }
        let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
            .await
            .unwrap();
        let client = Client::try_from(config).unwrap();
        let (address, record) = proxy::start(client).await;
        let file = std::env::temp_dir().join(format!("coxswain-bench-{}", std::process::id()));
        let through = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "proxy",
            "contexts": [{"name": "proxy", "context": {"cluster": "proxy", "user": "nobody"}}],
            "clusters": [{"name": "proxy", "cluster": {"server": format!("http://{address}")}}],
            "users": [{"name": "nobody", "user": {}}],
        });
        fs::write(&file, through.to_string()).unwrap();
        let health = std::net::TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap();
        let child = Command::new(std::env::var("COXSWAIN_BENCH_BINARY").expect("make bench sets it"))
            .arg("run")
            .env("KUBECONFIG", &file)
            .env("COXSWAIN_HEALTH_ADDRESS", health.to_string())
            .env("COXSWAIN_LOG", "warn")
            .envs(variables.iter().copied())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let process = Self { child, record };
        wait_ready(&format!("http://{health}/readyz")).await;
        process
    }

    /// The memory that it has now, in MiB.
    pub fn resident(&self) -> f64 {
        self.memory("VmRSS:")
    }

    /// The most memory that it ever had, in MiB.
    pub fn peak(&self) -> f64 {
        self.memory("VmHWM:")
    }

    fn memory(&self, field: &str) -> f64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|l| l.starts_with(field)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
    }

    /// The processor time that it has used.
    pub fn processor_time(&self) -> Duration {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
        // Clock ticks, 100 a second.
        let ticks = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
        Duration::from_millis(ticks * 10)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn wait_ready(url: &str) {
    let asked = async {
        loop {
            if reqwest::get(url).await.is_ok_and(|r| r.status().is_success()) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), asked)
        .await
        .expect("the operator is ready within a minute");
}

/// A cluster with the operator's own rights in it, and a fresh namespace.
pub async fn cluster(namespace: &str) -> Cluster {
    let cluster = Cluster::connect().await;
    cluster.fresh_namespace(namespace).await;
    cluster
}
