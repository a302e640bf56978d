//! A cluster in a box: server, garbage collector, Job player, and a clock that jumps to the next thing that happens.

use std::{fmt::Write as _, sync::Arc, time::Duration};

use jiff::Timestamp;
use kube::Client;
use serde::Deserialize as _;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{
    ApiServer, Caller, Metrics, Player, Post, gc,
    server::{Typed, resource_of},
};
use crate::facts::clock::Clock;

/// The namespace in which scenarios play.
pub const NAMESPACE: &str = "demo";
/// The namespace in which the operator runs.
pub const OPERATORS: &str = "coxswain-system";
/// What the operator may do, as it is shipped.
const ROLE: &str = include_str!("../../config/rbac/role.yaml");
const HOLD_ROLE: &str = include_str!("../../config/rbac/hold_role.yaml");
/// When every world begins.
const BEGINNING: &str = "2026-01-05T09:00:00Z";
/// No scenario takes longer on the wall clock.
const REAL_LIMIT: Duration = Duration::from_mins(2);

/// The box; clones are the same one.
#[derive(Clone)]
pub struct World {
    /// The API server.
    pub server: ApiServer,
    /// What time it is in there.
    pub clock: Clock,
    /// A client for people: not counted, never troubled.
    pub client: Client,
    /// Who plays Jobs.
    pub player: Player,
    /// What is measured.
    pub metrics: Metrics,
    /// What sinks are sent.
    pub post: Post,
}

/// What an incarnation of the operator is given.
#[derive(Clone)]
pub struct Seat {
    /// Its client.
    pub client: Client,
    /// The clock.
    pub clock: Clock,
    /// Asks it to end in order.
    pub shutdown: CancellationToken,
}

/// One incarnation of the operator.
pub struct Operator {
    caller: Arc<Caller>,
    shutdown: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

impl Operator {
    /// Ends it, as `kill -9` would: nothing that it still does has any effect.
    pub fn crash(&self) {
        self.caller.crash();
        self.task.abort();
    }

    /// Whether it crashed.
    pub fn is_dead(&self) -> bool {
        self.caller.is_dead()
    }

    /// Waits until it crashes.
    pub async fn dead(&self) {
        self.caller.dead().await;
    }

    /// Asks it to end in order, and waits until it has; an operator that takes longer than a minute fails the test.
    pub async fn stop(self) {
        self.shutdown.cancel();
        let ended = tokio::time::timeout(Duration::from_mins(1), self.task).await;
        ended
            .expect("the operator ends within a minute when asked")
            .expect("the operator does not panic");
        self.caller.crash();
    }
}

impl World {
    /// A fresh world, in which the operator has the rights that are shipped. The runtime must be single-threaded and its clock paused: see [`World::run`].
    pub fn new() -> Self {
        let clock = Clock::tokio(BEGINNING.parse().expect("a timestamp"));
        let server = ApiServer::new(clock);
        server.grant(None, ROLE);
        server.grant(Some(OPERATORS), HOLD_ROLE);
        tokio::spawn(gc::run(server.clone()));
        let world = Self {
            client: server.client("user"),
            player: Player::start(server.clone()),
            metrics: Metrics::default(),
            post: Post::default(),
            clock,
            server,
        };
        world.apply(&format!(
            "{{apiVersion: v1, kind: Namespace, metadata: {{name: {NAMESPACE}}}}}"
        ));
        world
    }

    /// Runs a story in a world of its own, in virtual time. A story that spins fails after two real minutes.
    pub fn run<T>(story: impl AsyncFnOnce(World) -> T) -> T {
        let (done, waiting) = std::sync::mpsc::channel::<()>();
        let watchdog = std::thread::spawn(move || {
            if waiting.recv_timeout(REAL_LIMIT) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
                eprintln!("a story took more than {REAL_LIMIT:?} of real time: something spins");
                std::process::exit(101);
            }
        });
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .expect("a runtime can be built");
        let outcome = runtime.block_on(async { story(World::new()).await });
        drop(runtime);
        drop(done);
        drop(watchdog.join());
        outcome
    }

    /// What time it is.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Lets time pass.
    pub async fn sleep(&self, length: Duration) {
        tokio::time::sleep(length).await;
    }

    /// Creates or merges the objects of a YAML stream. Without a namespace they go to [`NAMESPACE`].
    pub fn apply(&self, yaml: &str) {
        for document in serde_yaml::Deserializer::from_str(yaml) {
            let mut object = serde_json::Value::deserialize(document)
                .unwrap_or_else(|e| panic!("this is not YAML: {e}\n{yaml}"));
            if object.is_null() {
                continue;
            }
            let namespaced = object["kind"] != "Namespace" && object["kind"] != "Node";
            if namespaced && object["metadata"].get("namespace").is_none() {
                object["metadata"]["namespace"] = NAMESPACE.into();
            }
            let applied = self.server.apply_value(object);
            applied.unwrap_or_else(|e| panic!("could not apply: {e}\n{yaml}"));
        }
    }

    /// The object of this name, in [`NAMESPACE`].
    pub fn get<K: Typed>(&self, name: &str) -> Option<K> {
        self.server.get(NAMESPACE, name)
    }

    /// All objects of a kind, in [`NAMESPACE`], by name.
    pub fn list<K: Typed>(&self) -> Vec<K> {
        self.server.list(NAMESPACE)
    }

    /// Changes the object of this name in [`NAMESPACE`], as `kubectl edit` would.
    pub fn edit<K: Typed>(&self, name: &str, change: impl FnOnce(&mut K)) -> K {
        let edited = self.server.edit(NAMESPACE, name, change);
        edited.unwrap_or_else(|| panic!("{} {name} is not there", resource_of::<K>()))
    }

    /// Waits until the world is so, and looks whenever something changes. After `deadline` of virtual time the test
    /// fails and shows what there is.
    pub async fn wait_until(&self, what: &str, deadline: Duration, is_so: impl FnMut(&World) -> bool) {
        if let Err(why) = self.try_wait(what, deadline, is_so).await {
            panic!("{why}\n{}", self.describe());
        }
    }

    /// As [`World::wait_until`], but says so instead of failing the test.
    pub async fn try_wait(
        &self,
        what: &str,
        deadline: Duration,
        mut is_so: impl FnMut(&World) -> bool,
    ) -> Result<(), String> {
        let end = Instant::now() + deadline;
        let mut changed = self.server.changed();
        loop {
            changed.borrow_and_update();
            if is_so(self) {
                return Ok(());
            }
            if Instant::now() >= end {
                return Err(format!("after {deadline:?}: not yet {what}"));
            }
            tokio::select! {
                _ = changed.changed() => {}
                () = tokio::time::sleep_until(end) => {}
            }
        }
    }

    /// Starts an incarnation of the operator, with its roles. `program` is its main function.
    pub fn start<F>(&self, name: &str, program: impl FnOnce(Seat) -> F) -> Operator
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (caller, client) = self.server.guarded_client(name);
        let shutdown = CancellationToken::new();
        let body = program(Seat {
            client,
            clock: self.clock,
            shutdown: shutdown.clone(),
        });
        let watched = caller.clone();
        let task = tokio::spawn(async move {
            tokio::select! {
                biased;
                () = watched.dead() => {}
                () = body => {}
            }
        });
        Operator {
            caller,
            shutdown,
            task,
        }
    }

    /// What there is, and what was asked last: for the message of a test that fails.
    pub fn describe(&self) -> String {
        let mut text = format!("It is {}.\n", self.now());
        for (resource, object) in self.server.everything() {
            if resource.ends_with(".coxswain.dev") || matches!(resource.as_str(), "jobs.batch" | "pods") {
                let status = object.get("status").cloned().unwrap_or_default();
                let yaml = serde_yaml::to_string(&status).unwrap_or_default();
                let name = object["metadata"]["name"].as_str().unwrap_or_default();
                let _ = writeln!(text, "--- {resource} {name}\n{yaml}");
            }
        }
        let log = self.server.log();
        let _ = writeln!(text, "--- the last requests");
        for logged in log.iter().skip(log.len().saturating_sub(40)) {
            let call = &logged.call;
            let code = logged.code.map_or("no answer".to_owned(), |c| c.to_string());
            let _ = writeln!(text, "{} {} {} -> {code}", call.at, call.caller, call.label());
        }
        text
    }
}

impl Default for World {
    fn default() -> Self {
        Self::new()
    }
}
