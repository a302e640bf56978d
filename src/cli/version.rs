//! `coxswain version`.

use crate::api::{GROUP, VERSION};

pub(super) fn run() -> anyhow::Result<()> {
    println!("coxswain {} ({GROUP}/{VERSION})", env!("CARGO_PKG_VERSION"));
    Ok(())
}
