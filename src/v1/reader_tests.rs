//! The readers, with good files and with every kind of bad one.

use rstest::rstest;
use serde_json::json;

use super::*;

const SHIPYARD: &str = include_str!("../../examples/tutorial/v1/shipyard.yaml");
const REMEDIATION: &str = include_str!("../../examples/tutorial/v1/remediation.yaml");
const JOB_CONFIG: &str = include_str!("../../examples/tutorial/v1/job/config.yaml");

fn scope() -> Scope {
    Scope {
        project: "p".to_owned(),
        stage: Some("s".to_owned()),
        service: Some("v".to_owned()),
    }
}

/// Reads a text as a kind of file; what is said about it, or its body.
fn read(kind: Kind, bytes: impl AsRef<[u8]>) -> Result<Value, String> {
    let bytes = bytes.as_ref();
    match kind {
        Kind::Shipyard => shipyard("f", bytes).map(|s| json!(s)),
        Kind::Remediation => remediation("f", bytes, &scope()).map(|s| json!(s)),
        Kind::JobConfig => job_config("f", bytes, &scope()).map(|s| json!(s)),
        Kind::Objective => objective("f", bytes, &scope()).map(|s| json!(s)),
        Kind::Indicator => indicator("f", bytes, &scope()).map(|s| json!(s)),
        Kind::Event => event("f", bytes).map(|e| json!(e.data)),
    }
    .map_err(|errors| errors.to_string())
}

const KINDS: [Kind; 6] = [
    Kind::Shipyard,
    Kind::Remediation,
    Kind::JobConfig,
    Kind::Objective,
    Kind::Indicator,
    Kind::Event,
];

#[test]
fn an_indicator_is_text_as_it_was_written_or_our_own_object() {
    let read = read(
        Kind::Indicator,
        "indicators: {a: up, b: 1.50, c: true, d: null, e: {query: up, reduce: sum, range: {reduce: max, step: 30s}}}",
    )
    .unwrap();
    let object = json!({"query": "up", "reduce": "sum", "range": {"reduce": "max", "step": "30s"}});
    assert_eq!(
        read["indicators"],
        json!({"a": "up", "b": "1.50", "c": "true", "e": object})
    );
}

#[test]
fn the_tutorial_s_files_are_read_unedited() {
    let shipyard = read(Kind::Shipyard, SHIPYARD).unwrap();
    let action = &shipyard["stages"][1]["sequences"][1]["triggeredOn"][0]["selector"]["match"];
    assert_eq!(action["evaluation.result"], "fail");
    let remediation = read(Kind::Remediation, REMEDIATION).unwrap();
    assert_eq!(remediation["remediations"][0]["actionsOnOpen"][0]["value"], "2");
    let config = read(Kind::JobConfig, JOB_CONFIG).unwrap();
    assert_eq!(config["actions"][2]["events"][0]["jsonpath"]["match"], "scale");
    assert_eq!(config["service"], "v");
}

#[rstest]
#[case::bare("0.2.0")]
#[case::short("0.2")]
#[case::old("spec.keptn.sh/0.2.0")]
#[case::newest("spec.keptn.sh/0.2.4")]
fn versions_of_shipyards_that_are_read(#[case] version: &str) {
    // Unquoted 0.2 is a number to YAML.
    let text = format!("apiVersion: {version}\nspec: {{stages: [{{name: a}}]}}");
    assert_eq!(read(Kind::Shipyard, text), Ok(json!({"stages": [{"name": "a"}]})));
}

#[rstest]
#[case::older(
    Kind::Shipyard,
    "apiVersion: spec.keptn.sh/0.1.0\nkind: Shipyard",
    r#"f: apiVersion: "spec.keptn.sh/0.1.0" is not read; write spec.keptn.sh/0.2.3, or another 0.2"#
)]
#[case::garbage(
    Kind::Shipyard,
    "apiVersion: spec.keptn.sh/0.2.x",
    r#""spec.keptn.sh/0.2.x" is not read"#
)]
#[case::prefix(Kind::Shipyard, "apiVersion: 0.20.1", r#""0.20.1" is not read"#)]
#[case::none(
    Kind::Shipyard,
    "kind: Shipyard",
    "f: apiVersion: nothing is not read; write spec.keptn.sh/0.2.3"
)]
#[case::kind(
    Kind::Shipyard,
    "apiVersion: 0.2.2\nkind: Shipyrd",
    r#"f: kind: "Shipyrd" is not read; write Shipyard"#
)]
#[case::remediation(
    Kind::Remediation,
    "apiVersion: spec.keptn.sh/0.1.3",
    r#"f: apiVersion: "spec.keptn.sh/0.1.3" is not read; write spec.keptn.sh/0.1.4"#
)]
#[case::remediation_kind(
    Kind::Remediation,
    "apiVersion: spec.keptn.sh/0.1.4\nkind: Shipyard",
    r#"f: kind: "Shipyard" is not read; write Remediation"#
)]
#[case::job(
    Kind::JobConfig,
    "apiVersion: v1\nactions: []",
    r#"f: apiVersion: "v1" is not read; write v2"#
)]
#[case::mistyped(
    Kind::JobConfig,
    "apiversion: v2\nactions: []",
    "f: apiversion: nothing is not read; write apiVersion: v2"
)]
fn other_versions_are_refused(#[case] kind: Kind, #[case] text: &str, #[case] says: &str) {
    let error = read(kind, text).unwrap_err();
    assert!(error.contains(says), "{error}");
}

#[rstest]
#[case::top(
    Kind::Shipyard,
    "apiVersion: 0.2.2\nspecs: {}\nspec: {stages: [{name: a}]}",
    r#"f: specs: there is no such field; did you mean "spec"?"#
)]
#[case::metadata(
    Kind::Shipyard,
    "apiVersion: 0.2.2\nmetadata: {nam: x}\nspec: {stages: [{name: a}]}",
    r#"f: metadata.nam: there is no such field; did you mean "name"?"#
)]
#[case::stage(
    Kind::Shipyard,
    "apiVersion: 0.2.2\nspec: {stages: [{name: a, sequence: []}]}",
    r#"f: spec.stages[0].sequence: there is no such field; did you mean "sequences"?"#
)]
#[case::task(Kind::Shipyard, "apiVersion: 0.2.2\nspec: {stages: [{name: a}, {name: b, sequences: [{name: s, tasks: [{name: t, propertis: {}}]}]}]}",
    r#"f: spec.stages[1].sequences[0].tasks[0].propertis: there is no such field; did you mean "properties"?"#)]
#[case::action(
    Kind::Remediation,
    "apiVersion: spec.keptn.sh/0.1.4\nspec: {remediations: [{problemtype: x}]}",
    "f: spec.remediations[0].problemtype: there is no such field; did you mean \"problemType\"?\nf: spec.remediations[0].problemType: is missing; add it"
)]
#[case::root(
    Kind::JobConfig,
    "apiVersion: v2\naction: []",
    "f: action: there is no such field; did you mean \"actions\"?\nf: actions: is missing; add it"
)]
#[case::job(
    Kind::JobConfig,
    "apiVersion: v2\nactions: [{name: a, events: [{name: e}], tasks: [{name: t, image: i, comand: [x]}]}]",
    "f: actions[0].tasks[0].comand: there is no such field"
)]
#[case::slo(
    Kind::Objective,
    "objectives: [{sli: a, displayname: b}]",
    r#"f: objectives[0].displayname: there is no such field; did you mean "displayName"?"#
)]
#[case::flattened(
    Kind::Objective,
    "objectivs: []",
    r#"f: objectivs: there is no such field; did you mean "objectives"?"#
)]
#[case::sli(
    Kind::Indicator,
    "indicators: {a: b}\nspecversion: '1'",
    r#"f: specversion: there is no such field; did you mean "spec_version"?"#
)]
#[case::far(
    Kind::Indicator,
    "indicators: {a: b}\nzzz: 1",
    r#"f: zzz: there is no such field; there is "indicators""#
)]
fn unknown_fields_are_refused_by_name(#[case] kind: Kind, #[case] text: &str, #[case] says: &str) {
    let error = read(kind, text).unwrap_err();
    assert!(error.contains(says), "{error}");
}

#[rstest]
#[case::missing(Kind::Shipyard, "apiVersion: 0.2.2", "f: spec: is missing; add it")]
#[case::no_stage(
    Kind::Shipyard,
    "apiVersion: 0.2.2\nspec: {stages: []}",
    "f: spec.stages: is empty; write at least one entry"
)]
#[case::name(
    Kind::Shipyard,
    "apiVersion: 0.2.2\nspec: {stages: [{name: Dev.1}]}",
    r#"f: spec.stages[0].name: "Dev.1" is not possible; it must fit"#
)]
#[case::not_a_list(
    Kind::Shipyard,
    "apiVersion: 0.2.2\nspec: {stages: {name: a}}",
    "f: spec.stages: is an object; write a list"
)]
#[case::not_an_object(
    Kind::Shipyard,
    "apiVersion: 0.2.2\nspec: {stages: [a]}",
    "f: spec.stages[0]: is text; write fields"
)]
#[case::null_entry(
    Kind::Objective,
    "objectives: [~]",
    "f: objectives[0]: is an empty entry; remove it"
)]
#[case::duration(
    Kind::Shipyard,
    "apiVersion: 0.2.2\nspec: {stages: [{name: a, sequences: [{name: s, retryAfter: 5d, tasks: [{name: t}]}]}]}",
    r#"f: spec.stages[0].sequences[0].retryAfter: "5d" is not a duration such as 90s, 2m or 1h30m"#
)]
#[case::range(
    Kind::Objective,
    "objectives: [{sli: a, weight: -1}]",
    "f: objectives[0].weight: -1 is out of range; write one from 0 to 1000000"
)]
#[case::number(
    Kind::Objective,
    "objectives: [{sli: a, weight: lots}]",
    "f: objectives[0].weight: \"lots\" is no whole number"
)]
#[case::boolean(
    Kind::Objective,
    "objectives: [{sli: a, key_sli: 'yes'}]",
    "f: objectives[0].key_sli: \"yes\" is neither true nor false"
)]
#[case::text(
    Kind::Indicator,
    "indicators: {a: [x]}",
    "f: indicators.a: is a list; write a query, or an object with query, reduce and range"
)]
#[case::enumerated(
    Kind::JobConfig,
    "apiVersion: v2\nactions: [{name: a, events: [{name: e}], tasks: [{name: t, image: i, imagePullPolicy: always}]}]",
    r#"imagePullPolicy: "always" is not possible; did you mean "Always"?"#
)]
#[case::key(
    Kind::Indicator,
    "indicators: {1: x}",
    "f: indicators: has a name that is not text; write the name in quotes"
)]
#[case::tag(
    Kind::Indicator,
    "indicators: {a: !x y}",
    "f: indicators.a: has the tag !x; remove it"
)]
#[case::nan(
    Kind::Indicator,
    "indicators: {a: .nan}",
    "f: indicators.a: .nan is no number"
)]
#[case::other_scope(
    Kind::Remediation,
    "apiVersion: spec.keptn.sh/0.1.4\nspec: {stage: qa, remediations: []}",
    r#"f: spec.stage: is "qa", but the file is read for "s"; remove the field"#
)]
fn values_that_can_t_be_are_refused(#[case] kind: Kind, #[case] text: &str, #[case] says: &str) {
    let error = read(kind, text).unwrap_err();
    assert!(error.contains(says), "{error}");
}

#[rstest]
#[case::empty("", "f: is empty; write ")]
#[case::comments("# nothing\n", "f: is empty; write ")]
#[case::scalar("hello", "f: the whole: is no object; write ")]
#[case::several(
    "a: 1\n---\nb: 2\n",
    "f: has several documents, parted by `---`; put each into a file of its own"
)]
#[case::tab("a:\n\tb: 1\n", "f: line 2 is indented with a tab; indent with spaces")]
#[case::spaces_and_tab(
    "a:\n  - x\n  \tb: 1\n",
    "f: line 3 is indented with a tab; indent with spaces"
)]
#[case::twice("a: 1\na: 2\n", r#"f: the object at line 1: has "a" twice; remove one"#)]
#[case::twice_below("x: {y: [{b: 1, b: 2}]}", r#"f: x.y[0]: has "b" twice; remove one"#)]
#[case::twice_in_json(r#"{"a": 1, "a": 2}"#, r#"has "a" twice; remove one"#)]
#[case::syntax(
    "a: b: c\n",
    "f: can't be read as YAML: mapping values are not allowed in this context at line 1 column 5; mend the line"
)]
#[case::cut("a: [1", "f: can't be read as YAML")]
fn files_that_can_t_be_read_say_so(#[case] text: &str, #[case] says: &str) {
    for kind in KINDS {
        let error = read(kind, text).unwrap_err();
        assert!(error.contains(says), "{kind}: {error}");
    }
}

#[test]
fn long_files_and_other_encodings_are_refused_unread() {
    let long = "a".repeat(10 * LONGEST);
    let start = std::time::Instant::now();
    for kind in KINDS {
        let error = read(kind, &long).unwrap_err();
        assert_eq!(
            error,
            "f: is longer than 1 MiB; no file of Keptn's is: shorten it"
        );
        let error = read(kind, b"a: 1\nb: \xff\xfe\n").unwrap_err();
        assert_eq!(error, "f: line 2 is not UTF-8; save the file as UTF-8");
    }
    assert!(start.elapsed().as_millis() < 500, "{:?}", start.elapsed());
}

#[test]
fn a_bom_is_no_mistake() {
    assert!(read(Kind::Shipyard, format!("\u{feff}{SHIPYARD}")).is_ok());
}

/// Keptn read numbers and booleans as text where it wanted text.
#[test]
fn unquoted_text_is_read_as_it_was_written() {
    let slo = "spec_version: 1.0\nfilter: {id: 007, tag: 1.10}\ntotal_score: {pass: 90, warning: 75}\ncomparison:\n";
    let slo = read(Kind::Objective, slo).unwrap();
    assert_eq!(slo["spec_version"], "1.0");
    assert_eq!(slo["filter"], json!({"id": "007", "tag": "1.10"}));
    assert_eq!(slo["total_score"], json!({"pass": "90", "warning": "75"}));
    let config = "apiVersion: v2\nactions: [{name: a, events: [{name: e, jsonpath: {property: $.x, match: true}}],\
        tasks: [{name: t, image: i, env: [{name: N, value: 1e6, valueFrom: string}]}]}]";
    let config = read(Kind::JobConfig, config).unwrap();
    assert_eq!(config["actions"][0]["events"][0]["jsonpath"]["match"], "true");
    assert_eq!(config["actions"][0]["tasks"][0]["env"][0]["value"], "1e6");
}

#[test]
fn merge_keys_are_read_and_numbers_in_them_want_quotes() {
    let config = |value: &str| {
        format!(
            "apiVersion: v2\nactions:\n- name: a\n  events: [{{name: e}}]\n  tasks:\n  - &t {{name: t, image: i}}\n  \
        - {{<<: *t, name: u}}\n  - {{<<: {{workingDir: {value}}}, name: w, image: i}}\n"
        )
    };
    let read_config = read(Kind::JobConfig, config("/x")).unwrap();
    assert_eq!(
        read_config["actions"][0]["tasks"][1],
        json!({"name": "u", "image": "i"})
    );
    let error = read(Kind::JobConfig, config("1.10")).unwrap_err();
    assert_eq!(
        error,
        "f: actions[0].tasks[2].workingDir: 1.1 must be text; write it in quotes"
    );
}

/// Our own fields are optional siblings of Keptn's, and what users shape as they like stays as it is.
#[test]
fn our_own_fields_and_free_maps_are_read() {
    let text = "apiVersion: 0.2.2\nspec: {stages: [{name: a, sequences: [{name: s, retryAfter: 30s, maxAttempts: 3, deadline: 1h, priority: 5,\
        tasks: [{name: t, timeout: 5m, changes: true, idempotent: true, triggeredAfter: 10s, properties: {any: {thing: [1, null]}}}]}]}]}";
    let task = &read(Kind::Shipyard, text).unwrap()["stages"][0]["sequences"][0]["tasks"][0];
    assert_eq!(task["properties"], json!({"any": {"thing": [1, null]}}));
    let text = "apiVersion: spec.keptn.sh/0.1.4\nspec: {project: p, mode: Observe, onActionFailure: Stop, cooldown: 1m, budget: {actions: 1, per: 1h},\
        remediations: [{problemType: x, actionsOnOpen: [{action: a, value: {deep: [1.5]}}]}]}";
    let remediation = read(Kind::Remediation, text).unwrap();
    assert_eq!(remediation["mode"], "Observe");
    assert_eq!(
        remediation["remediations"][0]["actionsOnOpen"][0]["value"],
        json!({"deep": [1.5]})
    );
    // Refused later, with the remedy: by core::jobs::validate.
    let text = "apiVersion: v2\nactions: [{name: a, events: [{name: e}], tasks: [{name: t, image: i, namespace: other, securityContext: {privileged: true, procMount: Unmasked}}]}]";
    assert!(read(Kind::JobConfig, text).is_ok());
}

#[test]
fn all_mistakes_are_told_at_once() {
    let text = "apiVersion: v2\nx: 1\nactions: [{name: a, events: [{nam: e}], tasks: [{name: t}]}]";
    let error = read(Kind::JobConfig, text).unwrap_err();
    assert_eq!(error.lines().count(), 4, "{error}");
}
