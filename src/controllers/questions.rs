//! Which provider each query of an Evaluation goes to.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use jiff::Timestamp;
use kube::ResourceExt;

use crate::{
    api::{Evaluation, MetricsProvider},
    core::{
        definitions::verdict::Definition,
        evaluation::{Chosen, Query, Trouble, decide::choose_provider},
        labels::DEFAULT_PROVIDER,
    },
    facts::{metrics::Question, stores::Cache},
};

/// One query on its way.
pub(super) struct Open {
    /// What is measured.
    pub(super) indicator: String,
    /// Who is asked.
    pub(super) provider: Arc<MetricsProvider>,
    /// What.
    pub(super) question: Question,
}

/// The providers that a query may go to, by name.
pub(super) struct Providers {
    /// Those of the Evaluation's namespace.
    own: BTreeMap<String, Arc<MetricsProvider>>,
    /// Those of the operator's namespace that are marked as the default for all.
    defaults: BTreeMap<String, Arc<MetricsProvider>>,
}

impl Providers {
    /// The providers for an Evaluation.
    pub(super) fn of(evaluation: &Evaluation, all: &Cache<MetricsProvider>, operators: &str) -> Self {
        let of = |namespace: &str| all.of(namespace).into_iter().map(|p| (p.name_any(), p));
        let marked = |p: &MetricsProvider| p.annotations().get(DEFAULT_PROVIDER).is_some_and(|v| v == "true");
        Self {
            own: of(&evaluation.namespace().unwrap_or_default()).collect(),
            defaults: of(operators).filter(|(_, p)| marked(p)).collect(),
        }
    }

    /// The questions that these queries are over a time. An error: why one of them can't be asked.
    pub(super) fn questions<'a>(
        &self,
        queries: impl Iterator<Item = (&'a String, &'a Query)>,
        (start, end): (Timestamp, Timestamp),
    ) -> Result<Vec<Open>, Trouble> {
        let names = |of: &BTreeMap<String, _>| of.keys().cloned().collect::<BTreeSet<String>>();
        let (own, defaults) = (names(&self.own), names(&self.defaults));
        let mut open = Vec::new();
        for (indicator, query) in queries {
            let chosen = choose_provider(&query.provider, &own, &defaults).map_err(|why| {
                Trouble::ProviderMissing {
                    indicator: indicator.clone(),
                    why,
                }
            })?;
            let found = match chosen {
                Chosen::Own(name) => self.own.get(name),
                Chosen::Default(name) => self.defaults.get(name),
            };
            let Some(provider) = found else { continue };
            if let Some(mistake) = provider.mistakes().first() {
                return Err(Trouble::ProviderInvalid {
                    indicator: indicator.clone(),
                    provider: provider.name_any(),
                    why: mistake.to_string(),
                });
            }
            open.push(Open {
                indicator: indicator.clone(),
                provider: provider.clone(),
                question: Question {
                    query: query.query.clone(),
                    start,
                    end,
                    reduce: query.reduce,
                    range: query.range,
                },
            });
        }
        Ok(open)
    }
}
