//! Watch streams: each kind's changes as they come, through the watcher's selector.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures::stream::{self, Stream};
use serde_json::{Value, json};
use tokio::{sync::watch, time::Instant};

use super::{
    ApiServer, Caller, State,
    faults::{Deliver, Delivery},
    refusal::{self, Refusal},
    request::Target,
    selectors::Selection,
    store::Change,
};

const BOOKMARK_EVERY: Duration = Duration::from_mins(1);
const LONGEST: u64 = 3600;

/// One watch stream.
pub(super) struct Watch {
    server: ApiServer,
    caller: Arc<Caller>,
    resource: String,
    namespace: Option<String>,
    selection: Selection,
    partial: bool,
    /// Lines that are ready.
    ready: Vec<Bytes>,
    /// The next change to look at.
    next: usize,
    /// The newest version that the stream knows of.
    seen: u64,
    changed: watch::Receiver<u64>,
    end: Instant,
    bookmark: Option<Instant>,
    cut: u64,
    gone: u64,
    over: bool,
}

enum Step {
    Line(Bytes),
    End,
    Broken,
    Wait(Option<Instant>),
}

impl Watch {
    /// Opens a stream as the request asks.
    pub(super) fn open(
        server: &ApiServer,
        caller: &Arc<Caller>,
        target: &Target,
        selection: Selection,
        partial: bool,
    ) -> Result<Self, Refusal> {
        let changed = server.changed();
        let state = server.state();
        let table = state.store.table(&target.resource)?;
        let asked = target.param("resourceVersion").unwrap_or_default();
        let asked: u64 = if asked.is_empty() {
            0
        } else {
            asked
                .parse()
                .map_err(|_| refusal::bad_request(format!("invalid resource version {asked:?}")))?
        };
        let trouble = state
            .faults
            .watches
            .get(&target.resource)
            .cloned()
            .unwrap_or_default();
        let seconds = target
            .param("timeoutSeconds")
            .and_then(|t| t.parse().ok())
            .unwrap_or(LONGEST);
        let bookmarks = target.param("allowWatchBookmarks") == Some("true");
        let now = Instant::now();
        let mut watch = Self {
            server: server.clone(),
            caller: caller.clone(),
            resource: target.resource.clone(),
            namespace: target.namespace.clone(),
            selection,
            partial,
            ready: Vec::new(),
            next: table.log.partition_point(|c| c.rv <= asked),
            seen: asked,
            changed,
            end: now + Duration::from_secs(seconds),
            bookmark: bookmarks.then_some(now + BOOKMARK_EVERY),
            cut: trouble.cut,
            gone: trouble.gone,
            over: false,
        };
        let initial = target.param("sendInitialEvents") == Some("true");
        if initial || asked == 0 {
            watch.send_initial(&state, initial)?;
        } else if asked < table.oldest {
            watch
                .ready
                .push(watch.error(&refusal::expired(asked, table.oldest)));
            watch.over = true;
        }
        Ok(watch)
    }

    /// Everything that is there, as ADDED; then, when asked for, the bookmark that says that this was all.
    fn send_initial(&mut self, state: &State, marked: bool) -> Result<(), Refusal> {
        let objects = state
            .store
            .list(&self.resource, self.namespace.as_deref(), &self.selection, None)?;
        self.ready = objects.iter().map(|o| self.line("ADDED", o)).collect();
        self.next = state.store.table(&self.resource)?.log.len();
        self.seen = state.store.rv;
        if marked {
            let annotations = json!({"k8s.io/initial-events-end": "true"});
            self.ready.push(self.bookmark_line(state, Some(annotations))?);
        }
        Ok(())
    }

    /// The body of the answer.
    pub(super) fn stream(self) -> impl Stream<Item = Result<Bytes, std::io::Error>> {
        stream::unfold(self, |mut watch| async move {
            loop {
                if watch.caller.is_dead() {
                    std::future::pending::<()>().await;
                }
                watch.changed.borrow_and_update();
                match watch.step() {
                    Step::Line(line) => return Some((Ok(line), watch)),
                    Step::End => return None,
                    Step::Broken => {
                        watch.over = true;
                        let why = std::io::Error::new(
                            std::io::ErrorKind::ConnectionReset,
                            "injected: connection cut",
                        );
                        return Some((Err(why), watch));
                    }
                    Step::Wait(until) => {
                        let until = until.map_or(watch.end, |u| u.min(watch.end));
                        let until = watch.bookmark.map_or(until, |b| b.min(until));
                        tokio::select! {
                            _ = watch.changed.changed() => {}
                            () = tokio::time::sleep_until(until) => {}
                            () = watch.caller.dead() => {}
                        }
                    }
                }
            }
        })
    }

    fn step(&mut self) -> Step {
        if !self.ready.is_empty() {
            return Step::Line(self.ready.remove(0));
        }
        if self.over || Instant::now() >= self.end {
            return Step::End;
        }
        let server = self.server.clone();
        let mut state = server.state();
        let trouble = state
            .faults
            .watches
            .get(&self.resource)
            .cloned()
            .unwrap_or_default();
        if trouble.cut > self.cut {
            return Step::Broken;
        }
        if trouble.gone > self.gone {
            self.over = true;
            return Step::Line(self.error(&refusal::expired(self.seen, state.store.rv)));
        }
        let mut held_until = None;
        while let Some(change) = self.pending(&state) {
            let due = change.at + state.faults.watch_delay;
            if trouble.frozen_at.is_some_and(|at| change.rv > at) {
                break;
            }
            if due > Instant::now() {
                held_until = Some(due);
                break;
            }
            self.next += 1;
            self.seen = change.rv;
            if let Some((what, object)) = self.event(&change) {
                match deliver(&mut state, &self.caller, &self.resource, what, &object) {
                    Deliver::Never => {}
                    Deliver::Once => return Step::Line(self.line(what, &object)),
                    Deliver::Twice => {
                        self.ready.push(self.line(what, &object));
                        return Step::Line(self.line(what, &object));
                    }
                }
            }
        }
        if let Some(at) = self.bookmark
            && Instant::now() >= at
        {
            self.bookmark = Some(Instant::now() + BOOKMARK_EVERY);
            if trouble.frozen_at.is_none() && self.pending(&state).is_none() {
                self.seen = state.store.rv;
            }
            return self.bookmark_line(&state, None).map_or(Step::End, Step::Line);
        }
        Step::Wait(held_until)
    }

    fn pending(&self, state: &State) -> Option<Change> {
        state
            .store
            .table(&self.resource)
            .ok()?
            .log
            .get(self.next)
            .cloned()
    }

    /// What a change is to this watcher: an object that comes to fit is added, one that ceases to fit is deleted.
    fn event(&self, change: &Change) -> Option<(&'static str, Arc<Value>)> {
        let fits = |object: &Option<Arc<Value>>| {
            object.as_ref().is_some_and(|o| {
                let inside = self
                    .namespace
                    .as_deref()
                    .is_none_or(|ns| o["metadata"]["namespace"] == *ns);
                inside && self.selection.fits(o)
            })
        };
        match (fits(&change.old), fits(&change.new)) {
            (false, true) => Some(("ADDED", change.new.clone()?)),
            (true, true) => Some(("MODIFIED", change.new.clone()?)),
            (true, false) => {
                let mut last = (**change.old.as_ref()?).clone();
                last["metadata"]["resourceVersion"] = json!(change.rv.to_string());
                Some(("DELETED", Arc::new(last)))
            }
            (false, false) => None,
        }
    }

    fn line(&self, what: &str, object: &Value) -> Bytes {
        let object = if self.partial {
            super::partial(object)
        } else {
            object.clone()
        };
        json_line(&json!({"type": what, "object": object}))
    }

    fn bookmark_line(&self, state: &State, annotations: Option<Value>) -> Result<Bytes, Refusal> {
        let kind = &state.store.table(&self.resource)?.kind;
        let mut object = json!({
            "apiVersion": kind.api_version(),
            "kind": kind.kind,
            "metadata": {"resourceVersion": self.seen.to_string()},
        });
        if let Some(annotations) = annotations {
            object["metadata"]["annotations"] = annotations;
        }
        if self.partial {
            object = super::partial(&object);
        }
        Ok(json_line(&json!({"type": "BOOKMARK", "object": object})))
    }

    fn error(&self, why: &Refusal) -> Bytes {
        json_line(&json!({"type": "ERROR", "object": super::status_json(why)}))
    }
}

fn deliver(
    state: &mut State,
    caller: &Caller,
    resource: &str,
    what: &'static str,
    object: &Value,
) -> Deliver {
    if !caller.counted {
        return Deliver::Once;
    }
    state.deliveries += 1;
    let name = super::rules::text(object, &["metadata", "name"]);
    let delivery = Delivery {
        index: state.deliveries,
        resource: resource.to_owned(),
        what,
        name,
    };
    state
        .faults
        .delivery
        .as_mut()
        .map_or(Deliver::Once, |hook| hook(&delivery))
}

fn json_line(value: &Value) -> Bytes {
    let mut line = value.to_string();
    line.push('\n');
    Bytes::from(line)
}
