//! Where a Job's pod runs, and the labels and annotations that it carries.

use std::sync::LazyLock;

use k8s_openapi::api::core::v1::{self, Affinity, LocalObjectReference, PodSpec};
use serde_json::Value;

use super::{files::is_object_name, strict};
use crate::{
    api::jobconfig::{JobTask, Toleration},
    core::{Invalid, definitions::nearest::hint, labels},
};

static AFFINITY: LazyLock<Value> = LazyLock::new(strict::schema::<Affinity>);

const OPERATORS: [&str; 2] = ["Exists", "Equal"];
const EFFECTS: [&str; 3] = ["NoSchedule", "PreferNoSchedule", "NoExecute"];

/// Puts what the task says of its pod's place into the pod; its affinity is what [`read`] made of it.
pub(super) fn place(pod: &mut PodSpec, task: &JobTask, affinity: Option<Affinity>) {
    pod.node_selector = task.node_selector.clone().filter(|labels| !labels.is_empty());
    pod.affinity = affinity;
    pod.priority_class_name.clone_from(&task.priority_class_name);
    if !task.tolerations.is_empty() {
        pod.tolerations = Some(task.tolerations.iter().map(toleration).collect());
    }
    if !task.image_pull_secrets.is_empty() {
        let secret = |secret: &crate::api::LocalRef| LocalObjectReference {
            name: secret.name.clone(),
        };
        pod.image_pull_secrets = Some(task.image_pull_secrets.iter().map(secret).collect());
    }
}

/// Checks the place, labels and annotations of a task, and reads its affinity.
///
/// # Errors
/// All that is wrong with them; paths are below the task.
pub(super) fn read(task: &JobTask) -> Result<Option<Affinity>, Vec<Invalid>> {
    let mut wrong = Vec::new();
    for (key, value) in task.labels.iter().flatten() {
        let problem = reserved(key)
            .or_else(|| key_problem(key))
            .or_else(|| value_problem(value));
        wrong.extend(problem.map(|problem| Invalid::new(format!("labels.{key}"), problem)));
    }
    for key in task.annotations.iter().flatten().map(|(key, _)| key) {
        let problem = reserved(key).or_else(|| key_problem(key));
        wrong.extend(problem.map(|problem| Invalid::new(format!("annotations.{key}"), problem)));
    }
    for (key, value) in task.node_selector.iter().flatten() {
        let problem = key_problem(key).or_else(|| value_problem(value));
        wrong.extend(problem.map(|problem| Invalid::new(format!("nodeSelector.{key}"), problem)));
    }
    for (index, secret) in task.image_pull_secrets.iter().enumerate() {
        if !is_object_name(&secret.name) {
            let message = format!("{:?} can't be a Secret's name", secret.name);
            wrong.push(Invalid::new(format!("imagePullSecrets[{index}].name"), message));
        }
    }
    for (index, one) in task.tolerations.iter().enumerate() {
        let below = |(field, message)| Invalid::new(format!("tolerations[{index}].{field}"), message);
        wrong.extend(toleration_problem(one).map(below));
    }
    if let Some(class) = task.priority_class_name.as_deref() {
        let message = if !is_object_name(class) {
            Some(format!("{class:?} can't be a priority class's name"))
        } else if class.starts_with("system-") {
            Some(format!(
                "{class} is for what a cluster can't do without: name a class of your own"
            ))
        } else {
            None
        };
        wrong.extend(message.map(|message| Invalid::new("priorityClassName", message)));
    }
    match affinity(task) {
        Ok(affinity) if wrong.is_empty() => Ok(affinity),
        read => {
            wrong.extend(read.err().into_iter().flatten());
            Err(wrong)
        }
    }
}

fn affinity(task: &JobTask) -> Result<Option<Affinity>, Vec<Invalid>> {
    let affinity = task.affinity.as_ref();
    affinity
        .map(|fields| strict::read(&AFFINITY, "affinity", fields))
        .transpose()
}

fn toleration(one: &Toleration) -> v1::Toleration {
    v1::Toleration {
        key: one.key.clone(),
        operator: one.operator.clone(),
        value: one.value.clone(),
        effect: one.effect.clone(),
        toleration_seconds: one.toleration_seconds,
    }
}

/// The field, and what is wrong with it.
fn toleration_problem(one: &Toleration) -> Option<(&'static str, String)> {
    let operator = one.operator.as_deref().unwrap_or("Equal");
    let key = one.key.as_deref().unwrap_or_default();
    if !OPERATORS.contains(&operator) {
        let problem = format!("unknown operator {operator:?}{}", hint(operator, OPERATORS));
        return Some(("operator", problem));
    }
    let effect = one.effect.as_deref().unwrap_or_default();
    if !effect.is_empty() && !EFFECTS.contains(&effect) {
        return Some((
            "effect",
            format!("unknown effect {effect:?}{}", hint(effect, EFFECTS)),
        ));
    }
    if key.is_empty() && operator != "Exists" {
        return Some((
            "key",
            "it is missing: add it, or tolerate every taint with operator: Exists".to_owned(),
        ));
    }
    if operator == "Exists" && one.value.as_deref().is_some_and(|value| !value.is_empty()) {
        return Some((
            "value",
            "with operator Exists there is none: leave it out".to_owned(),
        ));
    }
    if one.toleration_seconds.is_some() && effect != "NoExecute" {
        return Some((
            "tolerationSeconds",
            "it is only for the effect NoExecute: leave it out".to_owned(),
        ));
    }
    let problem = (!key.is_empty()).then(|| key_problem(key)).flatten();
    problem.map(|problem| ("key", problem)).or_else(|| {
        let value = one.value.as_deref().unwrap_or_default();
        value_problem(value).map(|problem| ("value", problem))
    })
}

/// Why a label or annotation can't be the user's. What tracks an application's objects would make the Job one of them: Argo CD
/// deletes ("prunes") those that aren't in Git, and Helm and Flux may.
fn reserved(key: &str) -> Option<String> {
    let (domain, name) = key.rsplit_once('/').unwrap_or(("", key));
    let is_of =
        |owner: &str| domain == owner || domain.strip_suffix(owner).is_some_and(|rest| rest.ends_with('.'));
    if is_of("coxswain.dev") || key == labels::MANAGED_BY {
        Some("Coxswain sets it: use another key".to_owned())
    } else if domain == "batch.kubernetes.io" || matches!(key, "job-name" | "controller-uid") {
        Some("Kubernetes sets it: use another key".to_owned())
    } else if is_of("argoproj.io")
        || is_of("toolkit.fluxcd.io")
        || domain == "meta.helm.sh"
        || key == "app.kubernetes.io/instance"
    {
        let why = "by it Argo CD, Flux or Helm take the Job for a part of an application, and delete it";
        Some(format!(
            "{name} is refused: {why}; leave it out, or use another key"
        ))
    } else {
        None
    }
}

fn key_problem(key: &str) -> Option<String> {
    let (domain, name) = key
        .split_once('/')
        .map_or((None, key), |(domain, name)| (Some(domain), name));
    let is_key = domain.is_none_or(is_object_name) && !name.is_empty() && labels::is_value(name);
    (!is_key).then(|| format!("{key:?} can't be a key: write one such as team or example.com/team"))
}

fn value_problem(value: &str) -> Option<String> {
    let remedy = "at most 63 letters, digits, `-`, `_` and `.`, with a letter or digit at both ends";
    (!labels::is_value(value)).then(|| format!("{value:?} can't be a label's value: {remedy}"))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::{super::testing::task, *};

    #[test]
    fn a_pod_s_place() {
        let fields = json!({
            "imagePullSecrets": [{"name": "registry"}],
            "nodeSelector": {"kubernetes.io/arch": "arm64"},
            "tolerations": [{"key": "gpu", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 60},
                            {"key": "team", "value": "shop"}, {"operator": "Exists"}],
            "affinity": {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution":
                [{"topologyKey": "zone", "labelSelector": {"matchLabels": {"app": "cart"}}}]}},
            "priorityClassName": "batch-low",
        });
        let task = task(fields.clone());
        let affinity = read(&task).unwrap();
        let mut pod = PodSpec::default();
        place(&mut pod, &task, affinity);
        let mut pod = serde_json::to_value(pod).unwrap();
        pod.as_object_mut().unwrap().remove("containers");
        assert_eq!(pod, fields);
    }

    #[rstest]
    #[case(json!({"labels": {"coxswain.dev/task": "x"}}), "labels.coxswain.dev/task: Coxswain sets it: use another key")]
    #[case(json!({"labels": {"app.kubernetes.io/managed-by": "x"}}), "Coxswain sets it")]
    #[case(json!({"labels": {"job-name": "x"}}), "labels.job-name: Kubernetes sets it")]
    #[case(json!({"labels": {"app.kubernetes.io/instance": "shop"}}), "by it Argo CD, Flux or Helm take the Job for a part")]
    #[case(json!({"annotations": {"argocd.argoproj.io/tracking-id": "shop"}}), "annotations.argocd.argoproj.io/tracking-id: tracking-id is refused")]
    #[case(json!({"labels": {"kustomize.toolkit.fluxcd.io/name": "shop"}}), "name is refused")]
    #[case(json!({"labels": {"helm.toolkit.fluxcd.io/name": "shop"}}), "name is refused")]
    #[case(json!({"annotations": {"meta.helm.sh/release-name": "shop"}}), "release-name is refused")]
    #[case(json!({"annotations": {"coxswain.dev/key": "forged"}}), "annotations.coxswain.dev/key: Coxswain sets it")]
    #[case(json!({"labels": {"a b": "x"}}), r#"labels.a b: "a b" can't be a key: write one such as team"#)]
    #[case(json!({"labels": {"/a": "x"}}), r#""/a" can't be a key"#)]
    #[case(json!({"labels": {"a": "x y"}}), r#"labels.a: "x y" can't be a label's value"#)]
    #[case(json!({"nodeSelector": {"A_B/c": ""}}), r#"nodeSelector.A_B/c: "A_B/c" can't be a key"#)]
    #[case(json!({"imagePullSecrets": [{"name": "A"}]}), r#"imagePullSecrets[0].name: "A" can't be"#)]
    #[case(json!({"priorityClassName": "system-node-critical"}), "priorityClassName: system-node-critical is for what")]
    #[case(json!({"priorityClassName": "A"}), r#"priorityClassName: "A" can't be"#)]
    #[case(json!({"tolerations": [{"key": "a", "operator": "Exist"}]}), r#"tolerations[0].operator: unknown operator "Exist"; did you mean "Exists"?"#)]
    #[case(json!({"tolerations": [{"key": "a", "effect": "noexecute"}]}), r#"tolerations[0].effect: unknown effect "noexecute"; did you mean "NoExecute"?"#)]
    #[case(json!({"tolerations": [{}]}), "tolerations[0].key: it is missing")]
    #[case(json!({"tolerations": [{"key": "a", "operator": "Exists", "value": "x"}]}), "tolerations[0].value: with operator Exists")]
    #[case(json!({"tolerations": [{"key": "a", "tolerationSeconds": 1}]}), "tolerations[0].tolerationSeconds: it is only for")]
    #[case(json!({"tolerations": [{"key": "a b"}]}), "tolerations[0].key:")]
    #[case(json!({"affinity": {"podAfinity": {}}}), r#"affinity.podAfinity: there is no such field; did you mean "podAffinity"?"#)]
    fn what_is_wrong_is_said(#[case] fields: Value, #[case] says: &str) {
        let wrong = read(&task(fields)).unwrap_err();
        assert!(
            wrong.len() == 1 && wrong[0].to_string().contains(says),
            "{wrong:?}"
        );
    }

    #[rstest]
    #[case(json!({"labels": {"team": "", "example.com/tier": "a.b_c-D"}}))]
    #[case(json!({"annotations": {"sidecar.istio.io/inject": "false", "note": "any text: at all"}}))]
    fn other_labels_and_annotations_are_the_user_s(#[case] fields: Value) {
        assert_eq!(read(&task(fields)), Ok(None));
    }
}
