use proptest::prelude::*;
use rstest::rstest;

use super::*;
use crate::core::evaluation::testing::evaluation;

fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs
        .iter()
        .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
        .collect()
}

fn values(labels: &[(&str, &str)], filter: &[(&str, &str)]) -> Values {
    let window = evaluation(None).spec.window.unwrap();
    Values::new(
        ("shop", "production", "web-shop"),
        None,
        &map(labels),
        &map(filter),
        &window,
    )
}

#[rstest]
#[case(
    r#"up{job="$SERVICE-$PROJECT-$STAGE-$DEPLOYMENT"}"#,
    r#"up{job="web-shop-shop-production-primary"}"#
)]
#[case(r#"up{job="$SERVICE_$STAGE"}"#, r#"up{job="web-shop_production"}"#)]
#[case("sum(rate(x[$DURATION_SECONDS]))", "sum(rate(x[120s]))")]
#[case("x{team='$LABEL.team', t2='$LABEL.team2'}", "x{team='red', t2='blue'}")]
#[case(r#"x{handler=~"$handler|$HANDLER"}"#, r#"x{handler=~"Items.*|Items.*"}"#)]
#[case("$PROJECT_requests * $factor", "shop_requests * 2.5")]
#[case(
    r#"label_replace(x, "a", "$1", "b", "^(.*)$")"#,
    r#"label_replace(x, "a", "$1", "b", "^(.*)$")"#
)]
#[case("x # all of $SERVICE's\n", "x # all of $SERVICE's\n")]
#[case(r#"x{a="\"$STAGE\""}"#, r#"x{a="\"production\""}"#)]
#[case(r#"x{a="\$STAGE"}"#, r#"x{a="\$STAGE"}"#)]
#[case("x{a=`$STAGE`}", "x{a=`production`}")]
#[case("100 * $", "100 * $")]
#[case("ünïcode{a=\"$STAGE\"}", "ünïcode{a=\"production\"}")]
fn fills_in(#[case] query: &str, #[case] expected: &str) {
    let values = values(
        &[("team", "red"), ("team2", "blue")],
        &[("handler", "Items.*"), ("factor", "2.5")],
    );
    assert_eq!(substitute(query, &values).unwrap(), expected);
}

#[rstest]
#[case(
    r#"x{a="$LABEL.v"}"#,
    r#"x"} or vector(0) or x{a=""#,
    r#"x{a="x\"} or vector(0) or x{a=\""}"#
)]
#[case("x{a='$LABEL.v'}", "it's \"so\"", "x{a='it\\'s \"so\"'}")]
#[case(r#"x{a="$LABEL.v"}"#, "back\\", r#"x{a="back\\"}"#)]
#[case(r#"x{a="$LABEL.v"}"#, "two\nlines\u{1}", r#"x{a="two\nlines\x01"}"#)]
#[case(r#"x{a="$LABEL.v"}"#, "$SERVICE", r#"x{a="$SERVICE"}"#)]
#[case("x{a=`$LABEL.v`}", "a\"b'c\\d", "x{a=`a\"b'c\\d`}")]
fn a_value_stays_inside_its_quotes(#[case] query: &str, #[case] value: &str, #[case] expected: &str) {
    assert_eq!(
        substitute(query, &values(&[("v", value)], &[])).unwrap(),
        expected
    );
}

#[rstest]
#[case("x{a=`$LABEL.v`}", "a`} or x{b=`", "between backticks")]
#[case("rate(x[$LABEL.v])", "5m]) or (x[5m", "outside of quotes")]
#[case("x $LABEL.v y", "or", "outside of quotes")]
#[case("x $LABEL.v (y)", "SUM", "outside of quotes")]
#[case("$LABEL.v", "web-shop", "outside of quotes")]
#[case("$LABEL.v", "", "outside of quotes")]
#[case("$LABEL.v", "1e5", "outside of quotes")]
#[case("$LABEL.v", "# a comment", "outside of quotes")]
fn an_unsafe_value_is_refused(#[case] query: &str, #[case] value: &str, #[case] place: &str) {
    let error = substitute(query, &values(&[("v", value)], &[])).unwrap_err();
    assert!(error.to_string().contains(place), "{error}");
}

#[test]
fn a_label_that_the_run_lacks_is_told_by_name() {
    let error = substitute("x{a='$LABEL.build-id'}", &values(&[], &[])).unwrap_err();
    assert_eq!(error, Error::NoLabel("build-id".to_owned()));
}

#[test]
fn a_filter_wins_over_a_built_in_name() {
    let filled = substitute("x{a='$SERVICE $service'}", &values(&[], &[("service", "other")])).unwrap();
    assert_eq!(filled, "x{a='other other'}");
}

#[test]
fn the_deployment_may_come_from_a_label() {
    let filled = substitute("x{a='$DEPLOYMENT'}", &values(&[("deployment", "canary")], &[])).unwrap();
    assert_eq!(filled, "x{a='canary'}");
}

#[test]
fn durations_are_rounded_up() {
    let mut window = evaluation(None).spec.window.unwrap();
    window.end.0 += jiff::SignedDuration::from_millis(1);
    assert_eq!(seconds(&window), 121);
    window.end.0 = window.start.0;
    assert_eq!(seconds(&window), 1);
}

/// A query with all that is in quotes taken out: its structure. None when a string does not end.
fn structure(query: &str) -> Option<String> {
    let mut out = String::new();
    let mut chars = query.chars();
    while let Some(c) = chars.next() {
        out.push(c);
        if !matches!(c, '"' | '\'' | '`') {
            continue;
        }
        loop {
            match chars.next()? {
                '\\' if c != '`' => {
                    let escaped = chars.next()?;
                    // What PromQL allows after a backslash.
                    assert!(
                        escaped == c || r"abfnrtv\x".contains(escaped),
                        "\\{escaped} in {query}"
                    );
                }
                '\n' if c != '`' => return None,
                end if end == c => break,
                _ => {}
            }
        }
        out.push(c);
    }
    Some(out)
}

proptest! {
    #[test]
    fn no_value_changes_the_structure_of_a_query(
        value in any::<String>(),
        query in prop::sample::select(vec![
            r#"sum(x{a="$LABEL.v",b='c$LABEL.v'}) / y{z=`$LABEL.v`}"#,
            r#"x{a="\"$LABEL.v\\"}"#,
            "x{a='$LABEL.v'}",
        ]),
    ) {
        let expected = structure(query);
        match substitute(query, &values(&[("v", &value)], &[])) {
            Ok(filled) => prop_assert_eq!(structure(&filled), expected),
            Err(error) => prop_assert!(value.contains('`'), "{}", error),
        }
    }

    #[test]
    fn outside_of_quotes_only_words_and_numbers_stand(value in any::<String>()) {
        if let Ok(filled) = substitute("$LABEL.v", &values(&[("v", &value)], &[])) {
            prop_assert!(filled.chars().all(|c| c.is_ascii_alphanumeric() || "_:.".contains(c)));
        }
    }

    #[test]
    fn any_query_is_filled_in_or_refused(query in ".{0,60}", value in ".{0,20}") {
        let _ = substitute(&query, &values(&[("v", &value)], &[("f", &value)])).map_err(|e| e.to_string());
    }

    #[test]
    fn a_query_without_a_dollar_stays_as_it_is(query in "[^$]{0,80}") {
        prop_assert_eq!(substitute(&query, &values(&[], &[("a", "b")])).unwrap(), query);
    }
}
