//! What other runs did on a service lately: budgets and cooldowns are counted from it.
//!
//! Read live, because finished runs are in no cache. A service may have thousands of them, so their metadata is read
//! in pages, and in full only those that were written to since the time that counts.

use futures::{StreamExt, TryStreamExt, stream};
use jiff::{SignedDuration, Timestamp};
use kube::{Api, Resource, ResourceExt, api::ListParams};

use super::{
    execution::{Error, Reader, bounded},
    guarded::Guarded,
};
use crate::{api::SequenceExecution, core::sequence::History};

/// The API server's clock may differ from ours, and it keeps whole seconds.
const SLACK: SignedDuration = SignedDuration::from_secs(60);
/// So many at a time.
const PAGE: u32 = 500;
const AT_ONCE: usize = 8;

impl Reader {
    /// What other runs did on this run's service since then.
    pub(super) async fn history(&self, run: &SequenceExecution, since: Timestamp) -> Result<History, Error> {
        let namespace = run.namespace().unwrap_or_default();
        let names = self.written_since(run, since).await?;
        let others: Vec<Option<Guarded<SequenceExecution>>> = stream::iter(names)
            .map(|name| {
                let namespace = namespace.clone();
                async move { self.live(&namespace, &name).await }
            })
            .buffer_unordered(AT_ONCE)
            .try_collect()
            .await?;
        let mut history = History::default();
        for other in others.iter().flatten().filter_map(Guarded::readable) {
            let Some(status) = &other.status else { continue };
            let started = &status.actions_started;
            history.actions.extend(started.iter().map(|at| at.0));
            let ended = status.finished_at.as_ref().filter(|_| !started.is_empty());
            if let Some(at) = ended.map(|at| at.0)
                && history.last.as_ref().is_none_or(|(last, _)| at > *last)
            {
                history.last = Some((at, other.name_any()));
            }
        }
        Ok(history)
    }

    /// The names of the other runs on this run's service that somebody has written to since then.
    async fn written_since(&self, run: &SequenceExecution, since: Timestamp) -> Result<Vec<String>, Error> {
        let since = since.checked_sub(SLACK).unwrap_or(Timestamp::MIN);
        let spec = &run.spec;
        let fields = format!(
            "spec.project={},spec.stage={},spec.service={}",
            spec.project, spec.stage, spec.service
        );
        let namespace = run.namespace().unwrap_or_default();
        let api = Api::<SequenceExecution>::namespaced(self.client.clone(), &namespace);
        let mut params = ListParams::default().fields(&fields).limit(PAGE);
        let mut names = vec![];
        loop {
            let page = bounded("SequenceExecutions", api.list_metadata(&params)).await?;
            let recent = page
                .items
                .iter()
                .filter(|other| other.uid() != run.uid() && last_write(*other).is_none_or(|at| at >= since));
            names.extend(recent.map(ResourceExt::name_any));
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => params.continue_token = Some(token),
                None => return Ok(names),
            }
        }
    }
}

/// When somebody wrote to the object last, as the API server keeps it; None when it does not say.
fn last_write<K: Resource>(object: &K) -> Option<Timestamp> {
    let managers = object.meta().managed_fields.iter().flatten();
    managers.filter_map(|m| m.time.as_ref().map(|t| t.0)).max()
}
