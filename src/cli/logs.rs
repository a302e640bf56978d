//! `coxswain logs`: what the Jobs of a run wrote.

use anyhow::{Context as _, bail};
use futures::{AsyncBufReadExt as _, StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, ResourceExt,
    api::{ListParams, LogParams},
};

use super::{
    cluster::{Cluster, Connect},
    files::print_text,
    paint::{CYAN, on_stdout, painted},
    program,
    refer::{self, Ref},
    trouble::Doing,
};
use crate::{
    api::{
        SequenceExecution,
        execution::{AttemptStatus, JobStatus},
    },
    core::{definitions::nearest::hint, jobs::build::CONTAINER},
};

/// Prints what the Jobs of a run's newest attempt wrote.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// The run, as NAME or se/NAME; or pe/NAME, dl/NAME: its newest run.
    #[arg(value_name = "RUN", value_parser = Ref::parse)]
    named: Ref,
    /// Only this task. Default: all that have Jobs.
    task: Option<String>,
    /// Another attempt than the newest, from 1.
    #[arg(long)]
    attempt: Option<i32>,
    /// Go on while they write.
    #[arg(long, short)]
    follow: bool,
    /// Only the last lines of each.
    #[arg(long, value_name = "LINES")]
    tail: Option<i64>,
    #[command(flatten)]
    connect: Connect,
}

/// Prints them.
pub async fn run(args: Args) -> anyhow::Result<()> {
    let cluster = args.connect.open().await?;
    let run = refer::run(&cluster, &args.named).await?;
    let jobs = chosen(&run, args.task.as_deref(), args.attempt)?;
    let pods = pods(&cluster, &run).await?;
    let colour = on_stdout();
    let several = jobs.len() > 1;
    let sources = jobs
        .iter()
        .map(|job| source(&cluster, job, &pods, &args, several, colour));
    if args.follow {
        let results = stream::iter(sources)
            .buffer_unordered(jobs.len().max(1))
            .collect::<Vec<_>>();
        return results.await.into_iter().collect();
    }
    for source in sources {
        source.await?;
    }
    Ok(())
}

/// A Job with its task.
#[derive(Clone, Debug, PartialEq)]
pub struct Chosen {
    /// The task.
    pub task: String,
    /// The Job.
    pub job: JobStatus,
}

/// The Jobs that are meant, in their order. The error says which there are.
pub fn chosen(
    run: &SequenceExecution,
    task: Option<&str>,
    attempt: Option<i32>,
) -> anyhow::Result<Vec<Chosen>> {
    let (name, program) = (run.name_any(), program());
    let status = run.status.clone().unwrap_or_default();
    let of =
        of_attempt(&status.attempts, attempt).with_context(|| match (attempt, status.attempts.last()) {
            (Some(number), Some(last)) => {
                format!(
                    "--attempt: {name} has no attempt {number} that is kept; the newest is {}",
                    last.number
                )
            }
            _ => format!("{name} has not begun, so nothing was written; see {program} explain {name}"),
        })?;
    if let Some(wanted) = task
        && !of.tasks.iter().any(|t| t.name == wanted)
    {
        let known = of.tasks.iter().map(|t| t.name.as_str());
        bail!("{name} has no task {wanted:?}{}", hint(wanted, known));
    }
    let tasks = of
        .tasks
        .iter()
        .filter(|t| task.is_none_or(|wanted| t.name == wanted));
    let jobs: Vec<Chosen> = tasks
        .flat_map(|t| {
            t.jobs.iter().filter(|j| !j.name.is_empty()).map(|job| Chosen {
                task: t.name.clone(),
                job: job.clone(),
            })
        })
        .collect();
    if jobs.is_empty() {
        let what = task.map_or_else(
            || format!("attempt {} of {name}", of.number),
            |t| format!("task {t} of {name}"),
        );
        bail!("{what} has no Job: the operator or somebody outside answers it; see {program} explain {name}");
    }
    Ok(jobs)
}

fn of_attempt(attempts: &[AttemptStatus], number: Option<i32>) -> Option<&AttemptStatus> {
    match number {
        None => attempts.last(),
        Some(number) => attempts.iter().find(|a| a.number == number),
    }
}

async fn pods(cluster: &Cluster, run: &SequenceExecution) -> anyhow::Result<Vec<Pod>> {
    let own = ListParams::default().labels(&format!("{}={}", crate::core::labels::EXECUTION, run.name_any()));
    cluster.list::<Pod>(false, &own).await
}

/// The pods of a Job, the older first.
fn of_job<'a>(pods: &'a [Pod], job: &str) -> Vec<&'a Pod> {
    let mut own: Vec<&Pod> = pods
        .iter()
        .filter(|pod| {
            pod.labels()
                .get("batch.kubernetes.io/job-name")
                .is_some_and(|name| name == job)
        })
        .collect();
    own.sort_by_key(|pod| pod.creation_timestamp());
    own
}

/// Prints one Job's.
async fn source(
    cluster: &Cluster,
    chosen: &Chosen,
    pods: &[Pod],
    args: &Args,
    several: bool,
    colour: bool,
) -> anyhow::Result<()> {
    let own = of_job(pods, &chosen.job.name);
    let Some(pod) = own.last() else {
        return print_text(&gone(chosen));
    };
    let prefix = if several {
        painted(CYAN, &format!("{}/{} | ", chosen.task, chosen.job.title), colour)
    } else {
        String::new()
    };
    let params = LogParams {
        container: Some(CONTAINER.to_owned()),
        follow: args.follow,
        tail_lines: args.tail,
        ..LogParams::default()
    };
    let api = Api::<Pod>::namespaced(cluster.client.clone(), &cluster.namespace);
    let name = pod.name_any();
    let stream = match api.log_stream(&name, &params).await {
        Ok(stream) => stream,
        // It has not begun to write: the reason says more than an error.
        Err(kube::Error::Api(status)) if status.code == 400 => {
            return print_text(&format!(
                "{prefix}Pod {name} has written nothing yet: {}\n",
                status.message
            ));
        }
        Err(error) => return Err(Doing::new("get", "Pod log", "pods/log", &cluster.namespace).failed(error)),
    };
    let mut lines = stream.lines();
    while let Some(line) = lines
        .try_next()
        .await
        .with_context(|| format!("reading the log of Pod {name}"))?
    {
        print_text(&format!("{prefix}{line}\n"))?;
    }
    Ok(())
}

/// What is left of a Job whose pod is gone: what was recorded.
fn gone(chosen: &Chosen) -> String {
    let job = &chosen.job;
    let how = match (&job.result, job.exit_code) {
        (Some(result), Some(code)) => format!("{result}, exit code {code}"),
        (Some(result), None) => result.clone(),
        (None, _) => job.state.clone(),
    };
    let message = if job.message.is_empty() {
        "no message".to_owned()
    } else {
        job.message.clone()
    };
    format!(
        "{}: the pod of Job {} is gone, and its log with it. Recorded is: {how}: {message}\n",
        chosen.task, job.name
    )
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    fn run() -> SequenceExecution {
        serde_json::from_value(json!({
            "metadata": {"name": "r"},
            "spec": {"project": "shop", "stage": "qa", "service": "cart", "sequence": "delivery"},
            "status": {"attempts": [
                {"number": 1, "tasks": [{"name": "deploy", "state": "Done", "jobs": [
                    {"name": "old", "title": "helm", "config": "c", "action": 0, "task": 0, "try": 1, "state": "Done"}]}]},
                {"number": 2, "tasks": [
                    {"name": "deploy", "state": "Done", "jobs": [
                        {"name": "a", "title": "helm", "config": "c", "action": 0, "task": 0, "try": 1, "state": "Done",
                         "result": "fail", "exitCode": 3, "message": "no chart"},
                        {"name": "", "title": "never", "config": "c", "action": 0, "task": 1, "try": 1, "state": "Skipped"}]},
                    {"name": "evaluation", "state": "Pending"}]}]},
        }))
        .unwrap()
    }

    #[test]
    fn the_newest_attempt_s_jobs_are_meant() {
        let names = |task, attempt| -> Vec<String> {
            let found = chosen(&run(), task, attempt).unwrap();
            found.into_iter().map(|c| c.job.name).collect()
        };
        assert_eq!(names(None, None), ["a"]);
        assert_eq!(names(Some("deploy"), Some(1)), ["old"]);
    }

    #[rstest]
    #[case(Some("deplyo"), None, "r has no task \"deplyo\"; did you mean \"deploy\"?")]
    #[case(Some("evaluation"), None, "task evaluation of r has no Job")]
    #[case(None, Some(7), "--attempt: r has no attempt 7 that is kept; the newest is 2")]
    fn what_is_not_there_is_told(
        #[case] task: Option<&str>,
        #[case] attempt: Option<i32>,
        #[case] says: &str,
    ) {
        let told = chosen(&run(), task, attempt).unwrap_err().to_string();
        assert!(told.starts_with(says), "{told}");
    }

    #[test]
    fn what_was_recorded_outlives_the_pod() {
        let all = chosen(&run(), None, None).unwrap();
        assert_eq!(
            gone(&all[0]),
            "deploy: the pod of Job a is gone, and its log with it. Recorded is: fail, exit code 3: no chart\n"
        );
    }
}
