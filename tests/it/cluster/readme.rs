//! Everything that the README tells people to type, typed; on a cluster of its own, where nothing is installed.

use std::{
    process::{Child, Command, Stdio},
    time::Duration,
};

use coxswain::api::{ProblemEvent, SequenceExecution};
use kube::{ResourceExt, api::ListParams};

use super::harness::{Cluster, done};

const README: &str = include_str!("../../../README.md");
const PROJECT: &str = "fulltour";

/// The commands of one section's console blocks, in order, without what they print.
fn commands(section: &str) -> Vec<String> {
    let mut found = vec![];
    for block in blocks(section) {
        let typed = block.lines().filter_map(|line| line.strip_prefix("$ "));
        found.extend(typed.map(|line| line.split("  #").next().unwrap().trim().to_owned()));
    }
    assert!(
        !found.is_empty(),
        "the README's section {section:?} has no commands"
    );
    found
}

/// The console blocks of one section; the empty text is what stands before the first one.
fn blocks(section: &str) -> Vec<&'static str> {
    let sections = README.split("\n## ");
    let title = |text: &str| text.lines().next().unwrap_or_default().to_owned();
    let text = if section.is_empty() {
        README.split("\n## ").next()
    } else {
        sections.skip(1).find(|text| title(text) == section)
    };
    let text = text.unwrap_or_else(|| panic!("the README has no section {section:?}"));
    let consoles = text.split("```console\n").skip(1);
    consoles.map(|rest| rest.split("```").next().unwrap()).collect()
}

fn shell(command: &str) -> Command {
    let mut shell = Command::new("bash");
    let path = format!(
        "{}:{}",
        std::env::var("COXSWAIN_TEST_BIN").expect("a directory with kubectl, helm and coxswain"),
        std::env::var("PATH").unwrap()
    );
    shell
        .args(["-ec", command])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env("PATH", path)
        .env("KUBECONFIG", std::env::var("COXSWAIN_TEST_KUBECONFIG").unwrap());
    shell
}

/// Types one command; what it prints.
fn type_in(command: &str) -> String {
    println!("$ {command}");
    let done = shell(command).output().unwrap();
    let (out, err) = (
        String::from_utf8_lossy(&done.stdout),
        String::from_utf8_lossy(&done.stderr),
    );
    assert!(done.status.success(), "{command}: {}\n{out}{err}", done.status);
    out.into_owned()
}

/// A command that goes on until somebody has seen enough.
struct Watching(Child);

impl Watching {
    fn start(command: &str) -> Self {
        println!("$ {command}");
        Self(
            shell(&format!("exec {command}"))
                .stdout(Stdio::piped())
                .spawn()
                .unwrap(),
        )
    }

    /// Ends it; what it printed.
    fn end(mut self) -> String {
        self.0.kill().unwrap();
        let output = self.0.wait_with_output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    }
}

/// A text in which times, and the parts of names that differ each time, are the same.
fn normal(text: &str) -> String {
    let mut words: Vec<String> = vec![];
    for word in text.split_whitespace() {
        let bare = word.trim_matches(|c: char| !c.is_alphanumeric());
        let time = bare.ends_with('s') && bare.starts_with(|c: char| c.is_ascii_digit());
        let made = bare.starts_with("helloservice-") || bare.starts_with("slow-main-page-");
        words.push(match (time, made) {
            (true, _) => "TIME".to_owned(),
            (_, true) => bare.trim_end_matches(|c: char| c != '-').to_owned() + "HASH",
            _ => word.to_owned(),
        });
    }
    // The first part of a run's or problem's name differs too.
    words.join(" ").replace("slow-main-page-", "").lines().collect()
}

#[tokio::test]
#[ignore = "needs a cluster of its own (make test-cluster)"]
async fn every_command_of_the_readme_works() {
    let cluster = Cluster::connect().await;
    assert_eq!(
        commands("Two commands"),
        ["make demo", "make test"],
        "make test runs make demo, and this"
    );
    let install = blocks("Install");
    assert_eq!(install.len(), 2, "with kubectl, and with Helm");
    for (block, gone) in install.iter().zip([
        "kubectl delete -k config/default",
        "helm uninstall coxswain --namespace coxswain-system --wait && kubectl delete -f crds && kubectl delete namespace coxswain-system",
    ]) {
        for command in block.lines().filter_map(|l| l.strip_prefix("$ ")) {
            type_in(command);
        }
        type_in("kubectl -n coxswain-system wait --for=condition=Available --timeout=90s deployment/coxswain");
        type_in(gone);
    }
    for command in install[0].lines().filter_map(|l| l.strip_prefix("$ ")) {
        type_in(command);
    }

    heal_the_tutorial(&cluster).await;
    at_three_in_the_morning(&cluster).await;
}

/// The first remediation, and the picture at the README's top: what is shown there is what is seen.
async fn heal_the_tutorial(cluster: &Cluster) {
    let mut seen = String::new();
    for command in commands("A first remediation in five minutes") {
        if command.ends_with("--watch") {
            let watching = Watching::start(&command);
            let run = newest_run(cluster).await;
            let within = Duration::from_secs(240);
            let _: SequenceExecution = cluster.wait(PROJECT, &run, within, "the end", done).await;
            seen = type_in(&format!("coxswain watch -n {PROJECT} se/{run}"));
            let table = watching.end();
            assert!(table.contains("Succeeded"), "{command} shows the end:\n{table}");
        } else {
            type_in(&command);
        }
    }
    let shown = blocks("")[0];
    let tree = shown.split("\n\n").next().unwrap();
    let tree: Vec<&str> = tree.lines().filter(|line| !line.starts_with("$ ")).collect();
    let live = seen.find(&format!("{PROJECT}/")).map(|at| &seen[at..]).unwrap();
    assert_eq!(
        normal(live),
        normal(&tree.join("\n")),
        "the README's picture:\n{live}"
    );
    let table = shown.split("\n\n").nth(1).unwrap();
    let mut lines = table.lines();
    let printed = type_in(lines.next().unwrap().strip_prefix("$ ").unwrap());
    let header = |text: &str| normal(text.lines().next().unwrap());
    assert_eq!(header(&printed), header(lines.next().unwrap()));
}

async fn newest_run(cluster: &Cluster) -> String {
    let problems = cluster.api::<ProblemEvent>(PROJECT);
    let all = problems.list(&ListParams::default()).await.unwrap().items;
    let newest = all
        .iter()
        .max_by_key(|p| p.creation_timestamp())
        .expect("a problem");
    let started = |p: &ProblemEvent| p.status.as_ref().is_some_and(|s| s.execution.is_some());
    let within = Duration::from_secs(30);
    let problem: ProblemEvent = cluster
        .wait(PROJECT, &newest.name_any(), within, "a run", started)
        .await;
    problem.status.unwrap().execution.unwrap()
}

/// The brakes, on a run that waits because its service cools down.
async fn at_three_in_the_morning(cluster: &Cluster) {
    type_in("kubectl create -f examples/tutorial/problem.yaml");
    let run = newest_run(cluster).await;
    for command in commands("At three in the morning") {
        type_in(&command.replace("NAMESPACE", PROJECT).replace("NAME", &run));
    }
    let aborted = |r: &SequenceExecution| r.status.as_ref().is_some_and(|s| s.phase == "Aborted");
    let _: SequenceExecution = cluster
        .wait(PROJECT, &run, Duration::from_secs(10), "the abort", aborted)
        .await;
}
