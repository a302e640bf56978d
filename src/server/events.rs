//! `POST /v1/event`: CloudEvents in Keptn's types. It answers 2xx when what was asked for is stored.

use std::fmt::Debug;

use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use kube::{Resource, ResourceExt, core::NamespaceResourceScope};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use super::{
    answer::Refusal,
    app::{Admitted, App},
};
use crate::{
    api::{TaskResult, approval::Answer},
    core::{
        definitions::lookup,
        inbound::{
            self, Ask, cloudevent, context,
            task::{Answered, Said},
        },
        labels,
    },
    effects::Created,
    facts,
};

/// What one event asks for, where, and the context that answers it.
struct Wanted {
    ask: Ask,
    namespace: String,
    context: String,
}

pub(super) async fn take(app: &App, admitted: Admitted) -> Result<Response, Refusal> {
    let header = |name: &str| admitted.headers.get(name).and_then(|v| v.to_str().ok());
    let received = cloudevent::read(header, &admitted.body)?;
    // What is hopeless is refused before anything is stored.
    let mut wanted = Vec::with_capacity(received.events.len());
    for (i, event) in received.events.iter().enumerate() {
        let one = want(&admitted, event).map_err(|refusal| Refusal {
            message: if received.batch {
                format!("[{i}].{}", refusal.message)
            } else {
                refusal.message
            },
            ..refusal
        })?;
        wanted.push(one);
    }
    let mut answers: Vec<Value> = Vec::with_capacity(wanted.len());
    for one in wanted {
        let context = store(app, &admitted, one).await?;
        answers.push(json!({"keptnContext": context}));
    }
    let body = match (received.batch, answers.pop()) {
        (false, Some(only)) => only,
        (_, last) => Value::Array(answers.into_iter().chain(last).collect()),
    };
    Ok((StatusCode::OK, Json(body)).into_response())
}

fn want(admitted: &Admitted, event: &inbound::CloudEvent) -> Result<Wanted, Refusal> {
    let fresh = if event.id.is_some() {
        String::new()
    } else {
        fresh()?
    };
    let (ask, context) = inbound::ask(event, &fresh)?;
    let namespace = admitted.namespace_of(ask.project())?;
    if let Some((stage, sequence)) = ask.starts() {
        known(admitted, &namespace, ask.project(), stage, sequence)?;
    }
    Ok(Wanted {
        ask,
        namespace,
        context,
    })
}

/// An id for an event that has none: each time it is sent it is another one.
fn fresh() -> Result<String, Refusal> {
    let mut bytes = [0; 16];
    let random = rustls::crypto::ring::default_provider().secure_random;
    let filled = random.fill(&mut bytes);
    filled.map_err(|_| Refusal::later("no random number could be had; send it again"))?;
    Ok(context::from_bytes(bytes))
}

/// What can't start is told to who sends it, not to a run that nobody looks at.
fn known(
    admitted: &Admitted,
    namespace: &str,
    project: &str,
    stage: &str,
    sequence: &str,
) -> Result<(), Refusal> {
    let yards = admitted.caches.definitions.shipyards.of(namespace);
    let Err(missing) = lookup::sequence(&yards, project, stage, sequence) else {
        return Ok(());
    };
    let field = match missing.reason {
        "ShipyardNotFound" => "data.project",
        "StageNotFound" => "data.stage",
        "SequenceNotFound" => "type",
        _ => return Ok(()),
    };
    let message = missing
        .message
        .replace("in this namespace", &format!("in namespace {namespace}"));
    Err(Refusal::bad(format!("{field}: {message}")))
}

/// Stores what is wanted, or finds it stored; the context.
async fn store(app: &App, admitted: &Admitted, wanted: Wanted) -> Result<String, Refusal> {
    let namespace = wanted.namespace;
    match wanted.ask {
        Ask::Problem(problem) => {
            let stored = create(app, admitted, &namespace, *problem).await?;
            Ok(crate::core::remediation::problem::context_of(&stored))
        }
        Ask::Run(run) => {
            let stored = create(app, admitted, &namespace, *run).await?;
            Ok(crate::core::sequence::context_of(&stored))
        }
        Ask::Evaluation(evaluation) => {
            create(app, admitted, &namespace, *evaluation).await?;
            Ok(wanted.context)
        }
        Ask::Task(said) => task(app, admitted, &namespace, &said).await,
        Ask::Answer(answer) => reply(app, admitted, &namespace, &answer).await,
    }
}

async fn create<K>(app: &App, admitted: &Admitted, namespace: &str, mut object: K) -> Result<K, Refusal>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + Debug
        + DeserializeOwned
        + Serialize,
{
    object.meta_mut().namespace = Some(namespace.to_owned());
    let by = format!("token {}", admitted.token.name);
    object.annotations_mut().insert(labels::ASKED_BY.to_owned(), by);
    match app.context.effects.create(&object).await? {
        Created::New(stored) => {
            tracing::info!(namespace, kind = %K::kind(&()), name = stored.name_any(), token = admitted.token.name, "an event asked for it");
            Ok(stored)
        }
        // The same event, sent again.
        Created::Existed(stored) => Ok(stored),
    }
}

async fn task(app: &App, admitted: &Admitted, namespace: &str, said: &Said) -> Result<String, Refusal> {
    let client = &app.context.client;
    let runs = facts::inbound::runs(client, namespace, &said.place).await?;
    match said.of(&runs) {
        Ok((result, context)) => {
            create(app, admitted, namespace, result).await?;
            Ok(context)
        }
        Err(wrong) => {
            // Sent again after it was stored, and its run has ended meanwhile?
            let stored: Option<TaskResult> = facts::inbound::get(client, namespace, &said.name).await?;
            let Some(stored) = stored else {
                return Err(wrong.into());
            };
            let run: Option<crate::api::SequenceExecution> =
                facts::inbound::get(client, namespace, &stored.spec.execution).await?;
            run.map(|run| crate::core::sequence::context_of(&run))
                .ok_or_else(|| wrong.into())
        }
    }
}

async fn reply(
    app: &App,
    admitted: &Admitted,
    namespace: &str,
    answer: &Answered,
) -> Result<String, Refusal> {
    let open = facts::inbound::questions(&app.context.client, namespace, &answer.place).await?;
    let question = answer.of(&open)?;
    let context = question
        .labels()
        .get(labels::CONTEXT)
        .cloned()
        .unwrap_or_default();
    let Some(choice) = answer.choice else {
        return Ok(context);
    };
    let token = &admitted.token;
    let Some(user) = &token.user else {
        let message = format!(
            "the token {} answers in nobody's name: add `user: NAME` to it and let the operator impersonate that user, as docs/events.md shows; or answer {} with kubectl",
            token.name,
            question.name_any()
        );
        return Err(Refusal::new(StatusCode::FORBIDDEN, message));
    };
    if question.spec.answers.iter().any(|a| a.by == *user) {
        return Ok(context);
    }
    let mut answered = question.clone();
    let why = answer
        .reason
        .as_deref()
        .map(|r| format!(": {r}"))
        .unwrap_or_default();
    answered.spec.answers.push(Answer {
        by: user.clone(),
        choice,
        reason: Some(
            format!("with the token {}{why}", token.name)
                .chars()
                .take(1000)
                .collect(),
        ),
    });
    match app.context.effects.write_as(user, &answered).await {
        Ok(_) => Ok(context),
        Err(error) => match error.refusal() {
            Some(status) => Err(Refusal::new(
                StatusCode::FORBIDDEN,
                format!("the API server refused it: {}", status.message),
            )),
            None => Err(error.into()),
        },
    }
}
