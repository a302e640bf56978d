//! Those who want to be told what happens: events out, and messages for people.

use coxswain::{
    api::{EventSink, EventSinkStatus, SequenceExecution, condition_is},
    core::outbound::Letter,
    effects::outlet::SendError,
    testing::{Verb, World},
};
use k8s_openapi::api::core::v1::Event;
use kube::ResourceExt;

use super::{Shop, hours, mins, run_of, secs, start};

const TELL: &str = "
apiVersion: coxswain.dev/v1alpha1
kind: EventSink
metadata: {name: tell}
spec: {http: {url: 'http://events'}}
";

/// What is told of a run that heals with its second action.
const STORY: [&str; 18] = [
    "production.remediation.triggered",
    "production.remediation.started",
    "get-action.triggered",
    "get-action.started",
    "get-action.finished",
    "action.triggered",
    "action.started",
    "action.finished",
    "je-test.triggered",
    "je-test.started",
    "je-test.finished",
    "evaluation.triggered",
    "evaluation.started",
    "evaluation.finished",
    "get-action.triggered",
    "get-action.started",
    "get-action.finished",
    "action.triggered",
];

fn types(letters: &[Letter]) -> Vec<&str> {
    let short = |l: &'_ Letter| l.type_.len() - l.type_.trim_start_matches("sh.keptn.event.").len();
    letters.iter().map(|l| &l.type_[short(l)..]).collect()
}

fn status(world: &World, sink: &str) -> EventSinkStatus {
    world.get::<EventSink>(sink).unwrap().status.unwrap_or_default()
}

fn is(world: &World, sink: &str, condition: &str, yes: &str) -> bool {
    condition_is(&status(world, sink).config.conditions, condition, yes)
}

/// Waits until the sink has nothing more to be told.
async fn told(world: &World, sink: &str, last: &str) {
    let arrived = |w: &World| w.post.taken(sink).iter().any(|l| l.type_.ends_with(last));
    world
        .wait_until(&format!("{last} told to {sink}"), hours(2), arrived)
        .await;
    world.sleep(secs(10)).await;
}

/// Whether each thing was told, and in the order in which it happened; what came twice is taken once.
fn whole(letters: &[Letter]) -> Vec<Letter> {
    let mut once: Vec<Letter> = Vec::new();
    for letter in letters {
        if !once.iter().any(|l| l.id == letter.id) {
            once.push(letter.clone());
        }
    }
    assert!(once.is_sorted_by_key(|l| l.position), "in order");
    once
}

#[test]
fn a_sink_is_told_the_whole_story_in_order() {
    World::run(async |world| {
        world.apply(TELL);
        world.apply(
            &TELL
                .replace("name: tell", "name: gates")
                .replace("spec: {", "spec: {filter: {types: ['*.evaluation.finished']}, "),
        );
        let shop = Shop::open(world, "scale").await;
        shop.problem("slow");
        shop.ended("slow", mins(30)).await;
        told(&shop.world, "tell", "remediation.finished").await;
        let letters = shop.world.post.taken("tell");
        assert_eq!(types(&letters)[..STORY.len()], STORY);
        assert_eq!(letters.len(), 2 + 2 * 4 * 3 + 1);
        assert_eq!(whole(&letters).len(), letters.len(), "each once");
        let last = &letters.last().unwrap().body;
        assert_eq!(last["data"]["result"], "pass");
        let run = run_of(&shop.world, "slow").unwrap();
        assert_eq!(last["data"]["coxswain"]["execution"], run.name_any());
        assert_eq!(types(&shop.world.post.taken("gates")), ["evaluation.finished"; 2]);
        let status = status(&shop.world, "tell");
        assert_eq!((status.delivered, status.undelivered, status.waiting), (27, 0, 0));
        assert!(is(&shop.world, "tell", "Delivering", "True"));
    });
}

#[test]
fn a_sink_in_the_operator_s_namespace_is_told_of_all_others_only_of_their_own() {
    World::run(async |world| {
        for namespace in ["coxswain-system", "elsewhere"] {
            world.apply(&format!(
                "{{apiVersion: v1, kind: Namespace, metadata: {{name: {namespace}}}}}"
            ));
            let named = format!("metadata: {{name: {namespace}, namespace: {namespace}}}");
            world.apply(&TELL.replace("metadata: {name: tell}", &named));
        }
        let shop = Shop::open(world, "restart").await;
        shop.problem("slow");
        told(&shop.world, "coxswain-system", "remediation.finished").await;
        assert_eq!(shop.world.post.taken("elsewhere"), []);
    });
}

#[test]
fn a_sink_that_is_down_delays_nothing_and_is_told_later() {
    World::run(async |world| {
        world.apply(TELL);
        world.post.is_down();
        let shop = Shop::open(world, "scale").await;
        shop.problem("slow");
        let healed = shop.ended("slow", mins(30)).await;
        assert_eq!(healed.phase, "Succeeded");
        let world = &shop.world;
        assert!(is(world, "tell", "Delivering", "False"));
        let conditions = status(world, "tell").config.conditions;
        let why = conditions.iter().find(|c| c.type_ == "Delivering").unwrap();
        assert!(why.message.contains("connection refused"), "{}", why.message);
        assert_eq!(status(world, "tell").waiting, 1);
        world.post.is_up();
        told(world, "tell", "remediation.finished").await;
        assert_eq!(whole(&world.post.taken("tell")).len(), 27);
        assert!(is(world, "tell", "Delivering", "True"));
        assert_eq!(
            (status(world, "tell").waiting, status(world, "tell").undelivered),
            (0, 0)
        );
    });
}

#[test]
fn what_a_sink_never_takes_is_counted_and_told_and_holds_up_nothing() {
    World::run(async |world| {
        world.apply(&TELL.replace("spec: {", "spec: {retryFor: 2m, "));
        world.post.takes(|_, letter| match letter.type_.as_str() {
            "sh.keptn.event.action.started" => Err(SendError::Unavailable {
                why: "HTTP 500".to_owned(),
                after: None,
            }),
            "sh.keptn.event.je-test.started" => Err(SendError::Refused("HTTP 400: no".to_owned())),
            _ => Ok(()),
        });
        let shop = Shop::open(world, "restart").await;
        shop.problem("slow");
        told(&shop.world, "tell", "remediation.finished").await;
        let status = status(&shop.world, "tell");
        assert_eq!((status.delivered, status.undelivered), (13, 2));
        let last = status.last_undelivered.unwrap();
        assert_eq!(
            (last.type_.as_str(), last.message.as_str()),
            ("sh.keptn.event.je-test.started", "HTTP 400: no")
        );
        let events: Vec<Event> = shop.world.list();
        let told = |e: &&Event| e.reason.as_deref() == Some("Undelivered");
        assert_eq!(events.iter().filter(told).count(), 2);
    });
}

#[test]
fn no_event_is_lost_wherever_the_operator_dies() {
    // It dies after so many letters; each time another is being sent when it does.
    for crash_after in 1..27 {
        World::run(async |world| {
            world.apply(TELL);
            let shop = Shop::open(world, "scale").await;
            shop.problem("slow");
            let enough = |w: &World| w.post.tried() >= crash_after;
            shop.world.wait_until("so many letters", hours(1), enough).await;
            shop.operator.crash();
            shop.world.sleep(secs(30)).await;
            let _next = start(&shop.world, "next");
            shop.ended("slow", mins(30)).await;
            told(&shop.world, "tell", "remediation.finished").await;
            let letters = shop.world.post.taken("tell");
            assert_eq!(
                whole(&letters).len(),
                27,
                "after {crash_after}: {:?}",
                types(&letters)
            );
        });
    }
}

#[test]
fn what_happened_while_no_operator_was_there_to_tell_is_told_by_the_next() {
    World::run(async |world| {
        world.apply(TELL);
        world.post.is_down();
        let shop = Shop::open(world, "restart").await;
        shop.problem("slow");
        shop.ended("slow", mins(30)).await;
        shop.operator.crash();
        // Long after the run has ended.
        shop.world.sleep(hours(1)).await;
        shop.world.post.is_up();
        let _next = start(&shop.world, "next");
        told(&shop.world, "tell", "remediation.finished").await;
        assert_eq!(whole(&shop.world.post.taken("tell")).len(), 15);
    });
}

#[test]
fn a_quiet_cluster_is_told_nothing_and_writes_nothing() {
    World::run(async |world| {
        world.apply(TELL);
        let shop = Shop::open(world, "restart").await;
        shop.problem("slow");
        told(&shop.world, "tell", "remediation.finished").await;
        let about = |w: &World| {
            let writes = w.server.writes();
            writes
                .iter()
                .filter(|l| l.call.resource.starts_with("eventsinks"))
                .count()
        };
        let (written, sent) = (about(&shop.world), shop.world.post.tried());
        assert!(written <= 8, "15 events cost {written} writes");
        shop.world.sleep(hours(6)).await;
        assert_eq!((about(&shop.world), shop.world.post.tried()), (written, sent));
        let reads = shop.world.server.log();
        let since_noon = |l: &&coxswain::testing::server::Logged| {
            l.call.caller == "operator"
                && matches!(l.call.verb, Verb::List)
                && l.call.resource.starts_with("eventsinks")
        };
        assert_eq!(reads.iter().filter(since_noon).count(), 1, "nothing is polled");
    });
}

#[test]
fn a_sink_that_is_wrong_says_so_and_is_told_once_it_is_mended() {
    World::run(async |world| {
        world.apply(&TELL.replace("http://events", "http://169.254.169.254"));
        let shop = Shop::open(world, "restart").await;
        assert!(is(&shop.world, "tell", "Ready", "False"));
        shop.problem("slow");
        shop.ended("slow", mins(30)).await;
        assert_eq!(shop.world.post.tried(), 0);
        shop.world.edit::<EventSink>("tell", |sink| {
            sink.spec.http.url = Some("http://events".to_owned());
        });
        told(&shop.world, "tell", "remediation.finished").await;
        assert_eq!(shop.world.post.taken("tell").len(), 15);
        assert!(is(&shop.world, "tell", "Ready", "True"));
    });
}

#[test]
fn people_are_told_once_when_healing_did_not_help() {
    World::run(async |world| {
        world.apply(
            "
apiVersion: coxswain.dev/v1alpha1
kind: EventSink
metadata: {name: chat}
spec: {http: {url: 'http://chat'}, notify: {}}
",
        );
        let shop = Shop::open(world, "nothing").await;
        shop.problem("slow");
        let ended = shop.ended("slow", mins(30)).await;
        assert_eq!(ended.phase, "Exhausted");
        told(&shop.world, "chat", "Exhausted").await;
        shop.world.sleep(hours(1)).await;
        let letters = shop.world.post.taken("chat");
        assert_eq!(letters.len(), 1);
        let text = letters[0].body["text"].as_str().unwrap();
        for says in [
            "1. restart: fail",
            "2. scale: fail",
            "*Exhausted*",
            "coxswain explain",
        ] {
            assert!(text.contains(says), "{text}");
        }
    });
}

#[test]
fn people_are_told_when_a_brake_holds_a_run() {
    World::run(async |world| {
        world.apply(
            "
apiVersion: coxswain.dev/v1alpha1
kind: EventSink
metadata: {name: chat}
spec: {http: {url: 'http://chat'}, notify: {phases: [Held]}}
",
        );
        let shop = Shop::open(world, "restart").await;
        shop.world.apply(
            "{apiVersion: v1, kind: Namespace, metadata: {name: demo, labels: {coxswain.dev/hold: 'true'}}}",
        );
        shop.problem("slow");
        told(&shop.world, "chat", "Held").await;
        let letters = shop.world.post.taken("chat");
        assert_eq!(letters.len(), 1);
        assert!(
            letters[0].body["text"]
                .as_str()
                .unwrap()
                .contains("until the hold is lifted")
        );
        assert_eq!(shop.world.list::<SequenceExecution>().len(), 1);
    });
}
