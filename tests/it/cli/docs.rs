//! Every command line that the documentation shows is one.

use std::fs;

use crate::docs::{pages, root};

/// The command lines of these programs in a page's blocks, without comments, and only up to a pipe or what else a shell
/// reads itself.
pub(crate) fn command_lines(page: &str, programs: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    let mut inside = false;
    for line in page.replace("\\\n", " ").lines() {
        if let Some(language) = line.trim_start().strip_prefix("```") {
            // The reference shows how to use a command in general.
            inside = !inside && language != "text";
            continue;
        }
        let typed = line.trim_start().trim_start_matches("$ ");
        let typed = typed
            .strip_prefix("kubectl coxswain")
            .map(|rest| format!("coxswain{rest}"))
            .unwrap_or(typed.to_owned());
        let program = typed.split(' ').next().unwrap_or_default();
        if inside && programs.contains(&program) {
            let ends = [" #", " |", " >", " &&", ";", " <<"];
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
pub(crate) fn shell_words(line: &str) -> Vec<String> {
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
    for page in pages() {
        for line in command_lines(&page.text, &["coxswain"]) {
            seen += 1;
            let words = shell_words(&line);
            let arguments: Vec<&str> = words[1..].iter().map(String::as_str).collect();
            if let Err(wrong) = coxswain::cli::check(&arguments) {
                panic!("{}: `{line}`:\n{wrong}", page.path);
            }
        }
    }
    assert!(seen >= 40, "only {seen} command lines were found");
}

#[test]
fn every_command_has_an_example() {
    let page = fs::read_to_string(root().join("docs/cli.md")).unwrap();
    let lines = command_lines(&page, &["coxswain"]);
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
        command_lines("```\n$ coxswain get runs | less\n```\ncoxswain no", &["coxswain"]),
        ["coxswain get runs"]
    );
}
