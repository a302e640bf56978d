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
    let undone = job_ended(&mut record, &seen, at(20));
    assert_eq!(undone.map(|u| u.owner).as_deref(), owner);
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
    let undone = changed_back(&[&record], &seen);
    assert_eq!(undone.map(|u| u.owner).as_deref(), owner);
}

#[test]
fn what_the_job_left_as_it_was_can_not_be_changed_back() {
    let mut record = before();
    let same = found(&deployment(5, 1, &[]));
    assert_eq!(job_ended(&mut record, &same, at(20)), None);
    assert_eq!(
        changed_back(
            &[&record],
            &found(&deployment(9, 1, &[("argocd-controller", 30)]))
        ),
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
        changed_back(
            &[&record],
            &found(&deployment(7, 1, &[("argocd-controller", 14)]))
        ),
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
        .wish
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
    let undone = Undone {
        owner: owner.to_owned(),
        fields: vec![],
    };
    let text = told(&target(), &undone);
    assert!(
        text.starts_with("Deployment cart was changed back by") && text.contains(owner),
        "{text}"
    );
    assert!(text.contains(remedy), "{text}");
}

/// A Deployment with these fields of its container, and who owns what since when.
fn cart(replicas: i32, container: &Value, writers: &[(&str, i64, Value)]) -> Look {
    let mut object = deployment(5, replicas, &[]);
    let mut whole = json!({"name": "cart"});
    whole
        .as_object_mut()
        .unwrap()
        .extend(container.as_object().unwrap().clone());
    object["spec"]["template"] = json!({"spec": {"containers": [{"name": "proxy", "image": "p:1"}, whole]}});
    let entries = writers.iter().map(|(name, second, fields)| {
        json!({"manager": name, "operation": "Update", "time": at(*second).to_string(), "fieldsV1": fields})
    });
    object["metadata"]["managedFields"] = entries.collect();
    found(&object)
}

fn replicas() -> Value {
    json!({"f:spec": {"f:replicas": {}}})
}

fn image() -> Value {
    json!({"f:spec": {"f:template": {"f:spec": {"f:containers": {"k:{\"name\":\"cart\"}": {".": {}, "f:image": {}}}}}}})
}

/// What the Job changed: the size and the image, and it added a command.
fn changed_by_the_job() -> TargetStatus {
    let mut record = record(&target(), &cart(1, &json!({"image": "c:1"}), &[]), at(10)).unwrap();
    let seen = cart(
        3,
        &json!({"image": "c:2", "command": ["x"]}),
        &[("kubectl", 12, replicas())],
    );
    assert_eq!(job_ended(&mut record, &seen, at(20)), None);
    record
}

#[rstest]
#[case::one_of_several(1, json!({"image": "c:2", "command": ["x"]}), &["spec.replicas"])]
#[case::deep_within(3, json!({"image": "c:1", "command": ["x"]}), &["spec.template.spec.containers[cart].image"])]
#[case::what_it_added_is_gone(3, json!({"image": "c:2"}), &[])]
fn a_part_of_what_the_job_changed_is_changed_back(
    #[case] size: i32,
    #[case] container: Value,
    #[case] fields: &[&str],
) {
    let writers = [
        ("argocd-controller", 25, replicas()),
        ("argocd-controller", 26, image()),
    ];
    let undone = changed_back(&[&changed_by_the_job()], &cart(size, &container, &writers)).unwrap();
    assert_eq!(undone.owner, "argocd-controller");
    assert_eq!(undone.fields, fields);
}

#[test]
fn what_another_owner_changes_beside_it_is_no_conflict() {
    let unrelated = json!({"image": "c:2", "command": ["x"], "resources": {"limits": {"cpu": "2"}}, "env": [{"name": "A", "value": "b"}]});
    let seen = cart(3, &unrelated, &[("argocd-controller", 25, image())]);
    assert_eq!(changed_back(&[&changed_by_the_job()], &seen), None);
}

/// An autoscaler that scales while a Job sets an image, and scales back later, undoes nothing of the Job's.
#[test]
fn what_a_controller_changes_while_the_job_runs_is_not_the_job_s() {
    let mut record = record(&target(), &cart(1, &json!({"image": "c:1"}), &[]), at(10)).unwrap();
    let scaled = ("kube-controller-manager", 12, replicas());
    let ended = cart(3, &json!({"image": "c:2"}), &[scaled, ("kubectl", 13, image())]);
    assert_eq!(job_ended(&mut record, &ended, at(20)), None);
    let scaled_back = ("kube-controller-manager", 25, replicas());
    let seen = cart(1, &json!({"image": "c:2"}), std::slice::from_ref(&scaled_back));
    assert_eq!(changed_back(&[&record], &seen), None);
    let seen = cart(
        1,
        &json!({"image": "c:1"}),
        &[scaled_back, ("helm-controller", 24, image())],
    );
    let undone = changed_back(&[&record], &seen).unwrap();
    assert_eq!(
        undone.owner, "helm-controller",
        "who owns the field, not who wrote last"
    );
}

#[test]
fn of_two_jobs_each_field_is_the_one_s_that_changed_it_last() {
    let one = changed_by_the_job();
    let ended = |replicas| cart(replicas, &json!({"image": "c:2", "command": ["x"]}), &[]);
    let mut two = record(&target(), &ended(3), at(30)).unwrap();
    assert_eq!(job_ended(&mut two, &ended(1), at(40)), None);
    assert_eq!(changed_back(&[&one, &two], &ended(1)), None, "its own doing");
    let seen = cart(1, &json!({"image": "c:1", "command": ["x"]}), &[]);
    assert!(
        changed_back(&[&one, &two], &seen).is_some(),
        "the first Job's image"
    );
    assert!(
        changed_back(&[&one, &two], &ended(3)).is_some(),
        "the second's size"
    );
}

/// So a status stays small: an object of many fields is compared by larger parts.
#[test]
fn an_object_of_many_fields_is_compared_by_larger_parts() {
    let map = |value: &str| {
        let data: serde_json::Map<_, _> = (0..500).map(|n| (format!("k{n}"), json!(value))).collect();
        found(&json!({"kind": "ConfigMap", "data": data, "immutable": false}))
    };
    let mut record = record(&target(), &map("1"), at(10)).unwrap();
    assert!(record.before.as_ref().unwrap().len() < 64, "{record:?}");
    assert_eq!(job_ended(&mut record, &map("2"), at(20)), None);
    assert_eq!(changed_back(&[&record], &map("2")), None);
    let undone = changed_back(&[&record], &map("1")).unwrap();
    assert_eq!(undone.fields, ["data"]);
}
