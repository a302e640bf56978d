//! `coxswain trigger`: deliveries, evaluations, problems and sequences, as `keptn trigger` spelled them.

mod known;
mod objects;

use std::{collections::BTreeMap, process::ExitCode};

use jiff::Timestamp;

use super::{
    cluster::{Cluster, Connect, Object},
    evaluate::{self, window::Span},
    files::print_text,
    output::{self, Output},
    paint, program,
    refer::{Ref, What},
    trouble::write_failed,
    watch,
};
use crate::{
    api::{DeliverySpec, Duration},
    effects::{Created, Effects},
};

/// Starts something. What it makes is an object like any other: it prints its name, and how to follow it.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: Wanted,
}

#[derive(Clone, Debug, clap::Subcommand)]
enum Wanted {
    /// Bring a version of a service through the stages: makes a Delivery
    Delivery(DeliveryArgs),
    /// Ask for a verdict of the quality gate: makes an Evaluation
    Evaluation(EvaluationArgs),
    /// Tell of a problem, which is healed by the stage's remediation: makes a ProblemEvent
    Remediation(RemediationArgs),
    /// Run one sequence: makes a SequenceExecution
    Sequence(SequenceArgs),
}

/// What every one of them takes.
#[derive(Clone, Debug, clap::Args)]
struct Common {
    /// Labels that travel along, as key=value; several with commas, or by giving it several times.
    #[arg(long, value_name = "KEY=VALUE", value_parser = objects::label, value_delimiter = ',')]
    labels: Vec<(String, String)>,
    /// Follow it until it ends; the exit code says how: 0 well, 3 not.
    #[arg(long, short, conflicts_with = "dry_run")]
    watch: bool,
    /// How long to follow it at most.
    #[arg(long, default_value = "24h", value_name = "DURATION")]
    timeout: Duration,
    /// Print the object, and make nothing.
    #[arg(long)]
    dry_run: bool,
    /// How the object is printed. Default: its name; with --dry-run yaml.
    #[arg(long, short, value_enum)]
    output: Option<Output>,
    #[command(flatten)]
    connect: Connect,
}

#[derive(Clone, Debug, clap::Args)]
struct DeliveryArgs {
    /// The project.
    #[arg(long)]
    project: String,
    /// The service.
    #[arg(long)]
    service: String,
    /// The image.
    #[arg(long)]
    image: String,
    /// The stage to begin with. Default: the project's first.
    #[arg(long)]
    stage: Option<String>,
    /// The stage's sequence. Default: delivery.
    #[arg(long)]
    sequence: Option<String>,
    /// Further values for the chart, as a.b=c; may be given several times.
    #[arg(long, value_name = "KEY=VALUE", value_parser = objects::pair)]
    values: Vec<(String, String)>,
    #[command(flatten)]
    common: Common,
}

#[derive(Clone, Debug, clap::Args)]
struct EvaluationArgs {
    /// The project.
    #[arg(long)]
    project: String,
    /// The stage.
    #[arg(long)]
    stage: String,
    /// The service.
    #[arg(long)]
    service: String,
    #[command(flatten)]
    window: Span,
    #[command(flatten)]
    common: Common,
}

#[derive(Clone, Debug, clap::Args)]
struct RemediationArgs {
    /// The project.
    #[arg(long)]
    project: String,
    /// The stage.
    #[arg(long)]
    stage: String,
    /// The service.
    #[arg(long)]
    service: String,
    /// The problem's title: the problemType that a Remediation has actions for.
    #[arg(long, value_name = "TITLE")]
    problem: String,
    /// Its root cause, which a Remediation is asked for first.
    #[arg(long)]
    root_cause: Option<String>,
    /// The sequence. Default: remediation.
    #[arg(long)]
    sequence: Option<String>,
    #[command(flatten)]
    common: Common,
}

#[derive(Clone, Debug, clap::Args)]
struct SequenceArgs {
    /// The sequence.
    name: String,
    /// The project.
    #[arg(long)]
    project: String,
    /// The stage.
    #[arg(long)]
    stage: String,
    /// The service.
    #[arg(long)]
    service: String,
    /// Data that the run begins with, as a.b=c; may be given several times.
    #[arg(long, value_name = "KEY=VALUE", value_parser = objects::pair)]
    data: Vec<(String, String)>,
    #[command(flatten)]
    common: Common,
}

/// Makes it, and follows it if that is wanted.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    match args.what {
        Wanted::Delivery(args) => delivery(args).await,
        Wanted::Evaluation(args) => evaluation(args).await,
        Wanted::Remediation(args) => remediation(args).await,
        Wanted::Sequence(args) => sequence(args).await,
    }
}

impl Common {
    fn labels(&self) -> BTreeMap<String, String> {
        self.labels.iter().cloned().collect()
    }

    /// Prints an object that is not made.
    fn only_shown<K: Object>(&self, object: &K) -> anyhow::Result<ExitCode> {
        let form = self.output.unwrap_or(Output::Yaml);
        output::show_made(object, Some(form), "")?;
        Ok(ExitCode::SUCCESS)
    }

    fn namespace(&self) -> Option<&str> {
        self.connect.namespace.as_deref()
    }

    /// Makes the object, and follows it.
    async fn make<K: Object>(&self, cluster: &Cluster, what: What, object: &K) -> anyhow::Result<ExitCode> {
        let made = create(cluster, object).await?;
        self.follow(cluster, what, &made).await
    }

    async fn follow<K: Object>(&self, cluster: &Cluster, what: What, made: &K) -> anyhow::Result<ExitCode> {
        output::show_made(made, self.output, "created")?;
        let named = Ref {
            what: Some(what),
            name: made.meta().name.clone().unwrap_or_default(),
        };
        if self.watch {
            return watch::until_ended(cluster, &named, self.timeout)
                .await
                .map(super::well);
        }
        if !matches!(self.output, Some(Output::Yaml | Output::Json | Output::Name)) {
            let short = match what {
                What::Problem => "pe",
                What::Delivery => "dl",
                _ => "se",
            };
            print_text(&format!(
                "follow it: {} watch -n {} {short}/{}\n",
                program(),
                cluster.namespace,
                named.name
            ))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Creates an object in the namespace of the command.
pub async fn create<K: Object>(cluster: &Cluster, object: &K) -> anyhow::Result<K> {
    let mut object = object.clone();
    object.meta_mut().namespace = Some(cluster.namespace.clone());
    let made = Effects::new(cluster.client.clone()).create(&object).await;
    match made.map_err(|error| write_failed::<K>("create", &cluster.namespace, error))? {
        Created::New(made) => Ok(made),
        Created::Existed(other) => anyhow::bail!(
            "{} exists already: choose another name",
            super::trouble::named(&other)
        ),
    }
}

/// The user's own name, for approvals that somebody else must give. Who can't be named is not.
pub async fn requester(cluster: &Cluster) -> Option<String> {
    cluster.whoami().await.ok()
}

async fn delivery(args: DeliveryArgs) -> anyhow::Result<ExitCode> {
    let common = &args.common;
    objects::place(
        &args.project,
        args.stage.as_deref().unwrap_or("first"),
        &args.service,
    )?;
    let spec = DeliverySpec {
        project: args.project.clone(),
        service: args.service.clone(),
        stage: args.stage.clone(),
        sequence: args.sequence.clone(),
        image: Some(args.image.clone()),
        values: objects::nested("values", &args.values)?,
        labels: common.labels(),
        requested_by: None,
    };
    let mut object = objects::delivery(spec, common.namespace());
    if common.dry_run {
        return common.only_shown(&object);
    }
    let cluster = common.connect.open().await?;
    let sequence = args.sequence.as_deref().unwrap_or("delivery");
    known::check(&cluster, &args.project, args.stage.as_deref(), sequence).await?;
    object.spec.requested_by = requester(&cluster).await;
    common.make(&cluster, What::Delivery, &object).await
}

async fn remediation(args: RemediationArgs) -> anyhow::Result<ExitCode> {
    let common = &args.common;
    let place = objects::place(&args.project, &args.stage, &args.service)?;
    let object = objects::problem(
        &place,
        &args.problem,
        args.root_cause.as_deref(),
        args.sequence.as_deref(),
        common.labels(),
        common.namespace(),
    );
    if common.dry_run {
        return common.only_shown(&object);
    }
    let cluster = common.connect.open().await?;
    let sequence = args.sequence.as_deref().unwrap_or("remediation");
    known::check(&cluster, &args.project, Some(&args.stage), sequence).await?;
    common.make(&cluster, What::Problem, &object).await
}

async fn sequence(args: SequenceArgs) -> anyhow::Result<ExitCode> {
    let common = &args.common;
    let place = objects::place(&args.project, &args.stage, &args.service)?;
    let data = objects::nested("data", &args.data)?;
    let mut object = objects::run(&place, &args.name, data, common.labels(), common.namespace());
    if common.dry_run {
        return common.only_shown(&object);
    }
    let cluster = common.connect.open().await?;
    known::check(&cluster, &args.project, Some(&args.stage), &args.name).await?;
    object.spec.requested_by = requester(&cluster).await;
    common.make(&cluster, What::Run, &object).await
}

async fn evaluation(args: EvaluationArgs) -> anyhow::Result<ExitCode> {
    let common = &args.common;
    let now = Timestamp::now();
    let wanted = evaluate::cluster::Wanted {
        place: objects::place(&args.project, &args.stage, &args.service)?,
        time: args.window.time(now)?,
        labels: common.labels(),
    };
    if common.dry_run {
        let namespace = common.namespace();
        let mut object = evaluate::cluster::object(namespace.unwrap_or_default(), &wanted, now);
        object.metadata.namespace = namespace.map(str::to_owned);
        return common.only_shown(&object);
    }
    let cluster = common.connect.open().await?;
    known::check(&cluster, &args.project, Some(&args.stage), "evaluation").await?;
    let made = evaluate::cluster::create(&cluster, &wanted, now).await?;
    output::show_made(&made, common.output, "created")?;
    if !common.watch {
        return Ok(ExitCode::SUCCESS);
    }
    let ended = evaluate::cluster::verdict(&cluster, &made, common.timeout).await?;
    let report = evaluate::Report::of(&ended);
    print_text(&evaluate::text::render(&report, paint::on_stdout()))?;
    let status = ended.status.unwrap_or_default();
    Ok(super::well(matches!(
        status.result.as_deref(),
        Some("pass" | "warning")
    )))
}
