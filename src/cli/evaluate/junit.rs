//! A verdict as JUnit's XML: one test case for each objective.

use std::fmt::Write as _;

use super::report::{Report, Row, sentence};

/// A test suite. An objective that only warned has failed where the whole has: it is why the score is too low.
pub(super) fn render(report: &Report) -> String {
    let status = &report.status;
    let class = if report.place.is_empty() {
        "quality-gate".to_owned()
    } else {
        report.place.replace('/', ".")
    };
    let mut cases = Cases {
        class,
        failed_as_a_whole: status.result.as_deref() == Some("fail"),
        ..Cases::default()
    };
    if status.result.is_none() {
        for objective in &report.objectives {
            let name = objective.display_name.as_ref().unwrap_or(&objective.sli);
            cases.error(name, &status.message);
        }
    }
    for row in report.rows() {
        cases.add(&row);
    }
    if cases.count == 0 && status.result.as_deref() != Some("pass") {
        // A CI system takes a suite without cases for a good one.
        cases.failure("objectives", &status.message, "");
    }
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <testsuites>\n  <testsuite name=\"coxswain evaluate\" tests=\"{}\" failures=\"{}\" errors=\"{}\" skipped=\"{}\">\n\
         {}    <system-out>{}</system-out>\n  </testsuite>\n</testsuites>\n",
        cases.count,
        cases.failures,
        cases.errors,
        cases.skipped,
        cases.xml,
        escape(&status.message)
    )
}

#[derive(Default)]
struct Cases {
    class: String,
    failed_as_a_whole: bool,
    count: usize,
    failures: usize,
    errors: usize,
    skipped: usize,
    xml: String,
}

impl Cases {
    fn add(&mut self, row: &Row) {
        let wanted = match (row.pass.is_empty(), row.warning.is_empty()) {
            (true, _) => "informational".to_owned(),
            (false, true) => format!("pass if {}", sentence(&row.pass)),
            (false, false) => format!(
                "pass if {}; warning if {}",
                sentence(&row.pass),
                sentence(&row.warning)
            ),
        };
        let said = if row.note.is_empty() {
            format!("{} is {}; {wanted}", row.sli, row.value)
        } else {
            format!("{} has no value: {}; {wanted}", row.sli, row.note)
        };
        match row.status.as_str() {
            "fail" => self.failure(&row.name, &said, &row.score),
            "warning" if self.failed_as_a_whole => {
                self.failure(&row.name, &format!("warning: {said}"), &row.score)
            }
            "info" => {
                self.skipped += 1;
                self.case(&row.name, &format!("<skipped message=\"{}\"/>", escape(&said)));
            }
            status => {
                let said = format!("{status}: {said}");
                self.case(&row.name, &format!("<system-out>{}</system-out>", escape(&said)));
            }
        }
    }

    fn failure(&mut self, name: &str, said: &str, score: &str) {
        self.failures += 1;
        let score = if score.is_empty() {
            String::new()
        } else {
            format!("score {score}")
        };
        self.case(
            name,
            &format!("<failure message=\"{}\">{score}</failure>", escape(said)),
        );
    }

    fn error(&mut self, name: &str, said: &str) {
        self.errors += 1;
        self.case(name, &format!("<error message=\"{}\"/>", escape(said)));
    }

    fn case(&mut self, name: &str, inner: &str) {
        self.count += 1;
        let (class, name) = (escape(&self.class), escape(name));
        let _ = writeln!(
            self.xml,
            "    <testcase classname=\"{class}\" name=\"{name}\">{inner}</testcase>"
        );
    }
}

/// As XML text or an attribute. What XML can't say at all becomes a question mark.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' | '\r' | '\t' => out.push(' '),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push('?'),
            c => out.push(c),
        }
    }
    out
}
