//! Ended runs and closed problems: which there are, and which something still refers to.
//!
//! They are in no cache and may be many. They are read in pages, and of each only the few fields that decide.

use std::{
    collections::{BTreeMap, VecDeque},
    fmt::Debug,
};

use jiff::Timestamp;
use kube::{
    Api, Client, Resource, ResourceExt,
    api::ListParams,
    core::{ApiResource, Object},
    runtime::reflector::Store,
};
use serde::{
    Deserialize,
    de::{DeserializeOwned, IgnoredAny},
};

use super::{
    execution::{Error, bounded},
    guarded::Guarded,
    namespaces::Namespaces,
    stores::Definitions,
};
use crate::{
    api::{Delivery, ProblemEvent, SequenceExecution},
    core::{
        history::{self, Census, Ended, Keep, PROBLEM_AGE},
        queue::PlaceKey,
    },
};

/// So many at a time. A run may have a hundred KiB, most of which is skipped as it is read.
const PAGE: u32 = 100;

/// Reads what has ended.
#[derive(Clone)]
pub struct EndedReader {
    /// For live reads.
    pub client: Client,
    /// Where runs and problems are looked for.
    pub namespaces: Namespaces,
    /// What shipyards say of history.
    pub definitions: Definitions,
    /// Open problems: their runs stay.
    pub problems: Store<Guarded<ProblemEvent>>,
}

/// An object's identity.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Identity {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
}

impl EndedReader {
    /// The ended runs of one service in one stage, by their sequence.
    pub async fn runs(
        &self,
        place: &PlaceKey,
        now: Timestamp,
    ) -> Result<BTreeMap<String, Vec<Ended>>, Error> {
        let fields = format!(
            "status.done=true,spec.project={},spec.stage={},spec.service={}",
            place.project, place.stage, place.service
        );
        let acted_since = history::acted_since(&self.definitions.remediations.of(&place.namespace), now);
        let mut found: BTreeMap<String, Vec<Ended>> = BTreeMap::new();
        let mut pages =
            Pages::<Run>::of::<SequenceExecution>(&self.client, &Namespaces::one(&place.namespace), &fields);
        while let Some(page) = pages.next().await? {
            for run in page
                .into_iter()
                .filter(|r| r.metadata.deletion_timestamp.is_none())
            {
                let ended = run.ended(acted_since);
                found.entry(run.spec.sequence).or_default().push(ended);
            }
        }
        Ok(found)
    }

    /// How many ended runs there are of each sequence in each place.
    pub async fn census(&self) -> Result<Census, Error> {
        let mut census = Census::default();
        let mut pages =
            Pages::<Run>::of::<SequenceExecution>(&self.client, &self.namespaces, "status.done=true");
        while let Some(page) = pages.next().await? {
            for run in page {
                let (at, namespace) = (run.finished_at(), run.namespace().unwrap_or_default());
                let place = PlaceKey {
                    namespace,
                    project: run.spec.project,
                    stage: run.spec.stage,
                    service: run.spec.service,
                };
                census.add(place, run.spec.sequence, at);
            }
        }
        Ok(census)
    }

    /// What the shipyard says of a sequence's history.
    pub fn keep(&self, place: &PlaceKey, sequence: &str) -> Keep {
        let shipyards = self.definitions.shipyards.of(&place.namespace);
        history::keep(&shipyards, &place.project, &place.stage, sequence)
    }

    /// Whether an ended run still belongs to something that goes on: a flow with a live run, an open problem, a Delivery
    /// that shows it. Asked of the few that would be deleted, so nothing has to be remembered.
    pub async fn is_in_use(&self, namespace: &str, run: &Ended) -> Result<bool, Error> {
        let named = |problem: std::sync::Arc<ProblemEvent>| {
            problem.namespace().as_deref() == Some(namespace)
                && problem.status.as_ref().and_then(|s| s.execution.as_ref()) == Some(&run.name)
        };
        if self
            .problems
            .state()
            .iter()
            .filter_map(|p| p.readable())
            .any(named)
        {
            return Ok(true);
        }
        let fields = format!("status.done!=true,spec.context={}", run.context);
        let runs = Api::<SequenceExecution>::namespaced(self.client.clone(), namespace);
        let params = ListParams::default().fields(&fields).limit(1);
        let live = bounded("SequenceExecutions", runs.list_metadata(&params)).await?;
        if !live.items.is_empty() {
            return Ok(true);
        }
        let mut pages = Pages::<DeliveryRuns>::of::<Delivery>(&self.client, &Namespaces::one(namespace), "");
        while let Some(page) = pages.next().await? {
            if page
                .iter()
                .filter_map(|d| d.status.as_ref())
                .any(|d| d.shows(run))
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Problems that have been closed for so long that they go: at most `most`, and whether there are more.
    pub async fn old_problems(&self, now: Timestamp, most: usize) -> Result<(Vec<Identity>, bool), Error> {
        let mut old = vec![];
        let mut pages =
            Pages::<Problem>::of::<ProblemEvent>(&self.client, &self.namespaces, "status.done=true");
        while let Some(page) = pages.next().await? {
            let goes = |problem: &&Object<IgnoredAny, ProblemState>| {
                let closed = problem
                    .status
                    .as_ref()
                    .and_then(|s| time(s.finished_at.as_deref()));
                problem.metadata.deletion_timestamp.is_none()
                    && !history::is_wanted(&problem.metadata)
                    && closed.is_some_and(|at| history::is_older(at, PROBLEM_AGE, now))
            };
            for problem in page.iter().filter(goes) {
                if old.len() == most {
                    return Ok((old, true));
                }
                old.push(Identity {
                    namespace: problem.namespace().unwrap_or_default(),
                    name: problem.name_any(),
                    uid: problem.uid().unwrap_or_default(),
                });
            }
        }
        Ok((old, false))
    }
}

/// Every run of these namespaces, and when it ended.
///
/// # Errors
/// The API server can't be asked.
pub async fn all_runs(
    client: &Client,
    namespaces: &Namespaces,
) -> Result<Vec<(Identity, Option<Timestamp>)>, Error> {
    let mut found = vec![];
    let mut pages = Pages::<Run>::of::<SequenceExecution>(client, namespaces, "");
    while let Some(page) = pages.next().await? {
        found.extend(page.into_iter().map(|run| {
            let ended_at = run.status.as_ref().and_then(|s| time(s.finished_at.as_deref()));
            let identity = Identity {
                namespace: run.namespace().unwrap_or_default(),
                name: run.name_any(),
                uid: run.uid().unwrap_or_default(),
            };
            (identity, ended_at)
        }));
    }
    Ok(found)
}

/// A run, without what nobody asks here. Everything is text, so that no run is unreadable.
type Run = Object<RunSpec, RunStatus>;
type Problem = Object<IgnoredAny, ProblemState>;
type DeliveryRuns = Object<IgnoredAny, DeliveryState>;

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct RunSpec {
    project: String,
    stage: String,
    service: String,
    sequence: String,
    context: Option<String>,
    control: Option<RunControl>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct RunControl {
    retry: Option<Wish>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Wish {
    id: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct RunStatus {
    phase: String,
    finished_at: Option<String>,
    actions_started: Vec<IgnoredAny>,
    retried: Option<Wish>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ProblemState {
    finished_at: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct DeliveryState {
    execution: Option<String>,
    context: Option<String>,
    earlier: Vec<String>,
    stages: Vec<StageState>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct StageState {
    execution: Option<String>,
}

impl DeliveryState {
    /// Whether the run is one of a flow that the Delivery follows, or the newest in its stage.
    fn shows(&self, run: &Ended) -> bool {
        let mut flows = self.earlier.iter().chain(&self.context);
        let mut runs = self.stages.iter().map(|s| &s.execution).chain([&self.execution]);
        flows.any(|flow| *flow == run.context) || runs.any(|name| name.as_ref() == Some(&run.name))
    }
}

trait RunExt {
    /// When it ended; one that does not say, when it was created.
    fn finished_at(&self) -> Timestamp;
    /// What decides on it. One that acted since then counts against a budget.
    fn ended(&self, acted_since: Timestamp) -> Ended;
}

impl RunExt for Run {
    fn finished_at(&self) -> Timestamp {
        let said = self.status.as_ref().and_then(|s| time(s.finished_at.as_deref()));
        said.or(self.metadata.creation_timestamp.as_ref().map(|t| t.0))
            .unwrap_or_default()
    }

    fn ended(&self, acted_since: Timestamp) -> Ended {
        let status = self.status.clone().unwrap_or_default();
        let uid = self.uid().unwrap_or_default();
        let wish = self.spec.control.as_ref().and_then(|c| c.retry.as_ref());
        let unseen = wish.is_some_and(|wish| status.retried.as_ref().is_none_or(|r| r.id != wish.id));
        let finished_at = self.finished_at();
        let counts = !status.actions_started.is_empty() && finished_at >= acted_since;
        Ended {
            name: self.name_any(),
            context: self.spec.context.clone().unwrap_or_else(|| uid.clone()),
            uid,
            finished_at,
            failed: history::is_failure(&status.phase),
            stays: unseen || counts || history::is_wanted(&self.metadata),
        }
    }
}

fn time(text: Option<&str>) -> Option<Timestamp> {
    text.and_then(|text| text.parse().ok())
}

/// A list, page by page.
struct Pages<K> {
    /// Where it is asked; the first is being read.
    apis: VecDeque<Api<K>>,
    kind: String,
    params: ListParams,
}

impl<K> Pages<K>
where
    K: Resource<DynamicType = ApiResource, Scope = kube::core::DynamicResourceScope>
        + Clone
        + Debug
        + DeserializeOwned,
{
    /// The objects of kind `Of`, read as `K`.
    fn of<Of: Resource<DynamicType = ()>>(client: &Client, namespaces: &Namespaces, fields: &str) -> Self {
        let resource = ApiResource::erase::<Of>(&());
        let params = ListParams::default().limit(PAGE);
        Self {
            apis: namespaces.apis(client, &resource).into(),
            kind: resource.kind,
            params: if fields.is_empty() {
                params
            } else {
                params.fields(fields)
            },
        }
    }

    async fn next(&mut self) -> Result<Option<Vec<K>>, Error> {
        let Some(api) = self.apis.front() else {
            return Ok(None);
        };
        let page = bounded(&self.kind, api.list(&self.params)).await?;
        self.params.continue_token = page.metadata.continue_.filter(|token| !token.is_empty());
        if self.params.continue_token.is_none() {
            self.apis.pop_front();
        }
        Ok(Some(page.items))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn run(spec: serde_json::Value, status: serde_json::Value) -> Ended {
        let run: Run = serde_json::from_value(json!({
            "apiVersion": "coxswain.dev/v1alpha1", "kind": "SequenceExecution",
            "metadata": {"name": "r", "uid": "u", "creationTimestamp": "2026-01-01T00:00:00Z"},
            "spec": spec, "status": status,
        }))
        .unwrap();
        run.ended("2026-01-05T08:00:00Z".parse().unwrap())
    }

    #[test]
    fn of_a_run_is_read_what_decides() {
        let plain = run(
            json!({"sequence": "s"}),
            json!({"done": true, "phase": "TimedOut", "payload": {"a": [1]}}),
        );
        assert_eq!(
            (plain.context.as_str(), plain.failed, plain.stays),
            ("u", true, false)
        );
        assert_eq!(plain.finished_at.to_string(), "2026-01-01T00:00:00Z");
        let flow = json!({"context": "flow"});
        let ended = run(
            flow,
            json!({"phase": "Succeeded", "finishedAt": "2026-01-05T07:00:00.000001Z"}),
        );
        assert_eq!((ended.context.as_str(), ended.failed), ("flow", false));
        assert_eq!(ended.finished_at.to_string(), "2026-01-05T07:00:00.000001Z");
    }

    #[test]
    fn a_run_stays_while_a_wish_is_not_seen_to_or_its_actions_count() {
        let wish = json!({"control": {"desired": "Run", "retry": {"id": "2", "from": "Start"}}});
        assert!(run(wish.clone(), json!({})).stays);
        assert!(run(wish.clone(), json!({"retried": {"id": "1"}})).stays);
        assert!(!run(wish, json!({"retried": {"id": "2"}})).stays);
        let acted = |at: &str| json!({"finishedAt": at, "actionsStarted": ["2026-01-05T07:00:00.000000Z"]});
        assert!(run(json!({}), acted("2026-01-05T08:00:00.000000Z")).stays);
        assert!(!run(json!({}), acted("2026-01-05T07:59:59.000000Z")).stays);
    }

    #[test]
    fn a_delivery_shows_its_newest_flow_and_the_newest_run_of_each_stage() {
        let state: DeliveryState = serde_json::from_value(json!({
            "phase": "Delivered", "context": "c1", "execution": "e1",
            "stages": [{"stage": "dev", "execution": "r"}],
        }))
        .unwrap();
        let run = run(json!({}), json!({}));
        assert!(state.shows(&run));
        assert!(state.shows(&Ended {
            name: "other".to_owned(),
            context: "c1".to_owned(),
            ..run.clone()
        }));
        assert!(!state.shows(&Ended {
            name: "other".to_owned(),
            ..run
        }));
    }
}
