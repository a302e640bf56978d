//! Everyday work with the command line's own functions, against the operator.

use coxswain::{
    api::{Approval, Delivery, approval::Choice, execution::RetryFrom},
    cli::{
        control::{self, Wish},
        explain,
        get::{self, Filter, Shown},
        refer::{self, Ref},
        send, trigger, watch,
    },
    testing::{Fault, Play, Verb},
};

use super::*;

fn named(text: &str) -> Ref {
    Ref::parse(text).unwrap()
}

async fn explained(world: &World, text: &str) -> String {
    let cluster = people(world);
    let run = refer::run(&cluster, &named(text)).await.unwrap();
    let facts = explain::gather(&cluster, run, "coxswain-system").await;
    explain::render(&facts, world.now(), "coxswain", false)
}

/// A stage in front of which somebody is asked.
const ASKED: &str = "
apiVersion: coxswain.dev/v1alpha1
kind: Shipyard
metadata: {name: shop}
spec:
  stages:
    - name: production
      sequences:
        - {name: delivery, tasks: [{name: approval, properties: {pass: manual}}, {name: deployment}]}
---
apiVersion: coxswain.dev/v1alpha1
kind: JobConfig
metadata: {name: jobs}
spec:
  project: shop
  actions:
    - {name: Deploy, events: [{name: sh.keptn.event.deployment.triggered}], tasks: [{name: helm, image: helm}]}
";

fn a_delivery() -> Delivery {
    serde_yaml::from_str(
        "{metadata: {generateName: cart-}, spec: {project: shop, service: cart, image: 'cart:2'}}",
    )
    .unwrap()
}

#[test]
fn a_delivery_is_triggered_explained_approved_and_followed_to_its_end() {
    World::run(async |world: World| {
        world.apply(ASKED);
        world.player.script(|_| Play::exits(0));
        let _operator = start(&world, "operator");
        let cluster = people(&world);
        let made = trigger::create(&cluster, &a_delivery()).await.unwrap();
        let of = format!("dl/{}", made.name_any());
        let asks = |w: &World| w.list::<Approval>().iter().any(|a| a.status.is_some());
        world.wait_until("the question", mins(5), asks).await;

        let screen = explained(&world, &of).await;
        assert!(
            screen.contains("May answer: who has the ClusterRole coxswain-approver"),
            "{screen}"
        );
        assert!(
            screen.contains("Without an answer it counts as declined in 2"),
            "{screen}"
        );
        let question = world.list::<Approval>().remove(0).name_any();
        assert!(
            screen.contains(&format!("coxswain approve {question} -n demo")),
            "{screen}"
        );

        let answer = |choice| {
            let (cluster, named, now) = (cluster.clone(), named(&of), world.now());
            async move { control::respond(&cluster, &named, "jane", choice, None, now).await }
        };
        let said = answer(Choice::Approve).await.unwrap();
        assert!(said.contains("is approved in the name of jane"), "{said}");
        let well = watch::until_ended(&cluster, &named(&of), coxswain::api::Duration::from_secs(3600)).await;
        assert!(well.unwrap());
        let decided = control::respond(
            &cluster,
            &named(&question),
            "joe",
            Choice::Decline,
            None,
            world.now(),
        )
        .await;
        let refused = decided.unwrap_err().to_string();
        assert!(
            refused.contains("is decided already (Approved by jane)"),
            "{refused}"
        );
        let refused = answer(Choice::Decline).await.unwrap_err().to_string();
        assert!(
            refused.contains("waits for no answer: it is Succeeded"),
            "{refused}"
        );
    });
}

#[test]
fn a_declined_delivery_is_no_good_end() {
    World::run(async |world: World| {
        world.apply(ASKED);
        let _operator = start(&world, "operator");
        let cluster = people(&world);
        let made = trigger::create(&cluster, &a_delivery()).await.unwrap();
        let of = named(&format!("dl/{}", made.name_any()));
        let asks = |w: &World| w.list::<Approval>().iter().any(|a| a.status.is_some());
        world.wait_until("the question", mins(5), asks).await;
        let question = named(&format!("ap/{}", world.list::<Approval>()[0].name_any()));
        control::respond(
            &cluster,
            &question,
            "jane",
            Choice::Decline,
            Some("no"),
            world.now(),
        )
        .await
        .unwrap();
        let well = watch::until_ended(&cluster, &of, coxswain::api::Duration::from_secs(3600)).await;
        assert!(!well.unwrap());
    });
}

#[test]
fn an_event_from_a_file_heals_and_is_listed() {
    World::run(async |world: World| {
        let shop = Shop::open(world, "scale").await;
        let cluster = people(&shop.world);
        let event =
            br#"{"type": "sh.keptn.event.production.remediation.triggered", "data": {"project": "shop",
            "stage": "production", "service": "cart", "problem": {"problemTitle": "slow"}}}"#;
        let starts = send::starts("event.json", event).unwrap();
        let said = send::send(&cluster, starts, None).await.unwrap();
        let problem = said.split(['/', ' ']).nth(1).unwrap().to_owned();
        assert!(
            said.ends_with(&format!("coxswain watch -n demo pe/{problem}\n")),
            "{said}"
        );
        over(&shop.world, &problem).await;

        let filter = Filter {
            service: Some("cart".to_owned()),
            phases: vec!["succeeded".to_owned()],
            ..Filter::default()
        };
        let runs = get::find::<SequenceExecution>(&cluster, &[], &filter, false)
            .await
            .unwrap();
        assert_eq!(runs.len(), 1);
        let table = get::render(&runs, shop.world.now(), Shown::default());
        assert!(table.starts_with("NAME"), "{table}");
        let words: Vec<&str> = table.lines().nth(1).unwrap().split_whitespace().collect();
        assert_eq!(
            words[1..9],
            [
                "shop",
                "production",
                "cart",
                "remediation",
                "Succeeded",
                "evaluation",
                "2",
                "pass"
            ]
        );
        let live = Filter {
            live: true,
            ..Filter::default()
        };
        let none = get::find::<ProblemEvent>(&cluster, &[], &live, true)
            .await
            .unwrap();
        assert!(none.is_empty(), "{none:?}");
        let missing = get::find::<ProblemEvent>(&cluster, &["slwo".to_owned()], &live, false).await;
        let told = missing.unwrap_err().to_string();
        assert!(
            told.starts_with("there is no ProblemEvent \"slwo\" in namespace demo; "),
            "{told}"
        );
    });
}

#[test]
fn a_run_is_paused_resumed_aborted_and_run_again() {
    World::run(async |world: World| {
        let shop = Shop::open(world, "nothing").await;
        shop.world.player.script(|_| Play::hangs());
        let cluster = people(&shop.world);
        shop.problem("slow-1");
        shop.task("slow-1", "action", "Running", mins(5)).await;
        let run = run_of(&shop.world, "slow-1").unwrap().name_any();
        let say = |wish: Wish| {
            let (cluster, run) = (cluster.clone(), run.clone());
            async move { control::control(&cluster, &run, &wish).await }
        };
        let said = say(Wish::Pause).await.unwrap();
        assert!(said.contains("pauses after its current task"), "{said}");
        let said = say(Wish::Pause).await.unwrap();
        assert!(said.contains("is paused already"), "{said}");
        let said = say(Wish::Resume).await.unwrap();
        assert!(said.contains("goes on"), "{said}");
        let early = say(Wish::Retry {
            id: "1".to_owned(),
            from: RetryFrom::Start,
        });
        assert!(
            early
                .await
                .unwrap_err()
                .to_string()
                .contains("has not ended (Running)")
        );

        let skip = Wish::Skip {
            task: Some("je-test".to_owned()),
            reason: "by hand".to_owned(),
            by: "jane".to_owned(),
        };
        assert!(say(skip).await.unwrap().contains("counts as passed"));
        say(Wish::Abort).await.unwrap();
        shop.ended("slow-1", mins(5)).await;
        let screen = explained(&shop.world, &run).await;
        assert!(screen.contains("Somebody aborted it"), "{screen}");

        let again = Wish::Retry {
            id: "1".to_owned(),
            from: RetryFrom::Start,
        };
        let said = say(again.clone()).await.unwrap();
        let new = said
            .split("run again as ")
            .nth(1)
            .unwrap()
            .split(';')
            .next()
            .unwrap()
            .to_owned();
        shop.world
            .wait_until("the repetition", mins(5), |w| {
                w.get::<SequenceExecution>(&new).is_some()
            })
            .await;
        shop.world.sleep(secs(5)).await;
        let twice = say(again).await.unwrap();
        assert!(
            twice.contains(&format!("was run again as {new} already")),
            "{twice}"
        );
    });
}

/// What somebody else writes between reading and writing is not overwritten: it is decided anew.
#[test]
fn a_command_that_was_overtaken_decides_anew() {
    World::run(async |world: World| {
        world.apply(ASKED);
        world.apply("{apiVersion: coxswain.dev/v1alpha1, kind: SequenceExecution, metadata: {name: r}, spec: {project: shop, stage: production, service: cart, sequence: delivery}}");
        let (_caller, client) = world.server.operator_client("command");
        let cluster = Cluster {
            client,
            ..people(&world)
        };
        let mut patches = 0;
        world.server.on_request(move |call| {
            patches += u32::from(call.verb == Verb::Patch);
            if call.verb == Verb::Patch && patches == 1 {
                Fault::Delay(secs(10))
            } else {
                Fault::Proceed
            }
        });
        let other = async {
            world.sleep(secs(5)).await;
            world.edit::<SequenceExecution>("r", |run| {
                let labels = run.metadata.labels.get_or_insert_default();
                labels.insert("a".to_owned(), "b".to_owned());
            });
        };
        let (said, ()) = tokio::join!(control::control(&cluster, "r", &Wish::Abort), other);
        said.unwrap();
        let patched = world
            .server
            .log()
            .into_iter()
            .filter(|l| l.call.verb == Verb::Patch);
        assert_eq!(
            patched.map(|l| l.code).collect::<Vec<_>>(),
            [Some(409), Some(200)]
        );
        let run = world.get::<SequenceExecution>("r").unwrap();
        assert_eq!(serde_json::json!(run.spec.control)["desired"], "Abort");
        assert_eq!(run.metadata.labels.unwrap()["a"], "b");
    });
}
