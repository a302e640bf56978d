//! What stands now: read from the caches when somebody asks, and never kept by hand.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, OnceLock},
};

use kube::runtime::reflector::Store;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
};
use tokio::sync::watch;

use super::{
    changes::{run_labels, waits_since},
    family::{Described, Labels, SERIES_MAX, Value, value},
    labels::{Build, Open, RunEnd, Scope},
    process,
};
use crate::{
    api::{ProblemEvent, SequenceExecution},
    core::sequence,
    facts::{clock::Clock, guarded::Guarded, holds::Holds},
};

const READY: Described = Described {
    name: "coxswain_ready",
    kind: "gauge",
    labels: &[],
    help: "Whether every cache was filled: 1, else 0",
};
const BUILD: Described = Described {
    name: "coxswain_build_info",
    kind: "gauge",
    labels: Build::NAMES,
    help: "Always 1; its labels say which Coxswain this is",
};
const RUNS: Described = Described {
    name: "coxswain_executions",
    kind: "gauge",
    labels: RunEnd::NAMES,
    help: "Runs that have not ended",
};
const QUEUE: Described = Described {
    name: "coxswain_queue_length",
    kind: "gauge",
    labels: &[],
    help: "Runs that wait for their place, because another run works on the same service",
};
const OLDEST: Described = Described {
    name: "coxswain_queue_oldest_seconds",
    kind: "gauge",
    labels: &[],
    help: "How long the run that has waited longest for its place has waited; 0 when none waits",
};
const PROBLEMS: Described = Described {
    name: "coxswain_problems",
    kind: "gauge",
    labels: Open::NAMES,
    help: "Problems that are not closed",
};
const HOLDS: Described = Described {
    name: "coxswain_holds",
    kind: "gauge",
    labels: Scope::NAMES,
    help: "Holds in force: of the whole installation, and of single namespaces",
};

/// Everything that is told of this moment.
pub(super) fn described() -> Vec<Described> {
    let own = [READY, BUILD, RUNS, QUEUE, OLDEST, PROBLEMS, HOLDS];
    own.into_iter().chain(process::described()).collect()
}

/// Where it is read from; what is not there yet counts as nothing.
#[derive(Default)]
pub struct Live {
    /// What time it is.
    pub clock: OnceLock<Clock>,
    /// Whether every cache was filled.
    pub ready: OnceLock<watch::Receiver<bool>>,
    /// Runs that have not ended.
    pub runs: OnceLock<Store<Guarded<SequenceExecution>>>,
    /// Problems that are not closed.
    pub problems: OnceLock<Store<Guarded<ProblemEvent>>>,
    /// The holds in force.
    pub holds: OnceLock<Holds>,
}

impl fmt::Debug for Live {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Live").finish_non_exhaustive()
    }
}

impl Live {
    fn readable<K>(store: &OnceLock<Store<Guarded<K>>>) -> impl Iterator<Item = Arc<K>>
    where
        K: kube::Resource<DynamicType = ()> + Clone + 'static,
    {
        let all = store.get().map(Store::state).unwrap_or_default();
        all.into_iter().filter_map(|object| object.readable())
    }

    fn is_ready(&self) -> bool {
        self.ready.get().is_some_and(|ready| *ready.borrow())
    }

    /// The live runs by their labels, how many wait, and how long the first of them has, in seconds.
    fn queue(&self) -> (BTreeMap<RunEnd, i64>, i64, f64) {
        let (mut runs, mut waiting, mut oldest) = (BTreeMap::new(), 0, 0.0_f64);
        for run in Self::readable(&self.runs) {
            let phase = run.status.as_ref().map_or("", |s| s.phase.as_str());
            let of = run_labels(&run);
            let labels = RunEnd {
                namespace: of.namespace,
                project: of.project,
                stage: of.stage,
                sequence: of.sequence,
                phase: if phase.is_empty() {
                    Value::Borrowed("Pending")
                } else {
                    value(phase)
                },
            };
            count(&mut runs, labels);
            if sequence::waits(&run) {
                waiting += 1;
                if let (Some(clock), Some(since)) = (self.clock.get(), waits_since(&run)) {
                    oldest = oldest.max(clock.now().duration_since(since).as_secs_f64());
                }
            }
        }
        (runs, waiting, oldest)
    }

    fn open(&self) -> BTreeMap<Open, i64> {
        let mut problems = BTreeMap::new();
        for problem in Self::readable(&self.problems) {
            let phase = problem.status.as_ref().map_or("", |s| s.phase.as_str());
            let labels = Open {
                namespace: value(problem.metadata.namespace.as_deref().unwrap_or_default()),
                project: value(&problem.spec.project),
                phase: if phase.is_empty() {
                    Value::Borrowed("Open")
                } else {
                    value(phase)
                },
            };
            count(&mut problems, labels);
        }
        problems
    }

    fn holds(&self) -> BTreeMap<Scope, i64> {
        let (installation, namespaces) = self.holds.get().map_or((0, 0), Holds::count);
        let of = |scope| Scope {
            scope: Value::Borrowed(scope),
        };
        [(of("installation"), installation), (of("namespace"), namespaces)]
            .map(|(scope, n)| (scope, i64::try_from(n).unwrap_or(i64::MAX)))
            .into()
    }
}

impl Collector for Live {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let (runs, waiting, oldest) = self.queue();
        let build = Build {
            version: Value::Borrowed(env!("CARGO_PKG_VERSION")),
        };
        one(&mut encoder, &READY, &ConstGauge::new(i64::from(self.is_ready())))?;
        family(&mut encoder, &BUILD, &BTreeMap::from([(build, 1)]))?;
        family(&mut encoder, &RUNS, &runs)?;
        one(&mut encoder, &QUEUE, &ConstGauge::new(waiting))?;
        one(&mut encoder, &OLDEST, &ConstGauge::new(oldest))?;
        family(&mut encoder, &PROBLEMS, &self.open())?;
        family(&mut encoder, &HOLDS, &self.holds())?;
        for (described, reading) in process::readings() {
            match described.kind {
                "counter" => one(&mut encoder, &described, &ConstCounter::new(reading))?,
                _ => one(&mut encoder, &described, &ConstGauge::new(reading))?,
            }
        }
        Ok(())
    }
}

/// One more with these labels; under `other` when there are too many.
fn count<L: Labels + Ord>(all: &mut BTreeMap<L, i64>, labels: L) {
    let full = all.len() >= SERIES_MAX && !all.contains_key(&labels);
    *all.entry(if full { labels.other() } else { labels }).or_default() += 1;
}

fn family<L: Labels>(encoder: &mut DescriptorEncoder, of: &Described, all: &BTreeMap<L, i64>) -> fmt::Result {
    let (stem, unit) = of.parts();
    let mut metric = encoder.encode_descriptor(stem, of.help, unit.as_ref(), MetricType::Gauge)?;
    for (labels, number) in all {
        ConstGauge::new(*number).encode(metric.encode_family(labels)?)?;
    }
    Ok(())
}

fn one(encoder: &mut DescriptorEncoder, of: &Described, metric: &impl EncodeMetric) -> fmt::Result {
    let (stem, unit) = of.parts();
    let encoder = encoder.encode_descriptor(stem, of.help, unit.as_ref(), metric.metric_type())?;
    metric.encode(encoder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_projects_is_bounded() {
        let mut all = BTreeMap::new();
        for n in 0..5 * SERIES_MAX {
            let (namespace, project) = (value("team"), value(&format!("p{n}")));
            let phase = Value::Borrowed(if n % 2 == 0 { "Open" } else { "Healing" });
            count(
                &mut all,
                Open {
                    namespace,
                    project,
                    phase,
                },
            );
        }
        assert_eq!(all.len(), SERIES_MAX + 2);
        assert_eq!(all.values().sum::<i64>(), i64::try_from(5 * SERIES_MAX).unwrap());
    }
}
