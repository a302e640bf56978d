//! The operator's requests, and what the API server makes of each.

use coxswain::{
    api::SequenceExecution,
    core::{
        labels,
        sequence::{Decision, Effect},
    },
};
use k8s_openapi::{api::batch::v1::Job, apimachinery::pkg::apis::meta::v1::Time};

use super::{
    operator::{Broken, Decided, Operator, job_uid, recorded_uid, release},
    promises,
    shipyards::at,
    state::{ApprovalIs, EvaluationIs, JobIs, Life, Name, Run, State},
};

impl Operator {
    pub fn carry_out(&mut self, s: &mut State, r: usize, refused: bool) -> Result<(), Broken> {
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
                let mut found = s
                    .approvals
                    .iter_mut()
                    .filter(|a| !a.deleted && a.object.metadata.name == *name);
                let version = settled.metadata.resource_version.clone().unwrap();
                match found.next().filter(|a| a.version.to_string() == version) {
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

    pub fn written(&self, s: &mut State, r: usize, decision: &Decision) {
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
        next.metadata.creation_timestamp = Some(Time(at(s.now)));
        let next = self.runs.keep(next);
        s.runs.push(Run::new(next));
        Ok(())
    }
}
