//! What the state machine of an execution wants to know.

use std::collections::BTreeMap;

use futures::future::try_join_all;
use jiff::Timestamp;
use k8s_openapi::api::{
    batch::v1::Job,
    core::v1::{Event, Namespace, Pod, ServiceAccount},
};
use kube::{
    Api, Client, Resource, ResourceExt,
    api::ListParams,
    core::{NamespaceResourceScope, PartialObjectMeta},
    runtime::reflector::{ObjectRef, Store},
};
use serde::de::DeserializeOwned;

use super::{READ_TIMEOUT, guarded::Guarded, holds::Holds, targets::Kinds};
use crate::{
    api::{Approval, Evaluation, ProblemEvent, SequenceExecution, TaskResult},
    core::{
        alerts,
        definitions::{self, Snapshot},
        jobs::{
            images::{AllowedImages, ImagePolicy},
            observe::EventLine,
        },
        labels,
        sequence::{Account, AttemptDefinitions, Facts, Needs, asks_for_action},
    },
};

/// Why something could not be read; it is tried again.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The API server said no, or could not be reached.
    #[error("reading {what}: {source}")]
    Api {
        /// What was read.
        what: String,
        /// What the client says.
        source: Box<kube::Error>,
    },
    /// No answer came in time.
    #[error("reading {what}: the API server did not answer within {READ_TIMEOUT:?}")]
    Timeout {
        /// What was read.
        what: String,
    },
}

/// A run reads so many TaskResults at most.
const RESULTS_MAX: u32 = 500;

/// Where facts about executions come from.
#[derive(Clone)]
pub struct Reader {
    /// For live reads.
    pub client: Client,
    /// The definitions in force.
    pub definitions: super::stores::Definitions,
    /// Jobs that Coxswain created.
    pub jobs: Store<Job>,
    /// Their pods.
    pub pods: Store<Pod>,
    /// Open problems.
    pub problems: Store<Guarded<ProblemEvent>>,
    /// Who holds everything back.
    pub holds: Holds,
    /// The images that the installation allows.
    pub allowed_images: AllowedImages,
    /// The kinds of what Jobs change.
    pub kinds: Kinds,
    /// The operator's own image; empty when it is not known.
    pub image: String,
}

impl Reader {
    /// Everything that `needs` asks for; `grant` is the arbiter's business.
    pub async fn gather(
        &self,
        run: &SequenceExecution,
        needs: &Needs,
        now: Timestamp,
    ) -> Result<Facts, Error> {
        let namespace = run.namespace().unwrap_or_default();
        let definitions = self.definitions.of(&namespace);
        let mut facts = Facts {
            hold: self.holds.of(&namespace).await?,
            resolved: self.resolved(run),
            current: super::current::current(run, &definitions),
            ..Facts::default()
        };
        if needs.run {
            facts.run = Some(definitions::pinned::run(run, &definitions));
        }
        let sequence = match &facts.run {
            Some(Ok(found)) => Some(found.sequence.clone()),
            _ => run
                .status
                .as_ref()
                .and_then(|s| s.plan.as_ref())
                .and_then(|p| p.sequence.clone()),
        };
        let Some(sequence) = sequence else {
            return Ok(facts);
        };
        if needs.attempt {
            let tasks: Vec<&str> = sequence.tasks.iter().map(|t| t.name.as_str()).collect();
            facts.attempt = Some(self.attempt_definitions(run, &definitions, &tasks).await?);
        }
        if needs.history && asks_for_action(&sequence) {
            let since = definitions::pinned::counts_since(run, facts.run.as_ref(), now);
            facts.history = Some(self.history(run, since).await?);
        }
        facts.events = definitions.events();
        facts.accounts = self.accounts(run, facts.attempt.as_ref()).await?;
        facts.jobs = self.jobs(run, needs).await?;
        facts.pods = self
            .pods
            .state()
            .iter()
            .filter(|p| is_of(p.as_ref(), run))
            .map(|p| p.as_ref().clone())
            .collect();
        let warnings = needs
            .warnings
            .iter()
            .map(|job| self.warnings(&namespace, job, &facts));
        let warnings = try_join_all(warnings).await?;
        facts.warnings = needs.warnings.iter().cloned().zip(warnings).collect();
        if let Some(name) = &needs.evaluation {
            facts.evaluation = self.live::<Evaluation>(&namespace, name).await?;
        }
        if let Some(name) = &needs.approval {
            facts.approval = self.live::<Approval>(&namespace, name).await?;
        }
        if needs.results {
            facts.results = self.results(run).await?;
        }
        Ok(facts)
    }

    fn resolved(&self, run: &SequenceExecution) -> bool {
        let Some(by) = run
            .spec
            .triggered_by
            .as_ref()
            .filter(|by| by.kind == "ProblemEvent")
        else {
            return false;
        };
        let found = self
            .problems
            .get(&ObjectRef::new(&by.name).within(&run.namespace().unwrap_or_default()));
        found
            .and_then(|p| p.readable())
            .is_some_and(|p| p.metadata.uid == by.uid && alerts::over(&p))
    }

    async fn attempt_definitions(
        &self,
        run: &SequenceExecution,
        definitions: &Snapshot,
        tasks: &[&str],
    ) -> Result<AttemptDefinitions, Error> {
        let mut found = definitions::pinned::attempt(run, definitions, tasks);
        if !found.job_configs.is_empty() {
            let images = self.image_policy(&run.namespace().unwrap_or_default()).await?;
            for config in &mut found.job_configs {
                if config.invalid.is_empty() {
                    config.invalid = images.refuses(config).unwrap_or_default();
                }
            }
        }
        self.pin_files(run, &mut found).await?;
        Ok(found)
    }

    /// The images that are allowed in a namespace. Read live: it is asked for once an attempt, and an annotation is no
    /// reason to keep all namespaces in memory.
    async fn image_policy(&self, namespace: &str) -> Result<ImagePolicy, Error> {
        let all = Api::<Namespace>::all(self.client.clone());
        let found = bounded(&format!("Namespace {namespace}"), all.get_metadata_opt(namespace)).await?;
        let list = found.and_then(|found| found.annotations().get(labels::ALLOWED_IMAGES).cloned());
        Ok(ImagePolicy {
            installation: self.allowed_images.clone(),
            namespace: list.map(|list| list.parse()),
        })
    }

    async fn accounts(
        &self,
        run: &SequenceExecution,
        attempt: Option<&AttemptDefinitions>,
    ) -> Result<BTreeMap<String, Account>, Error> {
        let namespace = run.namespace().unwrap_or_default();
        let pinned = run
            .status
            .as_ref()
            .and_then(|s| s.plan.as_ref())
            .map(|p| p.job_configs.as_slice());
        let configs = attempt
            .map(|a| a.job_configs.as_slice())
            .or(pinned)
            .unwrap_or_default();
        let tasks = configs.iter().flat_map(|c| &c.actions).flat_map(|a| &a.tasks);
        let mut names: Vec<&String> = tasks.filter_map(|t| t.service_account.as_ref()).collect();
        names.sort();
        names.dedup();
        let reads = names.into_iter().map(|name| async {
            let found = self
                .live::<PartialObjectMeta<ServiceAccount>>(&namespace, name)
                .await?;
            let account = match found {
                None => Account::Missing,
                Some(account)
                    if account
                        .annotations()
                        .get(labels::ALLOWED)
                        .is_some_and(|v| v == "true") =>
                {
                    Account::Allowed
                }
                Some(_) => Account::NotAllowed,
            };
            Ok((name.clone(), account))
        });
        Ok(try_join_all(reads).await?.into_iter().collect())
    }

    /// The run's Jobs. Of those that `needs` names the live object decides when the cache has none.
    async fn jobs(&self, run: &SequenceExecution, needs: &Needs) -> Result<BTreeMap<String, Job>, Error> {
        let namespace = run.namespace().unwrap_or_default();
        let attempt = run.status.as_ref().and_then(|s| s.attempts.last());
        let recorded = attempt.into_iter().flat_map(|a| &a.tasks).flat_map(|t| &t.jobs);
        let mut found = BTreeMap::new();
        let mut names: Vec<&String> = vec![];
        for job in recorded {
            names.extend(job.tried.iter().map(|t| &t.name));
            names.push(&job.name);
        }
        for name in names.into_iter().filter(|n| !n.is_empty()) {
            let cached = self.jobs.get(&ObjectRef::new(name).within(&namespace));
            let job = match cached {
                Some(job) => Some(job.as_ref().clone()),
                None if needs.jobs.contains(name) => self.live::<Job>(&namespace, name).await?,
                None => None,
            };
            found.extend(job.map(|job| (name.clone(), job)));
        }
        Ok(found)
    }

    /// What outside executors said of a run, in the order in which they said it.
    async fn results(&self, run: &SequenceExecution) -> Result<Vec<TaskResult>, Error> {
        let api = Api::<TaskResult>::namespaced(self.client.clone(), &run.namespace().unwrap_or_default());
        let params = ListParams::default()
            .fields(&format!("spec.execution={}", run.name_any()))
            .limit(RESULTS_MAX);
        let mut found = bounded("TaskResults", api.list(&params)).await?.items;
        // Of one second's the beginning comes first.
        found.sort_by_key(|r| (r.creation_timestamp().map(|t| t.0), r.spec.type_, r.name_any()));
        Ok(found)
    }

    /// Warnings about a Job and its pods, newest first.
    async fn warnings(&self, namespace: &str, job: &str, facts: &Facts) -> Result<Vec<EventLine>, Error> {
        let api = Api::<Event>::namespaced(self.client.clone(), namespace);
        let Some(job) = facts.jobs.get(job).and_then(ResourceExt::uid) else {
            return Ok(vec![]);
        };
        let its = |pod: &&Pod| pod.owner_references().iter().any(|owner| owner.uid == job);
        let pods = facts.pods.iter().filter(its).filter_map(ResourceExt::uid);
        let uids = std::iter::once(job.clone()).chain(pods);
        let lists = uids.map(|uid| {
            let params = ListParams::default()
                .fields(&format!("type=Warning,involvedObject.uid={uid}"))
                .limit(50);
            let api = api.clone();
            async move { bounded("Events", api.list(&params)).await }
        });
        let mut events: Vec<Event> = try_join_all(lists)
            .await?
            .into_iter()
            .flat_map(|l| l.items)
            .collect();
        let at = |e: &Event| {
            let last = e
                .last_timestamp
                .as_ref()
                .map(|t| t.0)
                .or(e.event_time.as_ref().map(|t| t.0));
            last.or(e.metadata.creation_timestamp.as_ref().map(|t| t.0))
        };
        events.sort_by_key(|e| std::cmp::Reverse(at(e)));
        Ok(events
            .into_iter()
            .map(|e| EventLine {
                reason: e.reason.unwrap_or_default(),
                message: e.message.unwrap_or_default(),
            })
            .collect())
    }

    /// One object, live; None when there is none.
    pub async fn live<K>(&self, namespace: &str, name: &str) -> Result<Option<K>, Error>
    where
        K: Resource<Scope = NamespaceResourceScope> + Clone + std::fmt::Debug + DeserializeOwned,
        K::DynamicType: Default,
    {
        live(&self.client, namespace, name).await
    }
}

/// One object, live; None when there is none.
///
/// # Errors
/// The API server can't be asked.
pub async fn live<K>(client: &Client, namespace: &str, name: &str) -> Result<Option<K>, Error>
where
    K: Resource<Scope = NamespaceResourceScope> + Clone + std::fmt::Debug + DeserializeOwned,
    K::DynamicType: Default,
{
    let what = format!("{} {namespace}/{name}", K::kind(&K::DynamicType::default()));
    bounded(
        &what,
        Api::<K>::namespaced(client.clone(), namespace).get_opt(name),
    )
    .await
}

pub(super) async fn bounded<T>(what: &str, read: impl Future<Output = kube::Result<T>>) -> Result<T, Error> {
    match tokio::time::timeout(READ_TIMEOUT, read).await {
        Ok(Ok(found)) => Ok(found),
        Ok(Err(source)) => Err(Error::Api {
            what: what.to_owned(),
            source: Box::new(source),
        }),
        Err(_) => Err(Error::Timeout {
            what: what.to_owned(),
        }),
    }
}

fn is_of(pod: &Pod, run: &SequenceExecution) -> bool {
    pod.namespace() == run.namespace() && pod.labels().get(labels::EXECUTION) == run.metadata.name.as_ref()
}
