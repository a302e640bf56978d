//! `coxswain version`.

use crate::api::{GROUP, VERSION};

pub(super) fn run() {
    println!("coxswain {} ({GROUP}/{VERSION})", env!("CARGO_PKG_VERSION"));
}
