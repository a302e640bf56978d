//! What the pages say holds: their links lead somewhere, their YAML is what the API server takes, their command lines are
//! ones, and every word that the code says is explained.

mod commands;
mod links;
mod words;
mod yaml;

use std::{
    fs,
    path::{Path, PathBuf},
};

pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A page of the repository.
pub(crate) struct Page {
    /// Its path from the repository's root.
    pub path: String,
    /// Its text.
    pub text: String,
}

impl Page {
    /// Where its relative links begin.
    fn directory(&self) -> PathBuf {
        root().join(&self.path).parent().unwrap().to_owned()
    }

    /// Its fenced blocks.
    fn blocks(&self) -> Vec<Block> {
        let mut found: Vec<Block> = Vec::new();
        let mut inside = false;
        for (at, line) in self.text.lines().enumerate() {
            let trimmed = line.trim_start();
            if let Some(language) = trimmed.strip_prefix("```") {
                if !inside {
                    found.push(Block {
                        place: format!("{}:{}", self.path, at + 1),
                        language: language.trim().to_owned(),
                        indent: line.len() - trimmed.len(),
                        body: String::new(),
                    });
                }
                inside = !inside;
            } else if inside && let Some(block) = found.last_mut() {
                block.body.push_str(line.get(block.indent..).unwrap_or_default());
                block.body.push('\n');
            }
        }
        assert!(!inside, "{}: a block is not closed", self.path);
        found
    }

    /// Its lines outside of fenced blocks.
    fn prose(&self) -> impl Iterator<Item = (usize, &str)> {
        let mut inside = false;
        self.text.lines().enumerate().filter_map(move |(at, line)| {
            if line.trim_start().starts_with("```") {
                inside = !inside;
                return None;
            }
            (!inside).then_some((at + 1, line))
        })
    }
}

/// A fenced block of a page.
struct Block {
    /// The page and the line, for people.
    place: String,
    language: String,
    indent: usize,
    body: String,
}

/// All pages.
pub(crate) fn pages() -> Vec<Page> {
    let mut paths: Vec<PathBuf> = ["README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"]
        .map(|name| root().join(name))
        .into();
    for directory in ["docs", "examples", "hack", "charts"] {
        let mut open = vec![root().join(directory)];
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
    let read = |path: &PathBuf| Page {
        path: path.strip_prefix(root()).unwrap().display().to_string(),
        text: fs::read_to_string(path).unwrap(),
    };
    paths.iter().map(read).collect()
}

#[test]
fn every_block_says_its_language() {
    let known = ["console", "sh", "yaml", "json", "text", "toml"];
    for block in pages().iter().flat_map(Page::blocks) {
        assert!(
            known.contains(&block.language.as_str()),
            "{}: a block of {:?}; use one of {known:?}",
            block.place,
            block.language
        );
    }
}

#[test]
fn a_page_s_blocks() {
    let page = Page {
        path: "a.md".to_owned(),
        text: "x\n  ```yaml\n  a:\n    b: 1\n  ```\ny\n".to_owned(),
    };
    let blocks = page.blocks();
    assert_eq!(blocks.len(), 1);
    assert_eq!(
        (blocks[0].place.as_str(), blocks[0].body.as_str()),
        ("a.md:2", "a:\n  b: 1\n")
    );
    assert_eq!(page.prose().collect::<Vec<_>>(), [(1, "x"), (6, "y")]);
}
