//! A run that has ended, run again: a new run, so that what happened stays as it was.

use crate::{
    api::{
        SequenceExecution, SequenceExecutionSpec,
        execution::{Retried, Retry, RetryFrom, RetryOf},
    },
    core::{labels, names, sequence::context_of},
};

/// The retry that is asked for and not yet seen to.
pub fn wanted(execution: &SequenceExecution) -> Option<&Retry> {
    let status = execution.status.as_ref().filter(|s| s.done)?;
    let retry = execution.spec.control.as_ref()?.retry.as_ref()?;
    let seen = status.retried.as_ref().is_some_and(|r| r.id == retry.id);
    (!seen).then_some(retry)
}

/// The run that does it, or why there can't be one.
pub fn run_of(execution: &SequenceExecution, retry: &Retry) -> Result<SequenceExecution, String> {
    let status = execution.status.clone().unwrap_or_default();
    let (old, meta) = (&execution.spec, &execution.metadata);
    let (name, uid) = (
        meta.name.clone().unwrap_or_default(),
        meta.uid.clone().unwrap_or_default(),
    );
    let (data, task, title) = match retry.from {
        RetryFrom::Start => (old.data.clone(), 0, None),
        RetryFrom::FailedTask => {
            let attempt = status.attempts.last();
            let tasks = attempt.map(|a| a.tasks.as_slice()).unwrap_or_default();
            let failed = |t: &crate::api::execution::TaskStatus| {
                t.result.as_deref() == Some("fail")
                    || t.status.as_deref() == Some("errored")
                    || t.result.is_none()
            };
            let Some(index) = tasks.iter().position(failed) else {
                return Err(format!(
                    "no task of {name} failed; set spec.control.retry.from to Start to run it again as a whole"
                ));
            };
            let index = i32::try_from(index).unwrap_or_default();
            let title = tasks.get(usize::try_from(index).unwrap_or_default());
            (status.payload.clone(), index, title.map(|t| t.name.clone()))
        }
    };
    let context = context_of(execution);
    let mut run = SequenceExecution::new(
        &names::retry_name(&name, &uid, &retry.id),
        SequenceExecutionSpec {
            context: Some(context.clone()),
            data,
            control: None,
            retry_of: Some(RetryOf {
                name,
                uid,
                task,
                task_name: title,
            }),
            ..old.clone()
        },
    );
    run.metadata.namespace.clone_from(&meta.namespace);
    let mut set = meta.labels.clone().unwrap_or_default();
    set.retain(|key, _| key.starts_with("coxswain.dev/"));
    for (key, value) in [
        (labels::PROJECT, &old.project),
        (labels::STAGE, &old.stage),
        (labels::SERVICE, &old.service),
        (labels::CONTEXT, &context),
    ] {
        set.insert(key.to_owned(), value.clone());
    }
    run.metadata.labels = Some(set);
    Ok(run)
}

/// What is recorded of it.
pub fn seen_to(retry: &Retry, made: &Result<String, String>) -> Retried {
    Retried {
        id: retry.id.clone(),
        execution: made.as_ref().ok().cloned(),
        message: made.as_ref().err().cloned().unwrap_or_default(),
    }
}
