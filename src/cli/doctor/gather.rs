//! Reads what is looked at. What may not be read is an error's text, and no reason to stop.

use anyhow::Context as _;
use futures::{StreamExt as _, stream};
use k8s_openapi::{
    api::{
        admissionregistration::v1::{ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding},
        apps::v1::Deployment,
        authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec},
        core::v1::{ConfigMap, Namespace, PodSpec, Service},
    },
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{
    Api, Client, Resource, ResourceExt,
    api::{ListParams, PostParams},
};
use serde::de::DeserializeOwned;

use crate::{
    api::{
        AlertRoute, Approval, Condition, Delivery, Evaluation, EventSink, JobConfig, MetricsProvider,
        ProblemEvent, Remediation, SequenceExecution, ServiceLevelIndicator, ServiceLevelObjective, Shipyard,
    },
    cli::{
        cluster::{Cluster, Object},
        rbac,
    },
    facts::{
        holds::{HOLD_CONFIG_MAP, HOLD_LABEL},
        namespaces::Namespaces,
    },
};

/// What is labelled so belongs to the installation.
const OURS: &str = "app.kubernetes.io/name=coxswain";
/// How many rights are asked for at once.
const AT_ONCE: usize = 16;

/// What was read, or why it could not be.
pub type Read<T> = Result<T, String>;

/// An object that is not as it should be.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Unready {
    /// `Kind namespace/name`.
    pub object: String,
    /// Why.
    pub message: String,
}

/// What doctor looks at.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The operator's namespace.
    pub operator_namespace: String,
    /// The definitions of our kinds.
    pub crds: Read<Vec<CustomResourceDefinition>>,
    /// The operators.
    pub deployments: Read<Vec<Deployment>>,
    /// What the operator may not, of what it must: `verb resource`.
    pub missing_rights: Read<Vec<String>>,
    /// The admission policies.
    pub policies: Read<Vec<ValidatingAdmissionPolicy>>,
    /// What binds them.
    pub bindings: Read<Vec<ValidatingAdmissionPolicyBinding>>,
    /// Where events and alerts arrive.
    pub services: Read<Vec<Service>>,
    /// The providers, with what is wrong with each.
    pub providers: Read<Vec<(String, Option<String>)>>,
    /// Evaluations that could not measure lately.
    pub evaluations: Read<Vec<Evaluation>>,
    /// Objects that say `Ready=False`.
    pub unready: Vec<Unready>,
    /// The namespaces that are held.
    pub held: Read<Vec<String>>,
    /// Whether the whole installation is held.
    pub hold: Read<Option<String>>,
}

/// Reads it. The error is a cluster that can't be reached at all.
pub async fn gather(cluster: &Cluster, operator_namespace: &str) -> anyhow::Result<Facts> {
    let client = &cluster.client;
    client
        .apiserver_version()
        .await
        .context("the cluster does not answer; see kubectl cluster-info, or choose another with --context or --kubeconfig")?;
    let own = |everything: &str| ListParams::default().labels(everything);
    let deployments =
        listed::<Deployment>(Api::namespaced(client.clone(), operator_namespace), &own(OURS)).await;
    let missing_rights = rights(client, operator_namespace, deployments.as_ref().ok()).await;
    let providers = everywhere::<MetricsProvider>(cluster).await;
    Ok(Facts {
        operator_namespace: operator_namespace.to_owned(),
        crds: listed(Api::all(client.clone()), &ListParams::default()).await,
        deployments,
        missing_rights,
        policies: listed(Api::all(client.clone()), &own(OURS)).await,
        bindings: listed(Api::all(client.clone()), &own(OURS)).await,
        services: listed(Api::namespaced(client.clone(), operator_namespace), &own(OURS)).await,
        providers: providers.map(|all| all.iter().map(provider).collect()),
        evaluations: everywhere::<Evaluation>(cluster).await,
        unready: unready(cluster).await,
        held: listed::<Namespace>(Api::all(client.clone()), &own(&format!("{HOLD_LABEL}=true")))
            .await
            .map(|all| all.iter().map(ResourceExt::name_any).collect()),
        hold: hold(client, operator_namespace).await,
    })
}

async fn listed<K>(api: Api<K>, params: &ListParams) -> Read<Vec<K>>
where
    K: Resource<DynamicType = ()> + Clone + std::fmt::Debug + DeserializeOwned,
{
    match api.list(params).await {
        Ok(found) => Ok(found.items),
        Err(error) => Err(said(&error)),
    }
}

fn said(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => status.message.clone(),
        other => other.to_string(),
    }
}

async fn everywhere<K: Object>(cluster: &Cluster) -> Read<Vec<K>> {
    let found = cluster.list::<K>(true, &ListParams::default()).await;
    found.map_err(|error| error.to_string())
}

fn shown<K: Object>(object: &K) -> String {
    format!("{}/{}", object.namespace().unwrap_or_default(), object.name_any())
}

fn conditions(object: &impl Object) -> Vec<Condition> {
    let value = serde_json::to_value(object).unwrap_or_default();
    let conditions = value.pointer("/status/conditions").cloned().unwrap_or_default();
    serde_json::from_value(conditions).unwrap_or_default()
}

/// What is wrong with an object: it is not in force, or a sink does not take what it is sent.
fn not_ready(object: &impl Object) -> Option<String> {
    let mut all = conditions(object).into_iter();
    all.find(|c| matches!(c.type_.as_str(), "Ready" | "Delivering") && c.status == "False")
        .map(|c| format!("{}: {}", c.reason, c.message))
}

fn provider(object: &MetricsProvider) -> (String, Option<String>) {
    (shown(object), not_ready(object))
}

/// Everything of ours that says it is not ready.
async fn unready(cluster: &Cluster) -> Vec<Unready> {
    async fn of<K: Object>(cluster: &Cluster, all: &mut Vec<Unready>) {
        let found = everywhere::<K>(cluster).await.unwrap_or_default();
        all.extend(found.iter().filter_map(|object| {
            Some(Unready {
                message: not_ready(object)?,
                object: format!("{} {}", K::kind(&()), shown(object)),
            })
        }));
    }
    let mut all = Vec::new();
    of::<Shipyard>(cluster, &mut all).await;
    of::<Remediation>(cluster, &mut all).await;
    of::<AlertRoute>(cluster, &mut all).await;
    of::<EventSink>(cluster, &mut all).await;
    of::<JobConfig>(cluster, &mut all).await;
    of::<ServiceLevelObjective>(cluster, &mut all).await;
    of::<ServiceLevelIndicator>(cluster, &mut all).await;
    of::<ProblemEvent>(cluster, &mut all).await;
    of::<SequenceExecution>(cluster, &mut all).await;
    of::<Approval>(cluster, &mut all).await;
    of::<Delivery>(cluster, &mut all).await;
    all
}

async fn hold(client: &Client, operator_namespace: &str) -> Read<Option<String>> {
    let api = Api::<ConfigMap>::namespaced(client.clone(), operator_namespace);
    match api.get_opt(HOLD_CONFIG_MAP).await {
        Ok(found) => Ok(found.map(|map| {
            let data = map.data.unwrap_or_default();
            data.get("reason").cloned().unwrap_or_default()
        })),
        Err(error) => Err(said(&error)),
    }
}

/// What the operator's service account may not do, of what its role has.
async fn rights(
    client: &Client,
    operator_namespace: &str,
    deployments: Option<&Vec<Deployment>>,
) -> Read<Vec<String>> {
    let pod = deployments
        .and_then(|all| all.first())
        .and_then(|d| d.spec.as_ref()?.template.spec.clone());
    let account = pod.as_ref().and_then(|pod| pod.service_account_name.clone());
    let account = account.unwrap_or_else(|| "coxswain".to_owned());
    let user = format!("system:serviceaccount:{operator_namespace}:{account}");
    let places = pod.map_or(vec![None], |pod| places(&pod));
    let everywhere = places == [None];
    let needed = rbac::needed_by_operator(everywhere);
    let asked = places.iter().flat_map(|place| {
        let needed = needed.iter().cloned();
        needed.map(|(group, resource, verb)| {
            let (client, user, place) = (client.clone(), user.clone(), place.clone());
            async move {
                let allowed = may(&client, &user, place.as_deref(), group, &resource, verb).await;
                let place = place.map(|place| format!(" in {place}")).unwrap_or_default();
                allowed.map(|allowed| (!allowed).then(|| format!("{verb} {resource}{place}")))
            }
        })
    });
    let asked: Vec<_> = asked.collect();
    let all: Vec<Read<Option<String>>> = stream::iter(asked).buffered(AT_ONCE).collect().await;
    let all: Read<Vec<Option<String>>> = all.into_iter().collect();
    all.map(|missing| missing.into_iter().flatten().collect())
}

/// Where the operator works: in each namespace of its list, or everywhere.
fn places(pod: &PodSpec) -> Vec<Option<String>> {
    let mut variables = pod.containers.iter().flat_map(|c| c.env.iter().flatten());
    let list = variables.find(|variable| variable.name == "COXSWAIN_WATCH_NAMESPACES");
    match list.and_then(|list| list.value.as_ref()?.parse().ok()) {
        Some(Namespaces::Only(names)) => names.into_iter().map(Some).collect(),
        _ => vec![None],
    }
}

async fn may(
    client: &Client,
    user: &str,
    namespace: Option<&str>,
    group: &str,
    resource: &str,
    verb: &str,
) -> Read<bool> {
    let (resource, subresource) = match resource.split_once('/') {
        Some((resource, sub)) => (resource, Some(sub.to_owned())),
        None => (resource, None),
    };
    let review = SubjectAccessReview {
        spec: SubjectAccessReviewSpec {
            user: Some(user.to_owned()),
            resource_attributes: Some(ResourceAttributes {
                namespace: namespace.map(str::to_owned),
                group: Some(group.to_owned()),
                resource: Some(resource.to_owned()),
                subresource,
                verb: Some(verb.to_owned()),
                ..ResourceAttributes::default()
            }),
            ..SubjectAccessReviewSpec::default()
        },
        ..SubjectAccessReview::default()
    };
    let api = Api::<SubjectAccessReview>::all(client.clone());
    match api.create(&PostParams::default(), &review).await {
        Ok(answer) => Ok(answer.status.is_some_and(|s| s.allowed)),
        Err(error) => Err(said(&error)),
    }
}
