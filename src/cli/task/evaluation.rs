//! The evaluation task as a Job: the same Evaluation that the operator itself would create, and the same patience.

use std::time::Duration;

use anyhow::Context as _;
use futures::TryStreamExt;
use jiff::Timestamp;
use kube::{
    Api, ResourceExt,
    api::{WatchEvent, WatchParams},
};

use super::Worker;
use crate::{
    api::{Evaluation, SequenceExecution, SequenceExecutionStatus, evaluation::Window},
    core::{
        evaluation::{self, Reading},
        jobs::result::Outcome,
        names,
        sequence::{
            EVALUATION,
            asked::{self, Judged},
            defaults,
        },
    },
    effects::{Created, Effects},
    facts::READ_TIMEOUT,
};

/// The reason of a Job that could not measure; the run ends, and no further action is tried.
pub(super) const INCONCLUSIVE: &str = "Inconclusive";
/// What is left of the Job's time at the end, to say how it ended.
const MARGIN: Duration = Duration::from_secs(10);
/// An Evaluation is read anew so often, should its watch tell nothing.
const LOOK: Duration = Duration::from_secs(60);
/// Between two requests of which the first failed.
const PAUSE: Duration = Duration::from_secs(2);
/// How often a create is tried; it is the same Evaluation each time.
const CREATES: u32 = 5;

/// What came of one Evaluation.
enum Said {
    /// This is the end: something that asking again does not mend.
    End(Outcome),
    /// A verdict.
    Verdict(Box<Evaluation>),
    /// It could not be measured; asking again later may help.
    Nothing(String),
}

pub(super) async fn answer(worker: &Worker) -> anyhow::Result<Outcome> {
    let (run, own) = worker.place(EVALUATION).await?;
    let status = run.status.clone().unwrap_or_default();
    let mut task = Asking {
        worker,
        effects: Effects::new(worker.client.clone()),
        evaluations: Api::namespaced(worker.client.clone(), &worker.namespace),
        deadline: latest(own.deadline.map(|at| at.0), worker.clock.now()),
        run,
        status,
        index: own.index,
        try_: 1,
    };
    task.until_answered().await
}

/// When the Job's answer must be there. Jobs have a recorded deadline; by hand it is the longest that one may be.
fn latest(recorded: Option<Timestamp>, now: Timestamp) -> Timestamp {
    let after = |at: Timestamp, by: jiff::SignedDuration| at.checked_add(by).unwrap_or(Timestamp::MAX);
    match recorded {
        Some(at) => after(at, -jiff::SignedDuration::try_from(MARGIN).unwrap_or_default()),
        None => after(now, defaults::DEADLINE.signed()),
    }
}

struct Asking<'a> {
    worker: &'a Worker,
    effects: Effects,
    evaluations: Api<Evaluation>,
    deadline: Timestamp,
    run: SequenceExecution,
    status: SequenceExecutionStatus,
    index: usize,
    try_: i32,
}

impl Asking<'_> {
    async fn until_answered(&mut self) -> anyhow::Result<Outcome> {
        let mut since = None;
        let mut good_since = None;
        loop {
            let window = match asked::plan_window(&self.run, &self.status, self.index, self.now()) {
                Ok(plan) => plan.window,
                Err(message) => return Ok(Outcome::errored("InvalidWindow", message)),
            };
            if window.end.0 >= self.deadline {
                return Ok(self.too_short(window.end.0));
            }
            self.sleep_until(window.end.0).await;
            let why = match self.ask(window).await? {
                Said::End(outcome) => return Ok(outcome),
                Said::Verdict(found) => {
                    match asked::judged(&self.run, &self.status, self.index, &found, good_since) {
                        Judged::End(outcome) => return Ok(outcome),
                        Judged::Holds { next, .. } if next >= self.deadline => {
                            return Ok(self.too_short(next));
                        }
                        Judged::Holds {
                            since: good,
                            next,
                            told,
                            ..
                        } => {
                            tracing::info!("{told}");
                            (since, good_since) = (None, Some(good));
                            self.sleep_until(next).await;
                            self.try_ += 1;
                            continue;
                        }
                    }
                }
                Said::Nothing(why) => why,
            };
            let now = self.now();
            let since = *since.get_or_insert(now);
            let limit = since.checked_add(defaults::INCONCLUSIVE.signed())?;
            let next = now.checked_add(asked::pause(self.try_).signed())?.min(limit);
            if now >= limit || next >= self.deadline {
                let message = format!(
                    "nothing could be measured in {} tries, the last: {why}; no action is tried for that",
                    self.try_
                );
                return Ok(Outcome::errored(INCONCLUSIVE, message));
            }
            tracing::warn!("could not measure: {why}; asks again at {next:.0}");
            self.sleep_until(next).await;
            self.try_ += 1;
        }
    }

    fn too_short(&self, end: Timestamp) -> Outcome {
        let message = format!(
            "the window ends at {:.0}, and this Job must have ended at {:.0}: raise maxPollDuration in its JobConfig, or \
             shorten the window or mustHoldFor",
            end, self.deadline
        );
        Outcome::errored("DeadlineTooShort", message)
    }

    /// One Evaluation. Its name follows from the run, the attempt, the task and the try, so that a second Job finds it.
    async fn ask(&self, window: Window) -> anyhow::Result<Said> {
        let uid = self.run.uid().unwrap_or_default();
        let attempt = self.status.attempts.last().map_or(0, |a| a.number);
        let name = names::evaluation_name(&self.run.name_any(), &uid, attempt, self.index, self.try_);
        let wanted = asked::evaluation(&self.run, &self.status, self.index, &name, window)
            .context("nothing is pinned in status.plan of the SequenceExecution")?;
        let found = match self.create(&wanted).await? {
            Ok(found) => found,
            Err(refused) => return Ok(Said::End(refused)),
        };
        if found.spec.execution.as_ref().and_then(|e| e.uid.as_deref()) != Some(&uid) {
            let message = format!("an Evaluation named {name} exists and is not this run's: delete it");
            return Ok(Said::End(Outcome::errored("NameTaken", message)));
        }
        tracing::info!(
            "Evaluation {}/{name}: waits for its verdict",
            self.worker.namespace
        );
        let until = found
            .spec
            .window
            .as_ref()
            .map_or(self.deadline, asked::patience)
            .min(self.deadline);
        let Some(ended) = self.verdict(found, until).await else {
            return Ok(Said::Nothing(format!("Evaluation {name} has no verdict")));
        };
        let verdict = ended.status.clone().unwrap_or_default();
        Ok(match evaluation::read(ended.status.as_ref()) {
            Reading::Verdict(..) => Said::Verdict(Box::new(ended)),
            Reading::Inconclusive {
                worth_retrying: false,
            } => Said::End(Outcome::errored(&verdict.reason, verdict.message)),
            _ => Said::Nothing(verdict.message),
        })
    }

    /// Creates the Evaluation, or finds it. A create whose answer got lost is simply made again.
    async fn create(&self, wanted: &Evaluation) -> anyhow::Result<Result<Evaluation, Outcome>> {
        let mut tries = 1;
        loop {
            match self.effects.create(wanted).await {
                Ok(Created::New(found) | Created::Existed(found)) => return Ok(Ok(found)),
                Err(error) if error.refusal().is_some() => {
                    return Ok(Err(Outcome::errored("Refused", error.to_string())));
                }
                Err(error) if tries >= CREATES => return Err(error.into()),
                Err(error) => tracing::warn!("{error}; trying again"),
            }
            tries += 1;
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// The Evaluation when it has ended; None when it has not in time, or is gone.
    async fn verdict(&self, found: Evaluation, until: Timestamp) -> Option<Evaluation> {
        let name = found.name_any();
        let mut newest = found;
        loop {
            if evaluation::read(newest.status.as_ref()) != Reading::Pending {
                return Some(newest);
            }
            let left = Duration::try_from(until.duration_since(self.now())).unwrap_or_default();
            if left.is_zero() {
                return None;
            }
            let version = newest.resource_version().unwrap_or_default();
            let changed = tokio::time::timeout(left.min(LOOK), self.changed(&name, &version)).await;
            if matches!(changed, Ok(Err(_))) {
                tokio::time::sleep(PAUSE.min(left)).await;
            }
            match tokio::time::timeout(READ_TIMEOUT, self.evaluations.get_opt(&name)).await {
                Ok(Ok(Some(found))) => newest = found,
                Ok(Ok(None)) => return None,
                Ok(Err(error)) => tracing::warn!("reading Evaluation {name}: {error}; trying again"),
                Err(_) => tracing::warn!("reading Evaluation {name}: no answer; trying again"),
            }
        }
    }

    /// Until something happens to the Evaluation after `version`. The error says that this can't be told, or no longer.
    async fn changed(&self, name: &str, version: &str) -> anyhow::Result<()> {
        // The plain watch needs no right to list.
        let params = WatchParams::default()
            .fields(&format!("metadata.name={name}"))
            .timeout(crate::facts::WATCH_TIMEOUT);
        let events = self.evaluations.watch(&params, version).await?;
        let mut events = std::pin::pin!(events);
        while let Some(event) = events.try_next().await? {
            match event {
                WatchEvent::Added(_) | WatchEvent::Modified(_) | WatchEvent::Deleted(_) => return Ok(()),
                WatchEvent::Bookmark(_) => {}
                WatchEvent::Error(status) => anyhow::bail!("{}", status.message),
            }
        }
        anyhow::bail!("the watch ended")
    }

    fn now(&self) -> Timestamp {
        self.worker.clock.now()
    }

    async fn sleep_until(&self, at: Timestamp) {
        let wait = Duration::try_from(at.duration_since(self.now())).unwrap_or_default();
        tokio::time::sleep(wait).await;
    }
}
