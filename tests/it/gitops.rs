//! What GitOps tools write on the objects that they apply, and what they ask of them.

use std::{fs, path::Path};

use coxswain::{
    api::{
        Approval, Delivery, Evaluation, HasConfigStatus, JobConfig, MetricsProvider, ProblemEvent,
        Remediation, SequenceExecution, Shipyard, condition_is,
    },
    core::labels,
    testing::{Play, World},
};
use k8s_openapi::api::{batch::v1::Job, core::v1::Pod};
use kube::{Resource, ResourceExt};
use rstest::rstest;
use serde_json::{Value, json};

use crate::{
    jobs::{coxswain, text},
    scenarios::{SHOP, mins, over, run_of, secs, start, status},
};

/// By these Argo CD, Flux and Helm know what they applied, and prune what is not in Git.
const TRACKING_LABELS: [&str; 6] = [
    "app.kubernetes.io/instance",
    "argocd.argoproj.io/instance",
    "kustomize.toolkit.fluxcd.io/name",
    "kustomize.toolkit.fluxcd.io/namespace",
    "helm.toolkit.fluxcd.io/name",
    "helm.toolkit.fluxcd.io/namespace",
];
const TRACKING_ANNOTATIONS: [&str; 4] = [
    "argocd.argoproj.io/tracking-id",
    "argocd.argoproj.io/hook",
    "argocd.argoproj.io/sync-wave",
    "meta.helm.sh/release-name",
];

/// The manifest as a GitOps tool applies it, and as people write it who label everything.
fn synced(yaml: &str) -> String {
    let mark = |document: &str| {
        let mut object: Value = serde_yaml::from_str(document).unwrap();
        for (field, keys) in [
            ("labels", &TRACKING_LABELS[..]),
            ("annotations", &TRACKING_ANNOTATIONS[..]),
        ] {
            for key in keys {
                object["metadata"][field][*key] = "shop-app".into();
            }
        }
        serde_yaml::to_string(&object).unwrap()
    };
    yaml.split("---\n").map(mark).collect::<Vec<_>>().join("---\n")
}

/// The keys by which a tool would take the object for its own.
fn marks(object: &impl Resource) -> Vec<String> {
    let meta = object.meta();
    let keys = [&meta.labels, &meta.annotations]
        .into_iter()
        .flatten()
        .flat_map(|map| map.keys());
    let tracked = |key: &&String| {
        TRACKING_LABELS.contains(&key.as_str()) || TRACKING_ANNOTATIONS.contains(&key.as_str())
    };
    keys.filter(tracked).cloned().collect()
}

const TWO_STAGES: &str = "
apiVersion: coxswain.dev/v1alpha1
kind: Shipyard
metadata: {name: flow}
spec:
  stages:
    - name: staging
      sequences: [{name: delivery, tasks: [{name: je-test}]}]
    - name: production
      sequences:
        - name: delivery
          triggeredOn: [{event: staging.delivery.finished}]
          tasks: [{name: approval, properties: {pass: manual}}, {name: je-test}]
---
apiVersion: coxswain.dev/v1alpha1
kind: JobConfig
metadata: {name: flow}
spec:
  project: flow
  actions:
    - name: Test
      events: [{name: sh.keptn.event.je-test.triggered}]
      tasks: [{name: load, image: locust}]
---
apiVersion: coxswain.dev/v1alpha1
kind: Delivery
metadata: {name: cart}
spec: {project: flow, service: cart, image: \"cart:1\", labels: {team: shop}}
";

/// A tool that found its marks on a Job would show it as a part of the application that is not in Git, and prune it in the
/// middle of its work.
#[test]
fn the_marks_of_gitops_tools_stay_where_they_were_put() {
    World::run(async |world: World| {
        let problem = "
apiVersion: coxswain.dev/v1alpha1
kind: ProblemEvent
metadata: {name: slow-1}
spec: {project: shop, stage: production, service: cart, problem: {problemTitle: slow}, labels: {team: shop}}
";
        world.apply(&synced(&format!(
            "{SHOP}---\n{}---\n{}",
            problem.trim_start(),
            TWO_STAGES.trim_start()
        )));
        world.player.script(|_| Play::exits(0));
        start(&world, "operator");
        over(&world, "slow-1").await;
        let asked = |w: &World| !w.list::<Approval>().is_empty();
        world.wait_until("asked", mins(10), asked).await;

        let own = |run: &SequenceExecution| marks(run);
        let runs = world.list::<SequenceExecution>();
        assert_eq!(runs.len(), 3, "one of the problem, two of the delivery");
        assert!(runs.iter().all(|r| own(r).is_empty()), "{runs:#?}");
        let jobs = world.list::<Job>();
        assert!(jobs.len() >= 3, "{}", jobs.len());
        assert!(jobs.iter().all(|j| marks(j).is_empty()), "{jobs:#?}");
        let template = |job: &Job| {
            job.spec
                .as_ref()
                .unwrap()
                .template
                .metadata
                .clone()
                .unwrap_or_default()
        };
        for job in &jobs {
            let pod = Pod {
                metadata: template(job),
                ..Pod::default()
            };
            assert!(marks(&pod).is_empty(), "{pod:#?}");
        }
        assert!(!world.list::<Evaluation>().is_empty());
        assert!(world.list::<Evaluation>().iter().all(|e| marks(e).is_empty()));
        assert!(world.list::<Approval>().iter().all(|a| marks(a).is_empty()));

        // What was synced keeps its marks.
        let marked = TRACKING_LABELS.len() + TRACKING_ANNOTATIONS.len();
        assert_eq!(marks(&world.get::<ProblemEvent>("slow-1").unwrap()).len(), marked);
        assert_eq!(marks(&world.get::<Delivery>("cart").unwrap()).len(), marked);
        assert_eq!(marks(&world.get::<JobConfig>("cart").unwrap()).len(), marked);
    });
}

fn ask<K: coxswain::testing::server::Typed>(world: &World, name: &str, at: &str) {
    world.edit::<K>(name, |object| {
        object
            .annotations_mut()
            .insert(labels::RECONCILE.to_owned(), at.to_owned());
    });
}

#[test]
fn a_definition_answers_the_wish_to_be_looked_at() {
    World::run(async |world: World| {
        world.apply(SHOP);
        start(&world, "operator");
        world.sleep(secs(5)).await;
        let handled = |world: &World| {
            [
                world
                    .get::<Shipyard>("shop")
                    .unwrap()
                    .status
                    .unwrap()
                    .config()
                    .clone(),
                world
                    .get::<JobConfig>("cart")
                    .unwrap()
                    .status
                    .unwrap()
                    .config()
                    .clone(),
                world.get::<Remediation>("cart").unwrap().status.unwrap(),
                world
                    .get::<MetricsProvider>("prometheus")
                    .unwrap()
                    .status
                    .unwrap(),
            ]
        };
        let none = handled(&world);
        assert!(
            none.iter().all(|s| s.last_handled_reconcile_at.is_none()),
            "{none:?}"
        );
        for at in ["2026-01-05T10:00:00.5Z", "2026-01-05T11:00:00Z"] {
            ask::<Shipyard>(&world, "shop", at);
            ask::<JobConfig>(&world, "cart", at);
            ask::<Remediation>(&world, "cart", at);
            ask::<MetricsProvider>(&world, "prometheus", at);
            world.sleep(secs(2)).await;
            for status in handled(&world) {
                assert_eq!(status.last_handled_reconcile_at.as_deref(), Some(at));
                assert!(condition_is(&status.conditions, "Ready", "True"));
            }
        }
        let before = world.server.writes().len();
        world.sleep(mins(60)).await;
        assert_eq!(world.server.writes().len(), before, "answered once");
    });
}

#[test]
fn a_run_that_waits_answers_and_one_that_has_ended_does_not() {
    World::run(async |world: World| {
        world.apply(SHOP);
        world.metrics.are(1.2);
        start(&world, "operator");
        world.sleep(secs(5)).await;
        world.apply(&crate::scenarios::problem("slow-1", "slow"));
        let waits = |w: &World| {
            run_of(w, "slow-1")
                .and_then(|r| r.status)
                .is_some_and(|s| s.reason == "RetryAfter")
        };
        world.wait_until("waits", mins(10), waits).await;
        let run = run_of(&world, "slow-1").unwrap().name_any();
        let next = status(&world, "slow-1").next_attempt_at;
        ask::<SequenceExecution>(&world, &run, "now");
        world.sleep(secs(1)).await;
        let asked = status(&world, "slow-1");
        assert_eq!(asked.last_handled_reconcile_at.as_deref(), Some("now"));
        assert_eq!(
            asked.next_attempt_at, next,
            "looking is not acting: it waits as long as it was to wait"
        );
        over(&world, "slow-1").await;
        ask::<SequenceExecution>(&world, &run, "later");
        world.sleep(mins(1)).await;
        assert_eq!(
            status(&world, "slow-1").last_handled_reconcile_at.as_deref(),
            Some("now")
        );
    });
}

/// The Job of the action that commits to Git.
#[test]
fn the_example_that_commits_to_git_becomes_a_job() {
    let of = |name: &str| format!("examples/gitops/commit/{name}");
    let out = coxswain(&[
        "--config",
        &of("jobconfig.yaml"),
        "--event",
        &of("event.json"),
        "--output",
        "json",
    ]);
    assert!(out.status.success(), "{}", text(&out.stderr));
    let preview: Value = serde_json::from_slice(&out.stdout).unwrap();
    let container = &preview["jobs"][0]["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(container["command"], json!(["sh", "/keptn/gitops/commit.sh"]));
    let variable = |name: &str| {
        let env = container["env"].as_array().unwrap();
        env.iter()
            .find(|v| v["name"] == name)
            .unwrap_or_else(|| panic!("{name}: {env:?}"))["value"]
            .clone()
    };
    assert_eq!(variable("GIT_VALUE"), "4");
    assert_eq!(
        variable("GIT_FILE"),
        "$(KEPTN_STAGE)/$(KEPTN_SERVICE)/values.yaml"
    );
    assert_eq!(
        container["envFrom"],
        json!([{"secretRef": {"name": "git-credentials"}}])
    );
    assert_eq!(preview["skipped"], json!([]));
}

#[rstest]
#[case("commit/shipyard.yaml")]
#[case("commit/remediation.yaml")]
#[case("commit/jobconfig.yaml")]
#[case("argocd/postsync.yaml")]
fn what_the_examples_say_fits_the_schemas(#[case] name: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("examples/gitops")
        .join(name);
    let mut object: Value = serde_yaml::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    object["metadata"]["namespace"] = "demo".into();
    World::run(async |world: World| {
        world.server.apply_value(object).unwrap();
    });
}
