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

/// Longer lengths of time count as this one, ten years: so that no sum with a timestamp can overflow.
pub const LONGEST: std::time::Duration = std::time::Duration::from_hours(87600);

impl FromStr for Duration {
    type Err = String;

    /// Reads `90s`, `2m`, `1h30m`, `1.5h` or `0`. (kube's own reader panics on numbers that are too big; what a user
    /// writes must never stop the operator.)
    fn from_str(s: &str) -> Result<Self, Self::Err> {
        let refuse = |why: &str| Err(format!("{s:?} is not a duration such as 90s, 2m or 1h30m: {why}"));
        if s.starts_with('-') {
            return refuse("it is negative");
        }
        if s.is_empty() {
            return refuse("it is empty");
        }
        let mut rest = if s == "0" { "" } else { s };
        let mut total = std::time::Duration::ZERO;
        while !rest.is_empty() {
            let digits = rest
                .find(|c: char| !c.is_ascii_digit() && c != '.')
                .unwrap_or(rest.len());
            let (number, after) = rest.split_at(digits);
            let letters = after
                .find(|c: char| c.is_ascii_digit() || c == '.')
                .unwrap_or(after.len());
            let (unit, next) = after.split_at(letters);
            let Ok(number) = number.parse::<f64>() else {
                return refuse("a number is missing");
            };
            let seconds = match unit {
                "ns" => 1e-9,
                "us" | "\u{b5}s" | "\u{3bc}s" => 1e-6,
                "ms" => 1e-3,
                "s" => 1.0,
                "m" => 60.0,
                "h" => 3600.0,
                "" => return refuse("the unit is missing"),
                _ => return refuse("the units are ns, us, ms, s, m and h"),
            };
            let part = std::time::Duration::try_from_secs_f64(number * seconds).unwrap_or(LONGEST);
            total = total.saturating_add(part);
            rest = next;
        }
        Ok(Self(total.min(LONGEST)))
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
            "pattern": r"^(0|([0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|h))+)$",
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
    #[case("0", 0)]
    #[case("1.5h", 5_400_000)]
    #[case("1m250ms", 60_250)]
    #[case("5.6s", 5_600)]
    #[case("99999999999999999999999999999h", 315_360_000_000)]
    fn reads_fractions_and_caps_at_ten_years(#[case] text: &str, #[case] millis: u128) {
        assert_eq!(text.parse::<Duration>().unwrap().0.as_millis(), millis);
    }

    proptest::proptest! {
        #[test]
        fn no_text_can_make_it_panic(text in "[0-9.hmsnu-]{0,40}") {
            if let Ok(parsed) = text.parse::<Duration>() {
                proptest::prop_assert_eq!(parsed.to_string().parse::<Duration>().unwrap(), parsed);
            }
        }
    }

    #[rstest]
    #[case("-5s")]
    #[case("")]
    #[case(".s")]
    #[case("5")]
    #[case("soon")]
    #[case("5d")]
    fn refuses_what_is_not_a_length_of_time(#[case] text: &str) {
        assert!(text.parse::<Duration>().unwrap_err().contains("such as 90s"));
    }
}
