//! What is wrong with a JobConfig that its schema does not show.

use std::collections::BTreeSet;

use super::{env, files, security};
use crate::{
    api::{
        JobConfigSpec,
        jobconfig::{EventFilter, JobTask, Resources},
    },
    core::{Invalid, jsonpath},
};

/// Everything that is wrong with a JobConfig of this namespace; paths begin with `spec`.
pub fn validate(spec: &JobConfigSpec, own_namespace: &str) -> Vec<Invalid> {
    let mut wrong = Vec::new();
    if let Some(version) = spec.api_version.as_deref().filter(|version| *version != "v2") {
        let remedy = "write v2, or leave the field out";
        wrong.push(Invalid::new(
            "spec.apiVersion",
            format!("unknown version {version:?}: {remedy}"),
        ));
    }
    let mut names = BTreeSet::new();
    for (index, action) in spec.actions.iter().enumerate() {
        let at = format!("spec.actions[{index}]");
        if !names.insert(&action.name) {
            let remedy = "messages name actions, so give each a name of its own";
            wrong.push(Invalid::new(
                format!("{at}.name"),
                format!("another action has the name {:?}: {remedy}", action.name),
            ));
        }
        for (index, filter) in action.events.iter().enumerate() {
            wrong.extend(below(&format!("{at}.events[{index}]"), event(filter)));
        }
        let mut names = BTreeSet::new();
        for (index, job) in action.tasks.iter().enumerate() {
            let at = format!("{at}.tasks[{index}]");
            if !names.insert(&job.name) {
                let remedy = "messages name tasks, so give each a name of its own";
                wrong.push(Invalid::new(
                    format!("{at}.name"),
                    format!(
                        "another task of this action has the name {:?}: {remedy}",
                        job.name
                    ),
                ));
            }
            wrong.extend(below(&at, task(job, own_namespace)));
            for (index, file) in job.files.iter().flatten().enumerate() {
                if let Err(problem) = files::normalised(file) {
                    wrong.push(Invalid::new(format!("{at}.files[{index}]"), problem));
                }
            }
        }
    }
    wrong.extend(below("spec", files::check_sources(&spec.sources)));
    wrong
}

/// What is wrong with one task, its files apart; paths are below the task.
pub(super) fn task(task: &JobTask, own_namespace: &str) -> Vec<Invalid> {
    let mut wrong = Vec::new();
    for (index, entry) in task.env.iter().flatten().enumerate() {
        wrong.extend(below(&format!("env[{index}]"), env::check(entry)));
    }
    if let Some(other) = task
        .namespace
        .as_deref()
        .filter(|name| !name.is_empty() && *name != own_namespace)
    {
        wrong.push(Invalid::new(
            "namespace",
            format!(
                "Jobs run in the namespace of their JobConfig, {own_namespace}, not in {other}: leave the field out, and let the \
                 service account reach {other} by a RoleBinding there"
            ),
        ));
    }
    if task.image.trim().is_empty() || task.image.contains(char::is_whitespace) {
        wrong.push(Invalid::new(
            "image",
            format!("{:?} can't be an image", task.image),
        ));
    }
    if let Some(account) = task
        .service_account
        .as_deref()
        .filter(|name| !files::is_object_name(name))
    {
        wrong.push(Invalid::new(
            "serviceAccount",
            format!("{account:?} can't be a service account's name"),
        ));
    }
    wrong.extend(
        security::context(task.security_context.as_ref())
            .err()
            .into_iter()
            .flatten(),
    );
    wrong.extend(task.resources.as_ref().into_iter().flat_map(resources));
    wrong
}

fn below(at: &str, wrong: Vec<Invalid>) -> Vec<Invalid> {
    wrong
        .into_iter()
        .map(|invalid| Invalid::new(format!("{at}.{}", invalid.path), invalid.message))
        .collect()
}

fn event(filter: &EventFilter) -> Vec<Invalid> {
    let mut wrong = Vec::new();
    let name = &filter.name;
    if let Some(problem) = event_name_problem(name) {
        wrong.push(Invalid::new(
            "name",
            format!("{name:?} fits no task's event{problem}"),
        ));
    }
    if let Some(condition) = &filter.jsonpath
        && let Err(error) = jsonpath::validate(&condition.property)
    {
        wrong.push(Invalid::new("jsonpath.property", error.to_string()));
    }
    wrong
}

/// Why no task's event, `sh.keptn.event.<task>.triggered`, can fit this name.
fn event_name_problem(name: &str) -> Option<String> {
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

fn resources(resources: &Resources) -> Vec<Invalid> {
    let blocks = [("limits", &resources.limits), ("requests", &resources.requests)];
    let mut wrong = Vec::new();
    for (block, amounts) in blocks {
        let Some(amounts) = amounts else { continue };
        for (name, amount) in [("cpu", &amounts.cpu), ("memory", &amounts.memory)] {
            if let Some(amount) = amount.as_deref().filter(|amount| !is_quantity(amount)) {
                let message = format!("{amount:?} is no quantity such as 500m or 128Mi");
                wrong.push(Invalid::new(format!("resources.{block}.{name}"), message));
            }
        }
    }
    wrong
}

/// Whether this is a Kubernetes quantity that is not negative.
fn is_quantity(text: &str) -> bool {
    let text = text.strip_prefix('+').unwrap_or(text);
    let number_end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, suffix) = text.split_at(number_end);
    let is_number = number.bytes().any(|b| b.is_ascii_digit()) && number.matches('.').count() <= 1;
    let is_exponent = |text: &str| {
        let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
        !digits.is_empty() && digits.len() <= 2 && digits.bytes().all(|b| b.is_ascii_digit())
    };
    is_number && (SUFFIXES.contains(&suffix) || suffix.strip_prefix(['e', 'E']).is_some_and(is_exponent))
}

const SUFFIXES: [&str; 16] = [
    "", "n", "u", "m", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei",
];

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const TUTORIAL: &str = include_str!("../../../examples/tutorial/jobconfig.yaml");

    fn spec(yaml: &str) -> JobConfigSpec {
        serde_yaml::from_str(yaml).unwrap()
    }

    fn wrong(yaml: &str) -> Vec<String> {
        validate(&spec(yaml), "shop")
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    /// A JobConfig with one task, and these fields in it.
    fn with_task(fields: &str) -> Vec<String> {
        wrong(&format!(
            "{{project: p, sources: [{{path: charts, configMap: {{name: c}}}}], actions: [{{name: a, \
             events: [{{name: sh.keptn.event.test.triggered}}], tasks: [{{name: t, image: i, {fields}}}]}}]}}"
        ))
    }

    #[test]
    fn the_tutorial_s_config_is_fine() {
        let config: crate::api::JobConfig = serde_yaml::from_str(TUTORIAL).unwrap();
        assert_eq!(validate(&config.spec, "any"), []);
    }

    #[rstest]
    #[case::value_from(
        "env: [{name: A, value: x, valueFrom: evnt}]",
        r#"spec.actions[0].tasks[0].env[0].valueFrom: unknown valueFrom "evnt"; did you mean "event"?"#
    )]
    #[case::value_from_empty(
        "env: [{name: A, value: x, valueFrom: ''}]",
        r#"env[0].valueFrom: unknown valueFrom """#
    )]
    #[case::form(
        "env: [{name: A, value: $.x, valueFrom: event, as: xml}]",
        r#"env[0].as: unknown form "xml": use json or yaml"#
    )]
    #[case::path(
        "env: [{name: A, value: data.x, valueFrom: event}]",
        "env[0].value: \"data.x\" is not a JSON path that can be used: it must start with $"
    )]
    #[case::variable(
        "env: [{name: '1A', value: x, valueFrom: string}]",
        r#"env[0].name: "1A" can't be the name of a variable"#
    )]
    #[case::secret(
        "env: [{name: My_Secret, valueFrom: secret}]",
        r#"env[0].name: "My_Secret" can't be the name of a Secret"#
    )]
    #[case::privileged(
        "securityContext: {privileged: true}",
        "tasks[0].securityContext.privileged: privileged containers are refused"
    )]
    #[case::namespace(
        "namespace: other",
        "tasks[0].namespace: Jobs run in the namespace of their JobConfig, shop, not in other: leave the field out"
    )]
    #[case::quantity(
        "resources: {limits: {memory: 1GB}}",
        r#"tasks[0].resources.limits.memory: "1GB" is no quantity"#
    )]
    #[case::dots("files: [../x]", "tasks[0].files[0]: \"../x\" is refused")]
    #[case::account(
        "serviceAccount: A_B",
        r#"tasks[0].serviceAccount: "A_B" can't be a service account's name"#
    )]
    fn a_mistake_in_a_task_is_named_with_its_path(#[case] fields: &str, #[case] says: &str) {
        let found = with_task(fields);
        assert!(found.len() == 1 && found[0].contains(says), "{found:?}");
    }

    #[rstest]
    #[case("namespace: shop")]
    #[case("namespace: ''")]
    #[case("files: [charts, /charts/deep/x.tgz, charts/]")]
    #[case("resources: {limits: {cpu: '1.5', memory: 1e9}, requests: {cpu: 100m}}")]
    #[case("env: [{name: my-secret.x, valueFrom: secret}, {name: A, valueFrom: string}]")]
    fn what_is_right_is_accepted(#[case] fields: &str) {
        assert_eq!(with_task(fields), [""; 0]);
    }

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
        let found = event_name_problem(name);
        assert_eq!(found.is_some(), problem.is_some(), "{found:?}");
        assert!(found.unwrap_or_default().contains(problem.unwrap_or_default()));
    }

    #[test]
    fn versions_names_conditions_and_sources_are_checked() {
        let found = wrong(
            "
project: p
apiVersion: v1
sources:
- {path: a}
- {path: b, configMap: {name: x}, secret: {name: y, key: k}}
- {path: c, secret: {name: s}}
- {path: ../d, configMap: {name: x}}
actions:
- {name: a, events: [{name: sh.keptn.event.t.triggered, jsonpath: {property: '$.[', match: x}}], tasks: [{name: t, image: i}, {name: t, image: ' '}]}
- {name: a, events: [{name: sh.keptn.event.t.triggered}], tasks: [{name: t, image: i}]}
",
        );
        let expected = [
            "spec.apiVersion: unknown version \"v1\"",
            "spec.actions[0].events[0].jsonpath.property:",
            "spec.actions[0].tasks[1].name: another task of this action",
            "spec.actions[0].tasks[1].image:",
            "spec.actions[1].name: another action has the name",
            "spec.sources[0]: set configMap, secret or sourceRef",
            "spec.sources[1]: set one of configMap, secret and sourceRef",
            "spec.sources[2].secret: set either key",
            "spec.sources[3].path: \"../d\" is refused",
        ];
        assert_eq!(found.len(), expected.len(), "{found:#?}");
        for (found, expected) in found.iter().zip(expected) {
            assert!(found.starts_with(expected), "{found}");
        }
    }

    #[rstest]
    #[case("1", true)]
    #[case("0.5", true)]
    #[case("500m", true)]
    #[case("128Mi", true)]
    #[case("1E", true)]
    #[case("1e3", true)]
    #[case("", false)]
    #[case(".", false)]
    #[case("-1", false)]
    #[case("1.2.3", false)]
    #[case("1 Gi", false)]
    #[case("1gi", false)]
    fn a_quantity(#[case] text: &str, #[case] is: bool) {
        assert_eq!(is_quantity(text), is);
    }
}
