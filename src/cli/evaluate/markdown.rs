//! A verdict in Markdown: for a merge request, or a job's summary.

use std::fmt::Write as _;

use super::report::{Report, Row, sentence};

/// The verdict in a line, and a table with every objective.
pub(super) fn render(report: &Report) -> String {
    let status = &report.status;
    let word = status.result.as_deref().unwrap_or("inconclusive");
    let rest = status.message.strip_prefix(word).unwrap_or(&status.message);
    let mut out = format!("**{word}**{}\n", plain(rest));
    let rows = report.rows();
    if rows.is_empty() {
        return out;
    }
    out.push_str("\n| result | indicator | value | before | pass if | warning if | score | |\n");
    out.push_str("| --- | --- | ---: | ---: | --- | --- | ---: | --- |\n");
    for row in &rows {
        let _ = writeln!(
            out,
            "| {} | {} | {} | {} | {} | {} | {} | {} |",
            row.status,
            name(row),
            row.value,
            row.before,
            code(&sentence(&row.pass)),
            code(&sentence(&row.warning)),
            row.score,
            plain(&row.note)
        );
    }
    out
}

fn name(row: &Row) -> String {
    let key = if row.key { " (key)" } else { "" };
    format!("{}{key}", plain(&row.name))
}

/// Names and messages are text, whatever Markdown would make of them.
fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' | '|' | '*' | '_' | '`' | '<' | '[' | ']' => {
                out.push('\\');
                out.push(c);
            }
            '\n' | '\r' => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

/// Criteria hold nothing that would end the code: they have been read.
fn code(text: &str) -> String {
    if text.is_empty() {
        String::new()
    } else {
        format!("`{text}`")
    }
}
