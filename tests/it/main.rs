//! The integration tests: one binary, so that everything is linked once.

mod conformance;
mod faults;
mod playing;
mod virtual_time;
