//! Bad input: each ends in a clear phase and message; nothing crashes, spins, escalates wrongly or forgets the others.

use coxswain::{
    api::SequenceExecution,
    facts::metrics::{QueryError, Sample},
    testing::World,
};
use rstest::rstest;

use super::*;

fn without(kind: &str) -> String {
    let keep = |d: &&str| !d.contains(&format!("kind: {kind}\n"));
    SHOP.split("---\n").filter(keep).collect::<Vec<_>>().join("---\n")
}

fn with(from: &str, to: &str) -> String {
    assert!(SHOP.contains(from), "{from} is in the shop");
    SHOP.replace(from, to)
}

/// Raises the problem with these definitions, and shows the end.
async fn ends(world: World, definitions: &str, deadline: Duration) -> (Shop, SequenceExecutionStatus) {
    let shop = Shop::open_with(world, definitions, "scale").await;
    shop.problem("slow-1");
    let status = shop.ended("slow-1", deadline).await;
    let made = writes(&shop.world).len();
    shop.world.sleep(hours(1)).await;
    let later = writes(&shop.world).len() - made;
    assert!(later <= 2, "{later} writes after the end");
    (shop, status)
}

fn says(status: &SequenceExecutionStatus, words: &[&str]) {
    for word in words {
        assert!(
            status.message.contains(word),
            "{word:?} is not in: {} {}",
            status.reason,
            status.message
        );
    }
}

fn stalled(status: &SequenceExecutionStatus) -> bool {
    coxswain::api::condition_is(&status.conditions, "Stalled", "True")
}

#[test]
fn no_shipyard() {
    World::run(async |world: World| {
        let (shop, status) = ends(world, &without("Shipyard"), secs(10)).await;
        assert_eq!(status.phase, "Failed");
        assert!(stalled(&status));
        says(&status, &["Shipyard", "shop"]);
        assert!(shop.problem_status("slow-1").done);
    });
}

#[test]
fn a_project_of_another_namespace_is_none() {
    let answer = |definitions: String| {
        World::run(async |world: World| {
            world.apply("{apiVersion: v1, kind: Namespace, metadata: {name: elsewhere}}");
            let (_, status) = ends(world, &definitions, secs(10)).await;
            (status.phase, status.reason, status.message)
        })
    };
    let elsewhere = with(
        "metadata: {name: shop}",
        "metadata: {name: shop, namespace: elsewhere}",
    );
    assert_eq!(
        answer(elsewhere),
        answer(without("Shipyard")),
        "nothing tells that it is there"
    );
}

#[rstest]
#[case("- name: production", "- name: prod", &["production", "prod"])]
#[case("- name: remediation", "- name: remediate", &["remediation", "remediate"])]
fn no_stage_or_sequence(#[case] from: &str, #[case] to: &str, #[case] words: &[&str]) {
    World::run(async |world: World| {
        let definitions = with(from, to).replace("production.remediation.finished", "prod.x.finished");
        let definitions = definitions.replace(
            "triggeredOn:\n            - event: prod.x.finished\n              selector: {match: {evaluation.result: fail}}\n",
            "priority: 1\n",
        );
        let (_, status) = ends(world, &definitions, secs(10)).await;
        assert_eq!(status.phase, "Failed");
        assert!(stalled(&status));
        says(&status, words);
    });
}

#[test]
fn no_remediation() {
    World::run(async |world: World| {
        let (_, status) = ends(world, &without("Remediation"), secs(10)).await;
        assert_eq!(status.phase, "Failed");
        says(&status, &["Remediation"]);
    });
}

#[test]
fn an_unknown_problem_type_without_default() {
    World::run(async |world: World| {
        let (_, status) = ends(world, &with("problemType: slow", "problemType: slower"), secs(10)).await;
        assert_eq!(status.phase, "Failed");
        says(&status, &["slow", "cart"]);
    });
}

#[test]
fn an_unknown_problem_type_with_a_default() {
    World::run(async |world: World| {
        let (_, status) = ends(
            world,
            &with("problemType: slow", "problemType: default"),
            mins(10),
        )
        .await;
        assert_eq!(end(&status), ("Succeeded", "Healed"));
    });
}

#[test]
fn nobody_answers_a_task() {
    World::run(async |world: World| {
        let definitions = with(
            "sh.keptn.event.je-test.triggered",
            "sh.keptn.event.je-tests.triggered",
        );
        let (shop, status) = ends(world, &definitions, mins(10)).await;
        assert_eq!(end(&status), ("Failed", "NoExecutor"));
        // The event, and the nearest one.
        says(&status, &["sh.keptn.event.je-test.triggered", "je-tests"]);
        assert_eq!(
            jobs(&shop.world),
            Vec::<String>::new(),
            "nothing is done to a service that can't be tested"
        );
    });
}

#[test]
fn an_image_that_does_not_exist() {
    World::run(async |world: World| {
        let shop = Shop::open(world, "scale").await;
        shop.world
            .player
            .script(|_| Play::never_starts("ErrImagePull", "no such image: kubectl"));
        shop.problem("slow-1");
        let blocked = |s: &SequenceExecutionStatus| s.message.contains("no such image");
        let status = shop.until("slow-1", "saying why", secs(30), blocked).await;
        assert!(!status.done);
        let first = |s: &SequenceExecutionStatus| s.attempts.first().is_some_and(|a| a.finished_at.is_some());
        let status = shop.until("slow-1", "the deadline", mins(12), first).await;
        assert_eq!(status.attempts[0].tasks[1].reason, "TimedOut");
        shop.world.sleep(secs(5)).await;
        assert!(jobs(&shop.world).is_empty(), "its Job is deleted");
        let status = shop.ended("slow-1", hours(1)).await;
        assert_eq!(end(&status), ("Exhausted", "NoActionLeft"));
    });
}

#[rstest]
#[case(
    Play::no_pod("pods \"x\" is forbidden: exceeded quota: small"),
    "exceeded quota"
)]
#[case(
    Play::unschedulable("0/3 nodes are available: insufficient memory"),
    "insufficient memory"
)]
#[case(
    Play::never_starts("CreateContainerConfigError", "secret \"token\" not found"),
    "secret \"token\" not found"
)]
fn a_pod_that_cannot_start_says_why_within_half_a_minute(#[case] play: Play, #[case] why: &str) {
    World::run(async |world: World| {
        let shop = Shop::open(world, "scale").await;
        shop.world.player.script(move |_| play.clone());
        shop.problem("slow-1");
        shop.until("slow-1", why, secs(30), |s| s.message.contains(why))
            .await;
        let made = writes(&shop.world).len();
        shop.world.sleep(mins(5)).await;
        let later = writes(&shop.world).len() - made;
        assert!(later <= 3, "{later} writes while nothing changes");
    });
}

const ACCOUNT: &str = "{name: restart, image: kubectl, cmd: [action-restart], serviceAccount: robot}";

#[rstest]
#[case("", "ServiceAccountMissing")]
#[case(
    "{apiVersion: v1, kind: ServiceAccount, metadata: {name: robot}}",
    "ServiceAccountNotAllowed"
)]
fn a_service_account_that_has_not_opted_in(#[case] account: &str, #[case] reason: &str) {
    World::run(async |world: World| {
        if !account.is_empty() {
            world.apply(account);
        }
        let definitions = with("{name: restart, image: kubectl, cmd: [action-restart]}", ACCOUNT);
        let (shop, status) = ends(world, &definitions, mins(10)).await;
        assert_eq!(status.attempts[0].tasks[1].reason, reason);
        assert!(
            !shop
                .world
                .list::<Job>()
                .iter()
                .any(|j| mentions(j, "action-restart"))
        );
    });
}

#[test]
fn a_service_account_that_has_opted_in() {
    World::run(async |world: World| {
        world.apply(
            "{apiVersion: v1, kind: ServiceAccount, metadata: {name: robot, annotations: {coxswain.dev/allowed: 'true'}}}",
        );
        let definitions = with("{name: restart, image: kubectl, cmd: [action-restart]}", ACCOUNT);
        let shop = Shop::open_with(world, &definitions, "restart").await;
        shop.problem("slow-1");
        assert_eq!(shop.ended("slow-1", mins(5)).await.phase, "Succeeded");
    });
}

#[test]
fn a_jsonpath_that_finds_nothing() {
    World::run(async |world: World| {
        let definitions = with(
            "cmd: [action-restart]}",
            "cmd: [action-restart], env: [{name: X, value: $.data.no.such.thing, valueFrom: event}]}",
        );
        let (_, status) = ends(world, &definitions, mins(10)).await;
        let task = &status.attempts[0].tasks[1];
        assert_eq!(task.result.as_deref(), Some("fail"));
        assert!(task.message.contains("$.data.no.such.thing"), "{}", task.message);
    });
}

#[test]
fn two_equally_specific_remediations() {
    World::run(async |world: World| {
        let shop = Shop::open(world, "restart").await;
        shop.world.sleep(mins(1)).await;
        let younger = SHOP
            .split("---\n")
            .find(|d| d.contains("kind: Remediation"))
            .unwrap();
        let younger = younger
            .replace("metadata: {name: cart}", "metadata: {name: aaa}")
            .replace("restart", "scale");
        shop.world.apply(&younger);
        shop.world.sleep(secs(2)).await;
        let remediation = shop.world.get::<coxswain::api::Remediation>("aaa").unwrap();
        let ready = remediation.status.unwrap().conditions.remove(0);
        assert_eq!(
            (ready.status.as_str(), ready.reason.as_str()),
            ("False", "Ambiguous")
        );
        assert!(ready.message.contains("cart"), "{}", ready.message);
        shop.problem("slow-1");
        let status = shop.ended("slow-1", mins(5)).await;
        assert_eq!(tried(&status), ["restart"], "the older stays in force");
    });
}

/// A broken definition of the service itself must not give way to the project's: an `Observe` that is misspelled
/// elsewhere would become an `Act`.
#[rstest]
#[case::remediation(
    "kind: Remediation\nmetadata: {name: own}\nspec: {project: shop, stage: production, service: cart, mode: Observe, budget: {actions: 1, per: 0s}, remediations: []}",
    "Remediation own is not valid: spec.budget.per"
)]
#[case::job_config(
    "kind: JobConfig\nmetadata: {name: own}\nspec: {project: shop, service: cart, actions: [{name: own, events: [{name: sh.keptn.event.action.triggered}], tasks: [{name: own, image: kubectl, namespace: elsewhere}]}]}",
    "JobConfig own is not valid: spec.actions[0].tasks[0].namespace"
)]
#[case::job_config_of_a_later_task(
    "kind: JobConfig\nmetadata: {name: own}\nspec: {project: shop, service: cart, actions: [{name: own, events: [{name: sh.keptn.event.je-test.triggered}], tasks: [{name: own, image: kubectl, namespace: elsewhere}]}]}",
    "JobConfig own is not valid: spec.actions[0].tasks[0].namespace"
)]
#[case::objective(
    "kind: ServiceLevelObjective\nmetadata: {name: own}\nspec: {project: shop, service: cart, objectives: [{sli: response_time, pass: [{criteria: ['~0.4']}]}]}",
    "ServiceLevelObjective own is not valid: spec.objectives[0]"
)]
#[case::indicator(
    "kind: ServiceLevelIndicator\nmetadata: {name: own}\nspec: {project: shop, service: cart, indicators: {response_time: ' '}}",
    "ServiceLevelIndicator own is not valid: spec.indicators"
)]
fn an_invalid_definition_does_not_give_way_to_a_less_specific_one(#[case] own: &str, #[case] says_so: &str) {
    World::run(async |world: World| {
        let project = SHOP.replace("  stage: production\n  service: cart\n", "");
        let definitions = format!("{project}\n---\napiVersion: coxswain.dev/v1alpha1\n{own}");
        let (shop, status) = ends(world, &definitions, mins(10)).await;
        assert_eq!(status.phase, "Failed");
        assert!(stalled(&status));
        says(&status, &[says_so]);
        assert_eq!(jobs(&shop.world), Vec::<String>::new(), "nothing was done");
    });
}

#[test]
fn a_criterion_that_does_not_parse() {
    World::run(async |world: World| {
        let (_, status) = ends(world, &with("\"<=0.4\"", "\"~0.4\""), hours(2)).await;
        assert_ne!(status.phase, "Succeeded", "an unreadable gate is no formality");
        assert!(
            tried(&status).len() <= 1,
            "nor a reason to try the next action: {:?}",
            tried(&status)
        );
        says(&status, &["~0.4"]);
    });
}

#[rstest]
#[case::down("connection refused")]
#[case::overloaded("503 Service Unavailable")]
#[case::slow("no answer within 10s")]
#[case::huge("the answer is larger than 1048576 bytes")]
fn a_provider_that_cannot_be_asked_never_escalates(#[case] why: &'static str) {
    World::run(async |world: World| {
        let shop = Shop::open(world, "nothing").await;
        shop.world.metrics.are_unavailable(why);
        shop.problem("slow-1");
        let status = shop.ended("slow-1", hours(2)).await;
        assert_eq!(status.phase, "Inconclusive");
        assert_eq!(tried(&status), ["restart"]);
        says(&status, &[why]);
        let took = status
            .finished_at
            .unwrap()
            .0
            .duration_since(status.started_at.unwrap().0);
        assert!((1800..2700).contains(&took.as_secs()), "{took:?}");
        assert!(
            shop.world.metrics.asked().len() < 100,
            "{} queries",
            shop.world.metrics.asked().len()
        );
    });
}

#[test]
fn a_provider_that_comes_back_decides() {
    World::run(async |world: World| {
        let shop = Shop::open(world, "nothing").await;
        shop.world.metrics.are_unavailable("connection refused");
        shop.problem("slow-1");
        shop.world.sleep(mins(10)).await;
        shop.world.metrics.are(0.1);
        let status = shop.ended("slow-1", mins(15)).await;
        assert_eq!(end(&status), ("Succeeded", "Healed"));
        assert_eq!(jobs_created(&shop.world).len(), 2, "no action ran again");
    });
}

#[rstest]
#[case("NaN")]
#[case("no series")]
#[case("3 series")]
fn an_answer_without_one_finite_value_is_a_missing_value(#[case] what: &'static str) {
    World::run(async |world: World| {
        let shop = Shop::open(world, "nothing").await;
        shop.world
            .metrics
            .answer(move |_, _| Ok(Sample::Missing(what.to_owned())));
        shop.problem("slow-1");
        let status = shop.ended("slow-1", hours(1)).await;
        assert_eq!(end(&status), ("Exhausted", "NoActionLeft"));
        assert_eq!(
            tried(&status),
            ["restart", "scale"],
            "it fails, and that escalates"
        );
        assert!(
            status.attempts[0].tasks[3].message.contains(what),
            "{}",
            status.attempts[0].tasks[3].message
        );
    });
}

#[test]
fn a_query_that_is_wrong_stays_wrong() {
    World::run(async |world: World| {
        let shop = Shop::open(world, "nothing").await;
        shop.world
            .metrics
            .answer(|_, _| Err(QueryError::BadQuery("parse error: unexpected )".to_owned())));
        shop.problem("slow-1");
        let status = shop.ended("slow-1", hours(2)).await;
        assert_ne!(status.phase, "Succeeded");
        assert_eq!(tried(&status).len(), 1, "{:?} {}", tried(&status), status.message);
        says(&status, &["parse error"]);
    });
}

#[test]
fn a_provider_that_is_missing() {
    World::run(async |world: World| {
        let (_, status) = ends(world, &without("MetricsProvider"), hours(2)).await;
        assert_eq!(status.phase, "Inconclusive");
        assert_eq!(tried(&status), ["restart"]);
        says(&status, &["MetricsProvider"]);
    });
}

#[test]
fn without_an_objective_the_verdict_is_unverified() {
    World::run(async |world: World| {
        let (_, status) = ends(world, &without("ServiceLevelObjective"), mins(10)).await;
        assert_eq!(status.phase, "Succeeded");
        assert_eq!(status.result.as_deref(), Some("warning"));
        says(&status, &["nothing"]);
    });
}

#[test]
fn a_payload_over_the_cap() {
    World::run(async |world: World| {
        let shop = Shop::open(world, "nothing").await;
        shop.world.player.script(|job| {
            let data = format!(
                r#"{{"data":{{"x{}":"{}"}}}}"#,
                job.name_any().len(),
                "y".repeat(3900)
            );
            Play::exits(0).saying(&data)
        });
        let big = "z".repeat(15_000);
        shop.world
            .apply(&format!("{}  data: {{big: {big}}}\n", problem("slow-1", "slow")));
        let many = |n: usize| format!("{{name: t{n}, image: kubectl, cmd: [action-restart]}}");
        let tasks = (0..8).map(many).collect::<Vec<_>>().join(", ");
        shop.world.apply(&with(
            "{name: restart, image: kubectl, cmd: [action-restart]}",
            &tasks,
        ));
        let status = shop.ended("slow-1", hours(1)).await;
        assert!(status.done);
        let size = serde_json::to_string(&status.payload).unwrap().len();
        assert!(size <= 32 * 1024, "{size}");
    });
}

#[test]
fn trigger_data_over_the_cap() {
    World::run(async |world: World| {
        let shop = Shop::open(world, "nothing").await;
        let big = "z".repeat(17_000);
        shop.world
            .apply(&format!("{}  data: {{big: {big}}}\n", problem("slow-1", "slow")));
        let status = shop.ended("slow-1", secs(10)).await;
        assert_eq!(status.phase, "Failed");
        says(&status, &["16"]);
        assert!(jobs_created(&shop.world).is_empty());
    });
}

#[test]
fn names_that_would_overflow() {
    World::run(async |world: World| {
        let long = "a".repeat(43);
        let definitions = SHOP.replace("je-test", &format!("je-{}", "t".repeat(60)));
        let definitions = definitions.replace("service: cart", &format!("service: {long}"));
        let shop = Shop::open_with(world, &definitions, "restart").await;
        let name = "p".repeat(52);
        shop.world
            .apply(&problem(&name, "slow").replace("service: cart", &format!("service: {long}")));
        let status = shop.ended(&name, mins(5)).await;
        assert_eq!(end(&status), ("Succeeded", "Healed"));
        assert_eq!(jobs_created(&shop.world).len(), 2);
    });
}

#[test]
fn an_execution_of_nowhere_by_hand() {
    World::run(async |world: World| {
        let shop = Shop::open(world, "restart").await;
        shop.world.apply(
            "
apiVersion: coxswain.dev/v1alpha1
kind: SequenceExecution
metadata: {name: by-hand}
spec: {project: shop, stage: nowhere, service: cart, sequence: remediation}
",
        );
        let ended = |w: &World| {
            w.get::<SequenceExecution>("by-hand")
                .unwrap()
                .status
                .is_some_and(|s| s.done && s.phase == "Failed")
        };
        shop.world.wait_until("failed", secs(10), ended).await;
    });
}

#[test]
fn a_poisoned_object_fails_alone() {
    World::run(async |world: World| {
        let shop = Shop::open(world, "restart").await;
        // Not even of the right types: as if an older schema had let it in.
        for (kind, name) in [
            ("sequenceexecutions", "bad-run"),
            ("problemevents", "bad-problem"),
            ("jobconfigs", "bad-jc"),
        ] {
            let kinds: std::collections::BTreeMap<_, _> = [
                ("sequenceexecutions", "SequenceExecution"),
                ("problemevents", "ProblemEvent"),
                ("jobconfigs", "JobConfig"),
            ]
            .into();
            shop.world.server.smuggle(
                &format!("{kind}.coxswain.dev"),
                serde_json::json!({
                    "apiVersion": "coxswain.dev/v1alpha1",
                    "kind": kinds[kind],
                    "metadata": {"name": name, "namespace": "demo"},
                    "spec": {"project": 7, "problem": [], "actions": "none"},
                }),
            );
        }
        shop.problem("slow-1");
        assert_eq!(shop.ended("slow-1", mins(5)).await.phase, "Succeeded");
    });
}
