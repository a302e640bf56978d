//! What is wrong with a JobConfig that its schema does not show.

use std::collections::BTreeSet;

use super::{env, files, placement, security, volumes};
use crate::{
    api::{
        JobConfigSpec,
        jobconfig::{Condition, EventFilter, JobTask, Resources, Target},
    },
    core::{Invalid, jsonpath, names},
};

/// The most retries of a Job.
const RETRIES_MAX: i32 = 10;
/// The longest that a retry waits, in seconds.
const BACKOFF_MAX: u64 = 300;
/// The longest that a Job may take, in seconds: a week.
const TIMEOUT_MAX: u64 = 604_800;

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
    let mut wrong = env::check_all(task.env.as_deref().unwrap_or_default());
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
    for (field, words) in [("cmd", &task.cmd), ("args", &task.args)] {
        for (index, _) in words
            .iter()
            .flatten()
            .enumerate()
            .filter(|(_, word)| word.contains('\0'))
        {
            let message = "it has a NUL, which no argument can hold: leave it out";
            wrong.push(Invalid::new(format!("{field}[{index}]"), message));
        }
    }
    wrong.extend(placement::check(task));
    wrong.extend(volumes::volumes(task).err().into_iter().flatten());
    wrong.extend(tries(task));
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
    if let Some(of_v1) = &filter.jsonpath {
        wrong.extend(below("jsonpath", condition(of_v1)));
    }
    wrong.extend(conditions("conditions", &filter.conditions));
    wrong
}

fn conditions(field: &str, list: &[Condition]) -> Vec<Invalid> {
    let each = list.iter().enumerate();
    each.flat_map(|(index, one)| below(&format!("{field}[{index}]"), condition(one)))
        .collect()
}

/// What is wrong with a condition. (The API server refuses the second mistake too; a file has no API server.)
fn condition(condition: &Condition) -> Vec<Invalid> {
    let path = jsonpath::validate(&condition.property).err();
    let path = path.map(|error| Invalid::new("property", error.to_string()));
    let missing = match (&condition.match_, &condition.not_match) {
        (None, None) => Some("it is missing: write the value that the property must have, or notMatch"),
        (Some(_), Some(_)) => {
            Some("set either match or notMatch: conditions beside this one must hold as well")
        }
        _ => None,
    };
    let missing = missing.map(|message| Invalid::new("match", message));
    path.into_iter().chain(missing).collect()
}

/// What is wrong with how often, how long and when a task's Job runs.
fn tries(task: &JobTask) -> Vec<Invalid> {
    let mut wrong = Vec::new();
    let zero = |field: &str| Invalid::new(field, "it is 0: write one such as 90s, or leave it out");
    if task.timeout.is_some_and(|timeout| timeout.0.is_zero()) {
        wrong.push(zero("timeout"));
    }
    if task
        .timeout
        .is_some_and(|timeout| timeout.0.as_secs() > TIMEOUT_MAX)
    {
        wrong.push(Invalid::new(
            "timeout",
            "a Job may take at most 168h: let it do less, or split it",
        ));
    }
    if let Some(retries) = task
        .retries
        .filter(|retries| !(0..=RETRIES_MAX).contains(retries))
    {
        let message = format!("it is {retries}: write a number from 0 to {RETRIES_MAX}");
        wrong.push(Invalid::new("retries", message));
    }
    if task.retry_backoff.is_some_and(|backoff| backoff.0.is_zero()) {
        wrong.push(zero("retryBackoff"));
    }
    if task
        .retry_backoff
        .is_some_and(|backoff| backoff.0.as_secs() > BACKOFF_MAX)
    {
        wrong.push(Invalid::new(
            "retryBackoff",
            "a retry waits at most 5m: write a shorter time",
        ));
    }
    wrong.extend(conditions("when", &task.when));
    for (index, one) in task.targets.iter().enumerate() {
        wrong.extend(below(&format!("targets[{index}]"), target(one)));
    }
    wrong
}

fn target(target: &Target) -> Vec<Invalid> {
    let version = |text: &str| names::is_dns_label(text) && !text.contains('-');
    let is_version = match target.api_version.split_once('/') {
        None => version(&target.api_version),
        Some((group, of_group)) => files::is_object_name(group) && version(of_group),
    };
    let kind = &target.kind;
    let is_kind =
        kind.starts_with(|c: char| c.is_ascii_uppercase()) && kind.bytes().all(|b| b.is_ascii_alphanumeric());
    // RBAC's names may have colons.
    let is_name =
        !target.name.is_empty() && !target.name.contains(['/', '%']) && !matches!(&*target.name, "." | "..");
    [
        (!is_version).then(|| {
            let version = &target.api_version;
            Invalid::new(
                "apiVersion",
                format!("{version:?} is no version: write one such as v1 or apps/v1"),
            )
        }),
        (!is_kind).then(|| {
            Invalid::new(
                "kind",
                format!("{kind:?} is no kind: write one such as Deployment"),
            )
        }),
        (!is_name).then(|| Invalid::new("name", format!("{:?} can't be an object's name", target.name))),
    ]
    .into_iter()
    .flatten()
    .collect()
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
        r#"env[0].as: unknown form "xml": use json, yaml or string"#
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
    #[case::label(
        "labels: {app.kubernetes.io/instance: shop}",
        "tasks[0].labels.app.kubernetes.io/instance: instance is refused"
    )]
    #[case::volume(
        "volumes: [{name: v, hostPath: {path: /}}], volumeMounts: [{name: v, mountPath: /v}]",
        "tasks[0].volumes[0]: set exactly one of"
    )]
    #[case::mount(
        "volumeMounts: [{name: v, mountPath: /v}]",
        "tasks[0].volumeMounts[0].name: the task has no volume"
    )]
    #[case::timeout("timeout: 0s", "tasks[0].timeout: it is 0: write one such as 90s")]
    #[case::long_timeout("timeout: 169h", "tasks[0].timeout: a Job may take at most 168h")]
    #[case::retries("retries: 11", "tasks[0].retries: it is 11: write a number from 0 to 10")]
    #[case::backoff("retryBackoff: 6m", "tasks[0].retryBackoff: a retry waits at most 5m")]
    #[case::when(
        "when: [{property: $.data.x}]",
        "tasks[0].when[0].match: it is missing: write the value"
    )]
    #[case::when_both(
        "when: [{property: $.data.x, match: a, notMatch: b}]",
        "tasks[0].when[0].match: set either"
    )]
    #[case::when_path(
        "when: [{property: data.x, match: a}]",
        "tasks[0].when[0].property: \"data.x\" is not a JSON path"
    )]
    #[case::version(
        "targets: [{apiVersion: apps/, kind: Deployment, name: cart}]",
        "targets[0].apiVersion: \"apps/\" is no version"
    )]
    #[case::kind(
        "targets: [{apiVersion: apps/v1, kind: deployments, name: cart}]",
        "targets[0].kind: \"deployments\" is no kind"
    )]
    #[case::target_name(
        "targets: [{apiVersion: v1, kind: Pod, name: a/b}]",
        "targets[0].name: \"a/b\" can't be"
    )]
    #[case::nul("args: [\"a\\0b\"]", "tasks[0].args[0]: it has a NUL")]
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
    #[case("timeout: 168h, retries: 10, retryBackoff: 5m")]
    #[case("when: [{property: $.data.x, match: ''}, {property: $.data.y, notMatch: b}]")]
    #[case(
        "targets: [{apiVersion: apps/v1, kind: Deployment, name: cart}, {apiVersion: v1, kind: Service, name: cart}, {apiVersion: networking.istio.io/v1beta1, kind: VirtualService, name: cart}]"
    )]
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
- {name: a, events: [{name: sh.keptn.event.t.triggered, jsonpath: {property: '$.[', match: x}, conditions: [{property: $.x}]}], tasks: [{name: t, image: i}, {name: t, image: ' '}]}
- {name: a, events: [{name: sh.keptn.event.t.triggered}], tasks: [{name: t, image: i}]}
",
        );
        let expected = [
            "spec.apiVersion: unknown version \"v1\"",
            "spec.actions[0].events[0].jsonpath.property:",
            "spec.actions[0].events[0].conditions[0].match:",
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
