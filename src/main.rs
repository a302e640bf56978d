//! Installs the TLS provider and runs one command.

use std::process::ExitCode;

fn main() -> ExitCode {
    // Clients panic without a provider; somebody else's, if there were one already, would do as well.
    let _ = rustls::crypto::ring::default_provider().install_default();
    coxswain::cli::main()
}
