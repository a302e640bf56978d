//! How people name things: `NAME`, `se/NAME`, `pe/NAME`, `dl/NAME`, `ap/NAME`.

use anyhow::{Context as _, bail};
use kube::{ResourceExt, api::ListParams};

use super::cluster::Cluster;
use crate::{
    api::{Delivery, ProblemEvent, SequenceExecution},
    core::definitions::nearest::hint,
};

/// The kinds that commands speak of.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum What {
    /// A SequenceExecution.
    Run,
    /// A ProblemEvent.
    Problem,
    /// A Delivery.
    Delivery,
    /// An Approval.
    Approval,
    /// An Evaluation.
    Evaluation,
}

/// Every word for a kind.
const WORDS: [(What, &[&str]); 5] = [
    (
        What::Run,
        &["runs", "run", "se", "sequenceexecution", "sequenceexecutions"],
    ),
    (
        What::Problem,
        &["problems", "problem", "pe", "problemevent", "problemevents"],
    ),
    (What::Delivery, &["deliveries", "delivery", "dl"]),
    (What::Approval, &["approvals", "approval", "ap"]),
    (What::Evaluation, &["evaluations", "evaluation", "eval"]),
];

impl What {
    /// The kind that a word means; `sequenceexecution.coxswain.dev`, as `-o name` prints it, too.
    pub fn read(word: &str) -> Option<Self> {
        let word = word.to_ascii_lowercase();
        let word = word.split('.').next().unwrap_or_default();
        let found = WORDS.iter().find(|(_, words)| words.contains(&word));
        found.map(|(what, _)| *what)
    }

    /// As [`What::read`], for clap.
    pub fn parse(word: &str) -> Result<Self, String> {
        Self::read(word).ok_or_else(|| {
            let known = WORDS.iter().map(|(_, words)| words[0]);
            format!("{word:?} can't be listed{}", hint(word, known))
        })
    }
}

/// A reference as it was typed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Ref {
    /// The kind, if it was said.
    pub what: Option<What>,
    /// The name.
    pub name: String,
}

impl Ref {
    /// Reads one.
    pub fn parse(text: &str) -> Result<Self, String> {
        let Some((word, name)) = text.split_once('/') else {
            return match text {
                "" => Err("is empty; name a run, such as se/NAME".to_owned()),
                name => Ok(Self {
                    what: None,
                    name: name.to_owned(),
                }),
            };
        };
        let what = What::read(word).ok_or_else(|| {
            format!("{word:?} is no kind that is meant here; write se/NAME (a run), pe/NAME (a problem), dl/NAME (a delivery) or ap/NAME (an approval)")
        })?;
        if name.is_empty() {
            return Err(format!("{text:?} has no name after the slash"));
        }
        Ok(Self {
            what: Some(what),
            name: name.to_owned(),
        })
    }
}

/// The run that is meant: itself, or the newest of a problem or delivery. Of an approval, the run that asks.
pub async fn run(cluster: &Cluster, named: &Ref) -> anyhow::Result<SequenceExecution> {
    let name = &named.name;
    let of = match named.what {
        None | Some(What::Run) => return cluster.get::<SequenceExecution>(name).await,
        Some(What::Problem) => {
            let problem = cluster.get::<ProblemEvent>(name).await?;
            let status = problem.status.unwrap_or_default();
            status.execution.with_context(|| {
                format!(
                    "ProblemEvent {name} has no run: {}",
                    or(
                        &status.message,
                        "the operator has not looked at it yet; see coxswain doctor"
                    )
                )
            })?
        }
        Some(What::Delivery) => {
            let delivery = cluster.get::<Delivery>(name).await?;
            let status = delivery.status.unwrap_or_default();
            status.execution.with_context(|| {
                format!(
                    "Delivery {name} has no run: {}",
                    or(
                        &status.message,
                        "the operator has not looked at it yet; see coxswain doctor"
                    )
                )
            })?
        }
        Some(What::Approval) => {
            let question = cluster.get::<crate::api::Approval>(name).await?;
            question.spec.execution.name
        }
        Some(What::Evaluation) => {
            let evaluation = cluster.get::<crate::api::Evaluation>(name).await?;
            let of = evaluation.spec.execution.map(|run| run.name);
            of.with_context(|| format!("Evaluation {name} belongs to no run"))?
        }
    };
    cluster.get::<SequenceExecution>(&of).await
}

/// The runs of a flow, as v1 names it, oldest first.
pub async fn flow(
    cluster: &Cluster,
    context: &str,
    project: Option<&str>,
    stage: Option<&str>,
) -> anyhow::Result<Vec<SequenceExecution>> {
    // A run without a context of its own is named by its uid, which no selector finds.
    let mut runs = cluster
        .list::<SequenceExecution>(false, &ListParams::default())
        .await?;
    runs.retain(|run| {
        crate::core::sequence::context_of(run) == context
            && project.is_none_or(|p| run.spec.project == p)
            && stage.is_none_or(|s| run.spec.stage == s)
    });
    if runs.is_empty() {
        let place = &cluster.namespace;
        bail!(
            "no run of namespace {place} has the Keptn context {context}; see coxswain get runs -n {place}"
        );
    }
    runs.sort_by_key(|run| (run.creation_timestamp(), run.name_any()));
    Ok(runs)
}

fn or<'a>(said: &'a str, otherwise: &'a str) -> &'a str {
    if said.is_empty() { otherwise } else { said }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("cart-1", None, "cart-1")]
    #[case("se/cart-1", Some(What::Run), "cart-1")]
    #[case("sequenceexecution.coxswain.dev/cart-1", Some(What::Run), "cart-1")]
    #[case("problem/p", Some(What::Problem), "p")]
    #[case("DL/d", Some(What::Delivery), "d")]
    fn references(#[case] text: &str, #[case] what: Option<What>, #[case] name: &str) {
        let name = name.to_owned();
        assert_eq!(Ref::parse(text), Ok(Ref { what, name }));
    }

    #[rstest]
    #[case("", "is empty")]
    #[case("pod/x", "\"pod\" is no kind")]
    #[case("se/", "has no name")]
    fn mistakes(#[case] text: &str, #[case] says: &str) {
        let told = Ref::parse(text).unwrap_err();
        assert!(told.contains(says), "{told}");
    }

    #[test]
    fn a_word_that_is_no_kind_is_told_with_the_nearest() {
        assert_eq!(
            What::parse("ev").unwrap_err(),
            "\"ev\" can't be listed; did you mean \"evaluations\"?"
        );
        assert_eq!(What::parse("eval"), Ok(What::Evaluation));
    }
}
