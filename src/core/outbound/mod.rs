//! What goes out: what happens to runs, to those who want to be told.
//!
//! Nothing is queued anywhere: what has to be told is read from the runs' recorded status, and how far it was told from the
//! sink's. So a restart loses nothing; what was sent just before it may be sent again, with the same id.

pub mod ledger;
pub mod notice;
pub mod position;
pub mod story;
#[cfg(test)]
mod tests;

use std::time::Duration;

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use jiff::Timestamp;
use kube::ResourceExt;
use serde_json::Value;

use crate::{
    api::{
        EventSink, EventSinkSpec, SequenceExecution,
        common::Object,
        eventsink::{Notify, SinkFilter},
    },
    core::{
        Invalid,
        definitions::nearest,
        endpoint::Endpoint,
        sequence::phases::{self, ENDED},
    },
};

use self::{ledger::Ledger, position::Position};

/// How long one request may take.
const TIMEOUT: Duration = Duration::from_secs(10);
const TIMEOUT_MAX: Duration = Duration::from_mins(1);
/// For how long something is sent again.
const RETRY_FOR: Duration = Duration::from_hours(1);
const RETRY_FOR_MAX: Duration = Duration::from_hours(24);
/// The phases that people are told of, if the sink says nothing else.
const BAD: [&str; 3] = [phases::EXHAUSTED, phases::INCONCLUSIVE, phases::HELD];

/// A sink without mistakes.
#[derive(Clone, Debug)]
pub struct Sink {
    /// Where it is.
    pub endpoint: Endpoint,
    /// How long one request may take.
    pub timeout: Duration,
    /// For how long something is sent again.
    pub retry_for: Duration,
    filter: SinkFilter,
    what: What,
}

#[derive(Clone, Debug)]
enum What {
    /// Events of these types; of all, when there is none.
    Events(Option<GlobSet>),
    /// Messages about runs in these phases.
    Notices {
        on: Vec<String>,
        template: Option<Object>,
    },
}

/// One thing to tell.
#[derive(Clone, Debug, PartialEq)]
pub struct Letter {
    /// Where in the run's story it stands.
    pub position: Position,
    /// Its id: the same, however often it is sent.
    pub id: String,
    /// Its type: a CloudEvent's, or the run's phase.
    pub type_: String,
    /// The body's media type.
    pub content_type: &'static str,
    /// The body.
    pub body: Value,
}

/// What is wrong with a sink; empty when all is well.
pub fn mistakes(sink: &EventSink) -> Vec<Invalid> {
    Sink::parse(&sink.spec).err().unwrap_or_default()
}

impl From<&EventSinkSpec> for Endpoint {
    fn from(spec: &EventSinkSpec) -> Self {
        let server = &spec.http;
        Self {
            kind: "EventSink",
            path: "spec.http",
            example: "https://events.example.com/coxswain",
            url: server.url.clone(),
            url_from: server.url_from.clone(),
            query: true,
            auth: server.auth.clone(),
            tls: server.tls.clone(),
            headers: server.headers.clone(),
            allow_loopback: server.allow_loopback,
        }
    }
}

impl Sink {
    /// Reads a sink.
    ///
    /// # Errors
    /// Its mistakes.
    pub fn parse(spec: &EventSinkSpec) -> Result<Self, Vec<Invalid>> {
        let endpoint = Endpoint::from(spec);
        let mut wrong = endpoint.mistakes();
        let mut bounded = |path: &str, given: Option<Duration>, default, max: Duration| match given {
            Some(Duration::ZERO) => {
                wrong.push(Invalid::new(path, "is no time at all; write one such as 10s"));
                default
            }
            Some(time) if time > max => {
                wrong.push(Invalid::new(
                    path,
                    format!("is longer than {max:?}; write at most that"),
                ));
                default
            }
            given => given.unwrap_or(default),
        };
        let timeout = bounded(
            "spec.http.timeout",
            spec.http.timeout.map(|t| t.0),
            TIMEOUT,
            TIMEOUT_MAX,
        );
        let retry_for = bounded(
            "spec.retryFor",
            spec.retry_for.map(|t| t.0),
            RETRY_FOR,
            RETRY_FOR_MAX,
        );
        let filter = spec.filter.clone().unwrap_or_default();
        let what = match &spec.notify {
            Some(notify) => notices(notify, &filter, &mut wrong),
            None => What::Events(types(&filter.types, &mut wrong)),
        };
        if wrong.is_empty() {
            Ok(Self {
                endpoint,
                timeout,
                retry_for,
                filter,
                what,
            })
        } else {
            Err(wrong)
        }
    }

    /// What this sink has yet to be told of a run, in its order.
    pub fn letters(&self, run: &SequenceExecution, ledger: &Ledger) -> Vec<Letter> {
        if !self.concerns(run) {
            return Vec::new();
        }
        match &self.what {
            What::Events(types) => story::story(run)
                .iter()
                .filter(|happened| ledger.wants(run, happened.position, happened.at))
                .filter_map(|happened| {
                    let type_ = happened.type_of(run);
                    let wanted = types.as_ref().is_none_or(|types| types.is_match(&type_));
                    wanted.then(|| Letter {
                        position: happened.position,
                        id: happened.id(run),
                        type_,
                        content_type: "application/cloudevents+json; charset=utf-8",
                        body: happened.cloud_event(run),
                    })
                })
                .collect(),
            What::Notices { on, template } => {
                let due = notice::due(run, on).filter(|at| ledger.wants(run, *at, since(run)));
                due.into_iter()
                    .map(|position| Letter {
                        position,
                        id: format!("{}.{position}", run.uid().unwrap_or_default()),
                        type_: run.status.as_ref().map(|s| s.phase.clone()).unwrap_or_default(),
                        content_type: "application/json; charset=utf-8",
                        body: notice::body(run, template.as_ref()),
                    })
                    .collect()
            }
        }
    }

    fn concerns(&self, run: &SequenceExecution) -> bool {
        let has = |list: &[String], name: &String| list.is_empty() || list.contains(name);
        has(&self.filter.projects, &run.spec.project)
            && has(&self.filter.stages, &run.spec.stage)
            && has(&self.filter.services, &run.spec.service)
            && has(&self.filter.sequences, &run.spec.sequence)
    }
}

/// When the run came into its phase: people are not told of what was so before the sink was there.
fn since(run: &SequenceExecution) -> Timestamp {
    let status = run.status.as_ref();
    let at = status.and_then(|s| s.finished_at.as_ref().or(s.paused_at.as_ref()));
    let created = run.metadata.creation_timestamp.as_ref().map(|t| t.0);
    at.map(|at| at.0).or(created).unwrap_or_default()
}

fn types(patterns: &[String], wrong: &mut Vec<Invalid>) -> Option<GlobSet> {
    let mut set = GlobSetBuilder::new();
    for (index, pattern) in patterns.iter().enumerate() {
        match GlobBuilder::new(pattern).literal_separator(false).build() {
            Ok(glob) => {
                set.add(glob);
            }
            Err(error) => wrong.push(Invalid::new(
                format!("spec.filter.types[{index}]"),
                format!(
                    "{pattern:?} is no pattern ({}); write one such as *.finished",
                    error.kind()
                ),
            )),
        }
    }
    match set.build() {
        Ok(set) => (!patterns.is_empty()).then_some(set),
        Err(error) => {
            wrong.push(Invalid::new("spec.filter.types", error.to_string()));
            None
        }
    }
}

fn notices(notify: &Notify, filter: &SinkFilter, wrong: &mut Vec<Invalid>) -> What {
    let known = || ENDED.into_iter().chain([phases::HELD]);
    for (index, phase) in notify.phases.iter().enumerate() {
        if !known().any(|name| name == phase) {
            let names: Vec<&str> = known().collect();
            let hint = nearest::hint(phase, names);
            wrong.push(Invalid::new(
                format!("spec.notify.phases[{index}]"),
                format!("{phase:?} is no phase in which a run ends or is held{hint}"),
            ));
        }
    }
    if !filter.types.is_empty() {
        wrong.push(Invalid::new(
            "spec.filter.types",
            "speaks of events, but spec.notify sends messages for people; remove one of them",
        ));
    }
    if let Some(template) = &notify.template {
        wrong.extend(notice::mistakes(template, "spec.notify.template"));
    }
    let on = if notify.phases.is_empty() {
        BAD.map(str::to_owned).to_vec()
    } else {
        notify.phases.clone()
    };
    What::Notices {
        on,
        template: notify.template.clone(),
    }
}
