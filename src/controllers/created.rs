//! The Jobs that this process created: the status learns their uids with its next write.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Mutex, MutexGuard, PoisonError},
};

use k8s_openapi::api::batch::v1::Job;
use kube::ResourceExt;

use crate::api::SequenceExecution;

/// The uids of Jobs by their names, by the uid of their run.
#[derive(Debug, Default)]
pub struct CreatedJobs(Mutex<HashMap<String, BTreeMap<String, String>>>);

impl CreatedJobs {
    /// This Job was created.
    pub fn remember(&self, job: &Job) {
        let owner = job
            .metadata
            .owner_references
            .iter()
            .flatten()
            .find(|o| o.controller == Some(true));
        if let (Some(owner), Some(uid)) = (owner, job.uid()) {
            let mut created = self.lock();
            created
                .entry(owner.uid.clone())
                .or_default()
                .insert(job.name_any(), uid);
        }
    }

    /// Those of a run.
    pub fn of(&self, run: &SequenceExecution) -> BTreeMap<String, String> {
        run.uid()
            .and_then(|uid| self.lock().get(&uid).cloned())
            .unwrap_or_default()
    }

    /// The run of this uid has ended.
    pub fn forget(&self, uid: &str) {
        self.lock().remove(uid);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, BTreeMap<String, String>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
