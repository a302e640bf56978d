//! `coxswain evaluate`, as people type it.

mod prometheus;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use rstest::rstest;
use serde_json::{Value, json};

const SLO: &str = "--slo examples/quality-gate/slo.yaml";

fn coxswain(line: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_coxswain"))
        .args(line.split_whitespace())
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        // Whatever cluster a test machine has, these need none.
        .env("KUBECONFIG", "/nowhere")
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn directory(name: &str, files: &[(&str, &str)]) -> String {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("evaluate-{name}"));
    let _ = fs::remove_dir_all(&path);
    fs::create_dir_all(&path).unwrap();
    for (file, content) in files {
        fs::write(path.join(file), content).unwrap();
    }
    path.to_str().unwrap().to_owned()
}

/// The commands of the page that `wanted` is part of, each with what it shows.
fn documented(wanted: &str) -> Vec<(String, String)> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/quality-gates.md");
    let page = fs::read_to_string(page).unwrap();
    let blocks = page
        .split("```console\n")
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap());
    let commands = blocks.filter_map(|block| {
        let block = block.replace("\\\n", " ");
        let (command, shown) = block.split_once('\n')?;
        Some((
            command.trim().strip_prefix("$ coxswain ")?.to_owned(),
            shown.to_owned(),
        ))
    });
    commands.filter(|(command, _)| command.contains(wanted)).collect()
}

#[test]
fn the_documented_commands_show_what_the_page_says() {
    let commands = documented("--values");
    assert!(commands.len() >= 3, "{commands:?}");
    for (command, shown) in commands {
        let out = coxswain(&command);
        assert_eq!(text(&out.stdout), shown, "{command}\n{}", text(&out.stderr));
    }
}

#[rstest]
#[case::pass(
    r#"{"response_time_p95": 312, "error_rate": 0.4, "clock_drift": -0.2, "throughput": 1}"#,
    0,
    "pass: 100 of 100"
)]
#[case::warning(
    r#"{"response_time_p95": 312, "error_rate": 1.4, "clock_drift": 0.1, "throughput": 1}"#,
    1,
    "warning: 87.5 of 100"
)]
#[case::fail(
    r#"{"response_time_p95": 900, "error_rate": 0.4, "clock_drift": 0.1, "throughput": 1}"#,
    2,
    "fail: 50 of 100"
)]
#[case::could_not_measure(
    r#"{"response_time_p95": 312, "error_rate": null}"#,
    3,
    "inconclusive: no value"
)]
fn the_exit_code_is_the_result(#[case] values: &str, #[case] code: i32, #[case] says: &str) {
    let at = directory(&format!("codes-{code}"), &[("values.json", values)]);
    let line =
        format!("evaluate {SLO} --values {at}/values.json --history examples/quality-gate/history.json");
    let out = coxswain(&line);
    assert_eq!(out.status.code(), Some(code), "{}", text(&out.stderr));
    let shown = text(&out.stdout);
    assert!(shown.contains(says), "{shown}");
    assert!(!shown.contains('\x1b'), "no colours but on a terminal: {shown}");
    for form in ["json", "markdown", "junit"] {
        let out = coxswain(&format!("{line} -o {form}"));
        assert_eq!(out.status.code(), Some(code), "{form}");
        assert!(text(&out.stdout).contains(&says.replace("inconclusive: ", "")) || form == "markdown");
        assert_eq!(text(&out.stderr).is_empty(), code != 3, "{}", text(&out.stderr));
    }
}

#[test]
fn the_document_for_programs_has_these_fields() {
    let out = coxswain(&format!(
        "evaluate {SLO} --values examples/quality-gate/values.json --history examples/quality-gate/history.json -o json"
    ));
    let document: Value = serde_json::from_slice(&out.stdout).unwrap();
    let keys = |value: &Value| -> Vec<String> { value.as_object().unwrap().keys().cloned().collect() };
    assert_eq!(keys(&document), ["indicators", "message", "result", "score"]);
    assert_eq!(
        (&document["result"], &document["score"]),
        (&json!("warning"), &json!(83.33))
    );
    let indicators = document["indicators"].as_array().unwrap();
    assert_eq!(indicators.len(), 4);
    for indicator in indicators {
        let expected = [
            "comparedValue",
            "keySli",
            "name",
            "passTargets",
            "score",
            "status",
            "value",
            "warningTargets",
            "weight",
        ];
        assert_eq!(keys(indicator), expected);
    }
    assert_eq!(
        indicators[0]["passTargets"],
        json!([
            {"criteria": "<=+10%", "targetValue": 330.0, "violated": false},
            {"criteria": "<600", "targetValue": 600.0, "violated": false},
        ])
    );
    assert_eq!(
        (&indicators[0]["comparedValue"], &indicators[2]["value"]),
        (&json!(300.0), &Value::Null)
    );
    // As text the fields stand in the documented order.
    let shown = text(&out.stdout);
    let at = |key: &str| shown.find(&format!("\"{key}\"")).unwrap();
    assert!(at("result") < at("score") && at("score") < at("indicators") && at("indicators") < at("message"));
    assert!(
        at("name") < at("value") && at("value") < at("comparedValue") && at("keySli") < at("passTargets")
    );
}

#[test]
fn junit_has_a_test_case_for_each_objective() {
    let at = directory(
        "junit",
        &[(
            "v.json",
            r#"{"response_time_p95": 900, "error_rate": 1.4, "throughput": 1}"#,
        )],
    );
    let out = coxswain(&format!("evaluate {SLO} --values {at}/v.json -o junit"));
    let xml = text(&out.stdout);
    let document = roxmltree::Document::parse(&xml).unwrap();
    let suite = document
        .descendants()
        .find(|n| n.has_tag_name("testsuite"))
        .unwrap();
    assert_eq!(
        (
            suite.attribute("tests"),
            suite.attribute("failures"),
            suite.attribute("skipped")
        ),
        (Some("4"), Some("2"), Some("2"))
    );
    let cases: Vec<(String, String)> = document
        .descendants()
        .filter(|n| n.has_tag_name("testcase"))
        .map(|n| {
            let inner = n.first_element_child().unwrap();
            (
                n.attribute("name").unwrap().to_owned(),
                inner.tag_name().name().to_owned(),
            )
        })
        .collect();
    let expected = [
        ("Response time p95 (ms)", "failure"),
        // It only warned; but the whole failed, and a suite that is green would hide that.
        ("Failed requests (%)", "failure"),
        ("clock_drift", "skipped"),
        ("throughput", "skipped"),
    ];
    assert_eq!(
        cases,
        expected.map(|(name, kind)| (name.to_owned(), kind.to_owned()))
    );
    let failure = document
        .descendants()
        .find(|n| n.has_tag_name("failure"))
        .unwrap();
    assert_eq!(
        failure.attribute("message"),
        Some("response_time_p95 is 900; pass if <=+10% (no baseline) and <600; warning if <=800")
    );
}

/// What a CI system reads as green is green.
#[rstest]
#[case::no_objectives("objectives: []\ntotal_score: {pass: 90%}", "{}", "failures=\"1\"")]
#[case::no_value(
    "objectives: [{sli: a, missing: inconclusive, pass: [{criteria: [\"<1\"]}]}]\ntotal_score: {pass: 90%}",
    "{}",
    "errors=\"1\""
)]
#[case::odd_names(
    "objectives: [{sli: a, displayName: \"<&\\\"'>\", pass: [{criteria: [\"<1\"]}]}]\ntotal_score: {pass: 90%}",
    "{\"a\": 2}",
    "failures=\"1\""
)]
fn junit_is_never_green_without_a_pass(#[case] slo: &str, #[case] values: &str, #[case] has: &str) {
    let at = directory(
        &format!("green-{}-{}", slo.len(), values.len()),
        &[("slo.yaml", slo), ("v.json", values)],
    );
    let out = coxswain(&format!(
        "evaluate --slo {at}/slo.yaml --values {at}/v.json -o junit"
    ));
    let xml = text(&out.stdout);
    roxmltree::Document::parse(&xml).unwrap();
    assert!(xml.contains(has), "{xml}");
    assert_ne!(out.status.code(), Some(0));
}

#[test]
fn values_that_nobody_asked_for_are_told() {
    let at = directory(
        "unknown",
        &[(
            "v.json",
            r#"{"error_rte": 0.1, "error_rate": 0.1, "response_time_p95": 1}"#,
        )],
    );
    let out = coxswain(&format!("evaluate {SLO} --values {at}/v.json"));
    assert_eq!(out.status.code(), Some(0));
    assert_eq!(
        text(&out.stderr),
        format!(
            "coxswain: {at}/v.json: error_rte: no objective is about this indicator, so its value does not count; did you mean \"error_rate\"?\n"
        )
    );
}

#[test]
fn our_own_objects_are_read_too() {
    let at = directory(
        "ours",
        &[(
            "v.json",
            r#"{"http_response_time_seconds_main_page_sum": 0.1, "request_throughput": 20, "failing_request": 0}"#,
        )],
    );
    let out = coxswain(&format!(
        "evaluate --slo examples/tutorial/slo.yaml --values {at}/v.json"
    ));
    assert_eq!(out.status.code(), Some(0), "{}", text(&out.stderr));
    assert!(
        text(&out.stdout).contains("fulltour/production/helloservice"),
        "{}",
        text(&out.stdout)
    );
}

#[rstest]
#[case("--values AT/none.json", "AT/none.json: could not be read")]
#[case(
    "--values AT/list.json",
    "AT/list.json: is no object; write the values by name"
)]
#[case(
    "--values AT/text.json",
    "AT/text.json: error_rate: \"1\" is no number; write one, or null"
)]
#[case("--values AT/broken.json", "AT/broken.json: is no JSON")]
#[case(
    "--values AT/v.json --history AT/v.json",
    "AT/v.json: is no list; write a list such as"
)]
#[case(
    "--values AT/v.json --history AT/h1.json",
    "AT/h1.json: [1].result: write \"pass\", \"warning\" or \"fail\""
)]
#[case(
    "--values AT/v.json --history AT/h2.json",
    "AT/h2.json: [0].values: is missing"
)]
#[case(
    "--values AT/v.json --history AT/h3.json",
    "AT/h3.json: [0].values.a: true is no number"
)]
#[case(
    "--values AT/v.json --history AT/h4.json",
    "AT/h4.json: [0].score: there is no such field"
)]
#[case(
    "--values AT/v.json --slo AT/bad.yaml",
    "AT/bad.yaml: objectives[0].pass[0].criteria[0]: \"<5ms\" is not a criterion"
)]
#[case(
    "--values AT/v.json --slo AT/bad.yaml",
    "AT/bad.yaml: objectives[1].missing: \"skip\" is unknown; write fail, warn, ignore or inconclusive"
)]
#[case(
    "--values AT/v.json --slo AT/typo.yaml",
    "AT/typo.yaml: objectives[0].sil: there is no such field; did you mean \"sli\"?"
)]
#[case(
    "--values AT/v.json --slo examples/tutorial/v1/shipyard.yaml",
    "is a shipyard of Keptn v1; name an slo.yaml or a ServiceLevelObjective"
)]
#[case(
    "--values AT/v.json --slo examples/tutorial/sli.yaml",
    "has no ServiceLevelObjective"
)]
#[case("--values AT/v.json --slo AT/v.json", "can't be told to be what is wanted")]
#[case(
    "--sli AT/sli.yaml --prometheus http://127.0.0.1:1",
    "--timeframe: nothing says which time is evaluated"
)]
#[case(
    "--sli AT/sli.yaml --prometheus http://127.0.0.1:1 --timeframe 5x",
    "--timeframe: "
)]
#[case(
    "--sli AT/sli.yaml --prometheus http://127.0.0.1:1 --timeframe 5m",
    "AT/sli.yaml: indicators.error_rate: asks for $SERVICE; say it with --service"
)]
#[case(
    "--sli AT/sli.yaml --prometheus http://127.0.0.1:1 --timeframe 5m --service s",
    "AT/sli.yaml: indicators.error_rate: asks for $LABEL.build; say it with --label build=VALUE"
)]
#[case(
    "--sli AT/v.json --prometheus http://127.0.0.1:1 --timeframe 5m",
    "name an sli.yaml or a ServiceLevelIndicator"
)]
#[case("--values AT/v.json --wait", "cannot be used with")]
#[case("--sli AT/sli.yaml", "--prometheus <URL>")]
#[case("--values AT/v.json --label build", "write key=value")]
fn mistakes_name_the_file_and_the_field(#[case] arguments: &str, #[case] says: &str) {
    let at = directory(
        &format!("mistakes-{}-{}", arguments.len(), says.len()),
        &[
            ("v.json", r#"{"error_rate": 1}"#),
            ("list.json", "[1]"),
            ("text.json", r#"{"error_rate": "1"}"#),
            ("broken.json", "{"),
            (
                "h1.json",
                r#"[{"result": "pass", "values": {}}, {"result": "passed", "values": {}}]"#,
            ),
            ("h2.json", r#"[{"result": "pass"}]"#),
            ("h3.json", r#"[{"result": "pass", "values": {"a": true}}]"#),
            ("h4.json", r#"[{"result": "pass", "score": 1, "values": {}}]"#),
            (
                "bad.yaml",
                "objectives: [{sli: a, pass: [{criteria: [<5ms]}]}, {sli: b, missing: skip, pass: [{criteria: [<1]}]}]\ntotal_score: {pass: 90%}",
            ),
            ("typo.yaml", "objectives: [{sil: a}]\ntotal_score: {pass: 90%}"),
            (
                "sli.yaml",
                "indicators: {error_rate: 'x{s=\"$SERVICE\",b=\"$LABEL.build\"}'}",
            ),
        ],
    );
    let slo = if arguments.contains("--slo") { "" } else { SLO };
    let out = coxswain(&format!("evaluate {slo} {}", arguments.replace("AT", &at)));
    assert_eq!(out.status.code(), Some(3), "{}", text(&out.stderr));
    let shown = text(&out.stderr);
    assert!(shown.contains(&says.replace("AT", &at)), "{shown}");
    assert_eq!(text(&out.stdout), "");
}

#[rstest]
#[case("evaluate", "--project: name it, or evaluate files with --slo")]
#[case(
    "evaluate --project p --stage s --service v",
    "--timeframe: nothing says which time is evaluated"
)]
#[case(
    "evaluate --project P --stage s --service v --timeframe 5m",
    "--project: \"P\" is not a DNS label"
)]
#[case(
    "evaluate --project p --stage s --service v --timeframe 5m -o json",
    "--output: there is no verdict to print yet; add --wait"
)]
#[case(
    "evaluate --project p --stage s --service v --timeframe 5m",
    "finding a cluster: name a kubeconfig"
)]
#[case("--log info evaluate --slo", "a value is required")]
fn mistakes_about_the_cluster_are_no_verdict(#[case] line: &str, #[case] says: &str) {
    let out = coxswain(line);
    assert_eq!(out.status.code(), Some(3));
    assert!(text(&out.stderr).contains(says), "{}", text(&out.stderr));
}

#[test]
fn other_commands_keep_their_code_for_wrong_arguments() {
    assert_eq!(coxswain("simulate").status.code(), Some(2));
    let help = coxswain("evaluate --help");
    assert_eq!(help.status.code(), Some(0));
    assert!(
        text(&help.stdout).contains("Exit code 0: pass; 1: warning; 2: fail; 3:"),
        "{}",
        text(&help.stdout)
    );
    assert_eq!(coxswain("").status.code(), Some(2));
}
