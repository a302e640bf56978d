//! Questions to a human, and the answers.

use jiff::Timestamp;

use super::{answers::Says, play::TAKES, world::World};
use crate::{
    api::{
        Approval,
        approval::{Answer, Choice},
        common::Time,
    },
    core::sequence::APPROVAL,
};

/// Who answers. It is nobody's name, so it is not the one who asked for the change.
const WHO: &str = "(answers)";

/// A question that was put.
pub(super) struct Question {
    pub(super) ends_at: Timestamp,
    approval: Approval,
    answer: Answer,
}

impl Question {
    /// The question as it stands at `now`.
    pub(super) fn at(&self, now: Timestamp) -> Approval {
        let mut approval = self.approval.clone();
        if now >= self.ends_at {
            approval.spec.answers.push(self.answer.clone());
        }
        approval
    }
}

impl World<'_> {
    pub(super) fn put_question(&mut self, index: usize, question: &Approval) {
        let known = self.runs[index].question.as_ref();
        if known.is_some_and(|q| q.approval.metadata.name == question.metadata.name) {
            return;
        }
        let Some(at) = self.current(index) else { return };
        let asked = self.ask(index, at, APPROVAL, false);
        let takes = asked.answer.takes.unwrap_or(TAKES);
        let mut approval = question.clone();
        approval.metadata.uid = Some(format!(
            "uid-{}",
            question.metadata.name.as_deref().unwrap_or_default()
        ));
        approval.metadata.creation_timestamp = Some(Time(self.now));
        let choice = match asked.answer.says {
            Says::Fail => Choice::Decline,
            _ => Choice::Approve,
        };
        let reason = asked.answer.message;
        self.runs[index].question = Some(Question {
            ends_at: self.now.checked_add(takes.signed()).unwrap_or(Timestamp::MAX),
            approval,
            answer: Answer {
                by: WHO.to_owned(),
                choice,
                reason: (!reason.is_empty()).then_some(reason),
            },
        });
        self.tell(index, at.0, APPROVAL, question.spec.question.clone(), vec![]);
    }

    pub(super) fn settle_question(&mut self, index: usize, settled: &Approval) {
        if let Some(question) = &mut self.runs[index].question {
            question.approval.status.clone_from(&settled.status);
        }
    }
}
