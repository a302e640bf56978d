//! A container that a mutating webhook injects into every pod, and that never ends.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use axum::{Json, Router, routing::post, serve::Listener};
use base64::{Engine, prelude::BASE64_STANDARD};
use k8s_openapi::api::{batch::v1::Job, core::v1::Pod};
use kube::{
    ResourceExt,
    api::ListParams,
    runtime::{conditions::is_deleted, wait::await_condition},
};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::{ServerConfig, pki_types::PrivateKeyDer};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use url::Url;

use super::harness::{Cluster, done, kubectl, one_action, raise, task};

const NAMESPACE: &str = "result-sidecar";

/// Adds the container to the pod of a review, as Istio's and Linkerd's injectors do.
async fn inject(Json(review): Json<Value>) -> Json<Value> {
    let sidecar = json!({"name": "sidecar", "image": "busybox:1.36", "imagePullPolicy": "IfNotPresent",
        "command": ["sleep", "infinity"]});
    let patch = json!([{"op": "add", "path": "/spec/containers/-", "value": sidecar}]);
    let response = json!({"uid": review["request"]["uid"], "allowed": true, "patchType": "JSONPatch",
        "patch": BASE64_STANDARD.encode(patch.to_string())});
    Json(json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response}))
}

/// Connections with TLS; one that does not come about is passed over.
struct Encrypted {
    tcp: TcpListener,
    tls: TlsAcceptor,
}

impl Listener for Encrypted {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            if let Ok((stream, peer)) = self.tcp.accept().await
                && let Ok(stream) = self.tls.accept(stream).await
            {
                return (stream, peer);
            }
        }
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.tcp.local_addr()
    }
}

/// The address by which this machine reaches the API server, and is reached from there: nothing stands between the two where
/// the cluster runs on this machine.
async fn own_address() -> IpAddr {
    let view = [
        "config",
        "view",
        "--minify",
        "-o",
        "jsonpath={.clusters[0].cluster.server}",
    ];
    let server: Url = kubectl(&view, "").parse().unwrap();
    let server = server.socket_addrs(|| None).unwrap()[0];
    let socket = UdpSocket::bind("0.0.0.0:0").await.unwrap();
    // Nothing is sent: this only chooses the way there.
    socket.connect(server).await.unwrap();
    socket.local_addr().unwrap().ip()
}

/// A webhook of this test's process for the pods of its namespace; gone when it is dropped.
struct Injector(&'static str);

impl Injector {
    async fn start() -> Self {
        let address = own_address().await;
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed([address.to_string()]).unwrap();
        let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
        let tls = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![cert.der().clone()], key)
            .unwrap();
        let tcp = TcpListener::bind((address, 0)).await.unwrap();
        let url = format!("https://{}/", tcp.local_addr().unwrap());
        let listener = Encrypted {
            tcp,
            tls: TlsAcceptor::from(Arc::new(tls)),
        };
        let app = Router::new().route("/", post(inject));
        tokio::spawn(async move { axum::serve(listener, app).await });
        let name = "coxswain-test-sidecar";
        let webhook = json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingWebhookConfiguration",
            "metadata": {"name": name}, "webhooks": [{
                "name": "sidecar.coxswain.dev", "admissionReviewVersions": ["v1"], "sideEffects": "None",
                "failurePolicy": "Fail", "timeoutSeconds": 10,
                "clientConfig": {"url": url, "caBundle": BASE64_STANDARD.encode(cert.pem())},
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": NAMESPACE}},
                "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"], "operations": ["CREATE"]}]}]});
        kubectl(&["apply", "-f", "-"], &webhook.to_string());
        Self(name)
    }
}

impl Drop for Injector {
    fn drop(&mut self) {
        kubectl(&["delete", "mutatingwebhookconfiguration", self.0], "");
    }
}

#[tokio::test]
#[ignore = "needs a cluster (make test-cluster)"]
async fn a_sidecar_that_never_ends_keeps_neither_the_task_nor_the_job() {
    let cluster = Cluster::connect().await;
    cluster.fresh_namespace(NAMESPACE).await;
    let injector = Injector::start().await;
    one_action(NAMESPACE, r#"cmd: ["true"]"#);
    raise(NAMESPACE);
    let run = cluster
        .wait_run(NAMESPACE, "slow", Duration::from_secs(60), "the end", done)
        .await;
    assert_eq!(run.status.as_ref().unwrap().phase, "Succeeded");
    let recorded = &task(&run, "action").jobs[0];
    let jobs = cluster.api::<Job>(NAMESPACE);
    let job = jobs.get(&recorded.name).await.unwrap();
    let finished = |job: &Job| job.status.as_ref().is_some_and(|s| s.completion_time.is_some());
    assert!(!finished(&job), "the sidecar keeps the Job");
    let pods = cluster.api::<Pod>(NAMESPACE);
    let pods = pods.list(&ListParams::default()).await.unwrap();
    let statuses = pods.items[0].status.as_ref().unwrap().container_statuses.iter();
    let running: Vec<&str> = statuses
        .flatten()
        .filter(|status| status.state.as_ref().is_some_and(|s| s.running.is_some()))
        .map(|status| status.name.as_str())
        .collect();
    assert_eq!(running, ["sidecar"]);
    // A minute after its own container's end, and then the kubelet lets the sidecar have its 30 seconds.
    let uid = job.uid().unwrap();
    let gone = await_condition(jobs, &recorded.name, is_deleted(&uid));
    tokio::time::timeout(Duration::from_secs(120), gone)
        .await
        .expect("the Job is deleted")
        .unwrap();
    drop(injector);
}
