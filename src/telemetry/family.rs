//! Families of series with a bound, and the list of what is told.

use std::{
    borrow::Cow,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeMetric},
    metrics::{MetricType, TypedMetric, counter::Counter, family, histogram::Histogram},
    registry::{Registry, Unit},
};

/// A family of counters has at most so many series with labels from users; what comes after is counted as [`OTHER`].
pub const SERIES_MAX: usize = 1000;
/// As [`SERIES_MAX`], of a histogram, each of which has a series for every bucket.
pub const HISTOGRAMS_MAX: usize = 200;
/// The value of users' labels in series beyond the bound.
pub const OTHER: &str = "other";
/// A label's value that is longer is cut, in bytes.
const VALUE_MAX: usize = 100;

/// A label's value.
pub type Value = Cow<'static, str>;

/// A value that comes from a user, cut to a bearable length; one that is not there is `none`.
pub fn value(text: &str) -> Value {
    if text.is_empty() {
        return Value::Borrowed("none");
    }
    Value::Owned(text[..text.floor_char_boundary(VALUE_MAX)].to_owned())
}

/// The labels of a family.
pub trait Labels:
    Clone + Eq + std::hash::Hash + EncodeLabelSet + std::fmt::Debug + Send + Sync + 'static
{
    /// Their names, in order.
    const NAMES: &'static [&'static str];

    /// The same, with [`OTHER`] in place of what users wrote.
    #[must_use]
    fn other(&self) -> Self;
}

/// Label sets: `user` labels hold what users wrote, `ours` have few values, which are all in the code.
macro_rules! labels {
    ($($(#[$doc:meta])* $name:ident { $($field:ident: $whose:ident),* $(,)? })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, ::prometheus_client::encoding::EncodeLabelSet)]
        #[allow(missing_docs, reason = "the label's name says it")]
        pub struct $name { $(pub $field: $crate::telemetry::family::Value),* }

        impl $crate::telemetry::family::Labels for $name {
            const NAMES: &'static [&'static str] = &[$(stringify!($field)),*];

            fn other(&self) -> Self {
                Self { $($field: labels!(@$whose self.$field)),* }
            }
        }
    )*};
    (@user $value:expr) => { $crate::telemetry::family::Value::Borrowed($crate::telemetry::family::OTHER) };
    (@ours $value:expr) => { $value.clone() };
}
pub(super) use labels;

/// What makes a new histogram of a family.
#[derive(Clone, Copy, Debug)]
pub struct Buckets(&'static [f64]);

impl family::MetricConstructor<Histogram> for Buckets {
    fn new_metric(&self) -> Histogram {
        Histogram::new(self.0.iter().copied())
    }
}

/// What makes a new counter of a family.
#[derive(Clone, Copy, Debug)]
pub struct Zero;

impl family::MetricConstructor<Counter> for Zero {
    fn new_metric(&self) -> Counter {
        Counter::default()
    }
}

/// A family of counters.
pub type Counters<L> = Bounded<L, Counter, Zero>;
/// A family of histograms.
pub type Histograms<L> = Bounded<L, Histogram, Buckets>;

/// Series of one name; never more than the bound, whatever users write.
#[derive(Debug)]
pub struct Bounded<L, M, C> {
    family: family::Family<L, M, C>,
    known: AtomicUsize,
    max: usize,
    folded: Counter,
}

impl<L: Labels, M: Clone, C: family::MetricConstructor<M>> Bounded<L, M, C> {
    /// The series with these labels; one of [`OTHER`] when there are too many.
    pub fn at(&self, labels: &L) -> M {
        if let Some(known) = self.family.get(labels) {
            return known.clone();
        }
        let room = |known| (known < self.max).then_some(known + 1);
        if self
            .known
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, room)
            .is_ok()
        {
            return self.family.get_or_create_owned(labels);
        }
        self.folded.inc();
        self.family.get_or_create_owned(&labels.other())
    }
}

/// One metric, as the documentation lists it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Described {
    /// Its name, as it is asked for; a histogram's without `_bucket`, `_sum` and `_count`.
    pub name: &'static str,
    /// `counter`, `gauge` or `histogram`.
    pub kind: &'static str,
    /// The names of its labels.
    pub labels: &'static [&'static str],
    /// What it tells, without a full stop.
    pub help: &'static str,
}

impl Described {
    /// The name without what its unit and its kind add, and the unit: the encoder adds them.
    pub(super) fn parts(&self) -> (&'static str, Option<Unit>) {
        let name = self.name.strip_suffix("_total").unwrap_or(self.name);
        for (suffix, unit) in [("_seconds", Unit::Seconds), ("_bytes", Unit::Bytes)] {
            if let Some(stem) = name.strip_suffix(suffix) {
                return (stem, Some(unit));
            }
        }
        (name, None)
    }
}

/// Registers metrics, and lists them.
pub(super) struct Catalogue {
    pub registry: Registry,
    pub described: Vec<Described>,
    /// Counts, by the family's name, what was counted as [`OTHER`].
    folded: Arc<family::Family<Folded, Counter, Zero>>,
}

labels! {
    /// Of what was counted under `other`.
    Folded { metric: ours }
}

impl Catalogue {
    pub fn new() -> Self {
        let mut new = Self {
            registry: Registry::default(),
            described: Vec::new(),
            folded: Arc::new(family::Family::new_with_constructor(Zero)),
        };
        let help = "Samples that were counted under other, because the metric had too many series";
        let folded = new.folded.as_ref().clone();
        new.add::<Folded, _>("coxswain_metrics_folded_total", help, folded);
        new
    }

    pub fn counters<L: Labels>(&mut self, name: &'static str, help: &'static str) -> Counters<L> {
        self.bounded::<L, _, _>(name, help, Zero, SERIES_MAX)
    }

    pub fn histograms<L: Labels>(
        &mut self,
        name: &'static str,
        help: &'static str,
        buckets: &'static [f64],
    ) -> Histograms<L> {
        self.bounded::<L, _, _>(name, help, Buckets(buckets), HISTOGRAMS_MAX)
    }

    /// One counter without labels: it is there, as 0, from the start.
    pub fn counter(&mut self, name: &'static str, help: &'static str) -> Counter {
        let counter = Counter::default();
        self.add::<Nothing, _>(name, help, counter.clone());
        counter
    }

    fn bounded<L, M, C>(
        &mut self,
        name: &'static str,
        help: &'static str,
        constructor: C,
        max: usize,
    ) -> Bounded<L, M, C>
    where
        L: Labels,
        M: Clone + EncodeMetric + TypedMetric + std::fmt::Debug + Send + Sync + 'static,
        C: family::MetricConstructor<M> + Clone + std::fmt::Debug + Send + Sync + 'static,
    {
        let family = family::Family::new_with_constructor(constructor);
        self.add::<L, _>(name, help, family.clone());
        let metric = Value::Borrowed(name);
        Bounded {
            family,
            known: AtomicUsize::new(0),
            max,
            folded: self.folded.get_or_create_owned(&Folded { metric }),
        }
    }

    fn add<L: Labels, M>(&mut self, name: &'static str, help: &'static str, metric: M)
    where
        M: EncodeMetric + std::fmt::Debug + Send + Sync + 'static,
    {
        let kind = match metric.metric_type() {
            MetricType::Counter => "counter",
            MetricType::Histogram => "histogram",
            _ => "gauge",
        };
        let described = Described {
            name,
            kind,
            labels: L::NAMES,
            help,
        };
        match described.parts() {
            (stem, Some(unit)) => self.registry.register_with_unit(stem, help, unit, metric),
            (stem, None) => self.registry.register(stem, help, metric),
        }
        self.described.push(described);
    }
}

labels! {
    /// No labels.
    Nothing {}
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    labels! {
        /// Of a test.
        Flood { problem: user, result: ours }
    }

    fn flooded(max: usize, times: usize) -> String {
        let mut catalogue = Catalogue::new();
        let counters: Counters<Flood> = catalogue.bounded("coxswain_flood_total", "A flood", Zero, max);
        for n in 0..times {
            let problem = value(&format!("problem {n}"));
            for result in ["pass", "fail"] {
                let result = Value::Borrowed(result);
                counters
                    .at(&Flood {
                        problem: problem.clone(),
                        result,
                    })
                    .inc();
            }
        }
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &catalogue.registry).unwrap();
        text
    }

    #[test]
    fn a_flood_ends_in_other_and_nothing_is_lost() {
        let text = flooded(SERIES_MAX, 10_000);
        let series: Vec<&str> = text
            .lines()
            .filter(|l| l.starts_with("coxswain_flood_total{"))
            .collect();
        // The bound, and one series of `other` for each value of the label that is ours.
        assert_eq!(series.len(), SERIES_MAX + 2);
        let count = |line: &&str| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap();
        assert_eq!(series.iter().map(count).sum::<u64>(), 20_000);
        let other =
            |result: &str| format!("coxswain_flood_total{{problem=\"other\",result=\"{result}\"}} 9500");
        assert!(
            text.contains(&other("pass")) && text.contains(&other("fail")),
            "{text}"
        );
        assert!(text.contains("coxswain_metrics_folded_total{metric=\"coxswain_flood_total\"} 19000"));
    }

    #[test]
    fn below_the_bound_nothing_is_folded() {
        let text = flooded(20, 10);
        assert!(!text.contains("\"other\""), "{text}");
        assert!(text.contains("coxswain_metrics_folded_total{metric=\"coxswain_flood_total\"} 0"));
    }

    #[rstest]
    #[case::nothing("", "none")]
    #[case::short("slow", "slow")]
    #[case::long(&"x".repeat(300), &"x".repeat(100))]
    #[case::between_bytes(&"ä".repeat(50), &"ä".repeat(50))]
    #[case::cut_at_a_character(&format!("x{}", "ä".repeat(80)), &format!("x{}", "ä".repeat(49)))]
    fn values_are_cut(#[case] text: &str, #[case] expected: &str) {
        assert_eq!(value(text), expected);
    }

    #[test]
    fn what_users_write_is_escaped() {
        let mut catalogue = Catalogue::new();
        let counters: Counters<Flood> = catalogue.counters("coxswain_flood_total", "A flood");
        let (problem, result) = (value("a \"quote\"\n\\ and"), Value::Borrowed("pass"));
        counters.at(&Flood { problem, result }).inc();
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &catalogue.registry).unwrap();
        assert!(
            text.contains(r#"{problem="a \"quote\"\n\\ and",result="pass"} 1"#),
            "{text}"
        );
    }
}
