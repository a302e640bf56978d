//! Everything that can happen next.

use coxswain::api::{
    Approval, SequenceExecution,
    approval::{Answer, Choice},
    execution::{Control, Desired},
};

use super::{
    forget::forget,
    operator::{Broken, Operator, Request, leaves, restart},
    promises,
    state::{EvaluationIs, Id, Life, Run, Says, State},
};

/// More than the time in which a recorded Job may still be created.
const LONG: i64 = 301;
/// More moments than any wait here has.
const MOMENTS: usize = 2_000;

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Action {
    /// The operator does the next step for this run.
    Operator(usize),
    /// Time passes to the next moment at which something is decided otherwise.
    Time,
    /// The next request for this run goes wrong.
    Trouble(usize, Request),
    /// A look at this run without a reason; true: at an old version.
    Look(usize, bool),
    /// The operator dies and comes back so many seconds later.
    Crash(i64),
    JobStarts(usize),
    /// True: its pod's end is seen before its own.
    JobEnds(usize, Life, bool),
    PodSeen(usize),
    JobSeen(usize),
    Verdict(usize, Says),
    Answer(usize, bool),
    DeleteQuestion(usize),
    Want(usize, Desired),
}

impl Action {
    /// Whether it comes by itself, without anybody's help and without trouble.
    pub fn is_ordinary(self) -> bool {
        matches!(self, Self::Operator(_) | Self::Time)
    }
}

/// What can happen.
pub fn possible(s: &State) -> Vec<Action> {
    let mut found = vec![];
    for (r, run) in s.runs.iter().enumerate() {
        of_run(s, r, run, &mut found);
    }
    if found.is_empty() || !found.iter().any(|a| a.is_ordinary()) {
        found.push(Action::Time);
    }
    if s.budget.crashes > 0 && s.runs.iter().any(|r| !r.done()) {
        found.extend([Action::Crash(0), Action::Crash(LONG)]);
    }
    of_world(s, &mut found);
    found
}

fn of_run(s: &State, r: usize, run: &Run, found: &mut Vec<Action>) {
    let b = &s.budget;
    if let Some(flight) = &run.flight {
        found.push(Action::Operator(r));
        if let Some(doing) = &flight.doing {
            if b.errors > 0 {
                found.push(Action::Trouble(r, Request::Fails));
                found.push(Action::Trouble(r, Request::Unanswered));
            }
            if b.refusals > 0 && doing.at > doing.decided.decision.first.len() {
                found.push(Action::Trouble(r, Request::Refused));
            }
        }
    } else {
        if run.due {
            found.push(Action::Operator(r));
        } else if b.again > 0 && !run.done() {
            found.push(Action::Look(r, false));
        }
        if b.stale > 0 && run.old.is_some() {
            found.push(Action::Look(r, true));
        }
    }
    if run.done() {
        return;
    }
    let desired = run.live.spec.control.as_ref().map_or(Desired::Run, |c| c.desired);
    if desired == Desired::Run && b.pauses > 0 {
        found.push(Action::Want(r, Desired::Pause));
    }
    if desired == Desired::Pause {
        found.push(Action::Want(r, Desired::Run));
    }
    if desired != Desired::Abort && b.aborts > 0 {
        found.push(Action::Want(r, Desired::Abort));
    }
}

fn of_world(s: &State, found: &mut Vec<Action>) {
    for (j, job) in s.jobs.iter().enumerate().filter(|(_, j)| !j.deleted) {
        match job.life {
            Life::Pending => {
                found.push(Action::JobStarts(j));
                if s.budget.evictions > 0 {
                    ends(s, j, Life::Evicted, found);
                }
            }
            Life::Running => {
                ends(s, j, Life::Ended(0), found);
                ends(s, j, Life::Ended(1), found);
            }
            Life::Ended(_) | Life::Evicted if !s.runs[job.run].done() => {
                found.extend((!job.pod_seen).then_some(Action::PodSeen(j)));
                found.extend((!job.job_seen).then_some(Action::JobSeen(j)));
            }
            _ => {}
        }
    }
    for (e, evaluation) in s.evaluations.iter().enumerate() {
        if evaluation.verdict.is_none() && waited_for(s, evaluation) {
            found.push(Action::Verdict(e, Says::Pass));
            found.push(Action::Verdict(e, Says::Fail));
            if s.budget.inconclusive > 0 {
                found.push(Action::Verdict(e, Says::Unknown));
            }
        }
    }
    for (a, approval) in s.approvals.iter().enumerate().filter(|(_, a)| !a.deleted) {
        let open = !approval.object.status.as_ref().is_some_and(|s| s.done);
        if open && approval.object.spec.answers.is_empty() {
            found.extend([Action::Answer(a, true), Action::Answer(a, false)]);
        }
        if open && s.budget.deletions > 0 {
            found.push(Action::DeleteQuestion(a));
        }
    }
}

fn ends(s: &State, job: usize, life: Life, found: &mut Vec<Action>) {
    found.push(Action::JobEnds(job, life, true));
    if s.budget.reordered > 0 {
        found.push(Action::JobEnds(job, life, false));
    }
}

/// Whether this is the Evaluation that its run waits for. Who kept silent once goes on keeping silent: another answer is
/// given only after one that could not measure.
fn waited_for(s: &State, evaluation: &EvaluationIs) -> bool {
    let run = &s.runs[evaluation.run];
    let attempt = run.status().and_then(|s| s.attempts.last());
    let tasks = attempt.iter().flat_map(|a| &a.tasks);
    let asked = tasks.filter_map(|t| t.evaluation.as_ref());
    let name = &evaluation.object.metadata.name;
    let silent = s
        .evaluations
        .iter()
        .any(|e| e.run == evaluation.run && e.verdict.is_none() && e.object.metadata.name != *name);
    !run.done() && !silent && asked.into_iter().any(|e| Some(&e.name) == name.as_ref())
}

/// The state after it; None: nothing would change.
pub fn apply(operator: &mut Operator, before: &State, action: Action) -> Result<Option<State>, Broken> {
    let mut s = before.clone();
    match action {
        Action::Operator(r) if s.runs[r].flight.is_some() => operator.go_on(&mut s, r, Request::Succeeds)?,
        // The cache has learnt of the end.
        Action::Operator(r) if s.runs[r].done() => {
            s.runs[r].old = None;
            leaves(&mut s, r);
        }
        Action::Operator(r) => {
            // It never goes back behind what it had.
            s.runs[r].old = None;
            let view = s.runs[r].live.clone();
            operator.look(&mut s, r, view)?;
        }
        Action::Look(r, stale) => {
            let view = if stale {
                s.budget.stale -= 1;
                s.runs[r].old.take().unwrap()
            } else {
                s.budget.again -= 1;
                s.runs[r].live.clone()
            };
            // What wakes it stays on its way.
            let due = s.runs[r].due;
            operator.look(&mut s, r, view)?;
            s.runs[r].due |= due;
            if s.budget.stale == 0 {
                s.runs.iter_mut().for_each(|r| r.old = None);
            }
        }
        Action::Trouble(r, request) => {
            match request {
                Request::Refused => s.budget.refusals -= 1,
                _ => s.budget.errors -= 1,
            }
            operator.go_on(&mut s, r, request)?;
        }
        Action::Crash(seconds) => {
            s.budget.crashes -= 1;
            s.now += seconds;
            restart(&mut s);
        }
        Action::Time => {
            if !time_passes(operator, &mut s)? {
                return Ok(None);
            }
        }
        Action::Want(r, desired) => want(operator, &mut s, r, desired),
        _ => world(operator, &mut s, action),
    }
    promises::always(&s)?;
    promises::quiet(operator, &s)?;
    forget(operator, &mut s);
    Ok(Some(s))
}

fn want(operator: &mut Operator, s: &mut State, r: usize, desired: Desired) {
    match desired {
        Desired::Pause => s.budget.pauses -= 1,
        Desired::Abort => s.budget.aborts -= 1,
        Desired::Run => {}
    }
    let run = &mut s.runs[r];
    let mut next: SequenceExecution = (*run.live).clone();
    next.spec.control = Some(Control {
        desired,
        ..Control::default()
    });
    if s.budget.stale > 0 {
        run.old = Some(run.live.clone());
    }
    run.live = operator.runs.keep(next);
    if desired == Desired::Abort {
        run.aborted = Some(run.live.clone());
    }
    run.due = true;
}

fn world(operator: &mut Operator, s: &mut State, action: Action) {
    let woken = match action {
        Action::JobStarts(j) => {
            s.jobs[j].life = Life::Running;
            s.jobs[j].started_at = s.now;
            s.jobs[j].run
        }
        Action::JobEnds(j, life, pod_first) => {
            s.budget.evictions -= u8::from(life == Life::Evicted);
            s.budget.reordered -= u8::from(!pod_first);
            let job = &mut s.jobs[j];
            (job.life, job.ended_at) = (life, s.now);
            (job.pod_seen, job.job_seen) = (pod_first, !pod_first);
            job.run
        }
        Action::PodSeen(j) => {
            s.jobs[j].pod_seen = true;
            s.jobs[j].run
        }
        Action::JobSeen(j) => {
            s.jobs[j].job_seen = true;
            s.jobs[j].run
        }
        Action::Verdict(e, says) => {
            s.budget.inconclusive -= u8::from(says == Says::Unknown);
            s.evaluations[e].verdict = Some(says);
            s.evaluations[e].run
        }
        Action::Answer(a, yes) => {
            let mut object: Approval = (*s.approvals[a].object).clone();
            object.spec.answers.push(Answer {
                by: "ann".to_owned(),
                choice: if yes { Choice::Approve } else { Choice::Decline },
                reason: None,
            });
            s.approvals[a].object = operator.approvals.keep(object);
            s.approvals[a].version += 1;
            s.approvals[a].run
        }
        Action::DeleteQuestion(a) => {
            s.budget.deletions -= 1;
            s.approvals[a].deleted = true;
            s.approvals[a].run
        }
        other => unreachable!("{other:?} is not the world's"),
    };
    s.runs[woken].due |= !s.runs[woken].done();
}

/// Goes from one `again` to the next until a look decides something. False: nobody waits for a time.
fn time_passes(operator: &mut Operator, s: &mut State) -> Result<bool, Broken> {
    for _ in 0..MOMENTS {
        let times = s.runs.iter().filter(|r| !r.done()).filter_map(|r| r.again);
        let Some(next) = times.min() else { return Ok(false) };
        s.now = s.now.max(next);
        let mut decides = false;
        for r in 0..s.runs.len() {
            if s.runs[r].done() || s.runs[r].again.is_none_or(|again| again > s.now) {
                continue;
            }
            let mut probe = s.clone();
            let view: Id<SequenceExecution> = probe.runs[r].live.clone();
            operator.look(&mut probe, r, view)?;
            if probe.runs[r].flight.is_none() && unmoved(s, &probe) {
                *s = probe;
            } else {
                s.runs[r].due = true;
                s.runs[r].again = None;
                decides = true;
            }
        }
        if decides {
            return Ok(true);
        }
    }
    Err("P4: time passes, and nothing is ever decided".to_owned())
}

fn unmoved(a: &State, b: &State) -> bool {
    let same = |(x, y): (&Run, &Run)| x.live == y.live && x.due == y.due;
    a.holders == b.holders && a.runs.iter().zip(&b.runs).all(same)
}
