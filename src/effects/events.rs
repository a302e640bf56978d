//! Kubernetes Events: the story of a run, as `kubectl describe` shows it.
//!
//! Events are told after the status that they speak of was written, and once. Telling is best effort: it never delays a
//! decision, and what finds no room in the queue is dropped and logged. They are core Events, not those of
//! `events.k8s.io`, because `kubectl describe` sorts by the `lastTimestamp` that only the former may carry.

use std::sync::{
    Arc,
    atomic::{AtomicU16, Ordering},
};

use k8s_openapi::{
    api::core::v1::{Event, EventSource, ObjectReference},
    apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time},
};
use kube::{Api, Client, Resource, ResourceExt};
use tokio::{sync::mpsc, time::Instant};

use crate::{core::note::Note, telemetry::Telemetry};

/// The name under which Coxswain reports.
pub const REPORTER: &str = "coxswain";
const QUEUE: usize = 1024;
const NOTE_MAX: usize = 1000;
const NAME_MAX: usize = 200;

/// Publishes Events in the background.
#[derive(Clone)]
pub struct Events {
    queue: mpsc::Sender<Event>,
    telemetry: Arc<Telemetry>,
    /// Tells apart what is told of one object in one microsecond.
    count: Arc<AtomicU16>,
}

impl Events {
    /// Starts the task that publishes; it ends when the last clone of this handle is dropped.
    pub fn start(client: Client, telemetry: Arc<Telemetry>) -> Self {
        let (queue, mut pending) = mpsc::channel::<Event>(QUEUE);
        let counts = telemetry.clone();
        tokio::spawn(async move {
            while let Some(event) = pending.recv().await {
                let namespace = event.metadata.namespace.clone().unwrap_or_default();
                let api = Api::<Event>::namespaced(client.clone(), &namespace);
                let params = super::params();
                let publish = api.create(&params, &event);
                let started = Instant::now();
                let outcome = match tokio::time::timeout(super::REQUEST_TIMEOUT, publish).await {
                    Ok(Ok(_)) => "ok",
                    Ok(Err(kube::Error::Api(s))) if s.is_already_exists() => "exists",
                    Ok(Err(error)) => {
                        tracing::warn!(%error, event = event.metadata.name, "could not publish an Event");
                        "failed"
                    }
                    Err(_) => {
                        tracing::warn!(event = event.metadata.name, "publishing an Event took too long");
                        "timeout"
                    }
                };
                counts.written("create", "Event".into(), outcome, started.elapsed());
                if matches!(outcome, "failed" | "timeout") {
                    counts.event_dropped();
                }
            }
        });
        Self {
            queue,
            telemetry,
            count: Arc::default(),
        }
    }

    /// Tells, about `object`, what happened at `now`.
    pub fn tell<K>(&self, object: &K, now: jiff::Timestamp, notes: Vec<Note>)
    where
        K: Resource,
        K::DynamicType: Default,
    {
        for note in notes {
            let index = self.count.fetch_add(1, Ordering::Relaxed);
            let event = event(object, now, index, note);
            if let Err(error) = self.queue.try_send(event) {
                tracing::warn!(%error, "an Event was dropped");
                self.telemetry.event_dropped();
            }
        }
    }
}

fn event<K>(object: &K, now: jiff::Timestamp, index: u16, note: Note) -> Event
where
    K: Resource,
    K::DynamicType: Default,
{
    let name = object.name_any();
    // Names sort as the story goes, because kubectl sorts by whole seconds only.
    let own = format!("{}.{:x}{index:04x}", cut(&name, NAME_MAX), now.as_microsecond());
    let text = cut(&note.text, NOTE_MAX).to_owned();
    Event {
        metadata: ObjectMeta {
            name: Some(own),
            namespace: object.namespace(),
            ..ObjectMeta::default()
        },
        first_timestamp: Some(Time(now)),
        last_timestamp: Some(Time(now)),
        count: Some(1),
        source: Some(EventSource {
            component: Some(REPORTER.to_owned()),
            host: None,
        }),
        reason: Some(note.reason.to_owned()),
        type_: Some(if note.warning { "Warning" } else { "Normal" }.to_owned()),
        message: Some(text),
        involved_object: ObjectReference {
            api_version: Some(K::api_version(&K::DynamicType::default()).into_owned()),
            kind: Some(K::kind(&K::DynamicType::default()).into_owned()),
            name: Some(name),
            namespace: object.namespace(),
            uid: object.uid(),
            ..ObjectReference::default()
        },
        ..Event::default()
    }
}

/// The first `max` bytes, at a character's end.
fn cut(text: &str, max: usize) -> &str {
    let end = (0..=max.min(text.len()))
        .rev()
        .find(|i| text.is_char_boundary(*i));
    &text[..end.unwrap_or(0)]
}
