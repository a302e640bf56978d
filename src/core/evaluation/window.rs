//! Which span of time an evaluation measures, and how long its task waits until that span is over.

use jiff::{SignedDuration, Timestamp, civil::DateTime, tz::TimeZone};
use serde_json::Value;

use crate::{
    api::{Duration, common::Object, evaluation::Window},
    core::Invalid,
};

/// No window is shorter, unless its timeframe is or the task says otherwise.
const MIN_WINDOW: Duration = Duration::from_secs(60);
/// A provider is not asked again for longer than this.
pub const GRACE_MAX: Duration = Duration::from_secs(600);
/// Nobody keeps measurements for longer; it also keeps arithmetic on timestamps in range.
const TIMEFRAME_MAX: Duration = Duration::from_secs(366 * 24 * 3600);

/// What is measured, and when that can begin.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct WindowPlan {
    /// What is measured. Once this is recorded, the Evaluation is created with exactly this window, whenever that is.
    pub window: Window,
    /// Set when the window is not over yet: the task waits until then, which is the window's end.
    pub wait_until: Option<Timestamp>,
    /// How long a provider that can't be asked is asked again, where the task says so.
    pub grace: Option<Duration>,
}

/// Plans the window of an evaluation.
///
/// `properties` is the task's merged `evaluation` block: `start`, `end`, `timeframe`, `settle`, `minWindow`, `grace`.
/// `payload` is the run's payload, whose `test.start` and `test.end` count when the block says none of the first
/// three. `changed_at` is the end of the attempt's last task that changed the service.
///
/// With a `timeframe` alone the window ends now and begins `timeframe` earlier, but never before the service was
/// changed plus `settle` (time for the change to take effect, default none): a window that reaches further back would
/// judge the sick service together with the healed one. When what is left is shorter than `minWindow` (default: the
/// smaller of `timeframe` and 60s), the task waits. A window given by its start and end, or by the test's, is taken as
/// it is; if it ends in the future, the task waits for that. A test that ended before the service was changed is none.
pub fn plan(
    properties: &Object,
    payload: &Object,
    changed_at: Option<Timestamp>,
    now: Timestamp,
) -> Result<WindowPlan, Invalid> {
    let now = micros(now);
    let timeframe = bounded(properties, "timeframe", TIMEFRAME_MAX)?;
    if timeframe.is_some_and(|t| t.0.is_zero()) {
        return Err(invalid(
            "timeframe",
            "0s measures nothing; write a duration such as 5m",
        ));
    }
    let grace = bounded(properties, "grace", GRACE_MAX)?;
    let start = time(properties, "properties", "start")?;
    let end = time(properties, "properties", "end")?;
    let (start, end) = match (start, end, timeframe) {
        (Some(start), Some(end), None) => explicit(start, end)?,
        (Some(start), None, Some(timeframe)) => (start, after(start, timeframe.signed())?),
        (None, None, Some(timeframe)) => recent(properties, timeframe, changed_at, now)?,
        (None, None, None) => tested(payload, changed_at)?,
        (Some(_), Some(_), Some(_)) => {
            return Err(invalid(
                "timeframe",
                "start and end say it all; remove timeframe or end",
            ));
        }
        (None, Some(_), Some(_)) => {
            return Err(invalid(
                "end",
                "timeframe is counted from start; write start instead of end",
            ));
        }
        (Some(_), None, None) => {
            return Err(invalid(
                "start",
                "start alone is not a window; add end or timeframe",
            ));
        }
        (None, Some(_), None) => return Err(invalid("end", "end alone is not a window; add start")),
    };
    Ok(WindowPlan {
        wait_until: (end > now).then_some(end),
        window: Window {
            start: start.into_api(),
            end: end.into_api(),
        },
        grace,
    })
}

fn explicit(start: Timestamp, end: Timestamp) -> Result<(Timestamp, Timestamp), Invalid> {
    if end.duration_since(start) < MIN_WINDOW.signed() {
        return Err(invalid(
            "end",
            format!("{end} must be at least one minute after start, {start}"),
        ));
    }
    Ok((start, end))
}

fn recent(
    properties: &Object,
    timeframe: Duration,
    changed_at: Option<Timestamp>,
    now: Timestamp,
) -> Result<(Timestamp, Timestamp), Invalid> {
    let settle = bounded(properties, "settle", TIMEFRAME_MAX)?.unwrap_or_default();
    let min_window = bounded(properties, "minWindow", TIMEFRAME_MAX)?;
    if let Some(longer) = min_window.filter(|m| *m > timeframe) {
        let message =
            format!("{longer} can't be reached within timeframe {timeframe}; make timeframe longer");
        return Err(invalid("minWindow", message));
    }
    let min_window = min_window.unwrap_or(timeframe.min(MIN_WINDOW));
    let mut start = after(now, -timeframe.signed())?;
    if let Some(changed_at) = changed_at {
        start = start.max(after(micros(changed_at), settle.signed())?);
    }
    Ok((start, now.max(after(start, min_window.signed())?)))
}

fn tested(payload: &Object, changed_at: Option<Timestamp>) -> Result<(Timestamp, Timestamp), Invalid> {
    let test = payload.get("test").and_then(Value::as_object);
    let at = |field| test.map_or(Ok(None), |test| time(test, "payload.test", field));
    match (at("start")?, at("end")?) {
        // What an earlier attempt's test saw says nothing about what was done since.
        (Some(_), Some(end)) if changed_at.is_some_and(|at| end < micros(at)) => Err(Invalid::new(
            "payload.test.end",
            format!(
                "the last test ended at {end}, before the service was changed; let a test run after that, or write \
                 properties.timeframe, such as 5m"
            ),
        )),
        (Some(start), Some(end)) if start < end => Ok((start, end)),
        (Some(start), Some(end)) => Err(Invalid::new(
            "payload.test.end",
            format!("{end} is not after test.start, {start}"),
        )),
        _ => Err(invalid(
            "timeframe",
            "the evaluation task has no timeframe, no start and end, and no test ran before it; \
             write properties.timeframe, such as 5m",
        )),
    }
}

fn invalid(field: &str, message: impl Into<String>) -> Invalid {
    Invalid::new(format!("properties.{field}"), message)
}

fn after(time: Timestamp, by: SignedDuration) -> Result<Timestamp, Invalid> {
    time.checked_add(by).map_err(|_| {
        invalid(
            "timeframe",
            format!("{time} and {by} are beyond what a timestamp can say"),
        )
    })
}

/// The text of a field; absent, null and empty are the same, as in Keptn v1's events.
fn text<'a>(object: &'a Object, root: &str, field: &str) -> Result<Option<&'a str>, Invalid> {
    match object.get(field) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.trim().is_empty() => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.trim())),
        Some(other) => Err(Invalid::new(
            format!("{root}.{field}"),
            format!("{other} is not a text; write it in quotes"),
        )),
    }
}

fn bounded(properties: &Object, field: &str, max: Duration) -> Result<Option<Duration>, Invalid> {
    let Some(text) = text(properties, "properties", field)? else {
        return Ok(None);
    };
    let duration: Duration = text.parse().map_err(|e: String| invalid(field, e))?;
    if duration > max {
        return Err(invalid(
            field,
            format!("{duration} is longer than {max}, the most that makes sense here"),
        ));
    }
    Ok(Some(duration))
}

fn time(object: &Object, root: &str, field: &str) -> Result<Option<Timestamp>, Invalid> {
    let Some(text) = text(object, root, field)? else {
        return Ok(None);
    };
    read_time(text).map(|t| Some(micros(t))).ok_or_else(|| {
        let message = format!("{text:?} is not a point in time such as 2026-01-31T15:04:05Z");
        Invalid::new(format!("{root}.{field}"), message)
    })
}

/// RFC 3339, or the same without an offset, which means UTC.
fn read_time(text: &str) -> Option<Timestamp> {
    // jiff also reads dates without a time, and other shortened forms.
    let is_full = text.len() >= 19 && text.as_bytes().get(10).is_some_and(|b| matches!(b, b'T' | b't'));
    if !is_full {
        return None;
    }
    text.parse::<Timestamp>().ok().or_else(|| {
        Some(
            text.parse::<DateTime>()
                .ok()?
                .to_zoned(TimeZone::UTC)
                .ok()?
                .timestamp(),
        )
    })
}

/// To the microsecond: what the API server keeps.
fn micros(time: Timestamp) -> Timestamp {
    Timestamp::from_microsecond(time.as_microsecond()).unwrap_or(time)
}

trait IntoApi {
    fn into_api(self) -> crate::api::Timestamp;
}

impl IntoApi for Timestamp {
    fn into_api(self) -> crate::api::Timestamp {
        crate::api::common::Timestamp(self)
    }
}

#[cfg(test)]
#[path = "window_tests.rs"]
mod tests;
