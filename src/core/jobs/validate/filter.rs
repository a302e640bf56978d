//! What is wrong with an action's filter of events.

use super::{below, condition, conditions};
use crate::{api::jobconfig::EventFilter, core::Invalid};

/// What is wrong with a filter; paths are below it.
pub(super) fn problems(filter: &EventFilter) -> Vec<Invalid> {
    let mut wrong = Vec::new();
    let name = &filter.name;
    if let Some(problem) = name_problem(name) {
        wrong.push(Invalid::new(
            "name",
            format!("{name:?} fits no task's event{problem}"),
        ));
    }
    if let Some(of_v1) = &filter.jsonpath {
        wrong.extend(below("jsonpath", condition(of_v1)));
    }
    wrong.extend(conditions("conditions", &filter.conditions));
    wrong
}

/// Why no task's event, `sh.keptn.event.<task>.triggered`, can fit this name.
fn name_problem(name: &str) -> Option<String> {
    const START: &str = "sh.keptn.event.";
    const END: &str = ".triggered";
    let plain = |text: &str| {
        !text.is_empty()
            && text
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"-_*".contains(&b))
    };
    if let Some(task) = name.strip_prefix(START).and_then(|rest| rest.strip_suffix(END)) {
        return if plain(task) {
            None
        } else if task.split('.').all(plain) {
            Some(format!(
                ": it is a sequence's, and Jobs answer tasks: write {START}<task>{END}"
            ))
        } else {
            Some(": `*` is the only wildcard, and regular expressions are not read: list the events one by one".to_owned())
        };
    }
    if let (Some((head, _)), Some((_, tail))) = (name.split_once('*'), name.rsplit_once('*'))
        && (START.starts_with(head) || head.starts_with(START))
        && (END.ends_with(tail) || tail.ends_with(END))
    {
        return None;
    }
    let rest = name.strip_prefix(START).unwrap_or(name);
    let task = rest
        .split('.')
        .next()
        .filter(|task| plain(task) && rest.matches('.').count() <= 1)
        .unwrap_or("<task>");
    Some(format!(": write {START}{task}{END}"))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("sh.keptn.event.test.triggered", None)]
    #[case("sh.keptn.event.*.triggered", None)]
    #[case("sh.keptn.event.je-*.triggered", None)]
    #[case("sh.keptn.event.*", None)]
    #[case("*", None)]
    #[case("*test.triggered", None)]
    #[case("je-test.triggered", Some("write sh.keptn.event.je-test.triggered"))]
    #[case("sh.keptn.event.test.finished", Some("write sh.keptn.event.test.triggered"))]
    #[case("sh.keptn.event.dev.delivery.triggered", Some("it is a sequence's"))]
    #[case("sh.keptn.event.(a|b).triggered", Some("regular expressions are not read"))]
    #[case("sh.keptn.event.triggered", Some("write sh.keptn.event."))]
    #[case("foo.*.bar", Some("write sh.keptn.event.<task>.triggered"))]
    fn an_event_s_name_fits_tasks(#[case] name: &str, #[case] problem: Option<&str>) {
        let found = name_problem(name);
        assert_eq!(found.is_some(), problem.is_some(), "{found:?}");
        assert!(found.unwrap_or_default().contains(problem.unwrap_or_default()));
    }
}
