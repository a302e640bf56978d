//! What is wrong with a JobConfig that its schema does not show.

mod filter;

use std::collections::BTreeSet;

use super::{checked::Checked, files};
use crate::{
    api::{JobConfigSpec, jobconfig::Condition},
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
        for (index, event) in action.events.iter().enumerate() {
            wrong.extend(below(&format!("{at}.events[{index}]"), filter::problems(event)));
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
            let read = Checked::read(job, own_namespace);
            wrong.extend(below(&at, read.err().unwrap_or_default()));
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

/// The same problems, of something that is at this path.
pub(super) fn below(at: &str, wrong: Vec<Invalid>) -> Vec<Invalid> {
    wrong
        .into_iter()
        .map(|invalid| Invalid::new(format!("{at}.{}", invalid.path), invalid.message))
        .collect()
}

pub(super) fn conditions(field: &str, list: &[Condition]) -> Vec<Invalid> {
    let each = list.iter().enumerate();
    each.flat_map(|(index, one)| below(&format!("{field}[{index}]"), condition(one)))
        .collect()
}

/// What is wrong with a condition; paths are below it. (The API server refuses the second mistake too; a file has no API server.)
pub(super) fn condition(condition: &Condition) -> Vec<Invalid> {
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

    /// Found by the fuzz test: the API server would refuse the Job, whose file had an empty path.
    #[rstest]
    #[case("{path: /, configMap: {name: x, key: a}}", "path")]
    #[case("{path: /, secret: {name: x, key: a}}", "path")]
    #[case(
        "{path: b, secret: {name: x, items: [{key: a, path: /}]}}",
        "secret.items[0].path"
    )]
    fn a_file_can_not_be_put_where_the_directory_is(#[case] source: &str, #[case] field: &str) {
        let found = wrong(&format!("{{project: p, sources: [{source}], actions: []}}"));
        let says = format!("spec.sources[0].{field}: \"/\" is a directory: write the file's path");
        assert!(found.len() == 1 && found[0].starts_with(&says), "{found:?}");
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
}
