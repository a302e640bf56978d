//! SequenceExecutions: gathers facts, decides, writes the status, carries the effects out.

mod forsaken;
mod places;

use std::{
    collections::BTreeMap,
    convert::Infallible,
    sync::{Arc, Mutex},
};

use futures::StreamExt;
use k8s_openapi::api::batch::v1::Job;
use kube::{
    ResourceExt,
    runtime::{
        Controller, WatchStreamExt,
        controller::{self, Action},
        reflector::{self, ObjectRef, Store},
        watcher,
    },
};
use tokio::sync::{Notify, watch};

use super::{
    Context,
    created::CreatedJobs,
    history::Ends,
    sinks::Outbox,
    supervise::{Backoff, Error},
    wake::{Wake, Woken},
};
use crate::{
    api::{ProblemEvent, SequenceExecution, shipyard::Concurrency},
    core::{
        approval,
        queue::{Arbiter, PlaceKey},
        sequence::{self, Decision, Effect},
    },
    effects::Created,
    facts::{self, WATCH_TIMEOUT, execution::Reader, guarded::Guarded},
};

/// No reconciliation goes round more often before it comes back later.
const ROUNDS: usize = 12;
const CONCURRENCY: u16 = 32;

/// The executions' controller and what it works with.
pub struct Executions {
    context: Arc<Context>,
    reader: Reader,
    live: Store<Guarded<SequenceExecution>>,
    arbiter: Mutex<Arbiter>,
    created: CreatedJobs,
    wake: Wake<Guarded<SequenceExecution>>,
    problems: Wake<Guarded<ProblemEvent>>,
    ends: Ends,
    outbox: Outbox,
    backoff: Backoff,
    listed: watch::Sender<bool>,
    /// Notified when a run may have ended.
    over: Notify,
}

/// What the controller is driven by, besides its own watch.
pub struct Inputs {
    /// Reads facts; its stores are filled by others.
    pub reader: Reader,
    /// Wakes executions.
    pub wake: Wake<Guarded<SequenceExecution>>,
    /// The receiving end of `wake`.
    pub woken: Woken<Guarded<SequenceExecution>>,
    /// Wakes problems when their run changes.
    pub problems: Wake<Guarded<ProblemEvent>>,
    /// Told where runs have ended.
    pub ends: Ends,
    /// Told which runs have changed.
    pub outbox: Outbox,
    /// Set to true when the live runs have been listed and those that hold a place have it again.
    pub listed: watch::Sender<bool>,
    /// Changes of Jobs: their cache is up to date when they come.
    pub job_changes: futures::stream::BoxStream<'static, ObjectRef<Guarded<SequenceExecution>>>,
}

/// Runs until `shutdown` resolves, or a watch ends.
pub async fn run(
    context: Arc<Context>,
    inputs: Inputs,
    shutdown: impl Future<Output = ()> + Send + Sync + 'static,
) {
    let (live, writer) = reflector::store();
    let me = Arc::new(Executions {
        context: context.clone(),
        reader: inputs.reader,
        live: live.clone(),
        arbiter: Mutex::default(),
        created: CreatedJobs::default(),
        wake: inputs.wake,
        problems: inputs.problems,
        ends: inputs.ends,
        outbox: inputs.outbox,
        backoff: Backoff::new(context.effects.telemetry.clone()),
        listed: inputs.listed,
        over: Notify::new(),
    });
    let _ = context.effects.telemetry.live.runs.set(live.clone());
    let ended = me.clone();
    // A run that ends leaves the selection, so the API server sends its deletion: finished runs cost no memory.
    let config = watcher::Config::default()
        .fields("status.done!=true")
        .timeout(WATCH_TIMEOUT);
    let runs = context
        .watch::<Guarded<SequenceExecution>>(config)
        .modify(|run| run.managed_fields_mut().clear())
        .reflect(writer)
        .inspect(move |event| match event {
            Ok(watcher::Event::Delete(gone)) => {
                if let Some(run) = gone.readable() {
                    ended.left(&run);
                }
            }
            Ok(watcher::Event::InitDone) => {
                ended.listed();
                ended.outbox.tell_all();
            }
            Ok(watcher::Event::Apply(run)) => {
                if let Some(run) = run.readable() {
                    ended.outbox.tell(&run);
                }
            }
            _ => {}
        })
        .applied_objects();
    let (woken, all) = inputs.woken.into_streams();
    let controller = Controller::for_stream(runs, live)
        .with_config(controller::Config::default().concurrency(CONCURRENCY))
        .reconcile_on(woken)
        .reconcile_on(inputs.job_changes)
        .reconcile_on(super::children::evaluation_changes(&context))
        .reconcile_on(super::children::approval_changes(&context))
        .reconcile_on(super::children::result_changes(&context))
        .reconcile_all_on(all)
        .graceful_shutdown_on(shutdown)
        .run(
            |run: Arc<Guarded<SequenceExecution>>, me: Arc<Executions>| async move {
                Ok(me.backoff.attend(&run, |run| me.reconcile(run)).await)
            },
            |_, never: &Infallible, _| match *never {},
            me.clone(),
        );
    let controller = controller.for_each(|result| async move {
        if let Err(error) = result {
            tracing::debug!(%error, "execution controller");
        }
    });
    tokio::select! {
        () = controller => {}
        () = forsaken::sweep(&me) => {}
    }
}

impl Executions {
    async fn reconcile(&self, run: Arc<SequenceExecution>) -> Result<Action, Error> {
        self.wait_until_ready().await;
        let mut run = Arc::unwrap_or_clone(run);
        let mut extra = Extra::default();
        let mut fresh = false;
        if run.status.is_none() {
            self.announce(&run);
        }
        for _ in 0..ROUNDS {
            if run.metadata.deletion_timestamp.is_some() {
                self.left(&run);
                return Ok(Action::await_change());
            }
            let now = self.context.clock.now();
            let decision = self.decide(&run, &extra, now).await?;
            let waited = sequence::waits(&run);
            let before = run.status.clone().unwrap_or_default();
            if decision.status == before && !decision.then.is_empty() && !fresh {
                // Only a live status may lead to a create that no status write guards.
                let Some(live) = self.read(&run).await? else {
                    return Ok(Action::await_change());
                };
                fresh = true;
                run = live;
                continue;
            }
            if !self.before(&run, &decision).await? {
                continue;
            }
            if decision.status != before {
                run.status = Some(decision.status.clone());
                match self.context.effects.write_status(&run).await {
                    Ok(written) => run = written,
                    Err(error) if error.is_conflict() => {
                        let Some(live) = self.read(&run).await? else {
                            return Ok(Action::await_change());
                        };
                        run = live;
                        continue;
                    }
                    Err(error) if error.is_not_found() => return Ok(Action::await_change()),
                    Err(error) => return Err(error.into()),
                }
                fresh = true;
                self.context.effects.telemetry.run_written(&run, &before);
                self.report(&run, &decision, now);
            }
            if !decision.wants_place {
                self.release(&run);
                // It may have been the one that was woken for the place.
                if waited && !sequence::waits(&run) {
                    self.wake_next(&run);
                }
            }
            if self.create(&run, &decision, &mut extra).await? {
                continue;
            }
            match decision.again {
                Some(at) if at <= now => {}
                Some(at) => {
                    let wait = at.duration_since(now).unsigned_abs();
                    return Ok(Action::requeue(wait));
                }
                None => return Ok(Action::await_change()),
            }
        }
        tracing::warn!(
            execution = run.name_any(),
            "went round too often; comes back in 5 s"
        );
        Ok(Action::requeue(std::time::Duration::from_secs(5)))
    }

    async fn decide(
        &self,
        run: &SequenceExecution,
        extra: &Extra,
        now: jiff::Timestamp,
    ) -> Result<Decision, Error> {
        let needs = sequence::needs(run, now);
        let mut facts = self.reader.gather(run, &needs, now).await?;
        facts.created = self.created.of(run);
        facts.refused.clone_from(&extra.refused);
        facts.followed = extra.followed;
        let replaced = match &facts.run {
            Some(Ok(found)) => found.sequence.concurrency == Some(Concurrency::Replace),
            _ => sequence::is_replaced(run),
        };
        facts.newer = replaced.then(|| self.newer(run)).flatten();
        if let Some(asked) = facts.approval.as_ref().filter(|a| a.status.is_none()) {
            let tried = self.context.effects.try_create(&approval::forged(asked)).await;
            let refusal = tried
                .as_ref()
                .map_err(|e| e.refusal().map(|s| s.message.as_str()));
            facts.enforced = approval::enforced(refusal.copied());
        }
        facts
            .jobs
            .extend(extra.jobs.iter().map(|job| (job.name_any(), job.clone())));
        self.ask_for_place(run, &needs, &mut facts);
        let namespace = run.namespace().unwrap_or_default();
        loop {
            let decision = sequence::step(run, &facts, now);
            if decision.reads.is_empty() {
                return Ok(decision);
            }
            // Each round knows more than the one before, of a bounded number of targets.
            let Reader { client, kinds, .. } = &self.reader;
            let seen = kinds.look(client, &namespace, &decision.reads).await;
            facts.targets.extend(seen);
        }
    }

    /// What has to be done before the status says so. False: what was decided on has changed meanwhile.
    async fn before(&self, run: &SequenceExecution, decision: &Decision) -> Result<bool, Error> {
        let namespace = run.namespace().unwrap_or_default();
        for effect in &decision.first {
            match effect {
                Effect::DeleteJob { name, uid } => {
                    let effects = &self.context.effects;
                    effects.delete::<Job>(&namespace, name, uid.as_deref()).await?;
                }
                Effect::SettleApproval(settled) => {
                    match self.context.effects.write_status(settled.as_ref()).await {
                        Err(error) if error.is_conflict() || error.is_not_found() => return Ok(false),
                        written => drop(written?),
                    }
                }
                Effect::AdoptResult(result) => {
                    match self.context.effects.write_metadata(result.as_ref()).await {
                        Err(error) if !error.is_conflict() && !error.is_not_found() => {
                            return Err(error.into());
                        }
                        _ => {}
                    }
                }
                _ => {}
            }
        }
        Ok(true)
    }

    /// Creates what was decided. True: something came back that has to be judged at once.
    async fn create(
        &self,
        run: &SequenceExecution,
        decision: &Decision,
        extra: &mut Extra,
    ) -> Result<bool, Error> {
        let mut judge = false;
        extra.followed = decision
            .then
            .iter()
            .any(|e| matches!(e, Effect::CreateExecution(_)));
        for effect in &decision.then {
            let refused = match effect {
                Effect::CreateJob(job) => match self.context.effects.create(job.as_ref()).await {
                    Ok(Created::New(created)) => {
                        self.created.remember(&created);
                        None
                    }
                    Ok(Created::Existed(found)) => {
                        judge |= found.metadata.uid != known_uid(run, &found);
                        extra.jobs.push(found);
                        None
                    }
                    Err(error) => Some((job.name_any(), error)),
                },
                Effect::CreateEvaluation(evaluation) => {
                    match self.context.effects.create(evaluation.as_ref()).await {
                        Ok(Created::New(_)) => None,
                        Ok(Created::Existed(_)) => {
                            judge = true;
                            None
                        }
                        Err(error) => Some((evaluation.name_any(), error)),
                    }
                }
                Effect::CreateExecution(run) => match self.context.effects.create(run.as_ref()).await {
                    Ok(_) => None,
                    Err(error) => Some((run.name_any(), error)),
                },
                Effect::CreateApproval(question) => {
                    match self.context.effects.create(question.as_ref()).await {
                        Ok(_) => {
                            judge = true;
                            None
                        }
                        Err(error) => Some((question.name_any(), error)),
                    }
                }
                Effect::DeleteJob { .. } | Effect::SettleApproval(_) | Effect::AdoptResult(_) => None,
            };
            if let Some((name, error)) = refused {
                match error.refusal() {
                    Some(status) => {
                        extra.refused.insert(name, status.message.clone());
                        extra.followed = false;
                        judge = true;
                    }
                    None => return Err(error.into()),
                }
            }
        }
        Ok(judge || extra.followed)
    }

    fn report(&self, run: &SequenceExecution, decision: &Decision, now: jiff::Timestamp) {
        for note in &decision.notes {
            let (execution, namespace) = (run.name_any(), run.namespace().unwrap_or_default());
            if note.warning {
                tracing::warn!(namespace, execution, reason = note.reason, "{}", note.text);
            } else {
                tracing::info!(namespace, execution, reason = note.reason, "{}", note.text);
            }
        }
        self.context.effects.events.tell(run, now, decision.notes.clone());
        self.outbox.tell(run);
        if let Some(by) = run
            .spec
            .triggered_by
            .as_ref()
            .filter(|by| by.kind == "ProblemEvent")
        {
            self.problems
                .wake(ObjectRef::new(&by.name).within(&run.namespace().unwrap_or_default()));
        }
    }

    async fn read(&self, run: &SequenceExecution) -> Result<Option<SequenceExecution>, Error> {
        let found: Option<SequenceExecution> = self
            .reader
            .live(&run.namespace().unwrap_or_default(), &run.name_any())
            .await?;
        Ok(found.filter(|live| live.metadata.uid == run.metadata.uid))
    }

    /// The run has ended or is gone: its place is free, its problem wants to know, and there may be one run too many.
    fn left(&self, run: &SequenceExecution) {
        // Others may have waited behind it although it only waited itself.
        self.give_back(run);
        self.wake_next(run);
        self.ends.tell(PlaceKey::of(run));
        self.outbox.tell(run);
        let uid = run.uid().unwrap_or_default();
        self.backoff.reset(&uid);
        self.created.forget(&uid);
        self.over.notify_one();
        if let Some(by) = run
            .spec
            .triggered_by
            .as_ref()
            .filter(|by| by.kind == "ProblemEvent")
        {
            self.problems
                .wake(ObjectRef::new(&by.name).within(&run.namespace().unwrap_or_default()));
        }
    }

    /// Nothing is decided before everything that decides was read: who holds a place, what is held back, what is
    /// resolved, what is defined, what runs.
    async fn wait_until_ready(&self) {
        // A closed channel or store means that the controller is being shut down: then nothing is decided either.
        let listed = self.listed.subscribe().wait_for(|listed| *listed).await.is_ok();
        let read = facts::filled::filled(&self.reader.problems).await.is_ok()
            && facts::filled::filled(&self.reader.jobs).await.is_ok()
            && facts::filled::filled(&self.reader.pods).await.is_ok()
            && self.reader.holds.wait_until_ready().await
            && self.reader.definitions.wait_until_ready().await.is_ok();
        if !(listed && read) {
            std::future::pending::<()>().await;
        }
    }
}

/// What came back from creates in this reconciliation.
#[derive(Default)]
struct Extra {
    refused: BTreeMap<String, String>,
    jobs: Vec<Job>,
    /// What the run's end triggers was created; a create that failed ends the reconciliation, which begins anew.
    followed: bool,
}

/// The uid that the run's status has for this Job.
fn known_uid(run: &SequenceExecution, job: &Job) -> Option<String> {
    let name = job.name_any();
    let attempt = run.status.as_ref()?.attempts.last()?;
    attempt
        .tasks
        .iter()
        .flat_map(|t| &t.jobs)
        .find(|j| j.name == name)?
        .uid
        .clone()
}
