//! Events and alerts in: who may send, how much, and how long it may take.

use std::{net::IpAddr, path::PathBuf, sync::Arc, time::Duration};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Request, State},
    http::{HeaderMap, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
    routing::post,
};
use kube::runtime::reflector::Store;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    time::Instant,
};

use super::{
    alerts,
    answer::Refusal,
    events,
    keys::Keys,
    limits::{Rates, client_of},
    listen::Peer,
    tokens::{Token, Tokens},
};
use crate::{
    api::ProblemEvent,
    controllers::Context,
    facts::{guarded::Guarded, stores::Definitions},
};

/// An event, or a batch of them, may have so many bytes.
pub const EVENTS_MAX: usize = 256 * 1024;
/// A message of Alertmanager may have so many bytes. What is too big is lost, because Alertmanager does not send it again: so
/// there is room for some thousands of alerts.
pub const ALERTS_MAX: usize = 4 * 1024 * 1024;
/// All bodies together may have so many bytes.
const BODIES: usize = 8 * 1024 * 1024;
/// A body must have come within this time.
const BODY_TIME: Duration = Duration::from_secs(10);
/// An answer must be there within this time.
const ANSWER_TIME: Duration = Duration::from_secs(25);
/// So many requests are worked on at once.
const AT_ONCE: usize = 64;
/// So many wrong tokens may one address try, a second and at once.
const WRONG: (u32, u32) = (5, 20);

/// What the controllers' caches know.
#[derive(Clone)]
pub struct Caches {
    /// Shipyards and routes.
    pub definitions: Definitions,
    /// Open problems.
    pub problems: Store<Guarded<ProblemEvent>>,
}

/// How the server is set up.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The directory of the tokens; None lets everybody in.
    pub tokens: Option<PathBuf>,
    /// Whether `/v1/event` is served.
    pub events: bool,
    /// Whether `/alertmanager` is served.
    pub alerts: bool,
    /// So many requests a second of each client to each route; five times as many at once after a rest.
    pub per_second: u32,
}

/// What the handlers work with.
pub struct App {
    pub(super) context: Arc<Context>,
    pub(super) keys: Keys,
    pub(super) noted: Rates,
    caches: watch::Receiver<Option<Caches>>,
    ready: watch::Receiver<bool>,
    tokens: Option<Tokens>,
    rates: Rates,
    wrong: Rates,
    bodies: Arc<Semaphore>,
    work: Arc<Semaphore>,
}

/// A request that may be carried out.
pub(super) struct Admitted {
    pub token: Token,
    pub headers: HeaderMap,
    /// `?namespace=`.
    pub namespace: Option<String>,
    pub body: Bytes,
    pub caches: Caches,
    _room: (OwnedSemaphorePermit, OwnedSemaphorePermit),
}

/// The routes. They answer 503 until every cache is filled.
pub fn router(
    context: Arc<Context>,
    settings: &Settings,
    caches: watch::Receiver<Option<Caches>>,
    ready: watch::Receiver<bool>,
) -> Router {
    let app = Arc::new(App {
        context,
        keys: Keys::default(),
        noted: Rates::new(1, 20),
        caches,
        ready,
        tokens: settings.tokens.clone().map(Tokens::new),
        rates: Rates::new(settings.per_second, settings.per_second.saturating_mul(5)),
        wrong: Rates::new(WRONG.0, WRONG.1),
        bodies: Arc::new(Semaphore::new(BODIES)),
        work: Arc::new(Semaphore::new(AT_ONCE)),
    });
    let mut routes = Router::new();
    if settings.events {
        routes = routes.route("/v1/event", post(event));
    }
    if settings.alerts {
        routes = routes.route("/alertmanager", post(alert));
    }
    routes
        .fallback(async || {
            Refusal::new(
                StatusCode::NOT_FOUND,
                "there is nothing here; send events to /v1/event and Alertmanager's alerts to /alertmanager, where they are switched on",
            )
        })
        .method_not_allowed_fallback(async || Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "send it with POST"))
        .with_state(app)
}

async fn event(State(app): State<Arc<App>>, request: Request) -> Response {
    let started = Instant::now();
    let admitted = app.admit(request, "event", EVENTS_MAX).await;
    let response = answer(admitted, async |admitted| events::take(&app, admitted).await).await;
    app.count("/v1/event", &response, started);
    response
}

async fn alert(State(app): State<Arc<App>>, request: Request) -> Response {
    let started = Instant::now();
    let admitted = app.admit(request, "alertmanager", ALERTS_MAX).await;
    let response = answer(admitted, async |admitted| alerts::take(&app, admitted).await).await;
    app.count("/alertmanager", &response, started);
    response
}

async fn answer(
    admitted: Result<Admitted, Refusal>,
    handle: impl AsyncFnOnce(Admitted) -> Result<Response, Refusal>,
) -> Response {
    let admitted = match admitted {
        Ok(admitted) => admitted,
        Err(refusal) => return refusal.into_response(),
    };
    let handled = tokio::time::timeout(ANSWER_TIME, handle(admitted)).await;
    let handled = handled.unwrap_or_else(|_| {
        Err(Refusal::later(format!(
            "it was not stored within {ANSWER_TIME:?}, because the API server is slow; send it again"
        )))
    });
    handled.unwrap_or_else(|refusal| {
        if refusal.is_later() {
            tracing::warn!(code = refusal.code.as_u16(), "{}", refusal.message);
        } else {
            tracing::info!(code = refusal.code.as_u16(), "{}", refusal.message);
        }
        refusal.into_response()
    })
}

impl App {
    fn count(&self, route: &'static str, response: &Response, started: Instant) {
        let telemetry = &self.context.effects.telemetry;
        telemetry.answered(route, response.status().as_u16(), started.elapsed());
    }

    /// Everything that is asked of a request before it is read: first who sends it, then how much.
    async fn admit(&self, request: Request, route: &str, max: usize) -> Result<Admitted, Refusal> {
        let (parts, body) = request.into_parts();
        let peer = parts.extensions.get::<Peer>().map(|p| p.0.ip());
        let token = self.authenticate(&parts, peer)?;
        let client = if self.tokens.is_some() {
            format!("{}/{route}", token.name)
        } else {
            format!("{}/{route}", peer.map_or_else(String::new, client_of))
        };
        if !self.rates.allow(&client) {
            return Err(Refusal::new(
                StatusCode::TOO_MANY_REQUESTS,
                format!(
                    "{} sends too much at once; send it again a little later",
                    token.name
                ),
            ));
        }
        let caches = self.caches.borrow().clone().filter(|_| *self.ready.borrow());
        let caches = caches.ok_or_else(|| Refusal::later("the operator is starting; send it again"))?;
        // Of a body that does not say how long it is, the longest is believed.
        let told = http_body::Body::size_hint(&body).upper();
        let size = told.map_or(max, |n| usize::try_from(n).unwrap_or(usize::MAX));
        let too_big = || {
            tracing::warn!(
                token = token.name,
                route,
                "a request of more than {max} bytes was refused"
            );
            let message =
                format!("the body has more than {max} bytes; send less at once (group_by in Alertmanager)");
            Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, message)
        };
        if size > max {
            return Err(too_big());
        }
        let busy = |_| Refusal::later("too much is being done at once; send it again");
        let weight = u32::try_from(size.max(1)).unwrap_or(u32::MAX);
        let room = self.bodies.clone().try_acquire_many_owned(weight).map_err(busy)?;
        let body = match tokio::time::timeout(BODY_TIME, read(body, max)).await {
            Ok(Ok(body)) => body,
            Ok(Err(true)) => return Err(too_big()),
            Ok(Err(false)) => return Err(Refusal::bad("the body broke off")),
            Err(_) => {
                let message = format!("the body did not come within {BODY_TIME:?}");
                return Err(Refusal::new(StatusCode::REQUEST_TIMEOUT, message));
            }
        };
        let work = self.work.clone().try_acquire_owned().map_err(busy)?;
        Ok(Admitted {
            namespace: asked_namespace(&parts),
            headers: parts.headers,
            token,
            body,
            caches,
            _room: (room, work),
        })
    }

    fn authenticate(&self, parts: &Parts, peer: Option<IpAddr>) -> Result<Token, Refusal> {
        let Some(tokens) = &self.tokens else {
            return Ok(Token::everybody());
        };
        let text = |name: header::HeaderName| parts.headers.get(name).and_then(|v| v.to_str().ok());
        let bearer = text(header::AUTHORIZATION).and_then(|value| {
            let (scheme, token) = value.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
        });
        let given = bearer.or_else(|| text(header::HeaderName::from_static("x-token")));
        let refuse = |message: &str| {
            let from = peer.map_or_else(String::new, client_of);
            if self.wrong.allow(&from) {
                tracing::info!(from, "{message}");
                Err(Refusal::new(StatusCode::UNAUTHORIZED, message))
            } else {
                Err(Refusal::new(
                    StatusCode::TOO_MANY_REQUESTS,
                    "too many wrong tokens came from this address; wait a little",
                ))
            }
        };
        match given.filter(|text| !text.is_empty()) {
            None => refuse("no token was sent; send it as Authorization: Bearer TOKEN, or as x-token: TOKEN"),
            Some(text) => match tokens.find(text) {
                Some(token) => Ok(token),
                None if tokens.is_empty() => refuse(
                    "there are no tokens yet; add one to the Secret coxswain-tokens, as docs/events.md shows",
                ),
                None => refuse("this token is not known; take one of the Secret coxswain-tokens"),
            },
        }
    }
}

/// The body; true where it is too big.
async fn read(body: Body, max: usize) -> Result<Bytes, bool> {
    use http_body_util::{BodyExt, LengthLimitError, Limited};
    match Limited::new(body, max).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) => Err(error.downcast_ref::<LengthLimitError>().is_some()),
    }
}

fn asked_namespace(parts: &Parts) -> Option<String> {
    let query = parts.uri.query()?;
    let mut pairs = url::form_urlencoded::parse(query.as_bytes());
    let found = pairs.find(|(name, _)| name == "namespace")?;
    Some(found.1.into_owned()).filter(|name| !name.is_empty())
}

impl Admitted {
    /// The namespace of a project: the token's, the one that was asked for, or the only one that has the project.
    ///
    /// # Errors
    /// What the token may not, or why the namespace can't be told; and the remedy.
    pub fn namespace_of(&self, project: &str) -> Result<String, Refusal> {
        let token = &self.token;
        let forbidden = |what: String| {
            let message = format!(
                "the token {} is for {} only, not for {what}; use another token",
                token.name,
                token.scope()
            );
            Err(Refusal::new(StatusCode::FORBIDDEN, message))
        };
        if token.project.as_deref().is_some_and(|own| own != project) {
            return forbidden(format!("project {project}"));
        }
        match (&token.namespace, &self.namespace) {
            (Some(own), Some(asked)) if own != asked => forbidden(format!("namespace {asked}")),
            (Some(own), _) => Ok(own.clone()),
            (None, Some(asked)) if crate::core::names::is_dns_label(asked) => Ok(asked.clone()),
            (None, Some(asked)) => Err(Refusal::bad(format!(
                "?namespace= is {asked:?}, which is no namespace"
            ))),
            (None, None) => self.only_namespace(project),
        }
    }

    fn only_namespace(&self, project: &str) -> Result<String, Refusal> {
        let yards = &self.caches.definitions.shipyards;
        let mut having: Vec<String> = yards.namespaces().into_iter().collect();
        having.retain(|namespace| yards.get(namespace, project).is_some());
        match having.as_slice() {
            [only] => Ok(only.clone()),
            [] => Err(Refusal::bad(format!(
                "data.project: there is no Shipyard {project:?} in any namespace; create it, or name the namespace with ?namespace="
            ))),
            several => Err(Refusal::bad(format!(
                "data.project: there is a Shipyard {project:?} in the namespaces {}; say which with ?namespace=, or use a token of that namespace",
                several.join(", ")
            ))),
        }
    }
}
