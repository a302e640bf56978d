//! An evaluation without a cluster: the same scoring, with values from a file or from Prometheus.

use std::{collections::BTreeMap, path::Path};

use anyhow::bail;
use futures::{StreamExt, stream};
use jiff::Timestamp;
use kube::api::ObjectMeta;

use super::{Args, Report, input, labels};
use crate::{
    api::{
        Duration, Evaluation, MetricsProvider, MetricsProviderSpec, Scope,
        evaluation::{IndicatorQuery, Window},
        execution::PinnedGate,
        metricsprovider::PrometheusProvider,
    },
    core::{
        definitions::nearest::hint,
        evaluation::{
            self, Asking, Finding, Measured, Past, Query, Trouble,
            query::{self, Values, substitute},
        },
    },
    facts::metrics::{MetricsSource, Prometheus, QueryError, Question},
};

/// So many queries are asked at once.
const AT_ONCE: usize = 8;
/// What the provider is called in messages: there is no object.
const PROVIDER: &str = "--prometheus";

/// A verdict, and what else should be said.
pub(super) struct Found {
    pub report: Report,
    pub complaints: Vec<String>,
}

/// Evaluates files.
pub(super) async fn evaluate(args: &Args, now: Timestamp) -> anyhow::Result<Found> {
    let Some(slo) = &args.slo else {
        bail!("--slo: name the file with the objectives");
    };
    let given = Scope {
        project: args.project.clone().unwrap_or_default(),
        stage: args.stage.clone(),
        service: args.service.clone(),
    };
    let objectives = input::objectives(slo, &given)?;
    let history = args.history.as_deref().map(input::history).transpose()?;
    let history = history.unwrap_or_default();
    let gate = PinnedGate {
        objective_name: objectives.name,
        objective: Some(objectives.body),
        ..PinnedGate::default()
    };
    let place = place(&given, objectives.scope.as_ref());
    match (&args.values, &args.sli, &args.prometheus) {
        (Some(values), ..) => from_values(args, &place, &gate, values, &history, now),
        (None, Some(sli), Some(url)) => from_prometheus(args, &place, gate, (sli, url), &history, now).await,
        _ => {
            bail!("--values: name the file with what was measured, or ask for it with --sli and --prometheus")
        }
    }
}

/// What is named, else what the objectives are for.
fn place(given: &Scope, of: Option<&Scope>) -> Scope {
    let of = of.cloned().unwrap_or(Scope {
        project: String::new(),
        stage: None,
        service: None,
    });
    Scope {
        project: if given.project.is_empty() {
            of.project
        } else {
            given.project.clone()
        },
        stage: given.stage.clone().or(of.stage),
        service: given.service.clone().or(of.service),
    }
}

/// The Evaluation that the operator would create.
fn object(args: &Args, place: &Scope, gate: &PinnedGate, window: Window) -> Evaluation {
    let labels = labels(args);
    evaluation::new_evaluation(evaluation::Request {
        namespace: "",
        name: "",
        project: &place.project,
        stage: place.stage.as_deref().unwrap_or_default(),
        service: place.service.as_deref().unwrap_or_default(),
        execution: None,
        sequence: None,
        attempt: None,
        window,
        gate,
        labels: &labels,
        deployment: None,
        grace: None,
    })
}

fn from_values(
    args: &Args,
    place: &Scope,
    gate: &PinnedGate,
    path: &Path,
    history: &[Past],
    now: Timestamp,
) -> anyhow::Result<Found> {
    let given = input::values(path)?;
    let shown = path.display();
    // The window is not looked at: what was measured is there.
    let any = Window {
        start: crate::api::common::Timestamp(now),
        end: crate::api::common::Timestamp(now),
    };
    let evaluation = object(args, place, gate, any);
    let known = || {
        gate.objective
            .iter()
            .flat_map(|o| &o.objectives)
            .map(|o| o.sli.as_str())
    };
    let complaints = given
        .keys()
        .filter(|name| !known().any(|k| k == name.as_str()))
        .map(|name| {
            let known: Vec<&str> = known().collect();
            format!(
                "{shown}: {name}: no objective is about this indicator, so its value does not count{}",
                hint(name, known)
            )
        })
        .collect();
    let finding = match evaluation::ask(&evaluation) {
        Asking::Nothing(finding) => finding,
        Asking::Queries { gate, .. } => {
            let measured = |sli: &str| match given.get(sli) {
                Some(Some(value)) => Measured::Value(*value),
                Some(None) => Measured::Missing(format!("{shown} says null")),
                None => Measured::Missing(format!("{shown} has no value for it")),
            };
            let values = gate
                .objectives
                .iter()
                .map(|o| (o.sli.clone(), measured(&o.sli)))
                .collect();
            Finding::Measured {
                gate,
                values,
                warnings: BTreeMap::new(),
            }
        }
    };
    let status = evaluation::decide(&evaluation, &finding, history, now, now);
    let report = Report {
        window: None,
        ..Report::new(&evaluation, status)
    };
    Ok(Found { report, complaints })
}

async fn from_prometheus(
    args: &Args,
    place: &Scope,
    mut gate: PinnedGate,
    (sli, url): (&Path, &str),
    history: &[Past],
    now: Timestamp,
) -> anyhow::Result<Found> {
    let window = args.window.read(now)?;
    let queries = input::indicators(sli, place)?;
    gate.indicators = queries
        .into_iter()
        .map(|(name, measure)| {
            let query = IndicatorQuery {
                query: measure.query,
                provider: PROVIDER.to_owned(),
                reduce: measure.reduce,
                range: measure.range,
            };
            (name, query)
        })
        .collect();
    let evaluation = object(args, place, &gate, window);
    check_queries(&evaluation, sli)?;
    let finding = match evaluation::ask(&evaluation) {
        Asking::Nothing(finding) => finding,
        Asking::Queries {
            gate,
            queries,
            missing,
        } => {
            let shown = sli.display();
            let undefined = |name| {
                (
                    name,
                    Measured::Missing(format!("{shown} has no query for it; add one under indicators")),
                )
            };
            let mut values: BTreeMap<String, Measured> = missing.into_keys().map(undefined).collect();
            let times = evaluation
                .spec
                .window
                .as_ref()
                .map_or((now, now), |w| (w.start.0, w.end.0));
            match ask(&provider(url), queries, times).await {
                Ok((answered, warnings)) => {
                    values.extend(answered);
                    Finding::Measured {
                        gate,
                        values,
                        warnings,
                    }
                }
                Err(trouble) => Finding::Trouble(trouble),
            }
        }
    };
    let status = evaluation::decide(&evaluation, &finding, history, now, Timestamp::now());
    Ok(Found {
        report: Report::new(&evaluation, status),
        complaints: vec![],
    })
}

/// Every placeholder has a value, and one that may stand there: here the remedy is an option or a line of the file.
fn check_queries(evaluation: &Evaluation, path: &Path) -> anyhow::Result<()> {
    let spec = &evaluation.spec;
    let Some(body) = &spec.objective else {
        return Ok(());
    };
    let filter = body.filter.clone().unwrap_or_default();
    let place = (spec.project.as_str(), spec.stage.as_str(), spec.service.as_str());
    let Some(window) = &spec.window else {
        return Ok(());
    };
    let values = Values::new(place, None, &spec.labels, &filter, window);
    let wanted = body.objectives.iter().map(|o| &o.sli);
    for (name, query) in wanted.filter_map(|sli| Some((sli, &spec.indicators.get(sli)?.query))) {
        let at = format!("{}: indicators.{name}", path.display());
        for (placeholder, value, option) in [
            ("PROJECT", place.0, "--project"),
            ("STAGE", place.1, "--stage"),
            ("SERVICE", place.2, "--service"),
        ] {
            let filtered = filter.keys().any(|key| key.to_uppercase() == placeholder);
            if value.is_empty() && !filtered && query.contains(&format!("${placeholder}")) {
                bail!("{at}: asks for ${placeholder}; say it with {option}");
            }
        }
        match substitute(query, &values) {
            Ok(_) => {}
            Err(query::Error::NoLabel(label)) => {
                bail!("{at}: asks for $LABEL.{label}; say it with --label {label}=VALUE")
            }
            Err(error) => bail!("{at}: {error}"),
        }
    }
    Ok(())
}

/// The provider that the command line names. A person asks their own Prometheus, often through a port-forward: whatever
/// a MetricsProvider in a cluster may not be asked, here every address is meant.
fn provider(url: &str) -> MetricsProvider {
    MetricsProvider {
        metadata: ObjectMeta {
            name: Some(PROVIDER.to_owned()),
            ..ObjectMeta::default()
        },
        spec: MetricsProviderSpec {
            prometheus: PrometheusProvider {
                url: url.to_owned(),
                allow_loopback: true,
                ..PrometheusProvider::default()
            },
        },
        status: None,
    }
}

/// What was measured, and what the provider remarked, by indicator.
type Answered = (BTreeMap<String, Measured>, BTreeMap<String, Vec<String>>);

/// All answers, or why there is one that is none. Nothing is asked again: whoever typed the command can do that.
async fn ask(
    provider: &MetricsProvider,
    queries: BTreeMap<String, Query>,
    (start, end): (Timestamp, Timestamp),
) -> Result<Answered, Trouble> {
    let prometheus = Prometheus::default();
    let mut answers = stream::iter(queries)
        .map(|(indicator, query)| {
            let prometheus = &prometheus;
            async move {
                let question = Question {
                    query: query.query,
                    start,
                    end,
                    reduce: query.reduce,
                    range: query.range,
                };
                (indicator, prometheus.query(provider, &question).await)
            }
        })
        .buffer_unordered(AT_ONCE);
    let (mut values, mut warnings) = Answered::default();
    while let Some((indicator, answer)) = answers.next().await {
        let answer = match answer {
            Ok(answer) => answer,
            Err(QueryError::BadQuery(why)) => return Err(Trouble::InvalidQuery { indicator, why }),
            Err(QueryError::Unavailable(why)) => {
                return Err(Trouble::ProviderUnavailable {
                    indicator,
                    why: why.trim_start_matches("MetricsProvider ").to_owned(),
                    tries: 1,
                    over: Duration::default(),
                });
            }
        };
        if !answer.warnings.is_empty() {
            warnings.insert(indicator.clone(), answer.warnings);
        }
        values.insert(indicator, answer.sample.into());
    }
    Ok((values, warnings))
}
