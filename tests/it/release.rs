//! The workflows of the forge are thin: each step that runs something runs one script, and every script is run here, as far
//! as it goes without credentials.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use coxswain::api::all_crds;
use serde_json::Value;

use crate::docs::root;

fn yaml(path: &Path) -> Value {
    serde_yaml::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

fn version() -> &'static str {
    env!("CARGO_PKG_VERSION")
}

/// The steps of all workflows, each with its workflow's name.
fn steps() -> Vec<(String, Value)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(root().join(".github/workflows")).unwrap() {
        let path = entry.unwrap().path();
        let workflow = yaml(&path);
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        for job in workflow["jobs"].as_object().unwrap().values() {
            assert!(job["timeout-minutes"].is_u64(), "{name}: a job without a limit");
            let of_job = job["steps"].as_array().unwrap().iter().cloned();
            found.extend(of_job.map(|step| (name.clone(), step)));
        }
        assert_eq!(
            workflow["permissions"]["contents"], "read",
            "{name}: rights are given job by job"
        );
    }
    found
}

/// The scripts that the workflows run.
fn scripts() -> BTreeSet<String> {
    let runs = steps()
        .into_iter()
        .filter_map(|(_, step)| step["run"].as_str().map(str::to_owned));
    runs.collect()
}

/// An output directory of its own for each test.
fn dist(name: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("release-{name}"));
    let _ = fs::remove_dir_all(&path);
    fs::create_dir_all(&path).unwrap();
    path
}

fn run(script: &str, dist: &Path, variables: &[(&str, &str)]) -> Output {
    Command::new(root().join(script))
        .env("COXSWAIN_DIST", dist)
        .env_remove("COXSWAIN_DRY_RUN")
        .envs(variables.iter().copied())
        .output()
        .unwrap_or_else(|error| panic!("{script}: {error}"))
}

/// What a script prints; it must succeed.
fn told(script: &str, dist: &Path, variables: &[(&str, &str)]) -> String {
    let output = run(script, dist, variables);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{script}: {error}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn every_step_that_runs_something_runs_one_script() {
    for (workflow, step) in steps() {
        let Some(line) = step["run"].as_str() else {
            assert!(
                step["uses"].as_str().is_some_and(|u| u.contains('@')),
                "{workflow}: {step}"
            );
            continue;
        };
        let plain = line
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '/' | '-' | '.'));
        let ours = line.starts_with("hack/ci/") || line.starts_with("hack/release/");
        assert!(
            plain && ours,
            "{workflow}: `{line}` is not one script of hack/ci or hack/release"
        );
        assert!(root().join(line).is_file(), "{workflow}: there is no {line}");
    }
}

/// What each script would do. Those that only write files are run in earnest below.
#[test]
fn every_script_says_what_it_would_do() {
    let variables = [
        ("COXSWAIN_DRY_RUN", "1"),
        ("KUBERNETES", "1.35"),
        ("TARGET", "x86_64-unknown-linux-musl"),
    ];
    let tag = format!("v{}", version());
    let expected: &[(&str, &[&str])] = &[
        ("hack/ci/test.sh", &[".ci/run"]),
        (
            "hack/ci/kubernetes.sh",
            &[
                "kind build node-image --type release v1.35.0",
                "make demo VARIANT=remediation",
                "--test it conformance -- --ignored",
            ],
        ),
        ("hack/ci/deny.sh", &["cargo-deny --locked check"]),
        ("hack/release/site.sh", &["mdbook build --dest-dir"]),
        ("hack/release/build-deps.sh", &["apt-get install"]),
        (
            "hack/release/binary.sh",
            &[
                "cargo build --release --locked --target x86_64-unknown-linux-musl",
                "archive.py",
            ],
        ),
        (
            "hack/release/image.sh",
            &["--platform linux/amd64,linux/arm64 --push --provenance=mode=max --sbom=true"],
        ),
        (
            "hack/release/sign.sh",
            &[
                "cosign sign --yes ghcr.io/coxswain-dev/coxswain@sha256:",
                "cosign attest --yes --type cyclonedx",
            ],
        ),
        (
            "hack/release/chart.sh",
            &[
                "helm package charts/coxswain",
                "oci://ghcr.io/coxswain-dev/charts",
                "cosign sign --yes",
            ],
        ),
        ("hack/release/publish.sh", &["gh release create", &tag]),
    ];
    let dist = dist("dry");
    for (script, lines) in expected {
        let told = told(script, &dist, &variables);
        for line in *lines {
            assert!(told.contains(line), "{script} does not {line}:\n{told}");
        }
    }
    let in_earnest = ["hack/release/check.sh", "hack/release/krew.sh"];
    let tried: BTreeSet<String> = expected
        .iter()
        .map(|(script, _)| *script)
        .chain(in_earnest)
        .map(str::to_owned)
        .collect();
    assert_eq!(scripts(), tried, "every script of a workflow is tried here");
}

#[test]
fn what_is_wrong_is_told() {
    let dist = dist("wrong");
    for (script, variables, expected) in [
        (
            "hack/release/check.sh",
            vec![("TAG", "v99.0.0")],
            "the tag is v99.0.0",
        ),
        ("hack/release/check.sh", vec![], "say which: TAG=v"),
        (
            "hack/ci/kubernetes.sh",
            vec![("KUBERNETES", "1.35.2; true")],
            "is no minor version",
        ),
        (
            "hack/release/binary.sh",
            vec![("TARGET", "riscv64gc-unknown-linux-gnu")],
            "is not released",
        ),
        ("hack/release/krew.sh", vec![], "is not there: binary.sh makes it"),
    ] {
        let output = run(script, &dist, &variables);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(
            !output.status.success() && error.contains(expected),
            "{script}: {error}"
        );
    }
}

/// From programs to krew's manifest and the release's page, in earnest but for the compiler and the upload.
#[test]
fn archives_and_manifest() {
    let dist = dist("archives");
    let program = dist.join("built/coxswain");
    fs::create_dir_all(program.parent().unwrap()).unwrap();
    fs::write(&program, "#!/bin/sh\necho coxswain\n").unwrap();
    assert!(
        Command::new("chmod")
            .arg("755")
            .arg(&program)
            .status()
            .unwrap()
            .success()
    );
    let program = program.display().to_string();
    let targets = [
        "x86_64-unknown-linux-musl",
        "aarch64-unknown-linux-musl",
        "x86_64-apple-darwin",
        "aarch64-apple-darwin",
    ];
    let mut archives = Vec::new();
    for target in targets {
        let variables = [("TARGET", target), ("BINARY", program.as_str())];
        let name = told("hack/release/binary.sh", &dist, &variables)
            .trim()
            .to_owned();
        let first = fs::read(dist.join(&name)).unwrap();
        told("hack/release/binary.sh", &dist, &variables);
        assert!(
            first == fs::read(dist.join(&name)).unwrap(),
            "{name} depends on when it is made"
        );
        archives.push(name);
    }
    let listed = Command::new("tar")
        .arg("-tvzf")
        .arg(dist.join(&archives[0]))
        .output()
        .unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    let lines: Vec<&str> = listed.lines().collect();
    assert!(
        lines.len() == 2 && lines[0].starts_with("-rwxr-xr-x") && lines[0].ends_with(" coxswain"),
        "{listed}"
    );
    assert!(
        lines[1].starts_with("-rw-r--r--") && lines[1].ends_with(" LICENSE"),
        "{listed}"
    );

    told("hack/release/krew.sh", &dist, &[]);
    let manifest = yaml(&dist.join("coxswain.yaml"));
    assert_eq!(manifest["spec"]["version"], format!("v{}", version()));
    let platforms = manifest["spec"]["platforms"].as_array().unwrap();
    assert_eq!(platforms.len(), archives.len());
    for platform in platforms {
        let name = platform["uri"].as_str().unwrap().rsplit('/').next().unwrap();
        assert!(archives.iter().any(|archive| archive == name), "{name}");
        let sum = Command::new("sha256sum").arg(dist.join(name)).output().unwrap();
        let sum = String::from_utf8(sum.stdout).unwrap();
        assert_eq!(platform["sha256"].as_str(), sum.split(' ').next());
    }

    let published = told("hack/release/publish.sh", &dist, &[("COXSWAIN_DRY_RUN", "1")]);
    for name in archives.iter().map(String::as_str).chain([
        "install.yaml",
        "crds.yaml",
        "coxswain.yaml",
        "SHA256SUMS",
    ]) {
        assert!(published.contains(name), "{name} is not published: {published}");
    }
    let checked = Command::new("sha256sum")
        .args(["--check", "--quiet", "SHA256SUMS"])
        .current_dir(&dist)
        .status();
    assert!(checked.unwrap().success());
}

#[test]
fn the_changelog_has_what_is_coming() {
    let notes = told("hack/release/notes.sh", &dist("notes"), &[("UNRELEASED", "1")]);
    assert!(notes.trim_start().starts_with("###"), "{notes}");
}

#[test]
fn the_chart_is_of_this_version_and_names_every_kind() {
    let chart = yaml(&root().join("charts/coxswain/Chart.yaml"));
    assert_eq!(
        (chart["version"].as_str(), chart["appVersion"].as_str()),
        (Some(version()), Some(version()))
    );
    let listed = |name: &str| -> Vec<Value> {
        serde_yaml::from_str(
            chart["annotations"][format!("artifacthub.io/{name}")]
                .as_str()
                .unwrap(),
        )
        .unwrap()
    };
    let kinds: BTreeSet<String> = listed("crds")
        .iter()
        .map(|c| c["kind"].as_str().unwrap().to_owned())
        .collect();
    let all: BTreeSet<String> = all_crds().into_iter().map(|crd| crd.spec.names.kind).collect();
    assert_eq!(kinds, all, "artifacthub.io/crds of Chart.yaml");
    let image = format!("ghcr.io/coxswain-dev/coxswain:{}", version());
    assert_eq!(listed("images")[0]["image"], image);
}
