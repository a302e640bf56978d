//! What an endpoint's fields name in Secrets and ConfigMaps: read live when it is needed, never watched, never shown.
//!
//! The operator has no right of its own to read Secrets: an administrator binds one for each namespace with such an endpoint.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::{Api, Client};

use crate::{
    api::metricsprovider::{KeyRef, SecretValue},
    core::endpoint::Endpoint,
};

/// The keys of a Secret of the type `kubernetes.io/tls`.
pub(super) const CERTIFICATE: &str = "tls.crt";
pub(super) const PRIVATE_KEY: &str = "tls.key";

/// The optional ClusterRole that lets the operator read Secrets where it is bound is called so, behind the name of the
/// operator's service account, which is also that of a Helm release; see `coxswain rbac`.
const ROLE: &str = "metrics-credentials";
/// Who the operator is, where the API server does not say so.
const OPERATOR: &str = "system:serviceaccount:coxswain-system:coxswain";

/// A kind of object that holds keys.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Kind {
    /// `ConfigMap`
    ConfigMap,
    /// `Secret`
    Secret,
}

/// An object that is named by an endpoint, and the key that is wanted first: for messages.
pub(super) type Needs = BTreeMap<(Kind, String), String>;

/// What has to be read before anything can be sent there.
pub(super) fn needs(endpoint: &Endpoint) -> Needs {
    let mut needs = Needs::new();
    let mut need = |kind, at: &KeyRef| {
        needs
            .entry((kind, at.name.clone()))
            .or_insert_with(|| at.key.clone());
    };
    let mut secret = |value: &Option<SecretValue>| {
        if let Some(value) = value {
            need(Kind::Secret, &value.secret_ref);
        }
    };
    secret(&endpoint.url_from);
    if let Some(auth) = &endpoint.auth {
        secret(&auth.bearer);
        if let Some(basic) = &auth.basic {
            secret(&basic.username_from);
            secret(&Some(basic.password_from.clone()));
        }
    }
    for header in &endpoint.headers {
        secret(&header.value_from);
    }
    if let Some(tls) = &endpoint.tls {
        if let Some(ca) = &tls.ca_from {
            if let Some(at) = &ca.config_map_ref {
                need(Kind::ConfigMap, at);
            }
            if let Some(at) = &ca.secret_ref {
                need(Kind::Secret, at);
            }
        }
        if let Some(own) = &tls.client_cert_from {
            let at = KeyRef {
                name: own.secret_name.clone(),
                key: CERTIFICATE.to_owned(),
            };
            need(Kind::Secret, &at);
        }
    }
    needs
}

/// What was read. It is not `Debug`: it holds secrets.
#[derive(Default)]
pub(super) struct Found {
    namespace: String,
    /// The kind of object that names what was read.
    of: &'static str,
    objects: BTreeMap<(Kind, String), Object>,
}

struct Object {
    version: String,
    data: BTreeMap<String, Vec<u8>>,
}

/// Which state of the objects was read.
pub(super) type Versions = BTreeMap<(Kind, String), String>;

impl Found {
    /// Which state of the objects this is.
    pub(super) fn versions(&self) -> Versions {
        self.objects
            .iter()
            .map(|(id, object)| (id.clone(), object.version.clone()))
            .collect()
    }

    /// The bytes of a key.
    pub(super) fn bytes(&self, kind: Kind, at: &KeyRef) -> Result<&[u8], String> {
        let shown = self.shown(kind, at);
        let id = (kind, at.name.clone());
        let Some(object) = self.objects.get(&id) else {
            return Err(format!("{shown} was not read"));
        };
        match object.data.get(&at.key) {
            Some(bytes) if !bytes.is_empty() => Ok(bytes),
            Some(_) => Err(format!("{shown} is empty; write the value into it")),
            None => {
                let keys: Vec<&str> = object.data.keys().map(String::as_str).take(5).collect();
                let keys = if keys.is_empty() {
                    "no keys".to_owned()
                } else {
                    keys.join(", ")
                };
                Err(format!(
                    "{shown} does not exist (there is {keys}); add it, or mend the {}",
                    self.of
                ))
            }
        }
    }

    /// The text of a key of a Secret, without the newline that editors leave at the end.
    pub(super) fn text(&self, value: &SecretValue) -> Result<&str, String> {
        let at = &value.secret_ref;
        let text = std::str::from_utf8(self.bytes(Kind::Secret, at)?)
            .map_err(|_| format!("{} is no text", self.shown(Kind::Secret, at)))?;
        Ok(text.trim_end_matches(['\r', '\n']))
    }

    /// `Secret prod/prometheus, key "token"`.
    pub(super) fn shown(&self, kind: Kind, at: &KeyRef) -> String {
        shown(kind, &self.namespace, &at.name, &at.key)
    }
}

fn shown(kind: Kind, namespace: &str, name: &str, key: &str) -> String {
    format!("{kind:?} {namespace}/{name}, key {key:?}")
}

/// Reads what is needed.
pub(super) async fn read(
    cluster: Option<&Client>,
    namespace: &str,
    endpoint: &Endpoint,
) -> Result<Found, String> {
    let of = endpoint.kind;
    let mut found = Found {
        namespace: namespace.to_owned(),
        of,
        objects: BTreeMap::new(),
    };
    for ((kind, name), key) in &needs(endpoint) {
        let Some(client) = cluster else {
            let shown = shown(*kind, namespace, name, key);
            return Err(format!("{shown} can't be read without a cluster"));
        };
        let object = match kind {
            Kind::ConfigMap => read_config_map(client, namespace, name).await,
            Kind::Secret => read_secret(client, namespace, name).await,
        };
        let object = object.map_err(|error| why(&error, *kind, namespace, name, key, of))?;
        found.objects.insert((*kind, name.clone()), object);
    }
    Ok(found)
}

async fn read_secret(client: &Client, namespace: &str, name: &str) -> Result<Object, kube::Error> {
    let secret = Api::<Secret>::namespaced(client.clone(), namespace)
        .get(name)
        .await?;
    let data = secret.data.unwrap_or_default();
    Ok(Object {
        version: secret.metadata.resource_version.unwrap_or_default(),
        data: data.into_iter().map(|(key, bytes)| (key, bytes.0)).collect(),
    })
}

async fn read_config_map(client: &Client, namespace: &str, name: &str) -> Result<Object, kube::Error> {
    let map = Api::<ConfigMap>::namespaced(client.clone(), namespace)
        .get(name)
        .await?;
    let text = map.data.unwrap_or_default().into_iter();
    let binary = map.binary_data.unwrap_or_default().into_iter();
    Ok(Object {
        version: map.metadata.resource_version.unwrap_or_default(),
        data: text
            .map(|(key, text)| (key, text.into_bytes()))
            .chain(binary.map(|(key, bytes)| (key, bytes.0)))
            .collect(),
    })
}

/// What kept an object from being read, and the remedy. None of the words is a secret: the API server shows none.
fn why(error: &kube::Error, kind: Kind, namespace: &str, name: &str, key: &str, of: &str) -> String {
    let shown = shown(kind, namespace, name, key);
    match error {
        kube::Error::Api(status) if status.code == 403 => {
            let (role, subject) = binding(user(&status.message).unwrap_or(OPERATOR));
            format!(
                "the operator may not read {shown}; let it: kubectl create rolebinding {role} -n {namespace} \
                 --clusterrole={role} {subject}"
            )
        }
        kube::Error::Api(status) if status.code == 404 => {
            format!("{shown}: the {kind:?} does not exist; create it, or mend the {of}")
        }
        kube::Error::Api(status) => format!("{shown} could not be read: {}", status.message),
        other => format!("{shown} could not be read: {other}"),
    }
}

/// Who was refused, by the API server's own words: `User "system:serviceaccount:coxswain-system:coxswain" cannot get ...`.
fn user(message: &str) -> Option<&str> {
    let (_, rest) = message.split_once("User \"")?;
    let (user, _) = rest.split_once('"')?;
    // It goes into a command that people type.
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.:@".contains(c);
    (!user.is_empty() && user.chars().all(plain)).then_some(user)
}

/// The role that a user lacks, and kubectl's flag that binds it to them.
fn binding(user: &str) -> (String, String) {
    match user
        .strip_prefix("system:serviceaccount:")
        .and_then(|account| Some((account, account.split_once(':')?.1)))
    {
        Some((account, name)) => (format!("{name}-{ROLE}"), format!("--serviceaccount={account}")),
        None => (format!("coxswain-{ROLE}"), format!("--user={user}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::metricsprovider::PrometheusProvider;
    use rstest::rstest;

    #[rstest]
    #[case(
        r#"secrets "s" is forbidden: User "system:serviceaccount:ops:my-coxswain" cannot get resource "secrets""#,
        ("my-coxswain-metrics-credentials", "--serviceaccount=ops:my-coxswain")
    )]
    #[case(r#"User "kubernetes-admin" cannot get"#, ("coxswain-metrics-credentials", "--user=kubernetes-admin"))]
    #[case(r#"User "a b; rm" cannot get"#, ("coxswain-metrics-credentials", "--serviceaccount=coxswain-system:coxswain"))]
    #[case("no", ("coxswain-metrics-credentials", "--serviceaccount=coxswain-system:coxswain"))]
    fn who_was_refused_and_what_they_lack(#[case] message: &str, #[case] expected: (&str, &str)) {
        let (role, subject) = binding(user(message).unwrap_or(OPERATOR));
        assert_eq!((role.as_str(), subject.as_str()), expected);
    }

    #[test]
    fn each_object_is_read_once() {
        let spec: PrometheusProvider = serde_yaml::from_str(
            "{url: 'https://p', \
              auth: {basic: {usernameFrom: {secretRef: {name: s, key: u}}, passwordFrom: {secretRef: {name: s, key: p}}}}, \
              headers: [{name: a, value: b}, {name: c, valueFrom: {secretRef: {name: t, key: k}}}], \
              tls: {caFrom: {configMapRef: {name: c, key: ca.crt}}, clientCertFrom: {secretName: own}}}",
        )
        .unwrap();
        let needs = needs(&Endpoint::from(&spec));
        let needs: Vec<_> = needs
            .iter()
            .map(|((kind, name), key)| format!("{kind:?} {name} {key}"))
            .collect();
        assert_eq!(
            needs,
            [
                "ConfigMap c ca.crt",
                "Secret own tls.crt",
                "Secret s u",
                "Secret t k"
            ]
        );
    }

    #[test]
    fn without_secrets_nothing_is_needed() {
        let spec: PrometheusProvider =
            serde_yaml::from_str("{url: 'https://p', headers: [{name: a, value: b}], tls: {serverName: q}}")
                .unwrap();
        assert!(needs(&Endpoint::from(&spec)).is_empty());
    }
}
