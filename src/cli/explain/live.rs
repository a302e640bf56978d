//! A run that goes on: what it waits for.

use jiff::Timestamp;
use kube::ResourceExt;

use super::advice::Writer;
use crate::{
    api::{Duration, SequenceExecutionStatus, approval::Choice, execution::TaskStatus},
    cli::paint::between,
    core::{remediation::get_action, sequence::defaults},
};

/// Says why it stands here, and what comes next.
pub(super) fn tell(w: &mut Writer) {
    let status = w.facts.run.status.clone().unwrap_or_default();
    if status.phase.is_empty() {
        return unseen(w);
    }
    w.why(status.message.clone());
    match (status.phase.as_str(), status.reason.as_str()) {
        ("Queued", _) => queued(w, &status),
        ("Held", _) => held(w, &status),
        ("Paused", _) => paused(w, &status),
        (_, "Approval") => approval(w),
        (_, "Cooldown") => {
            w.why("The Remediation says that a service is left alone for a while after each run (cooldown).");
            expires(w, &status);
        }
        (_, "RetryAfter") => retry_after(w, &status),
        (_, "TriggeredAfter") => {
            w.why("The Shipyard says that the task waits (triggeredAfter); the service is free for other runs until then.");
        }
        (_, "Triggers") => w.why("It has ended, and starts what its end triggers."),
        _ => at_work(w),
    }
    after_this(w, &status);
    common(w);
}

fn unseen(w: &mut Writer) {
    w.why("The operator has not looked at it yet: usually it does within a second.");
    w.next("When the operator looks at it, it starts or is queued.");
    w.own("doctor", "is the operator alive?");
}

/// `in 3m12s (12:00:00Z)`.
fn at(w: &Writer, when: Timestamp) -> String {
    if when > w.now {
        format!("in {} ({when:.0})", between(w.now, when))
    } else {
        format!("now (since {when:.0})")
    }
}

fn plus(from: Timestamp, length: Duration) -> Timestamp {
    from.checked_add(length.signed()).unwrap_or(Timestamp::MAX)
}

/// What has not begun does not wait for ever.
fn expires(w: &mut Writer, status: &SequenceExecutionStatus) {
    let created = w.facts.run.creation_timestamp();
    if let (true, Some(created)) = (status.attempts.is_empty(), created) {
        let when = at(w, plus(created.0, defaults::QUEUED));
        w.next(format!("If it can't start, it ends Expired {when}: what was true when it was asked for may not be any more."));
    }
}

fn queued(w: &mut Writer, status: &SequenceExecutionStatus) {
    w.why("One run at a time has a service in a stage.");
    let name = status
        .waits_for
        .strip_prefix("run ")
        .unwrap_or_default()
        .to_owned();
    if let Some(other) = &w.facts.behind {
        let other = other.status.clone().unwrap_or_default();
        w.why(format!("{name} is {}: {}", other.phase, other.message));
    }
    w.next(format!("It starts when {name} ends or waits for a person."));
    expires(w, status);
    w.look("SequenceExecution", &name);
    w.own(&format!("explain {name}"), "why does that one take so long?");
    w.own(&format!("abort {name}"), "stop that one; this one is next");
}

fn held(w: &mut Writer, status: &SequenceExecutionStatus) {
    let namespace = w.namespace();
    let own = w.facts.operator_namespace.clone();
    let known = w.facts.held_by_namespace || w.facts.held_by_installation;
    if w.facts.held_by_namespace || !known {
        w.look("Namespace", &namespace);
        w.command(
            format!("kubectl label namespace {namespace} coxswain.dev/hold-"),
            "end the hold of the namespace",
        );
    }
    if w.facts.held_by_installation || !known {
        w.look("ConfigMap", &format!("coxswain-hold (namespace {own})"));
        w.command(
            format!("kubectl delete configmap coxswain-hold -n {own}"),
            "end the hold of the whole installation",
        );
    }
    w.next("It goes on by itself when the hold ends.");
    expires(w, status);
}

fn paused(w: &mut Writer, status: &SequenceExecutionStatus) {
    let name = w.name();
    if let Some(since) = &status.paused_at {
        w.why(format!(
            "Somebody set spec.control.desired to Pause; it is paused for {}.",
            between(since.0, w.now)
        ));
        let when = at(w, plus(since.0, defaults::PAUSED));
        w.next(format!("If nobody lets it go on, it is aborted {when}."));
    }
    w.own(&format!("resume {name}"), "go on");
}

fn approval(w: &mut Writer) {
    let asked = w.task().and_then(|t| t.approval.clone()).unwrap_or_default().name;
    let until = w.task().and_then(|t| t.wait_until.clone());
    if let Some(question) = w.facts.approval.clone() {
        let spec = &question.spec;
        w.why(format!("The question: {}", spec.question));
        let mut may = "May answer: who has the ClusterRole coxswain-approver".to_owned();
        if !spec.groups.is_empty() {
            may = format!("{may} and is in the group {}", spec.groups.join(" or "));
        }
        if let Some(not) = &spec.not_by {
            may = format!("{may}; not {not}, who asked for the change");
        }
        w.why(format!("{may}."));
        if crate::api::condition_is(
            question.status.as_ref().map_or(&[], |s| s.conditions.as_slice()),
            "Enforced",
            "False",
        ) {
            w.why(
                "The admission policies are not in force: anybody who may write it can answer in any name.",
            );
        }
    }
    let expiry = match w.facts.approval.as_ref().map(|q| q.spec.on_expiry) {
        Some(Choice::Approve) => "counts as approved",
        _ => "counts as declined",
    };
    w.next("With the first answer it goes on, or ends with result fail.");
    if let Some(until) = until {
        let when = at(w, until.0);
        w.next(format!("Without an answer it {expiry} {when}."));
    }
    w.look("Approval", &asked);
    w.own(&format!("approve {asked}"), "yes");
    w.own(&format!("reject {asked} --reason WHY"), "no");
}

fn retry_after(w: &mut Writer, status: &SequenceExecutionStatus) {
    let Some(last) = status.attempts.last() else {
        return;
    };
    w.why(format!(
        "Attempt {} did not reach its aim, and the Shipyard says that it is tried again.",
        last.number
    ));
    w.tell_gate();
    if let Some(when) = &status.next_attempt_at {
        let when = at(w, when.0);
        let with = next_action(status)
            .map(|a| format!(" with {a}"))
            .unwrap_or_default();
        w.next(format!("Attempt {} starts {when}{with}.", last.number + 1));
    }
}

/// The action that the next get-action chooses, where the Remediation says it.
fn next_action(status: &SequenceExecutionStatus) -> Option<String> {
    let remediation = status.plan.as_ref()?.remediation.as_ref()?;
    let payload = status.payload.clone().unwrap_or_default();
    match get_action::next(remediation, &payload) {
        get_action::Choice::None { message, .. } => Some(format!("nothing: {message}")),
        get_action::Choice::Action { action, index, .. } => Some(format!(
            "action {} of {}: {}",
            index + 1,
            remediation.actions.len(),
            action.action
        )),
    }
}

/// A task is being done.
fn at_work(w: &mut Writer) {
    let Some(task) = w.task().cloned() else { return };
    if task.evaluation.is_some() {
        return evaluating(w, &task);
    }
    if task.jobs.is_empty() && task.deadline.is_some() {
        return outside(w, &task);
    }
    let name = w.name();
    blocked(w, &task.reason);
    w.tell_pods();
    for job in task
        .jobs
        .iter()
        .filter(|j| matches!(j.state.as_str(), "Starting" | "Running"))
    {
        w.look("Job", &job.name);
        w.look("JobConfig", &job.config);
    }
    if let Some(deadline) = &task.deadline {
        let when = at(w, deadline.0);
        w.next(format!(
            "If {} goes on for so long, it fails {when} (TimedOut), and its Job is deleted.",
            task.name
        ));
    }
    w.own(&format!("logs {name} {}", task.name), "what its Jobs write");
}

/// Why a Job's pod does not start.
fn blocked(w: &mut Writer, reason: &str) {
    let meaning = match reason {
        "ImagePullBackOff" | "ErrImagePull" | "InvalidImageName" | "ErrImageNeverPull" => {
            "The node can't pull the image: is its name right, does the tag exist, and has the registry's Secret been given (imagePullSecrets)?"
        }
        "Unschedulable" => {
            "No node has room, or none fits: see the pod's requests, selectors and tolerations."
        }
        "CreateContainerConfigError" => {
            "Something that the container names is missing: a ConfigMap, a Secret, or a key in one."
        }
        "CreateContainerError" | "StartError" | "RunContainerError" => {
            "The container can't be started: mostly its command does not exist in the image."
        }
        "FailedMount" => {
            "A volume can't be mounted: a ConfigMap or Secret of the JobConfig's sources is missing."
        }
        "FailedCreate" => "Kubernetes refuses the pod: a quota, or a policy of the namespace.",
        "Suspended" => "Somebody suspended the Job (spec.suspend); it goes on when that is taken back.",
        "SlowStart" => "Its pod takes long to start.",
        _ => return,
    };
    w.why(meaning);
    w.next("It starts by itself as soon as that is mended; the JobConfig itself counts anew with the next attempt.");
    let pods: Vec<String> = w.facts.pods.iter().map(ResourceExt::name_any).collect();
    for pod in pods.iter().take(1) {
        w.kubectl("describe", "pod", pod, "all that Kubernetes says of it");
    }
}

fn evaluating(w: &mut Writer, task: &TaskStatus) {
    w.why(task.message.clone());
    let asked = task.evaluation.clone().unwrap_or_default();
    if let Some(since) = &asked.inconclusive_since {
        w.why(format!(
            "Nothing could be measured for {}: that is no verdict, so no further action is tried.",
            between(since.0, w.now)
        ));
        let when = at(w, plus(since.0, defaults::INCONCLUSIVE));
        w.next(format!(
            "If it can't be measured until then, the run ends Inconclusive {when}."
        ));
        if let Some(query) = w
            .facts
            .evaluation
            .as_ref()
            .and_then(|e| e.spec.indicators.values().next())
        {
            let provider = query.provider.clone();
            w.look("MetricsProvider", &provider);
        }
        w.own("doctor", "are the providers reachable?");
    }
    if let Some(hold) = &asked.hold_until {
        let when = at(w, hold.0);
        w.next(format!(
            "The gate is good, and must stay so (mustHoldFor): it counts {when}."
        ));
    }
    match (&task.wait_until, &asked.window) {
        (Some(until), _) if until.0 > w.now => {
            let when = at(w, until.0);
            w.next(format!("It is measured {when}."));
        }
        (_, Some(window)) => {
            let when = at(w, plus(window.end.0, defaults::VERDICT));
            w.next(format!(
                "The verdict is given as soon as the queries are answered, or asked for again {when}."
            ));
        }
        _ => {}
    }
    w.look("Evaluation", &asked.name);
}

fn outside(w: &mut Writer, task: &TaskStatus) {
    let name = w.name();
    let attempt = w.facts.run.status.as_ref().and_then(|s| s.attempt).unwrap_or(1);
    w.why("The task is carried out by something outside (executor: External), which reports by TaskResults.");
    if task.executors.is_empty() {
        w.why("Nobody has said yet that he began.");
    }
    for executor in &task.executors {
        let how = executor.result.as_deref().unwrap_or("at work");
        w.why(
            format!("{}: {how} {}", executor.source, executor.message)
                .trim_end()
                .to_owned(),
        );
    }
    if let Some(deadline) = &task.deadline {
        let when = at(w, deadline.0);
        w.next(format!("Without a report the task fails {when}."));
    }
    w.command(
        format!("kubectl get taskresults -n {}", w.namespace()),
        &format!(
            "who reported; a TaskResult names run {name}, task {}, attempt {attempt}",
            task.name
        ),
    );
}

/// What follows the current task.
fn after_this(w: &mut Writer, status: &SequenceExecutionStatus) {
    let Some(attempt) = status.attempts.last().filter(|a| a.finished_at.is_none()) else {
        return;
    };
    let ahead: Vec<&str> = attempt
        .tasks
        .iter()
        .filter(|t| t.state == "Pending")
        .map(|t| t.name.as_str())
        .collect();
    if !ahead.is_empty() {
        w.next(format!("Then: {}.", ahead.join(", ")));
    }
    let Some(sequence) = status.plan.as_ref().and_then(|p| p.sequence.as_ref()) else {
        return;
    };
    let own = format!("{}.{}.finished", w.facts.run.spec.stage, sequence.name);
    if sequence.triggered_on.iter().any(|t| t.event == own) {
        let wait = sequence.retry_after.unwrap_or(defaults::RETRY_AFTER);
        let with = next_action(status)
            .map(|a| format!(", with {a}"))
            .unwrap_or_default();
        w.next(format!(
            "If the attempt fails, the next starts {wait} later{with}."
        ));
    }
    let followers: Vec<String> = status
        .plan
        .iter()
        .flat_map(|p| &p.followers)
        .map(ToString::to_string)
        .collect();
    if !followers.is_empty() {
        w.next(format!("Its end may start {}.", followers.join(", ")));
    }
}

fn common(w: &mut Writer) {
    let name = w.name();
    w.own(&format!("watch {name}"), "follow it");
    w.own(&format!("abort {name}"), "stop it at once");
}
