//! The gate alone: the commands of docs/quality-gates.md, and what people see of a verdict.

use std::{
    process::{Command, Output},
    time::Duration,
};

use coxswain::api::{Evaluation, ServiceLevelIndicator};
use serde_json::Value;

use super::harness::{Cluster, kubectl};

const PAGE: &str = include_str!("../../../docs/quality-gates.md");
const NAMESPACE: &str = "gate";
const PROVIDER: &str = include_str!("../../../examples/tutorial/metricsprovider.yaml");
const DEFINITIONS: &str = r#"
apiVersion: coxswain.dev/v1alpha1
kind: ServiceLevelIndicator
metadata: {name: fulltour}
spec:
  project: fulltour
  indicators: {response_time: vector(0.25), growth: vector(7)}
---
apiVersion: coxswain.dev/v1alpha1
kind: ServiceLevelObjective
metadata: {name: helloservice}
spec:
  project: fulltour
  service: helloservice
  objectives:
  - {sli: response_time, key_sli: true, pass: [{criteria: ["<=0.4"]}]}
  - {sli: growth, pass: [{criteria: ["<=+10%"]}]}
  total_score: {pass: "90%"}
"#;

fn section(title: &str) -> &'static str {
    let sections = PAGE.split("\n## ");
    let mut found = sections.filter(|text| text.lines().next() == Some(title));
    found
        .next()
        .unwrap_or_else(|| panic!("the page has no section {title:?}"))
}

/// The blocks of this language in a section, for this test's namespace.
fn blocks(title: &str, language: &str) -> Vec<String> {
    let fence = format!("```{language}\n");
    let blocks = section(title).split(&fence).skip(1).map(str::to_owned);
    let text = blocks.map(|rest| rest.split("```").next().unwrap().to_owned());
    text.map(|text| {
        text.replace("-n fulltour", &format!("-n {NAMESPACE}"))
            .replace("namespace: fulltour", &format!("namespace: {NAMESPACE}"))
    })
    .collect()
}

/// Types a line of the page that begins with kubectl; what it prints.
fn type_in(line: &str) -> String {
    let words = shell_words(line.strip_prefix("$ kubectl ").unwrap());
    kubectl(&words.iter().map(String::as_str).collect::<Vec<_>>(), "")
}

/// Words between spaces; single quotes keep them together.
fn shell_words(line: &str) -> Vec<String> {
    let mut words = vec![];
    for (index, part) in line.split('\'').enumerate() {
        if index % 2 == 1 {
            words.push(part.to_owned());
        } else {
            words.extend(part.split_whitespace().map(str::to_owned));
        }
    }
    words
}

fn coxswain(words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_coxswain"))
        .args(words)
        .env("KUBECONFIG", std::env::var("COXSWAIN_TEST_KUBECONFIG").unwrap())
        .output()
        .unwrap()
}

#[tokio::test]
#[ignore = "needs a cluster (make test-cluster)"]
async fn a_gate_by_hand_is_waited_for_read_and_taken_out_of_comparisons() {
    let cluster = Cluster::connect().await;
    cluster.fresh_namespace(NAMESPACE).await;
    let provider = PROVIDER.replace("namespace: fulltour", &format!("namespace: {NAMESPACE}"));
    kubectl(&["apply", "-f", "-"], &provider);
    kubectl(&["apply", "-n", NAMESPACE, "-f", "-"], DEFINITIONS);
    let ready = |sli: &ServiceLevelIndicator| {
        let status = sli.status.as_ref();
        status.is_some_and(|s| {
            s.conditions
                .iter()
                .any(|c| c.type_ == "Ready" && c.status == "True")
        })
    };
    cluster
        .wait(
            NAMESPACE,
            "fulltour",
            Duration::from_secs(30),
            "its being read",
            ready,
        )
        .await;

    kubectl(&["apply", "-f", "-"], &blocks("A gate by hand", "yaml")[0]);
    let consoles = blocks("A gate by hand", "console");
    let lines: Vec<&str> = consoles.iter().flat_map(|block| block.lines()).collect();
    let [wait, get, invalidate] = lines[..] else {
        panic!("{lines:?}")
    };
    assert!(type_in(wait).contains("condition met"));
    let table = type_in(get);
    assert!(table.contains("100"), "{table}");
    let name = "before-the-sale";
    let first = cluster.api::<Evaluation>(NAMESPACE).get(name).await.unwrap();
    let status = first.status.clone().unwrap();
    assert_eq!(
        status.message,
        "pass: 100 of 100; no baseline to compare with yet"
    );
    let window = first.spec.window.clone().expect("the operator fixed it");
    let born = first.metadata.creation_timestamp.clone().unwrap().0;
    assert_eq!(window.end.0, born);
    assert_eq!(window.end.0.duration_since(window.start.0).as_secs(), 600);

    let line = blocks("In a cluster", "console")[0].clone();
    let typed: Vec<&str> = line
        .trim()
        .strip_prefix("$ coxswain ")
        .unwrap()
        .split(' ')
        .collect();
    let evaluated = |more: &[&str]| {
        let out = coxswain(&[&typed, more].concat());
        let err = String::from_utf8_lossy(&out.stderr).into_owned();
        assert_eq!(out.status.code(), Some(0), "{err}");
        String::from_utf8(out.stdout).unwrap()
    };
    let second = evaluated(&[]);
    assert!(second.contains("compared with 1 earlier result"), "{second}");

    // Its author is who they are to the API server.
    let me: Value = serde_json::from_str(&kubectl(&["auth", "whoami", "-o", "json"], "")).unwrap();
    let me = me["status"]["userInfo"]["username"].as_str().unwrap();
    type_in(&invalidate.replace(r#""by": "ann""#, &format!(r#""by": "{me}""#)));
    kubectl(
        &[
            "delete",
            "eval",
            "-n",
            NAMESPACE,
            "--field-selector",
            "metadata.name!=before-the-sale",
        ],
        "",
    );
    let third: Value = serde_json::from_str(&evaluated(&["-o", "json"])).unwrap();
    assert_eq!(third["result"], "pass");
    assert_eq!(third["indicators"][1]["comparedValue"], Value::Null, "{third}");
}
