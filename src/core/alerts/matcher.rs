//! Matchers of labels, as Alertmanager writes them: `severity="page"`, `team!=ops`, `namespace=~"shop-.*"`, `x!~"a|b"`.

use std::collections::BTreeMap;

use regex::{Regex, RegexBuilder};

/// A compiled expression may be so big, in bytes.
const REGEX_MAX: usize = 64 * 1024;

/// One condition on one label. A label that an alert lacks has the empty value, as in Alertmanager.
#[derive(Clone, Debug)]
pub struct Matcher {
    label: String,
    test: Test,
    wanted: bool,
}

#[derive(Clone, Debug)]
enum Test {
    Is(String),
    Fits(Regex),
}

impl Matcher {
    /// Reads a matcher. An expression must fit the whole value.
    ///
    /// # Errors
    /// What is wrong with it, and how to write it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let shape = "write name=\"value\", or one of !=, =~ and !~ in place of =";
        let at = text
            .find(['=', '!'])
            .ok_or_else(|| format!("{text:?} has no operator; {shape}"))?;
        let (label, rest) = text.split_at(at);
        let label = label.trim();
        let first = label.chars().next();
        let named = first.is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
            && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if !named {
            return Err(format!("{label:?} is no label's name; {shape}"));
        }
        let operators = [
            ("=~", true, true),
            ("!~", true, false),
            ("!=", false, false),
            ("=", false, true),
        ];
        let found = operators
            .into_iter()
            .find_map(|(sign, regex, wanted)| rest.strip_prefix(sign).map(|value| (value, regex, wanted)));
        let (value, regex, wanted) = found.ok_or_else(|| format!("{text:?} has no operator; {shape}"))?;
        let value =
            unquote(value.trim()).ok_or_else(|| format!("{} is not quoted right; {shape}", value.trim()))?;
        let test = if regex {
            let whole = format!("^(?:{value})$");
            let built = RegexBuilder::new(&whole)
                .size_limit(REGEX_MAX)
                .dot_matches_new_line(true)
                .build();
            Test::Fits(built.map_err(|e| {
                format!(
                    "{value:?} is no regular expression: {}",
                    last_line(&e.to_string())
                )
            })?)
        } else {
            Test::Is(value)
        };
        Ok(Self {
            label: label.to_owned(),
            test,
            wanted,
        })
    }

    /// Whether these labels fit.
    pub fn fits(&self, labels: &BTreeMap<String, String>) -> bool {
        let value = labels.get(&self.label).map_or("", String::as_str);
        let is = match &self.test {
            Test::Is(wanted) => value == wanted,
            Test::Fits(regex) => regex.is_match(value),
        };
        is == self.wanted
    }
}

/// A value without its quotes: a bare word, or a text in double quotes with `\"`, `\\` and `\n`.
fn unquote(text: &str) -> Option<String> {
    let Some(inner) = text.strip_prefix('"') else {
        let bare = !text.contains(|c: char| c.is_whitespace() || "\"'`,{}".contains(c));
        return bare.then(|| text.to_owned());
    };
    let mut value = String::new();
    let mut rest = inner.chars();
    loop {
        match rest.next()? {
            '"' => return rest.next().is_none().then_some(value),
            '\\' => match rest.next()? {
                'n' => value.push('\n'),
                c @ ('"' | '\\') => value.push(c),
                // An expression's own escape, such as \d or \., stays one.
                c => value.extend(['\\', c]),
            },
            c => value.push(c),
        }
    }
}

fn last_line(text: &str) -> &str {
    text.lines()
        .last()
        .unwrap_or_default()
        .trim_start_matches("error: ")
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(r#"severity="page""#, true)]
    #[case("severity=page", true)]
    #[case(r#" severity = "page" "#, true)]
    #[case(r#"severity="pag""#, false)]
    #[case(r#"severity!="page""#, false)]
    #[case(r#"severity=~"page|critical""#, true)]
    #[case::anchored(r#"severity=~"pag""#, false)]
    #[case(r#"severity!~"warn.*""#, true)]
    #[case::absent_is_empty(r#"team="""#, true)]
    #[case::absent_is_empty(r#"team!="""#, false)]
    #[case::absent_is_empty(r#"team=~".*""#, true)]
    #[case::escapes(r#"path="a\"b\\c""#, true)]
    #[case::an_expression_s_own(r#"code=~"5\d\d""#, true)]
    fn matchers(#[case] text: &str, #[case] fits: bool) {
        let labels = [("severity", "page"), ("path", "a\"b\\c"), ("code", "503")];
        let labels = labels.map(|(k, v)| (k.to_owned(), v.to_owned())).into();
        assert_eq!(Matcher::parse(text).unwrap().fits(&labels), fits);
    }

    #[rstest]
    #[case("severity", "has no operator")]
    #[case("=x", "is no label's name")]
    #[case("1a=x", "is no label's name")]
    #[case("a!x", "has no operator")]
    #[case(r#"a="x"#, "is not quoted right")]
    #[case(r#"a="x"y"#, "is not quoted right")]
    #[case("a=x y", "is not quoted right")]
    #[case(r#"a=~"(""#, "is no regular expression")]
    #[case(r#"a=~"(x{1000}){1000}""#, "is no regular expression")]
    fn mistakes(#[case] text: &str, #[case] says: &str) {
        let refused = Matcher::parse(text).unwrap_err();
        assert!(refused.contains(says), "{refused}");
    }
}
