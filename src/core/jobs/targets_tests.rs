use rstest::rstest;
use serde_json::json;

use super::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

/// A Deployment of this generation and size, last written by these, each at a second.
fn deployment(generation: i64, replicas: i32, writers: &[(&str, i64)]) -> Value {
    let entry = |(name, second): &(&str, i64)| {
        json!({"manager": name, "operation": "Update", "time": at(*second).to_string(),
               "fieldsType": "FieldsV1", "fieldsV1": {"f:spec": {"f:replicas": {}}}})
    };
    let mut managed: Vec<_> = writers.iter().map(entry).collect();
    managed.push(
        json!({"manager": "kubelet", "time": at(900).to_string(), "subresource": "status",
                        "fieldsV1": {"f:status": {}}}),
    );
    managed.push(json!({"manager": "labeller", "time": at(901).to_string(), "fieldsV1": {"f:metadata": {}}}));
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "spec": {"replicas": replicas},
           "metadata": {"name": "cart", "generation": generation, "managedFields": managed}})
}

fn found(object: &Value) -> Look {
    Look::Found(Snapshot::of(object))
}

fn target() -> Target {
    Target {
        api_version: "apps/v1".into(),
        kind: "Deployment".into(),
        name: "cart".into(),
    }
}

/// Before the Job: generation 5, one replica, at second 10.
fn before() -> TargetStatus {
    let look = found(&deployment(5, 1, &[("argocd-controller", 0)]));
    record(&target(), &look, at(10)).unwrap()
}

#[rstest]
#[case::changed(6, 2, &[("kubectl-scale", 12)], None)]
#[case::not_changed(5, 1, &[("argocd-controller", 0)], None)]
#[case::back(7, 1, &[("argocd-controller", 14)], Some("argocd-controller"))]
#[case::back_by_an_autoscaler(7, 1, &[("kube-controller-manager", 14)], Some("kube-controller-manager"))]
#[case::the_job_itself_put_it_back(7, 1, &[("kubectl-scale", 14), ("argocd-controller", 0)], None)]
#[case::both_wrote(8, 1, &[("kubectl", 15), ("helm-controller", 14)], Some("helm-controller"))]
#[case::a_whole_second(7, 1, &[("argocd-controller", 10)], Some("argocd-controller"))]
fn while_the_job_ran(
    #[case] generation: i64,
    #[case] replicas: i32,
    #[case] writers: &[(&str, i64)],
    #[case] owner: Option<&str>,
) {
    let mut record = before();
    let seen = found(&deployment(generation, replicas, writers));
    assert_eq!(job_ended(&mut record, &seen, at(20)).as_deref(), owner);
    assert!(record.after.is_some() && record.ended_at.is_some());
}

#[rstest]
#[case::it_stays(2, &[("kubectl-scale", 12)], None)]
#[case::back(1, &[("argocd-controller", 25)], Some("argocd-controller"))]
#[case::back_by_hand(1, &[("kubectl-edit", 25), ("argocd-controller", 0)], Some("kubectl-edit"))]
#[case::back_by_nobody(1, &[("argocd-controller", 0)], Some("somebody"))]
#[case::to_something_else(4, &[("argocd-controller", 25)], None)]
fn after_the_job(#[case] replicas: i32, #[case] writers: &[(&str, i64)], #[case] owner: Option<&str>) {
    let mut record = before();
    let ended = found(&deployment(6, 2, &[("kubectl-scale", 12)]));
    assert_eq!(job_ended(&mut record, &ended, at(20)), None);
    let seen = found(&deployment(7, replicas, writers));
    assert_eq!(changed_back(&record, &seen).as_deref(), owner);
}

#[test]
fn what_the_job_left_as_it_was_can_not_be_changed_back() {
    let mut record = before();
    let same = found(&deployment(5, 1, &[]));
    assert_eq!(job_ended(&mut record, &same, at(20)), None);
    assert_eq!(
        changed_back(&record, &found(&deployment(9, 1, &[("argocd-controller", 30)]))),
        None
    );
}

#[test]
fn what_can_not_be_seen_is_never_a_conflict() {
    let unseen = || Look::NotSeen {
        reason: "NotGranted",
        message: "bind a Role".to_owned(),
    };
    let mut blind = record(&target(), &unseen(), at(10)).unwrap();
    assert_eq!(
        (blind.reason.as_str(), blind.before.as_deref()),
        ("NotGranted", None)
    );
    assert_eq!(
        job_ended(
            &mut blind,
            &found(&deployment(7, 1, &[("argocd-controller", 14)])),
            at(20)
        ),
        None
    );
    let mut record = before();
    assert_eq!(job_ended(&mut record, &unseen(), at(20)), None);
    assert_eq!(
        changed_back(&record, &found(&deployment(7, 1, &[("argocd-controller", 14)]))),
        None
    );
    assert_eq!(super::record(&target(), &Look::NotLooked, at(10)), None);
}

#[test]
fn a_kind_without_a_spec_asks_for_all_that_it_holds() {
    let map = |value: &str, label: &str| {
        Snapshot::of(
            &json!({"kind": "ConfigMap", "metadata": {"labels": {"l": label}}, "data": {"a": value}}),
        )
        .spec
    };
    assert_eq!(map("1", "x"), map("1", "y"));
    assert_ne!(map("1", "x"), map("2", "x"));
}

#[rstest]
#[case("argocd-controller", "ignoreDifferences")]
#[case("kustomize-controller", "Kustomization")]
#[case("kube-controller-manager", "HorizontalPodAutoscaler")]
#[case("somebody", "managedFields")]
#[case("our-operator", "take the field's ownership from our-operator")]
fn the_owner_and_the_remedy_are_named(#[case] owner: &str, #[case] remedy: &str) {
    let text = told(&target(), owner);
    assert!(
        text.starts_with("Deployment cart was changed back by") && text.contains(owner),
        "{text}"
    );
    assert!(text.contains(remedy), "{text}");
}
