//! The runs of flows, read live: finished runs are in no cache.

use kube::{Api, Client, ResourceExt, api::ListParams};

use super::{
    execution::{Error, bounded},
    guarded::Guarded,
};
use crate::{api::SequenceExecution, core::labels};

/// A flow has at most one run for each of a chain's 50 links and its retries: more are not looked at.
const RUNS: u32 = 500;

/// The readable runs of these flows.
pub async fn runs(
    client: &Client,
    namespace: &str,
    contexts: &[String],
) -> Result<Vec<SequenceExecution>, Error> {
    let selector = format!("{} in ({})", labels::CONTEXT, contexts.join(","));
    let api = Api::<Guarded<SequenceExecution>>::namespaced(client.clone(), namespace);
    let params = ListParams::default().labels(&selector).limit(RUNS);
    let list = bounded("SequenceExecutions", api.list(&params)).await?;
    let readable = list.items.iter().filter_map(Guarded::readable);
    Ok(readable.map(std::sync::Arc::unwrap_or_clone).collect())
}

/// The contexts of the runs that are labelled with a Delivery of this name.
pub async fn of_delivery(client: &Client, namespace: &str, delivery: &str) -> Result<Vec<String>, Error> {
    let selector = format!("{}={}", labels::DELIVERY, labels::value(delivery));
    let api = Api::<SequenceExecution>::namespaced(client.clone(), namespace);
    let params = ListParams::default().labels(&selector).limit(RUNS);
    let list = bounded("SequenceExecutions", api.list_metadata(&params)).await?;
    let contexts = list
        .items
        .iter()
        .filter_map(|run| run.labels().get(labels::CONTEXT));
    Ok(contexts.cloned().collect())
}
