//! EventSinks: tells each what happens to runs.
//!
//! Each sink has a worker of its own, so that one that is away delays no other. A worker is told only *which* runs have
//! changed; what there is to tell it reads from the run's recorded status and the sink's own (see [`outbound`]). So nothing
//! is queued but names, and a restart goes on where the status says.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures::StreamExt;
use kube::ResourceExt;
use tokio::{sync::Notify, task::JoinSet, time::Instant};

use super::{Context, supervise, supervise::Backoff};
use crate::{
    api::{
        Condition, EventSink, EventSinkStatus, SequenceExecution, Timestamp, common::Time,
        eventsink::Undelivered, set_condition,
    },
    core::{
        note::Note,
        outbound::{Letter, Sink, ledger::Ledger},
    },
    effects::outlet::{SendError, SinkName},
    facts::{
        ended::{self, Identity},
        execution::live,
        namespaces::Namespaces,
        stores::{Change, Definitions, Kind},
    },
};

/// A sink's status is written no more often than this; what was sent since the last write may be sent again after a crash.
const WRITE_EVERY: Duration = Duration::from_secs(5);
/// A worker that failed by a bug, or can't list the runs, begins anew after this.
const ANEW: Duration = Duration::from_secs(10);

/// Says which runs have changed.
#[derive(Clone, Default)]
pub struct Outbox {
    sinks: Arc<Mutex<BTreeMap<SinkName, Arc<Mailbox>>>>,
}

/// What one worker is told.
#[derive(Default)]
struct Mailbox {
    /// Whether runs of every namespace concern it.
    everywhere: bool,
    changed: Mutex<BTreeSet<Identity>>,
    /// Every run may have changed.
    scan: AtomicBool,
    wake: Notify,
}

impl Outbox {
    /// This run has changed, has ended or is gone.
    pub fn tell(&self, run: &SequenceExecution) {
        let namespace = run.metadata.namespace.as_deref().unwrap_or_default();
        for (sink, mailbox) in self.locked().iter() {
            if mailbox.everywhere || sink.namespace == namespace {
                mailbox.put(Identity {
                    namespace: namespace.to_owned(),
                    name: run.name_any(),
                    uid: run.uid().unwrap_or_default(),
                });
            }
        }
    }

    /// Every run may have changed: the watch of runs has begun anew.
    pub fn tell_all(&self) {
        for mailbox in self.locked().values() {
            mailbox.scan.store(true, Ordering::Release);
            mailbox.wake.notify_one();
        }
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, BTreeMap<SinkName, Arc<Mailbox>>> {
        self.sinks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Mailbox {
    fn put(&self, run: Identity) {
        let mut changed = self.changed.lock().unwrap_or_else(PoisonError::into_inner);
        changed.insert(run);
        self.wake.notify_one();
    }

    fn take(&self) -> BTreeSet<Identity> {
        std::mem::take(&mut self.changed.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Runs a worker for each sink, until it is dropped. The sinks of `own_namespace` are told of every namespace.
pub async fn run(context: Arc<Context>, definitions: Definitions, outbox: Outbox, own_namespace: String) {
    let mut changes = std::pin::pin!(definitions.changes());
    if definitions.wait_until_ready().await.is_err() {
        return std::future::pending().await;
    }
    let mut workers = JoinSet::new();
    let mut running = BTreeMap::new();
    loop {
        let wanted = wanted(&definitions);
        running.retain(|name, (uid, worker): &mut (String, tokio::task::AbortHandle)| {
            let stays = wanted.get(name) == Some(uid) && !worker.is_finished();
            if !stays {
                worker.abort();
                outbox.locked().remove(name);
            }
            stays
        });
        for (name, uid) in wanted {
            if running.contains_key(&name) {
                continue;
            }
            let mailbox = Arc::new(Mailbox {
                everywhere: name.namespace == own_namespace,
                scan: AtomicBool::new(true),
                ..Mailbox::default()
            });
            outbox.locked().insert(name.clone(), mailbox.clone());
            let (context, definitions) = (context.clone(), definitions.clone());
            let (sink, known) = (name.clone(), uid.clone());
            let work = async move { keep_working(&context, &definitions, &sink, &known, &mailbox).await };
            running.insert(name, (uid, workers.spawn(work)));
        }
        // Of changes that come together one look is enough.
        tokio::select! {
            change = changes.next() => match change {
                Some(change) => tell_of(&outbox, &change),
                None => return,
            },
            Some(_) = workers.join_next(), if !workers.is_empty() => {}
        }
    }
}

/// The sinks that there are, and which of that name each is.
fn wanted(definitions: &Definitions) -> BTreeMap<SinkName, String> {
    let sinks = definitions
        .event_sinks
        .namespaces()
        .into_iter()
        .flat_map(|namespace| {
            let sinks = definitions.event_sinks.of(&namespace);
            sinks.into_iter().map(move |sink| {
                let name = SinkName {
                    namespace: namespace.clone(),
                    name: sink.name_any(),
                };
                (name, sink.uid().unwrap_or_default())
            })
        });
    sinks.collect()
}

/// A sink that was changed may take what it did not take before.
fn tell_of(outbox: &Outbox, change: &Change) {
    for (sink, mailbox) in outbox.locked().iter() {
        let concerned = match change {
            Change::All => true,
            Change::Kind(kind) => *kind == Kind::EventSink,
            Change::One {
                kind,
                namespace,
                name,
            } => *kind == Kind::EventSink && *namespace == sink.namespace && *name == sink.name,
        };
        if concerned {
            mailbox.wake.notify_one();
        }
    }
}

async fn keep_working(
    context: &Context,
    definitions: &Definitions,
    name: &SinkName,
    uid: &str,
    mailbox: &Mailbox,
) {
    while let Some(object) = sink_of(definitions, name, uid) {
        let created = object.metadata.creation_timestamp.as_ref().map(|t| t.0);
        let worker = Worker {
            context,
            definitions,
            name,
            uid,
            mailbox,
            // It goes on where the sink's status says.
            ledger: Ledger::read(object.status.as_ref(), created.unwrap_or_default()),
            tally: Tally::read(object.status.as_ref()),
            due: BTreeMap::new(),
            backoff: Backoff::new(context.effects.telemetry.clone()),
            failing: BTreeMap::new(),
            written: None,
        };
        match supervise::guard(worker.work()).await {
            Ok(()) => return,
            Err(panic) => {
                let SinkName { namespace, name } = name;
                tracing::error!(
                    namespace,
                    name,
                    error = panic,
                    "an EventSink's worker begins anew"
                );
                mailbox.scan.store(true, Ordering::Release);
                tokio::time::sleep(ANEW).await;
            }
        }
    }
}

/// The sink, while it is the one of this uid.
fn sink_of(definitions: &Definitions, name: &SinkName, uid: &str) -> Option<Arc<EventSink>> {
    let found = definitions.event_sinks.get(&name.namespace, &name.name);
    found.filter(|sink| sink.metadata.uid.as_deref() == Some(uid))
}

/// What came of telling, so far.
#[derive(Clone, Default)]
struct Tally {
    delivered: i64,
    undelivered: i64,
    last_undelivered: Option<Undelivered>,
    /// Why the sink does not take what is sent now.
    trouble: Option<String>,
    /// Whether any of this is not in the status yet.
    news: bool,
}

impl Tally {
    fn read(status: Option<&EventSinkStatus>) -> Self {
        let status = status.cloned().unwrap_or_default();
        Self {
            delivered: status.delivered,
            undelivered: status.undelivered,
            last_undelivered: status.last_undelivered,
            ..Self::default()
        }
    }
}

struct Worker<'a> {
    context: &'a Context,
    definitions: &'a Definitions,
    name: &'a SinkName,
    uid: &'a str,
    mailbox: &'a Mailbox,
    /// How far the sink was told.
    ledger: Ledger,
    tally: Tally,
    /// The runs to look at, and when.
    due: BTreeMap<Identity, Instant>,
    backoff: Backoff,
    /// Since when the next letter of a run was not taken, by the run's uid.
    failing: BTreeMap<String, Instant>,
    written: Option<Instant>,
}

impl Worker<'_> {
    /// Works until the sink is gone.
    async fn work(mut self) {
        while let Some(object) = self.object() {
            let Ok(sink) = Sink::parse(&object.spec) else {
                // Its status says what is wrong; what happens meanwhile is told once it is mended.
                self.mailbox.wake.notified().await;
                continue;
            };
            if self.mailbox.scan.swap(false, Ordering::AcqRel) {
                self.scan().await;
            }
            let now = Instant::now();
            for run in self.mailbox.take() {
                self.due.entry(run).or_insert(now);
            }
            let next = self.due.iter().min_by_key(|(_, at)| **at);
            match next.map(|(run, at)| (run.clone(), *at)) {
                Some((run, at)) if at <= now => {
                    self.due.remove(&run);
                    self.attend(&sink, run).await;
                    if self.written.is_none_or(|at| at.elapsed() >= WRITE_EVERY) {
                        self.write().await;
                    }
                }
                next => self.rest(next.map(|(_, at)| at)).await,
            }
        }
    }

    fn object(&self) -> Option<Arc<EventSink>> {
        sink_of(self.definitions, self.name, self.uid)
    }

    /// Waits for something to do; meanwhile, the status is written.
    async fn rest(&mut self, until: Option<Instant>) {
        if self.due.is_empty() {
            self.ledger.settle(self.context.clock.now());
        }
        let write_at = self.written.map_or_else(Instant::now, |at| at + WRITE_EVERY);
        if self.tally.news && write_at <= Instant::now() {
            self.write().await;
            return;
        }
        let write_at = self.tally.news.then_some(write_at);
        let wake = until.into_iter().chain(write_at).min();
        let woken = self.mailbox.wake.notified();
        match wake {
            Some(at) => drop(tokio::time::timeout_at(at, woken).await),
            None => woken.await,
        }
    }

    /// Finds the runs of which something may have to be told.
    async fn scan(&mut self) {
        let namespaces = if self.mailbox.everywhere {
            self.context.namespaces.clone()
        } else {
            Namespaces::one(&self.name.namespace)
        };
        match ended::all_runs(&self.context.client, &namespaces).await {
            Ok(runs) => {
                let now = Instant::now();
                let there: BTreeSet<&str> = runs.iter().map(|(run, _)| run.uid.as_str()).collect();
                self.ledger.keep_only(|uid| there.contains(uid));
                for (run, ended_at) in runs {
                    if self.ledger.concerns(&run.uid, ended_at) {
                        self.due.entry(run).or_insert(now);
                    }
                }
            }
            Err(error) => {
                self.log(&error);
                self.mailbox.scan.store(true, Ordering::Release);
                tokio::time::sleep(ANEW).await;
            }
        }
    }

    /// Tells everything that there is to tell of one run, or looks at it again later.
    async fn attend(&mut self, sink: &Sink, run: Identity) {
        let found = live::<SequenceExecution>(&self.context.client, &run.namespace, &run.name).await;
        let wait = match found {
            Ok(Some(found)) if found.metadata.uid.as_deref() == Some(run.uid.as_str()) => {
                self.tell(sink, &found).await
            }
            Ok(_) => {
                self.ledger.forget(&run.uid);
                self.failing.remove(&run.uid);
                None
            }
            Err(error) => {
                self.log(&error);
                Some(Duration::ZERO)
            }
        };
        match wait {
            None => self.backoff.reset(&run.uid),
            Some(least) => {
                let wait = self.backoff.next(&run.uid).max(least);
                self.due.insert(run, Instant::now() + wait);
            }
        }
    }

    /// Some: the sink did not take something; it asks to be left alone for so long at least.
    async fn tell(&mut self, sink: &Sink, run: &SequenceExecution) -> Option<Duration> {
        let letters = sink.letters(run, &self.ledger);
        let uid = run.uid().unwrap_or_default();
        for letter in letters {
            match self.context.effects.outlet.send(self.name, sink, &letter).await {
                Ok(()) => {
                    self.context.effects.telemetry.letter("delivered");
                    self.tally.delivered += 1;
                    self.tally.trouble = None;
                }
                Err(SendError::Unavailable { why, after }) => {
                    let since = *self.failing.entry(uid.clone()).or_insert_with(Instant::now);
                    if since.elapsed() < sink.retry_for {
                        self.context.effects.telemetry.letter("unavailable");
                        self.tally.news |= self.tally.trouble.as_ref() != Some(&why);
                        self.tally.trouble = Some(why);
                        return Some(after.unwrap_or_default());
                    }
                    self.give_up(run, &letter, format!("{why}; for {:?}", sink.retry_for));
                }
                Err(SendError::Refused(why)) => self.give_up(run, &letter, why),
            }
            self.failing.remove(&uid);
            self.tally.news = true;
            self.ledger.told(run, letter.position);
        }
        self.ledger.saw(run);
        self.ledger.bound();
        None
    }

    fn give_up(&mut self, run: &SequenceExecution, letter: &Letter, why: String) {
        let now = self.context.clock.now();
        let shown = format!("{}/{}", run.namespace().unwrap_or_default(), run.name_any());
        let SinkName { namespace, name } = self.name;
        tracing::warn!(
            namespace,
            name,
            execution = shown,
            event = letter.type_,
            error = why,
            "an event was not delivered"
        );
        if let Some(object) = self.object() {
            let text = format!("{} of {shown} was not delivered: {why}", letter.type_);
            let events = &self.context.effects.events;
            events.tell(object.as_ref(), now, vec![Note::warning("Undelivered", text)]);
        }
        self.context.effects.telemetry.letter("undelivered");
        self.tally.undelivered += 1;
        self.tally.last_undelivered = Some(Undelivered {
            id: letter.id.clone(),
            type_: letter.type_.clone(),
            run: shown,
            message: why,
            at: Timestamp(now),
        });
    }

    /// Writes the status, if there is anything new in it. What fails is written later: on a conflict the newest object is on its
    /// way into the cache.
    async fn write(&mut self) {
        self.written = Some(Instant::now());
        let (true, Some(object)) = (self.tally.news, self.object()) else {
            return;
        };
        let mut wanted = object.as_ref().clone();
        let mut status = wanted.status.take().unwrap_or_default();
        self.report(&mut status, wanted.metadata.generation);
        wanted.status = Some(status);
        match self.context.effects.write_status(&wanted).await {
            Err(error) if error.is_conflict() => {}
            Err(error) if !error.is_not_found() => self.log(&error),
            _ => self.tally.news = false,
        }
    }

    fn report(&self, status: &mut EventSinkStatus, generation: Option<i64>) {
        let tally = &self.tally;
        status.delivered = tally.delivered;
        status.undelivered = tally.undelivered;
        status.last_undelivered.clone_from(&tally.last_undelivered);
        status.waiting = i64::try_from(self.due.len()).unwrap_or(i64::MAX);
        self.ledger.write(status);
        let (yes, reason, message) = match &tally.trouble {
            None => ("True", "Delivering", "the server takes what is sent".to_owned()),
            Some(why) => ("False", "Unavailable", format!("{why}; it is sent again")),
        };
        let condition = Condition {
            type_: "Delivering".to_owned(),
            status: yes.to_owned(),
            reason: reason.to_owned(),
            message,
            observed_generation: generation,
            last_transition_time: Time(self.context.clock.now()),
        };
        set_condition(&mut status.config.conditions, condition);
    }

    fn log(&self, error: &impl std::fmt::Display) {
        let SinkName { namespace, name } = self.name;
        tracing::warn!(namespace, name, %error, "an EventSink has to wait; trying again");
    }
}
