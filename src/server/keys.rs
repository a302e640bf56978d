//! One at a time for each key: alerts of one problem that come at once are folded one after the other.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use tokio::sync::OwnedMutexGuard;

/// The locks that somebody holds or waits for.
#[derive(Default)]
pub struct Keys(Mutex<HashMap<String, Weak<tokio::sync::Mutex<()>>>>);

/// So many keys are remembered before those that nobody holds are forgotten.
const CROWDED: usize = 512;

impl Keys {
    /// Waits until nobody else holds this key.
    pub async fn lock(&self, key: String) -> OwnedMutexGuard<()> {
        let lock = {
            let mut locks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if locks.len() >= CROWDED {
                locks.retain(|_, lock| lock.strong_count() > 0);
            }
            let known = locks.get(&key).and_then(Weak::upgrade);
            known.unwrap_or_else(|| {
                let new = Arc::default();
                locks.insert(key, Arc::downgrade(&new));
                new
            })
        };
        lock.lock_owned().await
    }
}
