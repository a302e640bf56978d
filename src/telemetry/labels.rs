//! The label sets of the metrics. What users write is bounded: see [`super::family::SERIES_MAX`].

use super::family::labels;

labels! {
    /// Of a run.
    Run { namespace: user, project: user, stage: user, sequence: user }
    /// Of a run, as it stands or as it ended.
    RunEnd { namespace: user, project: user, stage: user, sequence: user, phase: ours }
    /// Of a kind of run.
    RunKind { project: user, stage: user, sequence: user }
    /// Of a task that ended.
    Task { project: user, stage: user, task: user, result: ours }
    /// Of an attempt to heal a problem.
    Attempt { project: user, problem: user, action: user, result: ours }
    /// Of a problem that was healed.
    Healing { project: user, problem: user }
    /// Of a problem that was closed.
    ProblemEnd { namespace: user, project: user, problem: user, phase: ours }
    /// Of open problems.
    Open { namespace: user, project: user, phase: ours }
    /// Of a gate.
    Gate { project: user, stage: user, service: user }
    /// Of a gate's verdict.
    Verdict { namespace: user, project: user, stage: user, service: user, result: ours }
    /// Of what came of something.
    Outcome { outcome: ours }
    /// Of a request to the server.
    Request { route: ours, code: ours, outcome: ours }
    /// Of a route of the server.
    Route { route: ours }
    /// Of a write to the API server.
    Write { verb: ours, kind: ours, outcome: ours }
    /// Of a kind of write.
    Verb { verb: ours }
    /// Of a controller, by the kind that it looks after.
    Controller { kind: ours }
    /// Of a reconciliation that failed.
    Failure { kind: ours, reason: ours }
    /// Of a hold.
    Scope { scope: ours }
    /// Of a build.
    Build { version: ours }
}
