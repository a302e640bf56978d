//! The executions' controller in steps that others can come between: a decision, then one request after the other. It
//! follows `controllers/execution.rs` line by line.

use std::collections::HashMap;

use coxswain::{
    api::SequenceExecution,
    core::{
        labels,
        queue::{Arbiter, Candidate, Grant, PlaceKey},
        sequence::{self, Decision, Effect},
    },
};

use super::{
    promises,
    seen::Seen,
    shipyards::{START, Shipyard, at},
    state::{ApprovalIs, Doing, EvaluationIs, Flight, Id, JobIs, Life, Name, Pool, Run, State},
};
use coxswain::api::{Approval, Evaluation, SequenceExecutionStatus, Timestamp as ApiTime};
use k8s_openapi::api::batch::v1::Job;

/// What becomes of the next request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Request {
    Succeeds,
    /// It does not arrive.
    Fails,
    /// It is carried out, and the answer is lost.
    Unanswered,
    Refused,
}

/// A decision, and what it makes of the run.
#[derive(Debug)]
pub struct Decided {
    pub decision: Decision,
    /// Whether the status stays as it is.
    pub same: bool,
    /// The version with its status.
    next: Id<SequenceExecution>,
}

/// A broken promise, in words.
pub type Broken = String;

pub struct Operator {
    pub shipyard: Shipyard,
    pub runs: Pool<SequenceExecution>,
    jobs: Pool<Job>,
    evaluations: Pool<Evaluation>,
    pub approvals: Pool<Approval>,
    decisions: HashMap<Seen, Id<Decided>>,
    summaries: HashMap<Id<SequenceExecution>, Id<SequenceExecution>>,
}

impl Operator {
    pub fn new(shipyard: Shipyard) -> Self {
        Self {
            shipyard,
            runs: Pool::default(),
            jobs: Pool::default(),
            evaluations: Pool::default(),
            approvals: Pool::default(),
            decisions: HashMap::new(),
            summaries: HashMap::new(),
        }
    }

    /// How often the machine was really asked.
    pub fn decisions(&self) -> usize {
        self.decisions.len()
    }

    /// Begins a reconciliation at this version, and decides.
    pub fn look(&mut self, s: &mut State, r: usize, view: Id<SequenceExecution>) -> Result<(), Broken> {
        let run = &mut s.runs[r];
        run.due = false;
        run.again = None;
        run.flight = Some(Flight {
            view: view.clone(),
            fresh: false,
            followed: false,
            refused: None,
            doing: None,
        });
        if view.status.is_none() {
            self.announce(s, r);
        }
        self.decide(s, r)
    }

    /// A run has come: those of its sequence that wait for its place look again.
    fn announce(&self, s: &mut State, r: usize) {
        let (place, sequence) = (place_of(&s.runs[r]), s.runs[r].live.spec.sequence.clone());
        for (i, other) in s.runs.iter_mut().enumerate() {
            let same = place_of(other) == place && other.live.spec.sequence == sequence;
            other.due |= i != r && same && !other.done() && other.waits();
        }
    }

    /// The next step of a reconciliation that is under way.
    pub fn go_on(&mut self, s: &mut State, r: usize, request: Request) -> Result<(), Broken> {
        let flight = s.runs[r].flight.as_ref().unwrap();
        if flight.doing.is_none() {
            return self.decide(s, r);
        }
        if request == Request::Fails {
            fail(s, r);
            return Ok(());
        }
        self.carry_out(s, r, request == Request::Refused)?;
        if request == Request::Unanswered {
            fail(s, r);
        }
        Ok(())
    }

    fn decide(&mut self, s: &mut State, r: usize) -> Result<(), Broken> {
        let flight = s.runs[r].flight.clone().unwrap();
        let decided = self.decision(s, r, &flight);
        let run = &mut s.runs[r];
        let live = run.live.clone();
        let flight = run.flight.as_mut().unwrap();
        if decided.same && !decided.decision.then.is_empty() && !flight.fresh {
            flight.fresh = true;
            flight.view = live;
            return Ok(());
        }
        flight.doing = Some(Doing {
            decided,
            at: 0,
            judge: false,
            refused: false,
        });
        self.skip_empty(s, r)
    }

    /// The machine's answer to what this reconciliation sees; the arbiter is asked on the way.
    pub fn decision(&mut self, s: &mut State, r: usize, flight: &Flight) -> Id<Decided> {
        let needs = sequence::needs(&flight.view, at(s.now));
        let asks = needs.place && sequence::goes_on(&flight.view);
        let grant = asks.then(|| self.ask(s, r));
        let of_run = |run: usize| run == r;
        let evaluation = s.evaluations.iter().find(|e| {
            e.object.metadata.name.is_some() && e.object.metadata.name == needs.evaluation && of_run(e.run)
        });
        let approval = s
            .approvals
            .iter()
            .find(|a| !a.deleted && a.object.metadata.name == needs.approval);
        let created = s.runs[r].created.iter();
        let seen = Seen {
            run: flight.view.clone(),
            now: s.now,
            grant,
            jobs: s
                .jobs
                .iter()
                .filter(|j| of_run(j.run) && !j.deleted)
                .cloned()
                .collect(),
            created: created.map(|name| (name.clone(), job_uid(name).into())).collect(),
            evaluation: evaluation.cloned(),
            approval: approval.cloned(),
            followed: flight.followed,
            refused: flight.refused.clone(),
        };
        let number = self.decisions.len();
        let spec = &flight.view.spec;
        let definitions = &self.shipyard.definitions[&format!("{}.{}", spec.stage, spec.sequence)];
        if let Some(known) = self.decisions.get(&seen) {
            return known.clone();
        }
        let facts = seen.facts(&needs, definitions);
        let decision = sequence::step(&flight.view, &facts, at(s.now));
        let mut next = (*flight.view).clone();
        let same = next.status.take().unwrap_or_default() == decision.status;
        next.status = Some(decision.status.clone());
        let next = self.runs.keep(next);
        let decided = Id::new(number, Decided { decision, same, next });
        self.decisions.insert(seen, decided.clone());
        decided
    }

    fn ask(&self, s: &mut State, r: usize) -> Result<(), Name> {
        let mut arbiter = Arbiter::default();
        for holder in &s.holders {
            let run = &s.runs[*holder];
            arbiter.restore(place_of(run), self.candidate(run));
        }
        let place = place_of(&s.runs[r]);
        let waiting = s.runs.iter().filter(|o| !o.done() && o.waits());
        let others: Vec<_> = waiting
            .filter(|o| place_of(o) == place)
            .map(|o| self.candidate(o))
            .collect();
        match arbiter.request(&place, &self.candidate(&s.runs[r]), &others) {
            Grant::Held => {
                if !s.holders.contains(&r) {
                    s.holders.push(r);
                    s.holders.sort_unstable();
                }
                Ok(())
            }
            Grant::Queued { behind } => Err(behind.into()),
        }
    }

    fn candidate(&self, run: &Run) -> Candidate {
        let spec = &run.live.spec;
        let (definitions, _) = &self.shipyard.definitions[&format!("{}.{}", spec.stage, spec.sequence)];
        let annotations = run.live.metadata.annotations.as_ref();
        Candidate {
            uid: run.uid().to_owned(),
            name: run.name().to_owned(),
            heir: annotations.is_some_and(|a| a.contains_key(labels::INHERITS)),
            priority: sequence::priority(&definitions.sequence),
            created: run.live.metadata.creation_timestamp.as_ref().unwrap().0,
        }
    }

    /// What takes no request is done at once.
    fn skip_empty(&mut self, s: &mut State, r: usize) -> Result<(), Broken> {
        loop {
            let flight = s.runs[r].flight.as_ref().unwrap();
            let Some(doing) = flight.doing.clone() else {
                return Ok(());
            };
            let decision = &doing.decided.decision;
            let status = decision.first.len();
            if doing.at == status && doing.decided.same {
                self.written(s, r, decision);
            } else if doing.at == status + 1 + decision.then.len() {
                return self.round_ends(s, r);
            } else {
                return Ok(());
            }
        }
    }

    fn carry_out(&mut self, s: &mut State, r: usize, refused: bool) -> Result<(), Broken> {
        let doing = s.runs[r].flight.as_ref().unwrap().doing.clone().unwrap();
        let decision = &doing.decided.decision;
        let status = decision.first.len();
        if doing.at < status {
            if !self.first(s, r, &decision.first[doing.at]) {
                s.runs[r].flight.as_mut().unwrap().doing = None;
                return Ok(());
            }
            s.runs[r].flight.as_mut().unwrap().doing.as_mut().unwrap().at += 1;
        } else if doing.at == status {
            if !self.write(s, r, &doing.decided)? {
                return Ok(());
            }
            self.written(s, r, decision);
        } else {
            self.then(s, r, &decision.then[doing.at - status - 1], refused)?;
            s.runs[r].flight.as_mut().unwrap().doing.as_mut().unwrap().at += 1;
        }
        self.skip_empty(s, r)
    }

    /// False: what was decided on has changed.
    fn first(&mut self, s: &mut State, r: usize, effect: &Effect) -> bool {
        match effect {
            Effect::DeleteJob { name, uid } => {
                for job in s.jobs.iter_mut().filter(|j| *j.name == **name && !j.deleted) {
                    if uid.is_none() || *uid == job.object.metadata.uid {
                        job.deleted = true;
                        s.runs[r].due = true;
                    }
                }
            }
            Effect::SettleApproval(settled) => {
                let name = &settled.metadata.name;
                let mut found = s.approvals.iter_mut().filter(|a| a.object.metadata.name == *name);
                let version = settled.metadata.resource_version.clone().unwrap();
                match found
                    .next()
                    .filter(|a| !a.deleted && a.version.to_string() == version)
                {
                    None => return false,
                    Some(found) => {
                        let mut object = settled.as_ref().clone();
                        object.metadata.resource_version = None;
                        found.object = self.approvals.keep(object);
                        found.version += 1;
                        s.runs[r].due = true;
                    }
                }
            }
            _ => unreachable!("{effect:?} comes after the status"),
        }
        true
    }

    /// The status, if nobody wrote since it was read. False: somebody did; the newest version is judged.
    fn write(&self, s: &mut State, r: usize, decided: &Decided) -> Result<bool, Broken> {
        let run = &mut s.runs[r];
        let flight = run.flight.as_mut().unwrap();
        if flight.view != run.live {
            flight.view = run.live.clone();
            flight.doing = None;
            return Ok(false);
        }
        let next = decided.next.clone();
        promises::may_write(run, &decided.decision.status)?;
        if s.budget.stale > 0 {
            run.old = Some(run.live.clone());
        }
        run.live = next.clone();
        run.due = true;
        let flight = run.flight.as_mut().unwrap();
        flight.view = next;
        flight.fresh = true;
        Ok(true)
    }

    fn written(&self, s: &mut State, r: usize, decision: &Decision) {
        if !decision.wants_place {
            release(s, r);
        }
        s.runs[r].flight.as_mut().unwrap().doing.as_mut().unwrap().at += 1;
    }

    fn then(&mut self, s: &mut State, r: usize, effect: &Effect, refused: bool) -> Result<(), Broken> {
        let (name, existed) = match effect {
            Effect::CreateJob(job) => {
                let name = job.metadata.name.clone().unwrap();
                let found = s.jobs.iter().find(|j| *j.name == *name && !j.deleted);
                let unknown = found.is_some_and(|j| j.object.metadata.uid != recorded_uid(s, r, &name));
                if found.is_none() && !refused {
                    self.create_job(s, r, job)?;
                }
                (name, unknown)
            }
            Effect::CreateEvaluation(evaluation) => {
                let name = evaluation.metadata.name.clone();
                let found = s.evaluations.iter().any(|e| e.object.metadata.name == name);
                if !found && !refused {
                    promises::may_begin(s, r, evaluation.spec.attempt, None)?;
                    let object = self.evaluations.keep(evaluation.as_ref().clone());
                    s.evaluations.push(EvaluationIs {
                        run: r,
                        object,
                        verdict: None,
                    });
                }
                (name.unwrap(), found)
            }
            Effect::CreateApproval(question) => {
                let name = question.metadata.name.clone();
                let found = s
                    .approvals
                    .iter()
                    .any(|a| !a.deleted && a.object.metadata.name == name);
                if !found && !refused {
                    promises::may_begin(
                        s,
                        r,
                        Some(question.spec.attempt),
                        usize::try_from(question.spec.task).ok(),
                    )?;
                    let mut object = question.as_ref().clone();
                    object.metadata.uid = Some(format!("question-{}", s.approvals.len()));
                    let object = self.approvals.keep(object);
                    s.approvals.push(ApprovalIs {
                        run: r,
                        object,
                        version: 1,
                        deleted: false,
                    });
                    s.runs[r].due = true;
                }
                (name.unwrap(), true)
            }
            Effect::CreateExecution(next) => {
                let name = next.metadata.name.clone().unwrap();
                if !refused && !s.runs.iter().any(|o| o.name() == name) {
                    self.create_run(s, r, next)?;
                }
                (name, false)
            }
            _ => unreachable!("{effect:?} comes before the status"),
        };
        let flight = s.runs[r].flight.as_mut().unwrap();
        let doing = flight.doing.as_mut().unwrap();
        if refused {
            flight.refused = Some(name.into());
            doing.refused = true;
        }
        doing.judge |= refused || existed;
        Ok(())
    }

    fn create_job(&mut self, s: &mut State, r: usize, job: &Job) -> Result<(), Broken> {
        promises::may_create_job(s, r, job)?;
        let mut object = job.clone();
        let name: Name = job.metadata.name.clone().unwrap().into();
        object.metadata.uid = Some(job_uid(&name));
        let key: Name = job.metadata.annotations.as_ref().unwrap()[labels::KEY]
            .as_str()
            .into();
        let object = self.jobs.keep(object);
        s.runs[r].created.push(name.clone());
        s.runs[r].due = true;
        s.jobs.push(JobIs {
            run: r,
            name,
            key,
            object,
            life: Life::Pending,
            started_at: 0,
            ended_at: 0,
            pod_seen: true,
            job_seen: true,
            deleted: false,
        });
        Ok(())
    }

    fn create_run(&mut self, s: &mut State, r: usize, next: &SequenceExecution) -> Result<(), Broken> {
        promises::may_follow(s, r, next)?;
        let mut next = next.clone();
        let name = next.metadata.name.clone().unwrap();
        next.metadata.uid = Some(format!("uid-{name}"));
        next.metadata.generation = Some(1);
        next.metadata.creation_timestamp =
            Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(at(s.now)));
        let next = self.runs.keep(next);
        s.runs.push(Run::new(next));
        Ok(())
    }

    fn round_ends(&mut self, s: &mut State, r: usize) -> Result<(), Broken> {
        let now = s.now;
        let run = &mut s.runs[r];
        let flight = run.flight.as_mut().unwrap();
        let doing = flight.doing.take().unwrap();
        let creates = |e: &Effect| matches!(e, Effect::CreateExecution(_));
        flight.followed = doing.decided.decision.then.iter().any(creates) && !doing.refused;
        if doing.judge || flight.followed {
            return Ok(());
        }
        let again = doing.decided.decision.again.map(|at| at.as_second() - START);
        if again.is_some_and(|again| again <= now) {
            return Ok(());
        }
        run.again = again;
        run.flight = None;
        if run.done() {
            leaves(s, r);
        }
        Ok(())
    }

    /// The run without what decides nothing any more, so that states which differ in nothing else are one.
    pub fn summary(&mut self, run: &Id<SequenceExecution>) -> Id<SequenceExecution> {
        if let Some(known) = self.summaries.get(run) {
            return known.clone();
        }
        let mut short = (**run).clone();
        short.status = short.status.take().map(|status| {
            if status.done {
                seen_by_others(status)
            } else {
                still_decides(status)
            }
        });
        let short = self.runs.keep(short);
        self.summaries.insert(run.clone(), short.clone());
        self.summaries.insert(short.clone(), short.clone());
        short
    }
}

/// Of a run that has ended.
fn seen_by_others(status: SequenceExecutionStatus) -> SequenceExecutionStatus {
    SequenceExecutionStatus {
        phase: status.phase,
        done: true,
        finished_at: Some(ApiTime(at(0))),
        triggered: status.triggered,
        ..SequenceExecutionStatus::default()
    }
}

/// Of tasks that have ended the machine reads how, and when; not what was told of it on the way.
fn still_decides(mut status: SequenceExecutionStatus) -> SequenceExecutionStatus {
    let last = status.attempts.len().saturating_sub(1);
    for (i, attempt) in status.attempts.iter_mut().enumerate() {
        let over = i < last;
        if over {
            (attempt.started_at, attempt.finished_at) = (None, Some(ApiTime(at(0))));
        }
        for task in attempt.tasks.iter_mut().filter(|t| t.finished_at.is_some()) {
            (task.started_at, task.wait_until) = (None, None);
            task.message.clear();
            if over {
                task.finished_at = Some(ApiTime(at(0)));
                task.evaluation = None;
                task.jobs.clear();
            }
            for job in &mut task.jobs {
                (job.recorded_at, job.started_at, job.uid) = (None, None, None);
                job.finished_at = Some(ApiTime(at(0)));
                job.message.clear();
            }
        }
    }
    status
}

/// There is one Job of a name, ever.
fn job_uid(name: &str) -> String {
    format!("uid-{name}")
}

/// A request failed: the operator comes back to it after a while.
fn fail(s: &mut State, r: usize) {
    let run = &mut s.runs[r];
    run.flight = None;
    run.due = true;
    if run.done() {
        leaves(s, r);
    }
}

pub fn place_of(run: &Run) -> PlaceKey {
    PlaceKey::of(&run.live)
}

/// A run that has ended leaves the caches. While an old version may still be looked at, it has not yet.
pub fn leaves(s: &mut State, r: usize) {
    let run = &mut s.runs[r];
    run.due = run.old.is_some();
    run.created.clear();
    s.holders.retain(|holder| *holder != r);
    wake_waiting(s, r);
}

fn release(s: &mut State, r: usize) {
    let before = s.holders.len();
    s.holders.retain(|holder| *holder != r);
    if s.holders.len() != before {
        wake_waiting(s, r);
    }
}

fn wake_waiting(s: &mut State, r: usize) {
    let place = place_of(&s.runs[r]);
    for (i, other) in s.runs.iter_mut().enumerate() {
        other.due |= i != r && !other.done() && place_of(other) == place && other.waits();
    }
}

/// The operator dies and begins anew: its memory is what a list of the live runs tells.
pub fn restart(s: &mut State) {
    s.holders.clear();
    for job in &mut s.jobs {
        (job.pod_seen, job.job_seen) = (true, true);
    }
    for r in 0..s.runs.len() {
        let run = &mut s.runs[r];
        run.flight = None;
        run.created.clear();
        run.again = None;
        run.old = None;
        run.due = !run.done();
        let holds = !run.done() && run.status().is_some_and(|s| s.place.as_deref() == Some("Held"));
        let taken = s.holders.iter().any(|h| s.runs[*h].place() == s.runs[r].place());
        if holds && !taken {
            s.holders.push(r);
        }
    }
}

fn recorded_uid(s: &State, r: usize, job: &str) -> Option<String> {
    let attempt = s.runs[r].flight.as_ref()?.view.status.as_ref()?.attempts.last()?;
    let mut jobs = attempt.tasks.iter().flat_map(|t| &t.jobs);
    jobs.find(|j| j.name == job)?.uid.clone()
}
