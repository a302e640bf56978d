//! A run as a tree of attempts and tasks, for people.

use std::fmt::Write as _;

use jiff::Timestamp;

use super::paint::{BOLD, DIM, GREEN, RED, YELLOW, number, phase_colour, result_colour, seconds};
use crate::api::{
    SequenceExecution, SequenceExecutionStatus, Timestamp as ApiTime,
    execution::{AttemptStatus, JobStatus, TaskStatus},
};

/// How a tree is drawn.
#[derive(Clone, Copy, Debug, Default)]
pub struct Style {
    /// With ANSI colours.
    pub colour: bool,
    /// As wide as the terminal, in characters; longer lines are cut. 0: as long as they are.
    pub width: usize,
}

/// The tree as it stands at `now`.
pub fn render(run: &SequenceExecution, now: Timestamp, style: Style) -> String {
    let empty = SequenceExecutionStatus::default();
    let status = run.status.as_ref().unwrap_or(&empty);
    let spec = &run.spec;
    let took = span(status.started_at.as_ref(), status.finished_at.as_ref(), now);
    let (phase, message) = headline(status);
    let mut out = String::new();
    line(
        &mut out,
        style,
        &[
            (
                BOLD,
                &format!(
                    "{}/{}/{} {}",
                    spec.project, spec.stage, spec.service, spec.sequence
                ),
            ),
            (phase_colour(phase), &format!("  {phase}")),
            (DIM, &format!("  {took}{}", progress(status))),
        ],
    );
    for earlier in &status.earlier_attempts {
        line(&mut out, style, &[(DIM, &format!("├─ attempt {earlier}"))]);
    }
    let waits = status.next_attempt_at.as_ref().filter(|_| !status.done);
    for (index, attempt) in status.attempts.iter().enumerate() {
        let last = index + 1 == status.attempts.len() && waits.is_none();
        attempt_lines(&mut out, attempt, last, now, style);
    }
    if let Some(at) = waits {
        let left = seconds(at.0.duration_since(now).as_secs().max(0));
        let number = status.attempt.unwrap_or(0) + 1;
        line(
            &mut out,
            style,
            &[(DIM, &format!("└─ attempt {number} starts in {left}"))],
        );
    }
    line(
        &mut out,
        style,
        &[(phase_colour(phase), &format!("{phase}: {message}"))],
    );
    out
}

/// How far the attempt is: `, task 2 of 4`; nothing when no attempt goes on.
fn progress(status: &SequenceExecutionStatus) -> String {
    let attempt = status
        .attempts
        .last()
        .filter(|a| !status.done && a.finished_at.is_none());
    let Some(attempt) = attempt else {
        return String::new();
    };
    let ended = |t: &&TaskStatus| matches!(t.state.as_str(), "Done" | "Skipped" | "Lost");
    let at = attempt.tasks.iter().filter(ended).count() + 1;
    let all = attempt.tasks.len();
    format!(", task {} of {all}", at.min(all))
}

/// The phase, and what is going on, in a sentence.
pub fn headline(status: &SequenceExecutionStatus) -> (&str, &str) {
    if status.phase.is_empty() {
        ("Pending", "waits for the operator")
    } else {
        (&status.phase, &status.message)
    }
}

fn attempt_lines(out: &mut String, attempt: &AttemptStatus, last: bool, now: Timestamp, style: Style) {
    let (branch, stem) = if last {
        ("└─", "  ")
    } else {
        ("├─", "│ ")
    };
    let result = attempt.result.as_deref().unwrap_or("");
    let score = attempt
        .score
        .map(|s| format!("  score {}", number(s)))
        .unwrap_or_default();
    line(
        out,
        style,
        &[
            (
                "",
                &format!(
                    "{branch} attempt {}  {:<20}",
                    attempt.number,
                    attempt.action.as_deref().unwrap_or("")
                ),
            ),
            (result_colour(result), &format!("  {result}")),
            ("", &score),
            (
                DIM,
                &format!(
                    "  {}",
                    span(attempt.started_at.as_ref(), attempt.finished_at.as_ref(), now)
                ),
            ),
        ],
    );
    let widest = attempt
        .tasks
        .iter()
        .map(|t| t.name.chars().count())
        .max()
        .unwrap_or(0);
    for (index, task) in attempt.tasks.iter().enumerate() {
        let twig = if index + 1 == attempt.tasks.len() {
            "└─"
        } else {
            "├─"
        };
        let (mark, colour) = mark(task);
        line(
            out,
            style,
            &[
                ("", &format!("{stem} {twig} ")),
                (colour, mark),
                ("", &format!(" {:<widest$}", task.name)),
                (DIM, &format!("  {:>6}", task_span(task, now))),
                ("", &format!("  {}", detail(task, now))),
                (DIM, &left(task, now)),
            ],
        );
    }
}

fn mark(task: &TaskStatus) -> (&'static str, &'static str) {
    match (task.state.as_str(), task.result.as_deref()) {
        ("Skipped", _) => ("-", DIM),
        ("Pending" | "", _) => ("·", DIM),
        ("Done", Some("pass")) => ("✔", GREEN),
        ("Done", Some("warning")) => ("!", YELLOW),
        ("Done" | "Lost", _) => ("✘", RED),
        _ => ("●", YELLOW),
    }
}

/// How long a task that runs or waits for an answer still may.
fn left(task: &TaskStatus, now: Timestamp) -> String {
    let until = match (&task.approval, &task.wait_until) {
        (Some(_), Some(until)) => Some(until),
        _ => task.deadline.as_ref(),
    };
    let live = matches!(task.state.as_str(), "Starting" | "Running" | "Waiting");
    match until.filter(|until| live && until.0 > now) {
        Some(until) => format!(" ({} left)", seconds(until.0.duration_since(now).as_secs())),
        None => String::new(),
    }
}

fn detail(task: &TaskStatus, now: Timestamp) -> String {
    if let (Some(question), "Waiting") = (&task.approval, task.state.as_str()) {
        return format!("waits for an answer to {}", question.name);
    }
    if task.state == "Waiting"
        && task.jobs.is_empty()
        && let Some(until) = &task.wait_until
    {
        // What comes after the wait is not written until it is there.
        let left = until.0.duration_since(now).as_secs();
        return match task.evaluation {
            _ if left > 0 => format!("waits {} more", seconds(left)),
            Some(_) => "waits for the verdict".to_owned(),
            None => task.message.clone(),
        };
    }
    let live: Vec<_> = task
        .jobs
        .iter()
        .filter(|j| matches!(j.state.as_str(), "Starting" | "Running"))
        .collect();
    if task.message.is_empty() && task.finished_at.is_none() && live.len() > 1 {
        return at_once(&live, task.jobs.len());
    }
    let job = task
        .jobs
        .iter()
        .rev()
        .find(|j| !j.name.is_empty())
        .map(|j| format!("Job {}", j.name));
    match (&job, task.message.is_empty(), task.state.as_str()) {
        (_, false, _) => task.message.clone(),
        (Some(job), true, "Starting") => format!("{job} starts"),
        (Some(job), true, "Running") => format!("{job} runs"),
        (Some(job), true, _) => job.clone(),
        (None, true, _) => String::new(),
    }
}

/// Jobs that run at once, by their titles: the names of several would not fit a line.
fn at_once(live: &[&JobStatus], of: usize) -> String {
    let verb = |j: &JobStatus| if j.state == "Running" { "runs" } else { "starts" };
    let each: Vec<_> = live.iter().map(|j| format!("{} {}", j.title, verb(j))).collect();
    format!("{} of {of} Jobs: {}", live.len(), each.join(", "))
}

fn task_span(task: &TaskStatus, now: Timestamp) -> String {
    match &task.started_at {
        Some(_) if task.state != "Pending" => span(task.started_at.as_ref(), task.finished_at.as_ref(), now),
        _ => String::new(),
    }
}

fn span(from: Option<&ApiTime>, to: Option<&ApiTime>, now: Timestamp) -> String {
    let Some(from) = from else { return String::new() };
    seconds(to.map_or(now, |t| t.0).duration_since(from.0).as_secs().max(0))
}

fn line(out: &mut String, style: Style, parts: &[(&str, &str)]) {
    let mut room = if style.width == 0 { usize::MAX } else { style.width };
    let mut text = String::new();
    for (colour, part) in parts {
        let shown: String = part.chars().filter(|c| !c.is_control()).take(room).collect();
        room -= shown.chars().count();
        if style.colour && !colour.is_empty() && !shown.trim().is_empty() {
            let _ = write!(text, "\x1b[{colour}m{shown}\x1b[0m");
        } else {
            text.push_str(&shown);
        }
    }
    out.push_str(text.trim_end());
    out.push('\n');
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn run() -> SequenceExecution {
        serde_json::from_value(json!({
            "metadata": {"name": "slow-1", "namespace": "fulltour"},
            "spec": {"project": "fulltour", "stage": "production", "service": "helloservice", "sequence": "remediation"},
            "status": {
                "phase": "Running", "attempt": 2, "message": "je-test: Job helloservice-je-test-b runs",
                "startedAt": "2027-01-15T08:00:00.000000Z",
                "attempts": [
                    {"number": 1, "action": "scale to 2", "result": "fail", "score": 33.333_333,
                     "startedAt": "2027-01-15T08:00:00.000000Z", "finishedAt": "2027-01-15T08:01:12.000000Z",
                     "tasks": [
                        {"name": "get-action", "state": "Done", "result": "pass", "message": "scale = 2 (action 1 of 2)",
                         "startedAt": "2027-01-15T08:00:00.000000Z", "finishedAt": "2027-01-15T08:00:00.000000Z"},
                        {"name": "evaluation", "state": "Done", "result": "fail", "message": "fail: 33.3 of 100",
                         "startedAt": "2027-01-15T08:00:10.000000Z", "finishedAt": "2027-01-15T08:01:12.000000Z"},
                     ]},
                    {"number": 2, "action": "scale to 4", "startedAt": "2027-01-15T08:01:42.000000Z",
                     "tasks": [
                        {"name": "get-action", "state": "Done", "result": "pass", "message": "scale = 4 (action 2 of 2)",
                         "startedAt": "2027-01-15T08:01:42.000000Z", "finishedAt": "2027-01-15T08:01:42.000000Z"},
                        {"name": "je-test", "state": "Running", "startedAt": "2027-01-15T08:01:46.000000Z",
                         "deadline": "2027-01-15T08:11:46.000000Z",
                         "jobs": [{"name": "helloservice-je-test-b", "config": "c", "action": 0, "task": 0, "try": 1, "state": "Running"}]},
                        {"name": "evaluation", "state": "Pending"},
                     ]},
                ],
            },
        }))
        .unwrap()
    }

    #[test]
    fn a_tree_tells_the_run() {
        let now = "2027-01-15T08:01:58Z".parse().unwrap();
        insta::assert_snapshot!(render(&run(), now, Style::default()), @r"
        fulltour/production/helloservice remediation  Running  1m58s, task 2 of 3
        ├─ attempt 1  scale to 2            fail  score 33.3  1m12s
        │  ├─ ✔ get-action      0s  scale = 2 (action 1 of 2)
        │  └─ ✘ evaluation   1m02s  fail: 33.3 of 100
        └─ attempt 2  scale to 4              16s
           ├─ ✔ get-action      0s  scale = 4 (action 2 of 2)
           ├─ ● je-test        12s  Job helloservice-je-test-b runs (9m48s left)
           └─ · evaluation
        Running: je-test: Job helloservice-je-test-b runs
        ");
    }

    #[test]
    fn jobs_that_run_at_once_are_told_by_their_titles() {
        let mut run = run();
        let job = |title: &str, state: &str| {
            json!({"name": format!("helloservice-je-test-{title}"), "title": title, "config": "c", "action": 0, "task": 0,
                   "try": 1, "state": state})
        };
        let jobs = json!([
            job("load", "Running"),
            job("smoke", "Done"),
            job("soak", "Starting")
        ]);
        run.status.as_mut().unwrap().attempts[1].tasks[1].jobs = serde_json::from_value(jobs).unwrap();
        let drawn = render(&run, "2027-01-15T08:01:58Z".parse().unwrap(), Style::default());
        assert!(
            drawn.contains("● je-test        12s  2 of 3 Jobs: load runs, soak starts (9m48s left)\n"),
            "{drawn}"
        );
    }

    #[test]
    fn a_question_says_how_long_it_waits() {
        let mut run = run();
        let asked = json!({"name": "approval", "state": "Waiting", "approval": {"name": "q"},
            "waitUntil": "2027-01-15T10:01:58.000000Z"});
        run.status.as_mut().unwrap().attempts[1].tasks[1] = serde_json::from_value(asked).unwrap();
        let drawn = render(&run, "2027-01-15T08:01:58Z".parse().unwrap(), Style::default());
        assert!(
            drawn.contains("waits for an answer to q (2h00m left)\n"),
            "{drawn}"
        );
    }

    #[test]
    fn lines_are_cut_at_the_terminals_width_and_never_carry_control_characters() {
        let mut run = run();
        run.status.as_mut().unwrap().message = "\x1b[31mred\nnext".into();
        let drawn = render(
            &run,
            Timestamp::now(),
            Style {
                colour: false,
                width: 40,
            },
        );
        assert!(drawn.lines().all(|l| l.chars().count() <= 40), "{drawn}");
        assert!(!drawn.contains('\x1b'), "{drawn}");
    }
}
