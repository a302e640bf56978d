//! A task of an action, read: what is wrong with it is found once, here, and its Job is made from what comes out.

use k8s_openapi::api::core::v1::{Affinity, SecurityContext, Volume, VolumeMount};

use super::{
    env::{self, Entry},
    files, placement, security,
    validate::{below, conditions},
    volumes,
};
use crate::{
    api::jobconfig::{JobTask, Resources, Target},
    core::{Invalid, names},
};

/// The most retries of a Job.
const RETRIES_MAX: i32 = 10;
/// The longest that a retry waits, in seconds.
const BACKOFF_MAX: u64 = 300;
/// The longest that a Job may take, in seconds: a week.
const TIMEOUT_MAX: u64 = 604_800;

/// A task that nothing is wrong with, its files apart.
#[derive(Debug)]
pub(super) struct Checked<'a> {
    pub(super) task: &'a JobTask,
    pub(super) env: Vec<Entry<'a>>,
    pub(super) security: SecurityContext,
    pub(super) affinity: Option<Affinity>,
    pub(super) volumes: Vec<Volume>,
    pub(super) mounts: Vec<VolumeMount>,
}

impl<'a> Checked<'a> {
    /// Reads a task of a JobConfig in this namespace.
    ///
    /// # Errors
    /// All that is wrong with it; paths are below the task.
    pub(super) fn read(task: &'a JobTask, own_namespace: &str) -> Result<Self, Vec<Invalid>> {
        let mut wrong = Vec::new();
        let env = or_wrong(&mut wrong, env::read_all(task.env.as_deref().unwrap_or_default()));
        wrong.extend(references(task, own_namespace));
        let security = or_wrong(&mut wrong, security::context(task.security_context.as_ref()));
        wrong.extend(task.resources.as_ref().into_iter().flat_map(resources));
        wrong.extend(words(task));
        let affinity = or_wrong(&mut wrong, placement::read(task));
        let mounted = or_wrong(&mut wrong, volumes::volumes(task));
        wrong.extend(tries(task));
        match (env, security, affinity, mounted) {
            (Some(env), Some(security), Some(affinity), Some((volumes, mounts))) if wrong.is_empty() => {
                Ok(Self {
                    task,
                    env,
                    security,
                    affinity,
                    volumes,
                    mounts,
                })
            }
            _ => Err(wrong),
        }
    }
}

/// What was read; or what is wrong with it joins the rest.
fn or_wrong<T>(wrong: &mut Vec<Invalid>, read: Result<T, Vec<Invalid>>) -> Option<T> {
    read.map_err(|problems| wrong.extend(problems)).ok()
}

/// What is wrong with the namespace, the image and the service account.
fn references(task: &JobTask, own_namespace: &str) -> Vec<Invalid> {
    let mut wrong = Vec::new();
    if let Some(other) = task
        .namespace
        .as_deref()
        .filter(|name| !name.is_empty() && *name != own_namespace)
    {
        wrong.push(Invalid::new(
            "namespace",
            format!(
                "Jobs run in the namespace of their JobConfig, {own_namespace}, not in {other}: leave the field out, and let the \
                 service account reach {other} by a RoleBinding there"
            ),
        ));
    }
    if task.image.trim().is_empty() || task.image.contains(char::is_whitespace) {
        wrong.push(Invalid::new(
            "image",
            format!("{:?} can't be an image", task.image),
        ));
    }
    if let Some(account) = task
        .service_account
        .as_deref()
        .filter(|name| !files::is_object_name(name))
    {
        wrong.push(Invalid::new(
            "serviceAccount",
            format!("{account:?} can't be a service account's name"),
        ));
    }
    wrong
}

/// What is wrong with the command and its arguments.
fn words(task: &JobTask) -> Vec<Invalid> {
    let mut wrong = Vec::new();
    for (field, words) in [("cmd", &task.cmd), ("args", &task.args)] {
        for (index, _) in words
            .iter()
            .flatten()
            .enumerate()
            .filter(|(_, word)| word.contains('\0'))
        {
            let message = "it has a NUL, which no argument can hold: leave it out";
            wrong.push(Invalid::new(format!("{field}[{index}]"), message));
        }
    }
    wrong
}

/// What is wrong with how often, how long and when a task's Job runs.
fn tries(task: &JobTask) -> Vec<Invalid> {
    let mut wrong = Vec::new();
    let zero = |field: &str| Invalid::new(field, "it is 0: write one such as 90s, or leave it out");
    if task.timeout.is_some_and(|timeout| timeout.0.is_zero()) {
        wrong.push(zero("timeout"));
    }
    if task
        .timeout
        .is_some_and(|timeout| timeout.0.as_secs() > TIMEOUT_MAX)
    {
        wrong.push(Invalid::new(
            "timeout",
            "a Job may take at most 168h: let it do less, or split it",
        ));
    }
    if let Some(retries) = task
        .retries
        .filter(|retries| !(0..=RETRIES_MAX).contains(retries))
    {
        let message = format!("it is {retries}: write a number from 0 to {RETRIES_MAX}");
        wrong.push(Invalid::new("retries", message));
    }
    if task.retry_backoff.is_some_and(|backoff| backoff.0.is_zero()) {
        wrong.push(zero("retryBackoff"));
    }
    if task
        .retry_backoff
        .is_some_and(|backoff| backoff.0.as_secs() > BACKOFF_MAX)
    {
        wrong.push(Invalid::new(
            "retryBackoff",
            "a retry waits at most 5m: write a shorter time",
        ));
    }
    wrong.extend(conditions("when", &task.when));
    for (index, one) in task.targets.iter().enumerate() {
        wrong.extend(below(&format!("targets[{index}]"), target(one)));
    }
    wrong
}

fn target(target: &Target) -> Vec<Invalid> {
    let version = |text: &str| names::is_dns_label(text) && !text.contains('-');
    let is_version = match target.api_version.split_once('/') {
        None => version(&target.api_version),
        Some((group, of_group)) => files::is_object_name(group) && version(of_group),
    };
    let kind = &target.kind;
    let is_kind =
        kind.starts_with(|c: char| c.is_ascii_uppercase()) && kind.bytes().all(|b| b.is_ascii_alphanumeric());
    // RBAC's names may have colons.
    let is_name =
        !target.name.is_empty() && !target.name.contains(['/', '%']) && !matches!(&*target.name, "." | "..");
    [
        (!is_version).then(|| {
            let version = &target.api_version;
            Invalid::new(
                "apiVersion",
                format!("{version:?} is no version: write one such as v1 or apps/v1"),
            )
        }),
        (!is_kind).then(|| {
            Invalid::new(
                "kind",
                format!("{kind:?} is no kind: write one such as Deployment"),
            )
        }),
        (!is_name).then(|| Invalid::new("name", format!("{:?} can't be an object's name", target.name))),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn resources(resources: &Resources) -> Vec<Invalid> {
    let blocks = [("limits", &resources.limits), ("requests", &resources.requests)];
    let mut wrong = Vec::new();
    for (block, amounts) in blocks {
        let Some(amounts) = amounts else { continue };
        for (name, amount) in [("cpu", &amounts.cpu), ("memory", &amounts.memory)] {
            if let Some(amount) = amount.as_deref().filter(|amount| !is_quantity(amount)) {
                let message = format!("{amount:?} is no quantity such as 500m or 128Mi");
                wrong.push(Invalid::new(format!("resources.{block}.{name}"), message));
            }
        }
    }
    wrong
}

/// Whether this is a Kubernetes quantity that is not negative.
fn is_quantity(text: &str) -> bool {
    let text = text.strip_prefix('+').unwrap_or(text);
    let number_end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, suffix) = text.split_at(number_end);
    let is_number = number.bytes().any(|b| b.is_ascii_digit()) && number.matches('.').count() <= 1;
    let is_exponent = |text: &str| {
        let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
        !digits.is_empty() && digits.len() <= 2 && digits.bytes().all(|b| b.is_ascii_digit())
    };
    is_number && (SUFFIXES.contains(&suffix) || suffix.strip_prefix(['e', 'E']).is_some_and(is_exponent))
}

const SUFFIXES: [&str; 16] = [
    "", "n", "u", "m", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei",
];

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("1", true)]
    #[case("0.5", true)]
    #[case("500m", true)]
    #[case("128Mi", true)]
    #[case("1E", true)]
    #[case("1e3", true)]
    #[case("", false)]
    #[case(".", false)]
    #[case("-1", false)]
    #[case("1.2.3", false)]
    #[case("1 Gi", false)]
    #[case("1gi", false)]
    fn a_quantity(#[case] text: &str, #[case] is: bool) {
        assert_eq!(is_quantity(text), is);
    }
}
