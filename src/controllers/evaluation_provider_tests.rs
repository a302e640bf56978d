//! Which MetricsProvider is asked, and what is said when there is none.

use rstest::rstest;

use super::*;

#[rstest]
#[case::none("prom", &[], "no MetricsProvider prom; create one")]
#[case::several("", &["a", "b"], "names none")]
#[case::another("prom", &["a", "b"], "there is a, b")]
fn without_a_provider_it_is_inconclusive(
    #[case] named: &str,
    #[case] existing: &[&str],
    #[case] remedy: &str,
) {
    World::run(async |world| {
        for name in existing {
            provider(&world, name);
        }
        evaluation_with(&world, "one", "<=+10%", named);
        let (_operator, _) = operate(&world, good);
        let status = ended(&world, "one").await;
        assert_eq!(
            (status.phase.as_str(), status.reason.as_str()),
            ("Inconclusive", "ProviderMissing")
        );
        assert!(status.message.contains(remedy), "{}", status.message);
    });
}

/// A provider in the operator's own namespace.
fn operators_provider(world: &World, name: &str, annotation: &str) {
    world.apply(&format!(
        "{{apiVersion: v1, kind: Namespace, metadata: {{name: {OPERATORS}}}}}"
    ));
    world.apply(&format!(
        "{{apiVersion: coxswain.dev/v1alpha1, kind: MetricsProvider, \
          metadata: {{name: {name}, namespace: {OPERATORS}, annotations: {{{annotation}}}}}, \
          spec: {{prometheus: {{url: 'http://prometheus:9090'}}}}}}"
    ));
}

const IS_DEFAULT: &str = "coxswain.dev/default-provider: 'true'";

#[test]
fn a_namespace_without_a_provider_has_the_installations_default_one() {
    World::run(async |world| {
        operators_provider(&world, "other", "");
        operators_provider(&world, "all", IS_DEFAULT);
        evaluation_with(&world, "one", "<=+10%", "");
        let (_operator, _) = operate(&world, good);
        assert_eq!(ended(&world, "one").await.result.as_deref(), Some("pass"));
    });
}

#[test]
fn a_provider_that_is_not_marked_is_nobodys_default() {
    World::run(async |world| {
        operators_provider(&world, "other", "coxswain.dev/default-provider: 'no'");
        evaluation_with(&world, "one", "<=+10%", "");
        let (_operator, _) = operate(&world, good);
        let status = ended(&world, "one").await;
        assert_eq!(status.reason, "ProviderMissing");
        assert!(status.message.contains("mark one of the operator's namespace"));
    });
}

#[test]
fn a_provider_with_a_mistake_is_not_asked() {
    World::run(async |world| {
        world.apply(
            "{apiVersion: coxswain.dev/v1alpha1, kind: MetricsProvider, metadata: {name: prom}, \
              spec: {prometheus: {url: 'http://localhost:9090'}}}",
        );
        evaluation(&world, "one");
        let (_operator, asked) = operate(&world, good);
        let status = ended(&world, "one").await;
        assert_eq!(
            (status.phase.as_str(), status.reason.as_str()),
            ("Inconclusive", "ProviderInvalid")
        );
        let says = "MetricsProvider prom is not valid: spec.prometheus.url: \"http://localhost:9090\" is a loopback address";
        assert!(status.message.contains(says), "{}", status.message);
        assert!(asked.lock().unwrap().is_empty());
    });
}

#[test]
fn the_only_provider_need_not_be_named() {
    World::run(async |world| {
        provider(&world, "prom");
        evaluation_with(&world, "one", "<=+10%", "");
        let (_operator, _) = operate(&world, good);
        assert_eq!(ended(&world, "one").await.result.as_deref(), Some("pass"));
    });
}
