//! ProblemEvents: starts a problem's run and follows it to its end.

use std::{convert::Infallible, sync::Arc};

use futures::{Stream, StreamExt};
use kube::{
    Api, ResourceExt,
    runtime::{
        Controller, WatchStreamExt,
        controller::{self, Action},
        reflector::{self, ObjectRef, Store},
        watcher,
    },
};

use super::{
    Context,
    supervise::{Backoff, Error},
    wake::{Wake, Woken},
};
use crate::{
    api::{ProblemEvent, SequenceExecution},
    core::{
        alerts,
        remediation::problem::{self, Facts},
    },
    facts::{self, READ_TIMEOUT, WATCH_TIMEOUT, guarded::Guarded},
};

const ROUNDS: usize = 4;
const CONCURRENCY: u16 = 16;

struct Problems {
    context: Arc<Context>,
    open: Store<Guarded<ProblemEvent>>,
    backoff: Backoff,
}

/// The watch of open problems, and the cache that it fills.
pub fn watch(
    context: &Context,
    runs: Wake<Guarded<SequenceExecution>>,
    problems: Wake<Guarded<ProblemEvent>>,
) -> (
    Store<Guarded<ProblemEvent>>,
    impl Stream<Item = Result<Guarded<ProblemEvent>, watcher::Error>> + Send + 'static,
) {
    let (open, writer) = reflector::store();
    let config = watcher::Config::default()
        .fields("status.done!=true")
        .timeout(WATCH_TIMEOUT);
    let stream = context
        .watch::<Guarded<ProblemEvent>>(config)
        .modify(|problem| problem.managed_fields_mut().clear())
        .reflect(writer)
        .inspect(move |event| {
            // One that waited because the same problem was being handled goes on when that one has ended.
            if let Ok(watcher::Event::Delete(_)) = event {
                problems.wake_all();
            }
            // A problem that is over stops its run before the next action.
            if let Ok(watcher::Event::Apply(changed)) = event
                && let Some(problem) = changed.readable()
                && alerts::over(&problem)
                && let Some(run) = problem.status.as_ref().and_then(|s| s.execution.as_ref())
            {
                runs.wake(ObjectRef::new(run).within(&problem.namespace().unwrap_or_default()));
            }
        })
        .touched_objects();
    (open, stream)
}

/// Runs until `shutdown` resolves, or the watch ends.
pub async fn run(
    context: Arc<Context>,
    open: Store<Guarded<ProblemEvent>>,
    stream: impl Stream<Item = Result<Guarded<ProblemEvent>, watcher::Error>> + Send + 'static,
    woken: Woken<Guarded<ProblemEvent>>,
    shutdown: impl Future<Output = ()> + Send + Sync + 'static,
) {
    let me = Arc::new(Problems {
        backoff: Backoff::new(context.effects.telemetry.clone()),
        context,
        open: open.clone(),
    });
    let (single, all) = woken.into_streams();
    Controller::for_stream(stream, open)
        .with_config(controller::Config::default().concurrency(CONCURRENCY))
        .reconcile_on(single)
        .reconcile_all_on(all)
        .graceful_shutdown_on(shutdown)
        .run(
            |problem: Arc<Guarded<ProblemEvent>>, me: Arc<Problems>| async move {
                Ok(me.backoff.attend(&problem, |problem| me.reconcile(problem)).await)
            },
            |_, never: &Infallible, _| match *never {},
            me,
        )
        .for_each(|result| async move {
            if let Err(error) = result {
                tracing::debug!(%error, "problem controller");
            }
        })
        .await;
}

impl Problems {
    async fn reconcile(&self, problem: Arc<ProblemEvent>) -> Result<Action, Error> {
        if facts::filled::filled(&self.open).await.is_err() {
            return Ok(Action::await_change());
        }
        let mut problem = Arc::unwrap_or_clone(problem);
        for _ in 0..ROUNDS {
            if problem.metadata.deletion_timestamp.is_some() {
                return Ok(Action::await_change());
            }
            let now = self.context.clock.now();
            let facts = Facts {
                run: self.run_of(&problem).await?,
                older: self.older(&problem),
                joined: self.joined(&problem).await?,
            };
            let decision = problem::step(&problem, &facts, now);
            if let Some(run) = &decision.create {
                self.context.effects.create(run.as_ref()).await?;
            }
            if Some(&decision.status) == problem.status.as_ref() {
                return Ok(decision.again.map_or_else(Action::await_change, |at| {
                    Action::requeue(at.duration_since(now).unsigned_abs())
                }));
            }
            let done = decision.status.done;
            let closed_before = problem.status.as_ref().is_some_and(|s| s.done);
            problem.status = Some(decision.status);
            match self.context.effects.write_status(&problem).await {
                Ok(written) => {
                    self.context
                        .effects
                        .telemetry
                        .problem_written(&written, closed_before);
                    self.context.effects.events.tell(&written, now, decision.notes);
                    problem = written;
                }
                Err(error) if error.is_conflict() => {
                    let Some(live) = self.read(&problem).await? else {
                        return Ok(Action::await_change());
                    };
                    problem = live;
                    continue;
                }
                Err(error) if error.is_not_found() => return Ok(Action::await_change()),
                Err(error) => return Err(error.into()),
            }
            if done {
                return Ok(Action::await_change());
            }
        }
        Ok(Action::requeue(std::time::Duration::from_secs(5)))
    }

    /// The newest run, live: finished runs are not in any cache.
    async fn run_of(&self, problem: &ProblemEvent) -> Result<Option<SequenceExecution>, Error> {
        let Some(name) = problem.status.as_ref().and_then(|s| s.execution.as_ref()) else {
            return Ok(None);
        };
        self.get(&problem.namespace().unwrap_or_default(), name).await
    }

    /// The problem that this one joined, live: one that has ended is in no cache.
    async fn joined(&self, problem: &ProblemEvent) -> Result<Option<ProblemEvent>, Error> {
        match problem.status.as_ref().and_then(|s| s.joined.as_ref()) {
            Some(name) => self.get(&problem.namespace().unwrap_or_default(), name).await,
            None => Ok(None),
        }
    }

    async fn read(&self, problem: &ProblemEvent) -> Result<Option<ProblemEvent>, Error> {
        let found: Option<ProblemEvent> = self
            .get(&problem.namespace().unwrap_or_default(), &problem.name_any())
            .await?;
        Ok(found.filter(|live| live.metadata.uid == problem.metadata.uid))
    }

    async fn get<K>(&self, namespace: &str, name: &str) -> Result<Option<K>, Error>
    where
        K: kube::Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>
            + Clone
            + std::fmt::Debug
            + serde::de::DeserializeOwned,
    {
        let api = Api::<K>::namespaced(self.context.client.clone(), namespace);
        let what = || format!("{} {namespace}/{name}", K::kind(&()));
        match tokio::time::timeout(READ_TIMEOUT, api.get_opt(name)).await {
            Ok(Ok(found)) => Ok(found),
            Ok(Err(source)) => Err(facts::execution::Error::Api {
                what: what(),
                source: Box::new(source),
            }
            .into()),
            Err(_) => Err(facts::execution::Error::Timeout { what: what() }.into()),
        }
    }

    /// An older open problem of the same type on the same service.
    fn older(&self, problem: &ProblemEvent) -> Option<String> {
        let age = |p: &ProblemEvent| (p.creation_timestamp().map(|t| t.0), p.name_any());
        let same = |p: &ProblemEvent| {
            let (a, b) = (&p.spec, &problem.spec);
            p.namespace() == problem.namespace()
                && (&a.project, &a.stage, &a.service) == (&b.project, &b.stage, &b.service)
                && (&a.problem.problem_title, &a.problem.root_cause)
                    == (&b.problem.problem_title, &b.problem.root_cause)
        };
        self.open
            .state()
            .iter()
            .filter_map(|p| p.readable())
            .filter(|p| p.uid() != problem.uid() && same(p) && age(p) < age(problem))
            .min_by_key(|p| age(p))
            .map(|p| p.name_any())
    }
}
