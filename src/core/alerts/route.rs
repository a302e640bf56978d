//! Whose problem an alert tells of.

use crate::{
    api::{
        AlertRoute,
        alertroute::{AlertRouteSpec, AlertValue},
    },
    core::{Invalid, place::Place},
};

use super::{Alert, matcher::Matcher};

/// The longest title that a ProblemEvent can have, in bytes.
const TITLE_MAX: usize = 253;

/// The problem that an alert tells of.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Mapped {
    /// The service that has it.
    pub place: Place,
    /// Its title.
    pub title: String,
    /// Its root cause.
    pub root_cause: Option<String>,
    /// The sequence that heals, where the route names one.
    pub sequence: Option<String>,
}

/// What is wrong with a route; empty when all is well.
pub fn mistakes(route: &AlertRoute) -> Vec<Invalid> {
    let matchers = route.spec.matchers.iter().enumerate();
    matchers
        .filter_map(|(i, text)| {
            let wrong = Matcher::parse(text).err()?;
            Some(Invalid::new(format!("spec.matchers[{i}]"), wrong))
        })
        .collect()
}

/// Whether a route maps this alert. One with mistakes maps none.
pub fn fits(route: &AlertRouteSpec, alert: &Alert) -> bool {
    let mut matchers = route.matchers.iter().map(|text| Matcher::parse(text));
    matchers.all(|matcher| matcher.is_ok_and(|m| m.fits(&alert.labels)))
}

/// What an alert tells of by this route, or by the default one.
///
/// The title is the alert's name, because that is the same for every pod; a summary is a sentence for people, and often
/// names the pod, so that fifty pods would have fifty problems.
///
/// # Errors
/// Which value is missing or can't be used, and the remedy.
pub fn map(route: &AlertRouteSpec, alert: &Alert) -> Result<Mapped, String> {
    let name = |what: &str, from: Option<&AlertValue>| {
        let found = match from {
            Some(from) => value(from, alert),
            None => alert.label(what).map(str::to_owned),
        };
        found.ok_or_else(|| missing(what, from))
    };
    let place = Place::new(
        name("project", route.project.as_ref())?,
        name("stage", route.stage.as_ref())?,
        name("service", route.service.as_ref())?,
    );
    let place =
        place.map_err(|e| format!("the alert's {} {}", e.path.trim_start_matches("spec."), e.message))?;
    let title = match &route.problem_title {
        Some(from) => value(from, alert).ok_or_else(|| missing("problemTitle", Some(from)))?,
        None => alert
            .label("alertname")
            .or_else(|| alert.annotation("summary"))
            .ok_or_else(|| missing("alertname", None))?
            .to_owned(),
    };
    Ok(Mapped {
        place,
        title: cut(&title),
        root_cause: route
            .root_cause
            .as_ref()
            .and_then(|from| value(from, alert))
            .map(|text| cut(&text)),
        sequence: route.sequence.clone(),
    })
}

fn value(from: &AlertValue, alert: &Alert) -> Option<String> {
    let label = from.label.as_deref().and_then(|name| alert.label(name));
    let annotation = || from.annotation.as_deref().and_then(|name| alert.annotation(name));
    let found = label.or_else(annotation).map(str::to_owned);
    found.or_else(|| from.default.clone())
}

fn missing(what: &str, from: Option<&AlertValue>) -> String {
    let label = |name: &str| format!("the alert has no label {name}");
    let (wrong, field) = match from {
        None => (
            label(what),
            if what == "alertname" { "problemTitle" } else { what },
        ),
        Some(AlertValue {
            label: Some(name), ..
        }) => (label(name), what),
        Some(AlertValue { annotation, .. }) => {
            let name = annotation.as_deref().unwrap_or_default();
            (format!("the alert has no annotation {name}"), what)
        }
    };
    format!(
        "{wrong}; add it to the rule in Prometheus, or say in an AlertRoute's spec.{field} where it stands"
    )
}

fn cut(text: &str) -> String {
    let end = (0..=TITLE_MAX.min(text.len()))
        .rev()
        .find(|i| text.is_char_boundary(*i));
    text[..end.unwrap_or(0)].to_owned()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;

    fn alert(labels: Value, annotations: Value) -> Alert {
        serde_json::from_value(json!({"status": "firing", "labels": labels, "annotations": annotations}))
            .unwrap()
    }

    fn route(spec: Value) -> AlertRouteSpec {
        serde_json::from_value(spec).unwrap()
    }

    fn full() -> Value {
        json!({"alertname": "Slow", "project": "shop", "stage": "qa", "service": "cart"})
    }

    #[test]
    fn without_a_route_it_is_as_in_v1_but_for_the_title() {
        let mapped = map(
            &AlertRouteSpec::default(),
            &alert(full(), json!({"summary": "pod cart-1 is slow"})),
        )
        .unwrap();
        assert_eq!(mapped.place.to_string(), "shop/qa/cart");
        assert_eq!((mapped.title.as_str(), mapped.root_cause), ("Slow", None));
        let mut nameless = full();
        nameless.as_object_mut().unwrap().remove("alertname");
        let mapped = map(
            &AlertRouteSpec::default(),
            &alert(nameless, json!({"summary": "slow"})),
        )
        .unwrap();
        assert_eq!(mapped.title, "slow");
    }

    #[test]
    fn a_route_says_where_each_value_stands() {
        let route = route(json!({
            "project": {"default": "shop"}, "stage": {"label": "env", "default": "production"},
            "service": {"label": "app", "annotation": "service"}, "problemTitle": {"annotation": "summary"},
            "rootCause": {"label": "alertname"}, "sequence": "heal",
        }));
        let told = alert(
            json!({"alertname": "Slow", "env": "qa"}),
            json!({"service": "cart", "summary": "p95"}),
        );
        let mapped = map(&route, &told).unwrap();
        assert_eq!(mapped.place.to_string(), "shop/qa/cart");
        assert_eq!(
            (
                mapped.title.as_str(),
                mapped.root_cause.as_deref(),
                mapped.sequence.as_deref()
            ),
            ("p95", Some("Slow"), Some("heal"))
        );
        let bare = alert(json!({}), json!({"service": "cart", "summary": "p95"}));
        assert_eq!(
            map(&route, &bare).unwrap().place.to_string(),
            "shop/production/cart"
        );
    }

    #[rstest]
    #[case(json!({}), json!({"stage": "s", "service": "v", "alertname": "A"}), "the alert has no label project; add it to the rule in Prometheus, or say in an AlertRoute's spec.project where it stands")]
    #[case(json!({}), json!({"project": "p", "stage": "s", "service": "v"}), "the alert has no label alertname; add it to the rule in Prometheus, or say in an AlertRoute's spec.problemTitle where it stands")]
    #[case(json!({"service": {"annotation": "svc"}}), json!({"project": "p", "stage": "s"}), "the alert has no annotation svc; add it to the rule in Prometheus, or say in an AlertRoute's spec.service where it stands")]
    fn what_is_missing_is_said(#[case] spec: Value, #[case] labels: Value, #[case] says: &str) {
        assert_eq!(map(&route(spec), &alert(labels, json!({}))).unwrap_err(), says);
    }

    #[test]
    fn a_value_that_is_no_name_is_said() {
        let mut labels = full();
        labels["service"] = "My_Cart".into();
        let wrong = map(&AlertRouteSpec::default(), &alert(labels, json!({}))).unwrap_err();
        assert!(wrong.starts_with("the alert's service "), "{wrong}");
    }

    #[test]
    fn all_matchers_must_fit_and_a_wrong_one_fits_nothing() {
        let told = alert(full(), json!({}));
        for (matchers, expected) in [
            (json!([]), true),
            (json!(["stage=qa", "service=~\"c.*\""]), true),
            (json!(["stage=qa", "service=front"]), false),
            (json!(["nonsense"]), false),
        ] {
            assert_eq!(
                fits(&route(json!({"matchers": matchers})), &told),
                expected,
                "{matchers}"
            );
        }
        let wrong = AlertRoute::new("r", route(json!({"matchers": ["a=b", "nonsense"]})));
        assert_eq!(mistakes(&wrong)[0].path, "spec.matchers[1]");
    }
}
