//! The promises, as what must not be seen. P3 is the HTTP server's, P8 says what is not promised; neither is here.

use coxswain::{
    api::{SequenceExecution, SequenceExecutionStatus, execution::AttemptStatus},
    core::{jobs::tries::TRIES_MAX, labels},
};
use k8s_openapi::api::batch::v1::Job;

use super::{
    operator::{Broken, Operator},
    shipyards::{ATTEMPTS, RETRIES},
    state::{Flight, JobIs, Run, State},
};

/// P1, P2, P6 and the answers of people, when a Job is about to be created.
pub fn may_create_job(s: &State, r: usize, job: &Job) -> Result<(), Broken> {
    let annotations = job.metadata.annotations.as_ref().unwrap();
    let key = &annotations[labels::KEY];
    if s.jobs.iter().any(|j| *j.key == **key) {
        return Err(format!("P1: a second Job for {key}"));
    }
    let all_but_try = |key: &str| key.rsplit_once('/').map(|(rest, _)| rest.to_owned());
    let before = s.jobs.iter().filter(|j| all_but_try(&j.key) == all_but_try(key));
    let limit = RETRIES + usize::try_from(TRIES_MAX).unwrap();
    if before.count() >= limit {
        return Err(format!("P7: more than {limit} tries of {key}"));
    }
    let name = job.metadata.name.as_deref().unwrap();
    let recorded = |status: &SequenceExecutionStatus| {
        let attempt = status.attempts.last();
        attempt.is_some_and(|a| {
            a.tasks
                .iter()
                .flat_map(|t| &t.jobs)
                .any(|j| j.name == name && j.state == "Starting")
        })
    };
    let run = &s.runs[r];
    if !run.status().is_some_and(recorded) {
        return Err(format!("P1: Job {name} is created, and no status says Starting"));
    }
    if let Some(at) = &run.aborted
        && !at.status.as_ref().is_some_and(recorded)
    {
        return Err(format!("P6: Job {name} is created after the abort"));
    }
    if run.done() {
        return Err(format!("Job {name} is created for a run that has ended"));
    }
    let mut key = key.split('/').skip(1).map(|part| part.parse::<usize>().unwrap());
    let (attempt, task) = (key.next().unwrap(), key.next().unwrap());
    may_begin(s, r, i32::try_from(attempt).ok(), Some(task))?;
    // One that was deleted before it was known of is put again; only what was settled counts.
    let asked = s.approvals.iter().filter(|a| a.run == r);
    let mut settled = asked
        .clone()
        .filter_map(|a| a.object.status.as_ref())
        .filter(|s| s.done);
    if asked.count() > 0 && !settled.clone().any(|s| s.phase == "Approved") {
        return Err("a Job after a question that nobody approved".to_owned());
    }
    if let Some(no) = settled.find(|s| s.phase != "Approved") {
        return Err(format!("a Job after a question that is {}", no.phase));
    }
    Ok(())
}

/// P2: what came before has its outcome in the stored status. P6: nothing begins after an abort.
pub fn may_begin(s: &State, r: usize, attempt: Option<i32>, task: Option<usize>) -> Result<(), Broken> {
    let run = &s.runs[r];
    let newest = run.status().and_then(|s| s.attempts.last());
    let Some(newest) = newest.filter(|a| Some(a.number) == attempt) else {
        return Err(format!("P2: attempt {attempt:?} is not the stored one"));
    };
    let current = || newest.tasks.iter().position(|t| t.finished_at.is_none());
    let task = task.or_else(current).unwrap_or_default();
    let open = |t: &&coxswain::api::execution::TaskStatus| t.finished_at.is_none() || t.result.is_none();
    if let Some(open) = newest.tasks.iter().take(task).find(open) {
        return Err(format!(
            "P2: task {task} begins, and {} has no stored outcome",
            open.name
        ));
    }
    let begun = |a: &AttemptStatus| a.number == newest.number && a.tasks[task].started_at.is_some();
    let before_abort = |v: &SequenceExecution| {
        v.status
            .as_ref()
            .and_then(|s| s.attempts.last())
            .is_some_and(begun)
    };
    if run.aborted.as_ref().is_some_and(|at| !before_abort(at)) {
        return Err(format!("P6: task {task} begins after the abort"));
    }
    Ok(())
}

/// Follow-ups exist once, are recorded first, and do not come from an aborted run.
pub fn may_follow(s: &State, r: usize, next: &SequenceExecution) -> Result<(), Broken> {
    let run = &s.runs[r];
    let status = run.status().unwrap();
    let name = next.metadata.name.as_deref().unwrap();
    if status.outcome.is_none() || !status.triggered.iter().any(|f| f.name == name) {
        return Err(format!("run {name} follows, and no stored outcome says so"));
    }
    let after_abort = |at: &SequenceExecution| at.status.as_ref().is_none_or(|s| s.outcome.is_none());
    if run.aborted.as_ref().is_some_and(|at| after_abort(at)) {
        return Err(format!("P6: run {name} follows an abort"));
    }
    let same = |o: &&Run| {
        let by = |run: &SequenceExecution| run.spec.triggered_by.as_ref().and_then(|b| b.uid.clone());
        let what = |run: &SequenceExecution| (run.spec.stage.clone(), run.spec.sequence.clone());
        by(&o.live) == by(next) && what(&o.live) == what(next)
    };
    match s.runs.iter().find(same) {
        Some(other) => Err(format!("{} and {name} follow one end", other.name())),
        None => Ok(()),
    }
}

/// An end stays, and what was recorded of a finished task too.
pub fn may_write(run: &Run, next: &SequenceExecutionStatus) -> Result<(), Broken> {
    if run.done() {
        return Err(format!("{} has ended and is written", run.name()));
    }
    let Some(before) = run.status().and_then(|s| s.attempts.last()) else {
        return Ok(());
    };
    let after = next.attempts.iter().find(|a| a.number == before.number);
    let results = |a: &AttemptStatus| {
        a.tasks
            .iter()
            .map(|t| (t.name.clone(), t.result.clone()))
            .collect::<Vec<_>>()
    };
    let (before, after) = (results(before), after.map(results).unwrap_or_default());
    let kept = before.iter().zip(&after).all(|(b, a)| b.1.is_none() || a == b);
    if kept && before.len() == after.len() {
        Ok(())
    } else {
        Err(format!("results change from {before:?} to {after:?}"))
    }
}

/// What holds in every state.
pub fn always(s: &State) -> Result<(), Broken> {
    for (r, run) in s.runs.iter().enumerate() {
        let Some(status) = run.status() else { continue };
        let numbers: Vec<i32> = status.attempts.iter().map(|a| a.number).collect();
        if numbers.iter().zip(1..).any(|(n, i)| *n != i || *n > ATTEMPTS) {
            return Err(format!("P7: attempts {numbers:?} of {}", run.name()));
        }
        if status.done {
            ended(s, r, status)?;
        }
    }
    let live: Vec<_> = s.jobs.iter().filter(|j| j.lives()).collect();
    for (i, job) in live.iter().enumerate() {
        let rival = live[..i]
            .iter()
            .find(|o| s.runs[o.run].place() == s.runs[job.run].place() && !other_lane(o, job));
        if let Some(rival) = rival {
            return Err(format!(
                "P9: Jobs {} and {} live in one place",
                rival.name, job.name
            ));
        }
    }
    Ok(())
}

/// Whether both are of one task, for two of the actions that answer it.
fn other_lane(a: &JobIs, b: &JobIs) -> bool {
    // <uid>/<attempt>/<task>/<action>/<job>/<try>
    let parts = |job: &JobIs| job.key.split('/').map(str::to_owned).collect::<Vec<_>>();
    let (a, b) = (parts(a), parts(b));
    a[..3] == b[..3] && a[3] != b[3]
}

fn ended(s: &State, r: usize, status: &SequenceExecutionStatus) -> Result<(), Broken> {
    let run = &s.runs[r];
    if let Some(job) = s.jobs.iter().find(|j| j.run == r && j.lives()) {
        return Err(format!(
            "{} has ended, and its Job {} lives",
            run.name(),
            job.name
        ));
    }
    let exists = |name: &str| s.runs.iter().any(|o| o.name() == name);
    if let Some(lost) = status.triggered.iter().find(|f| !exists(&f.name)) {
        return Err(format!(
            "{} has ended, and {} is not there",
            run.name(),
            lost.name
        ));
    }
    let free = |at: &SequenceExecution| at.status.as_ref().is_none_or(|s| s.outcome.is_none());
    if run.aborted.as_ref().is_some_and(|at| free(at)) && status.phase != "Aborted" {
        return Err(format!(
            "P6: {} was aborted and ends {}",
            run.name(),
            status.phase
        ));
    }
    if status.outcome.is_some() || status.finished_at.is_none() {
        return Err(format!("{} has ended by half", run.name()));
    }
    Ok(())
}

/// P5: where nothing is under way or due, and everything was seen, a look changes nothing.
pub fn quiet(operator: &mut Operator, s: &State) -> Result<(), Broken> {
    let busy = |r: &Run| r.flight.is_some() || r.due;
    if s.runs.iter().any(busy) {
        return Ok(());
    }
    for r in 0..s.runs.len() {
        let view = s.runs[r].live.clone();
        let flight = Flight {
            view,
            fresh: true,
            followed: false,
            refused: None,
            doing: None,
        };
        // A run in the queue looks every minute, for the case that one before it stopped waiting without an end.
        let run = &s.runs[r];
        let behind = |o: &Run| !o.done() && o.uid() != run.uid() && o.place() == run.place();
        if run.done() || (run.waits() && run.again.is_some() && s.runs.iter().any(behind)) {
            continue;
        }
        let decided = operator.decision(&mut s.clone(), r, &flight);
        let (decision, same) = (&decided.decision, decided.same);
        let creates = decision.then.iter().any(|e| !there(s, e));
        if !same || !decision.first.is_empty() || creates {
            return Err(format!(
                "P5: {} rests, and a second look decides {:?}, {:?}, {}",
                s.runs[r].name(),
                decision.first,
                decision.then,
                if same { "the same status" } else { "another status" }
            ));
        }
    }
    Ok(())
}

/// Whether what would be created is there: then nothing is written.
fn there(s: &State, effect: &coxswain::core::sequence::Effect) -> bool {
    use coxswain::core::sequence::Effect;
    match effect {
        Effect::CreateEvaluation(e) => s
            .evaluations
            .iter()
            .any(|o| o.object.metadata.name == e.metadata.name),
        _ => false,
    }
}
