//! One request from arrival to answer.

use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt;
use http::{Request, Response, header};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody};
use kube::client::Body;
use serde_json::{Value, json};

use super::{
    Answer, ApiServer, Caller, State, TRAVEL,
    faults::{Call, Fault, Logged},
    refusal::{self, Refusal, bad_request},
    request::{Target, Verb},
    rules,
    selectors::Selection,
    status_json,
    store::{DeleteOptions, Part, Place},
    watch::Watch,
};

/// What a request leads to.
enum Outcome {
    Object(u16, Value),
    Stream(Box<Watch>),
}

/// A request with its body read.
struct Asked {
    target: Target,
    content_type: String,
    partial: bool,
    /// In the name of somebody else, whose rights count and are not modelled here.
    impersonated: bool,
    body: Bytes,
}

pub(super) async fn answer(
    server: ApiServer,
    caller: Arc<Caller>,
    request: Request<Body>,
) -> Result<Response<Answer>, std::io::Error> {
    if caller.is_dead() {
        return std::future::pending().await;
    }
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map_err(std::io::Error::other)?.to_bytes();
    if let Some(kinds) = server.state().store.discovery(parts.uri.path()) {
        return Ok(respond(Ok(Outcome::Object(200, kinds)), false));
    }
    let Some(target) = Target::parse(&parts.method, &parts.uri) else {
        let missing = refusal::refusal(
            404,
            "NotFound",
            "the server could not find the requested resource",
        );
        return Ok(respond(Err(missing), false));
    };
    let text = |name| {
        parts
            .headers
            .get(name)
            .and_then(|v| v.to_str().ok())
            .unwrap_or_default()
            .to_owned()
    };
    let partial = text(header::ACCEPT).contains("as=PartialObjectMetadata");
    let asked = Asked {
        target,
        content_type: text(header::CONTENT_TYPE),
        partial,
        impersonated: parts.headers.contains_key("impersonate-user"),
        body,
    };

    let (entry, fault) = register(&server, &caller, &asked);
    travel(&caller).await;
    let outcome = match fault {
        Fault::Proceed => server.perform(&caller, &asked, entry),
        Fault::Delay(length) => {
            tokio::time::sleep(length).await;
            travel(&caller).await;
            server.perform(&caller, &asked, entry)
        }
        Fault::Fail(code) => Err(refusal::by_code(code)),
        Fault::FailAfter(code) => {
            drop(server.perform(&caller, &asked, entry));
            Err(refusal::by_code(code))
        }
        Fault::Unreachable => return Err(std::io::Error::other("injected: connection refused")),
        Fault::CrashBefore => {
            caller.crash();
            return std::future::pending().await;
        }
        Fault::CrashAfter => {
            drop(server.perform(&caller, &asked, entry));
            caller.crash();
            return std::future::pending().await;
        }
    };
    travel(&caller).await;
    server.state().log[entry].code = Some(match &outcome {
        Ok(Outcome::Object(code, _)) => *code,
        Ok(Outcome::Stream(_)) => 200,
        Err(why) => why.code,
    });
    Ok(respond(outcome, asked.partial))
}

/// The way to the server or back; who died on it never arrives.
async fn travel(caller: &Caller) {
    tokio::time::sleep(TRAVEL).await;
    if caller.is_dead() {
        std::future::pending::<()>().await;
    }
}

/// Notes the request, and asks what shall become of it.
fn register(server: &ApiServer, caller: &Caller, asked: &Asked) -> (usize, Fault) {
    let at = server.now();
    let mut state = server.state();
    let target = &asked.target;
    let mut call = Call {
        index: 0,
        write: None,
        caller: caller.name.clone(),
        verb: target.verb,
        resource: target.resource.clone(),
        namespace: target.namespace.clone(),
        name: target.name.clone().unwrap_or_else(|| name_in(&asked.body)),
        subresource: target.subresource.clone(),
        at,
        bytes: asked.body.len(),
    };
    let mut fault = Fault::Proceed;
    if caller.counted {
        state.requests += 1;
        call.index = state.requests;
        if target.verb.is_write() {
            state.writes += 1;
            call.write = Some(state.writes);
        }
        if let Some(hook) = &mut state.faults.hook {
            fault = hook(&call);
        }
    }
    state.log.push(Logged {
        call,
        code: None,
        effective: false,
    });
    (state.log.len() - 1, fault)
}

fn name_in(body: &[u8]) -> String {
    let object: Value = serde_json::from_slice(body).unwrap_or_default();
    rules::text(&object, &["metadata", "name"])
}

fn respond(outcome: Result<Outcome, Refusal>, partial: bool) -> Response<Answer> {
    let (code, value) = match outcome {
        Ok(Outcome::Stream(watch)) => {
            let frames = watch.stream().map(|line| line.map(Frame::data));
            return Response::new(StreamBody::new(frames).boxed_unsync());
        }
        Ok(Outcome::Object(code, value)) if partial => (code, partial_answer(&value)),
        Ok(Outcome::Object(code, value)) => (code, value),
        Err(why) => (why.code, status_json(&why)),
    };
    let body = Full::new(Bytes::from(value.to_string())).map_err(|never| match never {});
    let mut response = Response::new(body.boxed_unsync());
    *response.status_mut() =
        http::StatusCode::from_u16(code).unwrap_or(http::StatusCode::INTERNAL_SERVER_ERROR);
    let json = header::HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

fn partial_answer(value: &Value) -> Value {
    match value.get("items").and_then(Value::as_array) {
        Some(items) => json!({
            "apiVersion": "meta.k8s.io/v1",
            "kind": "PartialObjectMetadataList",
            "metadata": value["metadata"],
            "items": items.iter().map(super::partial).collect::<Vec<_>>(),
        }),
        None if value["kind"] == "Status" => value.clone(),
        None => super::partial(value),
    }
}

impl ApiServer {
    /// Carries a request out.
    fn perform(&self, caller: &Arc<Caller>, asked: &Asked, entry: usize) -> Result<Outcome, Refusal> {
        let target = &asked.target;
        if caller.guarded && !asked.impersonated {
            self.state().authority.check(&caller.name, target)?;
        }
        let kind = self.state().store.table(&target.resource)?.kind.clone();
        if kind.version != target.version {
            return Err(refusal::refusal(
                404,
                "NotFound",
                "the server could not find the requested resource",
            ));
        }
        if target.verb == Verb::Watch {
            let selection = Selection::parse(
                &kind,
                target.param("labelSelector"),
                target.param("fieldSelector"),
            )?;
            let watch = Watch::open(self, caller, target, selection, asked.partial)?;
            return Ok(Outcome::Stream(Box::new(watch)));
        }
        let now = self.now();
        let mut state = self.state();
        let before = state.store.rv;
        let untouched = (target.param("dryRun") == Some("All")).then(|| state.store.clone());
        let outcome = carry_out(&mut state, asked, now);
        if let Some(untouched) = untouched {
            state.store = untouched;
        }
        let changed = state.store.rv != before;
        state.log[entry].effective = changed;
        drop(state);
        if changed {
            self.notify();
        }
        outcome
    }
}

fn carry_out(state: &mut State, asked: &Asked, now: jiff::Timestamp) -> Result<Outcome, Refusal> {
    let target = &asked.target;
    let place = Place {
        resource: target.resource.clone(),
        namespace: target.namespace.clone().unwrap_or_default(),
        name: target.name.clone().unwrap_or_default(),
    };
    let part = match target.subresource.as_deref() {
        None => Part::Main,
        Some("status") => Part::Status,
        Some(other) => {
            let why = format!("the server could not find the requested resource: subresource {other}");
            return Err(refusal::refusal(404, "NotFound", why));
        }
    };
    let store = &mut state.store;
    match target.verb {
        Verb::Get => Ok(Outcome::Object(200, (*store.get(&place)?).clone())),
        Verb::List => list(state, target),
        Verb::Create => {
            let object = json_body(&asked.body)?;
            let created = store.create(&place.resource, &place.namespace, object, now)?;
            Ok(Outcome::Object(201, (*created).clone()))
        }
        Verb::Update => {
            let object = json_body(&asked.body)?;
            let updated = store.update(&place, part, |_| Ok(object))?;
            Ok(Outcome::Object(200, (*updated).clone()))
        }
        Verb::Patch => patch(state, asked, &place, part, now),
        Verb::Delete => {
            let (gone, object) = store.delete(&place, &delete_options(&asked.body, target)?, now)?;
            if !gone {
                return Ok(Outcome::Object(200, (*object).clone()));
            }
            let kind = store.table(&place.resource)?.kind.clone();
            Ok(Outcome::Object(200, success(&kind, &object)))
        }
        Verb::DeleteCollection => {
            let kind = store.table(&place.resource)?.kind.clone();
            let selection = Selection::parse(
                &kind,
                target.param("labelSelector"),
                target.param("fieldSelector"),
            )?;
            let options = delete_options(&asked.body, target)?;
            let doomed = store.list(&place.resource, target.namespace.as_deref(), &selection, None)?;
            for object in doomed {
                let place = Place {
                    resource: place.resource.clone(),
                    namespace: rules::text(&object, &["metadata", "namespace"]),
                    name: rules::text(&object, &["metadata", "name"]),
                };
                store.delete(&place, &options, now)?;
            }
            Ok(Outcome::Object(
                200,
                json!({"apiVersion": "v1", "kind": "Status", "status": "Success"}),
            ))
        }
        Verb::Watch => Err(bad_request("a watch is not carried out here")),
    }
}

fn success(kind: &super::Kind, object: &Value) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Status",
        "metadata": {},
        "status": "Success",
        "details": {
            "name": object["metadata"]["name"],
            "group": kind.group,
            "kind": kind.plural,
            "uid": object["metadata"]["uid"],
        },
    })
}

fn list(state: &State, target: &Target) -> Result<Outcome, Refusal> {
    let kind = state.store.table(&target.resource)?.kind.clone();
    let selection = Selection::parse(
        &kind,
        target.param("labelSelector"),
        target.param("fieldSelector"),
    )?;
    let frozen = state
        .faults
        .watches
        .get(&target.resource)
        .and_then(|t| t.frozen_at);
    // A list at version 0 is answered from the server's cache, which may be as old as its watches.
    let at = frozen.filter(|_| target.param("resourceVersion") == Some("0"));
    let objects = state
        .store
        .list(&target.resource, target.namespace.as_deref(), &selection, at)?;
    Ok(Outcome::Object(
        200,
        json!({
            "apiVersion": kind.api_version(),
            "kind": format!("{}List", kind.kind),
            "metadata": {"resourceVersion": at.unwrap_or(state.store.rv).to_string()},
            "items": objects.iter().map(|o| (**o).clone()).collect::<Vec<_>>(),
        }),
    ))
}

fn patch(
    state: &mut State,
    asked: &Asked,
    place: &Place,
    part: Part,
    now: jiff::Timestamp,
) -> Result<Outcome, Refusal> {
    let kind = asked.content_type.split(';').next().unwrap_or_default();
    let applying = kind == "application/apply-patch+yaml";
    let store = &mut state.store;
    if applying && part == Part::Main && store.get(place).is_err_and(|why| why.code == 404) {
        let created = store.create(&place.resource, &place.namespace, json_body(&asked.body)?, now)?;
        return Ok(Outcome::Object(201, (*created).clone()));
    }
    let updated = match kind {
        "application/json-patch+json" => {
            let operations: json_patch::Patch =
                serde_json::from_slice(&asked.body).map_err(|e| bad_request(e.to_string()))?;
            store.update(place, part, |old| {
                let mut new = old.clone();
                json_patch::patch(&mut new, &operations)
                    .map_err(|e| refusal::refusal(422, "Invalid", e.to_string()))?;
                Ok(new)
            })
        }
        "application/merge-patch+json"
        | "application/apply-patch+yaml"
        | "application/strategic-merge-patch+json" => {
            let change = json_body(&asked.body)?;
            store.update(place, part, |old| {
                let mut new = old.clone();
                json_patch::merge(&mut new, &change);
                Ok(new)
            })
        }
        other => Err(refusal::refusal(
            415,
            "UnsupportedMediaType",
            format!("{other:?} is no patch"),
        )),
    }?;
    Ok(Outcome::Object(200, (*updated).clone()))
}

fn json_body(body: &[u8]) -> Result<Value, Refusal> {
    serde_json::from_slice(body).map_err(|e| bad_request(format!("the body is not JSON: {e}")))
}

fn delete_options(body: &[u8], target: &Target) -> Result<DeleteOptions, Refusal> {
    let value = if body.is_empty() {
        Value::Null
    } else {
        json_body(body)?
    };
    let precondition = |key| Some(rules::text(&value, &["preconditions", key])).filter(|t| !t.is_empty());
    let policy = rules::text(&value, &["propagationPolicy"]);
    let policy = Some(policy).filter(|p| !p.is_empty());
    Ok(DeleteOptions {
        uid: precondition("uid"),
        resource_version: precondition("resourceVersion"),
        propagation: policy.or_else(|| target.param("propagationPolicy").map(str::to_owned)),
    })
}
