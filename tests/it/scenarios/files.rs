//! Where the files of Jobs come from.

use coxswain::{
    api::Scope,
    cli::add_resource::{
        plan::{Resource, planned},
        write,
    },
    testing::{server::Kind, world::NAMESPACE},
};
use k8s_openapi::api::core::v1::ConfigMap;
use serde_json::{Value, json};

use super::*;

/// The shop, in which restarting needs `charts`, after another Job of 20 seconds.
fn shop(sources: &str) -> String {
    SHOP.replace(
        "tasks: [{name: restart, image: kubectl, cmd: [action-restart]}]",
        "tasks: [{name: prepare, image: kubectl, cmd: [prepare]}, \
         {name: restart, image: kubectl, cmd: [action-restart], files: [/charts]}]",
    )
    .replace(
        "metadata: {name: cart}\nspec:\n  project: shop\n  actions:",
        &format!("metadata: {{name: cart}}\nspec:\n  project: shop\n  sources: {sources}\n  actions:"),
    )
}

const FLUX: &str = "[{path: charts, sourceRef: {kind: GitRepository, name: deploy, path: ./kubernetes}}]";

async fn open(world: World, sources: &str) -> Shop {
    let shop = Shop::open_with(world, &shop(sources), "restart").await;
    let metrics = shop.world.metrics.clone();
    shop.world.player.script(move |job| {
        let metrics = metrics.clone();
        let heals = mentions(job, "action-restart");
        let length = if mentions(job, "prepare") { 20 } else { 2 };
        Play::exits(0).running(secs(length)).and_then(move |_, _| {
            if heals {
                metrics.are(0.1);
            }
        })
    });
    shop
}

fn serve_flux(world: &World) {
    world.server.serve(Kind {
        group: "source.toolkit.fluxcd.io".to_owned(),
        version: "v1".to_owned(),
        plural: "gitrepositories".to_owned(),
        kind: "GitRepository".to_owned(),
        namespaced: true,
        status: false,
        custom: true,
        selectable: vec![],
        schema: None,
    });
}

/// A GitRepository at this commit.
fn repository(commit: &str, ready: &str) -> String {
    let digest = commit.repeat(64);
    format!(
        "{{apiVersion: source.toolkit.fluxcd.io/v1, kind: GitRepository, metadata: {{name: deploy}}, status: {{\
         conditions: [{{type: Ready, status: '{ready}', message: 'authentication failed'}}], \
         artifact: {{url: 'http://source-controller/{commit}.tar.gz', digest: 'sha256:{digest}', revision: 'main@sha1:{commit}'}}}}}}"
    )
}

/// The Job that restarts.
fn restart(world: &World) -> Value {
    let jobs = world.list::<Job>();
    let job = jobs.into_iter().find(|job| mentions(job, "action-restart"));
    serde_json::to_value(job.expect("a Job that restarts")).unwrap()
}

fn add(name: &str, labels: &str, key: &str) -> String {
    format!(
        "{{apiVersion: v1, kind: ConfigMap, metadata: {{name: {name}, labels: {{coxswain.dev/project: shop, {labels}}}, \
         annotations: {{coxswain.dev/directory: charts}}}}, data: {{{key}: x}}}}"
    )
}

#[test]
fn labelled_config_maps_give_files_the_most_specific_first() {
    World::run(async |world: World| {
        world.apply(&add("of-project", "", "values.yaml"));
        world.apply(&add("of-project", "", "common.yaml"));
        world.apply(&add("elsewhere", "coxswain.dev/stage: qa", "values.yaml"));
        let resource = Resource {
            local: "values.yaml".to_owned(),
            remote: "charts/values.yaml".to_owned(),
            size: 1,
            content: b"y".to_vec(),
        };
        let scope = Scope {
            project: "shop".to_owned(),
            stage: Some("production".to_owned()),
            service: Some("cart".to_owned()),
        };
        let add = || planned(vec![resource.clone()], &scope, None).unwrap();
        let told = write(&world.client, NAMESPACE, add()).await.unwrap();
        assert!(
            told[0].ends_with("created (charts/values.yaml, 1 bytes)"),
            "{told:?}"
        );
        let told = write(&world.client, NAMESPACE, add()).await.unwrap();
        assert!(told[0].contains(" unchanged "), "{told:?}");
        let own = told[0].split(['/', ' ']).nth(1).unwrap().to_owned();
        assert!(world.get::<ConfigMap>(&own).is_some());

        let shop = open(world, "[]").await;
        shop.problem("slow-1");
        let status = shop.ended("slow-1", mins(10)).await;
        assert_eq!(end(&status), ("Succeeded", "Healed"), "{}", status.message);
        let job = restart(&shop.world);
        let pod = &job["spec"]["template"]["spec"];
        assert!(pod["initContainers"].is_null());
        let volumes = pod["volumes"].as_array().unwrap();
        let files = volumes.iter().find(|v| v["name"] == "files").unwrap();
        let mut items: Vec<String> = vec![];
        for source in files["projected"]["sources"].as_array().unwrap() {
            let map = &source["configMap"];
            let paths = map["items"].as_array().unwrap().iter();
            items.extend(paths.map(|i| {
                format!(
                    "{} <- {}",
                    i["path"].as_str().unwrap(),
                    map["name"].as_str().unwrap()
                )
            }));
        }
        items.sort();
        assert_eq!(
            items,
            [
                "charts/common.yaml <- of-project".to_owned(),
                format!("charts/values.yaml <- {own}")
            ]
        );
    });
}

#[test]
fn a_missing_file_is_told_before_anything_starts() {
    World::run(async |world: World| {
        world.apply(&add("of-project", "", "x").replace("charts", "chart"));
        let shop = open(world, "[]").await;
        shop.problem("slow-1");
        let status = shop
            .until("slow-1", "the end of the first attempt", mins(5), |s| {
                s.attempts.first().is_some_and(|a| a.finished_at.is_some())
            })
            .await;
        let task = &status.attempts[0].tasks[1];
        assert_eq!(task.status.as_deref(), Some("errored"));
        let said = &task.message;
        for part in [
            "has the file or directory charts; did you mean \"chart\"?",
            "coxswain add-resource --project=shop --stage=production --service=cart --resource=FILE --resourceUri=charts",
        ] {
            assert!(said.contains(part), "{said}");
        }
        assert_eq!(task.jobs[0].state, "Skipped");
        assert_eq!(task.jobs[1].reason, "MissingFile");
        assert!(shop.world.list::<Job>().is_empty(), "nothing started");
    });
}

#[test]
fn an_attempt_stays_with_the_artifact_that_it_began_with() {
    World::run(async |world: World| {
        serve_flux(&world);
        world.apply(&repository("a", "True"));
        let shop = open(world, FLUX).await;
        shop.problem("slow-1");
        let running = |s: &SequenceExecutionStatus| {
            find_task(s, "action").is_some_and(|t| t.jobs.first().is_some_and(|j| j.state == "Running"))
        };
        let status = shop.until("slow-1", "the first Job", mins(1), running).await;
        let pinned = status.plan.unwrap().pinned;
        let pinned = pinned.iter().find(|p| p.kind == "GitRepository").unwrap();
        assert_eq!(
            pinned.hash.as_deref(),
            Some(format!("main@sha1:a sha256:{}", "a".repeat(64)).as_str())
        );
        // The source moves on while the Job before it runs.
        shop.world.apply(&repository("b", "True"));
        let status = shop.ended("slow-1", mins(10)).await;
        assert_eq!(end(&status), ("Succeeded", "Healed"), "{}", status.message);
        let job = restart(&shop.world);
        let digest = format!("sha256:{}", "a".repeat(64));
        assert_eq!(
            job["metadata"]["annotations"]["coxswain.dev/revisions"],
            format!("GitRepository deploy (main@sha1:a) {digest}")
        );
        let pod = &job["spec"]["template"]["spec"];
        let init = &pod["initContainers"][0];
        assert_eq!(
            (&init["name"], &init["image"]),
            (&json!("fetch"), &json!("coxswain:test"))
        );
        assert_eq!(init["securityContext"], pod["containers"][0]["securityContext"]);
        let plan: Value = serde_json::from_str(init["args"][2].as_str().unwrap()).unwrap();
        assert_eq!(
            plan,
            json!({"files": ["charts"], "artifacts": [{
                "source": "GitRepository deploy (main@sha1:a)", "url": "http://source-controller/a.tar.gz",
                "digest": digest, "from": "kubernetes", "to": "charts",
            }]})
        );
        assert_eq!(pod["automountServiceAccountToken"], false);
    });
}

/// Whatever is wrong with a source is told, and no Job starts; another action goes on.
fn the_source_is_not_usable(prepare: impl Fn(&World), says: &str) {
    World::run(async |world: World| {
        prepare(&world);
        let shop = open(world, FLUX).await;
        heals(&shop.world, "scale");
        shop.problem("slow-1");
        let status = shop.ended("slow-1", mins(15)).await;
        let task = &status.attempts[0].tasks[1];
        assert_eq!(task.jobs[1].reason, "SourceNotReady");
        assert!(task.message.contains(says), "{}", task.message);
        assert_eq!(end(&status), ("Succeeded", "Healed"), "{}", status.message);
        assert!(
            shop.world
                .list::<Job>()
                .iter()
                .all(|job| !mentions(job, "prepare"))
        );
    });
}

#[test]
fn a_source_that_is_not_ready_is_told() {
    the_source_is_not_usable(
        |world| {
            serve_flux(world);
            world.apply(&repository("a", "False"));
        },
        "GitRepository deploy, which \"charts\" comes from: it is not ready: authentication failed",
    );
}

#[test]
fn a_source_that_is_not_there_is_told() {
    the_source_is_not_usable(
        serve_flux,
        "GitRepository deploy, which \"charts\" comes from: there is none of this name",
    );
}

#[test]
fn a_cluster_without_flux_is_told() {
    the_source_is_not_usable(|_| {}, "this cluster does not know the kind");
}
