//! What Jobs look like.

use rstest::rstest;
use serde_json::{Value, json};

use super::{
    build::{JobError, JobInput, build, key, name, timeout},
    matching::matching,
};
use crate::{
    api::{
        Duration, JobConfig, SequenceExecution,
        common::Object,
        execution::PinnedJobConfig,
        jobconfig::{JobAction, JobTask},
        shipyard::Task,
    },
    core::event,
};

const TUTORIAL: &str = include_str!("../../../examples/tutorial/jobconfig.yaml");

fn execution() -> SequenceExecution {
    serde_json::from_value(json!({
        "metadata": {"name": "slow-1-abc", "namespace": "shop", "uid": "5f1c"},
        "spec": {
            "project": "fulltour", "stage": "production", "service": "helloservice", "sequence": "remediation",
            "labels": {"app-version": "1.2", "build datetime": "$(HOME) 5$", "a/b": "x"},
        },
    }))
    .unwrap()
}

fn tutorial() -> PinnedJobConfig {
    let spec = serde_yaml::from_str::<JobConfig>(TUTORIAL).unwrap().spec;
    let of_map =
        |name: &str, keys: &[&str]| (name.to_owned(), keys.iter().map(|k| (*k).to_owned()).collect());
    PinnedJobConfig {
        name: "helloservice".into(),
        specificity: 3,
        actions: spec.actions,
        sources: spec.sources,
        keys: [
            of_map("helloservice-chart", &["helloservice.tgz"]),
            of_map("helloservice-locust", &["basic.py", "locust.conf"]),
        ]
        .into(),
        ..PinnedJobConfig::default()
    }
}

fn event_of(task: &Task, payload: Value) -> Value {
    let Value::Object(payload) = payload else {
        panic!("{payload} is no object")
    };
    event::triggered(&execution(), 1, 0, task, &payload, jiff::Timestamp::UNIX_EPOCH)
}

/// The first Job of the tutorial's task of this name.
fn of_tutorial(task_name: &str, payload: Value) -> Result<Value, JobError> {
    let (config, execution) = ([tutorial()], execution());
    let task = Task {
        name: task_name.into(),
        ..Task::default()
    };
    let event = event_of(&task, payload);
    let matched = matching(&config, &event).unwrap()[0];
    let input = JobInput {
        execution: &execution,
        attempt: 1,
        task: &task,
        task_index: 1,
        config: matched.config,
        action_index: matched.action_index,
        key_index: matched.index,
        job_index: 0,
        try_: 1,
        event: &event,
    };
    let job = build(&input)?;
    assert_eq!(job.metadata.name, Some(name(&input)));
    assert_eq!(
        job.metadata.annotations.as_ref().unwrap()["coxswain.dev/key"],
        key(&input)
    );
    Ok(serde_json::to_value(job).unwrap())
}

/// A Job of one task with these fields.
fn with(fields: Value, payload: Value) -> Result<Value, JobError> {
    let mut job = json!({"name": "t", "image": "i"});
    job.as_object_mut()
        .unwrap()
        .extend(fields.as_object().unwrap().clone());
    let job: JobTask = serde_json::from_value(job).unwrap();
    let action = JobAction {
        name: "a".into(),
        tasks: vec![job],
        ..JobAction::default()
    };
    let config = PinnedJobConfig {
        name: "c".into(),
        actions: vec![action],
        ..PinnedJobConfig::default()
    };
    let task = Task {
        name: "test".into(),
        ..Task::default()
    };
    let event = event_of(&task, payload);
    let input = JobInput {
        execution: &execution(),
        attempt: 2,
        task: &task,
        task_index: 0,
        config: &config,
        action_index: 0,
        key_index: 4,
        job_index: 0,
        try_: 1,
        event: &event,
    };
    build(&input).map(|job| serde_json::to_value(job).unwrap())
}

fn env(job: &Value) -> Vec<(String, String)> {
    let env = job["spec"]["template"]["spec"]["containers"][0]["env"]
        .as_array()
        .unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    env.iter()
        .map(|e| (text(&e["name"]), text(&e["value"])))
        .collect()
}

fn value_of(job: &Value, variable: &str) -> String {
    env(job).into_iter().find(|(name, _)| name == variable).unwrap().1
}

#[test]
fn the_tutorial_s_scale_job() {
    let job = of_tutorial("action", json!({"action": {"action": "scale", "value": "2"}})).unwrap();
    insta::assert_yaml_snapshot!(job, @r#"
    apiVersion: batch/v1
    kind: Job
    metadata:
      annotations:
        coxswain.dev/key: 5f1c/1/1/2/0/1
      labels:
        app.kubernetes.io/managed-by: coxswain
        coxswain.dev/attempt: "1"
        coxswain.dev/context: 5f1c
        coxswain.dev/execution: slow-1-abc
        coxswain.dev/project: fulltour
        coxswain.dev/service: helloservice
        coxswain.dev/stage: production
        coxswain.dev/task: action
      name: helloservice-action-zhrtakcvyw
      namespace: shop
      ownerReferences:
        - apiVersion: coxswain.dev/v1alpha1
          controller: true
          kind: SequenceExecution
          name: slow-1-abc
          uid: 5f1c
    spec:
      activeDeadlineSeconds: 600
      backoffLimit: 0
      completions: 1
      parallelism: 1
      podReplacementPolicy: Failed
      template:
        metadata:
          annotations:
            coxswain.dev/key: 5f1c/1/1/2/0/1
          labels:
            app.kubernetes.io/managed-by: coxswain
            coxswain.dev/attempt: "1"
            coxswain.dev/context: 5f1c
            coxswain.dev/execution: slow-1-abc
            coxswain.dev/project: fulltour
            coxswain.dev/service: helloservice
            coxswain.dev/stage: production
            coxswain.dev/task: action
        spec:
          automountServiceAccountToken: true
          containers:
            - args:
                - upgrade
                - "-n"
                - $(KEPTN_PROJECT)-$(KEPTN_STAGE)
                - $(KEPTN_SERVICE)
                - /keptn/charts/$(KEPTN_SERVICE).tgz
                - "--set"
                - replicaCount=$(REPLICA_COUNT)
              command:
                - helm
              env:
                - name: KEPTN_PROJECT
                  value: fulltour
                - name: KEPTN_STAGE
                  value: production
                - name: KEPTN_SERVICE
                  value: helloservice
                - name: COXSWAIN_KEY
                  value: 5f1c/1/1/2/0/1
                - name: COXSWAIN_EXECUTION
                  value: slow-1-abc
                - name: COXSWAIN_ATTEMPT
                  value: "1"
                - name: HOME
                  value: /tmp
                - name: LABELS_A_B
                  value: x
                - name: LABELS_APP_VERSION
                  value: "1.2"
                - name: LABELS_BUILD_DATETIME
                  value: $$(HOME) 5$$
                - name: REPLICA_COUNT
                  value: "2"
              image: "alpine/helm:3.9.0"
              name: task
              resources:
                limits:
                  cpu: "1"
                  memory: 512Mi
                requests:
                  cpu: 50m
                  memory: 128Mi
              securityContext:
                allowPrivilegeEscalation: false
                capabilities:
                  drop:
                    - ALL
                readOnlyRootFilesystem: true
                runAsGroup: 2000
                runAsNonRoot: true
                runAsUser: 1000
                seccompProfile:
                  type: RuntimeDefault
              terminationMessagePolicy: FallbackToLogsOnError
              volumeMounts:
                - mountPath: /tmp
                  name: tmp
                - mountPath: /keptn
                  name: files
                  readOnly: true
          enableServiceLinks: false
          restartPolicy: Never
          serviceAccountName: jes-deploy-using-helm
          volumes:
            - emptyDir:
                sizeLimit: 1Gi
              name: tmp
            - name: files
              projected:
                defaultMode: 365
                sources:
                  - configMap:
                      items:
                        - key: helloservice.tgz
                          path: charts/helloservice.tgz
                      name: helloservice-chart
      ttlSecondsAfterFinished: 21600
    "#);
}

#[test]
fn the_tutorial_s_load_test_mounts_its_two_files() {
    let job = of_tutorial("je-test", json!({})).unwrap();
    let pod = &job["spec"]["template"]["spec"];
    assert_eq!(
        pod["volumes"][1]["projected"]["sources"],
        json!([{"configMap": {"name": "helloservice-locust", "items": [
            {"key": "basic.py", "path": "locust/basic.py"}, {"key": "locust.conf", "path": "locust/locust.conf"}]}}])
    );
    assert_eq!(pod["automountServiceAccountToken"], false);
    assert_eq!(pod["serviceAccountName"], Value::Null);
}

#[test]
fn what_users_write_may_refer_to_what_we_set() {
    let own = json!({"env": [
        {"name": "A", "value": "x $(KEPTN_STAGE)", "valueFrom": "string"},
        {"name": "creds", "valueFrom": "secret"},
        {"name": "B", "value": "$.data.n", "valueFrom": "event"},
    ]});
    let job = with(own, json!({"n": 1_000_000})).unwrap();
    let expected = [
        ("KEPTN_PROJECT", "fulltour"),
        ("KEPTN_STAGE", "production"),
        ("KEPTN_SERVICE", "helloservice"),
        ("COXSWAIN_KEY", "5f1c/2/0/4/0/1"),
        ("COXSWAIN_EXECUTION", "slow-1-abc"),
        ("COXSWAIN_ATTEMPT", "2"),
        ("HOME", "/tmp"),
        ("LABELS_A_B", "x"),
        ("LABELS_APP_VERSION", "1.2"),
        ("LABELS_BUILD_DATETIME", "$$(HOME) 5$$"),
        ("A", "x $(KEPTN_STAGE)"),
        ("B", "1000000"),
    ];
    assert_eq!(env(&job), expected.map(|(n, v)| (n.to_owned(), v.to_owned())));
    let container = &job["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(container["envFrom"], json!([{"secretRef": {"name": "creds"}}]));
}

#[rstest]
#[case::string("$.data.deployment.uris[0]", None, "https://a")]
#[case::object(
    "$.data.deployment",
    None,
    r#"{"mode":"<&>","uris":["https://a","https://b"]}"#
)]
#[case::list("$.data.deployment.uris", None, r#"["https://a","https://b"]"#)]
#[case::list_as_yaml("$.data.deployment.uris", Some("yaml"), "- https://a\n- https://b\n")]
#[case::string_as_json("$.data.deployment.uris[0]", Some("json"), r#""https://a""#)]
#[case::number("$.data.n", None, "0.1")]
#[case::boolean("$.data.b", None, "true")]
#[case::null_as_json("$.data.null", Some("json"), "null")]
#[case::never_expanded("$.data.attack", None, "$$(COXSWAIN_KEY) $$$$(X)")]
#[case::whole_event("$.type", None, "sh.keptn.event.test.triggered")]
fn a_value_from_the_event(#[case] path: &str, #[case] form: Option<&str>, #[case] expected: &str) {
    let payload = json!({
        "deployment": {"uris": ["https://a", "https://b"], "mode": "<&>"},
        "n": 0.1, "b": true, "null": null, "attack": "$(COXSWAIN_KEY) $$(X)",
    });
    let job = with(
        json!({"env": [{"name": "V", "value": path, "valueFrom": "event", "as": form}]}),
        payload,
    )
    .unwrap();
    assert_eq!(value_of(&job, "V"), expected);
}

#[rstest]
#[case::missing(
    json!({"env": [{"name": "V", "value": "$.data.nope", "valueFrom": "event"}]}),
    "MissingValue",
    r#"JobConfig c, "t": the variable V is made from $.data.nope, but there is nothing: let an earlier task or the trigger provide it"#
)]
#[case::null(
    json!({"env": [{"name": "V", "value": "$.data.null", "valueFrom": "event"}]}),
    "MissingValue",
    r#"JobConfig c, "t": the variable V is made from $.data.null, but there is null: let an earlier task or the trigger provide it"#
)]
#[case::file(
    json!({"files": ["x"]}),
    "MissingFile",
    r#"JobConfig c, "t": neither spec.sources nor a ConfigMap labelled for service helloservice in stage production, service helloservice, stage production or project fulltour has the file or directory x (to add it: coxswain add-resource --project=fulltour --stage=production --service=helloservice --resource=FILE --resourceUri=x)"#
)]
#[case::privileged(
    json!({"securityContext": {"privileged": true}}),
    "InvalidJobConfig",
    r#"JobConfig c, "t": securityContext.privileged: privileged containers are refused: add the one capability that is needed under capabilities.add"#
)]
#[case::namespace(
    json!({"namespace": "other"}),
    "InvalidJobConfig",
    r#"JobConfig c, "t": namespace: Jobs run in the namespace of their JobConfig, shop, not in other: leave the field out, and let the service account reach other by a RoleBinding there"#
)]
#[case::value_from(
    json!({"env": [{"name": "V", "value": "x", "valueFrom": "file"}]}),
    "InvalidJobConfig",
    r#"JobConfig c, "t": env[0].valueFrom: unknown valueFrom "file"; there is "event", "string", "secret", "configMap", "execution""#
)]
fn a_job_that_can_t_be_made_says_why(#[case] fields: Value, #[case] reason: &str, #[case] message: &str) {
    let error = with(fields, json!({"null": null})).unwrap_err();
    assert_eq!((error.reason(), error.to_string().as_str()), (reason, message));
}

#[test]
fn what_the_task_says_replaces_the_defaults() {
    let job = with(
        json!({
            "ttlSecondsAfterFinished": 0, "maxPollDuration": 90, "imagePullPolicy": "Never", "workingDir": "/tmp/w",
            "resources": {"limits": {"memory": "1Gi"}}, "securityContext": {"readOnlyRootFilesystem": false},
            "serviceAccount": "deployer", "annotations": {"a": "b"}, "labels": {"team": "shop"},
            "timeout": "45s", "priorityClassName": "low", "nodeSelector": {"disk": "ssd"},
            "imagePullSecrets": [{"name": "registry"}], "volumes": [{"name": "shm", "emptyDir": {"medium": "Memory"}}],
            "volumeMounts": [{"name": "shm", "mountPath": "/dev/shm"}],
            "env": [{"name": "HOME", "value": "/home/me", "valueFrom": "string"}],
        }),
        json!({}),
    )
    .unwrap();
    let spec = &job["spec"];
    assert_eq!(
        (&spec["ttlSecondsAfterFinished"], &spec["activeDeadlineSeconds"]),
        (&json!(600), &json!(45))
    );
    let pod = &spec["template"]["spec"];
    let container = &pod["containers"][0];
    assert_eq!(
        (&container["imagePullPolicy"], &container["workingDir"]),
        (&json!("Never"), &json!("/tmp/w"))
    );
    assert_eq!(container["resources"], json!({"limits": {"memory": "1Gi"}}));
    assert_eq!(container["securityContext"]["readOnlyRootFilesystem"], false);
    assert_eq!(container["securityContext"]["runAsUser"], 1000);
    assert_eq!(
        (&pod["serviceAccountName"], &pod["automountServiceAccountToken"]),
        (&json!("deployer"), &json!(true))
    );
    assert_eq!(
        json!([
            pod["priorityClassName"],
            pod["nodeSelector"],
            pod["imagePullSecrets"]
        ]),
        json!(["low", {"disk": "ssd"}, [{"name": "registry"}]])
    );
    assert_eq!(
        json!([pod["volumes"][1], container["volumeMounts"][1]]),
        json!([{"name": "shm", "emptyDir": {"medium": "Memory"}}, {"name": "shm", "mountPath": "/dev/shm"}])
    );
    for labels in [
        &job["metadata"]["labels"],
        &spec["template"]["metadata"]["labels"],
    ] {
        assert_eq!(
            (&labels["team"], &labels["coxswain.dev/task"]),
            (&json!("shop"), &json!("test"))
        );
    }
    let annotations = &spec["template"]["metadata"]["annotations"];
    assert_eq!(
        annotations,
        &json!({"a": "b", "coxswain.dev/key": "5f1c/2/0/4/0/1"})
    );
    assert_eq!(env(&job).iter().filter(|(name, _)| name == "HOME").count(), 1);
}

#[rstest]
#[case(Some(20), Some(30), Some(60), 20)]
#[case(None, Some(30), Some(60), 30)]
#[case(None, None, Some(60), 60)]
#[case(None, None, None, 600)]
#[case(None, Some(0), Some(60), 60)]
fn the_deadline(
    #[case] own: Option<u64>,
    #[case] v1_s: Option<i64>,
    #[case] of_task: Option<u64>,
    #[case] seconds: u64,
) {
    let job = JobTask {
        timeout: own.map(Duration::from_secs),
        max_poll_duration: v1_s,
        ..JobTask::default()
    };
    let task = Task {
        timeout: of_task.map(Duration::from_secs),
        ..Task::default()
    };
    assert_eq!(timeout(&job, &task), Duration::from_secs(seconds));
}

#[test]
fn indexes_that_name_nothing_are_an_error() {
    let config = PinnedJobConfig {
        name: "c".into(),
        ..PinnedJobConfig::default()
    };
    let (execution, task) = (execution(), Task::default());
    let event = event::triggered(
        &execution,
        1,
        0,
        &task,
        &Object::new(),
        jiff::Timestamp::UNIX_EPOCH,
    );
    let input = JobInput {
        execution: &execution,
        attempt: 1,
        task: &task,
        task_index: 0,
        config: &config,
        action_index: 3,
        key_index: 3,
        job_index: 0,
        try_: 1,
        event: &event,
    };
    assert_eq!(build(&input).unwrap_err().reason(), "NoSuchJob");
}
