//! On a real API server without nodes; `hack/test.sh control-plane` brings it up.

mod definitions;
mod history;
