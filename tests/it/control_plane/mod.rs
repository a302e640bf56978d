//! On a real API server without nodes; `hack/test.sh control-plane` brings it up.

mod approvals;
mod control;
mod definitions;
mod history;
mod jobs;
mod providers;
mod rules;
mod users;
