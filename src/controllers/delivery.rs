//! Deliveries: starts one flow of runs for each change of a spec, and says which version is where.

use std::{convert::Infallible, sync::Arc};

use futures::{Stream, StreamExt, stream};
use kube::{
    Api, ResourceExt,
    core::PartialObjectMeta,
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
};
use crate::{
    api::{Delivery, SequenceExecution},
    core::{
        delivery::{self, Facts},
        labels,
    },
    effects::Created,
    facts::{
        self, READ_TIMEOUT, WATCH_TIMEOUT, flows,
        guarded::Guarded,
        stores::{Change, Definitions, Kind},
    },
};

/// No reconciliation goes round more often before it comes back later.
const ROUNDS: usize = 6;
const CONCURRENCY: u16 = 8;

struct Deliveries {
    context: Arc<Context>,
    definitions: Definitions,
    backoff: Backoff,
}

/// The watch of Deliveries, and the cache that it fills.
pub fn watch(
    context: &Context,
) -> (
    Store<Guarded<Delivery>>,
    impl Stream<Item = Result<Guarded<Delivery>, watcher::Error>> + Send + 'static,
) {
    let (store, writer) = reflector::store();
    let config = watcher::Config::default().timeout(WATCH_TIMEOUT);
    let stream = context
        .watch::<Guarded<Delivery>>(config)
        .modify(|delivery| delivery.managed_fields_mut().clear())
        .reflect(writer)
        .applied_objects();
    (store, stream)
}

/// Runs until `shutdown` resolves, or a watch ends.
pub async fn run(
    context: Arc<Context>,
    definitions: Definitions,
    store: Store<Guarded<Delivery>>,
    stream: impl Stream<Item = Result<Guarded<Delivery>, watcher::Error>> + Send + 'static,
    shutdown: impl Future<Output = ()> + Send + Sync + 'static,
) {
    let me = Arc::new(Deliveries {
        context: context.clone(),
        definitions: definitions.clone(),
        backoff: Backoff::new(context.effects.telemetry.clone()),
    });
    Controller::for_stream(stream, store.clone())
        .with_config(controller::Config::default().concurrency(CONCURRENCY))
        .reconcile_on(run_changes(&context).boxed())
        .reconcile_on(shipyard_changes(&definitions, store).boxed())
        .graceful_shutdown_on(shutdown)
        .run(
            |delivery: Arc<Guarded<Delivery>>, me: Arc<Deliveries>| async move {
                Ok(me
                    .backoff
                    .attend(&delivery, |delivery| me.reconcile(delivery))
                    .await)
            },
            |_, never: &Infallible, _| match *never {},
            me,
        )
        .for_each(|result| async move {
            if let Err(error) = result {
                tracing::debug!(%error, "delivery controller");
            }
        })
        .await;
}

/// Whatever changes in a run of a Delivery's flow wakes the Delivery. Nothing of the runs is kept.
fn run_changes(context: &Context) -> impl Stream<Item = ObjectRef<Guarded<Delivery>>> + Send + 'static {
    let config = watcher::Config::default()
        .labels(labels::DELIVERY)
        .timeout(WATCH_TIMEOUT);
    let runs = context.watch::<PartialObjectMeta<SequenceExecution>>(config);
    runs.touched_objects().filter_map(|run| async move {
        let run = run.ok()?;
        let name = run.labels().get(labels::DELIVERY)?;
        Some(ObjectRef::new(name).within(&run.namespace()?))
    })
}

/// A Shipyard that changes wakes the Deliveries of its project, and those of its namespace that wait for one: their
/// message names the nearest.
fn shipyard_changes(
    definitions: &Definitions,
    store: Store<Guarded<Delivery>>,
) -> impl Stream<Item = ObjectRef<Guarded<Delivery>>> + Send + 'static {
    definitions.changes().flat_map(move |change| {
        let concerned = store.state().into_iter().filter_map(|d| d.readable());
        let concerned: Vec<_> = concerned
            .filter(|delivery| concerns(&change, delivery))
            .map(|d| ObjectRef::new(&d.name_any()).within(&d.namespace().unwrap_or_default()))
            .collect();
        stream::iter(concerned)
    })
}

fn concerns(change: &Change, delivery: &Delivery) -> bool {
    match change {
        Change::All | Change::Kind(Kind::Shipyard) => true,
        Change::One {
            kind: Kind::Shipyard,
            namespace,
            name,
        } => {
            let started = delivery.status.as_ref().and_then(|s| s.started_generation);
            delivery.namespace().as_ref() == Some(namespace)
                && (delivery.spec.project == *name || started != delivery.metadata.generation)
        }
        Change::Kind(_) | Change::One { .. } => false,
    }
}

impl Deliveries {
    async fn reconcile(&self, delivery: Arc<Delivery>) -> Result<Action, Error> {
        // Until the Shipyards were read, nothing may be concluded from the absence of one.
        if self.definitions.wait_until_ready().await.is_err() {
            return Ok(Action::await_change());
        }
        let mut delivery = Arc::unwrap_or_clone(delivery);
        let mut live = false;
        let mut refused = None;
        for _ in 0..ROUNDS {
            if delivery.metadata.deletion_timestamp.is_some() {
                return Ok(Action::await_change());
            }
            let now = self.context.clock.now();
            let facts = self.gather(&delivery, refused.clone()).await?;
            let decision = delivery::step(&delivery, &facts, now);
            if let Some(run) = &decision.create {
                if !live {
                    // The cache may be behind: only the object as it is now may start something.
                    let Some(found) = self.read(&delivery).await? else {
                        return Ok(Action::await_change());
                    };
                    delivery = found;
                    live = true;
                    continue;
                }
                refused = self.create(run).await?;
                if refused.is_some() {
                    continue;
                }
            }
            if Some(&decision.status) == delivery.status.as_ref() {
                return Ok(decision.again.map_or_else(Action::await_change, |at| {
                    Action::requeue(at.duration_since(now).unsigned_abs())
                }));
            }
            delivery.status = Some(decision.status);
            match self.context.effects.write_status(&delivery).await {
                Ok(written) => {
                    self.context.effects.events.tell(&written, now, decision.notes);
                    delivery = written;
                }
                Err(error) if error.is_conflict() => {
                    let Some(found) = self.read(&delivery).await? else {
                        return Ok(Action::await_change());
                    };
                    delivery = found;
                }
                Err(error) if error.is_not_found() => return Ok(Action::await_change()),
                Err(error) => return Err(error.into()),
            }
            live = true;
        }
        Ok(Action::requeue(std::time::Duration::from_secs(5)))
    }

    async fn gather(
        &self,
        delivery: &Delivery,
        refused: Option<(&'static str, String)>,
    ) -> Result<Facts, Error> {
        let namespace = delivery.namespace().unwrap_or_default();
        let client = &self.context.client;
        let traces = if delivery::wants_traces(delivery) {
            flows::of_delivery(client, &namespace, &delivery.name_any()).await?
        } else {
            vec![]
        };
        Ok(Facts {
            runs: flows::runs(client, &namespace, &delivery::contexts(delivery)).await?,
            traces,
            shipyards: self.definitions.shipyards.of(&namespace),
            refused,
        })
    }

    /// Creates the run, and says why if that is refused for good.
    async fn create(&self, run: &SequenceExecution) -> Result<Option<(&'static str, String)>, Error> {
        match self.context.effects.create(run).await {
            Ok(Created::New(_)) => Ok(None),
            Ok(Created::Existed(found)) if found.spec.context == run.spec.context => Ok(None),
            Ok(Created::Existed(found)) => {
                let message = format!(
                    "a SequenceExecution named {} exists and is not this Delivery's: delete it",
                    found.name_any()
                );
                Ok(Some(("NameTaken", message)))
            }
            Err(error) => match error.refusal() {
                Some(status) => {
                    let message = format!("the API server refuses its run: {}", status.message);
                    Ok(Some(("RunRefused", message)))
                }
                None => Err(error.into()),
            },
        }
    }

    async fn read(&self, delivery: &Delivery) -> Result<Option<Delivery>, Error> {
        let (namespace, name) = (delivery.namespace().unwrap_or_default(), delivery.name_any());
        let api = Api::<Delivery>::namespaced(self.context.client.clone(), &namespace);
        let what = || format!("Delivery {namespace}/{name}");
        let found = match tokio::time::timeout(READ_TIMEOUT, api.get_opt(&name)).await {
            Ok(Ok(found)) => found,
            Ok(Err(source)) => {
                return Err(facts::execution::Error::Api {
                    what: what(),
                    source: Box::new(source),
                }
                .into());
            }
            Err(_) => return Err(facts::execution::Error::Timeout { what: what() }.into()),
        };
        Ok(found.filter(|live| live.metadata.uid == delivery.metadata.uid))
    }
}
