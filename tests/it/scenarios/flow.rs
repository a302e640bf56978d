//! Whole shipyards: a version goes from stage to stage, people are asked, others carry tasks out.

use coxswain::{
    api::{
        Approval, TaskResult,
        approval::{Answer, Choice},
        execution::{Control, Retry, RetryFrom},
    },
    core::labels,
    testing::World,
};

use super::*;

const FLOW: &str = include_str!("flow.yaml");

/// A flow with an operator, and all Jobs succeed.
async fn open(world: &World) -> Operator {
    world.apply(FLOW);
    world.metrics.are(0.1);
    let operator = start(world, "operator");
    world.sleep(secs(5)).await;
    operator
}

fn deliver(world: &World, name: &str, service: &str) {
    world.apply(&format!(
        "
apiVersion: coxswain.dev/v1alpha1
kind: SequenceExecution
metadata: {{name: {name}}}
spec:
  project: shop
  stage: qa
  service: {service}
  sequence: delivery
  data: {{configurationChange: {{values: {{image: 'cart:2'}}}}}}
"
    ));
}

/// The run of this stage and sequence.
fn run(world: &World, stage: &str, sequence: &str) -> Option<SequenceExecution> {
    let mut runs = world.list::<SequenceExecution>();
    runs.retain(|r| r.spec.stage == stage && r.spec.sequence == sequence);
    runs.pop()
}

async fn until(
    world: &World,
    stage: &str,
    sequence: &str,
    is_so: fn(&SequenceExecutionStatus) -> bool,
) -> SequenceExecution {
    let there = |w: &World| {
        run(w, stage, sequence)
            .and_then(|r| r.status)
            .is_some_and(|s| is_so(&s))
    };
    let what = format!("{stage}.{sequence} so far");
    world.wait_until(&what, mins(15), there).await;
    run(world, stage, sequence).unwrap()
}

fn phase_of(run: &SequenceExecution) -> String {
    run.status.clone().unwrap_or_default().phase
}

#[test]
fn a_good_version_goes_through_all_stages_in_one_flow() {
    World::run(async |world: World| {
        let _operator = open(&world).await;
        deliver(&world, "v2", "cart");
        let qa = until(&world, "qa", "delivery", |s| s.done).await;
        assert_eq!(phase_of(&qa), "Succeeded");
        until(&world, "production", "delivery", |s| s.phase == "Waiting").await;
        // The status comes first, then the question.
        let put = |w: &World| !w.list::<Approval>().is_empty();
        world.wait_until("the question", secs(5), put).await;
        let asked = world.list::<Approval>().remove(0);
        assert_eq!(asked.spec.image.as_deref(), Some("cart:2"));
        assert_eq!(
            (asked.spec.result.as_deref(), asked.spec.score),
            (Some("pass"), Some(100.0))
        );
        world.edit::<Approval>(&asked.name_any(), |a| a.spec.answers.push(yes("bob")));
        let production = until(&world, "production", "delivery", |s| s.done).await;
        assert_eq!(phase_of(&production), "Succeeded");
        // One context for everything that the flow spawned.
        let context = qa.uid().unwrap();
        assert_eq!(production.spec.context.as_ref(), Some(&context));
        for job in world.list::<Job>() {
            assert_eq!(
                job.labels().get(labels::CONTEXT),
                Some(&context),
                "{}",
                job.name_any()
            );
        }
        assert_eq!(asked.labels().get(labels::CONTEXT), Some(&context));
        assert!(run(&world, "qa", "rollback").is_none(), "nothing failed");
        assert!(run(&world, "ops", "announce").is_some(), "several follow one end");
    });
}

fn yes(by: &str) -> Answer {
    Answer {
        by: by.to_owned(),
        choice: Choice::Approve,
        reason: None,
    }
}

#[test]
fn a_slow_version_stops_at_the_gate_and_is_rolled_back() {
    World::run(async |world: World| {
        let _operator = open(&world).await;
        world.metrics.are(2.0);
        deliver(&world, "v2", "cart");
        let qa = until(&world, "qa", "delivery", |s| s.done).await;
        assert_eq!(phase_of(&qa), "Failed");
        let back = until(&world, "qa", "rollback", |s| s.done).await;
        assert_eq!(phase_of(&back), "Succeeded");
        world.sleep(mins(5)).await;
        assert!(run(&world, "production", "delivery").is_none());
    });
}

#[test]
fn a_question_outlives_the_operator() {
    World::run(async |world: World| {
        let operator = open(&world).await;
        deliver(&world, "v2", "cart");
        until(&world, "production", "delivery", |s| s.phase == "Waiting").await;
        let put = |w: &World| w.list::<Approval>().iter().any(|a| a.status.is_some());
        world.wait_until("the question is put", mins(1), put).await;
        operator.crash();
        world.sleep(mins(30)).await;
        let asked = world.list::<Approval>().remove(0).name_any();
        world.edit::<Approval>(&asked, |a| a.spec.answers.push(yes("bob")));
        let _second = start(&world, "second");
        let production = until(&world, "production", "delivery", |s| s.done).await;
        assert_eq!(phase_of(&production), "Succeeded");
        let settled = world.get::<Approval>(&asked).unwrap().status.unwrap();
        assert_eq!(
            (settled.phase.as_str(), settled.decided_by.as_deref()),
            ("Approved", Some("bob"))
        );
    });
}

#[test]
fn a_run_that_waits_for_people_lets_others_work_on_the_service() {
    World::run(async |world: World| {
        let _operator = open(&world).await;
        deliver(&world, "v2", "cart");
        until(&world, "production", "delivery", |s| s.phase == "Waiting").await;
        world.apply(
            "{apiVersion: coxswain.dev/v1alpha1, kind: SequenceExecution, metadata: {name: hotfix}, spec: \
             {project: shop, stage: production, service: cart, sequence: hotfix}}",
        );
        let hotfix = until(&world, "production", "hotfix", |s| s.done).await;
        assert_eq!(phase_of(&hotfix), "Succeeded");
        assert_eq!(
            phase_of(&run(&world, "production", "delivery").unwrap()),
            "Waiting"
        );
    });
}

#[test]
fn an_outside_executor_reports_across_a_restart() {
    World::run(async |world: World| {
        let operator = open(&world).await;
        deliver(&world, "v2", "cart");
        until(&world, "ops", "announce", |s| {
            s.task == "notify" && s.phase == "Running"
        })
        .await;
        let name = run(&world, "ops", "announce").unwrap().name_any();
        said(&world, &name, "Started");
        until(&world, "ops", "announce", |s| {
            find_task(s, "notify").is_some_and(|t| t.state == "Running")
        })
        .await;
        operator.crash();
        said(&world, &name, "Finished");
        let _second = start(&world, "second");
        let end = until(&world, "ops", "announce", |s| s.done).await.status.unwrap();
        assert_eq!(
            (end.phase.as_str(), end.result.as_deref()),
            ("Succeeded", Some("warning"))
        );
        assert_eq!(end.payload.unwrap()["notify"]["channel"], "ops");
        let owned = world.list::<TaskResult>();
        for result in owned {
            let owners = result.owner_references();
            assert_eq!(
                owners.len(),
                1,
                "{} goes with its run: {owners:?}\n{}",
                result.name_any(),
                world.describe()
            );
        }
    });
}

fn said(world: &World, run: &str, type_: &str) {
    let more = match type_ {
        "Finished" => ", result: warning, message: sent, data: {notify: {channel: ops}}",
        _ => "",
    };
    let name = format!("chat-{}", type_.to_lowercase());
    world.apply(&format!(
        "{{apiVersion: coxswain.dev/v1alpha1, kind: TaskResult, metadata: {{name: {name}}}, spec: \
         {{execution: {run}, task: notify, attempt: 1, source: chat, type: {type_}{more}}}}}"
    ));
}

#[test]
fn a_failed_run_is_retried_from_its_failed_task() {
    World::run(async |world: World| {
        let _operator = open(&world).await;
        world.metrics.are(2.0);
        deliver(&world, "v2", "cart");
        until(&world, "qa", "rollback", |s| s.done).await;
        let before = jobs_created(&world).len();
        world.metrics.are(0.1);
        world.edit::<SequenceExecution>("v2", |r| {
            r.spec.control = Some(Control {
                retry: Some(Retry {
                    id: "1".to_owned(),
                    from: RetryFrom::FailedTask,
                }),
                ..Control::default()
            });
        });
        let retried = |w: &World| w.get::<SequenceExecution>("v2").unwrap().status.unwrap().retried;
        world
            .wait_until("seen to", mins(1), |w| retried(w).is_some())
            .await;
        let name = retried(&world).unwrap().execution.expect("a run");
        let done = |w: &World| {
            w.get::<SequenceExecution>(&name)
                .and_then(|r| r.status)
                .is_some_and(|s| s.done)
        };
        world.wait_until("the retry's end", mins(15), done).await;
        let again = world.get::<SequenceExecution>(&name).unwrap();
        assert_eq!(phase_of(&again), "Succeeded");
        assert_eq!(
            jobs_created(&world).len(),
            before,
            "only the gate was asked again"
        );
        until(&world, "production", "delivery", |s| s.phase == "Waiting").await;
    });
}

#[test]
fn fifty_runs_of_ten_services_never_have_two_jobs_in_one_place() {
    World::run(async |world: World| {
        let _operator = open(&world).await;
        for i in 0..50 {
            deliver(&world, &format!("run-{i}"), &format!("service-{}", i % 10));
        }
        let ended = |w: &World, i: usize| {
            let run = w.get::<SequenceExecution>(&format!("run-{i}"));
            run.and_then(|r| r.status).is_some_and(|s| s.done)
        };
        let all = |w: &World| (0..50).all(|i| ended(w, i));
        world.wait_until("all fifty ended", hours(1), all).await;
        let mut qa = world.list::<SequenceExecution>();
        qa.retain(|r| r.spec.stage == "qa");
        assert!(qa.iter().all(|r| phase_of(r) == "Succeeded"));
        let mut worked = std::collections::BTreeMap::<String, Vec<_>>::new();
        for run in &qa {
            let jobs = recorded_jobs(run.status.as_ref().unwrap()).into_iter();
            let times = jobs.map(|j| (j.recorded_at.clone().unwrap().0, j.finished_at.clone().unwrap().0));
            worked.entry(run.spec.service.clone()).or_default().extend(times);
        }
        assert_eq!(worked.len(), 10);
        for (service, mut times) in worked {
            times.sort();
            assert!(times.len() >= 10, "{service}: {times:?}");
            let apart = times.windows(2).all(|pair| pair[0].1 <= pair[1].0);
            assert!(apart, "two Jobs of {service} at once: {times:?}");
        }
    });
}
