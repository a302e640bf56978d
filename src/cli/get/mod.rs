//! `coxswain get`: runs, problems, approvals, evaluations and deliveries, as tables.

mod rows;

use std::cmp::Reverse;

use jiff::Timestamp;
use kube::{ResourceExt, api::ListParams};

use super::{
    cluster::{Cluster, Connect},
    files::print_text,
    output::{self, Output},
    paint::{self, Cell, PLAIN, cell, table},
    refer::What,
};
use crate::api::{Approval, Delivery, Evaluation, ProblemEvent, SequenceExecution};
pub use rows::Row;

/// Lists what happens: the newest first.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// runs (se), problems (pe), approvals (ap), evaluations (eval) or deliveries (dl).
    #[arg(value_name = "KIND", value_parser = What::parse)]
    what: What,
    /// Only these.
    #[arg(value_name = "NAME", conflicts_with = "everywhere")]
    names: Vec<String>,
    #[command(flatten)]
    filter: Filter,
    /// In all namespaces.
    #[arg(long = "all-namespaces", short = 'A')]
    everywhere: bool,
    /// How they are printed. Default: a table.
    #[arg(long, short, value_enum)]
    output: Option<Output>,
    #[command(flatten)]
    connect: Connect,
}

/// Which of them.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Filter {
    /// Only of this project.
    #[arg(long)]
    pub project: Option<String>,
    /// Only of this stage.
    #[arg(long)]
    pub stage: Option<String>,
    /// Only of this service.
    #[arg(long)]
    pub service: Option<String>,
    /// Only in this phase, such as Failed; may be given several times.
    #[arg(long = "phase", value_name = "PHASE")]
    pub phases: Vec<String>,
    /// Only what has not ended.
    #[arg(long)]
    pub live: bool,
}

/// Lists, and prints.
pub async fn run(args: Args) -> anyhow::Result<()> {
    let cluster = args.connect.open().await?;
    let told = match args.what {
        What::Run => listed::<SequenceExecution>(&cluster, &args).await,
        What::Problem => listed::<ProblemEvent>(&cluster, &args).await,
        What::Approval => listed::<Approval>(&cluster, &args).await,
        What::Evaluation => listed::<Evaluation>(&cluster, &args).await,
        What::Delivery => listed::<Delivery>(&cluster, &args).await,
    }?;
    print_text(&told)
}

async fn listed<K: Row>(cluster: &Cluster, args: &Args) -> anyhow::Result<String> {
    let found = find::<K>(cluster, &args.names, &args.filter, args.everywhere).await?;
    match args.output {
        None | Some(Output::Wide) => {
            if found.is_empty() {
                eprintln!("{}", nothing::<K>(cluster, args.everywhere));
                return Ok(String::new());
            }
            let shown = Shown {
                wide: args.output.is_some(),
                namespaces: args.everywhere,
                colour: paint::on_stdout(),
            };
            Ok(render(&found, Timestamp::now(), shown))
        }
        Some(form) => output::rendered(&found, args.names.len() == 1, form),
    }
}

fn nothing<K: Row>(cluster: &Cluster, everywhere: bool) -> String {
    let kinds = K::plural(&());
    if everywhere {
        format!("no {kinds} found in any namespace")
    } else {
        format!(
            "no {kinds} found in namespace {}; -A looks in all",
            cluster.namespace
        )
    }
}

/// What is asked for, the newest first.
pub async fn find<K: Row>(
    cluster: &Cluster,
    names: &[String],
    filter: &Filter,
    everywhere: bool,
) -> anyhow::Result<Vec<K>> {
    let mut found = Vec::new();
    if names.is_empty() {
        found = cluster.list::<K>(everywhere, &selected::<K>(filter)).await?;
        found.retain(|object| fits(object, filter));
        found.sort_by_key(|o| (Reverse(o.creation_timestamp()), o.namespace(), o.name_any()));
    } else {
        for name in names {
            found.push(cluster.get::<K>(name).await?);
        }
    }
    Ok(found)
}

/// What the API server can select by itself.
fn selected<K: Row>(filter: &Filter) -> ListParams {
    let mut fields = Vec::new();
    if K::SELECTABLE_PLACE {
        for (field, value) in [
            ("project", &filter.project),
            ("stage", &filter.stage),
            ("service", &filter.service),
        ] {
            fields.extend(value.iter().map(|v| format!("spec.{field}={v}")));
        }
    }
    if fields.is_empty() {
        ListParams::default()
    } else {
        ListParams::default().fields(&fields.join(","))
    }
}

fn fits<K: Row>(object: &K, filter: &Filter) -> bool {
    let (project, stage, service) = object.place();
    let is = |wanted: &Option<String>, found: &str| wanted.as_deref().is_none_or(|w| w == found);
    let phase = object.phase();
    is(&filter.project, project)
        && is(&filter.stage, stage)
        && is(&filter.service, service)
        && (filter.phases.is_empty() || filter.phases.iter().any(|p| p.eq_ignore_ascii_case(phase)))
        && !(filter.live && object.ended())
}

/// How a table is drawn.
#[derive(Clone, Copy, Debug, Default)]
pub struct Shown {
    /// With the columns that only `-o wide` has.
    pub wide: bool,
    /// With the namespaces.
    pub namespaces: bool,
    /// With colours.
    pub colour: bool,
}

/// The table.
pub fn render<K: Row>(objects: &[K], now: Timestamp, shown: Shown) -> String {
    let mut heads = Vec::new();
    if shown.namespaces {
        heads.push(("NAMESPACE", false));
    }
    heads.push(("NAME", false));
    heads.extend(K::HEADS);
    heads.push(("AGE", false));
    if shown.wide {
        heads.push(("MESSAGE", false));
    }
    let row = |object: &K| -> Vec<Cell> {
        let mut row = Vec::new();
        if shown.namespaces {
            row.push(cell(PLAIN, object.namespace().unwrap_or_default()));
        }
        row.push(cell(PLAIN, object.name_any()));
        row.extend(object.cells(now));
        let age = object.creation_timestamp().map(|at| paint::between(at.0, now));
        row.push(cell(PLAIN, age.unwrap_or_default()));
        if shown.wide {
            row.push(cell(PLAIN, object.message()));
        }
        row
    };
    let rows: Vec<Vec<Cell>> = objects.iter().map(row).collect();
    table(&heads, &rows, true, shown.colour)
}
