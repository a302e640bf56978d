//! Colours, tables and lengths of time, for people: coloured on a terminal, plain in a pipe.

use std::{fmt::Write as _, io::IsTerminal};

use jiff::Timestamp;

pub(super) const GREEN: &str = "32";
pub(super) const YELLOW: &str = "33";
pub(super) const RED: &str = "31";
pub(super) const CYAN: &str = "36";
pub(super) const DIM: &str = "2";
pub(super) const BOLD: &str = "1";
pub(super) const PLAIN: &str = "";

/// Whether stdout takes colours.
pub(super) fn on_stdout() -> bool {
    has_colour(std::io::stdout().is_terminal())
}

/// A terminal takes colours, unless the user said no.
pub(super) fn has_colour(terminal: bool) -> bool {
    terminal && !refused(std::env::var_os("NO_COLOR"))
}

/// As <https://no-color.org> says: set, and not empty.
fn refused(no_color: Option<std::ffi::OsString>) -> bool {
    no_color.is_some_and(|said| !said.is_empty())
}

/// Text in a colour, if colours are wanted.
pub(super) fn painted(colour: &str, text: &str, wanted: bool) -> String {
    if !wanted || colour.is_empty() || text.is_empty() {
        text.to_owned()
    } else {
        format!("\x1b[{colour}m{text}\x1b[0m")
    }
}

/// Text in several colours.
pub(super) type Cell = Vec<(&'static str, String)>;

/// Text in one colour. Control characters, which would write anywhere on the screen, are left out.
pub(super) fn cell(colour: &'static str, text: impl AsRef<str>) -> Cell {
    let shown = text.as_ref().chars().filter(|c| !c.is_control()).collect();
    vec![(colour, shown)]
}

/// A column's title, and whether it is aligned to the right.
pub(super) type Head = (&'static str, bool);

/// An aligned table. Columns in which nothing stands are left out, unless `all` are wanted.
pub(super) fn table(heads: &[Head], rows: &[Vec<Cell>], all: bool, colour: bool) -> String {
    let mut lines: Vec<String> = vec![String::new(); rows.len() + 1];
    let nothing = Cell::new();
    for (at, (title, right)) in heads.iter().enumerate() {
        let cells: Vec<&Cell> = rows.iter().map(|row| row.get(at).unwrap_or(&nothing)).collect();
        if !all && cells.iter().all(|cell| width(cell) == 0) {
            continue;
        }
        let head: Cell = vec![(DIM, (*title).to_owned())];
        let column: Vec<&Cell> = std::iter::once(&head).chain(cells).collect();
        let widest = column.iter().map(|cell| width(cell)).max().unwrap_or(0);
        for (line, cell) in lines.iter_mut().zip(column) {
            let gap = " ".repeat(widest - width(cell));
            let text: String = cell.iter().map(|(c, text)| painted(c, text, colour)).collect();
            let between = if line.is_empty() { "" } else { "  " };
            let _ = if *right {
                write!(line, "{between}{gap}{text}")
            } else {
                write!(line, "{between}{text}{gap}")
            };
        }
    }
    let mut out = String::new();
    for line in lines {
        let _ = writeln!(out, "{}", line.trim_end());
    }
    out
}

fn width(cell: &Cell) -> usize {
    cell.iter().map(|(_, text)| text.chars().count()).sum()
}

/// The colour of a phase, of a run or of another kind.
pub(super) fn phase_colour(phase: &str) -> &'static str {
    match phase {
        "Succeeded" | "Resolved" | "Healed" | "Delivered" | "Approved" => GREEN,
        "Failed" | "Exhausted" | "Inconclusive" | "TimedOut" | "Aborted" | "Expired" | "Declined" => RED,
        "Superseded" | "Withdrawn" => DIM,
        _ => YELLOW,
    }
}

/// The colour of pass, warning or fail.
pub(super) fn result_colour(result: &str) -> &'static str {
    match result {
        "pass" => GREEN,
        "warning" => YELLOW,
        "fail" | "inconclusive" => RED,
        _ => DIM,
    }
}

/// So many seconds: `12s`, `1m02s`, `2h05m`, `3d4h`.
pub(super) fn seconds(total: i64) -> String {
    match (total / 86_400, total / 3600 % 24, total / 60 % 60, total % 60) {
        (0, 0, 0, s) => format!("{s}s"),
        (0, 0, m, s) => format!("{m}m{s:02}s"),
        (0, h, m, _) => format!("{h}h{m:02}m"),
        (d, 0, _, _) => format!("{d}d"),
        (d, h, _, _) => format!("{d}d{h}h"),
    }
}

/// The time between two moments; none when the second is not after the first.
pub(super) fn between(from: Timestamp, to: Timestamp) -> String {
    seconds(to.duration_since(from).as_secs().max(0))
}

/// A number, without digits that nobody reads.
pub(super) fn number(value: f64) -> String {
    let rounded = (value * 10.0).round() / 10.0;
    format!("{rounded}")
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(0, "0s")]
    #[case(59, "59s")]
    #[case(62, "1m02s")]
    #[case(7_500, "2h05m")]
    #[case(86_400, "1d")]
    #[case(277_000, "3d4h")]
    fn lengths(#[case] total: i64, #[case] says: &str) {
        assert_eq!(seconds(total), says);
    }

    #[test]
    fn whoever_wants_no_colours_gets_none() {
        assert!(refused(Some("1".into())));
        assert!(!refused(Some("".into())) && !refused(None));
        assert!(!has_colour(false));
    }

    #[test]
    fn a_table_is_aligned_and_carries_no_control_characters() {
        let heads = [("NAME", false), ("SCORE", true), ("NOTE", false)];
        let rows = vec![
            vec![cell(PLAIN, "cart"), cell(PLAIN, "100"), cell(DIM, "")],
            vec![cell(PLAIN, "a\x1b[31mlong\none"), cell(PLAIN, "7"), cell(DIM, "")],
        ];
        let drawn = table(&heads, &rows, false, false);
        assert_eq!(
            drawn,
            "NAME          SCORE\ncart            100\na[31mlongone      7\n"
        );
        let all = table(&heads, &rows, true, false);
        assert!(all.starts_with("NAME          SCORE  NOTE\n"), "{all}");
        let coloured = table(&heads, &rows, false, true);
        assert!(coloured.contains("\x1b[2mNAME\x1b[0m"), "{coloured}");
    }
}
