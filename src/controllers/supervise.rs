//! One object's trouble stays its own: panics become errors, and each object waits longer the more often it fails.

use std::{
    collections::HashMap,
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures::FutureExt;
use kube::{Resource, ResourceExt, runtime::controller::Action};
use tokio::time::Instant;

use crate::{effects, facts, facts::guarded::Guarded, telemetry::Telemetry};

const FIRST: Duration = Duration::from_millis(250);
const LONGEST: Duration = Duration::from_mins(1);

/// Runs one reconciliation; a panic in it is an error with its message.
pub async fn guard<T>(reconcile: impl Future<Output = T>) -> Result<T, String> {
    AssertUnwindSafe(reconcile).catch_unwind().await.map_err(|panic| {
        let text = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| panic.downcast_ref::<&str>().copied())
            .unwrap_or("no message");
        format!("a bug in Coxswain: {text}; please report it")
    })
}

/// Why a reconciliation failed; it is tried again.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Something could not be read.
    #[error(transparent)]
    Read(#[from] facts::execution::Error),
    /// Something could not be written.
    #[error(transparent)]
    Write(#[from] effects::Error),
    /// A bug: the other objects go on.
    #[error("{0}")]
    Panicked(String),
}

impl Error {
    /// What failed, in a word: a label of `coxswain_reconcile_errors_total`.
    fn reason(&self) -> &'static str {
        match self {
            Self::Read(_) => "read",
            Self::Write(_) => "write",
            Self::Panicked(_) => "bug",
        }
    }
}

/// How long each object that failed waits.
#[derive(Debug, Default)]
pub struct Backoff {
    failures: Mutex<HashMap<String, u32>>,
    telemetry: Arc<Telemetry>,
}

impl Backoff {
    /// Nothing has failed yet; what does is counted.
    pub fn new(telemetry: Arc<Telemetry>) -> Self {
        Self {
            failures: Mutex::default(),
            telemetry,
        }
    }

    /// The object failed once more: how long to wait. It doubles, up to a minute.
    pub fn next(&self, uid: &str) -> Duration {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let count = failures.entry(uid.to_owned()).or_default();
        let wait = FIRST.saturating_mul(2_u32.saturating_pow(*count)).min(LONGEST);
        *count = count.saturating_add(1).min(16);
        wait
    }

    /// Has one object reconciled, if it can be read. What fails, or panics, is logged and tried again, later each time.
    pub async fn attend<K, F>(&self, object: &Guarded<K>, reconcile: impl FnOnce(Arc<K>) -> F) -> Action
    where
        K: Resource<DynamicType = ()> + Clone,
        F: Future<Output = Result<Action, Error>>,
    {
        let kind = K::kind(&());
        let (namespace, name) = (object.namespace().unwrap_or_default(), object.name_any());
        let Some(readable) = object.readable() else {
            tracing::warn!(%kind, namespace, name, "this object can't be read; it is left out");
            return Action::await_change();
        };
        let uid = object.uid().unwrap_or_default();
        let started = Instant::now();
        let done = guard(reconcile(readable)).await;
        let done = done.unwrap_or_else(|panic| Err(Error::Panicked(panic)));
        let failed = done.as_ref().err().map(Error::reason);
        self.telemetry
            .reconciled(kind.clone().into_owned().into(), started.elapsed(), failed);
        match done {
            Ok(action) => {
                self.reset(&uid);
                action
            }
            Err(error) => {
                let wait = self.next(&uid);
                tracing::warn!(%kind, namespace, name, %error, ?wait, "could not go on; trying again");
                Action::requeue(wait)
            }
        }
    }

    /// The object went well, or is gone.
    pub fn reset(&self, uid: &str) {
        self.failures
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(uid);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_minute_and_start_anew_after_a_success() {
        let backoff = Backoff::default();
        let waits: Vec<_> = (0..10).map(|_| backoff.next("a").as_millis()).collect();
        assert_eq!(waits[..4], [250, 500, 1000, 2000]);
        assert_eq!(waits[9], 60_000);
        assert_eq!(
            backoff.next("b").as_millis(),
            250,
            "another object's failures are its own"
        );
        backoff.reset("a");
        assert_eq!(backoff.next("a").as_millis(), 250);
    }

    #[tokio::test]
    async fn a_panic_is_an_error_with_its_message() {
        let error = guard(async { panic!("index out of bounds") })
            .await
            .map(|(): ()| ())
            .unwrap_err();
        assert!(error.contains("index out of bounds"), "{error}");
    }
}
