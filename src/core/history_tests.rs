use proptest::prelude::*;
use rstest::rstest;
use serde_json::json;

use super::*;

const NOW: i64 = 1_800_000_000;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

/// One that ended so many minutes ago.
fn ended(minutes: i64, failed: bool) -> Ended {
    Ended {
        name: format!("r{minutes}"),
        uid: format!("u{minutes}"),
        context: format!("c{minutes}"),
        finished_at: at(NOW - minutes * 60),
        failed,
        stays: false,
    }
}

fn names(surplus: &[&Ended]) -> Vec<String> {
    surplus.iter().map(|run| run.name.clone()).collect()
}

fn of(limit: usize) -> Keep {
    Keep {
        limit,
        ..Keep::default()
    }
}

#[test]
fn the_newest_ones_are_kept_and_the_oldest_go_first() {
    let runs: Vec<Ended> = (0..13).map(|m| ended(m, false)).collect();
    assert_eq!(
        names(&surplus(&runs, Keep::default(), at(NOW))),
        ["r12", "r11", "r10"]
    );
    assert!(surplus(&runs[..10], Keep::default(), at(NOW)).is_empty());
}

#[test]
fn the_newest_failed_one_is_kept_beyond_the_limit() {
    let runs: Vec<Ended> = (0..14).map(|m| ended(m, m >= 12)).collect();
    assert_eq!(
        names(&surplus(&runs, Keep::default(), at(NOW))),
        ["r13", "r11", "r10"]
    );
}

#[test]
fn a_limit_of_none_keeps_the_newest_and_the_newest_failed() {
    let runs: Vec<Ended> = (0..5).map(|m| ended(m, m >= 2)).collect();
    assert_eq!(names(&surplus(&runs, of(0), at(NOW))), ["r4", "r3", "r1"]);
}

#[test]
fn the_old_go_but_never_the_newest_of_all() {
    let day = 24 * 60;
    let runs = [
        ended(31 * day, false),
        ended(32 * day, false),
        ended(33 * day, true),
    ];
    assert_eq!(
        names(&surplus(&runs, Keep::default(), at(NOW))),
        [format!("r{}", 32 * day)]
    );
    let young = [ended(0, false), ended(30 * day - 1, false)];
    assert!(surplus(&young, Keep::default(), at(NOW)).is_empty());
}

#[test]
fn what_stays_counts() {
    let mut runs: Vec<Ended> = (0..4).map(|m| ended(m, false)).collect();
    runs[1].stays = true;
    runs[3].stays = true;
    assert_eq!(names(&surplus(&runs, of(2), at(NOW))), ["r2"]);
}

fn shipyard(sequence: serde_json::Value) -> Arc<Shipyard> {
    let spec = json!({"stages": [{"name": "production", "sequences": [sequence]}]});
    Arc::new(Shipyard::new("shop", serde_json::from_value(spec).unwrap()))
}

#[rstest]
#[case::said(json!({"name": "delivery", "historyLimit": 3, "historyAge": "1h"}), 3, 3600)]
#[case::half_said(json!({"name": "delivery", "historyLimit": 0}), 0, 720 * 3600)]
#[case::not_said(json!({"name": "delivery"}), 10, 720 * 3600)]
#[case::removed(json!({"name": "other", "historyLimit": 3}), 10, 720 * 3600)]
fn limits(#[case] mut sequence: serde_json::Value, #[case] limit: usize, #[case] age: u64) {
    sequence["tasks"] = json!([{"name": "deployment"}]);
    let keep = keep(&[shipyard(sequence)], "shop", "production", "delivery");
    assert_eq!((keep.limit, keep.age), (limit, Duration::from_secs(age)));
    assert_eq!(
        super::keep(&[], "shop", "production", "delivery"),
        Keep::default()
    );
}

#[rstest]
#[case::plain(json!({}), false)]
#[case::kept(json!({"annotations": {"coxswain.dev/keep": "true"}}), true)]
#[case::not_kept(json!({"annotations": {"coxswain.dev/keep": "false"}}), false)]
#[case::of_argo(json!({"annotations": {"argocd.argoproj.io/tracking-id": "shop:x"}}), true)]
#[case::of_flux(json!({"labels": {"kustomize.toolkit.fluxcd.io/name": "shop"}}), true)]
#[case::ours(json!({"labels": {"app.kubernetes.io/managed-by": "coxswain"}}), false)]
fn what_would_come_back_is_wanted(#[case] meta: serde_json::Value, #[case] wanted: bool) {
    assert_eq!(is_wanted(&serde_json::from_value(meta).unwrap()), wanted);
}

#[test]
fn what_counts_against_the_longest_budget_stays() {
    let remediation = |per: &str| -> Arc<Remediation> {
        serde_json::from_value(json!({
            "metadata": {"name": "r"},
            "spec": {"project": "shop", "budget": {"actions": 6, "per": per}, "remediations": []},
        }))
        .map(Arc::new)
        .unwrap()
    };
    assert_eq!(acted_since(&[], at(NOW)), at(NOW - 3600));
    let list = [remediation("24h"), remediation("1m")];
    assert_eq!(acted_since(&list, at(NOW)), at(NOW - 24 * 3600));
}

#[test]
fn a_census_names_the_places_with_too_many_or_too_old_runs() {
    let place = |service: &str| PlaceKey {
        namespace: "demo".to_owned(),
        project: "shop".to_owned(),
        stage: "production".to_owned(),
        service: service.to_owned(),
    };
    let mut census = Census::default();
    let day = 24 * 3600;
    for (service, sequence, ages) in [
        ("few", "a", vec![0, 1]),
        ("few", "b", vec![0, 1]),
        ("many", "a", vec![0, 1, 2]),
        ("old", "a", vec![0, 40 * day]),
        ("one", "a", vec![40 * day]),
    ] {
        for age in ages {
            census.add(place(service), sequence.to_owned(), at(NOW - age));
        }
    }
    let crowded: Vec<String> = census
        .crowded(|_, _| of(2), at(NOW))
        .into_iter()
        .map(|p| p.service)
        .collect();
    assert_eq!(crowded, ["many", "old"]);
}

/// Any history: several may have ended at the same moment.
fn histories() -> impl Strategy<Value = Vec<Ended>> {
    let one = (0_i64..60, any::<bool>(), prop::bool::weighted(0.2));
    prop::collection::vec(one, 0..40).prop_map(|all| {
        let numbered = all.into_iter().enumerate();
        let one = |(n, (minutes, failed, stays)): (usize, (i64, bool, bool))| Ended {
            name: format!("n{n}"),
            uid: format!("u{n}"),
            stays,
            ..ended(minutes, failed)
        };
        numbered.map(one).collect()
    })
}

proptest! {
    #[test]
    fn whatever_happened(runs in histories(), limit in 0_usize..12, minutes in 0_u64..60) {
        let keep = Keep { limit, age: Duration::from_secs(minutes * 60) };
        let gone = surplus(&runs, keep, at(NOW));
        let newest = |of: &dyn Fn(&&Ended) -> bool| {
            runs.iter().filter(of).max_by_key(|run| (run.finished_at, &run.name))
        };
        prop_assert!(newest(&|_| true).is_none_or(|run| !gone.contains(&run)), "the newest stays");
        prop_assert!(newest(&|run| run.failed).is_none_or(|run| !gone.contains(&run)), "the newest failed stays");
        prop_assert!(gone.iter().all(|run| !run.stays), "nothing goes that has to stay");
        let left: Vec<Ended> = runs.iter().filter(|run| !gone.contains(run)).cloned().collect();
        prop_assert!(surplus(&left, keep, at(NOW)).is_empty(), "the second time nothing more goes");
        let free = left.iter().filter(|run| !run.stays).count();
        prop_assert!(free <= limit.max(1) + 1, "{free} are left of {limit}");
    }
}
