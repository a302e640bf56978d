//! The approval task: decided by itself where the shipyard says so, else a question to a human.
//!
//! What was answered is settled in the Approval's status before the run goes on, with the resourceVersion that was read:
//! so one answer decides, whatever crashes, and what people see is what counted.

use serde_json::{Value, json};

use super::{
    Effect, defaults,
    finish::phases,
    payload,
    step::{Flow, Machine},
    task::APPROVAL,
};
use crate::{
    api::{
        Approval, ApprovalSpec, Timestamp as ApiTime,
        approval::Choice,
        common::{Object, SourceRef},
        execution::{ApprovalTask, TaskStatus},
    },
    core::{
        approval::{self, Decided},
        jobs::result::{Outcome, Verdict},
        labels, names,
        note::Note,
        sequence::context_of,
    },
};

/// Why nobody is asked where `notRequester` can't be kept.
const NO_REQUESTER: &str = "the Shipyard's approval task says notRequester: true, and nobody is named in spec.requestedBy, so nobody could be kept from approving their own change; write your name into spec.requestedBy of the Delivery or of the SequenceExecution";

impl Machine<'_> {
    pub(super) fn start_approval(&mut self, index: usize) -> Flow {
        let payload = payload::task_payload(self.execution, self.s.payload.as_ref(), &self.task_spec(index));
        let result = approval::result_of(&payload);
        if let Some(verdict) = approval::by_itself(&payload, result) {
            let outcome = match verdict {
                Verdict::Fail => Outcome {
                    verdict,
                    reason: "Declined".to_owned(),
                    message: "declined by itself: the result before it is fail".to_owned(),
                    ..Outcome::default()
                },
                _ => Outcome {
                    message: format!("approved automatically: the result before it is {result}"),
                    ..Outcome::default()
                },
            };
            return self.finish_task(index, outcome);
        }
        let properties = approval::properties(&payload);
        // Without the name anybody could answer, also the one who must not.
        if properties.not_requester && self.execution.spec.requested_by.is_none() {
            return self.finish_task(index, Outcome::errored("NoRequester", NO_REQUESTER.to_owned()));
        }
        let uid = self.execution.metadata.uid.clone().unwrap_or_default();
        let run = self.execution.metadata.name.clone().unwrap_or_default();
        let name = names::approval_name(&run, &uid, self.attempt_number(), index);
        let expires = self.after(properties.expires.unwrap_or(defaults::APPROVAL));
        if let Some(task) = self.task_mut(index) {
            "Waiting".clone_into(&mut task.state);
            task.wait_until = Some(ApiTime(expires));
            task.approval = Some(ApprovalTask { name, uid: None });
        }
        self.give_place_up();
        self.waits_for_answer(index);
        self.put_question(index)
    }

    /// The question is created, or created again after a crash.
    fn put_question(&mut self, index: usize) -> Flow {
        if let Some(question) = self.question(index) {
            self.then.push(Effect::CreateApproval(Box::new(question)));
        }
        Flow::Rest
    }

    fn waits_for_answer(&mut self, index: usize) {
        let Some(task) = self.task_status(index).cloned() else {
            return;
        };
        let name = task.approval.map(|a| a.name).unwrap_or_default();
        let until = task.wait_until.map_or(self.now, |at| at.0);
        let message = format!("waits until {until:.0} for an answer to Approval {name}");
        self.rest(phases::WAITING, "Approval", &message);
        self.wait_for(format!("Approval {name}"));
        self.look_again(until);
    }

    pub(super) fn progress_approval(&mut self, index: usize, asked: &ApprovalTask) -> Flow {
        self.wants_place = false;
        if let Some(message) = self.facts.refused.get(&asked.name) {
            let message = format!("the API server refused Approval {}: {message}", asked.name);
            return self.finish_task(index, Outcome::errored("Refused", message));
        }
        let found = self.facts.approval.clone();
        let found = found.filter(|a| a.metadata.name.as_ref() == Some(&asked.name));
        let Some(found) = found else {
            if asked.uid.is_none() {
                self.waits_for_answer(index);
                return self.put_question(index);
            }
            let message = format!("Approval {} was deleted, which counts as declined", asked.name);
            return self.answered(index, &asked.name, Verdict::Fail, "Deleted", message);
        };
        if found.spec.execution.uid.as_ref() != self.execution.metadata.uid.as_ref()
            || asked.uid.is_some() && asked.uid != found.metadata.uid
        {
            let message = format!(
                "an Approval named {} exists and is not this run's question, which counts as declined",
                asked.name
            );
            return self.answered(index, &asked.name, Verdict::Fail, "NameTaken", message);
        }
        match approval::decide(&found, self.now) {
            None => self.unanswered(index, asked, &found),
            Some(decided) => {
                if !found.status.as_ref().is_some_and(|s| s.done) {
                    self.settle(&found, &decided);
                }
                let verdict = match decided.choice {
                    Choice::Approve => Verdict::Pass,
                    Choice::Decline => Verdict::Fail,
                };
                self.answered(index, &asked.name, verdict, decided.phase, decided.message)
            }
        }
    }

    fn unanswered(&mut self, index: usize, asked: &ApprovalTask, found: &Approval) -> Flow {
        if found.status.as_ref().is_none_or(|s| s.phase.is_empty()) {
            let pending = approval::pending(found, self.facts.enforced, self.now);
            self.first.push(Effect::SettleApproval(Box::new(pending)));
            self.tell(Note::normal("ApprovalAsked", found.spec.question.clone()));
            if self.facts.enforced == Some(false) {
                self.tell(Note::warning("Unenforced", approval::UNENFORCED));
            }
        }
        if asked.uid.is_none()
            && let Some(task) = self.task_mut(index)
            && let Some(asked) = task.approval.as_mut()
        {
            asked.uid.clone_from(&found.metadata.uid);
        }
        self.waits_for_answer(index);
        Flow::Rest
    }

    fn settle(&mut self, found: &Approval, decided: &Decided) {
        let settled = approval::settled(found, decided, self.now);
        self.first.push(Effect::SettleApproval(Box::new(settled)));
    }

    /// The time in which a human was waited for does not count against the run's deadline.
    fn answered(
        &mut self,
        index: usize,
        name: &str,
        verdict: Verdict,
        reason: &str,
        message: String,
    ) -> Flow {
        self.count_wait(index);
        let result = verdict.as_str();
        let data = json!({ APPROVAL: { "result": result, "name": name } });
        let outcome = Outcome {
            verdict,
            reason: if verdict == Verdict::Fail {
                reason.to_owned()
            } else {
                String::new()
            },
            message,
            data: data.as_object().cloned().unwrap_or_default(),
            ..Outcome::default()
        };
        self.finish_task(index, outcome)
    }

    fn count_wait(&mut self, index: usize) {
        let since = self.task_status(index).and_then(|t| t.started_at.clone());
        let seconds = since.map_or(0, |at| self.now.duration_since(at.0).as_secs().max(0));
        self.s.approval_seconds = Some(self.s.approval_seconds.unwrap_or(0) + seconds);
    }

    /// The run goes on or ends without an answer: the question is taken back.
    pub(super) fn withdraw_question(&mut self, task: &TaskStatus, why: &str) {
        let Some(found) = self.facts.approval.clone() else {
            return;
        };
        let ours = task.approval.as_ref().map(|a| &a.name) == found.metadata.name.as_ref();
        if ours && !found.status.as_ref().is_some_and(|s| s.done) {
            let decided = Decided {
                phase: "Withdrawn",
                choice: Choice::Decline,
                by: None,
                message: why.to_owned(),
            };
            self.settle(&found, &decided);
        }
    }

    /// The question, from what is recorded alone: the same at every look.
    fn question(&self, index: usize) -> Option<Approval> {
        let task = self.task_status(index)?;
        let name = task.approval.as_ref()?.name.clone();
        let (spec, meta) = (&self.execution.spec, &self.execution.metadata);
        let payload = payload::task_payload(self.execution, self.s.payload.as_ref(), &self.task_spec(index));
        let properties = approval::properties(&payload);
        let image = image_of(&payload);
        let what = image.clone().unwrap_or_else(|| "this version".to_owned());
        let evaluation = payload.get("evaluation");
        let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
        let result = approval::result_of(&payload);
        let mut question = Approval::new(
            &name,
            ApprovalSpec {
                project: spec.project.clone(),
                stage: spec.stage.clone(),
                service: spec.service.clone(),
                sequence: spec.sequence.clone(),
                execution: SourceRef {
                    kind: "SequenceExecution".to_owned(),
                    name: meta.name.clone().unwrap_or_default(),
                    uid: meta.uid.clone(),
                },
                attempt: self.attempt_number(),
                task: i32::try_from(index).unwrap_or(i32::MAX),
                question: format!(
                    "Shall {what} of {} go on with {} in stage {}?",
                    spec.service, spec.sequence, spec.stage
                ),
                image,
                result: (!result.is_empty()).then(|| result.to_owned()),
                score: evaluation.and_then(|e| e.get("score")).and_then(Value::as_f64),
                evaluation: text(evaluation.and_then(|e| e.get("name"))),
                groups: properties.groups,
                not_by: spec.requested_by.clone().filter(|_| properties.not_requester),
                expires_at: task.wait_until.clone()?,
                on_expiry: properties.on_expiry,
                answers: vec![],
            },
        );
        question.metadata.namespace.clone_from(&meta.namespace);
        question.metadata.owner_references =
            kube::Resource::controller_owner_ref(self.execution, &()).map(|owner| vec![owner]);
        let set = [
            (labels::MANAGED_BY, labels::COXSWAIN.to_owned()),
            (labels::EXECUTION, meta.name.clone().unwrap_or_default()),
            (labels::CONTEXT, context_of(self.execution)),
            (labels::PROJECT, spec.project.clone()),
            (labels::STAGE, spec.stage.clone()),
            (labels::SERVICE, spec.service.clone()),
        ];
        question.metadata.labels = Some(set.map(|(key, value)| (key.to_owned(), value)).into());
        Some(question)
    }
}

/// The image that a flow delivers: v1's `configurationChange.values.image`.
pub fn image_of(payload: &Object) -> Option<String> {
    let values = payload.get("configurationChange")?.get("values")?;
    values.get("image")?.as_str().map(str::to_owned)
}
