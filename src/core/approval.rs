//! What an approval comes to: by itself, by an answer, or by its expiry.

use jiff::Timestamp;
use serde_json::Value;

use super::jobs::result::Verdict;
use crate::api::{
    Approval, ApprovalStatus, Condition, Duration, Timestamp as ApiTime,
    approval::{Answer, Choice},
    common::{Object, Time, set_condition},
};

/// What is told when nothing keeps answers honest.
pub const UNENFORCED: &str = "the admission policies are not in force here, so whoever may write approvals can answer in anybody's name; install config/admission, or set admissionPolicies.enabled in the chart";

/// The policy that keeps answers honest (config/admission), as the API server quotes it, whatever stands before the name.
const POLICY: &str = "coxswain-approvals'";

/// What a shipyard's `approval` task may say in its properties besides `pass` and `warning`.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Properties {
    /// Only members of these groups may answer.
    pub groups: Vec<String>,
    /// How long the question waits.
    pub expires: Option<Duration>,
    /// What it comes to then.
    pub on_expiry: Choice,
    /// Whether the one who asked for the change may not answer.
    pub not_requester: bool,
}

/// The properties of the `approval` task, as its payload has them. What can't be read is refused when the shipyard is
/// validated; here the strict reading counts.
pub fn properties(payload: &Object) -> Properties {
    let own = payload.get("approval");
    let get = |name: &str| own.and_then(|a| a.get(name));
    let text = |name: &str| get(name).and_then(Value::as_str);
    Properties {
        groups: get("groups")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(|g| g.as_str().map(str::to_owned))
            .collect(),
        expires: text("expires").and_then(|t| t.parse().ok()),
        on_expiry: match text("onExpiry") {
            Some("approve") => Choice::Approve,
            _ => Choice::Decline,
        },
        not_requester: get("notRequester").and_then(Value::as_bool).unwrap_or(false),
    }
}

/// The result that is to be approved: that of the task before, else the last evaluation's (v1's approval-service).
pub fn result_of(payload: &Object) -> &str {
    let own = payload.get("result").and_then(Value::as_str);
    let evaluation = payload.get("evaluation").and_then(|e| e.get("result"));
    own.filter(|r| !r.is_empty())
        .or_else(|| evaluation.and_then(Value::as_str))
        .unwrap_or_default()
}

/// The decision that needs no human: `automatic` for this result, or a result of fail. Without a strategy it is manual,
/// as in v1's code.
pub fn by_itself(payload: &Object, result: &str) -> Option<Verdict> {
    let strategy = |name: &str| payload.get("approval").and_then(|a| a.get(name));
    let automatic = |name: &str| strategy(name).and_then(Value::as_str) == Some("automatic");
    match result {
        "fail" => Some(Verdict::Fail),
        "pass" | "warning" if automatic(result) => Some(Verdict::Pass),
        _ => None,
    }
}

/// What a question came to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Decided {
    /// Approved, Declined, Expired or Withdrawn.
    pub phase: &'static str,
    /// Yes or no.
    pub choice: Choice,
    /// Whose answer it was.
    pub by: Option<String>,
    /// One line for people.
    pub message: String,
}

/// What the question has come to at `now`; None while it is open. What is settled stays. The first answer decides, except
/// one by whom it must not be decided.
pub fn decide(approval: &Approval, now: Timestamp) -> Option<Decided> {
    let spec = &approval.spec;
    if let Some(status) = approval.status.as_ref().filter(|s| s.done) {
        let (phase, choice) = match status.phase.as_str() {
            "Approved" => ("Approved", Choice::Approve),
            "Expired" => ("Expired", spec.on_expiry),
            _ => ("Declined", Choice::Decline),
        };
        return Some(Decided {
            phase,
            choice,
            by: status.decided_by.clone(),
            message: status.message.clone(),
        });
    }
    let mut answers = spec.answers.iter();
    if let Some(answer) = answers.find(|a| Some(&a.by) != spec.not_by.as_ref()) {
        let (phase, verb) = match answer.choice {
            Choice::Approve => ("Approved", "approved"),
            Choice::Decline => ("Declined", "declined"),
        };
        let why = answer
            .reason
            .as_deref()
            .map(|r| format!(": {r}"))
            .unwrap_or_default();
        return Some(Decided {
            phase,
            choice: answer.choice,
            by: Some(answer.by.clone()),
            message: format!("{verb} by {}{why}", answer.by),
        });
    }
    if now < spec.expires_at.0 {
        return None;
    }
    let what = match spec.on_expiry {
        Choice::Approve => "approved",
        Choice::Decline => "declined",
    };
    Some(Decided {
        phase: "Expired",
        choice: spec.on_expiry,
        by: None,
        message: format!("{what}, because nobody answered until {:.0}", spec.expires_at.0),
    })
}

/// A question with an answer that nobody gave: where the API server would take it, nothing keeps answers honest.
pub fn forged(approval: &Approval) -> Approval {
    let mut forged = Approval::new("coxswain-probe", approval.spec.clone());
    forged.metadata.namespace.clone_from(&approval.metadata.namespace);
    forged.spec.answers = vec![Answer {
        by: "nobody".to_owned(),
        choice: Choice::Decline,
        reason: None,
    }];
    forged
}

/// Whether the policies are in force, by what the API server said to a forged answer: taken, refused with this message, or
/// no clear word. Only a refusal by the policy itself shows that; a quota or another webhook may refuse as well.
pub fn enforced(tried: Result<(), Option<&str>>) -> Option<bool> {
    match tried {
        Ok(()) => Some(false),
        Err(Some(message)) if message.contains("ValidatingAdmissionPolicy") && message.contains(POLICY) => {
            Some(true)
        }
        Err(_) => None,
    }
}

/// The question with the status of one that was just put.
pub fn pending(approval: &Approval, enforced: Option<bool>, now: Timestamp) -> Approval {
    let mut asked = approval.clone();
    let generation = asked.metadata.generation;
    let message = "add an answer to spec.answers to decide it".to_owned();
    let mut status = ApprovalStatus {
        phase: "Pending".to_owned(),
        message: message.clone(),
        observed_generation: generation,
        ..ApprovalStatus::default()
    };
    let (state, reason, told) = match enforced {
        Some(true) => (
            "True",
            "PoliciesInForce",
            "only people with the verb approve can answer, in their own name",
        ),
        Some(false) => ("False", "Unenforced", UNENFORCED),
        None => (
            "Unknown",
            "NotProbed",
            "whether the admission policies are in force could not be found out",
        ),
    };
    condition(&mut status, "Enforced", state, reason, told, now);
    condition(&mut status, "Ready", "True", "Pending", &message, now);
    condition(&mut status, "Succeeded", "Unknown", "Pending", &message, now);
    asked.status = Some(status);
    asked
}

/// The question with what it came to.
pub fn settled(approval: &Approval, decided: &Decided, now: Timestamp) -> Approval {
    let mut settled = approval.clone();
    let mut status = settled.status.take().unwrap_or_default();
    decided.phase.clone_into(&mut status.phase);
    status.done = true;
    status.message.clone_from(&decided.message);
    status.decided_by.clone_from(&decided.by);
    status.decided_at = Some(ApiTime(now));
    status.observed_generation = settled.metadata.generation;
    let yes = match decided.choice {
        Choice::Approve => "True",
        Choice::Decline => "False",
    };
    condition(&mut status, "Ready", "True", decided.phase, &decided.message, now);
    condition(
        &mut status,
        "Succeeded",
        yes,
        decided.phase,
        &decided.message,
        now,
    );
    settled.status = Some(status);
    settled
}

fn condition(
    status: &mut ApprovalStatus,
    type_: &str,
    state: &str,
    reason: &str,
    message: &str,
    now: Timestamp,
) {
    set_condition(
        &mut status.conditions,
        Condition {
            type_: type_.to_owned(),
            status: state.to_owned(),
            reason: reason.to_owned(),
            message: message.to_owned(),
            last_transition_time: Time(now),
            observed_generation: status.observed_generation,
        },
    );
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    fn payload(value: Value) -> Object {
        value.as_object().cloned().unwrap()
    }

    /// The strategies that are written down are those of tests/it/keptn/approval.rs.
    #[rstest]
    #[case::missing_is_manual(json!({"result": "pass"}), None)]
    #[case::the_evaluations(json!({"evaluation": {"result": "pass"}, "approval": {"pass": "automatic"}}), Some(Verdict::Pass))]
    fn strategies(#[case] of: Value, #[case] expected: Option<Verdict>) {
        let of = payload(of);
        assert_eq!(by_itself(&of, result_of(&of)), expected);
    }

    #[rstest]
    #[case::nothing_refuses(Ok(()), Some(false))]
    #[case::the_policy(
        Err(Some(
            "approvals.coxswain.dev \"coxswain-probe\" is forbidden: ValidatingAdmissionPolicy 'coxswain-approvals' with binding 'coxswain-approvals' denied request: spec.answers"
        )),
        Some(true)
    )]
    #[case::with_a_prefix(
        Err(Some("ValidatingAdmissionPolicy 'acme-coxswain-approvals' denied request")),
        Some(true)
    )]
    #[case::a_quota(Err(Some("exceeded quota: approvals")), None)]
    #[case::another_policy(Err(Some("ValidatingAdmissionPolicy 'freeze' denied request")), None)]
    #[case::no_answer(Err(None), None)]
    fn only_the_policy_s_own_refusal_shows_that_it_is_in_force(
        #[case] tried: Result<(), Option<&str>>,
        #[case] shown: Option<bool>,
    ) {
        assert_eq!(enforced(tried), shown);
    }

    fn question(answers: Value, not_by: Option<&str>, on_expiry: &str) -> Approval {
        serde_json::from_value(json!({"metadata": {"name": "a"}, "spec": {
            "project": "p", "stage": "s", "service": "v", "sequence": "delivery",
            "execution": {"kind": "SequenceExecution", "name": "r"}, "attempt": 1, "task": 0, "question": "?",
            "expiresAt": "2030-01-01T00:00:00.000000Z", "onExpiry": on_expiry, "answers": answers, "notBy": not_by,
        }}))
        .unwrap()
    }

    #[rstest]
    #[case::open(json!([]), None, "Decline", "2029-12-31T00:00:00Z", None)]
    #[case::yes(json!([{"by": "ann", "choice": "Approve"}]), None, "Decline", "2029-12-31T00:00:00Z", Some(("Approved", Choice::Approve)))]
    #[case::the_first_decides(json!([{"by": "ann", "choice": "Decline"}, {"by": "bob", "choice": "Approve"}]), None, "Decline", "2029-12-31T00:00:00Z", Some(("Declined", Choice::Decline)))]
    #[case::not_the_requester(json!([{"by": "ann", "choice": "Approve"}]), Some("ann"), "Decline", "2029-12-31T00:00:00Z", None)]
    #[case::expiry_declines(json!([]), None, "Decline", "2030-01-01T00:00:00Z", Some(("Expired", Choice::Decline)))]
    #[case::expiry_approves(json!([]), None, "Approve", "2030-01-01T00:00:00Z", Some(("Expired", Choice::Approve)))]
    fn what_answers_decide(
        #[case] answers: Value,
        #[case] not_by: Option<&str>,
        #[case] on_expiry: &str,
        #[case] now: &str,
        #[case] expected: Option<(&str, Choice)>,
    ) {
        let decided = decide(&question(answers, not_by, on_expiry), now.parse().unwrap());
        assert_eq!(decided.map(|d| (d.phase, d.choice)), expected);
    }

    #[test]
    fn what_is_settled_stays() {
        let now = "2029-12-31T00:00:00Z".parse().unwrap();
        let asked = question(json!([{"by": "ann", "choice": "Approve"}]), None, "Decline");
        let decided = decide(&asked, now).unwrap();
        let mut later = settled(&asked, &decided, now);
        later.spec.answers.clear();
        let again = decide(&later, "2031-01-01T00:00:00Z".parse().unwrap()).unwrap();
        assert_eq!((again.phase, again.by.as_deref()), ("Approved", Some("ann")));
    }
}
