//! Whole imports, of files in memory.

use rstest::rstest;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::*;

const SHIPYARD: &str = include_str!("../../../examples/tutorial/v1/shipyard.yaml");
const REMEDIATION: &str = include_str!("../../../examples/tutorial/v1/remediation.yaml");
const JOB_CONFIG: &str = include_str!("../../../examples/tutorial/v1/job/config.yaml");
const TRIGGER: &str = include_str!("../../../examples/tutorial/v1/remediation_trigger.json");

fn tree(files: &[(&str, &[u8])]) -> Tree {
    let found = |(path, content): &(&str, &[u8])| Found {
        path: (*path).to_owned(),
        size: content.len() as u64,
        content: content.to_vec(),
    };
    Tree {
        name: "dir".to_owned(),
        named: false,
        files: files.iter().map(found).collect(),
    }
}

fn named(path: &str, content: &str) -> Tree {
    Tree {
        name: path.to_owned(),
        named: true,
        ..tree(&[(path, content.as_bytes())])
    }
}

fn flags(stage: Option<&str>, service: Option<&str>) -> Scope {
    Scope {
        project: "fulltour".to_owned(),
        stage: stage.map(str::to_owned),
        service: service.map(str::to_owned),
    }
}

fn errors(plan: &Plan) -> Vec<String> {
    plan.errors.iter().map(ToString::to_string).collect()
}

/// The ids of what is created: `Shipyard fulltour`.
fn ids(plan: &Plan) -> Vec<String> {
    plan.definitions
        .iter()
        .map(|d| {
            let (k, n) = d.id();
            format!("{k} {n}")
        })
        .collect()
}

/// Keptn's layout of the tutorial, with a chart that is no text.
fn tutorial() -> Tree {
    tree(&[
        ("production/helloservice/charts/helloservice.tgz", &[0x1f, 0x8b, 0, 255]),
        ("production/helloservice/job/config.yaml", JOB_CONFIG.as_bytes()),
        ("production/helloservice/locust/basic.py", b"import locust\n"),
        ("production/helloservice/locust/locust.conf", b"users = 2\n"),
        ("production/helloservice/locust/unused.py", b""),
        ("production/helloservice/prometheus/sli.yaml", b"spec_version: '1.0'\nindicators: {a: up}\n"),
        ("production/helloservice/remediation.yaml", REMEDIATION.as_bytes()),
        ("production/helloservice/slo.yaml", b"spec_version: '1.0'\nobjectives: [{sli: a, pass: [{criteria: ['<1']}]}]\ntotal_score: {pass: 90%}\n"),
        ("remediation_trigger.json", TRIGGER.as_bytes()),
        ("shipyard.yaml", SHIPYARD.as_bytes()),
    ])
}

/// The hand-written object of the tutorial.
fn by_hand<T: DeserializeOwned>(text: &str) -> T {
    serde_yaml::from_str(text).unwrap()
}

#[test]
fn the_tutorial_is_imported_as_it_was_written_by_hand() {
    let plan = plan(&[tutorial()], &flags(None, None), None);
    assert_eq!(errors(&plan), [""; 0]);
    assert_eq!(plan.warnings, [""; 0]);
    let scope = "fulltour-production-helloservice";
    let of = |directory: &str| {
        crate::core::names::files_name(&flags(Some("production"), Some("helloservice")), directory)
    };
    let mut maps = [
        format!("ConfigMap {}", of("charts")),
        format!("ConfigMap {}", of("locust")),
    ];
    maps.sort();
    let [first, second] = maps;
    assert_eq!(
        ids(&plan),
        [
            "Shipyard fulltour".to_owned(),
            first,
            second,
            format!("JobConfig {scope}"),
            format!("Remediation {scope}"),
            format!("ServiceLevelObjective {scope}"),
            format!("ServiceLevelIndicator {scope}"),
        ]
    );
    for definition in &plan.definitions {
        match definition {
            Definition::Shipyard(o) => {
                assert_eq!(
                    o.spec,
                    by_hand::<Shipyard>(include_str!("../../../examples/tutorial/shipyard.yaml")).spec
                );
            }
            Definition::Remediation(o) => {
                assert_eq!(
                    o.spec,
                    by_hand::<Remediation>(include_str!("../../../examples/tutorial/remediation.yaml")).spec
                );
            }
            Definition::JobConfig(o) => {
                let hand: JobConfig = by_hand(include_str!("../../../examples/tutorial/jobconfig.yaml"));
                assert_eq!(
                    (&o.spec.scope, &o.spec.actions),
                    (&hand.spec.scope, &hand.spec.actions)
                );
                let paths = |c: &JobConfig| c.spec.sources.iter().map(|s| s.path.clone()).collect::<Vec<_>>();
                assert_eq!(paths(o), paths(&hand));
                let names: Vec<_> = o
                    .spec
                    .sources
                    .iter()
                    .map(|s| s.config_map.clone().unwrap().name)
                    .collect();
                assert_eq!(names, [of("charts"), of("locust")]);
                assert_eq!(validate::job_config(o), []);
            }
            _ => {}
        }
    }
    let skipped = plan.skipped.join("\n");
    assert!(
        skipped.contains("dir/remediation_trigger.json: is an event"),
        "{skipped}"
    );
    assert!(
        skipped.contains("dir/production/helloservice/locust/unused.py: no task asks for it"),
        "{skipped}"
    );
    assert_eq!(plan.skipped.len(), 2, "{skipped}");
}

#[test]
fn the_bodies_of_objectives_and_indicators_are_those_of_hand_written_objects() {
    // The file without its envelope is a v1 file.
    let body = |text: &str| {
        let mut object: Value = serde_yaml::from_str(text).unwrap();
        let mut spec = object["spec"].take();
        for ours in ["project", "stage", "service"] {
            spec.as_object_mut().unwrap().remove(ours);
        }
        serde_yaml::to_string(&spec).unwrap()
    };
    let slo = include_str!("../../../examples/tutorial/slo.yaml");
    let sli = include_str!("../../../examples/tutorial/sli.yaml");
    let (slo_file, sli_file) = (body(slo), body(sli));
    let files = [named("slo.yaml", &slo_file), named("sli.yaml", &sli_file)];
    let plan = plan(&files, &flags(Some("production"), Some("helloservice")), None);
    assert_eq!(errors(&plan), [""; 0]);
    let [Definition::Objective(o), Definition::Indicator(i)] = plan.definitions.as_slice() else {
        panic!("{:?}", ids(&plan));
    };
    assert_eq!(o.spec, by_hand::<ServiceLevelObjective>(slo).spec);
    assert_eq!(i.spec, by_hand::<ServiceLevelIndicator>(sli).spec);
}

#[test]
fn files_go_into_config_maps_as_they_are() {
    let plan = plan(&[tutorial()], &flags(None, None), Some("tour"));
    let maps: Vec<&ConfigMap> = plan
        .definitions
        .iter()
        .filter_map(|d| match d {
            Definition::ConfigMap(m) => Some(m),
            _ => None,
        })
        .collect();
    let chart = maps.iter().find(|m| m.binary_data.is_some()).unwrap();
    assert_eq!(
        chart.binary_data.as_ref().unwrap()["helloservice.tgz"].0,
        [0x1f, 0x8b, 0, 255]
    );
    let locust = maps.iter().find(|m| m.data.is_some()).unwrap();
    assert_eq!(
        locust.data.as_ref().unwrap().keys().collect::<Vec<_>>(),
        ["basic.py", "locust.conf"]
    );
    assert_eq!(locust.labels()["coxswain.dev/service"], "helloservice");
    let namespaces = plan
        .definitions
        .iter()
        .map(|d| serde_json::to_value(d).unwrap()["metadata"]["namespace"].clone());
    assert!(namespaces.into_iter().all(|n| n == "tour"));
}

/// What is printed is read back as the same object, by kubectl as by us.
#[test]
fn what_is_printed_is_what_was_meant() {
    for definition in plan(&[tutorial()], &flags(None, None), None).definitions {
        let text = serde_yaml::to_string(&definition).unwrap();
        let value: Value = serde_yaml::from_str(&text).unwrap();
        assert_eq!(value, serde_json::to_value(&definition).unwrap());
        assert_eq!(value["kind"], definition.id().0);
        assert!(
            value["apiVersion"].is_string() && value.get("status").is_none(),
            "{text}"
        );
    }
}

/// `actions: [{name: a, ..., files: [...]}]`, and what else is in the directory of the service.
fn with_files(files: &[&str], found: &[(&str, &[u8])]) -> Plan {
    let config = format!(
        "apiVersion: v2\nactions: [{{name: a, events: [{{name: sh.keptn.event.t.triggered}}], tasks: [{{name: t, image: i, files: {files:?}}}]}}]"
    );
    let mut all = vec![("job/config.yaml", config.as_bytes())];
    all.extend(found);
    plan(&[tree(&all)], &flags(Some("s"), Some("v")), None)
}

fn paths(plan: &Plan) -> Vec<String> {
    let config = plan.definitions.iter().find_map(|d| match d {
        Definition::JobConfig(c) => Some(c),
        _ => None,
    });
    let source = |s: &crate::api::jobconfig::Source| {
        let key = s.config_map.as_ref().unwrap().key.clone();
        format!(
            "{}{}",
            s.path,
            key.map_or_else(String::new, |key| format!(" = {key}"))
        )
    };
    config.unwrap().spec.sources.iter().map(source).collect()
}

#[rstest]
#[case::directory(&["/helm"], &["helm"])]
#[case::not_a_prefix(&["hel"], &[])]
#[case::nested(&["helm", "deep"], &["deep/er", "helm"])]
#[case::the_file_alone(&["helm/a.tgz"], &["helm"])]
#[case::in_the_root(&["run.sh"], &["run.sh = run.sh"])]
#[case::a_name_that_is_no_key(&["odd"], &["odd/a b.txt = file-0", "odd/c.txt = c.txt"])]
fn each_directory_of_files_is_a_source(#[case] files: &[&str], #[case] sources: &[&str]) {
    let found: [(&str, &[u8]); 7] = [
        ("helm/a.tgz", b"\0"),
        ("helm/b.tgz", b"\0"),
        ("helm-abc/c", b"c"),
        ("run.sh", b"true\n"),
        ("deep/er/x", b"x"),
        ("odd/a b.txt", b"1"),
        ("odd/c.txt", b"2"),
    ];
    let plan = with_files(files, &found);
    assert_eq!(errors(&plan), [""; 0]);
    assert_eq!(paths(&plan), sources);
    assert_eq!(
        plan.warnings.len(),
        usize::from(sources.is_empty()),
        "{:?}",
        plan.warnings
    );
}

#[test]
fn what_is_not_there_is_a_warning_with_the_remedy() {
    let plan = with_files(&["helm/a.tgz", "../x"], &[]);
    assert_eq!(
        plan.warnings,
        [
            "dir/job/config.yaml: actions[0].tasks[0].files[0]: helm/a.tgz is not there; put it at dir/helm/a.tgz, or add \
         {path: helm/a.tgz, configMap: {name: ...}} to spec.sources of the JobConfig",
            "dir/job/config.yaml: actions[0].tasks[0].files[1]: \"../x\" is no path below /keptn; mend it",
        ]
    );
    assert_eq!(errors(&plan), [""; 0]);
}

#[test]
fn a_config_map_holds_1_mib() {
    let most = vec![b'a'; 1024 * 1024];
    let plan = with_files(&["big"], &[("big/most", &most)]);
    assert_eq!(errors(&plan), [""; 0]);
    assert!(
        plan.warnings[0].contains("too many for `kubectl apply`, so add --server-side"),
        "{:?}",
        plan.warnings
    );
    let plan = with_files(&["big"], &[("big/most", &most), ("big/one", b"b")]);
    assert_eq!(
        errors(&plan),
        [
            "dir/job/config.yaml: the files that its tasks ask for in big have 1048577 bytes, and a ConfigMap holds 1 MiB; make \
         them smaller (most is the largest), or put them into the task's image"
        ]
    );
}

#[rstest]
#[case::unknown_stage(&[("shipyard.yaml", SHIPYARD), ("prod/slo.yaml", "objectives: []")],
    "dir/prod/slo.yaml: the shipyard has no stage \"prod\"; did you mean \"production\"? (If the directory is one stage's, name it with --stage.)")]
#[case::twice(&[("a.yaml", REMEDIATION), ("remediation.yaml", REMEDIATION)],
    "dir/remediation.yaml: is the Remediation of project fulltour, every stage, every service, and so is dir/a.yaml; leave one out")]
#[case::bad_name(&[("Prod/slo.yaml", "objectives: []")], "dir/Prod/slo.yaml: stage \"Prod\": can't be a name; use at most 43")]
#[case::bad_file(&[("qa/shop/remediation.yaml", "kind: Remediation")], "dir/qa/shop/remediation.yaml: apiVersion: nothing is not read")]
#[case::broken(&[("qa/shop/slo.yaml", "a: b: c")], "dir/qa/shop/slo.yaml: can't be read as YAML")]
#[case::nothing(&[("README.md", "hello")], "dir: there is none of Keptn's files to import: shipyard.yaml")]
fn mistakes_are_told(#[case] files: &[(&str, &str)], #[case] says: &str) {
    let files: Vec<(&str, &[u8])> = files.iter().map(|(p, t)| (*p, t.as_bytes())).collect();
    let errors = errors(&plan(&[tree(&files)], &flags(None, None), None));
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert!(errors[0].starts_with(says), "{errors:?}");
}

#[test]
fn all_mistakes_of_all_files_are_told() {
    let bad = "apiVersion: v2\nx: 1\ny: 1\nactions: []";
    let trees = [
        tree(&[("job/config.yaml", bad.as_bytes()), ("slo.yaml", b"z: 1")]),
        named("notes.txt", "hello"),
    ];
    let errors = errors(&plan(&trees, &flags(None, None), None));
    assert_eq!(errors.len(), 4, "{errors:?}");
    assert!(
        errors[3].starts_with("notes.txt: is none of Keptn's files"),
        "{errors:?}"
    );
}

/// The definition is sound, but nothing will run from it.
#[test]
fn what_is_refused_later_is_a_warning() {
    let config = "apiVersion: v2\nactions: [{name: a, events: [{name: sh.keptn.event.t.triggered}], tasks: [{name: t, image: i, securityContext: {privileged: true}}]}]";
    let plan = plan(
        &[named("config.yaml", config)],
        &flags(Some("s"), Some("v")),
        None,
    );
    assert_eq!(errors(&plan), [""; 0]);
    assert!(plan.warnings[0].starts_with("config.yaml: spec.actions[0].tasks[0].securityContext.privileged: privileged containers are refused"), "{:?}", plan.warnings);
    assert!(plan.warnings[0].ends_with("until that is mended, nothing runs from it"));
}

#[test]
fn a_bad_flag_is_told_before_anything_is_read() {
    let errors = errors(&plan(&[tutorial()], &flags(Some("Prod.1"), None), None));
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert!(
        errors[0].starts_with("stage \"Prod.1\": can't be a name"),
        "{errors:?}"
    );
}
