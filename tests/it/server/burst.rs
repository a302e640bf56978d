//! Two thousand alerts at once: all are stored, or refused so that Alertmanager sends them again.

use std::time::Instant;

use coxswain::{api::ProblemEvent, testing::World};
use futures::future::join_all;
use serde_json::Value;

use super::{DEMO, Tokens, alert, message, open, post};
use crate::scenarios::{SHOP, secs};

const MANY: usize = 2000;
const SERVICES: usize = 50;

fn all() -> Vec<Value> {
    let of = |i: usize| {
        let mut one = alert(&format!("f{i}"), 0, false);
        one["labels"]["service"] = format!("service-{}", i % SERVICES).into();
        one["annotations"]["description"] = "what everybody should know of it. ".repeat(10).into();
        one
    };
    (0..MANY).map(of).collect()
}

fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|l| l.starts_with("VmRSS"));
    let kib = line.and_then(|l| l.split_whitespace().nth(1)?.parse::<usize>().ok());
    kib.unwrap_or(0) / 1024
}

/// Sends them until all are taken; how many rounds that took.
fn taken(test: &str, bodies: Vec<String>) -> usize {
    let test = test.to_owned();
    World::run(async move |world: World| {
        let tokens = Tokens::new(&test);
        world.apply(SHOP);
        // What is stored counts here, not what is done about it.
        world.apply(
            "{apiVersion: v1, kind: Namespace, metadata: {name: demo, labels: {coxswain.dev/hold: 'true'}}}",
        );
        let (_operator, door) = open(&world, "operator", tokens.settings()).await;
        let (before, begun) = (resident(), Instant::now());
        let mut waiting = bodies;
        let mut rounds = 0;
        while !waiting.is_empty() {
            rounds += 1;
            assert!(rounds < 200, "{} were never taken", waiting.len());
            let posts = waiting.drain(..).map(|body| {
                let door = door.clone();
                async move { (post(&door, "/alertmanager", DEMO, body.clone()).await.0, body) }
            });
            for (code, body) in join_all(posts).await {
                match code {
                    200 => {}
                    429 | 503 => waiting.push(body),
                    other => panic!("{other}: Alertmanager would never send it again"),
                }
            }
            world.sleep(secs(1)).await;
        }
        let problems = world.list::<ProblemEvent>();
        let stored: usize = problems
            .iter()
            .filter_map(|p| p.status.as_ref())
            .map(|s| s.alerts.len() + s.more_alerts.len())
            .sum();
        assert_eq!((stored, problems.len()), (MANY, SERVICES));
        println!(
            "{test}: {MANY} alerts, {rounds} rounds, {:?}, {} -> {} MiB with the API server in the process",
            begun.elapsed(),
            before,
            resident()
        );
        rounds
    })
}

#[test]
fn in_one_message() {
    assert_eq!(taken("burst-one", vec![message(&all())]), 1);
}

#[test]
fn in_messages_of_ten() {
    let bodies = all().chunks(10).map(message).collect();
    assert!(taken("burst-ten", bodies) > 0);
}

#[test]
fn each_by_itself() {
    let bodies = all().iter().map(|a| message(std::slice::from_ref(a))).collect();
    assert!(
        taken("burst-each", bodies) > 1,
        "what is too much at once is refused"
    );
}
