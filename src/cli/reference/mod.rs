//! `coxswain docs`: the pages of the reference, made from the definitions and from the command line itself.

mod commands;
mod kinds;

use std::path::PathBuf;

use super::files::{self, File};

/// Where the pages go.
#[derive(clap::Args, Debug)]
pub(super) struct Args {
    /// Write one file per page into this directory, instead of printing all
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let pages = files();
    match &args.dir {
        Some(dir) => files::write(dir, &pages),
        None => files::print_text(&pages.into_iter().map(|page| page.content).collect::<String>()),
    }
}

/// The pages: `crds.md`, `cli.md`.
pub(super) fn files() -> Vec<File> {
    [("crds.md", kinds::page()), ("cli.md", commands::page())]
        .map(|(path, content)| File {
            path: path.to_owned(),
            content,
        })
        .into()
}

/// A text as a cell of a table: one line, with nothing in it that ends the cell.
fn cell(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    line.replace('|', "\\|").replace('<', "&lt;")
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::several_lines("a\n  b", "a b")]
    #[case::a_column("a|b", "a\\|b")]
    #[case::a_tag("<name>", "&lt;name>")]
    fn a_cell_stays_one(#[case] text: &str, #[case] expected: &str) {
        assert_eq!(cell(text), expected);
    }

    #[test]
    fn every_row_of_a_table_has_its_columns() {
        for page in files() {
            let mut columns = None;
            for line in page.content.lines() {
                if !line.starts_with('|') {
                    columns = None;
                    continue;
                }
                let found = line.replace("\\|", "").matches('|').count();
                assert_eq!(*columns.get_or_insert(found), found, "{}: {line}", page.path);
            }
        }
    }
}
