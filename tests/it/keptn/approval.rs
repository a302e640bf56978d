//! The approval task: the result before it, and the strategies for pass and warning.
//!
//! Every row is answered with `reject`, so a release that runs was approved without the answer.

use rstest::rstest;
use serde_json::json;

use super::*;

const AUTO: &str = "automatic";
const MANUAL: &str = "manual";

/// How the approval came about.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Came {
    /// By itself: the release runs.
    Approved,
    /// By itself: the run ends.
    Declined,
    /// Somebody is asked, and rejects.
    Asked,
}
use Came::{Approved, Asked, Declined};

#[rstest]
#[case::pass_auto_auto_as_v1("pass", AUTO, AUTO, Approved)]
#[case::pass_auto_manual_as_v1("pass", AUTO, MANUAL, Approved)]
#[case::pass_manual_auto_as_v1("pass", MANUAL, AUTO, Asked)]
#[case::pass_manual_manual_as_v1("pass", MANUAL, MANUAL, Asked)]
#[case::warning_auto_auto_as_v1("warning", AUTO, AUTO, Approved)]
#[case::warning_manual_auto_as_v1("warning", MANUAL, AUTO, Approved)]
#[case::warning_auto_manual_as_v1("warning", AUTO, MANUAL, Asked)]
#[case::warning_manual_manual_as_v1("warning", MANUAL, MANUAL, Asked)]
#[case::fail_auto_auto_as_v1("fail", AUTO, AUTO, Declined)]
#[case::fail_auto_manual_as_v1("fail", AUTO, MANUAL, Declined)]
#[case::fail_manual_auto_as_v1("fail", MANUAL, AUTO, Declined)]
#[case::fail_manual_manual_as_v1("fail", MANUAL, MANUAL, Declined)]
#[case::nothing_auto_auto_as_v1("", AUTO, AUTO, Asked)]
// v1's table ends here; the code asked for these too.
#[case::nothing_auto_manual_as_v1("", AUTO, MANUAL, Asked)]
#[case::nothing_manual_auto_as_v1("", MANUAL, AUTO, Asked)]
#[case::nothing_manual_manual_as_v1("", MANUAL, MANUAL, Asked)]
fn by_result_and_strategy(
    #[case] result: &str,
    #[case] pass: &str,
    #[case] warning: &str,
    #[case] came: Came,
) {
    let definitions = definitions(&[shipyard(&format!(
        "  - name: dev
    sequences:
    - name: delivery
      tasks: [{{name: approval, properties: {{pass: {pass}, warning: {warning}}}}}, {{name: release}}]"
    ))]);
    let event = event("dev", "delivery", json!({ "result": result }));
    let report = simulated(&definitions, &event, "approval: [reject]");
    let run = &report.executions[0];
    let approval = &run.tasks[0];
    let (source, reason, phase) = match came {
        Approved => ("decided", "", "Succeeded"),
        Declined => ("decided", "Declined", "Failed"),
        Asked => ("answer", "Declined", "Failed"),
    };
    assert_eq!(
        (
            approval.source.as_str(),
            approval.reason.as_str(),
            run.phase.as_str()
        ),
        (source, reason, phase),
        "{}",
        approval.message
    );
    assert_eq!(ran(&report).contains(&"release"), came == Approved);
    assert_eq!(report.unused.is_empty(), came == Asked, "{:?}", report.unused);
    let asked = |text: &str| text.starts_with("Shall this version of cart go on with delivery in stage dev?");
    assert_eq!(report.steps.iter().any(|step| asked(&step.text)), came == Asked);
}
