#[path = "evaluation_provider_tests.rs"]
mod providers;

use std::time::Duration;

use futures::{FutureExt, future::BoxFuture};
use rstest::rstest;
use serde_json::json;

use super::*;
use crate::{
    api::{EvaluationStatus, condition_is},
    facts::metrics::{Question, Sample},
    facts::namespaces::Namespaces,
    facts::stores::Definitions,
    testing::{Fault, Operator, World, world::NAMESPACE},
};

type Answer = Result<Sample, QueryError>;

/// The operator's own namespace.
const OPERATORS: &str = "coxswain-system";

/// A metrics server that answers as the test says: given the query and how many came before.
struct Scripted<F> {
    answer: F,
    asked: Arc<Mutex<Vec<(String, Timestamp)>>>,
}

impl<F: Fn(&str, usize) -> Answer + Send + Sync> MetricsSource for Scripted<F> {
    fn query<'a>(
        &'a self,
        _: &'a MetricsProvider,
        question: &'a Question,
    ) -> BoxFuture<'a, Result<super::Answer, QueryError>> {
        let before = {
            let mut asked = self.asked.lock().unwrap();
            asked.push((question.query.clone(), question.end));
            asked.len() - 1
        };
        async move { (self.answer)(&question.query, before).map(super::Answer::from) }.boxed()
    }
}

type Asked = Arc<Mutex<Vec<(String, Timestamp)>>>;

fn operate(
    world: &World,
    answer: impl Fn(&str, usize) -> Answer + Send + Sync + 'static,
) -> (Operator, Asked) {
    let asked = Asked::default();
    let metrics = Arc::new(Scripted {
        answer,
        asked: asked.clone(),
    });
    (operate_on(world, metrics), asked)
}

/// As [`operate`], with another server.
fn operate_on(world: &World, metrics: Arc<dyn MetricsSource>) -> Operator {
    world.start("operator", |seat| async move {
        let everywhere = Namespaces::All;
        let (definitions, watches) = Definitions::start(&seat.client, &everywhere, &everywhere);
        let context = Context::new(seat.client, seat.clock);
        let judged_by = (definitions.clone(), OPERATORS.to_owned());
        tokio::select! {
            () = watches => {}
            () = run(context.clone(), metrics, judged_by, watch(&context), seat.shutdown) => {}
        }
    })
}

fn provider(world: &World, name: &str) {
    world.apply(&format!(
        "{{apiVersion: coxswain.dev/v1alpha1, kind: MetricsProvider, metadata: {{name: {name}}}, \
          spec: {{prometheus: {{url: 'http://prometheus:9090'}}}}}}"
    ));
}

/// An Evaluation of the two minutes before the world began: `rt` must be at most 400 and rise by at most 10%.
fn evaluation(world: &World, name: &str) -> Evaluation {
    evaluation_with(world, name, "<=+10%", "prom")
}

fn evaluation_with(world: &World, name: &str, criterion: &str, provider: &str) -> Evaluation {
    let labels = json!({
        "coxswain.dev/project": "shop", "coxswain.dev/stage": "production",
        "coxswain.dev/service": "web", "coxswain.dev/objective": "web",
    });
    let value = json!({
        "apiVersion": "coxswain.dev/v1alpha1", "kind": "Evaluation",
        "metadata": {"name": name, "namespace": NAMESPACE, "labels": labels},
        "spec": {
            "project": "shop", "stage": "production", "service": "web", "objectiveName": "web",
            "window": {"start": "2026-01-05T08:58:00Z", "end": "2026-01-05T09:00:00Z"},
            "objective": {
                "objectives": [
                    {"sli": "rt", "pass": [{"criteria": ["<=400", criterion]}]},
                    {"sli": "errors", "key_sli": true, "pass": [{"criteria": ["<1"]}]},
                ],
                "total_score": {"pass": "90%", "warning": "50%"},
            },
            "indicators": {
                "rt": {"query": "rt{s=\"$SERVICE\"}", "provider": provider},
                "errors": {"query": "errors", "provider": provider},
            },
        },
    });
    let evaluation: Evaluation = serde_json::from_value(value).unwrap();
    world.server.create(&evaluation).unwrap()
}

#[expect(clippy::unnecessary_wraps, reason = "it is an answer")]
fn good(query: &str, _: usize) -> Answer {
    Ok(Sample::Value(if query.starts_with("rt") { 300.0 } else { 0.0 }))
}

fn down() -> Answer {
    Err(QueryError::Unavailable(
        "MetricsProvider prom (prometheus:9090): connection refused".to_owned(),
    ))
}

fn status(world: &World, name: &str) -> EvaluationStatus {
    world
        .get::<Evaluation>(name)
        .and_then(|e| e.status)
        .unwrap_or_default()
}

async fn ended(world: &World, name: &str) -> EvaluationStatus {
    let what = format!("the end of {name}");
    world
        .wait_until(&what, Duration::from_mins(5), |w| status(w, name).done)
        .await;
    status(world, name)
}

/// The operator's writes to Evaluations.
fn writes(world: &World) -> usize {
    let log = world.server.writes();
    log.iter()
        .filter(|l| l.call.resource == "evaluations.coxswain.dev")
        .count()
}

#[test]
fn a_verdict_takes_one_write() {
    World::run(async |world| {
        provider(&world, "prom");
        evaluation(&world, "one");
        let (_operator, asked) = operate(&world, good);
        let status = ended(&world, "one").await;
        assert_eq!((status.phase.as_str(), status.score), ("Succeeded", Some(100.0)));
        assert_eq!(
            status.message,
            "pass: 100 of 100; no baseline to compare with yet"
        );
        assert!(condition_is(&status.conditions, "Succeeded", "True"));
        world.sleep(Duration::from_hours(1)).await;
        assert_eq!(writes(&world), 1, "{}", world.describe());
        let asked = asked.lock().unwrap().clone();
        let end: Timestamp = "2026-01-05T09:00:00Z".parse().unwrap();
        assert_eq!(asked.len(), 2);
        assert!(asked.contains(&("rt{s=\"web\"}".to_owned(), end)), "{asked:?}");
    });
}

#[test]
fn a_service_that_is_still_sick_fails() {
    World::run(async |world| {
        provider(&world, "prom");
        evaluation(&world, "one");
        let (_operator, _) = operate(&world, |query, _| {
            Ok(Sample::Value(if query == "errors" { 5.0 } else { 412.0 }))
        });
        let status = ended(&world, "one").await;
        assert_eq!(
            (status.phase.as_str(), status.result.as_deref()),
            ("Failed", Some("fail"))
        );
        assert_eq!(
            status.message,
            "fail: 0 of 100; errors 5 >= 1 (key); rt 412 > 400"
        );
    });
}

#[test]
fn a_missing_value_fails_its_objective() {
    World::run(async |world| {
        provider(&world, "prom");
        evaluation(&world, "one");
        let (_operator, _) = operate(&world, |query, n| match query {
            "errors" => good(query, n),
            _ => Ok(Sample::Missing("the query gives no values".to_owned())),
        });
        let status = ended(&world, "one").await;
        assert_eq!(
            status.message,
            "warning: 50 of 100; rt: the query gives no values"
        );
        assert_eq!(status.phase, "Succeeded");
    });
}

#[test]
fn a_provider_that_comes_back_within_the_grace_is_asked_for_the_same_window() {
    World::run(async |world| {
        provider(&world, "prom");
        evaluation(&world, "one");
        let begin = world.now();
        let (_operator, asked) = operate(&world, move |query, before| match query {
            "errors" => good(query, before),
            _ if before < 5 => down(),
            _ => good(query, before),
        });
        let status = ended(&world, "one").await;
        assert_eq!(status.result.as_deref(), Some("pass"));
        assert!(world.now().duration_since(begin).as_secs() < 60);
        assert_eq!(writes(&world), 1);
        let asked = asked.lock().unwrap().clone();
        assert!(asked.iter().all(|(_, at)| *at == asked[0].1));
        let errors = asked.iter().filter(|(query, _)| query == "errors").count();
        assert_eq!(errors, 1, "what was answered is not asked again");
    });
}

#[test]
fn a_provider_that_stays_away_makes_it_inconclusive_never_failed() {
    World::run(async |world| {
        provider(&world, "prom");
        evaluation(&world, "one");
        let begin = world.now();
        let (_operator, _) = operate(&world, |_, _| down());
        let status = ended(&world, "one").await;
        assert_eq!(
            (status.phase.as_str(), status.result, status.score),
            ("Inconclusive", None, None)
        );
        assert_eq!(status.reason, "ProviderUnavailable");
        assert!(
            status
                .message
                .contains("(prometheus:9090): connection refused (asked"),
            "{}",
            status.message
        );
        assert!(status.message.ends_with("over 1m)"), "{}", status.message);
        let took = world.now().duration_since(begin).as_secs();
        assert!((60..63).contains(&took), "{took}");
        assert_eq!(writes(&world), 1);
    });
}

#[test]
fn a_wrong_query_ends_at_once() {
    World::run(async |world| {
        provider(&world, "prom");
        evaluation(&world, "one");
        let begin = world.now();
        let (_operator, _) = operate(&world, |_, _| Err(QueryError::BadQuery("parse error".to_owned())));
        let status = ended(&world, "one").await;
        assert_eq!(
            (status.phase.as_str(), status.reason.as_str()),
            ("Inconclusive", "InvalidQuery")
        );
        assert!(
            status
                .message
                .contains("parse error; mend it in the ServiceLevelIndicator")
        );
        assert!(world.now().duration_since(begin).as_secs() < 5);
    });
}

/// A server that takes its time over each question.
struct Slow;

impl MetricsSource for Slow {
    fn query<'a>(
        &'a self,
        _: &'a MetricsProvider,
        _: &'a Question,
    ) -> BoxFuture<'a, Result<super::Answer, QueryError>> {
        async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            Ok(Sample::Value(0.0).into())
        }
        .boxed()
    }
}

#[test]
fn fifty_indicators_at_a_tenth_of_a_second_take_less_than_a_second() {
    World::run(async |world| {
        provider(&world, "prom");
        let _operator = operate_on(&world, Arc::new(Slow));
        world.sleep(Duration::from_secs(5)).await;
        let mut many = evaluation(&world, "template");
        world.server.delete::<Evaluation>(NAMESPACE, "template");
        many.metadata.name = Some("many".to_owned());
        many.metadata.uid = None;
        many.metadata.resource_version = None;
        let objectives = &mut many.spec.objective.as_mut().unwrap().objectives;
        let (objective, query) = (objectives[1].clone(), many.spec.indicators["errors"].clone());
        objectives.clear();
        for n in 0..50 {
            let sli = format!("e{n}");
            objectives.push(crate::api::slo::Objective {
                sli: sli.clone(),
                ..objective.clone()
            });
            many.spec.indicators.insert(sli, query.clone());
        }
        let begin = world.now();
        world.server.create(&many).unwrap();
        let status = ended(&world, "many").await;
        assert_eq!((status.indicators.len(), status.score), (50, Some(100.0)));
        let took = world.now().duration_since(begin);
        assert!(took < SignedDuration::from_secs(1), "{took:?}");
    });
}

#[test]
fn what_the_provider_remarks_is_in_the_verdict() {
    struct Remarking;
    impl MetricsSource for Remarking {
        fn query<'a>(
            &'a self,
            _: &'a MetricsProvider,
            question: &'a Question,
        ) -> BoxFuture<'a, Result<super::Answer, QueryError>> {
            let mut answer = super::Answer::from(Sample::Value(0.0));
            if question.query == "errors" {
                answer.warnings.push("PromQL warning: that is odd".to_owned());
            }
            std::future::ready(Ok(answer)).boxed()
        }
    }
    World::run(async |world| {
        provider(&world, "prom");
        evaluation(&world, "one");
        let _operator = operate_on(&world, Arc::new(Remarking));
        let status = ended(&world, "one").await;
        assert_eq!(status.result.as_deref(), Some("pass"));
        assert!(
            status
                .message
                .ends_with("; warning about errors: PromQL warning: that is odd"),
            "{}",
            status.message
        );
        let said: Vec<usize> = status.indicators.iter().map(|i| i.warnings.len()).collect();
        assert_eq!(said, [0, 1]);
    });
}

#[test]
fn a_criterion_that_does_not_parse_is_told_with_its_path() {
    World::run(async |world| {
        provider(&world, "prom");
        evaluation_with(&world, "one", "<=5ms", "prom");
        let (_operator, asked) = operate(&world, good);
        let status = ended(&world, "one").await;
        assert_eq!(
            (status.phase.as_str(), status.reason.as_str()),
            ("Inconclusive", "InvalidObjective")
        );
        assert!(
            status.message.contains("objectives[0].pass[0].criteria[1]"),
            "{}",
            status.message
        );
        assert!(asked.lock().unwrap().is_empty());
    });
}

#[test]
fn relative_criteria_compare_with_the_evaluation_before() {
    World::run(async |world| {
        provider(&world, "prom");
        evaluation(&world, "one");
        let (_operator, _) = operate(&world, |query, before| match query {
            "errors" => Ok(Sample::Value(0.0)),
            _ if before < 2 => Ok(Sample::Value(100.0)),
            _ => Ok(Sample::Value(300.0)),
        });
        assert!(ended(&world, "one").await.no_baseline);
        world.sleep(Duration::from_secs(5)).await;
        evaluation(&world, "two");
        let status = ended(&world, "two").await;
        assert_eq!(status.compared_with, ["one"]);
        assert_eq!(status.message, "warning: 50 of 100; rt 300 > 110 (<=+10%)");
        assert!(!status.no_baseline);
    });
}

#[rstest]
#[case::relative("<=+1000%")]
#[case::absolute("<=400")]
fn the_newest_twenty_and_ten_that_passed_are_kept(#[case] criterion: &str) {
    World::run(async |world| {
        provider(&world, "prom");
        let (_operator, _) = operate(&world, good);
        for i in 0..33 {
            let name = format!("e{i:02}");
            evaluation_with(&world, &name, criterion, "prom");
            ended(&world, &name).await;
            world.sleep(Duration::from_secs(2)).await;
        }
        let left: Vec<String> = world
            .list::<Evaluation>()
            .iter()
            .map(ResourceExt::name_any)
            .collect();
        assert_eq!((left.len(), left[0].as_str()), (30, "e03"), "{left:?}");
    });
}

#[test]
fn a_window_that_is_not_over_is_waited_for() {
    World::run(async |world| {
        provider(&world, "prom");
        let mut later = evaluation(&world, "template");
        world.server.delete::<Evaluation>(NAMESPACE, "template");
        later.metadata.name = Some("one".to_owned());
        later.metadata.uid = None;
        later.metadata.resource_version = None;
        later.spec.window.as_mut().unwrap().end.0 += SignedDuration::from_mins(3);
        world.server.create(&later).unwrap();
        let (_operator, _) = operate(&world, good);
        let status = ended(&world, "one").await;
        assert!(status.finished_at.unwrap().0 >= later.spec.window.unwrap().end.0);
    });
}

#[test]
fn one_that_is_deleted_or_makes_trouble_does_not_stop_the_others() {
    World::run(async |world| {
        provider(&world, "prom");
        evaluation(&world, "deleted");
        evaluation_with(&world, "nameless", "<=+10%", "prom");
        let (_operator, _) = operate(&world, |query, before| match before {
            0 => panic!("a bug"),
            1..6 => down(),
            _ => good(query, before),
        });
        world.sleep(Duration::from_millis(100)).await;
        world.server.delete::<Evaluation>(NAMESPACE, "deleted");
        assert_eq!(ended(&world, "nameless").await.result.as_deref(), Some("pass"));
        evaluation(&world, "next");
        assert_eq!(ended(&world, "next").await.result.as_deref(), Some("pass"));
    });
}

#[test]
fn many_that_ask_again_do_not_hold_up_one_that_is_answered() {
    World::run(async |world| {
        provider(&world, "prom");
        for i in 0..100 {
            evaluation(&world, &format!("sick-{i}"));
        }
        let (_operator, _) = operate(&world, |query, _| match query {
            "fine" => Ok(Sample::Value(0.0)),
            _ => down(),
        });
        world.sleep(Duration::from_secs(5)).await;
        let mut fine = evaluation(&world, "template");
        fine.metadata.name = Some("fine".to_owned());
        fine.metadata.uid = None;
        fine.metadata.resource_version = None;
        fine.spec
            .indicators
            .values_mut()
            .for_each(|i| i.query = "fine".to_owned());
        let begin = world.now();
        world.server.create(&fine).unwrap();
        assert_eq!(ended(&world, "fine").await.result.as_deref(), Some("pass"));
        assert!(world.now().duration_since(begin).as_secs() < 2);
    });
}

#[rstest]
#[case::before(Fault::CrashBefore)]
#[case::after(Fault::CrashAfter)]
#[case::conflict(Fault::Fail(409))]
#[case::unwell(Fault::Fail(500))]
#[case::lost_answer(Fault::FailAfter(500))]
#[case::unreachable(Fault::Unreachable)]
fn trouble_with_the_write_changes_nothing(#[case] fault: Fault) {
    World::run(async |world| {
        provider(&world, "prom");
        evaluation(&world, "one");
        let mut troubled = false;
        world.server.on_request(move |call| {
            let first = call.write.is_some() && call.resource.starts_with("evaluations.") && !troubled;
            troubled |= first;
            if first { fault } else { Fault::Proceed }
        });
        let (first, _) = operate(&world, good);
        world.sleep(Duration::from_secs(10)).await;
        let (_second, _) = if first.is_dead() {
            operate(&world, good)
        } else {
            (first, Asked::default())
        };
        let status = ended(&world, "one").await;
        assert_eq!(
            (status.result.as_deref(), status.score),
            (Some("pass"), Some(100.0))
        );
    });
}
