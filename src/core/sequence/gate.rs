//! The evaluation task: plan the window, wait for it, ask for a verdict, and never take "could not measure" for "still
//! sick".

use jiff::Timestamp;

use super::{
    Effect,
    asked::{self, Judged},
    defaults,
    finish::phases,
    step::{Flow, Machine},
};
use crate::{
    api::{
        Duration, Evaluation, Timestamp as ApiTime,
        execution::{EvaluationTask, TaskStatus},
    },
    core::{
        evaluation::{self, Reading, window},
        jobs::result::Outcome,
        names,
        note::Note,
    },
};

impl Machine<'_> {
    pub(super) fn start_evaluation(&mut self, index: usize) -> Flow {
        match self.plan_window(index, self.now) {
            Ok(plan) => {
                let first = EvaluationTask {
                    try_: 1,
                    ..EvaluationTask::default()
                };
                self.ask(index, &first, plan)
            }
            Err(message) => self.finish_task(index, Outcome::errored("InvalidWindow", message)),
        }
    }

    fn plan_window(&self, index: usize, at: Timestamp) -> Result<window::WindowPlan, String> {
        asked::plan_window(self.execution, &self.s, index, at)
    }

    /// Records the window and the Evaluation's name; creates it when the window has ended.
    fn ask(&mut self, index: usize, asked: &EvaluationTask, plan: window::WindowPlan) -> Flow {
        let name = self.evaluation_name(index, asked.try_);
        let wait = plan.wait_until;
        if let Some(task) = self.task_mut(index) {
            task.state = if wait.is_some() { "Waiting" } else { "Running" }.to_owned();
            task.wait_until = wait.map(ApiTime);
            task.evaluation = Some(EvaluationTask {
                name,
                window: Some(plan.window.clone()),
                ..asked.clone()
            });
        }
        if let Some(until) = wait {
            let seconds = until.duration_since(plan.window.start.0).as_secs();
            let message = format!(
                "evaluation waits until {until:.0}, for a window of {seconds}s after the last change"
            );
            if let Some(task) = self.task_mut(index) {
                task.message = message;
            }
            return self.wait_until(index, until);
        }
        self.s.message = "evaluation: waits for the verdict".to_owned();
        self.wait_for(format!("Evaluation {}", self.evaluation_name(index, asked.try_)));
        self.create_evaluation(index)
    }

    fn create_evaluation(&mut self, index: usize) -> Flow {
        if let Some(evaluation) = self.evaluation_object(index) {
            self.then.push(Effect::CreateEvaluation(Box::new(evaluation)));
        }
        // The verdict wakes the run; this is for the case that nobody gives one.
        self.look_again(self.after(Duration::from_secs(120)));
        Flow::Rest
    }

    fn evaluation_object(&self, index: usize) -> Option<Evaluation> {
        let asked = self.task_status(index)?.evaluation.clone()?;
        asked::evaluation(self.execution, &self.s, index, &asked.name, asked.window?)
    }

    pub(super) fn progress_evaluation(&mut self, index: usize, task: &TaskStatus) -> Flow {
        if let Some(until) = task.wait_until.as_ref().map(|at| at.0)
            && self.now < until
        {
            return self.wait_until(index, until);
        }
        let Some(asked) = &task.evaluation else {
            return Flow::Rest;
        };
        // A wait after an evaluation that could not measure ends with a new window, which is not planned yet.
        if asked.window.is_none() {
            return match self.plan_window(index, self.now) {
                Ok(plan) => self.ask(index, asked, plan),
                Err(message) => self.finish_task(index, Outcome::errored("InvalidWindow", message)),
            };
        }
        if let Some(message) = self.facts.refused.get(&asked.name) {
            let message = format!("the API server refused Evaluation {}: {message}", asked.name);
            return self.finish_task(index, Outcome::errored("Refused", message));
        }
        let Some(found) = self
            .facts
            .evaluation
            .as_ref()
            .filter(|e| e.metadata.name.as_ref() == Some(&asked.name))
        else {
            return self.create_evaluation(index);
        };
        if found.spec.execution.as_ref().and_then(|e| e.uid.as_ref()) != self.execution.metadata.uid.as_ref()
        {
            let message = format!(
                "an Evaluation named {} exists and is not this run's: delete it",
                asked.name
            );
            return self.finish_task(index, Outcome::errored("NameTaken", message));
        }
        let verdict = found.status.clone().unwrap_or_default();
        match evaluation::read(found.status.as_ref()) {
            Reading::Verdict(..) => {
                let found = found.clone();
                self.take_verdict(index, asked, &found, &verdict)
            }
            Reading::Inconclusive { worth_retrying: true } => {
                self.could_not_measure(index, asked, &verdict.reason, &verdict.message)
            }
            Reading::Inconclusive {
                worth_retrying: false,
            } => {
                self.finish(phases::INCONCLUSIVE, &verdict.reason, &verdict.message);
                Flow::Rest
            }
            Reading::Pending if self.now >= self.patience(asked) => {
                let message = "no verdict was given in time";
                self.could_not_measure(index, asked, "NoVerdict", message)
            }
            Reading::Pending => {
                self.look_again(self.patience(asked));
                Flow::Rest
            }
        }
    }

    /// Until when a verdict is waited for.
    fn patience(&self, asked: &EvaluationTask) -> Timestamp {
        asked.window.as_ref().map_or(self.now, asked::patience)
    }

    fn take_verdict(
        &mut self,
        index: usize,
        asked: &EvaluationTask,
        found: &Evaluation,
        verdict: &crate::api::EvaluationStatus,
    ) -> Flow {
        self.s.score = verdict.score;
        if let Some(attempt) = self.attempt() {
            attempt.score = verdict.score;
        }
        let good_since = asked.good_since.as_ref().map(|at| at.0);
        match asked::judged(self.execution, &self.s, index, found, good_since) {
            Judged::End(outcome) => self.finish_task(index, outcome),
            Judged::Holds {
                since,
                until,
                next,
                told,
            } => {
                let again = EvaluationTask {
                    name: self.evaluation_name(index, asked.try_ + 1),
                    try_: asked.try_ + 1,
                    good_since: Some(ApiTime(since)),
                    hold_until: Some(ApiTime(until)),
                    ..EvaluationTask::default()
                };
                self.evaluate_again(index, again, "MustHold", told, next)
            }
        }
    }

    fn evaluation_name(&self, index: usize, try_: i32) -> String {
        let uid = self.execution.metadata.uid.clone().unwrap_or_default();
        let run = self.execution.metadata.name.clone().unwrap_or_default();
        names::evaluation_name(&run, &uid, self.attempt_number(), index, try_)
    }

    /// Waits until `next`; then the window is planned, and asked for.
    fn evaluate_again(
        &mut self,
        index: usize,
        again: EvaluationTask,
        reason: &str,
        told: String,
        next: Timestamp,
    ) -> Flow {
        if let Some(task) = self.task_mut(index) {
            "Waiting".clone_into(&mut task.state);
            reason.clone_into(&mut task.reason);
            task.message = told;
            task.wait_until = Some(ApiTime(next));
            task.evaluation = Some(again);
        }
        self.wait_until(index, next)
    }

    /// Rests until then, and says what for.
    fn wait_until(&mut self, index: usize, until: Timestamp) -> Flow {
        if let Some(task) = self.task_status(index) {
            let hold = task
                .evaluation
                .as_ref()
                .and_then(|asked| asked.hold_until.as_ref());
            let waits_for = match hold {
                Some(hold) => format!("gate, good until {:.0}", hold.0),
                None => format!("evaluation at {until:.0}"),
            };
            let message = task.message.clone();
            self.s.message = message;
            self.wait_for(waits_for);
        }
        self.look_again(until);
        Flow::Rest
    }

    /// The same attempt evaluates again, without an action; after half an hour the run ends.
    fn could_not_measure(
        &mut self,
        index: usize,
        asked: &EvaluationTask,
        reason: &str,
        message: &str,
    ) -> Flow {
        let since = asked.inconclusive_since.clone().unwrap_or(ApiTime(self.now));
        let limit = since
            .0
            .checked_add(defaults::INCONCLUSIVE.signed())
            .unwrap_or(Timestamp::MAX);
        if self.now >= limit {
            let message = format!(
                "nothing could be measured for {}: {message}",
                defaults::INCONCLUSIVE
            );
            self.finish(phases::INCONCLUSIVE, reason, &message);
            return Flow::Rest;
        }
        let until = self.after(asked::pause(asked.try_)).min(limit);
        let told = format!("could not measure ({message}); asks again at {until:.0}, without another action");
        self.tell(Note::warning("Inconclusive", told.clone()));
        let again = EvaluationTask {
            name: self.evaluation_name(index, asked.try_ + 1),
            try_: asked.try_ + 1,
            window: None,
            inconclusive_since: Some(since),
            ..asked.clone()
        };
        self.evaluate_again(index, again, reason, told, until)
    }
}
