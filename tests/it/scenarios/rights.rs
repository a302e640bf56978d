//! Least privilege: the operator may do what the shipped role says, and the stories use all of it.
//!
//! Every story runs under the shipped rules (`testing::world`), so one that needed more would fail. Here the other half is
//! checked: no right is shipped that no story uses.

use std::collections::BTreeSet;

use k8s_openapi::api::rbac::v1::PolicyRule;
use serde_json::Value;

/// Rights that no story shows: most are asked for by a real API server only.
const EXCEPTIONS: [&str; 8] = [
    // Read as a GitRepository is, which a story does.
    "get source.toolkit.fluxcd.io ocirepositories",
    "get source.toolkit.fluxcd.io buckets",
    "get source.toolkit.fluxcd.io externalartifacts",
    // By the admission policies, which look for the verb.
    "ask coxswain.dev approvals",
    "retry coxswain.dev sequenceexecutions",
    // By the admission plug-in OwnerReferencesPermissionEnforcement.
    "update coxswain.dev problemevents/finalizers",
    "update coxswain.dev sequenceexecutions/finalizers",
    "update coxswain.dev deliveries/finalizers",
];

fn rights(rules: &[PolicyRule]) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for rule in rules {
        for group in rule.api_groups.iter().flatten() {
            let group = if group.is_empty() { "core" } else { group };
            for resource in rule.resources.iter().flatten() {
                all.extend(rule.verbs.iter().map(|verb| format!("{verb} {group} {resource}")));
            }
        }
    }
    all
}

fn shipped(role: &str) -> BTreeSet<String> {
    let role: Value = serde_yaml::from_str(role).unwrap();
    rights(&serde_json::from_value::<Vec<PolicyRule>>(role["rules"].clone()).unwrap())
}

/// `hack/test.sh rust` runs every other test first, with COXSWAIN_TEST_RIGHTS set to this file.
#[test]
#[ignore = "needs COXSWAIN_TEST_RIGHTS, the file to which all other tests wrote what they used"]
fn every_shipped_right_is_used() {
    let path =
        std::env::var(coxswain::testing::server::USED_RIGHTS).expect("COXSWAIN_TEST_RIGHTS names a file");
    let used = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}"));
    let used: BTreeSet<String> = used.lines().map(str::to_owned).collect();
    let shipped = shipped(include_str!("../../../config/rbac/role.yaml"));
    let exceptions: BTreeSet<String> = EXCEPTIONS.map(str::to_owned).into();
    assert!(exceptions.is_subset(&shipped), "an exception for nothing");
    assert!(exceptions.is_disjoint(&used), "an exception that none is");
    let unused: Vec<_> = shipped
        .difference(&used)
        .filter(|right| !exceptions.contains(*right))
        .collect();
    assert!(
        unused.is_empty(),
        "no story uses these rights; take them out of src/cli/rbac.rs: {unused:#?}"
    );
}

/// Nothing but what the operator may do everywhere, and of Namespaces less.
#[test]
fn a_list_of_namespaces_needs_no_more_rights() {
    let everywhere = shipped(include_str!("../../../config/rbac/role.yaml"));
    let namespaced = shipped(include_str!("../../../config/rbac/namespaced/role.yaml"));
    let less: Vec<_> = everywhere.difference(&namespaced).collect();
    assert_eq!(less, ["list core namespaces", "watch core namespaces"]);
    assert!(namespaced.is_subset(&everywhere));
}
