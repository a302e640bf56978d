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
    seen::Seen,
    shipyards::{START, Shipyard, at},
    state::{Doing, Flight, Id, Name, Pool, Run, State},
};
use coxswain::api::{Approval, Evaluation};
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
    pub next: Id<SequenceExecution>,
}

/// A broken promise, in words.
pub type Broken = String;

pub struct Operator {
    pub shipyard: Shipyard,
    pub runs: Pool<SequenceExecution>,
    pub jobs: Pool<Job>,
    pub evaluations: Pool<Evaluation>,
    pub approvals: Pool<Approval>,
    decisions: HashMap<Seen, Id<Decided>>,
    pub summaries: HashMap<Id<SequenceExecution>, Id<SequenceExecution>>,
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
        self.decide(s, r)
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
    pub fn skip_empty(&mut self, s: &mut State, r: usize) -> Result<(), Broken> {
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
}

/// There is one Job of a name, ever.
pub fn job_uid(name: &str) -> String {
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

pub fn release(s: &mut State, r: usize) {
    let before = s.holders.len();
    s.holders.retain(|holder| *holder != r);
    if s.holders.len() != before {
        wake_waiting(s, r);
    }
}

/// The first of those that wait for the place asks again. There are never more than two runs in a place here, so it is
/// the other one.
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

pub fn recorded_uid(s: &State, r: usize, job: &str) -> Option<String> {
    let attempt = s.runs[r].flight.as_ref()?.view.status.as_ref()?.attempts.last()?;
    let mut jobs = attempt.tasks.iter().flat_map(|t| &t.jobs);
    jobs.find(|j| j.name == job)?.uid.clone()
}
