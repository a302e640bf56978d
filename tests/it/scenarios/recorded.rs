//! A real run becomes a case that passes without a cluster.

use coxswain::{
    api::SequenceExecution,
    cli::{record::record, test::play},
    testing::{World, world::NAMESPACE},
};

use super::*;

#[test]
fn a_recorded_run_passes_as_a_case() {
    World::run(async |world: World| {
        let shop = Shop::open(world, "scale").await;
        shop.problem("slow-1");
        let status = shop.ended("slow-1", mins(10)).await;
        assert_eq!((status.phase.as_str(), status.attempt), ("Succeeded", Some(2)));
        let run = shop.world.list::<SequenceExecution>().remove(0).name_any();
        let directory = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("recorded");
        let _ = std::fs::remove_dir_all(&directory);
        let warnings = record(&shop.world.client, NAMESPACE, &run, &directory)
            .await
            .unwrap();
        assert_eq!(warnings, Vec::<String>::new());
        let case = directory.join(&run).join("case.yaml");
        let text = std::fs::read_to_string(&case).unwrap();
        assert!(
            text.contains("indicators:") && text.contains("attempts: 2"),
            "{text}"
        );
        assert_eq!(play(&case).unwrap(), Vec::<String>::new(), "{text}");
        let again = record(&shop.world.client, NAMESPACE, &run, &directory)
            .await
            .unwrap_err();
        assert!(again.to_string().contains("is there already"), "{again}");
        // What happened otherwise is told.
        std::fs::write(&case, text.replace("attempts: 2", "attempts: 3")).unwrap();
        assert_eq!(
            play(&case).unwrap(),
            ["executions[0].attempts: expected 3, got 2"]
        );
    });
}
