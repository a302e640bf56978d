//! A Job of the operator's own image finds its place in the run that it works for.

use crate::{
    api::{
        SequenceExecution, Timestamp,
        execution::{JobStatus, TaskStatus},
    },
    core::{
        jobs::matching,
        names::{JobKey, ParseKeyError},
    },
};

/// Where in its run a Job stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Own {
    /// The task, by its index.
    pub index: usize,
    /// When the Job must have ended; the operator deletes it then.
    pub deadline: Option<Timestamp>,
}

/// Why a Job must not answer.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum NotOwn {
    /// The key is none.
    #[error(transparent)]
    Key(#[from] ParseKeyError),
    /// Another run took the name.
    #[error("SequenceExecution {0} is another run than the one that this Job was made for: nothing to do")]
    OtherRun(String),
    /// The run went on without this Job.
    #[error("SequenceExecution {run} is not at task {task} of attempt {attempt} any more: nothing to do")]
    Over {
        /// The run.
        run: String,
        /// The task's index, from 0.
        task: usize,
        /// The attempt.
        attempt: i32,
    },
    /// The Job answers another task than it can.
    #[error(
        "this Job was started for the task {found:?}, and answers only {wanted:?}: correct the event in its JobConfig"
    )]
    OtherTask {
        /// What it was started for.
        found: String,
        /// What it answers.
        wanted: &'static str,
    },
}

/// The place of the Job with this key (`COXSWAIN_KEY`), which answers the task of the name `wanted`.
pub fn find(run: &SequenceExecution, key: &str, wanted: &'static str) -> Result<Own, NotOwn> {
    let key = JobKey::parse(key)?;
    let name = || run.metadata.name.clone().unwrap_or_default();
    if run.metadata.uid.as_deref() != Some(key.execution_uid) {
        return Err(NotOwn::OtherRun(name()));
    }
    let attempt = run.status.as_ref().and_then(|s| s.attempts.last());
    let attempt = attempt.filter(|a| a.number == key.attempt && a.finished_at.is_none());
    let task: Option<&TaskStatus> = attempt.and_then(|a| a.tasks.get(key.task));
    let Some(task) = task.filter(|t| matches!(t.state.as_str(), "Starting" | "Running")) else {
        return Err(NotOwn::Over {
            run: name(),
            task: key.task,
            attempt: key.attempt,
        });
    };
    if task.name != wanted {
        return Err(NotOwn::OtherTask {
            found: task.name.clone(),
            wanted,
        });
    }
    let job = own_job(run, task, &key).and_then(|job| job.deadline.as_ref());
    Ok(Own {
        index: key.task,
        deadline: job.or(task.deadline.as_ref()).cloned(),
    })
}

/// The task's Job with this key: others may run at once, and have deadlines of their own.
fn own_job<'a>(run: &SequenceExecution, task: &'a TaskStatus, key: &JobKey) -> Option<&'a JobStatus> {
    let configs = &run.status.as_ref()?.plan.as_ref()?.job_configs;
    task.jobs.iter().find(|job| {
        let action = matching::recorded(configs, &job.config, job.action);
        action.is_some_and(|m| m.index == key.action) && usize::try_from(job.task) == Ok(key.job)
    })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    fn run() -> SequenceExecution {
        serde_json::from_value(json!({
            "metadata": {"name": "slow-1", "uid": "u1"},
            "spec": {"project": "p", "stage": "s", "service": "v", "sequence": "remediation"},
            "status": {"attempts": [{"number": 2, "tasks": [
                {"name": "get-action", "state": "Starting", "deadline": "2026-01-01T00:00:00.000000Z"},
                {"name": "action", "state": "Pending"},
            ]}]},
        }))
        .unwrap()
    }

    #[test]
    fn a_job_finds_its_task() {
        let own = find(&run(), "u1/2/0/0/0/1", "get-action").unwrap();
        assert_eq!(own.index, 0);
        assert!(own.deadline.is_some());
    }

    #[rstest]
    #[case("u2/2/0/0/0/1", "get-action", "another run")]
    #[case("u1/1/0/0/0/1", "get-action", "not at task 0 of attempt 1")]
    #[case("u1/2/1/0/0/1", "action", "not at task 1 of attempt 2")]
    #[case("u1/2/9/0/0/1", "get-action", "not at task 9 of attempt 2")]
    #[case("u1/2/0/0/0/1", "evaluation", "was started for the task \"get-action\"")]
    #[case("u1/2/0", "get-action", "\"u1/2/0\" is no key of a Job")]
    #[case("u1/2/x/0/0/1", "get-action", "is no key of a Job")]
    fn a_job_that_has_no_place_says_so(#[case] key: &str, #[case] wanted: &'static str, #[case] says: &str) {
        let error = find(&run(), key, wanted).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
}
