//! Every link within the repository leads to a page and a heading that there are; and the site has every page.

use std::{collections::BTreeSet, fs};

use super::{Page, pages, root};

/// The targets of a line's links.
fn targets(line: &str) -> Vec<&str> {
    line.split("](")
        .skip(1)
        .filter_map(|rest| Some(&rest[..rest.find(')')?]))
        .collect()
}

/// A heading's anchor, as forges make it.
fn anchor(heading: &str) -> String {
    heading
        .trim()
        .to_lowercase()
        .chars()
        .filter_map(|c| match c {
            ' ' => Some('-'),
            c if c.is_alphanumeric() || c == '-' || c == '_' => Some(c),
            _ => None,
        })
        .collect()
}

/// The anchors of a page.
fn anchors(text: &str) -> BTreeSet<String> {
    let page = Page {
        path: String::new(),
        text: text.to_owned(),
    };
    let mut found = BTreeSet::new();
    for (_, line) in page.prose() {
        if let Some(heading) = line.strip_prefix('#') {
            let name = anchor(heading.trim_start_matches('#'));
            let mut again = 1;
            let mut own = name.clone();
            while !found.insert(own) {
                own = format!("{name}-{again}");
                again += 1;
            }
        }
    }
    found
}

#[test]
fn every_link_leads_somewhere() {
    let mut broken = Vec::new();
    let mut seen = 0;
    for page in pages() {
        for (at, line) in page.prose() {
            for target in targets(line) {
                if target.contains("://") || target.starts_with("mailto:") {
                    continue;
                }
                seen += 1;
                let (path, heading) = target.split_once('#').unwrap_or((target, ""));
                let file = match path {
                    "" => root().join(&page.path),
                    path => page.directory().join(path),
                };
                let found = if heading.is_empty() {
                    file.exists()
                } else {
                    fs::read_to_string(&file).is_ok_and(|text| anchors(&text).contains(heading))
                };
                if !found {
                    broken.push(format!("{}:{at}: {target}", page.path));
                }
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
    assert!(seen >= 100, "only {seen} links were found");
}

#[test]
fn the_site_has_every_page_once() {
    let summary = fs::read_to_string(root().join("docs/SUMMARY.md")).unwrap();
    let mut listed: Vec<String> = summary
        .lines()
        .flat_map(targets)
        .map(|t| format!("docs/{t}"))
        .collect();
    listed.sort();
    let there: Vec<String> = pages()
        .into_iter()
        .map(|page| page.path)
        .filter(|path| path.starts_with("docs/") && path != "docs/SUMMARY.md")
        .collect();
    assert_eq!(listed, there, "docs/SUMMARY.md and the pages of docs/");
    let book = fs::read_to_string(root().join("book.toml")).unwrap();
    assert!(
        book.contains("src = \"docs\""),
        "book.toml builds the site of docs/"
    );
}

#[test]
fn what_a_link_and_an_anchor_are() {
    assert_eq!(targets("a [b](c.md#d), [`e`](f)"), ["c.md#d", "f"]);
    assert_eq!(anchor(" \"Could not\" is, `it` not"), "could-not-is-it-not");
    let twice = anchors("# A\n```sh\n# no heading\n```\n## A\n");
    assert_eq!(twice, BTreeSet::from(["a".to_owned(), "a-1".to_owned()]));
}
