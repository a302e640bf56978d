//! Files: many, large ones, and archives that a source of Flux names.

use std::{fs, path::PathBuf, process::Command, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use coxswain::api::SequenceExecution;
use k8s_openapi::api::core::v1::Pod;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::harness::{Cluster, done, kubectl, one_action, raise, task};

const WITHIN: Duration = Duration::from_secs(90);

fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

fn add_resource(namespace: &str, words: &[&str]) {
    let out = Command::new(env!("CARGO_BIN_EXE_coxswain"))
        .args([
            "add-resource",
            "--project=shop",
            "--stage=production",
            "--service=cart",
            "-n",
            namespace,
        ])
        .args(words)
        .env("KUBECONFIG", std::env::var("COXSWAIN_TEST_KUBECONFIG").unwrap())
        .output()
        .unwrap();
    assert!(
        out.status.success(),
        "{words:?}: {}",
        String::from_utf8_lossy(&out.stderr)
    );
}

#[tokio::test]
#[ignore = "needs a cluster (make test-cluster)"]
async fn a_large_file_many_files_and_a_secret_reach_a_job() {
    let cluster = Cluster::connect().await;
    let namespace = "files-many";
    cluster.fresh_namespace(namespace).await;
    let local = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(namespace);
    let _ = fs::remove_dir_all(&local);
    fs::create_dir_all(local.join("many/deep")).unwrap();
    // Not text, and nothing that repeats.
    let large: Vec<u8> = (0..900 * 1024_u32)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8)
        .collect();
    fs::write(local.join("large.bin"), &large).unwrap();
    for n in 0..15 {
        fs::write(local.join(format!("many/{n}.txt")), format!("file {n}")).unwrap();
        fs::write(local.join(format!("many/deep/{n} deep.txt")), format!("deep {n}")).unwrap();
    }
    let path = |name: &str| format!("--resource={}", local.join(name).display());
    add_resource(namespace, &[&path("large.bin"), "--resourceUri=data/large.bin"]);
    add_resource(namespace, &[&path("many"), "--resourceUri=many"]);
    kubectl(
        &[
            "create",
            "secret",
            "generic",
            "login",
            "-n",
            namespace,
            "--from-literal=password=s3cret",
        ],
        "",
    );
    let script = format!(
        "echo '{}  /keptn/data/large.bin' | sha256sum -c && test $(find -L /keptn/many -name '*.txt' ! -path '*/..*' | wc -l) = 30 \
         && grep -q 'deep 7' '/keptn/many/deep/7 deep.txt' && grep -q s3cret /login/password",
        hex(&large)
    );
    one_action(
        namespace,
        &json!({
            "files": ["data/large.bin", "many"],
            "volumes": [{"name": "login", "secret": {"secretName": "login"}}],
            "volumeMounts": [{"name": "login", "mountPath": "/login", "readOnly": true}],
            "cmd": ["sh", "-c", script],
        })
        .to_string(),
    );
    raise(namespace);
    let run = cluster.wait_run(namespace, "slow", WITHIN, "the end", done).await;
    assert_eq!(
        run.status.as_ref().unwrap().phase,
        "Succeeded",
        "{:#?}",
        task(&run, "action")
    );
}

/// As much of Flux's kind as the operator reads.
const GIT_REPOSITORY: &str = r#"
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: gitrepositories.source.toolkit.fluxcd.io}
spec:
  group: source.toolkit.fluxcd.io
  names: {kind: GitRepository, plural: gitrepositories, singular: gitrepository}
  scope: Namespaced
  versions:
  - name: v1
    served: true
    storage: true
    subresources: {status: {}}
    schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
"#;

fn archive() -> Vec<u8> {
    let mut tar = tar::Builder::new(flate2::write::GzEncoder::new(
        vec![],
        flate2::Compression::default(),
    ));
    let content = b"from git\n";
    let mut header = tar::Header::new_gnu();
    header.set_size(content.len() as u64);
    header.set_mode(0o644);
    tar.append_data(&mut header, "deploy/word.txt", &content[..])
        .unwrap();
    tar.into_inner().unwrap().finish().unwrap()
}

/// A namespace with a source of Flux whose artifact is this archive, at this path and with this digest; the end of a run
/// whose Job uses it.
async fn from_git(namespace: &str, path: &str, digest: Option<String>) -> SequenceExecution {
    let cluster = Cluster::connect().await;
    cluster.fresh_namespace(namespace).await;
    kubectl(&["apply", "--server-side", "-f", "-"], GIT_REPOSITORY);
    kubectl(
        &[
            "wait",
            "--for=condition=Established",
            "--timeout=60s",
            "crd/gitrepositories.source.toolkit.fluxcd.io",
        ],
        "",
    );
    let archive = archive();
    let server = json!({"apiVersion": "v1", "kind": "List", "items": [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "www"}, "binaryData": {"deploy.tar.gz": STANDARD.encode(&archive)}},
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "www", "labels": {"app": "www"}}, "spec": {
            "containers": [{"name": "www", "image": "busybox:1.36", "imagePullPolicy": "IfNotPresent",
                "command": ["httpd", "-f", "-p", "8080", "-h", "/www"],
                "readinessProbe": {"tcpSocket": {"port": 8080}, "periodSeconds": 1},
                "volumeMounts": [{"name": "www", "mountPath": "/www"}]}],
            "volumes": [{"name": "www", "configMap": {"name": "www"}}]}},
        {"apiVersion": "source.toolkit.fluxcd.io/v1", "kind": "GitRepository", "metadata": {"name": "deploy"}, "spec": {"url": "https://git.example"}},
    ]});
    kubectl(&["apply", "-n", namespace, "-f", "-"], &server.to_string());
    kubectl(
        &[
            "wait",
            "-n",
            namespace,
            "--for=condition=Ready",
            "--timeout=60s",
            "pod/www",
        ],
        "",
    );
    let pod = cluster.api::<Pod>(namespace).get("www").await.unwrap();
    let ip = pod.status.unwrap().pod_ip.unwrap();
    let digest = digest.unwrap_or_else(|| hex(&archive));
    let status = json!({"status": {
        "observedGeneration": 1,
        "conditions": [{"type": "Ready", "status": "True", "reason": "Succeeded", "message": "stored artifact", "lastTransitionTime": "2026-01-01T00:00:00Z"}],
        "artifact": {"url": format!("http://{ip}:8080/{path}"), "digest": format!("sha256:{digest}"), "revision": "main@sha1:abc", "path": path, "lastUpdateTime": "2026-01-01T00:00:00Z"},
    }});
    kubectl(
        &[
            "patch",
            "gitrepository",
            "deploy",
            "-n",
            namespace,
            "--subresource=status",
            "--type=merge",
            "-p",
            &status.to_string(),
        ],
        "",
    );
    one_action(
        namespace,
        r#"{files: [git], cmd: [grep, from git, /keptn/git/word.txt]}"#,
    );
    let sources = json!({"spec": {"sources": [{"path": "git", "sourceRef": {"kind": "GitRepository", "name": "deploy", "path": "deploy"}}]}});
    kubectl(
        &[
            "patch",
            "jobconfig",
            "shop",
            "-n",
            namespace,
            "--type=merge",
            "-p",
            &sources.to_string(),
        ],
        "",
    );
    raise(namespace);
    cluster.wait_run(namespace, "slow", WITHIN, "the end", done).await
}

#[tokio::test]
#[ignore = "needs a cluster (make test-cluster)"]
async fn an_artifact_of_flux_is_fetched() {
    let run = from_git("files-git", "deploy.tar.gz", None).await;
    let status = run.status.as_ref().unwrap();
    assert_eq!(status.phase, "Succeeded", "{:#?}", task(&run, "action"));
    let pinned = serde_json::to_string(&status.plan.as_ref().unwrap().pinned).unwrap();
    assert!(pinned.contains("main@sha1:abc"), "{pinned}");
}

#[tokio::test]
#[ignore = "needs a cluster (make test-cluster)"]
async fn an_artifact_that_is_another_one_is_refused() {
    let run = from_git("files-git-digest", "deploy.tar.gz", Some("0".repeat(64))).await;
    let action = task(&run, "action");
    assert_eq!(
        (
            run.status.as_ref().unwrap().phase.as_str(),
            action.reason.as_str()
        ),
        ("Failed", "InitFailed")
    );
    assert!(action.message.contains("digest"), "{}", action.message);
}

#[tokio::test]
#[ignore = "needs a cluster (make test-cluster)"]
async fn an_artifact_that_is_gone_is_told() {
    let run = from_git("files-git-gone", "gone.tar.gz", None).await;
    let action = task(&run, "action");
    assert_eq!(
        (
            run.status.as_ref().unwrap().phase.as_str(),
            action.reason.as_str()
        ),
        ("Failed", "InitFailed")
    );
    assert!(action.message.contains("404"), "{}", action.message);
}
