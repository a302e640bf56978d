//! Waiting until a cache was filled.

use std::{hash::Hash, time::Duration};

use kube::runtime::reflector::{Lookup, Store};

/// How long a wait that nobody wakes goes on before it looks again.
const LOOK: Duration = Duration::from_millis(100);

/// Waits until the store was filled; false: it never will be, because its watch has ended.
///
/// Several may wait. kube's own wait remembers only the last of them (`DelayedInit` keeps one waker), and the others
/// would sleep for ever; so this one looks again until then.
pub async fn filled<K>(store: &Store<K>) -> bool
where
    K: Lookup + Clone + 'static,
    K::DynamicType: Eq + Hash + Clone,
{
    loop {
        if let Ok(result) = tokio::time::timeout(LOOK, store.wait_until_ready()).await {
            return result.is_ok();
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
            tokio::spawn(async move { filled(&store).await })
        });
        let waiting: Vec<_> = waiting.collect();
        tokio::time::sleep(Duration::from_secs(1)).await;
        writer.apply_watcher_event(&Event::Init);
        writer.apply_watcher_event(&Event::InitDone);
        let told = tokio::time::timeout(Duration::from_secs(5), join_all(waiting)).await.unwrap();
        assert!(told.into_iter().all(|filled| filled.unwrap()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_watch_that_ended_is_no_reason_to_wait() {
        let (store, writer) = reflector::store::<ConfigMap>();
        drop(writer);
        assert!(!filled(&store).await);
    }
}
