//! Stories of the loop: the real controllers on the in-memory API server, in virtual time.

mod brakes;
mod by_hand;
mod by_job;
mod commands;
mod coverage;
mod delivery;
mod evaluate;
mod evaluations;
mod files;
mod flow;
mod healing;
mod history;
mod images;
mod inputs;
mod namespaced;
mod parallel;
mod recorded;
mod rights;
mod sinks;
mod targets;
mod tries;
mod trouble;

use std::{sync::Arc, time::Duration};

use coxswain::{
    api::{
        ProblemEvent, SequenceExecution,
        execution::{JobStatus, SequenceExecutionStatus, TaskStatus},
        problem::ProblemEventStatus,
    },
    cli::cluster::Cluster,
    controllers::{self, Context, Options},
    facts::namespaces::Namespaces,
    testing::{Metrics, Operator, Play, Post, Seat, World, player::mentions, server::Logged},
};
use k8s_openapi::api::batch::v1::Job;
use kube::ResourceExt;
use tokio::sync::watch;

/// A shop whose cart is slow: two actions, of which `scale` heals.
pub const SHOP: &str = include_str!("shop.yaml");

pub const fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

pub const fn mins(n: u64) -> Duration {
    Duration::from_secs(n * 60)
}

pub const fn hours(n: u64) -> Duration {
    Duration::from_secs(n * 3600)
}

/// The operator's main function: what `coxswain run` does when it has a client.
pub async fn coxswain(seat: Seat, metrics: Metrics) {
    coxswain_in(Namespaces::All, seat, metrics).await;
}

/// As [`coxswain`], in these namespaces.
pub async fn coxswain_in(namespaces: Namespaces, seat: Seat, metrics: Metrics) {
    coxswain_sending(namespaces, seat, metrics, Post::default()).await;
}

/// As [`coxswain_in`], with sinks.
pub async fn coxswain_sending(namespaces: Namespaces, seat: Seat, metrics: Metrics, post: Post) {
    let context = Context::sending(seat.client, seat.clock, namespaces, Arc::new(post));
    let options = Options {
        own_namespace: "coxswain-system".to_owned(),
        allowed_images: Default::default(),
        image: Some("coxswain:test".to_owned()),
        ready: watch::channel(false).0,
    };
    let ended = controllers::run(context, Arc::new(metrics), &options, seat.shutdown).await;
    ended.expect("the operator ends only when it is told");
}

/// The cluster as the command line sees it, in the hands of people.
pub fn people(world: &World) -> Cluster {
    Cluster {
        client: world.client.clone(),
        namespace: "demo".to_owned(),
    }
}

/// Starts the operator.
pub fn start(world: &World, name: &str) -> Operator {
    world.start(name, |seat| {
        coxswain_sending(Namespaces::All, seat, world.metrics.clone(), world.post.clone())
    })
}

/// The shop in a world, sick, with an operator.
pub struct Shop {
    pub world: World,
    pub operator: Operator,
}

impl Shop {
    /// Everything is there, and the cart is slow until an action called `healer` has run.
    pub async fn open(world: World, healer: &'static str) -> Self {
        Self::open_with(world, SHOP, healer).await
    }

    /// As [`Shop::open`], with other definitions.
    pub async fn open_with(world: World, definitions: &str, healer: &'static str) -> Self {
        world.apply(definitions);
        world.metrics.are(1.2);
        heals(&world, healer);
        let operator = start(&world, "operator");
        world.sleep(secs(5)).await;
        Self { world, operator }
    }

    /// Raises the problem `name`.
    pub fn problem(&self, name: &str) {
        self.world.apply(&problem(name, "slow"));
    }

    /// Waits until the run of the problem has ended, and shows how.
    pub async fn ended(&self, name: &str, deadline: Duration) -> SequenceExecutionStatus {
        let wait = |w: &World| run_of(w, name).is_some_and(|r| r.status.is_some_and(|s| s.done));
        self.world
            .wait_until(&format!("the end of {name}'s run"), deadline, wait)
            .await;
        status(&self.world, name)
    }

    /// Waits until the run of the problem is so.
    pub async fn until(
        &self,
        name: &str,
        what: &str,
        deadline: Duration,
        is_so: impl Fn(&SequenceExecutionStatus) -> bool,
    ) -> SequenceExecutionStatus {
        let wait = |w: &World| run_of(w, name).and_then(|r| r.status).is_some_and(|s| is_so(&s));
        self.world.wait_until(what, deadline, wait).await;
        status(&self.world, name)
    }

    /// Waits until the run's task has this state.
    pub async fn task(&self, name: &str, task: &str, state: &str, deadline: Duration) -> TaskStatus {
        let what = format!("{task} {state}");
        let is_so = |s: &SequenceExecutionStatus| find_task(s, task).is_some_and(|t| t.state == state);
        let status = self.until(name, &what, deadline, is_so).await;
        find_task(&status, task).unwrap().clone()
    }

    /// How the problem stands.
    pub fn problem_status(&self, name: &str) -> ProblemEventStatus {
        self.world
            .get::<ProblemEvent>(name)
            .unwrap()
            .status
            .unwrap_or_default()
    }
}

/// From now on the Jobs of an action called `healer` heal, and all others only run.
pub fn heals(world: &World, healer: &'static str) {
    let metrics = world.metrics.clone();
    world.player.script(move |job| {
        let healing = mentions(job, &format!("action-{healer}"));
        let metrics = metrics.clone();
        Play::exits(0).and_then(move |_, _| {
            if healing {
                metrics.are(0.1);
            }
        })
    });
}

/// A problem of the cart.
pub fn problem(name: &str, title: &str) -> String {
    format!(
        "
apiVersion: coxswain.dev/v1alpha1
kind: ProblemEvent
metadata: {{name: {name}}}
spec:
  project: shop
  stage: production
  service: cart
  problem: {{problemTitle: {title}}}
"
    )
}

/// Waits until the problem is seen to.
pub async fn over(world: &World, problem: &str) {
    let done = |w: &World| {
        let found = w.get::<ProblemEvent>(problem);
        found.and_then(|p| p.status).is_some_and(|s| s.done)
    };
    world.wait_until("the end", hours(2), done).await;
}

/// The newest run of a problem.
pub fn run_of(world: &World, problem: &str) -> Option<SequenceExecution> {
    let mut runs = world.list::<SequenceExecution>();
    runs.retain(|r| r.spec.triggered_by.as_ref().is_some_and(|by| by.name == problem));
    runs.sort_by_key(|r| (r.creation_timestamp(), r.name_any()));
    runs.pop()
}

pub fn status(world: &World, problem: &str) -> SequenceExecutionStatus {
    run_of(world, problem).expect("a run").status.expect("a status")
}

/// The task of the newest attempt.
pub fn find_task<'a>(status: &'a SequenceExecutionStatus, task: &str) -> Option<&'a TaskStatus> {
    status.attempts.last()?.tasks.iter().find(|t| t.name == task)
}

/// Every Job that the run's status knows of.
pub fn recorded_jobs(status: &SequenceExecutionStatus) -> Vec<&JobStatus> {
    status
        .attempts
        .iter()
        .flat_map(|a| &a.tasks)
        .flat_map(|t| &t.jobs)
        .collect()
}

/// The actions that were tried, in order.
pub fn tried(status: &SequenceExecutionStatus) -> Vec<String> {
    status.attempts.iter().filter_map(|a| a.action.clone()).collect()
}

/// The operator's creates of Jobs that took effect.
pub fn jobs_created(world: &World) -> Vec<String> {
    let writes = world.server.writes();
    let creates = writes
        .iter()
        .filter(|w| w.effective && w.call.resource == "jobs.batch");
    creates
        .filter(|w| w.call.verb == coxswain::testing::Verb::Create)
        .map(|w| w.call.name.clone())
        .collect()
}

/// The operator's writes that are no Kubernetes Events.
pub fn writes(world: &World) -> Vec<Logged> {
    let mut writes = world.server.writes();
    writes.retain(|w| !w.call.resource.starts_with("events"));
    writes
}

pub fn jobs(world: &World) -> Vec<String> {
    world.list::<Job>().iter().map(ResourceExt::name_any).collect()
}

/// Phase and reason.
pub fn end(status: &SequenceExecutionStatus) -> (&str, &str) {
    (&status.phase, &status.reason)
}
