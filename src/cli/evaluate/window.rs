//! Which span of time is evaluated, as the command line says it.

use anyhow::bail;
use jiff::Timestamp;
use serde_json::json;

use super::cluster::Time;
use crate::{
    api::{common::Object, evaluation::Window},
    core::{Invalid, evaluation},
};

/// A span of time: its end is now, where nothing else is said.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Span {
    /// The start of what is evaluated, such as 2026-01-31T15:04:05Z.
    #[arg(long, value_name = "TIME")]
    pub start: Option<String>,
    /// Its end. Default: now.
    #[arg(long, value_name = "TIME")]
    pub end: Option<String>,
    /// Its length, such as 5m, in place of the start.
    #[arg(long, value_name = "DURATION")]
    pub timeframe: Option<String>,
}

impl Span {
    /// What an Evaluation in the cluster is to measure; up to now, the API server's clock says when that is.
    pub(in crate::cli) fn time(&self, now: Timestamp) -> anyhow::Result<Time> {
        // Read in any case: it finds the mistakes.
        let window = self.read(now)?;
        let said = |value: &Option<String>| value.as_deref().is_some_and(|text| !text.trim().is_empty());
        let length = self
            .timeframe
            .as_deref()
            .and_then(|text| text.trim().parse().ok());
        Ok(match length {
            Some(length) if !said(&self.start) && !said(&self.end) => Time::UpToNow(length),
            _ => Time::Window(window),
        })
    }

    /// Reads it by the rules of an evaluation task.
    pub fn read(&self, now: Timestamp) -> anyhow::Result<Window> {
        let given = |value: &Option<String>| value.as_deref().map(str::trim).unwrap_or_default().to_owned();
        let (start, end, timeframe) = (given(&self.start), given(&self.end), given(&self.timeframe));
        let window = match (start.is_empty(), end.is_empty(), timeframe.is_empty()) {
            (true, _, true) => bail!(
                "--timeframe: nothing says which time is evaluated; write for example --timeframe 5m, or --start and --end"
            ),
            (true, false, false) => ending(&end, &timeframe, now)?,
            (false, true, true) => plan(&start, &now.to_string(), "", now)?,
            _ => plan(&start, &end, &timeframe, now)?,
        };
        if window.end.0 > now {
            bail!(
                "--end: {:.0} is in the future, and what is measured later would count as missing; evaluate then",
                window.end.0
            );
        }
        Ok(window)
    }
}

fn plan(start: &str, end: &str, timeframe: &str, now: Timestamp) -> anyhow::Result<Window> {
    let properties = json!({"start": start, "end": end, "timeframe": timeframe});
    let properties = properties.as_object().cloned().unwrap_or_default();
    let planned = evaluation::plan(&properties, &Object::new(), None, now);
    planned.map(|plan| plan.window).map_err(said)
}

/// So long, up to `end`.
fn ending(end: &str, timeframe: &str, now: Timestamp) -> anyhow::Result<Window> {
    // The same length from `end` on shows what both say.
    let after = plan(end, "", timeframe, now)
        .map_err(|e| anyhow::anyhow!(e.to_string().replacen("--start", "--end", 1)))?;
    let length = after.end.0.duration_since(after.start.0);
    let start = after.start.0.checked_sub(length);
    let start =
        start.map_err(|_| anyhow::anyhow!("--timeframe: {timeframe} before {end} is no time; shorten it"))?;
    Ok(Window {
        start: crate::api::common::Timestamp(start),
        end: after.start,
    })
}

fn said(invalid: Invalid) -> anyhow::Error {
    anyhow::anyhow!(
        "{}: {}",
        invalid.path.replacen("properties.", "--", 1),
        invalid.message
    )
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn read(start: &str, end: &str, timeframe: &str) -> Result<(String, String), String> {
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let args = Span {
            start: some(start),
            end: some(end),
            timeframe: some(timeframe),
        };
        let window = args.read("2026-01-31T12:00:00Z".parse().unwrap());
        let time = |t: Timestamp| t.to_string()[11..19].to_owned();
        window
            .map(|w| (time(w.start.0), time(w.end.0)))
            .map_err(|e| e.to_string())
    }

    #[rstest]
    #[case::timeframe("", "", "5m", "11:55:00", "12:00:00")]
    #[case::short("", "", "30s", "11:59:30", "12:00:00")]
    #[case::both("2026-01-31T10:00:00Z", "2026-01-31T10:10:00Z", "", "10:00:00", "10:10:00")]
    #[case::from("2026-01-31T10:00:00Z", "", "5m", "10:00:00", "10:05:00")]
    #[case::up_to("", "2026-01-31T10:00:00Z", "5m", "09:55:00", "10:00:00")]
    #[case::since("2026-01-31T10:00:00Z", "", "", "10:00:00", "12:00:00")]
    fn spans(
        #[case] start: &str,
        #[case] end: &str,
        #[case] timeframe: &str,
        #[case] from: &str,
        #[case] to: &str,
    ) {
        assert_eq!(read(start, end, timeframe), Ok((from.to_owned(), to.to_owned())));
    }

    #[rstest]
    #[case::nothing("", "", "", "--timeframe: nothing says")]
    #[case::only_the_end("", "2026-01-31T10:00:00Z", "", "--timeframe: nothing says")]
    #[case::all(
        "2026-01-31T10:00:00Z",
        "2026-01-31T10:10:00Z",
        "5m",
        "--timeframe: start and end say it all"
    )]
    #[case::future(
        "2026-01-31T11:58:00Z",
        "",
        "5m",
        "--end: 2026-01-31T12:03:00Z is in the future"
    )]
    #[case::no_time("", "noon", "5m", "--end: \"noon\" is not a point in time")]
    #[case::no_length("", "", "long", "--timeframe: ")]
    #[case::short("2026-01-31T10:00:00Z", "2026-01-31T10:00:10Z", "", "--end: ")]
    fn mistakes(#[case] start: &str, #[case] end: &str, #[case] timeframe: &str, #[case] says: &str) {
        let refused = read(start, end, timeframe).unwrap_err();
        assert!(refused.starts_with(says), "{refused}");
    }
}
