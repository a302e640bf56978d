//! `POST /alertmanager`: alerts fold into problems. It answers 2xx when every alert is stored; what maps nowhere is told.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use futures::{StreamExt, future::BoxFuture, stream};
use kube::ResourceExt;
use serde_json::json;

use super::{
    answer::Refusal,
    app::{Admitted, App, Caches},
};
use crate::{
    api::{AlertRoute, ProblemEvent, ProblemEventStatus, alertroute::AlertRouteSpec},
    core::{
        alerts::{Alert, Webhook, fold, problem, route, route::Mapped, webhook},
        labels,
        note::Note,
    },
    effects::Created,
    facts,
};

/// So many problems are written at once for one message.
const AT_ONCE: usize = 16;
/// So often a problem that others change meanwhile is read again.
const ROUNDS: usize = 12;

/// Whose problem an alert is: the namespace and the problem.
type Of = (String, Mapped);

/// An alert that maps nowhere.
struct Stray<'a> {
    alert: &'a Alert,
    route: Option<Arc<AlertRoute>>,
    why: Refusal,
}

pub(super) async fn take(app: &App, admitted: Admitted) -> Result<Response, Refusal> {
    let message = webhook::read(&admitted.body).map_err(Refusal::bad)?;
    let routes = Routes::of(&admitted);
    let (mut sorted, mut strays): (BTreeMap<Of, Vec<&Alert>>, Vec<Stray>) = Default::default();
    for alert in &message.alerts {
        match routes.find(&admitted, alert) {
            Ok(of) => sorted.entry(of).or_default().push(alert),
            Err(stray) => strays.push(stray),
        }
    }
    let forbidden = strays.iter().filter(|s| s.why.code == StatusCode::FORBIDDEN);
    if sorted.is_empty() && !strays.is_empty() && forbidden.count() == strays.len() {
        return Err(strays.swap_remove(0).why);
    }
    let mut work: Vec<BoxFuture<'_, (Result<Option<String>, Refusal>, &Vec<&Alert>)>> = Vec::new();
    for ((namespace, of), alerts) in &sorted {
        let fold = Fold {
            app,
            admitted: &admitted,
            namespace,
            of,
            alerts,
            message: &message,
        };
        work.push(Box::pin(async move { (fold.run().await, alerts) }));
    }
    let folded: Vec<_> = stream::iter(work).buffer_unordered(AT_ONCE).collect().await;
    let mut problems = Vec::new();
    for (result, alerts) in folded {
        match result {
            Ok(problem) => problems.extend(problem),
            // The others are stored; when all are sent again that changes nothing.
            Err(refusal) if refusal.is_later() => return Err(refusal),
            Err(refusal) => strays.extend(alerts.iter().map(|alert| Stray {
                alert,
                route: None,
                why: refusal.clone(),
            })),
        }
    }
    let unmapped: Vec<_> = strays
        .iter()
        .map(|s| json!({"alertname": s.alert.name(), "fingerprint": s.alert.fingerprint(), "message": s.why.message}))
        .collect();
    for stray in &strays {
        note(app, stray);
    }
    let strange = strays.len();
    let telemetry = &app.context.effects.telemetry;
    telemetry.alerts(message.alerts.len() - strange, strange);
    problems.sort();
    Ok((
        StatusCode::OK,
        Json(json!({"problems": problems, "unmapped": unmapped})),
    )
        .into_response())
}

/// Says that an alert maps nowhere; not each time that it is repeated.
fn note(app: &App, stray: &Stray) {
    if !app.noted.allow(&stray.alert.fingerprint()) || !app.noted.allow("all") {
        return;
    }
    let text = format!("alert {:?}: {}", stray.alert.name(), stray.why.message);
    tracing::warn!("an alert maps to no problem: {text}");
    if let Some(route) = &stray.route {
        let note = Note::warning("AlertNotMapped", text);
        app.context
            .effects
            .events
            .tell(route.as_ref(), app.context.clock.now(), vec![note]);
    }
}

/// The routes that may map a request's alerts, the first one first.
struct Routes {
    all: Vec<Arc<AlertRoute>>,
}

impl Routes {
    fn of(admitted: &Admitted) -> Self {
        let cache = &admitted.caches.definitions.alert_routes;
        let only = admitted.token.namespace.as_ref().or(admitted.namespace.as_ref());
        let mut all: Vec<Arc<AlertRoute>> = match only {
            Some(namespace) => cache.of(namespace),
            None => cache.namespaces().iter().flat_map(|n| cache.of(n)).collect(),
        };
        all.sort_by_key(|r| {
            let priority = std::cmp::Reverse(r.spec.priority.unwrap_or(0));
            (
                priority,
                r.creation_timestamp().map(|t| t.0),
                r.namespace(),
                r.name_any(),
            )
        });
        Self { all }
    }

    fn find<'a>(&self, admitted: &Admitted, alert: &'a Alert) -> Result<Of, Stray<'a>> {
        let fitting = self.all.iter().find(|r| route::fits(&r.spec, alert));
        let stray = |why: Refusal| Stray {
            alert,
            route: fitting.cloned(),
            why,
        };
        let by_default = AlertRouteSpec::default();
        let spec = fitting.map_or(&by_default, |r| &r.spec);
        let of = route::map(spec, alert).map_err(|why| stray(Refusal::bad(why)))?;
        let project = of.place.project();
        if let Some(route) = fitting {
            let namespace = route.namespace().unwrap_or_default();
            if admitted
                .token
                .project
                .as_deref()
                .is_some_and(|own| own != project)
            {
                return Err(stray(
                    admitted
                        .namespace_of(project)
                        .err()
                        .unwrap_or_else(|| Refusal::bad("")),
                ));
            }
            return Ok((namespace, of));
        }
        let namespace = admitted.namespace_of(project).map_err(stray)?;
        if self
            .all
            .iter()
            .any(|r| r.namespace().as_ref() == Some(&namespace))
        {
            let why = format!(
                "no AlertRoute of namespace {namespace} has matchers that fit; change one, or add one"
            );
            return Err(stray(Refusal::bad(why)));
        }
        Ok((namespace, of))
    }
}

/// The alerts of one message that tell of one problem.
struct Fold<'a> {
    app: &'a App,
    admitted: &'a Admitted,
    namespace: &'a str,
    of: &'a Mapped,
    alerts: &'a [&'a Alert],
    message: &'a Webhook,
}

impl Fold<'_> {
    /// Stores the alerts; the problem's name, where there is one for them.
    async fn run(&self) -> Result<Option<String>, Refusal> {
        let label = problem::label(self.of);
        if let Some(name) = self.nothing_new(&self.admitted.caches) {
            return Ok(Some(name));
        }
        let _alone = self.app.keys.lock(format!("{}/{label}", self.namespace)).await;
        let mut named = self.cached(&self.admitted.caches).first().map(|p| p.name_any());
        for _ in 0..ROUNDS {
            let open = match self.read(named.take()).await? {
                Some(open) => Some(open),
                None => self.open_or_new(&label).await?,
            };
            let Some(open) = open else {
                return Ok(None);
            };
            let name = open.name_any();
            match self.write(open).await {
                Ok(()) => return Ok(Some(name)),
                // The controller was faster: once more, from what there is now.
                Err(error) if error.is_conflict() || error.is_not_found() => named = Some(name),
                Err(error) => return Err(error.into()),
            }
        }
        Err(Refusal::later(
            "the problem is changed all the time; send it again",
        ))
    }

    /// The open problems of this kind that are known of, the oldest first.
    fn cached(&self, caches: &Caches) -> Vec<Arc<ProblemEvent>> {
        let same = |p: &Arc<ProblemEvent>| {
            p.namespace().as_deref() == Some(self.namespace) && is_open(p) && problem::is_same(p, self.of)
        };
        let state = caches.problems.state();
        let mut found: Vec<_> = state.iter().filter_map(|p| p.readable()).filter(same).collect();
        found.sort_by_key(|p| age(p.as_ref()));
        found
    }

    /// The open problem that has heard all of it before: repeats cost nothing.
    fn nothing_new(&self, caches: &Caches) -> Option<String> {
        let known = |p: &&Arc<ProblemEvent>| {
            p.status
                .as_ref()
                .is_some_and(|status| !self.hear(&mut status.clone()))
        };
        self.cached(caches).iter().find(known).map(|p| p.name_any())
    }

    async fn read(&self, name: Option<String>) -> Result<Option<ProblemEvent>, Refusal> {
        let Some(name) = name else {
            return Ok(None);
        };
        let found: Option<ProblemEvent> =
            facts::inbound::get(&self.app.context.client, self.namespace, &name).await?;
        Ok(found.filter(|p| is_open(p) && problem::is_same(p, self.of)))
    }

    /// The open problem of this kind, else a new one, if anything fires that the one before has not answered.
    async fn open_or_new(&self, label: &str) -> Result<Option<ProblemEvent>, Refusal> {
        let all = facts::inbound::problems(&self.app.context.client, self.namespace, label).await?;
        let mut all: Vec<_> = all.into_iter().filter(|p| problem::is_same(p, self.of)).collect();
        all.sort_by_key(age);
        if let Some(at) = all.iter().position(is_open) {
            return Ok(Some(all.swap_remove(at)));
        }
        let mut before = all.pop();
        loop {
            let closed = before.as_ref().and_then(|p| p.status.as_ref());
            let news =
                |alert: &&&Alert| !alert.is_resolved() && !closed.is_some_and(|c| fold::answered(c, alert));
            let Some(first) = self.alerts.iter().find(news) else {
                return Ok(None);
            };
            let after = before.as_ref().and_then(ResourceExt::uid).unwrap_or_default();
            let mut new = problem::open(self.of, self.namespace, &after, first);
            let by = format!("token {}", self.admitted.token.name);
            new.annotations_mut().insert(labels::ASKED_BY.to_owned(), by);
            match self.app.context.effects.create(&new).await? {
                Created::New(opened) => {
                    tracing::info!(
                        namespace = self.namespace,
                        problem = opened.name_any(),
                        "an alert opened it"
                    );
                    return Ok(Some(opened));
                }
                Created::Existed(found) if is_open(&found) => return Ok(Some(found)),
                Created::Existed(found) => {
                    if before.as_ref().is_some_and(|b| b.uid() == found.uid()) {
                        return Err(Refusal::later(
                            "the problem before has just been closed; send it again",
                        ));
                    }
                    before = Some(found);
                }
            }
        }
    }

    /// Takes the message in; whether anything changed.
    fn hear(&self, status: &mut ProblemEventStatus) -> bool {
        let mut changed = false;
        for alert in self.alerts {
            changed |= fold::hear(status, alert);
        }
        let truncated = i32::try_from(self.message.truncated_alerts).unwrap_or(i32::MAX);
        let truncated = Some(truncated).filter(|n| *n > 0);
        changed |= status.alerts_truncated != truncated;
        status.alerts_truncated = truncated;
        changed
    }

    async fn write(&self, mut open: ProblemEvent) -> Result<(), crate::effects::Error> {
        let before = open.status.clone().unwrap_or_default();
        if !self.hear(open.status.get_or_insert_default()) {
            return Ok(());
        }
        let effects = &self.app.context.effects;
        let written = effects.write_status(&open).await?;
        let after = written.status.clone().unwrap_or_default();
        effects
            .events
            .tell(&written, self.app.context.clock.now(), notes(&before, &after));
        Ok(())
    }
}

fn is_open(problem: &ProblemEvent) -> bool {
    problem.metadata.deletion_timestamp.is_none() && !problem.status.as_ref().is_some_and(|s| s.done)
}

fn age(problem: &ProblemEvent) -> (Option<jiff::Timestamp>, String) {
    (problem.creation_timestamp().map(|t| t.0), problem.name_any())
}

/// What is worth telling of a change.
fn notes(before: &ProblemEventStatus, after: &ProblemEventStatus) -> Vec<Note> {
    let mut notes = Vec::new();
    match (before.firing.unwrap_or(0), after.firing.unwrap_or(0)) {
        (0, now) if now > 0 => {
            let newest = after.alerts.first();
            let text = newest
                .map(|a| format!("alert {} fires: {}", a.name, a.summary))
                .unwrap_or_default();
            notes.push(Note::normal("AlertFiring", text.trim_end_matches(": ")));
        }
        (then, 0) if then > 0 => notes.push(Note::normal("AlertsResolved", "every alert is resolved")),
        _ => {}
    }
    if let Some(left_out) = after
        .alerts_truncated
        .filter(|_| before.alerts_truncated != after.alerts_truncated)
    {
        notes.push(Note::warning(
            "AlertsTruncated",
            format!("Alertmanager left {left_out} alerts out of its message, and nothing is known of them; raise max_alerts of its webhook_config"),
        ));
    }
    notes
}
