//! What an API server does, as far as controllers rely on it. The same list holds for the one in memory and, when
//! `COXSWAIN_TEST_KUBECONFIG` names a cluster with Coxswain's CRDs, for a real one.

use std::{collections::BTreeMap, time::Duration};

use coxswain::{api::SequenceExecution, testing::World};
use futures::{Stream, StreamExt, TryStreamExt};
use k8s_openapi::api::{
    batch::v1::Job,
    core::v1::{ConfigMap, Namespace},
};
use kube::{
    Api, Client, Resource, ResourceExt,
    api::{
        DeleteParams, ListParams, Patch, PatchParams, PostParams, Preconditions, PropagationPolicy,
        WatchEvent, WatchParams,
    },
    core::PartialObjectMeta,
    runtime::{WatchStreamExt, watcher},
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// A namespace of its own on some API server.
struct Case {
    client: Client,
    namespace: String,
}

impl Case {
    fn api<K>(&self) -> Api<K>
    where
        K: Resource<Scope = kube::core::NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }
}

macro_rules! conformance {
    ($($name:ident),* $(,)?) => {
        $(#[test]
        fn $name() {
            World::run(async |world: World| {
                cases::$name(case(&world.client, stringify!($name)).await).await;
            });
        })*

        async fn all(client: &Client) {
            $(
                println!("{}", stringify!($name));
                cases::$name(case(client, stringify!($name)).await).await;
            )*
        }
    };
}

conformance![
    creates_and_reads,
    names_taken_and_missing,
    a_write_from_an_old_version_conflicts,
    a_write_that_changes_nothing_is_no_write,
    status_and_spec_are_apart,
    generations_count_wishes,
    unknown_fields_are_pruned_and_defaults_filled,
    a_schema_refuses,
    bad_names_are_refused,
    patches,
    deletes_with_preconditions,
    finalizers_hold_objects,
    lists_select,
    unknown_field_selectors_are_refused,
    metadata_only,
    a_watch_tells_what_happens,
    a_selective_watch_adds_and_deletes,
    the_watcher_follows,
    dependents_go_with_their_owner,
    orphans_stay,
];

#[test]
#[ignore = "needs a control plane: hack/test.sh control-plane"]
fn the_real_one_does_the_same() {
    let path =
        std::env::var_os("COXSWAIN_TEST_KUBECONFIG").expect("COXSWAIN_TEST_KUBECONFIG names a cluster");
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let file = kube::config::Kubeconfig::read_from(path).unwrap();
        let options = kube::config::KubeConfigOptions::default();
        let config = kube::Config::from_custom_kubeconfig(file, &options);
        all(&Client::try_from(config.await.unwrap()).unwrap()).await;
    });
}

async fn case(client: &Client, name: &str) -> Case {
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let wanted = json!({"metadata": {"generateName": format!("{}-", name.replace('_', "-"))}});
    let created = namespaces
        .create(&PostParams::default(), &object(wanted))
        .await
        .unwrap();
    Case {
        client: client.clone(),
        namespace: created.name_any(),
    }
}

fn object<K: DeserializeOwned>(value: Value) -> K {
    serde_json::from_value(value).unwrap()
}

fn config_map(name: &str, data: &[(&str, &str)]) -> ConfigMap {
    let data: BTreeMap<_, _> = data
        .iter()
        .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
        .collect();
    object(json!({"metadata": {"name": name, "labels": {"app": name}}, "data": data}))
}

fn execution(name: &str) -> SequenceExecution {
    object(json!({
        "apiVersion": "coxswain.dev/v1alpha1",
        "kind": "SequenceExecution",
        "metadata": {"name": name},
        "spec": {"project": "p", "stage": "s", "service": "v", "sequence": "remediation"},
    }))
}

fn job(name: &str) -> Job {
    object(json!({
        "metadata": {"name": name},
        "spec": {"suspend": true, "template": {"spec": {
            "restartPolicy": "Never",
            "containers": [{"name": "c", "image": "none"}],
        }}},
    }))
}

fn refused<T: std::fmt::Debug>(result: kube::Result<T>) -> (u16, String) {
    match result {
        Err(kube::Error::Api(status)) => (status.code, status.reason.clone()),
        other => panic!("not refused: {other:?}"),
    }
}

async fn eventually(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let tries = async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), tries)
        .await
        .unwrap_or_else(|_| panic!("never {what}"));
}

/// The next event that is no bookmark: what happened, and to which object.
async fn next<S>(events: &mut S) -> (&'static str, String)
where
    S: Stream<Item = kube::Result<WatchEvent<SequenceExecution>>> + Unpin,
{
    loop {
        let event = tokio::time::timeout(Duration::from_secs(30), events.next())
            .await
            .expect("an event");
        match event.unwrap().unwrap() {
            WatchEvent::Added(o) => return ("ADDED", o.name_any()),
            WatchEvent::Modified(o) => return ("MODIFIED", o.name_any()),
            WatchEvent::Deleted(o) => return ("DELETED", o.name_any()),
            WatchEvent::Bookmark(_) => {}
            WatchEvent::Error(e) => panic!("{e:?}"),
        }
    }
}

mod cases {
    use super::*;

    pub async fn creates_and_reads(case: Case) {
        let maps = case.api::<ConfigMap>();
        let created = maps
            .create(&PostParams::default(), &config_map("a", &[("k", "v")]))
            .await
            .unwrap();
        assert!(created.uid().is_some() && created.creation_timestamp().is_some());
        let read = maps.get("a").await.unwrap();
        assert_eq!(read.data, created.data);
        assert_eq!(read.resource_version(), created.resource_version());
    }

    pub async fn names_taken_and_missing(case: Case) {
        let maps = case.api::<ConfigMap>();
        maps.create(&PostParams::default(), &config_map("a", &[]))
            .await
            .unwrap();
        let again = maps.create(&PostParams::default(), &config_map("a", &[])).await;
        assert_eq!(refused(again), (409, "AlreadyExists".to_owned()));
        assert_eq!(refused(maps.get("b").await), (404, "NotFound".to_owned()));
        assert_eq!(refused(maps.delete("b", &DeleteParams::default()).await).0, 404);
        let nowhere: Api<ConfigMap> = Api::namespaced(case.client.clone(), "no-such-namespace");
        assert_eq!(
            refused(
                nowhere
                    .create(&PostParams::default(), &config_map("a", &[]))
                    .await
            )
            .0,
            404
        );
    }

    pub async fn a_write_from_an_old_version_conflicts(case: Case) {
        let executions = case.api::<SequenceExecution>();
        let first = executions
            .create(&PostParams::default(), &execution("a"))
            .await
            .unwrap();
        let mut second = first.clone();
        second.status = Some(object(json!({"phase": "Running"})));
        let written = executions
            .replace_status("a", &PostParams::default(), &second)
            .await
            .unwrap();
        assert_ne!(written.resource_version(), first.resource_version());
        let late = executions
            .replace_status("a", &PostParams::default(), &second)
            .await;
        assert_eq!(refused(late), (409, "Conflict".to_owned()));
        let patch = json!({
            "metadata": {"resourceVersion": first.resource_version()},
            "status": {"phase": "Failed"},
        });
        let patched = executions
            .patch_status("a", &PatchParams::default(), &Patch::Merge(patch))
            .await;
        assert_eq!(refused(patched), (409, "Conflict".to_owned()));
        let mut versionless = written.clone();
        versionless.metadata.resource_version = None;
        assert_eq!(
            refused(
                executions
                    .replace("a", &PostParams::default(), &versionless)
                    .await
            )
            .0,
            422
        );
    }

    pub async fn a_write_that_changes_nothing_is_no_write(case: Case) {
        let executions = case.api::<SequenceExecution>();
        let mut object = executions
            .create(&PostParams::default(), &execution("a"))
            .await
            .unwrap();
        object.status = Some(super::object(json!({"phase": "Running"})));
        let once = executions
            .replace_status("a", &PostParams::default(), &object)
            .await
            .unwrap();
        let twice = executions
            .replace_status("a", &PostParams::default(), &once)
            .await
            .unwrap();
        assert_eq!(once.resource_version(), twice.resource_version());
    }

    pub async fn status_and_spec_are_apart(case: Case) {
        let executions = case.api::<SequenceExecution>();
        let mut wanted = execution("a");
        wanted.status = Some(object(json!({"phase": "Running"})));
        let created = executions.create(&PostParams::default(), &wanted).await.unwrap();
        assert!(created.status.is_none(), "a create keeps no status");

        let mut both = created.clone();
        both.status = Some(object(json!({"phase": "Running"})));
        both.spec.control = Some(object(json!({"desired": "Pause"})));
        both.labels_mut().insert("x".to_owned(), "y".to_owned());
        let written = executions
            .replace_status("a", &PostParams::default(), &both)
            .await
            .unwrap();
        assert_eq!(written.status.as_ref().unwrap().phase, "Running");
        assert!(
            written.spec.control.is_none() && written.labels().is_empty(),
            "status only"
        );

        let mut both = written.clone();
        both.status = Some(object(json!({"phase": "Failed"})));
        both.spec.control = Some(object(json!({"desired": "Pause"})));
        let written = executions
            .replace("a", &PostParams::default(), &both)
            .await
            .unwrap();
        assert_eq!(
            written.status.as_ref().unwrap().phase,
            "Running",
            "all but status"
        );
        assert!(written.spec.control.is_some());
    }

    pub async fn generations_count_wishes(case: Case) {
        let executions = case.api::<SequenceExecution>();
        let created = executions
            .create(&PostParams::default(), &execution("a"))
            .await
            .unwrap();
        assert_eq!(created.metadata.generation, Some(1));
        let merge = |value: Value| Patch::Merge(value);
        let none = PatchParams::default();
        let labelled = executions
            .patch("a", &none, &merge(json!({"metadata": {"labels": {"x": "y"}}})))
            .await;
        assert_eq!(labelled.unwrap().metadata.generation, Some(1));
        let status = executions
            .patch_status("a", &none, &merge(json!({"status": {"phase": "Queued"}})))
            .await;
        assert_eq!(status.unwrap().metadata.generation, Some(1));
        let wish = executions
            .patch(
                "a",
                &none,
                &merge(json!({"spec": {"control": {"desired": "Pause"}}})),
            )
            .await;
        assert_eq!(wish.unwrap().metadata.generation, Some(2));
    }

    pub async fn unknown_fields_are_pruned_and_defaults_filled(case: Case) {
        let executions = case.api::<SequenceExecution>();
        executions
            .create(&PostParams::default(), &execution("a"))
            .await
            .unwrap();
        let patch = json!({"spec": {"unheardOf": 1, "control": {}, "data": {"kept": {"as": "it is"}}}});
        let patched = executions
            .patch("a", &PatchParams::default(), &Patch::Merge(patch))
            .await;
        // `data` is immutable where the real API server evaluates its rule.
        if let Ok(patched) = patched {
            let json = serde_json::to_value(&patched).unwrap();
            assert_eq!(json["spec"]["control"]["desired"], "Run");
        }
        let resource = kube::core::ApiResource::erase::<SequenceExecution>(&());
        let raw: Api<kube::core::DynamicObject> =
            Api::namespaced_with(case.client.clone(), &case.namespace, &resource);
        let patch = json!({"spec": {"unheardOf": 1, "control": {}}});
        let patched = raw
            .patch("a", &PatchParams::default(), &Patch::Merge(patch))
            .await
            .unwrap();
        assert_eq!(patched.data["spec"]["control"]["desired"], "Run");
        assert_eq!(patched.data["spec"].get("unheardOf"), None);
    }

    pub async fn a_schema_refuses(case: Case) {
        let resource = kube::core::ApiResource::erase::<SequenceExecution>(&());
        let raw: Api<kube::core::DynamicObject> =
            Api::namespaced_with(case.client.clone(), &case.namespace, &resource);
        for spec in [
            json!({"stage": "s", "service": "v", "sequence": "q"}),
            json!({"project": 1, "stage": "s", "service": "v", "sequence": "q"}),
            json!({"project": "p", "stage": "s", "service": "v", "sequence": "q", "control": {"desired": "Fly"}}),
            json!({"project": "p".repeat(44), "stage": "s", "service": "v", "sequence": "q"}),
        ] {
            let wanted = object(json!({
                "apiVersion": "coxswain.dev/v1alpha1",
                "kind": "SequenceExecution",
                "metadata": {"name": "a"},
                "spec": spec,
            }));
            let created = raw.create(&PostParams::default(), &wanted).await;
            assert_eq!(refused(created), (422, "Invalid".to_owned()), "{spec}");
        }
    }

    pub async fn bad_names_are_refused(case: Case) {
        let jobs = case.api::<Job>();
        for name in ["Upper", "under_score", "-edge", &"x".repeat(64)] {
            assert_eq!(
                refused(jobs.create(&PostParams::default(), &job(name)).await).0,
                422,
                "{name}"
            );
        }
        let mut labelled = config_map("a", &[]);
        labelled.labels_mut().insert("key".to_owned(), "x".repeat(64));
        let created = case
            .api::<ConfigMap>()
            .create(&PostParams::default(), &labelled)
            .await;
        assert_eq!(refused(created).0, 422);
    }

    pub async fn patches(case: Case) {
        let maps = case.api::<ConfigMap>();
        maps.create(
            &PostParams::default(),
            &config_map("a", &[("x", "1"), ("y", "2")]),
        )
        .await
        .unwrap();
        let none = PatchParams::default();
        let merged = maps
            .patch("a", &none, &Patch::Merge(json!({"data": {"x": null, "z": "3"}})))
            .await
            .unwrap();
        assert_eq!(merged.data.unwrap().keys().collect::<Vec<_>>(), ["y", "z"]);

        let operations = |value: Value| Patch::Json::<()>(object(value));
        let add = operations(json!([{"op": "add", "path": "/data/w", "value": "4"}]));
        assert_eq!(
            maps.patch("a", &none, &add).await.unwrap().data.unwrap()["w"],
            "4"
        );
        let test = operations(json!([{"op": "test", "path": "/data/w", "value": "5"}]));
        assert_eq!(refused(maps.patch("a", &none, &test).await).0, 422);

        let mut applied = config_map("b", &[("k", "v")]);
        let ours = PatchParams::apply("test");
        let created = maps.patch("b", &ours, &Patch::Apply(&applied)).await.unwrap();
        applied
            .data
            .as_mut()
            .unwrap()
            .insert("l".to_owned(), "w".to_owned());
        let changed = maps.patch("b", &ours, &Patch::Apply(&applied)).await.unwrap();
        assert_eq!(created.uid(), changed.uid());
        assert_eq!(changed.data.unwrap().len(), 2);
        assert_eq!(
            refused(maps.patch("c", &none, &Patch::Merge(json!({}))).await).0,
            404
        );
    }

    pub async fn deletes_with_preconditions(case: Case) {
        let maps = case.api::<ConfigMap>();
        let created = maps
            .create(&PostParams::default(), &config_map("a", &[]))
            .await
            .unwrap();
        let only = |uid: Option<String>, resource_version: Option<String>| DeleteParams {
            preconditions: Some(Preconditions {
                uid,
                resource_version,
            }),
            ..DeleteParams::default()
        };
        let wrong = only(Some("00000000-1111-4000-8000-000000000000".to_owned()), None);
        assert_eq!(
            refused(maps.delete("a", &wrong).await),
            (409, "Conflict".to_owned())
        );
        assert_eq!(
            refused(maps.delete("a", &only(None, Some("1".to_owned()))).await).0,
            409
        );
        maps.delete("a", &only(created.uid(), created.resource_version()))
            .await
            .unwrap();
        assert!(maps.get_opt("a").await.unwrap().is_none());
    }

    pub async fn finalizers_hold_objects(case: Case) {
        let maps = case.api::<ConfigMap>();
        let mut held = config_map("a", &[]);
        held.metadata.finalizers = Some(vec!["example.com/hold".to_owned()]);
        maps.create(&PostParams::default(), &held).await.unwrap();
        maps.delete("a", &DeleteParams::background()).await.unwrap();
        assert!(maps.get("a").await.unwrap().metadata.deletion_timestamp.is_some());
        let free = Patch::Merge(json!({"metadata": {"finalizers": null}}));
        maps.patch("a", &PatchParams::default(), &free).await.unwrap();
        assert!(maps.get_opt("a").await.unwrap().is_none());
    }

    pub async fn lists_select(case: Case) {
        let maps = case.api::<ConfigMap>();
        for name in ["a", "b", "c"] {
            maps.create(&PostParams::default(), &config_map(name, &[]))
                .await
                .unwrap();
        }
        let names = async |params: ListParams| {
            let found = maps.list(&params).await.unwrap();
            found
                .items
                .iter()
                .map(ResourceExt::name_any)
                .filter(|n| n != "kube-root-ca.crt")
                .collect::<Vec<_>>()
        };
        assert_eq!(names(ListParams::default()).await, ["a", "b", "c"]);
        assert_eq!(
            names(ListParams::default().labels("app in (a, c)")).await,
            ["a", "c"]
        );
        assert_eq!(
            names(ListParams::default().labels("app,app!=a")).await,
            ["b", "c"]
        );
        assert_eq!(
            names(ListParams::default().fields("metadata.name=b")).await,
            ["b"]
        );

        let executions = case.api::<SequenceExecution>();
        for (name, done) in [("open", false), ("done", true)] {
            executions
                .create(&PostParams::default(), &execution(name))
                .await
                .unwrap();
            let patch = Patch::Merge(json!({"status": {"phase": "x", "done": done}}));
            executions
                .patch_status(name, &PatchParams::default(), &patch)
                .await
                .unwrap();
        }
        executions
            .create(&PostParams::default(), &execution("young"))
            .await
            .unwrap();
        let found = executions
            .list(&ListParams::default().fields("status.done!=true"))
            .await
            .unwrap();
        assert_eq!(
            found.items.iter().map(ResourceExt::name_any).collect::<Vec<_>>(),
            ["open", "young"]
        );
        let found = executions
            .list(&ListParams::default().fields("status.done=true"))
            .await
            .unwrap();
        assert_eq!(
            found.items.iter().map(ResourceExt::name_any).collect::<Vec<_>>(),
            ["done"]
        );
    }

    pub async fn unknown_field_selectors_are_refused(case: Case) {
        let executions = case.api::<SequenceExecution>();
        let listed = executions
            .list(&ListParams::default().fields("status.message=p"))
            .await;
        assert_eq!(refused(listed), (400, "BadRequest".to_owned()));
    }

    pub async fn metadata_only(case: Case) {
        let jobs = case.api::<Job>();
        let created = jobs.create(&PostParams::default(), &job("a")).await.unwrap();
        let listed = jobs.list_metadata(&ListParams::default()).await.unwrap();
        assert_eq!(listed.items[0].uid(), created.uid());
        assert_eq!(jobs.get_metadata("a").await.unwrap().uid(), created.uid());
        let metas: Api<PartialObjectMeta<Job>> = Api::namespaced(case.client.clone(), &case.namespace);
        let mut events = std::pin::pin!(watcher(metas, watcher::Config::default()).applied_objects());
        let seen = tokio::time::timeout(Duration::from_secs(30), events.try_next())
            .await
            .unwrap();
        assert_eq!(seen.unwrap().unwrap().name_any(), "a");
    }

    pub async fn a_watch_tells_what_happens(case: Case) {
        let executions = case.api::<SequenceExecution>();
        let from = executions
            .list(&ListParams::default())
            .await
            .unwrap()
            .metadata
            .resource_version
            .unwrap();
        let watching = executions.watch(&WatchParams::default(), &from).await.unwrap();
        let mut events = std::pin::pin!(watching);
        executions
            .create(&PostParams::default(), &execution("a"))
            .await
            .unwrap();
        assert_eq!(next(&mut events).await, ("ADDED", "a".to_owned()));
        let patch = Patch::Merge(json!({"status": {"phase": "Running"}}));
        executions
            .patch_status("a", &PatchParams::default(), &patch)
            .await
            .unwrap();
        assert_eq!(next(&mut events).await, ("MODIFIED", "a".to_owned()));
        executions.delete("a", &DeleteParams::default()).await.unwrap();
        assert_eq!(next(&mut events).await, ("DELETED", "a".to_owned()));

        let again = executions.watch(&WatchParams::default(), &from).await.unwrap();
        let mut events = std::pin::pin!(again);
        assert_eq!(
            next(&mut events).await.0,
            "ADDED",
            "the past is told again from the version that is asked"
        );
    }

    pub async fn a_selective_watch_adds_and_deletes(case: Case) {
        let executions = case.api::<SequenceExecution>();
        let live = WatchParams::default().fields("status.done!=true");
        let from = executions
            .list(&ListParams::default())
            .await
            .unwrap()
            .metadata
            .resource_version
            .unwrap();
        let mut events = std::pin::pin!(executions.watch(&live, &from).await.unwrap());
        executions
            .create(&PostParams::default(), &execution("a"))
            .await
            .unwrap();
        assert_eq!(next(&mut events).await.0, "ADDED");
        let set = async |done: bool| {
            let patch = Patch::Merge(json!({"status": {"done": done}}));
            executions
                .patch_status("a", &PatchParams::default(), &patch)
                .await
                .unwrap();
        };
        set(true).await;
        assert_eq!(next(&mut events).await.0, "DELETED", "it left the selection");
        let labels = Patch::Merge(json!({"metadata": {"labels": {"x": "y"}}}));
        executions
            .patch("a", &PatchParams::default(), &labels)
            .await
            .unwrap();
        set(false).await;
        assert_eq!(
            next(&mut events).await.0,
            "ADDED",
            "what happened outside is not told"
        );
    }

    pub async fn the_watcher_follows(case: Case) {
        let executions = case.api::<SequenceExecution>();
        executions
            .create(&PostParams::default(), &execution("a"))
            .await
            .unwrap();
        let mut events = std::pin::pin!(watcher(executions.clone(), watcher::Config::default()));
        let mut seen = Vec::new();
        while seen.last() != Some(&"done") {
            let event = tokio::time::timeout(Duration::from_secs(30), events.try_next())
                .await
                .unwrap();
            seen.push(match event.unwrap().unwrap() {
                watcher::Event::Init => "init",
                watcher::Event::InitApply(_) => "initial",
                watcher::Event::InitDone => {
                    executions
                        .create(&PostParams::default(), &execution("b"))
                        .await
                        .unwrap();
                    "ready"
                }
                watcher::Event::Apply(o) => {
                    executions
                        .delete(&o.name_any(), &DeleteParams::default())
                        .await
                        .unwrap();
                    "applied"
                }
                watcher::Event::Delete(_) => "done",
            });
        }
        assert_eq!(seen, ["init", "initial", "ready", "applied", "done"]);
    }

    fn owned_map(owner: &ConfigMap, name: &str) -> ConfigMap {
        let mut map = config_map(name, &[]);
        map.metadata.owner_references = Some(vec![owner.controller_owner_ref(&()).unwrap()]);
        map
    }

    pub async fn dependents_go_with_their_owner(case: Case) {
        let maps = case.api::<ConfigMap>();
        for policy in [PropagationPolicy::Background, PropagationPolicy::Foreground] {
            let owner = maps
                .create(&PostParams::default(), &config_map("owner", &[]))
                .await
                .unwrap();
            let middle = maps
                .create(&PostParams::default(), &owned_map(&owner, "middle"))
                .await
                .unwrap();
            maps.create(&PostParams::default(), &owned_map(&middle, "leaf"))
                .await
                .unwrap();
            // The garbage collector must have seen them before it can find them.
            tokio::time::sleep(Duration::from_secs(1)).await;
            let params = DeleteParams {
                propagation_policy: Some(policy),
                ..DeleteParams::default()
            };
            maps.delete("owner", &params).await.unwrap();
            eventually("gone", async || {
                let gone = async |name: &str| maps.get_opt(name).await.unwrap().is_none();
                gone("owner").await && gone("middle").await && gone("leaf").await
            })
            .await;
        }
    }

    pub async fn orphans_stay(case: Case) {
        let maps = case.api::<ConfigMap>();
        let owner = maps
            .create(&PostParams::default(), &config_map("owner", &[]))
            .await
            .unwrap();
        maps.create(&PostParams::default(), &owned_map(&owner, "child"))
            .await
            .unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
        let params = DeleteParams {
            propagation_policy: Some(PropagationPolicy::Orphan),
            ..DeleteParams::default()
        };
        maps.delete("owner", &params).await.unwrap();
        eventually("orphaned", async || {
            maps.get_opt("owner").await.unwrap().is_none()
        })
        .await;
        assert!(maps.get("child").await.unwrap().owner_references().is_empty());
    }
}
