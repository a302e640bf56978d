//! Kubernetes Events: the story of a run, as `kubectl describe` shows it.
//!
//! An Event's name comes from the object and from what happened, so the same thing is told once, also over a restart.
//! Telling is best effort: it never delays a decision, and what finds no room in the queue is dropped and counted.

use k8s_openapi::{
    api::{core::v1::ObjectReference, events::v1::Event},
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta},
};
use kube::{Api, Client, Resource, ResourceExt, api::PostParams};
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;

/// The name under which Coxswain reports.
pub const REPORTER: &str = "coxswain";
const QUEUE: usize = 1024;
const NOTE_MAX: usize = 1000;

/// One thing that happened.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Note {
    /// What happened, in a CamelCase word: `TaskStarted`.
    pub reason: &'static str,
    /// What tells this from other happenings of the same reason: `2/je-test`.
    pub key: String,
    /// The sentence for people.
    pub text: String,
    /// Whether somebody should look.
    pub warning: bool,
}

impl Note {
    /// Something that went as it should.
    pub fn normal(reason: &'static str, key: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            reason,
            key: key.into(),
            text: text.into(),
            warning: false,
        }
    }

    /// Something that somebody should look at.
    pub fn warning(reason: &'static str, key: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            reason,
            key: key.into(),
            text: text.into(),
            warning: true,
        }
    }
}

/// Publishes Events in the background.
#[derive(Clone)]
pub struct Events {
    queue: mpsc::Sender<Event>,
}

impl Events {
    /// Starts the task that publishes; it ends when the last clone of this handle is dropped.
    pub fn start(client: Client) -> Self {
        let (queue, mut pending) = mpsc::channel::<Event>(QUEUE);
        tokio::spawn(async move {
            while let Some(event) = pending.recv().await {
                let namespace = event.metadata.namespace.clone().unwrap_or_default();
                let api = Api::<Event>::namespaced(client.clone(), &namespace);
                let params = PostParams::default();
                let publish = api.create(&params, &event);
                match tokio::time::timeout(super::REQUEST_TIMEOUT, publish).await {
                    Ok(Ok(_)) => {}
                    Ok(Err(kube::Error::Api(s))) if s.is_already_exists() => {}
                    Ok(Err(error)) => {
                        tracing::warn!(%error, event = event.metadata.name, "could not publish an Event");
                    }
                    Err(_) => {
                        tracing::warn!(event = event.metadata.name, "publishing an Event took too long")
                    }
                }
            }
        });
        Self { queue }
    }

    /// Tells, about `object`, what happened at `now`.
    pub fn tell<K>(&self, object: &K, now: jiff::Timestamp, notes: Vec<Note>)
    where
        K: Resource,
        K::DynamicType: Default,
    {
        for note in notes {
            let event = event(object, now, note);
            if let Err(error) = self.queue.try_send(event) {
                tracing::warn!(%error, "an Event was dropped");
            }
        }
    }
}

fn event<K>(object: &K, now: jiff::Timestamp, note: Note) -> Event
where
    K: Resource,
    K::DynamicType: Default,
{
    let name = object.name_any();
    let uid = object.uid().unwrap_or_default();
    let hash = Sha256::digest(format!("{uid}\n{}\n{}", note.reason, note.key));
    let short: String = hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    let mut text = note.text;
    if text.len() > NOTE_MAX {
        let end = (0..=NOTE_MAX)
            .rev()
            .find(|i| text.is_char_boundary(*i))
            .unwrap_or(0);
        text.truncate(end);
    }
    Event {
        metadata: ObjectMeta {
            name: Some(format!("{name}.{short}")),
            namespace: object.namespace(),
            ..ObjectMeta::default()
        },
        event_time: Some(MicroTime(now)),
        reporting_controller: Some(REPORTER.to_owned()),
        reporting_instance: Some(REPORTER.to_owned()),
        action: Some(note.reason.to_owned()),
        reason: Some(note.reason.to_owned()),
        type_: Some(if note.warning { "Warning" } else { "Normal" }.to_owned()),
        note: Some(text),
        regarding: Some(ObjectReference {
            api_version: Some(K::api_version(&K::DynamicType::default()).into_owned()),
            kind: Some(K::kind(&K::DynamicType::default()).into_owned()),
            name: Some(name),
            namespace: object.namespace(),
            uid: Some(uid),
            ..ObjectReference::default()
        }),
        ..Event::default()
    }
}
