//! What has to be known to store what comes in over HTTP; all of it live, because caches are late.

use std::fmt::Debug;

use kube::{Api, Client, Resource, api::ListParams, core::NamespaceResourceScope};
use serde::de::DeserializeOwned;

use super::{
    execution::{Error, bounded},
    guarded::Guarded,
};
use crate::{
    api::{Approval, ProblemEvent, SequenceExecution},
    core::{labels, place::Place},
};

/// So many are read at most.
const MOST: u32 = 500;

/// The problems of one kind on one service, by their label.
pub async fn problems(client: &Client, namespace: &str, label: &str) -> Result<Vec<ProblemEvent>, Error> {
    let params = ListParams::default().labels(&format!("{}={label}", labels::PROBLEM));
    list(client, namespace, "ProblemEvents", params).await
}

/// The runs of a place that go on.
pub async fn runs(client: &Client, namespace: &str, place: &Place) -> Result<Vec<SequenceExecution>, Error> {
    let fields = format!(
        "status.done!=true,spec.project={},spec.stage={},spec.service={}",
        place.project(),
        place.stage(),
        place.service()
    );
    list(
        client,
        namespace,
        "SequenceExecutions",
        ListParams::default().fields(&fields),
    )
    .await
}

/// The open questions of a place.
pub async fn questions(client: &Client, namespace: &str, place: &Place) -> Result<Vec<Approval>, Error> {
    let params = ListParams::default().fields("status.done!=true");
    let mut found: Vec<Approval> = list(client, namespace, "Approvals", params).await?;
    found.retain(|a| {
        let of = (
            a.spec.project.as_str(),
            a.spec.stage.as_str(),
            a.spec.service.as_str(),
        );
        of == (place.project(), place.stage(), place.service())
    });
    Ok(found)
}

/// One object.
pub async fn get<K>(client: &Client, namespace: &str, name: &str) -> Result<Option<K>, Error>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned,
{
    let api = Api::<K>::namespaced(client.clone(), namespace);
    bounded(&format!("{} {namespace}/{name}", K::kind(&())), api.get_opt(name)).await
}

async fn list<K>(client: &Client, namespace: &str, what: &str, params: ListParams) -> Result<Vec<K>, Error>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned,
{
    let api = Api::<Guarded<K>>::namespaced(client.clone(), namespace);
    let found = bounded(&format!("{what} of {namespace}"), api.list(&params.limit(MOST))).await?;
    let readable = found.items.iter().filter_map(Guarded::readable);
    Ok(readable.map(std::sync::Arc::unwrap_or_clone).collect())
}
