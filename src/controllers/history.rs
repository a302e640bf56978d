//! History: deletes the runs that are kept no longer, and the problems that have been closed for a week.
//!
//! Nothing about ended runs is kept in memory. When a run ends, its place is looked at a little later. Age alone deletes
//! too, so once a day, and after each start, everything is counted.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tokio::{
    sync::{Notify, mpsc, watch},
    time::{Instant, sleep_until},
};

use super::{Context, supervise};
use crate::{
    api::{ProblemEvent, SequenceExecution},
    core::{history, queue::PlaceKey},
    facts::ended::EndedReader,
};

/// So many places may wait; beyond them everything is counted instead.
const QUEUE: usize = 1024;
/// Runs that end one after the other are looked at together.
const DEBOUNCE: Duration = Duration::from_secs(10);
/// A start has better things to do first.
const FIRST_SWEEP: Duration = Duration::from_mins(1);
const SWEEP: Duration = Duration::from_hours(24);
/// So many deletions of one place, or of problems, before others have their turn.
const DELETIONS: usize = 200;
/// The wait after a failure; it grows with each.
const RETRY: Duration = Duration::from_mins(1);
/// What fails so often waits for the next count.
const TRIES: u32 = 5;

/// Says where runs have ended.
#[derive(Clone)]
pub struct Ends {
    queue: mpsc::Sender<PlaceKey>,
    all: Arc<Notify>,
}

/// The receiving end.
pub struct Told {
    queue: mpsc::Receiver<PlaceKey>,
    all: Arc<Notify>,
}

/// Both ends.
pub fn channel() -> (Ends, Told) {
    let (sender, receiver) = mpsc::channel(QUEUE);
    let all = Arc::new(Notify::new());
    let ends = Ends {
        queue: sender,
        all: all.clone(),
    };
    (ends, Told { queue: receiver, all })
}

impl Ends {
    /// A run has ended here.
    pub fn tell(&self, place: PlaceKey) {
        if self.queue.try_send(place).is_err() {
            self.all.notify_one();
        }
    }
}

/// When a place is to be looked at, and how often that failed.
struct Due {
    at: Instant,
    failures: u32,
}

struct Historian {
    context: Arc<Context>,
    reader: EndedReader,
    due: BTreeMap<PlaceKey, Due>,
    sweep: Due,
}

/// Runs until it is dropped. It begins when every cache was filled, which `ready` says.
pub async fn run(
    context: Arc<Context>,
    reader: EndedReader,
    mut told: Told,
    mut ready: watch::Receiver<bool>,
) {
    if ready.wait_for(|ready| *ready).await.is_err() {
        return std::future::pending().await;
    }
    let mut me = Historian {
        context,
        reader,
        due: BTreeMap::new(),
        sweep: due_in(FIRST_SWEEP),
    };
    loop {
        let first = me.due.values().map(|due| due.at).min();
        let next = first.map_or(me.sweep.at, |at| at.min(me.sweep.at));
        tokio::select! {
            Some(place) = told.queue.recv() => me.note(place),
            () = told.all.notified() => me.sweep_soon(),
            () = sleep_until(next) => me.work().await,
        }
    }
}

fn due_in(wait: Duration) -> Due {
    Due {
        at: Instant::now() + wait,
        failures: 0,
    }
}

impl Historian {
    fn note(&mut self, place: PlaceKey) {
        if self.due.len() < QUEUE {
            self.due.entry(place).or_insert_with(|| due_in(DEBOUNCE));
        } else {
            self.sweep_soon();
        }
    }

    fn sweep_soon(&mut self) {
        self.sweep.at = self.sweep.at.min(Instant::now() + DEBOUNCE);
    }

    /// Sees to everything that is due.
    async fn work(&mut self) {
        let now = Instant::now();
        let due = |(place, due): (&PlaceKey, &Due)| (due.at <= now).then(|| place.clone());
        let places: Vec<PlaceKey> = self.due.iter().filter_map(due).collect();
        for place in places {
            let tidied = supervise::guard(self.tidy(&place)).await;
            let failures = self.due.remove(&place).map_or(0, |due| due.failures);
            let again = match tidied.unwrap_or_else(|panic| Err(supervise::Error::Panicked(panic))) {
                Ok(More::No) => None,
                Ok(More::Yes) => Some(due_in(DEBOUNCE)),
                Err(error) => {
                    let (namespace, service) = (&place.namespace, &place.service);
                    tracing::warn!(%error, namespace, service, "could not delete old runs");
                    failed(failures)
                }
            };
            self.due.extend(again.map(|due| (place, due)));
        }
        if self.sweep.at <= now {
            let swept = supervise::guard(self.sweep_all()).await;
            self.sweep = match swept.unwrap_or_else(|panic| Err(supervise::Error::Panicked(panic))) {
                Ok(More::No) => due_in(SWEEP),
                Ok(More::Yes) => due_in(DEBOUNCE),
                Err(error) => {
                    tracing::warn!(%error, "could not look for old runs and problems");
                    failed(self.sweep.failures).unwrap_or_else(|| due_in(SWEEP))
                }
            };
        }
    }

    /// Deletes what is surplus in one place.
    async fn tidy(&self, place: &PlaceKey) -> Result<More, supervise::Error> {
        let now = self.context.clock.now();
        let mut deleted = 0;
        for (sequence, runs) in self.reader.runs(place, now).await? {
            let keep = self.reader.keep(place, &sequence);
            for run in history::surplus(&runs, keep, now) {
                if self.reader.is_in_use(&place.namespace, run).await? {
                    continue;
                }
                if deleted == DELETIONS {
                    return Ok(More::Yes);
                }
                let effects = &self.context.effects;
                effects
                    .delete::<SequenceExecution>(&place.namespace, &run.name, Some(&run.uid))
                    .await?;
                tracing::info!(
                    namespace = place.namespace,
                    execution = run.name,
                    "deleted an old run"
                );
                deleted += 1;
            }
        }
        Ok(More::No)
    }

    /// Deletes old problems; then finds the places in which runs are too many or too old.
    async fn sweep_all(&mut self) -> Result<More, supervise::Error> {
        let now = self.context.clock.now();
        let (old, more) = self.reader.old_problems(now, DELETIONS).await?;
        for problem in old {
            let effects = &self.context.effects;
            effects
                .delete_alone::<ProblemEvent>(&problem.namespace, &problem.name, &problem.uid)
                .await?;
            let namespace = problem.namespace;
            tracing::info!(
                namespace,
                problem = problem.name,
                "deleted a problem that was closed long ago"
            );
        }
        if more {
            return Ok(More::Yes);
        }
        let census = self.reader.census().await?;
        let reader = self.reader.clone();
        for place in census.crowded(|place, sequence| reader.keep(place, sequence), now) {
            // However many there are: they are names only, and each is gone when it was looked at.
            self.due.entry(place).or_insert_with(|| due_in(Duration::ZERO));
        }
        Ok(More::No)
    }
}

/// Whether there is more to do.
enum More {
    Yes,
    No,
}

/// When to try again what failed once more; None: not before the next count.
fn failed(failures: u32) -> Option<Due> {
    let failures = failures + 1;
    (failures < TRIES).then(|| Due {
        failures,
        ..due_in(RETRY * failures)
    })
}
