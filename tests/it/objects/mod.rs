//! The objects of a release: every kind in every phase, as the real controllers write them. They are committed, one
//! directory a version: tools that people point at our objects (Argo CD, Flux) are tested with them, and every later
//! build must load them and finish what they began.

mod story;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use coxswain::{
    api::{Approval, Delivery, Evaluation, ProblemEvent, SequenceExecution, all_crds, execution::Desired},
    testing::World,
};
use jiff::Timestamp;
use kube::ResourceExt;
use serde::Deserialize as _;
use serde_json::Value;

use crate::scenarios::{hours, secs, start};

/// Set to write the files anew instead of comparing them.
const WRITE: &str = "COXSWAIN_WRITE_OBJECTS";

/// The phases of each kind with phases: there is an object in each of them.
const PHASES: [(&str, &[&str]); 5] = [
    (
        "SequenceExecution",
        &[
            "Queued",
            "Running",
            "Waiting",
            "Paused",
            "Held",
            "Succeeded",
            "Failed",
            "Exhausted",
            "Inconclusive",
            "TimedOut",
            "Aborted",
            "Resolved",
            "Superseded",
            "Expired",
        ],
    ),
    (
        "ProblemEvent",
        &[
            "Open",
            "Healing",
            "Held",
            "Healed",
            "Resolved",
            "Exhausted",
            "Expired",
        ],
    ),
    ("Evaluation", &["New", "Succeeded", "Failed", "Inconclusive"]),
    (
        "Approval",
        &["Pending", "Approved", "Declined", "Expired", "Withdrawn"],
    ),
    (
        "Delivery",
        &["Delivering", "Waiting", "Held", "Delivered", "Failed", "Aborted"],
    ),
];
const DEFINITIONS: [&str; 8] = [
    "AlertRoute",
    "EventSink",
    "JobConfig",
    "MetricsProvider",
    "Remediation",
    "ServiceLevelIndicator",
    "ServiceLevelObjective",
    "Shipyard",
];

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/objects")
}

/// The files of a version: their names, and what is in them.
fn files(version: &Path) -> BTreeMap<String, String> {
    let read = |entry: fs::DirEntry| {
        let name = entry.file_name().into_string().unwrap();
        (name, fs::read_to_string(entry.path()).unwrap())
    };
    match fs::read_dir(version) {
        Ok(entries) => entries.map(|entry| read(entry.unwrap())).collect(),
        Err(_) => BTreeMap::new(),
    }
}

fn documents(text: &str) -> Vec<Value> {
    serde_yaml::Deserializer::from_str(text)
        .map(|document| Value::deserialize(document).unwrap())
        .collect()
}

/// The phase, or what definitions have instead of one.
fn phase(object: &Value) -> String {
    if let Some(phase) = object["status"]["phase"].as_str() {
        return phase.to_owned();
    }
    let conditions = object["status"]["conditions"].as_array();
    let ready = conditions.and_then(|all| all.iter().find(|c| c["type"] == "Ready"));
    ready.map_or("New", |c| c["reason"].as_str().unwrap()).to_owned()
}

/// One file for each kind and phase; of several objects in one phase each is a document.
fn written(objects: &[Value]) -> BTreeMap<String, String> {
    let mut files: BTreeMap<String, String> = BTreeMap::new();
    for object in objects {
        let kind = object["kind"].as_str().unwrap();
        let name = format!("{}-{}.yaml", kind.to_lowercase(), phase(object).to_lowercase());
        let text = files.entry(name).or_default();
        if !text.is_empty() {
            text.push_str("---\n");
        }
        text.push_str(&serde_yaml::to_string(object).unwrap());
    }
    files
}

#[test]
fn the_objects_of_this_version_are_what_it_writes() {
    let here = directory().join(format!("v{}", env!("CARGO_PKG_VERSION")));
    let told = written(&World::run(story::tell));
    if std::env::var_os(WRITE).is_some() {
        drop(fs::remove_dir_all(&here));
        fs::create_dir_all(&here).unwrap();
        for (name, text) in &told {
            fs::write(here.join(name), text).unwrap();
        }
    }
    let committed = files(&here);
    let names = |files: &BTreeMap<String, String>| files.keys().cloned().collect::<BTreeSet<_>>();
    let remedy = format!("run the test with {WRITE}=1 to write them anew, and read what changed");
    assert_eq!(names(&committed), names(&told), "{remedy}");
    for (name, text) in &told {
        are_the_same(&committed[name], text, &format!("{name}: {remedy}"));
    }
}

/// Shows the first line that differs.
fn are_the_same(committed: &str, told: &str, message: &str) {
    let pair = committed.lines().zip(told.lines()).enumerate();
    for (line, (old, new)) in pair {
        assert_eq!(old, new, "line {}: {message}", line + 1);
    }
    assert_eq!(committed, told, "{message}");
}

#[test]
fn there_is_one_of_every_kind_in_every_phase() {
    let here = directory().join(format!("v{}", env!("CARGO_PKG_VERSION")));
    let mut there: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for object in files(&here).values().flat_map(|text| documents(text)) {
        let kind = object["kind"].as_str().unwrap().to_owned();
        there.entry(kind).or_default().insert(phase(&object));
    }
    let kinds: BTreeSet<String> = all_crds().into_iter().map(|c| c.spec.names.kind).collect();
    assert_eq!(there.keys().cloned().collect::<BTreeSet<_>>(), kinds);
    for (kind, phases) in PHASES {
        for phase in phases {
            assert!(
                there[kind].contains(*phase),
                "no {kind} is {phase}: {:?}",
                there[kind]
            );
        }
    }
    for kind in DEFINITIONS {
        for verdict in ["Valid", "Invalid"] {
            assert!(there[kind].contains(verdict), "no {kind} is {verdict}");
        }
    }
}

/// The newest time that the object's own history speaks of.
fn told_at(object: &Value) -> Option<Timestamp> {
    let conditions = object["status"]["conditions"].as_array();
    let changes = conditions.into_iter().flatten().map(|c| &c["lastTransitionTime"]);
    changes
        .chain([&object["metadata"]["creationTimestamp"]])
        .filter_map(|at| at.as_str()?.parse().ok())
        .max()
}

fn is_ready(object: &Value) -> bool {
    let conditions = object["status"]["conditions"].as_array();
    conditions.is_some_and(|all| all.iter().any(|c| c["type"] == "Ready" && c["status"] == "True"))
}

/// By kind and name.
fn everything(world: &World) -> BTreeMap<(String, String), Value> {
    let all = world.server.everything().into_iter();
    all.filter(|(resource, _)| resource.ends_with(".coxswain.dev"))
        .map(|(_, object)| (key(&object), (*object).clone()))
        .collect()
}

fn key(object: &Value) -> (String, String) {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    (text(&object["kind"]), text(&object["metadata"]["name"]))
}

/// An upgrade: what an earlier version left in the cluster, and this version's controllers.
#[test]
fn what_a_version_stored_a_later_one_finishes() {
    let versions: Vec<PathBuf> = fs::read_dir(directory())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    assert!(!versions.is_empty());
    for version in versions {
        let stored: Vec<Value> = files(&version)
            .values()
            .flat_map(|text| documents(text))
            .collect();
        assert!(!stored.is_empty(), "{}", version.display());
        finishes(&stored);
    }
}

fn finishes(stored: &[Value]) {
    World::run(async |world: World| {
        let now = stored.iter().filter_map(told_at).max().unwrap();
        world.sleep(now.duration_since(world.now()).unsigned_abs()).await;
        for object in stored {
            world.server.restore(object.clone());
        }
        let operator = start(&world, "operator");
        world.sleep(secs(10)).await;
        for object in stored
            .iter()
            .filter(|o| DEFINITIONS.contains(&o["kind"].as_str().unwrap()))
        {
            let now = &everything(&world)[&key(object)];
            assert_eq!(is_ready(now), is_ready(object), "{now:#}");
        }
        // Nothing takes longer than a day, but a pause that nobody ends.
        for run in world.list::<SequenceExecution>() {
            let control = run.spec.control.as_ref();
            if control.is_some_and(|c| c.desired == Desired::Pause) {
                world.edit::<SequenceExecution>(&run.name_any(), |run| run.spec.control = None);
            }
        }
        world.sleep(hours(25)).await;
        let runs = world.list::<SequenceExecution>();
        let live: Vec<_> = runs
            .iter()
            .filter(|r| r.status.as_ref().is_none_or(|s| !s.done))
            .collect();
        assert!(live.is_empty(), "{live:#?}");
        let live = |status: Option<bool>| status != Some(true);
        let problems = world.list::<ProblemEvent>().into_iter();
        assert_eq!(
            problems
                .filter(|p| live(p.status.as_ref().map(|s| s.done)))
                .count(),
            0
        );
        let questions = world.list::<Approval>().into_iter();
        assert_eq!(
            questions
                .filter(|a| live(a.status.as_ref().map(|s| s.done)))
                .count(),
            0
        );
        let verdicts = world.list::<Evaluation>().into_iter();
        assert_eq!(
            verdicts
                .filter(|e| live(e.status.as_ref().map(|s| s.done)))
                .count(),
            0
        );
        for delivery in world.list::<Delivery>() {
            let phase = delivery.status.unwrap().phase;
            assert!(
                ["Delivered", "Failed", "Aborted"].contains(&phase.as_str()),
                "{phase}"
            );
        }
        // What had ended has ended as it did.
        let after = everything(&world);
        for object in stored.iter().filter(|o| o["status"]["done"] == true) {
            if let Some(now) = after.get(&key(object)) {
                assert_eq!(phase(now), phase(object), "{:?}", key(object));
            }
        }
        operator.stop().await;
    });
}
