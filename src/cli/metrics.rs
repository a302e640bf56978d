//! `coxswain metrics`: what /metrics tells.

use std::{fs, path::PathBuf};

use anyhow::{Context as _, bail};

use super::files::print_text;
use crate::telemetry;

/// Between these a page holds the table.
const BEGIN: &str = "<!-- Made by coxswain metrics; do not edit. -->\n";
const END: &str = "<!-- The end of what is made. -->\n";

/// What is done with the table.
#[derive(clap::Args, Debug)]
pub(super) struct Args {
    /// Put the table into this page, in place of the one that is there
    #[arg(long, value_name = "FILE")]
    page: Option<PathBuf>,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let Some(path) = &args.page else {
        return print_text(&telemetry::table());
    };
    let shown = path.display();
    let page = fs::read_to_string(path).with_context(|| format!("could not read {shown}"))?;
    let renewed = renew(&page).with_context(|| format!("{shown} can't take the table"))?;
    if renewed != page {
        fs::write(path, renewed).with_context(|| format!("could not write {shown}"))?;
        eprintln!("wrote {shown}");
    }
    Ok(())
}

/// The page with the table of now.
///
/// # Errors
/// There is no place for it.
pub fn renew(page: &str) -> anyhow::Result<String> {
    let place = page
        .split_once(BEGIN)
        .and_then(|(before, rest)| Some((before, rest.split_once(END)?.1)));
    let Some((before, after)) = place else {
        bail!("it has no lines {BEGIN:?} and {END:?}, between which the table goes; add them");
    };
    Ok(format!("{before}{BEGIN}\n{}\n{END}{after}", telemetry::table()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_takes_its_place_and_nothing_else() {
        let page = format!("# Metrics\n\n{BEGIN}what was here\n{END}\n## Alerts\n");
        let renewed = renew(&page).unwrap();
        assert!(renewed.starts_with("# Metrics\n\n<!--") && renewed.ends_with("-->\n\n## Alerts\n"));
        assert!(renewed.contains("| `coxswain_ready` | gauge |  |") && !renewed.contains("was here"));
        assert_eq!(renew(&renewed).unwrap(), renewed);
        assert!(renew("# Metrics\n").unwrap_err().to_string().contains("add them"));
    }
}
