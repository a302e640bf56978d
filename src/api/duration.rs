//! A length of time as Kubernetes and Keptn write it: `90s`, `2m`, `1h30m`.

use std::{fmt, str::FromStr};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A length of time, never negative; Go's grammar, as `metav1.Duration`.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Duration(pub std::time::Duration);

impl Duration {
    /// So many whole seconds.
    pub const fn from_secs(secs: u64) -> Self {
        Self(std::time::Duration::from_secs(secs))
    }

    /// For arithmetic with timestamps. Lengths beyond jiff's range saturate.
    pub fn signed(self) -> jiff::SignedDuration {
        jiff::SignedDuration::try_from(self.0).unwrap_or(jiff::SignedDuration::MAX)
    }
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let total = self.0.as_secs();
        if self.0.subsec_nanos() != 0 || total == 0 {
            return kube::core::Duration::from(self.0).fmt(f);
        }
        let (h, m, s) = (total / 3600, total / 60 % 60, total % 60);
        [(h, "h"), (m, "m"), (s, "s")]
            .into_iter()
            .filter(|(n, _)| *n > 0)
            .try_for_each(|(n, unit)| write!(f, "{n}{unit}"))
    }
}

impl FromStr for Duration {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        let parsed: kube::core::Duration = s
            .parse()
            .map_err(|e| format!("{s:?} is not a duration such as 90s, 2m or 1h30m: {e}"))?;
        if parsed.is_negative() {
            return Err(format!(
                "{s:?} is a negative duration; write one such as 90s, 2m or 1h30m"
            ));
        }
        Ok(Self(parsed.into()))
    }
}

impl Serialize for Duration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Duration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(de::Error::custom)
    }
}

impl JsonSchema for Duration {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Duration".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "maxLength": 32,
            "pattern": r"^([0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|h))+$",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("2m", 120, "2m")]
    #[case("90s", 90, "1m30s")]
    #[case("1h30m", 5400, "1h30m")]
    #[case("168h", 604_800, "168h")]
    fn reads_and_writes_go_durations(#[case] text: &str, #[case] secs: u64, #[case] written: &str) {
        let parsed: Duration = text.parse().unwrap();
        assert_eq!(parsed, Duration::from_secs(secs));
        assert_eq!(parsed.to_string(), written);
    }

    #[rstest]
    #[case("-5s")]
    #[case("5")]
    #[case("soon")]
    fn refuses_what_is_not_a_length_of_time(#[case] text: &str) {
        assert!(text.parse::<Duration>().unwrap_err().contains("such as 90s"));
    }
}
