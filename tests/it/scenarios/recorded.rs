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

/// Files are found by labels too; of those that may have one, the case has the keys, and what says which files they are.
#[test]
fn a_recorded_run_has_the_labelled_config_maps_of_its_files() {
    World::run(async |world: World| {
        let map = |name: &str, labels: &str| {
            format!(
                "{{apiVersion: v1, kind: ConfigMap, metadata: {{name: {name}, labels: {{coxswain.dev/project: shop, team: x, {labels}}}, \
                 annotations: {{coxswain.dev/directory: charts, note: x}}}}, data: {{values.yaml: secret-words}}}}"
            )
        };
        world.apply(&map("charts", "coxswain.dev/stage: production"));
        world.apply(&map("elsewhere", "coxswain.dev/stage: qa"));
        let plain = "cmd: [action-restart]";
        let definitions = SHOP.replace(plain, &format!("{plain}, files: [charts/values.yaml]"));
        let shop = Shop::open_with(world, &definitions, "restart").await;
        shop.problem("slow-1");
        let status = shop.ended("slow-1", mins(10)).await;
        assert_eq!(end(&status), ("Succeeded", "Healed"), "{}", status.message);
        let run = shop.world.list::<SequenceExecution>().remove(0).name_any();
        let directory = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("recorded-files");
        let _ = std::fs::remove_dir_all(&directory);
        record(&shop.world.client, NAMESPACE, &run, &directory)
            .await
            .unwrap();
        let read = |file: &str| std::fs::read_to_string(directory.join(&run).join(file)).unwrap();
        let definitions = read("definitions.yaml");
        let maps: Vec<serde_json::Value> = serde_yaml::Deserializer::from_str(&definitions)
            .map(|document| serde::Deserialize::deserialize(document).unwrap())
            .filter(|object: &serde_json::Value| object["kind"] == "ConfigMap")
            .collect();
        let expected = serde_json::json!([{"apiVersion": "v1", "kind": "ConfigMap", "data": {"values.yaml": ""}, "metadata": {
            "name": "charts", "namespace": NAMESPACE, "annotations": {"coxswain.dev/directory": "charts"},
            "labels": {"coxswain.dev/project": "shop", "coxswain.dev/stage": "production"}}}]);
        assert_eq!(serde_json::json!(maps), expected);
        let case = directory.join(&run).join("case.yaml");
        assert_eq!(
            play(&case).unwrap(),
            Vec::<String>::new(),
            "{}",
            read("case.yaml")
        );
    });
}
