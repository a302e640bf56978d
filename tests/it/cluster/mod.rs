//! On a real cluster with containers and the operator in it; `hack/test.sh cluster` brings both up.

mod harness;
mod tutorial;
