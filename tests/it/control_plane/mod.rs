//! On a real API server without nodes; `hack/test.sh control-plane` brings it up.

mod approvals;
mod chart;
mod control;
mod definitions;
mod history;
mod jobs;
mod namespaced;
mod providers;
mod rules;
mod stopping;
mod users;
