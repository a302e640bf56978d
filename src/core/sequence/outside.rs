//! Tasks of outside executors: what began is matched with what ended, by who says it.

use super::{
    Effect, defaults,
    finish::phases,
    step::{Flow, Machine},
};
use crate::{
    api::{
        SequenceExecution, TaskResult, Timestamp as ApiTime,
        common::Object,
        execution::{ExecutorStatus, TaskStatus},
        taskresult::TaskResultType,
    },
    core::{
        jobs::result::{Outcome, Verdict},
        note::Note,
        payload::merge,
    },
};

impl Machine<'_> {
    pub(super) fn start_outside(&mut self, index: usize) -> Flow {
        let until = self.after(defaults::STARTED);
        if let Some(task) = self.task_mut(index) {
            "Waiting".clone_into(&mut task.state);
            task.deadline = Some(ApiTime(until));
        }
        self.progress_outside(index)
    }

    pub(super) fn progress_outside(&mut self, index: usize) -> Flow {
        let number = self.attempt_number();
        let spec = self.task_spec(index);
        let said: Vec<&TaskResult> = self
            .facts
            .results
            .iter()
            .filter(|r| r.spec.task == spec.name && r.spec.attempt == number)
            .collect();
        let Some(mut task) = self.task_status(index).cloned() else {
            return Flow::Rest;
        };
        let before = task.executors.len();
        for result in &said {
            hear(&mut task.executors, result, self.now);
        }
        let unowned = said.into_iter().filter(|r| !owned_by(r, self.execution));
        let unowned: Vec<_> = unowned.cloned().collect();
        for result in unowned {
            let owned = with_owner(result, self.execution);
            self.first.push(Effect::AdoptResult(Box::new(owned)));
        }
        // The time for the work counts from when it was heard that it began.
        if before == 0 && !task.executors.is_empty() {
            let limit = spec.timeout.unwrap_or(defaults::TASK_TIMEOUT);
            task.deadline = Some(ApiTime(self.after(limit)));
            "Running".clone_into(&mut task.state);
            let who: Vec<_> = task.executors.iter().map(|e| e.source.as_str()).collect();
            let text = format!("{}: {} began", spec.name, who.join(", "));
            self.tell(Note::normal("TaskStarted", text));
        }
        let complete = !task.executors.is_empty() && task.executors.iter().all(|e| e.finished_at.is_some());
        let outcome = complete.then(|| outcome(&task.executors));
        if complete {
            task.executors.iter_mut().for_each(|e| e.data = None);
        }
        let deadline = task.deadline.as_ref().map_or(self.now, |at| at.0);
        let waiting = waiting_for(&task, &spec.name, number);
        if let Some(slot) = self.task_mut(index) {
            *slot = task;
        }
        if let Some(outcome) = outcome {
            return self.finish_task(index, outcome);
        }
        if self.now >= deadline {
            return self.finish_task(index, overdue(&waiting));
        }
        self.rest(phases::RUNNING, "Outside", &waiting);
        self.wait_for("TaskResults".to_owned());
        self.look_again(deadline);
        Flow::Rest
    }
}

fn waiting_for(task: &TaskStatus, name: &str, attempt: i32) -> String {
    let open: Vec<&str> = task
        .executors
        .iter()
        .filter(|e| e.finished_at.is_none())
        .map(|e| e.source.as_str())
        .collect();
    if task.executors.is_empty() {
        format!("{name}: waits for an outside executor's TaskResult of type Started (attempt {attempt})")
    } else {
        format!(
            "{name}: waits for the TaskResult of type Finished of {}",
            open.join(", ")
        )
    }
}

fn overdue(waiting: &str) -> Outcome {
    Outcome::errored("TimedOut", format!("{waiting}, in vain"))
}

/// Takes in what one TaskResult says. What was heard stays, also when the object is deleted.
fn hear(executors: &mut Vec<ExecutorStatus>, result: &TaskResult, now: jiff::Timestamp) {
    let said = &result.spec;
    let at = result.metadata.creation_timestamp.as_ref().map_or(now, |t| t.0);
    let known = executors.iter().position(|e| e.source == said.source);
    let index = known.unwrap_or_else(|| {
        executors.push(ExecutorStatus {
            source: said.source.clone(),
            started_at: Some(ApiTime(at)),
            ..ExecutorStatus::default()
        });
        executors.len() - 1
    });
    let executor = &mut executors[index];
    if said.type_ == TaskResultType::Started || executor.finished_at.is_some() {
        return;
    }
    executor.finished_at = Some(ApiTime(at));
    executor.result = Some(said.result.clone().unwrap_or_else(|| "pass".to_owned()));
    executor.status = Some(said.status.clone().unwrap_or_else(|| "succeeded".to_owned()));
    executor.message = said.message.clone().unwrap_or_default();
    executor.data.clone_from(&said.data);
}

/// All that the executors say together (v1's CompleteCurrentTask): fail if one says fail or something unknown, else
/// warning if one does; errored if one is, or says a status that is none.
fn outcome(executors: &[ExecutorStatus]) -> Outcome {
    let mut data = Object::new();
    let mut outcome = Outcome::default();
    for executor in executors {
        let verdict = match executor.result.as_deref() {
            Some("pass") => Verdict::Pass,
            Some("warning") => Verdict::Warning,
            _ => Verdict::Fail,
        };
        outcome.verdict = outcome.verdict.max(verdict);
        if !matches!(executor.status.as_deref(), Some("succeeded")) {
            outcome.errored = true;
        }
        if let Some(newer) = &executor.data {
            merge(&mut data, newer);
        }
        if !executor.message.is_empty() {
            let part = format!("{}: {}", executor.source, executor.message);
            let joint = if outcome.message.is_empty() { "" } else { "; " };
            outcome.message = format!("{}{joint}{part}", outcome.message);
        }
    }
    if outcome.errored {
        outcome.verdict = Verdict::Fail;
        "Errored".clone_into(&mut outcome.reason);
    } else if outcome.verdict == Verdict::Fail {
        "ReportedFail".clone_into(&mut outcome.reason);
    }
    outcome.data = data;
    outcome
}

fn owned_by(result: &TaskResult, run: &SequenceExecution) -> bool {
    let owners = result.metadata.owner_references.iter().flatten();
    let uid = run.metadata.uid.as_deref().unwrap_or_default();
    owners.into_iter().any(|o| o.uid == uid)
}

/// Its run's end is its own end.
fn with_owner(mut result: TaskResult, run: &SequenceExecution) -> TaskResult {
    let owner = kube::Resource::owner_ref(run, &());
    result
        .metadata
        .owner_references
        .get_or_insert_default()
        .extend(owner);
    result
}
