//! `coxswain jobs`, as people type it; and Keptn v1's job configs of the examples.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use rstest::rstest;
use serde_json::{Value, json};

/// Runs `coxswain jobs`.
pub fn coxswain(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_coxswain"))
        .arg("jobs")
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        // Whatever cluster a test machine has, these need none.
        .env("KUBECONFIG", "/nowhere")
        .output()
        .unwrap()
}

/// What was printed.
pub fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// A directory of one test alone, with these files.
fn directory(name: &str, files: &[(&str, &str)]) -> String {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("jobs-{name}"));
    let _ = fs::remove_dir_all(&path);
    for (file, content) in files {
        let file = path.join(file);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, content).unwrap();
    }
    path.to_str().unwrap().to_owned()
}

/// The examples of Keptn v1's job configs.
pub fn examples() -> Vec<String> {
    let all = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/v1-jobs")).unwrap();
    let mut names: Vec<String> = all
        .map(Result::unwrap)
        .filter(|entry| entry.path().is_dir())
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// What an example comes to, as JSON.
pub fn example(name: &str) -> Value {
    let out = of_example(name, "json");
    assert!(out.status.success(), "{name}: {}", text(&out.stderr));
    serde_json::from_slice(&out.stdout).unwrap()
}

fn of_example(name: &str, output: &str) -> Output {
    let (config, event) = (
        format!("examples/v1-jobs/{name}/job/config.yaml"),
        format!("examples/v1-jobs/{name}/event.json"),
    );
    coxswain(&["--config", &config, "--event", &event, "--output", output])
}

#[test]
fn the_examples_jobs_are_what_is_written_beside_them() {
    assert_eq!(examples().len(), 10);
    for name in examples() {
        let out = of_example(&name, "yaml");
        assert_eq!(text(&out.stderr), "", "{name}");
        let path = format!("{}/examples/v1-jobs/{name}/jobs.yaml", env!("CARGO_MANIFEST_DIR"));
        let written = fs::read_to_string(path).unwrap();
        assert_eq!(
            text(&out.stdout),
            written,
            "{name}: hack/generate.sh writes it anew"
        );
    }
}

/// The parts of an example's Jobs that its config asks for.
#[rstest]
#[case("k6", "/jobs/0/spec/activeDeadlineSeconds", json!(600))]
#[case("k6", "/jobs/0/spec/template/spec/containers/0/resources/requests/cpu", json!("500m"))]
#[case("k6", "/skipped/0/action", json!("Run smoke test"))]
#[case("jmeter", "/jobs/0/spec/template/metadata/annotations/sidecar.istio.io~1inject", json!("false"))]
#[case("jmeter", "/jobs/0/spec/template/spec/containers/0/workingDir", json!("/tmp"))]
#[case("kubectl", "/jobs/1/spec/activeDeadlineSeconds", json!(150))]
#[case("kubectl", "/jobs/0/spec/template/spec/automountServiceAccountToken", json!(true))]
#[case("ansible", "/jobs/0/spec/template/spec/containers/0/securityContext/runAsUser", json!(1234))]
#[case("ansible", "/jobs/0/spec/template/spec/volumes/2", json!({"name": "ssh", "secret": {"secretName": "ansible-ssh", "defaultMode": 256}}))]
#[case("terraform", "/jobs/0/spec/activeDeadlineSeconds", json!(1800))]
#[case("terraform", "/jobs/0/spec/backoffLimit", json!(0))]
#[case("terraform", "/jobs/0/spec/template/spec/containers/0/envFrom", json!([{"secretRef": {"name": "terraform-backend"}}]))]
#[case("curl", "/jobs/0/spec/template/spec/automountServiceAccountToken", json!(false))]
#[case("python", "/skipped/0", json!({"action": "Prepare", "task": "Announce beta", "reason": "its when wants \"beta\" at $.data.release.channel, it is \"stable\""}))]
#[case("helm-rollback", "/jobs/0/spec/template/spec/serviceAccountName", json!("helm"))]
#[case("locust", "/jobs/0/spec/template/spec/priorityClassName", json!("load-tests"))]
#[case("locust", "/jobs/0/spec/template/spec/tolerations/1/tolerationSeconds", json!(30))]
#[case("locust", "/jobs/0/spec/template/spec/imagePullSecrets", json!([{"name": "tools-registry"}]))]
#[case("locust", "/jobs/0/spec/template/metadata/labels/team", json!("sre"))]
#[case("secrets", "/jobs/0/spec/template/spec/volumes/1/projected/sources/0/serviceAccountToken/audience", json!("vault"))]
#[case("secrets", "/jobs/0/metadata/annotations/coxswain.dev~1labels-left-out", json!("requested-by"))]
fn an_example_s_parts(#[case] name: &str, #[case] at: &str, #[case] expected: Value) {
    let document = example(name);
    assert_eq!(document.pointer(at), Some(&expected), "{name}{at}");
}

#[rstest]
#[case("k6", "TARGET", "http://carts.sockshop-staging:80")]
#[case("k6", "LABELS_BUILD_ID", "1.2.3+7")]
#[case("jmeter", "THREADS", "1000000")]
#[case("ansible", "VERSION", "1.4.2-rc.1")]
#[case(
    "terraform",
    "TF_VAR_settings",
    r#"{"nodes":3,"size":"small","spot":false,"tags":["carts","<staging>"]}"#
)]
#[case("terraform", "TF_VAR_tag", "$(KEPTN_SERVICE)-$(KEPTN_STAGE)")]
#[case(
    "curl",
    "BODY",
    r#"{"attachments":[],"text":"carts: $$(WEBHOOK_URL) `id` \"released\"; see #ops"}"#
)]
#[case("python", "URLS", "- https://carts.example\n- https://carts.example/v2\n")]
#[case("python", "RATIO", "0.25")]
#[case("helm-rollback", "REVISION", "41")]
#[case("secrets", "RUN_TRY", "1")]
fn an_example_s_variable(#[case] name: &str, #[case] variable: &str, #[case] expected: &str) {
    let document = example(name);
    let env = document["jobs"][0]["spec"]["template"]["spec"]["containers"][0]["env"].clone();
    let found = env.as_array().unwrap().iter().find(|one| one["name"] == variable);
    assert_eq!(found.unwrap()["value"], expected);
}

#[test]
fn objects_of_ours_are_read_too() {
    let out = coxswain(&[
        "--config",
        "examples/tutorial/jobconfig.yaml",
        "--event",
        &format!(
            "{}/e.json",
            directory(
                "ours",
                &[(
                    "e.json",
                    &event("action", &json!({"action": {"action": "scale", "value": "2"}}))
                )]
            )
        ),
        "--namespace",
        "fulltour",
        "-o",
        "json",
    ]);
    assert_eq!(text(&out.stderr), "");
    let document: Value = serde_json::from_slice(&out.stdout).unwrap();
    let jobs = document["jobs"].as_array().unwrap();
    assert_eq!(jobs.len(), 1);
    let meta = &jobs[0]["metadata"];
    assert_eq!(
        (&meta["namespace"], &meta["ownerReferences"]),
        (&json!("fulltour"), &Value::Null)
    );
    assert!(meta["name"].as_str().unwrap().starts_with("helloservice-action-"));
}

fn event(task: &str, data: &Value) -> String {
    let mut whole = json!({"project": "fulltour", "stage": "production", "service": "helloservice"});
    whole
        .as_object_mut()
        .unwrap()
        .extend(data.as_object().unwrap().clone());
    json!({"type": format!("sh.keptn.event.{task}.triggered"), "specversion": "1.0", "data": whole})
        .to_string()
}

const CONFIG: &str = "
apiVersion: v2
actions:
- name: Load
  events: [{name: sh.keptn.event.test.triggered}]
  tasks:
  - name: run
    image: k6
    env: [{name: URL, value: $.data.url, valueFrom: event, pattern: 'https?://.*'}]
";

/// With a config and an event's data: the exit code, stdout and stderr.
fn run(name: &str, config: &str, event: &str, more: &[&str]) -> (Option<i32>, String, String) {
    let at = directory(name, &[("job/config.yaml", config), ("event.json", event)]);
    let (config, event) = (format!("{at}/job/config.yaml"), format!("{at}/event.json"));
    let mut arguments = vec!["--config", &config, "--event", &event];
    arguments.extend(more);
    let out = coxswain(&arguments);
    let plain = |bytes| text(bytes).replace(&format!("{at}/"), "");
    (out.status.code(), plain(&out.stdout), plain(&out.stderr))
}

#[test]
fn nothing_that_answers_is_no_error() {
    let event = event("deployment", &json!({}));
    let (code, shown, said) = run("none", CONFIG, &event, &["-o", "json"]);
    assert_eq!((code, said.as_str()), (Some(0), ""));
    let reason = "it answers sh.keptn.event.test.triggered, and not sh.keptn.event.deployment.triggered";
    assert_eq!(
        serde_json::from_str::<Value>(&shown).unwrap(),
        json!({"jobs": [], "skipped": [{"action": "Load", "reason": reason}]})
    );
    let (code, shown, _) = run("none-yaml", CONFIG, &event, &[]);
    assert_eq!(
        (code, shown),
        (Some(0), format!("# skipped: \"Load\": {reason}\n"))
    );
}

#[rstest]
#[case::field(
    "k6", "k6\n    imagePullPolic: Always", json!({"url": "http://x"}),
    "coxswain: job/config.yaml: actions[0].tasks[0].imagePullPolic: there is no such field; did you mean \"imagePullPolicy\"?\n"
)]
#[case::value(
    "valueFrom: event, pattern: 'https?://.*'", "valueFrom: evnt", json!({"url": "http://x"}),
    "coxswain: job/config.yaml: actions[0].tasks[0].env[0].valueFrom: unknown valueFrom \"evnt\"; did you mean \"event\"?\n"
)]
#[case::namespace(
    "k6", "k6\n    namespace: keptn", json!({"url": "http://x"}),
    "coxswain: job/config.yaml: actions[0].tasks[0].namespace: Jobs run in the namespace of their JobConfig, default, not in keptn"
)]
#[case::finds_nothing(
    "", "", json!({}),
    ", with event.json: JobConfig v1, \"run\": the variable URL is made from $.data.url, but there is nothing"
)]
#[case::pattern(
    "", "", json!({"url": "-x"}),
    "the variable URL, made from $.data.url, is \"-x\", which does not fit its pattern \"https?://.*\": no Job is made from it"
)]
fn a_mistake_is_named(#[case] from: &str, #[case] to: &str, #[case] data: Value, #[case] says: &str) {
    let name = format!("mistake-{}", says.len());
    let (code, shown, said) = run(&name, &CONFIG.replacen(from, to, 1), &event("test", &data), &[]);
    assert_eq!((code, shown.as_str()), (Some(1), ""));
    let says = says.replace("JobConfig v1", "JobConfig ");
    let (before, after) = says.split_once("JobConfig , ").unwrap_or((&says, ""));
    assert!(said.contains(before) && said.contains(after), "{said}");
}

#[rstest]
#[case::sequence(json!({"type": "sh.keptn.event.s.q.triggered", "data": {"project": "p", "stage": "s", "service": "v"}}), &[], "type: sh.keptn.event.s.q.triggered starts a sequence, and Jobs answer tasks")]
#[case::no_service(json!({"type": "sh.keptn.event.test.triggered", "data": {"project": "p", "stage": "s"}}), &[], "event.json: data.service: is missing; add it")]
#[case::other_stage(json!({"type": "sh.keptn.event.test.triggered", "data": {"project": "p", "stage": "s", "service": "v"}}), &["--stage", "t"], "event.json: data.stage: is \"s\", and --stage is \"t\": leave the flag out")]
#[case::bad_name(json!({"type": "sh.keptn.event.test.triggered", "data": {"project": "P P", "stage": "s", "service": "v"}}), &[], "event.json: data.project:")]
fn an_event_that_can_not_be_read_is_refused(#[case] event: Value, #[case] more: &[&str], #[case] says: &str) {
    let name = format!("event-{}", says.len());
    let (code, _, said) = run(&name, CONFIG, &event.to_string(), more);
    assert!(code == Some(1) && said.contains(says), "{said}");
}

#[test]
fn flags_stand_in_for_what_the_event_does_not_say() {
    let event = json!({"type": "sh.keptn.event.test.triggered", "data": {"url": "http://x"}}).to_string();
    let place = ["--project", "p", "--stage", "s", "--service", "v"];
    let (code, shown, said) = run("flags", CONFIG, &event, &place);
    assert_eq!((code, said.as_str()), (Some(0), ""));
    assert!(shown.contains("coxswain.dev/stage: s\n"), "{shown}");
    // Without an id the names still are the same each time.
    assert_eq!(run("flags", CONFIG, &event, &place).1, shown);
    assert!(shown.contains("coxswain.dev/key: 00000000-0000-0000-0000-000000000000/1/0/0/0/1\n"));
}

#[test]
fn text_that_older_yaml_reads_otherwise_is_quoted() {
    let config = CONFIG.replace(", pattern: 'https?://.*'", "");
    let (_, shown, _) = run("quoted", &config, &event("test", &json!({"url": "no"})), &[]);
    assert!(shown.contains("value: \"no\"\n"), "{shown}");
}
