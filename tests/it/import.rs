//! `coxswain import`, as people type it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use coxswain::api::{JobConfig, Remediation, Shipyard, all_crds};
use rstest::rstest;
use serde_json::Value;

/// A directory of this test alone, from the repository's root as the command sees it.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("import-{name}"));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn write(&self, path: &str, content: impl AsRef<[u8]>) {
        let path = self.0.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn shown(&self) -> &str {
        self.0.to_str().unwrap()
    }

    fn listed(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.0).unwrap();
        let mut names: Vec<String> = entries
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

const TUTORIAL: [&str; 7] = [
    "--project",
    "fulltour",
    "--stage",
    "production",
    "--service",
    "helloservice",
    "examples/tutorial/v1",
];

fn import(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_coxswain"))
        .arg("import")
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap()
}

fn objects(output: &Output) -> Vec<Value> {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    let parts = text.split("---\n").filter(|part| !part.is_empty());
    parts.map(|part| serde_yaml::from_str(part).unwrap()).collect()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn typed<T: serde::de::DeserializeOwned>(object: &Value) -> T {
    serde_json::from_value(object.clone()).unwrap()
}

#[test]
fn the_tutorial_s_files_become_its_objects() {
    let output = import(&TUTORIAL);
    assert!(output.status.success(), "{}", stderr(&output));
    let objects = objects(&output);
    let kinds: Vec<&str> = objects.iter().map(|o| o["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["Shipyard", "JobConfig", "Remediation"]);
    let by_hand = |file: &str| -> Value {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("examples/tutorial")
            .join(file);
        serde_yaml::from_str(&fs::read_to_string(path).unwrap()).unwrap()
    };
    assert_eq!(objects[0]["spec"], by_hand("shipyard.yaml")["spec"]);
    assert_eq!(objects[0]["metadata"]["name"], "fulltour");
    let (ours, hand): (JobConfig, JobConfig) = (typed(&objects[1]), typed(&by_hand("jobconfig.yaml")));
    assert_eq!(
        (ours.spec.scope, ours.spec.actions),
        (hand.spec.scope, hand.spec.actions)
    );
    let (ours, hand): (Remediation, Remediation) = (typed(&objects[2]), typed(&by_hand("remediation.yaml")));
    assert_eq!(ours.spec, hand.spec);
    let _: Shipyard = typed(&objects[0]);
    let said = stderr(&output);
    // The tutorial's chart and test are elsewhere.
    assert_eq!(
        said.matches("warning: examples/tutorial/v1/job/config.yaml: actions[")
            .count(),
        4,
        "{said}"
    );
    assert!(
        said.contains("charts is not there; put it at examples/tutorial/v1/charts, or add"),
        "{said}"
    );
    assert!(
        said.contains("skipped examples/tutorial/v1/remediation_trigger.json: is an event"),
        "{said}"
    );
}

/// Every field that is printed is one that the API server knows.
#[test]
fn what_is_printed_fits_the_definitions() {
    let output = import(&TUTORIAL);
    for object in objects(&output) {
        let crd = all_crds()
            .into_iter()
            .find(|crd| crd.spec.names.kind == object["kind"].as_str().unwrap());
        let crd = crd.unwrap();
        assert_eq!(
            object["apiVersion"],
            format!("{}/{}", crd.spec.group, crd.spec.versions[0].name)
        );
        let schema = crd.spec.versions[0]
            .schema
            .clone()
            .unwrap()
            .open_api_v3_schema
            .unwrap();
        let spec = schema.properties.unwrap().remove("spec").unwrap();
        let known = spec.properties.unwrap();
        for field in object["spec"].as_object().unwrap().keys() {
            assert!(known.contains_key(field), "{field}");
        }
    }
}

#[test]
fn a_directory_goes_into_a_directory_once() {
    let (from, to) = (Directory::new("from"), Directory::new("to"));
    let tutorial = |file: &str| {
        fs::read(
            Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("examples/tutorial/v1")
                .join(file),
        )
        .unwrap()
    };
    from.write("shipyard.yaml", tutorial("shipyard.yaml"));
    from.write(
        "production/helloservice/remediation.yaml",
        tutorial("remediation.yaml"),
    );
    from.write(
        "production/helloservice/job/config.yaml",
        tutorial("job/config.yaml"),
    );
    from.write(
        "production/helloservice/charts/helloservice.tgz",
        [0x1f, 0x8b, 0, 1],
    );
    from.write("production/helloservice/locust/basic.py", "import locust\n");
    from.write("production/helloservice/locust/locust.conf", "users = 2\n");
    from.write(".git/config", "x");
    from.write("README.md", "x");
    let arguments = [
        "--project",
        "fulltour",
        "-n",
        "tour",
        from.shown(),
        "--out",
        to.shown(),
    ];
    let output = import(&arguments);
    let said = stderr(&output);
    assert!(output.status.success() && output.stdout.is_empty(), "{said}");
    assert!(!said.contains("warning:"), "{said}");
    assert!(
        said.contains("README.md: no task asks for it") && said.contains(".git: is hidden"),
        "{said}"
    );
    let listed = to.listed();
    assert_eq!(listed.len(), 5, "{listed:?}");
    assert_eq!(
        listed[2..],
        [
            "jobconfig-fulltour-production-helloservice.yaml",
            "remediation-fulltour-production-helloservice.yaml",
            "shipyard-fulltour.yaml",
        ]
    );

    let again = import(&arguments);
    assert!(
        again.status.success() && !stderr(&again).contains("wrote"),
        "{}",
        stderr(&again)
    );
    to.write("shipyard-fulltour.yaml", "mine: true\n");
    fs::remove_file(to.0.join(&listed[0])).unwrap();
    let refused = import(&arguments);
    assert_eq!(refused.status.code(), Some(1));
    assert!(
        stderr(&refused).contains("shipyard-fulltour.yaml would be overwritten"),
        "{}",
        stderr(&refused)
    );
    assert_eq!(
        to.listed().len(),
        4,
        "nothing is written when one file is in the way"
    );
}

#[test]
fn nothing_comes_out_when_something_is_wrong() {
    let (from, to) = (Directory::new("wrong"), Directory::new("nothing"));
    from.write("qa/shop/slo.yaml", "objectives: [{sli: a, displayname: b}]\n");
    from.write(
        "qa/shop/remediation.yaml",
        "apiVersion: spec.keptn.sh/0.1.4\nkind: Remediation\nspec: {remediations: []}\n",
    );
    from.write("qa/shop/prometheus/sli.yaml", vec![b'a'; 10 * 1024 * 1024]);
    let output = import(&["--project", "p", from.shown()]);
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stdout.is_empty(), "{said}");
    assert!(
        said.contains(
            "slo.yaml: objectives[0].displayname: there is no such field; did you mean \"displayName\"?"
        ),
        "{said}"
    );
    assert!(said.contains("sli.yaml: is longer than 1 MiB"), "{said}");
    assert!(
        said.ends_with("coxswain: nothing is imported: 2 mistakes, above\n"),
        "{said}"
    );
    let output = import(&["--project", "p", from.shown(), "--out", to.shown()]);
    assert_eq!((output.status.code(), to.listed().len()), (Some(1), 0));
}

#[rstest]
#[case::version(
    "version",
    "apiVersion: spec.keptn.sh/0.1.0\nkind: Shipyard\n",
    "apiVersion: \"spec.keptn.sh/0.1.0\" is not read; write spec.keptn.sh/0.2.3"
)]
#[case::two_documents(
    "documents",
    "apiVersion: 0.2.2\nspec: {stages: [{name: a}]}\n---\nkind: Shipyard\n",
    "has several documents, parted by `---`; put each into a file of its own"
)]
#[case::tab(
    "tab",
    "apiVersion: 0.2.2\nspec:\n\tstages: []\n",
    "line 3 is indented with a tab; indent with spaces"
)]
#[case::twice(
    "twice",
    "apiVersion: 0.2.2\nspec: {stages: [{name: a, name: b}]}\n",
    "spec.stages[0]: has \"name\" twice; remove one"
)]
fn a_file_that_can_t_be_read_is_named(#[case] name: &str, #[case] content: &str, #[case] says: &str) {
    let from = Directory::new(name);
    from.write("shipyard.yaml", content);
    let output = import(&["--project", "p", from.shown()]);
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stdout.is_empty(), "{said}");
    assert!(said.contains(&format!("shipyard.yaml: {says}")), "{said}");
}

#[test]
fn what_is_not_there_is_said() {
    let output = import(&["--project", "p", "no/such/directory"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("coxswain: could not read no/such/directory: No such file"),
        "{}",
        stderr(&output)
    );
}
