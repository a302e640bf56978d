//! Every command line that the documentation shows is one.

use std::{fs, path::Path};

/// The pages, by their paths from the repository's root.
fn pages() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut paths = vec![root.join("README.md")];
    for directory in ["docs", "examples"] {
        let mut open = vec![root.join(directory)];
        while let Some(at) = open.pop() {
            for entry in fs::read_dir(at).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    open.push(path);
                } else if path.extension().is_some_and(|e| e == "md") {
                    paths.push(path);
                }
            }
        }
    }
    paths.sort();
    let shown = |path: &Path| path.strip_prefix(root).unwrap().display().to_string();
    paths
        .iter()
        .map(|p| (shown(p), fs::read_to_string(p).unwrap()))
        .collect()
}

/// The command lines of a page's blocks, without comments, and only up to a pipe or what else a shell reads itself.
fn command_lines(page: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut inside = false;
    for line in page.replace("\\\n", " ").lines() {
        if line.trim_start().starts_with("```") {
            inside = !inside;
            continue;
        }
        let typed = line.trim_start().trim_start_matches("$ ");
        let typed = typed
            .strip_prefix("kubectl coxswain")
            .map(|rest| format!("coxswain{rest}"))
            .unwrap_or(typed.to_owned());
        if inside && (typed.starts_with("coxswain ") || typed == "coxswain") {
            let ends = [" #", " |", " >", " &&", ";"];
            let end = ends
                .iter()
                .filter_map(|e| typed.find(e))
                .min()
                .unwrap_or(typed.len());
            found.push(typed[..end].to_owned());
        }
    }
    found
}

/// A line's words, as a shell parts them.
fn shell_words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for c in line.chars() {
        match (quote, c) {
            (Some(q), _) if q == c => quote = None,
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, ' ') => words.extend(word.take()),
            _ => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

#[test]
fn every_documented_command_line_is_one() {
    let mut seen = 0;
    for (page, text) in pages() {
        for line in command_lines(&text) {
            seen += 1;
            let words = shell_words(&line);
            let arguments: Vec<&str> = words[1..].iter().map(String::as_str).collect();
            if let Err(wrong) = coxswain::cli::check(&arguments) {
                panic!("{page}: `{line}`:\n{wrong}");
            }
        }
    }
    assert!(seen >= 40, "only {seen} command lines were found");
}

#[test]
fn every_command_has_an_example() {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/cli.md")).unwrap();
    let lines = command_lines(&page);
    let missing: Vec<String> = coxswain::cli::commands()
        .into_iter()
        .filter(|name| {
            let own = format!("coxswain {name}");
            !lines
                .iter()
                .any(|l| *l == own || l.starts_with(&format!("{own} ")))
        })
        .collect();
    assert!(
        missing.is_empty(),
        "docs/cli.md has no example of {}",
        missing.join(", ")
    );
}

#[test]
fn a_shell_s_words() {
    assert_eq!(shell_words("a --b 'c d' \"e f\"g"), ["a", "--b", "c d", "e fg"]);
    assert_eq!(
        command_lines("```\n$ coxswain get runs | less\n```\ncoxswain no"),
        ["coxswain get runs"]
    );
}
