//! Many odd inputs for whatever reads what others wrote.
//!
//! Some thousands always run; `make fuzz` runs a million of each.

use proptest::{
    prelude::*,
    test_runner::{Config, TestCaseError, TestRunner},
};

/// So many run where somebody asks for it.
pub(crate) const BY_HAND: u32 = 1_000_000;

/// Fails with the smallest input that breaks the law.
pub(crate) fn run<S: Strategy>(cases: u32, inputs: S, law: impl Fn(S::Value) -> Result<(), TestCaseError>) {
    let config = Config {
        cases,
        failure_persistence: None,
        ..Config::default()
    };
    TestRunner::new(config).run(&inputs, law).unwrap();
}
