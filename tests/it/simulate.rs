//! `coxswain simulate` and `coxswain test`, as people type them.

use std::{
    fs,
    path::PathBuf,
    process::{Command, Output},
};

use rstest::rstest;
use serde_json::Value;

fn coxswain(line: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_coxswain"))
        .args(line.split_whitespace())
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn directory(name: &str, files: &[(&str, &str)]) -> String {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("simulate-{name}"));
    let _ = fs::remove_dir_all(&path);
    fs::create_dir_all(&path).unwrap();
    for (file, content) in files {
        fs::write(path.join(file), content).unwrap();
    }
    path.to_str().unwrap().to_owned()
}

const TRIGGER: &str = "--event examples/tutorial/v1/remediation_trigger.json";
const V1: &str = "-f examples/tutorial/v1 --project fulltour --stage production --service helloservice";

#[test]
fn the_tutorial_is_simulated_for_people() {
    let out = coxswain(&format!("simulate -f examples/tutorial {TRIGGER}"));
    let shown = text(&out.stdout);
    assert!(out.status.success(), "{}", text(&out.stderr));
    assert_eq!(text(&out.stderr), "");
    for line in [
        "production.remediation attempt 1 get-action  pass (decided): scale = 2 (action 1 of 1)",
        "alpine/helm:3.9.0 helm upgrade -n fulltour-production helloservice /keptn/charts/helloservice.tgz --set replicaCount=2",
        "action.value = \"2\"",
        "production.remediation of helloservice: Succeeded, pass, 1 attempt: healed by scale",
    ] {
        assert!(shown.contains(line), "{line}\n{shown}");
    }
}

/// The same document from our files and from Keptn's, names of definitions apart.
#[test]
fn v1_files_come_to_the_same() {
    let read = |line: &str| -> Value {
        let out = coxswain(&format!("simulate {line} {TRIGGER} -o json"));
        assert!(out.status.success(), "{}", text(&out.stderr));
        serde_json::from_slice(&out.stdout).unwrap()
    };
    let tasks = |document: &Value| -> Vec<String> {
        let tasks = document["executions"][0]["tasks"].as_array().unwrap();
        tasks
            .iter()
            .map(|t| format!("{} {} {}", t["name"], t["result"], t["source"]))
            .collect()
    };
    let (ours, v1) = (read("-f examples/tutorial"), read(V1));
    assert_eq!(tasks(&ours), tasks(&v1));
    let fields: Vec<&String> = ours["executions"][0].as_object().unwrap().keys().collect();
    assert_eq!(
        fields,
        [
            "attempts",
            "createdAt",
            "finishedAt",
            "message",
            "name",
            "phase",
            "reason",
            "result",
            "sequence",
            "service",
            "stage",
            "tasks",
            "triggeredBy"
        ]
    );
    let fields: Vec<&String> = ours["executions"][0]["tasks"][1]
        .as_object()
        .unwrap()
        .keys()
        .collect();
    assert_eq!(
        fields,
        [
            "attempt",
            "finishedAt",
            "jobs",
            "message",
            "name",
            "reason",
            "result",
            "source",
            "startedAt",
            "status"
        ]
    );
}

#[test]
fn a_failed_run_was_simulated_too() {
    let at = directory("failed", &[("answers.yaml", "je-test: [fail]\n")]);
    let out = coxswain(&format!(
        "simulate -f examples/tutorial {TRIGGER} --answers {at}/answers.yaml"
    ));
    assert!(out.status.success());
    assert!(
        text(&out.stdout).contains("Exhausted, fail, 2 attempts"),
        "{}",
        text(&out.stdout)
    );
}

#[rstest]
#[case(
    "-f examples/tutorial --answers AT/a.yaml",
    "AT/a.yaml: je-tset: no sequence has a task of this name; did you mean \"je-test\"?"
)]
#[case(
    "-f AT/none.yaml",
    "AT/none.yaml: defines nothing that Coxswain reads (kind \"Deployment\")"
)]
#[case(
    "-f AT/broken.yaml",
    "AT/broken.yaml: Shipyard p: spec.stages[0].nme: is no known field; did you mean \"name\"?"
)]
#[case("-f AT/no-yaml.yaml", "AT/no-yaml.yaml: document 1 is neither YAML nor JSON")]
#[case("-f AT/missing.yaml", "AT/missing.yaml")]
#[case(
    "-f examples/tutorial/v1/shipyard.yaml",
    "is a shipyard of Keptn v1; name its project with --project"
)]
#[case(
    "-f examples/tutorial/remediation.yaml",
    "remediation_trigger.json: data.project: no Shipyard \"fulltour\" in the files"
)]
#[case(
    "-f examples/tutorial/shipyard.yaml examples/tutorial",
    "is defined twice, also in examples/tutorial/shipyard.yaml"
)]
fn mistakes_name_the_file_and_the_field(#[case] arguments: &str, #[case] says: &str) {
    let at = directory(
        &format!("mistakes-{}", says.len()),
        &[
            ("a.yaml", "je-tset: [fail]"),
            (
                "none.yaml",
                "{apiVersion: apps/v1, kind: Deployment, metadata: {name: d}}",
            ),
            (
                "broken.yaml",
                "{apiVersion: coxswain.dev/v1alpha1, kind: Shipyard, metadata: {name: p}, spec: {stages: [{nme: s}]}}",
            ),
            ("no-yaml.yaml", "a: b: c"),
        ],
    );
    let out = coxswain(&format!("simulate {} {TRIGGER}", arguments.replace("AT", &at)));
    assert_eq!(out.status.code(), Some(1));
    let shown = text(&out.stderr);
    assert!(shown.contains(&says.replace("AT", &at)), "{shown}");
}

#[test]
fn the_tutorial_s_cases_pass() {
    let out = coxswain("test examples/tutorial/cases");
    assert!(out.status.success(), "{}", text(&out.stdout));
    assert!(
        text(&out.stdout).ends_with("3 passed, 0 failed\n"),
        "{}",
        text(&out.stdout)
    );
}

#[test]
fn a_case_that_fails_says_how() {
    let tutorial = format!("{}/examples/tutorial", env!("CARGO_MANIFEST_DIR"));
    let case = format!(
        "files: [{tutorial}]\nevent: {tutorial}/problem.yaml\nexpect: {{executions: [{{phase: Failed, tasks: [{{name: action, result: fail}}]}}]}}\n"
    );
    let bad = case.replace("phase:", "fase:");
    let at = directory(
        "cases",
        &[
            ("one.yaml", &case),
            ("two.yaml", &bad),
            ("three.yaml", "other: file"),
        ],
    );
    let out = coxswain(&format!("test {at}"));
    assert_eq!(out.status.code(), Some(1));
    let shown = text(&out.stdout);
    for line in [
        "FAIL  one.yaml\n      executions[0].phase: expected \"Failed\", got \"Succeeded\"\n      executions[0].tasks[0].result: expected \"fail\", got \"pass\"",
        "FAIL  two.yaml",
        "unknown field `fase`",
        "0 passed, 2 failed",
    ] {
        assert!(shown.contains(line), "{line}\n{shown}");
    }
    let out = coxswain(&format!("test {}", directory("no-cases", &[])));
    assert!(
        text(&out.stderr).contains("has no cases; a case is a YAML file"),
        "{}",
        text(&out.stderr)
    );
}
