//! What an environment may be made from; and that what comes from an event stays a value.

use proptest::prelude::*;
use rstest::rstest;
use serde_json::{Value, json};

use super::{super::build::JobError, *};
use crate::{
    api::{SequenceExecution, execution::PinnedJobConfig, jobconfig::JobAction, shipyard::Task},
    core::{event, jobs::build, jsonpath},
};

fn execution(labels: &Value) -> SequenceExecution {
    serde_json::from_value(json!({
        "metadata": {"name": "slow-1-abc", "namespace": "shop", "uid": "5f1c"},
        "spec": {"project": "fulltour", "stage": "production", "service": "cart", "sequence": "remediation",
                 "labels": labels, "context": "flow-1"},
    }))
    .unwrap()
}

/// The Job of one task with these entries.
fn job(entries: &Value, payload: &Value, labels: &Value) -> Result<Value, JobError> {
    let tasks = json!([{"name": "t", "image": "i", "args": ["--set", "image=$(V)"], "env": entries}]);
    let config = PinnedJobConfig {
        name: "c".into(),
        actions: vec![JobAction {
            name: "a".into(),
            tasks: serde_json::from_value(tasks).unwrap(),
            ..JobAction::default()
        }],
        ..PinnedJobConfig::default()
    };
    let task = Task {
        name: "action".into(),
        ..Task::default()
    };
    let execution = execution(labels);
    let payload = payload.as_object().unwrap();
    let event = event::triggered(&execution, 2, 0, &task, payload, jiff::Timestamp::UNIX_EPOCH);
    let input = JobInput {
        execution: &execution,
        attempt: 2,
        task: &task,
        task_index: 0,
        config: &config,
        action_index: 0,
        key_index: 0,
        job_index: 0,
        try_: 3,
        event: &event,
    };
    build::build(&input).map(|job| serde_json::to_value(job).unwrap())
}

/// The Job with the variable `V`, made from `$.data.v`.
fn with_value(entry: &Value, value: &Value) -> Result<Value, JobError> {
    let mut own = json!({"name": "V", "value": "$.data.v", "valueFrom": "event"});
    own.as_object_mut()
        .unwrap()
        .extend(entry.as_object().unwrap().clone());
    job(&json!([own]), &json!({"v": value}), &json!({}))
}

fn container(job: &Value) -> &Value {
    &job["spec"]["template"]["spec"]["containers"][0]
}

fn variable_of<'a>(job: &'a Value, name: &str) -> &'a Value {
    let mut all = container(job)["env"].as_array().unwrap().iter();
    all.find(|variable| variable["name"] == name)
        .unwrap_or(&Value::Null)
}

#[rstest]
#[case("name", "slow-1-abc")]
#[case("namespace", "shop")]
#[case("uid", "5f1c")]
#[case("project", "fulltour")]
#[case("stage", "production")]
#[case("service", "cart")]
#[case("sequence", "remediation")]
#[case("task", "action")]
#[case("attempt", "2")]
#[case("try", "3")]
#[case("context", "flow-1")]
fn a_field_of_the_execution(#[case] field: &str, #[case] expected: &str) {
    let entries = json!([{"name": "V", "value": field, "valueFrom": "execution"}]);
    let job = job(&entries, &json!({}), &json!({})).unwrap();
    assert_eq!(variable_of(&job, "V")["value"], expected);
}

#[test]
fn one_key_of_a_secret_or_a_config_map() {
    let entries = json!([
        {"name": "PASSWORD", "value": "db", "valueFrom": "secret", "key": "password"},
        {"name": "MODE", "value": "settings", "valueFrom": "configMap", "key": "mode"},
        {"name": "all-of-it", "value": "v1 passes this over", "valueFrom": "secret"},
    ]);
    let job = job(&entries, &json!({}), &json!({})).unwrap();
    assert_eq!(
        variable_of(&job, "PASSWORD"),
        &json!({"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "db", "key": "password"}}})
    );
    assert_eq!(
        variable_of(&job, "MODE"),
        &json!({"name": "MODE", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "mode"}}})
    );
    assert_eq!(
        container(&job)["envFrom"],
        json!([{"secretRef": {"name": "all-of-it"}}])
    );
}

#[rstest]
#[case::text(json!("a b"), "a b")]
#[case::number(json!(1_000_000), "1000000")]
#[case::boolean(json!(false), "false")]
fn as_string_takes_single_values(#[case] value: Value, #[case] expected: &str) {
    let job = with_value(&json!({"as": "string"}), &value).unwrap();
    assert_eq!(variable_of(&job, "V")["value"], expected);
}

#[rstest]
#[case::list(json!(["a", "b"]), "- a\n- b\n")]
#[case::object(json!({"b": [1], "a": {"x": true}}), "a:\n  x: true\nb:\n- 1\n")]
#[case::text(json!("a"), "a\n")]
fn as_yaml_is_what_v1_wrote(#[case] value: Value, #[case] expected: &str) {
    let job = with_value(&json!({"as": "yaml"}), &value).unwrap();
    assert_eq!(variable_of(&job, "V")["value"], expected);
}

#[test]
fn a_value_is_expanded_only_where_the_user_says_so() {
    let value = json!("$(KEPTN_STAGE) costs 5$");
    let job = with_value(&json!({"expand": true}), &value).unwrap();
    assert_eq!(variable_of(&job, "V")["value"], "$(KEPTN_STAGE) costs 5$");
    let job = with_value(&json!({"expand": false}), &value).unwrap();
    assert_eq!(variable_of(&job, "V")["value"], "$$(KEPTN_STAGE) costs 5$$");
}

#[rstest]
#[case::list(json!({"as": "string"}), json!(["a"]), "ValueRefused", "is a list, and as: string takes text")]
#[case::nul(json!({}), json!("a\u{0}b"), "ValueRefused", "the variable V, made from $.data.v, has a NUL")]
#[case::large(json!({}), json!("x".repeat(32_769)), "ValueTooLarge", "the variable V, made from $.data.v, would have 32769 bytes, at most 32768")]
#[case::pattern(json!({"pattern": "[a-z/:.0-9-]+"}), json!("a,replicas=100"), "PatternMismatch",
    r#"JobConfig c, "t": the variable V, made from $.data.v, is "a,replicas=100", which does not fit its pattern "[a-z/:.0-9-]+": no Job is made from it"#)]
#[case::second_line(json!({"pattern": "[a-z]+"}), json!("a\nb"), "PatternMismatch", r#"is "a\nb", which"#)]
#[case::last_line(json!({"pattern": "[a-z]+"}), json!("a\n"), "PatternMismatch", r#"is "a\n", which"#)]
#[case::lines(json!({"pattern": "(?m)^[a-z]+$"}), json!("a\n--set x"), "PatternMismatch", "")]
#[case::either(json!({"pattern": "a|b"}), json!("a,b"), "PatternMismatch", "")]
#[case::other_digits(json!({"pattern": r"\d+"}), json!("\u{663}"), "PatternMismatch", "")]
#[case::clipped(json!({"pattern": "a"}), json!("x".repeat(500)), "PatternMismatch", "xxx..., which")]
fn a_value_that_is_refused(
    #[case] entry: Value,
    #[case] value: Value,
    #[case] reason: &str,
    #[case] says: &str,
) {
    let error = with_value(&entry, &value).unwrap_err();
    assert_eq!(error.reason(), reason);
    assert!(error.to_string().contains(says), "{error}");
}

#[rstest]
#[case("[a-z/:.0-9-]+", json!("registry:5000/cart"))]
#[case("a|b", json!("b"))]
#[case(r"\d{1,3}", json!(17))]
#[case(".*", json!("ä"))]
fn a_value_that_fits(#[case] pattern: &str, #[case] value: Value) {
    assert!(with_value(&json!({"pattern": pattern}), &value).is_ok());
}

#[test]
fn all_of_it_is_bounded_and_the_largest_is_named() {
    let entry = |i: usize| json!({"name": format!("V{i}"), "value": "$.data.v", "valueFrom": "event"});
    let entries: Vec<Value> = (0..5).map(entry).collect();
    let error = job(&json!(entries), &json!({"v": "x".repeat(30_000)}), &json!({})).unwrap_err();
    assert_eq!(error.reason(), "EnvironmentTooLarge");
    assert!(
        error
            .to_string()
            .contains("at most 131072 are allowed; the largest variable is V"),
        "{error}"
    );
}

#[test]
fn labels_that_share_a_variable_are_told() {
    let labels = json!({"a-b": "1", "a_b": "2", "A_B": "3", "nul": "\u{0}", "c": "4"});
    let job = job(&json!([]), &json!({}), &labels).unwrap();
    assert_eq!(variable_of(&job, "LABELS_A_B")["value"], "3");
    assert_eq!(variable_of(&job, "LABELS_C")["value"], "4");
    assert_eq!(variable_of(&job, "LABELS_NUL"), &Value::Null);
    assert_eq!(
        job["metadata"]["annotations"]["coxswain.dev/labels-left-out"],
        "a-b, a_b, nul"
    );
}

#[rstest]
#[case::reserved(json!({"name": "KEPTN_STAGE", "valueFrom": "string"}), "env[0].name: KEPTN_STAGE is a variable that Coxswain sets: use another name")]
#[case::ours(json!({"name": "COXSWAIN_X", "valueFrom": "string"}), "env[0].name: COXSWAIN_X is a variable that Coxswain sets")]
#[case::label(json!({"name": "LABELS_X", "value": "s", "valueFrom": "secret", "key": "k"}), "env[0].name: LABELS_X is")]
#[case::no_key(json!({"name": "A", "value": "m", "valueFrom": "configMap"}), "env[0].key: it is missing: name the ConfigMap's key")]
#[case::bad_key(json!({"name": "A", "value": "m", "valueFrom": "configMap", "key": "a/b"}), "env[0].key: \"a/b\" can't be the key of a ConfigMap")]
#[case::no_object(json!({"name": "A", "valueFrom": "secret", "key": "k"}), "env[0].value: \"\" can't be the name of a Secret")]
#[case::field(json!({"name": "A", "value": "stag", "valueFrom": "execution"}), r#"env[0].value: an execution has no field "stag"; did you mean "stage"?"#)]
#[case::key_of_nothing(json!({"name": "A", "valueFrom": "string", "key": "k"}), "env[0].key: it is only for a value from a secret or configMap")]
#[case::pattern_of_nothing(json!({"name": "A", "valueFrom": "string", "pattern": "a"}), "env[0].pattern: it is only for a value from an event")]
#[case::expand_of_nothing(json!({"name": "A", "valueFrom": "string", "expand": true}), "env[0].expand: it is only for a value from an event")]
#[case::nul(json!({"name": "A", "valueFrom": "string", "value": "\u{0}"}), "env[0].value: it has a NUL")]
#[case::pattern(json!({"name": "A", "valueFrom": "event", "value": "$", "pattern": "["}), r#"env[0].pattern: "[" is no regular expression that can be used: unclosed character class"#)]
#[case::brackets(json!({"name": "A", "valueFrom": "event", "value": "$", "pattern": "a)|(b"}), "unopened group")]
#[case::comment(json!({"name": "A", "valueFrom": "event", "value": "$", "pattern": "(?x)a #"}), "unclosed group")]
#[case::huge(json!({"name": "A", "valueFrom": "event", "value": "$", "pattern": "(a{1000}){1000}"}), "size limit")]
fn what_is_wrong_with_an_entry(#[case] entry: Value, #[case] says: &str) {
    let entries: Vec<crate::api::jobconfig::EnvVar> = vec![serde_json::from_value(entry).unwrap()];
    let wrong = read_all(&entries).err().unwrap_or_default();
    assert!(
        wrong.len() == 1 && wrong[0].to_string().contains(says),
        "{wrong:?}"
    );
}

#[test]
fn two_entries_of_one_name() {
    let entries = json!([
        {"name": "creds", "valueFrom": "secret"},
        {"name": "creds", "valueFrom": "string", "value": "no Secret"},
        {"name": "creds", "value": "$.id", "valueFrom": "event"},
    ]);
    let entries: Vec<crate::api::jobconfig::EnvVar> = serde_json::from_value(entries).unwrap();
    let wrong = read_all(&entries).err().unwrap_or_default();
    assert_eq!(wrong.len(), 1);
    assert_eq!(
        wrong[0].to_string(),
        "env[2].name: another entry has the name \"creds\" too: remove one of them"
    );
}

/// What a container gets for a value, by the rules that Kubernetes documents: `$(NAME)` is replaced where the variable is
/// known, and stays where it is not; `$$` is read as `$`, so that `$$(NAME)` stays a text.
fn expanded(value: &str, known: &[(&str, &str)]) -> String {
    let (mut out, mut rest) = (String::new(), value);
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            out.push('$');
            rest = after;
        } else if let Some((name, after)) = rest.strip_prefix('(').and_then(|inner| inner.split_once(')')) {
            match known.iter().find(|(of, _)| *of == name) {
                Some((_, value)) => out.push_str(value),
                None => out.extend(["$(", name, ")"]),
            }
            rest = after;
        } else {
            out.push('$');
        }
    }
    out + rest
}

#[rstest]
#[case("$(A)", "1")]
#[case("$$(A)", "$(A)")]
#[case("$$$(A)", "$1")]
#[case("$(B)", "$(B)")]
#[case("$(A", "$(A")]
#[case("a$", "a$")]
fn the_kubelet_s_rules(#[case] value: &str, #[case] read: &str) {
    assert_eq!(expanded(value, &[("A", "1")]), read);
}

/// Any JSON, with texts that would mean something to a shell, to YAML, to a command or to Kubernetes among them.
fn any_json() -> impl Strategy<Value = Value> {
    let hostile = prop::sample::select(vec![
        "$(COXSWAIN_KEY)",
        "$$(KEPTN_STAGE)",
        "$",
        "--set",
        "-x",
        "; rm -rf /",
        "`id`",
        "$(id)",
        "' \" \\",
        "\n",
        "\r\n---\n",
        "a: b",
        "{}",
        "",
    ]);
    let text = prop_oneof![
        "[^\0]{0,40}",
        prop::collection::vec(hostile, 0..5).prop_map(|parts| parts.concat()),
    ];
    let leaf = prop_oneof![
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        text.clone().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(text.clone(), inner, 0..4)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn a_value_changes_nothing_but_its_variable(
        value in any_json(),
        form in prop::sample::select(vec![None, Some("json"), Some("yaml")]),
    ) {
        let entry = json!({"as": form});
        let built = with_value(&entry, &value).unwrap();
        let mut placeholder = with_value(&entry, &json!("placeholder")).unwrap();
        let env = placeholder.pointer_mut("/spec/template/spec/containers/0/env").unwrap();
        let own = env.as_array_mut().unwrap().iter_mut().find(|v| v["name"] == "V").unwrap();
        own["value"] = variable_of(&built, "V")["value"].clone();
        prop_assert_eq!(&built, &placeholder);
        // What the container gets is the value itself, whatever other variables there are.
        let intended = match form {
            Some("json") => value.to_string(),
            Some("yaml") => serde_yaml::to_string(&value).unwrap(),
            _ => jsonpath::text(&value),
        };
        let written = variable_of(&built, "V")["value"].as_str().unwrap();
        let known = [("COXSWAIN_KEY", "secret"), ("KEPTN_STAGE", "production"), ("id", "0")];
        prop_assert_eq!(expanded(written, &known), intended);
    }

    #[test]
    fn a_label_changes_nothing_but_its_variable(text in "[^\0]{0,60}") {
        let labels = |value: &str| json!({"build": value});
        let built = job(&json!([]), &json!({}), &labels(&text)).unwrap();
        let mut placeholder = job(&json!([]), &json!({}), &labels("placeholder")).unwrap();
        let env = placeholder.pointer_mut("/spec/template/spec/containers/0/env").unwrap();
        let own = env.as_array_mut().unwrap().iter_mut().find(|v| v["name"] == "LABELS_BUILD").unwrap();
        own["value"] = variable_of(&built, "LABELS_BUILD")["value"].clone();
        prop_assert_eq!(&built, &placeholder);
        let written = variable_of(&built, "LABELS_BUILD")["value"].as_str().unwrap();
        prop_assert_eq!(expanded(written, &[("HOME", "/tmp")]), text);
    }

    #[test]
    fn no_value_gets_past_its_pattern(text in "[^\0]{0,40}") {
        let accepted = with_value(&json!({"pattern": "[a-z0-9.:/-]+"}), &json!(text)).is_ok();
        let plain = !text.is_empty()
            && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || ".:/-".contains(c));
        prop_assert_eq!(accepted, plain);
    }
}
