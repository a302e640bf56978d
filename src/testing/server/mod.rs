//! A Kubernetes API server in memory, as a service under [`kube::Client`]. No network, no wall clock.
//!
//! It does what controllers rely on: resourceVersions and conflicts, generations, the status subresource, finalizers,
//! preconditions, selectors, watches with bookmarks and 410 Gone, pruning and defaulting by a kind's schema. It has
//! no admission, no patterns or CEL, no patch strategies of its own: server-side apply is a merge here.

mod authority;
mod faults;
mod handlers;
mod kinds;
mod refusal;
mod request;
mod rules;
mod schema;
mod selectors;
mod store;
mod typed;
mod watch;

use std::{
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard},
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use kube::client::Body;
use serde_json::{Value, json};
use tokio::sync::watch as notify;
use tokio_util::sync::CancellationToken;

pub use authority::USED_RIGHTS;
pub use faults::{Call, Deliver, Delivery, DeliveryHook, Fault, Hook, Logged};
pub use kinds::{Kind, custom};
pub use refusal::{Refusal, by_code};
pub use request::Verb;
pub use typed::{Typed, resource_of};

use crate::facts::clock::Clock;

/// How long a request travels, one way. Something must take time, or a controller that spins would stop the clock.
const TRAVEL: Duration = Duration::from_millis(1);

/// The server; clones are the same one.
#[derive(Clone)]
pub struct ApiServer {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    changed: notify::Sender<u64>,
    clock: Clock,
}

/// Everything that changes.
struct State {
    store: store::Store,
    faults: faults::Faults,
    /// What guarded callers may do.
    authority: authority::Authority,
    log: Vec<Logged>,
    requests: usize,
    writes: usize,
    deliveries: usize,
}

/// Who calls. When it crashes, nothing that it still sends arrives and nothing reaches it any more.
pub struct Caller {
    /// Its name, for the log.
    pub name: String,
    /// Whether it is the operator: its requests are numbered and meet the injected faults.
    pub counted: bool,
    /// Whether it may do only what the operator's roles allow.
    pub guarded: bool,
    dead: CancellationToken,
}

impl Caller {
    /// Ends it, as `kill -9` would.
    pub fn crash(&self) {
        self.dead.cancel();
    }

    /// Whether it was ended.
    pub fn is_dead(&self) -> bool {
        self.dead.is_cancelled()
    }

    /// Waits until it is ended.
    pub async fn dead(&self) {
        self.dead.cancelled().await;
    }
}

impl ApiServer {
    /// An empty server with the namespace `default`, which runs with this clock.
    pub fn new(clock: Clock) -> Self {
        let state = State {
            store: store::Store::new(),
            faults: faults::Faults::default(),
            authority: authority::Authority::default(),
            log: Vec::new(),
            requests: 0,
            writes: 0,
            deliveries: 0,
        };
        let shared = Shared {
            state: Mutex::new(state),
            changed: notify::Sender::new(0),
            clock,
        };
        let server = Self {
            shared: Arc::new(shared),
        };
        server.add_namespace("default");
        server
    }

    /// A client for people and actors: not counted, and free of injected faults.
    pub fn client(&self, name: &str) -> kube::Client {
        self.connect(name, false, false).1
    }

    /// A client whose requests are counted and meet the injected faults, as the operator's do; it may do everything.
    pub fn operator_client(&self, name: &str) -> (Arc<Caller>, kube::Client) {
        self.connect(name, true, false)
    }

    /// A client for one incarnation of the operator: as [`ApiServer::operator_client`], with the operator's roles.
    pub fn guarded_client(&self, name: &str) -> (Arc<Caller>, kube::Client) {
        self.connect(name, true, true)
    }

    fn connect(&self, name: &str, counted: bool, guarded: bool) -> (Arc<Caller>, kube::Client) {
        let caller = Arc::new(Caller {
            name: name.to_owned(),
            counted,
            guarded,
            dead: CancellationToken::new(),
        });
        let connection = Connection {
            server: self.clone(),
            caller: caller.clone(),
        };
        (caller, kube::Client::new(connection, "default"))
    }

    /// Serves one more kind.
    pub fn serve(&self, kind: Kind) {
        self.state().store.serve(Arc::new(kind));
    }

    /// What time it is there.
    pub fn now(&self) -> jiff::Timestamp {
        self.shared.clock.now()
    }

    /// Tells of every change of the storage and of every trouble of the watches.
    pub fn changed(&self) -> notify::Receiver<u64> {
        self.shared.changed.subscribe()
    }

    /// Every request of every caller, in order.
    pub fn log(&self) -> Vec<Logged> {
        self.state().log.clone()
    }

    /// The operator's writes, in order: the k-th is the one that a hook saw as write k.
    pub fn writes(&self) -> Vec<Logged> {
        let state = self.state();
        state
            .log
            .iter()
            .filter(|l| l.call.write.is_some())
            .cloned()
            .collect()
    }

    /// From now on the operator has no role.
    pub fn revoke(&self) {
        self.state().authority = authority::Authority::default();
    }

    /// The operator is given this Role or ClusterRole, in YAML: in a namespace, or everywhere.
    pub fn grant(&self, namespace: Option<&str>, role: &str) {
        let mut state = self.state();
        state.authority.grant(namespace, role);
    }

    /// From now on, `hook` decides what becomes of each request of the operator.
    pub fn on_request(&self, hook: impl FnMut(&Call) -> Fault + Send + 'static) {
        self.state().faults.hook = Some(Box::new(hook));
    }

    /// From now on, `hook` decides what becomes of each watch event for the operator.
    pub fn on_delivery(&self, hook: impl FnMut(&Delivery) -> Deliver + Send + 'static) {
        self.state().faults.delivery = Some(Box::new(hook));
    }

    /// No further trouble with requests or deliveries.
    pub fn calm(&self) {
        let mut state = self.state();
        state.faults.hook = None;
        state.faults.delivery = None;
    }

    /// Watches of this kind (`jobs.batch`) fall silent, and lists that accept old data see what was there now.
    pub fn freeze(&self, resource: &str) {
        self.trouble(resource, |trouble, rv| trouble.frozen_at = Some(rv));
    }

    /// Watches of this kind go on.
    pub fn thaw(&self, resource: &str) {
        self.trouble(resource, |trouble, _| trouble.frozen_at = None);
    }

    /// The connections of all watches of this kind break.
    pub fn cut_watches(&self, resource: &str) {
        self.trouble(resource, |trouble, _| trouble.cut += 1);
    }

    /// Watches of this kind are told 410 Gone, and so are those that come back with an old version.
    pub fn expire_watches(&self, resource: &str) {
        self.trouble(resource, |trouble, _| trouble.gone += 1);
        let mut state = self.state();
        // One version more, so that even the newest that anybody knows is too old.
        state.store.rv += 1;
        let rv = state.store.rv;
        if let Some(table) = state.store.tables.get_mut(resource) {
            table.oldest = rv;
        }
        drop(state);
        self.notify();
    }

    /// Watch events arrive so late, of every kind.
    pub fn delay_watches(&self, delay: Duration) {
        self.state().faults.watch_delay = delay;
        self.notify();
    }

    fn trouble(&self, resource: &str, change: impl FnOnce(&mut faults::WatchTrouble, u64)) {
        let mut state = self.state();
        let rv = state.store.rv;
        change(state.faults.watches.entry(resource.to_owned()).or_default(), rv);
        drop(state);
        self.notify();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared
            .state
            .lock()
            .expect("nobody panics while holding the state")
    }

    fn notify(&self) {
        self.shared.changed.send_modify(|n| *n += 1);
    }

    fn add_namespace(&self, name: &str) {
        let object = json!({"metadata": {"name": name}});
        let now = self.now();
        let created = self.state().store.create("namespaces", "", object, now);
        created.expect("a namespace can be created");
        self.notify();
    }
}

/// The body of an answer.
type Answer = UnsyncBoxBody<Bytes, std::io::Error>;

/// One caller's way to the server.
struct Connection {
    server: ApiServer,
    caller: Arc<Caller>,
}

impl tower::Service<Request<Body>> for Connection {
    type Response = Response<Answer>;
    type Error = std::io::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        Box::pin(handlers::answer(
            self.server.clone(),
            self.caller.clone(),
            request,
        ))
    }
}

/// Only the metadata, as `PartialObjectMetadata`.
fn partial(object: &Value) -> Value {
    json!({
        "apiVersion": "meta.k8s.io/v1",
        "kind": "PartialObjectMetadata",
        "metadata": object.get("metadata").cloned().unwrap_or_default(),
    })
}

fn status_json(why: &Refusal) -> Value {
    let mut status = serde_json::to_value(why).unwrap_or_default();
    status["apiVersion"] = json!("v1");
    status["kind"] = json!("Status");
    status["metadata"] = json!({});
    status
}
