//! Alerts fold into problems, and nothing that was answered 2xx is lost.

use std::collections::BTreeSet;

use coxswain::{
    api::{AlertRoute, ProblemEvent, SequenceExecution, problem::ProblemEventStatus},
    testing::{Fault, Verb, World},
};
use futures::future::join_all;
use k8s_openapi::api::core::v1::Event;
use kube::ResourceExt;
use serde_json::json;

use super::{ALL, DEMO, OTHER, Tokens, alert, message, open, post};
use crate::scenarios::{SHOP, heals, hours, jobs_created, mins, secs, tried};

fn sick_shop(world: &World, healer: &'static str) {
    world.apply(SHOP);
    world.metrics.are(1.2);
    heals(world, healer);
}

fn only_problem(world: &World) -> (String, ProblemEventStatus) {
    let mut all = world.list::<ProblemEvent>();
    assert_eq!(
        all.len(),
        1,
        "{:?}",
        all.iter().map(ResourceExt::name_any).collect::<Vec<_>>()
    );
    let problem = all.remove(0);
    (problem.name_any(), problem.status.unwrap_or_default())
}

fn runs(world: &World) -> Vec<SequenceExecution> {
    world.list()
}

#[test]
fn an_alert_heals_repeats_start_nothing_and_its_end_closes_the_problem() {
    World::run(async |world: World| {
        let tokens = Tokens::new("heals");
        sick_shop(&world, "scale");
        let (_operator, door) = open(&world, "operator", tokens.settings()).await;
        let firing = || message(&[alert("cart-1", 0, false)]);
        let (code, answer) = post(&door, "/alertmanager", DEMO, firing()).await;
        let (name, _) = only_problem(&world);
        assert_eq!((code, answer), (200, json!({"problems": [name], "unmapped": []})));
        let healed = |w: &World| only_problem(w).1.recheck_at.is_some();
        world.wait_until("a run that succeeded", hours(1), healed).await;
        let written = world.server.writes().len();
        for _ in 0..30 {
            world.sleep(secs(10)).await;
            assert_eq!(post(&door, "/alertmanager", DEMO, firing()).await.0, 200);
        }
        assert_eq!(world.server.writes().len(), written, "repeats cost no write");
        assert_eq!(runs(&world).len(), 1);
        let over = message(&[alert("cart-1", 0, true)]);
        assert_eq!(post(&door, "/alertmanager", DEMO, over).await.0, 200);
        world
            .wait_until("the end", secs(5), |w| only_problem(w).1.done)
            .await;
        let (_, status) = only_problem(&world);
        assert_eq!(
            (status.phase.as_str(), status.firing, status.recheck_at),
            ("Healed", Some(0), None)
        );
        // A late repeat of the firing that was resolved.
        assert_eq!(post(&door, "/alertmanager", DEMO, firing()).await.0, 200);
        world.sleep(mins(5)).await;
        only_problem(&world);
        assert_eq!(runs(&world).len(), 1);
    });
}

#[test]
fn fifty_pods_at_once_are_one_problem_and_one_run() {
    World::run(async |world: World| {
        let tokens = Tokens::new("fifty");
        sick_shop(&world, "scale");
        let (_operator, door) = open(&world, "operator", tokens.settings()).await;
        let pods = (0..50).map(|i| {
            let body = message(&[alert(&format!("cart{i}"), i % 7, false)]);
            let door = door.clone();
            async move { post(&door, "/alertmanager", DEMO, body).await.0 }
        });
        assert!(join_all(pods).await.into_iter().all(|code| code == 200));
        let (_, status) = only_problem(&world);
        assert_eq!((status.alerts.len(), status.firing), (50, Some(50)));
        world.sleep(mins(9)).await;
        assert_eq!(runs(&world).len(), 1);
        let over: Vec<_> = (0..50).map(|i| alert(&format!("cart{i}"), i % 7, true)).collect();
        post(&door, "/alertmanager", DEMO, message(&over)).await;
        world
            .wait_until("the end", mins(1), |w| only_problem(w).1.done)
            .await;
    });
}

#[test]
fn what_fires_on_gets_one_further_run_with_the_next_action_and_then_a_person() {
    World::run(async |world: World| {
        let tokens = Tokens::new("recheck");
        sick_shop(&world, "restart");
        let (_operator, door) = open(&world, "operator", tokens.settings()).await;
        let firing = || message(&[alert("cart-1", 0, false)]);
        post(&door, "/alertmanager", DEMO, firing()).await;
        let ended = |w: &World| only_problem(w).1.done;
        world.wait_until("the end", hours(2), ended).await;
        let (_, status) = only_problem(&world);
        assert_eq!((status.phase.as_str(), status.runs), ("Exhausted", 2));
        let actions: Vec<_> = runs(&world)
            .iter()
            .map(|r| tried(r.status.as_ref().unwrap()))
            .collect();
        assert_eq!(actions.concat(), ["restart", "scale"]);
        let jobs = jobs_created(&world).len();
        for print in ["cart-1", "cart-2"] {
            post(&door, "/alertmanager", DEMO, message(&[alert(print, 0, false)])).await;
        }
        world.sleep(mins(30)).await;
        only_problem(&world);
        assert_eq!(
            jobs_created(&world).len(),
            jobs,
            "a person was told; nothing is repeated"
        );
        // A firing that begins after the end is a new problem.
        let minute = 59.min(u32::try_from(world.now().to_string()[14..16].parse::<i32>().unwrap()).unwrap());
        let mut later = alert("cart-1", minute, false);
        later["startsAt"] = world.now().to_string().into();
        post(&door, "/alertmanager", DEMO, message(&[later])).await;
        assert_eq!(world.list::<ProblemEvent>().len(), 2);
    });
}

#[test]
fn resolved_while_it_is_being_healed_the_next_action_is_not_tried() {
    World::run(async |world: World| {
        let tokens = Tokens::new("resolved");
        sick_shop(&world, "nothing");
        let (_operator, door) = open(&world, "operator", tokens.settings()).await;
        post(&door, "/alertmanager", DEMO, message(&[alert("a", 0, false)])).await;
        world
            .wait_until("a Job", mins(5), |w| !jobs_created(w).is_empty())
            .await;
        post(&door, "/alertmanager", DEMO, message(&[alert("a", 0, true)])).await;
        world
            .wait_until("the end", hours(1), |w| only_problem(w).1.done)
            .await;
        assert_eq!(only_problem(&world).1.phase, "Resolved");
        assert_eq!(tried(runs(&world)[0].status.as_ref().unwrap()), ["restart"]);
    });
}

#[test]
fn an_api_server_that_is_down_loses_nothing() {
    World::run(async |world: World| {
        let tokens = Tokens::new("down");
        sick_shop(&world, "scale");
        let (_operator, door) = open(&world, "operator", tokens.settings()).await;
        let firing = || message(&[alert("a", 0, false)]);
        for fault in [
            Fault::Fail(503),
            Fault::Unreachable,
            Fault::Fail(500),
            Fault::Fail(429),
        ] {
            world.server.on_request(move |_| fault);
            let (code, answer) = post(&door, "/alertmanager", DEMO, firing()).await;
            assert_eq!(code, 503, "{answer}");
        }
        assert!(world.list::<ProblemEvent>().is_empty());
        // It takes effect, but the answer gets lost on the way.
        world.server.on_request(|call| match call.verb {
            Verb::Create if call.resource.starts_with("problemevents") => Fault::FailAfter(504),
            _ => Fault::Proceed,
        });
        assert_eq!(post(&door, "/alertmanager", DEMO, firing()).await.0, 503);
        world.server.on_request(|_| Fault::Proceed);
        assert_eq!(post(&door, "/alertmanager", DEMO, firing()).await.0, 200);
        assert_eq!(only_problem(&world).1.firing, Some(1));
    });
}

/// P3, for alerts: what was answered 2xx stands in a problem, whatever went wrong meanwhile.
#[test]
fn nothing_that_was_answered_2xx_is_lost() {
    for seed in 0..12u64 {
        World::run(async move |world: World| {
            let tokens = Tokens::new(&format!("faults-{seed}"));
            sick_shop(&world, "scale");
            let (_operator, door) = open(&world, "operator", tokens.settings()).await;
            let mut dice = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
            world.server.on_request(move |call| {
                dice ^= dice << 13;
                dice ^= dice >> 7;
                dice ^= dice << 17;
                match (dice % 6, call.verb) {
                    (0, _) => Fault::Fail(503),
                    (1, Verb::Create | Verb::Update) => Fault::FailAfter(504),
                    (2, _) => Fault::Fail(409),
                    (3, _) => Fault::Delay(std::time::Duration::from_millis(dice % 300)),
                    _ => Fault::Proceed,
                }
            });
            let mut accepted = BTreeSet::new();
            let mut waiting: BTreeSet<String> = (0..40).map(|i| format!("f{i}")).collect();
            for _ in 0..200 {
                let sent: Vec<String> = waiting.iter().cloned().collect();
                if sent.is_empty() {
                    break;
                }
                let posts = sent.chunks(3).map(|prints| {
                    let alerts: Vec<_> = prints.iter().map(|p| alert(p, 0, false)).collect();
                    let door = door.clone();
                    async move {
                        (
                            post(&door, "/alertmanager", DEMO, message(&alerts)).await.0,
                            prints,
                        )
                    }
                });
                for (code, prints) in join_all(posts).await {
                    assert!(matches!(code, 200 | 503), "{code}");
                    if code == 200 {
                        waiting.retain(|p| !prints.contains(p));
                        accepted.extend(prints.iter().cloned());
                    }
                }
                let known: BTreeSet<String> = world
                    .list::<ProblemEvent>()
                    .into_iter()
                    .filter_map(|p| p.status)
                    .flat_map(|s| s.alerts.into_iter().map(|a| a.fingerprint).chain(s.more_alerts))
                    .collect();
                assert!(
                    accepted.is_subset(&known),
                    "lost: {:?}",
                    accepted.difference(&known)
                );
                world.sleep(secs(1)).await;
            }
            assert!(waiting.is_empty(), "never stored: {waiting:?}");
            let open = world
                .list::<ProblemEvent>()
                .into_iter()
                .filter(|p| !p.status.as_ref().is_some_and(|s| s.done));
            assert!(open.count() <= 1, "one problem");
        });
    }
}

#[test]
fn a_route_says_whose_problem_it_is_and_what_fits_none_is_told() {
    World::run(async |world: World| {
        let tokens = Tokens::new("routes");
        sick_shop(&world, "scale");
        world.apply(
            "
apiVersion: coxswain.dev/v1alpha1
kind: AlertRoute
metadata: {name: pages}
spec:
  matchers: ['severity=~\"page|critical\"']
  project: {default: shop}
  stage: {label: env, default: production}
  service: {label: app}
---
apiVersion: coxswain.dev/v1alpha1
kind: AlertRoute
metadata: {name: wrong}
spec: {matchers: ['severity']}
",
        );
        let (_operator, door) = open(&world, "operator", tokens.settings()).await;
        let ready = |name: &str| {
            let status = world.get::<AlertRoute>(name).unwrap().status.unwrap();
            coxswain::api::condition_is(&status.conditions, "Ready", "True")
        };
        assert!(ready("pages") && !ready("wrong"));
        let labelled = |labels: serde_json::Value| json!({"status": "firing", "labels": labels, "startsAt": "2026-01-05T09:00:00Z"});
        let alerts = [
            labelled(json!({"alertname": "slow", "severity": "page", "app": "cart"})),
            labelled(json!({"alertname": "nameless", "severity": "page"})),
            labelled(json!({"alertname": "Watchdog"})),
            alert("by-the-default-labels", 0, false),
        ];
        let (code, answer) = post(&door, "/alertmanager", ALL, message(&alerts)).await;
        assert_eq!(code, 200);
        assert_eq!(answer["problems"].as_array().unwrap().len(), 1);
        let says: Vec<_> = answer["unmapped"]
            .as_array()
            .unwrap()
            .iter()
            .map(|u| u["message"].as_str().unwrap())
            .collect();
        assert_eq!(
            says,
            [
                "the alert has no label app; add it to the rule in Prometheus, or say in an AlertRoute's spec.service where it stands",
                "the alert has no label project; add it to the rule in Prometheus, or say in an AlertRoute's spec.project where it stands",
                "no AlertRoute of namespace demo has matchers that fit; change one, or add one",
            ]
        );
        let told = |w: &World| {
            w.list::<Event>()
                .iter()
                .any(|e| e.reason.as_deref() == Some("AlertNotMapped"))
        };
        world.wait_until("an Event of the route", secs(5), told).await;
    });
}

#[test]
fn truncated_groups_are_visible() {
    World::run(async |world: World| {
        let tokens = Tokens::new("truncated");
        sick_shop(&world, "scale");
        let (_operator, door) = open(&world, "operator", tokens.settings()).await;
        let body = json!({"version": "4", "truncatedAlerts": 12, "alerts": [alert("a", 0, false)]});
        assert_eq!(post(&door, "/alertmanager", DEMO, body.to_string()).await.0, 200);
        assert_eq!(only_problem(&world).1.alerts_truncated, Some(12));
        let told = |w: &World| {
            w.list::<Event>()
                .iter()
                .any(|e| e.reason.as_deref() == Some("AlertsTruncated"))
        };
        world.wait_until("an Event", secs(5), told).await;
    });
}

#[test]
fn scopes_and_tokens() {
    World::run(async |world: World| {
        let tokens = Tokens::new("scopes");
        sick_shop(&world, "scale");
        let (_operator, door) = open(&world, "operator", tokens.settings()).await;
        let body = || message(&[alert("a", 0, false)]);
        let (code, answer) = post(&door, "/alertmanager", OTHER, body()).await;
        assert_eq!(
            (code, answer["message"].as_str().unwrap()),
            (
                403,
                "the token other is for project other in namespace demo only, not for project shop; use another token"
            )
        );
        let (code, answer) = post(&door, "/alertmanager?namespace=elsewhere", DEMO, body()).await;
        assert_eq!(code, 403, "{answer}");
        let (code, answer) = post(&door, "/alertmanager", "wrong", body()).await;
        assert_eq!((code, answer["code"].as_u64()), (401, Some(401)));
        assert!(
            answer["message"]
                .as_str()
                .unwrap()
                .contains("this token is not known")
        );
        assert!(world.list::<ProblemEvent>().is_empty());
        let codes: Vec<u16> = join_all((0..40).map(|_| post(&door, "/alertmanager", "guess", body())))
            .await
            .into_iter()
            .map(|a| a.0)
            .collect();
        assert_eq!(codes.last(), Some(&429), "guessing is slowed down");
        assert_eq!(post(&door, "/alertmanager", ALL, body()).await.0, 200);
        // Rotated without a restart.
        tokens.write("demo", "token: 0123456789abcdef-new\nnamespace: demo\n");
        world.sleep(secs(6)).await;
        assert_eq!(post(&door, "/alertmanager", DEMO, body()).await.0, 401);
        assert_eq!(
            post(&door, "/alertmanager", "0123456789abcdef-new", body())
                .await
                .0,
            200
        );
        for hopeless in ["", "[]", "{\"alerts\": 1}"] {
            assert_eq!(post(&door, "/alertmanager", ALL, hopeless).await.0, 400);
        }
        let big = vec![b' '; 5 << 20];
        assert_eq!(post(&door, "/alertmanager", ALL, big).await.0, 413);
    });
}
