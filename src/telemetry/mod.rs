//! What the operator tells of itself in numbers: `/metrics`.
//!
//! Every metric is defined once, here or in [`live`], and listed in `docs/metrics.md` from the same definition. Counters
//! count what a written status changed ([`changes`]), so that neither a restart nor a repeated reconciliation counts
//! twice; gauges are read from the caches when somebody asks. No label holds a name or uid of a single run, and whatever
//! users write, a family has a bounded number of series ([`family`]).

pub mod changes;
pub mod family;
pub mod labels;
mod live;
mod process;

use std::{fmt::Write as _, sync::Arc, time::Duration};

use prometheus_client::{metrics::counter::Counter, registry::Registry};

pub use family::Described;
use family::{Catalogue, Counters, Histograms, Value};
use labels::{
    Attempt, Controller, Failure, Gate, Healing, Outcome, ProblemEnd, Request, Route, Run, RunEnd, RunKind,
    Task, Verb, Verdict, Write,
};
pub use live::Live;

use crate::api::{Evaluation, ProblemEvent, SequenceExecution, SequenceExecutionStatus};
use changes::Change;

/// The type of what [`Telemetry::text`] writes.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

const MINUTES: &[f64] = &[
    1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1200.0, 1800.0, 3600.0,
];
const HOURS: &[f64] = &[
    10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1200.0, 1800.0, 3600.0, 10_800.0, 86_400.0,
];
const HEALING: &[f64] = &[
    10.0, 30.0, 60.0, 120.0, 180.0, 300.0, 450.0, 600.0, 900.0, 1200.0, 1800.0, 3600.0,
];
const ATTEMPTS: &[f64] = &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 20.0];
const SCORES: &[f64] = &[
    0.0, 10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 70.0, 75.0, 80.0, 85.0, 90.0, 95.0, 100.0,
];
const REQUESTS: &[f64] = &[
    0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

/// The operator's metrics.
#[derive(Debug)]
pub struct Telemetry {
    /// Where the gauges are read from.
    pub live: Arc<Live>,
    registry: Registry,
    described: Vec<Described>,
    began: Counters<Run>,
    ended: Counters<RunEnd>,
    runs: Histograms<RunKind>,
    tasks: Histograms<Task>,
    attempts: Counters<Attempt>,
    attempts_until_healed: Histograms<Healing>,
    time_to_heal: Histograms<Healing>,
    problems: Counters<ProblemEnd>,
    verdicts: Counters<Verdict>,
    scores: Histograms<Gate>,
    queries: Histograms<Outcome>,
    requests: Counters<Request>,
    request_times: Histograms<Route>,
    alerts: Counters<Outcome>,
    writes: Counters<Write>,
    write_times: Histograms<Verb>,
    reconciliations: Histograms<Controller>,
    failures: Counters<Failure>,
    events_dropped: Counter,
    letters: Counters<Outcome>,
}

impl Default for Telemetry {
    fn default() -> Self {
        Self::new()
    }
}

impl Telemetry {
    /// Everything at zero.
    pub fn new() -> Self {
        let mut all = Catalogue::new();
        let live = Arc::new(Live::default());
        all.registry.register_collector(Box::new(live.clone()));
        all.described.extend(live::described());
        Self {
            began: all.counters("coxswain_executions_started_total", "Runs that began"),
            ended: all.counters(
                "coxswain_executions_ended_total",
                "Runs that ended, by the phase in which they did",
            ),
            runs: all.histograms(
                "coxswain_execution_duration_seconds",
                "From a run's first task to its end",
                HOURS,
            ),
            tasks: all.histograms(
                "coxswain_task_duration_seconds",
                "From a task's start to its end",
                MINUTES,
            ),
            attempts: all.counters(
                "coxswain_remediation_attempts_total",
                "Attempts that ran an action against a problem, by what came of it",
            ),
            attempts_until_healed: all.histograms(
                "coxswain_attempts_until_healed",
                "The attempt in which a run with actions succeeded",
                ATTEMPTS,
            ),
            time_to_heal: all.histograms(
                "coxswain_time_to_heal_seconds",
                "From a problem's becoming known to its phase Healed",
                HEALING,
            ),
            problems: all.counters(
                "coxswain_problems_closed_total",
                "Problems that were closed, by the phase in which they were",
            ),
            verdicts: all.counters(
                "coxswain_evaluations_total",
                "Verdicts of quality gates; inconclusive where the gate could not measure",
            ),
            scores: all.histograms("coxswain_gate_score", "Scores of quality gates, 0 to 100", SCORES),
            queries: all.histograms(
                "coxswain_gate_query_duration_seconds",
                "From a gate's question to its provider to the answer",
                REQUESTS,
            ),
            requests: all.counters(
                "coxswain_http_requests_total",
                "Requests with events and alerts, by what came of them",
            ),
            request_times: all.histograms(
                "coxswain_http_request_duration_seconds",
                "From the head of a request with events or alerts to the answer",
                REQUESTS,
            ),
            alerts: all.counters(
                "coxswain_alerts_total",
                "Alerts that came in, by whether they map to a problem",
            ),
            writes: all.counters(
                "coxswain_api_writes_total",
                "Writes to the API server, by what came of them",
            ),
            write_times: all.histograms(
                "coxswain_api_write_duration_seconds",
                "From a write to the API server's answer",
                REQUESTS,
            ),
            reconciliations: all.histograms(
                "coxswain_reconcile_duration_seconds",
                "How long one look at an object took, by its kind",
                REQUESTS,
            ),
            failures: all.counters(
                "coxswain_reconcile_errors_total",
                "Looks at an object that failed and are repeated, by what failed: read, write, or a bug",
            ),
            events_dropped: all.counter(
                "coxswain_events_dropped_total",
                "Kubernetes Events that found no room in the queue, or that the API server did not take",
            ),
            letters: all.counters(
                "coxswain_sink_letters_total",
                "What was sent to EventSinks, by what came of it",
            ),
            registry: all.registry,
            described: all.described,
            live,
        }
    }

    /// Every metric there is, by its name.
    pub fn described(&self) -> Vec<Described> {
        let mut all = self.described.clone();
        all.sort_by_key(|d| d.name);
        all
    }

    /// Everything that can be told now, in the text format of OpenMetrics.
    ///
    /// # Errors
    /// None that a `String` could bring about.
    pub fn text(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::with_capacity(16 * 1024);
        prometheus_client::encoding::text::encode(&mut text, &self.registry)?;
        Ok(text)
    }

    /// A run's new status was written in place of this one.
    pub fn run_written(&self, run: &SequenceExecution, before: &SequenceExecutionStatus) {
        self.count(&changes::of_run(run, before));
    }

    /// A problem's new status was written.
    pub fn problem_written(&self, problem: &ProblemEvent, closed_before: bool) {
        self.count(&changes::of_problem(problem, closed_before));
    }

    /// A gate's verdict was written.
    pub fn verdict_written(&self, evaluation: &Evaluation) {
        self.count(&changes::of_verdict(evaluation));
    }

    fn count(&self, changes: &[Change]) {
        for change in changes {
            match change {
                Change::Began(run) => drop(self.began.at(run).inc()),
                Change::Ended(run) => drop(self.ended.at(run).inc()),
                Change::RunTook(kind, seconds) => self.runs.at(kind).observe(*seconds),
                Change::TaskTook(task, seconds) => self.tasks.at(task).observe(*seconds),
                Change::Attempted(attempt) => drop(self.attempts.at(attempt).inc()),
                Change::HealedAfter(of, attempts) => {
                    self.attempts_until_healed.at(of).observe(f64::from(*attempts));
                }
                Change::Closed(problem) => drop(self.problems.at(problem).inc()),
                Change::HealedIn(of, seconds) => self.time_to_heal.at(of).observe(*seconds),
                Change::Judged(verdict) => drop(self.verdicts.at(verdict).inc()),
                Change::Scored(gate, score) => self.scores.at(gate).observe(*score),
            }
        }
    }

    /// One look at an object took so long. `failed` is what failed: `read`, `write` or `bug`.
    pub fn reconciled(&self, kind: Value, took: Duration, failed: Option<&'static str>) {
        let of = Controller { kind: kind.clone() };
        self.reconciliations.at(&of).observe(took.as_secs_f64());
        if let Some(reason) = failed.map(Value::Borrowed) {
            self.failures.at(&Failure { kind, reason }).inc();
        }
    }

    /// The API server was asked to write something, and answered after so long.
    pub fn written(&self, verb: &'static str, kind: Value, outcome: &'static str, took: Duration) {
        let (verb, outcome) = (Value::Borrowed(verb), Value::Borrowed(outcome));
        let of = Verb { verb: verb.clone() };
        self.write_times.at(&of).observe(took.as_secs_f64());
        self.writes.at(&Write { verb, kind, outcome }).inc();
    }

    /// A Kubernetes Event was not told.
    pub fn event_dropped(&self) {
        self.events_dropped.inc();
    }

    /// Something was sent to an EventSink: `delivered`, `unavailable` (it is sent again) or `undelivered`.
    pub fn letter(&self, outcome: &'static str) {
        let of = Outcome {
            outcome: Value::Borrowed(outcome),
        };
        self.letters.at(&of).inc();
    }

    /// A request to the server was answered with this status after so long.
    pub fn answered(&self, route: &'static str, code: u16, took: Duration) {
        let route = Value::Borrowed(route);
        let of = Route { route: route.clone() };
        self.request_times.at(&of).observe(took.as_secs_f64());
        let outcome = Value::Borrowed(outcome_of(code));
        let code = Value::Owned(code.to_string());
        self.requests.at(&Request { route, code, outcome }).inc();
    }

    /// So many alerts of one message map to a problem, and so many don't.
    pub fn alerts(&self, mapped: usize, unmapped: usize) {
        for (outcome, count) in [("mapped", mapped), ("unmapped", unmapped)] {
            let of = Outcome {
                outcome: Value::Borrowed(outcome),
            };
            self.alerts
                .at(&of)
                .inc_by(u64::try_from(count).unwrap_or(u64::MAX));
        }
    }

    /// A gate's provider was asked, and so it was after so long: `answered`, `refused` or `unavailable`.
    pub fn asked(&self, outcome: &'static str, took: Duration) {
        let of = Outcome {
            outcome: Value::Borrowed(outcome),
        };
        self.queries.at(&of).observe(took.as_secs_f64());
    }
}

/// What came of a request, in a word.
fn outcome_of(code: u16) -> &'static str {
    match code {
        200..300 => "stored",
        401 | 403 => "forbidden",
        429 => "limited",
        500.. => "unavailable",
        _ => "refused",
    }
}

/// The table of all metrics, as `docs/metrics.md` has it.
pub fn table() -> String {
    let mut text = "| metric | kind | labels | what it tells |\n| --- | --- | --- | --- |\n".to_owned();
    for Described {
        name,
        kind,
        labels,
        help,
    } in Telemetry::new().described()
    {
        let labels: Vec<_> = labels.iter().map(|l| format!("`{l}`")).collect();
        let _ = writeln!(text, "| `{name}` | {kind} | {} | {help}. |", labels.join(" "));
    }
    text
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[test]
    fn names_follow_the_rules_of_prometheus() {
        let all = Telemetry::new().described();
        for Described {
            name,
            kind,
            help,
            labels,
        } in &all
        {
            assert!(
                name.starts_with("coxswain_") || name.starts_with("process_"),
                "{name}"
            );
            assert!(name.chars().all(|c| c.is_ascii_lowercase() || c == '_'), "{name}");
            assert_eq!(name.ends_with("_total"), *kind == "counter", "{name}");
            assert!(!help.is_empty() && !help.ends_with('.'), "{name}: {help}");
            for label in *labels {
                assert!(
                    !matches!(*label, "uid" | "name" | "execution" | "le"),
                    "{name}: {label}"
                );
            }
        }
        let mut names: Vec<_> = all.iter().map(|d| d.name).collect();
        names.dedup();
        assert_eq!(names.len(), all.len(), "each is defined once");
    }

    /// Series come with what they count; each is described, as what it is.
    #[test]
    fn the_text_has_what_is_described() {
        let telemetry = Telemetry::new();
        let took = Duration::from_millis(3);
        telemetry.reconciled(Value::Borrowed("Delivery"), took, Some("bug"));
        telemetry.written("create", Value::Borrowed("Job"), "ok", took);
        telemetry.answered("/v1/event", 202, took);
        telemetry.alerts(2, 1);
        telemetry.asked("answered", took);
        let text = telemetry.text().unwrap();
        let told: Vec<&str> = text.lines().filter_map(|l| l.strip_prefix("# TYPE ")).collect();
        let described = telemetry.described();
        let family =
            |d: &Described| format!("{} {}", d.name.strip_suffix("_total").unwrap_or(d.name), d.kind);
        let known: Vec<String> = described.iter().map(family).collect();
        for line in &told {
            assert!(known.iter().any(|k| k == line), "{line} is not described");
        }
        for line in [
            "coxswain_reconcile_duration_seconds_bucket{le=\"0.005\",kind=\"Delivery\"} 1",
            "coxswain_reconcile_errors_total{kind=\"Delivery\",reason=\"bug\"} 1",
            "coxswain_api_writes_total{verb=\"create\",kind=\"Job\",outcome=\"ok\"} 1",
            "coxswain_http_requests_total{route=\"/v1/event\",code=\"202\",outcome=\"stored\"} 1",
            "coxswain_alerts_total{outcome=\"mapped\"} 2",
            "coxswain_gate_query_duration_seconds_count{outcome=\"answered\"} 1",
            "coxswain_events_dropped_total 0",
            "coxswain_ready 0",
            "coxswain_queue_length 0",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} in:\n{text}");
        }
        assert!(text.ends_with("# EOF\n"));
    }

    #[rstest]
    #[case(202, "stored")]
    #[case(400, "refused")]
    #[case(401, "forbidden")]
    #[case(403, "forbidden")]
    #[case(413, "refused")]
    #[case(429, "limited")]
    #[case(503, "unavailable")]
    fn outcomes_of_requests(#[case] code: u16, #[case] outcome: &str) {
        assert_eq!(outcome_of(code), outcome);
    }
}
