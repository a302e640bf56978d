//! Waiting for a cache's first list.

use std::{hash::Hash, time::Duration};

use kube::runtime::reflector::{Lookup, Store};
use tokio::time::timeout;

/// How often a cache that is being filled is looked at.
const LOOK: Duration = Duration::from_millis(50);

/// A watch has ended for good: the operator is stopping.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the objects are no longer watched, because the operator is stopping")]
pub struct Stopped;

/// Waits until the store has been listed once. Until then nothing may be concluded from an object's absence.
///
/// Use this and not the store's own `wait_until_ready`: of several tasks that wait for one store, that wakes only the
/// one that asked last (kube-runtime 5.0 keeps one waker), and the others wait for ever.
pub async fn filled<K>(store: &Store<K>) -> Result<(), Stopped>
where
    K: Lookup + Clone + 'static,
    K::DynamicType: Eq + Hash + Clone,
{
    loop {
        if let Ok(filled) = timeout(LOOK, store.wait_until_ready()).await {
            return filled.map_err(|_| Stopped);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::future::join_all;
    use k8s_openapi::api::core::v1::ConfigMap;
    use kube::runtime::{reflector, watcher::Event};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn everybody_who_waits_is_told() {
        let (store, mut writer) = reflector::store::<ConfigMap>();
        let waiting = (0..5).map(|_| {
            let store = store.clone();
            tokio::spawn(async move { filled(&store).await.is_ok() })
        });
        let waiting: Vec<_> = waiting.collect();
        tokio::time::sleep(Duration::from_secs(1)).await;
        writer.apply_watcher_event(&Event::Init);
        writer.apply_watcher_event(&Event::InitDone);
        let told = tokio::time::timeout(Duration::from_secs(5), join_all(waiting))
            .await
            .unwrap();
        assert!(told.into_iter().all(|filled| filled.unwrap()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_watch_that_ended_is_no_reason_to_wait() {
        let (store, writer) = reflector::store::<ConfigMap>();
        drop(writer);
        assert_eq!(filled(&store).await, Err(Stopped));
    }
}
