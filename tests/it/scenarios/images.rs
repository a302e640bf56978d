//! The administrator's list of images.

use coxswain::testing::World;
use k8s_openapi::api::core::v1::Namespace;
use kube::ResourceExt;

use super::{Shop, hours, jobs_created, mins};

fn allow(world: &World, list: &str) {
    world.server.edit::<Namespace>("", "demo", |namespace| {
        let annotations = namespace.annotations_mut();
        annotations.insert("coxswain.dev/allowed-images".to_owned(), list.to_owned());
    });
}

#[test]
fn an_image_that_is_not_allowed_starts_nothing() {
    World::run(async |world: World| {
        let shop = Shop::open(world, "restart").await;
        allow(&shop.world, "ghcr.io/nowhere/*");
        shop.problem("slow-1");
        let status = shop.ended("slow-1", hours(1)).await;
        assert_eq!(
            (status.phase.as_str(), status.reason.as_str()),
            ("Failed", "JobConfigInvalid")
        );
        let says = "is not among those that the namespace's annotation coxswain.dev/allowed-images allows (ghcr.io/nowhere/*)";
        assert!(status.message.contains(says), "{}", status.message);
        assert!(jobs_created(&shop.world).is_empty());
    });
}

#[test]
fn one_that_is_allowed_runs() {
    World::run(async |world: World| {
        let shop = Shop::open(world, "restart").await;
        allow(&shop.world, "ghcr.io/nowhere/*, *");
        shop.problem("slow-1");
        assert_eq!(shop.ended("slow-1", mins(10)).await.phase, "Succeeded");
    });
}
