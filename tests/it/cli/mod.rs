//! The command line, as people type it, where it needs no cluster; and every command line of the documentation.

pub(crate) mod docs;

use std::{
    fs,
    io::Write as _,
    path::PathBuf,
    process::{Command, Output, Stdio},
};

use rstest::rstest;
use serde_json::{Value, json};

fn command(program: &str) -> Command {
    let mut command = Command::new(program);
    command
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        // Whatever cluster a test machine has, these need none.
        .env("KUBECONFIG", "/nowhere")
        .env_remove("KUBERNETES_SERVICE_HOST");
    command
}

fn coxswain(arguments: &[&str]) -> Output {
    let mut command = command(env!("CARGO_BIN_EXE_coxswain"));
    command.args(arguments).output().unwrap()
}

fn words(line: &str) -> Output {
    coxswain(&line.split_whitespace().collect::<Vec<_>>())
}

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn directory(name: &str, files: &[(&str, &str)]) -> String {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("cli-{name}"));
    let _ = fs::remove_dir_all(&path);
    for (file, content) in files {
        let at = path.join(file);
        fs::create_dir_all(at.parent().unwrap()).unwrap();
        fs::write(at, content).unwrap();
    }
    path.to_str().unwrap().to_owned()
}

fn object(output: &Output) -> Value {
    assert!(output.status.success(), "{}", err(output));
    serde_yaml::from_slice(&output.stdout).unwrap()
}

#[test]
fn a_delivery_is_made_of_v1_s_flags() {
    let line = "trigger delivery --project shop --service cart --image cart:2 --stage qa --values replicaCount=2 \
                --values a.b=c --labels build=42,by=jane --dry-run -n shop";
    assert_eq!(
        object(&words(line)),
        json!({
            "apiVersion": "coxswain.dev/v1alpha1", "kind": "Delivery",
            "metadata": {"generateName": "cart-", "namespace": "shop"},
            "spec": {"project": "shop", "service": "cart", "stage": "qa", "image": "cart:2",
                     "values": {"replicaCount": "2", "a": {"b": "c"}}, "labels": {"build": "42", "by": "jane"}},
        })
    );
}

#[rstest]
#[case("trigger sequence hotfix --project shop --service cart --stage qa --data x.y=1", "SequenceExecution", json!({
    "project": "shop", "service": "cart", "stage": "qa", "sequence": "hotfix", "data": {"x": {"y": "1"}}}))]
#[case("trigger remediation --project shop --service cart --stage qa --problem slow", "ProblemEvent", json!({
    "project": "shop", "service": "cart", "stage": "qa", "problem": {"problemTitle": "slow"}, "state": "Open"}))]
#[case("send event -f examples/tutorial/v1/remediation_trigger.json", "ProblemEvent", json!(null))]
#[case("trigger evaluation --project shop --service cart --stage qa --start 2026-01-31T15:00:00Z --end 2026-01-31T15:05:00Z",
    "Evaluation", json!(null))]
fn what_is_triggered_is_an_object(#[case] line: &str, #[case] kind: &str, #[case] spec: Value) {
    let made = object(&words(&format!("{line} --dry-run")));
    assert_eq!(made["kind"], kind);
    if !spec.is_null() {
        assert_eq!(made["spec"], spec);
    }
    let json: Value = serde_json::from_slice(&words(&format!("{line} --dry-run -o json")).stdout).unwrap();
    assert_eq!(json["kind"], kind);
}

#[test]
fn an_event_comes_from_stdin_too() {
    let event = json!({"type": "sh.keptn.event.qa.delivery.triggered", "shkeptncontext": "a-flow",
        "data": {"project": "shop", "stage": "qa", "service": "cart"}});
    let mut child = command(env!("CARGO_BIN_EXE_coxswain"))
        .args(["send", "event", "-f", "-", "--dry-run", "-o", "json"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(event.to_string().as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    let made: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(made["kind"], "SequenceExecution");
    assert_eq!(made["spec"]["context"], "a-flow");
}

#[rstest]
#[case::place(
    "trigger delivery --project Shop --service cart --image i --dry-run",
    1,
    "--project: "
)]
#[case::value(
    "trigger sequence a --project p --service s --stage t --data x --dry-run",
    2,
    "write key=value"
)]
#[case::window(
    "trigger evaluation --project p --service s --stage t --dry-run",
    1,
    "--timeframe: nothing says"
)]
#[case::event(
    "send event -f examples/tutorial/v1/shipyard.yaml --dry-run",
    1,
    "examples/tutorial/v1/shipyard.yaml: "
)]
#[case::file("send event -f /nowhere.json", 1, "reading /nowhere.json")]
#[case::kind("get pods", 2, "can't be listed")]
#[case::reference("watch pod/x", 2, "is no kind that is meant here")]
#[case::no_reason("skip r", 2, "--reason")]
#[case::no_cluster("get runs", 1, "finding a cluster: name a kubeconfig")]
#[case::no_kubeconfig("explain r --kubeconfig /nowhere", 1, "--kubeconfig: reading /nowhere")]
#[case::evaluate_is_offline(
    "evaluate --slo examples/quality-gate/slo.yaml --values examples/quality-gate/values.json -n shop",
    3,
    "cannot be used"
)]
fn mistakes_say_what_to_do(#[case] line: &str, #[case] code: i32, #[case] says: &str) {
    let output = words(line);
    assert_eq!(output.status.code(), Some(code), "{}", err(&output));
    assert!(err(&output).contains(says), "{}", err(&output));
    assert!(out(&output).is_empty(), "{}", out(&output));
}

#[test]
fn a_context_that_is_not_there_is_told_with_the_nearest() {
    let config = "{apiVersion: v1, kind: Config, contexts: [{name: staging, context: {cluster: c, user: u}}], \
                  clusters: [{name: c, cluster: {server: 'http://127.0.0.1:1'}}], users: [{name: u, user: {}}]}";
    let at = directory("context", &[("config", config)]);
    let output = words(&format!("get runs --kubeconfig {at}/config --context stagin"));
    assert_eq!(output.status.code(), Some(1));
    assert!(
        err(&output).contains("has no context \"stagin\"; did you mean \"staging\"?"),
        "{}",
        err(&output)
    );
    let output = words(&format!("get runs --kubeconfig {at}/config --context staging"));
    assert!(
        err(&output).contains("can't reach the cluster to list sequenceexecutions"),
        "{}",
        err(&output)
    );
}

#[test]
fn as_kubectl_s_plugin_it_calls_itself_so() {
    let at = directory("plugin", &[("empty", "")]);
    let plugin = format!("{at}/kubectl-coxswain");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_coxswain"), &plugin).unwrap();
    let help = command(&plugin).arg("trigger").arg("--help").output().unwrap();
    assert!(
        out(&help).contains("Usage: kubectl coxswain trigger"),
        "{}",
        out(&help)
    );
    let help = words("trigger --help");
    assert!(out(&help).contains("Usage: coxswain trigger"), "{}", out(&help));
}

#[rstest]
#[case("bash", "complete -F")]
#[case("zsh", "#compdef coxswain")]
#[case("fish", "complete -c coxswain")]
fn completions_are_scripts(#[case] shell: &str, #[case] says: &str) {
    let script = out(&words(&format!("completions {shell}")));
    assert!(script.contains(says) && script.contains("explain"), "{shell}");
}

#[test]
fn the_version_needs_no_cluster() {
    let shown = words("version --client");
    assert_eq!(
        out(&shown),
        format!("coxswain {} (coxswain.dev/v1alpha1)\n", env!("CARGO_PKG_VERSION"))
    );
    let shown = words("version");
    assert!(
        shown.status.success() && out(&shown).contains("no cluster: finding a cluster"),
        "{}",
        out(&shown)
    );
}

#[test]
fn the_tutorial_has_no_findings() {
    let output = words("lint examples/tutorial");
    // Its Jobs are for production alone; the stage before is not part of the example.
    assert_eq!(output.status.code(), Some(1), "{}", err(&output));
    let elsewhere = |line: &&str| {
        line.contains("Shipyard fulltour: spec.stages[0].") && line.contains("nobody answers the task je-")
    };
    let said = out(&output);
    assert_eq!(
        said.lines().filter(elsewhere).count(),
        said.lines().count(),
        "{said}"
    );
    // Keptn's own files, with what its tasks need beside them.
    let read = |file: &str| {
        fs::read_to_string(format!("{}/examples/tutorial/{file}", env!("CARGO_MANIFEST_DIR"))).unwrap()
    };
    let at = directory(
        "tutorial",
        &[
            ("shipyard.yaml", &read("v1/shipyard.yaml")),
            ("remediation.yaml", &read("v1/remediation.yaml")),
            ("remediation_trigger.json", &read("v1/remediation_trigger.json")),
            ("job/config.yaml", &read("v1/job/config.yaml")),
            ("charts/helloservice.tgz", "chart"),
            ("locust/basic.py", &read("locust/basic.py")),
            ("locust/locust.conf", &read("locust/locust.conf")),
        ],
    );
    let output = words(&format!("lint {at} --project fulltour"));
    assert_eq!(output.status.code(), Some(0), "{}{}", out(&output), err(&output));
}

#[test]
fn a_file_that_a_task_needs_and_a_stage_without_jobs_are_findings() {
    let output =
        words("lint examples/tutorial/v1 --project fulltour --stage production --service helloservice");
    assert_eq!(output.status.code(), Some(1));
    let said = out(&output);
    assert!(
        said.contains("config.yaml: actions[0].tasks[0].files[0]: charts is not there; put it at"),
        "{said}"
    );
    assert!(
        said.contains(
            "shipyard.yaml: Shipyard fulltour: spec.stages[0].sequences[0].tasks[0].name: nobody answers"
        ),
        "{said}"
    );
}

const SHIPYARD: &str = "
apiVersion: coxswain.dev/v1alpha1
kind: Shipyard
metadata: {name: shop}
spec:
  stages:
  - name: qa
    sequences:
    - name: delivery
      tasks: [{name: deploy}, {name: tset}]
    - name: rollback
      triggeredOn:
      - {event: qa.delivery.finished, selector: {match: {deploy.result: fail, tset.result: pass}}}
      - {event: qa.dleivery.finished}
      tasks: [{name: deploy}]
";
const JOBS: &str = "
apiVersion: coxswain.dev/v1alpha1
kind: JobConfig
metadata: {name: shop}
spec:
  project: shop
  actions:
  - {name: Deploy, events: [{name: sh.keptn.event.deploy.triggered}], tasks: [{name: t, image: i}]}
  - {name: Test, events: [{name: sh.keptn.event.test.triggered}], tasks: [{name: t, image: i}]}
";

#[test]
fn findings_name_file_object_field_and_remedy() {
    let at = directory(
        "lint",
        &[
            ("shipyard.yaml", &SHIPYARD.replace("dleivery", "delivery")),
            ("jobs.yaml", JOBS),
        ],
    );
    let output = words(&format!("lint {at}"));
    assert_eq!(output.status.code(), Some(1));
    insta::assert_snapshot!(out(&output).replace(&at, "DIR"));
    assert!(
        err(&output).contains("3 findings in 2 objects"),
        "{}",
        err(&output)
    );
    let at = directory("lint-invalid", &[("shipyard.yaml", SHIPYARD)]);
    let output = words(&format!("lint {at}/shipyard.yaml"));
    let said = out(&output);
    assert!(
        said.contains(&format!(
            "{at}/shipyard.yaml: Shipyard shop: spec.stages[0].sequences[1].triggeredOn[1].event: "
        )),
        "{said}"
    );
}

#[test]
fn v1_s_files_are_checked_too() {
    let slo = "spec_version: '1.0'\nobjectives: [{sli: rt, displayname: x}]\n";
    let at = directory("lint-v1", &[("slo.yaml", slo)]);
    let output = words(&format!("lint {at} --project shop"));
    assert_eq!(output.status.code(), Some(1));
    assert!(
        out(&output).contains(&format!(
            "{at}/slo.yaml: objectives[0].displayname: there is no such field"
        )),
        "{}",
        out(&output)
    );
    let output = words(&format!("lint {at}"));
    assert!(
        out(&output).contains("name its project with --project"),
        "{}",
        out(&output)
    );
}

#[test]
fn an_import_says_what_means_something_else() {
    let shipyard = "{apiVersion: spec.keptn.sh/0.2.3, kind: Shipyard, metadata: {name: x}, spec: {stages: [{name: qa, \
                    sequences: [{name: a, tasks: [{name: b}], triggeredOn: [{event: qa.c.finished, selector: {match: \
                    {result: fail, c.result: fail}}}]}, {name: c, tasks: [{name: c}]}]}]}}";
    let at = directory("report", &[("shipyard.yaml", shipyard)]);
    let output = words(&format!("import --project shop {at}"));
    assert!(output.status.success(), "{}", err(&output));
    assert!(
        err(&output).contains("spec.stages[0].sequences[0].triggeredOn[0].selector.match: in Keptn one of several conditions was enough; now all of them must hold"),
        "{}",
        err(&output)
    );
    let output = words(&format!("import --project shop {at} --report {at}/report.md"));
    assert!(!err(&output).contains("in Keptn one of"), "{}", err(&output));
    let report = fs::read_to_string(format!("{at}/report.md")).unwrap();
    assert!(
        report.contains("| in Keptn | now |") && report.contains("all of them must hold"),
        "{report}"
    );
}
