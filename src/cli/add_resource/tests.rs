//! What becomes of resources, and what of those that are there.

use k8s_openapi::ByteString;
use rstest::rstest;
use serde_json::json;

use super::{plan::*, *};
use crate::api::Scope;

fn resource(remote: &str, content: &[u8]) -> Resource {
    Resource {
        local: format!("here/{remote}"),
        remote: remote.to_owned(),
        size: content.len() as u64,
        content: content.to_vec(),
    }
}

fn of_service() -> Scope {
    scope("fulltour", Some("production"), false, Some("helloservice")).unwrap()
}

const REMEDIATION: &str = "apiVersion: spec.keptn.sh/0.1.4\nkind: Remediation\nmetadata: {name: x}\nspec: {remediations: [{problemType: p, \
                           actionsOnOpen: [{action: scale, name: s}]}]}";

#[test]
fn files_of_a_directory_are_a_labelled_config_map() {
    let files = vec![
        resource("/charts/helloservice.tgz", &[0x1f, 0x8b, 0]),
        resource("charts/a b.txt", b"text"),
        resource("run.sh", b"true\n"),
    ];
    let planned = planned(files, &of_service(), None).unwrap();
    assert_eq!(planned.directories.len(), 2);
    let charts = planned.directories.iter().find(|d| d.path == "charts").unwrap();
    let map = serde_json::to_value(charts.fresh(Some("tour")).unwrap()).unwrap();
    assert_eq!(
        map["metadata"],
        json!({
            "name": crate::core::names::files_name(&of_service(), "charts"),
            "namespace": "tour",
            "labels": {
                "coxswain.dev/project": "fulltour", "coxswain.dev/stage": "production", "coxswain.dev/service": "helloservice",
            },
            "annotations": {
                "coxswain.dev/directory": "charts", "coxswain.dev/file-names": "{\"file-cd6c4a051a48\":\"a b.txt\"}",
            },
        })
    );
    assert_eq!(map["data"], json!({"file-cd6c4a051a48": "text"}));
    assert_eq!(map["binaryData"], json!({"helloservice.tgz": "H4sA"}));
    assert_eq!(
        charts.shown(),
        "charts/helloservice.tgz, 3 bytes; charts/a b.txt, 4 bytes"
    );
}

#[test]
fn other_keys_stay_and_a_key_is_never_both_text_and_binary() {
    let existing: ConfigMap = serde_json::from_value(json!({
        "metadata": {"name": "m", "resourceVersion": "7",
            "annotations": {"coxswain.dev/file-names": "{\"file-0\":\"a b.txt\"}"}},
        "data": {"was-text": "x", "other": "y", "file-0": "old"}, "binaryData": {"was-binary": "AA=="},
    }))
    .unwrap();
    let files = vec![
        resource("d/was-text", &[0, 1]),
        resource("d/was-binary", b"now text"),
        resource("d/a b.txt", b"new"),
    ];
    let planned = planned(files, &of_service(), None).unwrap();
    let patch = planned.directories[0].patch(&existing).unwrap();
    assert_eq!(
        patch["data"],
        json!({"was-text": null, "was-binary": "now text", "file-0": "new"})
    );
    assert_eq!(
        patch["binaryData"],
        json!({"was-text": "AAE=", "was-binary": null})
    );
    assert_eq!(patch["metadata"]["resourceVersion"], "7");
    assert_eq!(
        patch["metadata"]["annotations"]["coxswain.dev/file-names"],
        "{\"file-0\":\"a b.txt\"}"
    );
}

#[test]
fn a_config_map_holds_a_mebibyte_with_what_is_there() {
    let half = vec![b'a'; 600 * 1024];
    let planned = planned(vec![resource("charts/new", &half)], &of_service(), None).unwrap();
    let directory = &planned.directories[0];
    assert!(directory.fresh(None).is_ok());
    let map = |key: &str| ConfigMap {
        binary_data: Some([(key.to_owned(), ByteString(half.clone()))].into()),
        ..ConfigMap::default()
    };
    // What is replaced does not count.
    assert!(directory.patch(&map("new")).is_ok());
    let error = directory.patch(&map("old")).unwrap_err().to_string();
    assert!(
        error.contains("would have 1.2 MiB (charts/new, 600 KiB, beside 600 KiB that are there already)"),
        "{error}"
    );
}

/// The tutorial: `--resource=helloservice-remediation.yaml --resourceUri=remediation.yaml`.
#[rstest]
#[case(
    "remediation.yaml",
    REMEDIATION,
    "remediation.coxswain.dev/fulltour-production-helloservice"
)]
#[case(
    "shipyard.yaml",
    "apiVersion: spec.keptn.sh/0.2.2\nkind: Shipyard\nspec: {stages: [{name: qa, sequences: [{name: d, tasks: [{name: t}]}]}]}",
    "shipyard.coxswain.dev/fulltour"
)]
#[case(
    "job/config.yaml",
    "apiVersion: v2\nactions: []",
    "jobconfig.coxswain.dev/fulltour-production-helloservice"
)]
#[case(
    "slo.yaml",
    "objectives: []",
    "servicelevelobjective.coxswain.dev/fulltour-production-helloservice"
)]
#[case(
    "prometheus/sli.yaml",
    "indicators: {a: up}",
    "servicelevelindicator.coxswain.dev/fulltour-production-helloservice"
)]
fn what_keptn_read_itself_becomes_its_kind(#[case] remote: &str, #[case] text: &str, #[case] expected: &str) {
    let planned = planned(vec![resource(remote, text.as_bytes())], &of_service(), None).unwrap();
    assert!(planned.directories.is_empty());
    assert_eq!(id(&planned.definitions[0].1), expected);
}

#[rstest]
#[case::by_its_name("charts/slo.yaml", "objectives: []", true)]
#[case::not_prometheus("dynatrace/sli.yaml", "indicators: {}", true)]
#[case::no_keptn_file("charts/values.yaml", "replicas: 2", false)]
#[case::the_name_on_disk("helloservice-remediation.yaml", REMEDIATION, true)]
fn other_files_are_for_jobs(#[case] remote: &str, #[case] text: &str, #[case] warned: bool) {
    let planned = planned(vec![resource(remote, text.as_bytes())], &of_service(), None).unwrap();
    assert_eq!(planned.directories.len(), 1);
    assert_eq!(!planned.warnings.is_empty(), warned, "{:?}", planned.warnings);
}

#[rstest]
#[case(&[("remediation.yaml", "kind: Remediation")], "here/remediation.yaml: apiVersion")]
#[case(&[("a.yaml", "apiVersion: coxswain.dev/v1alpha1\nkind: Shipyard")], "use kubectl apply -f here/a.yaml")]
#[case(&[("../x", "")], "--resourceUri: \"../x\" is refused")]
#[case(&[("a", ""), ("/a", "")], "would both be a")]
fn what_can_t_be_added_says_why(#[case] files: &[(&str, &str)], #[case] says: &str) {
    let files = files.iter().map(|(path, text)| resource(path, text.as_bytes()));
    let error = planned(files.collect(), &of_service(), None)
        .unwrap_err()
        .to_string();
    assert!(error.contains(says), "{error}");
}

#[rstest]
#[case("p", None, false, None, "p//")]
#[case("p", Some("s"), false, Some("v"), "p/s/v")]
#[case("p", None, true, Some("v"), "p//v")]
#[case(
    "p",
    None,
    false,
    Some("v"),
    "--service: name its stage with --stage, or add --all-stages"
)]
#[case("P", None, false, None, "--project: ")]
fn the_flags_say_the_scope(
    #[case] project: &str,
    #[case] stage: Option<&str>,
    #[case] all: bool,
    #[case] service: Option<&str>,
    #[case] expected: &str,
) {
    let found = scope(project, stage, all, service);
    let found = match found {
        Ok(s) => format!(
            "{}/{}/{}",
            s.project,
            s.stage.unwrap_or_default(),
            s.service.unwrap_or_default()
        ),
        Err(error) => error.to_string(),
    };
    assert!(found.starts_with(expected), "{found}");
}

#[rstest]
#[case(12, "12 bytes")]
#[case(1024, "1 KiB")]
#[case(1025, "2 KiB")]
#[case(1_048_576, "1.0 MiB")]
#[case(1_100_000, "1.1 MiB")]
fn sizes_for_people(#[case] size: u64, #[case] shown: &str) {
    assert_eq!(bytes(size), shown);
}

#[rstest]
#[case("./charts/a.tgz", Some("charts/a.tgz"))]
#[case("a.tgz", Some("a.tgz"))]
#[case("/tmp/a.tgz", None)]
#[case("../a.tgz", None)]
fn without_a_uri_the_path_is_taken(#[case] local: &str, #[case] uri: Option<&str>) {
    assert_eq!(default_uri(local).ok().as_deref(), uri);
}
