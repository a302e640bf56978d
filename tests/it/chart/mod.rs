//! The Helm chart, rendered with every pair of its switches by Helm 3 and 4; `hack/test.sh chart` builds both.
//! `control_plane::chart` asks a real API server what it says of the same renderings.

mod pairs;
mod typed;

use std::{
    collections::BTreeSet,
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
};

use serde::Deserialize as _;
use serde_json::Value;

use pairs::pairs;

/// The release's namespace, and two that exist where a rendering is sent to an API server.
pub const NAMESPACES: [&str; 3] = ["coxswain-system", "chart-a", "chart-b"];

/// The switches: each with the values that it may have, of which the first is the default.
const SWITCHES: &[&[&str]] = &[
    &["{}", "crds: {install: false}", "crds: {keep: false}"],
    &["{}", "watchNamespaces: [chart-a, chart-b]"],
    &[
        "{}",
        "rbac: {create: false}",
        "rbac: {userRoles: false}",
        "rbac: {aggregate: false}",
    ],
    &[
        "{}",
        "serviceAccount: {name: other, annotations: {a: b}}",
        "serviceAccount: {create: false, name: mine}",
    ],
    &["{}", "admissionPolicies: {enabled: false}"],
    &[
        "{}",
        "providers: {secrets: [{namespace: chart-a, names: [token, ca]}, {namespace: chart-b, names: [token]}]}",
    ],
    &[
        "{}",
        "networkPolicy: {enabled: true}",
        "networkPolicy: {enabled: true, events: [{namespaceSelector: {}}], ingress: [{from: [{podSelector: {}}]}], egress: [{ports: [{port: 443}]}]}",
    ],
    &[
        "{}",
        "jobs: {allowedImages: ['ghcr.io/a/*', 'b:*'], networkPolicy: {namespaces: [chart-a]}}",
    ],
    &[
        "{}",
        "server: {enabled: false}",
        "server: {tlsSecret: tls, port: 80, serviceType: LoadBalancer, serviceAnnotations: {a: b}, tokensSecret: mine}",
        "server: {events: false}",
        "server: {alerts: false, tlsSecret: tls}",
    ],
    &[
        "{}",
        "{extraVolumes: [{name: ca, secret: {secretName: ca}}], extraVolumeMounts: [{name: ca, mountPath: /ca, readOnly: true}], \
         extraEnv: [{name: SSL_CERT_FILE, value: /ca/ca.crt}], extraArgs: [--requests-per-second=5], \
         initContainers: [{name: wait, image: 'busybox:1', command: ['true']}], priorityClassName: system-cluster-critical, \
         nodeSelector: {a: b}, tolerations: [{operator: Exists}], podAnnotations: {a: b}, podLabels: {c: d}, \
         affinity: {nodeAffinity: {}}, resources: {limits: {memory: 1Gi}}, terminationGracePeriodSeconds: 5}",
        "podSecurityContext: {runAsUser: null, runAsGroup: null, fsGroup: null}",
    ],
    &["{}", "fullnameOverride: helm", "nameOverride: rudder"],
    &[
        "{}",
        "image: {digest: 'sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef'}",
        "{image: {tag: main, pullPolicy: Always}, imagePullSecrets: [{name: pull}], log: {filter: debug, format: text}}",
    ],
    &["{}", "extraLabels: {team: sre}"],
    &[
        "{}",
        "extraObjects: [{apiVersion: v1, kind: ConfigMap, metadata: {name: extra, namespace: coxswain-system}}, \
         \"apiVersion: v1\\nkind: ConfigMap\\nmetadata: {name: '{{ .Release.Name }}-text', namespace: '{{ .Release.Namespace }}'}\"]",
    ],
];

/// Every helm program that `COXSWAIN_TEST_HELM` names, separated by colons.
pub fn helms() -> Vec<String> {
    let all = std::env::var("COXSWAIN_TEST_HELM")
        .expect("COXSWAIN_TEST_HELM names helm programs, separated by colons");
    all.split(':').map(str::to_owned).collect()
}

pub fn chart() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("charts/coxswain")
}

/// What helm prints when it is given this, or its complaint.
fn helm(program: &str, arguments: &[&str], input: &str) -> Result<String, String> {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::piped());
    let mut running = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    running.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let done = running.wait_with_output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    match done.status.success() {
        true => Ok(text(&done.stdout)),
        false => Err(text(&done.stderr)),
    }
}

/// The objects that helm makes of the chart with these values, of which no two set the same.
fn render(program: &str, values: &[&str]) -> Result<Vec<Value>, String> {
    let mut merged = serde_json::Map::new();
    for text in values {
        let map: serde_json::Map<String, Value> = serde_yaml::from_str(text).unwrap();
        for (key, value) in map {
            assert!(merged.insert(key.clone(), value).is_none(), "{key} is set twice");
        }
    }
    let chart = chart();
    let mut arguments = vec!["template", "coxswain", chart.to_str().unwrap()];
    arguments.extend([
        "--namespace",
        NAMESPACES[0],
        "--kube-version",
        "1.34.0",
        "--values",
        "-",
    ]);
    let text = helm(program, &arguments, &Value::from(merged).to_string())?;
    let documents = serde_yaml::Deserializer::from_str(&text);
    let objects = documents.map(|document| Value::deserialize(document).map_err(|e| format!("{e}\n{text}")));
    let objects: Result<Vec<Value>, String> = objects.collect();
    Ok(objects?.into_iter().filter(|object| !object.is_null()).collect())
}

/// A rendering for every pair of values of two switches, and the values that made it.
pub fn renderings(program: &str) -> Vec<(String, Vec<Value>)> {
    let sizes: Vec<usize> = SWITCHES.iter().map(|values| values.len()).collect();
    let rows = pairs(&sizes);
    let rendering = |row: Vec<usize>| {
        let values: Vec<&str> = row.iter().zip(SWITCHES).map(|(&at, values)| values[at]).collect();
        let set = values.iter().filter(|text| **text != "{}").copied();
        let name = set.collect::<Vec<_>>().join("; ");
        let objects = render(program, &values).unwrap_or_else(|why| panic!("{program} with {name}: {why}"));
        (name, objects)
    };
    rows.into_iter().map(rendering).collect()
}

fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

fn label(object: &Value) -> String {
    let (namespace, name) = (
        text(object, "/metadata/namespace"),
        text(object, "/metadata/name"),
    );
    format!("{} {namespace}/{name}", text(object, "/kind"))
}

fn of_kind<'a>(objects: &'a [Value], kind: &'a str) -> impl Iterator<Item = &'a Value> {
    objects.iter().filter(move |object| object["kind"] == kind)
}

#[test]
#[ignore = "needs helm (hack/test.sh chart)"]
fn lint_finds_nothing() {
    for program in helms() {
        let linted = helm(&program, &["lint", "--strict", chart().to_str().unwrap()], "");
        assert!(linted.is_ok(), "{program}: {linted:?}");
    }
}

#[test]
#[ignore = "needs helm (hack/test.sh chart)"]
fn every_pair_of_switches_makes_whole_objects() {
    for program in helms() {
        for (values, objects) in renderings(&program) {
            let mut seen = BTreeSet::new();
            for object in &objects {
                let label = label(object);
                assert!(seen.insert(label.clone()), "{values}: two of {label}");
                typed::check(object).unwrap_or_else(|why| panic!("{values}: {label}: {why}"));
                let namespaced = !text(object, "/metadata/namespace").is_empty();
                assert_eq!(
                    namespaced,
                    !typed::is_cluster_wide(text(object, "/kind")),
                    "{values}: {label}"
                );
            }
            fits_together(&values, &objects);
        }
    }
}

/// What names another object of the release names one that is there.
fn fits_together(values: &str, objects: &[Value]) {
    let deployment = of_kind(objects, "Deployment").next().expect("a Deployment");
    let pod = &deployment["spec"]["template"];
    let (spec, labels) = (&pod["spec"], pod["metadata"]["labels"].as_object().unwrap());
    assert_eq!(deployment["spec"]["replicas"], 1);
    assert_eq!(deployment["spec"]["strategy"]["type"], "Recreate", "{values}");
    let mut selectors = vec![&deployment["spec"]["selector"]["matchLabels"]];
    selectors.extend(of_kind(objects, "Service").map(|service| &service["spec"]["selector"]));
    let guards =
        of_kind(objects, "NetworkPolicy").filter(|policy| !text(policy, "/metadata/name").ends_with("-jobs"));
    selectors.extend(guards.map(|policy| &policy["spec"]["podSelector"]["matchLabels"]));
    for selector in selectors {
        let wanted = selector.as_object().unwrap();
        assert!(
            wanted.iter().all(|(key, value)| labels.get(key) == Some(value)),
            "{values}: {selector}"
        );
    }
    let account = text(spec, "/serviceAccountName");
    let made = of_kind(objects, "ServiceAccount").any(|object| text(object, "/metadata/name") == account);
    assert_eq!(
        made,
        !values.contains("serviceAccount: {create: false"),
        "{values}: {account}"
    );
    for binding in objects
        .iter()
        .filter(|object| text(object, "/kind").ends_with("Binding") && object["roleRef"].is_object())
    {
        let role = objects.iter().any(|object| {
            object["kind"] == binding["roleRef"]["kind"]
                && object["metadata"]["name"] == binding["roleRef"]["name"]
                && object["metadata"]["namespace"] == binding["metadata"]["namespace"]
        });
        assert!(role, "{values}: {} binds no role of the release", label(binding));
        let subject = &binding["subjects"][0];
        assert_eq!(
            (text(subject, "/name"), text(subject, "/namespace")),
            (account, NAMESPACES[0]),
            "{values}"
        );
    }
    let volumes: BTreeSet<&str> = spec["volumes"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|v| text(v, "/name"))
        .collect();
    let container = &spec["containers"][0];
    for mount in container["volumeMounts"].as_array().into_iter().flatten() {
        assert!(volumes.contains(text(mount, "/name")), "{values}: {mount}");
    }
    assert_eq!(
        container["securityContext"]["readOnlyRootFilesystem"], true,
        "{values}"
    );
    assert_eq!(spec["securityContext"]["runAsNonRoot"], true, "{values}");
}

/// What somebody may install who administers a few namespaces and nothing else.
#[test]
#[ignore = "needs helm (hack/test.sh chart)"]
fn a_tenant_installs_nothing_of_the_whole_cluster() {
    let values = "{watchNamespaces: [chart-a], crds: {install: false}, admissionPolicies: {enabled: false}, rbac: {userRoles: false}}";
    for program in helms() {
        let objects = render(&program, &[values]).unwrap();
        let wide: Vec<String> = objects
            .iter()
            .filter(|o| typed::is_cluster_wide(text(o, "/kind")))
            .map(label)
            .collect();
        assert!(wide.is_empty(), "{wide:?}");
        let environment = of_kind(&objects, "Deployment").next().unwrap();
        let environment = environment
            .pointer("/spec/template/spec/containers/0/env")
            .unwrap();
        let list = environment
            .as_array()
            .unwrap()
            .iter()
            .find(|v| v["name"] == "COXSWAIN_WATCH_NAMESPACES");
        assert_eq!(list.unwrap()["value"], "chart-a");
    }
}

/// Whoever installs with Helm gets what whoever installs with kubectl does.
#[test]
#[ignore = "needs helm (hack/test.sh chart)"]
fn by_default_it_is_what_config_default_is() {
    let plain = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("install.yaml")).unwrap();
    let plain: Vec<Value> = serde_yaml::Deserializer::from_str(&plain)
        .map(|d| Value::deserialize(d).unwrap())
        .collect();
    for program in helms() {
        let objects = render(&program, &[]).unwrap();
        for expected in plain.iter().filter(|object| object["kind"] != "Namespace") {
            let same = |object: &&Value| label(object) == label(expected);
            let found = objects
                .iter()
                .find(same)
                .unwrap_or_else(|| panic!("the chart lacks {}", label(expected)));
            for part in ["rules", "roleRef", "subjects"] {
                assert_eq!(found[part], expected[part], "{}", label(expected));
            }
            if expected["kind"] == "Deployment" {
                let pods = [found, expected].map(|object| object.pointer("/spec/template/spec").unwrap());
                let containers = pods.map(|pod| &pod["containers"][0]);
                for part in [
                    "image",
                    "args",
                    "ports",
                    "livenessProbe",
                    "readinessProbe",
                    "resources",
                    "securityContext",
                    "volumeMounts",
                ] {
                    assert_eq!(containers[0][part], containers[1][part], "{part}");
                }
                assert_eq!(pods[0]["securityContext"], pods[1]["securityContext"]);
                assert_eq!(pods[0]["volumes"], pods[1]["volumes"]);
            }
        }
    }
}

#[test]
#[ignore = "needs helm (hack/test.sh chart)"]
fn values_that_nobody_reads_are_refused() {
    for program in helms() {
        for wrong in [
            "watchNamespace: shop",
            "watchNamespaces: [Shop]",
            "watchNamespaces: shop",
            "crds: {instal: true}",
            "image: {digest: abc}",
            "providers: {secrets: [{namespace: shop}]}",
            "server: {port: 0}",
            "serviceAccount: {create: false, name: ''}",
        ] {
            assert!(render(&program, &[wrong]).is_err(), "{program} takes {wrong}");
        }
    }
}
