//! Paths under `/keptn`.

/// A path under `/keptn` without the slashes at its ends; empty for all of it.
///
/// # Errors
/// Why it is no such path, and the remedy.
pub fn normalised(path: &str) -> Result<String, String> {
    let inner = path.strip_prefix('/').unwrap_or(path);
    let inner = inner.strip_suffix('/').unwrap_or(inner);
    if inner.is_empty() {
        return if path == "/" {
            Ok(String::new())
        } else {
            Err(format!("{path:?} is no path such as locust/basic.py"))
        };
    }
    let bad =
        |part: &str| part.is_empty() || part == "." || part.starts_with("..") || part.contains(['\0', '\\']);
    if inner.split('/').any(bad) {
        let remedy =
            "write a plain path under /keptn such as locust/basic.py, without `.`, `..`, `\\` or `//`";
        return Err(format!("{path:?} is refused: {remedy}"));
    }
    Ok(inner.to_owned())
}

/// The path of one file, as [`normalised`] has it: `/` is none.
///
/// # Errors
/// Why it is no such path, and the remedy.
pub fn of_file(path: &str) -> Result<String, String> {
    let plain = normalised(path)?;
    if plain.is_empty() {
        return Err(format!(
            "{path:?} is a directory: write the file's path, such as locust/basic.py"
        ));
    }
    Ok(plain)
}

/// Whether a path lies in a directory, at any depth. Everything lies below the empty path, it apart.
pub fn is_below(path: &str, directory: &str) -> bool {
    below(path, directory).is_some_and(|rest| !rest.is_empty())
}

/// Whether it is the path, or lies below it.
pub fn is_within(path: &str, outer: &str) -> bool {
    path == outer || is_below(path, outer)
}

/// The part of a path below a directory; empty for the directory itself.
pub fn below<'a>(path: &'a str, directory: &str) -> Option<&'a str> {
    if directory.is_empty() || path == directory {
        return Some(&path[directory.len()..]);
    }
    path.strip_prefix(directory)?.strip_prefix('/')
}

/// The path of something in a directory.
pub fn join(directory: &str, inner: &str) -> String {
    match (directory, inner) {
        ("", path) | (path, "") => path.to_owned(),
        _ => format!("{directory}/{inner}"),
    }
}

/// Whether what one path stands for and what the other does have files in common.
pub fn touch(one: &str, other: &str) -> bool {
    is_within(one, other) || is_within(other, one)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("charts/a", "charts", Some("a"))]
    #[case("charts", "charts", Some(""))]
    #[case("charts-old/a", "charts", None)]
    #[case("a/b", "", Some("a/b"))]
    #[case("a", "a/b", None)]
    fn what_lies_below(#[case] path: &str, #[case] directory: &str, #[case] rest: Option<&str>) {
        assert_eq!(below(path, directory), rest);
        if let Some(rest) = rest {
            assert_eq!(join(directory, rest), path);
        }
        assert_eq!(is_within(path, directory), rest.is_some());
    }
}
