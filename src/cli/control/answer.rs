//! An answer to a question, as a change of the Approval.

use jiff::Timestamp;
use kube::ResourceExt;
use serde_json::json;

use super::Change;
use crate::api::{
    Approval,
    approval::{Answer, Choice},
};

/// What is to be written for an answer in the name of `me`. The error says why it can't be given.
pub fn answer(
    question: &Approval,
    me: &str,
    choice: Choice,
    reason: Option<&str>,
    now: Timestamp,
    program: &str,
) -> Result<Change, String> {
    let (name, spec) = (question.name_any(), &question.spec);
    let status = question.status.clone().unwrap_or_default();
    let run = &spec.execution.name;
    if let Some(mine) = spec.answers.iter().find(|a| a.by == me) {
        return if mine.choice == choice {
            Ok(Change {
                patch: None,
                says: format!("you have answered {name} so already; {program} watch {run}"),
            })
        } else {
            Err(format!(
                "you have answered {name} already ({:?}), and an answer is never changed; {program} abort {run} stops the run",
                mine.choice
            ))
        };
    }
    if status.done {
        let by = status
            .decided_by
            .map(|by| format!(" by {by}"))
            .unwrap_or_default();
        return Err(format!(
            "{name} is decided already ({}{by}): see {program} explain {run}",
            status.phase
        ));
    }
    if let Some(first) = spec.answers.first() {
        return Err(format!(
            "{} was faster ({:?}), and the first answer decides; see {program} explain {run}",
            first.by, first.choice
        ));
    }
    if spec.expires_at.0 <= now {
        return Err(format!(
            "{name} expired at {:.0}; see {program} explain {run}",
            spec.expires_at.0
        ));
    }
    if spec.not_by.as_deref() == Some(me) {
        return Err(format!(
            "{name}: you asked for this change ({me}), so somebody else must answer (notRequester in the Shipyard)"
        ));
    }
    let mut answers = spec.answers.clone();
    answers.push(Answer {
        by: me.to_owned(),
        choice,
        reason: reason.map(str::to_owned),
    });
    let next = match choice {
        Choice::Approve => format!("{name} is approved in the name of {me}: {run} goes on"),
        Choice::Decline => format!("{name} is declined in the name of {me}: {run} ends with result fail"),
    };
    Ok(Change {
        patch: Some(json!({"spec": {"answers": answers}})),
        says: format!("{next}; {program} watch {run}"),
    })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::Value;

    use super::*;

    fn question(answers: Value, not_by: Value, status: Value) -> Approval {
        serde_json::from_value(json!({
            "metadata": {"name": "q"},
            "spec": {"project": "shop", "stage": "qa", "service": "cart", "sequence": "delivery",
                     "execution": {"kind": "SequenceExecution", "name": "r"}, "attempt": 1, "task": 0,
                     "question": "May it?", "expiresAt": "2026-01-02T00:00:00.000000Z", "answers": answers, "notBy": not_by},
            "status": status,
        }))
        .unwrap()
    }

    fn told(question: &Approval, choice: Choice, now: &str) -> (Option<Value>, String) {
        match answer(
            question,
            "jane",
            choice,
            Some("fine"),
            now.parse().unwrap(),
            "coxswain",
        ) {
            Ok(change) => (change.patch, change.says),
            Err(refused) => (None, format!("no: {refused}")),
        }
    }

    const IN_TIME: &str = "2026-01-01T00:00:00Z";

    #[test]
    fn the_first_answer_is_written_in_one_s_own_name() {
        let (patch, said) = told(
            &question(json!([]), json!(null), json!({})),
            Choice::Approve,
            IN_TIME,
        );
        assert_eq!(
            patch,
            Some(json!({"spec": {"answers": [{"by": "jane", "choice": "Approve", "reason": "fine"}]}}))
        );
        assert_eq!(
            said,
            "q is approved in the name of jane: r goes on; coxswain watch r"
        );
    }

    #[rstest]
    #[case::again(json!([{"by": "jane", "choice": "Approve"}]), json!(null), json!({}), "you have answered q so already")]
    #[case::other_way(json!([{"by": "jane", "choice": "Decline"}]), json!(null), json!({}), "no: you have answered q already (Decline)")]
    #[case::faster(json!([{"by": "joe", "choice": "Decline"}]), json!(null), json!({}), "no: joe was faster (Decline)")]
    #[case::decided(json!([]), json!(null), json!({"phase": "Expired", "done": true}), "no: q is decided already (Expired)")]
    #[case::own_change(json!([]), json!("jane"), json!({}), "no: q: you asked for this change (jane)")]
    fn answers_that_write_nothing(
        #[case] answers: Value,
        #[case] not_by: Value,
        #[case] status: Value,
        #[case] says: &str,
    ) {
        let (patch, said) = told(&question(answers, not_by, status), Choice::Approve, IN_TIME);
        assert_eq!(patch, None);
        assert!(said.starts_with(says), "{said}");
    }

    #[test]
    fn too_late_is_too_late() {
        let question = question(json!([]), json!(null), json!({}));
        let (_, said) = told(&question, Choice::Decline, "2026-01-02T00:00:00Z");
        assert!(said.starts_with("no: q expired at"), "{said}");
    }
}
