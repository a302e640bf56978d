//! What a watch shows: on a terminal trees that are drawn in place, elsewhere a line for each thing that changed.

use std::{
    collections::BTreeMap,
    io::{IsTerminal, Write},
};

use jiff::Timestamp;
use kube::ResourceExt;

use crate::{
    api::{Delivery, SequenceExecution},
    cli::{
        paint::{self, BOLD, DIM, painted, phase_colour},
        tree::{self, Style},
    },
};

/// The terminal's width and height, which may change at any time.
fn size() -> (usize, usize) {
    terminal_size::terminal_size().map_or((80, 24), |(width, height)| (width.0.into(), height.0.into()))
}

/// Where a watch draws.
pub(super) struct Screen {
    /// Whether it is a terminal.
    pub live: bool,
    style: Style,
    lines: usize,
    /// What was told last of each object.
    told: BTreeMap<String, String>,
}

impl Screen {
    pub(super) fn new() -> Self {
        let colour = paint::on_stdout();
        Self {
            live: std::io::stdout().is_terminal(),
            style: Style { colour, width: 0 },
            lines: 0,
            told: BTreeMap::new(),
        }
    }

    /// Shows one run.
    pub(super) fn run(&mut self, run: &SequenceExecution) {
        let done = run.status.as_ref().is_some_and(|s| s.done);
        let now = Timestamp::now();
        let news = news_of(run);
        self.show(done, vec![news], |style| tree::render(run, now, style));
    }

    /// Shows a delivery and the runs of its flow, in their order.
    pub(super) fn delivery(&mut self, delivery: &Delivery, runs: &[SequenceExecution], done: bool) {
        let now = Timestamp::now();
        let mut news: Vec<_> = runs.iter().map(news_of).collect();
        let status = delivery.status.clone().unwrap_or_default();
        news.push((
            delivery.name_any(),
            phase_of(&status.phase).to_owned(),
            status.message,
        ));
        self.show(done, news, |style| draw(delivery, runs, now, style));
    }

    fn show(&mut self, done: bool, news: Vec<(String, String, String)>, draw: impl Fn(Style) -> String) {
        let (width, height) = if self.live { size() } else { (0, usize::MAX) };
        let drawn = draw(Style { width, ..self.style });
        let mut out = std::io::stdout().lock();
        if self.live {
            if self.lines > 0 {
                let _ = write!(out, "\x1b[{}A\x1b[J", self.lines);
            }
            // What has scrolled away can't be drawn again: until the end only what fits is drawn.
            let all = drawn.lines().count();
            let skipped = if done {
                0
            } else {
                all.saturating_sub(height.saturating_sub(1))
            };
            for line in drawn.lines().skip(skipped) {
                let _ = writeln!(out, "{line}");
            }
            self.lines = all - skipped;
        } else {
            for line in self.fresh(news, Timestamp::now()) {
                let _ = writeln!(out, "{line}");
            }
            if done {
                let _ = write!(out, "{drawn}");
            }
        }
        let _ = out.flush();
    }

    /// What was not told before, a line each.
    fn fresh(&mut self, news: Vec<(String, String, String)>, now: Timestamp) -> Vec<String> {
        let mut lines = vec![];
        for (name, phase, message) in news {
            let key = format!("{phase} {message}");
            if self.told.get(&name) != Some(&key) {
                lines.push(format!("{now:.0}  {name}  {phase:<10} {message}"));
                self.told.insert(name, key);
            }
        }
        lines
    }
}

fn news_of(run: &SequenceExecution) -> (String, String, String) {
    let status = run.status.clone().unwrap_or_default();
    let (phase, message) = tree::headline(&status);
    (run.name_any(), phase.to_owned(), message.to_owned())
}

fn phase_of(phase: &str) -> &str {
    if phase.is_empty() { "Pending" } else { phase }
}

/// A delivery: its runs, and below them how it stands.
fn draw(delivery: &Delivery, runs: &[SequenceExecution], now: Timestamp, style: Style) -> String {
    let status = delivery.status.clone().unwrap_or_default();
    let phase = phase_of(&status.phase);
    let spec = &delivery.spec;
    let image = spec.image.as_deref().unwrap_or_default();
    let mut out = format!(
        "{} {}\n",
        painted(
            BOLD,
            &format!("{}/{} {image}", spec.project, spec.service),
            style.colour
        ),
        painted(phase_colour(phase), phase, style.colour)
    );
    for run in runs {
        out.push_str(&tree::render(run, now, style));
    }
    let stages: Vec<String> = status
        .stages
        .iter()
        .map(|s| format!("{}: {}", s.stage, s.image.as_deref().unwrap_or("-")))
        .collect();
    if !stages.is_empty() {
        out.push_str(&painted(DIM, &format!("in {}", stages.join(", ")), style.colour));
        out.push('\n');
    }
    out.push_str(&painted(
        phase_colour(phase),
        &format!("{phase}: {}", status.message),
        style.colour,
    ));
    out.push('\n');
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn in_a_pipe_every_change_is_told_once() {
        let mut screen = Screen::new();
        let now = "2026-01-01T00:00:00Z".parse().unwrap();
        let at = |phase: &str| vec![("cart-1".to_owned(), phase.to_owned(), "why".to_owned())];
        assert_eq!(
            screen.fresh(at("Queued"), now),
            ["2026-01-01T00:00:00Z  cart-1  Queued     why"]
        );
        assert!(screen.fresh(at("Queued"), now).is_empty());
        assert_eq!(screen.fresh(at("Running"), now).len(), 1);
    }

    #[test]
    fn a_delivery_is_its_runs_and_what_is_where() {
        let delivery: Delivery = serde_json::from_value(json!({
            "metadata": {"name": "cart"},
            "spec": {"project": "shop", "service": "cart", "image": "cart:2"},
            "status": {"phase": "Delivering", "message": "stage qa: runs", "stages": [
                {"stage": "qa", "image": "cart:2"}, {"stage": "production"}]},
        }))
        .unwrap();
        let run: SequenceExecution = serde_json::from_value(json!({
            "metadata": {"name": "cart-1"},
            "spec": {"project": "shop", "stage": "qa", "service": "cart", "sequence": "delivery"},
            "status": {"phase": "Succeeded", "done": true, "message": "deploy: done"},
        }))
        .unwrap();
        let now = "2026-01-01T00:00:00Z".parse().unwrap();
        insta::assert_snapshot!(draw(&delivery, &[run], now, Style::default()), @r"
        shop/cart cart:2 Delivering
        shop/qa/cart delivery  Succeeded
        Succeeded: deploy: done
        in qa: cart:2, production: -
        Delivering: stage qa: runs
        ");
    }
}
