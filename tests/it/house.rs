//! The rules of the house: which room may use what. Read from the sources, tests apart.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::{
    fs,
    path::{Path, PathBuf},
};

/// The sources of a room: path and text, without comments and unit tests.
fn room(name: &str) -> Vec<(String, String)> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    let mut open = vec![source.join(name)];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(&directory).unwrap() {
            let path: PathBuf = entry.unwrap().path();
            let file = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|e| e == "rs")
                && !file.ends_with("tests.rs")
                && file != "testing.rs"
            {
                let text = fs::read_to_string(&path).unwrap();
                let shown = path.strip_prefix(&source).unwrap().display().to_string();
                found.push((shown, code_of(&text)));
            }
        }
    }
    assert!(!found.is_empty(), "there is no room {name}");
    found.sort();
    found
}

/// The code of a file: no comments, and nothing from the unit tests on, which stand at the end.
fn code_of(text: &str) -> String {
    let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    code.lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect::<Vec<_>>()
        .join("\n")
}

/// The `use` declarations of a file, each as one line without spaces: `usekube::{Api,Client};`.
fn uses(code: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut current: Option<String> = None;
    for line in code.lines() {
        let begins = line.starts_with("use ") || line.starts_with("pub use ");
        if begins || current.is_some() {
            let text = current.get_or_insert_default();
            text.extend(
                line.trim()
                    .trim_start_matches("pub ")
                    .chars()
                    .filter(|c| !c.is_whitespace()),
            );
            if line.trim_end().ends_with(';') {
                found.extend(current.take());
            }
        }
    }
    found
}

/// Whether a `use` declaration brings in `name` (`Client`) of a crate or module (`kube`), at any depth.
fn brings_in(declaration: &str, from: &str, name: &str) -> bool {
    let Some(rest) = declaration.strip_prefix(&format!("use{from}")) else {
        return false;
    };
    let starts = rest.starts_with("::") || rest.starts_with(';');
    let words = || rest.split(|c: char| !c.is_alphanumeric() && c != '_');
    starts && (name == "*" || words().any(|word| word == name))
}

fn forbid(rooms: &[&str], from: &str, names: &[&str], because: &str) {
    for (file, code) in rooms.iter().flat_map(|name| room(name)) {
        for declaration in uses(&code) {
            for name in names {
                assert!(
                    !brings_in(&declaration, from, name),
                    "{file}: `{declaration}`: {because}"
                );
            }
        }
        for name in names.iter().filter(|name| **name != "*") {
            assert!(
                !code.contains(&format!("{from}::{name}")),
                "{file} uses {from}::{name}: {because}"
            );
        }
        if names == ["*"] {
            let path = format!("{from}::");
            let inside = code
                .match_indices(&path)
                .any(|(at, _)| !code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':'));
            assert!(!inside, "{file} uses {from}: {because}");
        }
    }
}

#[test]
fn decisions_are_pure() {
    for outside in [
        "tokio",
        "tokio_util",
        "reqwest",
        "futures",
        "axum",
        "tracing",
        "anyhow",
        "clap",
    ] {
        forbid(
            &["core", "api", "v1"],
            outside,
            &["*"],
            "core, api and v1 are pure: facts in, a decision out",
        );
    }
    forbid(
        &["core", "api", "v1"],
        "kube",
        &["Api", "Client", "runtime", "client"],
        "no client in core, api and v1",
    );
    forbid(&["v1"], "std", &["fs"], "v1 reads bytes, not files");
}

#[test]
fn decisions_are_told_the_time() {
    for (file, code) in ["core", "api", "v1"].iter().flat_map(|name| room(name)) {
        for clock in ["Timestamp::now", "SystemTime", "Instant::now", "Zoned::now"] {
            assert!(
                !code.contains(clock),
                "{file}: {clock}: `now` is given to a decision, never asked for"
            );
        }
        assert!(
            !code.contains("async fn") && !code.contains(".await"),
            "{file}: no async in core, api and v1"
        );
    }
}

#[test]
fn rooms_only_use_the_ones_above_them() {
    let below: [(&str, &[&str]); 7] = [
        (
            "api",
            &[
                "core",
                "v1",
                "facts",
                "telemetry",
                "effects",
                "controllers",
                "cli",
            ],
        ),
        (
            "core",
            &["v1", "facts", "telemetry", "effects", "controllers", "cli"],
        ),
        ("v1", &["facts", "telemetry", "effects", "controllers", "cli"]),
        ("facts", &["telemetry", "effects", "controllers", "cli"]),
        ("telemetry", &["effects", "controllers", "server", "cli"]),
        ("effects", &["controllers", "cli"]),
        ("controllers", &["cli"]),
    ];
    for (name, forbidden) in below {
        for (file, code) in room(name) {
            for declaration in uses(&code) {
                for other in forbidden {
                    let grouped = declaration.starts_with("usecrate::{")
                        && (declaration.contains(&format!("{{{other}::"))
                            || declaration.contains(&format!(",{other}::")));
                    let single = declaration.starts_with(&format!("usecrate::{other}"));
                    assert!(
                        !grouped && !single,
                        "{file}: `{declaration}`: {name} may not use {other}"
                    );
                }
            }
            for other in forbidden {
                assert!(
                    !code.contains(&format!("crate::{other}::")),
                    "{file}: {name} may not use {other}"
                );
            }
        }
    }
}

#[test]
fn only_effects_write() {
    let writes = [
        ".create(&PostParams",
        "PostParams",
        "PatchParams",
        "DeleteParams",
        ".replace_status(",
        ".patch_status(",
        ".delete_collection(",
    ];
    for (file, code) in ["api", "core", "v1", "facts", "telemetry", "controllers"]
        .iter()
        .flat_map(|name| room(name))
    {
        for write in writes {
            assert!(
                !code.contains(write),
                "{file}: {write}: writes go through effects"
            );
        }
    }
}

#[test]
fn anyhow_stays_in_the_command_line() {
    forbid(
        &[
            "api",
            "core",
            "v1",
            "facts",
            "telemetry",
            "effects",
            "controllers",
        ],
        "anyhow",
        &["*"],
        "name the error: thiserror",
    );
}

/// So that it can be read in one go, and so that it has one subject.
#[test]
fn files_are_short() {
    for name in [
        "api",
        "core",
        "v1",
        "facts",
        "telemetry",
        "effects",
        "controllers",
        "cli",
    ] {
        for (file, code) in room(name) {
            let lines = code.lines().count();
            assert!(lines <= 500, "{file}: {lines} lines of code; split it by sense");
        }
    }
}

#[test]
fn the_reader_of_use_lines_sees_what_is_there() {
    let code = "use kube::{\n    Api,\n    core::Status,\n};\npub use tokio::sync;\nfn f() {}";
    let uses = uses(code);
    assert_eq!(uses, ["usekube::{Api,core::Status,};", "usetokio::sync;"]);
    assert!(brings_in(&uses[0], "kube", "Api") && !brings_in(&uses[0], "kube", "Client"));
    assert!(brings_in(&uses[1], "tokio", "*") && !brings_in(&uses[1], "tok", "*"));
    assert!(!code_of("fn f() {}\n#[cfg(test)]\nmod tests {\n x.unwrap() }").contains("unwrap"));
}
