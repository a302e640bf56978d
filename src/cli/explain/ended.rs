//! A run that has ended: why so, and what to do about it.

use super::advice::Writer;
use crate::api::{SequenceExecutionStatus, execution::TaskStatus};

/// What a person does about an end, besides looking.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Remedy {
    /// Nothing: all is well.
    None,
    /// Run it again, from its start.
    Again,
    /// Mend something, then run it again from the task that failed.
    MendTask,
    /// Mend a definition, then run it again.
    MendDefinition,
}

/// Says why it ended so.
pub(super) fn tell(w: &mut Writer) {
    let status = w.facts.run.status.clone().unwrap_or_default();
    w.why(status.message.clone());
    let task = w.task().cloned();
    let (meaning, remedy) = meaning(&status, task.as_ref());
    w.why(meaning);
    if remedy != Remedy::None {
        if status.reason != "NoActionLeft" {
            tell_task(w, task.as_ref());
        }
        w.tell_gate();
        w.tell_pods();
    }
    definitions(w, &status);
    follows(w, &status);
    commands(w, &status, task.as_ref(), remedy);
}

/// What a reason means, and what to do.
fn meaning(status: &SequenceExecutionStatus, task: Option<&TaskStatus>) -> (&'static str, Remedy) {
    if matches!(status.phase.as_str(), "Succeeded" | "Resolved") {
        return ("", Remedy::None);
    }
    match (status.phase.as_str(), status.reason.as_str()) {
        (_, "NoRemediation" | "UnknownProblem") => (
            "No Remediation has actions for this problem: add its title (or root cause), or an entry default.",
            Remedy::MendDefinition,
        ),
        (_, "NoActionLeft") => (
            "Every action of the Remediation was tried, and the gate still says that the service is sick: now a person has to look at the service.",
            Remedy::Again,
        ),
        (_, "MaxAttempts") => (
            "The sequence's maxAttempts is reached, and the service is still sick: now a person has to look at it.",
            Remedy::Again,
        ),
        (_, "BudgetSpent") => (
            "The Remediation's budget of actions for this service is spent: something else is wrong, or the budget is too small.",
            Remedy::Again,
        ),
        (_, "NoExecutor") => (
            "No JobConfig answers the task's event, and it is no built-in task: add an action with that event to a JobConfig, or say executor: External.",
            Remedy::MendTask,
        ),
        (_, "JobConfigInvalid") => (
            "The JobConfig that would answer is not valid, and nothing more general takes its place: mend it.",
            Remedy::MendTask,
        ),
        (_, "ShipyardNotFound" | "StageNotFound" | "SequenceNotFound" | "InvalidPlace") => (
            "What it names does not exist in this namespace. Nothing was done.",
            Remedy::MendDefinition,
        ),
        (_, "DefinitionInvalid" | "InvalidObjective" | "InvalidTrigger" | "PlanTooLarge") => (
            "A definition is not valid, so nothing was done: a service is not touched that can't be judged afterwards.",
            Remedy::MendDefinition,
        ),
        (_, "PayloadTooLarge") => (
            "A task reported more data than a run can carry (32 KiB).",
            Remedy::MendTask,
        ),
        ("Inconclusive", _) => (
            "The gate could not be measured, which says nothing about the service: so no further action was tried. Mend what measures it.",
            Remedy::MendTask,
        ),
        ("Expired", _) => (
            "It waited too long for its turn. What was true when it was asked for may not be any more, so it did nothing.",
            Remedy::Again,
        ),
        ("Superseded", _) => ("A newer run took its place (concurrency: Replace).", Remedy::None),
        ("Aborted", "PausedTooLong") => ("Nobody let it go on for seven days.", Remedy::MendTask),
        ("Aborted", _) => (
            "Somebody aborted it (spec.control.desired: Abort).",
            Remedy::MendTask,
        ),
        ("TimedOut", _) => (
            "The sequence's deadline is for the whole run, pauses and approvals not counted.",
            Remedy::MendTask,
        ),
        (_, "Declined" | "Expired" | "Deleted") => (
            "The question was answered with no, or not at all.",
            Remedy::MendTask,
        ),
        (_, "NoRequester") => (
            "Nobody is named who asked for the change, so nobody could be kept from approving it.",
            Remedy::Again,
        ),
        (_, "RetryMismatch") => (
            "The sequence is not any more what it was when the earlier run failed.",
            Remedy::Again,
        ),
        _ => (of_task(task), Remedy::MendTask),
    }
}

/// What a task's reason means.
fn of_task(task: Option<&TaskStatus>) -> &'static str {
    let Some(task) = task else { return "" };
    if task.state == "Lost" || task.reason == "Lost" {
        return "Its Job was recorded and is gone: it may have run, so it is not started a second time by itself (idempotent: true in the Shipyard allows that).";
    }
    match task.reason.as_str() {
        "TimedOut" => {
            "It did not end in time (maxPollDuration, else the task's timeout, else 10m), and its Job was deleted."
        }
        "OOMKilled" => {
            "The container needed more memory than its limit: raise resources.limits.memory in the JobConfig."
        }
        "ExitCode" | "JobFailed" | "BackoffLimitExceeded" | "FailureTarget" => {
            "The container ended with an exit code other than 0: its log says why."
        }
        "ReportedFail" => "The Job reported the result fail in its termination message.",
        "BadReport" | "ReportCut" => {
            "The Job's termination message looks like a report and can't be read: it is no silent pass."
        }
        "ImagePullBackOff" | "ErrImagePull" => "The image could not be pulled.",
        "MissingFile" => "A file that the JobConfig's task names is not in its sources.",
        "ServiceAccountNotAllowed" => {
            "The ServiceAccount's owner has not agreed: annotate it coxswain.dev/allowed: \"true\"."
        }
        "NameTaken" => "An object of that name exists and belongs to somebody else.",
        "Refused" => "The API server refused what the run wanted to create: a quota, a policy, or a rule.",
        "ScoreTooLow" | "KeyIndicatorFailed" => "The gate measured the service, and it is not good enough.",
        "PodDeleted" | "DisruptionTarget" => {
            "Its pod was taken away: an eviction, a drained node, or somebody's hand."
        }
        _ => "",
    }
}

fn tell_task(w: &mut Writer, task: Option<&TaskStatus>) {
    let Some(task) = task else { return };
    for job in &task.jobs {
        let bad = job.result.as_deref() == Some("fail") || job.errored || job.state == "Lost";
        if bad {
            let code = job
                .exit_code
                .map(|c| format!(", exit code {c}"))
                .unwrap_or_default();
            let message = if job.message.is_empty() {
                job.reason.clone()
            } else {
                job.message.clone()
            };
            w.why(format!("Job {}{code}: {message}", job.name));
        }
        w.look("Job", &job.name);
        w.look("JobConfig", &job.config);
    }
    if let Some(question) = &task.approval {
        w.look("Approval", &question.name);
    }
}

/// The definitions that it ran with.
fn definitions(w: &mut Writer, status: &SequenceExecutionStatus) {
    let of = |kind: &str, w: &mut Writer| {
        let pinned = status.plan.iter().flat_map(|p| &p.pinned);
        for object in pinned.filter(|p| p.kind == kind) {
            w.look(kind, &object.name);
        }
    };
    match status.reason.as_str() {
        "NoExecutor" => of("JobConfig", w),
        "JobConfigInvalid" => of("JobConfig", w),
        "NoActionLeft" | "BudgetSpent" => of("Remediation", w),
        "MaxAttempts" | "RetryMismatch" | "DeadlineExceeded" => of("Shipyard", w),
        "ShipyardNotFound" | "StageNotFound" | "SequenceNotFound" | "InvalidObjective"
        | "DefinitionInvalid" => {
            let project = w.facts.run.spec.project.clone();
            w.look("Shipyard", &project);
        }
        _ => {}
    }
}

fn follows(w: &mut Writer, status: &SequenceExecutionStatus) {
    for follower in &status.triggered {
        w.next(format!(
            "Its end started {}.{}: run {}",
            follower.stage, follower.sequence, follower.name
        ));
        w.own(&format!("explain {}", follower.name), "what followed");
    }
    if let Some(retried) = &status.retried {
        match &retried.execution {
            Some(again) => {
                w.next(format!("It was run again as {again}."));
                w.own(&format!("explain {again}"), "the repetition");
            }
            None => w.next(format!("It was not run again: {}", retried.message)),
        }
    }
    if status.triggered.is_empty() && status.retried.is_none() {
        w.next("Nothing: it has ended, and nothing follows.");
    }
}

fn commands(w: &mut Writer, status: &SequenceExecutionStatus, task: Option<&TaskStatus>, remedy: Remedy) {
    let name = w.name();
    if let Some(task) = task.filter(|t| !t.jobs.is_empty() && remedy != Remedy::None) {
        w.own(&format!("logs {name} {}", task.name), "what its Jobs wrote");
    }
    if status.phase == "Inconclusive" {
        w.own("doctor", "are the providers reachable?");
    }
    if matches!(status.reason.as_str(), "NoExecutor" | "JobConfigInvalid") {
        w.command(
            format!("kubectl get jobconfigs -n {} -o wide", w.namespace()),
            "which there are, and are they valid?",
        );
    }
    match remedy {
        Remedy::None => {}
        Remedy::Again => w.own(&format!("retry {name}"), "run it again from its start"),
        Remedy::MendDefinition => {
            w.command(
                format!("kubectl get shipyards -n {} -o wide", w.namespace()),
                "what there is, and is it valid?",
            );
            w.own(&format!("retry {name}"), "run it again, when that is mended");
        }
        Remedy::MendTask => {
            w.own(
                &format!("retry {name} --from failed-task"),
                "run it again from the task that failed",
            );
            w.own(&format!("retry {name}"), "run it again from its start");
        }
    }
    w.kubectl("describe", "sequenceexecution", &name, "the whole story");
}
