//! What the API server says when it refuses: `Status` objects as Kubernetes words them.

use kube::core::{
    Status,
    response::{StatusDetails, StatusSummary},
};

use super::kinds::Kind;

/// Why a request was refused; boxed, because results carry it everywhere.
pub type Refusal = Box<Status>;

/// A refusal of this HTTP code and reason.
pub fn refusal(code: u16, reason: &str, message: impl Into<String>) -> Refusal {
    let mut status = Status::failure(&message.into(), reason).with_code(code);
    status.status = Some(StatusSummary::Failure);
    status.boxed()
}

/// A refusal of this code with the reason that Kubernetes gives it, for injected faults.
pub fn by_code(code: u16) -> Refusal {
    let (reason, message) = match code {
        400 => ("BadRequest", "injected: bad request"),
        401 => ("Unauthorized", "injected: Unauthorized"),
        403 => (
            "Forbidden",
            "injected: forbidden: User \"operator\" cannot do that",
        ),
        404 => ("NotFound", "injected: not found"),
        409 => (
            "Conflict",
            "injected: the object has been modified; please apply your changes to the latest version",
        ),
        410 => ("Expired", "injected: too old resource version"),
        413 => ("RequestEntityTooLarge", "injected: request is too large"),
        422 => ("Invalid", "injected: invalid"),
        429 => (
            "TooManyRequests",
            "injected: too many requests, please try again later",
        ),
        503 => ("ServiceUnavailable", "injected: apiserver is shutting down"),
        504 => (
            "Timeout",
            "injected: request did not complete within the allotted timeout",
        ),
        _ => (
            "InternalError",
            "injected: an error on the server has prevented the request from succeeding",
        ),
    };
    refusal(code, reason, message)
}

/// Names the object, as the API server does where it knows the kind.
pub(super) fn not_found(kind: &Kind, name: &str) -> Refusal {
    let mut refusal = refusal(
        404,
        "NotFound",
        format!("{} \"{name}\" not found", kind.resource()),
    );
    refusal.details = Some(StatusDetails {
        name: name.to_owned(),
        group: kind.group.clone(),
        kind: kind.plural.clone(),
        uid: String::new(),
        causes: vec![],
        retry_after_seconds: 0,
    });
    refusal
}

pub(super) fn already_exists(kind: &Kind, name: &str) -> Refusal {
    refusal(
        409,
        "AlreadyExists",
        format!("{} \"{name}\" already exists", kind.resource()),
    )
}

pub(super) fn conflict(kind: &Kind, name: &str, why: &str) -> Refusal {
    refusal(
        409,
        "Conflict",
        format!(
            "Operation cannot be fulfilled on {} \"{name}\": {why}",
            kind.resource()
        ),
    )
}

pub(super) fn modified(kind: &Kind, name: &str) -> Refusal {
    conflict(
        kind,
        name,
        "the object has been modified; please apply your changes to the latest version and try again",
    )
}

pub(super) fn invalid(kind: &Kind, name: &str, why: &str) -> Refusal {
    refusal(
        422,
        "Invalid",
        format!("{}.{} \"{name}\" is invalid: {why}", kind.kind, kind.group),
    )
}

pub(super) fn bad_request(why: impl Into<String>) -> Refusal {
    refusal(400, "BadRequest", why)
}

pub(super) fn expired(asked: u64, oldest: u64) -> Refusal {
    refusal(
        410,
        "Expired",
        format!("too old resource version: {asked} ({oldest})"),
    )
}
