//! A proxy between the operator and the API server that notes, with the time, what passes.

use std::{
    collections::HashSet,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Instant,
};

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    response::{IntoResponse, Response},
};
use futures::TryStreamExt;
use http::{Method, StatusCode, header};
use http_body_util::BodyExt;
use kube::Client;
use serde_json::Value;

/// No request of the operator is larger.
const LARGEST: usize = 4 << 20;

/// What passed.
#[derive(Clone, Debug, PartialEq)]
pub enum Passed {
    /// A request that changes something: method, path, and the object's name.
    Write(Method, String, String),
    /// The first watch event in which the container of this Job has terminated, on its way to the operator.
    Terminated(String),
}

/// Everything that passed, with the time.
#[derive(Clone, Default)]
pub struct Record(Arc<Mutex<Vec<(Instant, Passed)>>>);

impl Record {
    pub fn all(&self) -> Vec<(Instant, Passed)> {
        self.0.lock().unwrap().clone()
    }

    pub fn clear(&self) {
        self.0.lock().unwrap().clear();
    }

    fn note(&self, passed: Passed) {
        self.0.lock().unwrap().push((Instant::now(), passed));
    }
}

#[derive(Clone)]
struct Proxy {
    client: Client,
    record: Record,
}

/// Serves on a loopback address of its own; requests go on with the client's credentials.
pub async fn start(client: Client) -> (SocketAddr, Record) {
    let record = Record::default();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let proxy = Proxy {
        client,
        record: record.clone(),
    };
    let router = Router::new().fallback(forward).with_state(proxy);
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    (address, record)
}

async fn forward(State(proxy): State<Proxy>, request: Request) -> Response {
    match pass(&proxy, request).await {
        Ok(response) => response,
        Err(error) => (StatusCode::BAD_GATEWAY, error.to_string()).into_response(),
    }
}

async fn pass(proxy: &Proxy, request: Request) -> Result<Response, Box<dyn std::error::Error>> {
    let (head, body) = request.into_parts();
    let body = axum::body::to_bytes(body, LARGEST).await?;
    let path = head.uri.path().to_owned();
    if head.method != Method::GET {
        let object: Value = serde_json::from_slice(&body).unwrap_or_default();
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        let write = Passed::Write(head.method.clone(), path.clone(), name.to_owned());
        proxy.record.note(write);
    }
    let target = head.uri.path_and_query().map_or("/", |p| p.as_str());
    let mut onward = http::Request::builder().method(head.method.clone()).uri(target);
    for name in [header::ACCEPT, header::CONTENT_TYPE] {
        if let Some(value) = head.headers.get(&name) {
            onward = onward.header(name, value);
        }
    }
    let onward = onward.body(kube::client::Body::from(body.to_vec()))?;
    let (answer, body) = proxy.client.send(onward).await?.into_parts();
    let pods = path.ends_with("/pods") && target.contains("watch=true");
    let body = if pods {
        let mut seen = Pods::default();
        let record = proxy.record.clone();
        let chunks = body.into_data_stream().inspect_ok(move |chunk| {
            for job in seen.read(chunk) {
                record.note(Passed::Terminated(job));
            }
        });
        Body::from_stream(chunks)
    } else {
        Body::new(body)
    };
    let mut response = Response::new(body);
    *response.status_mut() = answer.status;
    if let Some(kind) = answer.headers.get(header::CONTENT_TYPE) {
        response.headers_mut().insert(header::CONTENT_TYPE, kind.clone());
    }
    Ok(response)
}

/// A watch of pods, as it passes.
#[derive(Default)]
struct Pods {
    rest: Vec<u8>,
    told: HashSet<String>,
}

impl Pods {
    /// The Jobs whose container is terminated for the first time in this chunk.
    fn read(&mut self, chunk: &[u8]) -> Vec<String> {
        self.rest.extend_from_slice(chunk);
        let mut found = vec![];
        while let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.rest.drain(..=end).collect();
            let event: Value = serde_json::from_slice(&line).unwrap_or_default();
            let pod = &event["object"];
            let containers = pod["status"]["containerStatuses"].as_array();
            let ended =
                containers.is_some_and(|all| all.iter().any(|c| c["state"]["terminated"].is_object()));
            let job = pod["metadata"]["labels"]["batch.kubernetes.io/job-name"].as_str();
            if let Some(job) = job.filter(|_| ended)
                && self.told.insert(job.to_owned())
            {
                found.push(job.to_owned());
            }
        }
        found
    }
}
