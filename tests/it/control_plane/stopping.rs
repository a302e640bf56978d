//! A ready operator, told to end.

#[test]
#[ignore = "needs a cluster (KUBECONFIG) with the CRDs"]
fn a_ready_operator_ends_within_two_seconds() {
    crate::stopping::a_ready_operator_ends_at_once();
}
