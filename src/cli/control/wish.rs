//! What is asked of a run, as a change of its `spec.control`.

use kube::ResourceExt;
use serde_json::json;

use super::Change;
use crate::{
    api::{
        SequenceExecution,
        execution::{Desired, Retry, RetryFrom, Skip},
    },
    core::{
        definitions::nearest::hint,
        sequence::{defaults, retry},
    },
};

/// What is asked of a run.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Wish {
    /// Stop after the current task.
    Pause,
    /// Go on.
    Resume,
    /// Stop at once.
    Abort,
    /// Run it again, now that it has ended.
    Retry {
        /// Names the wish, so that it counts once.
        id: String,
        /// From where.
        from: RetryFrom,
    },
    /// A task counts as passed.
    Skip {
        /// The task; the current one where none is named.
        task: Option<String>,
        /// Why.
        reason: String,
        /// Who says so.
        by: String,
    },
}

/// What is to be written for it. The error says why it can't be, and what to do instead.
pub fn decide(run: &SequenceExecution, wish: &Wish, program: &str) -> Result<Change, String> {
    let seen = Seen::of(run, program);
    match wish {
        Wish::Pause => seen.pause(),
        Wish::Resume => seen.resume(),
        Wish::Abort => seen.abort(),
        Wish::Retry { id, from } => seen.retry(id, *from),
        Wish::Skip { task, reason, by } => seen.skip(task.as_deref(), reason, by),
    }
}

struct Seen<'a> {
    run: &'a SequenceExecution,
    name: String,
    phase: String,
    done: bool,
    desired: Desired,
    program: &'a str,
}

fn so_already(says: String) -> Change {
    Change { patch: None, says }
}

impl<'a> Seen<'a> {
    fn of(run: &'a SequenceExecution, program: &'a str) -> Self {
        let status = run.status.as_ref();
        let phase = status.map(|s| s.phase.clone()).filter(|p| !p.is_empty());
        Self {
            run,
            name: run.name_any(),
            phase: phase.unwrap_or_else(|| "Pending".to_owned()),
            done: status.is_some_and(|s| s.done),
            desired: run.spec.control.as_ref().map(|c| c.desired).unwrap_or_default(),
            program,
        }
    }

    fn ended(&self) -> String {
        let Self {
            name, phase, program, ..
        } = self;
        format!(
            "{name} has ended ({phase}), so there is nothing to do to it; to run it again: {program} retry {name}"
        )
    }

    fn set(desired: &str, says: String) -> Change {
        let patch = Some(json!({"spec": {"control": {"desired": desired}}}));
        Change { patch, says }
    }

    fn pause(&self) -> Result<Change, String> {
        let (name, program) = (&self.name, self.program);
        match self.desired {
            _ if self.done => Err(self.ended()),
            Desired::Abort => Err(format!("{name} is being aborted, which can't be taken back")),
            Desired::Pause => Ok(so_already(format!(
                "{name} is paused already; to go on: {program} resume {name}"
            ))),
            Desired::Run => Ok(Self::set(
                "Pause",
                format!(
                    "{name} pauses after its current task, and is aborted after {}; to go on: {program} resume {name}",
                    defaults::PAUSED
                ),
            )),
        }
    }

    fn resume(&self) -> Result<Change, String> {
        let (name, program) = (&self.name, self.program);
        match self.desired {
            _ if self.done => Err(self.ended()),
            Desired::Abort => Err(format!("{name} is being aborted, which can't be taken back")),
            Desired::Run => Ok(so_already(format!(
                "{name} is not paused ({}); see {program} explain {name}",
                self.phase
            ))),
            Desired::Pause => Ok(Self::set(
                "Run",
                format!(
                    "{name} goes on with its next task, behind whoever has the service now; {program} watch {name}"
                ),
            )),
        }
    }

    fn abort(&self) -> Result<Change, String> {
        let (name, program) = (&self.name, self.program);
        match self.desired {
            _ if self.done && self.phase == "Aborted" => Ok(so_already(format!("{name} is aborted already"))),
            _ if self.done => Err(self.ended()),
            Desired::Abort => Ok(so_already(format!(
                "{name} is being aborted already; {program} watch {name}"
            ))),
            Desired::Run | Desired::Pause => Ok(Self::set(
                "Abort",
                format!(
                    "{name} is aborted: its Jobs are deleted, and nothing follows it; {program} watch {name}"
                ),
            )),
        }
    }

    fn retry(&self, id: &str, from: RetryFrom) -> Result<Change, String> {
        let Self {
            run, name, program, ..
        } = self;
        if !self.done {
            return Err(format!(
                "{name} has not ended ({}), and only what has ended can be run again; wait ({program} watch {name}), or \
                 {program} abort {name}",
                self.phase
            ));
        }
        let seen = run
            .status
            .as_ref()
            .and_then(|s| s.retried.as_ref())
            .filter(|r| r.id == id);
        if let Some(seen) = seen {
            return match &seen.execution {
                Some(again) => Ok(so_already(format!(
                    "{name} was run again as {again} already; {program} watch {again}"
                ))),
                None => Err(format!("{name} was not run again: {}", seen.message)),
            };
        }
        if let Some(asked) = retry::wanted(run) {
            let again = retry::run_of(run, asked)?.name_any();
            return Ok(so_already(format!(
                "{name} is being run again as {again} already; {program} watch {again}"
            )));
        }
        let wanted = Retry {
            id: id.to_owned(),
            from,
        };
        // What the operator would refuse is told now.
        let again = retry::run_of(run, &wanted)
            .map_err(|message| {
                message.replace(
                    "set spec.control.retry.from to Start",
                    &format!("use {program} retry {name} --from start"),
                )
            })?
            .name_any();
        Ok(Change {
            patch: Some(json!({"spec": {"control": {"retry": wanted}}})),
            says: format!("{name} is run again as {again}; {program} watch {again}"),
        })
    }

    fn skip(&self, task: Option<&str>, reason: &str, by: &str) -> Result<Change, String> {
        let (name, program) = (&self.name, self.program);
        if self.done {
            return Err(self.ended());
        }
        let status = self.run.status.clone().unwrap_or_default();
        let Some(attempt) = status.attempts.last().filter(|a| a.finished_at.is_none()) else {
            return Err(format!(
                "{name} runs no attempt now ({}), so there is no task to skip; see {program} explain {name}",
                self.phase
            ));
        };
        let open = |state: &str| !matches!(state, "Done" | "Skipped" | "Lost");
        let mut left = attempt.tasks.iter().filter(|t| open(&t.state));
        let task = match task {
            None => match left.next() {
                Some(current) => current.name.clone(),
                None => {
                    return Err(format!(
                        "all tasks of {name}'s attempt have ended; see {program} explain {name}"
                    ));
                }
            },
            Some(named) if left.any(|t| t.name == named) => named.to_owned(),
            Some(named) => {
                let ended = attempt.tasks.iter().find(|t| t.name == named);
                let names = attempt
                    .tasks
                    .iter()
                    .filter(|t| open(&t.state))
                    .map(|t| t.name.as_str());
                return Err(match ended {
                    Some(ended) => format!(
                        "{named} has ended already ({}); skipping it changes nothing",
                        ended.state
                    ),
                    None => format!("{name} has no task {named:?} ahead of it{}", hint(named, names)),
                });
            }
        };
        let mut skips = self
            .run
            .spec
            .control
            .as_ref()
            .map(|c| c.skip.clone())
            .unwrap_or_default();
        if let Some(earlier) = skips
            .iter()
            .find(|s| s.attempt == attempt.number && s.task == task)
        {
            return Ok(so_already(format!(
                "{task} is skipped already, by {}: {}",
                earlier.by, earlier.reason
            )));
        }
        skips.push(Skip {
            attempt: attempt.number,
            task: task.clone(),
            reason: reason.to_owned(),
            by: by.to_owned(),
        });
        Ok(Change {
            patch: Some(json!({"spec": {"control": {"skip": skips}}})),
            says: format!(
                "{task} of attempt {} counts as passed, in the name of {by}; {program} watch {name}",
                attempt.number
            ),
        })
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::Value;

    use super::*;

    fn run(control: Value, status: Value) -> SequenceExecution {
        serde_json::from_value(json!({
            "metadata": {"name": "r", "uid": "u"},
            "spec": {"project": "shop", "stage": "qa", "service": "cart", "sequence": "delivery", "control": control},
            "status": status,
        }))
        .unwrap()
    }

    fn live() -> Value {
        json!({"phase": "Running", "attempts": [{"number": 2, "tasks": [
            {"name": "deploy", "state": "Done", "result": "pass"}, {"name": "je-test", "state": "Running"},
            {"name": "evaluation", "state": "Pending"}]}]})
    }

    fn ended() -> Value {
        json!({"phase": "Failed", "done": true, "attempts": [{"number": 1, "tasks": [
            {"name": "deploy", "state": "Done", "result": "fail"}]}]})
    }

    fn told(control: Value, status: Value, wish: &Wish) -> (Option<Value>, String) {
        match decide(&run(control, status), wish, "coxswain") {
            Ok(change) => (change.patch, change.says),
            Err(refused) => (None, format!("no: {refused}")),
        }
    }

    #[rstest]
    #[case::pause(Wish::Pause, json!(null), live(), Some("Pause"), "r pauses after its current task")]
    #[case::paused(Wish::Pause, json!({"desired": "Pause"}), live(), None, "r is paused already")]
    #[case::pause_aborted(Wish::Pause, json!({"desired": "Abort"}), live(), None, "no: r is being aborted")]
    #[case::pause_ended(Wish::Pause, json!(null), ended(), None, "no: r has ended (Failed)")]
    #[case::resume(Wish::Resume, json!({"desired": "Pause"}), live(), Some("Run"), "r goes on")]
    #[case::resumed(Wish::Resume, json!(null), live(), None, "r is not paused (Running)")]
    #[case::resume_aborted(Wish::Resume, json!({"desired": "Abort"}), live(), None, "no: r is being aborted")]
    #[case::abort(Wish::Abort, json!({"desired": "Pause"}), live(), Some("Abort"), "r is aborted")]
    #[case::aborting(Wish::Abort, json!({"desired": "Abort"}), live(), None, "r is being aborted already")]
    #[case::aborted(Wish::Abort, json!(null), json!({"phase": "Aborted", "done": true}), None, "r is aborted already")]
    #[case::abort_ended(Wish::Abort, json!(null), ended(), None, "no: r has ended (Failed)")]
    #[case::unseen(Wish::Abort, json!(null), json!(null), Some("Abort"), "r is aborted")]
    fn levels(
        #[case] wish: Wish,
        #[case] control: Value,
        #[case] status: Value,
        #[case] desired: Option<&str>,
        #[case] says: &str,
    ) {
        let (patch, said) = told(control, status, &wish);
        assert_eq!(
            patch,
            desired.map(|d| json!({"spec": {"control": {"desired": d}}}))
        );
        assert!(said.starts_with(says), "{said}");
    }

    fn again(from: RetryFrom) -> Wish {
        Wish::Retry {
            id: "1".to_owned(),
            from,
        }
    }

    #[test]
    fn a_retry_names_the_run_that_comes_of_it() {
        let (patch, said) = told(json!(null), ended(), &again(RetryFrom::FailedTask));
        assert_eq!(
            patch,
            Some(json!({"spec": {"control": {"retry": {"id": "1", "from": "FailedTask"}}}}))
        );
        assert!(said.starts_with("r is run again as r-"), "{said}");
    }

    #[rstest]
    #[case::live(json!(null), live(), RetryFrom::Start, "no: r has not ended (Running)")]
    #[case::asked(json!({"retry": {"id": "0"}}), ended(), RetryFrom::Start, "r is being run again as r-")]
    #[case::good(json!(null), json!({"phase": "Succeeded", "done": true, "attempts": [{"number": 1, "tasks": [
        {"name": "deploy", "state": "Done", "result": "pass"}]}]}), RetryFrom::FailedTask,
        "no: no task of r failed; use coxswain retry r --from start")]
    #[case::seen(json!({"retry": {"id": "1"}}), json!({"phase": "Failed", "done": true,
        "retried": {"id": "1", "execution": "r-x"}}), RetryFrom::Start, "r was run again as r-x already")]
    #[case::refused(json!({"retry": {"id": "1"}}), json!({"phase": "Failed", "done": true,
        "retried": {"id": "1", "message": "why"}}), RetryFrom::Start, "no: r was not run again: why")]
    fn retries_that_write_nothing(
        #[case] control: Value,
        #[case] status: Value,
        #[case] from: RetryFrom,
        #[case] says: &str,
    ) {
        let (patch, said) = told(control, status, &again(from));
        assert_eq!(patch, None);
        assert!(said.starts_with(says), "{said}");
    }

    fn skip(task: Option<&str>) -> Wish {
        Wish::Skip {
            task: task.map(str::to_owned),
            reason: "by hand".to_owned(),
            by: "jane".to_owned(),
        }
    }

    #[test]
    fn a_skip_is_added_to_those_before() {
        let control = json!({"skip": [{"attempt": 1, "task": "je-test", "reason": "x", "by": "joe"}]});
        let (patch, said) = told(control, live(), &skip(None));
        let skips = &patch.unwrap()["spec"]["control"]["skip"];
        assert_eq!(skips[0]["by"], "joe");
        assert_eq!(
            skips[1],
            json!({"attempt": 2, "task": "je-test", "reason": "by hand", "by": "jane"})
        );
        assert!(
            said.starts_with("je-test of attempt 2 counts as passed"),
            "{said}"
        );
    }

    #[rstest]
    #[case::done(json!(null), Some("deploy"), "no: deploy has ended already")]
    #[case::unknown(json!(null), Some("je-tset"), "no: r has no task \"je-tset\" ahead of it; did you mean \"je-test\"?")]
    #[case::twice(json!({"skip": [{"attempt": 2, "task": "je-test", "reason": "x", "by": "joe"}]}), None,
        "je-test is skipped already, by joe: x")]
    fn skips_that_write_nothing(#[case] control: Value, #[case] task: Option<&str>, #[case] says: &str) {
        let (patch, said) = told(control, live(), &skip(task));
        assert_eq!(patch, None);
        assert!(said.starts_with(says), "{said}");
    }
}
