//! Evaluations: asks what each one's spec says, and writes the verdict, once.

use std::{
    collections::{BTreeMap, HashMap},
    convert::Infallible,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures::{Stream, StreamExt, stream};
use jiff::{SignedDuration, Timestamp};
use kube::{
    Api, ResourceExt,
    api::ListParams,
    runtime::{
        Controller, WatchStreamExt,
        controller::{self, Action},
        reflector::{self, Store},
        watcher,
    },
};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::{
    Context,
    questions::{Open, Providers},
    supervise::{Backoff, Error},
};
use crate::{
    api::{Duration as ApiDuration, Evaluation, MetricsProvider, execution::PinnedGate},
    core::evaluation::{
        self, Asking, Finding, Gate, Measured, Query, Trouble,
        decide::{grace, note},
    },
    core::{definitions::pinned, note::Note, place::Place},
    facts::{
        self, READ_TIMEOUT, WATCH_TIMEOUT,
        guarded::Guarded,
        metrics::{Answer, MetricsSource, QueryError},
        stores::{Cache, Definitions},
    },
};

/// So many Evaluations are worked on at once. One that waits to ask again is not among them.
const CONCURRENCY: u16 = 32;
/// So many queries are asked at once, of all Evaluations.
const POOL: usize = 64;
/// So many of them by one Evaluation.
const PER_EVALUATION: usize = 16;
/// All queries of one Evaluation must be answered within this, or they count as one that was not.
const ROUND: Duration = Duration::from_mins(2);
/// What is remembered of an Evaluation that went away unseen is forgotten after this.
const FORGOTTEN_AFTER: SignedDuration = SignedDuration::from_hours(1);

/// What was found out so far about one Evaluation. It is not in its status, so that a verdict takes one write; after a
/// restart everything is asked again.
#[derive(Clone, Debug)]
struct Progress {
    /// When it was first asked.
    since: Timestamp,
    /// How often it was asked in vain.
    tries: u32,
    /// What was answered: the window is fixed, so it would be answered the same again.
    values: BTreeMap<String, Measured>,
    /// What was remarked about it.
    warnings: BTreeMap<String, Vec<String>>,
}

/// Why there is nothing to judge by yet.
enum Unanswered {
    /// It makes no sense to ask again.
    ForGood(Trouble),
    /// It may be answered later: the indicator, and what happened.
    ForNow(String, String),
    /// It was answered, without values that the objective can't do without; the indicators, and why. They may come yet.
    Lacking(Vec<(String, String)>),
}

struct Evaluations {
    context: Arc<Context>,
    metrics: Arc<dyn MetricsSource>,
    providers: Cache<MetricsProvider>,
    definitions: Definitions,
    /// Where the installation's default provider is.
    own_namespace: String,
    pool: Semaphore,
    backoff: Backoff,
    progress: Mutex<HashMap<String, Progress>>,
}

/// The watch of Evaluations without a verdict, and the cache that it fills.
pub fn watch(
    context: &Context,
) -> (
    Store<Guarded<Evaluation>>,
    impl Stream<Item = Result<Guarded<Evaluation>, watcher::Error>> + Send + 'static,
) {
    let (store, writer) = reflector::store();
    let config = watcher::Config::default()
        .fields("status.done!=true")
        .timeout(WATCH_TIMEOUT);
    let stream = context
        .watch::<Guarded<Evaluation>>(config)
        .modify(|evaluation| evaluation.managed_fields_mut().clear())
        .reflect(writer)
        .applied_objects();
    (store, stream)
}

/// Runs until `shutdown` is cancelled, or the watch ends. `own_namespace` is where a default provider may be.
pub async fn run(
    context: Arc<Context>,
    metrics: Arc<dyn MetricsSource>,
    (definitions, own_namespace): (Definitions, String),
    (store, stream): (
        Store<Guarded<Evaluation>>,
        impl Stream<Item = Result<Guarded<Evaluation>, watcher::Error>> + Send + 'static,
    ),
    shutdown: CancellationToken,
) {
    let me = Arc::new(Evaluations {
        backoff: Backoff::new(context.effects.telemetry.clone()),
        context,
        metrics,
        providers: definitions.providers.clone(),
        definitions,
        own_namespace,
        pool: Semaphore::new(POOL),
        progress: Mutex::default(),
    });
    Controller::for_stream(stream, store)
        .with_config(controller::Config::default().concurrency(CONCURRENCY))
        .graceful_shutdown_on(shutdown.cancelled_owned())
        .run(
            |found: Arc<Guarded<Evaluation>>, me: Arc<Evaluations>| async move {
                Ok(me
                    .backoff
                    .attend(&found, |evaluation| me.reconcile(evaluation))
                    .await)
            },
            |_, never: &Infallible, _| match *never {},
            me,
        )
        .for_each(|result| async move {
            if let Err(error) = result {
                tracing::debug!(%error, "evaluation controller");
            }
        })
        .await;
}

impl Evaluations {
    async fn reconcile(&self, evaluation: Arc<Evaluation>) -> Result<Action, Error> {
        let uid = evaluation.uid().unwrap_or_default();
        let (evaluation, uid) = (evaluation.as_ref(), uid.as_str());
        let ended = evaluation.status.as_ref().is_some_and(|s| s.done);
        if ended || evaluation.metadata.deletion_timestamp.is_some() {
            self.forget(uid);
            return Ok(Action::await_change());
        }
        let now = self.context.clock.now();
        if !evaluation::is_complete(evaluation) {
            return self.complete(evaluation, uid, now).await;
        }
        let end = window_end(evaluation, now);
        if now < end {
            return Ok(Action::requeue(end.duration_since(now).unsigned_abs()));
        }
        if self.providers.wait_until_ready().await.is_err() {
            return Ok(Action::await_change());
        }
        let mut progress = self.progress_of(uid, now);
        let finding = match evaluation::ask(evaluation) {
            Asking::Nothing(finding) => finding,
            Asking::Queries {
                gate,
                queries,
                missing,
            } => {
                progress.values.extend(missing);
                let unanswered = self.measure(evaluation, &queries, &mut progress).await;
                let unanswered = unanswered.or_else(|| lacking(&gate, &queries, &mut progress));
                let waits = matches!(unanswered, Some(Unanswered::ForNow(..) | Unanswered::Lacking(_)));
                progress.tries += u32::from(waits);
                self.remember(uid, &progress);
                if let Some(unanswered) = unanswered {
                    if let Some(wait) = self.asks_again(evaluation, &progress, &unanswered) {
                        return Ok(Action::requeue(wait));
                    }
                    let over = whole_seconds(self.context.clock.now().duration_since(progress.since));
                    Finding::Trouble(unanswered.trouble(progress.tries, over))
                } else {
                    Finding::Measured {
                        gate,
                        values: progress.values,
                        warnings: progress.warnings,
                    }
                }
            }
        };
        self.end(evaluation, uid, progress.since, &finding).await
    }

    /// How long to wait until it is asked again; none when that would be in vain, or the grace is over.
    fn asks_again(
        &self,
        evaluation: &Evaluation,
        progress: &Progress,
        unanswered: &Unanswered,
    ) -> Option<Duration> {
        let why = unanswered.may_come()?;
        let (now, grace) = (self.context.clock.now(), grace(evaluation));
        let wait = evaluation::ask_again(progress.since, progress.tries, grace, now)?;
        tracing::warn!(evaluation = evaluation.name_any(), why, %wait, "asks again");
        // Told once; the verdict tells the rest.
        if progress.tries == 1 {
            let note = Note::warning("CouldNotAsk", format!("{why}; asks again for {grace}"));
            self.context.effects.events.tell(evaluation, now, vec![note]);
        }
        Some(wait.0)
    }

    /// One that was created by hand: fixes what is measured. It comes back when that is written.
    async fn complete(&self, evaluation: &Evaluation, uid: &str, now: Timestamp) -> Result<Action, Error> {
        let gate = if evaluation::wants_gate(evaluation) {
            if self.definitions.wait_until_ready().await.is_err() {
                return Ok(Action::await_change());
            }
            match self.gate(evaluation) {
                Ok(gate) => gate,
                Err(why) => {
                    let finding = Finding::Trouble(Trouble::DefinitionInvalid(why));
                    return self.end(evaluation, uid, now, &finding).await;
                }
            }
        } else {
            PinnedGate::default()
        };
        let complete = evaluation::complete(evaluation, &gate);
        match self.context.effects.write_metadata(&complete).await {
            Ok(_) => Ok(Action::await_change()),
            Err(error) if error.is_conflict() => Ok(Action::requeue(Duration::from_secs(1))),
            Err(error) if error.is_not_found() => Ok(Action::await_change()),
            Err(error) => Err(error.into()),
        }
    }

    /// What is in force for its place now; the default where nothing is.
    fn gate(&self, evaluation: &Evaluation) -> Result<PinnedGate, String> {
        let spec = &evaluation.spec;
        // The schema refuses names that are none.
        let place = Place::new(&spec.project, &spec.stage, &spec.service).map_err(|e| e.to_string())?;
        let definitions = self.definitions.of(&evaluation.namespace().unwrap_or_default());
        let found = pinned::gate(&definitions, &place).map_err(|e| e.message)?;
        Ok(found.map(|(_, gate)| gate).unwrap_or_default())
    }

    /// Asks what has not been answered yet. Some: why not everything is.
    async fn measure(
        &self,
        evaluation: &Evaluation,
        queries: &BTreeMap<String, Query>,
        progress: &mut Progress,
    ) -> Option<Unanswered> {
        let now = self.context.clock.now();
        let times = evaluation
            .spec
            .window
            .as_ref()
            .map_or((now, now), |w| (w.start.0, w.end.0));
        let unanswered = queries
            .iter()
            .filter(|(name, _)| !progress.values.contains_key(*name));
        let providers = Providers::of(evaluation, &self.providers, &self.own_namespace);
        let open = match providers.questions(unanswered, times) {
            Ok(open) => open,
            Err(trouble) => return Some(Unanswered::ForGood(trouble)),
        };
        let count = open.len();
        let mut answers = stream::iter(open)
            .map(|open| self.answer(open))
            .buffer_unordered(PER_EVALUATION);
        let round = async {
            while let Some((indicator, answer)) = answers.next().await {
                let Answer { sample, warnings } = match answer {
                    Ok(answer) => answer,
                    Err(QueryError::BadQuery(why)) => {
                        return Some(Unanswered::ForGood(Trouble::InvalidQuery { indicator, why }));
                    }
                    // The others would most likely fare the same: they are not waited for.
                    Err(QueryError::Unavailable(why)) => return Some(Unanswered::ForNow(indicator, why)),
                };
                if !warnings.is_empty() {
                    progress.warnings.insert(indicator.clone(), warnings);
                }
                progress.values.insert(indicator, sample.into());
            }
            None
        };
        tokio::time::timeout(ROUND, round).await.unwrap_or_else(|_| {
            let why = format!("not all of {count} queries were answered within {ROUND:?}");
            Some(Unanswered::ForNow("all indicators".to_owned(), why))
        })
    }

    async fn answer(&self, open: Open) -> (String, Result<Answer, QueryError>) {
        // The pool is never closed; if it were, nothing would be lost but the bound.
        let _slot = self.pool.acquire().await;
        let started = tokio::time::Instant::now();
        let answer = self.metrics.query(&open.provider, &open.question).await;
        let outcome = match &answer {
            Ok(_) => "answered",
            Err(QueryError::BadQuery(_)) => "refused",
            Err(QueryError::Unavailable(_)) => "unavailable",
        };
        self.context.effects.telemetry.asked(outcome, started.elapsed());
        (open.indicator, answer)
    }

    /// Writes the verdict, tells it, and lets go of the oldest ones.
    async fn end(
        &self,
        evaluation: &Evaluation,
        uid: &str,
        since: Timestamp,
        finding: &Finding,
    ) -> Result<Action, Error> {
        let compares = matches!(finding, Finding::Measured { gate, .. } if Gate::is_relative(gate));
        let mut siblings = if compares {
            Some(self.siblings(evaluation).await?)
        } else {
            None
        };
        let history = evaluation::history(evaluation, siblings.as_deref().unwrap_or_default());
        let now = self.context.clock.now();
        let status = evaluation::decide(evaluation, finding, &history, since, now);
        let mut ended = evaluation.clone();
        ended.status = Some(status.clone());
        match self.context.effects.write_status(&ended).await {
            Ok(written) => {
                self.context.effects.telemetry.verdict_written(&written);
                self.context
                    .effects
                    .events
                    .tell(&written, now, vec![note(&status)]);
                self.forget(uid);
                // The list was read before the verdict.
                if let Some(siblings) = &mut siblings {
                    siblings.retain(|e| e.metadata.uid != written.metadata.uid);
                    siblings.push(written);
                }
                self.tidy(evaluation, siblings).await;
                Ok(Action::await_change())
            }
            // Somebody changed it: the watch brings it again. What was measured is remembered.
            Err(error) if error.is_conflict() => Ok(Action::requeue(Duration::from_secs(1))),
            Err(error) if error.is_not_found() => {
                self.forget(uid);
                Ok(Action::await_change())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// All Evaluations of the same gate.
    async fn siblings(&self, evaluation: &Evaluation) -> Result<Vec<Evaluation>, Error> {
        let namespace = evaluation.namespace().unwrap_or_default();
        let api = Api::<Guarded<Evaluation>>::namespaced(self.context.client.clone(), &namespace);
        let labels = evaluation::labels_of(&evaluation.spec);
        let selector: Vec<String> = labels
            .iter()
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        let params = ListParams::default().labels(&selector.join(","));
        let what = || format!("the earlier Evaluations of {namespace}/{}", evaluation.name_any());
        match tokio::time::timeout(READ_TIMEOUT, api.list(&params)).await {
            Ok(Ok(found)) => Ok(found
                .items
                .iter()
                .filter_map(Guarded::readable)
                .map(Arc::unwrap_or_clone)
                .collect()),
            Ok(Err(source)) => Err(facts::execution::Error::Api {
                what: what(),
                source: Box::new(source),
            }
            .into()),
            Err(_) => Err(facts::execution::Error::Timeout { what: what() }.into()),
        }
    }

    /// Deletes what is not kept. When that fails, the next verdict does it.
    async fn tidy(&self, evaluation: &Evaluation, siblings: Option<Vec<Evaluation>>) {
        let tidied = async {
            let siblings = match siblings {
                Some(siblings) => siblings,
                None => self.siblings(evaluation).await?,
            };
            let namespace = evaluation.namespace().unwrap_or_default();
            for (name, uid) in evaluation::surplus(&siblings) {
                self.context
                    .effects
                    .delete::<Evaluation>(&namespace, &name, Some(&uid))
                    .await?;
            }
            Ok::<(), Error>(())
        };
        if let Err(error) = tidied.await {
            tracing::warn!(%error, "could not delete old Evaluations");
        }
    }

    fn progress_of(&self, uid: &str, now: Timestamp) -> Progress {
        let progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = || Progress {
            since: now,
            tries: 0,
            values: BTreeMap::new(),
            warnings: BTreeMap::new(),
        };
        progress.get(uid).cloned().unwrap_or_else(fresh)
    }

    fn remember(&self, uid: &str, seen: &Progress) {
        let mut progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.context.clock.now();
        progress.retain(|_, p| now.duration_since(p.since) < FORGOTTEN_AFTER);
        progress.insert(uid.to_owned(), seen.clone());
    }

    fn forget(&self, uid: &str) {
        self.progress
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(uid);
    }
}

impl Unanswered {
    /// What happened, where asking again may help.
    fn may_come(&self) -> Option<String> {
        match self {
            Self::ForGood(_) => None,
            Self::ForNow(indicator, why) => Some(format!("{indicator}: {why}")),
            Self::Lacking(values) => values
                .first()
                .map(|(indicator, why)| format!("{indicator}: {why}")),
        }
    }

    /// What it is when nobody asks any more, after so many tries over this time.
    fn trouble(self, tries: u32, over: ApiDuration) -> Trouble {
        match self {
            Self::ForGood(trouble) => trouble,
            Self::ForNow(indicator, why) => Trouble::ProviderUnavailable {
                indicator,
                why,
                tries,
                over,
            },
            Self::Lacking(values) => Trouble::ValueMissing(values),
        }
    }
}

/// The values that the gate can't do without, if the provider gave none: they are asked for again.
fn lacking(gate: &Gate, queries: &BTreeMap<String, Query>, progress: &mut Progress) -> Option<Unanswered> {
    let mut lacking = evaluation::unmeasured(gate, &progress.values);
    // Without a query there is nothing to ask again, and nothing to wait for.
    if lacking
        .iter()
        .any(|(indicator, _)| !queries.contains_key(indicator))
    {
        return None;
    }
    lacking.sort();
    for (indicator, _) in &lacking {
        progress.values.remove(indicator);
    }
    (!lacking.is_empty()).then_some(Unanswered::Lacking(lacking))
}

fn window_end(evaluation: &Evaluation, otherwise: Timestamp) -> Timestamp {
    evaluation.spec.window.as_ref().map_or(otherwise, |w| w.end.0)
}

fn whole_seconds(length: SignedDuration) -> ApiDuration {
    ApiDuration::from_secs(length.unsigned_abs().as_secs())
}

#[cfg(test)]
#[cfg(feature = "testing")]
#[path = "evaluation_tests.rs"]
mod tests;
