//! The first run of a flow.

use serde_json::{Map, Value, json};

use crate::{
    api::{
        Delivery, SequenceExecution, SequenceExecutionSpec,
        common::{Object, SourceRef},
    },
    core::{labels, names},
};

/// The sequence that delivers, where the Delivery names none.
pub const FIRST: &str = "delivery";

/// The sequence that delivers.
pub(super) fn sequence_name(delivery: &Delivery) -> &str {
    delivery.spec.sequence.as_deref().unwrap_or(FIRST)
}

/// The context of the flow of the Delivery's generation: `<uid>-<generation>`.
pub fn context(delivery: &Delivery) -> String {
    let generation = delivery.metadata.generation.unwrap_or_default();
    labels::value(&format!("{}{generation}", context_begins(delivery)))
}

/// How the contexts of all flows of this very Delivery begin.
pub(super) fn context_begins(delivery: &Delivery) -> String {
    format!("{}-", delivery.metadata.uid.as_deref().unwrap_or_default())
}

/// The name of the first run of the Delivery's generation.
pub(super) fn first_name(delivery: &Delivery) -> String {
    let meta = &delivery.metadata;
    names::delivery_run_name(
        meta.name.as_deref().unwrap_or_default(),
        meta.uid.as_deref().unwrap_or_default(),
        meta.generation.unwrap_or_default(),
    )
}

/// The first run of the Delivery's generation, in this stage. It is not owned by the Delivery: who deletes that does not
/// mean to delete the history.
pub fn first(delivery: &Delivery, stage: &str) -> SequenceExecution {
    let spec = &delivery.spec;
    let own = delivery.metadata.name.clone().unwrap_or_default();
    let mut run = SequenceExecution::new(
        &first_name(delivery),
        SequenceExecutionSpec {
            project: spec.project.clone(),
            stage: stage.to_owned(),
            service: spec.service.clone(),
            sequence: sequence_name(delivery).to_owned(),
            context: Some(context(delivery)),
            triggered_by: Some(SourceRef {
                kind: "Delivery".to_owned(),
                name: own.clone(),
                uid: delivery.metadata.uid.clone(),
            }),
            labels: spec.labels.clone(),
            data: Some(data(delivery)),
            requested_by: spec.requested_by.clone(),
            ..SequenceExecutionSpec::default()
        },
    );
    run.metadata.namespace.clone_from(&delivery.metadata.namespace);
    let labels = [
        (labels::PROJECT, spec.project.clone()),
        (labels::STAGE, stage.to_owned()),
        (labels::SERVICE, spec.service.clone()),
        (labels::CONTEXT, context(delivery)),
        (labels::DELIVERY, labels::value(&own)),
    ];
    run.metadata.labels = Some(labels.map(|(key, value)| (key.to_owned(), value)).into());
    run
}

/// The beginning of the payload, as v1's `trigger delivery` makes it. `spec.image` wins over an `image` in `spec.values`:
/// it is what the Delivery shows.
fn data(delivery: &Delivery) -> Object {
    let mut values = delivery.spec.values.clone().unwrap_or_default();
    if let Some(image) = &delivery.spec.image {
        values.insert("image".to_owned(), Value::from(image.clone()));
    }
    let change = json!({ "values": values });
    Map::from_iter([("configurationChange".to_owned(), change)])
}

/// The image that a run brings, if its payload names one.
pub fn image_of(run: &SequenceExecution) -> Option<String> {
    let named = |object: &Object| {
        let values = object.get("configurationChange")?.get("values")?;
        values.get("image")?.as_str().map(str::to_owned)
    };
    let payload = run.status.as_ref().and_then(|s| s.payload.as_ref());
    payload
        .and_then(named)
        .or_else(|| run.spec.data.as_ref().and_then(named))
}
